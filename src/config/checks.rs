//! What a check looks at: plain data, complete enough to run the check with nothing else at hand.
//!
//! Timing is not part of it. The engine knows interval, timeout, rise and fall, and hands the
//! timeout over with each run. Two checks that are equal look at the same thing in the same way, so
//! a reload keeps the standing of an equal check.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use thiserror::Error;

pub use super::endpoint::{BadEndpoint, BadUrl, Endpoint, Host, HostName, Url};
use crate::types::Identity;

/// One thing to look at.
///
/// [`Check::File`] and [`Check::Process`] are *watched* ([`Check::is_watched`]): asked once, they
/// answer at once and again whenever the answer changes, until they are stopped. Every other check
/// answers each time it is asked, exactly once, within its timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Run a command.
    Script(ScriptCheck),
    /// Read a number from a file.
    File(FileCheck),
    /// Count processes.
    Process(ProcessCheck),
    /// Open a TCP connection.
    Tcp(TcpCheck),
    /// Ask a web server.
    Http(HttpCheck),
    /// Ask Patroni about the node's role.
    Patroni(PatroniCheck),
    /// Ask HAProxy whether one of its proxies serves.
    Haproxy(HaproxyCheck),
    /// Ask PostgreSQL or PgBouncer whether it answers.
    Postgres(PostgresCheck),
}

impl Check {
    /// What it is, in one word of vipd.toml.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Check::Script(_) => "script",
            Check::File(_) => "file",
            Check::Process(_) => "process",
            Check::Tcp(_) => "tcp",
            Check::Http(_) => "http",
            Check::Patroni(_) => "patroni",
            Check::Haproxy(_) => "haproxy",
            Check::Postgres(_) => "postgres",
        }
    }

    /// What it looks at, in a few words.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Check::Script(check) => match &check.command {
                Command::Argv { program, args } => {
                    let words: Vec<&str> =
                        std::iter::once(program).chain(args).map(String::as_str).collect();
                    words.join(" ")
                }
                Command::Shell(text) => text.clone(),
            },
            Check::File(check) => check.path.display().to_string(),
            Check::Process(check) => match &check.pattern {
                ProcessPattern::Name(name) => name.clone(),
                ProcessPattern::CommandLine { program, args, .. } => {
                    format!("{program} {}", args.join(" ")).trim_end().to_owned()
                }
            },
            Check::Tcp(check) => check.endpoint.to_string(),
            Check::Postgres(check) => check.endpoint.to_string(),
            Check::Http(check) => format!("{} {}{}", check.method, check.target, check.path),
            Check::Patroni(check) => format!("{} {:?}", check.target, check.role),
            Check::Haproxy(check) => match &check.stats {
                HaproxyStats::Socket(path) => format!("{} {}", path.display(), check.proxy),
                HaproxyStats::Page(page) => {
                    format!("{}{} {}", page.target, page.path, check.proxy)
                }
            },
        }
    }

    /// Whether it reports changes by itself instead of being asked again and again.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        matches!(self, Check::File(_) | Check::Process(_))
    }
}

/// A command whose exit code is the answer: 0 is success, anything else failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCheck {
    /// What to run.
    pub command: Command,
    /// As whom.
    pub run_as: RunAs,
    /// Refuse a command run as root that somebody else could have changed
    /// (`enable_script_security`). Without it such a command runs and a warning says so.
    pub security: bool,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments, started without a shell. A program without `/` is looked up in
    /// PATH.
    Argv {
        /// The program; not empty.
        program: String,
        /// Its arguments, without the program itself.
        args: Vec<String>,
    },
    /// For `/bin/sh -c`: keepalived's commands that begin with `<`, that sign included.
    Shell(String),
}

/// The identity of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The account `keepalived_script` if there is one, else as vipd itself.
    Default,
    /// This user.
    User {
        /// Name or number.
        user: String,
        /// Name or number of the only group; `None`: the user's own primary group.
        group: Option<String>,
    },
}

/// A file that begins with a number; see [`crate::track::outcome::Verdict::Value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// An absolute path. It need not exist.
    pub path: PathBuf,
}

/// How many processes run a certain program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessCheck {
    /// Which processes count.
    pub pattern: ProcessPattern,
    /// The fewest for success, 1..=65535.
    pub quorum: NonZeroU16,
    /// The most for success. Zero: success means that there is none, whatever `quorum` says.
    pub quorum_max: Option<u16>,
}

/// Which processes count. Zombies never do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessPattern {
    /// By the name in `/proc/PID/comm`. The kernel keeps 15 bytes of it, so only as many are
    /// compared.
    Name(String),
    /// By the command line in `/proc/PID/cmdline`.
    CommandLine {
        /// The whole first word.
        program: String,
        /// The words after it.
        args: Vec<String>,
        /// How they compare.
        args_match: ArgsMatch,
    },
}

/// How configured arguments compare with those of a process (`param_match`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArgsMatch {
    /// The same words, no more and no fewer.
    #[default]
    Exact,
    /// The process may have further words.
    Partial,
    /// Likewise, and the last configured word may be the beginning of the process's.
    Initial,
}

/// A TCP connection that is opened and closed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpCheck {
    /// Where to.
    pub endpoint: Endpoint,
    /// `Some`: the two sides must agree on TLS as well.
    pub tls: Option<Tls>,
}

/// An HTTP/1.1 request. Redirects are answers, not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Whom to ask.
    pub target: HttpTarget,
    /// GET if the user says nothing.
    pub method: Method,
    /// What for; begins with `/`.
    pub path: PathAndQuery,
    /// The statuses that are success.
    pub expect: Statuses,
    /// The body (its first 64 KiB, as UTF-8) must contain this text.
    pub body_contains: Option<String>,
}

