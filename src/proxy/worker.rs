//! One thread's share of all listeners: an edge-triggered loop, and nothing that waits but it.
//!
//! A worker owns its listening sockets and every connection it accepts from them. Others reach it
//! through its inbox alone, and are never waited for. It reads the clock once a turn.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::accept::{BrokenSocket, ListenSocket};
use super::hold::{Pace, Queue, RETRY};
use super::refusal::Refuser;
use super::relay::{Broken, Means, Pumped};
use super::session::{End, Entry, Session, Stage};
use super::settings::Splice;
use super::shared::{ListenerShared, Published, ServerPermit};
use super::silence::Silent;
use super::slab::{Key, Slab};
use super::{HintSink, Phase, Remaining, SessionInfo};
use crate::pool::{Fate, Hint, Hinted, ListenerId, ServerId, Turns, fate};
use crate::sys::descriptors::{Ceiling, Promises};
use crate::sys::epoll::{Poller, Ready, Waker};
use crate::sys::tcp::{self, Bind};

/// How often idle sessions are looked for.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// What others ask of a worker.
#[derive(Debug)]
pub(super) enum Order {
    Open(Arc<ListenerShared>, Vec<(Bind, OwnedFd)>),
    /// Its settings are others; here are the sockets for what it did not listen on before.
    Change(ListenerId, Vec<(Bind, OwnedFd)>),
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
    pub(super) turns: Turns,
    pub(super) queue: Queue,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Entry(Key),
    /// A listening socket may be tried again.
    ListenSocket(usize),
    /// Those that broke may be opened again.
    Mend,
    /// Servers that failed may be.
    Retry(ListenerId),
    /// One more client may be let go.
    Pace(ListenerId),
    Sweep,
}

/// What a token calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Client(Key),
    Server(Key),
    ListenSocket(usize),
    Waker,
}

const SERVER: u64 = 1 << 63;

impl Token {
    pub(super) fn pack(self) -> u64 {
        let pack = |key: Key| (u64::from(key.turn) << 32) | u64::from(key.place);
        match self {
            Token::Client(key) => pack(key),
            Token::Server(key) => pack(key) | SERVER,
            // Turn 0 is no session's.
            Token::ListenSocket(number) => u64::try_from(number).unwrap_or_default(),
            Token::Waker => u64::from(u32::MAX),
        }
    }

    fn unpack(token: u64) -> Token {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        let key = Key { place: half(token), turn: half((token & !SERVER) >> 32) };
        match (key.turn, token & SERVER) {
            (0, _) if key.place == u32::MAX => Token::Waker,
            (0, _) => Token::ListenSocket(usize::try_from(key.place).unwrap_or(usize::MAX)),
            (_, 0) => Token::Client(key),
            (_, _) => Token::Server(key),
        }
    }
}

