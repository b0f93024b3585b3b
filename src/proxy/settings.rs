//! How a listener treats its connections, as the configuration decided it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::sys::tcp::{Bind, Liveness};
use crate::types::Identity;

/// What is known of the bytes a listener carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing: either side may speak first.
    Tcp,
    /// PostgreSQL's: the client speaks first, and its first message can be sent again to another
    /// server as long as none has begun to authenticate it.
    Postgres,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in the configuration, for people.
    pub name: Arc<str>,
    pub binds: Vec<Bind>,
    pub protocol: Protocol,
    /// Who it is to clients that it refuses in TLS; `None`: a certificate made at start.
    pub identity: Option<Identity>,
    /// Connections at most, of all workers; more wait in the kernel's queue.
    pub maxconn: Option<NonZeroU32>,
    /// Length of the kernel's queue, which caps it at net.core.somaxconn.
    pub backlog: u32,
    /// How long one attempt to connect to a server may take.
    pub connect_timeout: Duration,
    /// How long a client may take over its first message ([`Protocol::Postgres`]).
    pub first_message: Duration,
    /// What happens to clients no server can be found for.
    pub hold: Hold,
    /// Sessions in which nothing has moved for so long are closed; `None` keeps them for ever.
    pub idle: Option<Duration>,
    /// The same for sessions one side of which has ended its stream.
    pub half_closed: Option<Duration>,
    /// How a client that is gone without a word is noticed.
    pub client: Liveness,
    /// How a server is.
    pub server: Liveness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long a client waits while no server may be used. Zero turns it away at once.
    pub unavailable: Duration,
    /// How long while all servers that may be used are full.
    pub full: Duration,
    /// Clients that may wait at a time, of all workers.
    pub most: u32,
    /// Clients let go at once when a server comes back: it forks a process for each.
    pub burst: u32,
    /// Clients let go per second after the burst.
    pub per_second: u32,
}

impl Default for Hold {
    fn default() -> Hold {
        // pgjdbc waits 5 s for the answer to its first message.
        let unavailable = Duration::from_secs(4);
        Hold { unavailable, full: unavailable, most: 2000, burst: 200, per_second: 1000 }
    }
}

impl Listener {
    /// Whether its sessions have to be looked at now and then.
    pub(super) fn has_limits(&self) -> bool {
        let limits = [self.idle, self.client.unacknowledged, self.server.unacknowledged];
        limits.iter().any(Option::is_some)
    }

    #[must_use]
    pub fn new(name: &str, protocol: Protocol, binds: Vec<Bind>) -> Listener {
        Listener {
            name: name.into(),
            binds,
            protocol,
            identity: None,
            maxconn: None,
            backlog: 4096,
            connect_timeout: Duration::from_secs(1),
            // PostgreSQL's own authentication_timeout.
            first_message: Duration::from_secs(60),
            hold: Hold::default(),
            idle: None,
            half_closed: Some(Duration::from_secs(30)),
            client: Liveness::default(),
            server: Liveness::default(),
        }
    }
}

/// What all workers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads, each with its own share of every listener; 0 for one per CPU.
    pub workers: usize,
    /// Moving bulk data without copying it.
    pub splice: Splice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Pipes a worker may have; 0 copies everything.
    pub pipes: usize,
    /// Their size in bytes.
    pub size: usize,
}

impl Default for Options {
    fn default() -> Options {
        // An unprivileged user may have 64 pipes of this size (fs.pipe-user-pages-soft); further
        // ones come out smaller and are not used.
        Options { workers: 0, splice: Splice { pipes: 32, size: 1 << 20 } }
    }
}
