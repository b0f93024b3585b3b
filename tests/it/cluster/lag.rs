//! Standbys that are behind, lack a tag, or come and go.

use serde_json::json;
use vipd::config::checks::MaxLag;
use vipd::pool::{SessionPolicy, Wants};

use super::bench::*;

const MB: u64 = 1 << 20;

fn writes(location: u64) -> Says {
    primary(5).with("xlog", json!({ "location": location }))
}

fn replays(location: u64) -> Says {
    let log = json!({ "received_location": location, "replayed_location": location });
    standby(5).with("xlog", log)
}

fn limited(max_lag: MaxLag) -> Bench {
    let mut readers = listener("readers", Wants::Reader, 3);
    readers.max_lag = max_lag;
    let mut bench = Bench::start(config(vec![patroni(3)], vec![readers]));
    bench.nodes.extend([(1, writes(100 * MB)), (2, replays(100 * MB)), (3, replays(100 * MB))]);
    bench.run_for(secs(5));
    bench
}

#[test]
fn one_that_lags_is_drained_and_returns_when_it_is_well_below_the_limit() {
    let mut bench = limited(MaxLag { bytes: Some(10 * MB), time: None });
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
    bench.nodes.insert(3, replays(89 * MB));
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    assert_eq!(bench.session_policy("readers", "pg-3"), SessionPolicy::Keep);
    assert_eq!(bench.why("readers", "pg-3"), "held: lags by more than 10 MB");
    assert_eq!(bench.cluster().members[2].lag_bytes, Some(11 * MB));
    bench.nodes.insert(3, replays(91 * MB));
    bench.run_for(secs(5));
    assert_eq!(bench.usable("readers"), ["pg-2"], "not far enough");
    bench.nodes.insert(3, replays(93 * MB));
    bench.run_for(secs(2));
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
}

#[test]
fn one_that_is_behind_for_too_long_is_drained_however_few_bytes_it_is() {
    let mut bench = limited(MaxLag { bytes: None, time: Some(secs(10)) });
    for second in 1..=10 {
        bench.nodes.insert(1, writes(100 * MB + second));
        bench.nodes.insert(2, replays(100 * MB + second));
        bench.run_for(INTERVAL);
        assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"], "after {second} s");
    }
    bench.run_for(secs(2));
    assert_eq!(bench.usable("readers"), ["pg-2"]);
}

#[test]
fn a_tag_that_is_asked_for_must_be_there() {
    let mut readers = listener("readers", Wants::Reader, 3);
    readers.tags = vec![("zone".to_owned(), "A".to_owned())];
    let mut bench = Bench::start(config(vec![patroni(3)], vec![readers]));
    bench.answer(1, &primary(5));
    bench.answer(2, &standby(5).with("tags", json!({ "zone": "A" })));
    bench.answer(3, &standby(5).with("tags", json!({ "zone": "a" })));
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    assert_eq!(bench.why("readers", "pg-3"), "held: lacks the tag zone = A");
}

/// Patroni's own words: text as it is, anything else in lower case, and null is no tag.
#[test]
fn tags_compare_as_patroni_compares_them() {
    let has = |has: serde_json::Value, wanted: &str| {
        let mut readers = listener("readers", Wants::Reader, 3);
        readers.tags = vec![("x".to_owned(), wanted.to_owned())];
        let mut bench = Bench::start(config(vec![patroni(3)], vec![readers]));
        bench.answer(1, &primary(5));
        bench.answer(2, &standby(5).with("tags", json!({ "x": has })));
        bench.usable("readers") == ["pg-2"]
    };
    assert!(has(json!(true), "true") && !has(json!(true), "True"));
    assert!(has(json!("True"), "True") && !has(json!("True"), "true"));
    assert!(has(json!(5), "5") && has(json!("5"), "5") && has(json!(1.0), "1.0"));
    assert!(!has(json!(null), "null") && !has(json!(null), "none"));
}

#[test]
fn one_that_must_stream_does() {
    let mut readers = listener("readers", Wants::Reader, 3);
    readers.replication_state = Some("streaming".to_owned());
    let mut bench = Bench::start(config(vec![patroni(3)], vec![readers]));
    let state = |state: &str| standby(5).with("replication_state", json!(state));
    bench.nodes.extend([(1, primary(5)), (2, state("streaming"))]);
    bench.nodes.insert(3, state("in archive recovery"));
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    assert_eq!(bench.why("readers", "pg-3"), "held: is in archive recovery, not streaming");
    bench.nodes.insert(3, standby(5));
    bench.run_for(INTERVAL);
    assert_eq!(bench.why("readers", "pg-3"), "held: of no known replication state, not streaming");
}

#[test]
fn one_that_comes_and_goes_has_to_wait_unless_it_is_the_only_one() {
    let mut bench = Bench::settled();
    let flap = |bench: &mut Bench, n: usize| {
        bench.nodes.insert(n, bare(503, "starting", "replica"));
        bench.run_for(secs(2));
        bench.nodes.insert(n, standby(5));
        bench.run_for(INTERVAL);
    };
    for _ in 0..2 {
        flap(&mut bench, 3);
        assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
    }
    for _ in 0..3 {
        flap(&mut bench, 3);
        bench.run_for(secs(4));
    }
    flap(&mut bench, 3);
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    assert_eq!(bench.why("readers", "pg-3"), "held: comes and goes, has to wait");
    bench.run_for(secs(8));
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);

    let mut config = usual();
    let readers = std::sync::Arc::make_mut(&mut config.listeners[1]);
    readers.fallback = false;
    readers.servers.remove(1);
    let mut bench = Bench::start(config);
    bench.nodes.extend([(1, primary(5)), (2, standby(5)), (3, standby(5))]);
    bench.run_for(secs(5));
    for _ in 0..6 {
        flap(&mut bench, 3);
        assert_eq!(bench.usable("readers"), ["pg-3"]);
    }
}

#[test]
fn one_left_behind_on_an_old_timeline_is_drained_after_a_while() {
    let mut bench = Bench::settled();
    bench.nodes.extend([(1, standby(6)), (2, primary(6))]);
    bench.run_for(secs(9));
    assert_eq!(bench.usable("readers"), ["pg-1", "pg-3"]);
    bench.run_for(secs(3));
    assert_eq!(bench.usable("readers"), ["pg-1"]);
    assert_eq!(bench.why("readers", "pg-3"), "held: on an older timeline than the primary");
}

#[test]
fn one_that_was_down_must_stream_or_have_caught_up_before_it_returns() {
    let mut bench = Bench::settled();
    bench.nodes.insert(3, bare(503, "starting", "replica"));
    bench.run_for(secs(2));
    let archived =
        |location| replays(location).with("replication_state", json!("in archive recovery"));
    bench.nodes.insert(1, writes(100 * MB));
    bench.nodes.insert(3, archived(10 * MB));
    bench.run_for(secs(5));
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    bench.nodes.insert(3, archived(90 * MB));
    bench.run_for(secs(2));
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
}
