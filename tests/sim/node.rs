//! One node: an engine, the kernel below it, and what it is configured to serve.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vipd::config::{
    AnnounceConfig, Cast, Config, Globals, GroupConfig, Peer, Preempt, Release, RouterConfig,
    RouterOptions, VirtualAddress,
};
use vipd::engine::{Engine, is_adoptable};
use vipd::io::KernelView;
use vipd::status::State;
use vipd::types::{AuthV2, Centis, Cidr, Dialect, Family, Now, Priority, V3Checksum, Vrid};

use crate::checks::{Checks, trackers};
use crate::follower::Follower;
use crate::kernel::{FakeKernel, FakeLink};
use crate::network::Load;
use crate::rng::Rng;

/// The VRID of the first router; the others follow.
pub const FIRST_VRID: u8 = 51;

pub struct Node {
    pub config: Arc<Config>,
    pub engine: Option<Engine>,
    pub kernel: FakeKernel,
    /// Not scheduled; packets pile up in its sockets.
    pub frozen: bool,
    /// Parts per million its clock runs fast or slow.
    rate_ppm: i64,
    pub booted: Duration,
    /// Time its monotonic clock stood still (suspend).
    pub slept: Duration,
    /// Frozen by a suspend, since when.
    pub asleep: Option<Duration>,
    /// What waits in its sockets, and by which LAN it came.
    pub socket: Vec<(usize, Load)>,
    /// Since when nobody renews its leases: killed or frozen.
    pub silent: Option<Duration>,
    pub checks: Checks,
    /// Who follows each router and group, by name.
    pub followers: BTreeMap<String, Follower>,
    pub members: Vec<Member>,
    /// Was told to stop.
    pub stopping: bool,
    /// Something happened to it that the laws have not been held against.
    pub touched: bool,
    /// When its engine is to be called, as of the moment it was touched last.
    pub wake: Option<Duration>,
    /// A check of it has answered since.
    pub probed: bool,
    /// Where its routers were then.
    pub judged: Vec<State>,
    /// Since when some of its routers are masters, and others of their group not.
    pub apart: Option<Duration>,
}

/// What is remembered of one router of a node.
#[derive(Default)]
pub struct Member {
    /// When it sent each advert.
    pub adverts: Vec<Duration>,
    /// The last of them was a resignation.
    pub resigned: bool,
    /// Has resigned since the laws were held against it.
    pub resigns: bool,
    /// Was master when it was told to stop: it owes a resignation before it lets go.
    pub owes_resignation: bool,
    /// Where the laws last saw it.
    pub seen: Option<State>,
}

/// What all nodes of a world have in common.
pub struct Service {
    pub count: usize,
    dialect: Dialect,
    interval: u16,
    vips: usize,
    all_equal: bool,
    unicast: bool,
    group: Option<Group>,
}

/// How the second router, which is in one sync group with the first, differs from it.
struct Group {
    /// Its adverts and addresses are on another LAN.
    elsewhere: bool,
    interval: u16,
    vips: usize,
    /// Only the first tracks, and nothing that moves a priority.
    one_tracks: bool,
    /// Decides what differs from node to node.
    rng: Rng,
}

impl Service {
    pub fn new(seed: u64, grouped: bool, rng: &mut Rng) -> Service {
        let count = 2 + rng.index(3);
        let dialect = rng.pick(&[
            Dialect::V2(AuthV2::None),
            Dialect::V2(AuthV2::pass(b"1111").unwrap()),
            Dialect::V3Ipv4(V3Checksum::PseudoHeader),
            Dialect::V3Ipv4(V3Checksum::MessageOnly),
            Dialect::V3Ipv6,
        ]);
        let interval = some_interval(dialect, rng);
        let vips = 1 + rng.index(3);
        let all_equal = rng.chance(15);
        let group = grouped.then(|| {
            let mut rng = Rng::new(!seed);
            Group {
                elsewhere: rng.chance(70),
                interval: if rng.chance(50) { interval } else { some_interval(dialect, &mut rng) },
                vips: 1 + rng.index(2),
                one_tracks: rng.chance(40),
                rng,
            }
        });
        let unicast = seed.is_multiple_of(3);
        Service { count, dialect, interval, vips, all_equal, unicast, group }
    }

    pub fn lans(&self) -> usize {
        if self.group.as_ref().is_some_and(|group| group.elsewhere) { 2 } else { 1 }
    }

