//! When to tell the LAN where the addresses are: batches of gratuitous ARP or unsolicited NA after
//! taking over, after a rival was heard, and as a refresh.
//!
//! Rounds go over all addresses in turn, so that no address waits for another's repeats (rule W33).

use std::time::Duration;

use crate::config::AnnounceConfig;
use crate::types::Now;

/// The announcements a master still owes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announce {
    /// Rounds over all addresses not yet finished, and the next address in the current one.
    rounds: u32,
    cursor: usize,
    /// Earliest moment of the next frame, while rounds are left.
    next_frame: Option<Now>,
    /// That moment was taken on the interface's clock.
    reserved: bool,
    /// The round under way leaves the router's own interface out.
    only_elsewhere: bool,
    /// The delayed second batch.
    second: Option<(Now, u8)>,
    /// The next refresh.
    refresh: Option<Now>,
    /// The next refresh on other interfaces than the router's own.
    elsewhere: Option<Now>,
    /// Single repeats soon after taking over.
    early: [Option<Now>; EARLY.len()],
    /// One round for rivals heard sooner after an answer than another may follow.
    owed: Option<Now>,
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
        self.elsewhere = after(now, config.refresh_elsewhere);
        // One announcement and no second batch is what `vrrp_min_garp` and strict mode ask for.
        let minimal = config.repeat <= 1 && config.delay.is_zero();
        self.early = EARLY.map(|after| (!minimal).then_some(now + after));
    }

    /// The periods of the refreshes may have changed while this node is master.
    pub(crate) fn reconfigured(&mut self, now: Now, old: &AnnounceConfig, config: &AnnounceConfig) {
        if config.refresh != old.refresh {
            self.refresh = after(now, config.refresh);
        }
        if config.refresh_elsewhere != old.refresh_elsewhere {
            self.elsewhere = after(now, config.refresh_elsewhere);
        }
    }

    /// An interface has another MAC: whoever sends to the old one reaches nobody.
    pub(super) fn mac_changed(&mut self, now: Now, config: &AnnounceConfig) {
        self.begin(now, config.repeat.max(1));
        self.early = EARLY.map(|after| Some(now + after));
    }

    /// A rival may have drawn the traffic to itself (rule R19 with deviation D4).
    pub(crate) fn rival_heard(&mut self, now: Now, config: &AnnounceConfig) {
        if config.lower_repeat == 0 {
            return;
        }
        self.owed = None;
        self.begin(now, config.lower_repeat);
        if !config.lower_delay.is_zero() {
            self.second = Some((now + config.lower_delay, config.lower_repeat));
        }
    }

    /// A rival was heard again before it could be answered again: one round at `at`.
    pub(crate) fn owed(&mut self, at: Now, config: &AnnounceConfig) {
        if config.lower_repeat > 0 {
            self.owed = Some(at);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        let second = self.second.map(|(at, _)| at);
        let early = self.early.iter().copied();
        [self.next_frame, second, self.refresh, self.elsewhere, self.owed]
            .into_iter()
            .chain(early)
            .flatten()
            .min()
    }

    /// The indices of the addresses to announce now, out of `count`; `is_elsewhere` says which are on
    /// another interface than the router's own, and `slot` takes the next free moment for one.
    pub(crate) fn due(
        &mut self,
        now: Now,
        count: usize,
        config: &AnnounceConfig,
        is_elsewhere: impl Fn(usize) -> bool,
        mut slot: impl FnMut(usize) -> Now,
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
        if self.early.iter().any(is_due) || is_due(&self.owed) {
            self.early = self.early.map(|at| at.filter(|at| *at > now));
            self.owed = self.owed.filter(|at| *at > now);
            self.begin(now, 1);
        }
        if self.elsewhere.is_some_and(|at| at <= now) {
            self.elsewhere = after(now, config.refresh_elsewhere);
            // A batch under way goes there anyway.
            if self.rounds == 0 {
                self.begin(now, 1);
                self.only_elsewhere = true;
            }
        }
        let mut due = Vec::new();
        while self.next_frame.is_some_and(|at| at <= now) {
            if self.rounds == 0 || count == 0 {
                self.rounds = 0;
                self.next_frame = None;
            } else if self.cursor >= count {
                self.cursor = 0;
                self.rounds -= 1;
            } else if self.only_elsewhere && !is_elsewhere(self.cursor) {
                self.cursor += 1;
            } else if std::mem::take(&mut self.reserved) {
                due.push(self.cursor);
                self.cursor += 1;
            } else {
                self.next_frame = Some(slot(self.cursor));
                self.reserved = true;
            }
        }
        due
    }

    /// A batch replaces what is left of the one before: two at once would only repeat each other.
    fn begin(&mut self, now: Now, repeat: u8) {
        if std::mem::take(&mut self.only_elsewhere) {
            self.cursor = 0;
        }
        self.rounds = self.rounds.max(u32::from(repeat));
        self.next_frame = Some(self.next_frame.unwrap_or(now));
    }
}

