//! The checked configuration: whatever reaches the engine is valid by construction.
//!
//! Built only by [`super::check`]; every value here has been explained to the user already if it
//! differs from what the file seems to say.

mod page;
mod proxy;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use page::json_path;
pub use page::{PageConfig, PageUser, RawPage, RawUser, Shows};
pub use proxy::{
    ByStatus, ClusterConfig, ListenerConfig, MOST_LEASE, Members, PatroniCluster, PatroniMember,
    PlainMember, ServerConfig,
};
pub use track::{GroupConfig, TrackRef, TrackedInterface, TrackerConfig, TrackerKey, Weight};

use super::announce::AnnounceConfig;
pub use super::cluster::OnDown;
use super::globals::Globals;
pub use super::listener::{BindConfig, ListenerProtocol};
use super::notify::{FifoConfig, MailConfig, NotifyConfig};
use super::raw::InterfaceConfig;
pub use super::raw::{Namespace, OnTimeout};
pub use super::router::{Release, RouterFlag, RouterOptions, Strict};
use crate::types::{Centis, Cidr, Dialect, Family, IfName, Priority, Vrid};

/// Everything one daemon does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Settings that belong to the daemon, not to one router.
    pub globals: Globals,
    /// How changes of an interface are taken; one that is not listed has no delays.
    pub interfaces: BTreeMap<IfName, InterfaceConfig>,
    /// Interfaces whose announcements share one clock.
    pub pacing: Vec<PacingGroup>,
    /// Addresses that are there for as long as the daemon runs.
    pub static_addresses: Vec<Arc<StaticAddress>>,
    /// The virtual routers in the order of the file; their [`RouterKey`]s differ pairwise.
    pub routers: Vec<Arc<RouterConfig>>,
    /// What some of them track; the [`TrackerKey`]s differ pairwise.
    pub trackers: Vec<Arc<TrackerConfig>>,
    /// Which of them change state together.
    pub groups: Vec<GroupConfig>,
    /// Named pipes that get a line per event; their paths differ.
    pub fifos: Vec<FifoConfig>,
    /// Where mail goes, if it goes anywhere.
    pub mail: Option<MailConfig>,
    /// Whom listeners connect their clients to, in the order of the file.
    pub clusters: Vec<Arc<ClusterConfig>>,
    /// Where clients connect to, in the order of the file.
    pub listeners: Vec<Arc<ListenerConfig>>,
    /// Where browsers see the status, in the order of the file.
    pub pages: Vec<PageConfig>,
}

/// The receive buffer of a socket unless the configuration says otherwise, in bytes: room for a stall
/// of many seconds at thousands of adverts per second.
pub const RECEIVE_BUFFER: usize = 1 << 20;

impl Config {
    /// The routers of this family whose adverts come in on this interface.
    pub fn routers_on<'c>(
        &'c self,
        iface: &'c IfName,
        family: Family,
    ) -> impl Iterator<Item = &'c RouterConfig> {
        let routers = self.routers.iter().map(|router| &**router);
        routers.filter(move |r| r.iface == *iface && r.dialect.family() == family)
    }

    /// Bytes of the receive buffer they share: the sum of what they ask for, and no less than
    /// [`RECEIVE_BUFFER`] if one of them does not ask.
    #[must_use]
    pub fn receive_buffer(&self, iface: &IfName, family: Family, mtu: u32) -> usize {
        let (mut sum, mut least) = (0_usize, 1);
        for router in self.routers_on(iface, family) {
            let bytes = match router.receive_buffer {
                Some(ReceiveBuffer::Bytes(bytes)) => bytes,
                Some(ReceiveBuffer::Mtus(times)) => mtu.saturating_mul(times),
                None => {
                    least = RECEIVE_BUFFER;
                    0
                }
            };
            sum = sum.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        // The largest a socket option can say, the kernel's doubling included.
        sum.clamp(least, 1 << 30)
    }
}

