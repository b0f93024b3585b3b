//! The whole contract of the program: what can happen ([`Input`]) and what can be done about it
//! ([`Action`]).
//!
//! The shell calls [`Engine::handle`](crate::engine::Engine::handle) with one input, then performs every
//! action [`Engine::poll_action`](crate::engine::Engine::poll_action) yields, in order, before the next
//! input. It arms one timer for [`Engine::poll_deadline`](crate::engine::Engine::poll_deadline), and **reads
//! its sockets empty before it reports a `Tick`**: a packet that waited in a queue must beat a timer
//! that ran late (rules R36, R37).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::checks::{Check, HostName};
use crate::config::{Config, ListenerConfig, RouterFlag, VirtualAddress};
use crate::pool::{Hinted, ListenerId, PoolView};
use crate::status::State;
use crate::track::outcome::Outcome;
use crate::track::patroni::{Answer, Question};
use crate::types::{Cidr, Family, IfIndex, IfName, Mac};

/// One virtual router for as long as the daemon runs; survives reloads, is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouterId(pub u32);

/// One check for as long as it looks at the same thing; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProbeId(pub u32);

/// Ties an [`Action`] that can fail to its [`Input::Done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u64);

/// Everything that can happen.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A deadline may have passed. Spurious ticks are fine; sockets must have been read empty.
    Tick,
    /// A datagram of IP protocol 112 arrived on a socket opened by [`Action::Socket`].
    Packet {
        /// Where it arrived.
        iface: IfIndex,
        /// What arrived.
        datagram: Datagram<'a>,
    },
    /// The kernel's links or addresses changed.
    Link(LinkChange),
    /// The answer to an action that carried an `OpId`. Every such action is answered exactly once.
    Done {
        /// The action's.
        op: OpId,
        /// How it went.
        result: Result<Applied, OpError>,
    },
    /// The kernel would not lengthen the lease of an address: one of an [`Action::Renew`].
    NotRenewed {
        /// On which interface.
        iface: IfIndex,
        /// The address as the kernel has it.
        cidr: Cidr,
    },
    /// Another node announced an address of ours: a gratuitous ARP or unsolicited NA was heard.
    Announced {
        /// Where.
        iface: IfIndex,
        /// The address.
        vip: IpAddr,
        /// Who claims to answer for it.
        mac: Mac,
    },
    /// Another host answers for an address: to an [`Action::Solicit`].
    Located {
        /// Where.
        iface: IfIndex,
        /// The address.
        address: IpAddr,
        /// Its MAC.
        mac: Mac,
    },
    /// Somebody looks at the status: what is worth asking for then.
    StatusAsked,
    /// A check has answered. One that was cancelled may still do so, in vain.
    Probed {
        /// Which one.
        probe: ProbeId,
        /// What it says.
        outcome: Outcome,
    },
    /// A node of a Patroni cluster was asked: the answer to an [`Action::Ask`]. One that was
    /// cancelled may still come, in vain.
    Answered {
        /// Which question.
        probe: ProbeId,
        /// What came of it.
        answer: Answer,
    },
    /// A host name has another address than before, or its first.
    Resolved {
        /// One of [`Action::Resolve`].
        name: HostName,
        /// Where it leads.
        address: IpAddr,
    },
    /// A proxied session has noticed something about its server. It makes the engine look, and
    /// decides nothing.
    Hinted(Hinted),
    /// Whether the proxy's workers run: said when that changes, and once before the first
    /// [`Action::Listen`] is reported open. While they do not, no listener can serve.
    ProxyAlive(bool),
    /// Whether a listener accepts connections at all its addresses: said when that changes.
    Accepting {
        /// Of an [`Action::Listen`].
        listener: ListenerId,
        /// `false` also while it is tried again.
        accepting: bool,
    },
    /// A new, already checked configuration.
    Reload(Arc<Config>),
    /// The machine slept: CLOCK_BOOTTIME ran ahead of CLOCK_MONOTONIC by this much (rule R35).
    Suspended {
        /// How long.
        gap: Duration,
    },
    /// This process did not run (rule R36): the earliest deadline is this late.
    Stalled {
        /// How late.
        gap: Duration,
    },
    /// The operator wants something.
    Command(Command),
}

