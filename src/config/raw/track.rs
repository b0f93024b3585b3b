//! Trackers as written. All kinds share one struct, so that both dialects share one vocabulary:
//! [`RawSettings::slot`] says where a setting goes, [`CheckKind::keys`] which ones a kind has.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::checks::{ArgsMatch, Command, MaxLag, PatroniRole, ProcessPattern, ProxySide};
use crate::config::diag::Spanned;
use crate::config::key::value::{POSITIVE, SECOND};
use crate::config::key::{Slot, Words, settings, words};
use crate::config::raw::RawNotify;

/// Where a tracker's name must be unique: keepalived lets a script and a file share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// Scripts and everything that can stand in their place (`track_script`).
    Check,
    /// `track_file`
    File,
    /// `track_process`
    Process,
    /// A listener: whether it can give its clients a server.
    Listener,
}

/// What a timeout says about the thing checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// It failed.
    #[default]
    Fail,
    /// Nothing: a busy machine is no failure. With nothing known yet it still is.
    Keep,
}

/// The kinds of trackers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckKind {
    /// A command.
    Script,
    /// A number in a file.
    File,
    /// How many processes there are.
    Process,
    /// A TCP connection.
    Tcp,
    /// A web server.
    Http,
    /// A Patroni node's role.
    Patroni,
    /// Whether a proxy of HAProxy serves.
    Haproxy,
    /// Whether PostgreSQL or PgBouncer answers.
    Postgres,
}

impl CheckKind {
    /// Its name in both dialects.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.word()
    }

    /// Where its names must be unique.
    #[must_use]
    pub const fn namespace(self) -> Namespace {
        match self {
            CheckKind::File => Namespace::File,
            CheckKind::Process => Namespace::Process,
            CheckKind::Script
            | CheckKind::Tcp
            | CheckKind::Http
            | CheckKind::Patroni
            | CheckKind::Haproxy
            | CheckKind::Postgres => Namespace::Check,
        }
    }

    /// Every setting it has, by the names of vipd.toml.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        let lists: &[&[&str]] = match self {
            CheckKind::Script => &[keys::SCRIPT, keys::WEIGHT, keys::RUNS],
            CheckKind::File => &[keys::FILE, keys::WEIGHT],
            CheckKind::Process => &[keys::PROCESS, keys::WEIGHT],
            CheckKind::Tcp | CheckKind::Postgres => &[keys::SERVER, keys::WEIGHT, keys::RUNS],
            CheckKind::Http => &[keys::HTTP, keys::REQUEST, keys::WEIGHT, keys::RUNS],
            CheckKind::Patroni => &[keys::PATRONI, keys::REQUEST, keys::WEIGHT, keys::RUNS],
            CheckKind::Haproxy => &[keys::HAPROXY, keys::REQUEST, keys::WEIGHT, keys::RUNS],
        };
        lists.iter().copied().flatten().copied()
    }
}

/// The settings of trackers, by the names of vipd.toml.
pub mod keys {
    /// Every tracker's.
    pub const WEIGHT: &[&str] = &["weight", "reverse"];
    /// Those of every check that runs again and again.
    pub const RUNS: &[&str] = &["interval", "timeout", "rise", "fall", "init_fail", "on_timeout"];
    /// A script's own.
    pub const SCRIPT: &[&str] = &["command", "user", "group", "listeners"];
    /// A file's own.
    pub const FILE: &[&str] = &["path"];
    /// A process's own.
    pub const PROCESS: &[&str] = &[
        "name",
        "command",
        "match",
        "quorum",
        "quorum_max",
        "rise_delay",
        "fall_delay",
        "listeners",
    ];
    /// Those of a server that is only connected to.
    pub const SERVER: &[&str] = &["connect"];
    /// A web server's own.
    pub const HTTP: &[&str] = &["url", "method", "status", "body"];
    /// Patroni's own.
    pub const PATRONI: &[&str] = &["url", "role", "max_lag", "max_lag_time", "tags"];
    /// HAProxy's own.
    pub const HAPROXY: &[&str] = &["socket", "url", "proxy", "side", "min_servers"];
    /// Those of everything that is asked by HTTP.
    pub const REQUEST: &[&str] = &["host", "headers", "ca", "cert", "key", "server_name", "verify"];
}

