//! Closing sessions: those that are over, those that have been idle for too long, or all at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dead_peers::Side;
use super::session::{CloseReason, Entry, NoServer, Session, Stage};
use super::settings::has_limits;
use super::shared::ListenerShared;
use super::slab::Key;
use super::timers::{SWEEP, Timer};
use super::worker::Worker;
use crate::pool::{Cause, Hint, ListenerId};
use crate::sys::tcp;

impl Worker {
    /// Close a session's sockets and forget it.
    pub(super) fn close(&mut self, key: Key, mut session: Session, reason: CloseReason) {
        self.set_due(key, &mut session, None);
        self.dequeue(key, &mut session);
        session.up.release(&mut self.buffers.pipes);
        session.down.release(&mut self.buffers.pipes);
        self.entries.free(key);
        let shared = Arc::clone(session.permit.shared());
        let stats = shared.worker_stats(self.number);
        let counter = match &reason {
            CloseReason::Finished => None,
            CloseReason::Idle => Some(&stats.idle),
            CloseReason::ClientTimeout => Some(&stats.silent),
            CloseReason::ClientLeft => Some(&stats.abandoned),
            CloseReason::ClientBroke => Some(&stats.reset_by_client),
            CloseReason::ServerBroke => Some(&stats.reset_by_server),
            CloseReason::EncryptionRefused | CloseReason::Unserved => Some(&stats.unserved),
            CloseReason::QueueFull => Some(&stats.overflowed),
            CloseReason::Cancel(_) => Some(&stats.cancels),
            CloseReason::Policy(Cause::Down) => Some(&stats.ended_down),
            CloseReason::Policy(Cause::RoleLost) => Some(&stats.ended_role),
            CloseReason::Policy(Cause::Removed) => Some(&stats.ended_removed),
            CloseReason::Policy(Cause::Returned) => Some(&stats.ended_backup),
            CloseReason::EndpointGone => Some(&stats.ended_here),
        };
        if let Some(counter) = counter {
            counter.one();
        }
        let no_server = session.handshake.as_ref().map(|handshake| handshake.no_server);
        if matches!(reason, CloseReason::Unserved) && no_server == Some(NoServer::Full) {
            stats.unserved_full.one();
        }
        if let (Some(permit), None) = (&session.server_permit, &session.handshake) {
            // While it lasts, two workers would contend for them.
            permit.stats().bytes_in.fetch_add(session.up.bytes, Ordering::Relaxed);
            permit.stats().bytes_out.fetch_add(session.down.bytes, Ordering::Relaxed);
        }
        let Session { permit, client, server, server_permit, handshake, .. } = session;
        match reason {
            CloseReason::Finished
            | CloseReason::Idle
            | CloseReason::ClientTimeout
            | CloseReason::ClientLeft => {}
            CloseReason::Cancel(request) => {
                drop(permit);
                self.cancel(&shared, client, request);
                return self.capacity_freed(&shared);
            }
            CloseReason::Unserved | CloseReason::QueueFull | CloseReason::EncryptionRefused => {
                self.turn_away(&shared, client, handshake, &reason);
            }
            CloseReason::ClientBroke
            | CloseReason::ServerBroke
            | CloseReason::Policy(_)
            | CloseReason::EndpointGone => {
                tcp::reset(client.fd);
                self.resets.extend(server.map(|server| server.fd));
            }
        }
        drop((server_permit, permit));
        self.capacity_freed(&shared);
    }

    pub(super) fn reset_servers(&mut self) {
        self.resets.drain(..).for_each(tcp::reset);
    }

    /// A connection or session has ended: somebody may wait for that, here or at another worker.
    pub(super) fn capacity_freed(&mut self, shared: &ListenerShared) {
        if self.fds_short {
            self.resume_paused();
        }
        let mut others = shared.full.swap(false, Ordering::AcqRel);
        if others {
            self.acceptor.resume_full(&self.poller, shared.id);
        }
        let waiting = shared.waiting.load(Ordering::Acquire);
        if waiting > 0 {
            let here = self.locals.get(&shared.id).map_or(0, |local| local.queue.waiting.len());
            if here > 0 {
                self.retry_listeners.insert(shared.id);
            }
            others |= u32::try_from(here).is_ok_and(|here| here < waiting);
        }
        if others {
            let me = self.number;
            let wakers = self.wakers.iter().enumerate().filter(|(number, _)| *number != me);
            wakers.for_each(|(_, waker)| waker.wake());
        }
    }

    pub(super) fn close_local_addresses(&mut self, addresses: &BTreeSet<IpAddr>) {
        self.close_matching(|session| {
            let here = tcp::local(&session.client.fd).map(|address| address.ip().to_canonical());
            here.is_some_and(|here| addresses.contains(&here)).then_some(CloseReason::EndpointGone)
        });
    }

    /// End all sessions the test says so of: the clients first, then the servers.
    pub(super) fn close_matching(&mut self, ends: impl Fn(&Session) -> Option<CloseReason>) {
        let ended: Vec<(Key, CloseReason)> =
            self.sessions().filter_map(|(key, session)| Some((key, ends(session)?))).collect();
        for (key, reason) in ended {
            if let Some(Entry::Session(session)) = self.entries.take(key) {
                self.close(key, session, reason);
            }
        }
        self.reset_servers();
    }

    pub(super) fn capacity_freed_elsewhere(&mut self) {
        let ids: Vec<ListenerId> = self.locals.keys().copied().collect();
        for id in ids {
            self.acceptor.resume_full(&self.poller, id);
            if self.locals.get(&id).is_some_and(|local| !local.queue.waiting.is_empty()) {
                self.retry_listeners.insert(id);
            }
        }
    }

    pub(super) fn sweep_soon(&mut self) {
        if !self.sweeping {
            self.sweeping = true;
            self.timers.set(self.now + SWEEP, Timer::Sweep);
        }
    }

    /// End the sessions of peers that have been silent for too long.
    fn close_dead_peers(&mut self) {
        let mut silent = std::mem::take(&mut self.silent);
        let gone = silent.expired(self.sessions());
        self.silent = silent;
        for (key, side) in gone {
            let Some(Entry::Session(session)) = self.entries.take(key) else { continue };
            let reason = match side {
                Side::Client => CloseReason::ClientBroke,
                Side::Server => {
                    self.note_hint(&session, Hint::Ended);
                    CloseReason::ServerBroke
                }
            };
            self.close(key, session, reason);
        }
    }

    /// Close the sessions that have been idle for too long or whose peers do not answer.
    pub(super) fn sweep(&mut self) {
        self.sweeping = false;
        self.close_dead_peers();
        let seconds = self.seconds();
        let mut more = false;
        let mut idle = Vec::new();
        for (key, session) in self.sessions() {
            let settings = session.permit.shared().settings();
            let half =
                (session.up.done != session.down.done).then_some(settings.options.half_closed);
            let limits = [settings.options.idle_timeout, half.flatten()];
            let Some(limit) = limits.into_iter().flatten().min() else { continue };
            more = true;
            let silence = u64::from(seconds.saturating_sub(session.active));
            let has_server = session
                .handshake
                .as_ref()
                .is_none_or(|handshake| handshake.stage == Stage::Greeting);
            if has_server && Duration::from_secs(silence) >= limit {
                idle.push(key);
            }
        }
        for key in idle {
            if let Some(Entry::Session(session)) = self.entries.take(key) {
                self.close(key, session, CloseReason::Idle);
            }
        }
        if more || self.locals.values().any(|local| has_limits(&local.shared.settings())) {
            self.sweep_soon();
        }
    }
}
