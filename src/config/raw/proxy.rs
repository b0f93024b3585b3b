//! Clusters and listeners as written.

use std::time::Duration;

use crate::config::checks::Endpoint;
use crate::config::diag::{Span, Spanned};
use crate::config::model::{BindConfig, ListenerProtocol, OnDown};
use crate::pool::{Balance, Wants};

/// `[cluster.NAME]`
#[derive(Clone, Debug)]
pub struct RawCluster {
    /// Its name, at the place of the header.
    pub name: Spanned<String>,
    /// The members that could be read.
    pub members: Vec<RawMember>,
    /// Some could not, or the list is wrong: it is not missing.
    pub unreadable: bool,
    /// Whether names must lead somewhere before it is used.
    pub resolve_at_start: Option<Spanned<bool>>,
    /// How members are asked; Patroni's API if nothing is said.
    pub check: Option<Spanned<RawCheck>>,
    /// The port where, if not the check's own.
    pub probe_port: Option<Spanned<i64>>,
    /// How to speak TLS.
    pub tls: RawTls,
    /// The request of an http check.
    pub request: RawRequest,
    /// Whose session a postgres check begins.
    pub user: Option<Spanned<String>>,
    /// From one probe to the next.
    pub interval: Option<Spanned<Duration>>,
    /// The same while something changes.
    pub fast_interval: Option<Spanned<Duration>>,
    /// The same while a member is down.
    pub down_interval: Option<Spanned<Duration>>,
    /// The longest an answer may take.
    pub timeout: Option<Spanned<Duration>>,
    /// Good answers in a row.
    pub rise: Option<Spanned<i64>>,
    /// Bad answers in a row.
    pub fall: Option<Spanned<i64>>,
    /// Silence that means down.
    pub silence: Option<Spanned<Duration>>,
    /// How long the primary is used unconfirmed.
    pub lease: Option<Spanned<Duration>>,
    /// Of its listeners that say nothing themselves.
    pub max_lag: Option<Spanned<String>>,
    /// Likewise, by time.
    pub max_lag_time: Option<Spanned<Duration>>,
}

impl RawCluster {
    /// A cluster of which nothing but the name is known.
    #[must_use]
    pub fn new(name: Spanned<String>) -> RawCluster {
        RawCluster {
            name,
            members: Vec::new(),
            unreadable: false,
            resolve_at_start: None,
            check: None,
            probe_port: None,
            tls: RawTls::default(),
            request: RawRequest::default(),
            user: None,
            interval: None,
            fast_interval: None,
            down_interval: None,
            timeout: None,
            rise: None,
            fall: None,
            silence: None,
            lease: None,
            max_lag: None,
            max_lag_time: None,
        }
    }
}

/// How members are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawCheck {
    /// By Patroni's REST API.
    Patroni,
    /// By a connection.
    Tcp,
    /// By an SSLRequest.
    Postgres,
    /// By an HTTP request.
    Http,
    /// Not at all.
    None,
}

/// One member.
#[derive(Clone, Debug)]
pub struct RawMember {
    /// Where it listens; the place of every complaint about it.
    pub address: Spanned<Endpoint>,
    /// Its name, if it is not its host.
    pub name: Option<Spanned<String>>,
    /// Where it is asked.
    pub probe: Option<Spanned<Endpoint>>,
    /// Whether it is.
    pub checked: Option<Spanned<bool>>,
    /// The name its own certificate must carry.
    pub server_name: Option<Spanned<String>>,
}

/// TLS to what answers probes.
#[derive(Clone, Debug, Default)]
pub struct RawTls {
    /// Whether it is spoken.
    pub https: Option<Spanned<bool>>,
    /// File with the authorities that are believed.
    pub ca: Option<Spanned<String>>,
    /// File with the client's certificate.
    pub cert: Option<Spanned<String>>,
    /// File with its key.
    pub key: Option<Spanned<String>>,
    /// The name the certificate must carry.
    pub server_name: Option<Spanned<String>>,
    /// Whether certificates are verified.
    pub verify: Option<Spanned<bool>>,
    /// Whether they must carry the name.
    pub verify_name: Option<Spanned<bool>>,
}

