//! Every fault there is a word for.

use std::collections::BTreeMap;

use vipd::status::{
    AdmissionStatus, FaultCode, FifoStatus, HintCode, HintStatus, Limit, LimitStatus, MailStatus,
    MemberFault, Miss, MissingStatus, PageStatus, PeerStatus, Phase, RoleStatus, RouterStatus,
    RunStatus, Snapshot, StallStatus, Standing, State, TrackedStatus, Traffic,
};

use crate::serving_render::{cluster, listener, member, server};
use crate::status_render::{address, fault, following, serving, tracked, tracker};

/// A balancer as it should be: master of one address, a cluster with a primary and two standbys behind it.
pub(crate) fn well() -> Snapshot {
    let members = vec![
        member("pg-1", RoleStatus::Primary, 5),
        member("pg-2", RoleStatus::AsyncStandby, 5),
        member("pg-3", RoleStatus::AsyncStandby, 5),
    ];
    let takes = |primary: bool| {
        members.iter().map(|m| server(m, (m.name == "pg-1") == primary, 3)).collect::<Vec<_>>()
    };
    let listeners = vec![
        listener("write", 5000, "primary", takes(true)),
        listener("read", 5001, "replica", takes(false)),
    ];
    let mut pg = cluster(Phase::Primary, "pg-1 is the primary, timeline 5", members);
    pg.primary = Some("pg-1".into());
    let router = RouterStatus { addresses: vec![address("10.0.0.10/24", true)], ..serving() };
    Snapshot {
        routers: vec![router],
        unattributed: BTreeMap::new(),
        ..crate::serving_render::snapshot(pg, listeners)
    }
}

/// The same with a fault.
pub(super) fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snapshot = well();
    change(&mut snapshot);
    snapshot
}

pub(super) fn in_fault(router: &mut RouterStatus, code: FaultCode, text: &str) {
    router.state = State::Fault;
    router.faults = vec![fault(code, text)];
    router.master = None;
    router.next_deadline_ms = None;
    router.addresses.iter_mut().for_each(|address| address.held = false);
}

fn backup(router: &mut RouterStatus) {
    router.state = State::Backup;
    router.master = following().master;
    router.addresses.iter_mut().for_each(|address| address.held = false);
}

pub(super) fn served_by_another(router: &mut RouterStatus) {
    router.master = following().master;
}

fn hint(snapshot: &mut Snapshot, code: HintCode, text: &str) {
    let node = "10.0.0.3".parse().unwrap();
    snapshot.routers[0].hints = vec![HintStatus::about(code, node, text.into())];
}

pub(super) fn no_primary(snapshot: &mut Snapshot, phase: Phase, summary: &str) {
    let pg = &mut snapshot.clusters[0];
    (pg.phase, pg.summary, pg.primary) = (phase, summary.into(), None);
    let write = &mut snapshot.listeners[0];
    write.serves = false;
    write.reason = "no usable primary".into();
    write.servers.iter_mut().for_each(|server| server.takes = false);
}

pub(super) fn limit(limit: Limit, reached: bool, waiting: u32, refused: u64) -> LimitStatus {
    LimitStatus { limit, most: Some(300), reached, waiting, refused, raise: "maxconn".into() }
}

fn limited(snapshot: &mut Snapshot, of: LimitStatus) {
    snapshot.listeners[0].traffic = Some(Traffic { limits: vec![of], ..Traffic::default() });
}

pub(super) fn out(snapshot: &mut Snapshot, name: &str, admission: AdmissionStatus, reason: &str) {
    for member in snapshot.clusters[0].members.iter_mut().filter(|m| m.name == name) {
        (member.admission, member.reason) = (admission, reason.into());
    }
    for listener in &mut snapshot.listeners {
        for server in listener.servers.iter_mut().filter(|s| s.name == name) {
            (server.admission, server.reason, server.takes) = (admission, reason.into(), false);
        }
    }
}

fn tracks(snapshot: &mut Snapshot, of: TrackedStatus, answer: &str) {
    let detail = if of.kind == "process" { answer } else { "" };
    let router = &mut snapshot.routers[0];
    router.priority = u8::try_from(i32::from(router.base_priority) + of.adds).unwrap();
    snapshot.trackers = vec![tracker(&of.name, &of.kind, of.standing, answer, detail)];
    router.tracking = vec![of];
}

