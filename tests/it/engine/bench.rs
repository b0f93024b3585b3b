//! One engine on a bench: a clock the test moves, a kernel that performs what it is asked (at once or
//! on demand), and everything the engine did, as words.
//!
//! A test reads like a line of the case table: hear something, say what must have been done, say when
//! the next deadline is. The bench itself checks the contract of `io` after every input.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::checks::{self, Check, ScriptCheck};
use vipd::config::{Config, RouterConfig, TrackerConfig};
use vipd::engine::Engine;
use vipd::io::{
    Action, Applied, Command, Datagram, Input, KernelView, Kind, Lease, Level, Link, LinkAddress,
    LinkChange, Listen, Notification, NotifyEvent, OpError, OpId, ProbeId, Want,
};
use vipd::status::{RouterStatus, Snapshot, State};
use vipd::track::outcome::{Outcome, Verdict};
use vipd::types::{Cidr, IfIndex, Now};
use vipd::wire::ipv4::Ipv4Header;
use vipd::wire::vrrp::{Advert, ChecksumAccept, from_ipv4};

use super::setup::{
    Heard, LEVERS, T0, V2, V2_PASS, V3, V3_IPV6, address, config, config_with, links,
};

/// An advert the engine sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Now,
    pub iface: IfIndex,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub bytes: Vec<u8>,
    pub advert: Advert,
}

/// How the fake kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Every operation succeeds before the next input.
    AtOnce,
    /// Only when the test says so.
    OnDemand,
}

#[derive(Clone, Copy)]
enum Asked {
    Address { iface: IfIndex, cidr: Cidr, want: Want },
    Socket { iface: IfIndex, listen: Listen, open: bool },
}

pub struct Bench {
    pub engine: Engine,
    pub now: Now,
    pub answers: Answers,
    pub links: BTreeMap<IfIndex, (Link, Vec<LinkAddress>)>,
    pub sent: Vec<Sent>,
    /// Log lines, loudest information first: level and text.
    pub logs: Vec<(Level, String)>,
    /// Addresses the LAN was asked for.
    pub solicited: Vec<IpAddr>,
    /// What those who follow the routers are told.
    pub told: Vec<Notification>,
    /// The state each name was told to be in since the last reload.
    known: BTreeMap<String, State>,
    config: Arc<Config>,
    did: Vec<String>,
    asked: VecDeque<(OpId, Asked)>,
    open: BTreeSet<(IfIndex, Listen)>,
    /// Asked to be open, whatever became of it.
    wanted: BTreeSet<(IfIndex, Listen)>,
    observed: BTreeSet<(IfIndex, Listen)>,
    last_op: Option<OpId>,
    /// By the path of a file, or the program of a script.
    pub probes: BTreeMap<String, ProbeId>,
    /// Scripts that have not answered.
    pub running: BTreeSet<String>,
    levers: BTreeMap<&'static str, i32>,
    /// Files that were asked for, and are read at once.
    read: VecDeque<String>,
    /// Inputs since the clock last moved: an engine that never rests is a hang.
    restless: u32,
}

impl Bench {
    /// One router, started and past its first actions: they are not reported.
    pub fn settled(router: RouterConfig) -> Bench {
        let mut bench = Bench::start(config(vec![router]));
        bench.did();
        bench.logs.clear();
        bench
    }

    /// A master that has announced itself completely, with nothing reported yet.
    pub fn master(router: RouterConfig) -> Bench {
        let mut bench = Bench::settled(router);
        bench.run_for(Duration::from_secs(20));
        assert_eq!(bench.state(), State::Master);
        bench.run_to_next();
        bench.did();
        bench.logs.clear();
        bench
    }

    pub fn start(config: Config) -> Bench {
        Bench::start_with(config, links(), Answers::AtOnce)
    }

    pub fn start_with(
        config: Config,
        links: Vec<(Link, Vec<LinkAddress>)>,
        answers: Answers,
    ) -> Bench {
        Bench::start_on(config, KernelView { links, uptime: Duration::ZERO }, answers)
    }

    pub fn start_on(config: Config, host: KernelView, answers: Answers) -> Bench {
        let config = Arc::new(config);
        let links = host.links.clone();
        let mut bench = Bench {
            engine: Engine::new(Arc::clone(&config), host, T0),
            now: T0,
            answers,
            links: links.into_iter().map(|(l, a)| (l.index, (l, a))).collect(),
            sent: Vec::new(),
            logs: Vec::new(),
            solicited: Vec::new(),
            told: Vec::new(),
            known: BTreeMap::new(),
            config,
            did: Vec::new(),
            asked: VecDeque::new(),
            open: BTreeSet::new(),
            wanted: BTreeSet::new(),
            observed: BTreeSet::new(),
            last_op: None,
            probes: BTreeMap::new(),
            running: BTreeSet::new(),
            levers: BTreeMap::new(),
            read: VecDeque::new(),
            restless: 0,
        };
        bench.drain();
        bench
    }

