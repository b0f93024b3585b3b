//! What the daemon is started with, and why it cannot start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::config::{Config, Dropped};
use crate::io::OpError;

/// Everything the daemon needs to know.
pub struct Options {
    /// The configuration to start with.
    pub config: Config,
    /// What a lenient reading left out of it.
    pub dropped: Dropped,
    /// What was said about it, each in one line.
    pub warned: Vec<String>,
    /// Its files, as given, for the status.
    pub files: Vec<String>,
    /// Reads the configuration again; the error is rendered for a human. Runs on a thread of its
    /// own.
    pub reload: Arc<Reload>,
    /// Looks whether this daemon could continue as another binary, and returns that one's version;
    /// the error is for a human. Runs on a thread of its own.
    pub verify: Arc<Verify>,
    /// The file this daemon was started from, if that is known.
    pub executable: Option<PathBuf>,
    /// Where the control socket and the pid file live.
    pub run_dir: PathBuf,
    /// More pid files, for programs that look for them elsewhere.
    pub pid_files: Vec<PathBuf>,
    /// What the node calls itself if the configuration does not say.
    pub host_name: String,
}

/// See [`Options::reload`].
pub type Reload = dyn Fn() -> Result<Reread, String> + Send + Sync;

/// See [`Options::verify`].
pub type Verify = dyn Fn(&Path) -> Result<String, String> + Send + Sync;

/// A configuration read again.
#[derive(Debug)]
pub struct Reread {
    /// To be used.
    pub config: Config,
    /// What a lenient reading left out of it.
    pub dropped: Dropped,
    /// What there is to say about it.
    pub warnings: Vec<Warning>,
}

/// Something to say about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// In one line, for the log.
    pub line: String,
    /// With the lines of the file, for a terminal.
    pub text: String,
}

/// Why the daemon cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Missing capabilities.
    #[error("no permission: vipd needs {}; start it as root or grant them", .missing.join(" and "))]
    Permission {
        /// Which, and what for.
        missing: Vec<&'static str>,
    },
    /// Another daemon has the run directory.
    #[error("vipd runs already (pid {pid}) with the run directory {}", .run_dir.display())]
    Busy {
        /// The directory.
        run_dir: PathBuf,
        /// The other's process id, as its pid file says.
        pid: String,
    },
    /// Another daemon has one of the routers or addresses; whose, and what to do, for people.
    #[error("{0}")]
    Held(String),
    /// The network namespace the configuration names.
    #[error("cannot enter the network namespace {name}")]
    Namespace {
        /// Its name.
        name: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another process has a pid file.
    #[error("the pid file {} belongs to process {pid}, which runs: stop it first", .path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// The process, as the file says.
        pid: String,
    },
    /// Others could put something into the run directory.
    #[error("the run directory {} is not safe: {why}", .run_dir.display())]
    RunDir {
        /// It.
        run_dir: PathBuf,
        /// Why, and what to do about it.
        why: String,
    },
    /// The run directory or something in it cannot be created.
    #[error("cannot create {}", .what.display())]
    Create {
        /// What.
        what: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses something no daemon can do without.
    #[error("cannot {what}")]
    Kernel {
        /// What.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The interfaces cannot be read.
    #[error(transparent)]
    Interfaces(#[from] OpError),
}
