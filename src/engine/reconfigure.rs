//! From one configuration to the next, keeping every state that can be kept.
//!
//! Laws: the same configuration again emits no action; whatever two configurations share keeps its
//! state, timers and sockets; and the result settles where a fresh start would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Config;
use crate::engine::Engine;
use crate::io::{Level, RouterId};
use crate::types::{Cidr, IfName, Now};
use crate::vrrp::router::Router;

impl Engine {
    pub(super) fn reconfigure(&mut self, now: Now, config: Arc<Config>) {
        if *config == *self.config {
            return;
        }
        let mut fixed: BTreeMap<IfName, BTreeSet<Cidr>> = BTreeMap::new();
        for wanted in &config.static_addresses {
            let place = fixed.entry(wanted.iface.clone()).or_default();
            place.insert(wanted.address.kernel_cidr());
        }
        self.links.set_fixed(fixed);
        self.statics.configure(now, &config.static_addresses, &mut self.out);
        let wanted: BTreeSet<_> = config.routers.iter().map(|r| r.key()).collect();
        let removed: Vec<_> =
            self.by_key.keys().filter(|key| !wanted.contains(*key)).cloned().collect();
        for key in removed {
            if let Some(id) = self.by_key.remove(&key)
                && let Some(mut router) = self.routers.remove(&id)
            {
                let message = "removed from the configuration".to_owned();
                self.out.record(Level::Info, Some(&router.cfg.name), message);
                router.stop(now, &mut self.out);
                if router.addresses.released() {
                    router.deleted(&config, &mut self.out);
                } else {
                    self.retired.push(router);
                }
                self.deadlines.set(id, None);
            }
        }
        self.order.clear();
        let mut by_address: BTreeMap<IpAddr, Vec<RouterId>> = BTreeMap::new();
        let mut added = Vec::new();
        let mut changed = Vec::new();
        for cfg in &config.routers {
            let id = match self.by_key.get(&cfg.key()) {
                Some(id) => {
                    changed.push((*id, Arc::clone(cfg)));
                    *id
                }
                None => {
                    let id = RouterId(self.next_id);
                    self.next_id += 1;
                    self.by_key.insert(cfg.key(), id);
                    self.routers
                        .insert(id, Router::new(id, Arc::clone(cfg), self.quiet_until, now));
                    added.push(id);
                    id
                }
            };
            self.order.push(id);
            for address in &cfg.addresses {
                by_address.entry(address.cidr.address()).or_default().push(id);
            }
        }
        self.by_address = by_address;
        self.trackers.reconfigure(now, &config.trackers, &mut self.probe_ids, &mut self.out);
        self.clusters.now = now;
        self.clusters.reconfigure(now, &config, &mut self.probe_ids, &mut self.out);
        self.groups.configure(&config.groups, &self.by_key);
        for router in self.routers.values_mut() {
            router.grouped = self.groups.bind(router.id);
        }
        self.config = config;
        self.out.pacing.configure(&self.config.pacing);
        self.debounce.configure(now, &self.config.interfaces, &self.links);
        self.require_sockets();
        for (id, cfg) in changed {
            let Some(router) = self.routers.get(&id) else { continue };
            if router.cfg == cfg {
                continue;
            }
            // The new addresses may live on links the router has not looked at yet, and its sockets
            // may be others: the environment first, then the configuration that needs it.
            let old = router.cfg.clone();
            if let Some(router) = self.routers.get_mut(&id) {
                router.cfg = Arc::clone(&cfg);
            }
            let env = self.routers.get(&id).map(|r| self.environment_of(r));
            if let (Some(router), Some(env)) = (self.routers.get_mut(&id), env) {
                router.cfg = old;
                router.env.ports.extend(env.ports);
                router.env.source = env.source.or(router.env.source);
                router.env.destinations = env.destinations;
                router.env.tracked = env.tracked;
                router.reconfigured(now, cfg, &mut self.out);
            }
        }
        for id in added {
            if let Some(router) = self.routers.get_mut(&id) {
                router.configure_addresses(now, &mut self.out);
            }
        }
        self.survey_all(now);
        self.remove_all_strays(now);
        self.checks_due(now);
        self.clusters.time_passed(now, &mut self.probe_ids, &mut self.out);
    }
}
