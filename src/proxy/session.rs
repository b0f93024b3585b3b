//! A connection from being accepted to its end.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::postgres::Greeting;
use super::relay::{Conn, Direction};
use super::shared::{ConnPermit, ServerPermit};
use super::slab::Key;
use crate::pool::{Cause, Hint, ServerId};
use crate::sys::descriptors::FdReservation;

/// What a worker keeps in a slot of its slab.
#[derive(Debug)]
pub(super) enum Entry {
    Session(Session),
    /// A client whose cancel request is being passed on.
    Canceller(Canceller),
    /// The request on its way to one server.
    Cancel(Cancel),
}

/// A client, and its server once it has one.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) permit: ConnPermit,
    pub(super) client: Conn,
    pub(super) server: Option<Conn>,
    /// It counts the session at its server, from connecting on.
    pub(super) server_permit: Option<ServerPermit>,
    /// Until the session is one.
    pub(super) handshake: Option<Box<Handshake>>,
    /// Client to server.
    pub(super) up: Direction,
    /// Server to client.
    pub(super) down: Direction,
    /// Seconds on the worker's clock.
    pub(super) since: u32,
    /// When something last moved, on the same clock.
    pub(super) active: u32,
}

impl Session {
    /// Close the connection to a server that has not taken the client, and return its permit.
    pub(super) fn drop_server(&mut self) -> Option<ServerPermit> {
        self.server = None;
        self.up.bytes = 0;
        self.server_permit.take()
    }
}

/// What is known of a session until its server has taken the client.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) stage: Stage,
    /// Since when it wants a server. Those that have waited longest come first.
    pub(super) since: Instant,
    /// The client's first messages, if it speaks PostgreSQL.
    pub(super) greeting: Option<Greeting>,
    /// Bytes of the client the server has still to be sent.
    pub(super) unsent: Vec<u8>,
    /// Servers that failed in this round.
    pub(super) tried: Vec<ServerId>,
    /// The round of the listener's queue in which they failed.
    pub(super) round: u64,
    /// Why there is no server, while waiting.
    pub(super) no_server: NoServer,
    /// When its timer ends, if one is set.
    pub(super) due: Option<Instant>,
    /// Whether it is in the listener's queue.
    pub(super) queued: bool,
    /// Whether it has ever been: a client that waits is counted once.
    pub(super) held: bool,
    /// What the last server said or did.
    pub(super) failure: Option<String>,
    /// Reserves a descriptor for the server's socket, so that a client that was accepted can be
    /// served.
    _reservation: FdReservation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client's first message is still to come.
    Reading,
    /// A server is to be chosen.
    Choosing,
    /// None can be chosen at the moment.
    Waiting,
    /// One is being connected to.
    Connecting,
    /// A server is connected and has not taken the client.
    Greeting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// None may be used.
    Unavailable,
    /// Those that may be used failed in this round.
    Tried,
    /// Those that may be used have no free place.
    Full,
    /// Others have waited longer.
    OthersWait,
    /// This host has no descriptor, memory or port to give.
    NoResources,
}

impl Handshake {
    pub(super) fn new(
        stage: Stage,
        since: Instant,
        greeting: Option<Greeting>,
        reservation: FdReservation,
    ) -> Handshake {
        Handshake {
            stage,
            since,
            greeting,
            unsent: Vec::new(),
            tried: Vec::new(),
            round: 0,
            no_server: NoServer::Unavailable,
            due: None,
            queued: false,
            held: false,
            failure: None,
            _reservation: reservation,
        }
    }
}

#[derive(Debug)]
pub(super) enum CloseReason {
    /// Both streams are over.
    Finished,
    /// Nothing moved for too long.
    Idle,
    /// The client said nothing, or not all of it.
    ClientTimeout,
    ClientLeft,
    /// The client's end broke, or the server's did.
    ClientBroke,
    ServerBroke,
    /// The server does not agree to the encryption another server has agreed to.
    EncryptionRefused,
    /// No server came in time.
    Unserved,
    QueueFull,
    Cancel(Vec<u8>),
    /// The view says so of sessions with its server.
    Policy(Cause),
    /// The address it came in by, or its listener, goes away.
    EndpointGone,
}

/// A client that waits until its cancel request has been seen.
#[derive(Debug)]
pub(super) struct Canceller {
    /// Closing it tells the client that the request has been seen.
    pub(super) client: Conn,
    pub(super) servers: usize,
}

/// A cancel request for one server, which closes the connection when it has seen it.
#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) client: Key,
    pub(super) server: Conn,
    pub(super) request: Arc<[u8]>,
    pub(super) sent: bool,
    pub(super) due: Instant,
}

/// Go on to the next stage; or stop, until something happens or because the session is over.
pub(super) type Step = ControlFlow<Option<CloseReason>>;

pub(super) const PENDING: Step = ControlFlow::Break(None);

pub(super) fn close(reason: CloseReason) -> Step {
    ControlFlow::Break(Some(reason))
}

impl From<&io::Error> for Hint {
    fn from(error: &io::Error) -> Hint {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Hint::Refused,
            _ => Hint::Unreachable,
        }
    }
}
