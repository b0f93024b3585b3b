//! One thread's share of all listeners: an edge-triggered event loop that never blocks but to wait for
//! events.
//!
//! A worker owns its listening sockets and every connection it accepts from them. Other threads reach
//! it through its inbox alone, and it never waits for them. It reads the clock once an iteration.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::acceptor::Acceptor;
use super::dead_peers::SilentPeers;
use super::hints::PendingHints;
use super::refusal::Refuser;
use super::relay::{BrokenEnd, Buffers, Progress};
use super::session::{CloseReason, Entry, Session, Stage};
use super::settings::{Splice, has_limits};
use super::shared::{ListenerShared, Published, ServerPermit};
use super::slab::{Key, Slab};
use super::timers::{SWEEP, Timer, Timers};
use super::token::Token;
use super::wait_queue::{RETRY, TokenBucket, WaitQueue};
use super::{HintSink, Phase, Remaining, SessionInfo};
use crate::config::BindConfig;
use crate::pool::{Balancer, Hint, ListenerId, SessionPolicy, session_policy};
use crate::sys::descriptors::{FdLimit, FdReservations};
use crate::sys::epoll::{Poller, Ready, Waker};
use crate::sys::tcp;

/// What the owner of the [`Proxy`](super::Proxy) asks of a worker.
#[derive(Debug)]
pub(super) enum WorkerCommand {
    Open(Arc<ListenerShared>, Vec<(BindConfig, OwnedFd)>),
    /// Its settings are others; here are the sockets for what it did not listen on before.
    Change(ListenerId, Vec<(BindConfig, OwnedFd)>),
    Publish(ListenerId, Arc<Published>),
    Close(ListenerId, Remaining),
    /// End the sessions that came in by these addresses, then drop the sender.
    Leave(Arc<[IpAddr]>, Sender<()>),
    List(usize, Sender<Vec<SessionInfo>>),
    Stop,
}

/// A listener, as one worker sees it.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) shared: Arc<ListenerShared>,
    pub(super) published: Option<Arc<Published>>,
    pub(super) balancer: Balancer,
    pub(super) queue: WaitQueue,
}

#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) wakers: Arc<[Waker]>,
    pub(super) hints: HintSink,
    pub(super) splice: Splice,
    pub(super) start: Instant,
    pub(super) reservations: FdReservations,
    pub(super) refuser: Refuser,
}

