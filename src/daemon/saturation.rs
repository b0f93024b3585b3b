//! Limits that clients of a listener run into. They are looked at once a second; the log has the
//! first time, then a line a minute with what has come of it, and the end.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::config::ListenerConfig;
use crate::proxy::ListenerState;
use crate::status::words::limit_words;
use crate::status::{Limit, LimitStatus};
use crate::sys::descriptors;

/// How long a limit is spoken of after it was last reached.
const RECENT: Duration = Duration::from_secs(60);

/// How often the log has a limit that goes on being reached.
const AGAIN: Duration = Duration::from_secs(60);

/// Those of one listener.
#[derive(Debug, Default)]
pub(super) struct Saturation {
    episodes: BTreeMap<Limit, Episode>,
    /// Clients each has turned away since the listener was opened.
    refused: BTreeMap<Limit, u64>,
}

#[derive(Debug)]
struct Episode {
    began: Instant,
    last: Instant,
    told: Instant,
    /// Turned away before it began.
    before: u64,
    status: LimitStatus,
}

impl Saturation {
    /// Take note of where a listener's limits stand.
    pub(super) fn look(&mut self, name: &str, now: Instant, limits: Vec<LimitStatus>) {
        for found in limits {
            let before = self.refused.insert(found.limit, found.refused).unwrap_or_default();
            let active = found.reached || found.refused > before;
            let limit = found.limit;
            if let Some(episode) = self.episodes.get_mut(&limit) {
                episode.go_on(name, now, found, active);
            } else if active {
                self.episodes.insert(limit, Episode::begin(name, now, found, before));
            }
        }
        self.episodes.retain(|_, episode| !episode.is_over(name, now));
    }

    pub(super) fn status(&self) -> Vec<LimitStatus> {
        self.episodes.values().map(|episode| episode.status.clone()).collect()
    }
}

impl Episode {
    fn begin(name: &str, now: Instant, mut status: LimitStatus, before: u64) -> Episode {
        status.refused = status.refused.saturating_sub(before);
        tracing::warn!("{name}: {}", limit_words(&status));
        Episode { began: now, last: now, told: now, before, status }
    }

    fn go_on(&mut self, name: &str, now: Instant, mut status: LimitStatus, active: bool) {
        status.refused = status.refused.saturating_sub(self.before);
        self.status = status;
        if active {
            self.last = now;
            if now.duration_since(self.told) >= AGAIN {
                self.told = now;
                tracing::warn!("{name}: {}", limit_words(&self.status));
            }
        }
    }

    fn is_over(&self, name: &str, now: Instant) -> bool {
        let over = now.duration_since(self.last) >= RECENT;
        if over {
            let lasted = self.last.duration_since(self.began).as_secs();
            tracing::info!("{name}: {}; it lasted {lasted} s", limit_words(&self.status));
        }
        over
    }
}

/// Where the limits of a listener stand; `full` says that every server it may use has all the
/// sessions it may have.
pub(super) fn limits(
    config: &ListenerConfig,
    state: &ListenerState,
    full: bool,
) -> Vec<LimitStatus> {
    let ListenerState { connections, waiting, backlog, counters, .. } = *state;
    let limit = |limit, most: Option<u64>, reached, waiting, refused, raise: &str| LimitStatus {
        limit,
        most,
        reached,
        waiting,
        refused,
        raise: raise.to_owned(),
    };
    let maxconn = config.maxconn.map(NonZeroU32::get);
    let full_up = maxconn.is_some_and(|most| connections >= most);
    let queue = config.hold.most;
    let short = backlog.most < config.backlog;
    let raise_backlog = if short { "net.core.somaxconn" } else { "backlog" };
    vec![
        limit(Limit::Maxconn, maxconn.map(u64::from), full_up, backlog.waiting, 0, "maxconn"),
        limit(
            Limit::ServerMaxconn,
            None,
            full && waiting > 0,
            waiting,
            counters.unserved_full,
            "maxconn of the servers",
        ),
        limit(
            Limit::Queue,
            Some(queue.into()),
            waiting >= queue && waiting > 0,
            waiting,
            counters.overflowed,
            "hold_most",
        ),
        limit(
            Limit::Descriptors,
            Some(descriptors::limit()),
            state.starved,
            backlog.waiting,
            0,
            "LimitNOFILE of the service",
        ),
        limit(
            Limit::Backlog,
            Some(backlog.most.into()),
            false,
            0,
            backlog.dropped.into(),
            raise_backlog,
        ),
    ]
}
