//! When a check runs, and how many answers change its state.
//!
//! A run never overlaps the one before. Runs keep their phase: one that was due while another was
//! under way starts late, or not at all, and moves nothing.

use std::num::NonZeroU32;
use std::time::Duration;

use super::outcome::{Cause, Outcome, Verdict};
use super::weight::CheckState;
use crate::config::{OnTimeout, Rhythm};
use crate::types::Now;

/// How much later than its timeout a run may answer before it counts as timed out all the same: the
/// shell answers on time, so nothing but a hanging shell makes use of it.
const GRACE: Duration = Duration::from_secs(1);

/// The schedule of one check, and its state.
#[derive(Debug)]
pub struct Probe {
    nth: u32,
    rhythm: Rhythm,
    state: CheckState,
    since: Now,
    /// Answers in a row that contradict the state.
    against: u32,
    /// When the state changes, if the answers go on to contradict it.
    changes_at: Option<Now>,
    run: Run,
    last: Option<(Now, Outcome)>,
}

#[derive(Debug)]
enum Run {
    Waiting {
        next: Now,
    },
    Running {
        since: Now,
        next: Now,
        /// When silence becomes a failure.
        overdue: Now,
    },
    /// A watched check that has answered.
    Watching,
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub start: bool,
    pub changed: bool,
}

impl Probe {
    /// The `nth` check: it runs for the first time at `now`, and again within one interval, so that
    /// checks which began together do not go on together.
    #[must_use]
    pub fn new(nth: u32, rhythm: Rhythm, now: Now) -> Probe {
        let state = if rhythm.init_fail { CheckState::Down } else { CheckState::Untested };
        Probe {
            nth,
            rhythm,
            state,
            since: now,
            against: 0,
            changes_at: None,
            run: Run::Waiting { next: now },
            last: None,
        }
    }

    #[must_use]
    pub fn state(&self) -> CheckState {
        self.state
    }

    /// Since when the state has been that.
    #[must_use]
    pub fn since(&self) -> Now {
        self.since
    }

    /// Nothing is known: no answer has come, and none was assumed.
    #[must_use]
    pub fn is_untested(&self) -> bool {
        self.state == CheckState::Untested
    }

    /// How often it runs, and what changes its state.
    #[must_use]
    pub fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// The last answer, and when it came.
    #[must_use]
    pub fn last(&self) -> Option<&(Now, Outcome)> {
        self.last.as_ref()
    }

    /// Answers in a row that contradict the state, and how many change it.
    #[must_use]
    pub fn against(&self) -> (u32, NonZeroU32) {
        let needed = match self.state {
            CheckState::Down => self.rhythm.rise,
            CheckState::Untested | CheckState::Up | CheckState::Value(_) => self.rhythm.fall,
        };
        (self.against, needed)
    }

    /// Since when a run has been under way.
    #[must_use]
    pub fn running_since(&self) -> Option<Now> {
        match self.run {
            Run::Running { since, .. } => Some(since),
            Run::Waiting { .. } | Run::Watching => None,
        }
    }

