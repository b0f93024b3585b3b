//! What an operator reads at 3 a.m., to the letter.

use std::collections::BTreeMap;

use vipd::cli::render;
use vipd::status::{
    AddressStatus, Counters, Daemon, FailoverEstimate, FaultCode, FaultStatus, HealthStatus,
    HintCode, HintStatus, MasterStatus, NotifyStatus, PageStatus, PeerStatus, RouterStatus,
    Snapshot, Span, StallStatus, Standing, State, Successor, TrackedStatus, TrackerStatus,
    TransitionStatus,
};
use vipd::types::{DropCounter, Family};

pub(crate) fn daemon() -> Daemon {
    Daemon {
        version: "0.1.0".into(),
        pid: 1234,
        node: "lb1".into(),
        taken_at: "2026-11-21T03:12:44.120+01:00".into(),
        uptime_ms: 3 * 86_400_000 + 4 * 3_600_000,
        config: vec!["/etc/keepalived/keepalived.conf".into()],
        ..Daemon::default()
    }
}

pub(crate) fn address(cidr: &str, held: bool) -> AddressStatus {
    AddressStatus {
        address: cidr.into(),
        interface: "eth0".parse().unwrap(),
        held,
        advertised: true,
        lease_ms: None,
        error: None,
        readded: 0,
    }
}

fn transition(from: Option<State>, to: State, reason: &str, age_ms: u64) -> TransitionStatus {
    TransitionStatus { from, to, reason: reason.into(), reason_code: None, age_ms }
}

pub(crate) fn serving() -> RouterStatus {
    let week = 7 * 86_400_000;
    RouterStatus {
        name: "VI_1".into(),
        interface: "eth0".parse().unwrap(),
        vrid: 51,
        version: 2,
        family: Family::Ipv4,
        state: State::Master,
        state_age_ms: week,
        reason: "the master fell silent".into(),
        reason_code: None,
        faults: vec![],
        base_priority: 150,
        priority: 150,
        priority_age_ms: week,
        group: None,
        tracking: Vec::new(),
        interval_ms: 1000,
        master_interval_ms: 1000,
        source: Some("10.0.0.1".parse().unwrap()),
        destinations: vec!["224.0.0.18".parse().unwrap()],
        master: Some(MasterStatus {
            address: "10.0.0.1".parse().unwrap(),
            priority: 150,
            is_self: true,
            last_advert_ms: Some(400),
        }),
        next_deadline_ms: Some(600),
        preempts: false,
        addresses: vec![address("10.0.0.10/24", true), address("10.0.0.11/24", true)],
        counters: Counters { adv_sent: 604_800, master_transitions: 1, ..Counters::default() },
        peers: vec![],
        more_peers: 0,
        transitions: vec![
            transition(Some(State::Backup), State::Master, "the master fell silent", week),
            transition(None, State::Backup, "started", week + 3600),
        ],
        drained: false,
        drained_since: None,
        drained_sticky: false,
        listens: true,
        last_heard_ms: None,
        failover: Some(FailoverEstimate {
            successor: None,
            on_crash: Span { least_ms: 2007, most_ms: 3997 },
            on_resign: Span { least_ms: 7, most_ms: 997 },
            on_daemon_crash: Some(Span { least_ms: 1500, most_ms: 3500 }),
        }),
        notify: NotifyStatus::default(),
        hints: vec![],
    }
}

/// The node itself would follow.
pub(crate) fn fault(code: FaultCode, text: &str) -> FaultStatus {
    FaultStatus { code, text: text.into(), member: None }
}

fn would_follow() -> Option<FailoverEstimate> {
    Some(FailoverEstimate {
        successor: Some(Successor {
            address: "10.0.0.1".parse().unwrap(),
            priority: 100,
            is_self: true,
            last_heard_ms: None,
        }),
        on_crash: Span { least_ms: 2609, most_ms: 3610 },
        on_resign: Span { least_ms: 609, most_ms: 610 },
        on_daemon_crash: None,
    })
}

