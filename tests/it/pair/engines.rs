//! Two engines on one LAN, whose clock the test moves: the word of the table against theirs.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use vipd::config::Config;
use vipd::config::diag::SourceMap;
use vipd::config::sources::Reading;
use vipd::engine::Engine;
use vipd::io::{
    Action, Applied, Command, Datagram, Input, KernelView, Link, LinkAddress, LinkChange,
};
use vipd::load::{Loaded, load_beside};
use vipd::pair::{Comparison, Event, Node, Outcome, Serving, Side, compare};
use vipd::status::State;
use vipd::types::{IfIndex, Now};

use crate::engine::setup::{ETH0, ETH1, address, link, ms, secs};
use crate::expected::OneFile;

/// A datagram on its way to a node.
struct Flight {
    to: usize,
    iface: IfIndex,
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    bytes: Vec<u8>,
}

struct World {
    now: Now,
    configs: [Arc<Config>; 2],
    engines: [Option<Engine>; 2],
    wire: VecDeque<Flight>,
    /// Adverts get lost.
    split: bool,
}

/// The second one is for a node that is told to send from it.
fn own_addresses(node: usize) -> [String; 3] {
    [format!("10.0.0.{}", node + 2), format!("10.0.0.{}", node + 4), format!("fe80::{}", node + 2)]
}

fn links(node: usize) -> Vec<(Link, Vec<LinkAddress>)> {
    let [v4, other, v6] = own_addresses(node);
    let eth0 = vec![
        address(&format!("{v4}/24")),
        address(&format!("{other}/24")),
        address(&format!("{v6}/64")),
    ];
    let eth1 = vec![address(&format!("192.0.2.{}/24", node + 2))];
    vec![(link(ETH0, "eth0"), eth0), (link(ETH1, "eth1"), eth1), (link(ETH2, "eth2"), vec![])]
}

const ETH2: IfIndex = IfIndex(4);

fn index(side: Side) -> usize {
    usize::from(side == Side::B)
}

impl World {
    fn new(configs: &[Arc<Config>; 2]) -> World {
        let now = Now::from_start(secs(100));
        let wire = VecDeque::new();
        World { now, configs: configs.clone(), engines: [None, None], wire, split: false }
    }

    fn start(&mut self, node: usize, uptime: Duration) {
        let config = Arc::clone(&self.configs[node]);
        let host = KernelView { links: links(node), uptime };
        self.engines[node] = Some(Engine::new(config, host, self.now));
        self.perform(node);
        self.deliver();
    }

    fn feed(&mut self, node: usize, input: Input<'_>) {
        if let Some(engine) = &mut self.engines[node] {
            engine.handle(self.now, input);
            self.perform(node);
        }
    }

    /// The kernel does what it is asked.
    fn perform(&mut self, node: usize) {
        let Some(engine) = &mut self.engines[node] else { return };
        let mut asked = VecDeque::new();
        loop {
            while let Some(action) = engine.poll_action() {
                match action {
                    Action::Address { op, .. } | Action::Socket { op, .. } => asked.push_back(op),
                    Action::Transmit { iface, source, destination, hop_limit, bytes, .. } => {
                        let to = 1 - node;
                        let flight = Flight { to, iface, source, destination, hop_limit, bytes };
                        self.wire.push_back(flight);
                    }
                    _ => {}
                }
            }
            let Some(op) = asked.pop_front() else { return };
            engine.handle(self.now, Input::Done { op, result: Ok(Applied::Changed) });
        }
    }

    /// What is on the wire arrives, without delay.
    fn deliver(&mut self) {
        let mut delivered = 0;
        while let Some(flight) = self.wire.pop_front() {
            delivered += 1;
            assert!(delivered < 100, "an avalanche of adverts");
            let Flight { to, iface, source, destination, hop_limit, bytes } = flight;
            let own = own_addresses(to).map(|text| text.parse::<IpAddr>().unwrap());
            if self.split || !(destination.is_multicast() || own.contains(&destination)) {
                continue;
            }
            let datagram = match (source, destination) {
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    let hop_limit = Some(hop_limit);
                    Datagram::V6 { source, destination, hop_limit, message: &bytes }
                }
                _ => Datagram::V4(&bytes),
            };
            self.feed(to, Input::Packet { iface, datagram });
        }
    }

    fn next(&self) -> Option<Now> {
        self.engines.iter().flatten().filter_map(Engine::poll_deadline).min()
    }

    /// Runs until `done`, or for `most`; how long that took.
    fn run_until(&mut self, most: Duration, done: impl Fn(&World) -> bool) -> Option<Duration> {
        let start = self.now;
        while !done(self) {
            let next = self.next().filter(|next| next.since(start) <= most);
            let Some(next) = next else {
                self.now = start + most;
                return None;
            };
            self.now = next.max(self.now);
            self.feed(0, Input::Tick);
            self.feed(1, Input::Tick);
            self.deliver();
        }
        Some(self.now.since(start))
    }

    fn run(&mut self, length: Duration) {
        assert_eq!(self.run_until(length, |_| false), None);
    }

    fn is_master(&self, node: usize) -> bool {
        let engine = self.engines[node].as_ref();
        engine.is_some_and(|e| e.snapshot(self.now).routers[0].state == State::Master)
    }

    fn masters(&self) -> [bool; 2] {
        [self.is_master(0), self.is_master(1)]
    }
}

