//! The immutable picture of one listener's servers.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::types::OutOfRange;

/// The number a server keeps across views, given by whoever publishes them.
///
/// Two listeners that publish the same number share its count of sessions, and thereby its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);

/// What a listener's clients need a server to be. The words are those of Patroni's health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The one server that takes writes: `/primary`.
    Writer,
    /// A server that only reads: `/replica`.
    Reader,
    /// Whatever serves: `/read-only`, and pools without roles.
    Any,
    /// A synchronous standby: `/sync`.
    Sync,
    /// A standby that is neither synchronous nor part of a quorum: `/async`.
    Async,
    /// The holder of the leader lock, be its cluster writable or not: `/leader`.
    Leader,
}

/// What a server is, as far as the cluster model can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Primary,
    /// Leads a standby cluster: holds the lock and takes no writes.
    StandbyLeader,
    /// Synchronous standby.
    Sync,
    /// Standby in the quorum of synchronous ones.
    Quorum,
    /// Standby known to be asynchronous.
    Async,
    /// Standby of unknown kind: the cluster's own store could not be asked.
    Replica,
    /// Not known, or a server that has no role.
    Unknown,
}

impl Wants {
    /// Whether a server of that role is what these clients need.
    #[must_use]
    pub fn fits(self, role: Role) -> bool {
        match self {
            Wants::Writer => role == Role::Primary,
            Wants::Leader => matches!(role, Role::Primary | Role::StandbyLeader),
            Wants::Reader => {
                matches!(role, Role::Sync | Role::Quorum | Role::Async | Role::Replica)
            }
            Wants::Sync => role == Role::Sync,
            Wants::Async => role == Role::Async,
            Wants::Any => true,
        }
    }
}

impl fmt::Display for Wants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wants::Writer => "primary",
            Wants::Reader => "replica",
            Wants::Any => "server",
            Wants::Sync => "synchronous standby",
            Wants::Async => "asynchronous standby",
            Wants::Leader => "leader",
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Primary => "the primary",
            Role::StandbyLeader => "a standby leader",
            Role::Sync => "a synchronous standby",
            Role::Quorum => "a quorum standby",
            Role::Async => "an asynchronous standby",
            Role::Replica => "a replica",
            Role::Unknown => "of unknown role",
        })
    }
}

/// Whether a server takes sessions, and may keep those it has. The reason is a short phrase for
/// people: "lags by 20 MB", "no answer for 8 s".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Takes new sessions.
    Up,
    /// Takes no new session and keeps those it has: not known yet, lagging, drained.
    Drain(Arc<str>),
    /// Takes no new session, and those it has end at once: unreachable, lease expired.
    Down(Arc<str>),
}

/// A server's share of new sessions, 0..=256 as in HAProxy; with 0 it gets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u16);

impl Weight {
    pub const ONE: Weight = Weight(1);

    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = OutOfRange;
    fn try_from(weight: u16) -> Result<Self, OutOfRange> {
        match weight {
            0..=256 => Ok(Weight(weight)),
            _ => Err(OutOfRange { what: "weight", allowed: "0 to 256", found: weight.to_string() }),
        }
    }
}

/// How new sessions are spread over the servers that may have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn, as often as its weight says.
    RoundRobin,
    /// The one with the fewest sessions for its weight.
    LeastConn,
    /// The first of the list with a free place.
    First,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its number across views.
    pub id: ServerId,
    /// Its name in the configuration, for people.
    pub name: Arc<str>,
    /// Where sessions go.
    pub address: SocketAddr,
    /// What it is; while it is held back for not answering, what it was.
    pub role: Role,
    /// Whether it takes sessions. Lag and tags are in here already.
    pub admission: Admission,
    /// Its share of new sessions.
    pub weight: Weight,
    /// Sessions at most, of all workers and of all listeners that share its number.
    pub maxconn: Option<NonZeroU32>,
    /// Used only while no other server may be.
    pub backup: bool,
}

/// One listener's servers and how it chooses among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub wants: Wants,
    /// Whether clients that only read get the leader while no server fits.
    pub fallback: bool,
    pub balance: Balance,
    /// Whether all backup servers are used together, not only the first that can be.
    pub all_backups: bool,
    /// Whether sessions with backup servers end when another server can be used.
    pub end_backups: bool,
    /// Whether the servers may speak first: nobody knows that they are PostgreSQL.
    pub unknown_protocol: bool,
    /// The servers, in the order of the configuration.
    pub servers: Vec<Server>,
    /// What is missing of those that have no address yet, each in words.
    pub unresolved: Vec<String>,
}

impl PoolView {
    #[must_use]
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.iter().find(|server| server.id == id)
    }

    /// Whether a server may serve these clients at all: it fits, or is what they fall back to.
    #[must_use]
    pub fn admits(&self, role: Role) -> bool {
        self.classes().any(|wants| wants.fits(role))
    }

    /// Whether a server that is no backup can be used.
    pub(super) fn has_active(&self) -> bool {
        let active = |s: &Server| !s.backup && s.weight.get() > 0 && self.admits(s.role);
        self.servers.iter().any(|s| s.admission == Admission::Up && active(s))
    }

    /// What to look for, in order. Whoever writes falls back to nothing.
    pub(super) fn classes(&self) -> impl Iterator<Item = Wants> {
        let fallback = self.fallback && self.wants != Wants::Writer;
        [Some(self.wants), fallback.then_some(Wants::Leader)].into_iter().flatten()
    }
}
