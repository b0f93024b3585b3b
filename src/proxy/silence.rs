//! Peers that are gone without a word while something is under way to them, where a limit is set.
//! The kernel's keepalive asks only when nothing is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::relay::Peer;
use super::session::{End, Entry, Session, Stage};
use super::slab::Key;
use super::worker::{SWEEP, Worker};
use crate::pool::Hint;
use crate::sys::tcp_info::unanswered;

/// One end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Client,
    Server,
}

/// Who has not answered, and for how many sweeps in a row. They are counted rather than timed, so
/// that a host that stood still does not take its own silence for that of others.
#[derive(Debug, Default)]
pub(super) struct Silent(BTreeMap<(Key, Side), u32>);

impl Worker {
    /// End the sessions of peers that have been silent for too long.
    pub(super) fn end_silent(&mut self) {
        let before = std::mem::take(&mut self.silent.0);
        let mut silent = BTreeMap::new();
        let mut gone = Vec::new();
        for (key, session) in self.sessions() {
            for (side, peer, limit) in watched(session) {
                let Some(heard) = unanswered(&peer.fd) else { continue };
                let asked = before.get(&(key, side)).map_or(0, |sweeps| sweeps.saturating_add(1));
                let asked = asked.min(u32::try_from(heard.as_secs()).unwrap_or(u32::MAX));
                if SWEEP * asked >= limit {
                    gone.push((key, side));
                } else {
                    silent.insert((key, side), asked);
                }
            }
        }
        self.silent.0 = silent;
        for (key, side) in gone {
            let Some(Entry::Session(session)) = self.entries.lift(key) else { continue };
            let end = match side {
                Side::Client => End::ClientBroke,
                Side::Server => {
                    self.notice(&session, Hint::Ended);
                    End::ServerBroke
                }
            };
            self.end(key, session, end);
        }
    }
}

/// The ends of a session that have a limit.
fn watched(session: &Session) -> impl Iterator<Item = (Side, &Peer, Duration)> {
    let settings = session.permit.shared().settings();
    let connected = session.opening.as_ref().is_none_or(|opening| opening.stage == Stage::Talking);
    let server = session.server.as_ref().filter(|_| connected);
    let client = settings.client.unacknowledged.map(|limit| (Side::Client, &session.client, limit));
    let server = settings.server.unacknowledged.zip(server);
    client.into_iter().chain(server.map(|(limit, peer)| (Side::Server, peer, limit)))
}
