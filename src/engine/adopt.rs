//! Addresses of an earlier run that a restarted daemon goes on with (case C60).

use std::time::Duration;

use crate::config::{RouterConfig, VirtualAddress};
use crate::engine::Engine;
use crate::io::{Link, LinkAddress};

/// Every address of the router is in place, marked as ours and renewed less than three intervals ago:
/// nobody can have taken over yet. The shell removes every other leftover before the engine starts.
#[must_use]
pub fn is_adoptable(router: &RouterConfig, links: &[(Link, Vec<LinkAddress>)]) -> bool {
    let fresh = |renewed: Duration| renewed < router.interval.as_duration() * 3;
    let in_place = |wanted: &VirtualAddress| {
        let on = links.iter().find(|(link, _)| link.name == *router.iface_of(wanted));
        on.is_some_and(|(_, addresses)| {
            addresses
                .iter()
                .any(|a| a.cidr == wanted.kernel_cidr() && a.ours && a.renewed.is_some_and(fresh))
        })
    };
    !router.addresses.is_empty() && router.addresses.iter().all(|a| in_place(a))
}

impl Engine {
    /// Called once, at the start.
    pub(super) fn mark_adoptable(&mut self) {
        let links = self.links.to_vec();
        for router in self.routers.values_mut() {
            router.adoptable = is_adoptable(&router.cfg, &links);
        }
    }
}
