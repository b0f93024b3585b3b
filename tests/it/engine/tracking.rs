//! Trackers through the engine: checks run in time, and the priority tells the truth.

use vipd::config::{Rhythm, RouterConfig, TrackRef, TrackedInterface, Weight};
use vipd::io::{Input, Level, ProbeId};
use vipd::status::{Standing, State};
use vipd::track::outcome::{Cause, Outcome, Verdict};

use super::bench::{Answers, Bench, outcome};
use super::setup::*;

const PASS: Verdict = Verdict::Passed;
const FAIL: Verdict = Verdict::Failed(Cause::Exit(1));

/// A router that tracks scripts, each with its weight.
fn tracking(value: u8, scripts: &[(&str, i64)]) -> RouterConfig {
    router(|r| {
        r.priority = priority(value);
        r.track = scripts.iter().map(|(name, weight)| tracks(name, *weight)).collect();
    })
}

/// One router and its scripts, none of which has answered.
fn untested(value: u8, scripts: &[(&str, i64)]) -> Bench {
    with_rhythm(value, scripts, |_| {})
}

fn with_rhythm(value: u8, scripts: &[(&str, i64)], change: fn(&mut Rhythm)) -> Bench {
    let trackers = scripts.iter().map(|(name, _)| script(name, change)).collect();
    Bench::start(config_with(vec![tracking(value, scripts)], trackers))
}

/// A settled router whose script has passed once, as backup.
fn tested(value: u8, weight: i64) -> Bench {
    let mut bench = untested(value, &[("chk", weight)]);
    bench.answers("chk", PASS);
    bench.did();
    bench.logs.clear();
    bench
}

/// The same as master.
fn reigning(value: u8, weight: i64) -> Bench {
    let mut bench = tested(value, weight);
    while bench.state() != State::Master {
        bench.answers_when_due("chk", PASS);
    }
    bench.did();
    bench.logs.clear();
    bench
}

#[test]
fn checks_run_at_once_and_then_in_time() {
    let mut bench = untested(100, &[("chk", -20)]);
    assert!(bench.did().contains(&"run chk".to_owned()));
    bench.run_for(ms(400));
    bench.answers("chk", PASS);
    bench.run_until(ms(999));
    bench.expect_nothing();
    bench.run_until(secs(1));
    bench.expect(&["run chk"]);
    // It takes longer than its interval: the next run is skipped, the phase stays.
    bench.run_until(ms(2300));
    bench.answers("chk", PASS);
    bench.run_until(secs(3));
    bench.expect(&["run chk"]);
}

// C58, R22, R23
#[test]
fn a_failing_script_without_weight_means_one_resignation_and_fault() {
    let mut bench = reigning(100, 0);
    bench.answers_when_due("chk", FAIL);
    let did = bench.did();
    assert!(did.ends_with(&["advert 0", "drop 192.0.2.251", "MASTER to FAULT"].map(String::from)));
    assert_eq!(bench.status().faults.texts(), ["chk failed: exit 1"]);
    bench.run_to_next();
    bench.expect(&["run chk"]);
    bench.answers("chk", PASS);
    bench.expect(&["FAULT to BACKUP"]);
    let left = bench.status().next_deadline_ms.unwrap();
    assert_eq!(u128::from(left), mdi(100, 100).as_millis());
}

#[test]
fn a_node_that_cannot_serve_says_who_does() {
    let mut bench = reigning(100, 0);
    bench.answers_when_due("chk", FAIL);
    assert_eq!((bench.state(), bench.status().master), (State::Fault, None));
    let master = |bench: &Bench| {
        bench
            .status()
            .master
            .map(|m| (m.address.to_string(), m.priority, m.last_advert_ms.unwrap()))
    };
    let failed = bench.elapsed();
    bench.hear(&advert(LOW, 50).at(failed + ms(700)));
    assert_eq!(master(&bench), Some((LOW.to_owned(), 50, 0)));
    // Of two that say so the better one, until it falls silent or resigns.
    bench.hear(&advert(HIGH, 60).at(failed + ms(800)));
    bench.hear(&advert(LOW, 50).at(failed + ms(1700)));
    assert_eq!(master(&bench), Some((HIGH.to_owned(), 60, 900)));
    bench.hear(&advert(HIGH, 0).at(failed + ms(1800)));
    assert_eq!(master(&bench), None);
    bench.hear(&advert(LOW, 50).at(failed + ms(2700)));
    assert_eq!(master(&bench), Some((LOW.to_owned(), 50, 0)));
    bench.did();
    bench.run_for(ms(4000));
    assert_eq!(master(&bench), None);
    assert!(bench.status().listens);
    bench.link_running(ETH0, false);
    assert!(!bench.status().listens);
}

