//! What several blocks are made of, as written: addresses, peers, passwords, and a dialect's words for settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::diag::{Span, Spanned};
use crate::types::Cidr;

/// A size and what it is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawReceiveBuffer {
    /// Bytes.
    Bytes(i64),
    /// Adverts of the router's own size.
    Adverts(i64),
    /// Packets as large as the link takes.
    Mtus(i64),
}

/// The list of unicast peers.
#[derive(Clone, Debug)]
pub struct RawPeers {
    /// The place of the list.
    pub span: Span,
    /// The peers that could be read.
    pub list: Vec<RawPeer>,
    /// Some could not: the list is wrong, not empty.
    pub unreadable: bool,
}

/// One unicast peer.
#[derive(Clone, Debug)]
pub struct RawPeer {
    /// Its address.
    pub address: Spanned<IpAddr>,
    /// The lowest TTL accepted from it.
    pub min_ttl: Option<Spanned<i64>>,
    /// The highest.
    pub max_ttl: Option<Spanned<i64>>,
}

impl RawPeer {
    /// A peer without options.
    #[must_use]
    pub fn new(address: Spanned<IpAddr>) -> RawPeer {
        RawPeer { address, min_ttl: None, max_ttl: None }
    }
}

/// One address that follows the state.
#[derive(Clone, Debug)]
pub struct RawAddress {
    /// Address and prefix length; the place of every complaint about it.
    pub cidr: Spanned<Cidr>,
    /// The interface it lives on.
    pub dev: Option<Spanned<String>>,
    /// Kernel scope.
    pub scope: Option<Spanned<u8>>,
    /// IPv4 broadcast address.
    pub broadcast: Option<Spanned<Ipv4Addr>>,
    /// IPv4 label.
    pub label: Option<Spanned<String>>,
    /// Peer of a point-to-point address.
    pub peer: Option<Spanned<Cidr>>,
    /// Duplicate address detection.
    pub dad: Option<Span>,
    /// IFA_F_HOMEADDRESS
    pub home: Option<Span>,
    /// IFA_F_MANAGETEMPADDR
    pub mngtmpaddr: Option<Span>,
    /// IFA_F_NOPREFIXROUTE
    pub noprefixroute: Option<Span>,
    /// IFA_F_MCAUTOJOIN
    pub autojoin: Option<Span>,
    /// Preferred lifetime in seconds; `Some(None)` is for ever, said explicitly.
    pub preferred_lft: Option<Spanned<Option<u32>>>,
    /// Do not go to Fault when `dev` is down.
    pub no_track: Option<Span>,
}

impl RawAddress {
    /// An address without options.
    #[must_use]
    pub fn new(cidr: Spanned<Cidr>) -> RawAddress {
        RawAddress {
            cidr,
            dev: None,
            scope: None,
            broadcast: None,
            label: None,
            peer: None,
            dad: None,
            home: None,
            mngtmpaddr: None,
            noprefixroute: None,
            autojoin: None,
            preferred_lft: None,
            no_track: None,
        }
    }
}

/// The IPv4 broadcast address of a network: host bits all set (`+`) or all clear (`-`).
#[must_use]
pub fn broadcast_of(cidr: Cidr, set: bool) -> Option<Ipv4Addr> {
    let IpAddr::V4(own) = cidr.address() else { return None };
    let host_bits = u32::MAX.checked_shr(cidr.prefix().into()).unwrap_or(0);
    let bits = own.to_bits();
    Some(Ipv4Addr::from_bits(if set { bits | host_bits } else { bits & !host_bits }))
}

/// How a dialect names the settings the checks talk about.
#[derive(Debug)]
pub struct Words {
    /// A router's block.
    pub router: &'static str,
    /// Interface.
    pub interface: &'static str,
    /// VRID.
    pub vrid: &'static str,
    /// Interval.
    pub interval: &'static str,
    /// Password.
    pub auth_pass: &'static str,
    /// The list of advertised addresses.
    pub addresses: &'static str,
    /// The list of other addresses.
    pub excluded: &'static str,
    /// How to follow the source address.
    pub track_source: &'static str,
    /// The best priority of another node.
    pub highest_peer_priority: &'static str,
    /// How to switch preemption off.
    pub no_preempt: &'static str,
    /// How to say that the list of peers may be empty.
    pub fault_without_peers: &'static str,
    /// How to say that no address is meant.
    pub no_addresses: &'static str,
    /// How to ask for VRRPv3.
    pub version3: &'static str,
    /// Between a setting and its value, and around a text.
    pub syntax: (&'static str, &'static str),
}

impl Words {
    /// How to write a setting, for a help line.
    #[must_use]
    pub fn example(&self, setting: &str, value: &str, is_text: bool) -> String {
        let (assign, quote) = self.syntax;
        let quote = if is_text { quote } else { "" };
        format!("{setting}{assign}{quote}{value}{quote}")
    }
}

/// The bytes of a password: never printed, not even by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
