//! Clients that wait for a server, the longest waiting first, and how fast they are released.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::slab::Key;
use crate::config::ListenerOptions;

/// How long servers that failed are left alone by those that wait.
pub(super) const RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct WaitQueue {
    pub(super) waiting: BTreeSet<(Instant, Key)>,
    /// Counts the times servers that failed get another try.
    pub(super) round: u64,
    /// When that is next.
    pub(super) retry: Option<Instant>,
    pub(super) bucket: TokenBucket,
}

impl WaitQueue {
    pub(super) fn new(options: &ListenerOptions, workers: usize, now: Instant) -> WaitQueue {
        WaitQueue {
            waiting: BTreeSet::new(),
            round: 0,
            retry: None,
            bucket: TokenBucket::new(options, workers, now),
        }
    }
}

/// Limits how fast clients are released: a server that comes back forks a process for each.
#[derive(Debug)]
pub(super) struct TokenBucket {
    burst: u32,
    interval: Duration,
    tokens: u32,
    filled: Instant,
}

impl TokenBucket {
    pub(super) fn new(options: &ListenerOptions, workers: usize, now: Instant) -> TokenBucket {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        let burst = (options.queue_burst / workers).max(1);
        let per_second = (options.queue_rate / workers).max(1);
        TokenBucket {
            burst,
            interval: Duration::from_secs(1) / per_second,
            tokens: burst,
            filled: now,
        }
    }

    pub(super) fn ready(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_nanos();
        let more = since / self.interval.as_nanos().max(1);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if more >= self.burst - self.tokens {
            self.tokens = self.burst;
            self.filled = now;
        } else {
            self.tokens += more;
            self.filled += self.interval * more;
        }
        self.tokens > 0
    }

    pub(super) fn spend(&mut self) {
        self.tokens = self.tokens.saturating_sub(1);
    }

    /// When the next may go, if none may now.
    pub(super) fn next(&self) -> Instant {
        self.filled + self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let options =
            ListenerOptions { queue_burst: 20, queue_rate: 1000, ..ListenerOptions::default() };
        let mut bucket = TokenBucket::new(&options, 2, start);
        let mut now = start;
        let mut gone = 0;
        while now < start + Duration::from_secs(1) {
            if bucket.ready(now) {
                bucket.spend();
                gone += 1;
            } else {
                assert!(bucket.next() > now);
                now = bucket.next();
            }
        }
        assert!((505..=511).contains(&gone), "{gone} of 10 + 500");
    }
}
