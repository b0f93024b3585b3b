//! Exit statuses, after sysexits(3). The manual page lists them.

use std::process::ExitCode;

/// All is well.
pub const OK: u8 = 0;
/// Warnings, under `--deny-warnings`.
pub const WARNINGS: u8 = 1;
/// The command line is wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// A file cannot be read, or what was asked for does not exist (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// The daemon does not answer (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// The demo did not go as it must (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;
/// The kernel refuses something essential (`EX_OSERR`).
pub const OS_ERR: u8 = 71;
/// The run directory cannot be used (`EX_CANTCREAT`).
pub const CANT_CREATE: u8 = 73;
/// Output cannot be written (`EX_IOERR`).
pub const IO_ERR: u8 = 74;
/// Capabilities are missing (`EX_NOPERM`).
pub const NO_PERM: u8 = 77;
/// The configuration has errors (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// The status as `main` returns it.
#[must_use]
pub fn code(status: u8) -> ExitCode {
    ExitCode::from(status)
}

/// What a check found, as far as the exit status goes.
pub(super) struct Findings {
    pub(super) unreadable: bool,
    pub(super) errors: usize,
    pub(super) warnings: usize,
}

impl Findings {
    pub(super) fn status(&self, deny_warnings: bool) -> u8 {
        if self.unreadable {
            NO_INPUT
        } else if self.errors > 0 {
            CONFIG
        } else if deny_warnings && self.warnings > 0 {
            WARNINGS
        } else {
            OK
        }
    }
}