/// The next time something with this period is due; zero: never.
fn after(now: Now, period: Duration) -> Option<Now> {
    (!period.is_zero()).then_some(now + period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Family;
    use crate::vrrp::pacing::Pacing;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: f64) -> Now {
        Now::from_start(Duration::from_secs_f64(seconds))
    }

    /// A master's announcements on eth0, whose last address lives on another interface.
    struct Master {
        announce: Announce,
        pacing: Pacing,
        config: AnnounceConfig,
    }

    impl Master {
        fn new(config: AnnounceConfig) -> Master {
            Master { announce: Announce::default(), pacing: Pacing::default(), config }
        }

        fn due(&mut self, seconds: f64, count: usize) -> Vec<usize> {
            let (now, iface) = (at(seconds), "eth0".parse().unwrap());
            let pause = self.config.garp_interval;
            let slot = |_| self.pacing.slot(now, &iface, Family::Ipv4, pause);
            self.announce.due(now, count, &self.config, |index| index + 1 == count, slot)
        }
    }

    #[test]
    fn five_rounds_at_once_and_five_after_five_seconds() {
        let mut master = Master::new(AnnounceConfig::default());
        master.announce.taken_over(at(1.0), &master.config);
        assert_eq!(master.due(1.0, 2), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        for early in [1.05, 1.2, 2.0] {
            assert_eq!(master.announce.deadline(), Some(at(early)));
            assert_eq!(master.due(early, 2), [0, 1]);
        }
        assert_eq!(master.announce.deadline(), Some(at(6.0)));
        assert_eq!(master.due(6.0, 2).len(), 10);
        assert_eq!(master.announce.deadline(), None);
    }

    #[test]
    fn pacing_spreads_the_frames() {
        let config = AnnounceConfig { garp_interval: SECOND / 2, ..AnnounceConfig::default() };
        let mut master = Master::new(config);
        master.announce.rival_heard(at(0.0), &config);
        assert_eq!(master.due(0.0, 1), [0]);
        assert_eq!(master.announce.deadline(), Some(at(0.5)));
        let frames: usize = (1..5).map(|n| master.due(f64::from(n) * 0.5, 1).len()).sum();
        assert_eq!(frames, 4);
        assert_eq!(master.announce.deadline(), Some(at(5.0)));
    }

    #[test]
    fn refresh_repeats_for_ever() {
        let config = AnnounceConfig {
            refresh: SECOND * 60,
            delay: Duration::ZERO,
            ..AnnounceConfig::default()
        };
        let mut master = Master::new(config);
        master.announce.taken_over(at(0.0), &config);
        master.due(0.0, 1);
        master.due(1.0, 1);
        assert_eq!(master.announce.deadline(), Some(at(60.0)));
        assert_eq!(master.due(60.0, 1).len(), 1);
        assert_eq!(master.announce.deadline(), Some(at(120.0)));
    }

    #[test]
    fn a_refresh_elsewhere_leaves_the_own_interface_out_and_never_shortens_a_batch() {
        let config = AnnounceConfig { refresh_elsewhere: SECOND * 60, ..AnnounceConfig::default() };
        let mut master = Master::new(config);
        master.announce.taken_over(at(0.0), &config);
        for early in [0.0, 1.0, 5.0] {
            master.due(early, 3);
        }
        assert_eq!(master.announce.deadline(), Some(at(60.0)));
        assert_eq!(master.due(60.0, 3), [2]);
        assert_eq!(master.announce.deadline(), Some(at(120.0)));
        // A rival right then: every address gets its full number of frames.
        master.announce.rival_heard(at(120.0), &config);
        assert_eq!(master.due(120.0, 3).len(), 15);
    }

    #[test]
    fn a_batch_that_begins_during_a_paced_refresh_elsewhere_announces_everything() {
        let config = AnnounceConfig {
            refresh_elsewhere: SECOND * 60,
            garp_interval: SECOND,
            repeat: 1,
            delay: Duration::ZERO,
            lower_repeat: 1,
            lower_delay: Duration::ZERO,
            ..AnnounceConfig::default()
        };
        let mut master = Master::new(config);
        master.announce.taken_over(at(0.0), &config);
        for seconds in 0..3 {
            master.due(f64::from(seconds), 3);
        }
        // The clock is taken by somebody else: the refresh has to wait, and the rival comes first.
        master.pacing.slot(at(60.0), &"eth0".parse().unwrap(), Family::Ipv4, SECOND);
        assert!(master.due(60.0, 3).is_empty());
        master.announce.rival_heard(at(60.5), &config);
        let mut announced: Vec<usize> =
            (61..70).flat_map(|n| master.due(f64::from(n), 3)).collect();
        announced.sort_unstable();
        assert_eq!(announced, [0, 1, 2]);
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
