//! The configuration as written, in the one form every dialect is lowered to.
//!
//! A value here has the right shape (a number is a number, an address an address) but no promise
//! about ranges, references or combinations: that is [`super::check`]. Keywords whose meaning
//! depends on one dialect's habits (keepalived's `state`, its rounding) are resolved before.

mod notify;
mod page;
mod proxy;
mod track;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub use page::{RawPage, RawUser};
pub use proxy::{
    RawCheck, RawCluster, RawListener, RawLiveness, RawMember, RawRequest, RawSection, RawServer,
    RawStatusCheck, RawTls,
};

use super::announce::RawAnnounce;
use super::diag::{Span, Spanned};
use super::model::{Release, RouterFlag, Strict};
use super::process::RawProcess;
use crate::types::{Cidr, V3Checksum};

pub use notify::{RawCommand, RawFifo, RawLifeScript, RawMail, RawNotify};
pub use track::{
    CheckKind, GroupWords, RawGroup, RawSettings, RawTrackRef, RawTrackedInterface, RawTracker,
    RawWeight, TrackerWords, keys,
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
    pub written: Vec<Written>,
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its table, as `listener write`.
    pub block: String,
    /// Its name there, as `announce.repeat`.
    pub key: String,
    /// The place of its value.
    pub span: Span,
}

/// Settings of the whole daemon.
#[derive(Clone, Debug, Default)]
pub struct RawGlobals {
    /// The node's name in messages.
    pub router_id: Option<Spanned<String>>,
    /// Listen only for this long after the start.
    pub startup_delay: Option<Spanned<Duration>>,
    /// And for this long after the system was booted.
    pub delay_after_boot: Option<Spanned<Duration>>,
    /// Log adverts for a VRID nobody here has.
    pub log_unknown_vrids: Option<Spanned<bool>>,
    /// Who besides root may command the daemon.
    pub control_group: Option<Spanned<String>>,
    /// The process itself.
    pub process: RawProcess,
    /// As whom scripts run that do not say it themselves: user and group.
    pub script_user: Option<Spanned<String>>,
    /// The group, if it is not the user's own.
    pub script_group: Option<Spanned<String>>,
    /// Refuse scripts run as root that others could have changed.
    pub script_security: Option<Spanned<bool>>,
    /// Run before anything else.
    pub startup: RawLifeScript,
    /// Run after everything else.
    pub shutdown: RawLifeScript,
}

/// How changes of one interface are taken.
#[derive(Clone, Debug)]
pub struct RawInterface {
    /// The interface.
    pub name: Spanned<String>,
    /// Until it counts as down.
    pub down_delay: Option<Spanned<Duration>>,
    /// Until it counts as up.
    pub up_delay: Option<Spanned<Duration>>,
}

/// Interfaces whose announcements share one clock.
#[derive(Clone, Debug)]
pub struct RawPacing {
    /// The place of the block.
    pub span: Span,
    /// The interfaces.
    pub interfaces: Vec<Spanned<String>>,
    /// Pause between two gratuitous ARPs.
    pub garp_interval: Option<Spanned<Duration>>,
    /// Pause between two unsolicited NAs.
    pub gna_interval: Option<Spanned<Duration>>,
}