// C100, R24
#[test]
fn a_masters_lower_priority_is_told_at_once_and_heard_by_a_backup() {
    let mut bench = reigning(150, -60);
    bench.run_when_due("chk");
    bench.run_for(ms(7));
    bench.did();
    let now = bench.now;
    bench.answers("chk", FAIL);
    bench.expect(&["advert 90"]);
    assert_eq!(bench.sent.last().unwrap().at, now, "not a moment later");

    let mut backup = Bench::settled(with_priority(100));
    backup.hear(&advert(HIGH, 150).at(secs(1)));
    backup.hear(&advert(HIGH, 90).at(ms(1200)));
    backup.run_until(secs(1) + mdi(100, 100));
    assert_eq!(backup.state(), State::Master);
}

#[test]
fn a_recovered_priority_waits_for_the_next_advert() {
    let mut bench = reigning(150, -60);
    bench.answers_when_due("chk", FAIL);
    bench.run_when_due("chk");
    bench.did();
    bench.answers("chk", PASS);
    bench.expect_nothing();
    assert_eq!(bench.status().priority, 150);
}

#[test]
fn both_signs_and_reverse_count_when_they_should() {
    for (value, reverse, up, down) in
        [(20, false, 120, 100), (-20, false, 100, 80), (20, true, 80, 100), (-20, true, 100, 120)]
    {
        let weight = Weight::new(value, reverse).unwrap();
        let mut cfg = tracking(100, &[("chk", 0)]);
        cfg.track[0].weight = weight;
        let mut bench = Bench::start(config_with(vec![cfg], vec![script("chk", |_| {})]));
        assert_eq!(bench.status().priority, 100, "{weight}: nothing is known");
        bench.answers("chk", PASS);
        assert_eq!(bench.status().priority, up, "{weight}");
        bench.run_until(secs(1));
        bench.answers("chk", FAIL);
        assert_eq!(bench.status().priority, down, "{weight}");
    }
}

/// Until the first answers are in, the timer may end, but nothing is taken.
#[test]
fn nothing_is_taken_before_the_first_answer() {
    for weight in [0, -50, 50] {
        let mut bench = with_rhythm(100, &[("chk", weight)], |r| r.timeout = secs(60));
        bench.run_until(secs(20));
        assert_eq!((bench.state(), bench.sent.len()), (State::Backup, 0), "weight {weight}");
        let hints = bench.status().hints.texts();
        assert_eq!(hints, ["chk has not answered yet: until it has, nothing is taken over"]);
        bench.answers("chk", PASS);
        bench.tick();
        assert_eq!(bench.state(), State::Master, "weight {weight}");
    }
}

#[test]
fn an_owner_and_a_node_that_starts_as_failed_wait_as_well() {
    let mut bench = with_rhythm(255, &[("chk", 0)], |r| r.timeout = secs(60));
    bench.run_until(secs(5));
    assert_eq!(bench.state(), State::Backup);
    bench.answers("chk", PASS);
    bench.tick();
    assert_eq!(bench.state(), State::Master);

    // What it starts as is known: nobody waits for an answer.
    let mut failed = with_rhythm(100, &[("chk", -50)], |r| r.init_fail = true);
    assert_eq!(failed.status().priority, 50);
    failed.run_until(mdi(100, 50));
    assert_eq!(failed.state(), State::Master);
    let failed = with_rhythm(100, &[("chk", 0)], |r| r.init_fail = true);
    assert_eq!(failed.state(), State::Fault);
    assert_eq!(failed.status().faults.texts(), ["chk has not succeeded yet"]);
}

/// The preferred node comes back with a service that does not: at no moment has it the address.
#[test]
fn a_better_node_whose_check_fails_never_takes_over() {
    for weight in [0, -2] {
        let mut bench = with_rhythm(101, &[("chk", weight)], |r| r.timeout = secs(60));
        // The peer reigns with 100; our timer runs since the start and ends at 3.605 s, or at 3.613 s
        // once the priority is 99, long before its next advert.
        for n in 0..4 {
            bench.hear(&advert(HIGH, 100).at(ms(500 + n * 1000)));
        }
        bench.run_until(ms(3550));
        bench.answers("chk", FAIL);
        for n in 4..30 {
            bench.hear(&advert(HIGH, 100).at(ms(500 + n * 1000)));
            if bench.running.contains("chk") {
                bench.answers("chk", FAIL);
            }
        }
        assert!(bench.sent.is_empty(), "weight {weight}: {:?}", bench.sent);
        let state = if weight == 0 { State::Fault } else { State::Backup };
        assert_eq!(bench.state(), state);
    }
}

