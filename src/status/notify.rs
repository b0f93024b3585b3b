//! Commands, FIFOs and mail that notify of state changes, and how they went. Ages and delays are in
//! milliseconds.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The commands of one router or group.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NotifyStatus {
    /// The one under way.
    pub running: Option<RunningStatus>,
    /// How many wait.
    pub waiting: u64,
    /// States that were overtaken by the next before they were told.
    pub skipped: u64,
    /// The last runs, the most recent first.
    pub runs: Vec<RunStatus>,
    /// Whether what has to be true of a master is; `None` if nothing has to be, or it is not master.
    pub ensured: Option<bool>,
}

/// A command under way.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunningStatus {
    /// Which, by its key in vipd.toml.
    pub hook: String,
    /// What it is told.
    pub about: String,
    /// For how long it has been running.
    pub age_ms: u64,
}

/// A command that has run.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunStatus {
    /// Which, by its key in vipd.toml.
    pub hook: String,
    /// What it was told.
    pub about: String,
    /// It ended with exit code 0.
    pub succeeded: bool,
    /// How it ended ("exit 0", "timed out", …).
    pub outcome: String,
    /// How long it took.
    pub took_ms: u64,
    /// Since its end.
    pub age_ms: u64,
}

/// One FIFO.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FifoStatus {
    /// Where it is.
    pub path: PathBuf,
    /// Lines written.
    pub written: u64,
    /// Lines that wait because nobody reads.
    pub waiting: u64,
    /// Lines lost because too many waited.
    pub lost: u64,
    /// Why it cannot be written at all, if so.
    pub error: Option<String>,
    /// How the last run of its reader ended, if it has.
    pub reader: Option<String>,
}

/// The mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct MailStatus {
    /// The server.
    pub server: String,
    /// Mails it took.
    pub sent: u64,
    /// Mails given up after several attempts.
    pub failed: u64,
    /// Mails that wait.
    pub waiting: u64,
    /// Mails lost because too many waited.
    pub lost: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}
