//! What a Patroni node says of itself, its settings and its cluster, as types.
//!
//! The bodies are those of Patroni 1.6 to 4.1: every field but `state` and `role` may be missing,
//! and an unexpected one is ignored. Ages are reckoned when an answer is read, by the clock it is read
//! with.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::read_time;

/// Longer words of an answer are cut: they are for people.
const WORD: usize = 64;

/// The answer to `GET /primary`: status code and body belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAnswer {
    /// 200: this Patroni holds the leader lock of a cluster that may write. It says nothing about
    /// what PostgreSQL does.
    pub holds_lock: bool,
    /// What PostgreSQL does.
    pub state: NodeState,
    /// What PostgreSQL is, as Patroni knows it.
    pub role: NodeRole,
    /// The timeline it is on, if it could be asked.
    pub timeline: Option<u64>,
    /// Where it is in the write-ahead log, if it could be asked.
    pub log: Option<LogPosition>,
    /// Who streams from it.
    pub standbys: Vec<Streaming>,
    /// Whether it is a synchronous standby, as its own view of the cluster's store says.
    pub sync: SyncStanding,
    /// How a standby gets its log: "streaming", "in archive recovery" (3.0.4).
    pub replication_state: Option<String>,
    /// Its tags, with the values in the words Patroni compares them by.
    pub tags: BTreeMap<String, String>,
    /// It may not be balanced to (`noloadbalance`).
    pub unbalanced: bool,
    /// Automatic failover is off (`patronictl pause`).
    pub paused: bool,
    /// Nobody holds the leader lock, as far as this node can see.
    pub unlocked: bool,
    /// The cluster's store is out of reach, and the primary goes on because all members agree (3.0).
    pub failsafe: bool,
    /// Since its Patroni last reached the cluster's store (2.1.2).
    pub store_seen: Option<Duration>,
    /// Its `database_system_identifier`.
    pub system: Option<String>,
    /// The name of its Patroni cluster; of all groups, if that is one of Citus.
    pub scope: Option<String>,
    /// Its own name in the cluster (3.2).
    pub name: Option<String>,
    pub version: Option<String>,
}

/// What PostgreSQL does. Only `Running` is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It runs, and Patroni could ask it.
    Running,
    /// It ends its sessions and stops.
    Stopping,
    Stopped,
    /// It recovers and takes no connections yet.
    Starting,
    Restarting,
    /// It went away by itself.
    Crashed,
    /// It should run, but Patroni could not ask it.
    Unknown,
    /// Any other state: "creating replica", "start failed".
    Other(String),
}

/// What PostgreSQL is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// `primary`, or `master` before Patroni 4.
    Primary,
    /// A standby.
    Replica,
    StandbyLeader,
    /// Any other role: "demoted", "uninitialized".
    Other(String),
}

/// A place in the write-ahead log, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPosition {
    /// Of a primary.
    Writes {
        /// Written so far.
        location: u64,
    },
    /// Of a standby.
    Replays {
        /// Received so far.
        received: Option<u64>,
        /// Replayed so far.
        replayed: u64,
        /// How old the last transaction replayed is.
        age: Option<Duration>,
        /// Replay was stopped by hand (`pg_wal_replay_pause`).
        paused: bool,
    },
}

/// One standby that streams from a node (`pg_stat_replication`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// Its `application_name`: its name in the cluster.
    pub name: String,
    /// How PostgreSQL waits for it.
    pub sync: SyncStanding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncStanding {
    /// It is not, or does not know.
    #[default]
    None,
    Sync,
    /// It is one of a quorum (4.0).
    Quorum,
}

/// The dynamic configuration (`GET /config`), with Patroni's defaults for what it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the leader lock lasts unless it is refreshed.
    pub ttl: Duration,
    /// From one refresh to the next.
    pub loop_wait: Duration,
    /// The primary may go on without the cluster's store if all members agree.
    pub failsafe: bool,
}