/// The host as it is when the engine starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelView {
    /// Every link with its addresses.
    pub links: Vec<(Link, Vec<LinkAddress>)>,
    /// Time since it was booted, suspends included.
    pub uptime: Duration,
}

/// A received datagram of IP protocol 112.
#[derive(Clone, Copy, Debug)]
pub enum Datagram<'a> {
    /// From its IPv4 header on, as a raw socket delivers it.
    V4(&'a [u8]),
    /// An IPv6 payload; the kernel keeps the header and reports its fields as ancillary data.
    V6 {
        /// Sender.
        source: Ipv6Addr,
        /// Destination (IPV6_PKTINFO).
        destination: Ipv6Addr,
        /// Hop limit (IPV6_HOPLIMIT); `None` if the kernel did not say: the packet is dropped.
        hop_limit: Option<u8>,
        /// The VRRP message.
        message: &'a [u8],
    },
    /// Larger than the receive buffer, or its ancillary data was cut (V1).
    Truncated(Family),
}

/// A change of the kernel's links and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// A link appeared or changed. Addresses known for the index are kept.
    Link(Link),
    /// A link was deleted, with all its addresses.
    Gone(IfIndex),
    /// An address appeared or changed its flags.
    Address {
        /// On which link.
        iface: IfIndex,
        /// The address.
        address: LinkAddress,
    },
    /// An address was removed.
    AddressGone {
        /// From which link.
        iface: IfIndex,
        /// Which one.
        cidr: Cidr,
    },
    /// The full truth, after start-up or a netlink overrun: whatever is not listed is gone.
    Resync(Vec<(Link, Vec<LinkAddress>)>),
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: IfIndex,
    /// Current name.
    pub name: IfName,
    /// IFF_UP and IFF_RUNNING (carrier).
    pub running: bool,
    /// IFF_UP alone: administratively up.
    pub up: bool,
    /// Ethernet address; `None` where the link has none of six bytes (loopback, tunnels).
    pub mac: Option<Mac>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// IFF_NOARP: announcements are skipped (rule W32).
    pub noarp: bool,
    /// IFF_LOOPBACK
    pub loopback: bool,
}

/// One address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// Address and prefix.
    pub cidr: Cidr,
    /// Usable as a source: not tentative, not failed DAD.
    pub usable: bool,
    /// IFA_F_SECONDARY
    pub secondary: bool,
    /// Carries vipd's own IFA_PROTO mark.
    pub ours: bool,
    /// How long ago it was installed or last renewed; only known from a full dump.
    pub renewed: Option<Duration>,
}

/// What the operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hand over everywhere, remove every address, then [`Action::Exit`].
    Shutdown,
    /// Hand over and stay out of elections until `Resume`; serve on if nobody takes over. `None`:
    /// every router.
    Drain(Option<RouterId>),
    /// Stay out of elections even if nobody takes over.
    ForceDrain(Option<RouterId>),
    /// Take part in elections again.
    Resume(Option<RouterId>),
    /// Hand over once; stay a backup for as long as the successor lives.
    Handover(Option<RouterId>),
    /// The daemon this one continues has handed over: stay a backup likewise.
    StayHandedOver(RouterId),
}

