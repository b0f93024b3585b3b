//! The one status type: what the socket sends is what the table, the JSON and the tests use.
//! Fields are added, never repurposed.
#![warn(missing_docs)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod changes;
mod clusters;
mod codes;
pub(crate) mod health;
mod notify;
mod strangers;
pub(crate) mod text;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{DropCounter, Family, IfName};
pub use changes::{Change, Changes, ObjectChange, RouterChange, SettingChange};
pub use clusters::{
    AdmissionStatus, ClusterStatus, Limit, LimitStatus, ListenerStatus, MemberStatus, Miss,
    MissingStatus, Phase, ServerStatus, ServerTraffic, Traffic,
};
pub use codes::{
    FaultCode, FaultStatus, HintCode, HintStatus, MemberFault, RoleStatus, StateReason,
};
pub use health::{
    AboutStatus, HealthLevel, HealthReason, HealthStatus, Object, ObjectKind, ReasonCode, Severity,
    health, health_of, outages,
};
pub use notify::{FifoStatus, MailStatus, NotifyStatus, RunStatus, RunningStatus};
pub(crate) use strangers::Strangers;
pub use strangers::{MOST_PEERS, MOST_STRANGERS, StrangerStatus};

/// Everything `vipd status` knows, at one moment. Ages and delays are in milliseconds.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whether all is well, and if not, why; filled by the shell. Status `unknown`: an older daemon did not say it.
    #[serde(default)]
    pub health: HealthStatus,
    /// The daemon itself; filled by the shell.
    pub daemon: Daemon,
    /// The virtual routers, in the order of the configuration.
    pub routers: Vec<RouterStatus>,
    /// Addresses that are there whatever the routers do.
    #[serde(default)]
    pub static_addresses: Vec<AddressStatus>,
    /// What they track, in the order of the configuration.
    #[serde(default)]
    pub trackers: Vec<TrackerStatus>,
    /// The commands that were told of groups, by the group's name; filled by the shell.
    #[serde(default)]
    pub groups: BTreeMap<String, NotifyStatus>,
    /// The FIFOs events are written to; filled by the shell.
    #[serde(default)]
    pub fifos: Vec<FifoStatus>,
    /// The mail, if any is sent; filled by the shell.
    #[serde(default)]
    pub mail: Option<MailStatus>,
    /// The clusters listeners connect to, in the order of the configuration.
    #[serde(default)]
    pub clusters: Vec<ClusterStatus>,
    /// Where clients connect to, in the order of the configuration.
    #[serde(default)]
    pub listeners: Vec<ListenerStatus>,
    /// Where the status is shown to browsers, in the order of the configuration; filled by the shell.
    #[serde(default)]
    pub pages: Vec<PageStatus>,
    /// Senders that routers have no room for in `peers`, summed up, the most recent first.
    #[serde(default)]
    pub strangers: Vec<StrangerStatus>,
    /// How many more there are.
    #[serde(default)]
    pub more_strangers: u64,
    /// Packets that could not be attributed to a router, by reason.
    pub unattributed: BTreeMap<DropCounter, u64>,
}

/// Whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One place at which a status page is shown.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PageStatus {
    /// The user's name for the page.
    pub name: String,
    /// Address and port.
    pub bind: SocketAddr,
    /// Its path.
    pub path: String,
    /// Why it is not open.
    pub failure: Option<String>,
}

/// The process that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Daemon {
    /// vipd's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// `router_id`, else the host name.
    pub node: String,
    /// When the snapshot was taken, RFC 3339 with the local offset.
    pub taken_at: String,
    /// Since the process started.
    pub uptime_ms: u64,
    /// The configuration files, as given.
    pub config: Vec<String>,
    /// Successful reloads since the start.
    pub reloads: u64,
    /// Why the last reload was refused; `None` if it was not.
    pub reload_error: Option<String>,
    /// Settings a lenient reading of the configuration did without: where, and why.
    #[serde(default)]
    pub settings_dropped: Vec<String>,
    /// Routers it does not run at all.
    #[serde(default)]
    pub routers_left_out: Vec<String>,
    /// Adverts the kernel would not take at once.
    pub send_drops: u64,
    /// Times the kernel's event queue overflowed and everything was read again.
    pub netlink_overruns: u64,
    /// Log lines lost because the log sink was too slow.
    pub log_lines_lost: u64,
    /// The latest a protocol timer fired since the start, in microseconds.
    pub latest_timer_us: u64,
    /// The worst time within a day in which this process was not run when it had to be; `None` if it
    /// was never late enough to matter.
    #[serde(default)]
    pub stall: Option<StallStatus>,
    /// How the control thread is scheduled: "SCHED_RR 1" or "SCHED_OTHER".
    #[serde(default)]
    pub scheduling: String,
    /// Routers whose addresses were still in place when this daemon started.
    #[serde(default)]
    pub adopted: u64,
    /// Virtual addresses without vipd's mark that were on this host when this daemon started, and where.
    #[serde(default)]
    pub removed_at_start: Vec<String>,
    /// The version that replaced itself with this one, if this daemon began as an upgrade.
    #[serde(default)]
    pub upgraded_from: Option<String>,
}

