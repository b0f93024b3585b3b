//! What the proxy's workers notice about servers: reasons to look again, never proofs.

use super::view::ServerId;

/// The number of a listener, given by whoever opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// Something about a server a session has noticed. It may be worth a probe; it proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// It refused a connection.
    Refused,
    /// It did not answer an attempt to connect in time, or is unreachable.
    Unreachable,
    /// It accepted a connection and gave it up before it had taken the client.
    GaveUp,
    /// It said that it cannot take anyone now: 57P01, 57P02 or 57P03.
    NotNow,
    /// It accepted a connection and did not answer the client's first message in time.
    Silent,
    /// It ended a session, before the client did.
    Ended,
}

/// What a hint is about. Equal ones of one iteration of a worker come as one, with their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hinted {
    /// Whose client noticed.
    pub listener: ListenerId,
    pub server: ServerId,
    pub hint: Hint,
    pub count: u32,
}
