//! Where adverts come from and go to: source address, multicast group, unicast peers.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use super::RouterCheck;
use crate::config::diag::{Diagnostic, Spanned};
use crate::config::model::{Cast, Peer};
use crate::config::raw::{RawPeer, RawPeers};
use crate::types::Family;
use crate::wire::vrrp::HOP_LIMIT;

impl RouterCheck<'_> {
    pub(super) fn source(&mut self, family: Family) -> Option<IpAddr> {
        let Spanned { value, span } = self.raw.source?;
        if Family::of(value) != family {
            let text = format!("the source address is {}, the router {family}", Family::of(value));
            self.error(span, text);
        } else if value.is_multicast() || value.is_unspecified() {
            self.error(span, format!("{value} cannot be a source address"));
        } else if value.is_ipv6() && !is_link_local(value) && self.raw.peers.is_none() {
            self.push(
                Diagnostic::warning(span, "the source of an IPv6 advert should be link-local")
                    .note("RFC 9568 section 5.1.2.1; strict peers drop anything else"),
            );
        }
        Some(value)
    }

    pub(super) fn track_source(&mut self) {
        if let (Some(Spanned { value: true, span }), None) =
            (self.raw.track_source, self.raw.source)
        {
            let why =
                "no source address is set; an interface without any address is a fault in any case";
            self.push(Diagnostic::no_effect(span, self.raw.words.track_source, why));
        }
    }

    pub(super) fn cast(&mut self, family: Family) -> Cast {
        let Some(peers) = &self.raw.peers else {
            if let Some(ttl) = self.raw.ttl {
                let text = "adverts to a multicast group always have TTL 255";
                self.error(ttl.span, text).help.push("remove it, or add unicast peers".into());
            }
            if let Some(Spanned { value: true, span }) = self.raw.fault_without_peers {
                let why = "there is no list of peers; add `peers = []` until there are some";
                self.push(Diagnostic::no_effect(span, "fault_without_peers", why));
            }
            return Cast::Multicast { group: self.group(family) };
        };
        if let Some(group) = self.raw.group {
            self.push(
                Diagnostic::error(group.span, "a group and unicast peers exclude each other")
                    .also(peers.span, "the peers stand here"),
            );
        }
        if let Some(strict) = self.raw.strict {
            self.push(
                Diagnostic::error(peers.span, "strict mode forbids unicast peers")
                    .also(strict.span, "strict mode is asked for here")
                    .note("the RFCs know multicast only; keepalived refuses this as well")
                    .help("remove the strict mode, or the peers"),
            );
        }
        let ttl = match self.raw.ttl {
            None => HOP_LIMIT,
            Some(ttl) => self.hop_limit("the TTL", ttl).unwrap_or(HOP_LIMIT),
        };
        Cast::Unicast { peers: self.peers(family, peers), ttl }
    }

    fn group(&mut self, family: Family) -> IpAddr {
        let Some(Spanned { value, span }) = self.raw.group else { return family.vrrp_group() };
        if Family::of(value) != family {
            self.error(span, format!("the group is {}, the router {family}", Family::of(value)));
        } else if !value.is_multicast() {
            self.error(span, format!("{value} is not a multicast address"));
        }
        value
    }

    fn peers(&mut self, family: Family, raw: &RawPeers) -> Vec<Peer> {
        let may_be_empty = self.raw.fault_without_peers.is_some_and(|on| on.value);
        if raw.list.is_empty() && !raw.unreadable && !may_be_empty {
            let wait = self.raw.words.fault_without_peers;
            self.push(
                Diagnostic::error(raw.span, "the list of unicast peers is empty")
                    .note("nobody would get the adverts, and every node would become master")
                    .note("keepalived silently turns to multicast here")
                    .help("list the other nodes, or remove the list to use multicast")
                    .help(format!("to wait in FAULT until it is filled, say so: `{wait}`")),
            );
        }
        let mut peers: Vec<(Peer, &RawPeer)> = Vec::new();
        for entry in &raw.list {
            let Some(address) = self.peer_address(family, entry, &peers) else { continue };
            let accepted_ttl = self.accepted_ttl(entry);
            self.behind_a_router(entry);
            peers.push((Peer { address, accepted_ttl }, entry));
        }
        peers.into_iter().map(|(peer, _)| peer).collect()
    }

    fn peer_address(
        &mut self,
        family: Family,
        entry: &RawPeer,
        before: &[(Peer, &RawPeer)],
    ) -> Option<IpAddr> {
        let Spanned { value, span } = entry.address;
        let limited_broadcast = value == IpAddr::V4(Ipv4Addr::BROADCAST);
        if Family::of(value) != family {
            self.error(span, format!("the peer is {}, the router {family}", Family::of(value)));
            return None;
        }
        if value.is_multicast()
            || value.is_unspecified()
            || value.is_loopback()
            || limited_broadcast
        {
            self.error(span, format!("{value} cannot be the address of a peer"));
            return None;
        }
        let mut all = self.raw.addresses.iter().chain(&self.raw.excluded);
        if let Some(own) = all.find(|a| a.cidr.value.address() == value) {
            let also = own.cidr.span;
            self.push(
                Diagnostic::error(span, format!("{value} is a virtual address of this router"))
                    .also(also, "listed here")
                    .help("a peer is named by an address that stays on its node"),
            );
            return None;
        }
        if let Some((_, first)) = before.iter().find(|(peer, _)| peer.address == value) {
            let also = first.address.span;
            self.push(
                Diagnostic::warning(span, format!("the peer {value} is listed twice"))
                    .also(also, "listed before; this entry counts"),
            );
            return None;
        }
        let other_scope = |peer: &IpAddr| is_link_local(*peer) != is_link_local(value);
        let source = self.raw.source.filter(|s| s.value.is_ipv6() == value.is_ipv6());
        if let Some((_, first)) = before.iter().find(|(peer, _)| other_scope(&peer.address)) {
            let also = first.address.span;
            self.push(
                Diagnostic::error(span, "some peers are link-local and some are not")
                    .also(also, "the other kind")
                    .note("all adverts come from one address, and it cannot reach both"),
            );
            return None;
        }
        if let Some(source) = source.filter(|source| other_scope(&source.value)) {
            let kind = if is_link_local(value) { "is" } else { "is not" };
            self.push(
                Diagnostic::error(span, format!("{value} {kind} link-local, unlike the source"))
                    .also(source.span, "adverts come from here"),
            );
            return None;
        }
        Some(value)
    }

    /// What is accepted from a peer: any TTL unless an option asks for more, as in keepalived (D9).
    fn accepted_ttl(&mut self, entry: &RawPeer) -> RangeInclusive<u8> {
        let most = entry.max_ttl.and_then(|ttl| self.hop_limit("max_ttl", ttl));
        let least = entry.min_ttl.and_then(|ttl| self.hop_limit("min_ttl", ttl));
        let (least, most) = (least.unwrap_or(1), most.unwrap_or(HOP_LIMIT));
        if let (Some(min), true) = (entry.min_ttl, least > most) {
            self.error(min.span, format!("min_ttl {least} is more than max_ttl {most}"));
        }
        least..=most
    }

    /// A peer that is not in the networks of the virtual addresses, where our source is.
    fn behind_a_router(&mut self, entry: &RawPeer) {
        let (Some(source), None) = (self.raw.source, entry.min_ttl) else { return };
        let Spanned { value: peer, span } = entry.address;
        let networks = self.raw.addresses.iter().chain(&self.raw.excluded).map(|a| a.cidr.value);
        let ours: Vec<_> = networks.filter(|network| network.contains(source.value)).collect();
        if ours.is_empty()
            || ours.iter().any(|network| network.contains(peer))
            || is_link_local(peer)
        {
            return;
        }
        let text = format!("the peer {peer} is not in the network of {}", source.value);
        self.push(
            Diagnostic::warning(span, text)
                .also(source.span, "adverts come from here")
                .note(ANY_TTL)
                .help(HOW_FAR),
        );
    }

    fn hop_limit(&mut self, what: &str, raw: Spanned<i64>) -> Option<u8> {
        let ttl = u8::try_from(raw.value).ok().filter(|ttl| *ttl > 0);
        if ttl.is_none() {
            self.error(raw.span, format!("{what} must be 1 to 255, not {}", raw.value));
        }
        ttl
    }
}

/// What it means that a peer is behind a router.
pub(crate) const ANY_TTL: &str = "adverts of a peer are accepted whatever their TTL, as in keepalived: from behind a \
                                  router, others can forge its address";

/// What to do about it.
pub(crate) const HOW_FAR: &str =
    "say how many routers are between the nodes: `min_ttl` 254 for one, 253 for two";

/// fe80::/10; link-local IPv4 addresses are routed like any other.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
