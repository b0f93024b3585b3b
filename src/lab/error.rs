//! What can go wrong in the lab, in sentences: a failed test or demo prints these and no more.

use std::fmt;
use std::io;

use super::deadline::Overdue;
use crate::types::OutOfRange;

/// The lab's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the lab could not do something. `Debug` prints the same sentence as `Display`, so that
/// `unwrap` in a test is readable.
#[derive(thiserror::Error)]
pub enum Error {
    /// The system does not let this user make namespaces.
    #[error("cannot {what}: {why}\n{remedy}")]
    Forbidden {
        /// What was tried.
        what: &'static str,
        /// The setting or right in the way.
        why: String,
        /// What the user can do about it.
        remedy: String,
    },
    /// A system call failed.
    #[error("{place}: cannot {what}: {source}")]
    Kernel {
        /// The host or part of the lab.
        place: String,
        /// What was tried, on which object.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The host has no link of this name.
    #[error("{node}: there is no link {link}")]
    NoLink {
        /// The host.
        node: String,
        /// The name asked for.
        link: String,
    },
    /// A program the lab should run is missing.
    #[error("{program} is not installed\n{remedy}")]
    NotInstalled {
        /// The program.
        program: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// A program did not do what it was started for.
    #[error("{node}: {program} {what}\n{output}")]
    Program {
        /// The host.
        node: String,
        /// The program.
        program: String,
        /// What it did instead.
        what: String,
        /// What it printed.
        output: String,
    },
    /// Something did not happen in time.
    #[error(transparent)]
    Overdue(#[from] Overdue),
    /// An address or name given to the lab is not one.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The thread that lives in a namespace is gone: work given to it panicked.
    #[error("{place}: the namespace's thread has panicked")]
    ThreadGone {
        /// The host or part of the lab.
        place: String,
    },
}

impl Error {
    /// A program that could not be run because it is not there.
    pub(super) fn or_not_installed(self, program: &str) -> Error {
        match self {
            Error::Kernel { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Error::NotInstalled {
                    program: program.to_owned(),
                    remedy: "Install it with tests/setup-debian.sh, or your distribution's package.",
                }
            }
            other => other,
        }
    }

    /// The kernel's error number, if a system call failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Kernel { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