/// Another node, whose password is another one.
pub(crate) fn stranger() -> PeerStatus {
    PeerStatus {
        address: "10.0.0.9".parse().unwrap(),
        last_seen_ms: 1200,
        priority: None,
        accepted: 0,
        refused: BTreeMap::from([(DropCounter::AuthFailures, 12)]),
        last_refusal: Some("wrong password".into()),
        last_refusal_ms: Some(1200),
        checksum: None,
    }
}

pub(crate) fn following() -> RouterStatus {
    RouterStatus {
        name: "VI_2".into(),
        vrid: 52,
        version: 3,
        state: State::Backup,
        state_age_ms: 252_000,
        reason: "10.0.0.2 has a higher priority".into(),
        base_priority: 120,
        priority: 100,
        master: Some(MasterStatus {
            address: "10.0.0.2".parse().unwrap(),
            priority: 110,
            is_self: false,
            last_advert_ms: Some(340),
        }),
        next_deadline_ms: Some(3269),
        addresses: vec![address("10.0.0.20/24", false)],
        peers: vec![stranger()],
        transitions: vec![
            transition(
                Some(State::Master),
                State::Backup,
                "10.0.0.2 has a higher priority",
                252_000,
            ),
            transition(Some(State::Backup), State::Master, "the master fell silent", 300_000),
        ],
        last_heard_ms: Some(340),
        failover: would_follow(),
        hints: vec![HintStatus::about(
            HintCode::PacketsRefused,
            "10.0.0.9".parse().unwrap(),
            "10.0.0.9 uses another password: compare auth_pass".into(),
        )],
        ..serving()
    }
}

fn broken() -> RouterStatus {
    let mut lost = address("2001:db8::10/64", false);
    lost.error = Some("add 2001:db8::10/64 to bond0.100: Permission denied".into());
    RouterStatus {
        name: "storage-frontend-v6".into(),
        interface: "bond0.100".parse().unwrap(),
        vrid: 255,
        version: 3,
        family: Family::Ipv6,
        state: State::Fault,
        state_age_ms: 11_000,
        reason: "interface bond0.100 is down".into(),
        faults: vec![fault(FaultCode::LinkDown, "interface bond0.100 is down")],
        master: None,
        next_deadline_ms: None,
        addresses: vec![lost],
        transitions: vec![transition(
            Some(State::Backup),
            State::Fault,
            "interface bond0.100 is down",
            11_000,
        )],
        failover: None,
        ..serving()
    }
}

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        health: HealthStatus::default(),
        daemon: daemon(),
        routers: vec![serving(), following(), broken()],
        static_addresses: vec![],
        trackers: Vec::new(),
        groups: BTreeMap::new(),
        fifos: vec![],
        mail: None,
        pages: vec![PageStatus {
            name: "ops".into(),
            bind: ([127, 0, 0, 1], 7000).into(),
            path: "/".into(),
            failure: None,
        }],
        clusters: vec![],
        listeners: vec![],
        strangers: vec![],
        more_strangers: 0,
        unattributed: BTreeMap::from([(DropCounter::VridErrors, 3)]),
    }
}