/// A time in which the control thread did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StallStatus {
    /// For how long.
    pub lasted_ms: u64,
    /// Since its end.
    pub age_ms: u64,
}

/// The protocol's states (RFC 9568 section 6.3), with keepalived's Fault for Initialize.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Cannot serve, and why is known.
    Fault,
    /// Listens, ready to take over.
    Backup,
    /// Holds the addresses.
    Master,
    /// Has resigned and still answers for each address until its successor does.
    Leaving,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Fault => "FAULT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Leaving => "LEAVING",
        })
    }
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct RouterStatus {
    /// The user's name for it.
    pub name: String,
    /// The interface that carries the adverts.
    pub interface: IfName,
    /// Virtual router identifier.
    pub vrid: u8,
    /// VRRP version, 2 or 3.
    pub version: u8,
    /// IPv4 or IPv6.
    pub family: Family,
    /// Where it is.
    pub state: State,
    /// For how long.
    pub state_age_ms: u64,
    /// Why it came there.
    pub reason: String,
    /// The same for programs; `None` of a daemon that does not say it.
    #[serde(default)]
    pub reason_code: Option<StateReason>,
    /// What keeps it from serving; empty unless `state` is Fault.
    pub faults: Vec<FaultStatus>,
    /// Configured priority.
    pub base_priority: u8,
    /// Priority in force.
    pub priority: u8,
    /// For how long.
    #[serde(default)]
    pub priority_age_ms: u64,
    /// The sync group it changes state with.
    #[serde(default)]
    pub group: Option<String>,
    /// What makes the difference, and what could.
    #[serde(default)]
    pub tracking: Vec<TrackedStatus>,
    /// Own advertisement interval.
    pub interval_ms: u64,
    /// Interval the timers use: the master's, if VRRPv3 and backup.
    pub master_interval_ms: u64,
    /// Source address of our adverts, once known.
    pub source: Option<IpAddr>,
    /// Where they go: the multicast group, or the unicast peers other than this node.
    pub destinations: Vec<IpAddr>,
    /// Who serves, as far as this node knows, in Fault too; a node in Fault forgets a master that has
    /// been silent for so long that a backup would have replaced it.
    pub master: Option<MasterStatus>,
    /// Adverts can arrive; if not, this node cannot know who serves.
    #[serde(default = "yes")]
    pub listens: bool,
    /// Backup: until this node takes over if it hears nothing more. Master: until its next advert.
    pub next_deadline_ms: Option<u64>,
    /// Backup: it takes over then whatever it hears of the present master, whose priority is lower.
    #[serde(default)]
    pub preempts: bool,
    /// The addresses that follow the state.
    pub addresses: Vec<AddressStatus>,
    /// Counters since the start, by the names of the manual.
    pub counters: Counters,
    /// Who was heard with this VRID, the most recent first; at most four, two of which are the last
    /// whose adverts were accepted. The others are among `strangers`.
    pub peers: Vec<PeerStatus>,
    /// How many others.
    #[serde(default)]
    pub more_peers: u64,
    /// The last state changes, the most recent first.
    pub transitions: Vec<TransitionStatus>,
    /// The operator took it out of service.
    pub drained: bool,
    /// When, RFC 3339 with the local offset; filled by the shell.
    #[serde(default)]
    pub drained_since: Option<String>,
    /// It stays so when the daemon is restarted; filled by the shell.
    #[serde(default)]
    pub drained_sticky: bool,
    /// Since a packet of any other node for one of our VRIDs arrived on this interface; `None`: not
    /// since the start.
    #[serde(default)]
    pub last_heard_ms: Option<u64>,
    /// What the next failure would mean; `None` if no master is known that could fail.
    #[serde(default)]
    pub failover: Option<FailoverEstimate>,
    /// The commands that were told of it; filled by the shell.
    #[serde(default)]
    pub notify: NotifyStatus,
    /// What an operator should know or do, the most urgent first.
    pub hints: Vec<HintStatus>,
}

