//! Timers: one moment for each of many, taken in order.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Now;

/// At most one moment for each of many, the earliest at hand.
#[derive(Debug)]
pub(super) struct TimerQueue<K> {
    by_time: BTreeSet<(Now, K)>,
    armed: BTreeMap<K, Now>,
    /// How often each was taken at one moment.
    taken: (Now, BTreeMap<K, u32>),
}

/// Whoever is due again at the moment it was taken is taken so often, and not for ever.
const AGAIN: u32 = 8;

impl<K> Default for TimerQueue<K> {
    fn default() -> TimerQueue<K> {
        TimerQueue {
            by_time: BTreeSet::new(),
            armed: BTreeMap::new(),
            taken: (Now::ZERO, BTreeMap::new()),
        }
    }
}

impl<K: Ord + Copy> TimerQueue<K> {
    /// Replaces the moment of `who`; `None` forgets it.
    pub(super) fn set(&mut self, who: K, at: Option<Now>) {
        if self.armed.get(&who).copied() == at {
            return;
        }
        if let Some(old) = self.armed.remove(&who) {
            self.by_time.remove(&(old, who));
        }
        if let Some(at) = at {
            self.armed.insert(who, at);
            self.by_time.insert((at, who));
        }
    }

    /// The earliest moment of all.
    pub(super) fn first(&self) -> Option<Now> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The earliest of all, and its moment.
    pub(super) fn next(&self) -> Option<(Now, K)> {
        self.by_time.first().copied()
    }

    /// Takes one whose moment has come. `None` comes in the end, even if one of them does not move.
    pub(super) fn due(&mut self, now: Now) -> Option<K> {
        let (moment, taken) = &mut self.taken;
        if *moment != now {
            (*moment, *taken) = (now, BTreeMap::new());
        }
        let moves = |who: &K| taken.get(who).is_none_or(|times| *times < AGAIN);
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        let (at, who) = due.copied().find(|(_, who)| moves(who))?;
        *taken.entry(who).or_default() += 1;
        self.by_time.remove(&(at, who));
        self.armed.remove(&who);
        Some(who)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn one_that_does_not_move_keeps_nobody_else_waiting_and_is_left_in_the_end() {
        let mut timers = TimerQueue::default();
        timers.set("stuck", Some(at(1)));
        timers.set("next", Some(at(5)));
        timers.set("later", Some(at(9)));
        for now in [5, 6] {
            let mut taken = Vec::new();
            while let Some(who) = timers.due(at(now)) {
                taken.push(who);
                timers.set("stuck", Some(at(1)));
            }
            assert_eq!(taken.contains(&"next"), now == 5);
            assert!(taken.len() < 10, "{taken:?}");
            assert_eq!(timers.first(), Some(at(1)));
        }
        assert_eq!(timers.due(at(9)), Some("stuck"));
        assert_eq!(timers.due(at(9)), Some("later"));
    }
}
