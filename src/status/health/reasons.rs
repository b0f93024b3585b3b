//! What can be wrong, for programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reason why a node is not, or may soon not be, as it should be.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HealthReason {
    /// For programs.
    pub code: ReasonCode,
    /// What it makes of the health.
    pub severity: Severity,
    /// What it is about; empty: the daemon as a whole.
    pub about: Vec<AboutStatus>,
    /// For people.
    pub text: String,
}

/// What a reason makes of the health.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing: it is worth knowing.
    Notice,
    /// Degraded.
    Degraded,
    /// Critical.
    Critical,
}

/// Something with a name.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AboutStatus {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name in the configuration; of a peer, its address.
    pub name: String,
}

impl AboutStatus {
    pub(super) fn new(kind: ObjectKind, name: &str) -> AboutStatus {
        AboutStatus { kind, name: name.to_owned() }
    }
}

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// A virtual router.
    Router,
    /// A listener.
    Listener,
    /// A cluster.
    Cluster,
    /// A member of a cluster, or a server of a listener.
    Member,
    /// Another node that speaks VRRP.
    Peer,
    /// A tracker, or a tracked interface.
    Tracker,
    /// A sync group.
    Group,
    /// A status page.
    Page,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// No member of a cluster takes writes, and clients wait for one.
    NoPrimary,
    /// Clients of a listener get no server.
    NoServer,
    /// A listener is not open, or not at all its addresses.
    ListenerClosed,
    /// The last connection to every server a new one could go to came to nothing.
    ServersUnreachable,
    /// A limit makes clients wait, or turns them away.
    Saturated,
    /// The primary does not confirm that it is one.
    PrimaryUnconfirmed,
    /// Several members claim to be the primary.
    SeveralPrimaries,
    /// Clients that only read are given the primary.
    Fallback,
    /// The last connection to a server came to nothing; others take them.
    ServerUnreachable,
    /// A server accepts connections and does not answer.
    ServerMute,
    /// A standby is behind by more than its listener allows.
    ServerLags,
    /// A server comes and goes, and has to wait.
    ServerFlaps,
    /// A member is down.
    MemberDown,
    /// A member takes no new sessions.
    MemberHeld,
    /// Patroni fails nothing over by itself.
    ClusterPaused,
    /// The cluster's store is out of reach, and the primary goes on.
    Failsafe,
    /// The lease of a cluster is longer than Patroni's settings allow.
    LeaseTooLong,
    /// A member's Patroni does not answer, its PostgreSQL does.
    PatroniSilent,
    /// A member's PostgreSQL does not answer, although its Patroni says that it runs.
    PostgresqlSilent,
    /// A member belongs to another Patroni cluster.
    OtherScope,
    /// A router cannot serve.
    RouterFault,
    /// Nobody serves a router's addresses, and this node waits.
    NobodyServes,
    /// A router is out of service, by the operator.
    RouterDrained,
    /// Two nodes are master.
    SecondMaster,
    /// Another host answers for one of the addresses, or may.
    AddressConflict,
    /// The host's packet filter drops adverts.
    AdvertsFiltered,
    /// Adverts of another node are refused, or list other addresses.
    PeerRefused,
    /// A master does not hold one of its addresses.
    AddressMissing,
    /// An address is here although the router does not serve.
    AddressStays,
    /// The kernel refuses what is to be done with an address, such as renewing its lease.
    AddressError,
    /// Another program keeps removing an address.
    AddressFight,
    /// A tracker lowers a priority, or adds nothing although it could.
    PriorityLowered,
    /// A command that is to be told did not succeed.
    NotifyFailed,
    /// The running configuration is not the file: a reload was refused.
    ReloadRefused,
    /// Routers of the file are not run (`--lenient`).
    RoutersLeftOut,
    /// Settings of the file are not in force (`--lenient`).
    SettingsDropped,
    /// The host did not run the daemon for a while.
    Stall,
    /// A static address is not there.
    StaticAddress,
    /// A status page is not open.
    PageClosed,
    /// A FIFO cannot be written to, or nobody reads fast enough.
    Fifo,
    /// Mail cannot be sent.
    Mail,
    /// Packets, log lines or events of the kernel were lost.
    Losses,
    /// What a hint says besides.
    Hint,
}

impl HealthReason {
    /// It keeps this node from serving what it should, whether or not another node does.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self.code {
            ReasonCode::RouterFault | ReasonCode::RouterDrained => true,
            ReasonCode::NoPrimary
            | ReasonCode::NoServer
            | ReasonCode::ListenerClosed
            | ReasonCode::ServersUnreachable
            | ReasonCode::Saturated
            | ReasonCode::NobodyServes
            | ReasonCode::AddressMissing => matches!(self.severity, Severity::Critical),
            ReasonCode::PrimaryUnconfirmed
            | ReasonCode::SeveralPrimaries
            | ReasonCode::Fallback
            | ReasonCode::ServerUnreachable
            | ReasonCode::ServerMute
            | ReasonCode::ServerLags
            | ReasonCode::ServerFlaps
            | ReasonCode::MemberDown
            | ReasonCode::MemberHeld
            | ReasonCode::ClusterPaused
            | ReasonCode::Failsafe
            | ReasonCode::LeaseTooLong
            | ReasonCode::PatroniSilent
            | ReasonCode::PostgresqlSilent
            | ReasonCode::OtherScope
            | ReasonCode::SecondMaster
            | ReasonCode::AddressConflict
            | ReasonCode::AdvertsFiltered
            | ReasonCode::PeerRefused
            | ReasonCode::AddressStays
            | ReasonCode::AddressError
            | ReasonCode::AddressFight
            | ReasonCode::PriorityLowered
            | ReasonCode::NotifyFailed
            | ReasonCode::ReloadRefused
            | ReasonCode::RoutersLeftOut
            | ReasonCode::SettingsDropped
            | ReasonCode::Stall
            | ReasonCode::StaticAddress
            | ReasonCode::PageClosed
            | ReasonCode::Fifo
            | ReasonCode::Mail
            | ReasonCode::Losses
            | ReasonCode::Hint => false,
        }
    }
}
