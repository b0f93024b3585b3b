//! The addresses of one router.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{RouterCheck, version_of};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::model::VirtualAddress;
use crate::config::raw::RawAddress;
use crate::types::{Cidr, Family, IfName};

/// Most addresses in one advert: the count is one byte, and an IPv6 advert must fit one packet of
/// an Ethernet (W10).
#[must_use]
pub const fn most_addresses(family: Family) -> usize {
    match family {
        Family::Ipv4 => 255,
        Family::Ipv6 => 90,
    }
}

impl RouterCheck<'_> {
    pub(super) fn addresses(
        &mut self,
        family: Family,
        iface: Option<&IfName>,
    ) -> Vec<Arc<VirtualAddress>> {
        let raw = self.raw;
        self.count(family);
        let mut seen: BTreeMap<IpAddr, Span> = BTreeMap::new();
        let mut addresses = Vec::new();
        let advertised = raw.addresses.iter().map(|a| (a, Kind::Advertised));
        let excluded = raw.excluded.iter().map(|a| (a, Kind::Excluded));
        for (entry, kind) in advertised.chain(excluded) {
            let cidr = entry.cidr.value;
            if kind == Kind::Advertised && cidr.family() != family {
                let text = format!("{} is {}, the router {family}", cidr.address(), cidr.family());
                let error = self.error(entry.cidr.span, text);
                error.help.push(format!("move it to {}", raw.words.excluded));
                if let Some(first) = raw.addresses.first() {
                    error.secondary.push((first.cidr.span, "the first address decides".into()));
                }
                continue;
            }
            if let Some(first) = seen.get(&cidr.address()) {
                let text = format!("{} is listed twice", cidr.address());
                self.push(
                    Diagnostic::warning(entry.cidr.span, text)
                        .also(*first, "first listed here")
                        .note("the second one is left out, from the packet as well; keepalived 2.2 sends both")
                        .help("remove one of them, on every node"),
                );
                continue;
            }
            seen.insert(cidr.address(), entry.cidr.span);
            if let Some(address) = address(entry, kind, iface, self.out) {
                addresses.push(Arc::new(address));
            }
        }
        self.first_ipv6(family);
        addresses
    }

    fn count(&mut self, family: Family) {
        let raw = self.raw;
        let words = raw.words;
        let most = most_addresses(family);
        if let Some(surplus) = raw.addresses.get(most) {
            let text = format!(
                "{} addresses; an advert carries at most {most} {family} addresses",
                raw.addresses.len()
            );
            let error = self.error(surplus.cidr.span, text);
            error.label = format!("number {} and the rest do not fit", most + 1);
            error.help.push(format!("move them to {}", words.excluded));
        }
        if raw.addresses.is_empty() {
            let v2 = version_of(raw) == 2;
            let meant = v2 && raw.strict.is_none() && raw.no_addresses.is_some();
            if meant || raw.written.contains(words.addresses) {
                return;
            }
            let text = format!("{} {} has no address", words.router, raw.name.value);
            let error = self.error(raw.name.span, text);
            error.help.push(format!("add an address to {}", words.addresses));
            if v2 && raw.strict.is_none() {
                error.help.push(format!("if none is meant, say so: `{}`", words.no_addresses));
            } else if raw.no_addresses.is_some() {
                let why = "only VRRP version 2, not strict, may advertise no address";
                error.notes.push(why.into());
            }
        }
    }

    fn first_ipv6(&mut self, family: Family) {
        let Some(first) = self.raw.addresses.first() else { return };
        let link_local = match first.cidr.value.address() {
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
            IpAddr::V4(_) => true,
        };
        if family == Family::Ipv6 && !link_local {
            let text = "the first IPv6 address should be link-local (fe80::/10)";
            let note = "RFC 9568 section 5.2.9; strict peers drop adverts without it";
            let diagnostic = if self.raw.strict.is_some() {
                Diagnostic::error(first.cidr.span, text)
            } else {
                Diagnostic::warning(first.cidr.span, text)
            };
            self.push(
                diagnostic.note(note).help("put an address such as fe80::1 first, on every node"),
            );
        }
    }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Advertised,
    Excluded,
    Static,
}

