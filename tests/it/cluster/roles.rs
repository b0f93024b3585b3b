//! Which standby serves whom.

use serde_json::json;
use vipd::pool::Wants;

use super::bench::*;

fn with_listeners(kinds: &[(&str, Wants)]) -> Bench {
    let listeners = kinds.iter().map(|(name, wants)| listener(name, *wants, 3)).collect();
    Bench::start(config(vec![patroni(3)], listeners))
}

#[test]
fn synchronous_standbys_are_told_from_asynchronous_ones() {
    let mut bench = with_listeners(&[("sync", Wants::Sync), ("async", Wants::Async)]);
    bench.answer(1, &primary(5));
    bench.answer(2, &standby(5).with("sync_standby", json!(true)));
    bench.answer(3, &standby(5));
    assert_eq!(bench.usable("sync"), ["pg-2"]);
    assert_eq!(bench.usable("async"), ["pg-3"]);
}

/// Patroni itself then says of nobody what it is, and both pools would be empty.
#[test]
fn without_the_clusters_store_the_primary_says_who_is_synchronous() {
    let mut bench = with_listeners(&[("sync", Wants::Sync), ("async", Wants::Async)]);
    let old = json!(1_795_000_000);
    let streaming = |name, sync| json!({ "application_name": name, "sync_state": sync });
    let list = json!([streaming("pg-2", "sync"), streaming("pg-3", "async")]);
    bench.answer(1, &primary(5).with("replication", list));
    bench.answer(2, &standby(5).with("dcs_last_seen", old.clone()));
    bench.answer(3, &standby(5).with("dcs_last_seen", old));
    assert_eq!(bench.usable("sync"), ["pg-2"]);
    assert_eq!(bench.usable("async"), ["pg-3"]);
}

#[test]
fn one_that_may_not_be_balanced_to_is_held_back() {
    let mut bench = Bench::start(usual());
    bench.answer(1, &primary(5).with("tags", json!({ "noloadbalance": true })));
    bench.answer(2, &standby(5).with("tags", json!({ "noloadbalance": true })));
    bench.answer(3, &standby(5).with("tags", json!({ "noloadbalance": false })));
    assert_eq!(bench.usable("readers"), ["pg-3"]);
    // Whatever Python takes for true is set.
    bench.run_for(INTERVAL);
    for set in [json!("yes"), json!("false"), json!(1)] {
        bench.nodes.insert(1, primary(5).with("tags", json!({ "noloadbalance": true })));
        bench.nodes.insert(2, standby(5).with("tags", json!({ "noloadbalance": set })));
        bench.nodes.insert(3, standby(5).with("tags", json!({ "noloadbalance": false })));
        bench.run_for(INTERVAL);
        assert_eq!(bench.why("readers", "pg-2"), "held: noloadbalance");
    }
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.usable("readers"), ["pg-3"]);
    assert_eq!(bench.usable("any"), ["pg-1", "pg-3"]);
    assert_eq!(bench.why("readers", "pg-2"), "held: noloadbalance");
}

/// Its leader takes no writes, so nobody may write.
#[test]
fn the_leader_of_a_standby_cluster_is_no_writer() {
    let mut bench = with_listeners(&[("writers", Wants::Writer), ("leaders", Wants::Leader)]);
    bench.answer(1, &bare(503, "running", "standby_leader"));
    bench.answer(2, &standby(5));
    assert!(bench.usable("writers").is_empty());
    assert_eq!(bench.usable("leaders"), ["pg-1"]);
}
