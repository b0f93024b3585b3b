//! Answers of Patroni 2.0 to 4.1, with the fields each version has.

use std::time::Duration;

use super::*;
use crate::config::checks::{Endpoint, HttpTarget};

const NOW: &str = "2026-11-21T09:00:10Z";

/// A primary before 4.0 is a master.
const PRIMARY_2: &str = r#"{"state": "running", "postmaster_start_time": "2026-11-20 10:00:00.123 UTC",
    "role": "master", "server_version": 120004, "cluster_unlocked": false,
    "xlog": {"location": 67229696}, "timeline": 3,
    "replication": [{"usename": "replicator", "application_name": "db2", "client_addr": "10.0.0.2",
        "state": "streaming", "sync_state": "async", "sync_priority": 0}],
    "database_system_identifier": "7000000000000000001",
    "patroni": {"version": "2.0.2", "scope": "main"}}"#;

const REPLICA_2: &str = r#"{"state": "running", "postmaster_start_time": "2026-11-20 10:00:00.123 UTC",
    "role": "replica", "server_version": 120004, "cluster_unlocked": false,
    "xlog": {"received_location": 67229696, "replayed_location": 67229600,
        "replayed_timestamp": "2026-11-21 09:00:04.500 UTC", "paused": false}, "timeline": 3,
    "database_system_identifier": "7000000000000000001",
    "patroni": {"version": "2.0.2", "scope": "main"}}"#;

const REPLICA_3: &str = r#"{"state": "running", "postmaster_start_time": "2026-11-20 10:00:00.123456+00:00",
    "role": "replica", "server_version": 150008, "replication_state": "streaming",
    "xlog": {"received_location": 67229696, "replayed_location": 67229696,
        "replayed_timestamp": null, "paused": false}, "timeline": 5, "dcs_last_seen": 1795251609,
    "tags": {"clonefrom": true}, "database_system_identifier": "7000000000000000001",
    "patroni": {"version": "3.3.2", "scope": "main", "name": "db2"}}"#;

const PRIMARY_4: &str = r#"{"state": "running", "postmaster_start_time": "2026-11-20 10:00:00.123456+00:00",
    "role": "primary", "server_version": 170002, "xlog": {"location": 83886080}, "timeline": 9,
    "dcs_last_seen": 1795251609, "database_system_identifier": "7000000000000000001",
    "patroni": {"version": "4.1.0", "scope": "main", "name": "db1"}}"#;

const QUORUM_4: &str = r#"{"state": "running", "postmaster_start_time": "2026-11-20 10:00:00.123456+00:00",
    "role": "replica", "server_version": 170002, "quorum_standby": true,
    "replication_state": "streaming", "latest_end_lsn": 83886080,
    "xlog": {"received_location": 83886080, "replayed_location": 83800000,
        "replayed_timestamp": "2026-11-21 10:00:08.25+01:00", "paused": false}, "timeline": 9,
    "dcs_last_seen": 1795251609, "database_system_identifier": "7000000000000000001",
    "patroni": {"version": "4.1.0", "scope": "main", "name": "db3"}}"#;

const STANDBY_LEADER_3: &str = r#"{"state": "running", "role": "standby_leader", "server_version": 150008,
    "xlog": {"received_location": 67229696, "replayed_location": 67229696,
        "replayed_timestamp": null, "paused": false}, "timeline": 5,
    "patroni": {"version": "3.0.2", "scope": "dr"}}"#;

/// What is left of the body when PostgreSQL cannot be asked.
fn unasked(state: &str, role: &str) -> String {
    format!(
        r#"{{"state": "{state}", "role": "{role}", "patroni": {{"version": "3.0.2", "scope": "main"}}}}"#
    )
}

fn ask(role: PatroniRole, status: u16, body: &str) -> Result<String, String> {
    judge(role, status, body.as_bytes(), NOW.parse().unwrap())
}

