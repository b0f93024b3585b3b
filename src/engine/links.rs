//! The engine's picture of the kernel's links and addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::io::{Link, LinkAddress, LinkChange};
use crate::types::{Cidr, Family, IfIndex, IfName};

/// Every link with its addresses, in the order the kernel reported them.
#[derive(Debug, Default)]
pub(crate) struct LinkTable {
    links: BTreeMap<IfIndex, Entry>,
}

#[derive(Debug)]
struct Entry {
    link: Link,
    addresses: Vec<LinkAddress>,
}

/// What a change took away.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    pub(crate) links: Vec<IfIndex>,
    pub(crate) addresses: Vec<(IfIndex, Cidr)>,
}

impl LinkTable {
    pub(crate) fn new(links: Vec<(Link, Vec<LinkAddress>)>) -> LinkTable {
        let entries = links.into_iter().map(|(link, addresses)| {
            let index = link.index;
            (index, Entry { link, addresses })
        });
        LinkTable { links: entries.collect() }
    }

    pub(crate) fn to_vec(&self) -> Vec<(Link, Vec<LinkAddress>)> {
        self.links.values().map(|e| (e.link.clone(), e.addresses.clone())).collect()
    }

    pub(crate) fn by_name(&self, name: &IfName) -> Option<&Link> {
        self.links.values().map(|e| &e.link).find(|l| l.name == *name)
    }

    pub(crate) fn by_index(&self, index: IfIndex) -> Option<&Link> {
        self.links.get(&index).map(|e| &e.link)
    }

    pub(crate) fn addresses(&self, index: IfIndex) -> &[LinkAddress] {
        self.links.get(&index).map_or(&[], |e| &e.addresses)
    }

    pub(crate) fn has(&self, index: IfIndex, cidr: Cidr) -> bool {
        self.addresses(index).iter().any(|a| a.cidr == cidr)
    }

    pub(crate) fn carries(&self, index: IfIndex, address: IpAddr) -> bool {
        self.addresses(index).iter().any(|a| a.cidr.address() == address)
    }

    /// Applies a change and returns what it says is gone; which addresses a resync no longer lists is
    /// for the caller to compare.
    pub(crate) fn apply(&mut self, change: LinkChange) -> Departed {
        let mut departed = Departed::default();
        match change {
            LinkChange::Link(link) => {
                // A name is unique: a link that lost it to another one is renamed or gone, and its
                // own event follows.
                let index = link.index;
                match self.links.get_mut(&index) {
                    Some(entry) => entry.link = link,
                    None => {
                        self.links.insert(index, Entry { link, addresses: Vec::new() });
                    }
                }
            }
            LinkChange::Gone(index) => {
                if let Some(gone) = self.links.remove(&index) {
                    departed.links.push(index);
                    departed.addresses.extend(gone.addresses.iter().map(|a| (index, a.cidr)));
                }
            }
            LinkChange::Address { iface, address } => {
                if let Some(entry) = self.links.get_mut(&iface) {
                    match entry.addresses.iter_mut().find(|a| a.cidr == address.cidr) {
                        Some(known) => *known = address,
                        None => entry.addresses.push(address),
                    }
                }
            }
            LinkChange::AddressGone { iface, cidr } => {
                if let Some(entry) = self.links.get_mut(&iface) {
                    entry.addresses.retain(|a| a.cidr != cidr);
                }
                departed.addresses.push((iface, cidr));
            }
            LinkChange::Resync(links) => {
                let before = std::mem::replace(self, LinkTable::new(links));
                let gone = before.links.into_keys().filter(|i| !self.links.contains_key(i));
                departed.links.extend(gone);
            }
        }
        departed
    }

    /// The address adverts are sent from: the primary IPv4 address, or the IPv6 link-local one
    /// (RFC 9568 sections 5.1.1.1, 5.1.2.1). `excluded` says which are virtual ones.
    pub(crate) fn source(
        &self,
        index: IfIndex,
        family: Family,
        mut excluded: impl FnMut(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let candidates = || {
            self.addresses(index).iter().filter(|a| a.usable && !a.ours).filter(|a| {
                match a.cidr.address() {
                    IpAddr::V4(_) => family == Family::Ipv4,
                    IpAddr::V6(address) => {
                        family == Family::Ipv6 && address.is_unicast_link_local()
                    }
                }
            })
        };
        candidates()
            .filter(|a| !a.secondary)
            .chain(candidates().filter(|a| a.secondary))
            .map(|a| a.cidr.address())
            .find(|a| !excluded(*a))
    }
}
