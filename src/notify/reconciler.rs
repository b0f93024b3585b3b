//! `while_master`: a command that is run until it succeeds, and again from time to time, for as long
//! as the router is master. An address of a cloud follows the master this way, whichever call
//! was lost, refused or overtaken.

use std::time::Duration;

use crate::types::Now;

/// The first pause after a failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When the command of one router runs.
#[derive(Debug, Default)]
pub struct Reconciler {
    /// When it is run next; `None`: the router is not master, or it is running.
    due: Option<Now>,
    master: bool,
    attempt: u32,
    /// The last run did, in this mastership.
    succeeded: bool,
}

impl Reconciler {
    /// The router has become master, or is one no more.
    pub fn master(&mut self, now: Now, master: bool) {
        if self.master != master {
            let due = master.then_some(now);
            *self = Reconciler { due, master, ..Reconciler::default() };
        }
    }

    #[must_use]
    pub fn due(&self) -> Option<Now> {
        self.due
    }

    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.master
    }

    /// Whether the last run since the router became master succeeded.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.succeeded
    }

    /// It is run now; the number of this attempt since the last success, from 1.
    pub fn begin(&mut self) -> u32 {
        self.due = None;
        self.attempt = self.attempt.saturating_add(1);
        self.attempt
    }

    /// The run is over. `every`: from a success to the next run.
    pub fn done(&mut self, now: Now, succeeded: bool, every: Duration) {
        if !self.master {
            return;
        }
        self.succeeded = succeeded;
        let pause = if succeeded {
            self.attempt = 0;
            every
        } else {
            let doubled = 1_u32.checked_shl(self.attempt.saturating_sub(1)).unwrap_or(u32::MAX);
            FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
        };
        self.due = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::ZERO + Duration::from_secs(seconds)
    }

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn failures_are_tried_again_with_growing_pauses_and_successes_now_and_then() {
        let mut reconciler = Reconciler::default();
        assert_eq!(reconciler.due(), None);
        reconciler.master(at(0), true);
        assert_eq!(reconciler.due(), Some(at(0)));
        let mut now = 0;
        for (attempt, pause) in (1..).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            assert_eq!(reconciler.begin(), attempt);
            assert_eq!(reconciler.due(), None, "never twice at a time");
            reconciler.done(at(now), false, EVERY);
            now += pause;
            assert_eq!(reconciler.due(), Some(at(now)));
        }
        reconciler.begin();
        reconciler.done(at(now), true, EVERY);
        assert_eq!(reconciler.due(), Some(at(now + 30)));
        assert!(reconciler.has_succeeded());
        assert_eq!(reconciler.begin(), 1, "a success ends the count");
    }

    #[test]
    fn it_ends_with_the_mastership() {
        let mut reconciler = Reconciler::default();
        reconciler.master(at(0), true);
        reconciler.begin();
        reconciler.done(at(0), true, EVERY);
        reconciler.begin();
        reconciler.master(at(1), false);
        reconciler.done(at(2), true, EVERY);
        assert_eq!(reconciler.due(), None);
        assert!(!reconciler.is_wanted());
        reconciler.master(at(3), true);
        assert!(!reconciler.has_succeeded(), "that was another mastership");
        reconciler.master(at(9), true);
        assert_eq!(reconciler.due(), Some(at(3)), "said twice is said once");
    }
}