    // Inputs.

    pub fn feed(&mut self, input: Input<'_>) {
        self.restless += 1;
        assert!(self.restless < 20_000, "20000 inputs in a row: {:?}", self.did.last_chunk::<8>());
        self.engine.handle(self.now, input);
        self.drain();
    }

    pub fn tick(&mut self) {
        self.feed(Input::Tick);
        if let Some(deadline) = self.engine.poll_deadline() {
            assert!(deadline > self.now, "deadline {deadline} is not after {}", self.now);
        }
    }

    /// A peer's packet; the clock first runs to its moment, if it has one.
    pub fn hear(&mut self, heard: &Heard) {
        if let Some(at) = heard.at {
            // A packet beats a timer that expires at the same moment.
            self.run_before(at);
        }
        self.hear_message(heard, &heard.message());
    }

    /// Another message in the packet of `heard`.
    pub fn hear_message(&mut self, heard: &Heard, message: &[u8]) {
        match (heard.source, heard.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let hop_limit = heard.hop_limit;
                let datagram = Datagram::V6 { source, destination, hop_limit, message };
                self.feed(Input::Packet { iface: heard.iface, datagram });
            }
            _ => self.hear_bytes(heard.iface, &heard.carry(message)),
        }
    }

    pub fn hear_bytes(&mut self, iface: IfIndex, bytes: &[u8]) {
        self.feed(Input::Packet { iface, datagram: Datagram::V4(bytes) });
    }

    pub fn reload(&mut self, routers: Vec<RouterConfig>) {
        let routers = config(routers).routers;
        self.reload_all(Config { routers, ..(*self.config).clone() });
    }

    pub fn reload_with(&mut self, routers: Vec<RouterConfig>, trackers: Vec<TrackerConfig>) {
        let globals = self.config.globals.clone();
        self.reload_all(Config { globals, ..config_with(routers, trackers) });
    }

    pub fn reload_all(&mut self, config: Config) {
        // A name may be another router's from here on.
        self.known.clear();
        self.config = Arc::new(config);
        self.feed(Input::Reload(Arc::clone(&self.config)));
    }

    /// The trackers of every router add up to `delta`, and one without weight fails or not.
    pub fn track(&mut self, delta: i32, failed: bool) {
        // One number alone must not mean Fault.
        let first = delta.clamp(-253, 253);
        let values = [first, (delta - first).clamp(-253, 253), i32::from(failed)];
        for ((path, _), value) in LEVERS.iter().zip(values) {
            self.levers.insert(path, value);
            if let Some(probe) = self.probes.get(*path).copied() {
                self.feed(Input::Probed { probe, outcome: outcome(Verdict::Value(value)) });
            }
        }
    }

    /// The script that is being run answers.
    pub fn answers(&mut self, script: &str, verdict: Verdict) {
        assert!(self.running.remove(script), "{script} is not running");
        let probe = self.probes[script];
        self.feed(Input::Probed { probe, outcome: outcome(verdict) });
    }

    /// To the moment the script is run.
    pub fn run_when_due(&mut self, script: &str) {
        while !self.running.contains(script) {
            self.run_to_next();
        }
    }

    pub fn answers_when_due(&mut self, script: &str, verdict: Verdict) {
        self.run_when_due(script);
        self.answers(script, verdict);
    }

    pub fn shut_down(&mut self) {
        self.feed(Input::Command(Command::Shutdown));
    }

    pub fn suspend(&mut self, gap: Duration) {
        self.feed(Input::Suspended { gap });
    }

    pub fn link_running(&mut self, index: IfIndex, running: bool) {
        let link = &mut self.links.get_mut(&index).unwrap().0;
        link.running = running;
        let link = link.clone();
        self.feed(Input::Link(LinkChange::Link(link)));
    }

    pub fn link_changed(&mut self, link: Link) {
        self.links.entry(link.index).or_insert_with(|| (link.clone(), Vec::new())).0 = link.clone();
        self.feed(Input::Link(LinkChange::Link(link)));
    }

    pub fn link_gone(&mut self, index: IfIndex) {
        self.links.remove(&index);
        self.feed(Input::Link(LinkChange::Gone(index)));
    }

    /// Everything at once, as after a netlink overrun.
    pub fn resync(&mut self, links: Vec<(Link, Vec<LinkAddress>)>) {
        self.links = links.iter().map(|(l, a)| (l.index, (l.clone(), a.clone()))).collect();
        self.feed(Input::Link(LinkChange::Resync(links)));
    }

    pub fn address_added(&mut self, iface: IfIndex, text: &str) {
        let added = address(text);
        self.links.get_mut(&iface).unwrap().1.push(added);
        self.feed(Input::Link(LinkChange::Address { iface, address: added }));
    }

    /// Somebody else removes an address.
    pub fn address_removed(&mut self, iface: IfIndex, text: &str) {
        let cidr: Cidr = text.parse().unwrap();
        let known = &mut self.links.get_mut(&iface).unwrap().1;
        known.retain(|a| a.cidr.address() != cidr.address());
        self.feed(Input::Link(LinkChange::AddressGone { iface, cidr }));
    }

    // The clock.

    /// Ticks at every deadline up to and at `since_start`.
    pub fn run_until(&mut self, since_start: Duration) {
        let end = T0 + since_start;
        self.run_before(end);
        while self.engine.poll_deadline().is_some_and(|at| at <= end) {
            self.tick();
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.elapsed() + time);
    }

    /// To the next deadline, and through it.
    pub fn run_to_next(&mut self) {
        let next = self.deadline();
        self.run_until(next);
    }

    /// The clock moves, the timer does not fire: the process is stopped.
    pub fn stall(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn run_before(&mut self, end: Now) {
        while let Some(at) = self.engine.poll_deadline().filter(|at| *at < end) {
            self.now = at.max(self.now);
            self.restless = 0;
            self.tick();
        }
        assert!(end >= self.now, "the clock runs backwards");
        self.now = end;
    }

    pub fn elapsed(&self) -> Duration {
        self.now.since(T0)
    }

    /// The next deadline, counted from the start.
    pub fn deadline(&self) -> Duration {
        self.engine.poll_deadline().expect("a deadline").since(T0)
    }

    // What came of it.

    /// Everything done since the last call, except log lines; repeats are counted.
    pub fn did(&mut self) -> Vec<String> {
        let mut folded: Vec<(String, usize)> = Vec::new();
        for did in std::mem::take(&mut self.did) {
            match folded.last_mut() {
                Some((last, count)) if *last == did => *count += 1,
                _ => folded.push((did, 1)),
            }
        }
        let words = |(did, count)| if count == 1 { did } else { format!("{did} x{count}") };
        folded.into_iter().map(words).collect()
    }

    /// Asserts everything done since the last look, and that nothing else was.
    #[track_caller]
    pub fn expect(&mut self, expected: &[&str]) {
        assert_eq!(self.did(), expected, "at {}", self.now);
    }

    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.expect(&[]);
    }

    pub fn snapshot(&self) -> Snapshot {
        self.engine.snapshot(self.now)
    }

    pub fn status(&self) -> RouterStatus {
        self.snapshot().routers.swap_remove(0)
    }

    pub fn state(&self) -> State {
        self.status().state
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters = serde_json::to_value(&self.status().counters).unwrap();
        counters[name].as_u64().unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// Every counter that is not zero, of the first router and of none (`-`).
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let snapshot = self.snapshot();
        let own = serde_json::to_value(&snapshot.routers[0].counters).unwrap();
        let own = own.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap()));
        let none = snapshot.unattributed.iter().map(|(k, v)| (format!("-{k}"), *v));
        own.chain(none).filter(|(_, v)| *v > 0).collect()
    }

    /// The addresses of the engine the kernel holds.
    pub fn held(&self) -> BTreeSet<String> {
        let ours = self.links.values().flat_map(|(_, a)| a).filter(|a| a.ours);
        ours.map(|a| a.cidr.address().to_string()).collect()
    }

    /// Interface index and place of every open socket.
    pub fn open_sockets(&self) -> &BTreeSet<(IfIndex, Listen)> {
        &self.open
    }

    /// Where only misconfigured peers are heard.
    pub fn observed(&self) -> &BTreeSet<(IfIndex, Listen)> {
        &self.observed
    }

    // The kernel.

    pub fn asked_something(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Performs and answers everything asked so far.
    pub fn answer_all(&mut self) {
        while !self.asked.is_empty() {
            self.answer();
        }
    }

    /// Performs and answers the oldest operation.
    pub fn answer(&mut self) {
        let (op, asked) = self.asked.pop_front().expect("an operation");
        let (applied, event) = self.perform(asked);
        self.feed(Input::Done { op, result: Ok(applied) });
        if let Some(event) = event {
            self.feed(Input::Link(event));
        }
    }

    /// Refuses the oldest operation.
    pub fn refuse(&mut self, cause: &str) {
        let (op, _) = self.asked.pop_front().expect("an operation");
        let error = OpError { operation: "change eth0".to_owned(), cause: cause.to_owned() };
        self.feed(Input::Done { op, result: Err(error) });
    }

    /// Performs the oldest operation without answering it yet.
    pub fn perform_silently(&mut self) -> (OpId, Applied) {
        let (op, asked) = self.asked.pop_front().expect("an operation");
        (op, self.perform(asked).0)
    }

    fn perform(&mut self, asked: Asked) -> (Applied, Option<LinkChange>) {
        match asked {
            Asked::Socket { iface, listen, open } => {
                let changed = if open {
                    self.open.insert((iface, listen))
                } else {
                    self.open.remove(&(iface, listen))
                };
                (if changed { Applied::Changed } else { Applied::Already }, None)
            }
            Asked::Address { iface, cidr, want } => {
                let Some((_, known)) = self.links.get_mut(&iface) else {
                    return (Applied::Already, None);
                };
                let there = known.iter().any(|a| a.cidr == cidr);
                match want {
                    Want::Held(_) if there => (Applied::Already, None),
                    Want::Held(_) => {
                        let mark = LinkAddress {
                            cidr,
                            usable: true,
                            secondary: false,
                            ours: true,
                            renewed: None,
                        };
                        known.push(mark);
                        let event = LinkChange::Address { iface, address: mark };
                        (Applied::Changed, Some(event))
                    }
                    Want::Gone if there => {
                        known.retain(|a| a.cidr != cidr);
                        (Applied::Changed, Some(LinkChange::AddressGone { iface, cidr }))
                    }
                    Want::Gone => (Applied::Already, None),
                }
            }
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            self.take(action);
        }
        while let Some(path) = self.read.pop_front() {
            let value = self.levers.get(path.as_str()).copied().unwrap_or_default();
            let probe = self.probes[&path];
            self.feed(Input::Probed { probe, outcome: outcome(Verdict::Value(value)) });
        }
        if self.answers == Answers::AtOnce && !self.asked.is_empty() {
            self.answer();
        }
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Transmit { iface, source, destination, bytes, .. } => {
                let through = Listen::of(source, destination);
                let opening = |a: &(OpId, Asked)| {
                    matches!(a.1, Asked::Socket { iface: i, listen, open: true }
                        if (i, listen) == (iface, through))
                };
                assert!(
                    self.open.contains(&(iface, through)) || self.asked.iter().any(opening),
                    "an advert for {destination} on {iface}, where no socket is open"
                );
                self.transmitted(iface, source, destination, bytes);
            }
            Action::Announce { iface, mac, vip, .. } => {
                let (link, known) = &self.links[&iface];
                assert!(known.iter().any(|a| a.cidr.address() == vip), "{vip} is not there");
                assert_eq!(link.mac, Some(mac));
                self.did.push(format!("announce {vip}"));
            }
            Action::Address { op, iface, address, want } => {
                self.new_op(op);
                let cidr = address.cidr;
                let verb = if matches!(want, Want::Held(_)) { "hold" } else { "drop" };
                let on = self.links.get(&iface).map_or("?", |(l, _)| l.name.as_str());
                let place = if on == "eth0" { String::new() } else { format!(" on {on}") };
                let forever = want == Want::Held(Some(Lease::FOREVER));
                let term = if forever { " for ever" } else { "" };
                self.did.push(format!("{verb} {}{place}{term}", cidr.address()));
                self.asked.push_back((op, Asked::Address { iface, cidr, want }));
            }
            Action::Renew(renewals) => {
                for renewal in renewals {
                    let seconds = renewal.lease.0;
                    self.did.push(format!("renew {} {seconds} s", renewal.address.cidr.address()));
                }
            }
            Action::PromoteSecondaries { iface } => {
                self.did.push(format!("promote secondaries on {iface}"));
            }
            Action::Socket { op, iface, listen, open } => {
                self.new_op(op);
                let verb = if open { "open" } else { "close" };
                self.did.push(format!("{verb} {} on {iface}", listen.address()));
                let key = (iface, listen);
                let _ = if open { self.wanted.insert(key) } else { self.wanted.remove(&key) };
                assert!(!open || !self.observed.contains(&key), "{key:?} would be heard twice");
                self.asked.push_back((op, Asked::Socket { iface, listen, open }));
            }
            Action::Probe { probe, check, .. } => match &*check {
                Check::File(file) => {
                    let path = file.path.to_str().unwrap().to_owned();
                    self.read.push_back(path.clone());
                    self.probes.insert(path, probe);
                }
                Check::Script(ScriptCheck {
                    command: checks::Command::Argv { program, .. },
                    ..
                }) => {
                    self.did.push(format!("run {program}"));
                    self.probes.insert(program.clone(), probe);
                    assert!(self.running.insert(program.clone()), "{program} runs already");
                }
                other => panic!("no bench for {other:?}"),
            },
            Action::Cancel { probe } => {
                let (name, _) = self.probes.iter().find(|(_, id)| **id == probe).unwrap();
                let name = name.clone();
                self.probes.remove(&name);
                self.running.remove(&name);
                if !name.starts_with("/lever") {
                    self.did.push(format!("cancel {name}"));
                }
            }
            Action::Observe { iface, listen, open } => {
                let there = self.wanted.contains(&(iface, listen));
                assert!(!open || !there, "{} on {iface} would be heard twice", listen.address());
                let changed = if open {
                    self.observed.insert((iface, listen))
                } else {
                    self.observed.remove(&(iface, listen))
                };
                assert!(changed, "{} on {iface}: asked again", listen.address());
            }
            Action::Notify(notice) => {
                if let (Kind::Router, NotifyEvent::Entered { from, to }) =
                    (notice.kind, notice.event)
                {
                    self.follows_the_last(&notice.name, from, to);
                    let from = from.map_or("START".to_owned(), |s| s.to_string());
                    let several = self.config.routers.len() > 1;
                    let who = if several { format!("{}: ", notice.name) } else { String::new() };
                    self.did.push(format!("{who}{from} to {to}"));
                }
                self.told.push(notice);
            }
            Action::Record(event) if event.message.contains("/lever/") => {}
            Action::Record(event) => self.logs.push((event.level, event.message)),
            Action::Solicit { target, .. } => self.solicited.push(target),
            Action::NotDrained { router } => self.did.push(format!("{router} is not drained")),
            Action::Exit => self.did.push("exit".to_owned()),
            Action::Ask { .. }
            | Action::Resolve { .. }
            | Action::Listen { .. }
            | Action::Unlisten { .. }
            | Action::Publish { .. } => unreachable!("there are no clusters here"),
        }
    }

    /// Whoever follows a router by what it is told knows where it was.
    fn follows_the_last(&mut self, name: &str, from: Option<State>, to: State) {
        let last = self.known.insert(name.to_owned(), to);
        assert!(
            from.is_none() || last.is_none() || last == from,
            "{name}: {last:?}, then {from:?}"
        );
    }

    fn new_op(&mut self, op: OpId) {
        assert!(self.last_op.is_none_or(|last| last < op), "{op:?} was used before");
        self.last_op = Some(op);
    }

    fn transmitted(&mut self, iface: IfIndex, source: IpAddr, destination: IpAddr, bytes: Vec<u8>) {
        let message = match source {
            IpAddr::V4(_) => {
                let header = Ipv4Header::parse(&bytes).unwrap();
                assert_eq!((IpAddr::V4(header.source), header.ttl), (source, 255));
                assert_eq!(IpAddr::V4(header.destination), destination);
                from_ipv4(&header).unwrap()
            }
            IpAddr::V6(_) => &bytes[..],
        };
        // A router that was just removed still speaks as it was configured.
        let parsed = [V2, V2_PASS, V3, V3_IPV6]
            .iter()
            .find_map(|d| Advert::parse(d, source, destination, message, ChecksumAccept::Both).ok())
            .expect("a valid advert");
        let advert = parsed.advert;
        let several = self.config.routers.len() > 1;
        let vrid = if several { format!(" for {}", advert.vrid) } else { String::new() };
        self.did.push(format!("advert {}{vrid}", advert.claim.wire_value()));
        self.sent.push(Sent { at: self.now, iface, source, destination, bytes, advert });
    }
}

/// What a check says, without particulars.
pub fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, detail: String::new(), output: String::new(), took: Duration::ZERO }
}

/// Asserts that nothing a packet may not touch has moved: state, timers, learnt values, addresses.
pub fn untouched(before: &Snapshot, after: &Snapshot) {
    assert_eq!(before.routers.len(), after.routers.len());
    for (before, after) in before.routers.iter().zip(&after.routers) {
        let strip = |status: &RouterStatus| {
            let mut status = status.clone();
            status.counters = Default::default();
            status.peers.clear();
            status.hints.clear();
            status.last_heard_ms = None;
            status
        };
        assert_eq!(strip(before), strip(after));
    }
}
