//! Clusters and listeners, as an operator reads them at 3 a.m., to the letter.

use std::collections::BTreeMap;

use vipd::cli::render;
use vipd::status::{
    AdmissionStatus, ClusterStatus, Daemon, HealthStatus, Limit, LimitStatus, ListenerStatus,
    MemberStatus, Miss, MissingStatus, Phase, RoleStatus, ServerStatus, Snapshot, Traffic,
};

pub(crate) fn member(name: &str, role: RoleStatus, timeline: u64) -> MemberStatus {
    MemberStatus {
        name: name.into(),
        address: format!("10.0.1.1{}:5432", name.chars().last().unwrap()),
        api: None,
        role,
        state: Some("running".into()),
        holds_lock: Some(false),
        timeline: Some(timeline),
        admission: AdmissionStatus::Usable,
        reason: String::new(),
        since_ms: 7_200_000,
        lag_bytes: (role != RoleStatus::Primary).then_some(920),
        lag_ms: None,
        answer_age_ms: Some(300),
        silence: None,
        check_failures: Some(2),
        version: None,
        notes: vec![],
    }
}

pub(crate) fn server(of: &MemberStatus, takes: bool, sessions: u32) -> ServerStatus {
    ServerStatus {
        id: 1,
        name: of.name.clone(),
        address: of.address.parse().unwrap(),
        role: of.role,
        admission: of.admission,
        fits: takes,
        takes,
        reason: of.reason.clone(),
        falls: 0,
        lags: false,
        flaps: false,
        sessions: Some(sessions),
        failures: Some(0),
        traffic: None,
        backup: false,
        weight: Some(1),
        maxconn: None,
        unanswered: Some(0),
        mute: false,
        missing: None,
    }
}

pub(crate) fn listener(
    name: &str,
    port: u16,
    wants: &str,
    servers: Vec<ServerStatus>,
) -> ListenerStatus {
    ListenerStatus {
        id: u32::from(port),
        name: name.into(),
        binds: vec![([0, 0, 0, 0], port).into()],
        wants: wants.into(),
        cluster: "pg".into(),
        accepting: true,
        serves: servers.iter().any(|server| server.takes),
        fallen_back: false,
        reason: String::new(),
        maxconn: None,
        traffic: Some(Traffic {
            connections: servers.iter().filter_map(|server| server.sessions).sum(),
            ..Traffic::default()
        }),
        servers,
    }
}

pub(crate) fn snapshot(cluster: ClusterStatus, listeners: Vec<ListenerStatus>) -> Snapshot {
    Snapshot {
        health: HealthStatus::default(),
        daemon: Daemon {
            version: "0.1.0".into(),
            pid: 1234,
            node: "lb1".into(),
            taken_at: "2026-11-21T03:12:44.120+01:00".into(),
            uptime_ms: 3 * 86_400_000,
            ..Daemon::default()
        },
        routers: vec![],
        static_addresses: vec![],
        trackers: vec![],
        groups: BTreeMap::new(),
        fifos: vec![],
        mail: None,
        pages: vec![],
        clusters: vec![cluster],
        listeners,
        strangers: vec![],
        more_strangers: 0,
        unattributed: BTreeMap::new(),
    }
}

pub(crate) fn cluster(phase: Phase, summary: &str, members: Vec<MemberStatus>) -> ClusterStatus {
    ClusterStatus {
        name: "pg".into(),
        phase,
        summary: summary.into(),
        phase_age_ms: 7_200_000,
        primary: None,
        lease_ms: Some(8000),
        lease_left_ms: Some(7700),
        confirmed_ms: Some(300),
        sessions_left_ms: Some(17_700),
        paused: false,
        failsafe: false,
        switchover: None,
        fast: false,
        hints: vec![],
        members,
    }
}

