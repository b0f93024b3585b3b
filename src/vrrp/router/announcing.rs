//! Announcing the addresses while this router serves.

use crate::io::Action;
use crate::types::Now;
use crate::vrrp::environment::{Environment, Port};
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::{Phase, Router};

impl Router {
    pub(super) fn announce_due(&mut self, now: Now, out: &mut Outbox) {
        let Phase::Master { announce, .. } = &mut self.phase else { return };
        if announce.deadline().is_none_or(|at| at > now) {
            return;
        }
        let held = self.addresses.held();
        let (cfg, ports) = (&*self.cfg, &self.env.ports);
        let place = |index: usize| {
            let (iface, cidr) = held.get(index)?;
            let (name, port) = ports.iter().find(|(_, port)| port.index == *iface)?;
            Some((*iface, name, port, *cidr))
        };
        let is_elsewhere = |index| place(index).is_some_and(|(_, name, ..)| *name != cfg.iface);
        let pacing = &mut out.pacing;
        let slot = |index| {
            place(index).map_or(now, |(_, name, _, cidr)| {
                let family = cidr.family();
                pacing.slot(now, name, family, cfg.announce.pause(family))
            })
        };
        for index in announce.due(now, held.len(), &cfg.announce, is_elsewhere, slot) {
            let Some((iface, _, port, cidr)) = place(index) else { continue };
            let vip = cidr.address();
            let Port { mac: Some(mac), announces: true, .. } = port else { continue };
            self.stats.counters.announcements_sent += 1;
            self.peers.announced(vip);
            out.push(Action::Announce {
                iface,
                mac: *mac,
                vip,
                router_flag: self.cfg.options.router_flag,
            });
        }
    }

    /// A master tells everybody when an interface of its addresses has got another MAC.
    pub(super) fn follow_macs(&mut self, now: Now, before: &Environment, out: &mut Outbox) {
        let changed = self.env.ports.iter().any(|(name, port)| {
            let old = before.ports.get(name).and_then(|old| old.mac);
            old.is_some() && port.mac.is_some() && old != port.mac
        });
        if let (Phase::Master { announce, .. }, true) = (&mut self.phase, changed) {
            announce.mac_changed(now, &self.cfg.announce);
            self.announce_due(now, out);
        }
    }
}
