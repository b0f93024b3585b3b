//! From an accepted connection to a session: the first message, the choice of a server, waiting
//! for one, connecting, and starting over with another when it fails.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;

use super::postgres::{ClientProgress, Greeting, ServerReply};
use super::relay::{Conn, INTEREST};
use super::session::{
    CloseReason, Entry, Handshake, NoServer, PENDING, Session, Stage, Step, close,
};
use super::shared::{ListenerShared, ServerPermit};
use super::slab::Key;
use super::token::Token;
use super::worker::{Worker, millis};
use crate::pool::{Choice, Hint, Server as Candidate, candidates};
use crate::sys::epoll::Ready;
use crate::sys::{cause, tcp};

/// How long a server may take over its first answer before the client is given to another. PostgreSQL
/// gives it before it does anything that takes time; pgjdbc waits 5 s for it.
const ANSWER: Duration = Duration::from_secs(3);

/// For how long a server that gave none is chosen only if there is no other.
const AVOID_FOR: Duration = Duration::from_secs(10);

impl Worker {
    /// Bring a session as far as it goes; `Continue` when it is one.
    pub(super) fn open(&mut self, key: Key, session: &mut Session) -> Step {
        while let Some(handshake) = &session.handshake {
            match handshake.stage {
                Stage::Reading => self.read_first_message(key, session)?,
                Stage::Choosing => self.choose_server(key, session)?,
                Stage::Waiting => {
                    // Who has sent all it will, and expects an answer, may still wait for it; a
                    // PostgreSQL client that has ended its stream is gone.
                    let left = handshake.greeting.is_some() && session.client.finished;
                    let gone = left || session.client.dead;
                    return if gone { close(CloseReason::ClientLeft) } else { PENDING };
                }
                Stage::Connecting => self.connecting(key, session)?,
                Stage::Greeting => self.exchange_startup(key, session)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn read_first_message(&mut self, key: Key, session: &mut Session) -> Step {
        let Session { client, handshake: Some(handshake), .. } = session else { return PENDING };
        let Some(greeting) = &mut handshake.greeting else { return PENDING };
        loop {
            if !client.readable {
                return PENDING;
            }
            let wanted = greeting.wanted().min(self.buffers.scratch.len());
            let (buffer, _) = self.buffers.scratch.split_at_mut(wanted);
            match tcp::recv(&client.fd, buffer) {
                Ok(0) => return close(CloseReason::ClientTimeout),
                Ok(count) => match greeting.client_sent(buffer.get(..count).unwrap_or_default()) {
                    ClientProgress::Unfinished => {}
                    ClientProgress::Cancel => {
                        return close(CloseReason::Cancel(greeting.kept().to_vec()));
                    }
                    ClientProgress::Message(_) => break,
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => client.readable = false,
                Err(_) => return close(CloseReason::ClientTimeout),
            }
        }
        handshake.stage = Stage::Choosing;
        handshake.since = self.now;
        self.set_due(key, session, None);
        ControlFlow::Continue(())
    }

    /// Choose a server and begin to connect, or begin to wait.
    fn choose_server(&mut self, key: Key, session: &mut Session) -> Step {
        let shared = Arc::clone(session.permit.shared());
        loop {
            let Some(handshake) = &mut session.handshake else { return PENDING };
            let Some(local) = self.locals.get_mut(&shared.id) else {
                return close(CloseReason::EndpointGone);
            };
            if handshake.round != local.queue.round {
                handshake.round = local.queue.round;
                handshake.tried.clear();
            }
            if !handshake.queued && !local.queue.waiting.is_empty() {
                return self.wait(key, session, &shared, NoServer::OthersWait);
            }
            let Some(published) = local.published.clone() else {
                return self.wait(key, session, &shared, NoServer::Unavailable);
            };
            let sessions = |id| published.sessions(id);
            let now = millis(self.now.duration_since(self.start));
            let mut avoided = handshake.tried.clone();
            let unresponsive = published.stats.iter().filter(|stats| stats.is_avoided(now));
            avoided.extend(unresponsive.map(|stats| stats.id));
            let mut choice = local.balancer.choose(&published.view, sessions, &avoided);
            if matches!(choice, Choice::Nobody) && avoided.len() > handshake.tried.len() {
                choice = local.balancer.choose(&published.view, sessions, &handshake.tried);
            }
            let server = match choice {
                Choice::Server(server) => server,
                Choice::Full => return self.wait(key, session, &shared, NoServer::Full),
                Choice::Nobody => {
                    let no_server = if handshake.tried.is_empty() {
                        NoServer::Unavailable
                    } else {
                        NoServer::Tried
                    };
                    return self.wait(key, session, &shared, no_server);
                }
            };
            let server_permit =
                published.stats_of(server.id).and_then(|stats| stats.acquire(server.maxconn));
            // Another worker was faster.
            let Some(server_permit) = server_permit else {
                return self.wait(key, session, &shared, NoServer::Full);
            };
            if server_permit.stats().is_unresponsive() {
                // This client finds out whether it answers again; the others need not wait for that.
                server_permit.stats().avoid_until(now + millis(ANSWER * 2));
            }
            server_permit.stats().attempts.fetch_add(1, Ordering::Relaxed);
            match tcp::connect(server.address, shared.settings().server) {
                Ok(socket) if self.fd_limit.is_exceeded_by(&socket) => {
                    handshake.failure = Some(format!("this host: {}", Errno::EMFILE.desc()));
                    return self.wait(key, session, &shared, NoServer::NoResources);
                }
                Ok(socket) => {
                    session.server_permit = Some(server_permit);
                    self.connect(key, session, &shared, socket)?;
                    let chooses = |o: &Handshake| o.stage == Stage::Choosing;
                    if !session.handshake.as_deref().is_some_and(chooses) {
                        return ControlFlow::Continue(());
                    }
                }
                Err(error) if is_ours(&error) => {
                    handshake.failure = Some(format!("this host: {}", cause(&error)));
                    return self.wait(key, session, &shared, NoServer::NoResources);
                }
                Err(error) => {
                    session.server_permit = Some(server_permit);
                    self.failed(key, session, Hint::from(&error), &cause(&error));
                }
            }
        }
    }

    /// Send the client's first bytes and watch the socket. A connection to a server nearby may be
    /// there already: then sending succeeds, and no event has to be waited for.
    fn connect(
        &mut self,
        key: Key,
        session: &mut Session,
        shared: &ListenerShared,
        socket: OwnedFd,
    ) -> Step {
        let mut server = Conn::new(socket);
        server.readable = false;
        let Session { client, handshake: Some(handshake), .. } = &mut *session else {
            return PENDING;
        };
        match &mut handshake.greeting {
            Some(greeting) => handshake.unsent = greeting.bytes_for_new_server(),
            None if client.readable && handshake.unsent.is_empty() => {
                match tcp::recv(&client.fd, &mut self.buffers.scratch) {
                    Ok(0) => client.finished = true,
                    Ok(count) => {
                        handshake.unsent =
                            self.buffers.scratch.get(..count).unwrap_or_default().into();
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        client.readable = false;
                    }
                    Err(_) => return close(CloseReason::ClientLeft),
                }
            }
            None => {}
        }
        handshake.stage = Stage::Connecting;
        let mut connected = false;
        if !handshake.unsent.is_empty() {
            match tcp::send(&server.fd, &handshake.unsent, false) {
                Ok(sent) => {
                    handshake.unsent.drain(..sent);
                    session.up.count(sent);
                    connected = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    session.server = Some(server);
                    self.failed(key, session, Hint::from(&error), &cause(&error));
                    return ControlFlow::Continue(());
                }
            }
        }
        server.writable = connected;
        server.watched = !connected;
        let interest = if connected { INTEREST } else { INTEREST | Ready::OUT };
        let added = self.poller.add(&server.fd, Token::Server(key).pack(), interest);
        session.server = Some(server);
        if let Err(error) = added {
            session.drop_server();
            if let Some(handshake) = &mut session.handshake {
                handshake.failure = Some(format!("this host: {}", cause(&error)));
            }
            return self.wait(key, session, shared, NoServer::NoResources);
        }
        self.dequeue(key, session);
        if connected {
            self.connected(key, session);
        } else {
            let due = self.now + shared.settings().options.connect_timeout;
            self.set_due(key, session, Some(due));
        }
        ControlFlow::Continue(())
    }

    fn connecting(&mut self, key: Key, session: &mut Session) -> Step {
        if session.client.dead {
            return close(CloseReason::ClientLeft);
        }
        let Some(server) = &mut session.server else { return PENDING };
        if !server.writable {
            return PENDING;
        }
        if tcp::peer(&server.fd).is_some() {
            self.connected(key, session);
        } else if let Some(error) = tcp::error(&server.fd) {
            self.failed(key, session, Hint::from(&error), &cause(&error));
        } else {
            // An event of the socket before this one.
            server.writable = false;
            return PENDING;
        }
        ControlFlow::Continue(())
    }

    fn connected(&mut self, key: Key, session: &mut Session) {
        self.set_due(key, session, None);
        if let Some(server_permit) = &session.server_permit {
            server_permit.stats().connected.fetch_add(1, Ordering::Relaxed);
        }
        session.active = self.seconds();
        let Some(handshake) = &mut session.handshake else { return };
        if let Some(greeting) = &handshake.greeting {
            handshake.stage = Stage::Greeting;
            if greeting.awaits_client() {
                self.await_client(key, session);
            } else {
                self.await_server(key, session);
            }
        } else {
            self.taken(session, Vec::new());
        }
        if let Some(server) = &mut session.server {
            // An event before this one may have announced the answer.
            server.readable = true;
        }
    }

    /// The client's next message may take as long as its first.
    fn await_client(&mut self, key: Key, session: &mut Session) {
        let due = self.now + session.permit.shared().settings().options.startup_timeout;
        self.set_due(key, session, Some(due));
    }

    /// The server's answer is due within [`ANSWER`]: a frozen server accepts connections and says
    /// nothing.
    fn await_server(&mut self, key: Key, session: &mut Session) {
        let due = self.now + ANSWER;
        self.set_due(key, session, Some(due));
    }

    /// A server has not answered in time. The client is given to another; if there is none, it goes on
    /// waiting for this one.
    fn unanswered(&mut self, key: Key, session: &mut Session) {
        let shared = Arc::clone(session.permit.shared());
        let Some(server_permit) = &session.server_permit else { return };
        let silent = server_permit.server();
        server_permit.stats().not_answered(self.millis() + millis(AVOID_FOR));
        let Some(local) = self.locals.get(&shared.id) else { return };
        let Some(handshake) = &session.handshake else { return };
        let another = local.published.as_ref().is_some_and(|published| {
            let free = |server: &&Candidate| {
                let sessions = published.sessions(server.id);
                server.maxconn.is_none_or(|most| sessions < most.get())
            };
            let others = candidates(&published.view, &[&handshake.tried[..], &[silent]].concat());
            others.iter().any(free)
        });
        if another {
            let words = format!("no answer in {} s", ANSWER.as_secs());
            self.failed(key, session, Hint::Silent, &words);
        } else {
            self.note_hint(session, Hint::Silent);
            self.await_server(key, session);
        }
    }

    /// Pass the first messages both ways until the server has taken the client.
    fn exchange_startup(&mut self, key: Key, session: &mut Session) -> Step {
        loop {
            let Session { client, server, handshake, up, down, .. } = &mut *session;
            let (Some(server), Some(handshake)) = (server, handshake) else {
                return ControlFlow::Continue(());
            };
            let Some(greeting) = &mut handshake.greeting else { return PENDING };
            while server.writable && !handshake.unsent.is_empty() {
                match tcp::send(&server.fd, &handshake.unsent, false) {
                    Ok(sent) => {
                        handshake.unsent.drain(..sent);
                        up.count(sent);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        server.writable = false;
                    }
                    // What it said before is still to be read; if nothing, that fails too.
                    Err(_) => {
                        handshake.unsent.clear();
                        server.readable = true;
                    }
                }
            }
            if server.readable {
                match tcp::recv(&server.fd, &mut self.buffers.scratch) {
                    Ok(0) => return self.server_failed(key, session, "it closed the connection"),
                    Ok(count) => {
                        let received = self.buffers.scratch.get(..count).unwrap_or_default();
                        match greeting.server_sent(received) {
                            ServerReply::Unfinished => {}
                            ServerReply::Answer(answer) => {
                                if tcp::send(&client.fd, &[answer], false).is_err() {
                                    return close(CloseReason::ClientLeft);
                                }
                                down.count(1);
                                self.await_client(key, session);
                            }
                            ServerReply::Agreed => {
                                handshake.unsent.extend_from_slice(greeting.kept());
                            }
                            ServerReply::NotNow(words) => {
                                self.failed(key, session, Hint::NotNow, &words);
                                return ControlFlow::Continue(());
                            }
                            ServerReply::Disagreed => return close(CloseReason::EncryptionRefused),
                            ServerReply::Taken => {
                                let received = greeting.received();
                                self.set_due(key, session, None);
                                self.taken(session, received);
                                return ControlFlow::Continue(());
                            }
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        server.readable = false;
                    }
                    Err(error) => return self.server_failed(key, session, &cause(&error)),
                }
                continue;
            }
            let wanted = greeting.wanted().min(self.buffers.scratch.len());
            if wanted == 0 || !client.readable {
                let gone = client.dead || (wanted == 0 && client.finished);
                let watch = server.interest();
                if let Some(interest) = watch {
                    let token = Token::Server(key).pack();
                    if self.poller.modify(&server.fd, token, interest).is_err() {
                        return close(CloseReason::ServerBroke);
                    }
                }
                return if gone { close(CloseReason::ClientLeft) } else { PENDING };
            }
            let (buffer, _) = self.buffers.scratch.split_at_mut(wanted);
            match tcp::recv(&client.fd, buffer) {
                Ok(0) => return close(CloseReason::ClientLeft),
                Ok(count) => match greeting.client_sent(buffer.get(..count).unwrap_or_default()) {
                    ClientProgress::Unfinished => {}
                    ClientProgress::Cancel => {
                        return close(CloseReason::Cancel(greeting.kept().to_vec()));
                    }
                    ClientProgress::Message(bytes) => {
                        handshake.unsent.extend(bytes);
                        self.await_server(key, session);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => client.readable = false,
                Err(_) => return close(CloseReason::ClientLeft),
            }
        }
    }

    /// The server has taken the client: from now on everything is relayed.
    fn taken(&mut self, session: &mut Session, received: Vec<u8>) {
        if let Some(server_permit) = &session.server_permit {
            server_permit.stats().answered();
        }
        let stats = session.permit.shared().worker_stats(self.number);
        stats.sessions.one();
        stats.bytes_in.add(session.up.bytes);
        stats.bytes_out.add(session.down.bytes);
        if let Some(handshake) = session.handshake.take() {
            session.up.begin_with(handshake.unsent);
        }
        session.down.begin_with(received);
        session.active = self.seconds();
    }

    /// A connected server is lost before it has taken the client.
    fn server_failed(&mut self, key: Key, session: &mut Session, words: &str) -> Step {
        self.failed(key, session, Hint::GaveUp, words);
        ControlFlow::Continue(())
    }

    /// Leave a server and look for another.
    fn failed(&mut self, key: Key, session: &mut Session, hint: Hint, words: &str) {
        self.note_hint(session, hint);
        self.set_due(key, session, None);
        let shared = Arc::clone(session.permit.shared());
        let stats = shared.worker_stats(self.number);
        match hint {
            Hint::Refused | Hint::Unreachable => stats.connect_failures.one(),
            Hint::GaveUp | Hint::NotNow | Hint::Silent | Hint::Ended => stats.replayed.one(),
        }
        let server_permit = session.drop_server();
        let Some(handshake) = &mut session.handshake else { return };
        handshake.stage = Stage::Choosing;
        if let Some(server_permit) = &server_permit {
            server_permit.stats().failed(hint, self.millis());
            handshake.tried.push(server_permit.server());
            handshake.failure = Some(self.name_failure(&shared, server_permit, words));
        }
        drop(server_permit);
        self.capacity_freed(&shared);
    }

    fn name_failure(
        &self,
        shared: &ListenerShared,
        server_permit: &ServerPermit,
        words: &str,
    ) -> String {
        let published = self.locals.get(&shared.id).and_then(|local| local.published.as_ref());
        match published.and_then(|p| p.view.server(server_permit.server())) {
            Some(server) => format!("{} ({}): {words}", server.name, server.address),
            None => words.to_owned(),
        }
    }

    /// A timer of a session, or of a cancel request, has ended.
    pub(super) fn on_timer(&mut self, key: Key) {
        match self.entries.take(key) {
            Some(Entry::Session(mut session)) => {
                let Some(handshake) = &mut session.handshake else {
                    return self.entries.restore(key, Entry::Session(session));
                };
                handshake.due = None;
                match handshake.stage {
                    Stage::Greeting
                        if handshake.greeting.as_ref().is_some_and(|g| !g.awaits_client()) =>
                    {
                        self.unanswered(key, &mut session);
                        self.entries.restore(key, Entry::Session(session));
                        self.drive(key);
                    }
                    Stage::Reading if self.is_unknown(session.permit.shared()) => {
                        handshake.unsent =
                            handshake.greeting.take().map_or_else(Vec::new, Greeting::into_kept);
                        handshake.stage = Stage::Choosing;
                        handshake.since = self.now;
                        self.entries.restore(key, Entry::Session(session));
                        self.drive(key);
                    }
                    Stage::Reading | Stage::Greeting => {
                        self.close(key, session, CloseReason::ClientTimeout);
                    }
                    Stage::Waiting => self.close(key, session, CloseReason::Unserved),
                    Stage::Connecting => {
                        self.failed(key, &mut session, Hint::Unreachable, "no answer in time");
                        self.entries.restore(key, Entry::Session(session));
                        self.drive(key);
                    }
                    Stage::Choosing => self.entries.restore(key, Entry::Session(session)),
                }
            }
            Some(Entry::Cancel(cancel)) => self.cancelled(key, &cancel),
            Some(canceller @ Entry::Canceller(_)) => self.entries.restore(key, canceller),
            None => {}
        }
    }
}

/// Whether a failure to connect says something about this host, not about the server.
fn is_ours(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(
            Errno::EMFILE
                | Errno::ENFILE
                | Errno::ENOBUFS
                | Errno::ENOMEM
                | Errno::EADDRNOTAVAIL
                | Errno::EAGAIN
        )
    )
}
