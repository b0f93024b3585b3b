//! Members of several database systems under one name, and of another Patroni cluster.

use serde_json::json;
use vipd::config::checks::MaxLag;
use vipd::io::Level;
use vipd::pool::{SessionPolicy, Wants};
use vipd::status::Phase;

use super::bench::*;
use crate::engine::setup::Texts;

/// Of the second group of a Citus cluster: a database system of its own in the same scope.
fn second(says: Says) -> Says {
    says.with("database_system_identifier", json!("7000000000000000002"))
}

/// Two groups of two, as Patroni's template for Citus lists them.
fn citus() -> Bench {
    let mut readers = listener("readers", Wants::Reader, 4);
    readers.max_lag = MaxLag { bytes: Some(1000), time: None };
    let listeners = vec![listener("writers", Wants::Writer, 4), readers];
    let mut bench = Bench::start(config(vec![patroni(4)], listeners));
    let ahead = |says: Says| second(says).with("xlog", json!({ "location": 90_000_000 }));
    let log = json!({ "received_location": 90_000_000, "replayed_location": 90_000_000 });
    bench.nodes.extend([(1, primary(5)), (2, standby(5)), (3, ahead(primary(9)))]);
    bench.nodes.insert(4, second(standby(9)).with("xlog", log));
    bench.run_for(secs(5));
    bench
}

#[test]
fn each_system_has_a_primary_and_its_own_positions() {
    let bench = citus();
    assert_eq!(bench.usable("writers"), ["pg-1", "pg-3"]);
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-4"], "nobody lags behind another system");
    let cluster = bench.cluster();
    assert_eq!(cluster.phase, Phase::Primary);
    let both = "pg-1 is the primary, timeline 5; pg-3 is the primary, timeline 9";
    assert_eq!(cluster.summary, both);
    assert_eq!(cluster.primary.as_deref(), Some("pg-1, pg-3"));
    let hint = "these are 2 database systems, as in a Citus cluster (pg-1 pg-2; pg-3 pg-4): each \
                has a primary of its own, and clients that write get any of them";
    assert_eq!(cluster.hints.texts(), [hint]);
    let told =
        bench.logs.iter().filter(|(level, text)| *level == Level::Warn && text.ends_with(hint));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_failover_of_one_system_leaves_the_other_alone() {
    let mut bench = citus();
    bench.published = 0;
    bench.nodes.extend([(3, second(primary(9))), (4, second(primary(10)))]);
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-1", "pg-4"]);
    assert!(matches!(bench.session_policy("writers", "pg-3"), SessionPolicy::End(_)));
    let why = "held: also claims to be the primary (timeline 9); pg-4 is the primary (timeline 10)";
    assert_eq!(bench.why("writers", "pg-3"), why);
    // A primary that is silent keeps its sessions on the word of its own group.
    bench.nodes.insert(3, second(standby(10)));
    bench.run_for(secs(5));
    bench.nodes.insert(4, silent());
    bench.leader = 4;
    bench.run_for(secs(10));
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.session_policy("writers", "pg-4"), SessionPolicy::Keep);
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.nodes.insert(3, second(primary(11)));
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-1", "pg-3"]);
    assert!(matches!(bench.session_policy("writers", "pg-4"), SessionPolicy::End(_)));
}

#[test]
fn a_node_of_another_patroni_cluster_is_not_used_whatever_it_says() {
    let other = |says: Says| {
        second(says).with("patroni", json!({ "version": "3.3.2", "scope": "staging" }))
    };
    let mut bench = Bench::start(usual());
    bench.nodes.extend([(1, primary(3)), (2, standby(3)), (3, other(primary(4)))]);
    bench.run_for(secs(5));
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.usable("any"), ["pg-1", "pg-2"]);
    let why = "held: belongs to another Patroni cluster, \"staging\"";
    assert_eq!(bench.why("writers", "pg-3"), why);
    let hint = "pg-3 belongs to the Patroni cluster \"staging\", the others to \"main\": it is not \
                used; give it a cluster of its own";
    assert_eq!(bench.cluster().hints.texts(), [hint]);
}
