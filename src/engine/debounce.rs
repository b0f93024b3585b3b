//! Links whose changes count only after they have lasted (keepalived's `interface_up_down_delays`).

use std::collections::BTreeMap;

use crate::config::InterfaceConfig;
use crate::engine::links::LinkTable;
use crate::types::{IfName, Now};

/// What counts for each interface that has delays; for all others it is what the kernel says.
#[derive(Debug, Default)]
pub(crate) struct Debounce {
    interfaces: BTreeMap<IfName, Shown>,
}

#[derive(Debug)]
struct Shown {
    config: InterfaceConfig,
    running: bool,
    /// When the kernel's word, which is the opposite, counts.
    change: Option<Now>,
}

impl Debounce {
    /// Takes over the interfaces of a configuration. One that is new begins as the kernel has it.
    pub(crate) fn configure(
        &mut self,
        now: Now,
        wanted: &BTreeMap<IfName, InterfaceConfig>,
        links: &LinkTable,
    ) {
        self.interfaces.retain(|name, _| wanted.contains_key(name));
        for (name, config) in wanted {
            let running = links.by_name(name).is_some_and(|link| link.running);
            let fresh = Shown { config: *config, running, change: None };
            self.interfaces.entry(name.clone()).or_insert(fresh).config = *config;
        }
        self.links_changed(now, links);
    }

    /// A link that is gone is down at once; one that comes back has to last.
    pub(crate) fn links_changed(&mut self, now: Now, links: &LinkTable) {
        for (name, shown) in &mut self.interfaces {
            let Some(link) = links.by_name(name) else {
                shown.running = false;
                shown.change = None;
                continue;
            };
            let InterfaceConfig { down_delay, up_delay } = shown.config;
            let delay = if link.running { up_delay } else { down_delay };
            if link.running == shown.running {
                shown.change = None;
            } else if delay.is_zero() {
                shown.running = link.running;
                shown.change = None;
            } else {
                shown.change.get_or_insert(now + delay);
            }
        }
    }

    /// `true` if a change has lasted long enough.
    pub(crate) fn time_passed(&mut self, now: Now) -> bool {
        let mut changed = false;
        for shown in self.interfaces.values_mut() {
            if shown.change.take_if(|at| *at <= now).is_some() {
                shown.running = !shown.running;
                changed = true;
            }
        }
        changed
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        self.interfaces.values().filter_map(|shown| shown.change).min()
    }

    /// Whether the interface counts as up; `kernel` is what counts for one without delays.
    pub(crate) fn is_running(&self, name: &IfName, kernel: bool) -> bool {
        self.interfaces.get(name).map_or(kernel, |shown| shown.running)
    }
}
