//! Clusters and the listeners they serve. Ages and delays are in milliseconds.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HintStatus, RoleStatus};

/// One cluster, as it looks from here.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The user's name for it.
    pub name: String,
    /// The state of the whole.
    pub phase: Phase,
    /// The same in words, with names.
    pub summary: String,
    /// For how long.
    pub phase_age_ms: u64,
    /// The member that takes writes; of several database systems those that do.
    pub primary: Option<String>,
    /// How long a primary is used without confirming that it is one; `None` without Patroni.
    pub lease_ms: Option<u64>,
    /// What is left of it. Then the primary gets no new sessions.
    pub lease_left_ms: Option<u64>,
    /// Since the primary last confirmed that it is one.
    pub confirmed_ms: Option<u64>,
    /// How long it keeps the sessions it has at most, unless it confirms.
    pub sessions_left_ms: Option<u64>,
    /// Automatic failover is off (`patronictl pause`).
    pub paused: bool,
    /// The cluster's store is out of reach, and the primary goes on because all members agree.
    pub failsafe: bool,
    /// A planned switchover: when, and to whom.
    pub switchover: Option<String>,
    /// The members are asked in quick succession because something happened.
    pub fast: bool,
    /// What an operator should know or do.
    pub hints: Vec<HintStatus>,
    /// The members, in the order of the configuration.
    pub members: Vec<MemberStatus>,
}

/// The state of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nobody has answered yet.
    Unknown,
    /// Servers without roles: each for itself.
    Plain,
    /// One member takes writes.
    Primary,
    /// The primary's Patroni does not answer; it is used until its lease ends.
    ApiSilent,
    /// The lease is over, but its SQL port answers and the cluster's store names it: its sessions
    /// stay for a while.
    SecondOpinion,
    /// The primary's Patroni cannot ask its PostgreSQL.
    Unsure,
    /// A member holds the leader lock and is a standby still.
    Promoting,
    /// The holder of the leader lock is stopping its PostgreSQL.
    Stopping,
    /// The holder of the leader lock has no running PostgreSQL: it restarts after a crash.
    CrashRestart,
    /// Members claim to be the primary with equal right; none is used.
    Rivals,
    /// Nobody holds the leader lock.
    Unlocked,
    /// Nobody takes writes, and the members cannot reach the cluster's store.
    StoreOutage,
    /// A standby cluster: its leader takes no writes.
    StandbyCluster,
    /// Members answer, and none of them leads.
    Leaderless,
    /// No member answers.
    Silent,
}

/// One member of a cluster.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The user's name for it.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Its Patroni's REST API.
    pub api: Option<String>,
    /// What it is.
    pub role: RoleStatus,
    /// What its Patroni says of PostgreSQL.
    pub state: Option<String>,
    /// Whether its Patroni holds the leader lock.
    pub holds_lock: Option<bool>,
    /// The timeline it is on.
    pub timeline: Option<u64>,
    /// Whether it may be used at all.
    pub admission: AdmissionStatus,
    /// Why not.
    pub reason: String,
    /// For how long it has been so.
    pub since_ms: u64,
    /// Bytes of write-ahead log it has not replayed.
    pub lag_bytes: Option<u64>,
    /// For how long it has been behind.
    pub lag_ms: Option<u64>,
    /// Since its last answer.
    pub answer_age_ms: Option<u64>,
    /// Why the questions after that were not answered.
    pub silence: Option<String>,
    /// Questions that were not answered, or checks that failed; `None`: each listener judges for itself,
    /// or nobody asks.
    #[serde(default)]
    pub check_failures: Option<u64>,
    /// Patroni's version.
    pub version: Option<String>,
    /// Particulars worth knowing: "in archive recovery", "noloadbalance".
    pub notes: Vec<String>,
}

/// Whether a server takes sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdmissionStatus {
    /// It does.
    Usable,
    /// No new ones; those it has go on.
    Held,
    /// None; those it has are ended.
    Down,
}

impl fmt::Display for AdmissionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AdmissionStatus::Usable => "usable",
            AdmissionStatus::Held => "held",
            AdmissionStatus::Down => "down",
        })
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its number; survives reloads.
    pub id: u32,
    /// The user's name for it.
    pub name: String,
    /// Where it listens.
    pub binds: Vec<SocketAddr>,
    /// What its clients need: "primary", "replica".
    pub wants: String,
    /// The cluster its servers belong to.
    pub cluster: String,
    /// It accepts connections at all its addresses, as far as the shell has said.
    pub accepting: bool,
    /// Whether a new connection gets a server now.
    pub serves: bool,
    /// It does because clients that only read are given the primary.
    pub fallen_back: bool,
    /// Why nobody can be used; empty if somebody can.
    pub reason: String,
    /// The most clients at a time; `None`: no limit.
    #[serde(default)]
    pub maxconn: Option<u32>,
    /// Its servers, in the order of the configuration; then those that have left it.
    pub servers: Vec<ServerStatus>,
    /// Its connections; filled by the shell.
    #[serde(default)]
    pub traffic: Option<Traffic>,
}

