//! D21: the last advert of a master that yields, and what the winner makes of it.

use vipd::config::RouterConfig;
use vipd::io::NotifyEvent;

use super::bench::Bench;
use super::setup::{HIGH, LOW, advert, router, secs};
use crate::engine::setup::ms;

fn speaks(r: &mut RouterConfig) {
    r.options.advert_before_yield = true;
}

// C42, R18
#[test]
fn a_yielding_master_sends_one_last_advert() {
    let mut bench = Bench::master(router(speaks));
    bench.hear(&advert(LOW, 101));
    bench.expect(&["advert 100", "drop 192.0.2.251", "MASTER to BACKUP"]);
}

// C110, R36: the other one took over while it was stopped, and announced that.
#[test]
fn a_stopped_master_yields_without_an_advert() {
    let mut bench = Bench::master(router(speaks));
    bench.stall(secs(6));
    bench.hear(&advert(HIGH, 200));
    bench.hear(&advert(HIGH, 200));
    bench.tick();
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

// D4: two losers may speak at once.
#[test]
fn a_rival_heard_too_soon_for_an_answer_is_announced_over_after_it() {
    let mut bench = Bench::master(router(|_| ()));
    bench.hear(&advert(HIGH, 99));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
    let answered = bench.elapsed();
    bench.stall(ms(1));
    bench.hear(&advert(LOW, 98));
    bench.expect_nothing();
    assert_eq!(bench.deadline(), answered + ms(100));
    bench.run_to_next();
    bench.expect(&["announce 192.0.2.251"]);
}

// C43: keepalived's lower_prio_no_advert silences the advert alone.
#[test]
fn a_master_that_answers_nothing_still_announces() {
    let mut bench = Bench::master(router(|r| r.options.answer_lower = false));
    let due = bench.deadline();
    bench.hear(&advert(HIGH, 99));
    bench.expect(&["announce 192.0.2.251 x5"]);
    assert_eq!(bench.deadline(), due);
}

#[test]
fn the_last_advert_of_a_preempted_master_is_no_rival() {
    let mut bench = Bench::settled(router(|_| ()));
    bench.hear(&advert(LOW, 50).at(ms(3000)));
    bench.run_to_next();
    bench.did();
    bench.stall(ms(1));
    bench.hear(&advert(LOW, 50));
    bench.expect_nothing();
    assert!(bench.told.iter().all(|n| !matches!(n.event, NotifyEvent::LowerPriorityHeard)));
    bench.stall(ms(1));
    bench.hear(&advert(LOW, 50));
    assert!(bench.did().contains(&"advert 100".to_owned()), "a second one does not yield");
}
