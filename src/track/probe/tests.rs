use proptest::prelude::*;

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn times(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Every second, at most 500 ms, one answer turns it.
fn rhythm(change: impl FnOnce(&mut Rhythm)) -> Rhythm {
    let mut rhythm = Rhythm {
        watched: false,
        interval: ms(1000),
        timeout: ms(500),
        rise: times(1),
        fall: times(1),
        init_fail: false,
        on_timeout: OnTimeout::Fail,
        rise_delay: Duration::ZERO,
        fall_delay: Duration::ZERO,
    };
    change(&mut rhythm);
    rhythm
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, detail: String::new(), output: String::new(), took: ms(3) }
}

const PASS: Verdict = Verdict::Passed;
const FAIL: Verdict = Verdict::Failed(Cause::Exit(1));
const LATE: Verdict = Verdict::Failed(Cause::TimedOut);

fn at(since_start: u64) -> Now {
    Now::from_start(ms(since_start))
}

/// Runs the check at each of its deadlines and gives the answers in turn.
fn readings(rhythm: Rhythm, answers: &[Verdict]) -> Vec<CheckState> {
    let mut probe = Probe::new(0, rhythm, Now::ZERO);
    answers
        .iter()
        .map(|verdict| {
            let now = probe.deadline().unwrap();
            assert!(probe.time_passed(now).start);
            let before = probe.state();
            let changed = probe.answered(now + ms(3), outcome(*verdict));
            assert_eq!(changed, before != probe.state());
            probe.state()
        })
        .collect()
}

#[test]
fn the_first_answer_decides_alone() {
    use CheckState::{Down, Up};
    let slow = || rhythm(|r| (r.rise, r.fall) = (times(3), times(2)));
    assert_eq!(readings(slow(), &[PASS, FAIL, FAIL]), [Up, Up, Down]);
    assert_eq!(readings(slow(), &[FAIL, PASS, PASS, PASS]), [Down, Down, Down, Up]);
}

#[test]
fn init_fail_asks_for_every_success() {
    use CheckState::{Down, Up};
    let rhythm = rhythm(|r| (r.init_fail, r.rise) = (true, times(2)));
    assert_eq!(Probe::new(0, rhythm.clone(), Now::ZERO).state(), Down);
    assert_eq!(readings(rhythm, &[PASS, FAIL, PASS, PASS]), [Down, Down, Down, Up]);
}

#[test]
fn a_success_forgives_and_a_failure_starts_over() {
    use CheckState::{Down, Up};
    let rhythm = rhythm(|r| (r.rise, r.fall) = (times(2), times(2)));
    let answers = [PASS, FAIL, PASS, FAIL, FAIL, PASS, FAIL, PASS, PASS];
    assert_eq!(readings(rhythm, &answers), [Up, Up, Up, Up, Down, Down, Down, Down, Up]);
}

#[test]
fn a_timeout_fails_unless_it_is_to_say_nothing() {
    use CheckState::{Down, Up};
    assert_eq!(readings(rhythm(|_| {}), &[PASS, LATE]), [Up, Down]);
    let keep = || rhythm(|r| r.on_timeout = OnTimeout::Keep);
    assert_eq!(readings(keep(), &[PASS, LATE, LATE, FAIL, LATE]), [Up, Up, Up, Down, Down]);
    // Nothing is known that could be kept.
    assert_eq!(readings(keep(), &[LATE, PASS]), [Down, Up]);
}

#[test]
fn a_number_counts_at_once() {
    let value = |n| CheckState::Value(n);
    let rhythm = rhythm(|r| r.fall = times(3));
    let answers = [Verdict::Value(0), Verdict::Value(7), FAIL, Verdict::Value(7)];
    assert_eq!(readings(rhythm, &answers), [value(0), value(7), CheckState::Down, value(7)]);
}

#[test]
fn runs_keep_their_phase_and_never_overlap() {
    let mut probe = Probe::new(0, rhythm(|r| r.timeout = ms(2500)), at(100));
    assert_eq!(probe.deadline(), Some(at(100)));
    assert!(probe.time_passed(at(100)).start);
    assert!(!probe.time_passed(at(1100)).start, "the first one still runs");
    probe.answered(at(1650), outcome(PASS));
    assert_eq!(probe.deadline(), Some(at(2100)));
    // A late engine starts once, and goes on in phase.
    assert!(probe.time_passed(at(4333)).start);
    assert!(!probe.time_passed(at(4333)).start);
    probe.answered(at(4340), outcome(PASS));
    assert_eq!(probe.deadline(), Some(at(5100)));
}

/// Else a timeout that is as long as the interval, the default, would halve the rate of the checks
/// exactly while something hangs.
#[test]
fn a_run_that_lasts_an_interval_takes_no_turn_from_the_next() {
    let mut probe = Probe::new(0, rhythm(|r| r.timeout = ms(1000)), Now::ZERO);
    for start in [0, 1001, 2002, 3001] {
        assert!(probe.time_passed(at(start)).start, "{start}");
        probe.answered(at(start + 1000), outcome(LATE));
        assert!(probe.deadline().unwrap() <= at(start + 1000), "at once");
    }
    // Each was late, and the phase is still that of the first.
    assert!(probe.time_passed(at(4001)).start);
    probe.answered(at(4010), outcome(PASS));
    assert_eq!(probe.deadline(), Some(at(5000)));
}

