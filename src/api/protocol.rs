//! What is said on the control socket. Unknown fields are ignored and fields are only ever added,
//! so that a client and a daemon of different versions understand each other.

use serde::{Deserialize, Serialize};

use crate::status::Snapshot;

/// Longest request the daemon reads, in bytes.
pub const LONGEST_LINE: usize = 1 << 20;

/// What a client asks: `{"request":"status"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Everything the daemon knows.
    Status,
}

/// What the daemon answers: `{"status":{…}}` or `{"error":"…"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Snapshot>),
    /// The request was not understood or cannot be served, in words.
    Error(String),
}
