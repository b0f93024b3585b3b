//! Taking connections from the kernel's queue, and not taking them while that cannot work.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::gate::{Gate, Seat};
use super::relay::{Flow, INTEREST, Peer};
use super::session::{Entry, Opening, Session, Stage};
use super::settings::Protocol;
use super::worker::{SWEEP, Timer, Token, Worker};
use crate::pool::ListenerId;
use crate::sys::epoll::Ready;
use crate::sys::tcp::Bind;
use crate::sys::tcp_info::{Backlog, backlog};
use crate::sys::{cause, tcp};

/// Connections taken from one socket before others get their turn.
const AT_ONCE: usize = 64;

/// Connections that may come while those before them are taken from a socket that is to be closed.
const ON_THE_WAY: u32 = 64;

/// How long accepting pauses when descriptors or memory are short, at first and at most.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// ... and when others get their turn before a socket that is to be closed is empty.
const BREATH: Duration = Duration::from_millis(1);

/// How long a socket that broke stays away: longer than it takes whoever broke it to be done.
const MEND: Duration = Duration::from_millis(100);

/// How long a client may say nothing where servers may be expected to speak first.
const SILENT_CLIENT_TIMEOUT: Duration = Duration::from_millis(250);

/// A listening socket of one worker.
#[derive(Debug)]
pub(super) struct Door {
    bind: Bind,
    socket: OwnedFd,
    gate: Arc<Gate>,
    state: State,
    /// The next pause; shorter means that the last ones are over.
    pause: Duration,
    /// It is to be closed, when no more wait in it or so many have been taken.
    leaving: Option<u32>,
}