#[test]
fn checks_that_began_together_spread_over_the_interval() {
    let mut second: Vec<u128> = (0..100)
        .map(|nth| {
            let mut probe = Probe::new(nth, rhythm(|_| {}), Now::ZERO);
            assert!(probe.time_passed(Now::ZERO).start);
            probe.answered(at(1), outcome(PASS));
            probe.deadline().unwrap().since_start().as_millis()
        })
        .collect();
    second.sort_unstable();
    assert_eq!(*second.last().unwrap(), 1000);
    let widest = second.windows(2).map(|w| w[1] - w[0]).max().unwrap();
    assert!(widest <= 20, "a gap of {widest} ms between 100 checks a second");
}

#[test]
fn a_run_that_never_answers_has_failed_and_is_not_run_again() {
    let mut probe = Probe::new(0, rhythm(|r| r.fall = times(2)), Now::ZERO);
    assert!(probe.time_passed(Now::ZERO).start);
    let due = probe.time_passed(probe.deadline().unwrap());
    assert_eq!(due, Due { start: false, changed: true });
    assert_eq!((probe.state(), probe.since()), (CheckState::Down, at(1500)));
    // When it comes back at last, it counts.
    assert!(probe.answered(at(9200), outcome(PASS)));
    assert_eq!(probe.deadline(), Some(at(10_000)));
}

#[test]
fn an_engine_that_overslept_first_looks_for_the_answer() {
    let mut probe = Probe::new(0, rhythm(|_| {}), Now::ZERO);
    assert!(probe.time_passed(Now::ZERO).start);
    assert_eq!(probe.time_passed(at(60_000)), Due::default());
    assert!(probe.answered(at(60_001), outcome(PASS)));
    assert_eq!(probe.state(), CheckState::Up);
}

#[test]
fn a_watched_check_is_started_once_and_settles_in_time() {
    let watched = rhythm(|r| {
        (r.watched, r.rise_delay, r.fall_delay) = (true, ms(300), ms(200));
    });
    let mut probe = Probe::new(0, watched, Now::ZERO);
    assert!(probe.time_passed(Now::ZERO).start);
    assert!(probe.answered(at(1), outcome(PASS)), "the first answer waits for nothing");
    assert_eq!(probe.deadline(), None);

    assert!(!probe.answered(at(5000), outcome(FAIL)));
    assert!(!probe.answered(at(5100), outcome(PASS)), "back in time");
    assert_eq!(probe.deadline(), None);

    assert!(!probe.answered(at(6000), outcome(FAIL)));
    assert!(!probe.answered(at(6100), outcome(FAIL)), "the first failure counts");
    assert_eq!(probe.deadline(), Some(at(6200)));
    assert!(probe.time_passed(at(6200)).changed);
    assert_eq!(probe.state(), CheckState::Down);

    assert!(!probe.answered(at(7000), outcome(PASS)));
    assert_eq!(probe.time_passed(at(7300)), Due { start: false, changed: true });
    assert_eq!(probe.state(), CheckState::Up);
}

#[test]
fn another_rhythm_keeps_what_is_known() {
    let mut probe = Probe::new(0, rhythm(|r| r.interval = ms(60_000)), Now::ZERO);
    assert!(probe.time_passed(Now::ZERO).start);
    probe.answered(at(5), outcome(FAIL));
    probe.reconfigured(at(1000), rhythm(|r| r.interval = ms(2000)));
    assert_eq!((probe.state(), probe.deadline()), (CheckState::Down, Some(at(3000))));
}

proptest! {
    /// keepalived counts from 0 to rise + fall − 1 and is up from `rise` on. After the first answer,
    /// or from the start with `init_fail`, both ways of counting agree.
    #[test]
    fn counting_agrees_with_keepaliveds(
        rise in 1_u32..5,
        fall in 1_u32..5,
        init_fail: bool,
        answers in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let rhythm = rhythm(|r| {
            (r.rise, r.fall, r.init_fail) = (times(rise), times(fall), init_fail);
        });
        let verdicts: Vec<Verdict> =
            answers.iter().map(|good| if *good { PASS } else { FAIL }).collect();
        let mut counter = init_fail.then_some(0);
        let model: Vec<CheckState> = answers
            .iter()
            .map(|good| {
                let top = rise + fall - 1;
                let next = match (counter, good) {
                    (None, true) => top,
                    (None, false) => 0,
                    (Some(n), true) if n >= rise - 1 => top,
                    (Some(n), true) => n + 1,
                    (Some(n), false) if n < rise => 0,
                    (Some(n), false) if n == rise => 0,
                    (Some(n), false) => n - 1,
                };
                counter = Some(next);
                if next >= rise { CheckState::Up } else { CheckState::Down }
            })
            .collect();
        prop_assert_eq!(readings(rhythm, &verdicts), model);
    }

    /// Whatever happens: one run at a time, and the deadline after time has passed lies ahead.
    #[test]
    fn no_overlap_and_no_busy_loop(
        nth: u32,
        watched: bool,
        steps in prop::collection::vec((0_u64..4000, any::<bool>(), any::<bool>()), 1..80),
    ) {
        let mut probe = Probe::new(nth, rhythm(|r| {
            (r.watched, r.fall_delay) = (watched, ms(70));
        }), Now::ZERO);
        let (mut now, mut running) = (0, false);
        for (wait, answer, good) in steps {
            now += wait;
            let due = probe.time_passed(at(now));
            prop_assert!(!(due.start && running), "overlap at {now}");
            running |= due.start;
            if let Some(deadline) = probe.deadline() {
                prop_assert!(deadline > at(now));
            }
            if answer && (running || watched) {
                running = watched;
                probe.answered(at(now), outcome(if good { PASS } else { FAIL }));
                // A run that was missed begins at once, and is not missed again.
                let due = probe.time_passed(at(now));
                running |= due.start;
                if let Some(deadline) = probe.deadline() {
                    prop_assert!(deadline > at(now));
                }
            }
        }
    }
}
