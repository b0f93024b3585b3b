//! The end of sessions: in their own time, when they have been idle for too long, or all at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::session::{End, Entry, Lack, Session, Stage};
use super::shared::ListenerShared;
use super::slab::Key;
use super::worker::{SWEEP, Timer, Worker};
use crate::pool::{Cause, ListenerId};
use crate::sys::tcp;

impl Worker {
    /// Close a session's sockets and forget it.
    pub(super) fn end(&mut self, key: Key, mut session: Session, end: End) {
        self.set_due(key, &mut session, None);
        self.dequeue(key, &mut session);
        session.up.release(&mut self.means.pipes);
        session.down.release(&mut self.means.pipes);
        self.entries.free(key);
        let shared = Arc::clone(session.permit.shared());
        let stats = shared.worker_stats(self.number);
        let counter = match &end {
            End::Over => None,
            End::Idle => Some(&stats.idle),
            End::Silent => Some(&stats.silent),
            End::Abandoned => Some(&stats.abandoned),
            End::ClientBroke => Some(&stats.reset_by_client),
            End::ServerBroke => Some(&stats.reset_by_server),
            End::Disagreed | End::Unserved => Some(&stats.unserved),
            End::Overflow => Some(&stats.overflowed),
            End::Cancel(_) => Some(&stats.cancels),
            End::Fate(Cause::Down) => Some(&stats.ended_down),
            End::Fate(Cause::RoleLost) => Some(&stats.ended_role),
            End::Fate(Cause::Removed) => Some(&stats.ended_removed),
            End::Fate(Cause::Returned) => Some(&stats.ended_backup),
            End::Here => Some(&stats.ended_here),
        };
        if let Some(counter) = counter {
            counter.one();
        }
        let lack = session.opening.as_ref().map(|opening| opening.lack);
        if matches!(end, End::Unserved) && lack == Some(Lack::Full) {
            stats.unserved_full.one();
        }
        let Session { permit, client, server, server_permit, opening, .. } = session;
        match end {
            End::Over | End::Idle | End::Silent | End::Abandoned => {}
            End::Cancel(request) => {
                drop(permit);
                self.cancel(&shared, client, request);
                return self.made_room(&shared);
            }
            End::Unserved | End::Overflow | End::Disagreed => {
                self.turn_away(&shared, client, opening, &end);
            }
            End::ClientBroke | End::ServerBroke | End::Fate(_) | End::Here => {
                tcp::reset(client.fd);
                self.resets.extend(server.map(|server| server.fd));
            }
        }
        drop((server_permit, permit));
        self.made_room(&shared);
    }

    pub(super) fn reset_servers(&mut self) {
        self.resets.drain(..).for_each(tcp::reset);
    }

    /// A place became free: somebody may wait for it, here or at another worker.
    pub(super) fn made_room(&mut self, shared: &ListenerShared) {
        if self.scarce {
            self.reopen_pausing();
        }
        let mut others = shared.full.swap(false, Ordering::AcqRel);
        if others {
            self.reopen_full(shared.id);
        }
        let waiting = shared.waiting.load(Ordering::Acquire);
        if waiting > 0 {
            let here = self.locals.get(&shared.id).map_or(0, |local| local.queue.waiting.len());
            if here > 0 {
                self.hopeful.insert(shared.id);
            }
            others |= u32::try_from(here).is_ok_and(|here| here < waiting);
        }
        if others {
            let me = self.number;
            let wakers = self.wakers.iter().enumerate().filter(|(number, _)| *number != me);
            wakers.for_each(|(_, waker)| waker.wake());
        }
    }

    pub(super) fn leave(&mut self, addresses: &BTreeSet<IpAddr>) {
        self.end_all(|session| {
            let here = tcp::local(&session.client.fd).map(|address| address.ip().to_canonical());
            here.is_some_and(|here| addresses.contains(&here)).then_some(End::Here)
        });
    }

    /// End all sessions the test says so of: the clients first, then the servers.
    pub(super) fn end_all(&mut self, ends: impl Fn(&Session) -> Option<End>) {
        let ended: Vec<(Key, End)> =
            self.sessions().filter_map(|(key, session)| Some((key, ends(session)?))).collect();
        for (key, end) in ended {
            if let Some(Entry::Session(session)) = self.entries.lift(key) {
                self.end(key, session, end);
            }
        }
        self.reset_servers();
    }

    pub(super) fn others_made_room(&mut self) {
        let ids: Vec<ListenerId> = self.locals.keys().copied().collect();
        for id in ids {
            self.reopen_full(id);
            if self.locals.get(&id).is_some_and(|local| !local.queue.waiting.is_empty()) {
                self.hopeful.insert(id);
            }
        }
    }

    pub(super) fn sweep_soon(&mut self) {
        if !self.sweeping {
            self.sweeping = true;
            self.timers.insert((self.now + SWEEP, Timer::Sweep));
        }
    }

    /// Close what has been idle for too long, or silent.
    pub(super) fn sweep(&mut self) {
        self.sweeping = false;
        self.end_silent();
        let seconds = self.seconds();
        let mut more = false;
        let mut idle = Vec::new();
        for (key, session) in self.sessions() {
            let settings = session.permit.shared().settings();
            let half = (session.up.done != session.down.done).then_some(settings.half_closed);
            let limits = [settings.idle, half.flatten()];
            let Some(limit) = limits.into_iter().flatten().min() else { continue };
            more = true;
            let silence = u64::from(seconds.saturating_sub(session.active));
            let has_server =
                session.opening.as_ref().is_none_or(|opening| opening.stage == Stage::Talking);
            if has_server && Duration::from_secs(silence) >= limit {
                idle.push(key);
            }
        }
        for key in idle {
            if let Some(Entry::Session(session)) = self.entries.lift(key) {
                self.end(key, session, End::Idle);
            }
        }
        if more || self.locals.values().any(|local| local.shared.settings().has_limits()) {
            self.sweep_soon();
        }
    }
}