/// Longer than anything here takes.
const AGES: Duration = secs(60);

/// Both nodes up, `incumbent` first if it matters, and some time later.
fn settled(configs: &[Arc<Config>; 2], incumbent: Option<Side>, phase: Duration) -> World {
    let mut world = World::new(configs);
    if let Some(side) = incumbent {
        world.start(index(side), AGES);
        world.run(AGES);
    }
    for node in 0..2 {
        if world.engines[node].is_none() {
            world.start(node, Duration::ZERO);
        }
    }
    world.run(AGES + phase);
    world
}

/// Makes it happen and looks.
fn holds(configs: &[Arc<Config>; 2], rest: Serving, outcome: &Outcome, phase: Duration) {
    let Outcome { event, serving, after } = outcome;
    let alone = |side: Side| [side == Side::A, side == Side::B];
    // Where the incumbent goes on, the one it happens to must be it.
    let first = |side: Side| matches!(rest, Serving::Incumbent(_)).then_some(side);
    let mut world = match event {
        Event::Rest | Event::Split => settled(configs, None, phase),
        Event::Dies(side)
        | Event::LosesLink(side, _)
        | Event::Fails(side, _)
        | Event::Stops(side) => settled(configs, first(*side), phase),
        Event::Returns(side) => {
            let mut world = World::new(configs);
            world.start(index(side.other()), AGES);
            world.run(AGES + phase);
            world
        }
    };
    match event {
        Event::Rest => {
            let masters = world.masters();
            match serving {
                Serving::One(side) => assert_eq!(masters, alone(*side)),
                Serving::Both => assert_eq!(masters, [true, true]),
                Serving::Incumbent(Some(side)) => assert_eq!(masters, alone(*side)),
                Serving::Incumbent(None) => assert_ne!(masters[0], masters[1]),
            }
            return;
        }
        Event::Split => {
            world.split = true;
            world.run(AGES);
            assert_eq!(world.masters(), [true, true]);
            return;
        }
        Event::Dies(side) => world.engines[index(*side)] = None,
        Event::LosesLink(side, name) => {
            let index_of = match name.as_str() {
                "eth0" => ETH0,
                "eth1" => ETH1,
                _ => ETH2,
            };
            let link = Link { running: false, ..link(index_of, name.as_str()) };
            world.feed(index(*side), Input::Link(LinkChange::Link(link)));
            world.deliver();
        }
        Event::Fails(..) => panic!("nothing is checked here"),
        Event::Stops(side) => {
            world.feed(index(*side), Input::Command(Command::Shutdown));
            world.deliver();
        }
        Event::Returns(side) => world.start(index(*side), phase),
    }
    let Serving::One(next) = serving else { panic!("{outcome:?}") };
    match after {
        Some([least, most]) => {
            let took = world.run_until(AGES, |world| world.is_master(index(*next)));
            let took = took.unwrap_or_else(|| panic!("{outcome:?} does not happen"));
            assert!((*least..=*most).contains(&took), "{outcome:?} after {took:?}");
        }
        None => {
            let other = index(next.other());
            assert_eq!(world.run_until(AGES, |world| world.is_master(other)), None, "{outcome:?}");
        }
    }
    world.run(AGES);
    let dead =
        matches!(event, Event::Dies(_) | Event::Stops(_) | Event::LosesLink(..)) && after.is_some();
    assert!(world.is_master(index(*next)), "{outcome:?}");
    assert!(dead || !world.is_master(index(next.other())), "{outcome:?}");
}

type Settings = BTreeMap<&'static str, &'static str>;

