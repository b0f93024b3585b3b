//! An engine with listeners in front of a simulated Patroni cluster, and the laws of a proxy:
//! never two servers to write to, none that ceased to be the primary, and one soon after there is.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::checks::{Endpoint, HttpTarget, MaxLag};
use vipd::config::{
    BindConfig, ClusterConfig, Config, HoldConfig, ListenerConfig, ListenerProtocol,
    LivenessConfig, Members, OnDown, PatroniCluster, PatroniMember, ProbeRhythm, ServerConfig,
};
use vipd::engine::{Action, Engine, Input, KernelView, ProbeId};
use vipd::pool::{
    Admission, Balance, Fate, Hint, Hinted, ListenerId, PoolView, Role, ServerId, Wants, Weight,
    fate,
};
use vipd::track::outcome::{Cause, Outcome, Verdict};
use vipd::track::patroni::{Answer, NoAnswer, Said, Topic};
use vipd::types::Now;

use crate::patroni::{Cluster, Ms, NODES, Pg};
use crate::rng::Rng;

const TICK: Ms = 5;
const INTERVAL: Ms = 1000;
const TIMEOUT: Ms = 500;
/// An answer takes no longer than this each way.
const SLOWEST: Ms = 200;
/// Whatever a node says is known by then: an interval, a slow answer, and one lost before.
const KNOWN: Ms = INTERVAL + TIMEOUT + 2 * SLOWEST;
/// A writer is used so long after it could be, its port being looked at again included.
const FOUND: Ms = 2 * KNOWN;

struct Proxy {
    engine: Engine,
    world: Cluster,
    rng: Rng,
    seed: u64,
    flights: BTreeMap<(Ms, u64), Flight>,
    sequence: u64,
    /// The last things that happened.
    story: VecDeque<String>,
    asking: BTreeMap<ProbeId, Ms>,
    views: BTreeMap<ListenerId, Arc<PoolView>>,
    /// Sessions of clients that write, by node.
    sessions: Vec<usize>,
    /// Since when each node has led, and been heard to; or not led, though it speaks.
    led: Vec<Option<Ms>>,
    astray: Vec<Option<Ms>>,
    /// Since when somebody could be read from.
    readable: Option<Ms>,
}

enum Flight {
    /// A question arrives.
    Asked { probe: ProbeId, topic: Option<Topic>, node: usize, deadline: Ms },
    /// Its answer does.
    Answered { probe: ProbeId, topic: Option<Topic>, said: Option<Said> },
}

fn endpoint(n: usize, port: u16) -> Endpoint {
    Endpoint::parse(&format!("10.0.0.{n}:{port}"), None).unwrap()
}

fn config() -> Config {
    let member = |n| PatroniMember {
        name: format!("pg-{n}").into(),
        address: endpoint(n, 5432),
        api: HttpTarget { endpoint: endpoint(n, 8008), tls: None, host: None, headers: Vec::new() },
    };
    let cluster = ClusterConfig {
        name: "main".to_owned(),
        members: Members::Patroni(PatroniCluster {
            members: (0..NODES).map(member).collect(),
            fast_interval: Duration::from_millis(100),
            silence: Duration::from_secs(5),
            lease: None,
        }),
        rhythm: ProbeRhythm {
            interval: Duration::from_millis(INTERVAL),
            down_interval: Duration::from_millis(INTERVAL),
            timeout: Duration::from_millis(TIMEOUT),
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN,
        },
    };
    let server = |member| ServerConfig {
        member,
        address: None,
        weight: Weight::ONE,
        maxconn: None,
        backup: false,
        disabled: false,
    };
    let listener = |name: &str, wants, port| ListenerConfig {
        name: name.to_owned(),
        binds: vec![BindConfig {
            address: ([0, 0, 0, 0], port).into(),
            v6_only: false,
            interface: None,
        }],
        cluster: 0,
        servers: (0..NODES).map(server).collect(),
        wants,
        fallback: false,
        balance: Balance::RoundRobin,
        all_backups: false,
        max_lag: MaxLag::default(),
        tags: Vec::new(),
        protocol: ListenerProtocol::Postgres,
        maxconn: None,
        backlog: 128,
        connect_timeout: Duration::from_secs(1),
        first_message: Duration::from_secs(60),
        hold: HoldConfig::default(),
        idle: None,
        half_closed: None,
        on_down: OnDown::End,
        client: LivenessConfig::default(),
        server: LivenessConfig::default(),
    };
    Config {
        clusters: vec![Arc::new(cluster)],
        listeners: vec![
            Arc::new(listener("writers", Wants::Writer, 5000)),
            Arc::new(listener("any", Wants::Any, 5001)),
        ],
        ..Config::default()
    }
}

