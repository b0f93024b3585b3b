//! How far a standby is behind, and when that matters.
//!
//! Bytes are the difference between what the primary had written and what the standby had replayed
//! when both were asked at the same moment. Time is how long ago the primary was where the standby
//! is, by this host's own record, so neither clocks of other hosts nor a primary that is idle for an
//! hour make it wrong.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::config::checks::MaxLag;
use crate::text::size;
use crate::types::Now;

/// Positions of the primary are remembered at this distance.
const SPACING: Duration = Duration::from_millis(250);
/// As many of them: two and a half minutes.
const MOST: usize = 600;
/// Good measurements in a row that let a standby return.
const RETURN: u32 = 2;

/// Where the primary's write-ahead log ended, and when.
#[derive(Debug, Default)]
pub(super) struct WalHistory(VecDeque<(Now, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Which measurement of this member it is.
    pub nth: u64,
    /// Bytes of write-ahead log not replayed.
    pub bytes: u64,
    /// For how long; `None`: for longer than is remembered, and the standby does not know either.
    pub time: Option<Duration>,
}

impl WalHistory {
    /// The primary had written up to `location`.
    pub(super) fn note(&mut self, now: Now, location: u64) {
        if self.0.back().is_some_and(|(_, last)| *last > location) {
            // Another history.
            self.0.clear();
        }
        let before = self.0.len().checked_sub(2).and_then(|place| self.0.get(place));
        if before.is_some_and(|(at, _)| now.since(*at) < SPACING) {
            self.0.pop_back();
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, location));
    }

    /// How far behind somebody is who has replayed up to `replayed`, and whose last transaction is
    /// as old as it says.
    pub(super) fn lag(
        &self,
        now: Now,
        replayed: u64,
        age: Option<Duration>,
    ) -> (u64, Option<Duration>) {
        let Some((_, location)) = self.0.back() else { return (0, None) };
        let bytes = location.saturating_sub(replayed);
        let Some(passed) = self.0.iter().position(|(_, location)| *location > replayed) else {
            return (bytes, Some(Duration::ZERO));
        };
        let ago = self.0.get(passed).map(|(at, _)| now.since(*at)).filter(|_| passed > 0);
        let time = match (ago, age) {
            (Some(ago), Some(age)) => Some(ago.min(age)),
            (ago, age) => ago.or(age),
        };
        (bytes, time)
    }
}

/// Whether a standby lags too much for one listener: it leaves at the limit, and returns when it is
/// well below it more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct LagHysteresis {
    excluded: bool,
    /// Good measurements in a row since then.
    good: u32,
    seen: Option<u64>,
}

impl LagHysteresis {
    /// Whether the standby is excluded, after `lag`; one that is not known changes nothing.
    pub(super) fn judge(&mut self, lag: Option<Lag>, most: MaxLag) -> bool {
        if most == MaxLag::default() {
            *self = LagHysteresis::default();
            return false;
        }
        let Some(lag) = lag.filter(|lag| self.seen != Some(lag.nth)) else { return self.excluded };
        self.seen = Some(lag.nth);
        if exceeds(lag, most, 10) {
            (self.excluded, self.good) = (true, 0);
        } else if self.excluded {
            self.good = if exceeds(lag, most, 8) { 0 } else { self.good + 1 };
            self.excluded = self.good < RETURN;
        }
        self.excluded
    }
}

/// Whether a lag is more than so many tenths of the limit.
fn exceeds(lag: Lag, most: MaxLag, tenths: u32) -> bool {
    let bytes = |most: u64| u128::from(lag.bytes) * 10 > u128::from(most) * u128::from(tenths);
    let late = |most: Duration| {
        lag.time.is_none_or(|time| time.saturating_mul(10) > most.saturating_mul(tenths))
    };
    most.bytes.is_some_and(bytes) || (lag.bytes > 0 && most.time.is_some_and(late))
}

/// The limit in words, for those who are beyond it.
pub(super) struct Limit(pub(super) MaxLag);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.bytes, self.0.time) {
            (Some(bytes), Some(time)) => write!(f, "{} or {time:?}", size(bytes)),
            (Some(bytes), None) => f.write_str(&size(bytes)),
            (None, Some(time)) => write!(f, "{time:?}"),
            (None, None) => f.write_str("any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn at(seconds: u64) -> Now {
        Now::from_start(Duration::from_secs(seconds))
    }

    fn secs(s: u64) -> Option<Duration> {
        Some(Duration::from_secs(s))
    }

    #[test]
    fn time_is_since_the_primary_was_there() {
        let mut history = WalHistory::default();
        for second in 0..20 {
            history.note(at(second), 100 * (second + 1));
        }
        assert_eq!(history.lag(at(19), 2000, None), (0, secs(0)));
        assert_eq!(history.lag(at(19), 1500, None), (500, secs(4)));
        assert_eq!(history.lag(at(19), 1500, secs(3)), (500, secs(3)));
        // From before the record began only the standby itself can tell.
        assert_eq!(history.lag(at(19), 50, None), (1950, None));
        assert_eq!(history.lag(at(19), 50, secs(70)), (1950, secs(70)));
    }

    #[test]
    fn an_idle_primary_makes_nobody_late() {
        let mut history = WalHistory::default();
        for second in 0..3600 {
            history.note(at(second), 500);
        }
        assert_eq!(history.lag(at(3599), 500, secs(3600)), (0, secs(0)));
        history.note(at(3600), 700);
        assert_eq!(history.lag(at(3600), 500, secs(3601)), (200, secs(0)));
    }

    #[test]
    fn the_record_is_bounded_whatever_the_pace() {
        let mut history = WalHistory::default();
        for tick in 0..100_000_u64 {
            history.note(Now::from_start(Duration::from_millis(tick * 10)), tick);
        }
        assert_eq!(history.0.len(), MOST);
        let (first, last) = (history.0.front().unwrap().0, history.0.back().unwrap().0);
        assert!(last.since(first) > Duration::from_secs(140), "{:?}", last.since(first));
    }

    #[test]
    fn a_standby_leaves_at_the_limit_and_returns_well_below_it() {
        let most = MaxLag { bytes: Some(10 * MB), time: None };
        let mut hysteresis = LagHysteresis::default();
        let mut nth = 0;
        let mut judge = |bytes| {
            nth += 1;
            hysteresis.judge(Some(Lag { nth, bytes, time: None }), most)
        };
        assert!(!judge(10 * MB));
        assert!(judge(10 * MB + 10));
        assert!(judge(9 * MB));
        assert!(judge(8 * MB));
        assert!(judge(9 * MB), "not twice in a row");
        assert!(judge(8 * MB));
        assert!(!judge(7 * MB));
        assert!(!judge(9 * MB));
        for most in [0, 1, 9, 16, 104_857_599] {
            let mut hysteresis = LagHysteresis::default();
            let limit = MaxLag { bytes: Some(most), time: None };
            assert!(
                !hysteresis.judge(Some(Lag { nth: 1, bytes: most, time: None }), limit),
                "{most}"
            );
            assert!(
                hysteresis.judge(Some(Lag { nth: 2, bytes: most + 1, time: None }), limit),
                "{most}"
            );
        }
        // The same measurement again is no further one.
        assert!(judge(11 * MB));
        let again = Some(Lag { nth: nth + 1, bytes: MB, time: None });
        assert!(hysteresis.judge(again, most) && hysteresis.judge(again, most));
        assert!(hysteresis.judge(None, most));
    }
}