fn lag(bytes: Option<u64>, seconds: Option<u64>) -> MaxLag {
    MaxLag { bytes, time: seconds.map(Duration::from_secs) }
}

const ANY_LAG: MaxLag = MaxLag { bytes: None, time: None };

#[test]
fn a_primary_holds_the_lock_and_runs() {
    let primary = |status, body: &str| ask(PatroniRole::Primary, status, body);
    assert_eq!(primary(200, PRIMARY_2).unwrap(), "master, running, timeline 3");
    assert_eq!(primary(200, PRIMARY_4).unwrap(), "primary, running, timeline 9");
    assert_eq!(primary(503, REPLICA_3).unwrap_err(), "replica, running, not primary");
    let lost = primary(503, PRIMARY_4).unwrap_err();
    assert_eq!(lost, "primary, running, but it does not hold the lock");
}

/// The codes lag behind the states: /primary stays 200 while PostgreSQL stops, for minutes while it
/// cannot be reached after a crash, and is 200 on a promoted node before that takes writes.
#[test]
fn holding_the_lock_is_not_enough() {
    for state in
        ["stopping", "stopped", "starting", "crashed", "unknown", "restarting", "start failed"]
    {
        for role in ["master", "primary"] {
            let refused = ask(PatroniRole::Primary, 200, &unasked(state, role)).unwrap_err();
            assert_eq!(refused, format!("{role}, {state}"));
        }
    }
    let promoting = ask(PatroniRole::Primary, 200, REPLICA_3).unwrap_err();
    assert_eq!(promoting, "replica, running, not primary, although it holds the lock");
    for role in ["demoted", "promoted", "uninitialized"] {
        assert!(ask(PatroniRole::Primary, 200, &unasked("running", role)).is_err());
    }
}

#[test]
fn replicas_of_each_kind_are_what_patroni_says_they_are() {
    let roles = [
        PatroniRole::Replica(ANY_LAG),
        PatroniRole::Sync,
        PatroniRole::Async(ANY_LAG),
        PatroniRole::Quorum,
    ];
    for role in roles {
        assert_eq!(ask(role, 200, QUORUM_4).unwrap(), "replica, running, timeline 9");
        assert!(ask(role, 503, QUORUM_4).is_err());
        assert!(ask(role, 200, PRIMARY_4).unwrap_err().starts_with("primary, running, not "));
        assert_eq!(
            ask(role, 200, &unasked("starting", "replica")).unwrap_err(),
            "replica, starting"
        );
    }
    let old = ask(PatroniRole::Quorum, 503, REPLICA_3).unwrap_err();
    assert_eq!(old, "replica, running, but Patroni 3.3.2 knows no quorum; it needs 4.0");
}

#[test]
fn any_is_every_node_that_may_be_read_from() {
    for body in [PRIMARY_2, PRIMARY_4, REPLICA_2, REPLICA_3, QUORUM_4, STANDBY_LEADER_3] {
        assert!(ask(PatroniRole::Any(ANY_LAG), 200, body).is_ok(), "{body}");
    }
    assert!(ask(PatroniRole::Any(ANY_LAG), 503, REPLICA_3).is_err());
    assert!(ask(PatroniRole::Any(ANY_LAG), 200, &unasked("stopping", "replica")).is_err());
    // A primary lags behind nobody.
    assert!(ask(PatroniRole::Any(lag(Some(0), Some(0))), 200, PRIMARY_4).is_ok());
}

#[test]
fn a_standby_leader_leads_a_standby_cluster_only() {
    let standby_leader = |status, body| ask(PatroniRole::StandbyLeader, status, body);
    assert_eq!(
        standby_leader(200, STANDBY_LEADER_3).unwrap(),
        "standby_leader, running, timeline 5"
    );
    assert!(standby_leader(503, REPLICA_3).unwrap_err().ends_with("does not hold the lock"));
    assert!(standby_leader(503, PRIMARY_4).is_err());
    assert!(ask(PatroniRole::Primary, 503, STANDBY_LEADER_3).is_err());
}

