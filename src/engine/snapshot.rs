//! The engine's part of the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::trackers::Tracked;
use crate::io::RouterId;
use crate::status::{Daemon, HealthStatus, RouterStatus, Snapshot, State, Strangers};
use crate::types::{Cidr, IfIndex, Now};
use crate::vrrp::address_set::AddressSet;
use crate::vrrp::router::Router;

/// What a status is made of, at one moment. To take it costs little; to write the status takes its
/// time, which grows with what is heard on the network, and is for another thread.
#[derive(Debug)]
pub struct View {
    at: Now,
    routers: Vec<Viewed>,
    /// All but the routers.
    rest: Snapshot,
}

#[derive(Debug)]
struct Viewed {
    router: Arc<Router>,
    group: Option<String>,
    tracked: Vec<Tracked>,
    heard: Option<Now>,
}

impl View {
    /// What is written already: all but the routers and what they heard.
    pub fn written(&mut self) -> &mut Snapshot {
        &mut self.rest
    }

    /// Write the status.
    #[must_use]
    pub fn snapshot(self) -> Snapshot {
        let View { at, routers, rest } = self;
        let mut strangers = Strangers::default();
        let status = |viewed: Viewed| {
            let Viewed { router, group, tracked, heard } = viewed;
            let tracking = Tracked::status_of(&tracked, &router.cfg);
            let mut status = RouterStatus { group, ..router.status(tracking, at, heard) };
            strangers.take_from(&mut status);
            status
        };
        let routers = routers.into_iter().map(status).collect();
        let (strangers, more_strangers) = strangers.latest();
        Snapshot { routers, strangers, more_strangers, ..rest }
    }
}

impl Engine {
    /// Every router with its name, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = (RouterId, &str)> {
        self.order.iter().filter_map(|id| Some((*id, self.routers.get(id)?.cfg.name.as_str())))
    }

    /// Where every router is, in the order of the configuration.
    pub fn states(&self) -> impl Iterator<Item = State> {
        self.order.iter().filter_map(|id| Some(self.routers.get(id)?.state()))
    }

    /// Where one router is, and whether the operator took it out of service.
    #[must_use]
    pub fn standing(&self, id: RouterId) -> Option<(State, bool)> {
        self.routers.get(&id).map(|router| (router.state(), router.drained))
    }

    /// Nothing is on its way: no hand-over, and no address operation the kernel has not answered.
    /// Another process could go on from here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let calm = |r: &Router| r.state() != State::Leaving && r.addresses.settled();
        self.retired.is_empty()
            && self.statics.addresses.settled()
            && self.routers.values().all(calm)
    }

    /// The addresses in place because of us, and where.
    pub fn held(&self) -> impl Iterator<Item = (IfIndex, Cidr)> {
        let sets = self.routers.values().map(|r| &r.addresses).chain([&self.statics.addresses]);
        sets.flat_map(AddressSet::held)
    }

    /// Routers that stay backups because they were handed over, by name.
    pub fn handed_over(&self) -> impl Iterator<Item = &str> {
        self.routers.values().filter(|r| r.yielded).map(|r| r.cfg.name.as_str())
    }

    /// What `vipd status` shows, except for [`Daemon`], which the shell fills.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Snapshot {
        self.view(now).snapshot()
    }

    /// What [`Engine::snapshot`] is made of.
    #[must_use]
    pub fn view(&self, now: Now) -> View {
        let viewed = |id: &RouterId| {
            let router = self.routers.share(id)?;
            Some(Viewed {
                group: self.groups.name_of(*id).map(str::to_owned),
                tracked: self.tracked_by(&router),
                heard: router.env.iface.and_then(|iface| self.heard.get(&iface).copied()),
                router,
            })
        };
        View {
            at: now,
            routers: self.order.iter().filter_map(viewed).collect(),
            rest: Snapshot {
                health: HealthStatus::default(),
                daemon: Daemon::default(),
                routers: Vec::new(),
                static_addresses: self.statics.status(now),
                trackers: self.trackers.status(&self.config.trackers, now),
                clusters: self.clusters.cluster_status(&self.config, now),
                listeners: self.clusters.listener_status(&self.config),
                groups: BTreeMap::new(),
                fifos: Vec::new(),
                mail: None,
                pages: Vec::new(),
                strangers: Vec::new(),
                more_strangers: 0,
                unattributed: self.unattributed.clone(),
            },
        }
    }
}