fn stall(snapshot: &mut Snapshot, lasted_ms: u64, age_ms: u64) {
    snapshot.daemon.stall = Some(StallStatus { lasted_ms, age_ms });
}

/// Every fault there is a word for: what it is called, what it makes of the health, and the line.
pub(super) fn faults() -> Vec<(&'static str, Snapshot)> {
    let down = || Standing::Down;
    vec![
        ("all is well", well()),
        (
            "a router in FAULT, nobody serves",
            with(|s| in_fault(&mut s.routers[0], FaultCode::LinkDown, "interface eth0 is down")),
        ),
        (
            "a router in FAULT, another node serves",
            with(|s| {
                in_fault(&mut s.routers[0], FaultCode::Tracker, "chk_haproxy failed: exit 1");
                served_by_another(&mut s.routers[0]);
            }),
        ),
        (
            "forty-three routers whose link is down",
            with(|s| {
                let mut router = s.routers.remove(0);
                in_fault(&mut router, FaultCode::LinkDown, "interface eth0 is down");
                s.routers = (1..=43)
                    .map(|n| RouterStatus { name: format!("VI_{n}"), ..router.clone() })
                    .collect();
            }),
        ),
        (
            "a group that follows one of its members",
            with(|s| {
                let mut second = RouterStatus { name: "VI_2".into(), ..s.routers[0].clone() };
                in_fault(&mut s.routers[0], FaultCode::LinkDown, "interface eth1 is down");
                in_fault(&mut second, FaultCode::Group, "VI_1 of group g: interface eth1 is down");
                second.faults[0].member = Some(MemberFault {
                    name: "VI_1".into(),
                    code: FaultCode::LinkDown,
                    text: "interface eth1 is down".into(),
                });
                s.routers.push(second);
            }),
        ),
        (
            "sockets are being opened",
            with(|s| {
                in_fault(&mut s.routers[0], FaultCode::Starting, "the sockets are being opened");
            }),
        ),
        (
            "drained, another node serves",
            with(|s| {
                in_fault(&mut s.routers[0], FaultCode::Drained, "drained");
                served_by_another(&mut s.routers[0]);
                s.routers[0].drained = true;
            }),
        ),
        (
            "drained, and nobody serves",
            with(|s| {
                in_fault(&mut s.routers[0], FaultCode::Drained, "drained");
                s.routers[0].drained = true;
            }),
        ),
        ("a backup", with(|s| backup(&mut s.routers[0]))),
        (
            "a backup that has just started",
            with(|s| {
                backup(&mut s.routers[0]);
                s.routers[0].master = None;
                s.routers[0].hints =
                    vec![HintStatus::new(HintCode::JustStarted, "just started".into())];
            }),
        ),
        (
            "a backup that waits for a check, and nobody serves",
            with(|s| {
                backup(&mut s.routers[0]);
                s.routers[0].master = None;
                let text = "chk_slow has not answered yet: until it has, nothing is taken over";
                s.routers[0].hints = vec![HintStatus::new(HintCode::Untested, text.into())];
            }),
        ),
        (
            "a second master",
            with(|s| {
                let text =
                    "10.0.0.3 is master too, with priority 100: it does not hear our adverts";
                hint(s, HintCode::SecondMaster, text);
            }),
        ),
        (
            "two other masters",
            with(|s| {
                backup(&mut s.routers[0]);
                hint(s, HintCode::TwoMasters, "10.0.0.2 and 10.0.0.3 are both master");
            }),
        ),
        (
            "another host answers for the address",
            with(|s| {
                hint(s, HintCode::AddressConflict, "02:00:00:00:00:07 answers for 10.0.0.10");
            }),
        ),
        (
            "a backup has the address from another program",
            with(|s| {
                backup(&mut s.routers[0]);
                hint(
                    s,
                    HintCode::ForeignAddress,
                    "10.0.0.10/24 is on eth0, and vipd did not put it there",
                );
            }),
        ),
        (
            "adverts go nowhere",
            with(|s| {
                hint(
                    s,
                    HintCode::AdvertsFilteredOut,
                    "the host's own packet filter refuses adverts",
                );
            }),
        ),
        (
            "adverts do not come in",
            with(|s| {
                hint(s, HintCode::AdvertsFilteredIn, "the host's packet filter drops adverts");
            }),
        ),
        (
            "a peer with another password",
            with(|s| {
                hint(
                    s,
                    HintCode::PacketsRefused,
                    "10.0.0.3 speaks for VRID 51 too, but we refuse it",
                );
            }),
        ),
        (
            "the same an hour ago",
            with(|s| {
                hint(
                    s,
                    HintCode::PacketsRefused,
                    "10.0.0.3 speaks for VRID 51 too, but we refuse it",
                );
                s.routers[0].peers = vec![PeerStatus {
                    address: "10.0.0.3".parse().unwrap(),
                    last_refusal_ms: Some(3_600_000),
                    ..crate::status_render::stranger()
                }];
            }),
        ),
        (
            "a master that lists none of our addresses",
            with(|s| {
                backup(&mut s.routers[0]);
                let text =
                    "10.0.0.3 is a peer, but lists 10.0.0.77, none of them ours: we follow it";
                hint(s, HintCode::AddressesUnserved, text);
            }),
        ),
        (
            "a router not preempted",
            with(|s| {
                backup(&mut s.routers[0]);
                hint(s, HintCode::NotPreempted, "10.0.0.3 stays master: nopreempt is set");
            }),
        ),
        (
            "an address the kernel refuses",
            with(|s| {
                s.routers[0].addresses[0].held = false;
                s.routers[0].addresses[0].error =
                    Some("add 10.0.0.10/24: Permission denied".into());
            }),
        ),
        (
            "a lease that is not renewed",
            with(|s| {
                s.routers[0].addresses[0].lease_ms = Some(0);
                s.routers[0].addresses[0].error =
                    Some("renew 10.0.0.10/24: Operation not permitted".into());
            }),
        ),
        (
            "an address that stays",
            with(|s| {
                backup(&mut s.routers[0]);
                s.routers[0].addresses[0].held = true;
            }),
        ),
        (
            "something removes the address",
            with(|s| {
                hint(s, HintCode::AddressFight, "something keeps removing 10.0.0.10/24");
            }),
        ),
        (
            "a check that takes priority away",
            with(|s| {
                tracks(s, tracked("chk_haproxy", "script", "-60", -60, down()), "exit 1");
            }),
        ),
        (
            "a script that adds nothing",
            with(|s| {
                tracks(s, tracked("is_leader", "script", "20", 0, down()), "exit 1");
            }),
        ),
        (
            "a process that adds nothing",
            with(|s| {
                tracks(s, tracked("haproxy", "process", "2", 0, down()), "0 running");
            }),
        ),
        (
            "Patroni says that it is another role",
            with(|s| {
                tracks(s, tracked("leader", "patroni", "-20", -20, down()), "wrong answer");
            }),
        ),
        (
            "Patroni does not answer the check",
            with(|s| {
                tracks(s, tracked("leader", "patroni", "-20", -20, down()), "timed out");
            }),
        ),
        ("no primary", with(|s| no_primary(s, Phase::Unlocked, "nobody holds the leader lock"))),
        (
            "no primary, and a router that tracks it",
            with(|s| {
                no_primary(s, Phase::Unlocked, "nobody holds the leader lock");
                tracks(s, tracked("write", "listener", "-60", -60, down()), "");
            }),
        ),
        (
            "a listener that is not open puts a router in FAULT",
            with(|s| {
                let failure = "listen on 0.0.0.0:5000 for write: Address already in use";
                s.listeners[0].traffic =
                    Some(Traffic { failure: Some(failure.into()), ..Traffic::default() });
                tracks(s, tracked("chk_haproxy", "script", "0", 0, down()), "listener not open");
                let router = &mut s.routers[0];
                in_fault(
                    router,
                    FaultCode::Tracker,
                    "chk_haproxy failed: listener not open (write)",
                );
                router.tracking[0].fault = true;
            }),
        ),
        (
            "nobody answers",
            with(|s| {
                no_primary(s, Phase::Silent, "no member answers");
                for name in ["pg-1", "pg-2", "pg-3"] {
                    out(s, name, AdmissionStatus::Down, "no answer: timed out");
                }
                s.listeners[1].serves = false;
                s.listeners[1].reason = "no usable replica: pg-1, pg-2 and pg-3 are down".into();
            }),
        ),
        (
            "a primary that is not confirmed",
            with(|s| {
                let pg = &mut s.clusters[0];
                pg.phase = Phase::ApiSilent;
                pg.summary = "the Patroni of pg-1, the primary, does not answer".into();
                let text = "Patroni on pg-1 does not answer but PostgreSQL does";
                pg.hints =
                    vec![HintStatus::about_member(HintCode::PatroniSilent, "pg-1", text.into())];
            }),
        ),
        (
            "a primary on a second opinion",
            with(|s| {
                s.clusters[0].phase = Phase::SecondOpinion;
                s.clusters[0].summary = "the Patroni of pg-1, the primary, does not answer; the cluster's store still names it".into();
                out(
                    s,
                    "pg-1",
                    AdmissionStatus::Held,
                    "its Patroni does not answer, but it still leads",
                );
                s.listeners[0].servers[0].takes = true;
            }),
        ),
        (
            "several primaries, one of them used",
            with(|s| {
                let text = "pg-1 and pg-2 claim to be the primary";
                s.clusters[0].hints =
                    vec![HintStatus::new(HintCode::SeveralPrimaries, text.into())];
            }),
        ),
        (
            "several primaries, none used",
            with(|s| {
                no_primary(
                    s,
                    Phase::Rivals,
                    "pg-1 and pg-2 claim to be the primary with equal right: neither is used",
                );
                let text = "pg-1 and pg-2 claim to be the primary";
                s.clusters[0].hints =
                    vec![HintStatus::new(HintCode::SeveralPrimaries, text.into())];
            }),
        ),
        ("paused", with(|s| s.clusters[0].paused = true)),
        ("failsafe", with(|s| s.clusters[0].failsafe = true)),
        (
            "a lease that is too long",
            with(|s| {
                let text = "the lease of 30 s is longer than Patroni's settings allow";
                s.clusters[0].hints = vec![HintStatus::new(HintCode::LeaseTooLong, text.into())];
            }),
        ),
        (
            "several systems, as with Citus",
            with(|s| {
                let text = "these are 2 database systems";
                s.clusters[0].hints = vec![HintStatus::new(HintCode::SeveralSystems, text.into())];
            }),
        ),
        ("a dead standby", with(|s| out(s, "pg-3", AdmissionStatus::Down, "no answer: timed out"))),
        (
            "PostgreSQL of a standby is silent",
            with(|s| {
                out(s, "pg-3", AdmissionStatus::Held, "port 5432 does not answer");
                let text =
                    "Patroni says that PostgreSQL of pg-3 runs, but 10.0.1.13:5432 does not answer";
                s.clusters[0].hints =
                    vec![HintStatus::about_member(HintCode::PostgresqlSilent, "pg-3", text.into())];
            }),
        ),
        (
            "a standby over its limit",
            with(|s| {
                let server = &mut s.listeners[1].servers[2];
                (server.admission, server.takes, server.lags) =
                    (AdmissionStatus::Held, false, true);
                server.reason = "lags by more than 16 MB".into();
            }),
        ),
        (
            "a standby that comes and goes",
            with(|s| {
                let server = &mut s.listeners[1].servers[2];
                (server.admission, server.takes, server.flaps) =
                    (AdmissionStatus::Held, false, true);
                server.reason = "comes and goes, has to wait".into();
            }),
        ),
        (
            "a standby that is disabled",
            with(|s| {
                let server = &mut s.listeners[1].servers[2];
                (server.admission, server.takes, server.reason) =
                    (AdmissionStatus::Held, false, "disabled".into());
            }),
        ),
        (
            "readers go to the primary",
            with(|s| {
                let read = &mut s.listeners[1];
                read.fallen_back = true;
                read.servers.iter_mut().for_each(|server| server.takes = server.name == "pg-1");
            }),
        ),
        (
            "readers get nobody",
            with(|s| {
                let read = &mut s.listeners[1];
                (read.serves, read.reason) =
                    (false, "no usable replica: pg-2 and pg-3 are down".into());
                read.servers.iter_mut().for_each(|server| server.takes = false);
            }),
        ),
        (
            "a listener that is not open",
            with(|s| {
                let failure =
                    Some("listen on 0.0.0.0:5001 for read: Address already in use".into());
                s.listeners[1].traffic = Some(Traffic { failure, ..Traffic::default() });
            }),
        ),
        ("a listener that is open in part", with(|s| s.listeners[1].accepting = false)),
        (
            "every connection fails",
            with(|s| {
                let missing = MissingStatus { how: Miss::Refused, times: 3, ago_ms: 2100 };
                s.listeners[0].servers[0].missing = Some(missing);
            }),
        ),
        (
            "connections to one of two fail",
            with(|s| {
                let missing = MissingStatus { how: Miss::Refused, times: 3, ago_ms: 2100 };
                s.listeners[1].servers[1].missing = Some(missing);
            }),
        ),
        ("a server that does not answer", with(|s| s.listeners[1].servers[1].mute = true)),
        ("clients wait for a limit", with(|s| limited(s, limit(Limit::Maxconn, true, 4, 0)))),
        (
            "clients are refused by a limit",
            with(|s| limited(s, limit(Limit::Queue, true, 300, 31))),
        ),
        ("a limit was reached", with(|s| limited(s, limit(Limit::Queue, false, 0, 31)))),
        (
            "the accept queue drops what comes again",
            with(|s| limited(s, limit(Limit::Backlog, true, 0, 7))),
        ),
        (
            "a refused reload",
            with(|s| {
                s.daemon.reload_error = Some("a.conf:3:1: error: unknown keyword".into());
            }),
        ),
        ("settings dropped", with(|s| s.daemon.settings_dropped = vec!["a.conf:3: bogus".into()])),
        ("routers left out", with(|s| s.daemon.routers_left_out = vec!["VI_3 (a.conf:9)".into()])),
        ("a stall just now", with(|s| stall(s, 7900, 60_000))),
        ("a stall an hour ago", with(|s| stall(s, 7900, 3_600_000))),
        ("a stall nobody noticed", with(|s| stall(s, 150, 60_000))),
        (
            "a page that is not open",
            with(|s| {
                let failure =
                    Some("listen on 127.0.0.1:7000 for page ops: Address already in use".into());
                let bind = ([127, 0, 0, 1], 7000).into();
                s.pages = vec![PageStatus { name: "ops".into(), bind, path: "/".into(), failure }];
            }),
        ),
        (
            "a static address that is missing",
            with(|s| s.static_addresses = vec![address("10.9.0.1/24", false)]),
        ),
        (
            "a notify script that failed",
            with(|s| {
                s.routers[0].notify.runs = vec![RunStatus {
                    hook: "master".into(),
                    about: "MASTER".into(),
                    succeeded: false,
                    outcome: "exit 1".into(),
                    took_ms: 20,
                    age_ms: 60_000,
                }];
            }),
        ),
        (
            "a member of another cluster",
            with(|s| {
                out(s, "pg-3", AdmissionStatus::Held, "belongs to another Patroni cluster, \"b\"");
                let text = "pg-3 belongs to the Patroni cluster \"b\", the others to \"a\"";
                let hint = HintStatus::about_member(HintCode::OtherScope, "pg-3", text.into());
                s.clusters[0].hints = vec![hint];
            }),
        ),
        (
            "the Patroni of a standby is silent",
            with(|s| {
                out(s, "pg-3", AdmissionStatus::Held, "its Patroni does not answer");
                let text = "Patroni on pg-3 does not answer but PostgreSQL does";
                let hint = HintStatus::about_member(HintCode::PatroniSilent, "pg-3", text.into());
                s.clusters[0].hints = vec![hint];
            }),
        ),
        (
            "a standby that must catch up",
            with(|s| {
                let why = "was down, must answer well more often first";
                out(s, "pg-3", AdmissionStatus::Held, why);
            }),
        ),
        (
            "a FIFO nobody can write to",
            with(|s| {
                s.fifos = vec![FifoStatus {
                    path: "/run/fifo".into(),
                    written: 0,
                    waiting: 0,
                    lost: 7,
                    error: Some("Permission denied".into()),
                    reader: None,
                }];
            }),
        ),
        (
            "mail that cannot be sent",
            with(|s| {
                s.mail = Some(MailStatus {
                    server: "mail:25".into(),
                    sent: 0,
                    failed: 1,
                    waiting: 2,
                    lost: 0,
                    error: Some("connection refused".into()),
                });
            }),
        ),
        ("log lines lost", with(|s| s.daemon.log_lines_lost = 3)),
    ]
}
