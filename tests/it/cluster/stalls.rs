//! The whole process did not run for a while: who could not be asked is not silent.

use vipd::io::{Input, Level};
use vipd::pool::SessionPolicy;
use vipd::status::Phase;

use super::bench::*;

/// A settled cluster whose daemon has just begun to run again.
fn woken_after(gap: u64) -> Bench {
    let mut bench = Bench::settled();
    bench.now = bench.now + secs(gap);
    bench.input(Input::Stalled { gap: secs(gap) });
    bench
}

fn policies(bench: &Bench) -> [SessionPolicy; 3] {
    [("writers", "pg-1"), ("readers", "pg-2"), ("readers", "pg-3")]
        .map(|(listener, server)| bench.session_policy(listener, server))
}

#[test]
fn sessions_outlive_a_stall_that_is_longer_than_the_lease() {
    // The lease is 8 s, and standbys may be silent for 5 s.
    let mut bench = woken_after(10);
    assert!(bench.usable("writers").is_empty(), "no new sessions before it has confirmed");
    assert_eq!(policies(&bench), [SessionPolicy::Keep; 3]);
    let cluster = bench.cluster();
    assert_eq!(cluster.phase, Phase::ApiSilent);
    assert_eq!(cluster.summary, "pg-1, the primary, is asked again, because vipd did not run");
    // Questions that were under way have timed out meanwhile.
    for n in [2, 3] {
        if bench.asked.contains_key(&(vipd::track::patroni::Topic::Node, n)) {
            bench.answer(n, &silent());
        }
    }
    assert_eq!(policies(&bench), [SessionPolicy::Keep; 3]);
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.usable("readers"), ["pg-2", "pg-3"]);
    assert_eq!(policies(&bench), [SessionPolicy::Keep; 3]);
    let alarms = bench.logs.iter().filter(|(level, text)| {
        *level == Level::Warn && !text.ends_with("is asked again, because vipd did not run")
    });
    assert_eq!(alarms.count(), 0, "{:?}", bench.logs);
}

#[test]
fn whoever_stays_silent_after_a_stall_is_given_up() {
    let mut bench = woken_after(10);
    bench.nodes = [1, 2, 3].map(|n| (n, silent())).into();
    bench.dead_ports = vec![1, 2, 3];
    bench.run_for(TIMEOUT + INTERVAL - ms(1));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(ms(1));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
    bench.run_for(SILENCE);
    assert!(
        policies(&bench)
            .iter()
            .all(|session_policy| matches!(session_policy, SessionPolicy::End(_)))
    );
}

#[test]
fn another_primary_may_exist_after_a_stall_that_is_too_long() {
    // ttl less loop_wait and a reserve.
    let bench = woken_after(18);
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}

#[test]
fn who_was_promoted_during_a_stall_gets_the_sessions() {
    let mut bench = woken_after(10);
    bench.nodes = [(1, standby(6)), (2, primary(6)), (3, standby(6))].into();
    bench.run_for(INTERVAL);
    assert_eq!(bench.usable("writers"), ["pg-2"]);
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}