#[test]
fn lag_counts_what_is_received_and_not_replayed() {
    let replica = |limit, body| ask(PatroniRole::Replica(limit), 200, body);
    // 96 bytes, 5.5 s.
    assert!(replica(lag(Some(96), None), REPLICA_2).is_ok());
    let bytes = replica(lag(Some(95), None), REPLICA_2).unwrap_err();
    assert_eq!(bytes, "96 bytes are not replayed, more than 95");
    assert!(replica(lag(None, Some(6)), REPLICA_2).is_ok());
    let time = replica(lag(None, Some(5)), REPLICA_2).unwrap_err();
    assert_eq!(time, "replays transactions that are 5.5 s old, more than 5 s");
    // 1.75 s, written with another offset.
    assert!(replica(lag(None, Some(2)), QUORUM_4).is_ok());
    assert!(replica(lag(None, Some(1)), QUORUM_4).is_err());
    // Nothing to replay: idle, not late.
    assert!(replica(lag(Some(0), Some(0)), REPLICA_3).is_ok());
    // What is not known is not allowed.
    let unknown = REPLICA_2.replace("2026-11-21 09:00:04.500 UTC", "yesterday");
    assert!(replica(lag(None, Some(60)), &unknown).unwrap_err().contains("not known"));
    assert!(
        replica(lag(Some(60), None), &unasked("running", "replica"))
            .unwrap_err()
            .contains("not known")
    );
}

#[test]
fn other_servers_are_not_patroni() {
    for (status, body) in [
        (404, PRIMARY_4),
        (502, "<html>Bad Gateway</html>"),
        (200, "<html>It works!</html>"),
        (200, ""),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"state": 1, "role": "primary"}"#),
        (200, r#"{"role": "primary"}"#),
    ] {
        assert!(ask(PatroniRole::Primary, status, body).is_err(), "{status} {body}");
    }
}

#[test]
fn the_question_carries_limit_and_tags() {
    let check = |role, tags: &[(&str, &str)]| PatroniCheck {
        target: HttpTarget {
            endpoint: Endpoint::parse("localhost:8008", None).unwrap(),
            tls: None,
            host: None,
            headers: Vec::new(),
        },
        role,
        tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    assert_eq!(question(&check(PatroniRole::Primary, &[])), "/primary");
    let replica = check(PatroniRole::Replica(lag(Some(1024), Some(5))), &[("zone", "a b&c/ä")]);
    assert_eq!(question(&replica), "/replica?lag=1024&tag_zone=a%20b%26c%2F%C3%A4");
    let any = check(PatroniRole::Any(ANY_LAG), &[("x", "1"), ("y", "2")]);
    assert_eq!(question(&any), "/read-only?tag_x=1&tag_y=2");
}

/// The clock of this host is an hour ahead; those of the nodes agree with one another.
#[test]
fn a_clock_that_is_ahead_makes_no_node_out_of_touch_and_no_standby_late() {
    let own: Timestamp = "2026-11-21T10:00:10Z".parse().unwrap();
    let date = Some("Sat, 21 Nov 2026 09:00:10 GMT");
    let now = clock(own, date);
    let answer = NodeAnswer::read(503, REPLICA_3.as_bytes(), now).unwrap();
    assert!(answer.store_seen.is_some_and(|age| age < Duration::from_secs(5)), "{answer:?}");
    let within = PatroniRole::Any(lag(None, Some(10)));
    assert!(judge(within, 200, QUORUM_4.as_bytes(), now).is_ok());
    assert!(judge(within, 200, QUORUM_4.as_bytes(), own).is_err());
    // Its own clock is finer than a date.
    let near: Timestamp = "2026-11-21T09:00:11.4Z".parse().unwrap();
    assert_eq!(clock(near, date), near);
    for nothing in [None, Some(""), Some("yesterday")] {
        assert_eq!(clock(own, nothing), own);
    }
}
