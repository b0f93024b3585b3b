//! What the workers share about a listener and about a server: limits hold for all of them
//! together.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::FailureStreak;
use super::counters::{Counters, WorkerStats};
use crate::config::Frontend;
use crate::pool::{Hint, ListenerId, PoolView, ServerId};
use crate::sys::tcp_info::Backlog;

/// A listener, as all workers see it.
#[derive(Debug)]
pub(super) struct ListenerShared {
    pub(super) id: ListenerId,
    settings: ArcSwap<Frontend>,
    pub(super) waiting: AtomicU32,
    /// Listening sockets of all workers that have not failed.
    pub(super) open_sockets: AtomicU32,
    /// Set by a worker that leaves connections in the kernel's queue.
    pub(super) full: AtomicBool,
    connections: AtomicU32,
    /// What each worker counts; there is always a first.
    first_worker: WorkerStats,
    other_workers: Box<[WorkerStats]>,
    /// The kernel's queues of each worker's sockets, as last read.
    backlogs: Box<[AtomicBacklog]>,
    /// A server has sent something before its client.
    server_first: AtomicBool,
    /// When accepting last waited for descriptors, in milliseconds since the workers started.
    starved: AtomicU64,
}

#[derive(Debug, Default)]
struct AtomicBacklog {
    waiting: AtomicU32,
    most: AtomicU32,
    dropped: AtomicU32,
}

impl ListenerShared {
    pub(super) fn new(id: ListenerId, settings: Frontend, workers: usize) -> ListenerShared {
        ListenerShared {
            id,
            settings: ArcSwap::from_pointee(settings),
            waiting: AtomicU32::new(0),
            open_sockets: AtomicU32::new(0),
            full: AtomicBool::new(false),
            connections: AtomicU32::new(0),
            first_worker: WorkerStats::default(),
            other_workers: (1..workers).map(|_| WorkerStats::default()).collect(),
            backlogs: (0..workers).map(|_| AtomicBacklog::default()).collect(),
            server_first: AtomicBool::new(false),
            starved: AtomicU64::new(0),
        }
    }

    /// A server has sent something before its client has: that is not PostgreSQL.
    pub(super) fn note_server_first(&self) {
        if !self.server_first.load(Ordering::Relaxed) {
            self.server_first.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn server_first(&self) -> bool {
        self.server_first.load(Ordering::Relaxed)
    }

    /// What waits in the sockets of one worker.
    pub(super) fn note_backlog(&self, worker: usize, of: Backlog) {
        if let Some(queue) = self.backlogs.get(worker) {
            queue.waiting.store(of.waiting, Ordering::Relaxed);
            queue.most.store(of.most, Ordering::Relaxed);
            queue.dropped.store(of.dropped, Ordering::Relaxed);
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlogs.iter().fold(Backlog::default(), |sum, queue| Backlog {
            waiting: sum.waiting.saturating_add(queue.waiting.load(Ordering::Relaxed)),
            most: sum.most.max(queue.most.load(Ordering::Relaxed)),
            dropped: sum.dropped.saturating_add(queue.dropped.load(Ordering::Relaxed)),
        })
    }

    pub(super) fn note_starved(&self, millis: u64) {
        self.starved.store(millis.max(1), Ordering::Relaxed);
    }

    /// When accepting last waited for descriptors.
    pub(super) fn starved(&self) -> Option<Duration> {
        let millis = self.starved.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// How connections are treated from now on.
    pub(super) fn settings(&self) -> Arc<Frontend> {
        self.settings.load_full()
    }

    pub(super) fn change(&self, settings: Frontend) {
        self.settings.store(Arc::new(settings));
    }

    /// Count one more connection, if the limit allows it, until the permit is dropped.
    pub(super) fn admit(self: &Arc<ListenerShared>) -> Option<ConnPermit> {
        take(&self.connections, self.settings.load().options.maxconn)
            .then(|| ConnPermit(Arc::clone(self)))
    }

    /// Count one that cannot wait for the limit to allow it.
    pub(super) fn admit_beyond_limit(self: &Arc<ListenerShared>) -> Option<ConnPermit> {
        take(&self.connections, None).then(|| ConnPermit(Arc::clone(self)))
    }

    pub(super) fn worker_stats(&self, worker: usize) -> &WorkerStats {
        let other = worker.checked_sub(1).and_then(|number| self.other_workers.get(number));
        other.unwrap_or(&self.first_worker)
    }

    pub(super) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        sum.add(&self.first_worker);
        self.other_workers.iter().for_each(|stats| sum.add(stats));
        sum
    }

    pub(super) fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Counts a connection of a listener until it is dropped.
#[derive(Debug)]
pub(super) struct ConnPermit(Arc<ListenerShared>);

impl ConnPermit {
    pub(super) fn shared(&self) -> &Arc<ListenerShared> {
        &self.0
    }
}

impl Drop for ConnPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A server's sessions, of all workers and listeners.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct ServerStats {
    pub(super) id: ServerId,
    sessions: AtomicU32,
    pub(super) attempts: AtomicU64,
    pub(super) connected: AtomicU64,
    /// Bytes to it and from it, of sessions that have ended.
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) failures: AtomicU64,
    /// Clients whose first message it did not answer in time.
    pub(super) unanswered: AtomicU64,
    /// It has answered none since the last of them.
    unresponsive: AtomicBool,
    /// Until then it is chosen only if there is no other; milliseconds since the workers started.
    avoided_until: AtomicU64,
    /// Connections in a row that failed before it sent anything.
    streak: AtomicU32,
    /// When the last of them did, in milliseconds since the workers started.
    last_failure: AtomicU64,
    /// How it did: an index of [`CONNECT_FAILURES`].
    last_how: AtomicU8,
}

/// How a connection fails before the server has sent anything.
const CONNECT_FAILURES: [Hint; 3] = [Hint::Refused, Hint::Unreachable, Hint::GaveUp];

impl ServerStats {
    pub(super) fn new(id: ServerId) -> ServerStats {
        ServerStats {
            id,
            sessions: AtomicU32::new(0),
            attempts: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            unresponsive: AtomicBool::new(false),
            avoided_until: AtomicU64::new(0),
            streak: AtomicU32::new(0),
            last_failure: AtomicU64::new(0),
            last_how: AtomicU8::new(0),
        }
    }

    pub(super) fn failed(&self, hint: Hint, now: u64) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        match CONNECT_FAILURES
            .iter()
            .position(|miss| *miss == hint)
            .and_then(|how| u8::try_from(how).ok())
        {
            Some(how) => {
                self.last_how.store(how, Ordering::Relaxed);
                self.last_failure.store(now, Ordering::Relaxed);
                self.streak.fetch_add(1, Ordering::Relaxed);
            }
            // It has sent something, or counts as unresponsive.
            None => self.streak.store(0, Ordering::Relaxed),
        }
    }

    pub(super) fn failure_streak(&self, now: u64) -> Option<FailureStreak> {
        let times = self.streak.load(Ordering::Relaxed);
        let how = *CONNECT_FAILURES.get(usize::from(self.last_how.load(Ordering::Relaxed)))?;
        let ago = now.saturating_sub(self.last_failure.load(Ordering::Relaxed));
        (times > 0).then(|| FailureStreak { how, times, ago: Duration::from_millis(ago) })
    }

    /// It accepted a connection and has not answered the client: avoid it until then.
    pub(super) fn not_answered(&self, until: u64) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.avoid_until(until);
        self.unresponsive.store(true, Ordering::Relaxed);
    }