fn text(node: usize, settings: &Settings) -> String {
    let lines: String = settings
        .iter()
        .filter(|(key, _)| !key.ends_with("_delay") || **key == "preempt_delay")
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    let delay = |key| settings.get(key).copied().unwrap_or("\"0s\"");
    let [startup, boot, down] = ["startup_delay", "boot_delay", "down_delay"].map(delay);
    let [v4, _, v6] = own_addresses(node);
    format!(
        "[global]\nstartup_delay = {startup}\ndelay_after_boot = {boot}\n\
         [interface.eth1]\ndown_delay = {down}\n[vrrp.web]\ninterface = \"eth0\"\n{lines}"
    )
    .replace("OWN4", &v4)
    .replace("OWN6", &v6)
}

const V4: &str = "[\"10.0.0.10/24\", { address = \"10.0.1.10/24\", dev = \"eth1\" }]";
const PEERS: &str = "[\"10.0.0.2\", \"10.0.0.3\"]";

/// What both nodes say.
fn common() -> impl Strategy<Value = Settings> {
    let dialects: [&[(&str, &str)]; 6] = [
        &[("version", "2"), ("addresses", V4)],
        &[("version", "2"), ("addresses", V4), ("auth_pass", "\"1111\"")],
        &[("version", "3"), ("addresses", V4)],
        &[("version", "3"), ("addresses", "[\"fe80::10/64\"]")],
        &[("version", "2"), ("addresses", V4), ("peers", PEERS)],
        &[("version", "3"), ("addresses", V4), ("peers", PEERS), ("source", "\"OWN4\"")],
    ];
    let dialects = dialects.map(|settings| settings.iter().copied().collect::<Settings>());
    (proptest::sample::select(dialects.to_vec()), 0..3_usize).prop_map(
        |(mut settings, interval)| {
            let quick = ["\"1s\"", "\"100ms\"", "\"30ms\""];
            let slow = ["\"1s\"", "\"2s\"", "\"3s\""];
            let intervals = if settings["version"] == "3" { quick } else { slow };
            settings.insert("interval", intervals[interval]);
            settings.insert("vrid", "51");
            settings
        },
    )
}

const LINK_NONE: &str = "[]";
const LINK_FAULT: &str = "[\"eth2\"]";
const LINK_LESS: &str = "[{ name = \"eth2\", weight = -60 }]";
const LINK_MORE: &str = "[{ name = \"eth2\", weight = 60 }]";

