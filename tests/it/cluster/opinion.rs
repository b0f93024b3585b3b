//! A primary whose Patroni alone is silent.

use vipd::pool::{Hint, SessionPolicy};
use vipd::status::Phase;
use vipd::track::outcome::Cause;

use super::bench::*;
use crate::engine::setup::Texts;

/// pg-1, whose Patroni is silent from a known moment on.
fn frozen() -> Bench {
    let mut bench = Bench::settled();
    bench.run_for(INTERVAL);
    let confirmed = *bench.rounds[&1].last().unwrap();
    bench.nodes.insert(1, silent());
    bench.store_reads.clear();
    let gone = bench.now.since(confirmed);
    bench.run_for(secs(8) - ms(1) - gone);
    bench
}

#[test]
fn sessions_stay_while_the_store_names_it_and_its_port_answers() {
    let mut bench = frozen();
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    assert_eq!(bench.cluster().phase, Phase::ApiSilent);
    bench.run_for(ms(2));
    assert!(bench.usable("writers").is_empty(), "no new sessions");
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    assert_eq!(bench.cluster().phase, Phase::SecondOpinion);
    let log = "cluster main: pg-1, the primary, gets no new sessions: its Patroni does not answer, \
               but it still leads; its Patroni: timed out (test)";
    assert!(bench.logs.iter().any(|(_, text)| text == log), "{:?}", bench.logs);
    let hint = "Patroni on pg-1 does not answer but PostgreSQL does: it may still accept writes. \
                Unless its Patroni renews the leader lock, another node is promoted within 30s; \
                restart Patroni or stop PostgreSQL on pg-1";
    assert_eq!(bench.cluster().hints.texts(), [hint]);
    let told = |bench: &Bench| {
        let cluster = bench.cluster();
        (cluster.confirmed_ms, cluster.lease_left_ms, cluster.sessions_left_ms)
    };
    assert_eq!(told(&bench), (Some(8001), Some(0), Some(9999)));
    bench.run_for(secs(3));
    assert_eq!(told(&bench), (Some(11_001), Some(0), Some(6999)), "it does not stand still");
    // Until another primary could exist: ttl less loop_wait and a reserve.
    bench.run_for(secs(7) - ms(3));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.run_for(ms(3));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
    let reads = bench.store_reads.len();
    assert!((16..=19).contains(&reads), "the store was read {reads} times in 18 s");
}

#[test]
fn they_end_with_the_lease_if_its_port_does_not_answer() {
    let mut bench = Bench::settled();
    bench.dead_ports.push(1);
    let confirmed = *bench.rounds[&1].last().unwrap();
    bench.nodes.insert(1, silent());
    bench.run_for(secs(8) - bench.now.since(confirmed) - ms(1));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    let why = "held: port 5432 does not answer";
    assert_eq!(bench.why("writers", "pg-1"), why);
    bench.run_for(ms(2));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}

#[test]
fn they_end_at_once_when_the_store_names_another_or_nobody() {
    for leader in [0, 2] {
        let mut bench = frozen();
        bench.run_for(secs(2));
        assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
        bench.leader = leader;
        bench.run_for(secs(1));
        assert!(
            matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)),
            "{leader}"
        );
        let why = "down: does not answer, and does not hold the leader lock any more";
        assert_eq!(bench.why("writers", "pg-1"), why);
    }
    // Even before the lease ends.
    let mut bench = Bench::settled();
    bench.nodes.insert(1, Says::Nothing(Cause::Refused));
    bench.leader = 3;
    bench.run_for(secs(2));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}

#[test]
fn they_end_when_nobody_can_be_asked_for_an_opinion_any_more() {
    let mut bench = frozen();
    bench.run_for(secs(2));
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    bench.nodes.extend([(2, silent()), (3, silent())]);
    bench.run_for(secs(4));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}

#[test]
fn a_silent_standby_whose_port_answers_keeps_its_sessions() {
    let mut bench = Bench::settled();
    bench.nodes.insert(3, silent());
    bench.run_for(SILENCE + INTERVAL + TIMEOUT);
    assert_eq!(bench.usable("readers"), ["pg-2"]);
    let hint = "Patroni on pg-3 does not answer but PostgreSQL does: nobody knows what it is; \
                restart Patroni on pg-3";
    assert_eq!(bench.cluster().hints.texts(), [hint]);
    assert_eq!(bench.session_policy("readers", "pg-3"), SessionPolicy::Keep);
    bench.dead_ports.push(3);
    bench.run_for(secs(3));
    assert!(matches!(bench.session_policy("readers", "pg-3"), SessionPolicy::End(_)));
}

/// The postmaster hangs: Patroni's own connection works, nobody else gets one.
#[test]
fn a_port_that_does_not_answer_gets_no_new_sessions_whatever_patroni_says() {
    let mut bench = Bench::settled();
    bench.dead_ports.push(1);
    bench.hint("writers", "pg-1", Hint::Unreachable);
    bench.run_for(secs(2));
    assert!(bench.usable("writers").is_empty());
    assert_eq!(bench.session_policy("writers", "pg-1"), SessionPolicy::Keep);
    let hints = bench.cluster().hints.texts();
    assert!(hints[0].starts_with("Patroni says that PostgreSQL of pg-1 runs, but "), "{hints:?}");
    bench.dead_ports.clear();
    bench.run_for(secs(2));
    assert_eq!(bench.usable("writers"), ["pg-1"]);
}

/// This host has no descriptor to spare.
#[test]
fn a_port_that_could_not_be_asked_is_not_blamed() {
    let mut bench = Bench::settled();
    bench.dead_ports.push(1);
    bench.port_failure = Cause::CannotRun;
    bench.hint("writers", "pg-1", Hint::Unreachable);
    bench.run_for(secs(2));
    assert_eq!(bench.usable("writers"), ["pg-1"]);
    // Nor does it speak for a primary that is silent.
    bench.nodes.insert(1, silent());
    bench.run_for(secs(9));
    assert!(matches!(bench.session_policy("writers", "pg-1"), SessionPolicy::End(_)));
}
