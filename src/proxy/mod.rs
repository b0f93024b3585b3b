//! The data plane: TCP connections from clients to the servers of a pool.
//!
//! A worker thread per CPU accepts connections from its own share of every listener (SO_REUSEPORT)
//! and keeps each for its life; an idle session costs a worker no buffer and no timer. What the
//! workers need to know about servers comes as an immutable [`PoolView`], which the owner of the
//! [`Proxy`] publishes; nothing it calls waits for a worker.
//!
//! ```text
//! accept ── first message ── choose ── connect ── startup ── relay ── end
//!            (PostgreSQL)      │ ▲                 │
//!                             wait ◀──────────────┘ refused, reset, 57P03
//! ```
//!
//! A client for which there is no server waits. The first message of a PostgreSQL client is kept until
//! a server has begun to authenticate it or, without a password, is ready for queries: if the server
//! goes away before, another is given the message, and the client notices nothing. Once TLS flows both
//! ways this is impossible, because the messages cannot be read.
#![deny(clippy::indexing_slicing)]

mod accept;
mod acceptor;
mod cancel;
mod close;
mod counters;
mod dead_peers;
mod handshake;
mod hints;
mod postgres;
mod refusal;
mod reject;
mod relay;
mod session;
mod settings;
mod shared;
mod slab;
mod timers;
mod token;
mod wait_queue;
mod waiting;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use self::refusal::Refuser;
use self::shared::{ListenerShared, Published, ServerStats};
use self::worker::{Common, Worker, WorkerCommand};
use crate::config::{BindConfig, Frontend};
use crate::pool::{PoolView, ServerId};
use crate::sys::descriptors::FdReservations;
use crate::sys::epoll::Waker;
use crate::sys::tcp;

pub use self::counters::Counters;
pub use self::settings::{Options, Splice};
pub use crate::pool::{Hint, Hinted, ListenerId};
pub use crate::sys::tcp_info::Backlog;

/// Descriptors are short as long as accepting last waited for one so recently.
const STARVED: Duration = Duration::from_secs(2);

#[derive(Debug, Error)]
#[error("listen on {address} for {listener}: {}", tcp::why_not(*address, source))]
pub struct OpenError {
    pub address: SocketAddr,
    pub listener: Arc<str>,
    /// Why not. EADDRINUSE is also that of another program that shares its port.
    #[source]
    pub source: io::Error,
}

/// Takes hints, and returns whether there was room; if not, they come again later. It is called on the
/// workers' threads, so it must not block.
#[derive(Clone)]
pub struct HintSink(pub Arc<dyn Fn(Hinted) -> bool + Send + Sync>);

impl fmt::Debug for HintSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HintSink")
    }
}

/// What becomes of the sessions of a listener that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// They go on, and follow the views still published for it.
    Keep,
    /// They end at once.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its first message has not come.
    FirstMessage,
    Waiting,
    Connecting,
    /// The server has not begun to authenticate the client.
    Greeting,
    /// It is a session.
    Relaying,
}

/// One connection, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    pub listener: ListenerId,
    /// The client's address; none if it is just gone.
    pub client: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// The server it has, or is trying.
    pub server: Option<ServerId>,
    pub phase: Phase,
    /// Since it was accepted, in whole seconds.
    pub age: Duration,
    /// Since something moved, in whole seconds.
    pub idle: Duration,
    /// Bytes from the client to the server.
    pub bytes_in: u64,
    /// Bytes from the server to the client.
    pub bytes_out: u64,
}

/// A listener at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerState {
    pub connections: u32,
    /// Those that wait for a server.
    pub waiting: u32,
    /// Listening sockets that work: one for each worker and address, or some have failed.
    pub sockets: u32,
    /// Connections in the kernel's queue, as of a second ago; the length of one of its sockets.
    pub backlog: Backlog,
    /// Connections wait there because descriptors or memory are short.
    pub starved: bool,
    /// What has been counted since it was opened.
    pub counters: Counters,
}

