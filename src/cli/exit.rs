//! Exit statuses, from sysexits.h. The manual page lists them.

/// All is well.
pub const OK: u8 = 0;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// A file cannot be read, or what was asked for does not exist.
pub const NOINPUT: u8 = 66;
/// The daemon does not answer.
pub const UNAVAILABLE: u8 = 69;
/// The kernel refuses something essential.
pub const OSERR: u8 = 71;
/// The run directory cannot be used.
pub const CANTCREAT: u8 = 73;
/// Output cannot be written.
pub const IOERR: u8 = 74;
/// Capabilities are missing.
pub const NOPERM: u8 = 77;
/// The configuration has errors.
pub const CONFIG: u8 = 78;
