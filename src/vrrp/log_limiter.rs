//! Log lines that others can cause: one per reason in a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::io::Level;
use crate::types::Now;
use crate::vrrp::outbox::Outbox;

/// One log line per reason and router in this time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The reasons that were logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogLimiter {
    quiet: BTreeMap<&'static str, Quiet>,
}

/// A reason that was logged, and how often it occurred since.
#[derive(Clone, Debug)]
struct Quiet {
    logged: Now,
    left_out: u64,
}

impl LogLimiter {
    /// Logs at most once per reason and minute; says how many were left out.
    pub(crate) fn record(
        &mut self,
        now: Now,
        router: &str,
        reason: &'static str,
        level: Level,
        message: impl FnOnce() -> String,
        out: &mut Outbox,
    ) {
        match self.quiet.get_mut(reason) {
            Some(quiet) if now.since(quiet.logged) < LOG_EVERY => quiet.left_out += 1,
            Some(quiet) => {
                let left_out = std::mem::take(&mut quiet.left_out);
                quiet.logged = now;
                let more = if left_out == 0 {
                    String::new()
                } else {
                    format!(" ({left_out} more since the last such line)")
                };
                out.record(level, Some(router), message() + &more);
            }
            None => {
                self.quiet.insert(reason, Quiet { logged: now, left_out: 0 });
                out.record(level, Some(router), message());
            }
        }
    }
}