/// A server at one moment, as all listeners see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerState {
    pub id: ServerId,
    pub sessions: u32,
    /// Attempts to connect to it, and those that connected.
    pub attempts: u64,
    pub connected: u64,
    /// Bytes to it and from it, of sessions that have ended.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Connections it refused, did not answer or closed before it had taken the client.
    pub failures: u64,
    /// Clients whose first message it did not answer in time.
    pub unanswered: u64,
    /// It has answered no client since the last of them.
    pub unresponsive: bool,
    /// Its latest connections have failed.
    pub failure_streak: Option<FailureStreak>,
}

/// Connections in a row that failed before the server sent anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureStreak {
    /// How the last one did: [`Hint::Refused`], [`Hint::Unreachable`] or [`Hint::GaveUp`].
    pub how: Hint,
    pub times: u32,
    /// Since the last one.
    pub ago: Duration,
}

/// Sessions that end because their addresses go.
#[derive(Debug)]
pub struct Left {
    left: Receiver<()>,
    since: Instant,
}

impl Left {
    /// Wait until they have ended, at most until `limit` has passed since [`Proxy::leave`].
    pub fn wait(self, limit: Duration) {
        // Nothing is ever sent: it ends when every worker has dropped its end.
        let _ = self.left.recv_timeout(limit.saturating_sub(self.since.elapsed()));
    }
}

/// One worker's sockets of a listener.
type Share = Vec<(BindConfig, OwnedFd)>;

fn count(shares: &[Share]) -> u32 {
    u32::try_from(shares.iter().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX)
}

/// The workers, from outside. Dropping it stops them, and ends all sessions.
#[derive(Debug)]
pub struct Proxy {
    workers: Vec<WorkerHandle>,
    wakers: Arc<[Waker]>,
    listeners: BTreeMap<ListenerId, Arc<ListenerShared>>,
    stats: BTreeMap<ServerId, Arc<ServerStats>>,
    start: Instant,
}

#[derive(Debug)]
struct WorkerHandle {
    commands: Sender<WorkerCommand>,
    heartbeat: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Start the workers, with nothing to do.
    ///
    /// # Errors
    /// The kernel's, if it has no thread or descriptor to give.
    pub fn start(options: Options, hints: &HintSink) -> io::Result<Proxy> {
        let count = match options.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let wakers: io::Result<Arc<[Waker]>> = (0..count).map(|_| Waker::new()).collect();
        let wakers = wakers?;
        let start = Instant::now();
        let common = Common {
            wakers: Arc::clone(&wakers),
            hints: hints.clone(),
            splice: options.splice,
            start,
            reservations: FdReservations::default(),
            refuser: Refuser::start()?,
        };
        let mut workers = Vec::new();
        for number in 0..count {
            let (commands, inbox) = mpsc::channel();
            let heartbeat = Arc::new(AtomicU64::new(0));
            let worker = Worker::new(number, inbox, Arc::clone(&heartbeat), common.clone())?;
            let run = move || {
                if let Err(error) = worker.run() {
                    tracing::error!("proxy-{number} is dead: {}", crate::sys::cause(&error));
                }
            };
            let thread = Some(thread::Builder::new().name(format!("proxy-{number}")).spawn(run)?);
            workers.push(WorkerHandle { commands, heartbeat, thread });
        }
        Ok(Proxy { workers, wakers, listeners: BTreeMap::new(), stats: BTreeMap::new(), start })
    }

