//! Who wants to be woken when.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Now;

/// At most one moment for each of many, the earliest at hand.
#[derive(Debug)]
pub(super) struct Agenda<K> {
    by_time: BTreeSet<(Now, K)>,
    armed: BTreeMap<K, Now>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Agenda<K> {
        Agenda { by_time: BTreeSet::new(), armed: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Agenda<K> {
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

    /// When it wants to be woken.
    pub(super) fn of(&self, who: K) -> Option<Now> {
        self.armed.get(&who).copied()
    }

    /// Takes one whose moment has come.
    pub(super) fn due(&mut self, now: Now) -> Option<K> {
        let (at, who) = self.by_time.first().copied().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, who));
        self.armed.remove(&who);
        Some(who)
    }
}