/// What one tracker does to one router.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TrackedStatus {
    /// The tracker's name, or the interface's.
    pub name: String,
    /// `interface`, or the tracker's kind.
    pub kind: String,
    /// As configured: `-60`, `2 reverse`; `0` means Fault.
    pub weight: String,
    /// Points of priority it adds now.
    pub adds: i32,
    /// It keeps the router from serving now.
    pub fault: bool,
    /// What it says.
    pub standing: Standing,
    /// What is wrong with an interface: "does not exist", "is down or has no carrier".
    #[serde(default)]
    pub wrong: String,
}

/// One tracker.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// The user's name for it.
    pub name: String,
    /// `script`, `file`, `process`, `tcp`, `http`, `patroni`, `haproxy` or `postgres`.
    pub kind: String,
    /// What it says.
    pub standing: Standing,
    /// Since when.
    pub standing_age_ms: u64,
    /// Answers in a row that contradict it,
    pub against: u32,
    /// and how many turn it.
    pub needed: u32,
    /// The last answer: `passed`, a number, or why it failed; `None`: none yet.
    pub answer: Option<String>,
    /// Since it came.
    pub answer_age_ms: Option<u64>,
    /// How long the check took.
    pub took_ms: Option<u64>,
    /// The particulars of the answer.
    pub detail: String,
    /// What a script printed.
    pub output: String,
    /// For how long a run has been under way.
    pub running_ms: Option<u64>,
    /// From run to run; `None` if it is watched instead.
    pub interval_ms: Option<u64>,
    /// The longest a run may take.
    pub timeout_ms: u64,
}

/// What a tracker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nothing yet.
    Untested,
    /// All is well.
    Up,
    /// It is not.
    Down,
    /// The number in a file.
    Value(i32),
}

/// What the failure of the master would mean, from what this node knows. The times are counted from
/// the failure to the successor's first advert.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FailoverEstimate {
    /// Who would take over; `None`: a backup, if there is one, that was never heard.
    pub successor: Option<Successor>,
    /// If the master's host dies: the silence it takes to be noticed.
    pub on_crash: Span,
    /// If the master resigns: what the successor hesitates.
    pub on_resign: Span,
    /// If this node is the master and only its daemon dies: until the kernel has removed the
    /// addresses. `None`: it does not.
    pub on_daemon_crash: Option<Span>,
}

/// Who would take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Successor {
    /// Its address.
    pub address: IpAddr,
    /// Its priority; if it is not this node, when it was heard last.
    pub priority: u8,
    /// It is this node.
    pub is_self: bool,
    /// Since it was heard last; a backup is silent, so this can be long. `None` for this node.
    pub last_heard_ms: Option<u64>,
}

/// The shortest and the longest time something can take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Span {
    /// Rounded down.
    pub least_ms: u64,
    /// Rounded up.
    pub most_ms: u64,
}

fn yes() -> bool {
    true
}

/// The master a router follows, or is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct MasterStatus {
    /// Its address.
    pub address: IpAddr,
    /// The priority it claims.
    pub priority: u8,
    /// It is this node.
    pub is_self: bool,
    /// Since its last advert was heard (or sent, if it is this node); `None`: none yet.
    pub last_advert_ms: Option<u64>,
}

/// One address that follows the state, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AddressStatus {
    /// Address and prefix length.
    pub address: String,
    /// Where it lives.
    pub interface: IfName,
    /// The kernel has it because of us.
    pub held: bool,
    /// Listed in the advert.
    pub advertised: bool,
    /// Until the kernel takes it back by itself if this daemon stops renewing it; `None`: never.
    pub lease_ms: Option<u64>,
    /// Why the kernel refused it, if it did.
    pub error: Option<String>,
    /// How often somebody else removed it and it was put back.
    pub readded: u64,
}

/// A sender heard with this VRID.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its address.
    pub address: IpAddr,
    /// Since its last packet.
    pub last_seen_ms: u64,
    /// Priority in its last accepted advert; 0 after a resignation.
    pub priority: Option<u8>,
    /// Adverts accepted.
    pub accepted: u64,
    /// Packets refused, by counter.
    pub refused: BTreeMap<DropCounter, u64>,
    /// The last refusal in words.
    pub last_refusal: Option<String>,
    /// Since the last refusal.
    pub last_refusal_ms: Option<u64>,
    /// VRRPv3 over IPv4: the checksum form it sends.
    pub checksum: Option<crate::types::V3Checksum>,
}

/// A state change in the past.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// From; `None` at start-up.
    pub from: Option<State>,
    /// To.
    pub to: State,
    /// Why.
    pub reason: String,
    /// The same for programs; `None` of a daemon that does not say it.
    #[serde(default)]
    pub reason_code: Option<StateReason>,
    /// How long ago.
    pub age_ms: u64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one virtual router. The names are those of the manual's table, which gives
        /// each one's object in VRRP-MIB (RFC 2787), VRRPv3-MIB (RFC 6527) and ietf-vrrp (RFC 8347).
        #[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// Every counter with its name, in the manual's order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

        }
    };
}