    fn cast(&self, lan: usize) -> Cast {
        if self.unicast {
            // One list for all: each finds itself in it.
            let peer =
                |n| Peer { address: own_address(self.dialect, lan, n), accepted_ttl: 255..=255 };
            Cast::Unicast { peers: (0..self.count).map(peer).collect(), ttl: 255 }
        } else {
            Cast::Multicast { group: self.dialect.family().vrrp_group() }
        }
    }

    /// The next node, not booted yet.
    pub fn node(&mut self, n: usize, rng: &mut Rng) -> Node {
        let config = self.config(rng);
        let link = |lan| {
            let own = own_address(self.dialect, lan, n);
            FakeLink::new(lan, n, Cidr::new(own, if own.is_ipv4() { 24 } else { 64 }).unwrap())
        };
        Node {
            engine: None,
            kernel: FakeKernel::new((0..self.lans()).map(link).collect()),
            frozen: false,
            rate_ppm: i64::try_from(rng.below(1000)).unwrap() - 500,
            booted: Duration::ZERO,
            slept: Duration::ZERO,
            asleep: None,
            socket: Vec::new(),
            silent: None,
            checks: Checks::default(),
            followers: BTreeMap::new(),
            members: config.routers.iter().map(|_| Member::default()).collect(),
            stopping: false,
            touched: true,
            wake: None,
            probed: false,
            judged: Vec::new(),
            apart: None,
            config: Arc::new(config),
        }
    }

    fn config(&mut self, rng: &mut Rng) -> Config {
        let priority = if self.all_equal { 100 } else { u8::try_from(1 + rng.below(254)).unwrap() };
        let preempt = some_preemption(rng);
        let (trackers, track) = trackers(rng);
        let first = RouterConfig {
            name: "VI_1".to_owned(),
            iface: "eth0".parse().unwrap(),
            vrid: Vrid::try_from(FIRST_VRID).unwrap(),
            dialect: self.dialect,
            priority: Priority::try_from(priority).unwrap(),
            interval: Centis::try_from(self.interval).unwrap(),
            preempt,
            highest_peer_priority: None,
            strict: None,
            source: None,
            cast: self.cast(0),
            receive_buffer: None,
            addresses: addresses(self.dialect, 0, self.vips),
            announce: AnnounceConfig::default(),
            options: RouterOptions {
                answer_lower: rng.chance(80),
                advert_before_yield: rng.chance(90),
                max_learned_interval: Centis::try_from((self.interval * 3).max(300)).unwrap(),
                release: if rng.chance(80) { Release::AfterSuccessor } else { Release::Now },
                ..RouterOptions::default()
            },
            notify: Default::default(),
            track,
            track_interfaces: Vec::new(),
        };
        let startup_delay = if rng.chance(10) { Duration::from_secs(2) } else { Duration::ZERO };
        let mut config = Config {
            globals: Globals { startup_delay, ..Globals::default() },
            trackers: trackers.into_iter().map(Arc::new).collect(),
            ..Config::default()
        };
        let lan = self.lans() - 1;
        let cast = self.cast(lan);
        if let Some(group) = &mut self.group {
            let (first, second) = group.members(first, lan, cast);
            let members = vec![first.key(), second.key()];
            config.groups =
                vec![GroupConfig { name: "G".to_owned(), members, notify: Default::default() }];
            config.trackers.retain(|t| first.track.iter().any(|used| used.tracker == t.key));
            config.routers = vec![Arc::new(first), Arc::new(second)];
        } else {
            config.routers = vec![Arc::new(first)];
        }
        config
    }
}

