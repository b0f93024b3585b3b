//! What several blocks are made of, as written: addresses, peers, passwords, and a dialect's words for settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::diag::{Span, Spanned};
use super::key::settings;
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

settings! {
    /// One unicast peer.
    pub struct RawPeer, ""
    given {
        /// Its address.
        address: Spanned<IpAddr>;
    }
    written {
        /// The lowest TTL or hop limit accepted from it. Default: 1.
        min_ttl: i64;
        /// The highest. Default: 255.
        max_ttl: i64;
    }
}

settings! {
    /// One address that follows the state.
    pub struct RawAddress, ""
    given {
        /// Address and prefix length; the place of every complaint about it.
        cidr: Spanned<Cidr>;
    }
    written {
        /// The interface it lives on. Default: that of the router.
        dev: String;
        /// A label for an IPv4 address, at most 15 bytes. Default: none.
        label: String;
        /// Whether duplicate address detection is made for an IPv6 address. Default: false.
        dad: bool;
        /// Whether it is a home address of Mobile IPv6. Default: false.
        home: bool;
        /// Whether the kernel makes temporary addresses from it. Default: false.
        mngtmpaddr: bool;
        /// Whether no route to its network is made. Default: false.
        noprefixroute: bool;
        /// Whether the interface joins its multicast group. Default: false.
        autojoin: bool;
    }
    beside {
        /// Kernel scope.
        scope: Option<Spanned<u8>>;
        /// IPv4 broadcast address.
        broadcast: Option<Spanned<Ipv4Addr>>;
        /// Peer of a point-to-point address.
        peer: Option<Spanned<Cidr>>;
        /// Preferred lifetime in seconds; `Some(None)` is for ever, said explicitly.
        preferred_lft: Option<Spanned<Option<u32>>>;
        /// Do not go to Fault when `dev` is down.
        no_track: Option<Span>;
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
