//! For how long a primary is used after it last said that it is one.
//!
//! A Patroni that is frozen or cut off does not stop clients from writing to its PostgreSQL. Its
//! lock ends
//! `ttl` after it was last refreshed, and that was up to `loop_wait` before the last good answer: from
//! `ttl - loop_wait` after that answer on, another node may be the primary.

use std::time::Duration;

use crate::config::MOST_LEASE;
use crate::track::patroni::Settings;

/// Sessions must have ended this long before another primary can exist.
const RESERVE: Duration = Duration::from_secs(2);

/// A shorter lease would end between two answers of a healthy node.
const LEAST: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Lease {
    configured: Option<Duration>,
    settings: Option<Settings>,
}

impl Lease {
    pub(super) fn new(configured: Option<Duration>) -> Lease {
        Lease { configured, settings: None }
    }

    pub(super) fn reconfigured(&mut self, configured: Option<Duration>) {
        self.configured = configured;
    }

    /// Store Patroni's settings; `true` if they have changed.
    pub(super) fn learnt(&mut self, settings: Settings) -> bool {
        self.settings.replace(settings) != Some(settings)
    }

    /// Patroni's settings, or its defaults until they are known.
    pub(super) fn settings(&self) -> Settings {
        self.settings.unwrap_or(Settings::DEFAULT)
    }

    /// How long a primary is used after the last question it answered well was sent.
    pub(super) fn length(&self) -> Duration {
        let Settings { ttl, loop_wait, .. } = self.settings();
        let half = ttl.saturating_sub(loop_wait) / 2;
        self.configured.unwrap_or_else(|| half.clamp(LEAST, MOST_LEASE))
    }

    /// How long after that question all sessions must have ended, even on a second opinion.
    pub(super) fn most(&self) -> Duration {
        let Settings { ttl, loop_wait, .. } = self.settings();
        ttl.saturating_sub(loop_wait).saturating_sub(RESERVE)
    }

    /// What is wrong with the configured lease, if anything is.
    pub(super) fn complaint(&self) -> Option<String> {
        let (length, most) = (self.length(), self.most());
        let Settings { ttl, loop_wait, .. } = self.settings?;
        let remedy = match most < LEAST {
            true => {
                "raise ttl: Patroni wants at least loop_wait and twice retry_timeout".to_owned()
            }
            false => format!("set it to at most {most:?}"),
        };
        (length > most).then(|| {
            format!(
                "the lease of {length:?} is too long: with Patroni's ttl {ttl:?} and loop_wait \
                 {loop_wait:?} another primary may exist {:?} after the last answer of a frozen one; \
                 {remedy}",
                ttl.saturating_sub(loop_wait)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn with(configured: Option<u64>, ttl: u64, loop_wait: u64) -> Lease {
        let mut lease = Lease::new(configured.map(secs));
        let settings = Settings { ttl: secs(ttl), loop_wait: secs(loop_wait), failsafe: false };
        lease.learnt(settings);
        lease
    }

    #[test]
    fn the_lease_leaves_room_before_another_primary_can_exist() {
        for (ttl, loop_wait, length, most) in
            [(30, 10, 8, 18), (20, 10, 5, 8), (20, 5, 7, 13), (300, 10, 8, 288)]
        {
            let lease = with(None, ttl, loop_wait);
            assert_eq!(lease.most(), secs(most));
            assert_eq!(lease.length().as_secs(), length);
            assert_eq!(lease.complaint(), None);
        }
    }

    #[test]
    fn a_lease_that_is_too_long_is_complained_about_once_the_settings_are_known() {
        assert_eq!(Lease::new(Some(secs(25))).complaint(), None);
        assert_eq!(with(Some(18), 30, 10).complaint(), None);
        let complaint = with(Some(19), 30, 10).complaint().unwrap();
        assert!(complaint.ends_with("set it to at most 18s"), "{complaint}");
    }

    #[test]
    fn a_ttl_without_room_above_loop_wait_is_complained_about_and_stops_no_writes() {
        for (ttl, loop_wait) in [(10, 10), (11, 10), (5, 30), (0, 0)] {
            let lease = with(None, ttl, loop_wait);
            assert_eq!(lease.length(), secs(2));
            let complaint = lease.complaint().unwrap();
            assert!(complaint.contains("raise ttl"), "{complaint}");
        }
    }
}
