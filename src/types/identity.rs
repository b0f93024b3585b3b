//! Who one is in TLS.

use std::path::PathBuf;

/// PEM files with which a side of TLS proves who it is. They are read again when they change, so that
/// a renewed certificate is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Certificate chain, the own first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}
