//! The timers of one worker, in the order in which they end. A session keeps at most one, and whoever
//! sets a timer remembers its moment to cancel it: a worker with idle sessions has none to look through.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::slab::Key;
use crate::pool::ListenerId;

/// How often idle sessions are looked for.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The time of a session's stage, or of a cancel request, is up.
    Entry(Key),
    /// Accepting from a listening socket goes on.
    ListenSocket(usize),
    /// Listening sockets that broke are opened again.
    ReopenBroken,
    /// Servers that failed are tried again.
    Retry(ListenerId),
    /// One more waiting client may be released.
    NextToken(ListenerId),
    Sweep,
}

#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Cancel a timer that was set for `at`.
    pub(super) fn cancel(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    /// When the next timer ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Take the first of those that have ended.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_end_in_their_order_and_cancelled_ones_never() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(at(2), Timer::Sweep);
        timers.set(at(1), Timer::ReopenBroken);
        timers.set(at(1), Timer::ListenSocket(3));
        timers.cancel(at(1), Timer::ListenSocket(3));
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(at(0)), None);
        assert_eq!(timers.pop_due(at(1)), Some(Timer::ReopenBroken));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(timers.pop_due(at(9)), Some(Timer::Sweep));
        assert_eq!(timers.next(), None);
    }
}
