//! The control socket: one JSON object per line, both ways.

pub mod client;
pub mod protocol;
pub mod server;

/// The socket's name in the run directory.
pub const SOCKET_NAME: &str = "vipd.sock";
