//! Late timers, stopped processes and sleeping machines: R31, R34 to R38, C50, C52, C109 to C112.

use vipd::config::Preempt;
use vipd::io::Level;
use vipd::status::{State, StateReason};

use super::bench::{Answers, Bench};
use super::setup::*;

fn never_preempting(change: impl FnOnce(&mut vipd::config::RouterConfig)) -> Bench {
    Bench::master(router(|r| {
        r.preempt = Preempt::Never;
        change(r);
    }))
}

// C50, R16
#[test]
fn a_hundred_adverts_do_not_drift() {
    let mut bench = Bench::master(with_priority(100));
    let start = bench.elapsed();
    bench.sent.clear();
    for n in 1..=100 {
        // Each wake-up is late by up to 7 ms, as real ones are.
        let late = ms(n % 8);
        bench.stall(bench.deadline() + late - bench.elapsed());
        bench.tick();
    }
    assert_eq!(bench.sent.len(), 100);
    assert_eq!(bench.deadline(), start + secs(101));
}

// C50: no burst.
#[test]
fn a_late_wake_up_sends_one_advert() {
    for late in [ms(1), ms(999), ms(1000), ms(1001), secs(60)] {
        let mut bench = Bench::master(with_priority(100));
        let due = bench.deadline();
        bench.stall(secs(1) + late);
        bench.tick();
        bench.expect(&["advert 100"]);
        let next = if late < secs(1) { due + secs(1) } else { bench.elapsed() + secs(1) };
        assert_eq!(bench.deadline(), next, "{late:?} late");
        assert_eq!(bench.counter("stalls"), u64::from(late > secs(1)));
    }
}

// C52, R37
#[test]
fn a_waiting_packet_beats_an_expired_master_down_timer() {
    let mut bench = Bench::settled(with_priority(100));
    bench.stall(ns(3_609_375_000));
    bench.hear(&advert(LOW, 200));
    bench.tick();
    bench.expect_nothing();
    assert_eq!(bench.deadline(), ns(3_609_375_000) + mdi(100, 100));
}

// C109, R36, D26
#[test]
fn a_stopped_master_answers_its_backlog_of_worse_adverts_once() {
    let mut bench = Bench::master(router(|r| r.interval = centis(20)));
    bench.stall(ms(5300));
    for n in 0..20 {
        bench.hear(&advert(if n % 2 == 0 { LOW } else { HIGH }, 50).every(20));
    }
    bench.expect_nothing();
    bench.tick();
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
    assert_eq!(bench.deadline(), bench.elapsed() + ms(200));
}

// C110, R36
#[test]
fn a_stopped_master_yields_to_the_better_one_in_its_backlog_without_a_word() {
    let mut bench = Bench::master(with_priority(100));
    bench.stall(secs(6));
    for _ in 0..10 {
        bench.hear(&advert(LOW, 50));
        bench.hear(&advert(HIGH, 200));
    }
    bench.tick();
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
    assert!(bench.sent.iter().all(|s| bench.now.since(s.at) > secs(5)));
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(100, 100));
}