counters! {
    /// Adverts sent, priority 0 included.
    adv_sent,
    /// Adverts accepted.
    adv_rcvd,
    /// Adverts with priority 0 sent.
    pri_zero_sent,
    /// Adverts with priority 0 accepted.
    pri_zero_rcvd,
    /// Became master.
    master_transitions,
    /// Stopped being master.
    release_master,
    /// Gratuitous ARPs and unsolicited NAs sent.
    announcements_sent,
    /// Answers to lower-priority or resigning senders held back by the limit of one per 100 ms.
    answers_limited,
    /// Wrong length, or a 28-byte authentication trailer we do not expect (V2, V6, V9, V14).
    packet_length_errors,
    /// VRRPv3 advert without an address (V9).
    addr_count_zero,
    /// TTL or hop limit is not 255, or not what is accepted from this unicast peer (V5).
    ip_ttl_errors,
    /// Sent to another destination than this router's group, or than our own address if it speaks
    /// unicast (V4).
    wrong_cast,
    /// Sent to a unicast router by somebody who is not in its list of peers (V19).
    unknown_peer,
    /// Another VRRP version (V7, V13).
    version_errors,
    /// Not an advertisement (V8).
    invalid_type_pkts,
    /// Wrong checksum (V10).
    checksum_errors,
    /// VRRPv3 over IPv4, accepted, checksum with pseudo-header.
    checksum_pseudo_header,
    /// VRRPv3 over IPv4, accepted, checksum over the message only.
    checksum_message_only,
    /// Unknown authentication type (V16).
    invalid_auth_type,
    /// Another authentication type than ours (V17).
    auth_type_mismatch,
    /// Wrong password (V18).
    auth_failures,
    /// Interval zero, or differing: VRRPv2 refused, VRRPv3 accepted and learnt (V20, V21).
    interval_errors,
    /// A learnt interval above the limit was cut to it (D25).
    interval_clamped,
    /// The sender lists other addresses than we do; accepted (V24).
    address_list_errors,
    /// The first IPv6 address is not link-local; accepted (V22).
    first_addr_not_ll,
    /// The IPv6 source is not link-local; accepted (V22).
    src_not_ll,
    /// Arrived while this router was in Fault (V12).
    ignored_state,
    /// Thrown away during the start-up delay (R30).
    ignored_startup,
    /// Priority and address equal ours: a loop, or two nodes with one address (R20).
    duplicate_source,
    /// Another router claims priority 255 while we do (V23).
    owner_conflict,
    /// Priority 255 heard although no owner is expected (V25).
    unexpected_owner,
    /// Addresses somebody else removed and we put back.
    addresses_readded,
    /// Address operations the kernel refused.
    address_errors,
    /// Woke up later than a whole interval (R31).
    stalls,
}

impl Counters {
    /// The counter of a dropped packet; `None` for what is counted for the daemon alone.
    pub const fn dropped_mut(&mut self, counter: DropCounter) -> Option<&mut u64> {
        Some(match counter {
            DropCounter::PacketLengthErrors => &mut self.packet_length_errors,
            DropCounter::AddrCountZero => &mut self.addr_count_zero,
            DropCounter::IpTtlErrors => &mut self.ip_ttl_errors,
            DropCounter::WrongCast => &mut self.wrong_cast,
            DropCounter::UnknownPeer => &mut self.unknown_peer,
            DropCounter::VersionErrors => &mut self.version_errors,
            DropCounter::InvalidTypePkts => &mut self.invalid_type_pkts,
            DropCounter::ChecksumErrors => &mut self.checksum_errors,
            DropCounter::InvalidAuthType => &mut self.invalid_auth_type,
            DropCounter::AuthTypeMismatch => &mut self.auth_type_mismatch,
            DropCounter::AuthFailures => &mut self.auth_failures,
            DropCounter::IntervalErrors => &mut self.interval_errors,
            DropCounter::AddressListErrors => &mut self.address_list_errors,
            DropCounter::FirstAddrNotLl => &mut self.first_addr_not_ll,
            DropCounter::SrcNotLl => &mut self.src_not_ll,
            DropCounter::OwnerConflict => &mut self.owner_conflict,
            DropCounter::UnexpectedOwner => &mut self.unexpected_owner,
            DropCounter::RxTruncated | DropCounter::OwnSource | DropCounter::VridErrors => {
                return None;
            }
        })
    }
}