    /// Open a listener and return its addresses: ports that are 0 are chosen now. Clients wait
    /// until the first view is published. No other listener may have this number.
    ///
    /// # Errors
    /// The first address that cannot be listened on; then none is.
    pub fn open(
        &mut self,
        id: ListenerId,
        frontend: Frontend,
    ) -> Result<Vec<SocketAddr>, OpenError> {
        let (shares, addresses) = self.sockets(&frontend, &[])?;
        let shared = Arc::new(ListenerShared::new(id, frontend, self.workers.len()));
        shared.open_sockets.store(count(&shares), Ordering::Relaxed);
        self.listeners.insert(id, Arc::clone(&shared));
        for (worker, share) in self.workers.iter().zip(shares) {
            worker.send(WorkerCommand::Open(Arc::clone(&shared), share));
        }
        self.wake();
        Ok(addresses)
    }

    /// Apply other settings to a listener: sockets are opened and closed as they say; those that stay
    /// keep the connections in their queues. Sessions go on.
    ///
    /// # Errors
    /// The first new address that cannot be listened on; then nothing changes.
    pub fn change(&mut self, id: ListenerId, frontend: Frontend) -> Result<(), OpenError> {
        let Some(shared) = self.listeners.get(&id) else { return Ok(()) };
        let (shares, _) = self.sockets(&frontend, &shared.settings().binds)?;
        shared.change(frontend);
        shared.open_sockets.fetch_add(count(&shares), Ordering::Relaxed);
        for (worker, share) in self.workers.iter().zip(shares) {
            worker.send(WorkerCommand::Change(id, share));
        }
        self.wake();
        Ok(())
    }

    /// For each worker the sockets of a listener where it does not listen yet; and where they are.
    fn sockets(
        &self,
        frontend: &Frontend,
        open: &[BindConfig],
    ) -> Result<(Vec<Share>, Vec<SocketAddr>), OpenError> {
        let mut shares: Vec<Share> = self.workers.iter().map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        let ours: BTreeSet<u16> = self
            .listeners
            .values()
            .flat_map(|shared| {
                shared.settings().binds.iter().map(|b| b.address.port()).collect::<Vec<_>>()
            })
            .collect();
        let fails = |address| {
            let listener = Arc::clone(&frontend.name);
            move |source| OpenError { address, listener, source }
        };
        let wanted = || frontend.binds.iter().filter(|bind| !open.contains(bind));
        // All are tested before the first is opened, but for ports of our own sockets: an address may
        // be part of another, as 0.0.0.0 is of [::], and would be found in use.
        for bind in wanted() {
            if bind.address.port() != 0 && !ours.contains(&bind.address.port()) {
                tcp::vacant(bind).map_err(fails(bind.address))?;
            }
        }
        for configured in wanted() {
            let mut open = || {
                let mut bind = configured.clone();
                for share in &mut shares {
                    let socket = tcp::listen(&bind, frontend.options.backlog, frontend.client)?;
                    bind.address = tcp::local(&socket).unwrap_or(bind.address);
                    share.push((configured.clone(), socket));
                }
                Ok(bind.address)
            };
            addresses.push(open().map_err(fails(configured.address))?);
        }
        Ok((shares, addresses))
    }

    /// Give a listener a new view of its servers. New connections follow it at once, and sessions
    /// end whose server may not serve them any more.
    pub fn publish(&mut self, id: ListenerId, view: Arc<PoolView>) {
        // Those that only this map refers to have no sessions and are in no view.
        self.stats.retain(|_, stats| Arc::strong_count(stats) > 1);
        let stats = &mut self.stats;
        let mut stats_of =
            |id| Arc::clone(stats.entry(id).or_insert_with(|| Arc::new(ServerStats::new(id))));
        let stats = view.servers.iter().map(|server| stats_of(server.id)).collect();
        let published = Arc::new(Published { view, stats });
        self.send_all(|| WorkerCommand::Publish(id, Arc::clone(&published)));
    }

    /// Accept no more connections for a listener. Clients that wait are turned away. With
    /// [`Remaining::Keep`] it stays known, and is closed again with [`Remaining::End`].
    pub fn close(&mut self, id: ListenerId, remaining: Remaining) {
        self.send_all(|| WorkerCommand::Close(id, remaining));
        if remaining == Remaining::End {
            self.listeners.remove(&id);
        }
    }

