//! Two load balancers and a client, each balancer running vipd or keepalived from the same
//! configuration language, and what can be seen of them from outside.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use vipd::lab::deadline::{Overdue, eventually, never};
use vipd::lab::keepalived::Keepalived;
use vipd::lab::ping::Pinger;
use vipd::lab::{Capture, Decoded, Exit, Frame, Lab, Node, Stamp, Vipd, Vrrp};
use vipd::types::Mac;

use crate::{SOON, lab};

/// Long enough for a frame that was sent to have been seen.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// What a timer may be late by, beside what is the machine's.
pub(crate) const LATE: Duration = Duration::from_millis(50);

/// Between the priorities of the better and the other router of a pair.
pub(crate) const PIVOT: u8 = 125;

/// The implementation on a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Vipd,
    Keepalived,
}

use Kind::{Keepalived as K, Vipd as V};

/// Every combination with at least one vipd.
pub(crate) const PAIRS: [[Kind; 2]; 3] = [[V, V], [V, K], [K, V]];

/// What is spoken on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    V2Pass,
    V2None,
    V3Ipv4,
    V3Ipv6,
}

/// One scenario's variation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) dialect: Dialect,
    pub(crate) kinds: [Kind; 2],
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.kinds;
        write!(f, "{:?} {a:?}-{b:?}", self.dialect)
    }
}

/// Every pair in each of `dialects`.
pub(crate) fn cases(dialects: &[Dialect], pairs: &[[Kind; 2]]) -> Vec<Case> {
    let of = |&dialect| pairs.iter().map(move |&kinds| Case { dialect, kinds });
    dialects.iter().flat_map(of).collect()
}

impl Dialect {
    /// The shortest interval it allows that leaves time to look.
    pub(crate) const fn interval(self) -> Duration {
        match self {
            Dialect::V2Pass | Dialect::V2None => Duration::from_secs(1),
            Dialect::V3Ipv4 | Dialect::V3Ipv6 => Duration::from_millis(200),
        }
    }

    pub(crate) const fn version(self) -> u8 {
        match self {
            Dialect::V2Pass | Dialect::V2None => 2,
            Dialect::V3Ipv4 | Dialect::V3Ipv6 => 3,
        }
    }

    /// `Skew_Time` (RFC 3768 section 6.1, RFC 9568 section 6.1).
    pub(crate) fn skew(self, priority: u8) -> Duration {
        self.interval() * (256 - u32::from(priority)) / 256
    }

    /// `Master_Down_Interval`.
    pub(crate) fn down(self, priority: u8) -> Duration {
        self.interval() * 3 + self.skew(priority)
    }

    /// The virtual address a client uses.
    pub(crate) fn vip(self) -> IpAddr {
        match self {
            Dialect::V3Ipv6 => ip("2001:db8::100"),
            Dialect::V2Pass | Dialect::V2None | Dialect::V3Ipv4 => ip("10.0.0.100"),
        }
    }

    /// An instance of VRID 51 with this dialect's interval and address.
    pub(crate) fn instance(self, priority: u8) -> Instance {
        Instance {
            dialect: self,
            priority,
            state: "BACKUP",
            interval: self.interval(),
            password: (self == Dialect::V2Pass).then_some("1111"),
            vips: match self {
                Dialect::V3Ipv6 => vec!["fe80::100/64", "2001:db8::100/64"],
                _ => vec!["10.0.0.100/24"],
            },
            more: "",
        }
    }
}

/// A `vrrp_instance` that both implementations read.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) dialect: Dialect,
    pub(crate) priority: u8,
    pub(crate) state: &'static str,
    pub(crate) interval: Duration,
    pub(crate) password: Option<&'static str>,
    pub(crate) vips: Vec<&'static str>,
    pub(crate) more: &'static str,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Instance { dialect, priority, state, interval, password, vips, more } = self;
        writeln!(f, "vrrp_instance VI_1 {{\n  state {state}\n  interface eth0")?;
        writeln!(f, "  virtual_router_id 51\n  priority {priority}")?;
        writeln!(f, "  version {}\n  advert_int {}", dialect.version(), interval.as_secs_f64())?;
        if let Some(password) = password {
            writeln!(f, "  authentication {{\n    auth_type PASS\n    auth_pass {password}\n  }}")?;
        }
        writeln!(f, "  virtual_ipaddress {{")?;
        vips.iter().try_for_each(|vip| writeln!(f, "    {vip}"))?;
        writeln!(f, "  }}\n  {more}\n}}")
    }
}