/// A master that was worse and is better now is given the time of any other master.
#[test]
fn a_master_we_fell_below_is_followed_from_its_last_advert() {
    let mut bench = with_rhythm(150, &[("chk", -60)], |r| r.timeout = secs(60));
    bench.answers("chk", PASS);
    bench.hear(&advert(HIGH, 100).every(200).at(ms(3000)));
    bench.answers("chk", FAIL);
    // Its interval is 2 s: what it advertised counts, as if it had been better all along.
    assert_eq!(bench.status().priority, 90);
    let left = bench.status().next_deadline_ms.unwrap();
    let due = ms(3000) + mdi(200, 90);
    assert_eq!(u128::from(left), (due - bench.elapsed()).as_millis());
    bench.run_until(due - ms(1));
    assert_eq!(bench.state(), State::Backup);
    bench.run_until(due);
    assert_eq!(bench.state(), State::Master);
}

#[test]
fn interfaces_move_the_priority_and_stop_the_router() {
    let interface = |value| TrackedInterface { iface: name("eth1"), weight: points(value) };
    let wrong = |bench: &Bench| bench.status().tracking.last().unwrap().wrong.clone();
    for (value, up, down) in [(-30, 100, 70), (30, 130, 100)] {
        let cfg = router(|r| r.track_interfaces = vec![interface(value)]);
        let mut bench = Bench::settled(cfg);
        assert_eq!(bench.status().priority, up);
        bench.link_running(ETH1, false);
        assert_eq!(bench.status().priority, down);
        assert_eq!(wrong(&bench), "is down or has no carrier");
        bench.link_gone(ETH1);
        assert_eq!(bench.status().priority, down);
        assert_eq!(wrong(&bench), "does not exist");
    }
    let mut bench = Bench::settled(router(|r| r.track_interfaces = vec![interface(0)]));
    bench.link_running(ETH1, false);
    assert_eq!(bench.status().faults.texts(), ["interface eth1 is down or has no carrier"]);
    bench.link_running(ETH1, true);
    assert_eq!(bench.state(), State::Backup);
    bench.link_gone(ETH1);
    assert_eq!(bench.status().faults.texts(), ["interface eth1 does not exist"]);
}

#[test]
fn a_file_counts_as_it_is_and_one_that_cannot_be_read_means_fault() {
    let mut bench = Bench::settled(with_priority(100));
    let probe = bench.probes[LEVERS[0].0];
    let mut says = |verdict| {
        bench.feed(Input::Probed { probe, outcome: outcome(verdict) });
        (bench.status().priority, bench.state())
    };
    assert_eq!(says(Verdict::Value(-30)), (70, State::Backup));
    assert_eq!(says(Verdict::Value(40)), (140, State::Backup));
    assert_eq!(says(Verdict::Value(-254)).1, State::Fault);
    assert_eq!(says(Verdict::Value(0)), (100, State::Backup));
    assert_eq!(says(Verdict::Failed(Cause::CannotRun)).1, State::Fault);
}

#[test]
fn a_reload_keeps_what_unchanged_checks_know() {
    let mut bench = tested(100, -20);
    bench.answers_when_due("chk", FAIL);
    assert_eq!(bench.status().priority, 80);
    bench.did();

    // Another weight and another rhythm: the same check.
    let cfg = tracking(100, &[("chk", -30)]);
    bench.reload_with(vec![cfg.clone()], vec![script("chk", |r| r.interval = secs(5))]);
    bench.expect_nothing();
    assert_eq!(bench.status().priority, 70);
    // Another command under the same name: another check, of which nothing is known.
    let mut other = script("other", |_| {});
    other.key = cfg.track[0].tracker.clone();
    bench.reload_with(vec![cfg], vec![other]);
    bench.expect(&["cancel chk", "run other"]);
    assert_eq!((bench.status().priority, bench.state()), (100, State::Backup));
    // None at all.
    bench.reload_with(vec![with_priority(100)], Vec::new());
    bench.expect(&["cancel other"]);
    assert_eq!(bench.snapshot().trackers.len(), LEVERS.len());
}

#[test]
fn a_tracker_added_to_a_master_changes_nothing_before_it_answers() {
    let mut bench = Bench::master(with_priority(100));
    bench.reload_with(vec![tracking(100, &[("chk", 0)])], vec![script("chk", |_| {})]);
    assert_eq!(bench.did(), ["advert 100", "run chk"]);
    assert_eq!(bench.state(), State::Master);
    bench.answers("chk", FAIL);
    assert_eq!(bench.state(), State::Fault);
}

/// A daemon that goes on with the addresses of an earlier one keeps them until a check says no.
#[test]
fn an_adopted_master_serves_on_and_obeys_the_first_answer() {
    let mut table = links();
    let mut held = address("192.0.2.251/32");
    (held.ours, held.renewed) = (true, Some(ms(300)));
    table[0].1.push(held);
    let cfg = config_with(vec![tracking(100, &[("chk", 0)])], vec![script("chk", |_| {})]);
    let mut bench = Bench::start_with(cfg, table, Answers::AtOnce);
    assert_eq!(bench.state(), State::Master);
    bench.answers("chk", FAIL);
    assert_eq!(bench.state(), State::Fault);
}