/// The connections of a listener.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Traffic {
    /// Clients connected now.
    pub connections: u32,
    /// Those of them that wait for a server.
    pub waiting: u32,
    /// Why it is not open as it is configured.
    pub failure: Option<String>,
    /// What has been counted since it was opened.
    pub counters: BTreeMap<String, u64>,
    /// Limits clients run into, now or in the last minute.
    #[serde(default)]
    pub limits: Vec<LimitStatus>,
}

/// A limit that makes clients of a listener wait, or turns them away.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LimitStatus {
    /// Which.
    pub limit: Limit,
    /// Where it lies, if it is one number.
    pub most: Option<u64>,
    /// It is reached now; if not, it was within the last minute.
    pub reached: bool,
    /// Clients that wait because of it now.
    pub waiting: u32,
    /// Clients turned away because of it since it was first reached; with the accept queue,
    /// attempts to connect that the kernel dropped, which a client repeats.
    pub refused: u64,
    /// What raises it.
    pub raise: String,
}

/// What there is a limit to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Connections of the listener.
    Maxconn,
    /// Sessions of each of its servers.
    ServerMaxconn,
    /// Clients that wait for a server.
    Queue,
    /// Descriptors of the process.
    Descriptors,
    /// The kernel's queue of connections nobody has accepted yet.
    Backlog,
}

/// One server of a listener.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its number; survives reloads.
    pub id: u32,
    /// The member's name.
    pub name: String,
    /// Where sessions go.
    pub address: SocketAddr,
    /// What it is.
    pub role: RoleStatus,
    /// Whether it takes sessions.
    pub admission: AdmissionStatus,
    /// Its role is one that clients of the listener are given now, the fallback included.
    #[serde(default)]
    pub fits: bool,
    /// The next connection may go to it.
    pub takes: bool,
    /// Why not: "is a replica", "lags by more than 16 MB".
    pub reason: String,
    /// How often it has ceased to be usable lately.
    pub falls: u32,
    /// It is not used because it is behind by more than its listener allows.
    #[serde(default)]
    pub lags: bool,
    /// It is not used because it comes and goes.
    #[serde(default)]
    pub flaps: bool,
    /// Sessions now; filled by the shell.
    #[serde(default)]
    pub sessions: Option<u32>,
    /// Attempts to connect to it that failed, since it was first used; filled by the shell.
    #[serde(default)]
    pub failures: Option<u64>,
    /// What has been counted since it was first used; filled by the shell.
    #[serde(default)]
    pub traffic: Option<ServerTraffic>,
    /// It is used only if no other can be.
    #[serde(default)]
    pub backup: bool,
    /// Its share of the connections, compared with the others.
    #[serde(default)]
    pub weight: Option<u32>,
    /// The most sessions it may have.
    #[serde(default)]
    pub maxconn: Option<u32>,
    /// Clients whose first message it did not answer in time; filled by the shell.
    #[serde(default)]
    pub unanswered: Option<u64>,
    /// It has answered none since the last of them; filled by the shell.
    #[serde(default)]
    pub mute: bool,
    /// The latest connections to it came to nothing; filled by the shell.
    #[serde(default)]
    pub missing: Option<MissingStatus>,
}

/// What is counted of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerTraffic {
    /// Attempts to connect to it.
    pub attempts: u64,
    /// Those that connected.
    pub connections: u64,
    /// Bytes to it, of sessions that have ended.
    pub bytes_in: u64,
    /// Bytes from it, of sessions that have ended.
    pub bytes_out: u64,
}

/// Connections to a server in a row that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct MissingStatus {
    /// How the last one did.
    pub how: Miss,
    /// How many.
    pub times: u32,
    /// Since the last one.
    pub ago_ms: u64,
}

/// How a connection to a server comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Miss {
    /// The server refused it.
    Refused,
    /// Nobody answered in time, or there is no way to it.
    Unreachable,
    /// The server accepted it and closed it before it had said anything.
    Closed,
}

/// So long after a connection that came to nothing the next one is expected to, too.
const LATELY_MS: u64 = 60_000;

impl ServerStatus {
    /// Its last connection came to nothing a moment ago.
    #[must_use]
    pub fn failed_lately(&self) -> bool {
        self.missing.is_some_and(|missing| missing.ago_ms < LATELY_MS)
    }

    /// It has all the sessions it may have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.maxconn.zip(self.sessions).is_some_and(|(most, sessions)| sessions >= most)
    }
}
