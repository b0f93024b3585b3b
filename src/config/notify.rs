//! Who is told what happens: commands, FIFOs and mail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::checks::{Endpoint, ScriptCheck};

/// What is told of one virtual router or group, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyConfig {
    /// What to run, and when.
    pub commands: BTreeMap<Moment, ScriptCheck>,
    /// The longest each of them may take, not zero; `None`: as long as it needs.
    pub timeout: Option<Duration>,
    /// One that is removed from the configuration is told as DELETED, not as FAULT
    /// (`notify_deleted`).
    pub deleted: bool,
    /// FIFOs get a line when the priority changes (`notify_priority_changes`).
    pub priority_changes: bool,
    /// Changes of state are mailed (`smtp_alert`).
    pub mail: bool,
    /// What has to be true for as long as the router is master.
    pub ensure: Option<EnsureConfig>,
}

/// When a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// At every change of state, after the state's own command; it gets four more words.
    Any,
    /// The router has become master and its addresses are in place.
    Master,
    /// It has become a backup, also at the start.
    Backup,
    /// It cannot serve.
    Fault,
    /// The daemon ends, and the addresses are gone.
    Stop,
    /// The router is configured no longer.
    Deleted,
    /// As master it has heard a master with a lower priority.
    LowerPriority,
}

impl Moment {
    /// Every moment with its key in vipd.toml, in the order of the manual.
    pub const ALL: &'static [(Moment, &'static str)] = &[
        (Moment::Any, "any"),
        (Moment::Master, "master"),
        (Moment::Backup, "backup"),
        (Moment::Fault, "fault"),
        (Moment::Stop, "stop"),
        (Moment::Deleted, "deleted"),
        (Moment::LowerPriority, "lower_priority"),
    ];

    /// The key in vipd.toml.
    #[must_use]
    pub fn key(self) -> &'static str {
        Moment::ALL.iter().find(|(moment, _)| *moment == self).map_or("", |(_, key)| key)
    }
}

/// A command that is run until it succeeds, and again from time to time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsureConfig {
    /// What to run. It must not mind being run again.
    pub command: ScriptCheck,
    /// From a success to the next run; not zero.
    pub every: Duration,
}

impl EnsureConfig {
    /// The time one run has unless the configuration says otherwise: a run that hangs is no attempt.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// From a success to the next run unless the configuration says otherwise.
    pub const EVERY: Duration = Duration::from_secs(30);
}

/// A named pipe that gets a line per event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoConfig {
    /// An absolute path. It is created if it is missing.
    pub path: PathBuf,
    /// Who owns it, by name or number; `None`: as vipd itself.
    pub user: Option<String>,
    /// The same of the group.
    pub group: Option<String>,
    /// What reads it: kept running, with the path as its last argument.
    pub reader: Option<ScriptCheck>,
    /// A reload writes every state again (`fifo_write_vrrp_states_on_reload`).
    pub states_on_reload: bool,
}

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// The recipients, at least one.
    pub to: Vec<String>,
    /// The sender; `None`: `vipd@` the host's name.
    pub from: Option<String>,
    /// The server that takes it, by SMTP without encryption.
    pub server: Endpoint,
    /// What this node calls itself there; `None`: the host's name.
    pub helo: Option<String>,
    /// The longest a connection or one answer may take; not zero.
    pub timeout: Duration,
    /// Changes to FAULT are mailed, too (`no_email_faults` switches it off).
    pub faults: bool,
}

impl MailConfig {
    /// The time a server has unless the configuration says otherwise: keepalived's.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
}
