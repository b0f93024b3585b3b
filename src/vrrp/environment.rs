//! What a router has to work with, and what keeps it from serving.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::status::{FaultCode, FaultStatus, MemberFault};
use crate::types::{Cidr, Family, IfIndex, IfName, Mac};

/// What the kernel offers this router at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) iface: Option<IfIndex>,
    pub(crate) source: Option<IpAddr>,
    /// The source is an address of the router's own interface.
    pub(crate) source_is_local: bool,
    /// Whom adverts go to: the group, or the unicast peers that are not this node.
    pub(crate) destinations: Vec<IpAddr>,
    pub(crate) faults: BTreeSet<Fault>,
    /// What its trackers add up to.
    pub(crate) tracked: i32,
    /// Trackers that have not said anything yet: until they have, it takes nothing over.
    pub(crate) untested: BTreeSet<String>,
    /// Every link an address of this router lives on.
    pub(crate) ports: BTreeMap<IfName, Port>,
    /// The addresses of an owner that those links have without us.
    pub(crate) native: BTreeSet<(IfIndex, Cidr)>,
    /// Its addresses that somebody else put on this host.
    pub(crate) foreign: BTreeSet<(IfName, Cidr)>,
}

impl Environment {
    /// Adverts can arrive: `iface` carries packets, and a socket is open.
    pub(crate) fn listens(&self, iface: &IfName) -> bool {
        !self.faults.iter().any(|fault| match fault {
            Fault::NoInterface(name) | Fault::LinkDown(name) => name == iface,
            Fault::NoSource(..) | Fault::NoSourceForPeers(_) | Fault::SourceNotHere(_) => true,
            Fault::Starting | Fault::Socket(_) => true,
            Fault::LinkUnsettled(_)
            | Fault::NoPeer
            | Fault::EmptyPeers
            | Fault::Mtu { .. }
            | Fault::StaticAddress { .. }
            | Fault::Tracker(_)
            | Fault::Group { .. }
            | Fault::Drained => false,
        })
    }

    /// What keeps this router itself, and so its whole group, from serving.
    pub(crate) fn own_fault(&self) -> Option<&Fault> {
        self.faults.iter().find(|fault| !matches!(fault, Fault::Starting | Fault::Group { .. }))
    }
}

/// One link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) index: IfIndex,
    pub(crate) mac: Option<Mac>,
    /// Announcements make sense: it has a MAC and does ARP.
    pub(crate) announces: bool,
}

/// What is wrong with an interface.
pub(crate) const NO_INTERFACE: &str = "does not exist";
pub(crate) const LINK_DOWN: &str = "is down or has no carrier";
pub(crate) const LINK_UNSETTLED: &str = "is up again, but not yet for as long as it has to";

/// What keeps a router from serving.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The sockets are being opened.
    Starting,
    NoInterface(IfName),
    LinkDown(IfName),
    /// Up again, but not for long enough.
    LinkUnsettled(IfName),
    NoSource(IfName, Family),
    NoSourceForPeers(IfName),
    SourceNotHere(IpAddr),
    NoPeer,
    EmptyPeers,
    /// An advert with this many addresses, on a link that carries fewer.
    Mtu {
        iface: IfName,
        mtu: u32,
        found: usize,
        most: usize,
    },
    /// An address this node needs to serve.
    StaticAddress {
        cidr: Cidr,
        iface: IfName,
        why: String,
    },
    Socket(String),
    /// What it says.
    Tracker(String),
    /// Another member of its group cannot serve.
    Group {
        group: String,
        member: String,
        why: Box<Fault>,
    },
    Drained,
}

impl Fault {
    pub(crate) fn status(&self) -> FaultStatus {
        let member = if let Fault::Group { member, why, .. } = self {
            let (name, text) = (member.clone(), why.to_string());
            Some(MemberFault { name, code: why.code(), text })
        } else {
            None
        };
        FaultStatus { code: self.code(), text: self.to_string(), member }
    }

    fn code(&self) -> FaultCode {
        match self {
            Fault::Starting => FaultCode::Starting,
            Fault::NoInterface(_) => FaultCode::NoInterface,
            Fault::LinkDown(_) => FaultCode::LinkDown,
            Fault::LinkUnsettled(_) => FaultCode::LinkUnsettled,
            Fault::NoSource(..) => FaultCode::NoSource,
            Fault::NoSourceForPeers(_) => FaultCode::NoSourceForPeers,
            Fault::SourceNotHere(_) => FaultCode::SourceNotHere,
            Fault::NoPeer => FaultCode::OnlySelfAsPeer,
            Fault::EmptyPeers => FaultCode::NoPeers,
            Fault::Mtu { .. } => FaultCode::Mtu,
            Fault::StaticAddress { .. } => FaultCode::StaticAddress,
            Fault::Socket(_) => FaultCode::Socket,
            Fault::Tracker(_) => FaultCode::Tracker,
            Fault::Group { .. } => FaultCode::Group,
            Fault::Drained => FaultCode::Drained,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Starting => write!(f, "the sockets are being opened"),
            Fault::NoInterface(name) => write!(f, "interface {name} {NO_INTERFACE}"),
            Fault::LinkDown(name) => write!(f, "interface {name} {LINK_DOWN}"),
            Fault::LinkUnsettled(name) => write!(f, "interface {name} {LINK_UNSETTLED}"),
            Fault::NoSource(name, Family::Ipv4) => {
                write!(f, "interface {name} has no IPv4 address to send adverts from")
            }
            Fault::NoSource(name, Family::Ipv6) => {
                write!(f, "interface {name} has no IPv6 link-local address to send adverts from")
            }
            Fault::NoSourceForPeers(name) => {
                write!(f, "interface {name} has no usable address that reaches the peers")
            }
            Fault::SourceNotHere(source) => {
                write!(f, "no interface of this host has the source address {source}")
            }
            Fault::NoPeer => write!(
                f,
                "every unicast peer is this node itself: list the addresses of the other nodes too"
            ),
            Fault::EmptyPeers => {
                write!(f, "the list of unicast peers is empty: list the other nodes")
            }
            Fault::Mtu { iface, mtu, found, most } => write!(
                f,
                "an advert with {found} addresses does not fit the MTU of {iface}, {mtu} bytes, \
                 which holds {most}: exclude the others from the advert, on every node"
            ),
            Fault::StaticAddress { cidr, iface, why } => {
                write!(f, "the static address {cidr} is not on {iface}: {why}")
            }
            Fault::Socket(error) => write!(f, "{error}"),
            Fault::Tracker(complaint) => write!(f, "{complaint}"),
            Fault::Group { group, member, why } => write!(f, "{member} of group {group}: {why}"),
            Fault::Drained => write!(f, "drained by the operator; `vipd resume` ends it"),
        }
    }
}
