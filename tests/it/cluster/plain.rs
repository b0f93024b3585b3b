//! Servers without roles.

use vipd::config::checks::{Endpoint, Host};
use vipd::pool::{Hint, SessionPolicy, Wants};
use vipd::track::outcome::{Cause, Verdict};

use super::bench::*;

const FAILED: Verdict = Verdict::Failed(Cause::Refused);

fn start() -> Bench {
    Bench::start(config(vec![plain(3)], vec![listener("web", Wants::Any, 3)]))
}

#[test]
fn the_first_answer_decides_and_one_without_check_is_always_usable() {
    let mut bench = start();
    assert_eq!(bench.usable("web"), ["web-3"]);
    bench.checked("10.0.1.1:80", Verdict::Passed);
    bench.checked("10.0.1.2:80", FAILED);
    assert_eq!(bench.usable("web"), ["web-1", "web-3"]);
    assert_eq!(bench.why("web", "web-2"), "down: connection refused");
}

#[test]
fn one_that_is_up_falls_after_as_many_failures_as_configured() {
    let mut bench = start();
    bench.checked("10.0.1.1:80", Verdict::Passed);
    bench.checked("10.0.1.2:80", Verdict::Passed);
    for expected in [SessionPolicy::Keep, SessionPolicy::End(vipd::pool::Cause::Down)] {
        bench.run_for(INTERVAL);
        bench.checked("10.0.1.1:80", FAILED);
        assert_eq!(bench.session_policy("web", "web-1"), expected);
    }
    let failures: Vec<_> = bench.cluster().members.iter().map(|m| m.check_failures).collect();
    assert_eq!(failures, [Some(2), Some(0), None]);
}

#[test]
fn a_hint_brings_the_next_check_forward() {
    let mut bench = start();
    bench.checked("10.0.1.1:80", Verdict::Passed);
    bench.hint("web", "web-1", Hint::Refused);
    bench.checked("10.0.1.1:80", Verdict::Passed);
    bench.hint("web", "web-1", Hint::Refused);
    assert!(!bench.checked.contains_key("10.0.1.1:80"), "not again at once");
    assert_eq!(bench.usable("web"), ["web-1", "web-3"]);
}

#[test]
fn one_that_is_down_says_what_it_answered() {
    let mut bench = start();
    let wrong = Verdict::Failed(Cause::WrongAnswer);
    bench.checked_because("10.0.1.1:80", wrong, "status 503, not 200-399");
    assert_eq!(bench.why("web", "web-1"), "down: wrong answer (status 503, not 200-399)");
    let log = "cluster web: web-1 is down: wrong answer (status 503, not 200-399)";
    assert!(bench.logs.iter().any(|(_, text)| text == log), "{:?}", bench.logs);
}

/// As HAProxy's fastinter: what is on its way up or down is looked at more often.
#[test]
fn one_on_its_way_up_or_down_is_checked_at_the_fast_interval() {
    let mut cluster = plain(2);
    cluster.rhythm.fast_interval = FAST;
    cluster.rhythm.down_interval = secs(5);
    cluster.rhythm.rise = cluster.rhythm.fall;
    let mut bench = Bench::start(config(vec![cluster], vec![listener("web", Wants::Any, 2)]));
    let mut next = |verdict| {
        let began = bench.now;
        while !bench.checked.contains_key("10.0.1.1:80") {
            bench.run_for(ms(10));
        }
        bench.checked("10.0.1.1:80", verdict);
        (bench.now.since(began), bench.why("web", "web-1"))
    };
    for _ in 0..2 {
        assert!(next(Verdict::Passed).0 <= INTERVAL);
    }
    assert_eq!(next(FAILED), (INTERVAL, String::new()));
    let down = || "down: connection refused".to_owned();
    assert_eq!(next(FAILED), (FAST, down()));
    assert_eq!(next(FAILED), (secs(5), down()));
    let rising = || "down: must answer well more often first".to_owned();
    assert_eq!(next(Verdict::Passed), (secs(5), rising()));
    assert_eq!(next(Verdict::Passed), (FAST, String::new()));
}

/// A server that is not checked, and whose name does not resolve.
#[test]
fn one_without_an_address_is_not_called_usable() {
    let mut cluster = plain(1);
    let vipd::config::Members::Plain(members) = &mut cluster.members else { unreachable!() };
    members[0].address = Endpoint::parse("web1.example:80", None).unwrap();
    let Host::Name(name) = members[0].address.host.clone() else { unreachable!() };
    let mut bench = Bench::start(config(vec![cluster], vec![listener("web", Wants::Any, 1)]));
    bench.run_for(INTERVAL);
    let snapshot = bench.engine.snapshot(bench.now);
    assert_eq!(snapshot.clusters[0].summary, "0 of 1 server are usable");
    let why = "the name web1.example has no address yet";
    assert_eq!(snapshot.clusters[0].members[0].reason, why);
    assert_eq!(snapshot.listeners[0].reason, format!("no usable server: web-1: {why}"));
    let address = "10.0.1.1".parse().unwrap();
    bench.input(vipd::io::Input::Resolved { name, address });
    assert_eq!(bench.cluster().summary, "1 of 1 server is usable");
    assert_eq!(bench.usable("web"), ["web-1"]);
}
