//! The engine's picture of the kernel's links and addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::io::{Link, LinkAddress, LinkChange};
use crate::types::{Cidr, Family, IfIndex, IfName, Mac};

/// Every link with its addresses, in the order the kernel reported them.
#[derive(Debug, Default)]
pub(crate) struct LinkTable {
    links: BTreeMap<IfIndex, Entry>,
    /// Addresses that carry our mark and stay whoever is master.
    fixed: BTreeMap<IfName, BTreeSet<Cidr>>,
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
        LinkTable { links: entries.collect(), fixed: BTreeMap::new() }
    }

    pub(crate) fn set_fixed(&mut self, fixed: BTreeMap<IfName, BTreeSet<Cidr>>) {
        self.fixed = fixed;
    }

    /// An address of ours that comes and goes with the elections.
    pub(crate) fn floats(&self, index: IfIndex, address: &LinkAddress) -> bool {
        let fixed = self.by_index(index).and_then(|link| self.fixed.get(&link.name));
        address.ours && !fixed.is_some_and(|fixed| fixed.contains(&address.cidr))
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

    pub(crate) fn mtu(&self, index: IfIndex) -> u32 {
        self.by_index(index).map_or(0, |link| link.mtu)
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

    /// Some link of this host has this Ethernet address.
    pub(crate) fn has_mac(&self, mac: Mac) -> bool {
        self.links.values().any(|e| e.link.mac == Some(mac))
    }

    /// The link has this address without our doing: a peer of that address is this node.
    pub(crate) fn carries_own(&self, index: IfIndex, address: IpAddr) -> bool {
        let own = |a: &LinkAddress| a.cidr.address() == address && !self.floats(index, a);
        self.addresses(index).iter().any(own)
    }

    /// Some link of this host has the address, and packets can come from it.
    pub(crate) fn is_ours(&self, address: IpAddr) -> bool {
        let mut all = self.links.values().flat_map(|e| &e.addresses);
        all.any(|a| a.cidr.address() == address && a.usable)
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
                let before = std::mem::replace(&mut self.links, LinkTable::new(links).links);
                let gone = before.into_keys().filter(|i| !self.links.contains_key(i));
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
        let of_the_link = |address: IpAddr| match address {
            IpAddr::V4(_) => family == Family::Ipv4,
            IpAddr::V6(address) => family == Family::Ipv6 && address.is_unicast_link_local(),
        };
        let mut candidates = self.candidates(index);
        candidates.find(|a| of_the_link(a.address()) && !excluded(a.address())).map(Cidr::address)
    }

    /// The address adverts to `peers` are sent from: one that is itself in the list, which then suits
    /// every node; else one that shares a network with a peer; else the first of a scope that
    /// reaches them.
    pub(crate) fn source_towards(
        &self,
        index: IfIndex,
        peers: &[IpAddr],
        mut excluded: impl FnMut(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let fits = |own: Cidr| {
            let same_scope = |peer: &IpAddr| {
                own.family() == Family::of(*peer)
                    && is_link_local(own.address()) == is_link_local(*peer)
            };
            peers.iter().any(same_scope)
        };
        let distance = |own: &Cidr| {
            if peers.contains(&own.address()) {
                0
            } else if peers.iter().any(|peer| own.contains(*peer)) {
                1
            } else {
                2
            }
        };
        self.candidates(index)
            .filter(|own| fits(*own) && !excluded(own.address()))
            .min_by_key(distance)
            .map(Cidr::address)
    }

    /// What may be a source: primary addresses first, each kind in the kernel's order.
    fn candidates(&self, index: IfIndex) -> impl Iterator<Item = Cidr> {
        let own = move |a: &&LinkAddress| a.usable && !self.floats(index, a);
        let usable = move || self.addresses(index).iter().filter(own);
        let primary = usable().filter(|a| !a.secondary);
        primary.chain(usable().filter(|a| a.secondary)).map(|a| a.cidr)
    }
}

/// fe80::/10; link-local IPv4 addresses are routed like any other.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
