//! The settings of a cluster.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::checks::Endpoint;
use super::diag::{Span, Spanned};
use super::key::value::{DAY, SECOND};
use super::key::{settings, words};

/// What becomes of the sessions of a server that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// They end at once. Always so where members have roles.
    End,
    /// They go on as long as the server answers them.
    Keep,
}

/// An API that runs a query for each answer is not asked more often.
pub(super) const PROBES: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
const COUNTS: RangeInclusive<u32> = 1..=65_535;

settings! {
    /// When members are probed. Patroni is asked every second and believed at once; the defaults for
    /// others are HAProxy's: a server that serves anybody is asked gently.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ProbeRhythm, RawRhythm, "" {
        /// From the start of one probe to the start of the next.
        interval haproxy "inter": Duration = SECOND * 2, PROBES;
        /// The same while something changes: for Patroni's members at most `interval`, and for a
        /// server without a role while it is on its way up or down.
        fast_interval haproxy "fastinter": Duration = SECOND * 2, PROBES;
        /// The same while a member is down; for Patroni's members `interval`.
        down_interval haproxy "downinter": Duration = SECOND * 2, PROBES;
        /// An answer that takes longer is none.
        timeout: Duration = SECOND * 2, PROBES;
        /// Good answers in a row until a member that was down is used. The only member that can be
        /// the primary is used at its first.
        rise haproxy "rise": NonZeroU32 = NonZeroU32::new(2).unwrap_or(NonZeroU32::MIN), COUNTS;
        /// Bad answers in a row, or none, until a member without a role is down. What Patroni answers
        /// counts at once, and its silence by time.
        fall haproxy "fall": NonZeroU32 = NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN), COUNTS;
    }
}

settings! {
    /// `[cluster.NAME]`
    pub struct RawCluster, ""
    given {
        /// Its name, at the place of the header.
        name: Spanned<String>;
    }
    written {
        /// Whether the names of members must have an address before the configuration is used.
        /// Default: false.
        resolve_at_start: bool;
        /// How members are asked. Default: patroni.
        check: RawCheck;
        /// The port at which members are asked. Default: 8008 for patroni, else that of the member.
        probe_port: i64;
        /// The user a postgres check names. Without it the check ends after the SSLRequest.
        user: String;
        /// A member of Patroni's that has not answered for so long is down. Default: 5 s.
        down_after was silence: Duration;
        /// How long the primary is used without an answer that it still is one. Another node can be
        /// made primary Patroni's ttl less loop_wait after the last. Default: half of that.
        primary_lease was lease: Duration;
        /// How far behind a server may be, in bytes or as "16MB", for listeners that say nothing
        /// themselves. Default: any.
        max_lag: String;
        /// The same, as a time. Default: any.
        max_lag_time: Duration;
    }
    beside {
        /// The members that could be read.
        members: Vec<RawMember>;
        /// Some could not, or the list is wrong: it is not missing.
        unreadable: bool;
        /// When they are asked.
        rhythm: RawRhythm;
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
        /// Its name for people. Default: its address or host name.
        name: String;
        /// Whether it is asked at all. Default: true.
        checked: bool;
        /// The name its certificate must carry. Default: that of the cluster.
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
        /// Whether members are asked over TLS. Default: false.
        https: bool;
        /// PEM file with the authorities that are believed.
        ca: String;
        /// PEM file with the client's certificate and its chain.
        cert: String;
        /// PEM file with its key.
        key: String;
        /// The name the certificates must carry.
        server_name: String;
        /// Whether certificates are verified.
        verify: bool;
        /// Whether they must carry the name. Default: true.
        verify_name: bool;
    }
}

settings! {
    /// The request of an http check.
    pub struct RawRequest, ""
    written {
        /// Path and query of the request.
        path: String;
        /// Method of the request.
        method: String;
        /// The statuses that are good, as "200-299" or "200,204".
        status: String;
        /// A text the body must contain.
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
        /// What becomes of the sessions of a server that is down. Default: end.
        on_down: OnDown;
    }
    beside {
        /// What is asked.
        request: RawRequest;
        /// And when.
        rhythm: RawRhythm;
    }
}

words! {
    RawCheck: "patroni" Patroni, "tcp" Tcp, "postgres" Postgres, "http" Http, "none" None;
}