/// A balancer, stopped or running.
pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) kind: Kind,
    pub(crate) mac: Mac,
    daemon: Option<Daemon>,
}

enum Daemon {
    Vipd(Vipd),
    Keepalived(Keepalived),
}

impl Host {
    /// A host with `eth0`.
    pub(crate) fn new(lab: &Lab, name: &str, kind: Kind, addresses: &[&str]) -> Host {
        let node = lab.node(name).unwrap();
        let mac = node.link("eth0", addresses).unwrap().mac;
        Host { node, kind, mac, daemon: None }
    }

    pub(crate) fn start(&mut self, config: &impl fmt::Display) {
        let config = config.to_string();
        self.daemon = Some(match self.kind {
            V => Daemon::Vipd(Vipd::start(&self.node, binary(), "vipd.conf", &config).unwrap()),
            K => Daemon::Keepalived(Keepalived::start(&self.node, &config).unwrap()),
        });
    }

    /// vipd with its own configuration language.
    pub(crate) fn start_toml(&mut self, config: &str) {
        let vipd = Vipd::start(&self.node, binary(), "vipd.toml", config).unwrap();
        self.daemon = Some(Daemon::Vipd(vipd));
    }

    pub(crate) fn reload(&self, config: &impl fmt::Display) {
        self.vipd().reload(&config.to_string()).unwrap();
    }

    /// What it printed: for the message of a failed assertion.
    pub(crate) fn log(&self) -> String {
        let name = self.node.name();
        match &self.daemon {
            Some(Daemon::Vipd(vipd)) => format!("--- {name}, vipd:\n{}", vipd.log()),
            Some(Daemon::Keepalived(ka)) => format!("--- {name}, keepalived:\n{}", ka.log()),
            None => format!("--- {name}: stopped\n"),
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) {
        let process = match self.daemon.as_ref().expect("is running") {
            Daemon::Vipd(vipd) => {
                vipd.stop();
                vipd.process()
            }
            Daemon::Keepalived(keepalived) => {
                keepalived.stop();
                keepalived.process()
            }
        };
        let exit = process.wait(SOON).unwrap();
        assert_eq!(exit, Exit::Code(0), "{}", self.log());
        self.daemon = None;
    }

    /// Stops vipd's process as a stalled machine would, or lets it go on.
    pub(crate) fn freeze(&self, freeze: bool) {
        let signal = if freeze { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.vipd().process().signal(signal);
    }

    /// SIGKILL for all of it.
    pub(crate) fn kill(&mut self) {
        match self.daemon.take().expect("is running") {
            Daemon::Vipd(vipd) => vipd.kill9(),
            Daemon::Keepalived(keepalived) => keepalived.kill9(),
        }
    }

    pub(crate) fn has(&self, vip: IpAddr) -> bool {
        self.node.has_address(vip).unwrap()
    }

    pub(crate) fn vipd(&self) -> &Vipd {
        match &self.daemon {
            Some(Daemon::Vipd(vipd)) => vipd,
            _ => panic!("{} does not run vipd", self.node.name()),
        }
    }

    /// The first virtual router of `vipd status --json`, once the daemon answers.
    pub(crate) fn router(&self) -> Value {
        let vipd = self.vipd();
        let status = eventually(SOON, "an answer of vipd status", || vipd.status());
        status.unwrap_or_else(|e| panic!("{e}\n{}", self.log()))["routers"][0].clone()
    }

    /// Waits for a router whose status satisfies `wanted`.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = || {
            let router = self.router();
            if wanted(&router) { Ok(router) } else { Err(format!("{router:#}")) }
        };
        eventually(SOON, what, look).unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    /// When the kernel got the address, in hundredths of a second since boot.
    pub(crate) fn created(&self, vip: IpAddr) -> Option<u32> {
        let addresses = self.node.addresses("eth0").unwrap();
        addresses.iter().find(|a| a.cidr.address() == vip)?.created
    }

    /// Its hints, one per line.
    pub(crate) fn hints(&self) -> String {
        let hints = self.router()["hints"].as_array().cloned().unwrap_or_default();
        hints.iter().filter_map(|hint| Some(hint["text"].as_str()?.to_owned() + "\n")).collect()
    }

    /// What `vipd status` shows an operator.
    pub(crate) fn status_text(&self, args: &[&str]) -> String {
        let mut command = Command::new(binary());
        command.arg("status").args(args).arg("--run-dir").arg(self.vipd().run_dir());
        let finished = self.node.output(command, SOON).unwrap();
        assert!(finished.exit.success(), "{}", finished.stderr);
        finished.stdout
    }

    /// Waits until it is a backup that hears the other one.
    pub(crate) fn follows(&self, master: IpAddr) {
        match self.daemon.as_ref().expect("is running") {
            // keepalived tells nobody else.
            Daemon::Keepalived(keepalived) => {
                keepalived.process().wait_for_output(SOON, "Entering BACKUP STATE").unwrap();
            }
            Daemon::Vipd(_) => {
                let what = format!("{} to follow {master}", self.node.name());
                self.until(&what, |router| {
                    let followed = router["master"]["address"] == master.to_string();
                    router["state"] == "backup" && followed
                });
            }
        }
    }
}

/// Two balancers and a pinging client with a capture of what reaches it.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    pub(crate) dialect: Dialect,
    /// What the client uses.
    pub(crate) vip: IpAddr,
    pub(crate) a: Host,
    pub(crate) b: Host,
    pub(crate) client: Node,
    pub(crate) wire: Wire,
    ping: Option<Pinger>,
    /// What `a` and `b` write about their peers; `a` has the priorities above [`PIVOT`].
    peers: [&'static str; 2],
}

impl Pair {
    /// lb-01 (10.0.0.2) and lb-02 (10.0.0.3), nothing running.
    pub(crate) fn new(case: &Case) -> Pair {
        Pair::with_addresses(case, ["10.0.0.2/24", "10.0.0.3/24"])
    }

