//! Servers without roles.

use vipd::pool::{Fate, Hint, Wants};
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
    for expected in [Fate::Keep, Fate::End(vipd::pool::Cause::Down)] {
        bench.run_for(INTERVAL);
        bench.checked("10.0.1.1:80", FAILED);
        assert_eq!(bench.fate("web", "web-1"), expected);
    }
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
