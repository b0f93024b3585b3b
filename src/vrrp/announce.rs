//! When to tell the LAN where the addresses are: batches of gratuitous ARP or unsolicited NA after
//! taking over, after a rival was heard, and as a refresh.
//!
//! Rounds go over all addresses in turn, so that no address waits for another's repeats (rule W33).

use std::time::Duration;

use crate::config::AnnounceConfig;
use crate::types::{Family, Now};

/// The announcements a master still owes.
#[derive(Debug, Default)]
pub(crate) struct Announce {
    /// Rounds over all addresses not yet finished, and the next address in the current one.
    rounds: u32,
    cursor: usize,
    /// Earliest moment of the next frame, while rounds are left.
    next_frame: Option<Now>,
    /// The delayed second batch.
    second: Option<(Now, u8)>,
    /// The next refresh.
    refresh: Option<Now>,
    /// Single repeats soon after taking over.
    early: [Option<Now>; EARLY.len()],
}

/// A host that asked during a hand-over may have learnt the old master's MAC a moment after our first
/// announcement; these correct it long before the second batch.
const EARLY: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(1000)];

impl Announce {
    /// The addresses have just been installed.
    pub(crate) fn taken_over(&mut self, now: Now, config: &AnnounceConfig) {
        self.begin(now, config.repeat);
        self.second = (!config.delay.is_zero()).then_some((now + config.delay, config.repeat));
        self.refresh = (!config.refresh.is_zero()).then_some(now + config.delay + config.refresh);
        // One announcement and no second batch is what `vrrp_min_garp` and strict mode ask for.
        let minimal = config.repeat <= 1 && config.delay.is_zero();
        self.early = EARLY.map(|after| (!minimal).then_some(now + after));
    }

    /// The period of the refresh may have changed while this node is master.
    pub(crate) fn reconfigured(&mut self, now: Now, config: &AnnounceConfig) {
        self.refresh = (!config.refresh.is_zero()).then_some(now + config.refresh);
    }

    /// A rival may have drawn the traffic to itself (rule R19 with deviation D4).
    pub(crate) fn rival_heard(&mut self, now: Now, config: &AnnounceConfig) {
        if config.lower_repeat == 0 {
            return;
        }
        self.begin(now, config.lower_repeat);
        if !config.lower_delay.is_zero() {
            self.second = Some((now + config.lower_delay, config.lower_repeat));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        let second = self.second.map(|(at, _)| at);
        let early = self.early.iter().copied();
        [self.next_frame, second, self.refresh].into_iter().chain(early).flatten().min()
    }

    /// The indices of the addresses to announce now, out of `count`.
    pub(crate) fn due(
        &mut self,
        now: Now,
        count: usize,
        family: Family,
        config: &AnnounceConfig,
    ) -> Vec<usize> {
        if let Some((at, repeat)) = self.second
            && at <= now
        {
            self.second = None;
            self.begin(now, repeat);
        }
        if let Some(at) = self.refresh
            && at <= now
        {
            self.refresh = Some(now + config.refresh);
            self.begin(now, config.refresh_repeat);
        }
        let is_due = |at: &Option<Now>| at.is_some_and(|at| at <= now);
        if self.early.iter().any(is_due) {
            self.early = self.early.map(|at| at.filter(|at| *at > now));
            self.begin(now, 1);
        }
        let pause = match family {
            Family::Ipv4 => config.garp_interval,
            Family::Ipv6 => config.gna_interval,
        };
        let mut due = Vec::new();
        while let Some(at) = self.next_frame
            && at <= now
        {
            self.step(now, count, pause, &mut due);
        }
        due
    }

    fn step(&mut self, now: Now, count: usize, pause: Duration, due: &mut Vec<usize>) {
        if self.rounds == 0 || count == 0 {
            self.rounds = 0;
            self.next_frame = None;
            return;
        }
        due.push(self.cursor.min(count - 1));
        self.cursor += 1;
        if self.cursor >= count {
            self.cursor = 0;
            self.rounds -= 1;
        }
        self.next_frame = (self.rounds > 0).then_some(now + pause);
    }

    /// A batch replaces what is left of the one before: two at once would only repeat each other.
    fn begin(&mut self, now: Now, repeat: u8) {
        self.rounds = self.rounds.max(u32::from(repeat));
        self.next_frame = Some(self.next_frame.unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: f64) -> Now {
        Now::from_start(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn five_rounds_at_once_and_five_after_five_seconds() {
        let config = AnnounceConfig::default();
        let mut announce = Announce::default();
        announce.taken_over(at(1.0), &config);
        let due = announce.due(at(1.0), 2, Family::Ipv4, &config);
        assert_eq!(due, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        for early in [1.05, 1.2, 2.0] {
            assert_eq!(announce.deadline(), Some(at(early)));
            assert_eq!(announce.due(at(early), 2, Family::Ipv4, &config), [0, 1]);
        }
        assert_eq!(announce.deadline(), Some(at(6.0)));
        assert_eq!(announce.due(at(6.0), 2, Family::Ipv4, &config).len(), 10);
        assert_eq!(announce.deadline(), None);
    }

    #[test]
    fn pacing_spreads_the_frames() {
        let config = AnnounceConfig { garp_interval: SECOND / 2, ..AnnounceConfig::default() };
        let mut announce = Announce::default();
        announce.rival_heard(at(0.0), &config);
        assert_eq!(announce.due(at(0.0), 1, Family::Ipv4, &config), [0]);
        assert_eq!(announce.deadline(), Some(at(0.5)));
        let frames: usize = (1..5)
            .map(|n| announce.due(at(f64::from(n) * 0.5), 1, Family::Ipv4, &config).len())
            .sum();
        assert_eq!(frames, 4);
        assert_eq!(announce.deadline(), Some(at(5.0)));
    }

    #[test]
    fn refresh_repeats_for_ever() {
        let config = AnnounceConfig {
            refresh: SECOND * 60,
            delay: Duration::ZERO,
            ..AnnounceConfig::default()
        };
        let mut announce = Announce::default();
        announce.taken_over(at(0.0), &config);
        announce.due(at(0.0), 1, Family::Ipv6, &config);
        announce.due(at(1.0), 1, Family::Ipv6, &config);
        assert_eq!(announce.deadline(), Some(at(60.0)));
        assert_eq!(announce.due(at(60.0), 1, Family::Ipv6, &config).len(), 1);
        assert_eq!(announce.deadline(), Some(at(120.0)));
    }

    #[test]
    fn a_flood_of_rivals_never_stacks_batches() {
        let config = AnnounceConfig { garp_interval: SECOND, ..AnnounceConfig::default() };
        let mut announce = Announce::default();
        for _ in 0..1000 {
            announce.rival_heard(at(0.0), &config);
        }
        assert!(announce.rounds <= 5);
    }
}