/// Everything that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send one advert, now, without waiting; a full socket drops it and counts it.
    Transmit {
        /// On which interface.
        iface: IfIndex,
        /// Source address; pinned by IPV6_PKTINFO for IPv6, already in the header for IPv4.
        source: IpAddr,
        /// The group, or one peer.
        destination: IpAddr,
        /// Hop limit of an IPv6 packet; the TTL of an IPv4 one is already in its header.
        hop_limit: u8,
        /// IPv4: the whole datagram with its header. IPv6: the VRRP message, checksum filled in.
        bytes: Vec<u8>,
    },
    /// Send one gratuitous ARP (IPv4) or unsolicited neighbour advertisement (IPv6).
    Announce {
        /// On which interface.
        iface: IfIndex,
        /// The MAC that answers for the address: source of the frame too (rule W31).
        mac: Mac,
        /// The address announced.
        vip: IpAddr,
        /// The R flag of a neighbour advertisement.
        router_flag: RouterFlag,
    },
    /// Ask the LAN who has an address, by an ARP probe or a neighbour solicitation. Whoever else has it
    /// is told by [`Input::Located`]; usually nobody is.
    Solicit {
        /// On which interface.
        iface: IfIndex,
        /// The interface's MAC, where the answer goes.
        mac: Mac,
        /// Our own address: a solicitation comes from it, an ARP probe from none.
        source: IpAddr,
        /// The address asked for.
        target: IpAddr,
    },
    /// Make an address present or absent. Performed in the order given; answered by `Done`.
    Address {
        /// To be answered.
        op: OpId,
        /// On which interface.
        iface: IfIndex,
        /// The address with everything the kernel stores about it.
        address: Arc<VirtualAddress>,
        /// Present or absent.
        want: Want,
    },
    /// Lengthen the leases of addresses that are held: all of them in one netlink batch. Only what
    /// the kernel refuses is answered, by [`Input::NotRenewed`].
    Renew(Vec<Renewal>),
    /// Have the kernel keep the other addresses of a network when its first one goes. Not answered;
    /// a refusal is for the log.
    PromoteSecondaries {
        /// On which interface.
        iface: IfIndex,
    },
    /// Open or close the sockets of one interface that listen at one place. `Open` is answered by
    /// `Done`; `Close` never fails and is answered too.
    Socket {
        /// To be answered.
        op: OpId,
        /// On which interface.
        iface: IfIndex,
        /// What they receive; its family is the sockets'.
        listen: Listen,
        /// Open or closed.
        open: bool,
    },
    /// Run a check. Answered by [`Input::Probed`] exactly once and within `timeout`, whatever
    /// happens; a watched check ([`Check::is_watched`]) answers again whenever its answer changes. It
    /// is not asked for again before it has answered.
    Probe {
        /// Which one.
        probe: ProbeId,
        /// What to look at.
        check: Arc<Check>,
        /// The longest it may take.
        timeout: Duration,
    },
    /// A check is not wanted any more: a run under way is ended, a watch given up. No answer is owed.
    Cancel {
        /// Which one.
        probe: ProbeId,
    },
    /// Ask a node of a Patroni cluster. Answered by [`Input::Answered`] exactly once and within
    /// `timeout`, whatever happens; [`Action::Cancel`] ends it likewise. It is not put again before
    /// it was answered. One `ProbeId` always puts the same question.
    Ask {
        /// Which one.
        probe: ProbeId,
        /// Whom, and what.
        question: Arc<Question>,
        /// The longest it may take.
        timeout: Duration,
    },
    /// Keep the addresses of these host names known: the complete list, only when it changes. Each
    /// is answered by [`Input::Resolved`] when it has an address and whenever that changes; one that
    /// cannot be resolved any more keeps its last.
    Resolve {
        /// Sorted, each once.
        names: Vec<HostName>,
    },
    /// Open a listener, or change it to this: same addresses keep their sockets, and sessions go on.
    /// What cannot be opened is tried again by the shell, which tells by [`Input::Accepting`]. Its
    /// clients wait until the first view is published, in the same turn.
    Listen {
        /// Which one; never reused.
        listener: ListenerId,
        /// How it is configured.
        config: Arc<ListenerConfig>,
    },
    /// A listener is configured no longer: stop accepting. Its sessions go on under the views that
    /// are still published; a view without servers ends them all, and is the last.
    Unlisten {
        /// Which one.
        listener: ListenerId,
    },
    /// Give a listener a new view of its servers. Only when it differs from the last.
    Publish {
        /// Which one.
        listener: ListenerId,
        /// Its servers from now on.
        view: Arc<PoolView>,
    },
    /// Also receive, or no longer, where peers would send that use multicast with our unicast
    /// routers or the other way round: refused, they explain why two nodes are master. Not answered;
    /// failing does no harm.
    Observe {
        /// On which interface.
        iface: IfIndex,
        /// What is received; never where an [`Action::Socket`] receives.
        listen: Listen,
        /// Open or closed.
        open: bool,
    },
    /// Tell those who follow a router. Performed when the address operations before it are done: who
    /// is told of a master finds its addresses in place.
    Notify(Notification),
    /// Something an operator may want to read in the log.
    Record(Event),
    /// Nobody took over from a router that was to be drained: it serves on.
    NotDrained {
        /// Its name.
        router: String,
    },
    /// Shutdown is complete: every router resigned, every address is gone.
    Exit,
}