/// Checks one address; `iface` is where it lives unless it says otherwise.
pub(super) fn address(
    raw: &RawAddress,
    kind: Kind,
    iface: Option<&IfName>,
    out: &mut Vec<Diagnostic>,
) -> Option<VirtualAddress> {
    let cidr = raw.cidr.value;
    usable(raw.cidr, kind, out);
    let dev = match &raw.dev {
        Some(dev) => match dev.value.parse::<IfName>() {
            Ok(name) => Some(name),
            Err(error) => {
                out.push(Diagnostic::error(dev.span, error.to_string()));
                return None;
            }
        },
        None => None,
    };
    label(raw, dev.as_ref().or(iface), out);
    let v6 = cidr.family() == Family::Ipv6;
    if let (true, Some(broadcast)) = (v6, raw.broadcast) {
        out.push(Diagnostic::error(broadcast.span, "IPv6 knows no broadcast"));
    }
    if let Some(peer) = raw.peer
        && peer.value.family() != cidr.family()
    {
        let text = format!("the peer of an {0} address must be {0}", cidr.family());
        out.push(Diagnostic::error(peer.span, text));
    }
    for (flag, word) in [(raw.dad, "dad"), (raw.home, "home"), (raw.mngtmpaddr, "mngtmpaddr")] {
        if let (false, Some(Spanned { value: true, span })) = (v6, flag) {
            out.push(Diagnostic::no_effect(span, word, "it is for IPv6 addresses"));
        }
    }
    let is_on = |flag: Option<Spanned<bool>>| flag.is_some_and(|on| on.value);
    // A host address of IPv6 must not become the source of the node's own connections.
    let preferred = if v6 && cidr.prefix() == 128 { Some(0) } else { None };
    Some(VirtualAddress {
        cidr,
        iface: dev.filter(|dev| Some(dev) != iface),
        advertised: kind == Kind::Advertised,
        scope: raw.scope.map_or(0, |s| s.value),
        broadcast: raw.broadcast.map(|b| b.value),
        label: raw.label.as_ref().filter(|_| !v6).map(|l| l.value.clone()),
        peer: raw.peer.map(|p| p.value),
        dad: v6 && is_on(raw.dad),
        home: v6 && is_on(raw.home),
        mngtmpaddr: v6 && is_on(raw.mngtmpaddr),
        noprefixroute: is_on(raw.noprefixroute),
        autojoin: is_on(raw.autojoin),
        preferred_lft: raw.preferred_lft.map_or(preferred, |lft| lft.value),
        track: matches!(kind, Kind::Static) || raw.no_track.is_none(),
    })
}

/// Addresses that nobody can be given.
fn usable(Spanned { value, span }: Spanned<Cidr>, kind: Kind, out: &mut Vec<Diagnostic>) {
    let address = value.address();
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast {
        let kind = if kind == Kind::Static { "static" } else { "virtual" };
        out.push(Diagnostic::error(span, format!("{address} cannot be a {kind} address")));
    } else if value.prefix() == 0 {
        out.push(
            Diagnostic::error(span, "a prefix length of 0 would take every route of this node")
                .help("write the length of the network, such as /24"),
        );
    } else if value.prefix() < address_bits(address) - 1 && is_network(value) {
        out.push(
            Diagnostic::warning(span, format!("{address} is the address of the network {value}"))
                .help("write the address itself and the length of its network: 10.0.0.10/24"),
        );
    }
}

fn label(raw: &RawAddress, iface: Option<&IfName>, out: &mut Vec<Diagnostic>) {
    let Some(label) = &raw.label else { return };
    if raw.cidr.value.family() == Family::Ipv6 {
        out.push(Diagnostic::warning(label.span, "an IPv6 address has no label"));
    } else if label.value.is_empty() || label.value.len() > 15 {
        let text = format!(
            "a label has 1 to 15 bytes, {} has {}",
            quoted(&label.value),
            label.value.len()
        );
        out.push(Diagnostic::error(label.span, text));
    } else if let Some(iface) = iface
        && !label.value.starts_with(iface.as_str())
    {
        let text = format!("label {} does not begin with {iface}", quoted(&label.value));
        out.push(
            Diagnostic::warning(label.span, text)
                .note("tools that list addresses by interface name will not find it")
                .help(format!("use `{iface}:NAME`")),
        );
    }
}

fn address_bits(address: IpAddr) -> u8 {
    Family::of(address).bits()
}

fn is_network(cidr: Cidr) -> bool {
    let host_bits = u32::from(address_bits(cidr.address()) - cidr.prefix());
    match cidr.address() {
        IpAddr::V4(v4) => v4.to_bits().trailing_zeros() >= host_bits,
        IpAddr::V6(v6) => v6.to_bits().trailing_zeros() >= host_bits,
    }
}
