//! Whether this node can give a listener's clients a server, for the routers that track it.
//!
//! Two nodes in front of one cluster see its outage one after the other, and the address must not go
//! back and forth meanwhile. So a master feels that nobody can be used only when it has lasted for as
//! long as the others may take to see it too, and a backup feels the end of it as late: whoever does
//! not have the address falls first and rises last. What is wrong with this node alone, a listener
//! that does not accept, is felt at once.

use std::time::Duration;

use crate::config::{ClusterConfig, ProbeRhythm};
use crate::track::weight::CheckState;
use crate::types::Now;

/// What one listener is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListenerHealth {
    /// Whether it accepts connections, once the shell has said so.
    pub(super) accepts: Option<bool>,
    /// Whether a server can be used, once that is known; and since when.
    serves: Option<(bool, Now)>,
    /// It was never otherwise.
    first: bool,
}

impl ListenerHealth {
    pub(super) const UNKNOWN: ListenerHealth =
        ListenerHealth { accepts: None, serves: None, first: true };

    /// A server can be used, or none and everybody was asked.
    pub(super) fn look(&mut self, now: Now, serves: bool, judged: bool) {
        match self.serves {
            Some((before, _)) if before == serves => {}
            Some(_) => (self.serves, self.first) = (Some((serves, now)), false),
            None if serves || judged => self.serves = Some((serves, now)),
            None => {}
        }
    }

    /// What it says to a router that has the address, or has not.
    pub(super) fn reading(&self, now: Now, master: bool, hysteresis: Duration) -> CheckState {
        let (Some(accepts), Some((serves, since))) = (self.accepts, self.serves) else {
            return CheckState::Untested;
        };
        let lasts = self.first || now.since(since) >= hysteresis;
        match (accepts, serves, master) {
            (false, _, _) | (true, false, false) => CheckState::Down,
            (true, true, true) => CheckState::Up,
            (true, false, true) => {
                if lasts {
                    CheckState::Down
                } else {
                    CheckState::Up
                }
            }
            (true, true, false) => {
                if lasts {
                    CheckState::Up
                } else {
                    CheckState::Down
                }
            }
        }
    }

    /// When it is felt by everybody.
    pub(super) fn settles(&self, hysteresis: Duration) -> Option<Now> {
        let (_, since) = self.serves.filter(|_| !self.first)?;
        Some(since + hysteresis)
    }
}

/// How long two nodes may take to see the same: each an interval and a slow answer, and one more of
/// both for what is lost.
pub(super) fn hysteresis(cluster: &ClusterConfig) -> Duration {
    let ProbeRhythm { interval, timeout, fall, .. } = cluster.rhythm;
    let rounds = if cluster.has_roles() { 2 } else { fall.get().max(2) };
    (interval + timeout) * rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYSTERESIS: Duration = Duration::from_secs(3);

    fn at(ms: u64) -> Now {
        Now::from_start(Duration::from_millis(ms))
    }

    fn accepting() -> ListenerHealth {
        ListenerHealth { accepts: Some(true), ..ListenerHealth::UNKNOWN }
    }

    #[test]
    fn the_first_health_counts_at_once_and_for_everybody() {
        let mut health = accepting();
        assert_eq!(health.reading(at(0), false, HYSTERESIS), CheckState::Untested);
        health.look(at(0), false, false);
        assert_eq!(health.reading(at(0), false, HYSTERESIS), CheckState::Untested);
        health.look(at(1), true, false);
        for master in [false, true] {
            assert_eq!(health.reading(at(1), master, HYSTERESIS), CheckState::Up);
        }
    }

    /// Two nodes that see everything, but not at the same moment.
    #[test]
    fn an_outage_both_see_never_makes_the_backup_better_than_the_master() {
        for (ahead, behind) in (0..3000).step_by(250).flat_map(|skew| [(0, skew), (skew, 0)]) {
            let (mut master, mut backup) = (accepting(), accepting());
            for ms in (0..20_000).step_by(50) {
                let serves = |late: u64| !(5000 + late..10_000 + late).contains(&ms);
                master.look(at(ms), serves(ahead), true);
                backup.look(at(ms), serves(behind), true);
                let fallen = master.reading(at(ms), true, HYSTERESIS) != CheckState::Up;
                let better = fallen && backup.reading(at(ms), false, HYSTERESIS) == CheckState::Up;
                assert!(!better, "{ahead} {behind} {ms}");
            }
        }
    }

    #[test]
    fn what_only_the_master_sees_is_felt_after_its_patience_and_a_dead_listener_at_once() {
        let mut master = accepting();
        master.look(at(0), true, true);
        master.look(at(1000), false, true);
        assert_eq!(master.reading(at(3999), true, HYSTERESIS), CheckState::Up);
        assert_eq!(master.settles(HYSTERESIS), Some(at(4000)));
        assert_eq!(master.reading(at(4000), true, HYSTERESIS), CheckState::Down);
        master.look(at(5000), true, true);
        assert_eq!(master.reading(at(5000), true, HYSTERESIS), CheckState::Up);
        master.accepts = Some(false);
        assert_eq!(master.reading(at(5000), true, HYSTERESIS), CheckState::Down);
    }
}