/// What all workers are given.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) wakers: Arc<[Waker]>,
    pub(super) hints: HintSink,
    pub(super) splice: Splice,
    pub(super) start: Instant,
    pub(super) promises: Promises,
    pub(super) refuser: Refuser,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) poller: Poller,
    pub(super) wakers: Arc<[Waker]>,
    inbox: Receiver<Order>,
    hints: HintSink,
    noticed: BTreeMap<(ListenerId, ServerId, Hint), u32>,
    pub(super) locals: BTreeMap<ListenerId, Local>,
    pub(super) listen_sockets: Vec<Option<ListenSocket>>,
    /// Listening sockets that broke and are not open again.
    pub(super) broken: Vec<BrokenSocket>,
    pub(super) entries: Slab<Entry>,
    pub(super) timers: BTreeSet<(Instant, Timer)>,
    /// Sessions that had their turn and could go on.
    again: Vec<Key>,
    /// Listeners whose waiting clients may have a server now.
    pub(super) hopeful: BTreeSet<ListenerId>,
    /// Servers' sockets to reset once all clients have been told.
    pub(super) resets: Vec<OwnedFd>,
    pub(super) means: Means,
    pub(super) ceiling: Ceiling,
    pub(super) promises: Promises,
    pub(super) refuser: Refuser,
    /// The last connection was beyond it.
    pub(super) scarce: bool,
    pub(super) now: Instant,
    pub(super) start: Instant,
    /// Milliseconds since `start` at the last turn.
    turned: Arc<AtomicU64>,
    /// When the sockets' queues are looked at next.
    look: Instant,
    pub(super) sweeping: bool,
    /// Cancel requests under way.
    pub(super) cancels: usize,
    pub(super) silent: Silent,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        inbox: Receiver<Order>,
        turned: Arc<AtomicU64>,
        common: Common,
    ) -> io::Result<Worker> {
        let Common { wakers, hints, splice, start, promises, refuser } = common;
        let poller = Poller::new()?;
        if let Some(waker) = wakers.get(number) {
            poller.add(waker, Token::Waker.pack(), Ready::IN)?;
        }
        Ok(Worker {
            number,
            poller,
            wakers,
            inbox,
            hints,
            noticed: BTreeMap::new(),
            locals: BTreeMap::new(),
            listen_sockets: Vec::new(),
            broken: Vec::new(),
            entries: Slab::new(),
            timers: BTreeSet::new(),
            again: Vec::new(),
            hopeful: BTreeSet::new(),
            resets: Vec::new(),
            means: Means::new(splice, Ceiling::now(&promises)),
            ceiling: Ceiling::now(&promises),
            promises,
            refuser,
            scarce: false,
            now: Instant::now(),
            start,
            turned,
            look: start,
            sweeping: false,
            cancels: 0,
            silent: Silent::default(),
        })
    }

    /// Serve until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::new();
        loop {
            events.clear();
            self.poller.wait(self.patience(), &mut events)?;
            self.now = Instant::now();
            self.turned.store(self.millis(), Ordering::Relaxed);
            for (token, ready) in &events {
                // An order may end sessions, which does not wait for the bytes of others.
                if !self.obey() {
                    return Ok(());
                }
                self.event(*token, *ready);
            }
            if !self.obey() {
                return Ok(());
            }
            self.timers_due();
            if self.now >= self.look {
                self.look = self.now + SWEEP;
                self.read_backlogs();
            }
            for key in std::mem::take(&mut self.again) {
                self.drive(key);
            }
            for listener in std::mem::take(&mut self.hopeful) {
                self.let_go(listener);
            }
            self.reset_servers();
            self.tell_hints();
        }
    }

    fn patience(&self) -> Duration {
        if !self.again.is_empty() || !self.hopeful.is_empty() {
            return Duration::ZERO;
        }
        match self.timers.first() {
            Some((at, _)) => at.saturating_duration_since(Instant::now()).min(SWEEP),
            None => SWEEP,
        }
    }

    fn event(&mut self, token: u64, ready: Ready) {
        match Token::unpack(token) {
            Token::Waker => {
                if let Some(waker) = self.wakers.get(self.number) {
                    waker.rest();
                }
                self.others_made_room();
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

    /// Do what was ordered; whether to go on.
    fn obey(&mut self) -> bool {
        // Addresses leave by the hundred: the sessions are looked through once for all of them.
        let (mut leaving, mut until_done) = (BTreeSet::new(), Vec::new());
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Open(shared, sockets) => self.open_listener(shared, sockets),
                Order::Change(listener, sockets) => self.change_listener(listener, sockets),
                Order::Publish(listener, published) => self.take_view(listener, &published),
                Order::Close(listener, remaining) => self.close_listener(listener, remaining),
                Order::Leave(addresses, until) => {
                    leaving.extend(addresses.iter().copied());
                    until_done.push(until);
                }
                Order::List(most, to) => {
                    // Whoever asked may have gone.
                    let _ = to.send(self.list(most));
                }
                Order::Stop => {
                    self.end_all(|_| Some(End::Here));
                    return false;
                }
            }
        }
        if !leaving.is_empty() {
            self.leave(&leaving);
        }
        true
    }

    fn open_listener(&mut self, shared: Arc<ListenerShared>, sockets: Vec<(Bind, OwnedFd)>) {
        let id = shared.id;
        let settings = shared.settings();
        for (bind, socket) in sockets {
            self.add_socket(&shared, bind, socket);
        }
        let workers = self.wakers.len();
        let queue = Queue::new(settings.hold, workers, self.now);
        let turns = Turns::starting_at(u32::try_from(self.number).unwrap_or_default());
        if settings.has_limits() {
            self.sweep_soon();
        }
        self.locals.insert(id, Local { shared, published: None, turns, queue });
    }

    fn change_listener(&mut self, listener: ListenerId, added: Vec<(Bind, OwnedFd)>) {
        let Some(local) = self.locals.get_mut(&listener) else { return };
        let shared = Arc::clone(&local.shared);
        let settings = shared.settings();
        local.queue.pace = Pace::new(settings.hold, self.wakers.len(), self.now);
        for (bind, socket) in added {
            self.add_socket(&shared, bind, socket);
        }
        self.close_sockets(listener, &settings.binds);
        self.apply_socket_options(&shared);
        self.sweep_soon();
    }

    fn take_view(&mut self, listener: ListenerId, published: &Arc<Published>) {
        let Some(local) = self.locals.get_mut(&listener) else { return };
        local.published = Some(Arc::clone(published));
        local.queue.round += 1;
        self.hopeful.insert(listener);
        let ends = |session: &Session| match &session.server_permit {
            Some(server_permit) if session.permit.shared().id == listener => {
                match fate(&published.view, server_permit.server()) {
                    Fate::Keep => None,
                    Fate::End(cause) => Some(cause),
                }
            }
            _ => None,
        };
        // Who has not been taken by a server yet looks for another.
        let early = |session: &Session| session.opening.is_some() && ends(session).is_some();
        let seekers: Vec<Key> = self.sessions().filter(|(_, s)| early(s)).map(|(k, _)| k).collect();
        self.end_all(|session| {
            session.opening.is_none().then(|| ends(session)).flatten().map(End::Fate)
        });
        for key in seekers {
            if let Some(Entry::Session(session)) = self.entries.get_mut(key) {
                session.leave_server();
                if let Some(opening) = &mut session.opening {
                    opening.stage = Stage::Seeking;
                }
                self.drive(key);
            }
        }
    }

    fn close_listener(&mut self, listener: ListenerId, remaining: Remaining) {
        self.close_sockets(listener, &[]);
        if remaining == Remaining::End {
            self.drop_sockets(listener);
        }
        self.end_all(|session| {
            let waits = session.opening.as_ref().is_some_and(|o| o.stage == Stage::Waiting);
            let ends =
                session.permit.shared().id == listener && (waits || remaining == Remaining::End);
            ends.then_some(if waits { End::Unserved } else { End::Here })
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
            phase: match session.opening.as_ref().map(|opening| opening.stage) {
                Some(Stage::Reading) => Phase::FirstMessage,
                Some(Stage::Seeking | Stage::Waiting) => Phase::Waiting,
                Some(Stage::Connecting) => Phase::Connecting,
                Some(Stage::Talking) => Phase::Greeting,
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
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= self.now
        {
            self.timers.pop_first();
            match timer {
                Timer::Entry(key) => self.entry_due(key),
                Timer::ListenSocket(number) => self.reopen(number),
                Timer::Mend => self.mend(),
                Timer::Retry(listener) => {
                    if let Some(local) = self.locals.get_mut(&listener) {
                        local.queue.retry = None;
                        local.queue.round += 1;
                        self.hopeful.insert(listener);
                    }
                }
                Timer::Pace(listener) => {
                    self.hopeful.insert(listener);
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

    /// Let a session do what it can.
    pub(super) fn drive(&mut self, key: Key) {
        match self.entries.lift(key) {
            Some(Entry::Session(mut session)) => match self.advance(key, &mut session) {
                None => self.entries.put(key, Entry::Session(session)),
                Some(end) => self.end(key, session, end),
            },
            Some(Entry::Cancel(cancel)) => self.cancel_on(key, cancel),
            Some(canceller @ Entry::Canceller(_)) => self.entries.put(key, canceller),
            None => {}
        }
    }

    fn advance(&mut self, key: Key, session: &mut Session) -> Option<End> {
        match self.open(key, session) {
            std::ops::ControlFlow::Break(outcome) => outcome,
            std::ops::ControlFlow::Continue(()) => self.relay(key, session),
        }
    }

    fn relay(&mut self, key: Key, session: &mut Session) -> Option<End> {
        let Session { client, server: Some(server), up, down, .. } = session else {
            return Some(End::ServerBroke);
        };
        let means = &mut self.means;
        let (sent, received) = (up.bytes, down.bytes);
        let (up_was, down_was) = (up.done, down.done);
        let upward = up.pump(client, server, down.done, means);
        if matches!(upward, Err(Broken::Sink)) {
            // What the server said before it left is still to be read.
            let _ = down.pump(server, client, false, means);
        }
        let downward = match upward {
            Ok(_) => down.pump(server, client, up.done, means),
            Err(_) => Ok(Pumped::Rests),
        };
        let (sent, received) = (up.bytes - sent, down.bytes - received);
        let spliced = std::mem::take(&mut means.spliced);
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
        let again = match (upward, downward) {
            (Err(Broken::Source), _) | (_, Err(Broken::Sink)) => return Some(End::ClientBroke),
            (Err(Broken::Sink), _) | (_, Err(Broken::Source)) => {
                self.notice(session, Hint::Ended);
                return Some(End::ServerBroke);
            }
            (Ok(upward), Ok(downward)) => upward == Pumped::Again || downward == Pumped::Again,
        };
        if up.done && down.done {
            return Some(End::Over);
        }
        let watched = [(client, Token::Client(key)), (server, Token::Server(key))];
        for (peer, token) in watched {
            if let Some(interest) = peer.interest()
                && self.poller.modify(&peer.fd, token.pack(), interest).is_err()
            {
                return Some(End::ClientBroke);
            }
        }
        if again {
            self.again.push(key);
        }
        if (up.done, down.done) != (up_was, down_was) {
            let ended = down.done;
            session.active = self.seconds();
            if ended {
                self.notice(session, Hint::Ended);
            }
            if session.permit.shared().settings().half_closed.is_some() {
                self.sweep_soon();
            }
        }
        None
    }

    /// Remember what a session noticed about its server, to be told once a turn.
    pub(super) fn notice(&mut self, session: &Session, hint: Hint) {
        if let Some(server_permit) = &session.server_permit {
            let about = (session.permit.shared().id, server_permit.server(), hint);
            let count = self.noticed.entry(about).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn tell_hints(&mut self) {
        let sink = &self.hints.0;
        self.noticed.retain(|(listener, server, hint), count| {
            let (listener, server, hint, count) = (*listener, *server, *hint, *count);
            !sink(Hinted { listener, server, hint, count })
        });
    }

    pub(super) fn set_due(&mut self, key: Key, session: &mut Session, due: Option<Instant>) {
        let Some(opening) = &mut session.opening else { return };
        if let Some(old) = std::mem::replace(&mut opening.due, due) {
            self.timers.remove(&(old, Timer::Entry(key)));
        }
        if let Some(due) = due {
            self.timers.insert((due, Timer::Entry(key)));
        }
    }

    pub(super) fn retry_soon(&mut self, listener: ListenerId) {
        if let Some(local) = self.locals.get_mut(&listener)
            && local.queue.retry.is_none()
        {
            let at = self.now + RETRY;
            local.queue.retry = Some(at);
            self.timers.insert((at, Timer::Retry(listener)));
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
    fn tokens_come_back_as_they_went() {
        let last = Key { place: u32::MAX, turn: u32::MAX >> 1 };
        for token in [
            Token::Client(Key { place: 0, turn: 1 }),
            Token::Server(Key { place: 7, turn: 9 }),
            Token::Client(last),
            Token::Server(last),
            Token::ListenSocket(0),
            Token::ListenSocket(300),
            Token::Waker,
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }

    #[test]
    fn a_session_costs_little() {
        assert!(size_of::<Entry>() <= 152, "{} bytes", size_of::<Entry>());
    }
}
