//! What programs compare and people read: a code, and beside it the text.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What keeps a router from serving.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FaultStatus {
    /// For programs.
    pub code: FaultCode,
    /// For people.
    pub text: String,
    /// With the code `group`: what keeps the other member of the group from serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberFault>,
}

/// What keeps another member of the group from serving.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct MemberFault {
    /// The member's name.
    pub name: String,
    /// For programs.
    pub code: FaultCode,
    /// For people.
    pub text: String,
}

/// What can keep a router from serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// The sockets are being opened.
    Starting,
    /// An interface does not exist.
    NoInterface,
    /// An interface is down or has no carrier.
    LinkDown,
    /// An interface is up again, but not yet for as long as it has to.
    LinkUnsettled,
    /// The interface has no address to send adverts from.
    NoSource,
    /// The interface has no address that reaches the peers.
    NoSourceForPeers,
    /// The configured source address is not on this host.
    SourceNotHere,
    /// Every unicast peer is this node itself.
    OnlySelfAsPeer,
    /// The list of unicast peers is empty.
    NoPeers,
    /// An advert does not fit the MTU.
    Mtu,
    /// A static address it needs is not there.
    StaticAddress,
    /// A socket cannot be opened.
    Socket,
    /// A tracker says so.
    Tracker,
    /// Another member of its group cannot serve.
    Group,
    /// The operator took it out of service.
    Drained,
}

/// Why a router is in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateReason {
    /// The daemon has just begun.
    Starting,
    /// The daemon has started and listens.
    Started,
    /// The daemon was started again and its addresses were still in place.
    Adopted,
    /// It owns its addresses: priority 255.
    AddressOwner,
    /// The master said that it leaves.
    MasterResigned,
    /// The master has a lower priority.
    Preemption,
    /// The master was not heard for the master-down interval.
    MasterSilent,
    /// No master was heard for that long.
    NoMasterHeard,
    /// Another node has a higher priority, or the same and a higher address.
    Outranked,
    /// Another member of its group follows another master.
    SyncGroup,
    /// `faults` says what.
    Fault,
    /// Its interface was deleted and created again.
    InterfaceRecreated,
    /// Nothing keeps it from serving any more.
    FaultsCleared,
    /// The operator took it out of service.
    Drained,
    /// The operator put it into service again.
    Resumed,
    /// The operator handed it over.
    HandedOver,
    /// It was to be drained or handed over, and nobody took over.
    NobodyTookOver,
    /// The daemon did not run and the kernel took the addresses back; they were added again.
    LeaseEnded,
    /// The daemon did not run for so long that a peer took over.
    ReplacedWhileStalled,
    /// The host slept for so long that a peer took over.
    ReplacedWhileSuspended,
    /// The daemon ends, or the router was removed from the configuration.
    Stopped,
}

/// What an operator should know or do.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HintStatus {
    /// For programs.
    pub code: HintCode,
    /// For people.
    pub text: String,
    /// The other node it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<IpAddr>,
    /// The member of the cluster it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

impl HintStatus {
    /// About this node.
    #[must_use]
    pub const fn new(code: HintCode, text: String) -> HintStatus {
        HintStatus { code, text, node: None, member: None }
    }

    /// About another node.
    #[must_use]
    pub const fn about(code: HintCode, node: IpAddr, text: String) -> HintStatus {
        HintStatus { code, text, node: Some(node), member: None }
    }

    /// About a member of a cluster.
    #[must_use]
    pub fn about_member(code: HintCode, member: &str, text: String) -> HintStatus {
        HintStatus { code, text, node: None, member: Some(member.to_owned()) }
    }
}

/// What a hint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HintCode {
    /// Packets of another node are refused.
    PacketsRefused,
    /// Another node lists other addresses.
    AddressListsDiffer,
    /// The master that is followed lists none of the addresses: nobody serves them.
    AddressesUnserved,
    /// Another node is master too.
    SecondMaster,
    /// Adverts of a peer come through a router.
    DistantPeer,
    /// There are more nodes than there are hints about.
    MoreNodes,
    /// Two other nodes are master at the same time.
    TwoMasters,
    /// Another host announces one of the addresses, or answers for it.
    AddressConflict,
    /// A master with a lower priority is left alone, for now or for good.
    NotPreempted,
    /// It has just started and listens.
    JustStarted,
    /// A tracker has not answered yet.
    Untested,
    /// It waits for another member of its group.
    WaitsForGroup,
    /// Another program put one of the addresses on this host.
    ForeignAddress,
    /// Another program keeps removing one of the addresses.
    AddressFight,
    /// Adverts arrive from this node's own address.
    DuplicateSource,
    /// This host's packet filter drops the adverts of other nodes.
    AdvertsFilteredIn,
    /// This host's packet filter drops its own adverts.
    AdvertsFilteredOut,
    /// The lease of a cluster is longer than Patroni's settings allow.
    LeaseTooLong,
    /// A member's Patroni does not answer, its PostgreSQL does.
    PatroniSilent,
    /// A member's PostgreSQL does not answer, although its Patroni says that it runs.
    PostgresqlSilent,
    /// Several members claim to be the primary.
    SeveralPrimaries,
    /// A member belongs to another Patroni cluster.
    OtherScope,
    /// The members are several database systems.
    SeveralSystems,
}

/// What a server of a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleStatus {
    /// Takes writes.
    Primary,
    /// Leads a standby cluster.
    StandbyLeader,
    /// A synchronous standby.
    SyncStandby,
    /// A standby in the quorum of synchronous ones.
    QuorumStandby,
    /// A standby known to be asynchronous.
    AsyncStandby,
    /// A standby of unknown kind.
    Replica,
    /// Not known.
    Unknown,
    /// A server without roles.
    Server,
}

impl fmt::Display for RoleStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RoleStatus::Primary => "primary",
            RoleStatus::StandbyLeader => "standby leader",
            RoleStatus::SyncStandby => "synchronous standby",
            RoleStatus::QuorumStandby => "quorum standby",
            RoleStatus::AsyncStandby => "asynchronous standby",
            RoleStatus::Replica => "replica",
            RoleStatus::Unknown => "of unknown role",
            RoleStatus::Server => "server",
        })
    }
}
