//! Clusters and listeners: who is asked what, and who gets the connections.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::config::checks::{Check, Endpoint, HttpTarget, MaxLag};
use crate::pool::{Balance, Wants, Weight};
use crate::types::{Identity, IfName};

/// Servers that are probed together; one probe of each feeds every listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The user's name for it, or one made of the sections of a haproxy.cfg it stems from.
    pub name: String,
    /// Who belongs to it and how each is asked.
    pub members: Members,
    /// When.
    pub rhythm: ProbeRhythm,
    /// Whether its names must lead somewhere before it is used.
    pub resolve_at_start: bool,
}

impl ClusterConfig {
    /// The names of the members, in the order of the configuration.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match &self.members {
            Members::Patroni(patroni) => patroni.members.iter().map(|m| &*m.name).collect(),
            Members::Plain(members) => members.iter().map(|m| &*m.name).collect(),
        }
    }

    /// The name of a member, and where it listens.
    #[must_use]
    pub fn member(&self, place: usize) -> Option<(&Arc<str>, &Endpoint)> {
        match &self.members {
            Members::Patroni(patroni) => patroni.members.get(place).map(|m| (&m.name, &m.address)),
            Members::Plain(members) => members.get(place).map(|m| (&m.name, &m.address)),
        }
    }

    /// Whether its members have roles.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        matches!(self.members, Members::Patroni(_))
    }
}

/// The members of a cluster: at least one, no two of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// One PostgreSQL cluster run by Patroni: each member has a role, at most one takes writes.
    Patroni(PatroniCluster),
    /// Servers without roles, each usable or not by itself.
    Plain(Vec<PlainMember>),
}

/// A PostgreSQL cluster run by Patroni.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatroniCluster {
    /// Its nodes.
    pub members: Vec<PatroniMember>,
    /// A member that has not answered for so long is down. The primary goes by `lease` if that is
    /// shorter.
    pub silence: Duration,
    /// How long the primary is used without confirming that it is one. `None`: what its own
    /// settings leave room for, half of `ttl` less `loop_wait` and at most [`MOST_LEASE`].
    pub lease: Option<Duration>,
    /// Whether its members need not be Patroni: a listener has [`ByStatus`].
    pub by_status: bool,
}

/// The longest lease that is chosen by itself.
pub const MOST_LEASE: Duration = Duration::from_secs(8);

/// One node of a Patroni cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatroniMember {
    /// Its name for people; Patroni's own may differ.
    pub name: Arc<str>,
    /// Where PostgreSQL, or its pooler, listens.
    pub address: Endpoint,
    /// Patroni's REST API.
    pub api: HttpTarget,
}

/// A server without a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMember {
    /// Its name for people.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Endpoint,
    /// Tcp, Http or Postgres. `None`: it is always usable.
    pub check: Option<Arc<Check>>,
}

/// When members are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRhythm {
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// The same while something changes: for Patroni's members at most `interval`, and for a server
    /// without a role while it is on its way up or down.
    pub fast_interval: Duration,
    /// The same while a member is down; for Patroni's members `interval`.
    pub down_interval: Duration,
    /// An answer that takes longer is none.
    pub timeout: Duration,
    /// Good answers in a row until a member that was down is used. The only member that can be the
    /// primary is used at its first.
    pub rise: NonZeroU32,
    /// Bad answers in a row, or none, until a member without a role is down. What Patroni answers
    /// counts at once, and its silence by time.
    pub fall: NonZeroU32,
}

