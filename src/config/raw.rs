//! The configuration as written, in the one form every dialect is lowered to.
//!
//! A value here has the right shape (a number is a number, an address an address) but no promise
//! about ranges, references or combinations: that is [`super::check`]. Keywords whose meaning
//! depends on one dialect's habits (keepalived's `state`, its rounding) are resolved before.

mod track;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

pub use super::announce::RawAnnounce;
pub use super::cluster::{
    RawCheck, RawCluster, RawMember, RawRequest, RawRhythm, RawSection, RawStatusCheck, RawTls,
};
use super::diag::{Span, Spanned};
pub use super::globals::RawGlobals;
use super::key::settings;
pub use super::listener::{RawListener, RawLiveness, RawServer};
pub use super::model::{RawPage, RawUser};
pub use super::notify::{RawCommand, RawFifo, RawMail, RawNotify};
pub use super::router::RawRouter;
use crate::types::Cidr;

pub use track::{
    CheckKind, GroupWords, RawGroup, RawSettings, RawTrackRef, RawTrackedInterface, RawTracker,
    RawWeight, Rhythm, TrackerWords, keys,
};

/// Everything all files say together.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// `[global]`, `global_defs`
    pub globals: RawGlobals,
    /// `[interface.NAME]`, `interface_up_down_delays`
    pub interfaces: Vec<RawInterface>,
    /// `[pacing.NAME]`, `garp_group`
    pub pacing: Vec<RawPacing>,
    /// `[[static]]`, `static_ipaddress`
    pub static_addresses: Vec<RawStatic>,
    /// `[vrrp.NAME]`, `vrrp_instance NAME`, in the order of the files.
    pub routers: Vec<RawRouter>,
    /// `[track.KIND.NAME]`, `vrrp_script NAME` and their like, in the order of the files.
    pub trackers: Vec<RawTracker>,
    /// `[group.NAME]`, `vrrp_sync_group NAME`, in the order of the files.
    pub groups: Vec<RawGroup>,
    /// `[[fifo]]`, `notify_fifo` and `vrrp_notify_fifo`.
    pub fifos: Vec<RawFifo>,
    /// `[mail]`, and what `global_defs` says about mail.
    pub mail: Option<RawMail>,
    /// `[cluster.NAME]`, and what a haproxy.cfg says about servers.
    pub clusters: Vec<RawCluster>,
    /// `[listener.NAME]`, and the `listen` and `frontend` sections of a haproxy.cfg.
    pub listeners: Vec<RawListener>,
    /// `[page.NAME]`, and the sections of a haproxy.cfg that only show statistics.
    pub pages: Vec<RawPage>,
    /// The sections of a haproxy.cfg, for a reading that leaves some out.
    pub sections: Vec<RawSection>,
    /// Every setting of a vipd.toml.
    pub written: Vec<WrittenSetting>,
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSetting {
    /// Its table, as `listener write`.
    pub block: String,
    /// Its name there, as `announce.repeat`.
    pub key: String,
    /// From its name to the end of its value.
    pub whole: Span,
    /// The place of its value.
    pub value: Span,
}

/// keepalived's limit.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(255);

settings! {
    /// For how long a change of an interface must last before it counts (keepalived's
    /// `interface_up_down_delays`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InterfaceConfig, RawInterface, "" {
        /// How long the interface must be down until it counts as down.
        down_delay: Duration = Duration::ZERO, DELAYS, "the delay";
        /// How long it must be up until it counts as up.
        up_delay: Duration = Duration::ZERO, DELAYS, "the delay";
    }
    given {
        /// The interface.
        name: Spanned<String>;
    }
}

settings! {
    /// Interfaces whose announcements share one clock.
    pub struct RawPacing, ""
    given {
        /// The place of the block.
        span: Span;
    }
    written {
        /// Pause between two gratuitous ARPs on these interfaces together.
        garp_interval keepalived "garp_interval": Duration;
        /// Pause between two unsolicited neighbour advertisements on these interfaces together.
        gna_interval keepalived "gna_interval": Duration;
    }
    beside {
        /// The interfaces.
        interfaces: Vec<Spanned<String>>;
    }
}

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

/// One address that is there whatever the routers do.
#[derive(Clone, Debug)]
pub struct RawStatic {
    /// The address with its options.
    pub address: RawAddress,
    /// The routers that cannot serve without it, by name.
    pub required_by: Vec<Spanned<String>>,
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