/// One virtual router.
#[derive(Clone, Debug)]
pub struct RawRouter {
    /// Its name, at the place of the block's header.
    pub name: Spanned<String>,
    /// How the dialect names the settings, for messages.
    pub words: &'static Words,
    /// The settings that are there at all: one that cannot be read is wrong, not missing.
    pub written: BTreeSet<String>,
    /// The interface that carries the adverts.
    pub interface: Option<Spanned<String>>,
    /// The virtual router identifier.
    pub vrid: Option<Spanned<i64>>,
    /// The priority before tracking.
    pub priority: Option<Spanned<i64>>,
    /// 2 or 3.
    pub version: Option<Spanned<i64>>,
    /// The advertisement interval.
    pub interval: Option<Spanned<Duration>>,
    /// The VRRPv2 password.
    pub auth_pass: Option<Spanned<Secret>>,
    /// Whether a better backup takes over.
    pub preempt: Option<Spanned<bool>>,
    /// How long it waits before.
    pub preempt_delay: Option<Spanned<Duration>>,
    /// The best priority another node has.
    pub highest_peer_priority: Option<Spanned<i64>>,
    /// Missed adverts before taking over.
    pub down_timer_adverts: Option<Spanned<i64>>,
    /// One RFC to the letter.
    pub strict: Option<Spanned<Strict>>,
    /// Source address of the adverts.
    pub source: Option<Spanned<IpAddr>>,
    /// Go to Fault when that address is not here.
    pub track_source: Option<Spanned<bool>>,
    /// Multicast group of the adverts.
    pub group: Option<Spanned<IpAddr>>,
    /// Unicast peers, if adverts go to them.
    pub peers: Option<RawPeers>,
    /// Wait in Fault while that list is empty.
    pub fault_without_peers: Option<Spanned<bool>>,
    /// How much the kernel keeps while nobody reads.
    pub receive_buffer: Option<Spanned<RawReceiveBuffer>>,
    /// TTL or hop limit of adverts to them.
    pub ttl: Option<Spanned<i64>>,
    /// Addresses in the advert.
    pub addresses: Vec<RawAddress>,
    /// Addresses that are not.
    pub excluded: Vec<RawAddress>,
    /// Set if having no address in the advert is meant.
    pub no_addresses: Option<Span>,
    /// Gratuitous ARP and unsolicited NA.
    pub announce: RawAnnounce,
    /// VRRPv3 checksum over IPv4.
    pub checksum: Option<Spanned<V3Checksum>>,
    /// Answer a lower-priority advert at once.
    pub answer_lower: Option<Spanned<bool>>,
    /// One more advert before yielding.
    pub advert_before_yield: Option<Spanned<bool>>,
    /// Hear adverts with priority 255.
    pub owner_listens: Option<Spanned<bool>>,
    /// Compare a peer's address list with ours.
    pub check_addresses: Option<Spanned<bool>>,
    /// The longest interval learnt from a master.
    pub max_learned_interval: Option<Spanned<Duration>>,
    /// Whether an address owner lives on this LAN.
    pub expect_owner: Option<Spanned<bool>>,
    /// Go to Fault when the interface is down.
    pub track_interface: Option<Spanned<bool>>,
    /// Keep the other addresses of a network when its first one goes.
    pub promote_secondaries: Option<Spanned<bool>>,
    /// Trackers that move its priority.
    pub track: Vec<RawTrackRef>,
    /// Further interfaces that do.
    pub track_interfaces: Vec<RawTrackedInterface>,
    /// The R flag of neighbour advertisements.
    pub router_flag: Option<Spanned<RouterFlag>>,
    /// When the addresses go at a planned hand-over.
    pub release: Option<Spanned<Release>>,
    /// Whether the kernel ends an address nobody renews.
    pub lease: Option<Spanned<bool>>,
    /// Who is told what.
    pub notify: RawNotify,
}

impl RawRouter {
    /// A router about which nothing but its name is known.
    #[must_use]
    pub fn new(name: Spanned<String>, words: &'static Words) -> RawRouter {
        RawRouter {
            name,
            words,
            written: BTreeSet::new(),
            interface: None,
            vrid: None,
            priority: None,
            version: None,
            interval: None,
            auth_pass: None,
            preempt: None,
            preempt_delay: None,
            highest_peer_priority: None,
            down_timer_adverts: None,
            strict: None,
            source: None,
            track_source: None,
            group: None,
            peers: None,
            fault_without_peers: None,
            receive_buffer: None,
            ttl: None,
            addresses: Vec::new(),
            excluded: Vec::new(),
            no_addresses: None,
            announce: RawAnnounce::default(),
            checksum: None,
            answer_lower: None,
            advert_before_yield: None,
            owner_listens: None,
            check_addresses: None,
            max_learned_interval: None,
            expect_owner: None,
            track_interface: None,
            promote_secondaries: None,
            track: Vec::new(),
            track_interfaces: Vec::new(),
            router_flag: None,
            release: None,
            lease: None,
            notify: RawNotify::default(),
        }
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
