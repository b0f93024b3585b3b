//! From a datagram to a router: the checks of RFC 9568 section 7.1, in its order, each with its own
//! counter. A packet that fails one changes no timer and no learnt value (R13).

use std::net::IpAddr;

use crate::config::{Cast, Strict};
use crate::engine::Engine;
use crate::io::{Datagram, Level, RouterId};
use crate::status::State;
use crate::types::{Dialect, Family, IfIndex, Now, V3Checksum};
use crate::vrrp::router::Router;
use crate::wire::DropReason;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::vrrp::{self, Advert, ChecksumAccept, Claim};

/// What the carrying IP packet said.
struct Carrier<'a> {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: Option<u8>,
    /// The VRRP message, or why there is none.
    message: Result<&'a [u8], DropReason>,
}

impl Engine {
    /// The router whose timers the packet may have moved.
    pub(super) fn packet_received(
        &mut self,
        now: Now,
        iface: IfIndex,
        datagram: Datagram<'_>,
    ) -> Option<RouterId> {
        let carrier = match datagram {
            Datagram::Truncated(_) => {
                self.unattributed(DropReason::Truncated);
                return None;
            }
            Datagram::V4(bytes) => match Ipv4Header::parse(bytes) {
                Ok(header) => Carrier {
                    source: header.source.into(),
                    destination: header.destination.into(),
                    hop_limit: Some(header.ttl),
                    message: vrrp::from_ipv4(&header),
                },
                Err(reason) => {
                    self.unattributed(reason);
                    return None;
                }
            },
            Datagram::V6 { source, destination, hop_limit, message } => Carrier {
                source: source.into(),
                destination: destination.into(),
                hop_limit,
                message: Ok(message),
            },
        };
        let family = Family::of(carrier.source);
        let vrid = carrier.vrid();
        let id = vrid.and_then(|vrid| {
            let unicast = !carrier.destination.is_multicast();
            // A router of the other kind refuses it, and says why.
            [unicast, !unicast]
                .into_iter()
                .find_map(|unicast| self.by_wire.get(&(iface, family, vrid, unicast)).copied())
        });

        // V3
        let own = self.links.carries(iface, carrier.source);
        if own && vrid == Some(0) {
            // Nobody sends that: the shell asks itself whether it hears itself.
            return None;
        }
        if own || carrier.source.is_multicast() || carrier.source.is_unspecified() {
            self.unattributed(DropReason::OwnSource);
            if let Some(router) = id.and_then(|id| self.routers.get_mut(&id))
                && own
            {
                router.own_address_heard(now, carrier.source, &mut self.out);
            }
            return None;
        }
        self.heard.insert(iface, now);
        let Some(id) = id else {
            self.unknown_vrid_received(now, iface, &carrier, vrid);
            return None;
        };
        let router = self.routers.get_mut(&id)?;
        if router.is_quiet(now) {
            router.stats.counters.ignored_startup += 1;
            return None;
        }
        match judge(router, &carrier) {
            Ok(parsed) if router.state() == State::Fault => {
                router.stats.counters.ignored_state += 1;
                router.observed(now, carrier.source, &parsed.advert);
            }
            Ok(parsed) => {
                let (source, hop_limit) = (carrier.source, carrier.hop_limit);
                router.accepted(now, source, hop_limit, &parsed, &mut self.out);
                if router.meets_rival(now) {
                    self.rival_of_group_heard(now, id);
                }
                return Some(id);
            }
            Err(reason) => {
                router.refused(now, carrier.source, reason, &mut self.out);
            }
        }
        None
    }

    /// V11: a VRID nobody here has, or nothing with a VRID at all.
    fn unknown_vrid_received(
        &mut self,
        now: Now,
        iface: IfIndex,
        carrier: &Carrier<'_>,
        vrid: Option<u8>,
    ) {
        let peeked = carrier.message.and_then(vrrp::peek);
        let reason = peeked.err().unwrap_or(DropReason::UnknownVrid);
        self.unattributed(reason);
        if reason == DropReason::UnknownVrid && self.config.globals.log_unknown_vrids {
            let source = carrier.source;
            let link = self.links.by_index(iface).map_or("?", |l| l.name.as_str());
            let message = || {
                format!(
                    "Advert from {source} on interface {link} for VRID {}, which is not configured",
                    vrid.unwrap_or_default()
                )
            };
            self.unknown_vrid_log.record(
                now,
                "vrrp",
                "vrid_errors",
                Level::Info,
                message,
                &mut self.out,
            );
        }
    }