    pub(crate) fn with_addresses(case: &Case, [of_a, of_b]: [&str; 2]) -> Pair {
        let lab = lab();
        let [a, b] = case.kinds;
        let a = Host::new(&lab, "lb-01", a, &[of_a, "2001:db8::2/64"]);
        let b = Host::new(&lab, "lb-02", b, &[of_b, "2001:db8::3/64"]);
        let client = lab.node("client").unwrap();
        client.link("eth0", &["10.0.0.9/24", "2001:db8::9/64"]).unwrap();
        let wire = Wire::at(&client);
        let (dialect, vip) = (case.dialect, case.dialect.vip());
        Pair { lab, dialect, vip, a, b, client, wire, ping: None, peers: ["", ""] }
    }

    /// Each has the other one as its unicast peer; seen where `a` is plugged in.
    pub(crate) fn unicast(case: &Case) -> Pair {
        let mut pair = Pair::new(case);
        pair.peers = match case.dialect {
            Dialect::V3Ipv6 => [
                "unicast_src_ip fe80::ff:fe00:1\n unicast_peer {\n fe80::ff:fe00:2\n }",
                "unicast_src_ip fe80::ff:fe00:2\n unicast_peer {\n fe80::ff:fe00:1\n }",
            ],
            _ => ["unicast_peer {\n 10.0.0.3\n }", "unicast_peer {\n 10.0.0.2\n }"],
        };
        pair.wire = Wire::at_port(&pair.lab, &pair.a.node);
        pair
    }

    pub(crate) fn instance(&self, priority: u8) -> Instance {
        let [of_a, of_b] = self.peers;
        let more = if priority > PIVOT { of_a } else { of_b };
        Instance { more, ..self.dialect.instance(priority) }
    }

