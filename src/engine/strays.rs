//! Virtual addresses on this host while their router does not serve: left by a daemon before, or put
//! back by somebody who saved them with our mark.

use std::net::IpAddr;

use crate::engine::Engine;
use crate::io::RouterId;
use crate::types::{Cidr, IfIndex, Now};

impl Engine {
    /// The kernel told of an address that may be a virtual one. That it is gone says nothing of the others, whose
    /// notices may be on their way.
    pub(super) fn virtual_address_seen(
        &mut self,
        now: Now,
        address: Option<IpAddr>,
        appeared: bool,
    ) {
        let concerned = address.and_then(|address| self.by_address.get(&address));
        for id in concerned.cloned().unwrap_or_default() {
            self.reevaluate(now, id);
            if appeared {
                self.remove_strays(now, id);
            }
        }
    }

    pub(super) fn remove_all_strays(&mut self, now: Now) {
        for id in self.order.clone() {
            self.remove_strays(now, id);
        }
    }

    /// What bears our mark goes; what does not is somebody else's, and the status tells of it.
    pub(super) fn remove_strays(&mut self, now: Now, id: RouterId) {
        let Some(router) = self.routers.get(&id).filter(|router| router.serves_nothing()) else {
            return;
        };
        let mut strays = Vec::new();
        for address in &router.cfg.addresses {
            let Some(port) = router.env.ports.get(router.cfg.iface_of(address)) else { continue };
            let cidr = address.kernel_cidr();
            let on_link = self.links.addresses(port.index);
            if on_link.iter().any(|found| found.ours && found.cidr == cidr)
                && !self.is_wanted(port.index, cidr)
            {
                strays.push((port.index, cidr));
            }
        }
        if let Some(router) = self.routers.get_mut(&id) {
            for (iface, cidr) in strays {
                router.addresses.remove_stray(now, iface, cidr, &mut self.out);
            }
        }
    }

    /// Somebody here holds it there, or is about to.
    fn is_wanted(&self, iface: IfIndex, cidr: Cidr) -> bool {
        let sets = self.routers.values().chain(&self.retired).map(|router| &router.addresses);
        sets.chain([&self.statics.addresses]).any(|set| set.wants(iface, cidr))
    }
}
