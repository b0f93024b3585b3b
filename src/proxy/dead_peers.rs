//! Peers that do not acknowledge what was sent to them, where a limit (`tcp_user_timeout`) is set.
//! The kernel's keepalive asks only when nothing is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::relay::Conn;
use super::session::{Session, Stage};
use super::slab::Key;
use super::timers::SWEEP;
use crate::sys::tcp_info::unanswered;

/// One end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Client,
    Server,
}

/// The peers that have not answered, and for how many sweeps in a row. Sweeps are counted rather than
/// time, so that a host that stood still does not close its sessions when it goes on.
#[derive(Debug, Default)]
pub(super) struct SilentPeers(BTreeMap<(Key, Side), u32>);

impl SilentPeers {
    /// The ends that have been silent for too long.
    pub(super) fn expired<'s>(
        &mut self,
        sessions: impl Iterator<Item = (Key, &'s Session)>,
    ) -> Vec<(Key, Side)> {
        let before = std::mem::take(&mut self.0);
        let mut gone = Vec::new();
        for (key, session) in sessions {
            for (side, conn, limit) in watched(session) {
                let Some(silent_for) = unanswered(&conn.fd) else { continue };
                let asked = before.get(&(key, side)).map_or(0, |sweeps| sweeps.saturating_add(1));
                let asked = asked.min(u32::try_from(silent_for.as_secs()).unwrap_or(u32::MAX));
                if SWEEP * asked >= limit {
                    gone.push((key, side));
                } else {
                    self.0.insert((key, side), asked);
                }
            }
        }
        gone
    }
}

/// The ends of a session that have a limit.
fn watched(session: &Session) -> impl Iterator<Item = (Side, &Conn, Duration)> {
    let settings = session.permit.shared().settings();
    let connected =
        session.handshake.as_ref().is_none_or(|handshake| handshake.stage == Stage::Greeting);
    let server = session.server.as_ref().filter(|_| connected);
    let client =
        settings.client.tcp_user_timeout.map(|limit| (Side::Client, &session.client, limit));
    let server = settings.server.tcp_user_timeout.zip(server);
    client.into_iter().chain(server.map(|(limit, conn)| (Side::Server, conn, limit)))
}