const ANSWERS: RangeInclusive<u32> = 1..=65_535;
/// keepalived's limit for the delays of a process.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// How a dialect writes a kind of tracker, for messages.
#[derive(Debug)]
pub struct TrackerWords {
    /// Its block: `vrrp_script`.
    pub block: &'static str,
    /// Settings that are not called as in vipd.toml: that name, and the dialect's.
    pub settings: &'static [(&'static str, &'static str)],
    /// How to ask a service instead of looking for its process, for a help line.
    pub instead: &'static str,
    /// How to track what a listener can do for its clients instead.
    pub of_a_listener: &'static str,
    /// How to have vipd's listeners answer a check of HAProxy, and how to have it run all the same.
    pub listeners: [&'static str; 2],
}

/// A weight as written; what is missing comes from the tracker, then from the kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawWeight {
    /// Points of priority.
    pub value: Option<Spanned<i64>>,
    /// Whether the direction is turned round.
    pub reverse: Option<Spanned<bool>>,
}

/// One tracker.
#[derive(Clone, Debug)]
pub struct RawTracker {
    /// Its name, at the place of the block's header.
    pub name: Spanned<String>,
    /// What it looks at.
    pub kind: CheckKind,
    /// How the dialect writes it.
    pub words: &'static TrackerWords,
    /// The settings that are there at all: one that cannot be read is wrong, not missing.
    pub written: BTreeSet<String>,
    /// Those that could be read.
    pub settings: RawSettings,
}

impl RawTracker {
    /// A tracker about which nothing but its name and kind is known.
    #[must_use]
    pub fn new(name: Spanned<String>, kind: CheckKind, words: &'static TrackerWords) -> RawTracker {
        let (written, settings) = (BTreeSet::new(), RawSettings::default());
        RawTracker { name, kind, words, written, settings }
    }

    /// What the dialect calls a setting.
    #[must_use]
    pub fn word(&self, key: &'static str) -> &'static str {
        let own = self.words.settings.iter().find(|(known, _)| *known == key);
        own.map_or(key, |(_, word)| word)
    }
}

words! {
    CheckKind: "script" Script, "file" File, "process" Process, "tcp" Tcp, "http" Http,
        "patroni" Patroni, "haproxy" Haproxy, "postgres" Postgres;
    OnTimeout: "fail" Fail, "keep" Keep;
    ArgsMatch: "exact" Exact, "partial" Partial, "initial" Initial;
    PatroniRole: "primary" Primary, "replica" Replica(MaxLag::ANY), "any" Any(MaxLag::ANY),
        "sync" Sync, "async" Async(MaxLag::ANY), "quorum" Quorum, "standby-leader" StandbyLeader;
    ProxySide: "frontend" Frontend, "backend" Backend, "every" Every;
}

settings! {
    /// When a check runs and how many answers turn it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rhythm, RawSettings, "" {
        /// From the start of one run to the next.
        interval: Duration = SECOND, POSITIVE;
        /// The longest a run may take. Default: the interval.
        timeout: Duration = SECOND, POSITIVE;
        /// Successes in a row that end a failure.
        rise: NonZeroU32 = NonZeroU32::MIN, ANSWERS;
        /// Failures in a row that end a success: one slow answer of a busy machine is no failure.
        /// Default: 2, for a script of keepalived.conf 1.
        fall: NonZeroU32 = NonZeroU32::new(2).unwrap_or(NonZeroU32::MIN), ANSWERS;
        /// Whether it counts as failed until its first run. Otherwise the first answer decides alone.
        init_fail: bool = false;
        /// Whether a run that takes too long is a failure, or changes nothing unless nothing is
        /// known yet.
        on_timeout: OnTimeout = OnTimeout::Fail;
        /// How long the quorum must hold before the tracker is up.
        rise_delay: Duration = Duration::ZERO, DELAYS, "the delay";
        /// How long it must be missed before the tracker is down.
        fall_delay: Duration = Duration::ZERO, DELAYS, "the delay";
    }
    checked {
        /// It answers by itself whenever its answer changes, instead of being run again.
        watched: bool;
    }
    written {
        /// As whom the script runs. Default: script_user.
        user: String;
        /// With which group. Default: the user's own.
        group: String;
        /// The file with the number.
        path: String;
        /// The fewest processes. Default: 1.
        quorum: i64;
        /// The most processes. Default: no limit.
        quorum_max: i64;
        /// The server, as HOST:PORT.
        connect: String;
        /// What is asked, http:// or https://.
        url: String;
        /// The HTTP method. Default: GET.
        method: String;
        /// The statuses that are success. Default: "200-299".
        status: String;
        /// A text the body must contain.
        body: String;
        /// The Host header. Default: that of the URL.
        host: String;
        /// PEM file with the authorities that are believed. Default: those of the system.
        ca: String;
        /// PEM file with the client's certificate and its chain.
        cert: String;
        /// PEM file with its key.
        key: String;
        /// The name the certificate must carry. Default: the host of the URL.
        server_name: String;
        /// Whether the certificate is verified. Default: true.
        verify: bool;
        /// The role the node must have in its Patroni cluster. Default: primary.
        role: PatroniRole;
        /// How far behind a standby may be, in bytes or as "16MB". Default: any.
        max_lag: String;
        /// The same, as a time. Default: any.
        max_lag_time: Duration;
        /// HAProxy's statistics socket.
        socket: String;
        /// The name of a frontend, backend or listen section of HAProxy.
        proxy: String;
        /// Which side of that name counts: frontend, backend or every. Default: every.
        side: ProxySide;
        /// The fewest servers that must be up. Default: 1.
        min_servers: i64;
        /// Whether vipd's listeners answer instead of the command.
        listeners: bool;
    }
    beside {
        /// What it counts for those who do not say otherwise.
        weight: RawWeight;
        /// What a script runs.
        command: Option<Spanned<Command>>;
        /// The processes that count.
        processes: Option<Spanned<ProcessPattern>>;
        /// Further headers, name and value.
        headers: Vec<(Spanned<String>, Spanned<String>)>;
        /// Tags a Patroni node must have, name and value.
        tags: Vec<(Spanned<String>, Spanned<String>)>;
    }
}