/// The cluster as its store has it (`GET /cluster`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Who holds the leader lock.
    pub leader: Option<Listed>,
    /// A planned switchover: when, in the words of the answer, and to whom.
    pub switchover: Option<(String, Option<String>)>,
}

/// A member by the names it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// Host and port of its REST API, as it announces them.
    pub api: Option<String>,
    /// Host and port of its PostgreSQL.
    pub address: Option<String>,
}

impl NodeAnswer {
    /// Reads the answer to `GET /primary`, received at the time `now`.
    ///
    /// # Errors
    /// Why it is not Patroni's.
    pub fn read(status: u16, body: &[u8], now: Timestamp) -> Result<NodeAnswer, String> {
        if status != 200 && status != 503 {
            return Err(format!("status {status}, which is not Patroni's"));
        }
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| format!("status {status} without the JSON of Patroni"))?;
        let (Some(state), Some(role)) = (word(&body, "state"), word(&body, "role")) else {
            return Err(format!("status {status} without a state and a role"));
        };
        let flag = |name: &str| body.get(name).is_some_and(is_set);
        let sync = match (flag("sync_standby"), flag("quorum_standby")) {
            (true, _) => SyncStanding::Sync,
            (false, true) => SyncStanding::Quorum,
            (false, false) => SyncStanding::None,
        };
        let patroni = body.get("patroni");
        let said = |name: &str| patroni.and_then(|patroni| word(patroni, name));
        let seen = body.get("dcs_last_seen").and_then(Value::as_i64);
        let seen = seen.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let standbys = body.get("replication").and_then(Value::as_array);
        Ok(NodeAnswer {
            holds_lock: status == 200,
            state: NodeState::from(state),
            role: NodeRole::from(role),
            timeline: body.get("timeline").and_then(Value::as_u64),
            log: body.get("xlog").and_then(|log| LogPosition::read(log, now)),
            standbys: standbys.into_iter().flatten().filter_map(Streaming::read).collect(),
            sync,
            replication_state: word(&body, "replication_state"),
            tags: tags(body.get("tags")),
            unbalanced: body
                .get("tags")
                .and_then(|tags| tags.get("noloadbalance"))
                .is_some_and(is_set),
            paused: flag("pause"),
            unlocked: flag("cluster_unlocked"),
            failsafe: flag("failsafe_mode_is_active"),
            store_seen: seen.map(|seen| age(seen, now)),
            system: word(&body, "database_system_identifier"),
            scope: said("scope"),
            name: said("name"),
            version: said("version"),
        })
    }

    /// Whether it replays archived files instead of streaming.
    #[must_use]
    pub fn in_archive_recovery(&self) -> bool {
        self.replication_state.as_deref() == Some("in archive recovery")
    }

    /// Whether the answer alone admits the node as the one that takes writes: it holds the lock, and
    /// its PostgreSQL is a running primary.
    #[must_use]
    pub fn is_writer(&self) -> bool {
        self.holds_lock && self.role == NodeRole::Primary && self.state == NodeState::Running
    }
}

impl LogPosition {
    fn read(log: &Value, now: Timestamp) -> Option<LogPosition> {
        let bytes = |name: &str| log.get(name).and_then(Value::as_u64);
        if let Some(location) = bytes("location") {
            return Some(LogPosition::Writes { location });
        }
        let last = log.get("replayed_timestamp").and_then(Value::as_str).and_then(read_time);
        Some(LogPosition::Replays {
            received: bytes("received_location"),
            replayed: bytes("replayed_location")?,
            age: last.map(|last| age(last, now)),
            paused: log.get("paused").is_some_and(is_set),
        })
    }
}

impl Streaming {
    fn read(standby: &Value) -> Option<Streaming> {
        let sync = match standby.get("sync_state").and_then(Value::as_str) {
            Some("sync") => SyncStanding::Sync,
            Some("quorum") => SyncStanding::Quorum,
            _ => SyncStanding::None,
        };
        Some(Streaming { name: word(standby, "application_name")?, sync })
    }
}

