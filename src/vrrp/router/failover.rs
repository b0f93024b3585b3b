//! What the next failure would mean.

use std::time::Duration;

use crate::status::{FailoverEstimate, Span, Successor, millis};
use crate::types::{Now, Priority};
use crate::vrrp::address_set::RENEW_EVERY;
use crate::vrrp::router::{Followed, Phase, Router, WaitingFor};
use crate::vrrp::timing;
use crate::wire::vrrp::Claim;

impl Router {
    /// Backups are silent: only on a backup itself is it known for certain.
    pub(crate) fn failover(&self, now: Now) -> Option<FailoverEstimate> {
        match &self.phase {
            Phase::Backup { master_down, master_interval, waiting_for, .. } => {
                let Followed { claim: Claim::Priority(_), .. } = self.followed? else {
                    return None;
                };
                let (ours, interval) = (self.effective, *master_interval);
                let whole = self.master_down_after(interval);
                let on_crash = match waiting_for {
                    // It dies some time between two adverts.
                    WaitingFor::TheMaster => {
                        span(whole.saturating_sub(interval.as_duration()), whole)
                    }
                    // Its adverts do not move the deadline.
                    WaitingFor::Preemption => {
                        let left = master_down.since(now);
                        span(left, left)
                    }
                    WaitingFor::AnyMaster | WaitingFor::Succession => return None,
                };
                let skew = timing::skew(&self.cfg.dialect, ours, interval);
                let successor = Successor {
                    address: self.env.source?,
                    priority: ours.get(),
                    is_self: true,
                    last_heard_ms: None,
                };
                Some(FailoverEstimate {
                    successor: Some(successor),
                    on_crash,
                    on_resign: span(skew, skew),
                    on_daemon_crash: None,
                })
            }
            Phase::Master { .. } => Some(self.failover_of_master(now)),
            Phase::Fault | Phase::Leaving { .. } => None,
        }
    }

    fn failover_of_master(&self, now: Now) -> FailoverEstimate {
        let best = self
            .peers
            .peers()
            .filter_map(|(address, peer)| match peer.claim? {
                Claim::Resign => None,
                Claim::Priority(priority) => Some((priority, *address, peer.last_seen)),
            })
            .max_by_key(|(priority, address, _)| (*priority, *address));
        let (slowest, quickest) = match best {
            Some((priority, ..)) => (priority, priority),
            // Whatever a backup can have.
            None => (Priority::LOWEST, Priority::HIGHEST_BACKUP),
        };
        let interval = self.cfg.interval;
        let wait = |priority| {
            timing::master_down(
                &self.cfg.dialect,
                priority,
                interval,
                self.cfg.options.down_timer_adverts,
            )
        };
        let skew = |priority| timing::skew(&self.cfg.dialect, priority, interval);
        let on_daemon_crash = self.addresses.lease().map(|lease| {
            let lease = lease.as_duration();
            span(lease.saturating_sub(RENEW_EVERY), lease + timing::LEASE_ENDS_LATE_BY)
        });
        FailoverEstimate {
            successor: best.map(|(priority, address, heard)| Successor {
                address,
                priority: priority.get(),
                is_self: false,
                last_heard_ms: Some(millis(now.since(heard))),
            }),
            on_crash: span(wait(quickest).saturating_sub(interval.as_duration()), wait(slowest)),
            on_resign: span(skew(quickest), skew(slowest)),
            on_daemon_crash,
        }
    }
}

fn span(least: Duration, most: Duration) -> Span {
    Span { least_ms: millis(least), most_ms: millis(most + Duration::from_nanos(999_999)) }
}