/// Interfaces behind one switch, which gets their announcements one at a time (keepalived's
/// `garp_group`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacingGroup {
    /// At least one; no interface is in two groups.
    pub interfaces: BTreeSet<IfName>,
    /// Pause between two gratuitous ARPs; `None`: what the router says whose address it is.
    pub garp_interval: Option<Duration>,
    /// The same for unsolicited NAs.
    pub gna_interval: Option<Duration>,
}

impl PacingGroup {
    /// The pause after an announcement of this family, if the group has its own.
    #[must_use]
    pub fn pause(&self, family: Family) -> Option<Duration> {
        match family {
            Family::Ipv4 => self.garp_interval,
            Family::Ipv6 => self.gna_interval,
        }
    }
}

/// What makes two blocks the same virtual router, on the wire and across a reload.
///
/// The name is not part of it: a renamed instance keeps its state, as in keepalived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterKey {
    /// The interface that carries the adverts.
    pub iface: IfName,
    /// One VRID may serve IPv4 and IPv6 as two routers (RFC 9568 section 1).
    pub family: Family,
    /// The virtual router identifier.
    pub vrid: Vrid,
    /// A unicast router and a multicast one with the same VRID do not hear each other.
    pub unicast: bool,
}

/// One virtual router (a `vrrp_instance` block).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// The user's name for it.
    pub name: String,
    /// The interface that carries the adverts.
    pub iface: IfName,
    /// The virtual router identifier.
    pub vrid: Vrid,
    /// Version, family, authentication and checksum form.
    pub dialect: Dialect,
    /// The priority before tracking; 255 means "owner of the addresses".
    pub priority: Priority,
    /// Our own advertisement interval. Whole seconds for VRRPv2, at most 40.95 s for VRRPv3.
    pub interval: Centis,
    /// Whether a better backup takes over from a worse master.
    pub preempt: Preempt,
    /// The best priority another node has: with `preempt = Never` it says after which stall that one
    /// has surely taken over (keepalived's `timer_expired_backup`). `None`: not known.
    pub highest_peer_priority: Option<Priority>,
    /// Follow one RFC to the letter where the default differs.
    pub strict: Option<Strict>,
    /// Source of the adverts. `None` with multicast: the interface's primary (IPv4) or link-local
    /// (IPv6) address; with unicast: the address of the interface that is closest to the peers.
    pub source: Option<IpAddr>,
    /// Where adverts go and come from.
    pub cast: Cast,
    /// Its share of the buffer of the socket its adverts come in through. `None`: vipd's own size.
    pub receive_buffer: Option<ReceiveBuffer>,
    /// The addresses that follow the state: advertised ones first and in configured order, which is
    /// the order in the packet.
    pub addresses: Vec<Arc<VirtualAddress>>,
    /// Gratuitous ARP and unsolicited NA after taking over.
    pub announce: AnnounceConfig,
    /// The rest.
    pub options: RouterOptions,
    /// Checks that move its priority or stop it, those of its group included; each once.
    pub track: Vec<TrackRef>,
    /// Interfaces that do; each once, `iface` not among them.
    pub track_interfaces: Vec<TrackedInterface>,
    /// Who is told what happens to it.
    pub notify: NotifyConfig,
}

/// How much the kernel keeps for a router while the daemon does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveBuffer {
    /// This many bytes, in the kernel's way of counting: a small packet takes several hundred.
    Bytes(u32),
    /// So many times the MTU of the interface.
    Mtus(u32),
}

/// Where the adverts of a router go, and whose it hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cast {
    /// To everyone in the group, from everyone on the link (RFC 9568 section 5.1).
    Multicast {
        /// The group, of the router's family.
        group: IpAddr,
    },
    /// To each of the known peers and from them only (keepalived's `unicast_peer`).
    Unicast {
        /// Of the router's family, all link-local or none, each of them once. The node's own address
        /// may be among them: the engine leaves it out. Empty only where Fault is what is meant by it.
        peers: Vec<Peer>,
        /// TTL or hop limit of what is sent.
        ttl: u8,
    },
}