/// What each node may say for itself.
fn own() -> impl Strategy<Value = Settings> {
    let choices: [(&'static str, &'static [&'static str]); 8] = [
        ("track_interfaces", &[LINK_NONE, LINK_NONE, LINK_FAULT, LINK_LESS, LINK_MORE]),
        ("priority", &["100", "100", "50", "150", "254", "255"]),
        ("preempt", &["true", "true", "false"]),
        ("preempt_delay", &["\"0s\"", "\"0s\"", "\"2s\"", "\"2500ms\""]),
        ("down_timer_adverts", &["3", "3", "1", "5"]),
        ("startup_delay", &["\"0s\"", "\"0s\"", "\"1500ms\""]),
        ("boot_delay", &["\"0s\"", "\"0s\"", "\"2200ms\""]),
        ("down_delay", &["\"0s\"", "\"0s\"", "\"700ms\""]),
    ];
    let each: Vec<_> = choices
        .into_iter()
        .map(|(key, values)| proptest::sample::select(values).prop_map(move |value| (key, value)))
        .collect();
    each.prop_map(|settings| settings.into_iter().collect())
}

/// What the second may say differently: the key goes if there is no value.
const DIFFERENT: &[(&str, Option<&str>)] = &[
    ("version", Some("2")),
    ("version", Some("3")),
    ("auth_pass", Some("\"2222\"")),
    ("auth_pass", None),
    ("interval", Some("\"1s\"")),
    ("interval", Some("\"5s\"")),
    ("interval", Some("\"10s\"")),
    ("peers", Some(PEERS)),
    // Where the other node sends from must be known to tell.
    ("source", Some("\"10.0.0.5\"")),
    ("peers", Some("[\"10.0.0.2\"]")),
    ("peers", None),
    ("group", Some("\"224.0.0.42\"")),
    ("ttl", Some("64")),
    ("checksum", Some("\"message-only\"")),
    ("checksum", Some("\"old-unicast\"")),
    ("strict", Some("\"rfc9568\"")),
    ("strict", Some("\"rfc3768\"")),
    ("expect_owner", Some("false")),
    ("vrid", Some("52")),
    ("addresses", Some("[\"10.0.0.11/24\"]")),
    ("addresses", Some("[\"fe80::10/64\"]")),
];

fn load_both(texts: &[String; 2]) -> Option<[Loaded; 2]> {
    let load = |map, text: &String| {
        let file = [PathBuf::from("vipd.toml")];
        load_beside(map, &OneFile(text.clone()), &file, Reading::default()).ok()
    };
    let a = load(SourceMap::default(), &texts[0])?;
    let b = load(a.map.clone(), &texts[1])?;
    Some([a, b])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        max_global_rejects: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn two_engines_do_what_the_table_says(
        common in common(),
        own in [own(), own()],
        different in proptest::option::of(proptest::sample::select(DIFFERENT)),
        phase in 0..3_000_u64,
    ) {
        let mut settings = own;
        for node in &mut settings {
            node.extend(common.clone());
        }
        match different {
            Some((key, Some(value))) => drop(settings[1].insert(key, value)),
            Some((key, None)) => drop(settings[1].remove(key)),
            None => {}
        }
        let loaded = load_both(&[text(0, &settings[0]), text(1, &settings[1])]);
        prop_assume!(loaded.is_some());
        let [a, b] = loaded.unwrap();
        let Comparison { routers, .. } = compare(
            Node { name: "A", config: &a.config, raw: &a.raw },
            Node { name: "B", config: &b.config, raw: &b.raw },
        );
        let configs = [Arc::new(a.config.clone()), Arc::new(b.config.clone())];
        let outcomes = &routers[0].outcomes;
        let rest = outcomes.first().map(|outcome| outcome.serving);
        let differ = a.config.routers[0].interval != b.config.routers[0].interval;
        for outcome in outcomes {
            // Who does not wait for the other's next advert at its start may become the incumbent.
            if differ && matches!(rest, Some(Serving::Incumbent(_))) {
                continue;
            }
            holds(&configs, rest.unwrap(), outcome, ms(phase));
        }
    }
}

/// Routers of one group move together: what takes one of them away takes all, and the other node
/// serves when the last of them may.
#[test]
fn two_engines_move_a_group_as_the_table_says() {
    let text = |priority: u8, eth2: &str| {
        format!(
            "[vrrp.out]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
             addresses = [\"10.0.0.10/24\"]\n\
             [vrrp.in]\ninterface = \"eth1\"\nvrid = 52\npriority = {priority}\nversion = 3\n\
             interval = \"500ms\"\naddresses = [\"192.0.2.10/24\"]\ntrack_interfaces = [{eth2}]\n\
             [group.edge]\nmembers = [\"out\", \"in\"]\n"
        )
    };
    let eth2 = "\"eth2\"";
    let [a, b] = load_both(&[text(150, eth2), text(100, eth2)]).unwrap();
    let found = compare(
        Node { name: "A", config: &a.config, raw: &a.raw },
        Node { name: "B", config: &b.config, raw: &b.raw },
    );
    let configs = [Arc::new(a.config.clone()), Arc::new(b.config.clone())];
    for router in &found.routers {
        let links =
            ["eth0", "eth1", "eth2"].into_iter().filter(|l| *l != router.interfaces[0].as_str());
        for link in links {
            let lost = Event::LosesLink(Side::A, link.parse().unwrap());
            assert!(router.outcomes.iter().any(|outcome| outcome.event == lost), "{router:#?}");
        }
        for outcome in &router.outcomes {
            for phase in [0, 250, 700] {
                holds(&configs, router.outcomes[0].serving, outcome, ms(phase));
            }
        }
    }
    // A weight moves one of them only, and so none.
    let eth2 = "{ name = \"eth2\", weight = -90 }";
    let weighted = |priority| text(priority, eth2) + "weights = true\n";
    let [a, b] = load_both(&[weighted(150), weighted(100)]).unwrap();
    let found = compare(
        Node { name: "A", config: &a.config, raw: &a.raw },
        Node { name: "B", config: &b.config, raw: &b.raw },
    );
    let lost = Event::LosesLink(Side::A, "eth2".parse().unwrap());
    let inside = &found.routers[1].outcomes;
    let outcome = inside.iter().find(|outcome| outcome.event == lost).unwrap();
    assert_eq!((outcome.serving, outcome.after), (Serving::One(Side::A), None));
    let configs = [Arc::new(a.config.clone()), Arc::new(b.config.clone())];
    holds(&configs, inside[0].serving, outcome, ms(0));
}