/// The request of an http check.
#[derive(Clone, Debug, Default)]
pub struct RawRequest {
    /// Path and query.
    pub path: Option<Spanned<String>>,
    /// Method.
    pub method: Option<Spanned<String>>,
    /// Good statuses.
    pub status: Option<Spanned<String>>,
    /// What the body must contain.
    pub body: Option<Spanned<String>>,
    /// The Host header.
    pub host: Option<Spanned<String>>,
    /// Further headers, name and value.
    pub headers: Vec<(Spanned<String>, Spanned<String>)>,
}

/// A section of a haproxy.cfg.
#[derive(Clone, Debug)]
pub struct RawSection {
    /// `listen NAME`
    pub name: String,
    /// From its first word to its last.
    pub span: Span,
    /// The listeners and pages that are nothing without it, by name. None for `global`, whose
    /// settings can be done without one by one.
    pub needed_by: Option<Vec<String>>,
}

/// A request whose status alone decides, and its rhythm.
#[derive(Clone, Debug)]
pub struct RawStatusCheck {
    /// The place of it all.
    pub span: Span,
    /// What is asked.
    pub request: RawRequest,
    /// From one check to the next.
    pub interval: Option<Spanned<Duration>>,
    /// The same while a server is on its way up or down.
    pub fast_interval: Option<Spanned<Duration>>,
    /// The same while a server is down.
    pub down_interval: Option<Spanned<Duration>>,
    /// The longest an answer may take.
    pub timeout: Option<Spanned<Duration>>,
    /// Good answers in a row.
    pub rise: Option<Spanned<i64>>,
    /// Bad answers in a row.
    pub fall: Option<Spanned<i64>>,
    /// What becomes of sessions of a server that is down.
    pub on_down: Option<Spanned<OnDown>>,
}

impl RawStatusCheck {
    /// A check of which nothing but its place is known.
    #[must_use]
    pub fn new(span: Span) -> RawStatusCheck {
        RawStatusCheck {
            span,
            request: RawRequest::default(),
            interval: None,
            fast_interval: None,
            down_interval: None,
            timeout: None,
            rise: None,
            fall: None,
            on_down: None,
        }
    }
}