/// What is left of one that broke.
#[derive(Debug)]
pub(super) struct Broken {
    gate: Arc<Gate>,
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
    /// No connection waits.
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
    pub(super) fn add_door(&mut self, gate: &Arc<Gate>, bind: Bind, socket: OwnedFd) {
        let place = self.doors.iter().position(Option::is_none).unwrap_or(self.doors.len());
        if let Err(error) = self.poller.add(&socket, Token::Door(place).pack(), Ready::IN) {
            tracing::error!("watch a listening socket: {}", cause(&error));
            gate.doors.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let gate = Arc::clone(gate);
        let door =
            Some(Door { bind, socket, gate, state: State::Open, pause: PAUSE, leaving: None });
        match self.doors.get_mut(place) {
            Some(free) => *free = door,
            None => self.doors.push(door),
        }
    }

    /// Close a listener's sockets but those at `kept`, once what waits in them has been taken, even
    /// where it would have had to wait: the kernel would reset it.
    pub(super) fn close_doors(&mut self, listener: ListenerId, kept: &[Bind]) {
        self.broken.retain(|broken| broken.gate.id != listener || kept.contains(&broken.bind));
        for number in 0..self.doors.len() {
            let Some(door) = self.door(number) else { continue };
            let closes = door.gate.id == listener && !kept.contains(&door.bind);
            if !closes || door.leaving.is_some() {
                continue;
            }
            let waiting = backlog(&door.socket).map_or(0, |backlog| backlog.waiting);
            let gate = Arc::clone(&door.gate);
            gate.doors.fetch_sub(1, Ordering::Relaxed);
            self.reopen(number);
            if let Some(door) = self.door(number) {
                door.leaving = Some(waiting.saturating_add(ON_THE_WAY));
            }
            self.watch(number, State::Open);
            self.accept(number);
        }
    }

    /// Take note of what waits in the listeners' sockets.
    pub(super) fn look_at_doors(&mut self) {
        let mut queues: BTreeMap<ListenerId, Backlog> =
            self.locals.keys().map(|id| (*id, Backlog::default())).collect();
        for door in self.doors.iter().flatten() {
            let Some(queue) = queues.get_mut(&door.gate.id) else { continue };
            let Some(found) = backlog(&door.socket) else { continue };
            queue.waiting = queue.waiting.saturating_add(found.waiting);
            queue.most = queue.most.max(found.most);
            queue.dropped = queue.dropped.saturating_add(found.dropped);
            if matches!(door.state, State::Pausing(_)) && door.leaving.is_none() {
                door.gate.note_starved(self.millis());
            }
        }
        for (id, queue) in queues {
            if let Some(local) = self.locals.get(&id) {
                local.gate.note_backlog(self.number, queue);
            }
        }
    }

    /// Close what is left of a listener's sockets now.
    pub(super) fn forget_doors(&mut self, listener: ListenerId) {
        for number in 0..self.doors.len() {
            if self.door(number).is_some_and(|door| door.gate.id == listener) {
                self.close_door(number);
            }
        }
    }

    /// Have a listener's sockets treat connections as it is set now.
    pub(super) fn refit_doors(&mut self, gate: &Gate) {
        let settings = gate.settings();
        let stays = |door: &&Door| door.gate.id == gate.id && door.leaving.is_none();
        for door in self.doors.iter().flatten().filter(stays) {
            if let Err(error) = tcp::refit(&door.socket, settings.backlog, settings.client) {
                tracing::warn!("{}: change a listening socket: {}", settings.name, cause(&error));
            }
        }
        self.reopen_full(gate.id);
    }

    fn close_door(&mut self, number: usize) {
        if let Some(Door { state: State::Pausing(until), .. }) = self.door(number) {
            let until = *until;
            self.timers.remove(&(until, Timer::Door(number)));
        }
        if let Some(door) = self.doors.get_mut(number).and_then(Option::take)
            && door.leaving.is_none()
        {
            door.gate.doors.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn door(&mut self, number: usize) -> Option<&mut Door> {
        self.doors.get_mut(number)?.as_mut()
    }

    pub(super) fn accept(&mut self, number: usize) {
        for _ in 0..AT_ONCE {
            let Some(Some(door)) = self.doors.get_mut(number) else { return };
            if door.state != State::Open {
                return;
            }
            let gate = Arc::clone(&door.gate);
            let leaving = door.leaving;
            if leaving == Some(0) {
                return self.close_door(number);
            }
            let seat = if leaving.is_some() { gate.squeeze_in() } else { gate.enter() };
            let Some(seat) = seat else {
                gate.full.store(true, Ordering::Release);
                // Room made between the two looks is not told of.
                match gate.enter() {
                    Some(_) => continue,
                    None => return self.watch(number, State::Full),
                }
            };
            let scarce = self.scarce && leaving.is_none();
            if scarce && self.ceiling.is_reached(&door.socket).unwrap_or(true) {
                return self.starve(number, &gate);
            }
            match tcp::accept(&door.socket) {
                Ok(client) => {
                    door.pause = PAUSE;
                    door.leaving = leaving.map(|more| more.saturating_sub(1));
                    self.scarce = self.ceiling.is_promised(&client);
                    gate.lane(self.number).accepted.one();
                    self.welcome(&gate, seat, client);
                }
                Err(error) => match classify(&error) {
                    Failure::None if leaving.is_some() => return self.close_door(number),
                    Failure::None => return,
                    Failure::Gone => gate.lane(self.number).aborted.one(),
                    Failure::Starved => return self.starve(number, &gate),
                    Failure::Broken => return self.broke(number, &error),
                },
            }
        }
        if self.door(number).is_some_and(|door| door.leaving.is_some()) {
            self.pause(number, BREATH);
        }
    }

    /// A socket is of no use any more: another takes its place.
    fn broke(&mut self, number: usize, error: &io::Error) {
        let Some(door) = self.door(number) else { return };
        let leaving = door.leaving.is_some();
        let (gate, bind) = (Arc::clone(&door.gate), door.bind.clone());
        let at = tcp::local(&door.socket);
        self.close_door(number);
        if leaving {
            return;
        }
        let name = &gate.settings().name;
        let cause = cause(error);
        tracing::error!("{name}: a listening socket broke: {cause}; opening it again");
        self.broken.push(Broken { gate, bind, at });
        self.timers.insert((self.now + MEND, Timer::Mend));
    }

    /// Open what broke, or try again later.
    pub(super) fn mend(&mut self) {
        for broken in std::mem::take(&mut self.broken) {
            let settings = broken.gate.settings();
            let address = broken.at.unwrap_or(broken.bind.address);
            let bind = Bind { address, ..broken.bind.clone() };
            match tcp::listen(&bind, settings.backlog, settings.client) {
                Ok(socket) => {
                    tracing::info!("{}: {address} is open again", settings.name);
                    broken.gate.doors.fetch_add(1, Ordering::Relaxed);
                    self.add_door(&broken.gate, broken.bind, socket);
                }
                Err(error) => {
                    let cause = cause(&error);
                    tracing::debug!("{}: {address} stays closed: {cause}", settings.name);
                    self.broken.push(broken);
                }
            }
        }
        if !self.broken.is_empty() {
            self.timers.insert((self.now + SWEEP, Timer::Mend));
        }
    }

    fn starve(&mut self, number: usize, gate: &Gate) {
        gate.lane(self.number).starved.one();
        gate.note_starved(self.millis());
        let Some(door) = self.door(number) else { return };
        let pause = door.pause;
        door.pause = (pause * 2).min(LONGEST_PAUSE);
        self.pause(number, pause);
    }

    fn pause(&mut self, number: usize, pause: Duration) {
        let until = self.now + pause;
        self.timers.insert((until, Timer::Door(number)));
        self.watch(number, State::Pausing(until));
    }

    /// Go on after a pause.
    pub(super) fn reopen(&mut self, number: usize) {
        let Some(door) = self.door(number) else { return };
        let State::Pausing(until) = door.state else { return };
        let leaving = door.leaving.is_some();
        self.timers.remove(&(until, Timer::Door(number)));
        self.watch(number, State::Open);
        if leaving {
            // If none waits, no event tells.
            self.accept(number);
        }
    }

    /// Go on now that a descriptor is free.
    pub(super) fn reopen_pausing(&mut self) {
        for number in 0..self.doors.len() {
            self.reopen(number);
        }
    }

    /// Go on now that a listener has room.
    pub(super) fn reopen_full(&mut self, listener: ListenerId) {
        for number in 0..self.doors.len() {
            let full = self
                .door(number)
                .is_some_and(|door| door.gate.id == listener && door.state == State::Full);
            if full {
                self.watch(number, State::Open);
            }
        }
    }

    /// Connections that wait are reported again when the socket is open.
    fn watch(&mut self, number: usize, state: State) {
        let Some(Some(door)) = self.doors.get_mut(number) else { return };
        door.state = state;
        let interest = if state == State::Open { Ready::IN } else { Ready::empty() };
        let token = Token::Door(number).pack();
        if let Err(error) = self.poller.modify(&door.socket, token, interest) {
            tracing::error!("watch a listening socket: {}", cause(&error));
        }
    }

    /// Whether nobody knows what its servers speak.
    pub(super) fn is_unknown(&self, gate: &Gate) -> bool {
        let local = self.locals.get(&gate.id);
        let published = local.and_then(|local| local.published.as_ref());
        published.is_some_and(|published| published.view.unknown_protocol)
    }

    fn welcome(&mut self, gate: &Gate, seat: Seat, client: OwnedFd) {
        let key = self.entries.reserve();
        if self.poller.add(&client, Token::Client(key).pack(), INTEREST).is_err() {
            gate.lane(self.number).aborted.one();
            self.entries.free(key);
            return tcp::reset(client);
        }
        let mut client = Peer::new(client);
        let settings = gate.settings();
        let promise = self.promises.one();
        let unknown = settings.protocol == Protocol::Postgres && self.is_unknown(gate);
        let protocol =
            if unknown && gate.server_first() { Protocol::Tcp } else { settings.protocol };
        let opening = match protocol {
            Protocol::Tcp => Opening::new(Stage::Seeking, self.now, None, promise),
            Protocol::Postgres => {
                // To be watched tells whether the first message is there.
                client.readable = false;
                Opening::new(Stage::Reading, self.now, Some(Default::default()), promise)
            }
        };
        let seconds = self.seconds();
        let mut session = Session {
            seat,
            client,
            server: None,
            claim: None,
            opening: Some(Box::new(opening)),
            up: Flow::default(),
            down: Flow::default(),
            since: seconds,
            active: seconds,
        };
        if protocol == Protocol::Postgres {
            let limit = settings.first_message;
            let due = self.now + if unknown { limit.min(SILENT_CLIENT_TIMEOUT) } else { limit };
            self.set_due(key, &mut session, Some(due));
        }
        self.entries.put(key, Entry::Session(session));
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
