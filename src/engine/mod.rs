//! The only stateful composition: everything is decided here, nothing is done here.
//!
//! [`Engine`] is synchronous and deterministic. It has no clock, no socket and no task: see [`crate::io`]
//! for what goes in and out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod adopt;
mod clusters;
mod deadlines;
mod debounce;
mod diff;
mod environment;
mod groups;
mod links;
mod listener_health;
mod receive;
mod reconfigure;
mod routers;
mod snapshot;
mod sockets;
mod statics;
mod strays;
mod timer_queue;
mod trackers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Cast, Config, RouterKey};
use crate::io::{
    Action, Applied, Command, Input, KernelView, LinkChange, Listen, NotifyEvent, OpError, OpId,
    RouterId,
};
use crate::types::{Cidr, DropCounter, Family, IfIndex, Mac, Now};
use crate::vrrp::address_set::RENEW_EVERY;
use crate::vrrp::log_limiter::LogLimiter;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::Router;
use clusters::{Clusters, ProbeIds};
use deadlines::Overdue;
use timer_queue::TimerQueue;

pub use crate::vrrp::router::hints::{allow_vrrp, allow_vrrp_out};
pub use adopt::is_adoptable;
use debounce::Debounce;
pub use diff::diff;
use groups::Groups;
use links::LinkTable;
use routers::Routers;
pub use snapshot::View;
use sockets::Sockets;
use statics::Statics;
use trackers::Trackers;

/// Addresses asked for when somebody looks at the status.
const ASKED_PER_STATUS: usize = 32;

/// Interface, family, VRID, and whether by unicast: what a packet says about whom it is for.
type WireKey = (IfIndex, Family, u8, bool);

/// Decides everything; see the module's documentation for the contract.
#[derive(Debug)]
pub struct Engine {
    config: Arc<Config>,
    links: LinkTable,
    debounce: Debounce,
    sockets: Sockets,
    statics: Statics,
    routers: Routers,
    /// The order of the configuration.
    order: Vec<RouterId>,
    by_key: BTreeMap<RouterKey, RouterId>,
    /// Where packets are delivered.
    by_wire: BTreeMap<WireKey, RouterId>,
    /// Which routers float an address.
    by_address: BTreeMap<IpAddr, Vec<RouterId>>,
    trackers: Trackers,
    clusters: Clusters,
    probe_ids: ProbeIds,
    groups: Groups,
    /// Configured no longer; kept until the kernel has let go of their addresses.
    retired: Vec<Router>,
    /// Links that were told to promote secondary addresses.
    promoted: BTreeSet<IfIndex>,
    /// When leases are lengthened next, while any address is held on one.
    next_renewal: Option<Now>,
    deadlines: TimerQueue<RouterId>,
    overdue: Overdue,
    out: Outbox,
    unattributed: BTreeMap<DropCounter, u64>,
    /// Which router was the last to ask for its addresses when the status was looked at.
    asked_last: Option<RouterId>,
    /// When another node's last packet arrived, by interface.
    heard: BTreeMap<IfIndex, Now>,
    unknown_vrid_log: LogLimiter,
    quiet_until: Now,
    next_id: u32,
    stopping: bool,
    /// The routers' end was told.
    told_stop: bool,
    exited: bool,
}

impl Engine {
    /// Starts on the host as it is. Drain [`Engine::poll_action`] before the first input.
    #[must_use]
    pub fn new(config: Arc<Config>, kernel: KernelView, now: Now) -> Engine {
        let after_boot = config.globals.delay_after_boot.saturating_sub(kernel.uptime);
        let mut engine = Engine {
            quiet_until: now + config.globals.startup_delay.max(after_boot),
            config: Arc::default(),
            links: LinkTable::new(kernel.links),
            debounce: Debounce::default(),
            sockets: Sockets::default(),
            statics: Statics::default(),
            routers: Routers::default(),
            order: Vec::new(),
            by_key: BTreeMap::new(),
            by_wire: BTreeMap::new(),
            by_address: BTreeMap::new(),
            trackers: Trackers::default(),
            clusters: Clusters::default(),
            probe_ids: ProbeIds::default(),
            groups: Groups::default(),
            retired: Vec::new(),
            promoted: BTreeSet::new(),
            next_renewal: None,
            deadlines: TimerQueue::default(),
            overdue: Overdue::default(),
            out: Outbox::default(),
            unattributed: BTreeMap::new(),
            asked_last: None,
            heard: BTreeMap::new(),
            unknown_vrid_log: LogLimiter::default(),
            next_id: 0,
            stopping: false,
            told_stop: false,
            exited: false,
        };
        engine.reconfigure(now, config);
        engine.mark_adoptable();
        engine
    }

