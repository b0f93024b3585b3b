//! N nodes on one LAN, a seeded fate, and the laws that must hold after every step.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vipd::config::{
    AnnounceConfig, Cast, Config, Globals, Peer, Preempt, Release, RouterConfig, RouterFlag,
    VirtualAddress,
};
use vipd::engine::{
    Action, Command, Datagram, Engine, Input, KernelView, LinkChange, Want, is_adoptable,
};
use vipd::status::{Standing, State};
use vipd::types::{AuthV2, Centis, Cidr, Dialect, Family, Mac, Now, Priority, V3Checksum, Vrid};
use vipd::vrrp::timing;

use crate::checks::{Checks, trackers};
use crate::follower::Follower;
use crate::kernel::FakeKernel;
use crate::rng::Rng;

const MS: Duration = Duration::from_millis(1);
/// Packets a frozen node's socket keeps.
const SOCKET_BUFFER: usize = 64;
/// The slowest a healthy link delivers.
pub const MAX_DELAY: Duration = Duration::from_millis(2);
/// The slowest the fake kernel works.
const MAX_OP: Duration = Duration::from_millis(2);

pub struct World {
    pub seed: u64,
    pub time: Duration,
    pub rng: Rng,
    pub nodes: Vec<Node>,
    pub steps: u64,
    wire: BTreeMap<(Duration, u64), Flight>,
    sequence: u64,
    /// When the last packet of one node reaches another.
    arrived: BTreeMap<(usize, usize), Duration>,
    pub chaos: bool,
    /// Which side of a partition each node is on; `cut` pairs lose packets one way.
    side: Vec<u8>,
    cut: Vec<(usize, usize)>,
    lossy: bool,
}

pub struct Node {
    pub config: Arc<Config>,
    pub engine: Option<Engine>,
    pub kernel: FakeKernel,
    /// Not scheduled; packets pile up in its socket.
    pub frozen: bool,
    /// Parts per million its clock runs fast or slow.
    rate_ppm: i64,
    booted: Duration,
    /// Time its monotonic clock stood still (suspend).
    slept: Duration,
    /// Frozen by a suspend, since when.
    asleep: Option<Duration>,
    socket: Vec<Load>,
    /// Since when nobody renews its leases: killed or frozen.
    silent: Option<Duration>,
    pub checks: Checks,
    pub follower: Follower,
    /// When it sent each advert.
    pub adverts: Vec<Duration>,
    resigned: bool,
    /// Was master when it was told to stop: it owes a resignation before it lets go.
    owes_resignation: bool,
}

struct Flight {
    to: usize,
    load: Load,
}