#[test]
fn a_whole_cluster_is_a_line_per_member_and_nothing_else() {
    let members = ["pg-1", "pg-2", "pg-3"].map(|name| match name {
        "pg-2" => member(name, RoleStatus::Primary, 5),
        _ => member(name, RoleStatus::AsyncStandby, 5),
    });
    let write = members.each_ref().map(|m| server(m, m.name == "pg-2", 0)).to_vec();
    let mut read = members.each_ref().map(|m| server(m, m.name != "pg-2", 0)).to_vec();
    (read[0].sessions, read[2].sessions) = (Some(1034), Some(40));
    let listeners =
        vec![listener("write", 5000, "primary", write), listener("read", 5001, "replica", read)];
    let healthy = cluster(Phase::Primary, "pg-2 is the primary, timeline 5", members.to_vec());
    let text = render::overview(&snapshot(healthy, listeners), 80);
    insta::assert_snapshot!(text, @r"
    OK: lb1: writers go to pg-2
    lb1: vipd 0.1.0, pid 1234, up 3d00h, at 2026-11-21 03:12:44

    LISTENER  BIND    ROLE     CLIENTS  WAIT  NOW GOES TO
    write     *:5000  primary        0     0  pg-2
    read      *:5001  replica     1074     0  pg-1, pg-3

    cluster pg: pg-2 is the primary, timeline 5, for 2h00m
      MEMBER  ADDRESS         STATE                 TL    LAG    AGE  SESSIONS
      pg-1    10.0.1.11:5432  asynchronous standby   5  920 B  2h00m      1034
      pg-2    10.0.1.12:5432  primary                5      -  2h00m         0
      pg-3    10.0.1.13:5432  asynchronous standby   5  920 B  2h00m        40
    ");
}

#[test]
fn a_lost_primary_says_who_waits_for_whom() {
    let mut lost = member("pg-1", RoleStatus::Primary, 5);
    lost.admission = AdmissionStatus::Down;
    lost.reason = "not confirmed as the primary for 8.0 s (timed out)".into();
    lost.silence = Some("timed out".into());
    let mut lagging = member("pg-2", RoleStatus::Replica, 5);
    lagging.lag_bytes = Some(20 << 20);
    let fit = member("pg-3", RoleStatus::Replica, 5);
    let servers =
        |takes: &str| [&lost, &lagging, &fit].map(|m| server(m, m.name == takes, 0)).to_vec();
    let mut write = listener("write", 5000, "primary", servers("nobody"));
    write.reason = "no usable primary: pg-1 is down (not confirmed as the primary for 8.0 s), \
                    pg-2 is a replica, pg-3 is a replica"
        .into();
    write.traffic = Some(Traffic { connections: 41, waiting: 41, ..Traffic::default() });
    let mut taken = listener("read", 5001, "replica", servers("pg-3"));
    taken.servers[1].admission = AdmissionStatus::Held;
    taken.servers[1].reason = "lags by 20 MB".into();
    taken.servers[2].sessions = Some(3);
    taken.accepting = false;
    taken.traffic = Some(Traffic {
        failure: Some("listen on 0.0.0.0:5001 for read: Address already in use".into()),
        ..Traffic::default()
    });
    let members = vec![lost.clone(), lagging.clone(), fit.clone()];
    let mut unlocked = cluster(Phase::Unlocked, "nobody holds the leader lock", members);
    unlocked.phase_age_ms = 4200;
    unlocked.lease_left_ms = None;
    let text = render::overview(&snapshot(unlocked, vec![write, taken]), 80);
    insta::assert_snapshot!(text, @r"
    CRITICAL: lb1: writers wait: nobody holds the leader lock; read is not open:
        cannot listen on 0.0.0.0:5001 for read: Address already in use; cluster pg:
        pg-1 is down: not confirmed as the primary for 8.0 s (timed out)
    lb1: vipd 0.1.0, pid 1234, up 3d00h, at 2026-11-21 03:12:44

    LISTENER  BIND    ROLE     CLIENTS  WAIT  NOW GOES TO
    write     *:5000  primary       41    41  nobody: clients wait
    read      *:5001  replica        0     0  nobody: it is not open

    write
      no usable primary: pg-1 is down (not confirmed as the primary for 8.0 s), pg-2
          is a replica, pg-3 is a replica

    read
      not open: cannot listen on 0.0.0.0:5001 for read: Address already in use
      not pg-2: lags by 20 MB

    cluster pg: nobody holds the leader lock, for 4s
      MEMBER  ADDRESS         STATE                       TL    LAG    AGE  SESSIONS
      pg-1    10.0.1.11:5432  down: not confirmed as the   5      -  2h00m         0
                              primary for 8.0 s (timed
                              out)
      pg-2    10.0.1.12:5432  replica                      5  20 MB  2h00m         0
      pg-3    10.0.1.13:5432  replica                      5  920 B  2h00m         3
    ");
}

#[test]
fn a_limit_that_is_reached_says_who_waits_who_was_refused_and_what_raises_it() {
    let members = ["pg-1", "pg-2", "pg-3"].map(|name| member(name, RoleStatus::Replica, 5));
    let mut servers = members.each_ref().map(|m| server(m, m.name != "pg-2", 100)).to_vec();
    (servers[0].weight, servers[2].backup) = (Some(3), true);
    (servers[1].maxconn, servers[1].mute, servers[1].unanswered) = (Some(100), true, Some(12));
    let missing = |how, times, ago_ms| Some(MissingStatus { how, times, ago_ms });
    servers[0].missing = missing(Miss::Refused, 3, 2100);
    servers[2].missing = missing(Miss::Unreachable, 1, 61_000);
    let limit = |limit, most, reached, waiting, refused, raise: &str| LimitStatus {
        limit,
        most,
        reached,
        waiting,
        refused,
        raise: raise.into(),
    };
    let mut read = listener("read", 5001, "replica", servers.clone());
    read.traffic = Some(Traffic {
        limits: vec![
            limit(Limit::Maxconn, Some(300), true, 1, 0, "maxconn"),
            limit(Limit::Queue, Some(2000), false, 0, 31, "hold_most in vipd.toml"),
            limit(Limit::Descriptors, Some(1024), true, 40, 0, "LimitNOFILE of the service"),
            limit(Limit::Backlog, Some(128), false, 0, 7, "net.core.somaxconn"),
        ],
        ..Traffic::default()
    });
    servers.iter_mut().for_each(|server| (server.takes, server.maxconn) = (false, Some(100)));
    let mut full = listener("full", 5002, "replica", servers);
    full.serves = true;
    let limits = vec![limit(Limit::ServerMaxconn, None, true, 5, 2, "maxconn of the servers")];
    full.traffic = Some(Traffic { connections: 305, waiting: 5, limits, ..Traffic::default() });
    let cluster = cluster(Phase::Primary, "pg-2 is the primary, timeline 5", vec![]);
    let text = render::overview(&snapshot(cluster, vec![read, full]), 80);
    insta::assert_snapshot!(text, @r"
    CRITICAL: lb1: full: all servers are full (maxconn), 5 clients wait, 2 clients
        were refused: raise maxconn of the servers; read: maxconn (300) is reached,
        1 client waits: raise maxconn; read: the limit of file descriptors (1024) is
        reached, 40 clients wait: raise LimitNOFILE of the service; 4 more
    lb1: vipd 0.1.0, pid 1234, up 3d00h, at 2026-11-21 03:12:44

    LISTENER  BIND    ROLE     CLIENTS  WAIT  NOW GOES TO
    read      *:5001  replica        0     0  pg-1 (weight 3, the last connection
                                              failed), pg-3 (weight 1, backup)
    full      *:5002  replica      305     5  nobody: its servers are full

    read
      maxconn (300) is reached, 1 client waits: raise maxconn
      the queue (2000) was full, 31 clients were refused: raise hold_most in
          vipd.toml
      the limit of file descriptors (1024) is reached, 40 clients wait: raise
          LimitNOFILE of the service
      the accept queue (128) was full, 7 attempts to connect were dropped: raise
          net.core.somaxconn
      pg-1 at 10.0.1.11:5432 refused the last 3 connections, 2s ago
      pg-3 at 10.0.1.13:5432 did not answer the last connection, 1m01s ago
      pg-2 accepts connections but does not answer: 12 clients waited in vain
      not pg-2: full, maxconn 100

    full
      all servers are full (maxconn), 5 clients wait, 2 clients were refused: raise
          maxconn of the servers
      pg-1 at 10.0.1.11:5432 refused the last 3 connections, 2s ago
      pg-3 at 10.0.1.13:5432 did not answer the last connection, 1m01s ago
      pg-2 accepts connections but does not answer: 12 clients waited in vain
      not pg-1: full, maxconn 100
      not pg-2: full, maxconn 100
      not pg-3: full, maxconn 100

    cluster pg: pg-2 is the primary, timeline 5, for 2h00m
      MEMBER  ADDRESS  STATE  TL  LAG  AGE  SESSIONS
    ");
}
