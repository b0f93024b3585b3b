//! Whatever becomes of a server that waits: the engine's deadline moves on. The bench holds that
//! after each input and tick; here is what once left one behind.

use std::sync::Arc;

use vipd::config::{ListenerConfig, Members};
use vipd::pool::Wants;

use super::bench::*;

/// Longer than any server waits.
const LONG: std::time::Duration = secs(700);

/// The usual cluster, and pg-3 has fallen so often that it has to wait.
fn waiting() -> Bench {
    let mut bench = Bench::settled();
    for _ in 0..6 {
        bench.nodes.insert(3, bare(503, "starting", "replica"));
        bench.run_for(secs(2));
        bench.nodes.insert(3, standby(5));
        bench.run_for(INTERVAL);
        if bench.why("readers", "pg-3") == "held: comes and goes, has to wait" {
            return bench;
        }
        bench.run_for(secs(4));
    }
    panic!("pg-3 does not wait: {}", bench.why("readers", "pg-3"));
}

fn with_readers(change: impl Fn(&mut ListenerConfig)) -> vipd::config::Config {
    let mut config = usual();
    change(Arc::make_mut(&mut config.listeners[1]));
    config
}

#[test]
fn one_that_waits_is_promoted() {
    let mut bench = waiting();
    bench.nodes.extend([(1, standby(6)), (2, standby(6)), (3, primary(6))]);
    bench.run_for(LONG);
    assert_eq!(bench.usable("writers"), ["pg-3"]);
    assert_eq!(bench.usable("readers"), ["pg-1", "pg-2"]);
}

#[test]
fn one_that_waits_is_no_standby_any_more() {
    for says in [
        bare(503, "running", "primary"),
        bare(200, "running", "standby_leader"),
        bare(503, "starting", "replica"),
        silent(),
    ] {
        let mut bench = waiting();
        bench.nodes.insert(3, says);
        bench.run_for(LONG);
        assert_eq!(bench.usable("readers"), ["pg-2"]);
    }
}

#[test]
fn one_that_waits_is_removed_by_a_reload() {
    // From the listener, from the cluster, and with its listener.
    let mut bench = waiting();
    bench.reload(with_readers(|readers| {
        readers.servers.pop();
    }));
    bench.run_for(LONG);
    assert_eq!(bench.views["readers"].servers.len(), 2);

    let mut bench = waiting();
    let mut config = usual();
    config.clusters = vec![patroni(2).into()];
    for listener in &mut config.listeners {
        Arc::make_mut(listener).servers.pop();
    }
    bench.reload(config);
    bench.run_for(LONG);
    assert_eq!(bench.views["readers"].servers.len(), 2);

    let mut bench = waiting();
    let mut config = usual();
    config.listeners.remove(1);
    bench.reload(config);
    bench.run_for(LONG);
    assert!(bench.views["readers"].servers.is_empty());
}

#[test]
fn one_that_waits_gets_another_cluster_or_none_with_roles() {
    let mut bench = waiting();
    let mut cluster = patroni(3);
    cluster.name = "other".to_owned();
    bench.reload(config(vec![cluster], vec![listener("readers", Wants::Reader, 3)]));
    bench.run_for(LONG);
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);

    let mut bench = waiting();
    let mut cluster = plain(3);
    cluster.name = "main".to_owned();
    let mut any = listener("readers", Wants::Any, 3);
    any.fallback = false;
    bench.reload(config(vec![cluster], vec![any]));
    bench.run_for(LONG);
    assert_eq!(bench.views["readers"].servers.len(), 3);
}

#[test]
fn a_second_reload_removes_one_that_has_not_answered_since_the_first() {
    let asked_anew = |members: usize| {
        let mut config = usual();
        let mut cluster = patroni(members);
        let Members::Patroni(patroni) = &mut cluster.members else { unreachable!() };
        for member in &mut patroni.members {
            member.api.host = "patroni.example".parse().ok();
        }
        config.clusters = vec![cluster.into()];
        for listener in &mut config.listeners {
            Arc::make_mut(listener).servers.truncate(members);
        }
        config
    };
    for gone in [1, 3] {
        let mut bench = Bench::settled();
        bench.nodes.insert(gone, silent());
        bench.reload(asked_anew(3));
        bench.run_for(INTERVAL);
        let mut second = asked_anew(3);
        for listener in &mut second.listeners {
            Arc::make_mut(listener).servers.remove(gone - 1);
        }
        bench.reload(second);
        bench.run_for(LONG);
        assert_eq!(bench.views["readers"].servers.len(), 2);

        let mut bench = Bench::settled();
        bench.nodes.insert(3, silent());
        bench.reload(asked_anew(3));
        bench.run_for(INTERVAL);
        bench.reload(asked_anew(2));
        bench.run_for(LONG);
        assert_eq!(bench.views["readers"].servers.len(), 2);
    }
}

/// What a server is believed to be does not end sooner because it leaves a listener, and not later
/// because it leaves after it was asked anew.
#[test]
fn one_that_leaves_unheard_stays_what_it_was_for_one_lease() {
    use vipd::pool::SessionPolicy;
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
    bench.nodes.insert(1, silent());
    bench.reload(renamed());
    bench.run_for(secs(6));
    let mut second = renamed();
    for listener in &mut second.listeners {
        Arc::make_mut(listener).servers.remove(0);
    }
    bench.reload(second);
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(secs(3));
    assert!(bench.views["writers"].servers.iter().all(|server| &*server.name != "pg-1"
        || matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_))));
}