impl Group {
    /// All nodes rank their members alike, as the manual asks for.
    fn members(
        &mut self,
        mut first: RouterConfig,
        lan: usize,
        cast: Cast,
    ) -> (RouterConfig, RouterConfig) {
        let mut second = RouterConfig {
            name: "VI_2".to_owned(),
            iface: format!("eth{lan}").parse().unwrap(),
            vrid: Vrid::try_from(FIRST_VRID + 1).unwrap(),
            interval: Centis::try_from(self.interval).unwrap(),
            cast,
            addresses: addresses(first.dialect, 1, self.vips),
            ..first.clone()
        };
        if self.one_tracks {
            first.track.retain(|track| track.weight.is_fault());
            second.track.clear();
        }
        if self.rng.chance(20) {
            second.preempt = some_preemption(&mut self.rng);
        }
        if self.rng.chance(20) {
            second.options.release = Release::Now;
        }
        (first, second)
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

    /// The first moment at which its clock shows its deadline.
    pub fn wake_time(&self) -> Option<Duration> {
        if self.frozen {
            return None;
        }
        let deadline = self.engine.as_ref()?.poll_deadline()?;
        let shown = i128::try_from(deadline.since_start().as_nanos()).unwrap();
        let real = shown * 1_000_000 / (1_000_000 + i128::from(self.rate_ppm));
        let mut at = self.booted + self.slept + Duration::from_nanos(u64::try_from(real).unwrap());
        while self.now(at) < deadline {
            at += Duration::from_nanos(1);
        }
        Some(at)
    }

    /// The LAN of its router `r`.
    pub fn lan(&self, r: usize) -> usize {
        let iface = &self.config.routers[r].iface;
        self.kernel.links.iter().position(|link| link.view().name == *iface).unwrap()
    }

    /// Which router floats an address.
    pub fn router_of(&self, address: IpAddr) -> usize {
        let floats =
            |cfg: &Arc<RouterConfig>| cfg.addresses.iter().any(|a| a.cidr.address() == address);
        self.config.routers.iter().position(floats).unwrap()
    }

    /// How many addresses of its router `r` are in place.
    pub fn held(&self, r: usize) -> usize {
        self.kernel.held.keys().filter(|address| self.router_of(**address) == r).count()
    }

    /// A new daemon, on what the last one left. Its actions wait.
    pub fn boot(&mut self, time: Duration) {
        self.kernel.queue.clear();
        // What the shell does at start: leftovers of a crash go before the engine looks, unless the
        // engine can go on with them.
        let table = self.kernel.table(time);
        let stays: Vec<bool> =
            self.config.routers.iter().map(|router| is_adoptable(router, &table)).collect();
        let leftovers: Vec<IpAddr> =
            self.kernel.held.keys().copied().filter(|a| !stays[self.router_of(*a)]).collect();
        for address in leftovers {
            self.kernel.held.remove(&address);
        }
        self.silent = None;
        self.socket.clear();
        self.booted = time;
        self.slept = Duration::ZERO;
        self.asleep = None;
        self.stopping = false;
        self.touched = true;
        self.judged.clear();
        self.apart = None;
        for member in &mut self.members {
            member.resigned = false;
            member.resigns = false;
            member.owes_resignation = false;
            member.seen = None;
        }
        self.checks.forget();
        self.followers.clear();
        let host = KernelView { links: self.kernel.table(time), uptime: time };
        self.engine = Some(Engine::new(Arc::clone(&self.config), host, self.now(time)));
    }
}

fn some_interval(dialect: Dialect, rng: &mut Rng) -> u16 {
    match dialect {
        Dialect::V2(_) => rng.pick(&[100_u16, 200, 500]),
        Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => rng.pick(&[2_u16, 10, 50, 100, 300]),
    }
}

fn some_preemption(rng: &mut Rng) -> Preempt {
    match rng.below(4) {
        0 => Preempt::Never,
        1 => Preempt::After(Duration::from_secs(rng.below(5))),
        _ => Preempt::After(Duration::ZERO),
    }
}

/// What node `n` brings along on each LAN.
fn own_address(dialect: Dialect, lan: usize, n: usize) -> IpAddr {
    let (lan, node) = (u8::try_from(lan).unwrap(), 2 + u8::try_from(n).unwrap());
    match dialect.family() {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 0, lan, node)),
        Family::Ipv6 => {
            let (lan, node) = (u16::from(lan), u16::from(node));
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, lan, 0, node))
        }
    }
}

/// The addresses router `r` floats.
fn addresses(dialect: Dialect, r: usize, count: usize) -> Vec<Arc<VirtualAddress>> {
    let address = |n: usize| {
        let (r, n) = (u8::try_from(r).unwrap(), u8::try_from(n).unwrap());
        let ip = match dialect.family() {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 0, r, 200 + n)),
            Family::Ipv6 => {
                IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1 + u16::from(r), u16::from(n)))
            }
        };
        Arc::new(VirtualAddress::new(Cidr::host(ip)))
    };
    (0..count).map(address).collect()
}