    fn unattributed(&mut self, reason: DropReason) {
        *self.unattributed.entry(reason.counter()).or_default() += 1;
    }
}

impl Carrier<'_> {
    /// The second byte of the message, wherever the message is: enough to say whose counter moves.
    fn vrid(&self) -> Option<u8> {
        self.message.as_ref().ok().and_then(|m| m.get(1)).copied()
    }
}

/// V4 to V25. Adverts that only deserve a remark pass; [`Router::accepted`] makes it.
fn judge(router: &Router, carrier: &Carrier<'_>) -> Result<vrrp::Parsed, DropReason> {
    let cfg = &router.cfg;
    let wrong_cast = |expected| DropReason::WrongCast { found: carrier.destination, expected };
    let accepted_ttl = match &cfg.cast {
        Cast::Multicast { group } if carrier.destination != *group => {
            return Err(wrong_cast(Some(*group)));
        }
        Cast::Multicast { .. } => &(vrrp::HOP_LIMIT..=vrrp::HOP_LIMIT),
        Cast::Unicast { .. } if Some(carrier.destination) != router.env.source => {
            return Err(wrong_cast(router.env.source));
        }
        // V19
        Cast::Unicast { peers, .. } => {
            let peer = peers.iter().find(|peer| peer.address == carrier.source);
            &peer.ok_or(DropReason::UnknownPeer)?.accepted_ttl
        }
    };
    vrrp::check_hop_limit(carrier.hop_limit, accepted_ttl)?;
    let message = carrier.message?;
    let accept = match (cfg.strict, cfg.dialect) {
        (Some(Strict::Rfc9568), _) => ChecksumAccept::MessageOnly,
        (_, Dialect::V3Ipv4(V3Checksum::OldUnicast)) => ChecksumAccept::OldUnicast,
        _ => ChecksumAccept::Both,
    };
    let parsed = Advert::parse(&cfg.dialect, carrier.source, carrier.destination, message, accept)?;
    let advert = &parsed.advert;
    if matches!(cfg.dialect, Dialect::V2(_)) && advert.interval != cfg.interval {
        return Err(DropReason::Interval { theirs: advert.interval, ours: cfg.interval });
    }
    if cfg.strict.is_some() && source_is_not_link_local(carrier.source) {
        return Err(DropReason::SourceNotLinkLocal);
    }
    if cfg.strict.is_some() && first_is_not_link_local(advert) {
        return Err(DropReason::FirstAddressNotLinkLocal);
    }
    if cfg.priority.is_owner() && !cfg.options.owner_listens {
        return Err(DropReason::OwnerIgnoresAdverts);
    }
    let owner = matches!(advert.claim, Claim::Priority(p) if p.is_owner());
    if owner && !cfg.options.expect_owner {
        return Err(DropReason::UnexpectedOwner);
    }
    let strict_list = cfg.strict == Some(Strict::Rfc3768) && !owner;
    if strict_list && !router.lists_our_addresses(advert) {
        return Err(DropReason::AddressList);
    }
    // A unicast peer was named by the operator; RFC 3768 obeys an owner whatever it lists.
    let by_the_letter = cfg.strict == Some(Strict::Rfc3768) && owner;
    if !cfg.is_unicast() && !by_the_letter && router.is_another_clusters(carrier.source, advert) {
        let first = advert.addresses.first().copied();
        return Err(DropReason::OtherCluster {
            first,
            more: advert.addresses.len().saturating_sub(1),
        });
    }
    Ok(parsed)
}

/// RFC 9568 section 5.1.2.1: IPv6 adverts come from the interface's link-local address.
fn source_is_not_link_local(source: IpAddr) -> bool {
    matches!(source, IpAddr::V6(source) if !source.is_unicast_link_local())
}

/// RFC 9568 section 5.2.9: the first IPv6 address is the router's link-local one.
pub(super) fn first_is_not_link_local(advert: &Advert) -> bool {
    match advert.addresses.first() {
        Some(IpAddr::V6(first)) => !first.is_unicast_link_local(),
        Some(IpAddr::V4(_)) | None => false,
    }
}