/// Stopped between the kernel's taking of the address and its answer, and now given the answer.
fn stopped_while_installing(stall: std::time::Duration) -> Bench {
    let mut bench = Bench::settled(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.run_to_next();
    bench.expect(&["advert 100", "hold 192.0.2.251", "BACKUP to MASTER"]);
    bench.stall(stall);
    bench.answers = Answers::AtOnce;
    bench.answer();
    bench
}

// C110, R36: an announcement would draw the traffic away from a master that never hears of it.
#[test]
fn a_stopped_master_announces_nothing_before_its_backlog_is_weighed() {
    let mut bench = stopped_while_installing(secs(6));
    bench.expect_nothing();
    bench.hear(&advert(HIGH, 200));
    bench.tick();
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

#[test]
fn a_stopped_master_that_still_is_one_announces_late() {
    let mut bench = stopped_while_installing(secs(6));
    bench.expect_nothing();
    bench.tick();
    let did = bench.did();
    assert!(did.contains(&"advert 100".to_owned()), "{did:?}");
    assert!(did.contains(&"announce 192.0.2.251 x5".to_owned()), "{did:?}");
}

// R36: the newest packet of each sender counts, not the loudest.
#[test]
fn only_the_newest_packet_of_a_sender_counts() {
    let mut bench = Bench::master(with_priority(100));
    bench.stall(secs(6));
    bench.hear(&advert(HIGH, 200));
    bench.hear(&advert(HIGH, 0));
    bench.tick();
    bench.expect(&["advert 100"]);
    assert_eq!(bench.state(), State::Master);
}

// R18 in R36: yielding after a stall learns the interval as yielding at once does.
#[test]
fn yielding_after_a_stall_learns_the_interval() {
    let mut bench = Bench::master(with_priority(100));
    bench.stall(secs(20));
    bench.hear(&advert(HIGH, 200).every(250));
    bench.tick();
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
    assert_eq!(bench.status().master_interval_ms, 2500);
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(250, 100));
}

// R36: equal priorities are weighed by address.
#[test]
fn a_backlog_of_equals_is_settled_by_address() {
    for (source, state) in [(LOW, State::Master), (HIGH, State::Backup)] {
        let mut bench = Bench::master(with_priority(100));
        bench.stall(secs(6));
        bench.hear(&advert(source, 100));
        bench.tick();
        assert_eq!(bench.state(), state, "{source}");
    }
}

// R36: a forged backlog of many senders does not hide the one better master for long.
#[test]
fn a_backlog_of_many_senders_still_ends_in_yielding() {
    let mut bench = Bench::master(with_priority(100));
    bench.stall(secs(6));
    for n in 1..=250 {
        bench.hear(&advert(&format!("192.0.3.{n}"), 50));
    }
    bench.hear(&advert(HIGH, 200));
    bench.tick();
    bench.hear(&advert(HIGH, 200));
    assert_eq!(bench.state(), State::Backup);
}

// C111, R37
#[test]
fn a_stopped_backup_with_a_backlog_stays_backup() {
    let mut bench = Bench::settled(with_priority(100));
    bench.stall(secs(60));
    for _ in 0..60 {
        bench.hear(&advert(HIGH, 150));
    }
    bench.tick();
    bench.expect_nothing();
    assert_eq!(bench.deadline(), secs(60) + mdi(100, 100));
}

// R37: without a backlog the timer means what it says.
#[test]
fn a_stopped_backup_that_heard_nobody_takes_over_once() {
    let mut bench = Bench::settled(with_priority(100));
    bench.stall(secs(3600));
    bench.tick();
    bench.expect(&super::election::TAKEOVER);
    assert_eq!(bench.deadline(), secs(3600) + EARLY_REPEAT);
}

// R38
#[test]
fn without_preemption_a_master_that_was_late_by_a_master_down_interval_steps_down() {
    let mut bench = never_preempting(|_| ());
    // Silent for 4 intervals exactly: nobody can have taken over for sure.
    bench.stall(secs(4));
    bench.tick();
    bench.expect(&["advert 100"]);
    let mut bench = never_preempting(|_| ());
    bench.stall(secs(4) + ns(1));
    bench.tick();
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(100, 100));
    assert_eq!(bench.counter("pri_zero_sent"), 0);
}

// R38, for who knows how good the others are: the best of them has taken over earlier than just anyone.
#[test]
fn a_stalled_master_without_preemption_knows_when_its_best_peer_has_taken_over() {
    let stalled = |stall| {
        let mut bench = never_preempting(|r| r.highest_peer_priority = Some(priority(200)));
        bench.stall(stall);
        bench.tick();
        bench.did()
    };
    assert_eq!(stalled(mdi(100, 200)), ["advert 100"]);
    assert_eq!(stalled(mdi(100, 200) + ns(1)), ["drop 192.0.2.251", "MASTER to BACKUP"]);
    // A suspend is such a stall.
    let mut bench = never_preempting(|r| r.highest_peer_priority = Some(priority(200)));
    bench.suspend(mdi(100, 200) + ns(1));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

// R38 with C56: an owner always preempts.
#[test]
fn an_owner_does_not_step_down_after_a_stall_or_a_suspend() {
    let mut bench = never_preempting(|r| r.priority = priority(255));
    bench.stall(secs(100));
    bench.tick();
    assert_eq!(bench.state(), State::Master);
    bench.suspend(secs(3600));
    assert_eq!(bench.state(), State::Master);
}

// C112, R35, R36
#[test]
fn after_a_suspend_a_master_listens_before_it_speaks() {
    let slept = || {
        let mut bench = Bench::master(with_priority(100));
        bench.run_for(ms(900));
        bench.suspend(secs(3600));
        bench.expect_nothing();
        bench
    };
    let mut bench = slept();
    let woke = bench.elapsed();
    assert_eq!(bench.deadline(), woke + secs(1));
    bench.hear(&advert(HIGH, 200).at(woke + ms(300)));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);

    let mut bench = slept();
    let woke = bench.elapsed();
    bench.hear(&advert(HIGH, 50).at(woke + ms(300)));
    bench.expect_nothing();
    bench.run_until(woke + secs(1));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
    bench.hear(&advert(HIGH, 50).at(woke + ms(1200)));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);

    let mut bench = slept();
    bench.run_to_next();
    bench.expect(&["advert 100"]);
}

