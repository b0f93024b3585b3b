//! What is said on the control socket. Unknown fields are ignored and fields are only ever added,
//! so that a client and a daemon of different versions understand each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::status::{Changes, Snapshot, State};

/// Longest request the daemon reads, in bytes.
pub const LONGEST_LINE: usize = 1 << 20;

/// What a client asks: `{"request":"status"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Everything the daemon knows.
    Status,
    /// Hand over and stay out of elections.
    Drain {
        /// Which router; `None`: all of them.
        #[serde(default)]
        router: Option<String>,
        /// Even after a restart of the daemon.
        #[serde(default)]
        sticky: bool,
        /// Even if nobody takes over.
        #[serde(default)]
        force: bool,
    },
    /// Take part in elections again.
    Resume {
        /// Which router; `None`: all of them.
        #[serde(default)]
        router: Option<String>,
    },
    /// Hand over once and follow the successor.
    Handover {
        /// Which router; `None`: all of them.
        #[serde(default)]
        router: Option<String>,
    },
    /// Read the configuration again; answered when that is done.
    Reload,
    /// Say what [`Request::Reload`] would do. A request of its own: a daemon that does not know it
    /// must not take it for the other.
    PlanReload,
    /// Continue as another binary. Answered only if that fails: otherwise the connection ends.
    Upgrade {
        /// Which; `None`: the file this daemon was started from.
        #[serde(default)]
        binary: Option<PathBuf>,
    },
}

impl Request {
    /// Whether it changes anything.
    #[must_use]
    pub fn is_command(&self) -> bool {
        !matches!(self, Request::Status)
    }
}

/// What the daemon answers: `{"status":{…}}` or `{"error":"…"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Snapshot>),
    /// To drain, resume and handover: the routers concerned, as they were. It has begun.
    Accepted(Vec<Subject>),
    /// To [`Request::Reload`]: in use now.
    Reloaded {
        /// Warnings about the configuration, rendered for a human.
        warnings: String,
        /// What is different from before.
        #[serde(default)]
        changes: Changes,
        /// Listeners that do not open, each with its reason; they are tried again.
        #[serde(default)]
        failures: Vec<String>,
    },
    /// To [`Request::PlanReload`]: could be used; nothing was changed.
    ReloadPlan {
        /// Warnings about the configuration, rendered for a human.
        warnings: String,
        /// What would be different.
        changes: Changes,
    },
    /// To [`Request::Reload`] and [`Request::PlanReload`]: the old configuration stays in use; why, rendered for a human.
    ReloadRefused(String),
    /// No router is called so.
    Unknown {
        /// As asked.
        router: String,
        /// Those there are.
        routers: Vec<String>,
    },
    /// The client may not; what would have to be different.
    Denied(String),
    /// To drain and resume: it has begun, but will be forgotten; why, in words.
    NotKept(String),
    /// The request was not understood or cannot be served, in words.
    Error(String),
}

/// A router a command is about, before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// It was out of service already.
    pub drained: bool,
}