/// One port, or several, at which clients find a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The user's name for it, unique among listeners.
    pub name: String,
    /// Where it listens: at least one, no two of them in all listeners the same.
    pub binds: Vec<BindConfig>,
    /// The cluster the servers belong to, by its place in [`super::Config::clusters`].
    pub cluster: usize,
    /// The servers it may use, at least one.
    pub servers: Vec<ServerConfig>,
    /// What its clients need. [`Wants::Any`] where members have no roles.
    pub wants: Wants,
    /// Whether clients that only read get the primary while no other server fits.
    pub fallback: bool,
    /// How servers are chosen.
    pub balance: Balance,
    /// Whether all backup servers are used together, not only the first that can be.
    pub all_backups: bool,
    /// Whether sessions with backup servers end when a server they stand in for is back.
    pub end_backups: bool,
    /// How far behind a server may be that clients only read from.
    pub max_lag: MaxLag,
    /// Tags a server must have in Patroni, name and value; leaders are not asked.
    pub tags: Vec<(String, String)>,
    /// How a standby must get its log, as Patroni says it: "streaming".
    pub replication_state: Option<String>,
    /// What it carries.
    pub protocol: ListenerProtocol,
    /// Who it is to refused clients that ask for TLS; `None`: a certificate made at start.
    pub identity: Option<Identity>,
    /// Connections at most; more wait in the kernel's queue.
    pub maxconn: Option<NonZeroU32>,
    /// Length of that queue, 1..=65535; the kernel caps it at net.core.somaxconn.
    pub backlog: u32,
    /// How long one attempt to connect to a server may take.
    pub connect_timeout: Duration,
    /// How long a client may take over its first message, with [`ListenerProtocol::Postgres`].
    pub first_message: Duration,
    /// What happens to clients for whom there is no server.
    pub hold: HoldConfig,
    /// Sessions in which nothing has moved for so long are closed; `None` keeps them.
    pub idle: Option<Duration>,
    /// The same for sessions one side of which has ended its stream.
    pub half_closed: Option<Duration>,
    /// What becomes of the sessions of a server that is down.
    pub on_down: OnDown,
    /// How a client that is gone without a word is noticed.
    pub client: LivenessConfig,
    /// How a server is.
    pub server: LivenessConfig,
    /// What counts if the members answer by HTTP, but not as Patroni.
    pub by_status: Option<ByStatus>,
}

/// The status of an HTTP request decides, as with HAProxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByStatus {
    /// The members of the listener's cluster in their order, each with its check.
    pub own: Arc<ClusterConfig>,
    /// The same for the primary, if clients get that while no server is up.
    pub primary: Option<Arc<ClusterConfig>>,
    /// What becomes of the sessions of a server that is down.
    pub on_down: OnDown,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindConfig {
    /// Address and port, which is not 0. The address need not be the host's own (yet).
    pub address: SocketAddr,
    /// Whether `[::]` leaves IPv4 alone.
    pub v6_only: bool,
    /// Only connections that come in by this interface.
    pub interface: Option<IfName>,
}

/// A server of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The member, by its place in the cluster.
    pub member: usize,
    /// Where sessions go, if not to the member's own address: to a pooler beside it.
    pub address: Option<Endpoint>,
    /// Its share of new sessions.
    pub weight: Weight,
    /// Sessions of this listener at most.
    pub maxconn: Option<NonZeroU32>,
    /// Used only while no other server may be.
    pub backup: bool,
    /// Takes no new sessions.
    pub disabled: bool,
}

/// What is known of the bytes a listener carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// PostgreSQL's: the client speaks first, and is held and answered in its own language.
    Postgres,
    /// Any other: either side may speak first.
    Tcp,
}

/// What becomes of the sessions of a server that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// They end at once. Always so where members have roles.
    End,
    /// They go on as long as the server answers them.
    Keep,
}

/// Waiting for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldConfig {
    /// How long a client waits while no server may be used. Zero turns it away at once.
    pub unavailable: Duration,
    /// How long while all servers that may be used are full.
    pub full: Duration,
    /// Clients that may wait at a time.
    pub most: u32,
    /// Clients let go at once when a server comes back, at least 1.
    pub burst: u32,
    /// Clients let go per second after the burst, at least 1.
    pub per_second: u32,
}

impl Default for HoldConfig {
    /// Some drivers wait 5 s for the answer to their first message.
    fn default() -> HoldConfig {
        let unavailable = Duration::from_secs(4);
        HoldConfig { unavailable, full: unavailable, most: 2000, burst: 200, per_second: 1000 }
    }
}

/// How the end of a connection that is gone without a word is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivenessConfig {
    /// Silence after which the kernel asks, in whole seconds; `None`: it never does.
    pub keepalive: Option<Duration>,
    /// From one question to the next, in whole seconds.
    pub interval: Duration,
    /// Questions without an answer until the connection is broken, 1..=127.
    pub count: u32,
    /// How long bytes and window probes may go without an answer; `None`: the kernel's quarter of an
    /// hour.
    pub unacknowledged: Option<Duration>,
}

impl Default for LivenessConfig {
    fn default() -> LivenessConfig {
        LivenessConfig {
            keepalive: Some(Duration::from_secs(5)),
            interval: Duration::from_secs(3),
            count: 3,
            unacknowledged: None,
        }
    }
}