#[derive(Clone)]
enum Load {
    Advert { source: IpAddr, destination: IpAddr, bytes: Vec<u8> },
    Announcement { vip: IpAddr, mac: Mac },
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.index(3);
        let dialect = rng.pick(&[
            Dialect::V2(AuthV2::None),
            Dialect::V2(AuthV2::pass(b"1111").unwrap()),
            Dialect::V3Ipv4(V3Checksum::PseudoHeader),
            Dialect::V3Ipv4(V3Checksum::MessageOnly),
            Dialect::V3Ipv6,
        ]);
        let interval = match dialect {
            Dialect::V2(_) => rng.pick(&[100_u16, 200, 500]),
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => rng.pick(&[2_u16, 10, 50, 100, 300]),
        };
        let vips = 1 + rng.index(3);
        let all_equal = rng.chance(15);
        let cast = if seed.is_multiple_of(3) {
            // One list for all: each finds itself in it.
            let peer = |n| Peer { address: own_address(dialect, n), accepted_ttl: 255..=255 };
            Cast::Unicast { peers: (0..count).map(peer).collect(), ttl: 255 }
        } else {
            Cast::Multicast { group: dialect.family().vrrp_group() }
        };
        let nodes = (0..count)
            .map(|n| {
                let priority =
                    if all_equal { 100 } else { u8::try_from(1 + rng.below(254)).unwrap() };
                let preempt = match rng.below(4) {
                    0 => Preempt::Never,
                    1 => Preempt::After(Duration::from_secs(rng.below(5))),
                    _ => Preempt::After(Duration::ZERO),
                };
                let config = Arc::new(config(
                    dialect,
                    cast.clone(),
                    interval,
                    priority,
                    preempt,
                    vips,
                    &mut rng,
                ));
                let node = u8::try_from(n).unwrap();
                let own = own_address(dialect, n);
                let own = Cidr::new(own, if own.is_ipv4() { 24 } else { 64 }).unwrap();
                let mac = Mac([2, 0, 0, 0, 0, 2 + node]);
                Node {
                    engine: None,
                    kernel: FakeKernel::new(vec![own], mac),
                    config,
                    frozen: false,
                    rate_ppm: i64::try_from(rng.below(1000)).unwrap() - 500,
                    booted: Duration::ZERO,
                    slept: Duration::ZERO,
                    asleep: None,
                    socket: Vec::new(),
                    silent: None,
                    checks: Checks::default(),
                    follower: Follower::default(),
                    adverts: Vec::new(),
                    resigned: false,
                    owes_resignation: false,
                }
            })
            .collect();
        let mut world = World {
            seed,
            time: Duration::from_secs(1),
            rng,
            nodes,
            steps: 0,
            wire: BTreeMap::new(),
            sequence: 0,
            arrived: BTreeMap::new(),
            chaos: false,
            side: vec![0; count],
            cut: Vec::new(),
            lossy: false,
        };
        for n in 0..count {
            world.boot(n);
        }
        world
    }

    pub fn interval(&self) -> Duration {
        self.nodes[0].config.routers[0].interval.as_duration()
    }

    /// The longest any node of this world may wait before it takes over.
    pub fn longest_master_down(&self) -> Duration {
        self.interval() * 4
    }

    pub fn state(&self, n: usize) -> Option<State> {
        let node = &self.nodes[n];
        let snapshot = node.engine.as_ref()?.snapshot(node.now(self.time));
        snapshot.routers.first().map(|r| r.state)
    }

    /// The priority in force.
    pub fn priority(&self, n: usize) -> Priority {
        let node = &self.nodes[n];
        let snapshot = node.engine.as_ref().unwrap().snapshot(node.now(self.time));
        Priority::try_from(snapshot.routers[0].priority).unwrap()
    }

    /// Runs until `until`, one event at a time; faults strike only while `chaos` is set.
    pub fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.time = self.time.max(until);
    }

    /// One event: the earliest delivery, kernel answer, deadline or fault. `false`: none before
    /// `until`.
    pub fn step(&mut self, until: Duration) -> bool {
        let delivery = self.wire.first_key_value().map(|((at, _), _)| *at);
        let kernel = (0..self.nodes.len())
            .filter(|n| !self.nodes[*n].frozen && self.nodes[*n].engine.is_some())
            .filter_map(|n| self.nodes[n].kernel.queue.front().map(|p| (p.at, n)))
            .min();
        let deadline = (0..self.nodes.len()).filter_map(|n| Some((self.wake_time(n)?, n))).min();
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
            let (_, flight) = self.wire.pop_first().unwrap();
            self.deliver(flight);
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

    /// Ends every fault.
    pub fn heal(&mut self) {
        self.lossy = false;
        self.cut.clear();
        self.side.fill(0);
        for n in 0..self.nodes.len() {
            self.nodes[n].kernel.sick = false;
            if self.nodes[n].frozen {
                self.thaw(n);
            }
            if !self.nodes[n].kernel.present {
                let change = self.nodes[n].kernel.create_interface(self.time);
                self.feed(n, Input::Link(change));
            }
            if !self.nodes[n].kernel.running {
                self.set_running(n, true);
            }
            for (probe, outcome) in self.nodes[n].checks.heal() {
                self.feed(n, Input::Probed { probe, outcome });
            }
            if self.nodes[n].engine.is_none() {
                self.boot(n);
            }
        }
    }

    pub fn boot(&mut self, n: usize) {
        let time = self.time;
        let node = &mut self.nodes[n];
        node.kernel.queue.clear();
        // What the shell does at start: leftovers of a crash go before the engine looks, unless the
        // engine can go on with them.
        let table = node.kernel.table(time);
        if !is_adoptable(&node.config.routers[0], &table) {
            node.kernel.held.clear();
        }
        node.silent = None;
        node.socket.clear();
        node.booted = time;
        node.slept = Duration::ZERO;
        node.asleep = None;
        node.resigned = false;
        node.owes_resignation = false;
        node.checks.forget();
        node.follower = Follower::default();
        let host = KernelView { links: node.kernel.table(time), uptime: time };
        let engine = Engine::new(Arc::clone(&node.config), host, node.now(time));
        node.engine = Some(engine);
        self.drain(n);
    }

    /// SIGKILL: the addresses stay.
    pub fn crash(&mut self, n: usize) {
        self.nodes[n].engine = None;
        self.nodes[n].silent = Some(self.time);
        self.nodes[n].kernel.queue.clear();
        self.nodes[n].checks.forget();
        self.nodes[n].frozen = false;
        self.nodes[n].asleep = None;
    }

    pub fn set_running(&mut self, n: usize, running: bool) {
        self.nodes[n].kernel.running = running;
        if self.nodes[n].kernel.present {
            let change = LinkChange::Link(self.nodes[n].kernel.link());
            self.feed(n, Input::Link(change));
        }
    }

    pub fn stop(&mut self, n: usize) {
        if self.nodes[n].frozen {
            return;
        }
        self.nodes[n].owes_resignation = self.state(n) == Some(State::Master);
        self.feed(n, Input::Command(Command::Shutdown));
    }

    fn strike(&mut self) {
        let n = self.rng.index(self.nodes.len());
        match self.rng.below(18) {
            0 => self.lossy = !self.lossy,
            1 => {
                for side in 0..self.side.len() {
                    self.side[side] = u8::try_from(self.rng.below(2)).unwrap();
                }
            }
            2 => self.side.fill(0),
            3 => {
                let m = self.rng.index(self.nodes.len());
                self.cut.push((n, m));
            }
            4 => self.cut.clear(),
            5 if !self.nodes[n].frozen => {
                self.nodes[n].frozen = true;
                self.nodes[n].silent = self.nodes[n].silent.or(Some(self.time));
                self.nodes[n].asleep = self.rng.chance(40).then_some(self.time);
            }
            6 if self.nodes[n].frozen => self.thaw(n),
            7 => self.crash(n),
            8 | 9 if self.nodes[n].engine.is_none() => self.boot(n),
            10 => self.nodes[n].kernel.sick = !self.nodes[n].kernel.sick,
            11 => {
                let running = self.rng.chance(60);
                self.set_running(n, running);
            }
            12 if self.nodes[n].kernel.present && self.rng.chance(40) => {
                let change = self.nodes[n].kernel.delete_interface();
                self.feed(n, Input::Link(change));
            }
            12 | 13 if !self.nodes[n].kernel.present => {
                let change = self.nodes[n].kernel.create_interface(self.time);
                self.feed(n, Input::Link(change));
            }
            14 => self.steal(n),
            15 if self.rng.chance(30) => self.stop(n),
            16 => {
                let services = ["/fatal", "/weighty", "/file"];
                let (service, ill) = (self.rng.pick(&services), self.rng.chance(60));
                if let Some((probe, outcome)) = self.nodes[n].checks.turn(service, ill) {
                    self.feed(n, Input::Probed { probe, outcome });
                }
            }
            17 => self.nodes[n].checks.hang = self.rng.chance(50),
            _ => {}
        }
    }

    /// Somebody else removes an address.
    pub fn steal(&mut self, n: usize) {
        let iface = self.nodes[n].kernel.iface;
        if let Some((_, cidr)) = self.nodes[n].kernel.held.pop_first() {
            self.nodes[n].kernel.leases.remove(&cidr.address());
            self.feed(n, Input::Link(LinkChange::AddressGone { iface, cidr }));
        }
    }

    /// The node runs again: a suspend if its clock stood still, a stall if not.
    pub fn thaw(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.frozen = false;
        let gap = node.asleep.take().map(|since| self.time.saturating_sub(since));
        if node.engine.is_none() {
            return;
        }
        if let Some(gap) = gap {
            node.slept += gap;
            // The kernel's clock for leases stood still too.
            for (end, renewed) in node.kernel.leases.values_mut() {
                *end += gap;
                *renewed += gap;
            }
            self.feed(n, Input::Suspended { gap });
        }
        self.nodes[n].silent = None;
        let table = self.nodes[n].kernel.table(self.time);
        self.feed(n, Input::Link(LinkChange::Resync(table)));
        let queued = std::mem::take(&mut self.nodes[n].socket);
        for load in queued {
            self.receive(n, &load);
        }
        self.tick(n);
    }

    fn wake_time(&self, n: usize) -> Option<Duration> {
        let node = &self.nodes[n];
        if node.frozen {
            return None;
        }
        let deadline = node.engine.as_ref()?.poll_deadline()?;
        // The first moment at which the node's clock shows the deadline.
        let mut at = node.world_time(deadline);
        while node.now(at) < deadline {
            at += Duration::from_nanos(1);
        }
        Some(at)
    }

    fn tick(&mut self, n: usize) {
        self.feed(n, Input::Tick);
        let node = &self.nodes[n];
        let now = node.now(self.time);
        if let Some(deadline) = node.engine.as_ref().and_then(Engine::poll_deadline) {
            assert!(deadline > now, "{}: deadline {deadline} not after {now}", self.place());
        }
    }

    fn kernel_answers(&mut self, n: usize) {
        for input in self.nodes[n].kernel.perform() {
            self.feed(n, input);
        }
    }

    fn deliver(&mut self, flight: Flight) {
        let Flight { to, load } = flight;
        let node = &mut self.nodes[to];
        if node.engine.is_none() || !node.kernel.present || !node.kernel.running {
            return;
        }
        if node.frozen {
            if node.socket.len() < SOCKET_BUFFER {
                node.socket.push(load);
            }
            return;
        }
        self.receive(to, &load);
    }

    fn receive(&mut self, n: usize, load: &Load) {
        let iface = self.nodes[n].kernel.iface;
        match load {
            Load::Announcement { vip, mac } => {
                self.feed(n, Input::Announced { iface, vip: *vip, mac: *mac });
            }
            Load::Advert { source, destination, bytes } => {
                let datagram = match (*source, *destination) {
                    (IpAddr::V6(source), IpAddr::V6(destination)) => {
                        Datagram::V6 { source, destination, hop_limit: Some(255), message: bytes }
                    }
                    _ => Datagram::V4(bytes),
                };
                self.feed(n, Input::Packet { iface, datagram });
            }
        }
    }

    fn feed(&mut self, n: usize, input: Input<'_>) {
        let time = self.time;
        let node = &mut self.nodes[n];
        if node.frozen {
            // A frozen process learns nothing; it reads the truth when it thaws.
            return;
        }
        let now = node.now(time);
        if let Some(engine) = &mut node.engine {
            engine.handle(now, input);
        }
        self.drain(n);
    }

    fn drain(&mut self, n: usize) {
        loop {
            let Some(engine) = &mut self.nodes[n].engine else { return };
            let Some(action) = engine.poll_action() else { return };
            self.perform(n, &action);
        }
    }

    fn perform(&mut self, n: usize, action: &Action) {
        if let Action::Overhear { .. } = action {
            // Nobody here is misconfigured.
            return;
        }
        let delay = self.rng.duration(Duration::ZERO, MAX_OP);
        let place = self.place();
        let time = self.time;
        let node = &mut self.nodes[n];
        match action {
            Action::Transmit { source, destination, bytes, .. } => {
                // One advert, however many peers it goes to.
                if destination.is_multicast() || node.adverts.last() != Some(&time) {
                    node.adverts.push(time);
                }
                let message = if source.is_ipv4() { &bytes[20..] } else { &bytes[..] };
                node.resigned = message[2] == 0;
                let load = Load::Advert {
                    source: *source,
                    destination: *destination,
                    bytes: bytes.clone(),
                };
                self.broadcast(n, &load);
            }
            Action::Announce { vip, mac, .. } => {
                let own = node.kernel.own.iter().any(|own| own.address() == *vip);
                assert!(
                    own || node.kernel.held.contains_key(vip),
                    "{place}: node {n} announces {vip} without holding it"
                );
                self.broadcast(n, &Load::Announcement { vip: *vip, mac: *mac });
            }
            Action::Address { want, .. } => {
                assert!(
                    *want != Want::Gone || !node.owes_resignation || node.resigned,
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
            Action::Notify(notice) => node.follower.told(notice, &place),
            Action::Record(_) | Action::Overhear { .. } | Action::PromoteSecondaries { .. } => {}
            Action::Ask { .. }
            | Action::Resolve { .. }
            | Action::Listen { .. }
            | Action::Unlisten { .. }
            | Action::Publish { .. } => unreachable!("there are no clusters here"),
        }
    }

    fn broadcast(&mut self, from: usize, load: &Load) {
        if !self.nodes[from].kernel.running || !self.nodes[from].kernel.present {
            return;
        }
        for to in 0..self.nodes.len() {
            let addressed = match load {
                Load::Advert { destination, .. } => {
                    destination.is_multicast()
                        || self.nodes[to].kernel.own.iter().any(|o| o.address() == *destination)
                }
                Load::Announcement { .. } => true,
            };
            let reachable = to != from
                && addressed
                && self.side[to] == self.side[from]
                && !self.cut.contains(&(from, to))
                && !(self.lossy && self.rng.chance(30));
            if !reachable {
                continue;
            }
            let copies = if self.lossy && self.rng.chance(10) { 2 } else { 1 };
            for _ in 0..copies {
                let slowest = if self.lossy { self.interval() * 2 } else { MAX_DELAY };
                let mut at = self.time + self.rng.duration(Duration::ZERO, slowest.max(MS));
                if !self.lossy {
                    // A healthy link keeps the order.
                    let last = self.arrived.entry((from, to)).or_default();
                    at = at.max(*last);
                    *last = at;
                }
                self.sequence += 1;
                let flight = Flight { to, load: load.clone() };
                self.wire.insert((at, self.sequence), flight);
            }
        }
    }

    /// Laws that hold at every moment.
    fn check_laws(&self) {
        for (n, node) in self.nodes.iter().enumerate() {
            if let Some(since) = node.silent.filter(|_| node.asleep.is_none()) {
                let lease = timing::lease(node.config.routers[0].interval, 3).as_duration();
                let limit = since + lease * 7 / 4 + MAX_OP * 8;
                assert!(
                    self.time <= limit || node.kernel.held.is_empty(),
                    "{}: node {n}, silent since {since:?}, still holds {:?}",
                    self.place(),
                    node.kernel.held
                );
            }
            let Some(engine) = &node.engine else { continue };
            if node.frozen || !node.kernel.queue.is_empty() || node.kernel.sick {
                continue;
            }
            let snapshot = engine.snapshot(node.now(self.time));
            let router = &snapshot.routers[0];
            if router.state == State::Master {
                let adopted = router.reason.starts_with("restarted");
                let untested = snapshot.trackers.iter().find(|t| t.standing == Standing::Untested);
                assert!(
                    untested.is_none() || adopted,
                    "{}: node {n} took over before {untested:?} said anything",
                    self.place()
                );
                let fault = router.tracking.iter().find(|tracked| tracked.fault);
                assert!(fault.is_none(), "{}: node {n} is master with {fault:?}", self.place());
            }
            let retrying = router.addresses.iter().any(|a| a.error.is_some() || a.readded > 4);
            if retrying || !node.kernel.present {
                continue;
            }
            match router.state {
                State::Master => assert_eq!(
                    node.kernel.held.len(),
                    router.addresses.len(),
                    "{}: node {n} is master and holds {:?}",
                    self.place(),
                    node.kernel.held
                ),
                State::Leaving => {}
                State::Backup | State::Fault => assert!(
                    node.kernel.held.is_empty(),
                    "{}: node {n} is {} and holds {:?}",
                    self.place(),
                    router.state,
                    node.kernel.held
                ),
            }
        }
    }

    /// How to come back to this point.
    pub fn place(&self) -> String {
        format!(
            "seed {} step {} (again: VIPD_SIM_SEED={} cargo test --test sim)",
            self.seed, self.steps, self.seed
        )
    }
}

impl Node {
    /// What its clock shows.
    pub fn now(&self, time: Duration) -> Now {
        let real = time.saturating_sub(self.booted).saturating_sub(self.slept);
        let nanos = i128::try_from(real.as_nanos()).unwrap();
        let shown = nanos + nanos * i128::from(self.rate_ppm) / 1_000_000;
        Now::from_start(Duration::from_nanos(u64::try_from(shown).unwrap()))
    }

    fn world_time(&self, now: Now) -> Duration {
        let shown = i128::try_from(now.since_start().as_nanos()).unwrap();
        let real = shown * 1_000_000 / (1_000_000 + i128::from(self.rate_ppm));
        self.booted + self.slept + Duration::from_nanos(u64::try_from(real).unwrap())
    }
}

/// What node `n` brings along.
fn own_address(dialect: Dialect, n: usize) -> IpAddr {
    let node = u8::try_from(n).unwrap();
    match dialect.family() {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2 + node)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2 + u16::from(node))),
    }
}

