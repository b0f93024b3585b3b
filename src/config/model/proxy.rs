//! Clusters and listeners: who is asked what, and who gets the connections.

use std::sync::Arc;
use std::time::Duration;

use crate::config::checks::{Check, Endpoint, HttpTarget, MaxLag};
use crate::config::cluster::{OnDown, ProbeRhythm};
use crate::config::listener::{Frontend, ServerOptions};
use crate::pool::Wants;

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
    /// A member that has not answered for so long is down. The primary goes by `primary_lease` if that is
    /// shorter.
    pub down_after: Duration,
    /// How long the primary is used without confirming that it is one. `None`: what its own
    /// settings leave room for, half of `ttl` less `loop_wait` and at most [`MOST_LEASE`].
    pub primary_lease: Option<Duration>,
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

/// One port, or several, at which clients find a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// What clients meet.
    pub frontend: Frontend,
    /// The cluster the servers belong to, by its place in [`super::Config::clusters`].
    pub cluster: usize,
    /// The servers it may use, at least one.
    pub servers: Vec<ServerConfig>,
    /// What its clients need. [`Wants::Any`] where members have no roles.
    pub wants: Wants,
    /// Whether clients that only read get the primary while no other server fits.
    pub fallback: bool,
    /// How far behind a server may be that clients only read from.
    pub max_lag: MaxLag,
    /// Tags a server must have in Patroni, name and value; leaders are not asked.
    pub tags: Vec<(String, String)>,
    /// How a standby must get its log, as Patroni says it: "streaming".
    pub replication_state: Option<String>,
    /// What becomes of the sessions of a server that is down.
    pub on_down: OnDown,
    /// What counts if the members answer by HTTP, but not as Patroni.
    pub by_status: Option<ByStatus>,
}

impl ListenerConfig {
    /// The user's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.frontend.name
    }
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

/// A server of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The member, by its place in the cluster.
    pub member: usize,
    /// Where sessions go, if not to the member's own address: to a pooler beside it.
    pub address: Option<Endpoint>,
    /// How it is used.
    pub options: ServerOptions,
}
