//! Who may ask the daemon: programs over the control socket, one JSON object per line both ways, and
//! browsers over status pages.
#![warn(missing_docs)]

pub mod client;
pub mod page;
pub mod protocol;
pub mod server;

/// The socket's name in the run directory.
pub const SOCKET_NAME: &str = "vipd.sock";
