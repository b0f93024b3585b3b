//! Servers that come and go wait longer each time before they are used, as long as there are others.

use std::time::Duration;

use crate::types::Now;

/// Falls that cost no waiting.
const FREE_FALLS: u32 = 2;
/// Falls are forgotten when the last one is so long ago.
const FORGET_AFTER: Duration = Duration::from_secs(300);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often one server has ceased to be usable lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlapDamping {
    usable: bool,
    falls: u32,
    last: Option<Now>,
}

impl FlapDamping {
    /// Whether a server that could be used should wait; called with every look at it.
    pub(super) fn observe(&mut self, now: Now, usable: bool) -> bool {
        if !usable && std::mem::replace(&mut self.usable, usable) {
            if self.last.is_none_or(|last| now.since(last) >= FORGET_AFTER) {
                self.falls = 0;
            }
            self.falls = self.falls.saturating_add(1);
            self.last = Some(now);
        }
        let waits = usable && self.until().is_some_and(|until| now < until);
        self.usable = usable && !waits;
        waits
    }

    /// When it need not wait any more.
    pub(super) fn until(&self) -> Option<Now> {
        let more = self.falls.checked_sub(FREE_FALLS + 1)?;
        let wait = Duration::from_secs(1 << more.min(6)).min(LONGEST_WAIT);
        Some(self.last? + wait)
    }

    /// Falls that count at the moment.
    pub(super) fn falls(&self) -> u32 {
        self.falls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn the_third_fall_costs_a_second_and_each_further_twice_as_much() {
        let mut damping = FlapDamping::default();
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..10 {
            assert!(!damping.observe(at(now), true));
            now += 1;
            damping.observe(at(now), false);
            let began = now;
            while damping.observe(at(now), true) {
                now += 1;
            }
            waits.push(now - began);
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        damping.observe(at(now), true);
        damping.observe(at(now + 300), false);
        assert_eq!(damping.falls(), 1);
    }
}
