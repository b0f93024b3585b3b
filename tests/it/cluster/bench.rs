//! One engine with clusters and listeners, driven by hand: the nodes answer what a test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vipd::config::checks::{Check, Endpoint, HostName, HttpTarget, MaxLag, TcpCheck};
use vipd::config::{
    ClusterConfig, Config, Frontend, ListenerConfig, ListenerProtocol, Members, OnDown,
    PatroniCluster, PatroniMember, PlainMember, ProbeRhythm, ServerConfig, ServerOptions,
};
use vipd::engine::Engine;
use vipd::io::{Action, Applied, Input, KernelView, Level, OpId, ProbeId};
use vipd::pool::{
    Admission, Hint, Hinted, ListenerId, PoolView, Server, SessionPolicy, Wants, session_policy,
};
use vipd::status::ClusterStatus;
use vipd::track::outcome::{Cause, Outcome, Verdict};
use vipd::track::patroni::{Answer, NoAnswer, Question, Topic};
use vipd::types::Now;

use crate::engine::setup::links;

pub const INTERVAL: Duration = Duration::from_secs(1);
pub const TIMEOUT: Duration = Duration::from_millis(500);
pub const FAST: Duration = Duration::from_millis(100);
pub const SILENCE: Duration = Duration::from_secs(5);
/// Of the wall clock, whatever the engine's says.
const WALL: &str = "2026-11-21T09:00:10Z";

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text, None).unwrap()
}

fn target(n: usize) -> HttpTarget {
    let endpoint = endpoint(&format!("10.0.0.{n}:8008"));
    HttpTarget { endpoint, tls: None, host: None, headers: Vec::new() }
}

pub fn rhythm() -> ProbeRhythm {
    let one = NonZeroU32::MIN;
    ProbeRhythm {
        interval: INTERVAL,
        fast_interval: FAST,
        down_interval: INTERVAL,
        timeout: TIMEOUT,
        rise: one,
        fall: one.saturating_add(1),
    }
}

/// A Patroni cluster of pg-1 to pg-`count`.
pub fn patroni(count: usize) -> ClusterConfig {
    let member = |n| PatroniMember {
        name: format!("pg-{n}").into(),
        address: endpoint(&format!("10.0.0.{n}:5432")),
        api: target(n),
    };
    ClusterConfig {
        name: "main".to_owned(),
        members: Members::Patroni(PatroniCluster {
            members: (1..=count).map(member).collect(),
            down_after: SILENCE,
            primary_lease: None,
            by_status: false,
        }),
        rhythm: rhythm(),
        resolve_at_start: false,
    }
}

/// Servers web-1 to web-`count`, of which the last is not checked.
pub fn plain(count: usize) -> ClusterConfig {
    let member = |n| {
        let address = endpoint(&format!("10.0.1.{n}:80"));
        let check = Check::Tcp(TcpCheck { endpoint: address.clone(), tls: None });
        let check = (n < count).then(|| Arc::new(check));
        PlainMember { name: format!("web-{n}").into(), address, check }
    };
    ClusterConfig {
        name: "web".to_owned(),
        members: Members::Plain((1..=count).map(member).collect()),
        rhythm: ProbeRhythm { fast_interval: INTERVAL, ..rhythm() },
        resolve_at_start: false,
    }
}

/// A listener for all members of the first cluster.
pub fn listener(name: &str, wants: Wants, servers: usize) -> ListenerConfig {
    let server = |member| ServerConfig { member, address: None, options: ServerOptions::default() };
    let port = 5000 + u16::try_from(name.len()).unwrap();
    let binds = vec![SocketAddr::from(([0, 0, 0, 0], port)).into()];
    ListenerConfig {
        frontend: Frontend::new(name, ListenerProtocol::Postgres, binds),
        cluster: 0,
        servers: (0..servers).map(server).collect(),
        wants,
        fallback: wants == Wants::Reader,
        max_lag: MaxLag::default(),
        tags: Vec::new(),
        replication_state: None,
        on_down: OnDown::End,
        by_status: None,
    }
}

pub fn config(clusters: Vec<ClusterConfig>, listeners: Vec<ListenerConfig>) -> Config {
    Config {
        clusters: clusters.into_iter().map(Arc::new).collect(),
        listeners: listeners.into_iter().map(Arc::new).collect(),
        ..Config::default()
    }
}

