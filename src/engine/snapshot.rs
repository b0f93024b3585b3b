//! The engine's part of the status.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::io::RouterId;
use crate::status::{Daemon, RouterStatus, Snapshot, State};
use crate::types::{Cidr, IfIndex, Now};
use crate::vrrp::holding::Holding;
use crate::vrrp::router::Router;

impl Engine {
    /// Every router with its name, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = (RouterId, &str)> {
        self.order.iter().filter_map(|id| Some((*id, self.routers.get(id)?.cfg.name.as_str())))
    }

    /// Where every router is, in the order of the configuration.
    pub fn states(&self) -> impl Iterator<Item = State> {
        self.order.iter().filter_map(|id| Some(self.routers.get(id)?.state()))
    }

    /// Nothing is on its way: no hand-over, and no address operation the kernel has not answered.
    /// Another process could go on from here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let calm = |r: &Router| r.state() != State::Leaving && r.holding.settled();
        self.retired.is_empty() && self.statics.holding.settled() && self.routers.values().all(calm)
    }

    /// The addresses in place because of us, and where.
    pub fn held(&self) -> impl Iterator<Item = (IfIndex, Cidr)> {
        let holdings = self.routers.values().map(|r| &r.holding).chain([&self.statics.holding]);
        holdings.flat_map(Holding::held)
    }

    /// Routers that stay backups because they were handed over, by name.
    pub fn handed_over(&self) -> impl Iterator<Item = &str> {
        self.routers.values().filter(|r| r.yielded).map(|r| r.cfg.name.as_str())
    }

    /// What `vipd status` shows, except for [`Daemon`], which the shell fills.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            daemon: Daemon::default(),
            routers: self
                .order
                .iter()
                .filter_map(|id| self.routers.get(id))
                .map(|r| {
                    let heard = r.env.iface.and_then(|iface| self.heard.get(&iface).copied());
                    let group = self.groups.name_of(r.id).map(str::to_owned);
                    RouterStatus { group, ..r.status(self.tracking_status(r), now, heard) }
                })
                .collect(),
            static_addresses: self.statics.status(now),
            trackers: self.trackers.status(&self.config.trackers, now),
            clusters: self.clusters.cluster_status(&self.config, now),
            listeners: self.clusters.listener_status(&self.config),
            groups: BTreeMap::new(),
            fifos: Vec::new(),
            mail: None,
            pages: Vec::new(),
            unattributed: self
                .unattributed
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }
}
