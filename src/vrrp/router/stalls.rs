//! What it costs a master that its process did not run.

use std::time::Duration;

use crate::io::Level;
use crate::status::State;
use crate::types::Now;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::reason::Reason;
use crate::vrrp::router::Router;

impl Router {
    /// The kernel had taken the addresses back, and they are added again: this reign is a new one.
    pub(super) fn served_again(&mut self, now: Now, late: Duration, out: &mut Outbox) {
        self.entered_master_again(now, Reason::LeaseEnded { late }, out);
    }

    /// It was master already, but its time as master begins anew.
    pub(super) fn entered_master_again(&mut self, now: Now, reason: Reason, out: &mut Outbox) {
        self.since = now;
        self.stats.remember(now, Some(State::Master), State::Master, reason.clone());
        out.record(Level::Warn, Some(&self.cfg.name), reason.to_string());
        self.reason = reason;
    }
}