// R35: shorter than any peer's master-down interval is no suspend worth a thought.
#[test]
fn a_nap_of_four_intervals_changes_nothing() {
    let mut bench = Bench::master(with_priority(100));
    let due = bench.deadline();
    bench.suspend(secs(4));
    bench.expect_nothing();
    assert_eq!(bench.deadline(), due);
    bench.hear(&advert(LOW, 50));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
}

// R38, R35
#[test]
fn without_preemption_a_suspended_master_steps_down() {
    let mut bench = never_preempting(|_| ());
    bench.suspend(secs(3600));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(100, 100));
}

// C109 at every interval: the backlog of a stall never gets more than one advert.
#[test]
fn one_advert_per_wake_up_at_every_interval() {
    for cs in [1, 2, 10, 20, 100, 1000, 4095] {
        let mut bench = Bench::settled(router(|r| {
            r.interval = centis(cs);
            r.options.max_learned_interval = centis(4095);
        }));
        bench.run_to_next();
        bench.run_for(ms(u64::from(cs) * 10 * 3));
        bench.sent.clear();
        bench.did();
        bench.stall(ms(u64::from(cs) * 10 * 9));
        for n in 0..24 {
            bench.hear(&advert(LOW, 1 + n).every(cs));
        }
        bench.tick();
        assert_eq!(bench.sent.len(), 1, "{cs} cs");
        assert_eq!(bench.state(), State::Master);
    }
}

// A master whose addresses had gone served nobody in between: its reign begins anew, and the log says so.
#[test]
fn a_master_whose_leases_ended_while_it_was_stopped_says_so() {
    let mut bench = Bench::master(router(|r| r.options.lease = true));
    let reigning = bench.status().state_age_ms;
    bench.stall(secs(6));
    bench.tick();
    let status = bench.status();
    assert_eq!(status.state, State::Master);
    assert!(reigning > 1000 && status.state_age_ms == 0, "{}", status.state_age_ms);
    let change = &status.transitions[0];
    assert_eq!((change.from, change.to), (Some(State::Master), State::Master));
    assert!(change.reason.starts_with("vipd did not run for 5."), "{}", change.reason);
    assert!(change.reason.contains("lease of its addresses had ended"), "{}", change.reason);
    let warned = |bench: &Bench| {
        bench.logs.iter().any(|(l, m)| *l == Level::Warn && m.contains("vipd did not run for 5."))
    };
    assert!(warned(&bench), "{:?}", bench.logs);

    let mut bench = Bench::master(with_priority(100));
    bench.stall(secs(6));
    bench.hear(&advert(HIGH, 200));
    bench.tick();
    assert_eq!(bench.state(), State::Backup);
    assert!(warned(&bench), "{:?}", bench.logs);
}

// The lease is counted from the question: what is answered after its end may be gone already.
#[test]
fn a_kernel_that_is_slow_is_not_called_a_stall_of_the_daemon() {
    let mut bench = Bench::settled(router(|r| r.options.lease = true));
    bench.answers = Answers::OnDemand;
    bench.run_until(mdi(100, 100) + ms(3999));
    assert_eq!(bench.state(), State::Master);
    bench.answer_all();
    bench.answers = Answers::AtOnce;
    bench.run_for(secs(2));
    let reason = bench.status().reason;
    assert!(reason.starts_with("the kernel was slow"), "{reason}");
    assert_eq!(bench.status().reason_code, Some(StateReason::LeaseEnded));
    assert!(bench.logs.iter().any(|(l, m)| *l == Level::Warn && *m == reason), "{:?}", bench.logs);
}
