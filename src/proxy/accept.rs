//! Taking connections from the kernel's queue, and not taking them while that cannot work.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::relay::{Conn, Direction, INTEREST};
use super::session::{Entry, Handshake, Session, Stage};
use super::settings::Protocol;
use super::shared::{ConnPermit, ListenerShared};
use super::timers::Timer;
use super::worker::{SWEEP, Token, Worker};
use crate::pool::ListenerId;
use crate::sys::epoll::Ready;
use crate::sys::tcp::Bind;
use crate::sys::tcp_info::{Backlog, backlog};
use crate::sys::{cause, tcp};

/// Connections accepted from one socket before other sockets are served: a flood to one must not stop
/// the sessions of all.
const AT_ONCE: usize = 64;

/// Connections that may arrive while a socket that is to be closed is emptied. More are not accepted:
/// it would never be empty under load.
const ON_THE_WAY: u32 = 64;

/// How long accepting pauses when descriptors or memory are short, at first and at most.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long accepting from a socket that is to be closed pauses for other work.
const YIELD_PAUSE: Duration = Duration::from_millis(1);

/// How long a socket that broke stays closed, so that whatever broke it can come to its end.
const REOPEN_DELAY: Duration = Duration::from_millis(100);

/// How long a client may say nothing where servers may be expected to speak first.
const SILENT_CLIENT_TIMEOUT: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct ListenSocket {
    bind: Bind,
    fd: OwnedFd,
    shared: Arc<ListenerShared>,
    state: State,
    /// How long the next pause is; it doubles until a connection is accepted again.
    pause: Duration,
    /// It is to be closed when its queue is empty, or after so many more connections.
    leaving: Option<u32>,
}

/// What is left of one that broke.
#[derive(Debug)]
pub(super) struct BrokenSocket {
    shared: Arc<ListenerShared>,
    bind: Bind,
    /// Where it listened: a port that was chosen stays.
    at: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Until the listener has room for another connection.
    Full,
    /// Until a timer ends.
    Pausing(Instant),
}

/// What a failed accept means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    None,
    /// That connection is no more; the next may be fine.
    Gone,
    /// Descriptors or memory are short. The connection still waits.
    Starved,
    /// The socket is no use any more.
    Broken,
}

/// Linux passes errors of the network already pending on the new socket through accept, and wants
/// them treated like EAGAIN (accept(2)).
fn classify(error: &io::Error) -> Failure {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => Failure::None,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => Failure::Starved,
        Some(
            Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ETIMEDOUT
            | Errno::EOPNOTSUPP,
        ) => Failure::Gone,
        _ => Failure::Broken,
    }
}

impl Worker {
    pub(super) fn add_socket(&mut self, shared: &Arc<ListenerShared>, bind: Bind, fd: OwnedFd) {
        let place = self
            .listen_sockets
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.listen_sockets.len());
        if let Err(error) = self.poller.add(&fd, Token::ListenSocket(place).pack(), Ready::IN) {
            tracing::error!("watch a listening socket: {}", cause(&error));
            shared.open_sockets.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let shared = Arc::clone(shared);
        let socket = Some(ListenSocket {
            bind,
            fd,
            shared,
            state: State::Open,
            pause: PAUSE,
            leaving: None,
        });
        match self.listen_sockets.get_mut(place) {
            Some(free) => *free = socket,
            None => self.listen_sockets.push(socket),
        }
    }

    /// Close a listener's sockets but those at `kept`, after accepting what is in their queues, beyond
    /// the limit of connections if need be: the kernel resets what is left in the queue of a socket.
    pub(super) fn close_sockets(&mut self, listener: ListenerId, kept: &[Bind]) {
        self.broken.retain(|broken| broken.shared.id != listener || kept.contains(&broken.bind));
        for number in 0..self.listen_sockets.len() {
            let Some(socket) = self.socket(number) else { continue };
            let closes = socket.shared.id == listener && !kept.contains(&socket.bind);
            if !closes || socket.leaving.is_some() {
                continue;
            }
            let waiting = backlog(&socket.fd).map_or(0, |backlog| backlog.waiting);
            let shared = Arc::clone(&socket.shared);
            shared.open_sockets.fetch_sub(1, Ordering::Relaxed);
            self.resume(number);
            if let Some(socket) = self.socket(number) {
                socket.leaving = Some(waiting.saturating_add(ON_THE_WAY));
            }
            self.watch(number, State::Open);
            self.accept(number);
        }
    }

    /// Read how many connections wait in the kernel's queues.
    pub(super) fn read_backlogs(&mut self) {
        let mut queues: BTreeMap<ListenerId, Backlog> =
            self.locals.keys().map(|id| (*id, Backlog::default())).collect();
        for socket in self.listen_sockets.iter().flatten() {
            let Some(queue) = queues.get_mut(&socket.shared.id) else { continue };
            let Some(found) = backlog(&socket.fd) else { continue };
            queue.waiting = queue.waiting.saturating_add(found.waiting);
            queue.most = queue.most.max(found.most);
            queue.dropped = queue.dropped.saturating_add(found.dropped);
            if matches!(socket.state, State::Pausing(_)) && socket.leaving.is_none() {
                socket.shared.note_starved(self.millis());
            }
        }
        for (id, queue) in queues {
            if let Some(local) = self.locals.get(&id) {
                local.shared.note_backlog(self.number, queue);
            }
        }
    }

