//! What it costs a master that its process did not run.

use std::time::Duration;

use crate::io::Level;
use crate::status::State;
use crate::types::Now;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::Router;

impl Router {
    /// The kernel had taken the addresses back, and they are added again: this reign is a new one.
    pub(super) fn served_again(&mut self, now: Now, late: Duration, out: &mut Outbox) {
        let what = "the lease of its addresses had ended, and they were added again";
        let reason = self.stall_cost(late, what, out);
        self.since = now;
        self.stats.remember(now, Some(State::Master), State::Master, &reason);
        self.reason = reason;
    }

    /// The sentence for it, which is logged too.
    pub(super) fn stall_cost(&self, late: Duration, what: &str, out: &mut Outbox) -> String {
        let text = format!("vipd did not run for {:.1} s: {what}", late.as_secs_f64());
        out.record(Level::Warn, Some(&self.cfg.name), text.clone());
        text
    }
}