fn config(
    dialect: Dialect,
    cast: Cast,
    interval: u16,
    priority: u8,
    preempt: Preempt,
    vips: usize,
    rng: &mut Rng,
) -> Config {
    let address = |n: usize| {
        let n = u8::try_from(n).unwrap();
        let ip = match dialect.family() {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, 200 + n)),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, u16::from(n))),
        };
        Arc::new(VirtualAddress::new(Cidr::host(ip)))
    };
    let (trackers, track) = trackers(rng);
    let router = RouterConfig {
        name: "VI_1".to_owned(),
        iface: "eth0".parse().unwrap(),
        vrid: Vrid::try_from(51).unwrap(),
        dialect,
        priority: Priority::try_from(priority).unwrap(),
        interval: Centis::try_from(interval).unwrap(),
        preempt,
        highest_peer_priority: None,
        down_timer_adverts: 3,
        strict: None,
        source: None,
        track_source: false,
        cast,
        receive_buffer: None,
        addresses: (0..vips).map(address).collect(),
        announce: AnnounceConfig::default(),
        answer_lower: rng.chance(80),
        advert_before_yield: rng.chance(10),
        owner_listens: true,
        check_addresses: true,
        notify: Default::default(),
        max_learned_interval: Centis::try_from((interval * 3).max(300)).unwrap(),
        expect_owner: true,
        track_iface: true,
        promote_secondaries: false,
        router_flag: RouterFlag::Forwarding,
        release: if rng.chance(80) { Release::AfterSuccessor } else { Release::Now },
        lease: true,
        track,
        track_interfaces: Vec::new(),
    };
    let startup_delay = if rng.chance(10) { Duration::from_secs(2) } else { Duration::ZERO };
    Config {
        globals: Globals { startup_delay, ..Globals::default() },
        routers: vec![Arc::new(router)],
        trackers: trackers.into_iter().map(Arc::new).collect(),
        ..Config::default()
    }
}
