//! An engine with listeners in front of a simulated Patroni cluster, and the laws of a proxy:
//! never two servers to write to, none that ceased to be the primary, and one soon after there is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use vipd::config::Config;
use vipd::engine::Engine;
use vipd::io::{Action, Input, KernelView, ProbeId};
use vipd::pool::{
    Admission, Hint, Hinted, ListenerId, PoolView, Role, Server, ServerId, SessionPolicy, Wants,
    session_policy,
};
use vipd::track::outcome::{Cause, Outcome, Verdict};
use vipd::track::patroni::{Answer, NoAnswer, Said, Topic};
use vipd::types::Now;

use crate::patroni::{Cluster, Ms, NODES, Pg};
use crate::rng::Rng;
use crate::settings::{self, INTERVAL, TIMEOUT};

const TICK: Ms = 5;
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
    cancelled: BTreeSet<ProbeId>,
    views: BTreeMap<ListenerId, Arc<PoolView>>,
    /// The listeners by name; those that were closed are published a last time.
    listeners: BTreeMap<String, ListenerId>,
    /// Sessions of clients that write.
    sessions: Vec<Session>,
    /// The configuration is not the usual one, so that no bound in time is known.
    wild: bool,
    /// A standby that comes and goes, and how often still.
    flapping: (usize, u32),
    /// Since when each node has led, and been heard to; or not led, though it speaks.
    led: Vec<Option<Ms>>,
    astray: Vec<Option<Ms>>,
    /// Since when somebody could be read from.
    readable: Option<Ms>,
}

/// A session of a client that writes.
#[derive(Clone, Copy, Debug)]
struct Session {
    listener: ListenerId,
    server: ServerId,
    node: usize,
}

enum Flight {
    /// A question arrives.
    Asked { probe: ProbeId, topic: Option<Topic>, node: usize, deadline: Ms },
    /// Its answer does.
    Answered { probe: ProbeId, topic: Option<Topic>, said: Option<Said> },
}

