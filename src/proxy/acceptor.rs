//! The listening sockets of one worker: which are open, which pause, and which are to be closed.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::shared::ListenerShared;
use super::timers::{SWEEP, Timer, Timers};
use super::token::Token;
use crate::config::BindConfig;
use crate::pool::ListenerId;
use crate::sys::epoll::{Poller, Ready};
use crate::sys::tcp_info::{Backlog, backlog};
use crate::sys::{cause, tcp};

/// Connections that may arrive while a socket that is to be closed is emptied. More are not accepted:
/// it would never be empty under load.
const ON_THE_WAY: u32 = 64;

/// How long accepting pauses when descriptors or memory are short, at first and at most.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long a socket that broke stays closed, so that whatever broke it can come to its end.
const REOPEN_DELAY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct ListenSocket {
    bind: BindConfig,
    pub(super) fd: OwnedFd,
    pub(super) shared: Arc<ListenerShared>,
    state: State,
    /// How long the next pause is; it doubles until a connection is accepted again.
    pause: Duration,
    /// It is to be closed when its queue is empty, or after so many more connections.
    pub(super) leaving: Option<u32>,
}

/// What is left of one that broke.
#[derive(Debug)]
struct BrokenSocket {
    shared: Arc<ListenerShared>,
    bind: BindConfig,
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

impl ListenSocket {
    pub(super) fn accepted(&mut self) {
        self.pause = PAUSE;
        self.leaving = self.leaving.map(|more| more.saturating_sub(1));
    }
}

/// Sockets keep their numbers, which are those of their events and timers.
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    sockets: Vec<Option<ListenSocket>>,
    /// Sockets that broke and are not open again.
    broken: Vec<BrokenSocket>,
}