    /// The source address of a host's adverts.
    pub(crate) fn source(&self, host: &Host) -> IpAddr {
        let own = host.node.addresses("eth0").unwrap();
        let local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let wanted = |ip: &IpAddr| match self.dialect {
            Dialect::V3Ipv6 => local(ip) && *ip != self::ip("fe80::100"),
            _ => ip.is_ipv4(),
        };
        own.iter().map(|a| a.cidr.address()).find(wanted).unwrap()
    }

    /// The pinging client, started at the first call.
    pub(crate) fn ping(&mut self) -> &Pinger {
        let (client, vip) = (&self.client, self.vip);
        self.ping.get_or_insert_with(|| {
            Pinger::start_every(client, vip, Duration::from_millis(5)).unwrap()
        })
    }

    /// Waits until everything seen from outside agrees that `a` (or else `b`) alone serves.
    pub(crate) fn settled_on_a(&mut self) {
        self.settled(true);
    }

    pub(crate) fn settled_on_b(&mut self) {
        self.settled(false);
    }

    pub(crate) fn settled(&mut self, on_a: bool) {
        self.serves(on_a);
        let other = if on_a { &self.b } else { &self.a };
        let gone = || !other.has(self.vip);
        eventually(SOON, format!("{} to have no address", other.node.name()), gone)
            .unwrap_or_else(|e| panic!("{e}\n{}{}", self.a.log(), self.b.log()));
    }

    /// Waits until the client is served by `a` (or else `b`), whatever a dead one still holds.
    pub(crate) fn serves(&mut self, by_a: bool) {
        self.ping();
        let master = if by_a { &self.a } else { &self.b };
        let name = master.node.name();
        let vip = self.vip;
        let ping = self.ping.as_ref().expect("was started");
        let look = || {
            if !master.has(vip) {
                return Err(format!("{name} has no address"));
            }
            let cached = self.client.neighbours().unwrap();
            let cached = cached.iter().find(|n| n.ip == vip).and_then(|n| n.mac);
            if cached != Some(master.mac) {
                return Err(format!("the client believes it at {cached:?}"));
            }
            let port = self.lab.fdb().unwrap().into_iter().find(|e| e.mac == master.mac);
            if port.as_ref().map(|p| p.node.as_str()) != Some(name) {
                return Err(format!("the switch believes it at {port:?}"));
            }
            match ping.last() {
                Some(last) if last.from == master.mac && Stamp::now().since(last.at) < QUIET => {
                    Ok(())
                }
                other => Err(format!("last answer {other:?}")),
            }
        };
        eventually(SOON, format!("{name} to serve {vip}"), look)
            .unwrap_or_else(|e| panic!("{e}\n{}{}", self.a.log(), self.b.log()));
    }

    pub(crate) fn logs(&self) -> String {
        format!("{}{}", self.a.log(), self.b.log())
    }
}

/// VRRP, ARP and neighbour discovery as the client sees them.
pub(crate) struct Wire {
    capture: Capture,
    node: Node,
    markers: AtomicU32,
}

/// Ethertype for local experiments (IEEE 802): nothing but the marker of [`Wire::caught_up`] has it.
const MARKER: [u8; 2] = [0x88, 0xb5];

impl Wire {
    pub(crate) fn at(node: &Node) -> Wire {
        let keep = |frame: &Frame| {
            use Decoded::{Arp, NeighbourAdvert, NeighbourSolicit, Vrrp};
            frame.bytes.get(12..14) == Some(&MARKER)
                || matches!(
                    frame.decode(),
                    Vrrp(_) | Arp(_) | NeighbourAdvert(_) | NeighbourSolicit(_)
                )
        };
        let capture = node.capture_only("eth0", keep).unwrap();
        Wire { capture, node: node.clone(), markers: AtomicU32::new(0) }
    }

    /// As what the switch gets from a host and gives to it.
    pub(crate) fn at_port(lab: &Lab, node: &Node) -> Wire {
        let capture = lab.capture_port(node, "eth0").unwrap();
        Wire { capture, node: node.clone(), markers: AtomicU32::new(0) }
    }

