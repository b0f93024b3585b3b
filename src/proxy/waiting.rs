//! Clients that wait for a server with room.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::session::{CloseReason, Entry, NoServer, PENDING, Session, Stage, Step, close};
use super::shared::ListenerShared;
use super::slab::Key;
use super::timers::Timer;
use super::worker::Worker;
use crate::pool::ListenerId;

impl Worker {
    /// Wait in the queue until there is a server, or time is up.
    pub(super) fn wait(
        &mut self,
        key: Key,
        session: &mut Session,
        shared: &ListenerShared,
        no_server: NoServer,
    ) -> Step {
        let Some(handshake) = &mut session.handshake else { return PENDING };
        let options = shared.settings().options;
        let limit = if no_server == NoServer::Full {
            options.queue_timeout_full
        } else {
            options.queue_timeout
        };
        let deadline = handshake.since + limit;
        handshake.stage = Stage::Waiting;
        handshake.no_server = no_server;
        if self.now >= deadline {
            return close(CloseReason::Unserved);
        }
        if !handshake.queued {
            let Some(local) = self.locals.get_mut(&shared.id) else {
                return close(CloseReason::EndpointGone);
            };
            if shared.waiting.fetch_add(1, Ordering::AcqRel) >= options.queue_max {
                shared.waiting.fetch_sub(1, Ordering::AcqRel);
                return close(CloseReason::QueueFull);
            }
            handshake.queued = true;
            local.queue.waiting.insert((handshake.since, key));
            if !std::mem::replace(&mut handshake.held, true) {
                shared.worker_stats(self.number).held.one();
            }
        }
        if no_server != NoServer::Unavailable {
            self.retry_soon(shared.id);
        }
        self.set_due(key, session, Some(deadline));
        ControlFlow::Continue(())
    }

    /// Leave the queue, if the session is in it.
    pub(super) fn dequeue(&mut self, key: Key, session: &mut Session) {
        let Some(handshake) = &mut session.handshake else { return };
        if std::mem::take(&mut handshake.queued) {
            let shared = session.permit.shared();
            shared.waiting.fetch_sub(1, Ordering::AcqRel);
            if let Some(local) = self.locals.get_mut(&shared.id) {
                local.queue.waiting.remove(&(handshake.since, key));
            }
        }
    }

    /// Let waiting clients choose a server again, the longest waiting first, until there is none for
    /// one of them or the token bucket is empty.
    pub(super) fn release_waiting(&mut self, listener: ListenerId) {
        let Some(local) = self.locals.get(&listener) else { return };
        let queue: Vec<Key> = local.queue.waiting.iter().map(|(_, key)| *key).collect();
        for key in queue {
            let Some(local) = self.locals.get_mut(&listener) else { return };
            if !local.queue.bucket.ready(self.now) {
                let next = local.queue.bucket.next();
                self.timers.set(next, Timer::NextToken(listener));
                return;
            }
            if let Some(Entry::Session(Session { handshake: Some(handshake), .. })) =
                self.entries.get_mut(key)
                && handshake.stage == Stage::Waiting
            {
                handshake.stage = Stage::Choosing;
            }
            self.drive(key);
            match self.entries.get_mut(key) {
                Some(Entry::Session(Session { handshake: Some(handshake), .. }))
                    if handshake.stage == Stage::Waiting =>
                {
                    match handshake.no_server {
                        NoServer::Tried => {}
                        NoServer::Unavailable
                        | NoServer::Full
                        | NoServer::OthersWait
                        | NoServer::NoResources => return,
                    }
                }
                _ => {
                    if let Some(local) = self.locals.get_mut(&listener) {
                        local.queue.bucket.spend();
                    }
                }
            }
        }
    }
}
