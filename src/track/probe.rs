//! From answers to a standing: when a check runs, and how many answers turn it.
//!
//! A run never overlaps the one before. Runs keep their phase: one that was due while another was
//! under way starts late, or not at all, and moves nothing.

use std::num::NonZeroU32;
use std::time::Duration;

use super::outcome::{Cause, Outcome, Verdict};
use super::weight::Reading;
use crate::config::{OnTimeout, Rhythm};
use crate::types::Now;

/// How much later than its timeout a run may answer before it counts as timed out all the same: the
/// shell answers on time, so nothing but a hanging shell makes use of it.
const GRACE: Duration = Duration::from_secs(1);

/// The standing of one check.
#[derive(Debug)]
pub struct Probe {
    nth: u32,
    rhythm: Rhythm,
    reading: Reading,
    since: Now,
    /// Answers in a row that contradict the reading.
    against: u32,
    /// When the contradiction becomes the reading, if it lasts.
    turns: Option<Now>,
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
    /// Run the check.
    pub start: bool,
    /// The reading changed.
    pub turned: bool,
}

impl Probe {
    /// The `nth` check: it runs for the first time at `now`, and again within one interval, so that
    /// checks which began together do not go on together.
    #[must_use]
    pub fn new(nth: u32, rhythm: Rhythm, now: Now) -> Probe {
        let reading = if rhythm.init_fail { Reading::Down } else { Reading::Untested };
        Probe {
            nth,
            rhythm,
            reading,
            since: now,
            against: 0,
            turns: None,
            run: Run::Waiting { next: now },
            last: None,
        }
    }

    /// What it says.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// Since when it has said so.
    #[must_use]
    pub fn since(&self) -> Now {
        self.since
    }

    /// Nothing is known: no answer has come, and none was assumed.
    #[must_use]
    pub fn is_untested(&self) -> bool {
        self.reading == Reading::Untested
    }

    /// When it runs and what turns it.
    #[must_use]
    pub fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    /// The last answer, and when it came.
    #[must_use]
    pub fn last(&self) -> Option<&(Now, Outcome)> {
        self.last.as_ref()
    }

    /// Answers in a row that contradict the reading, and how many turn it.
    #[must_use]
    pub fn against(&self) -> (u32, NonZeroU32) {
        let needed = match self.reading {
            Reading::Down => self.rhythm.rise,
            Reading::Untested | Reading::Up | Reading::Value(_) => self.rhythm.fall,
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
        [run, self.turns].into_iter().flatten().min()
    }

    /// A deadline may have passed.
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
                due.turned |= self.heard(now, silence);
            }
        }
        if self.turns.is_some_and(|at| at <= now) {
            due.turned |= self.turn(now, self.opposite());
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

    /// The check answered; `true` if the reading changed.
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
        self.heard(now, outcome)
    }

    /// The same check with another rhythm: what is known stays known.
    pub fn reconfigured(&mut self, now: Now, rhythm: Rhythm) {
        if let Run::Waiting { next } = &mut self.run {
            *next = (*next).min(now + rhythm.interval);
        }
        self.rhythm = rhythm;
    }

    /// From this answer on it runs at another interval.
    pub fn paced(&mut self, now: Now, interval: Duration) {
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

    fn opposite(&self) -> Reading {
        if self.reading == Reading::Up { Reading::Down } else { Reading::Up }
    }

    fn heard(&mut self, now: Now, outcome: Outcome) -> bool {
        let verdict = outcome.verdict;
        self.last = Some((now, outcome));
        let good = match verdict {
            Verdict::Value(value) => return self.turn(now, Reading::Value(value)),
            Verdict::Failed(Cause::TimedOut) if self.keeps() => return false,
            Verdict::Passed => true,
            Verdict::Failed(_) => false,
        };
        match self.reading {
            Reading::Untested | Reading::Value(_) => {
                self.turn(now, if good { Reading::Up } else { Reading::Down })
            }
            Reading::Up if !good => {
                self.contradicted(now, self.rhythm.fall, self.rhythm.fall_delay)
            }
            Reading::Down if good => {
                self.contradicted(now, self.rhythm.rise, self.rhythm.rise_delay)
            }
            Reading::Up | Reading::Down => {
                self.against = 0;
                self.turns = None;
                false
            }
        }
    }

    fn keeps(&self) -> bool {
        self.rhythm.on_timeout == OnTimeout::Keep && !self.is_untested()
    }

    fn contradicted(&mut self, now: Now, needed: NonZeroU32, delay: Duration) -> bool {
        self.against = self.against.saturating_add(1);
        if self.against < needed.get() {
            return false;
        }
        if delay.is_zero() {
            return self.turn(now, self.opposite());
        }
        self.turns.get_or_insert(now + delay);
        false
    }

    fn turn(&mut self, now: Now, to: Reading) -> bool {
        self.against = 0;
        self.turns = None;
        let changed = self.reading != to;
        if changed {
            self.reading = to;
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
