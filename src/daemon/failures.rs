//! Servers whose connections fail although they count as up: the check asks another port, or has not
//! been due since. They are looked at once a second; the log has the first failure, then a line a
//! minute, and the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::pool::{Admission, Hint, PoolView, ServerId};
use crate::proxy::{FailureStreak, ServerState};
use crate::status::text::missing_words;
use crate::status::{Miss, MissingStatus};

/// From one line about a server to the next.
const AGAIN: Duration = Duration::from_secs(60);

/// Those of one listener.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    logged: BTreeMap<ServerId, Logged>,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    times: u32,
    over: bool,
}

impl FailureLog {
    /// Log the failure streaks of a listener's servers.
    pub(super) fn look(
        &mut self,
        name: &str,
        now: Instant,
        view: &PoolView,
        states: &BTreeMap<ServerId, ServerState>,
    ) {
        self.logged.retain(|id, _| view.servers.iter().any(|server| server.id == *id));
        for server in &view.servers {
            let streak = states.get(&server.id).and_then(|state| state.failure_streak);
            let logged = self.logged.get_mut(&server.id);
            let server_name = &server.name;
            match (streak, logged) {
                (None, Some(logged)) if !logged.over => {
                    logged.over = true;
                    tracing::info!("{name}: {server_name} takes connections again");
                }
                (Some(streak), logged) if server.admission == Admission::Up => {
                    let news = |logged: &Logged| {
                        (logged.over || logged.times != streak.times)
                            && now.duration_since(logged.at) >= AGAIN
                    };
                    if logged.is_none_or(|logged| news(logged)) {
                        let words = missing_words(&status(streak));
                        tracing::warn!("{name}: {server_name} at {} {words}", server.address);
                        let logged = Logged { at: now, times: streak.times, over: false };
                        self.logged.insert(server.id, logged);
                    }
                }
                (None | Some(_), _) => {}
            }
        }
    }
}

pub(super) fn status(streak: FailureStreak) -> MissingStatus {
    let how = match streak.how {
        Hint::Refused => Miss::Refused,
        Hint::GaveUp => Miss::Closed,
        Hint::Unreachable | Hint::NotNow | Hint::Silent | Hint::Ended => Miss::Unreachable,
    };
    let ago_ms = u64::try_from(streak.ago.as_millis()).unwrap_or(u64::MAX);
    MissingStatus { how, times: streak.times, ago_ms }
}