/// The state of one thread: all that its handlers in the other files of this module work on.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) poller: Poller,
    pub(super) wakers: Arc<[Waker]>,
    inbox: Receiver<WorkerCommand>,
    hints: PendingHints,
    pub(super) locals: BTreeMap<ListenerId, Local>,
    pub(super) acceptor: Acceptor,
    pub(super) entries: Slab<Entry>,
    pub(super) timers: Timers,
    /// Sessions that let others go first and can go on.
    runnable: Vec<Key>,
    /// Listeners whose waiting clients choose a server again in this iteration.
    pub(super) retry_listeners: BTreeSet<ListenerId>,
    /// Servers' sockets to reset once all clients have been told.
    pub(super) resets: Vec<OwnedFd>,
    pub(super) buffers: Buffers,
    pub(super) fd_limit: FdLimit,
    pub(super) reservations: FdReservations,
    pub(super) refuser: Refuser,
    /// The last connection left too few descriptors for those that are reserved.
    pub(super) fds_short: bool,
    pub(super) now: Instant,
    pub(super) start: Instant,
    /// When the last iteration began, in milliseconds since `start`; read by other threads.
    heartbeat: Arc<AtomicU64>,
    /// When the sockets' queues are looked at next.
    next_backlog_read: Instant,
    pub(super) sweeping: bool,
    pub(super) cancels: usize,
    pub(super) silent: SilentPeers,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        inbox: Receiver<WorkerCommand>,
        heartbeat: Arc<AtomicU64>,
        common: Common,
    ) -> io::Result<Worker> {
        let Common { wakers, hints, splice, start, reservations, refuser } = common;
        let poller = Poller::new()?;
        if let Some(waker) = wakers.get(number) {
            poller.add(waker, Token::Waker.pack(), Ready::IN)?;
        }
        Ok(Worker {
            number,
            poller,
            wakers,
            inbox,
            hints: PendingHints::new(hints),
            locals: BTreeMap::new(),
            acceptor: Acceptor::default(),
            entries: Slab::new(),
            timers: Timers::default(),
            runnable: Vec::new(),
            retry_listeners: BTreeSet::new(),
            resets: Vec::new(),
            buffers: Buffers::new(splice, FdLimit::now(&reservations)),
            fd_limit: FdLimit::now(&reservations),
            reservations,
            refuser,
            fds_short: false,
            now: Instant::now(),
            start,
            heartbeat,
            next_backlog_read: start,
            sweeping: false,
            cancels: 0,
            silent: SilentPeers::default(),
        })
    }

    /// Serve until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::new();
        loop {
            events.clear();
            self.poller.wait(self.poll_timeout(), &mut events)?;
            self.now = Instant::now();
            self.heartbeat.store(self.millis(), Ordering::Relaxed);
            for (token, ready) in &events {
                // A command may end sessions, which does not wait for the bytes of others.
                if !self.drain_commands() {
                    return Ok(());
                }
                self.event(*token, *ready);
            }
            if !self.drain_commands() {
                return Ok(());
            }
            self.timers_due();
            if self.now >= self.next_backlog_read {
                self.next_backlog_read = self.now + SWEEP;
                self.read_backlogs();
            }
            for key in std::mem::take(&mut self.runnable) {
                self.drive(key);
            }
            for listener in std::mem::take(&mut self.retry_listeners) {
                self.release_waiting(listener);
            }
            self.reset_servers();
            self.hints.deliver();
        }
    }

    fn poll_timeout(&self) -> Duration {
        if !self.runnable.is_empty() || !self.retry_listeners.is_empty() {
            return Duration::ZERO;
        }
        match self.timers.next() {
            Some(at) => at.saturating_duration_since(Instant::now()).min(SWEEP),
            None => SWEEP,
        }
    }

    fn event(&mut self, token: u64, ready: Ready) {
        match Token::unpack(token) {
            Token::Waker => {
                if let Some(waker) = self.wakers.get(self.number) {
                    waker.rest();
                }
                self.capacity_freed_elsewhere();
            }
            Token::ListenSocket(number) => self.accept(number),
            Token::Client(key) => {
                match self.entries.get_mut(key) {
                    Some(Entry::Session(session)) => session.client.note(ready),
                    Some(Entry::Canceller(canceller)) => canceller.client.note(ready),
                    Some(Entry::Cancel(_)) | None => return,
                }
                self.drive(key);
            }
            Token::Server(key) => {
                match self.entries.get_mut(key) {
                    Some(Entry::Session(session)) => match &mut session.server {
                        Some(server) => server.note(ready),
                        None => return,
                    },
                    Some(Entry::Cancel(cancel)) => cancel.server.note(ready),
                    Some(Entry::Canceller(_)) | None => return,
                }
                self.drive(key);
            }
        }
    }

    /// Carry out the commands that have come. Returns whether to go on.
    fn drain_commands(&mut self) -> bool {
        // Addresses leave by the hundred: the sessions are looked through once for all of them.
        let (mut leaving, mut until_done) = (BTreeSet::new(), Vec::new());
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                WorkerCommand::Open(shared, sockets) => self.open_listener(shared, sockets),
                WorkerCommand::Change(listener, sockets) => self.change_listener(listener, sockets),
                WorkerCommand::Publish(listener, published) => self.take_view(listener, &published),
                WorkerCommand::Close(listener, remaining) => {
                    self.close_listener(listener, remaining);
                }
                WorkerCommand::Leave(addresses, until) => {
                    leaving.extend(addresses.iter().copied());
                    until_done.push(until);
                }
                WorkerCommand::List(most, to) => {
                    // Whoever asked may have gone.
                    let _ = to.send(self.list(most));
                }
                WorkerCommand::Stop => {
                    self.close_matching(|_| Some(CloseReason::EndpointGone));
                    return false;
                }
            }
        }
        if !leaving.is_empty() {
            self.close_local_addresses(&leaving);
        }
        true
    }

    fn open_listener(&mut self, shared: Arc<ListenerShared>, sockets: Vec<(BindConfig, OwnedFd)>) {
        let id = shared.id;
        let settings = shared.settings();
        for (bind, socket) in sockets {
            self.acceptor.add(&self.poller, &shared, bind, socket);
        }
        let workers = self.wakers.len();
        let queue = WaitQueue::new(&settings.options, workers, self.now);
        let balancer = Balancer::starting_at(u32::try_from(self.number).unwrap_or_default());
        if has_limits(&settings) {
            self.sweep_soon();
        }
        self.locals.insert(id, Local { shared, published: None, balancer, queue });
    }

    fn change_listener(&mut self, listener: ListenerId, added: Vec<(BindConfig, OwnedFd)>) {
        let Some(local) = self.locals.get_mut(&listener) else { return };
        let shared = Arc::clone(&local.shared);
        let settings = shared.settings();
        local.queue.bucket = TokenBucket::new(&settings.options, self.wakers.len(), self.now);
        for (bind, socket) in added {
            self.acceptor.add(&self.poller, &shared, bind, socket);
        }
        self.close_sockets(listener, &settings.binds);
        self.acceptor.apply_options(&shared);
        self.acceptor.resume_full(&self.poller, listener);
        self.sweep_soon();
    }

    fn take_view(&mut self, listener: ListenerId, published: &Arc<Published>) {
        let Some(local) = self.locals.get_mut(&listener) else { return };
        local.published = Some(Arc::clone(published));
        local.queue.round += 1;
        self.retry_listeners.insert(listener);
        let ends = |session: &Session| match &session.server_permit {
            Some(server_permit) if session.permit.shared().id == listener => {
                match session_policy(&published.view, server_permit.server()) {
                    SessionPolicy::Keep => None,
                    SessionPolicy::End(cause) => Some(cause),
                }
            }
            _ => None,
        };
        // Who has not been taken by a server yet looks for another.
        let without_server =
            |session: &Session| session.handshake.is_some() && ends(session).is_some();
        let choosing: Vec<Key> =
            self.sessions().filter(|(_, s)| without_server(s)).map(|(k, _)| k).collect();
        self.close_matching(|session| {
            session.handshake.is_none().then(|| ends(session)).flatten().map(CloseReason::Policy)
        });
        for key in choosing {
            if let Some(Entry::Session(session)) = self.entries.get_mut(key) {
                session.drop_server();
                if let Some(handshake) = &mut session.handshake {
                    handshake.stage = Stage::Choosing;
                }
                self.drive(key);
            }
        }
    }

    fn close_listener(&mut self, listener: ListenerId, remaining: Remaining) {
        self.close_sockets(listener, &[]);
        if remaining == Remaining::End {
            self.acceptor.close_all(&mut self.timers, listener);
        }
        self.close_matching(|session| {
            let waits = session.handshake.as_ref().is_some_and(|o| o.stage == Stage::Waiting);
            let ends =
                session.permit.shared().id == listener && (waits || remaining == Remaining::End);
            ends.then_some(if waits { CloseReason::Unserved } else { CloseReason::EndpointGone })
        });
        if remaining == Remaining::End {
            self.locals.remove(&listener);
        }
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = (Key, &Session)> {
        self.entries.iter().filter_map(|(key, entry)| match entry {
            Entry::Session(session) => Some((key, session)),
            Entry::Canceller(_) | Entry::Cancel(_) => None,
        })
    }

    fn list(&self, most: usize) -> Vec<SessionInfo> {
        let seconds = self.seconds();
        let info = |session: &Session| SessionInfo {
            listener: session.permit.shared().id,
            client: canonical(tcp::peer(&session.client.fd)),
            local: canonical(tcp::local(&session.client.fd)),
            server: session.server_permit.as_ref().map(ServerPermit::server),
            phase: match session.handshake.as_ref().map(|handshake| handshake.stage) {
                Some(Stage::Reading) => Phase::FirstMessage,
                Some(Stage::Choosing | Stage::Waiting) => Phase::Waiting,
                Some(Stage::Connecting) => Phase::Connecting,
                Some(Stage::Greeting) => Phase::Greeting,
                None => Phase::Relaying,
            },
            age: Duration::from_secs(u64::from(seconds.saturating_sub(session.since))),
            idle: Duration::from_secs(u64::from(seconds.saturating_sub(session.active))),
            bytes_in: session.up.bytes,
            bytes_out: session.down.bytes,
        };
        self.sessions().take(most).map(|(_, session)| info(session)).collect()
    }

    fn timers_due(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Entry(key) => self.on_timer(key),
                Timer::ListenSocket(number) => self.resume(number),
                Timer::ReopenBroken => {
                    self.acceptor.reopen_broken(&self.poller, &mut self.timers, self.now);
                }
                Timer::Retry(listener) => {
                    if let Some(local) = self.locals.get_mut(&listener) {
                        local.queue.retry = None;
                        local.queue.round += 1;
                        self.retry_listeners.insert(listener);
                    }
                }
                Timer::NextToken(listener) => {
                    self.retry_listeners.insert(listener);
                }
                Timer::Sweep => self.sweep(),
            }
        }
    }

    /// Milliseconds since the workers started.
    pub(super) fn millis(&self) -> u64 {
        millis(self.now.duration_since(self.start))
    }

    /// Seconds since the worker started.
    pub(super) fn seconds(&self) -> u32 {
        u32::try_from(self.now.duration_since(self.start).as_secs()).unwrap_or(u32::MAX)
    }

    /// Move a session on as far as it goes without waiting.
    pub(super) fn drive(&mut self, key: Key) {
        match self.entries.take(key) {
            Some(Entry::Session(mut session)) => match self.advance(key, &mut session) {
                None => self.entries.restore(key, Entry::Session(session)),
                Some(reason) => self.close(key, session, reason),
            },
            Some(Entry::Cancel(cancel)) => self.cancel_on(key, cancel),
            Some(canceller @ Entry::Canceller(_)) => self.entries.restore(key, canceller),
            None => {}
        }
    }

    fn advance(&mut self, key: Key, session: &mut Session) -> Option<CloseReason> {
        match self.open(key, session) {
            std::ops::ControlFlow::Break(outcome) => outcome,
            std::ops::ControlFlow::Continue(()) => self.relay(key, session),
        }
    }

    fn relay(&mut self, key: Key, session: &mut Session) -> Option<CloseReason> {
        let Session { client, server: Some(server), up, down, .. } = session else {
            return Some(CloseReason::ServerBroke);
        };
        let buffers = &mut self.buffers;
        let (sent, received) = (up.bytes, down.bytes);
        let (up_was, down_was) = (up.done, down.done);
        let upward = up.pump(client, server, down.done, buffers);
        if matches!(upward, Err(BrokenEnd::Sink)) {
            // What the server said before it left is still to be read.
            let _ = down.pump(server, client, false, buffers);
        }
        let downward = match upward {
            Ok(_) => down.pump(server, client, up.done, buffers),
            Err(_) => Ok(Progress::Idle),
        };
        let (sent, received) = (up.bytes - sent, down.bytes - received);
        let spliced = std::mem::take(&mut buffers.spliced);
        let stats = session.permit.shared().worker_stats(self.number);
        if sent + received > 0 {
            stats.bytes_in.add(sent);
            stats.bytes_out.add(received);
            stats.spliced.add(spliced);
            session.active = self.seconds();
            if session.up.bytes == 0 {
                session.permit.shared().note_server_first();
            }
        }
        let Session { client, server: Some(server), up, down, .. } = session else { return None };
        let more = match (upward, downward) {
            (Err(BrokenEnd::Source), _) | (_, Err(BrokenEnd::Sink)) => {
                return Some(CloseReason::ClientBroke);
            }
            (Err(BrokenEnd::Sink), _) | (_, Err(BrokenEnd::Source)) => {
                self.note_hint(session, Hint::Ended);
                return Some(CloseReason::ServerBroke);
            }
            (Ok(upward), Ok(downward)) => upward == Progress::More || downward == Progress::More,
        };
        if up.done && down.done {
            return Some(CloseReason::Finished);
        }
        let watched = [(client, Token::Client(key)), (server, Token::Server(key))];
        for (conn, token) in watched {
            if let Some(interest) = conn.interest()
                && self.poller.modify(&conn.fd, token.pack(), interest).is_err()
            {
                return Some(CloseReason::ClientBroke);
            }
        }
        if more {
            self.runnable.push(key);
        }
        if (up.done, down.done) != (up_was, down_was) {
            let ended = down.done;
            session.active = self.seconds();
            if ended {
                self.note_hint(session, Hint::Ended);
            }
            if session.permit.shared().settings().options.half_closed.is_some() {
                self.sweep_soon();
            }
        }
        None
    }

    /// Remember what a session noticed about its server, to be reported once an iteration.
    pub(super) fn note_hint(&mut self, session: &Session, hint: Hint) {
        if let Some(server_permit) = &session.server_permit {
            self.hints.note(session.permit.shared().id, server_permit.server(), hint);
        }
    }

    pub(super) fn set_due(&mut self, key: Key, session: &mut Session, due: Option<Instant>) {
        let Some(handshake) = &mut session.handshake else { return };
        if let Some(old) = std::mem::replace(&mut handshake.due, due) {
            self.timers.cancel(old, Timer::Entry(key));
        }
        if let Some(due) = due {
            self.timers.set(due, Timer::Entry(key));
        }
    }

    pub(super) fn retry_soon(&mut self, listener: ListenerId) {
        if let Some(local) = self.locals.get_mut(&listener)
            && local.queue.retry.is_none()
        {
            let at = self.now + RETRY;
            local.queue.retry = Some(at);
            self.timers.set(at, Timer::Retry(listener));
        }
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn canonical(address: Option<SocketAddr>) -> Option<SocketAddr> {
    address.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_costs_little() {
        assert!(size_of::<Entry>() <= 152, "{} bytes", size_of::<Entry>());
    }
}
