//! A changed configuration for a router that runs.

use std::sync::Arc;

use crate::config::RouterConfig;
use crate::types::{IfName, Now};
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::{Phase, Router};
use crate::vrrp::timing;

impl Router {
    /// Takes over a changed configuration with the same key (R25, R26, R32). The caller updates the
    /// environment afterwards.
    pub(crate) fn reconfigured(&mut self, now: Now, cfg: Arc<RouterConfig>, out: &mut Outbox) {
        let old = std::mem::replace(&mut self.cfg, cfg);
        if self.cfg == old {
            return;
        }
        if self.cfg.dialect != old.dialect
            || self.cfg.interval != old.interval
            || self.cfg.cast != old.cast
            || !self.cfg.advertised().eq(old.advertised())
        {
            self.peers.forget_disagreements();
        }
        self.configure_addresses(now, out);
        let own = self.cfg.interval;
        let other_version = self.cfg.dialect.version() != old.dialect.version();
        if let Phase::Backup { master_down, master_interval, .. } = &mut self.phase
            && (other_version
                || self.cfg.options.down_timer_adverts != old.options.down_timer_adverts
                || (own != old.interval && self.cfg.dialect.version() == 2))
        {
            // From the last accepted advert: the old deadline less the old wait.
            let waited_from = master_down.saturating_sub(timing::master_down(
                &old.dialect,
                self.effective,
                *master_interval,
                old.options.down_timer_adverts,
            ));
            if other_version || self.cfg.dialect.version() == 2 {
                *master_interval = own;
            }
            *master_down = waited_from
                + timing::master_down(
                    &self.cfg.dialect,
                    self.effective,
                    *master_interval,
                    self.cfg.options.down_timer_adverts,
                );
        }
        let sent_before = self.stats.counters.adv_sent;
        self.priority_changed(now, out);
        if let Phase::Master { next_advert, announce, .. } = &mut self.phase {
            *next_advert = now + own.as_duration();
            announce.reconfigured(now, &old.announce, &self.cfg.announce);
            if self.stats.counters.adv_sent == sent_before {
                self.send(now, self.claim(), out);
            }
        }
    }

    /// Hands the address list to the address set, which removes and installs what changed.
    pub(crate) fn configure_addresses(&mut self, now: Now, out: &mut Outbox) {
        let list: Vec<_> = self
            .cfg
            .addresses
            .iter()
            .map(|a| (Arc::clone(a), self.cfg.iface_of(a).clone()))
            .collect();
        let ports = &self.env.ports;
        let held_now = matches!(self.phase, Phase::Master { .. });
        let index_of = |name: &IfName| ports.get(name).map(|p| p.index);
        let lease = self
            .cfg
            .options
            .lease
            .then(|| timing::lease(self.cfg.interval, self.cfg.options.down_timer_adverts));
        self.addresses.set_lease(lease);
        let added = self.addresses.configure(&list, index_of, held_now, now, out);
        if let Phase::Master { installing, .. } = &mut self.phase {
            *installing |= added;
        }
    }
}
