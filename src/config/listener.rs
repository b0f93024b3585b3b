//! The settings of a listener.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::checks::Endpoint;
use super::cluster::{OnDown, RawStatusCheck};
use super::diag::{Span, Spanned};
use super::key::value::{DAY, MILLISECOND, SECOND};
use super::key::{settings, words};
use crate::pool::{Balance, Wants, Weight};
use crate::types::{Identity, IfName};

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

impl From<SocketAddr> for BindConfig {
    fn from(address: SocketAddr) -> BindConfig {
        BindConfig { address, v6_only: false, interface: None }
    }
}

/// What is known of the bytes a listener carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// PostgreSQL's: the client speaks first, is answered in its own language, and its first message
    /// can be sent again to another server as long as none has begun to authenticate it.
    Postgres,
    /// Any other: either side may speak first.
    Tcp,
}

const TIMES: RangeInclusive<Duration> = MILLISECOND..=DAY;
const WAITS: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// Of a session: thirty days at most.
const IDLE: RangeInclusive<Duration> = SECOND..=Duration::from_secs(30 * 86_400);
/// What the kernel's counters of keepalive hold.
const KEEPALIVE: RangeInclusive<Duration> = SECOND..=Duration::from_secs(32_767);
const CONNECTIONS: RangeInclusive<u32> = 0..=1_000_000;

settings! {
    /// How a listener treats connections.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ListenerOptions, RawListener, "" {
        /// How servers are chosen.
        balance: Balance = Balance::RoundRobin;
        /// Whether all backup servers are used together, not only the first that can be.
        all_backups: bool = false;
        /// Whether sessions with backup servers end when a server they stand in for is back.
        end_backups: bool = false;
        /// Connections at most, of all workers; more wait in the kernel's queue.
        maxconn: Option<NonZeroU32> = None, CONNECTIONS;
        /// Length of that queue; the kernel caps it at net.core.somaxconn.
        backlog: u32 = 4096, 1..=65_535;
        /// How long one attempt to connect to a server may take.
        connect_timeout: Duration = SECOND, TIMES;
        /// How long a client of PostgreSQL may take over its first message: PostgreSQL's own
        /// authentication_timeout.
        startup_timeout was first_message: Duration = Duration::from_secs(60), TIMES;
        /// How long a client waits while no server may be used; zero turns it away at once. pgjdbc
        /// waits 5 s for the answer to its first message.
        queue_timeout was hold: Duration = Duration::from_secs(4), WAITS;
        /// How long it waits while all servers that may be used are full.
        queue_timeout_full was hold_full: Duration = Duration::from_secs(4), WAITS;
        /// Clients that may wait at a time, of all workers.
        queue_max was hold_most: u32 = 2000, CONNECTIONS;
        /// Clients let go at once when a server comes back: it forks a process for each.
        queue_burst was hold_burst: u32 = 200, 1..=1_000_000;
        /// Clients let go per second after the burst.
        queue_rate was hold_rate: u32 = 1000, 1..=1_000_000;
        /// Sessions in which nothing has moved for so long are closed.
        idle_timeout: Option<Duration> = None, IDLE;
        /// The same for sessions one side of which has ended its stream.
        half_closed: Option<Duration> = Some(Duration::from_secs(30)), IDLE;
    }
    given {
        /// Its name, at the place of the header.
        name: Spanned<String>;
    }
    written {
        /// The cluster whose members are the servers. Default: the only one.
        cluster: String;
        /// What clients need of a server.
        role: Wants;
        /// Whether clients that only read get the primary while no other server fits. Default:
        /// true.
        fallback: bool;
        /// How far behind a server may be, in bytes or as "16MB". Default: any.
        max_lag: String;
        /// The same, as a time. Default: any.
        max_lag_time: Duration;
        /// How a standby must get its log, as Patroni says it: "streaming". Default: any.
        replication_state: String;
        /// What clients speak. Default: postgres where members are asked by patroni or postgres,
        /// else tcp.
        protocol: ListenerProtocol;
        /// PEM file with the certificate that clients of PostgreSQL are shown which are refused in
        /// TLS.
        cert: String;
        /// PEM file with its key. Default: a certificate made at the start of the daemon.
        key: String;
        /// Sessions of this listener to one server at most, where the server says nothing itself.
        /// Default: no limit.
        server_maxconn: i64;
        /// What becomes of the sessions of a server that is down. Default: end.
        on_down: OnDown;
    }
    beside {
        /// Where it listens.
        binds: Vec<Spanned<BindConfig>>;
        /// Some places could not be read: they are wrong, not missing.
        unreadable: bool;
        /// The servers; all members if nothing is said.
        servers: Option<Vec<RawServer>>;
        /// Tags a server must have.
        tags: Vec<(Spanned<String>, Spanned<String>)>;
        /// Liveness of clients.
        client: RawLiveness;
        /// Liveness of servers.
        server: RawLiveness;
        /// How members are judged that are not Patroni.
        status_check: Option<RawStatusCheck>;
        /// The same for the primary readers fall back to.
        primary_status_check: Option<RawStatusCheck>;
        /// What was made of a file that says it differently, for `vipd check --explain`.
        inferred: Vec<(Span, String)>;
    }
}

