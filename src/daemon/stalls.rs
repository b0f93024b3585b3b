//! How late the control thread was: what of it an operator should know.

use std::time::Duration;

use crate::config::Config;
use crate::status::{StallStatus, millis};
use crate::types::Now;

/// Nobody asks what was longer ago.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two lines of the log.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Later than this matters whatever the intervals are.
const MOST: Duration = Duration::from_millis(100);

/// The worst of the last day.
#[derive(Debug)]
pub(super) struct Stalls {
    tolerated: Duration,
    worst: Option<(Now, Duration)>,
    logged: Option<Now>,
}

impl Stalls {
    pub(super) fn new(config: &Config) -> Stalls {
        Stalls { tolerated: tolerated(config), worst: None, logged: None }
    }

    pub(super) fn reconfigured(&mut self, config: &Config) {
        self.tolerated = tolerated(config);
    }

    /// A deadline was met that much late: what to log of it.
    pub(super) fn was_late(&mut self, now: Now, late: Duration) -> Option<String> {
        if late <= self.tolerated {
            return None;
        }
        let recent = |(at, _): &(Now, Duration)| now.since(*at) <= REMEMBERED;
        let worst = self.worst.filter(recent).map_or(Duration::ZERO, |(_, late)| late);
        if late >= worst {
            self.worst = Some((now, late));
        }
        if self.logged.is_some_and(|at| now.since(at) < LOG_EVERY) {
            return None;
        }
        self.logged = Some(now);
        Some(format!("the host did not run vipd for {:.1} s", late.as_secs_f64()))
    }

    pub(super) fn status(&self, now: Now) -> Option<StallStatus> {
        let (at, late) = self.worst?;
        let age = now.since(at);
        (age <= REMEMBERED).then(|| StallStatus { lasted_ms: millis(late), age_ms: millis(age) })
    }
}

/// A tenth of the shortest interval: a peer waits for three of them.
fn tolerated(config: &Config) -> Duration {
    let intervals = config.routers.iter().map(|router| router.interval.as_duration() / 10);
    intervals.min().unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stalls() -> Stalls {
        Stalls::new(&Config::default())
    }

    fn at(seconds: u64) -> Now {
        Now::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn what_cost_nothing_is_not_told_and_the_worst_is_for_a_day() {
        let mut stalls = stalls();
        assert_eq!(stalls.was_late(at(1), Duration::from_millis(99)), None);
        assert_eq!(stalls.status(at(1)), None);
        let said = stalls.was_late(at(2), Duration::from_millis(312));
        assert_eq!(said.as_deref(), Some("the host did not run vipd for 0.3 s"));
        assert_eq!(stalls.was_late(at(3), Duration::from_millis(120)), None, "once a minute");
        let told = StallStatus { lasted_ms: 312, age_ms: 2000 };
        assert_eq!(stalls.status(at(4)), Some(told));
        // A day later it is history, and the next is a new one.
        let next = 2 + 24 * 60 * 60;
        assert!(stalls.status(at(next)).is_some());
        assert_eq!(stalls.status(at(next + 1)), None);
        stalls.was_late(at(next + 2), Duration::from_millis(120));
        assert_eq!(stalls.status(at(next + 2)).map(|stall| stall.lasted_ms), Some(120));
    }
}
