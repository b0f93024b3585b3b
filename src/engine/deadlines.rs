//! When the engine is to be woken, and what becomes of a deadline that does not move.
//!
//! A deadline that lies in the past when its tick is over would have the shell come back at once, for
//! ever. That is a fault of ours; it must cost one line of the log, not the service of this node.

use std::time::Duration;

use super::Engine;
use crate::io::Level;
use crate::types::Now;
use crate::vrrp::router::Router;

/// From one look at a deadline that does not move to the next.
const PAUSE: Duration = Duration::from_millis(10);
/// From one report of it to the next.
const REPORT_EVERY: Duration = Duration::from_secs(3600);

/// What is known of deadlines that did not move.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    /// The last tick left one behind, which is looked at again then.
    again: Option<Now>,
    told: Option<Now>,
}

impl Engine {
    /// When to call with [`Input::Tick`](super::Input::Tick) at the latest. After a tick was drained
    /// it lies in the future.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Now> {
        let (earliest, _) = self.earliest()?;
        Some(self.overdue.again.map_or(earliest, |again| earliest.max(again)))
    }

    /// Whether the last tick left a deadline in the past, which is a fault of ours.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.overdue.again.is_some()
    }

    /// Of everything that waits, and whose it is.
    fn earliest(&self) -> Option<(Now, &'static str)> {
        let retired = self.retired.iter().filter_map(Router::next_deadline).min();
        let all = [
            (self.deadlines.first(), "a router"),
            (self.trackers.deadline(), "a check"),
            (self.next_renewal, "the leases of addresses"),
            (self.clusters.deadline(), "a cluster or listener"),
            (self.sockets.deadline(), "a socket"),
            (self.debounce.deadline(), "an interface"),
            (self.statics.addresses.deadline(), "a static address"),
            (retired, "a router that was removed"),
        ];
        all.into_iter().filter_map(|(at, whose)| Some((at?, whose))).min()
    }

    /// At the end of a tick: a deadline that did not move is reported and skipped for a moment.
    pub(super) fn skip_overdue(&mut self, now: Now) {
        let stuck = self.earliest().filter(|(at, _)| *at <= now);
        self.overdue.again = stuck.map(|_| now + PAUSE);
        let Some((at, whose)) = stuck else { return };
        if self.overdue.told.is_some_and(|told| now.since(told) < REPORT_EVERY) {
            return;
        }
        self.overdue.told = Some(now);
        let named = self.clusters.waiting().filter(|(first, _)| *first == at);
        let whose = named.map_or_else(|| whose.to_owned(), |(_, name)| name);
        let message = format!(
            "a timer of {whose} is {:?} late and does not move; vipd goes on without it. This is a \
             fault of vipd: please report it with the log before this line",
            now.since(at)
        );
        self.out.record(Level::Warn, None, message);
    }
}