settings! {
    /// How the end of a connection that is gone without a word is noticed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Liveness, RawLiveness, "" {
        /// Silence after which the kernel sends keepalive probes, in whole seconds.
        keepalive haproxy "tcpka-idle": Option<Duration> = Some(Duration::from_secs(5)), KEEPALIVE;
        /// From one probe to the next, in whole seconds.
        interval haproxy "tcpka-intvl": Duration = Duration::from_secs(3), KEEPALIVE;
        /// Probes without an answer until the connection is broken; the kernel takes up to 127.
        count haproxy "tcpka-cnt": u32 = 3, 1..=127;
        /// How long bytes and window probes may go without an answer; never means the kernel's
        /// quarter of an hour.
        tcp_user_timeout was unacknowledged: Option<Duration> = None, MILLISECOND..=*IDLE.end();
    }
}

settings! {
    /// How a listener uses one server.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ServerOptions, RawServer, "" {
        /// Its share of new sessions.
        weight: Weight = Weight::ONE, 0..=256;
        /// Sessions of this listener at most.
        maxconn: Option<NonZeroU32> = None, CONNECTIONS;
        /// Used only while no other server may be.
        backup: bool = false;
        /// Takes no new sessions.
        disabled: bool = false;
    }
    given {
        /// The member, by name; the place of every complaint.
        member: Spanned<String>;
    }
    beside {
        /// Where sessions go instead.
        address: Option<Spanned<Endpoint>>;
    }
}

/// What clients meet: all the proxy needs to know of a listener but its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// The user's name for it, unique among listeners.
    pub name: Arc<str>,
    /// Where it listens: at least one, no two of them in all listeners the same.
    pub binds: Vec<BindConfig>,
    /// What it carries.
    pub protocol: ListenerProtocol,
    /// Who it is to refused clients that ask for TLS; `None`: a certificate made at start.
    pub identity: Option<Identity>,
    /// How it treats connections.
    pub options: ListenerOptions,
    /// How a client that is gone without a word is noticed.
    pub client: Liveness,
    /// How a server is.
    pub server: Liveness,
}

impl Frontend {
    /// One with the defaults.
    #[must_use]
    pub fn new(name: &str, protocol: ListenerProtocol, binds: Vec<BindConfig>) -> Frontend {
        Frontend {
            name: name.into(),
            binds,
            protocol,
            identity: None,
            options: ListenerOptions::default(),
            client: Liveness::default(),
            server: Liveness::default(),
        }
    }
}

words! {
    Wants: "writer" Writer, "reader" Reader, "any" Any, "sync" Sync, "async" Async, "leader" Leader;
    Balance: "roundrobin" RoundRobin, "leastconn" LeastConn, "first" First;
    ListenerProtocol: "postgres" Postgres, "tcp" Tcp;
    OnDown: "end" End, "keep" Keep;
}