/// The listeners most tests need, over three nodes.
pub fn usual() -> Config {
    let all = [("writers", Wants::Writer), ("readers", Wants::Reader), ("any", Wants::Any)];
    let listeners = all.into_iter().map(|(name, wants)| listener(name, wants, 3)).collect();
    config(vec![patroni(3)], listeners)
}

/// What a node says to `GET /primary`.
#[derive(Clone, Debug)]
pub enum Says {
    Json(u16, Value),
    Nothing(Cause),
}

/// A primary that takes writes, on a timeline.
pub fn primary(timeline: u64) -> Says {
    Says::Json(200, body("running", "primary", timeline, &json!({ "location": 10_000_000 })))
}

/// A streaming standby.
pub fn standby(timeline: u64) -> Says {
    let log = json!({ "received_location": 10_000_000, "replayed_location": 10_000_000 });
    Says::Json(503, body("running", "replica", timeline, &log))
}

/// A node whose Patroni cannot ask PostgreSQL: code, state and role are all it says.
pub fn bare(status: u16, state: &str, role: &str) -> Says {
    Says::Json(status, json!({ "state": state, "role": role, "patroni": { "version": "3.0.2" } }))
}

pub fn silent() -> Says {
    Says::Nothing(Cause::TimedOut)
}

fn body(state: &str, role: &str, timeline: u64, log: &Value) -> Value {
    json!({
        "state": state, "role": role, "timeline": timeline, "xlog": log,
        "database_system_identifier": "7000000000000000001",
        "patroni": { "version": "3.3.2", "scope": "main" },
    })
}

impl Says {
    /// With one more field.
    pub fn with(self, field: &str, value: Value) -> Says {
        match self {
            Says::Json(status, mut body) => {
                body[field] = value;
                Says::Json(status, body)
            }
            Says::Nothing(_) => self,
        }
    }

    /// With another status code.
    pub fn status(self, status: u16) -> Says {
        match self {
            Says::Json(_, body) => Says::Json(status, body),
            Says::Nothing(_) => self,
        }
    }
}

pub struct Bench {
    pub engine: Engine,
    pub now: Now,
    pub config: Config,
    /// Questions under way, by what they ask and whom.
    pub asked: BTreeMap<(Topic, usize), (ProbeId, Arc<Question>)>,
    /// Checks under way, by what they look at.
    pub checked: BTreeMap<String, ProbeId>,
    pub views: BTreeMap<String, Arc<PoolView>>,
    ids: BTreeMap<ListenerId, String>,
    /// Views published since last asked.
    pub published: usize,
    pub logs: Vec<(Level, String)>,
    /// What routers want of the kernel.
    ops: Vec<OpId>,
    /// Everything else it did.
    pub did: Vec<String>,
    /// What the nodes answer, by their numbers.
    pub nodes: BTreeMap<usize, Says>,
    /// Whom `GET /cluster` names as the leader; 0 for nobody.
    pub leader: usize,
    /// Nodes whose own port does not answer.
    pub dead_ports: Vec<usize>,
    /// Why they fail.
    pub port_failure: Cause,
    /// When the cluster's store was asked.
    pub store_reads: Vec<Now>,
    /// What `GET /config` says.
    pub settings: Value,
    /// When each node was asked about itself.
    pub rounds: BTreeMap<usize, Vec<Now>>,
}

impl Bench {
    pub fn start(config: Config) -> Bench {
        let now = Now::from_start(secs(1));
        let kernel = KernelView { links: links(), uptime: secs(100) };
        let mut bench = Bench {
            engine: Engine::new(Arc::new(config.clone()), kernel, now),
            now,
            config,
            asked: BTreeMap::new(),
            checked: BTreeMap::new(),
            views: BTreeMap::new(),
            ids: BTreeMap::new(),
            published: 0,
            logs: Vec::new(),
            ops: Vec::new(),
            did: Vec::new(),
            nodes: BTreeMap::new(),
            leader: 1,
            dead_ports: Vec::new(),
            port_failure: Cause::TimedOut,
            store_reads: Vec::new(),
            settings: json!({ "ttl": 30, "loop_wait": 10 }),
            rounds: BTreeMap::new(),
        };
        bench.perform();
        bench.applied();
        bench
    }

