//! When the nodes of a cluster are asked: all at once, at an interval, and more often while
//! something happens.

use std::time::Duration;

use crate::types::Now;

/// The longest the nodes are asked in quick succession for one reason.
const BURST: Duration = Duration::from_secs(10);
/// Rounds without news that end a burst, if the picture is complete.
const CALM: u32 = 3;
/// After a burst that brought nothing, hints are not listened to for so long; then twice that.
const REST: Duration = Duration::from_secs(1);
/// The longest rest.
const MOST_REST: Duration = Duration::from_secs(60);

/// The rounds of one cluster.
#[derive(Debug)]
pub(super) struct Cadence {
    interval: Duration,
    fast: Duration,
    next: Now,
    /// A burst is under way, and its end.
    burst: Option<Now>,
    /// Rounds of the burst in a row that brought nothing new.
    calm: u32,
    /// The burst has brought something.
    fruitful: bool,
    /// Bursts in a row that brought nothing.
    fruitless: u32,
    /// When hints that may mean little are listened to again, and when others are.
    rested: (Now, Now),
}

impl Cadence {
    /// The first round is due at once.
    pub(super) fn new(now: Now, interval: Duration, fast: Duration) -> Cadence {
        Cadence {
            interval,
            fast: fast.min(interval),
            next: now,
            burst: None,
            calm: 0,
            fruitful: false,
            fruitless: 0,
            rested: (now, now),
        }
    }

    pub(super) fn reconfigured(&mut self, now: Now, interval: Duration, fast: Duration) {
        (self.interval, self.fast) = (interval, fast.min(interval));
        self.next = self.next.min(now + interval);
    }

    /// When the next round is due.
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
        self.calm = self.calm.saturating_add(1);
        let over = |end: Now| end <= now || (complete && self.calm > CALM);
        if self.burst.is_some_and(over) {
            self.burst = None;
            self.fruitless = if self.fruitful { 0 } else { self.fruitless.saturating_add(1) };
            let rest = REST.saturating_mul(1 << self.fruitless.min(6));
            self.rested = (now + rest.min(MOST_REST), now + REST);
        }
        self.next = now + if self.is_fast() { self.fast } else { self.interval };
        true
    }

    /// Something is other than it was.
    pub(super) fn changed(&mut self, now: Now) {
        self.begin(now);
        self.fruitful = true;
        self.burst = Some(now + BURST);
        self.next = self.next.min(now + self.fast);
    }

    /// Somebody noticed something, which may well be `serious`: the next round is now.
    pub(super) fn hinted(&mut self, now: Now, serious: bool) {
        let rested = if serious { self.rested.1 } else { self.rested.0 };
        if self.is_fast() || now < rested {
            return;
        }
        self.begin(now);
        self.burst = Some(now + BURST);
        self.next = now;
    }

    fn begin(&mut self, now: Now) {
        if !self.is_fast() {
            self.fruitful = false;
            self.rested = (now, now);
        }
        self.calm = 0;
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
    fn rounds(cadence: &mut Cadence, end: Now, complete: bool) -> Vec<u128> {
        let mut rounds = Vec::new();
        while cadence.next() <= end {
            let now = cadence.next();
            assert!(cadence.due(now, complete));
            rounds.push(now.since_start().as_millis());
        }
        rounds
    }

    #[test]
    fn a_hint_brings_a_round_at_once_and_a_few_more() {
        let mut cadence = Cadence::new(at(0), SECOND, FAST);
        assert_eq!(rounds(&mut cadence, at(2000), true), [0, 1000, 2000]);
        cadence.hinted(at(2300), false);
        assert_eq!(rounds(&mut cadence, at(4000), true), [2300, 2400, 2500, 2600, 3600]);
    }

    #[test]
    fn an_incomplete_picture_is_looked_at_for_ten_seconds() {
        let mut cadence = Cadence::new(at(0), SECOND, FAST);
        cadence.changed(at(0));
        let found = rounds(&mut cadence, at(14_000), false);
        assert_eq!(found.len(), 100 + 5);
        assert_eq!(found[99..102], [9900, 10_000, 11_000]);
    }

    #[test]
    fn hints_that_come_to_nothing_are_listened_to_less_and_less() {
        let mut cadence = Cadence::new(at(0), SECOND, FAST);
        let mut asked = 0;
        for ms in 0..60_000 {
            cadence.hinted(at(ms), false);
            asked += usize::from(cadence.due(at(ms), true));
        }
        assert!((60..90).contains(&asked), "{asked}");
        cadence.changed(at(60_000));
        rounds(&mut cadence, at(62_000), true);
        cadence.hinted(at(62_100), false);
        assert_eq!(cadence.next(), at(62_100));
    }
}