impl Acceptor {
    pub(super) fn add(
        &mut self,
        poller: &Poller,
        shared: &Arc<ListenerShared>,
        bind: BindConfig,
        fd: OwnedFd,
    ) {
        let number = self.sockets.iter().position(Option::is_none).unwrap_or(self.sockets.len());
        if let Err(error) = poller.add(&fd, Token::ListenSocket(number).pack(), Ready::IN) {
            tracing::error!("watch a listening socket: {}", cause(&error));
            shared.open_sockets.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (shared, state) = (Arc::clone(shared), State::Open);
        let socket = Some(ListenSocket { bind, fd, shared, state, pause: PAUSE, leaving: None });
        match self.sockets.get_mut(number) {
            Some(free) => *free = socket,
            None => self.sockets.push(socket),
        }
    }

    pub(super) fn numbers(&self) -> Range<usize> {
        0..self.sockets.len()
    }

    /// A socket, if connections may be accepted from it.
    pub(super) fn open_socket(&mut self, number: usize) -> Option<&mut ListenSocket> {
        self.socket(number).filter(|socket| socket.state == State::Open)
    }

    fn socket(&mut self, number: usize) -> Option<&mut ListenSocket> {
        self.sockets.get_mut(number)?.as_mut()
    }

    /// Have a listener's sockets but those at `kept` closed when their queues are empty. Returns those
    /// to accept from until then.
    pub(super) fn leave(
        &mut self,
        poller: &Poller,
        timers: &mut Timers,
        listener: ListenerId,
        kept: &[BindConfig],
    ) -> Vec<usize> {
        self.broken.retain(|broken| broken.shared.id != listener || kept.contains(&broken.bind));
        let mut leaving = Vec::new();
        for number in self.numbers() {
            let Some(socket) = self.socket(number) else { continue };
            let closes = socket.shared.id == listener && !kept.contains(&socket.bind);
            if !closes || socket.leaving.is_some() {
                continue;
            }
            let waiting = backlog(&socket.fd).map_or(0, |backlog| backlog.waiting);
            socket.leaving = Some(waiting.saturating_add(ON_THE_WAY));
            socket.shared.open_sockets.fetch_sub(1, Ordering::Relaxed);
            self.resume(poller, timers, number);
            self.set_state(poller, number, State::Open);
            leaving.push(number);
        }
        leaving
    }

    /// Close a listener's sockets at once, whatever waits in them.
    pub(super) fn close_all(&mut self, timers: &mut Timers, listener: ListenerId) {
        for number in self.numbers() {
            if self.socket(number).is_some_and(|socket| socket.shared.id == listener) {
                self.close(timers, number);
            }
        }
    }

    pub(super) fn close(&mut self, timers: &mut Timers, number: usize) {
        let Some(socket) = self.sockets.get_mut(number).and_then(Option::take) else { return };
        if let State::Pausing(until) = socket.state {
            timers.cancel(until, Timer::ListenSocket(number));
        }
        if socket.leaving.is_none() {
            socket.shared.open_sockets.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Apply a listener's settings to its open sockets.
    pub(super) fn apply_options(&self, shared: &ListenerShared) {
        let settings = shared.settings();
        let stays =
            |socket: &&ListenSocket| socket.shared.id == shared.id && socket.leaving.is_none();
        for socket in self.sockets.iter().flatten().filter(stays) {
            if let Err(error) = tcp::refit(&socket.fd, settings.options.backlog, settings.client) {
                tracing::warn!("{}: change a listening socket: {}", settings.name, cause(&error));
            }
        }
    }

    /// The kernel's queues of a listener's sockets.
    pub(super) fn backlog(&self, listener: ListenerId) -> Backlog {
        let own = |socket: &&ListenSocket| socket.shared.id == listener;
        let queues = self.sockets.iter().flatten().filter(own);
        let queues = queues.filter_map(|socket| backlog(&socket.fd));
        queues.fold(Backlog::default(), |sum, queue| Backlog {
            waiting: sum.waiting.saturating_add(queue.waiting),
            most: sum.most.max(queue.most),
            dropped: sum.dropped.saturating_add(queue.dropped),
        })
    }

    /// The listeners with sockets that pause.
    pub(super) fn starved(&self) -> impl Iterator<Item = &ListenerShared> {
        let pauses = |socket: &&ListenSocket| {
            matches!(socket.state, State::Pausing(_)) && socket.leaving.is_none()
        };
        self.sockets.iter().flatten().filter(pauses).map(|socket| &*socket.shared)
    }

    /// Accept no more from a socket until its listener has room.
    pub(super) fn stop_full(&mut self, poller: &Poller, number: usize) {
        self.set_state(poller, number, State::Full);
    }

    pub(super) fn pause(
        &mut self,
        poller: &Poller,
        timers: &mut Timers,
        number: usize,
        until: Instant,
    ) {
        timers.set(until, Timer::ListenSocket(number));
        self.set_state(poller, number, State::Pausing(until));
    }

    /// Pause for longer than the last time.
    pub(super) fn back_off(
        &mut self,
        poller: &Poller,
        timers: &mut Timers,
        number: usize,
        now: Instant,
    ) {
        let Some(socket) = self.socket(number) else { return };
        let until = now + socket.pause;
        socket.pause = (socket.pause * 2).min(LONGEST_PAUSE);
        self.pause(poller, timers, number, until);
    }

    /// End a pause. Returns whether the socket is to be closed when it is empty.
    pub(super) fn resume(&mut self, poller: &Poller, timers: &mut Timers, number: usize) -> bool {
        let Some(socket) = self.socket(number) else { return false };
        let State::Pausing(until) = socket.state else { return false };
        let leaving = socket.leaving.is_some();
        timers.cancel(until, Timer::ListenSocket(number));
        self.set_state(poller, number, State::Open);
        leaving
    }

    /// Accept again, as a listener has room.
    pub(super) fn resume_full(&mut self, poller: &Poller, listener: ListenerId) {
        for number in self.numbers() {
            let full = self
                .socket(number)
                .is_some_and(|socket| socket.shared.id == listener && socket.state == State::Full);
            if full {
                self.set_state(poller, number, State::Open);
            }
        }
    }

    /// Connections that wait are reported again when the socket is open.
    fn set_state(&mut self, poller: &Poller, number: usize, state: State) {
        let Some(socket) = self.socket(number) else { return };
        socket.state = state;
        let interest = if state == State::Open { Ready::IN } else { Ready::empty() };
        if let Err(error) = poller.modify(&socket.fd, Token::ListenSocket(number).pack(), interest)
        {
            tracing::error!("watch a listening socket: {}", cause(&error));
        }
    }

    /// Close a socket that fails for good; another takes its place.
    pub(super) fn broke(
        &mut self,
        timers: &mut Timers,
        number: usize,
        now: Instant,
        error: &io::Error,
    ) {
        let Some(socket) = self.socket(number) else { return };
        let leaving = socket.leaving.is_some();
        let (shared, bind) = (Arc::clone(&socket.shared), socket.bind.clone());
        let at = tcp::local(&socket.fd);
        self.close(timers, number);
        if leaving {
            return;
        }
        let name = &shared.settings().name;
        let cause = cause(error);
        tracing::error!("{name}: a listening socket broke: {cause}; opening it again");
        self.broken.push(BrokenSocket { shared, bind, at });
        timers.set(now + REOPEN_DELAY, Timer::ReopenBroken);
    }

    /// Open sockets that broke again, or try later.
    pub(super) fn reopen_broken(&mut self, poller: &Poller, timers: &mut Timers, now: Instant) {
        for broken in std::mem::take(&mut self.broken) {
            let settings = broken.shared.settings();
            let address = broken.at.unwrap_or(broken.bind.address);
            let bind = BindConfig { address, ..broken.bind.clone() };
            match tcp::listen(&bind, settings.options.backlog, settings.client) {
                Ok(fd) => {
                    tracing::info!("{}: {address} is open again", settings.name);
                    broken.shared.open_sockets.fetch_add(1, Ordering::Relaxed);
                    self.add(poller, &broken.shared, broken.bind, fd);
                }
                Err(error) => {
                    let cause = cause(&error);
                    tracing::debug!("{}: {address} stays closed: {cause}", settings.name);
                    self.broken.push(broken);
                }
            }
        }
        if !self.broken.is_empty() {
            timers.set(now + SWEEP, Timer::ReopenBroken);
        }
    }
}