    /// Takes one input. Afterwards every action must be polled and performed before the next.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        debug_assert!(self.out.is_empty(), "the actions of the last input were not drained");
        let tick = matches!(input, Input::Tick);
        self.clusters.now = now;
        match input {
            Input::Tick => self.time_passed(now),
            Input::Packet { iface, datagram } => {
                if let Some(id) = self.packet_received(now, iface, datagram) {
                    self.rearm(id);
                }
            }
            Input::Link(change) => self.link_changed(now, change),
            Input::Done { op, result } => self.op_done(now, op, &result),
            Input::NotRenewed { iface, cidr } => self.not_renewed(now, iface, cidr),
            Input::Announced { iface, vip, mac } => self.announced(now, iface, vip, mac),
            Input::Located { iface, address, mac } => self.located(now, iface, address, mac),
            Input::StatusAsked => self.status_asked(now),
            Input::Probed { probe, outcome } => self.probed(now, probe, outcome),
            Input::Answered { probe, answer } => {
                self.clusters.answered(now, probe, answer, &mut self.probe_ids, &mut self.out);
            }
            Input::Resolved { name, address } => {
                self.clusters.resolved(now, name, address, &mut self.out);
            }
            Input::Hinted(hinted) => {
                self.clusters.hinted(now, hinted, &mut self.probe_ids, &mut self.out);
            }
            Input::ProxyAlive(alive) => self.clusters.proxy_alive(alive),
            Input::Accepting { listener, accepting } => {
                self.clusters.accepting(listener, accepting);
            }
            Input::Reload(config) => {
                if !self.stopping {
                    self.reconfigure(now, config);
                }
            }
            Input::Suspended { gap } => {
                for router in self.routers.values_mut() {
                    router.suspended(now, gap, &mut self.out);
                }
                self.rearm_all();
                self.clusters.suspended(now, gap, &mut self.probe_ids, &mut self.out);
            }
            Input::Stalled { gap } => self.clusters.stalled(now, gap),
            Input::Command(command) => self.command(now, &command),
        }
        self.listeners_turned(now);
        self.settle_groups(now);
        self.schedule_renewal(now);
        self.exit_when_released(now);
        if tick {
            self.skip_overdue(now);
        }
    }

    /// The next thing to do, until `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop()
    }

    fn time_passed(&mut self, now: Now) {
        self.sockets.time_passed(now, &mut self.out);
        self.statics.addresses.time_passed(now, &mut self.out);
        // First of all what decides whether a router may take over, then the routers.
        if self.debounce.time_passed(now) {
            self.survey_all(now);
        }
        self.checks_due(now);
        self.clusters.time_passed(now, &mut self.probe_ids, &mut self.out);
        self.listeners_turned(now);
        while let Some(id) = self.deadlines.due(now) {
            if let Some(router) = self.routers.get_mut(&id) {
                router.time_passed(now, &mut self.out);
            }
            self.rearm(id);
        }
        for router in &mut self.retired {
            router.time_passed(now, &mut self.out);
        }
        if self.next_renewal.is_some_and(|at| at <= now) {
            self.next_renewal = None;
            self.renew(now);
        }
    }

    /// After the state machines have spoken: whoever is still master keeps its addresses.
    fn renew(&mut self, now: Now) {
        let mut renewals = Vec::new();
        for router in self.routers.values_mut().chain(&mut self.retired) {
            router.renew(now, &mut renewals);
        }
        if !renewals.is_empty() {
            self.out.push(Action::Renew(renewals));
        }
    }

    fn schedule_renewal(&mut self, now: Now) {
        if self.next_renewal.is_some() {
            return;
        }
        let routers = || self.routers.values().chain(&self.retired);
        if routers().any(|r| r.addresses.needs_renewal()) {
            self.next_renewal = Some(now + RENEW_EVERY);
        }
    }

    fn announced(&mut self, now: Now, iface: IfIndex, vip: IpAddr, mac: Mac) {
        if self.links.has_mac(mac) {
            // Our own, through another interface on the same network.
            return;
        }
        for id in self.by_address.get(&vip).cloned().unwrap_or_default() {
            if let Some(router) = self.routers.get_mut(&id)
                && router.env.ports.values().any(|p| p.index == iface && p.mac != Some(mac))
            {
                router.announced_elsewhere(now, vip, mac, &mut self.out);
            }
            self.reevaluate(now, id);
        }
        for router in &mut self.retired {
            router.announced_elsewhere(now, vip, mac, &mut self.out);
        }
    }

    fn located(&mut self, now: Now, iface: IfIndex, address: IpAddr, mac: Mac) {
        if self.links.has_mac(mac) {
            return;
        }
        let there = |router: &&mut Router| router.env.iface == Some(iface);
        for router in self.routers.values_mut().filter(there) {
            router.located(now, address, mac, &mut self.out);
        }
    }

    /// A few routers at a time: a screen that is drawn again and again comes round to all.
    fn status_asked(&mut self, now: Now) {
        let after = self.asked_last.take();
        let mut budget = ASKED_PER_STATUS;
        for (id, router) in self.routers.iter_mut() {
            if after.is_some_and(|after| *id <= after) {
                continue;
            }
            if budget == 0 {
                return;
            }
            budget = budget.saturating_sub(router.status_asked(now, &mut self.out));
            self.asked_last = Some(*id);
        }
        // All were asked: the next time begins with the first.
        self.asked_last = None;
    }

    fn command(&mut self, now: Now, command: &Command) {
        let which = match command {
            Command::Shutdown => return self.shutdown(now),
            Command::Drain(which)
            | Command::ForceDrain(which)
            | Command::Resume(which)
            | Command::Handover(which) => *which,
            Command::StayHandedOver(id) => Some(*id),
        };
        let which = which.map(|id| self.in_step_with(id));
        for id in self.order.clone() {
            if which.as_ref().is_some_and(|wanted| !wanted.contains(&id)) {
                continue;
            }
            let Some(router) = self.routers.get_mut(&id) else { continue };
            match command {
                Command::Drain(_) => router.drain(now, false, &mut self.out),
                Command::ForceDrain(_) => router.drain(now, true, &mut self.out),
                Command::Resume(_) => router.resume(now),
                Command::StayHandedOver(_) => router.yielded = true,
                Command::Handover(_) | Command::Shutdown => router.hand_over(now, &mut self.out),
            }
            self.reevaluate(now, id);
        }
    }

    fn link_changed(&mut self, now: Now, change: LinkChange) {
        // Our own addresses come and go with every election: they move nobody's source address.
        let concerns_only_ours = match &change {
            LinkChange::Address { iface, address } => {
                self.links.floats(*iface, address) || self.is_never_a_source(address.cidr.address())
            }
            LinkChange::AddressGone { cidr, .. } => self.is_never_a_source(cidr.address()),
            LinkChange::Link(_) | LinkChange::Gone(_) | LinkChange::Resync(_) => false,
        };
        let (virtual_address, appeared) = match &change {
            LinkChange::Address { address, .. } => (Some(address.cidr.address()), true),
            LinkChange::AddressGone { cidr, .. } => (Some(cidr.address()), false),
            LinkChange::Link(_) | LinkChange::Gone(_) | LinkChange::Resync(_) => (None, false),
        };
        let complete = matches!(change, LinkChange::Resync(_));
        let mut departed = self.links.apply(change);
        self.debounce.links_changed(now, &self.links);
        if complete {
            // What was installed in between may never have been reported.
            departed.addresses = self.missing();
        }
        for iface in departed.links {
            self.statics.addresses.link_gone(iface);
            for router in self.routers.values_mut().chain(&mut self.retired) {
                router.addresses.link_gone(iface);
            }
        }
        self.bury_retired();
        if !concerns_only_ours {
            self.survey_all(now);
        }
        self.virtual_address_seen(now, virtual_address, appeared);
        if complete {
            self.remove_all_strays(now);
        }
        for (iface, cidr) in departed.addresses {
            self.address_vanished(now, iface, cidr);
        }
    }

    /// What we hold and the kernel does not have.
    fn missing(&self) -> Vec<(IfIndex, Cidr)> {
        self.held().filter(|(iface, cidr)| !self.links.has(*iface, *cidr)).collect()
    }

    fn address_vanished(&mut self, now: Now, iface: IfIndex, cidr: Cidr) {
        self.statics.vanished(now, iface, cidr, &mut self.out);
        let Some(ids) = self.by_address.get(&cidr.address()) else { return };
        for id in ids.clone() {
            if let Some(router) = self.routers.get_mut(&id) {
                router.address_vanished(now, iface, cidr, &mut self.out);
            }
            self.rearm(id);
        }
    }

    fn not_renewed(&mut self, now: Now, iface: IfIndex, cidr: Cidr) {
        let concerned = self.by_address.get(&cidr.address()).into_iter().flatten();
        for id in concerned.copied().collect::<Vec<_>>() {
            if let Some(router) = self.routers.get_mut(&id) {
                router.addresses.not_renewed(now, iface, cidr, &mut self.out);
            }
            self.rearm(id);
        }
        for router in &mut self.retired {
            router.addresses.not_renewed(now, iface, cidr, &mut self.out);
        }
    }

    fn op_done(&mut self, now: Now, op: OpId, result: &Result<Applied, OpError>) {
        if self.sockets.done(now, op, result) {
            self.survey_all(now);
            return;
        }
        if self.statics.op_done(now, op, result, &mut self.out) {
            if self.statics.is_required() {
                self.survey_all(now);
            }
            return;
        }
        let waiting = self.routers.values().find(|router| router.addresses.awaits(op));
        let owner = waiting.map(|router| router.id);
        if let Some(router) = owner.and_then(|id| self.routers.get_mut(&id)) {
            router.op_done(now, op, result, &mut self.out);
        }
        match owner {
            Some(id) => self.rearm(id),
            None => {
                for router in &mut self.retired {
                    router.op_done(now, op, result, &mut self.out);
                }
                self.bury_retired();
            }
        }
    }

    /// Those whose addresses are gone are told of and forgotten.
    fn bury_retired(&mut self) {
        let released = |r: &mut Router| r.addresses.released();
        for router in self.retired.extract_if(.., released) {
            router.deleted(&self.config, &mut self.out);
        }
    }

    fn shutdown(&mut self, now: Now) {
        self.stopping = true;
        self.trackers.stop(&mut self.out);
        self.clusters.stop(&mut self.out);
        for router in self.routers.values_mut() {
            router.stop(now, &mut self.out);
        }
        self.rearm_all();
    }

    /// The static addresses go last: adverts may come from one of them.
    fn exit_when_released(&mut self, now: Now) {
        let released = |r: &Router| r.addresses.released();
        if !self.stopping
            || self.exited
            || !self.routers.values().chain(&self.retired).all(released)
        {
            return;
        }
        if !std::mem::replace(&mut self.told_stop, true) {
            for router in self.order.iter().filter_map(|id| self.routers.get(id)) {
                router.notify(NotifyEvent::Stopped, "the daemon stops".to_owned(), &mut self.out);
            }
            self.tell_groups_of_stop();
        }
        self.statics.stop(now, &mut self.out);
        if self.statics.addresses.released() {
            self.exited = true;
            self.out.push(Action::Exit);
        }
    }

    fn is_virtual(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// A virtual address of routers that do not own it.
    fn is_never_a_source(&self, address: IpAddr) -> bool {
        let is_owner =
            |id| self.routers.get(id).is_some_and(|r: &Router| r.cfg.priority.is_owner());
        self.by_address.get(&address).is_some_and(|ids| !ids.iter().any(is_owner))
    }

    fn require_sockets(&mut self) {
        let (mut needed, mut observed) = (BTreeSet::new(), BTreeSet::new());
        for cfg in &self.config.routers {
            let Some(iface) = self.links.by_name(&cfg.iface).map(|link| link.index) else {
                continue;
            };
            needed.extend(self.listen_of(cfg, iface).map(|listen| (iface, listen)));
            let other = match &cfg.cast {
                Cast::Multicast { .. } => self.source_of(cfg, iface).map(Listen::Local),
                Cast::Unicast { .. } => Some(Listen::Group(cfg.dialect.family().vrrp_group())),
            };
            observed.extend(other.map(|listen| (iface, listen)));
        }
        self.sockets.require(&needed, &observed, &mut self.out);
    }

    /// A link that is created again begins with the system's default.
    fn promote_secondaries(&mut self) {
        let asking = self.config.routers.iter().filter(|cfg| cfg.options.promote_secondaries);
        let links = asking.filter_map(|cfg| self.links.by_name(&cfg.iface));
        let wanted: BTreeSet<IfIndex> = links.map(|link| link.index).collect();
        for &iface in wanted.difference(&self.promoted) {
            self.out.push(Action::PromoteSecondaries { iface });
        }
        self.promoted = wanted;
    }

    /// Where packets go: by the interface each router is attached to at the moment.
    fn index_wire(&mut self) {
        self.by_wire = self
            .routers
            .values()
            .filter_map(|r| {
                let (family, vrid) = (r.cfg.dialect.family(), r.cfg.vrid.get());
                Some(((r.env.iface?, family, vrid, r.cfg.is_unicast()), r.id))
            })
            .collect();
    }

    /// Keeps the deadline index in step with one router.
    fn rearm(&mut self, id: RouterId) {
        self.groups.touched(id);
        self.deadlines.set(id, self.routers.get(&id).and_then(Router::next_deadline));
    }

    fn rearm_all(&mut self) {
        for id in self.order.clone() {
            self.rearm(id);
        }
    }
}