impl Proxy {
    fn new(seed: u64) -> Proxy {
        let mut rng = Rng::new(seed);
        let world = Cluster::new(Rng::new(rng.next()));
        let kernel = KernelView { links: Vec::new(), uptime: Duration::from_secs(100) };
        let mut proxy = Proxy {
            engine: Engine::new(Arc::new(config()), kernel, Now::ZERO),
            world,
            rng,
            seed,
            flights: BTreeMap::new(),
            sequence: 0,
            story: VecDeque::new(),
            asking: BTreeMap::new(),
            views: BTreeMap::new(),
            sessions: Vec::new(),
            led: vec![None; NODES],
            astray: vec![None; NODES],
            readable: None,
        };
        proxy.perform(true);
        proxy
    }

    fn now(&self) -> Now {
        Now::from_start(Duration::from_millis(self.world.now))
    }

    fn place(&self) -> String {
        let story: Vec<&str> = self.story.iter().map(String::as_str).collect();
        format!("{}\nVIPD_SIM_SEED={} at {} ms", story.join("\n"), self.seed, self.world.now)
    }

    fn view(&self, wants: Wants) -> &PoolView {
        self.views.values().find(|view| view.wants == wants).unwrap()
    }

    fn input(&mut self, input: Input<'_>) {
        let hint = matches!(input, Input::Hinted(_));
        self.engine.handle(self.now(), input);
        self.perform(!hint);
    }