    /// Every frame that has reached the client by now: the capture's thread may be behind.
    fn caught_up(&self) -> Vec<Frame> {
        let number = self.markers.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        // To the client's own address: the switch keeps it to itself.
        let own = self.node.link_status("eth0").unwrap().unwrap().mac.0;
        let marker = [&own[..], &own, &MARKER, &number, &[0; 46]].concat();
        self.node.send_frame("eth0", &marker).unwrap();
        self.capture.wait_for(SOON, "the capture's marker", |f| f.bytes == marker).unwrap();
        assert_eq!(self.capture.lost(), 0, "the capture is incomplete");
        self.capture.frames()
    }

    pub(crate) fn adverts(&self) -> Vec<(Stamp, Vrrp)> {
        let advert = |f: Frame| match f.decode() {
            Decoded::Vrrp(v) => Some((f.at, v)),
            _ => None,
        };
        self.caught_up().into_iter().filter_map(advert).collect()
    }

    /// The adverts of one host since a moment.
    pub(crate) fn adverts_of(&self, host: &Host, since: Stamp) -> Vec<(Stamp, Vrrp)> {
        let all = self.adverts().into_iter();
        all.filter(|(at, v)| v.source_mac == host.mac && *at >= since).collect()
    }

    /// Its last advert so far.
    pub(crate) fn last_of(&self, host: &Host) -> (Stamp, Vrrp) {
        self.adverts_of(host, Stamp::default()).pop().expect("it has advertised")
    }

    /// Waits for the first advert of a host since a moment that `wanted` accepts.
    pub(crate) fn next_of(
        &self,
        host: &Host,
        since: Stamp,
        what: &str,
        wanted: impl Fn(&Vrrp) -> bool,
    ) -> (Stamp, Vrrp) {
        self.try_next_of(host, since, what, wanted)
            .unwrap_or_else(|e| panic!("{e}\n{}", host.log()))
    }

    pub(crate) fn try_next_of(
        &self,
        host: &Host,
        since: Stamp,
        what: &str,
        wanted: impl Fn(&Vrrp) -> bool,
    ) -> Result<(Stamp, Vrrp), Overdue> {
        let advert = |f: &Frame| match f.decode() {
            Decoded::Vrrp(v) if f.at >= since && v.source_mac == host.mac && wanted(&v) => Some(v),
            _ => None,
        };
        let what = format!("{what} of {}", host.node.name());
        let frame = self.capture.wait_for(SOON, &what, |f| advert(f).is_some())?;
        Ok((frame.at, advert(&frame).expect("was one")))
    }

    /// When a host told the network where `vip` is, the first time since a moment.
    pub(crate) fn announced(&self, host: &Host, vip: IpAddr, since: Stamp) -> (Stamp, Decoded) {
        let tells = |f: &Frame| f.at >= since && tells(f, host, vip);
        let frame = self.capture.wait_for(SOON, &format!("an announcement of {vip}"), tells);
        let frame = frame.unwrap_or_else(|e| panic!("{e}\n{}", host.log()));
        (frame.at, frame.decode())
    }

    /// The announcements of `vip` that a host has sent since a moment: how long after it, and what.
    pub(crate) fn announcements(
        &self,
        host: &Host,
        vip: IpAddr,
        since: Stamp,
    ) -> Vec<(Duration, String)> {
        let frames = self.caught_up().into_iter();
        let told = frames.filter(|f| f.at >= since && tells(f, host, vip));
        told.map(|f| (f.at.since(since), f.decode().to_string())).collect()
    }

    /// Fails if a host sends an advert in the time that an advert in flight needs.
    pub(crate) fn silent(&self, host: &Host, since: Stamp) {
        never(QUIET, || self.adverts_of(host, since).into_iter().next())
            .unwrap_or_else(|(_, v)| panic!("{} has sent {v}\n{}", host.node.name(), host.log()));
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.caught_up()
    }
}

fn tells(frame: &Frame, host: &Host, vip: IpAddr) -> bool {
    match frame.decode() {
        Decoded::Arp(arp) => arp.is_gratuitous() && arp.sender == vip && arp.sender_mac == host.mac,
        Decoded::NeighbourAdvert(n) => n.target == vip && n.source_mac == host.mac && !n.solicited,
        _ => false,
    }
}

/// The program under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vipd"))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
