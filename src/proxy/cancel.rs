//! Cancel requests. The key in one names a session of one server, and not which: it goes to every
//! server of the listener that has sessions. The others do not know the key and ignore it.

use std::sync::Arc;
use std::time::Duration;

use super::relay::{Conn, INTEREST};
use super::session::{Cancel, Canceller, Entry};
use super::shared::ListenerShared;
use super::slab::Key;
use super::timers::Timer;
use super::token::Token;
use super::worker::Worker;
use crate::sys::epoll::Ready;
use crate::sys::tcp;

/// Requests a worker has under way at most. Each takes a connection to every server, and none of the
/// places of the listener: a flood of them is not to take those of sessions.
const MOST: usize = 64;

/// How long a server may take to see a request.
const LIMIT: Duration = Duration::from_secs(5);

impl Worker {
    /// Pass a request on. The client waits for the end of its connection as a sign that it has been
    /// seen.
    pub(super) fn cancel(&mut self, shared: &Arc<ListenerShared>, client: Conn, request: Vec<u8>) {
        if self.cancels >= MOST {
            // To the client it is as if the request were lost, which it has to expect.
            return shared.worker_stats(self.number).cancels_refused.one();
        }
        let published = self.locals.get(&shared.id).and_then(|local| local.published.clone());
        let Some(published) = published else { return };
        let request: Arc<[u8]> = request.into();
        let waits = self.entries.reserve();
        let due = self.now + LIMIT;
        let liveness = shared.settings().server;
        let mut servers = 0;
        for server in &published.view.servers {
            if published.sessions(server.id) == 0 {
                continue;
            }
            let Ok(socket) = tcp::connect(server.address, liveness) else { continue };
            if self.fd_limit.leaves_no_reserve(&socket) {
                continue;
            }
            let key = self.entries.reserve();
            let token = Token::Server(key).pack();
            if self.poller.add(&socket, token, INTEREST | Ready::OUT).is_err() {
                self.entries.free(key);
                continue;
            }
            let mut server = Conn::new(socket);
            server.writable = false;
            server.readable = false;
            let request = Arc::clone(&request);
            let cancel = Cancel { client: waits, server, request, sent: false, due };
            self.entries.restore(key, Entry::Cancel(cancel));
            self.timers.set(due, Timer::Entry(key));
            servers += 1;
        }
        if servers == 0 {
            return self.entries.free(waits);
        }
        self.cancels += 1;
        let canceller = Canceller { client, servers };
        self.entries.restore(waits, Entry::Canceller(canceller));
    }

    /// Send a request, if the server's socket takes it, and end it if it has been seen.
    pub(super) fn cancel_on(&mut self, key: Key, mut cancel: Cancel) {
        if cancel.server.writable && !cancel.sent {
            match tcp::send(&cancel.server.fd, &cancel.request, false) {
                Ok(_) => cancel.sent = true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    cancel.server.writable = false;
                }
                Err(_) => return self.cancelled(key, &cancel),
            }
        }
        // It says nothing; all there is to wait for is that it closes the connection.
        if cancel.server.finished || cancel.server.dead {
            return self.cancelled(key, &cancel);
        }
        self.entries.restore(key, Entry::Cancel(cancel));
    }

    /// One server is done with a request, or has had its time.
    pub(super) fn cancelled(&mut self, key: Key, cancel: &Cancel) {
        self.timers.cancel(cancel.due, Timer::Entry(key));
        self.entries.free(key);
        let Some(Entry::Canceller(canceller)) = self.entries.get_mut(cancel.client) else { return };
        canceller.servers -= 1;
        if canceller.servers == 0 {
            self.cancels = self.cancels.saturating_sub(1);
            self.entries.free(cancel.client);
        }
    }
}