#[test]
fn the_overview_fits_80_columns_and_shows_what_is_wrong() {
    let text = render::overview(&snapshot(), 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

pub(crate) fn tracked(
    name: &str,
    kind: &str,
    weight: &str,
    adds: i32,
    standing: Standing,
) -> TrackedStatus {
    let (name, kind, weight) = (name.into(), kind.into(), weight.into());
    TrackedStatus { name, kind, weight, adds, fault: false, standing, wrong: String::new() }
}

pub(crate) fn tracker(
    name: &str,
    kind: &str,
    standing: Standing,
    answer: &str,
    detail: &str,
) -> TrackerStatus {
    TrackerStatus {
        name: name.into(),
        kind: kind.into(),
        standing,
        standing_age_ms: 12_000,
        against: 0,
        needed: 3,
        answer: (!answer.is_empty()).then(|| answer.into()),
        answer_age_ms: (!answer.is_empty()).then_some(400),
        took_ms: Some(7),
        detail: detail.into(),
        output: String::new(),
        running_ms: None,
        interval_ms: Some(1000),
        timeout_ms: 1000,
    }
}

/// A master whose checks cost it the address, and a backup that waits for an answer.
pub(crate) fn tracking() -> Snapshot {
    let mut losing = serving();
    losing.group = Some("edge".into());
    losing.priority = 91;
    losing.tracking = vec![
        tracked("chk_haproxy", "script", "-60", -60, Standing::Down),
        tracked("leader", "patroni", "20", 0, Standing::Down),
        tracked("maintenance", "file", "1", -3, Standing::Value(-3)),
        tracked("postgres", "process", "-5", 0, Standing::Up),
        tracked("eth1", "interface", "4", 4, Standing::Up),
    ];
    let successor = Successor {
        address: "10.0.0.12".parse().unwrap(),
        priority: 100,
        is_self: false,
        last_heard_ms: Some(90_000),
    };
    losing.failover = losing.failover.map(|o| FailoverEstimate { successor: Some(successor), ..o });
    let mut waiting = following();
    waiting.tracking = vec![tracked("chk_slow", "script", "2", 0, Standing::Untested)];
    waiting.peers.clear();
    let slow = TrackerStatus {
        running_ms: Some(2_100),
        ..tracker("chk_slow", "script", Standing::Untested, "", "")
    };
    let printing = TrackerStatus {
        output: "backend sql is down\nsecond line".into(),
        ..tracker("chk_haproxy", "script", Standing::Down, "exit 1", "")
    };
    let refused = "connection refused";
    let half =
        TrackerStatus { against: 1, ..tracker("leader", "patroni", Standing::Down, "passed", "") };
    let trackers = vec![
        slow,
        printing,
        half,
        tracker("maintenance", "file", Standing::Value(-3), "-3", ""),
        tracker("postgres", "process", Standing::Up, "passed", "1 running"),
        tracker("other", "tcp", Standing::Down, refused, "127.0.0.1:1"),
    ];
    Snapshot {
        routers: vec![losing, waiting],
        trackers,
        unattributed: BTreeMap::new(),
        ..snapshot()
    }
}

#[test]
fn the_overview_does_the_sum_of_a_priority_and_says_what_follows() {
    let text = render::overview(&tracking(), 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn an_interface_that_does_not_exist_is_not_called_down() {
    let mut snapshot = tracking();
    let missing = tracked("eth9", "interface", "-9", -9, Standing::Down);
    snapshot.routers[0].tracking =
        vec![TrackedStatus { wrong: "does not exist".into(), ..missing }];
    let overview = render::overview(&snapshot, 200);
    assert!(overview.contains("-9 eth9 (does not exist) = 91"), "{overview}");
    let page = render::router(&snapshot, "VI_1", 200).unwrap();
    assert!(page.contains("eth9 (interface): -9 (weight -9); does not exist"), "{page}");
}

#[test]
fn the_page_shows_every_check_with_its_last_answer() {
    let pages = ["VI_1", "VI_2"].map(|name| render::router(&tracking(), name, 80).unwrap());
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn a_quiet_pair_of_routers_takes_no_more_lines_than_it_needs() {
    let quiet = Snapshot {
        routers: vec![serving()],
        static_addresses: vec![address("10.9.0.1/24", true)],
        unattributed: BTreeMap::new(),
        ..snapshot()
    };
    insta::assert_snapshot!(render::overview(&quiet, 80));
}

#[test]
fn the_page_of_a_master_says_who_would_follow_and_what_its_silence_means() {
    let mut snapshot = snapshot();
    snapshot.routers[1] = RouterStatus {
        name: "heard".into(),
        last_heard_ms: Some(9_000),
        failover: Some(FailoverEstimate {
            successor: Some(Successor {
                address: "10.0.0.2".parse().unwrap(),
                priority: 100,
                is_self: false,
                last_heard_ms: Some(273_600_000),
            }),
            on_crash: Span { least_ms: 260, most_ms: 361 },
            on_resign: Span { least_ms: 60, most_ms: 61 },
            on_daemon_crash: None,
        }),
        ..serving()
    };
    let pages = ["VI_1", "heard"].map(|name| render::router(&snapshot, name, 80).unwrap());
    insta::assert_snapshot!(pages.join("-- \n"));
}

#[test]
fn trouble_with_the_daemon_comes_first() {
    let mut snapshot = snapshot();
    snapshot.routers.clear();
    let refused =
        "a.conf:2:1: warning: no effect\n --> a.conf:2\na.conf:3:1: error: unknown keyword";
    snapshot.daemon.reload_error = Some(refused.into());
    snapshot.daemon.send_drops = 7;
    snapshot.daemon.stall = Some(StallStatus { lasted_ms: 7_900, age_ms: 4 * 60_000 });
    snapshot.daemon.scheduling = "SCHED_OTHER".into();
    let missing = AddressStatus { advertised: false, ..address("10.9.0.1/24", false) };
    snapshot.static_addresses = vec![missing, address("10.9.0.2/24", true)];
    insta::assert_snapshot!(render::overview(&snapshot, 80));
}

#[test]
fn what_a_lower_priority_leads_to_is_no_promise() {
    let line = |age_ms| {
        let mut snapshot = tracking();
        snapshot.routers[0].priority_age_ms = age_ms;
        let text = render::overview(&snapshot, 1000);
        text.lines().find(|line| line.contains("150 -60")).unwrap().to_owned()
    };
    let soon = line(3_000);
    let wait = "10.0.0.12 had 100 when it was last heard, 1m30s ago: if it still has, it takes over \
                within 4.0 s, unless nopreempt holds it back";
    assert!(soon.contains(wait), "{soon}");
    // Both nodes see the same outage, and the other one has not come.
    let stays = line(5_000);
    let why = "10.0.0.12 had 100 when it was last heard, 1m30s ago, and has not taken over: it has \
               lost priority too, nopreempt holds it back, or it is down";
    assert!(stays.contains(why), "{stays}");
}

#[test]
fn an_address_is_restored_once_or_several_times_and_only_where_it_is_held() {
    let mut snapshot = snapshot();
    snapshot.routers[0].addresses[0].readded = 1;
    snapshot.routers[0].addresses[1].readded = 7;
    snapshot.routers[1].addresses[0].readded = 7;
    let text = render::overview(&snapshot, 200);
    let line = |end| text.lines().any(|line: &str| line.ends_with(end));
    assert!(line("10.0.0.10/24 on eth0: held, restored once after something else removed it"));
    assert!(line("10.0.0.11/24 on eth0: held, restored 7 times after something else removed it"));
    assert!(!text.contains("10.0.0.20/24"), "a backup holds nothing: {text}");
}

#[test]
fn one_router_is_shown_in_full() {
    insta::assert_snapshot!(render::router(&snapshot(), "VI_2", 80).unwrap());
    assert_eq!(render::router(&snapshot(), "VI_9", 80), None);
}

#[test]
fn what_the_operator_did_and_what_leaves_is_said() {
    let mut drained = serving();
    drained.state = State::Fault;
    drained.state_age_ms = 65_000;
    drained.drained = true;
    drained.drained_since = Some("2026-11-21T03:11:39.000+01:00".into());
    drained.drained_sticky = true;
    drained.faults =
        vec![fault(FaultCode::Drained, "drained by the operator; `vipd resume` ends it")];
    drained.master = following().master;
    drained.addresses = vec![address("10.0.0.10/24", false)];
    drained.transitions.clear();
    let mut leaving = serving();
    leaving.name = "VI_2".into();
    leaving.state = State::Leaving;
    leaving.state_age_ms = 12;
    leaving.next_deadline_ms = Some(590);
    leaving.addresses = vec![address("10.0.0.20/24", true)];
    leaving.addresses[0].lease_ms = Some(1649);
    leaving.transitions.clear();
    drained.failover = None;
    leaving.failover = None;
    let daemon = Daemon {
        adopted: 2,
        upgraded_from: Some("0.0.9".into()),
        scheduling: "SCHED_RR 1".into(),
        stall: Some(StallStatus { lasted_ms: 312, age_ms: 20 * 3_600_000 }),
        ..daemon()
    };
    let routers = vec![drained, leaving];
    let snapshot = Snapshot { daemon, routers, unattributed: BTreeMap::new(), ..snapshot() };
    let text = render::overview(&snapshot, 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let pages = ["VI_1", "VI_2"].map(|name| render::router(&snapshot, name, 80).unwrap());
    insta::assert_snapshot!(format!("{text}\n-- \n{}\n-- \n{}", pages[0], pages[1]));
}

#[test]
fn a_node_that_cannot_serve_says_who_does_or_that_it_cannot_know() {
    let failed = |name: &str, listens| RouterStatus {
        name: name.into(),
        state: State::Fault,
        faults: vec![fault(FaultCode::Tracker, "chk failed: exit 1")],
        listens,
        master: None,
        next_deadline_ms: None,
        failover: None,
        addresses: vec![address("10.0.0.10/24", false)],
        transitions: vec![],
        ..serving()
    };
    let served = RouterStatus { master: following().master, ..failed("served", true) };
    let routers = vec![served, failed("nobody", true), failed("deaf", false)];
    let snapshot = Snapshot { routers, unattributed: BTreeMap::new(), ..snapshot() };
    let pages = ["served", "nobody", "deaf"].map(|name| {
        let page = render::router(&snapshot, name, 80).unwrap();
        page.lines().find(|line| line.starts_with("master")).unwrap().to_owned()
    });
    let text = render::overview(&snapshot, 80);
    insta::assert_snapshot!(format!("{text}\n-- \n{}", pages.join("\n")));
}

#[test]
fn filters_are_spoken_of_once() {
    let hint = "10.0.0.2 has announced 10.0.0.10: IP protocol 112 is filtered between you";
    let router = RouterStatus {
        hints: vec![HintStatus::new(HintCode::AddressConflict, hint.into())],
        ..serving()
    };
    let snapshot = Snapshot { routers: vec![router], ..snapshot() };
    let page = render::router(&snapshot, "VI_1", 200).unwrap();
    assert_eq!(page.matches("protocol 112").count(), 1, "{page}");
}

#[test]
fn what_a_lenient_daemon_does_without_is_said() {
    let mut snapshot = snapshot();
    snapshot.daemon.settings_dropped = vec!["a.conf:3: unknown keyword \"bogus\"".into()];
    snapshot.daemon.routers_left_out = vec!["VI_3 (a.conf:9)".into(), "VI_4 (a.conf:20)".into()];
    snapshot.daemon.config = vec!["a.conf".into()];
    let text = render::overview(&snapshot, 100);
    let said = "\n! 1 setting dropped (--lenient); not run (--lenient): VI_3 (a.conf:9), VI_4 \
                (a.conf:20)\n!   to see why: vipd check --lenient a.conf\n";
    assert!(text.contains(said), "{text}");
}

#[test]
fn a_clock_that_cannot_be_read_leaves_the_ages() {
    let mut snapshot = snapshot();
    snapshot.daemon.taken_at = "yesterday".into();
    let text = render::overview(&snapshot, 80);
    assert!(text.contains("4m12s") && text.contains("11s ago"), "{text}");
}