/// `[listener.NAME]`
#[derive(Clone, Debug)]
pub struct RawListener {
    /// Its name, at the place of the header.
    pub name: Spanned<String>,
    /// Where it listens.
    pub binds: Vec<Spanned<BindConfig>>,
    /// Some places could not be read: they are wrong, not missing.
    pub unreadable: bool,
    /// The cluster; the only one if nothing is said.
    pub cluster: Option<Spanned<String>>,
    /// The servers; all members if nothing is said.
    pub servers: Option<Vec<RawServer>>,
    /// What clients need.
    pub role: Option<Spanned<Wants>>,
    /// Whether the primary serves while nobody else can.
    pub fallback: Option<Spanned<bool>>,
    /// How servers are chosen.
    pub balance: Option<Spanned<Balance>>,
    /// Whether backups are used together.
    pub all_backups: Option<Spanned<bool>>,
    /// Whether the sessions of backup servers end when another server is back.
    pub end_backups: Option<Spanned<bool>>,
    /// Lag in bytes.
    pub max_lag: Option<Spanned<String>>,
    /// Lag in time.
    pub max_lag_time: Option<Spanned<Duration>>,
    /// Tags a server must have.
    pub tags: Vec<(Spanned<String>, Spanned<String>)>,
    /// How a standby must get its log.
    pub replication_state: Option<Spanned<String>>,
    /// What it carries.
    pub protocol: Option<Spanned<ListenerProtocol>>,
    /// File with the certificate that refused clients are shown.
    pub cert: Option<Spanned<String>>,
    /// File with its key.
    pub key: Option<Spanned<String>>,
    /// Connections at most.
    pub maxconn: Option<Spanned<i64>>,
    /// Sessions per server at most, where the server says nothing itself.
    pub server_maxconn: Option<Spanned<i64>>,
    /// Length of the kernel's queue.
    pub backlog: Option<Spanned<i64>>,
    /// Of one attempt.
    pub connect_timeout: Option<Spanned<Duration>>,
    /// For the client's first message.
    pub first_message: Option<Spanned<Duration>>,
    /// Waiting while no server is usable.
    pub hold: Option<Spanned<Duration>>,
    /// Waiting while all are full.
    pub hold_full: Option<Spanned<Duration>>,
    /// Clients that may wait.
    pub hold_most: Option<Spanned<i64>>,
    /// Clients let go at once.
    pub hold_burst: Option<Spanned<i64>>,
    /// Clients let go per second.
    pub hold_rate: Option<Spanned<i64>>,
    /// Silence that ends a session; zero never does.
    pub idle_timeout: Option<Spanned<Duration>>,
    /// The same for half of one.
    pub half_closed: Option<Spanned<Duration>>,
    /// What becomes of sessions of a server that is down.
    pub on_down: Option<Spanned<OnDown>>,
    /// Liveness of clients.
    pub client: RawLiveness,
    /// Liveness of servers.
    pub server: RawLiveness,
    /// How members are judged that are not Patroni.
    pub status_check: Option<RawStatusCheck>,
    /// The same for the primary readers fall back to.
    pub primary_status_check: Option<RawStatusCheck>,
    /// What was made of a file that says it differently, for `vipd check --explain`.
    pub inferred: Vec<(Span, String)>,
}

impl RawListener {
    /// A listener of which nothing but the name is known.
    #[must_use]
    pub fn new(name: Spanned<String>) -> RawListener {
        RawListener {
            name,
            binds: Vec::new(),
            unreadable: false,
            cluster: None,
            servers: None,
            role: None,
            fallback: None,
            balance: None,
            all_backups: None,
            end_backups: None,
            max_lag: None,
            max_lag_time: None,
            tags: Vec::new(),
            replication_state: None,
            protocol: None,
            cert: None,
            key: None,
            maxconn: None,
            server_maxconn: None,
            backlog: None,
            connect_timeout: None,
            first_message: None,
            hold: None,
            hold_full: None,
            hold_most: None,
            hold_burst: None,
            hold_rate: None,
            idle_timeout: None,
            half_closed: None,
            on_down: None,
            client: RawLiveness::default(),
            server: RawLiveness::default(),
            status_check: None,
            primary_status_check: None,
            inferred: Vec::new(),
        }
    }
}

/// One server of a listener.
#[derive(Clone, Debug)]
pub struct RawServer {
    /// The member, by name; the place of every complaint.
    pub member: Spanned<String>,
    /// Where sessions go instead.
    pub address: Option<Spanned<Endpoint>>,
    /// Its share.
    pub weight: Option<Spanned<i64>>,
    /// Sessions at most.
    pub maxconn: Option<Spanned<i64>>,
    /// Only while no other can be used.
    pub backup: Option<Spanned<bool>>,
    /// Takes no new sessions.
    pub disabled: Option<Spanned<bool>>,
}

impl RawServer {
    /// A server without options.
    #[must_use]
    pub fn new(member: Spanned<String>) -> RawServer {
        RawServer {
            member,
            address: None,
            weight: None,
            maxconn: None,
            backup: None,
            disabled: None,
        }
    }
}

/// How a silent end is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawLiveness {
    /// Silence before the kernel asks; zero never does.
    pub keepalive: Option<Spanned<Duration>>,
    /// Between two questions.
    pub interval: Option<Spanned<Duration>>,
    /// Questions.
    pub count: Option<Spanned<i64>>,
    /// How long bytes may stay unacknowledged; zero is the kernel's own.
    pub unacknowledged: Option<Spanned<Duration>>,
}