/// A web server and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// `Some` is https.
    pub tls: Option<Tls>,
    /// The Host header; `None`: the endpoint's host and port.
    pub host: Option<HeaderValue>,
    /// Further headers. Secret values are marked sensitive ([`HeaderValue::set_sensitive`]) and
    /// never printed.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

/// How a TLS server proves who it is, and who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Who vouches for the server.
    pub trust: Trust,
    /// The name it is asked for (SNI) and its certificate must carry; `None`: the host as
    /// configured.
    pub server_name: Option<Host>,
    /// Whether the certificate must carry it. Without it, and without a `server_name`, no name is
    /// asked for either.
    pub verify_name: bool,
    /// The client's certificate.
    pub identity: Option<Identity>,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { trust: Trust::System, server_name: None, verify_name: true, identity: None }
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The system's certificate authorities.
    #[default]
    System,
    /// The certificate authorities in this PEM file.
    File(PathBuf),
    /// Everyone's: encrypted, but not authenticated.
    Anyone,
}

/// A file that TLS needs.
#[derive(Clone, Debug)]
pub enum PemFile<'f> {
    /// The authorities that vouch for a server.
    Authorities(&'f Path),
    /// A certificate and its key.
    Identity(&'f Identity),
}

/// The role of a Patroni node, decided from status code and JSON body together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatroniCheck {
    /// Patroni's REST API.
    pub target: HttpTarget,
    /// The role wanted.
    pub role: PatroniRole,
    /// Tags the node must have, name and value (`?tag_NAME=VALUE`). Leaders are not asked.
    pub tags: Vec<(String, String)>,
}

/// A role in a Patroni cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatroniRole {
    /// Holds the leader lock and is a running primary.
    Primary,
    /// A running standby that may be balanced to and does not lag.
    Replica(MaxLag),
    /// Either of the two above, or a standby leader.
    Any(MaxLag),
    /// A synchronous standby.
    Sync,
    /// A standby that is not synchronous.
    Async(MaxLag),
    /// A member of the quorum (Patroni 4).
    Quorum,
    /// The leader of a standby cluster.
    StandbyLeader,
}

/// How far a standby may be behind. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxLag {
    /// Bytes of write-ahead log, as Patroni reckons it (`?lag=`).
    pub bytes: Option<u64>,
    /// Age of the last transaction replayed, while there is received log not yet replayed.
    pub time: Option<Duration>,
}

impl MaxLag {
    /// No limit.
    pub const ANY: MaxLag = MaxLag { bytes: None, time: None };
}

/// Whether a proxy of a local HAProxy serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaproxyCheck {
    /// Where the statistics come from.
    pub stats: HaproxyStats,
    /// The name of a `frontend`, `backend` or `listen` section.
    pub proxy: String,
    /// Which side of it.
    pub side: ProxySide,
    /// A backend serves with at least so many servers up; also one without servers does, as HAProxy
    /// itself says (a statistics page).
    pub min_servers: NonZeroU32,
}

/// Where HAProxy's statistics come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaproxyStats {
    /// The path of its `stats socket`.
    Socket(PathBuf),
    /// Its statistics page.
    Page(Box<HaproxyPage>),
}

/// HAProxy's `stats uri`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaproxyPage {
    /// Whom to ask.
    pub target: HttpTarget,
    /// The page without the `;csv` that is appended; begins with `/`.
    pub path: PathAndQuery,
}

/// The sides of a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxySide {
    /// Accepts connections.
    Frontend,
    /// Has servers.
    Backend,
    /// Every side of that name there is.
    #[default]
    Every,
}

/// A server that speaks PostgreSQL's protocol: the answer to an SSLRequest is success, whether yes
/// or no. Needs no account and leaves no line in the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresCheck {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// `Some`: a session of this user is begun instead; a request for a password or a greeting is
    /// success, an error is not.
    pub user: Option<String>,
    /// `Some`: TLS comes first, as between PostgreSQL 17 and clients that ask for it directly.
    pub tls: Option<Tls>,
}

/// A set of HTTP statuses; 200 to 299 by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// Whether this status is among them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(vec![200..=299])
    }
}

impl FromStr for Statuses {
    type Err = BadStatuses;

    /// Reads a comma-separated list of statuses and ranges: `200,204,300-399`.
    fn from_str(text: &str) -> Result<Statuses, BadStatuses> {
        let bad = |part: &str| BadStatuses(part.to_owned());
        let status = |part: &str| match part.trim().parse() {
            Ok(status @ 100..=599) => Ok(status),
            _ => Err(bad(part)),
        };
        let range = |part: &str| match part.split_once('-') {
            Some((from, to)) if status(from)? <= status(to)? => Ok(status(from)?..=status(to)?),
            Some(_) => Err(bad(part)),
            None => Ok(status(part)?..=status(part)?),
        };
        text.split(',').map(range).collect::<Result<_, _>>().map(Statuses)
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            f.write_str(if n > 0 { "," } else { "" })?;
            match (range.start(), range.end()) {
                (from, to) if from == to => write!(f, "{from}")?,
                (from, to) => write!(f, "{from}-{to}")?,
            }
        }
        Ok(())
    }
}

/// A text that is no list of statuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is neither an HTTP status (100 to 599) nor a range such as 200-299")]
pub struct BadStatuses(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_list_of_ranges() {
        let set: Statuses = "200,204,300-399".parse().unwrap();
        assert!([200, 204, 300, 399].into_iter().all(|status| set.contains(status)));
        assert!([201, 299, 400].into_iter().all(|status| !set.contains(status)));
        assert_eq!(set.to_string(), "200,204,300-399");
        for bad in ["", "99", "600", "300-200", "2xx", "200,,204"] {
            assert!(bad.parse::<Statuses>().is_err(), "{bad}");
        }
    }
}
