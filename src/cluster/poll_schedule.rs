//! When the nodes of a cluster are asked: all at once, at an interval, and more often while
//! something happens.

use std::time::Duration;

use crate::types::Now;

/// The longest the nodes are asked in quick succession for one reason.
const BURST: Duration = Duration::from_secs(10);
/// Rounds without news that end a burst, if the picture is complete.
const QUIET_ROUNDS: u32 = 3;
/// Hints begin no burst for so long after one that brought nothing new; then for twice that.
const HINT_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LONGEST_HINT_PAUSE: Duration = Duration::from_secs(60);

/// When the rounds of one cluster are due.
#[derive(Debug)]
pub(super) struct PollSchedule {
    interval: Duration,
    fast: Duration,
    next: Now,
    /// A burst is under way, and its end.
    burst: Option<Now>,
    /// Rounds of the burst in a row that brought nothing new.
    rounds_without_news: u32,
    /// The burst has brought something new.
    brought_news: bool,
    /// Bursts in a row that brought nothing new.
    bursts_without_news: u32,
    /// When hints that may mean little begin a burst again, and when serious ones do.
    hints_after: (Now, Now),
}

impl PollSchedule {
    /// The first round is due at once.
    pub(super) fn new(now: Now, interval: Duration, fast: Duration) -> PollSchedule {
        PollSchedule {
            interval,
            fast: fast.min(interval),
            next: now,
            burst: None,
            rounds_without_news: 0,
            brought_news: false,
            bursts_without_news: 0,
            hints_after: (now, now),
        }
    }

    pub(super) fn reconfigured(&mut self, now: Now, interval: Duration, fast: Duration) {
        (self.interval, self.fast) = (interval, fast.min(interval));
        self.next = self.next.min(now + interval);
    }

    pub(super) fn next(&self) -> Now {
        self.next
    }

    /// A burst is under way.
    pub(super) fn is_fast(&self) -> bool {
        self.burst.is_some()
    }

    /// Whether a round begins now. `complete`: nothing is missing from the picture.
    pub(super) fn due(&mut self, now: Now, complete: bool) -> bool {
        if now < self.next {
            return false;
        }
        self.rounds_without_news = self.rounds_without_news.saturating_add(1);
        let over = |end: Now| end <= now || (complete && self.rounds_without_news > QUIET_ROUNDS);
        if self.burst.is_some_and(over) {
            self.burst = None;
            self.bursts_without_news =
                if self.brought_news { 0 } else { self.bursts_without_news.saturating_add(1) };
            let pause = HINT_PAUSE.saturating_mul(1 << self.bursts_without_news.min(6));
            self.hints_after = (now + pause.min(LONGEST_HINT_PAUSE), now + HINT_PAUSE);
        }
        self.next = now + if self.is_fast() { self.fast } else { self.interval };
        true
    }

    /// Something has changed: a burst begins, or goes on.
    pub(super) fn changed(&mut self, now: Now) {
        self.begin(now);
        self.brought_news = true;
        self.burst = Some(now + BURST);
        self.next = self.next.min(now + self.fast);
    }

    /// Somebody noticed something, which may well be `serious`: the next round is now.
    pub(super) fn hinted(&mut self, now: Now, serious: bool) {
        let hints_after = if serious { self.hints_after.1 } else { self.hints_after.0 };
        if self.is_fast() || now < hints_after {
            return;
        }
        self.begin(now);
        self.burst = Some(now + BURST);
        self.next = now;
    }

    fn begin(&mut self, now: Now) {
        if !self.is_fast() {
            self.brought_news = false;
            self.hints_after = (now, now);
        }
        self.rounds_without_news = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FAST: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Now {
        Now::from_start(Duration::from_millis(ms))
    }

    /// The rounds until `end`.
    fn rounds(schedule: &mut PollSchedule, end: Now, complete: bool) -> Vec<u128> {
        let mut rounds = Vec::new();
        while schedule.next() <= end {
            let now = schedule.next();
            assert!(schedule.due(now, complete));
            rounds.push(now.since_start().as_millis());
        }
        rounds
    }

    #[test]
    fn a_hint_brings_a_round_at_once_and_a_few_more() {
        let mut schedule = PollSchedule::new(at(0), SECOND, FAST);
        assert_eq!(rounds(&mut schedule, at(2000), true), [0, 1000, 2000]);
        schedule.hinted(at(2300), false);
        assert_eq!(rounds(&mut schedule, at(4000), true), [2300, 2400, 2500, 2600, 3600]);
    }

    #[test]
    fn an_incomplete_picture_is_looked_at_for_ten_seconds() {
        let mut schedule = PollSchedule::new(at(0), SECOND, FAST);
        schedule.changed(at(0));
        let found = rounds(&mut schedule, at(14_000), false);
        assert_eq!(found.len(), 100 + 5);
        assert_eq!(found[99..102], [9900, 10_000, 11_000]);
    }

    #[test]
    fn hints_that_come_to_nothing_are_listened_to_less_and_less() {
        let mut schedule = PollSchedule::new(at(0), SECOND, FAST);
        let mut asked = 0;
        for ms in 0..60_000 {
            schedule.hinted(at(ms), false);
            asked += usize::from(schedule.due(at(ms), true));
        }
        assert!((60..90).contains(&asked), "{asked}");
        schedule.changed(at(60_000));
        rounds(&mut schedule, at(62_000), true);
        schedule.hinted(at(62_100), false);
        assert_eq!(schedule.next(), at(62_100));
    }
}
