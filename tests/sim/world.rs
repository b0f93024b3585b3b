//! N nodes on their LANs, and a seeded fate: one event at a time, each followed by the laws.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vipd::engine::Engine;
use vipd::io::{Action, Input, Want};
use vipd::status::{Snapshot, State};
use vipd::types::Priority;

use crate::network::{Load, Network};
use crate::node::{FIRST_VRID, Node, Service};
use crate::rng::Rng;

/// The slowest the fake kernel works.
pub const MAX_OP: Duration = Duration::from_millis(2);

pub struct World {
    pub seed: u64,
    pub time: Duration,
    pub rng: Rng,
    pub nodes: Vec<Node>,
    pub network: Network,
    pub steps: u64,
    /// Faults strike.
    pub chaos: bool,
    /// Beside each node a client, which believes an address at the node that announced it to that side last.
    pub believed: BTreeMap<(usize, IpAddr), usize>,
    grouped: bool,
}

impl World {
    /// One router per node.
    pub fn new(seed: u64) -> World {
        World::build(seed, false)
    }

    /// Two routers per node, in one sync group.
    pub fn grouped(seed: u64) -> World {
        World::build(seed, true)
    }

    fn build(seed: u64, grouped: bool) -> World {
        let mut rng = Rng::new(seed);
        let mut service = Service::new(seed, grouped, &mut rng);
        let nodes: Vec<Node> = (0..service.count).map(|n| service.node(n, &mut rng)).collect();
        let network = Network::new(service.lans(), nodes.len());
        let time = Duration::from_secs(1);
        let believed = BTreeMap::new();
        let mut world =
            World { seed, time, rng, nodes, network, steps: 0, chaos: false, believed, grouped };
        for n in 0..world.nodes.len() {
            world.boot(n);
        }
        world
    }

    pub fn lans(&self) -> usize {
        self.network.side.len()
    }

    /// How many routers each node has.
    pub fn routers(&self) -> usize {
        self.nodes[0].members.len()
    }

    /// The longest of all.
    pub fn interval(&self) -> Duration {
        (0..self.routers()).map(|r| self.interval_of(r)).max().unwrap()
    }

    pub fn interval_of(&self, r: usize) -> Duration {
        self.nodes[0].config.routers[r].interval.as_duration()
    }

    /// The longest any node of this world may wait before it takes over.
    pub fn longest_master_down(&self) -> Duration {
        self.interval() * 4
    }

    pub fn state(&self, n: usize, r: usize) -> Option<State> {
        self.nodes[n].engine.as_ref()?.states().nth(r)
    }

    /// What a node would say of itself.
    pub fn snapshot(&self, n: usize) -> Snapshot {
        let node = &self.nodes[n];
        node.engine.as_ref().unwrap().snapshot(node.now(self.time))
    }

    /// The priority in force.
    pub fn priority(&self, n: usize, r: usize) -> Priority {
        Priority::try_from(self.snapshot(n).routers[r].priority).unwrap()
    }