impl Proxy {
    fn new(seed: u64) -> Proxy {
        let mut rng = Rng::new(seed);
        let world = Cluster::new(Rng::new(rng.next()));
        let kernel = KernelView { links: Vec::new(), uptime: Duration::from_secs(100) };
        let mut proxy = Proxy {
            engine: Engine::new(Arc::new(settings::usual()), kernel, Now::ZERO),
            world,
            rng,
            seed,
            flights: BTreeMap::new(),
            sequence: 0,
            story: VecDeque::new(),
            asking: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            views: BTreeMap::new(),
            listeners: BTreeMap::new(),
            sessions: Vec::new(),
            wild: false,
            flapping: (0, 0),
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

    /// What clients of a listener find, if it is open.
    fn view(&self, listener: &str) -> Option<(ListenerId, &PoolView)> {
        let id = *self.listeners.get(listener)?;
        Some((id, self.views.get(&id)?))
    }

    fn input(&mut self, input: Input<'_>) {
        let hint = matches!(input, Input::Hinted(_));
        self.engine.handle(self.now(), input);
        self.perform(!hint);
    }

    /// As the daemon does it after its inputs: what is due, and then nothing is.
    fn tick(&mut self) {
        if self.engine.poll_deadline().is_none_or(|at| at > self.now()) {
            return;
        }
        self.input(Input::Tick);
        let overdue = self.engine.is_overdue();
        let next = self.engine.poll_deadline().is_none_or(|at| at > self.now());
        assert!(!overdue && next, "{}: a deadline in the past", self.place());
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
                    self.published(listener, &view);
                    self.views.insert(listener, view);
                }
                Action::Cancel { probe } => {
                    self.asking.remove(&probe);
                    self.cancelled.insert(probe);
                }
                Action::Listen { listener, config } => {
                    self.listeners.insert(config.name().to_owned(), listener);
                }
                Action::Unlisten { listener } => {
                    self.listeners.retain(|_, id| *id != listener);
                }
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

    fn published(&mut self, listener: ListenerId, view: &PoolView) {
        if view.wants == Wants::Writer {
            let writers = view.servers.iter().filter(|server| writes(server)).count();
            assert!(writers <= 1, "{}: {writers} servers to write to", self.place());
        }
        self.sessions.retain(|s| {
            s.listener != listener || session_policy(view, s.server) == SessionPolicy::Keep
        });
    }

    /// The node clients that write are sent to.
    fn writer(&self) -> Option<usize> {
        self.place_of_writer().map(|session| session.node)
    }

    fn place_of_writer(&self) -> Option<Session> {
        let (listener, view) = self.view("writers").filter(|(_, v)| v.wants == Wants::Writer)?;
        let server = view.servers.iter().find(|server| writes(server))?;
        let node = server.name.strip_prefix("pg-").unwrap().parse().unwrap();
        Some(Session { listener, server: server.id, node })
    }

    fn has_sessions(&self, node: usize) -> bool {
        self.sessions.iter().any(|session| session.node == node)
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
                let Some(asked) = self.asking.remove(&probe) else {
                    assert!(self.cancelled.contains(&probe), "{}", self.place());
                    return;
                };
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

    fn hint(&mut self, about: Session, hint: Hint, count: u32) {
        let Session { listener, server, .. } = about;
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
            let first = self.sessions.iter().find(|session| session.node == n).copied();
            if let Some(first) = first.filter(|_| reached) {
                let before = self.sessions.len();
                self.sessions.retain(|session| session.node != n);
                let count = u32::try_from(before - self.sessions.len()).unwrap();
                self.hint(first, Hint::Ended, count);
            }
        }
        if !self.world.now.is_multiple_of(50) || self.sessions.len() > 3 {
            return;
        }
        let Some(new) = self.place_of_writer() else { return };
        let node = &self.world.nodes[new.node];
        match (node.cut || node.off, node.pg) {
            (true, _) => self.hint(new, Hint::Unreachable, 1),
            (false, Pg::Running) => self.sessions.push(new),
            (false, Pg::Stopping(_) | Pg::Starting(_)) => self.hint(new, Hint::NotNow, 1),
            (false, Pg::Crashed(_) | Pg::Stopped(_)) => self.hint(new, Hint::Refused, 1),
        }
    }

    /// A standby that comes and goes does so.
    fn flap(&mut self) {
        let (n, times) = self.flapping;
        if times > 0 && self.world.nodes[n].pg == Pg::Running && self.rng.below(200) == 0 {
            let takes = self.rng.pick(&[50, 500, 2500]);
            self.world.restart_standby(n, takes);
            self.flapping.1 -= 1;
        }
    }

    fn step(&mut self) {
        self.world.step(TICK);
        for n in std::mem::take(&mut self.world.promoted) {
            self.note(&format!("pg-{n} is promoted"));
            let old = |server: usize| server != n && self.world.writable(server);
            let stuck = self.sessions.iter().filter(|session| old(session.node)).count();
            assert_eq!(stuck, 0, "{}: sessions when pg-{n} becomes primary", self.place());
            let used = self.writer().filter(|server| old(*server));
            assert_eq!(used, None, "{}: used when pg-{n} becomes primary", self.place());
        }
        self.flap();
        self.clients();
        self.land_all();
        self.tick();
        if !self.wild {
            self.check();
        }
    }

    /// What has come by now.
    fn land_all(&mut self) {
        let now = self.world.now;
        while let Some(entry) = self.flights.first_entry().filter(|e| e.key().0 <= now) {
            let flight = entry.remove();
            self.land(flight);
        }
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
                let stays = self.has_sessions(n);
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
            let usable = |s: &Server| s.admission == Admission::Up;
            let any = self.view("any").is_some_and(|(_, view)| view.servers.iter().any(usable));
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

/// It takes new sessions of those who write.
fn writes(server: &Server) -> bool {
    server.role == Role::Primary && server.admission == Admission::Up
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

impl Proxy {
    /// Something happens to nodes, to the configuration, or to this host.
    fn wild(&mut self) {
        let n = self.rng.index(NODES);
        let what = self.rng.below(16);
        self.note(&format!("wild {what} at pg-{n}"));
        match what {
            0..=5 => {
                let settings = self.world.settings;
                // What the lease may be at most, and the time to hear of it.
                let most = settings.ttl - settings.loop_wait - Duration::from_secs(4);
                let config = settings::any(&mut self.rng, most);
                self.reload(config);
            }
            6 | 7 => self.flapping = (n, 8),
            8 => self.world.nodes[n].slow ^= true,
            9 => {
                let zone = self.rng.pick(&["a", "b"]);
                self.world.nodes[n].tags.insert("zone".to_owned(), zone.to_owned());
            }
            10 => {
                let loud = if self.rng.chance(50) { "true" } else { "false" };
                self.world.nodes[n].tags.insert("noloadbalance".to_owned(), loud.to_owned());
            }
            11 => self.sleep(true),
            12 => self.sleep(false),
            13 => self.world.heal(),
            _ => self.fault(),
        }
    }

    fn reload(&mut self, config: Config) {
        self.input(Input::Reload(Arc::new(config)));
    }

    /// The host sleeps, or only the daemon does not run.
    fn sleep(&mut self, host: bool) {
        let gap = 100 + self.rng.below(if host { 60_000 } else { 20_000 });
        for _ in 0..gap / TICK {
            self.world.step(TICK);
            self.flap();
        }
        if host {
            self.input(Input::Suspended { gap: Duration::from_millis(gap) });
        } else {
            self.input(Input::Stalled { gap: Duration::from_millis(gap) });
        }
        // Answers have waited for longer than anything sessions notice now.
        self.land_all();
        self.world.promoted.clear();
    }
}

/// Any settings, one after the other, and whatever nodes do; in the end, with the usual ones, the
/// cluster is written to, and whoever was taken out of the configuration is gone.
pub fn fate_of_settings(seed: u64, steps: u64) {
    let mut proxy = Proxy::new(seed);
    proxy.run(2000);
    proxy.wild = true;
    while proxy.world.now < steps * TICK {
        proxy.wild();
        let most = if proxy.rng.chance(20) { 70_000 } else { 4000 };
        let pause = proxy.rng.below(most);
        proxy.run(pause);
    }
    proxy.note("everything is as usual again");
    proxy.flapping = (0, 0);
    proxy.reload(settings::usual());
    proxy.world.heal();
    let ttl = u64::try_from(proxy.world.settings.ttl.as_millis()).unwrap();
    proxy.run(ttl + 60_000);
    assert_eq!(proxy.writer(), proxy.world.key.map(|(leader, _)| leader), "{}", proxy.place());
    if seed.is_multiple_of(4) {
        proxy.run(700_000);
        let servers = proxy.views.values().map(|view| view.servers.len()).sum::<usize>();
        assert_eq!(servers, 2 * NODES, "{}: servers that never leave", proxy.place());
    }
}