impl Settings {
    /// Patroni's own defaults.
    pub const DEFAULT: Settings = Settings {
        ttl: Duration::from_secs(30),
        loop_wait: Duration::from_secs(10),
        failsafe: false,
    };

    /// Reads the answer to `GET /config`.
    ///
    /// # Errors
    /// Why it is not Patroni's.
    pub fn read(status: u16, body: &[u8]) -> Result<Settings, String> {
        let body = object(status, body)?;
        let seconds = |name: &str, default: Duration| {
            let value = body.get(name).and_then(Value::as_f64);
            value.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(default)
        };
        let default = Settings::DEFAULT;
        Ok(Settings {
            ttl: seconds("ttl", default.ttl),
            loop_wait: seconds("loop_wait", default.loop_wait),
            failsafe: body.get("failsafe_mode").is_some_and(is_set),
        })
    }
}

impl Members {
    /// Reads the answer to `GET /cluster`.
    ///
    /// # Errors
    /// Why it is not Patroni's.
    pub fn read(status: u16, body: &[u8]) -> Result<Members, String> {
        let body = object(status, body)?;
        let members = body.get("members").and_then(Value::as_array);
        let members = members.ok_or("no list of members")?;
        let leads = |member: &&Value| {
            let role = member.get("role").and_then(Value::as_str);
            matches!(role, Some("leader" | "standby_leader"))
        };
        let listed = |member: &Value| {
            let url = member.get("api_url").and_then(Value::as_str);
            let url = url.and_then(|url| url.parse::<http::Uri>().ok());
            let api = url.as_ref().and_then(http::Uri::authority).map(ToString::to_string);
            let port = member.get("port").and_then(Value::as_u64);
            let address =
                word(member, "host").zip(port).map(|(host, port)| match host.contains(':') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                });
            Some(Listed { name: word(member, "name")?, api, address })
        };
        let switchover = body.get("scheduled_switchover");
        let switchover = switchover.and_then(|plan| Some((word(plan, "at")?, word(plan, "to"))));
        Ok(Members { leader: members.iter().find(leads).and_then(listed), switchover })
    }
}

impl From<String> for NodeState {
    fn from(state: String) -> NodeState {
        match state.as_str() {
            "running" => NodeState::Running,
            "stopping" => NodeState::Stopping,
            "stopped" => NodeState::Stopped,
            "starting" => NodeState::Starting,
            "restarting" => NodeState::Restarting,
            "crashed" => NodeState::Crashed,
            "unknown" => NodeState::Unknown,
            _ => NodeState::Other(state),
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeState::Running => "running",
            NodeState::Stopping => "stopping",
            NodeState::Stopped => "stopped",
            NodeState::Starting => "starting",
            NodeState::Restarting => "restarting",
            NodeState::Crashed => "crashed",
            NodeState::Unknown => "unknown",
            NodeState::Other(state) => state,
        })
    }
}

impl From<String> for NodeRole {
    fn from(role: String) -> NodeRole {
        match role.as_str() {
            "primary" | "master" => NodeRole::Primary,
            "replica" => NodeRole::Replica,
            "standby_leader" => NodeRole::StandbyLeader,
            _ => NodeRole::Other(role),
        }
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeRole::Primary => "primary",
            NodeRole::Replica => "replica",
            NodeRole::StandbyLeader => "standby leader",
            NodeRole::Other(role) => role,
        })
    }
}

fn object(status: u16, body: &[u8]) -> Result<Value, String> {
    if status != 200 {
        return Err(format!("status {status}"));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) | Err(_) => Err("no JSON object".to_owned()),
    }
}

fn word(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name)?.as_str()?;
    Some(text.chars().filter(|c| !c.is_control()).take(WORD).collect())
}

/// `true`, or anything that is there but neither false, null nor empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Patroni compares a string as it is, and anything else in lower case; null is no tag.
fn tags(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object);
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string().to_lowercase()),
    };
    let entries = entries.into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
