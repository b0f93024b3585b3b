//! When the next announcement may leave: one clock per interface, or per group of interfaces behind
//! one switch, for all routers there. ARP and neighbour advertisements have clocks of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::PacingGroup;
use crate::types::{Family, IfName, Now};

/// The clocks.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    groups: Vec<PacingGroup>,
    free: BTreeMap<(Clock, Family), Now>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    Interface(IfName),
    /// By position.
    Group(usize),
}

impl Pacing {
    pub(crate) fn configure(&mut self, groups: &[PacingGroup]) {
        if self.groups != groups {
            self.groups = groups.to_vec();
            self.free.clear();
        }
    }

    /// Takes the next free moment on `iface`. Whoever has one waits for it alone, so several routers
    /// with much to say take turns.
    pub(crate) fn slot(
        &mut self,
        now: Now,
        iface: &IfName,
        family: Family,
        own_pause: Duration,
    ) -> Now {
        let (clock, pause) =
            match self.groups.iter().position(|group| group.interfaces.contains(iface)) {
                Some(at) => {
                    let group = self.groups.get(at).and_then(|group| group.pause(family));
                    (Clock::Group(at), group.unwrap_or(own_pause))
                }
                None => (Clock::Interface(iface.clone()), own_pause),
            };
        if pause.is_zero() {
            return now;
        }
        let free = self.free.entry((clock, family)).or_insert(now);
        let slot = (*free).max(now);
        *free = slot + pause;
        slot
    }
}
