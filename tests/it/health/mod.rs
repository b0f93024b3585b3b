//! Health in one word: what each fault makes of it, and the line somebody reads who was woken up.

pub(crate) mod faults;

use std::collections::BTreeSet;

use vipd::cli::schema::Printed;
use vipd::cli::{details, render};
use vipd::status::{
    AdmissionStatus, ClusterStatus, FaultCode, HealthLevel, Limit, ListenerStatus, ObjectKind,
    Phase, ReasonCode, Severity, Snapshot, Traffic, health, health_of, outages,
};

use faults::{faults, in_fault, limit, no_primary, out, served_by_another, well, with};

#[test]
fn every_fault_has_its_word_its_cause_and_its_codes() {
    let mut text = String::new();
    for (what, snapshot) in faults() {
        let health = health(&snapshot);
        text += &format!("{what}\n  {}\n", health.line());
        for reason in &health.reasons {
            let about: Vec<&str> = reason.about.iter().map(|about| about.name.as_str()).collect();
            let (code, severity) = (code(reason.code), code(reason.severity));
            text += &format!("    {severity} {code} [{}]\n", about.join(" "));
        }
        let worst = health.reasons.iter().map(|reason| reason.severity).max();
        let expected = match worst {
            None | Some(Severity::Notice) => HealthLevel::Ok,
            Some(Severity::Degraded) => HealthLevel::Degraded,
            Some(Severity::Critical) => HealthLevel::Critical,
        };
        assert_eq!(health.status, expected, "{what}");
        assert!(health.reasons.is_sorted_by_key(|reason| std::cmp::Reverse(reason.severity)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_reason_there_is_is_the_matter_of_a_fault_above() {
    let found = faults().into_iter().flat_map(|(_, snapshot)| health(&snapshot).reasons);
    let found: BTreeSet<String> = found.map(|reason| code(reason.code)).collect();
    let schema: serde_json::Value = serde_json::from_str(&Printed::Status.schema()).unwrap();
    let known = schema["$defs"]["ReasonCode"]["oneOf"].as_array().unwrap().iter();
    let known: BTreeSet<String> =
        known.map(|code| code["const"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, known);
}

/// As programs read it.
fn code(of: impl serde::Serialize) -> String {
    serde_json::to_value(of).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_terminal_of_24_by_80_begins_with_the_word_and_the_cause() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    for (what, snapshot) in faults() {
        let line = squeezed(&health(&snapshot).line());
        for text in [render::overview(&snapshot, 80), render::live(&snapshot, 80)] {
            // Half of it is left for the tables.
            let rows: Vec<&str> = text.lines().take(12).collect();
            assert!(squeezed(&rows.concat()).starts_with(&line), "{what}: {line}:\n{text}");
        }
    }
}

#[test]
fn a_cause_is_named_once() {
    for (what, snapshot) in faults() {
        let line = health(&snapshot).line();
        for cause in [
            "listener not open",
            "holds the leader lock",
            "eth1 is down",
            "does not answer",
            "claim to be the primary",
            "connection failed",
        ] {
            let count = line.matches(cause).count();
            assert!(count <= 1, "{what}: {count} times {cause:?}: {line}");
        }
    }
}

#[test]
fn a_node_with_an_outage_does_not_serve_whoever_else_does() {
    let serves = |what: &str| {
        let (_, snapshot) = faults().into_iter().find(|(name, _)| *name == what).unwrap();
        outages(&snapshot)
    };
    for what in [
        "all is well",
        "a backup",
        "a second master",
        "a dead standby",
        "paused",
        "a refused reload",
        "clients wait for a limit",
        "the accept queue drops what comes again",
        "readers go to the primary",
        "a primary that is not confirmed",
        "a backup that has just started",
    ] {
        assert_eq!(serves(what), [""; 0], "{what}");
    }
    for what in [
        "a router in FAULT, another node serves",
        "drained, another node serves",
        "no primary",
        "readers get nobody",
        "a listener that is open in part",
        "every connection fails",
        "clients are refused by a limit",
        "an address the kernel refuses",
    ] {
        assert_eq!(serves(what).len(), 1, "{what}");
    }
}

fn of(snapshot: &Snapshot, name: &str) -> String {
    health_of(snapshot, &snapshot.named(name)).plugin_line()
}

#[test]
fn one_object_has_the_health_of_what_names_it() {
    let down = with(|s| {
        no_primary(s, Phase::Unlocked, "nobody holds the leader lock");
        out(s, "pg-3", AdmissionStatus::Down, "no answer: timed out");
        s.daemon.reload_error = Some("a.conf:3:1: error: unknown keyword".into());
    });
    assert_eq!(of(&down, "write"), "CRITICAL: writers wait: nobody holds the leader lock");
    assert_eq!(of(&down, "read"), "OK: read goes to pg-2");
    assert_eq!(of(&down, "VI_1"), "OK: VI_1 is MASTER for 10.0.0.10");
    let whole = "CRITICAL: writers wait: nobody holds the leader lock; cluster pg: pg-3 is down: no answer: timed out";
    assert_eq!(of(&down, "pg"), whole);
    let lame = with(|s| out(s, "pg-3", AdmissionStatus::Down, "no answer: timed out"));
    let text = "WARNING: cluster pg: pg-3 is down: no answer: timed out; pg: pg-1 is the primary, timeline 5, for 2h00m";
    assert_eq!(of(&lame, "pg"), text);
    let fault = with(|s| {
        in_fault(&mut s.routers[0], FaultCode::LinkDown, "interface eth0 is down");
        served_by_another(&mut s.routers[0]);
    });
    let text = "WARNING: interface eth0 is down: VI_1 in FAULT, 10.0.0.2 serves 10.0.0.10";
    assert_eq!(of(&fault, "VI_1"), text);
}

#[test]
fn a_name_that_several_have_means_all_of_them_and_a_kind_one() {
    let mut snapshot = well();
    snapshot.listeners[0].name = "pg".into();
    snapshot.listeners[1].name = "router/pg".into();
    snapshot.routers[0].name = "pg".into();
    let kinds = |name: &str| {
        let named = snapshot.named(name);
        let health = health_of(&snapshot, &named);
        (named.len(), health.summary)
    };
    assert_eq!(kinds("pg").0, 3);
    assert_eq!(kinds("listener/pg"), (1, "pg goes to pg-1".to_owned()));
    // As it stands, and as a kind and a name.
    assert_eq!(kinds("router/pg").0, 2);
    assert_eq!(kinds("cluster/pg").0, 1);
    assert_eq!(kinds("listener/read").0, 0);
    assert_eq!(snapshot.names(), ["pg", "router/pg"]);
}

#[test]
fn a_plugin_says_one_line_in_its_own_words() {
    let odd = with(|s| s.routers[0].name = "a|b\n\u{1b}[2J".into());
    let odd = Snapshot {
        listeners: Vec::<ListenerStatus>::new(),
        clusters: Vec::<ClusterStatus>::new(),
        ..odd
    };
    let mut faulty = odd.clone();
    in_fault(&mut faulty.routers[0], FaultCode::LinkDown, "interface eth0 is down");
    served_by_another(&mut faulty.routers[0]);
    let line = health(&faulty).plugin_line();
    let text =
        "WARNING: lb1: interface eth0 is down: a/b \u{fffd}[2J in FAULT, 10.0.0.2 serves 10.0.0.10";
    assert_eq!(line, text);
    assert!(health(&faulty).line().starts_with("DEGRADED: "));
}

#[test]
fn what_an_older_daemon_does_not_say_is_reckoned_by_who_asks() {
    let mut value = serde_json::to_value(well()).unwrap();
    value.as_object_mut().unwrap().remove("health");
    let old: Snapshot = serde_json::from_value(value).unwrap();
    assert_eq!(old.health.status, HealthLevel::Unknown);
    assert_eq!(old.judged().status, HealthLevel::Ok);
    // What the daemon says counts.
    let mut told = old.clone();
    told.health = health(&with(|s| s.clusters[0].paused = true));
    assert_eq!(told.judged().status, HealthLevel::Degraded);
}

#[test]
fn programs_find_code_severity_subject_and_text() {
    let down = with(|s| out(s, "pg-3", AdmissionStatus::Down, "no answer: timed out"));
    let health = health(&down);
    let [reason] = &health.reasons[..] else { panic!("{health:?}") };
    assert_eq!((reason.code, reason.severity), (ReasonCode::MemberDown, Severity::Degraded));
    assert_eq!(reason.about[0].kind, ObjectKind::Cluster);
    let value = serde_json::to_value(&health).unwrap();
    let expected = serde_json::json!({
        "status": "degraded",
        "summary": "cluster pg: pg-3 is down: no answer: timed out; lb1 is MASTER for 10.0.0.10; writers go to pg-1",
        "reasons": [{
            "code": "member-down",
            "severity": "degraded",
            "about": [{"kind": "cluster", "name": "pg"}, {"kind": "member", "name": "pg-3"}],
            "text": "cluster pg: pg-3 is down: no answer: timed out",
        }],
    });
    assert_eq!(value, expected);
}

#[test]
fn everything_about_a_listener_and_a_cluster_is_shown_in_full() {
    let snapshot = with(|s| {
        out(s, "pg-3", AdmissionStatus::Down, "no answer: timed out");
        let [pg_1, ..] = &mut s.clusters[0].members[..] else { unreachable!() };
        pg_1.api = Some("http://10.0.1.11:8008".into());
        (pg_1.holds_lock, pg_1.version) = (Some(true), Some("Patroni 3.3.2".into()));
        let read = &mut s.listeners[1];
        read.binds.push(([10, 0, 0, 10], 5001).into());
        read.servers[1].maxconn = Some(100);
        (read.servers[1].failures, read.servers[1].unanswered) = (Some(4), Some(1));
        read.servers[0].backup = true;
        read.traffic = Some(Traffic {
            connections: 7,
            waiting: 1,
            limits: vec![limit(Limit::Queue, false, 0, 31)],
            counters: [("connections".to_owned(), 1200), ("refused_full".to_owned(), 31)].into(),
            ..Traffic::default()
        });
    });
    let text = details::of(&snapshot, &snapshot.named("read"), 80);
    insta::assert_snapshot!("listener", text);
    insta::assert_snapshot!("cluster", details::of(&snapshot, &snapshot.named("pg"), 80));
}

#[test]
fn what_has_one_name_is_shown_one_after_the_other() {
    let snapshot = with(|s| s.listeners[1].name = "VI_1".into());
    let text = details::of(&snapshot, &snapshot.named("VI_1"), 80);
    let places = [
        "OK: VI_1 is MASTER for 10.0.0.10; VI_1 goes to pg-2, pg-3\n",
        "router       VI_1\n",
        "listener     VI_1\n",
    ];
    let found: Vec<usize> = places.iter().map(|place| text.find(place).unwrap()).collect();
    assert!(found.is_sorted() && found[0] == 0, "{text}");
    let one = details::of(&snapshot, &snapshot.named("listener/VI_1"), 80);
    assert!(!one.contains("router "), "{one}");
}