    /// Close a listener's sockets at once, whatever waits in them.
    pub(super) fn drop_sockets(&mut self, listener: ListenerId) {
        for number in 0..self.listen_sockets.len() {
            if self.socket(number).is_some_and(|socket| socket.shared.id == listener) {
                self.close_socket(number);
            }
        }
    }

    /// Apply a listener's settings to its open sockets.
    pub(super) fn apply_socket_options(&mut self, shared: &ListenerShared) {
        let settings = shared.settings();
        let stays =
            |socket: &&ListenSocket| socket.shared.id == shared.id && socket.leaving.is_none();
        for socket in self.listen_sockets.iter().flatten().filter(stays) {
            if let Err(error) = tcp::refit(&socket.fd, settings.backlog, settings.client) {
                tracing::warn!("{}: change a listening socket: {}", settings.name, cause(&error));
            }
        }
        self.resume_full(shared.id);
    }

    fn close_socket(&mut self, number: usize) {
        if let Some(ListenSocket { state: State::Pausing(until), .. }) = self.socket(number) {
            let until = *until;
            self.timers.cancel(until, Timer::ListenSocket(number));
        }
        if let Some(socket) = self.listen_sockets.get_mut(number).and_then(Option::take)
            && socket.leaving.is_none()
        {
            socket.shared.open_sockets.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn socket(&mut self, number: usize) -> Option<&mut ListenSocket> {
        self.listen_sockets.get_mut(number)?.as_mut()
    }

    pub(super) fn accept(&mut self, number: usize) {
        for _ in 0..AT_ONCE {
            let Some(Some(socket)) = self.listen_sockets.get_mut(number) else { return };
            if socket.state != State::Open {
                return;
            }
            let shared = Arc::clone(&socket.shared);
            let leaving = socket.leaving;
            if leaving == Some(0) {
                return self.close_socket(number);
            }
            let permit =
                if leaving.is_some() { shared.admit_beyond_limit() } else { shared.admit() };
            let Some(permit) = permit else {
                shared.full.store(true, Ordering::Release);
                // A connection that ended between the two attempts wakes nobody.
                match shared.admit() {
                    Some(_) => continue,
                    None => return self.watch(number, State::Full),
                }
            };
            let fds_short = self.fds_short && leaving.is_none();
            if fds_short && self.fd_limit.is_reached(&socket.fd).unwrap_or(true) {
                return self.pause_for_resources(number, &shared);
            }
            match tcp::accept(&socket.fd) {
                Ok(client) => {
                    socket.pause = PAUSE;
                    socket.leaving = leaving.map(|more| more.saturating_sub(1));
                    self.fds_short = self.fd_limit.leaves_no_reserve(&client);
                    shared.worker_stats(self.number).accepted.one();
                    self.on_accept(&shared, permit, client);
                }
                Err(error) => match classify(&error) {
                    Failure::None if leaving.is_some() => return self.close_socket(number),
                    Failure::None => return,
                    Failure::Gone => shared.worker_stats(self.number).aborted.one(),
                    Failure::Starved => return self.pause_for_resources(number, &shared),
                    Failure::Broken => return self.replace_broken(number, &error),
                },
            }
        }
        if self.socket(number).is_some_and(|socket| socket.leaving.is_some()) {
            self.pause(number, YIELD_PAUSE);
        }
    }

    /// Close a socket that fails for good; another takes its place.
    fn replace_broken(&mut self, number: usize, error: &io::Error) {
        let Some(socket) = self.socket(number) else { return };
        let leaving = socket.leaving.is_some();
        let (shared, bind) = (Arc::clone(&socket.shared), socket.bind.clone());
        let at = tcp::local(&socket.fd);
        self.close_socket(number);
        if leaving {
            return;
        }
        let name = &shared.settings().name;
        let cause = cause(error);
        tracing::error!("{name}: a listening socket broke: {cause}; opening it again");
        self.broken.push(BrokenSocket { shared, bind, at });
        self.timers.set(self.now + REOPEN_DELAY, Timer::ReopenBroken);
    }

    /// Open sockets that broke again, or try later.
    pub(super) fn reopen_broken(&mut self) {
        for broken in std::mem::take(&mut self.broken) {
            let settings = broken.shared.settings();
            let address = broken.at.unwrap_or(broken.bind.address);
            let bind = Bind { address, ..broken.bind.clone() };
            match tcp::listen(&bind, settings.backlog, settings.client) {
                Ok(fd) => {
                    tracing::info!("{}: {address} is open again", settings.name);
                    broken.shared.open_sockets.fetch_add(1, Ordering::Relaxed);
                    self.add_socket(&broken.shared, broken.bind, fd);
                }
                Err(error) => {
                    let cause = cause(&error);
                    tracing::debug!("{}: {address} stays closed: {cause}", settings.name);
                    self.broken.push(broken);
                }
            }
        }
        if !self.broken.is_empty() {
            self.timers.set(self.now + SWEEP, Timer::ReopenBroken);
        }
    }

    fn pause_for_resources(&mut self, number: usize, shared: &ListenerShared) {
        shared.worker_stats(self.number).starved.one();
        shared.note_starved(self.millis());
        let Some(socket) = self.socket(number) else { return };
        let pause = socket.pause;
        socket.pause = (pause * 2).min(LONGEST_PAUSE);
        self.pause(number, pause);
    }

    fn pause(&mut self, number: usize, pause: Duration) {
        let until = self.now + pause;
        self.timers.set(until, Timer::ListenSocket(number));
        self.watch(number, State::Pausing(until));
    }

    pub(super) fn resume(&mut self, number: usize) {
        let Some(socket) = self.socket(number) else { return };
        let State::Pausing(until) = socket.state else { return };
        let leaving = socket.leaving.is_some();
        self.timers.cancel(until, Timer::ListenSocket(number));
        self.watch(number, State::Open);
        if leaving {
            // With an empty queue there is no event that would have it closed.
            self.accept(number);
        }
    }

    /// Accept again, as a descriptor has become free.
    pub(super) fn resume_paused(&mut self) {
        for number in 0..self.listen_sockets.len() {
            self.resume(number);
        }
    }

    /// Accept again, as a listener has room.
    pub(super) fn resume_full(&mut self, listener: ListenerId) {
        for number in 0..self.listen_sockets.len() {
            let full = self
                .socket(number)
                .is_some_and(|socket| socket.shared.id == listener && socket.state == State::Full);
            if full {
                self.watch(number, State::Open);
            }
        }
    }

    /// Connections that wait are reported again when the socket is open.
    fn watch(&mut self, number: usize, state: State) {
        let Some(Some(socket)) = self.listen_sockets.get_mut(number) else { return };
        socket.state = state;
        let interest = if state == State::Open { Ready::IN } else { Ready::empty() };
        let token = Token::ListenSocket(number).pack();
        if let Err(error) = self.poller.modify(&socket.fd, token, interest) {
            tracing::error!("watch a listening socket: {}", cause(&error));
        }
    }

    /// Whether nobody knows what its servers speak.
    pub(super) fn is_unknown(&self, shared: &ListenerShared) -> bool {
        let local = self.locals.get(&shared.id);
        let published = local.and_then(|local| local.published.as_ref());
        published.is_some_and(|published| published.view.unknown_protocol)
    }

    fn on_accept(&mut self, shared: &ListenerShared, permit: ConnPermit, client: OwnedFd) {
        let key = self.entries.reserve();
        if self.poller.add(&client, Token::Client(key).pack(), INTEREST).is_err() {
            shared.worker_stats(self.number).aborted.one();
            self.entries.free(key);
            return tcp::reset(client);
        }
        let mut client = Conn::new(client);
        let settings = shared.settings();
        let reservation = self.reservations.reserve();
        let unknown = settings.protocol == Protocol::Postgres && self.is_unknown(shared);
        let protocol =
            if unknown && shared.server_first() { Protocol::Tcp } else { settings.protocol };
        let handshake = match protocol {
            Protocol::Tcp => Handshake::new(Stage::Choosing, self.now, None, reservation),
            Protocol::Postgres => {
                // The first event says whether its first message is there.
                client.readable = false;
                Handshake::new(Stage::Reading, self.now, Some(Default::default()), reservation)
            }
        };
        let seconds = self.seconds();
        let mut session = Session {
            permit,
            client,
            server: None,
            server_permit: None,
            handshake: Some(Box::new(handshake)),
            up: Direction::default(),
            down: Direction::default(),
            since: seconds,
            active: seconds,
        };
        if protocol == Protocol::Postgres {
            let limit = settings.first_message;
            let due = self.now + if unknown { limit.min(SILENT_CLIENT_TIMEOUT) } else { limit };
            self.set_due(key, &mut session, Some(due));
        }
        self.entries.restore(key, Entry::Session(session));
        self.drive(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_accept_has_its_class() {
        let class = |errno: Errno| classify(&io::Error::from(errno));
        assert_eq!(class(Errno::EAGAIN), Failure::None);
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM] {
            assert_eq!(class(errno), Failure::Starved, "{errno}");
        }
        let gone =
            [Errno::ECONNABORTED, Errno::EPROTO, Errno::EPERM, Errno::ENETDOWN, Errno::EHOSTDOWN];
        for errno in gone {
            assert_eq!(class(errno), Failure::Gone, "{errno}");
        }
        for errno in [Errno::EBADF, Errno::EINVAL, Errno::ENOTSOCK] {
            assert_eq!(class(errno), Failure::Broken, "{errno}");
        }
    }
}