    /// Runs until `until`, one event at a time; faults strike only while `chaos` is set.
    pub fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.time = self.time.max(until);
    }

    /// One event: the earliest delivery, kernel answer, deadline or fault. `false`: none before
    /// `until`.
    pub fn step(&mut self, until: Duration) -> bool {
        for node in self.nodes.iter_mut().filter(|node| node.touched) {
            node.wake = node.wake_time();
        }
        let delivery = self.network.next();
        let kernel = (0..self.nodes.len())
            .filter(|n| !self.nodes[*n].frozen && self.nodes[*n].engine.is_some())
            .filter_map(|n| self.nodes[n].kernel.queue.front().map(|p| (p.at, n)))
            .min();
        let deadline = (0..self.nodes.len()).filter_map(|n| Some((self.nodes[n].wake?, n))).min();
        let expiry = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].asleep.is_none())
            .filter_map(|n| Some((self.nodes[n].kernel.next_expiry()?, n)))
            .min();
        let answer = (0..self.nodes.len())
            .filter(|n| !self.nodes[*n].frozen && self.nodes[*n].engine.is_some())
            .filter_map(|n| Some((self.nodes[n].checks.next()?, n)))
            .min();
        let (kernel_at, deadline_at) = (kernel.map(|k| k.0), deadline.map(|d| d.0));
        let times = [delivery, kernel_at, deadline_at, expiry.map(|e| e.0), answer.map(|a| a.0)];
        let Some(next) = times.into_iter().flatten().min().filter(|t| *t <= until) else {
            return false;
        };
        self.time = self.time.max(next);
        self.steps += 1;
        if expiry.is_some_and(|(at, _)| at == next) {
            let n = expiry.unwrap().1;
            self.nodes[n].touched = true;
            for event in self.nodes[n].kernel.expire(next) {
                self.feed(n, Input::Link(event));
            }
        } else if kernel.is_some_and(|(at, _)| at == next) {
            self.kernel_answers(kernel.unwrap().1);
        } else if answer.is_some_and(|(at, _)| at <= next) {
            let n = answer.unwrap().1;
            let (probe, outcome) = self.nodes[n].checks.answer().unwrap();
            self.feed(n, Input::Probed { probe, outcome });
        } else if delivery == Some(next) {
            self.deliver();
        } else {
            let n = deadline.unwrap().1;
            self.tick(n);
        }
        if self.chaos && self.rng.chance(3) {
            self.strike();
        }
        self.check_laws();
        true
    }

    pub fn tick(&mut self, n: usize) {
        self.feed(n, Input::Tick);
        let node = &self.nodes[n];
        let now = node.now(self.time);
        if let Some(deadline) = node.engine.as_ref().and_then(Engine::poll_deadline) {
            assert!(deadline > now, "{}: deadline {deadline} not after {now}", self.place());
        }
    }

    fn kernel_answers(&mut self, n: usize) {
        self.nodes[n].touched = true;
        for input in self.nodes[n].kernel.perform() {
            self.feed(n, input);
        }
    }

    pub fn feed(&mut self, n: usize, input: Input<'_>) {
        let time = self.time;
        let node = &mut self.nodes[n];
        if node.frozen {
            // A frozen process learns nothing; it reads the truth when it thaws.
            return;
        }
        let now = node.now(time);
        node.touched = true;
        node.probed |= matches!(input, Input::Probed { .. });
        if let Some(engine) = &mut node.engine {
            engine.handle(now, input);
        }
        self.drain(n);
        if self.grouped {
            self.check_group(n);
        }
    }

    pub fn drain(&mut self, n: usize) {
        loop {
            let Some(engine) = &mut self.nodes[n].engine else { return };
            let Some(action) = engine.poll_action() else { return };
            self.perform(n, &action);
        }
    }

    fn perform(&mut self, n: usize, action: &Action) {
        if let Action::Observe { .. } = action {
            // Nobody here is misconfigured.
            return;
        }
        let delay = self.rng.duration(Duration::ZERO, MAX_OP);
        let place = self.place();
        let time = self.time;
        let node = &mut self.nodes[n];
        match action {
            Action::Transmit { iface, source, destination, bytes, .. } => {
                let message = if source.is_ipv4() { &bytes[20..] } else { &bytes[..] };
                let r = usize::from(message[1] - FIRST_VRID);
                let lan = node.lan(r);
                assert_eq!(*iface, node.kernel.links[lan].index, "{place}: node {n}");
                let member = &mut node.members[r];
                // One advert, however many peers it goes to.
                if destination.is_multicast() || member.adverts.last() != Some(&time) {
                    member.adverts.push(time);
                }
                member.resigned = message[2] == 0;
                member.resigns |= member.resigned;
                let load = Load::Advert {
                    source: *source,
                    destination: *destination,
                    bytes: bytes.clone(),
                };
                self.broadcast(n, lan, &load);
            }
            Action::Announce { vip, mac, .. } => {
                let own = node.kernel.links.iter().position(|link| link.own.address() == *vip);
                let held = node.kernel.held.get(vip).map(|(lan, _)| *lan);
                let Some(lan) = own.or(held) else {
                    panic!("{place}: node {n} announces {vip} without holding it");
                };
                self.broadcast(n, lan, &Load::Announcement { vip: *vip, mac: *mac });
            }
            Action::Solicit { iface, target, .. } => {
                let lan = node.kernel.links.iter().position(|link| link.index == *iface).unwrap();
                self.broadcast(n, lan, &Load::Question { target: *target, asking: n });
            }
            Action::Address { want, address, .. } => {
                let member = &node.members[node.router_of(address.cidr.address())];
                assert!(
                    *want != Want::Gone || !member.owes_resignation || member.resigned,
                    "{place}: node {n} removes addresses at stop without resigning first"
                );
                node.kernel.accept(time, delay, action);
            }
            Action::Socket { .. } | Action::Renew(_) => node.kernel.accept(time, delay, action),
            Action::Probe { .. } | Action::Cancel { .. } => {
                node.checks.take(time, action, &place, &mut self.rng);
            }
            Action::Exit => {
                assert!(
                    node.kernel.held.is_empty() || node.kernel.sick,
                    "{place}: node {n} exits with addresses left"
                );
                node.engine = None;
                node.silent = Some(time);
            }
            Action::Notify(notice) => {
                node.followers.entry(notice.name.clone()).or_default().told(notice, &place);
            }
            Action::Record(_)
            | Action::Observe { .. }
            | Action::PromoteSecondaries { .. }
            | Action::NotDrained { .. } => {}
            Action::Ask { .. }
            | Action::Resolve { .. }
            | Action::Listen { .. }
            | Action::Unlisten { .. }
            | Action::Publish { .. } => unreachable!("there are no clusters here"),
        }
    }

    /// How to come back to this point.
    pub fn place(&self) -> String {
        let test = if self.grouped { "a_group" } else { "laws" };
        format!(
            "seed {} step {} (again: VIPD_SIM_SEED={} cargo test --test sim {test})",
            self.seed, self.steps, self.seed
        )
    }
}