/// A node a unicast router speaks with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address: the destination of our adverts and the source of its own.
    pub address: IpAddr,
    /// TTL or hop limit of the adverts accepted from it.
    pub accepted_ttl: RangeInclusive<u8>,
}

impl RouterConfig {
    /// The identity of this router.
    #[must_use]
    pub fn key(&self) -> RouterKey {
        RouterKey {
            iface: self.iface.clone(),
            family: self.dialect.family(),
            vrid: self.vrid,
            unicast: self.is_unicast(),
        }
    }

    /// Whether adverts go to known peers instead of a multicast group.
    #[must_use]
    pub fn is_unicast(&self) -> bool {
        matches!(self.cast, Cast::Unicast { .. })
    }

    /// The addresses listed in the advert, in packet order.
    pub fn advertised(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().filter(|a| a.advertised).map(|a| a.cidr.address())
    }

    /// The interface an address of this router lives on.
    #[must_use]
    pub fn iface_of<'a>(&'a self, address: &'a VirtualAddress) -> &'a IfName {
        address.iface.as_ref().unwrap_or(&self.iface)
    }
}

/// Preemption (RFC 9568 section 6.1 `Preempt_Mode`, plus keepalived's delay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preempt {
    /// `nopreempt`: a backup never takes over from a living master.
    Never,
    /// Take over from a lower-priority master, after following it for this long (zero: at once).
    After(Duration),
}

/// One address that is present exactly while this node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// Address and prefix length.
    pub cidr: Cidr,
    /// Where it lives if not on the router's own interface (`dev`).
    pub iface: Option<IfName>,
    /// Listed in the advert; false for `virtual_ipaddress_excluded`.
    pub advertised: bool,
    /// Kernel scope: 0 global, 200 site, 253 link, 254 host, 255 nowhere.
    pub scope: u8,
    /// IPv4 broadcast address. keepalived and vipd set none unless asked.
    pub broadcast: Option<Ipv4Addr>,
    /// IPv4 label, at most 15 bytes.
    pub label: Option<String>,
    /// Peer of a point-to-point address.
    pub peer: Option<Cidr>,
    /// Duplicate address detection for IPv6. Off by default: the address must answer at once
    /// (rule W37).
    pub dad: bool,
    /// IFA_F_HOMEADDRESS
    pub home: bool,
    /// IFA_F_MANAGETEMPADDR
    pub mngtmpaddr: bool,
    /// IFA_F_NOPREFIXROUTE
    pub noprefixroute: bool,
    /// IFA_F_MCAUTOJOIN
    pub autojoin: bool,
    /// Preferred lifetime in seconds; `None` is for ever. 0 marks the address deprecated, so that
    /// it is never chosen as a source: the default of an IPv6 /128.
    pub preferred_lft: Option<u32>,
    /// Going Fault when `iface` is down (`no_track` turns it off).
    pub track: bool,
}

impl VirtualAddress {
    /// An address with every option at its default.
    #[must_use]
    pub fn new(cidr: Cidr) -> VirtualAddress {
        VirtualAddress {
            cidr,
            iface: None,
            advertised: true,
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            dad: false,
            home: false,
            mngtmpaddr: false,
            noprefixroute: false,
            autojoin: false,
            preferred_lft: None,
            track: true,
        }
    }

    /// How the kernel lists it: an address with a peer has the peer's prefix length.
    #[must_use]
    pub fn kernel_cidr(&self) -> Cidr {
        let prefix = self.peer.map_or(self.cidr.prefix(), Cidr::prefix);
        Cidr::new(self.cidr.address(), prefix).unwrap_or(self.cidr)
    }
}

/// One address that is present for as long as the daemon runs (keepalived's `static_ipaddress`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAddress {
    /// Where it lives.
    pub iface: IfName,
    /// The address with its options; `iface`, `advertised` and `track` mean nothing here.
    pub address: Arc<VirtualAddress>,
    /// The names of the routers that go to Fault when it cannot be kept in place.
    pub required_by: Vec<String>,
}