    pub(super) fn avoid_until(&self, until: u64) {
        self.avoided_until.store(until, Ordering::Relaxed);
    }

    pub(super) fn is_avoided(&self, now: u64) -> bool {
        self.is_unresponsive() && now < self.avoided_until.load(Ordering::Relaxed)
    }

    pub(super) fn is_unresponsive(&self) -> bool {
        self.unresponsive.load(Ordering::Relaxed)
    }

    /// It has taken a client.
    pub(super) fn answered(&self) {
        if self.is_unresponsive() {
            self.unresponsive.store(false, Ordering::Relaxed);
        }
        if self.streak.load(Ordering::Relaxed) > 0 {
            self.streak.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Count one more session, if the limit allows it, until the permit is dropped.
    pub(super) fn acquire(
        self: &Arc<ServerStats>,
        most: Option<NonZeroU32>,
    ) -> Option<ServerPermit> {
        take(&self.sessions, most).then(|| ServerPermit(Arc::clone(self)))
    }
}

/// Counts a session of a server until it is dropped.
#[derive(Debug)]
pub(super) struct ServerPermit(Arc<ServerStats>);

impl ServerPermit {
    pub(super) fn server(&self) -> ServerId {
        self.0.id
    }

    pub(super) fn stats(&self) -> &ServerStats {
        &self.0
    }
}

impl Drop for ServerPermit {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

fn take(count: &AtomicU32, most: Option<NonZeroU32>) -> bool {
    count
        .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |taken| {
            let next = taken.checked_add(1)?;
            most.is_none_or(|most| next <= most.get()).then_some(next)
        })
        .is_ok()
}

/// A view and the statistics of its servers, in its order.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) view: Arc<PoolView>,
    pub(super) stats: Vec<Arc<ServerStats>>,
}

impl Published {
    pub(super) fn stats_of(&self, id: ServerId) -> Option<&Arc<ServerStats>> {
        self.stats.iter().find(|stats| stats.id == id)
    }

    pub(super) fn sessions(&self, id: ServerId) -> u32 {
        self.stats_of(id).map_or(0, |stats| stats.sessions())
    }
}