    fn perform(&mut self, may_publish: bool) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Ask { probe, question, timeout } => {
                    let host = question.target().endpoint.host.to_string();
                    self.ask(probe, Some(question.topic()), &host, timeout);
                }
                Action::Probe { probe, check, timeout } => {
                    let subject = check.subject();
                    let host = subject.split(':').next().unwrap();
                    self.ask(probe, None, host, timeout);
                }
                Action::Publish { listener, view } => {
                    assert!(may_publish, "{}: a hint changed a view", self.place());
                    self.published(&view);
                    self.views.insert(listener, view);
                }
                Action::Listen { .. } => {}
                Action::Record(event) => self.note(&event.message),
                other => panic!("{}: {other:?}", self.place()),
            }
        }
    }

    /// For people who look at one seed.
    fn note(&mut self, what: &str) {
        if self.story.len() >= 64 {
            self.story.pop_front();
        }
        self.story.push_back(format!("{:7} {what}", self.world.now));
    }

    fn ask(&mut self, probe: ProbeId, topic: Option<Topic>, host: &str, timeout: Duration) {
        let now = self.world.now;
        let node = host.rsplit('.').next().unwrap().parse().unwrap();
        let before = self.asking.insert(probe, now);
        assert!(before.is_none(), "{}: {probe:?} is asked twice", self.place());
        let deadline = now + u64::try_from(timeout.as_millis()).unwrap();
        let delay = self.delay();
        self.fly(now + delay, Flight::Asked { probe, topic, node, deadline });
    }

    fn delay(&mut self) -> Ms {
        if self.rng.chance(3) { self.rng.below(SLOWEST) } else { 1 + self.rng.below(3) }
    }

    fn fly(&mut self, at: Ms, flight: Flight) {
        self.sequence += 1;
        self.flights.insert((at, self.sequence), flight);
    }

    fn published(&mut self, view: &PoolView) {
        if view.wants != Wants::Writer {
            return;
        }
        let writers = view.servers.iter().filter(|server| server.role == Role::Primary);
        let writers = writers.filter(|server| server.admission == Admission::Usable).count();
        assert!(writers <= 1, "{}: {writers} servers to write to", self.place());
        let id = |n: usize| view.servers[n].id;
        self.sessions.retain(|n| fate(view, id(*n)) == Fate::Keep);
    }

    /// The node clients that write are sent to.
    fn writer(&self) -> Option<usize> {
        let servers = &self.view(Wants::Writer).servers;
        servers.iter().position(|s| s.role == Role::Primary && s.admission == Admission::Usable)
    }

    fn land(&mut self, flight: Flight) {
        match flight {
            Flight::Asked { probe, topic, node, deadline } => {
                let port = topic.is_none();
                let reached = !self.world.nodes[node].off && !self.world.nodes[node].cut;
                let heard = if port { reached } else { self.world.speaks(node) };
                let said = heard.then(|| self.said(topic, node)).flatten();
                let refused = port && reached && said.is_none();
                let delay = self.delay();
                let at = if said.is_some() || refused {
                    (self.world.now + delay).min(deadline)
                } else {
                    deadline
                };
                self.fly(at, Flight::Answered { probe, topic, said });
            }
            Flight::Answered { probe, topic, said } => {
                let asked = self.asking.remove(&probe).unwrap();
                let took = Duration::from_millis(self.world.now - asked);
                let failed = || Verdict::Failed(Cause::TimedOut);
                if topic.is_none() {
                    let verdict = if said.is_some() { Verdict::Passed } else { failed() };
                    let (detail, output) = (String::new(), String::new());
                    let outcome = Outcome { verdict, detail, output, took };
                    self.input(Input::Probed { probe, outcome });
                } else {
                    let nothing = NoAnswer { cause: Cause::TimedOut, detail: String::new() };
                    let answer = Answer { said: said.ok_or(nothing), took };
                    self.input(Input::Answered { probe, answer });
                }
            }
        }
    }

    fn said(&self, topic: Option<Topic>, node: usize) -> Option<Said> {
        match topic {
            Some(Topic::Node) => Some(Said::Node(Box::new(self.world.node_answer(node)))),
            Some(Topic::Settings) => Some(Said::Settings(self.world.settings)),
            Some(Topic::Members) => self.world.members(node).map(Said::Members),
            // Whether the port answers; what is said does not matter.
            None => (self.world.nodes[node].pg == Pg::Running)
                .then_some(Said::Settings(self.world.settings)),
        }
    }

    fn hint(&mut self, node: usize, hint: Hint, count: u32) {
        let wanted = |view: &Arc<PoolView>| view.wants == Wants::Writer;
        let (listener, view) = self.views.iter().find(|(_, view)| wanted(view)).unwrap();
        let (listener, server): (ListenerId, ServerId) = (*listener, view.servers[node].id);
        self.input(Input::Hinted(Hinted { listener, server, hint, count }));
    }

    /// Clients that want to write connect, and their sessions end with the server's.
    fn clients(&mut self) {
        let ended = std::mem::take(&mut self.world.ended);
        // Those that ended behind a cut link are noticed when it is there again.
        let dead = |n: &usize| !matches!(self.world.nodes[*n].pg, Pg::Running | Pg::Stopping(_));
        let dead: Vec<usize> = (0..NODES).filter(dead).collect();
        for n in ended.into_iter().chain(dead) {
            let reached = !self.world.nodes[n].cut && !self.world.nodes[n].off;
            if reached && self.sessions.contains(&n) {
                let before = self.sessions.len();
                self.sessions.retain(|server| *server != n);
                let count = u32::try_from(before - self.sessions.len()).unwrap();
                self.hint(n, Hint::Ended, count);
            }
        }
        if !self.world.now.is_multiple_of(50) || self.sessions.len() > 3 {
            return;
        }
        let Some(n) = self.writer() else { return };
        let node = &self.world.nodes[n];
        match (node.cut || node.off, node.pg) {
            (true, _) => self.hint(n, Hint::Unreachable, 1),
            (false, Pg::Running) => self.sessions.push(n),
            (false, Pg::Stopping(_) | Pg::Starting(_)) => self.hint(n, Hint::NotNow, 1),
            (false, Pg::Crashed(_) | Pg::Stopped(_)) => self.hint(n, Hint::Refused, 1),
        }
    }

    fn step(&mut self) {
        self.world.step(TICK);
        for n in std::mem::take(&mut self.world.promoted) {
            self.note(&format!("pg-{n} is promoted"));
            let old = |server: &usize| *server != n && self.world.writable(*server);
            let stuck = self.sessions.iter().filter(|server| old(server)).count();
            assert_eq!(stuck, 0, "{}: sessions when pg-{n} becomes primary", self.place());
            let used = self.writer().filter(old);
            assert_eq!(used, None, "{}: used when pg-{n} becomes primary", self.place());
        }
        self.clients();
        let now = self.world.now;
        while let Some(entry) = self.flights.first_entry().filter(|e| e.key().0 <= now) {
            let flight = entry.remove();
            self.land(flight);
        }
        if self.engine.poll_deadline().is_some_and(|at| at <= self.now()) {
            self.input(Input::Tick);
        }
        self.check();
    }

    fn check(&mut self) {
        let now = self.world.now;
        let writer = self.writer();
        for n in 0..NODES {
            let speaks = self.world.speaks(n);
            let leads = self.world.leads(n);
            let keep = |since: Option<Ms>, holds: bool| holds.then(|| since.unwrap_or(now));
            self.led[n] = keep(self.led[n], leads && speaks);
            self.astray[n] = keep(self.astray[n], !leads && speaks);
            if self.astray[n].is_some_and(|since| now - since > KNOWN) {
                assert_ne!(writer, Some(n), "{}: pg-{n} has not led for long", self.place());
                let stays = self.sessions.contains(&n);
                assert!(!stays, "{}: sessions on pg-{n}, which does not lead", self.place());
            }
            if self.led[n].is_some_and(|since| now - since > FOUND) {
                let others = (0..NODES).any(|other| other != n && self.world.leads(other));
                assert!(writer == Some(n) || others, "{}: pg-{n} is not used", self.place());
            }
        }
        let runs = |n: usize| self.world.speaks(n) && self.world.nodes[n].pg == Pg::Running;
        self.readable = if (0..NODES).any(runs) { self.readable.or(Some(now)) } else { None };
        if self.readable.is_some_and(|since| now - since > FOUND) {
            let usable = |s: &vipd::pool::Server| s.admission == Admission::Usable;
            let any = self.view(Wants::Any).servers.iter().any(usable);
            assert!(any || !(0..NODES).all(|n| !runs(n)), "{}: no reads", self.place());
        }
    }

    fn fault(&mut self) {
        let n = match self.world.key {
            Some((leader, _)) if self.rng.chance(60) => leader,
            _ => self.rng.index(NODES),
        };
        let what = self.rng.below(10);
        self.note(&format!("fault {what} at pg-{n}"));
        match what {
            0..=2 => self.world.switchover(),
            3 => self.world.crash_postgres(n),
            4 => self.world.nodes[n].frozen = true,
            5 => self.world.nodes[n].cut = true,
            6 => self.world.nodes[n].astray = true,
            7 => self.world.store = false,
            8 => self.world.nodes[n].mute = true,
            _ => self.world.switch_off(n),
        }
    }

    fn run(&mut self, time: Ms) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.step();
        }
    }
}

/// Faults and quiet in turn; at the end of each quiet the cluster is written to.
pub fn fate_of_clusters(seed: u64, rounds: u64) {
    let mut proxy = Proxy::new(seed);
    proxy.run(2000);
    assert_eq!(proxy.writer(), Some(0), "{}", proxy.place());
    for _ in 0..rounds {
        for _ in 0..1 + proxy.rng.below(3) {
            proxy.fault();
            let most = if proxy.rng.chance(30) { 45_000 } else { 4000 };
            let pause = 200 + proxy.rng.below(most);
            proxy.run(pause);
        }
        proxy.note("everything works again");
        proxy.world.heal();
        let ttl = u64::try_from(proxy.world.settings.ttl.as_millis()).unwrap();
        proxy.run(ttl + 30_000);
        let leader = proxy.world.key.map(|(leader, _)| leader);
        assert!(leader.is_some(), "{}: nobody leads the simulated cluster", proxy.place());
        assert_eq!(proxy.writer(), leader, "{}", proxy.place());
    }
}
