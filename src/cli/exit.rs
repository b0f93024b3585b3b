//! Exit statuses, after sysexits(3).

use std::process::ExitCode;

/// Warnings, under `--deny-warnings`.
pub const WARNINGS: u8 = 1;
/// A file cannot be read (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// The configuration has errors (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// The status as `main` returns it.
#[must_use]
pub fn code(status: u8) -> ExitCode {
    ExitCode::from(status)
}