#[test]
fn a_shutdown_ends_every_check() {
    let mut bench = untested(100, &[("a", 0), ("b", -5)]);
    bench.did();
    bench.shut_down();
    bench.expect(&["cancel a", "cancel b", "exit"]);
    bench.feed(Input::Probed { probe: ProbeId(0), outcome: outcome(FAIL) });
    bench.expect_nothing();
}

#[test]
fn the_status_shows_every_part_of_the_decision() {
    let mut bench = with_rhythm(150, &[("chk", -60)], |r| r.fall = 3.try_into().unwrap());
    bench.answers("chk", PASS);
    for _ in 0..3 {
        bench.answers_when_due("chk", FAIL);
    }
    bench.run_for(ms(400));
    let snapshot = bench.snapshot();
    let part = &snapshot.routers[0].tracking[0];
    assert_eq!((part.name.as_str(), part.weight.as_str(), part.adds), ("chk", "-60", -60));
    let tracker = &snapshot.trackers[0];
    assert_eq!((tracker.standing, tracker.against, tracker.needed), (Standing::Down, 0, 1));
    assert_eq!((tracker.answer.as_deref(), tracker.answer_age_ms), (Some("exit 1"), Some(400)));
    let logged = |text: &str| bench.logs.iter().filter(|(_, line)| line == text).count();
    assert_eq!(logged("VRRP_Script(chk) failed (exited with status 1)"), 1);
    assert_eq!(logged("Changing effective priority from 150 to 90"), 1);
}

// At 3 a.m. the log is what is left of a check that has recovered.
#[test]
fn the_log_has_a_scripts_last_words_and_every_new_reason() {
    let mut bench = with_rhythm(150, &[("chk", -60)], |_| {});
    let says = |bench: &mut Bench, verdict, output: &str| {
        bench.run_when_due("chk");
        assert!(bench.running.remove("chk"));
        let probe = bench.probes["chk"];
        let outcome = Outcome { output: output.to_owned(), ..outcome(verdict) };
        bench.feed(Input::Probed { probe, outcome });
    };
    says(&mut bench, FAIL, "backend sql is down\nsecond line");
    says(&mut bench, FAIL, "backend sql is down");
    let other = Verdict::Failed(Cause::Exit(2));
    says(&mut bench, other, "no route");
    says(&mut bench, FAIL, "");
    let warned = bench.logs.iter().filter(|(level, _)| *level == Level::Warn);
    let warned: Vec<&str> = warned.map(|(_, line)| line.as_str()).collect();
    assert_eq!(
        warned,
        [
            "VRRP_Script(chk) failed (exited with status 1), printed \"backend sql is down\"",
            "Check chk still fails, now: exit 2, printed \"no route\"",
        ],
        "each new reason, once a minute"
    );
}

// The status says what the check says now, not what it said when the router went to FAULT.
#[test]
fn the_fault_follows_the_reason_of_a_failing_check() {
    let mut bench = with_rhythm(150, &[("chk", 0)], |_| {});
    let fault = |bench: &mut Bench, verdict| {
        bench.run_when_due("chk");
        assert!(bench.running.remove("chk"));
        let probe = bench.probes["chk"];
        bench.feed(Input::Probed { probe, outcome: outcome(verdict) });
        bench.snapshot().routers[0].faults.texts()
    };
    assert_eq!(fault(&mut bench, FAIL), ["chk failed: exit 1"]);
    bench.did();
    assert_eq!(fault(&mut bench, Verdict::Failed(Cause::Exit(2))), ["chk failed: exit 2"]);
    assert_eq!(bench.did(), ["run chk"], "nothing else happens");
}

#[test]
fn routers_share_a_check_each_with_its_own_weight() {
    let mut second = tracking(100, &[("chk", -7)]);
    (second.name, second.vrid) = ("VI_2".to_owned(), 54.try_into().unwrap());
    second.addresses = vec![vip("192.0.2.252")];
    let track: Vec<TrackRef> = tracking(100, &[("chk", -40)]).track;
    let routers = vec![router(|r| r.track = track), second];
    let mut bench = Bench::start(config_with(routers, vec![script("chk", |_| {})]));
    bench.answers("chk", FAIL);
    let priorities = bench.snapshot().routers.iter().map(|r| r.priority).collect::<Vec<_>>();
    assert_eq!(priorities, [60, 93]);
    assert_eq!(bench.did().iter().filter(|did| *did == "run chk").count(), 1);
}
