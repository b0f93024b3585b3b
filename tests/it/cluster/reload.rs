//! What a new configuration keeps, and what becomes of what is gone.

use vipd::cluster::serving::REMOVED_SERVER_GRACE;
use vipd::config::Members;
use vipd::pool::{SessionPolicy, Wants};

use super::bench::*;

#[test]
fn the_same_configuration_again_does_nothing() {
    let mut bench = Bench::settled();
    let asked = bench.rounds[&1].len();
    bench.did.clear();
    bench.reload(usual());
    assert!(bench.did.is_empty(), "{:?}", bench.did);
    assert_eq!((bench.published, bench.rounds[&1].len()), (0, asked));
}

#[test]
fn a_new_listener_is_served_at_once_from_what_is_known() {
    let mut bench = Bench::settled();
    let ids = bench.server("writers", "pg-1").id;
    let mut config = usual();
    config.listeners.push(listener("leaders", Wants::Leader, 3).into());
    bench.did.clear();
    bench.reload(config);
    assert_eq!(bench.did, ["listen leaders"]);
    assert_eq!(bench.usable("leaders"), ["pg-1"]);
    assert_eq!(bench.server("writers", "pg-1").id, ids);
    assert_ne!(bench.server("leaders", "pg-1").id, ids, "each listener counts for itself");
}

#[test]
fn a_member_that_leaves_keeps_its_sessions_for_a_while() {
    let mut bench = Bench::settled();
    let without = |n: usize| {
        let mut config = usual();
        let mut cluster = patroni(3);
        let Members::Patroni(patroni) = &mut cluster.members else { unreachable!() };
        patroni.members.remove(n - 1);
        config.clusters = vec![cluster.into()];
        for listener in &mut config.listeners {
            std::sync::Arc::make_mut(listener).servers.pop();
        }
        config
    };
    bench.reload(without(3));
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    assert_eq!(bench.why("readers", "pg-3"), "held: not configured any more");
    bench.run_for(REMOVED_SERVER_GRACE - secs(1));
    assert_eq!(bench.session_policy("readers", "pg-3"), SessionPolicy::Keep);
    bench.run_for(secs(2));
    assert_eq!(bench.views["readers"].servers.len(), 2);

    // Nobody would notice if the primary ceased to be it.
    let mut bench = Bench::settled();
    bench.reload(without(1));
    assert!(bench.usable("writers").is_empty());
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(secs(8));
    assert_eq!(bench.views["writers"].servers.len(), 2);
}

#[test]
fn the_sessions_of_a_listener_that_leaves_are_still_watched_over() {
    let mut bench = Bench::settled();
    let mut config = usual();
    config.listeners.remove(0);
    bench.did.clear();
    bench.reload(config);
    assert_eq!(bench.did, ["unlisten writers"]);
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    assert!(bench.usable("writers").is_empty());
    bench.nodes.insert(1, standby(6));
    bench.nodes.insert(2, primary(6));
    bench.run_for(INTERVAL);
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
    bench.run_for(REMOVED_SERVER_GRACE);
    assert!(bench.views["writers"].servers.is_empty(), "the last view has no servers");
}

/// A section that comes before the others gives the cluster its name.
#[test]
fn a_cluster_of_another_name_keeps_the_sessions_of_its_servers() {
    let renamed = || {
        let mut config = usual();
        let mut cluster = patroni(3);
        cluster.name = "other".to_owned();
        let Members::Patroni(patroni) = &mut cluster.members else { unreachable!() };
        patroni.down_after = secs(20);
        config.clusters = vec![cluster.into()];
        config
    };
    let mut bench = Bench::settled();
    bench.reload(renamed());
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    assert_eq!(bench.why("writers", "pg-1"), "held: not probed yet");
    assert_eq!(bench.session_policy("readers", "pg-2"), SessionPolicy::Keep);
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);

    // What it says counts at once.
    let mut bench = Bench::settled();
    bench.reload(renamed());
    bench.nodes.insert(1, standby(6));
    bench.nodes.insert(2, primary(6));
    bench.run_for(INTERVAL);
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));

    // One that says nothing is believed only as long as nobody else leads.
    let mut bench = Bench::settled();
    bench.nodes.insert(1, silent());
    bench.reload(renamed());
    bench.nodes.insert(2, primary(6));
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-2"]);
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));

    // Nobody knows for longer than a lease what one that says nothing is.
    let mut bench = Bench::settled();
    bench.nodes.insert(1, silent());
    bench.reload(renamed());
    bench.run_for(secs(7));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(secs(2));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}
