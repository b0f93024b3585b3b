//! A virtual router that tracks a listener.

use std::num::NonZeroU32;

use vipd::config::{Namespace, Rhythm, RouterConfig, TrackRef, TrackerConfig, TrackerKey, Weight};
use vipd::io::Input;
use vipd::status::State;
use vipd::track::outcome::Cause;

use super::bench::*;
use crate::engine::setup::{Texts as _, priority, router, script, tracks};

fn tracking(weight: i64) -> RouterConfig {
    router(|r| {
        r.priority = priority(101);
        r.track = vec![TrackRef {
            tracker: TrackerKey { namespace: Namespace::Listener, name: "writers".to_owned() },
            weight: Weight::new(weight, false).unwrap(),
        }];
    })
}

fn start() -> Bench {
    let mut config = usual();
    config.routers = vec![tracking(-20).into()];
    let mut bench = Bench::start(config);
    bench.nodes.extend([(1, primary(5)), (2, standby(5)), (3, standby(5))]);
    bench
}

fn accepts(bench: &mut Bench, accepting: bool) {
    let listener = bench.listener("writers");
    bench.input(Input::Accepting { listener, accepting });
}

fn standing(bench: &Bench) -> (State, u8, Vec<String>) {
    let mut routers = bench.engine.snapshot(bench.now).routers;
    let router = routers.remove(0);
    (router.state, router.priority, router.faults.texts())
}

#[test]
fn a_backup_takes_nothing_over_before_the_first_verdict() {
    let mut bench = start();
    bench.run_for(secs(20));
    assert_eq!(standing(&bench).0, State::Backup);
    accepts(&mut bench, true);
    bench.run_for(secs(5));
    assert_eq!(standing(&bench), (State::Master, 101, vec![]));
}

#[test]
fn a_listener_without_a_server_costs_points_after_a_while_and_never_means_fault() {
    let mut bench = start();
    accepts(&mut bench, true);
    bench.run_for(secs(10));
    bench.nodes.insert(1, bare(200, "stopping", "master"));
    bench.run_for(INTERVAL);
    assert!(bench.usable("writers").is_empty());
    assert_eq!(standing(&bench).1, 101, "the other node may not have seen it yet");
    bench.run_for((INTERVAL + TIMEOUT) * 2);
    assert_eq!(standing(&bench), (State::Master, 81, vec![]));
    bench.nodes.insert(1, primary(6));
    bench.run_for(INTERVAL);
    assert_eq!(standing(&bench).1, 101);
    let tracking = &bench.engine.snapshot(bench.now).routers[0].tracking[0];
    assert_eq!((tracking.name.as_str(), tracking.kind.as_str()), ("writers", "listener"));
}

#[test]
fn one_that_does_not_accept_costs_them_at_once() {
    let mut bench = start();
    accepts(&mut bench, true);
    bench.run_for(secs(10));
    accepts(&mut bench, false);
    assert_eq!(standing(&bench).1, 81);
    accepts(&mut bench, true);
    assert_eq!(standing(&bench).1, 101);
    bench.input(Input::ProxyAlive(false));
    assert_eq!(standing(&bench).1, 81);
}

#[test]
fn a_cluster_that_is_away_from_the_start_is_a_verdict_too() {
    let mut bench = start();
    accepts(&mut bench, true);
    bench.nodes.extend((1..=3).map(|n| (n, Says::Nothing(Cause::Refused))));
    bench.run_for(secs(10));
    assert_eq!(standing(&bench), (State::Master, 81, vec![]));
}

/// A check of HAProxy that the listeners answer.
fn asked(weight: i64, change: impl FnOnce(&mut Rhythm)) -> Bench {
    let mut config = usual();
    let tracker = TrackerConfig { listeners: true, ..script("chk", change) };
    config.trackers = vec![tracker.into()];
    let mut router = tracking(0);
    router.track = vec![tracks("chk", weight)];
    config.routers = vec![router.into()];
    let mut bench = Bench::start(config);
    // Nobody leads, and HAProxy would run all the same.
    bench.nodes.extend((1..=3).map(|n| (n, Says::Nothing(Cause::Refused))));
    bench
}

#[test]
fn a_check_of_haproxy_waits_until_the_listeners_are_open() {
    let mut bench = asked(2, |_| {});
    bench.run_for(ms(500));
    assert_eq!(standing(&bench), (State::Backup, 101, vec![]));
    for listener in bench.listeners() {
        bench.input(Input::Accepting { listener, accepting: true });
    }
    assert_eq!(standing(&bench).1, 103);
    bench.run_for(secs(5));
    assert_eq!(standing(&bench), (State::Master, 103, vec![]));
    let snapshot = bench.engine.snapshot(bench.now);
    let tracker = &snapshot.trackers[0];
    let shown = (tracker.kind.as_str(), tracker.detail.as_str());
    assert_eq!(shown, ("listeners", "all listeners are open"));
}

#[test]
fn a_listener_that_closes_fails_the_check_of_haproxy_as_often_as_it_says() {
    let mut bench = asked(0, |rhythm| rhythm.fall = NonZeroU32::new(3).unwrap());
    for listener in bench.listeners() {
        bench.input(Input::Accepting { listener, accepting: true });
    }
    bench.run_for(secs(6));
    assert_eq!(standing(&bench).0, State::Master);
    accepts(&mut bench, false);
    bench.run_for(ms(1900));
    assert_eq!(standing(&bench).0, State::Master, "two answers are not three");
    bench.run_for(ms(1200));
    let faults = vec!["chk failed: listener not open (writers)".to_owned()];
    assert_eq!(standing(&bench), (State::Fault, 101, faults));
    accepts(&mut bench, true);
    bench.run_for(ms(1100));
    assert_ne!(standing(&bench).0, State::Fault);
    bench.input(Input::ProxyAlive(false));
    bench.run_for(ms(3100));
    assert_eq!(standing(&bench).2, ["chk failed: timed out (the proxy does not turn)"]);
}
