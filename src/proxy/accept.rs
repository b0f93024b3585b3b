//! Taking connections from the kernel's queue, and not taking them while that cannot work.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;

use super::relay::{Conn, Direction, INTEREST};
use super::session::{Entry, Handshake, Session, Stage};
use super::shared::{ConnPermit, ListenerShared};
use super::token::Token;
use super::worker::Worker;
use crate::config::BindConfig;
use crate::config::ListenerProtocol;
use crate::pool::ListenerId;
use crate::sys::tcp;

/// Connections accepted from one socket before other sockets are served: a flood to one must not stop
/// the sessions of all.
const AT_ONCE: usize = 64;

/// How long accepting from a socket that is to be closed pauses for other work.
const YIELD_PAUSE: Duration = Duration::from_millis(1);

/// How long a client may say nothing where servers may be expected to speak first.
const SILENT_CLIENT_TIMEOUT: Duration = Duration::from_millis(250);

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
    /// Close a listener's sockets but those at `kept`, after accepting what is in their queues, beyond
    /// the limit of connections if need be: the kernel resets what is left in the queue of a socket.
    pub(super) fn close_sockets(&mut self, listener: ListenerId, kept: &[BindConfig]) {
        for number in self.acceptor.leave(&self.poller, &mut self.timers, listener, kept) {
            self.accept(number);
        }
    }

    /// Read how many connections wait in the kernel's queues.
    pub(super) fn read_backlogs(&self) {
        for (id, local) in &self.locals {
            local.shared.note_backlog(self.number, self.acceptor.backlog(*id));
        }
        for shared in self.acceptor.starved() {
            shared.note_starved(self.millis());
        }
    }

    pub(super) fn accept(&mut self, number: usize) {
        for _ in 0..AT_ONCE {
            let Some(socket) = self.acceptor.open_socket(number) else { return };
            let shared = Arc::clone(&socket.shared);
            let leaving = socket.leaving;
            if leaving == Some(0) {
                return self.acceptor.close(&mut self.timers, number);
            }
            let permit =
                if leaving.is_some() { shared.admit_beyond_limit() } else { shared.admit() };
            let Some(permit) = permit else {
                shared.full.store(true, Ordering::Release);
                // A connection that ended between the two attempts wakes nobody.
                match shared.admit() {
                    Some(_) => continue,
                    None => return self.acceptor.stop_full(&self.poller, number),
                }
            };
            let fds_short = self.fds_short && leaving.is_none();
            if fds_short && self.fd_limit.is_reached(&socket.fd).unwrap_or(true) {
                return self.pause_for_resources(number, &shared);
            }
            match tcp::accept(&socket.fd) {
                Ok(client) => {
                    socket.accepted();
                    self.fds_short = self.fd_limit.leaves_no_reserve(&client);
                    shared.worker_stats(self.number).accepted.one();
                    self.on_accept(&shared, permit, client);
                }
                Err(error) => match classify(&error) {
                    Failure::None if leaving.is_some() => {
                        return self.acceptor.close(&mut self.timers, number);
                    }
                    Failure::None => return,
                    Failure::Gone => shared.worker_stats(self.number).aborted.one(),
                    Failure::Starved => return self.pause_for_resources(number, &shared),
                    Failure::Broken => {
                        return self.acceptor.broke(&mut self.timers, number, self.now, &error);
                    }
                },
            }
        }
        if self.acceptor.open_socket(number).is_some_and(|socket| socket.leaving.is_some()) {
            self.acceptor.pause(&self.poller, &mut self.timers, number, self.now + YIELD_PAUSE);
        }
    }

    fn pause_for_resources(&mut self, number: usize, shared: &ListenerShared) {
        shared.worker_stats(self.number).starved.one();
        shared.note_starved(self.millis());
        self.acceptor.back_off(&self.poller, &mut self.timers, number, self.now);
    }

    pub(super) fn resume(&mut self, number: usize) {
        if self.acceptor.resume(&self.poller, &mut self.timers, number) {
            // With an empty queue there is no event that would have it closed.
            self.accept(number);
        }
    }

    /// Accept again, as a descriptor has become free.
    pub(super) fn resume_paused(&mut self) {
        for number in self.acceptor.numbers() {
            self.resume(number);
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
        let unknown = settings.protocol == ListenerProtocol::Postgres && self.is_unknown(shared);
        let protocol = if unknown && shared.server_first() {
            ListenerProtocol::Tcp
        } else {
            settings.protocol
        };
        let handshake = match protocol {
            ListenerProtocol::Tcp => Handshake::new(Stage::Choosing, self.now, None, reservation),
            ListenerProtocol::Postgres => {
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
        if protocol == ListenerProtocol::Postgres {
            let limit = settings.options.startup_timeout;
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
