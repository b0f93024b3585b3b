//! Clusters and listeners as written.

use std::time::Duration;

use crate::config::checks::Endpoint;
use crate::config::diag::{Span, Spanned};
use crate::config::key::{Words, settings};
use crate::config::model::{BindConfig, ListenerProtocol, OnDown};
use crate::pool::{Balance, Wants};

settings! {
    /// `[cluster.NAME]`
    pub struct RawCluster, ""
    given {
        /// Its name, at the place of the header.
        name: Spanned<String>;
    }
    written {
        /// Whether names must lead somewhere before it is used.
        resolve_at_start: bool;
        /// How members are asked; Patroni's API if nothing is said.
        check: RawCheck;
        /// The port where, if not the check's own.
        probe_port: i64;
        /// Whose session a postgres check begins.
        user: String;
        /// From one probe to the next.
        interval: Duration;
        /// The same while something changes.
        fast_interval: Duration;
        /// The same while a member is down.
        down_interval: Duration;
        /// The longest an answer may take.
        timeout: Duration;
        /// Good answers in a row.
        rise: i64;
        /// Bad answers in a row.
        fall: i64;
        /// Silence that means down.
        silence: Duration;
        /// How long the primary is used unconfirmed.
        lease: Duration;
        /// Of its listeners that say nothing themselves.
        max_lag: String;
        /// Likewise, by time.
        max_lag_time: Duration;
    }
    beside {
        /// The members that could be read.
        members: Vec<RawMember>;
        /// Some could not, or the list is wrong: it is not missing.
        unreadable: bool;
        /// How to speak TLS.
        tls: RawTls;
        /// The request of an http check.
        request: RawRequest;
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

settings! {
    /// One member.
    pub struct RawMember, ""
    given {
        /// Where it listens; the place of every complaint about it.
        address: Spanned<Endpoint>;
    }
    written {
        /// Its name, if it is not its host.
        name: String;
        /// Whether it is.
        checked: bool;
        /// The name its own certificate must carry.
        server_name: String;
    }
    beside {
        /// Where it is asked.
        probe: Option<Spanned<Endpoint>>;
    }
}

settings! {
    /// TLS to what answers probes.
    pub struct RawTls, ""
    written {
        /// Whether it is spoken.
        https: bool;
        /// File with the authorities that are believed.
        ca: String;
        /// File with the client's certificate.
        cert: String;
        /// File with its key.
        key: String;
        /// The name the certificate must carry.
        server_name: String;
        /// Whether certificates are verified.
        verify: bool;
        /// Whether they must carry the name.
        verify_name: bool;
    }
}

settings! {
    /// The request of an http check.
    pub struct RawRequest, ""
    written {
        /// Path and query.
        path: String;
        /// Method.
        method: String;
        /// Good statuses.
        status: String;
        /// What the body must contain.
        body: String;
        /// The Host header.
        host: String;
    }
    beside {
        /// Further headers, name and value.
        headers: Vec<(Spanned<String>, Spanned<String>)>;
    }
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

settings! {
    /// A request whose status alone decides, and its rhythm.
    pub struct RawStatusCheck, ""
    given {
        /// The place of it all.
        span: Span;
    }
    written {
        /// From one check to the next.
        interval: Duration;
        /// The same while a server is on its way up or down.
        fast_interval: Duration;
        /// The same while a server is down.
        down_interval: Duration;
        /// The longest an answer may take.
        timeout: Duration;
        /// Good answers in a row.
        rise: i64;
        /// Bad answers in a row.
        fall: i64;
        /// What becomes of sessions of a server that is down.
        on_down: OnDown;
    }
    beside {
        /// What is asked.
        request: RawRequest;
    }
}

settings! {
    /// `[listener.NAME]`
    pub struct RawListener, ""
    given {
        /// Its name, at the place of the header.
        name: Spanned<String>;
    }
    written {
        /// The cluster; the only one if nothing is said.
        cluster: String;
        /// What clients need.
        role: Wants;
        /// Whether the primary serves while nobody else can.
        fallback: bool;
        /// How servers are chosen.
        balance: Balance;
        /// Whether backups are used together.
        all_backups: bool;
        /// Whether the sessions of backup servers end when another server is back.
        end_backups: bool;
        /// Lag in bytes.
        max_lag: String;
        /// Lag in time.
        max_lag_time: Duration;
        /// How a standby must get its log.
        replication_state: String;
        /// What it carries.
        protocol: ListenerProtocol;
        /// File with the certificate that refused clients are shown.
        cert: String;
        /// File with its key.
        key: String;
        /// Connections at most.
        maxconn: i64;
        /// Sessions per server at most, where the server says nothing itself.
        server_maxconn: i64;
        /// Length of the kernel's queue.
        backlog: i64;
        /// Of one attempt.
        connect_timeout: Duration;
        /// For the client's first message.
        first_message: Duration;
        /// Waiting while no server is usable.
        hold: Duration;
        /// Waiting while all are full.
        hold_full: Duration;
        /// Clients that may wait.
        hold_most: i64;
        /// Clients let go at once.
        hold_burst: i64;
        /// Clients let go per second.
        hold_rate: i64;
        /// Silence that ends a session; zero never does.
        idle_timeout: Duration;
        /// The same for half of one.
        half_closed: Duration;
        /// What becomes of sessions of a server that is down.
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
    /// One server of a listener.
    pub struct RawServer, ""
    given {
        /// The member, by name; the place of every complaint.
        member: Spanned<String>;
    }
    written {
        /// Its share.
        weight: i64;
        /// Sessions at most.
        maxconn: i64;
        /// Only while no other can be used.
        backup: bool;
        /// Takes no new sessions.
        disabled: bool;
    }
    beside {
        /// Where sessions go instead.
        address: Option<Spanned<Endpoint>>;
    }
}

settings! {
    /// How a silent end is noticed.
    pub struct RawLiveness, ""
    written {
        /// Silence before the kernel asks; zero never does.
        keepalive: Duration;
        /// Between two questions.
        interval: Duration;
        /// Questions.
        count: i64;
        /// How long bytes may stay unacknowledged; zero is the kernel's own.
        unacknowledged: Duration;
    }
}

impl Words for RawCheck {
    const WORDS: &'static [(&'static str, RawCheck)] = &[
        ("patroni", RawCheck::Patroni),
        ("tcp", RawCheck::Tcp),
        ("postgres", RawCheck::Postgres),
        ("http", RawCheck::Http),
        ("none", RawCheck::None),
    ];
}

impl Words for Wants {
    const WORDS: &'static [(&'static str, Wants)] = &[
        ("writer", Wants::Writer),
        ("reader", Wants::Reader),
        ("any", Wants::Any),
        ("sync", Wants::Sync),
        ("async", Wants::Async),
        ("leader", Wants::Leader),
    ];
}

impl Words for Balance {
    const WORDS: &'static [(&'static str, Balance)] = &[
        ("roundrobin", Balance::RoundRobin),
        ("leastconn", Balance::LeastConn),
        ("first", Balance::First),
    ];
}

impl Words for ListenerProtocol {
    const WORDS: &'static [(&'static str, ListenerProtocol)] =
        &[("postgres", ListenerProtocol::Postgres), ("tcp", ListenerProtocol::Tcp)];
}

impl Words for OnDown {
    const WORDS: &'static [(&'static str, OnDown)] =
        &[("end", OnDown::End), ("keep", OnDown::Keep)];
}
