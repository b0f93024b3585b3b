//! When the engine is asked next, even if a deadline of its does not move.

use std::time::Duration;

use crate::types::Now;

/// How long a deadline that did not move is passed over: the loop would do nothing else, and those
/// behind it are late by no more than this.
const PASSED_OVER: Duration = Duration::from_millis(10);

/// It is said once in this time.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The engine's next deadline, on the way to the timer.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    not_before: Option<Now>,
    said: Option<Now>,
}

impl Deadline {
    /// When to wake up for it.
    pub(super) fn wake(&self, deadline: Now) -> Now {
        self.not_before.map_or(deadline, |at| at.max(deadline))
    }

    /// A tick of `now` was handled, and this is what comes next. Returns whether it has not moved and
    /// that is to be said.
    pub(super) fn ticked(&mut self, now: Now, next: Option<Now>) -> bool {
        let unmoved = next.is_some_and(|next| next <= now);
        self.not_before = unmoved.then(|| now + PASSED_OVER);
        let say = unmoved && self.said.is_none_or(|at| now.since(at) >= SAY_EVERY);
        if say {
            self.said = Some(now);
        }
        say
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_does_not_move_is_passed_over_and_said_once_a_minute() {
        let mut deadline = Deadline::default();
        let second = Duration::from_secs(1);
        let at = Now::ZERO + second;
        assert_eq!(deadline.wake(at), at);
        assert!(deadline.ticked(at, Some(at)));
        assert_eq!(deadline.wake(at), at + PASSED_OVER);
        // One that comes later is not touched.
        assert_eq!(deadline.wake(at + second), at + second);
        assert!(!deadline.ticked(at + PASSED_OVER, Some(at)));
        assert!(!deadline.ticked(at + second, Some(at + second * 2)));
        assert_eq!(deadline.wake(at), at);
        assert!(deadline.ticked(at + SAY_EVERY, Some(at)));
    }
}
