//! Servers whose connections come to nothing although they count as usable: the check asks another
//! port, or has not been due since. They are looked at once a second; the log has the first time,
//! then a line a minute, and the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::pool::{Admission, Hint, PoolView, ServerId};
use crate::proxy::{Missing, ServerState};
use crate::status::text::missing_words;
use crate::status::{Miss, MissingStatus};

/// How often the log has a server that goes on like this.
const AGAIN: Duration = Duration::from_secs(60);

/// Those of one listener.
#[derive(Debug, Default)]
pub(super) struct Misses {
    told: BTreeMap<ServerId, Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    times: u32,
    over: bool,
}

impl Misses {
    /// Take note of how a listener's servers fare.
    pub(super) fn look(
        &mut self,
        name: &str,
        now: Instant,
        view: &PoolView,
        states: &BTreeMap<ServerId, ServerState>,
    ) {
        self.told.retain(|id, _| view.servers.iter().any(|server| server.id == *id));
        for server in &view.servers {
            let missing = states.get(&server.id).and_then(|state| state.missing);
            let told = self.told.get_mut(&server.id);
            let server_name = &server.name;
            match (missing, told) {
                (None, Some(told)) if !told.over => {
                    told.over = true;
                    tracing::info!("{name}: {server_name} takes connections again");
                }
                (Some(missing), told) if server.admission == Admission::Up => {
                    let news = |told: &Told| {
                        (told.over || told.times != missing.times)
                            && now.duration_since(told.at) >= AGAIN
                    };
                    if told.is_none_or(|told| news(told)) {
                        let words = missing_words(&status(missing));
                        tracing::warn!("{name}: {server_name} at {} {words}", server.address);
                        let told = Told { at: now, times: missing.times, over: false };
                        self.told.insert(server.id, told);
                    }
                }
                (None | Some(_), _) => {}
            }
        }
    }
}

pub(super) fn status(missing: Missing) -> MissingStatus {
    let how = match missing.how {
        Hint::Refused => Miss::Refused,
        Hint::GaveUp => Miss::Closed,
        Hint::Unreachable | Hint::NotNow | Hint::Silent | Hint::Ended => Miss::Unreachable,
    };
    let ago_ms = u64::try_from(missing.ago.as_millis()).unwrap_or(u64::MAX);
    MissingStatus { how, times: missing.times, ago_ms }
}
