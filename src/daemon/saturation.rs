//! Limits that clients of a listener run into. They are looked at once a second; the log has the
//! first time, then a line a minute with what has come of it, and the end.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::config::ListenerConfig;
use crate::proxy::ListenerState;
use crate::status::text::limit_words;
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
        for mut found in limits {
            let before = self.refused.insert(found.limit, found.refused).unwrap_or_default();
            found.reached |= found.refused > before;
            let limit = found.limit;
            if let Some(episode) = self.episodes.get_mut(&limit) {
                episode.go_on(name, now, found);
            } else if found.reached {
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

    fn go_on(&mut self, name: &str, now: Instant, mut status: LimitStatus) {
        status.refused = status.refused.saturating_sub(self.before);
        self.status = status;
        if self.status.reached {
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
    let maxconn = config.frontend.options.maxconn.map(NonZeroU32::get);
    let full_up = maxconn.is_some_and(|most| connections >= most);
    let queue = config.frontend.options.queue_max;
    let short = backlog.most < config.frontend.options.backlog;
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
            "queue_max in vipd.toml",
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn queue(reached: bool, waiting: u32, refused: u64) -> Vec<LimitStatus> {
        let raise = "queue_max in vipd.toml".to_owned();
        let most = Some(100);
        vec![LimitStatus { limit: Limit::Queue, most, reached, waiting, refused, raise }]
    }

    #[test]
    fn the_log_has_the_beginning_a_line_a_minute_with_counts_and_the_end() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .finish();
        let said = || String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let mut saturation = Saturation::default();
            let began = Instant::now();
            let mut look = |second: u64, limits| {
                saturation.look("read", began + Duration::from_secs(second), limits);
                (said(), saturation.status().len())
            };
            assert_eq!(look(0, queue(false, 9, 0)), (String::new(), 0));
            let full = "the queue (100) is full, 100 clients wait";
            let raise = "raise queue_max in vipd.toml";
            let line = format!(" WARN read: {full}, 1 client was refused: {raise}\n");
            assert_eq!(look(1, queue(true, 100, 1)), (line, 1));
            for second in 2..61 {
                assert_eq!(look(second, queue(true, 100, second)), (String::new(), 1));
            }
            let line = format!(" WARN read: {full}, 61 clients were refused: {raise}\n");
            assert_eq!(look(61, queue(true, 100, 61)), (line, 1));
            // Refusals between two looks count as much as a queue that is full just then.
            let again = "the queue (100) is full, 62 clients were refused";
            assert_eq!(look(90, queue(false, 9, 62)), (String::new(), 1));
            assert_eq!(look(149, queue(false, 0, 62)), (String::new(), 1));
            let was = again.replace(" is ", " was ");
            let line = format!(" INFO read: {was}: {raise}; it lasted 89 s\n");
            assert_eq!(look(150, queue(false, 0, 62)), (line, 0));
            // The next time is counted from its own beginning.
            let line = format!(" WARN read: {again}: {raise}\n")
                .replace("62 clients were", "1 client was");
            assert_eq!(look(151, queue(false, 0, 63)), (line, 1));
        });
    }
}