    /// When [`Probe::time_passed`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let run = match self.run {
            Run::Waiting { next } => Some(next),
            Run::Running { overdue, .. } => Some(overdue),
            Run::Watching => None,
        };
        [run, self.changes_at].into_iter().flatten().min()
    }

    pub fn time_passed(&mut self, now: Now) -> Due {
        let mut due = Due::default();
        if let Run::Running { overdue, .. } = &mut self.run
            && *overdue <= now
        {
            let late = now.since(*overdue);
            *overdue = now + self.rhythm.interval.max(GRACE);
            // An engine that itself comes late has not read the answers that wait.
            if late < GRACE / 2 {
                let silence = Outcome {
                    verdict: Verdict::Failed(Cause::TimedOut),
                    detail: "the check does not come back".to_owned(),
                    output: String::new(),
                    took: self.rhythm.timeout,
                };
                due.changed |= self.record(now, silence);
            }
        }
        if self.changes_at.is_some_and(|at| at <= now) {
            due.changed |= self.set_state(now, self.opposite());
        }
        if let Run::Waiting { next } = self.run
            && next <= now
        {
            let first = self.last.is_none();
            let next = if first { now + self.phase() } else { self.on_grid(next, now) };
            let overdue = now + self.rhythm.timeout + GRACE;
            self.run = Run::Running { since: now, next, overdue };
            due.start = true;
        }
        due
    }

    /// The check answered; `true` if the state changed.
    pub fn answered(&mut self, now: Now, outcome: Outcome) -> bool {
        if self.rhythm.watched {
            self.run = Run::Watching;
        } else if let Run::Running { next, .. } = self.run {
            // What was due meanwhile begins now: else a timeout as long as the interval would halve
            // the rate while something hangs.
            let missed = now.since(next) > self.rhythm.interval / 2;
            let next = if missed { self.on_grid(next, now) } else { next };
            self.run = Run::Waiting { next };
        }
        self.record(now, outcome)
    }

    /// The same check with another rhythm: what is known stays known.
    pub fn reconfigured(&mut self, now: Now, rhythm: Rhythm) {
        if let Run::Waiting { next } = &mut self.run {
            *next = (*next).min(now + rhythm.interval);
        }
        self.rhythm = rhythm;
    }

    /// From this answer on it runs at another interval.
    pub fn set_interval(&mut self, now: Now, interval: Duration) {
        if interval == self.rhythm.interval {
            return;
        }
        self.rhythm.interval = interval;
        if let Run::Waiting { next } = &mut self.run {
            *next = now + interval;
        }
    }

    /// From the first run to the second: the multiples of the golden ratio spread any number of
    /// checks evenly over the interval.
    fn phase(&self) -> Duration {
        let part = self.nth.wrapping_mul(0x9E37_79B9);
        let early = self.rhythm.interval.as_nanos().saturating_mul(u128::from(part)) >> 32;
        self.rhythm.interval.saturating_sub(nanos(early))
    }

    /// The first start after `now` that is whole intervals after `from`.
    fn on_grid(&self, from: Now, now: Now) -> Now {
        let interval = self.rhythm.interval.as_nanos().max(1);
        let missed = now.since(from).as_nanos() / interval;
        from + nanos((missed + 1).saturating_mul(interval))
    }

    fn opposite(&self) -> CheckState {
        if self.state == CheckState::Up { CheckState::Down } else { CheckState::Up }
    }

    fn record(&mut self, now: Now, outcome: Outcome) -> bool {
        let verdict = outcome.verdict;
        self.last = Some((now, outcome));
        let good = match verdict {
            Verdict::Value(value) => return self.set_state(now, CheckState::Value(value)),
            Verdict::Failed(Cause::TimedOut) if self.keeps_state() => return false,
            Verdict::Passed => true,
            Verdict::Failed(_) => false,
        };
        match self.state {
            CheckState::Untested | CheckState::Value(_) => {
                self.set_state(now, if good { CheckState::Up } else { CheckState::Down })
            }
            CheckState::Up if !good => {
                self.contradicted(now, self.rhythm.fall, self.rhythm.fall_delay)
            }
            CheckState::Down if good => {
                self.contradicted(now, self.rhythm.rise, self.rhythm.rise_delay)
            }
            CheckState::Up | CheckState::Down => {
                self.against = 0;
                self.changes_at = None;
                false
            }
        }
    }

    fn keeps_state(&self) -> bool {
        self.rhythm.on_timeout == OnTimeout::Keep && !self.is_untested()
    }

    fn contradicted(&mut self, now: Now, needed: NonZeroU32, delay: Duration) -> bool {
        self.against = self.against.saturating_add(1);
        if self.against < needed.get() {
            return false;
        }
        if delay.is_zero() {
            return self.set_state(now, self.opposite());
        }
        self.changes_at.get_or_insert(now + delay);
        false
    }

    fn set_state(&mut self, now: Now, to: CheckState) -> bool {
        self.against = 0;
        self.changes_at = None;
        let changed = self.state != to;
        if changed {
            self.state = to;
            self.since = now;
        }
        changed
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