    /// End the sessions whose clients connected to one of these addresses, on both sides: this host
    /// is about to lose them. The addresses may go when this is done; before, or clients cannot be
    /// told.
    pub fn leave(&self, addresses: &[IpAddr]) -> Left {
        let addresses: Arc<[IpAddr]> = addresses.iter().map(IpAddr::to_canonical).collect();
        let (until_done, left) = mpsc::channel();
        self.send_all(|| WorkerCommand::Leave(Arc::clone(&addresses), until_done.clone()));
        Left { left, since: Instant::now() }
    }

    #[must_use]
    pub fn listener(&self, id: ListenerId) -> Option<ListenerState> {
        let shared = self.listeners.get(&id)?;
        Some(ListenerState {
            connections: shared.connections(),
            waiting: shared.waiting.load(Ordering::Relaxed),
            sockets: shared.open_sockets.load(Ordering::Relaxed),
            backlog: shared.backlog(),
            starved: shared.starved().is_some_and(|at| self.start.elapsed() < at + STARVED),
            counters: shared.counters(),
        })
    }

    /// Whether a listener accepts at all its addresses, on every worker.
    #[must_use]
    pub fn accepts(&self, id: ListenerId) -> bool {
        let Some(shared) = self.listeners.get(&id) else { return false };
        let sockets = shared.settings().binds.len() * self.workers.len();
        usize::try_from(shared.open_sockets.load(Ordering::Relaxed))
            .is_ok_and(|open| open >= sockets)
    }

    /// The servers now, in the order of their numbers.
    pub fn servers(&self) -> impl Iterator<Item = ServerState> {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.stats.values().map(move |stats| ServerState {
            id: stats.id,
            sessions: stats.sessions(),
            attempts: stats.attempts.load(Ordering::Relaxed),
            connected: stats.connected.load(Ordering::Relaxed),
            bytes_in: stats.bytes_in.load(Ordering::Relaxed),
            bytes_out: stats.bytes_out.load(Ordering::Relaxed),
            failures: stats.failures.load(Ordering::Relaxed),
            unanswered: stats.unanswered.load(Ordering::Relaxed),
            unresponsive: stats.is_unresponsive(),
            failure_streak: stats.failure_streak(now),
        })
    }

    /// Ask for the connections there are, at most `most` of each worker. Every worker sends its
    /// answer when it comes round to it; whoever receives them may wait, but not the caller.
    #[must_use]
    pub fn sessions(&self, most: usize) -> Receiver<Vec<SessionInfo>> {
        let (to, answers) = mpsc::channel();
        self.send_all(|| WorkerCommand::List(most, to.clone()));
        answers
    }

    /// How long ago the slowest worker began an iteration. They do at least once a second: more than a
    /// few seconds mean that one is stuck or dead.
    #[must_use]
    pub fn oldest_heartbeat(&self) -> Duration {
        let age = |worker: &WorkerHandle| {
            let heartbeat = Duration::from_millis(worker.heartbeat.load(Ordering::Relaxed));
            self.start.elapsed().saturating_sub(heartbeat)
        };
        self.workers.iter().map(age).max().unwrap_or_default()
    }

    /// Stop, and wait until all sessions have ended.
    pub fn stop(mut self) {
        self.send_all(|| WorkerCommand::Stop);
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked has nothing left to wait for.
                let _ = thread.join();
            }
        }
    }

    fn send_all(&self, command: impl Fn() -> WorkerCommand) {
        for worker in &self.workers {
            worker.send(command());
        }
        self.wake();
    }

    fn wake(&self) {
        self.wakers.iter().for_each(Waker::wake);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.send_all(|| WorkerCommand::Stop);
    }
}

impl WorkerHandle {
    fn send(&self, command: WorkerCommand) {
        // A dead worker has logged why.
        let _ = self.commands.send(command);
    }
}