    /// The usual cluster with pg-1 as its primary, long enough in service to be calm.
    pub fn settled() -> Bench {
        let mut bench = Bench::start(usual());
        bench.nodes = BTreeMap::from([(1, primary(5)), (2, standby(5)), (3, standby(5))]);
        bench.run_for(secs(5));
        bench.logs.clear();
        bench.published = 0;
        bench
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Ask { probe, question, timeout } => {
                    assert_eq!(timeout, TIMEOUT);
                    let n = node_of(&question);
                    if question.topic() == Topic::Members {
                        self.store_reads.push(self.now);
                    }
                    if question.topic() == Topic::Node {
                        self.rounds.entry(n).or_default().push(self.now);
                    }
                    let key = (question.topic(), n);
                    let before = self.asked.insert(key, (probe, question));
                    assert!(before.is_none(), "{key:?} is asked twice at a time");
                }
                Action::Probe { probe, check, .. } => {
                    let before = self.checked.insert(check.subject(), probe);
                    assert!(before.is_none(), "{} is checked twice at a time", check.subject());
                }
                Action::Cancel { probe } => {
                    self.asked.retain(|_, (id, _)| *id != probe);
                    self.checked.retain(|_, id| *id != probe);
                }
                Action::Listen { listener, config } => {
                    self.did.push(format!("listen {}", config.name()));
                    self.ids.insert(listener, config.name().to_owned());
                }
                Action::Unlisten { listener } => {
                    self.did.push(format!("unlisten {}", self.ids[&listener]));
                }
                Action::Resolve { names } => {
                    let names: Vec<&str> = names.iter().map(HostName::as_str).collect();
                    self.did.push(format!("resolve {}", names.join(" ")));
                }
                Action::Publish { listener, view } => {
                    let name = self.ids[&listener].clone();
                    self.published += 1;
                    let before = self.views.insert(name, Arc::clone(&view));
                    assert_ne!(before, Some(view), "published the same again");
                }
                Action::Record(event) => self.logs.push((event.level, event.message)),
                Action::Exit => self.did.push("exit".to_owned()),
                Action::Socket { op, .. } | Action::Address { op, .. } => self.ops.push(op),
                Action::Transmit { .. }
                | Action::Announce { .. }
                | Action::Solicit { .. }
                | Action::Notify(_)
                | Action::Observe { .. }
                | Action::Renew(_) => {}
                other => panic!("no bench for {other:?}"),
            }
        }
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
        self.perform();
        self.applied();
        // As the daemon does it.
        while self.engine.poll_deadline().is_some_and(|at| at <= self.now) {
            self.engine.handle(self.now, Input::Tick);
            assert!(!self.engine.is_overdue(), "a deadline lies in the past after a tick");
            self.perform();
            self.applied();
        }
    }

    /// The kernel does at once what routers want of it.
    fn applied(&mut self) {
        while let Some(op) = self.ops.pop() {
            self.engine.handle(self.now, Input::Done { op, result: Ok(Applied::Changed) });
            self.perform();
        }
    }

    /// The number of a listener.
    pub fn listener(&self, name: &str) -> ListenerId {
        *self.ids.iter().find(|(_, own)| *own == name).unwrap().0
    }

    /// The numbers of all listeners.
    pub fn listeners(&self) -> Vec<ListenerId> {
        self.ids.keys().copied().collect()
    }

    /// Node `n` answers what it was asked about itself.
    pub fn answer(&mut self, n: usize, says: &Says) {
        let (probe, question) =
            self.asked.remove(&(Topic::Node, n)).unwrap_or_else(|| panic!("pg-{n} was not asked"));
        let answer = answer(&question, says);
        self.input(Input::Answered { probe, answer });
    }

    /// All nodes, and whoever is asked anything else, answer at once. Silent ones wait for their
    /// timeout, which must be kept by the test.
    fn answer_all(&mut self) {
        for n in self.nodes.keys().copied().collect::<Vec<_>>() {
            let says = self.nodes[&n].clone();
            let silent = matches!(&says, Says::Nothing(Cause::TimedOut));
            if self.asked.contains_key(&(Topic::Node, n)) && !silent {
                self.answer(n, &says);
            }
            let members = match self.leader {
                0 => json!({ "members": [] }),
                leader => json!({ "members": [{
                    "name": format!("node{leader}"), "role": "leader",
                    "host": format!("10.0.0.{leader}"),
                    "api_url": format!("http://10.0.0.{leader}:8008/patroni"),
                }] }),
            };
            for (topic, body) in
                [(Topic::Settings, &self.settings.clone()), (Topic::Members, &members)]
            {
                if let Some((probe, question)) = self.asked.remove(&(topic, n)) {
                    let says = Says::Json(200, body.clone());
                    let says = if silent { self.nodes[&n].clone() } else { says };
                    self.input(Input::Answered { probe, answer: answer(&question, &says) });
                }
            }
            let port = format!("10.0.0.{n}:5432");
            if self.checked.contains_key(&port) {
                let dead = self.dead_ports.contains(&n);
                let failed = Verdict::Failed(self.port_failure);
                self.checked(&port, if dead { failed } else { Verdict::Passed });
            }
        }
    }

    /// Time passes; nodes answer at once, silent ones time out.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.answer_all();
        loop {
            let overdue = self.asked.keys().filter(|(topic, _)| *topic == Topic::Node);
            let overdue = overdue
                .filter_map(|(_, n)| Some(*self.rounds.get(n)?.last()? + TIMEOUT))
                .filter(|at| *at >= self.now)
                .min();
            let next = [self.engine.poll_deadline(), overdue].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            let late: Vec<usize> = self
                .asked
                .keys()
                .filter(|(topic, _)| *topic == Topic::Node)
                .filter(|(_, n)| self.rounds[n].last().is_some_and(|at| *at + TIMEOUT <= self.now))
                .map(|(_, n)| *n)
                .collect();
            for n in late {
                self.answer(n, &silent());
            }
            self.input(Input::Tick);
            self.answer_all();
        }
        self.now = end;
    }

    /// A check of a server ends.
    pub fn checked(&mut self, subject: &str, verdict: Verdict) {
        self.checked_because(subject, verdict, "");
    }

    /// The same, with the particulars.
    pub fn checked_because(&mut self, subject: &str, verdict: Verdict, why: &str) {
        let probe = self
            .checked
            .remove(subject)
            .unwrap_or_else(|| panic!("{subject} is not checked: {:?}", self.checked));
        let outcome =
            Outcome { verdict, detail: why.to_owned(), output: String::new(), took: ms(1) };
        self.input(Input::Probed { probe, outcome });
    }

    pub fn hint(&mut self, listener: &str, server: &str, hint: Hint) {
        let id = self.listener(listener);
        let server = self.server(listener, server).id;
        self.input(Input::Hinted(Hinted { listener: id, server, hint, count: 1 }));
    }

    pub fn reload(&mut self, config: Config) {
        self.config = config.clone();
        self.input(Input::Reload(Arc::new(config)));
    }

    pub fn server(&self, listener: &str, name: &str) -> Server {
        let view = &self.views[listener];
        let server = view.servers.iter().find(|server| &*server.name == name);
        server.unwrap_or_else(|| panic!("{name} is not in {view:?}")).clone()
    }

    pub fn cluster(&self) -> ClusterStatus {
        self.engine.snapshot(self.now).clusters.remove(0)
    }

    /// The servers new connections may go to, by name.
    pub fn usable(&self, listener: &str) -> Vec<String> {
        usable(&self.views[listener])
    }

    /// What becomes of sessions a server has.
    pub fn session_policy(&self, listener: &str, name: &str) -> SessionPolicy {
        let view = &self.views[listener];
        session_policy(view, self.server(listener, name).id)
    }

    /// Why a server is not used; empty if it is.
    pub fn why(&self, listener: &str, name: &str) -> String {
        match self.server(listener, name).admission {
            Admission::Up => String::new(),
            Admission::Drain(why) => format!("held: {why}"),
            Admission::Down(why) => format!("down: {why}"),
        }
    }
}

/// The servers of a view that fit and may be used.
pub fn usable(view: &PoolView) -> Vec<String> {
    let fits = |s: &&Server| s.admission == Admission::Up && view.wants.fits(s.role);
    view.servers.iter().filter(fits).map(|server| server.name.to_string()).collect()
}

fn node_of(question: &Question) -> usize {
    let host = question.target().endpoint.host.to_string();
    host.rsplit('.').next().unwrap().parse().unwrap()
}

pub fn answer(question: &Question, says: &Says) -> Answer {
    let said = match says {
        Says::Json(status, body) => {
            question.read(*status, body.to_string().as_bytes(), WALL.parse().unwrap())
        }
        Says::Nothing(cause) => Err(NoAnswer { cause: *cause, detail: "test".to_owned() }),
    };
    Answer { said, took: ms(2) }
}