/// Where a socket receives adverts. Two sockets of one interface never bring the same packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listen {
    /// What is sent to this multicast group.
    Group(IpAddr),
    /// What is sent to this address of ours, which need not be there yet.
    Local(IpAddr),
}

impl Listen {
    /// The sockets whose sender carries a packet between these two.
    #[must_use]
    pub fn of(source: IpAddr, destination: IpAddr) -> Listen {
        if destination.is_multicast() { Listen::Group(destination) } else { Listen::Local(source) }
    }

    /// The group or the address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Listen::Group(address) | Listen::Local(address) => address,
        }
    }
}

/// One lease to lengthen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// On which interface.
    pub iface: IfIndex,
    /// The address as it was installed.
    pub address: Arc<VirtualAddress>,
    /// From now on.
    pub lease: Lease,
}

/// How long the kernel keeps an address that nobody renews (`ifa_valid`): the daemon's death or
/// hang ends it. Whole seconds, the kernel's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lease(pub u32);

impl Lease {
    /// What the kernel takes for no end (INFINITY_LIFE_TIME): turns a lease into an address that
    /// stays.
    pub const FOREVER: Lease = Lease(u32::MAX);

    /// The same length as a `Duration`.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

/// Whether an address should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Present; one that already exists is fine. Without a lease it stays until it is removed.
    Held(Option<Lease>),
    /// Absent; one that does not exist is fine.
    Gone,
}

/// What performing an action changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The kernel's state differs from before.
    Changed,
    /// It was so already.
    Already,
}

/// Why the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{operation}: {cause}")]
pub struct OpError {
    /// What was tried, with its object ("add 10.0.0.10/24 to eth0").
    pub operation: String,
    /// The system's words ("Operation not permitted").
    pub cause: String,
}

/// Something that those who follow a router or group are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Of what.
    pub kind: Kind,
    /// Its name in the configuration.
    pub name: String,
    /// What happened.
    pub event: NotifyEvent,
    /// Why, in a few words for a human.
    pub reason: String,
    /// Effective priority at that moment; 0 of a group.
    pub priority: u8,
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A virtual router.
    Router,
    /// Routers that change state together.
    Group,
}

/// What can happen to a router or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyEvent {
    /// It changed its state.
    Entered {
        /// Where it came from; `None` at start-up.
        from: Option<State>,
        /// Where it went.
        to: State,
    },
    /// The daemon ends; every address is gone.
    Stopped,
    /// It is configured no longer; every address is gone.
    Deleted,
    /// A master has heard a master with a lower priority. At most twice a second.
    LowerPriorityHeard,
    /// Its effective priority changed.
    PriorityChanged {
        /// It is master, or still answers for its addresses.
        master: bool,
    },
}

/// Something worth a log line. At most one per reason, router and minute where a stranger's packet
/// can cause it; the ones left out are counted in the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How loud.
    pub level: Level,
    /// Which router, by name, if any.
    pub router: Option<String>,
    /// What happened, in one line.
    pub message: String,
}

/// A promise to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only for debugging.
    Debug,
    /// Belongs in a post-mortem.
    Info,
    /// Would wake someone.
    Warn,
}