impl RawSettings {
    /// Where the setting of this name goes; `None` for those each dialect writes in its own way
    /// (`command`, `name`, `match`) and for those there are not.
    pub fn slot(&mut self, name: &str) -> Option<Slot<'_>> {
        Some(match name {
            "weight" => Slot::Number(&mut self.weight.value),
            "reverse" => Slot::Flag(&mut self.weight.reverse),
            "headers" => Slot::Pairs(&mut self.headers),
            "tags" => Slot::Pairs(&mut self.tags),
            _ => {
                let key = RawSettings::KEYS.iter().find(|key| key.name == name)?;
                (key.slot)(self)
            }
        })
    }
}

/// What a router or a group tracks.
#[derive(Clone, Debug)]
pub struct RawTrackRef {
    /// The tracker's name.
    pub name: Spanned<String>,
    /// Where to look for it; anywhere if the dialect does not say.
    pub namespace: Option<Namespace>,
    /// Its own weight.
    pub weight: RawWeight,
}

/// An interface that a router or a group tracks.
#[derive(Clone, Debug)]
pub struct RawTrackedInterface {
    /// Its name.
    pub name: Spanned<String>,
    /// Its weight.
    pub weight: RawWeight,
}

/// How a dialect writes a group, for messages.
#[derive(Debug)]
pub struct GroupWords {
    /// Its block.
    pub block: &'static str,
    /// What a member is.
    pub member: &'static str,
    /// Its list of members.
    pub members: &'static str,
    /// How to follow weights within it.
    pub weights: &'static str,
}

settings! {
    /// Routers that change state together.
    pub struct RawGroup, ""
    given {
        /// Its name, at the place of the block's header.
        name: Spanned<String>;
        /// How the dialect writes it.
        words: &'static GroupWords;
    }
    written {
        /// Whether the group follows the weights of its trackers, too, and not Fault alone.
        /// Default: false.
        weights: bool;
    }
    beside {
        /// The names of its routers.
        members: Vec<Spanned<String>>;
        /// What all of them track.
        track: Vec<RawTrackRef>;
        /// The interfaces they track.
        track_interfaces: Vec<RawTrackedInterface>;
        /// Who is told what.
        notify: RawNotify;
    }
}
