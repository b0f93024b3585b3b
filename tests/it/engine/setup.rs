//! Configurations, links and packets in few words. The default router is the one of the case table:
//! VRRPv3 over IPv4, VRID 53, 100 cs, priority 100, one address, preemption on.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::checks::{Check, Command, FileCheck, RunAs, ScriptCheck};
use vipd::config::{
    AnnounceConfig, Cast, Config, Namespace, OnTimeout, Peer, Preempt, Release, Rhythm,
    RouterConfig, RouterOptions, TrackRef, TrackerConfig, TrackerKey, VirtualAddress, Weight,
};
use vipd::io::{Link, LinkAddress};
use vipd::status::{FaultStatus, HintStatus};
use vipd::types::{
    AuthV2, Centis, Cidr, Dialect, Family, IfIndex, IfName, Mac, Now, Priority, V3Checksum, Vrid,
};
use vipd::wire::vrrp::{Advert, Claim};
use vipd::wire::{ipv4, vrrp};

pub const V2: Dialect = Dialect::V2(AuthV2::None);
pub const V2_PASS: Dialect = Dialect::V2(AuthV2::Pass(*b"1111\0\0\0\0"));
pub const V3: Dialect = Dialect::V3Ipv4(V3Checksum::PseudoHeader);
pub const V3_MESSAGE: Dialect = Dialect::V3Ipv4(V3Checksum::MessageOnly);
pub const V3_IPV6: Dialect = Dialect::V3Ipv6;

pub const ETH0: IfIndex = IfIndex(2);
pub const ETH1: IfIndex = IfIndex(3);
/// Our own address on eth0.
pub const OWN: &str = "192.0.2.101";
pub const OWN_V6: &str = "fe80::64";
pub const VIP: &str = "192.0.2.251";
pub const VIP_V6: &str = "fe80::53";
/// Peers whose address compares lower and higher than ours.
pub const LOW: &str = "192.0.2.9";
pub const HIGH: &str = "192.0.2.200";

/// When a new master announces its addresses for the first time again.
pub const EARLY_REPEAT: Duration = Duration::from_millis(50);

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

pub fn centis(cs: u16) -> Centis {
    Centis::try_from(cs).unwrap()
}

pub fn priority(value: u8) -> Priority {
    Priority::try_from(value).unwrap()
}

pub const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

/// The skew as the RFCs define it, computed apart from the code under test.
pub fn skew(scale_cs: u16, priority: u8) -> Duration {
    ns((256 - u64::from(priority)) * u64::from(scale_cs) * 10_000_000 / 256)
}

/// The master-down interval of VRRPv3 with three adverts.
pub fn mdi(master_cs: u16, priority: u8) -> Duration {
    ms(u64::from(master_cs) * 30) + skew(master_cs, priority)
}

pub fn vip(text: &str) -> Arc<VirtualAddress> {
    vip_on(text, None)
}

pub fn vip_on(text: &str, iface: Option<&str>) -> Arc<VirtualAddress> {
    Arc::new(VirtualAddress {
        cidr: cidr(text),
        iface: iface.map(name),
        advertised: true,
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        dad: false,
        home: false,
        mngtmpaddr: false,
        noprefixroute: false,
        autojoin: false,
        preferred_lft: None,
        track: true,
    })
}

pub fn router(change: impl FnOnce(&mut RouterConfig)) -> RouterConfig {
    let mut cfg = RouterConfig {
        name: "VI_1".to_owned(),
        iface: name("eth0"),
        vrid: Vrid::try_from(53).unwrap(),
        dialect: V3,
        priority: priority(100),
        interval: Centis::SECOND,
        preempt: Preempt::After(Duration::ZERO),
        highest_peer_priority: None,
        strict: None,
        source: None,
        cast: Cast::Multicast { group: Family::Ipv4.vrrp_group() },
        receive_buffer: None,
        addresses: vec![vip(VIP)],
        announce: AnnounceConfig::default(),
        options: RouterOptions {
            // D21, leases and hand-over have tests of their own.
            advert_before_yield: false,
            max_learned_interval: centis(300),
            release: Release::Now,
            lease: false,
            ..RouterOptions::default()
        },
        notify: Default::default(),
        track: Vec::new(),
        track_interfaces: Vec::new(),
    };
    change(&mut cfg);
    cfg
}

/// The same router over IPv6.
pub fn router_v6(change: impl FnOnce(&mut RouterConfig)) -> RouterConfig {
    router(|r| {
        r.dialect = V3_IPV6;
        r.cast = Cast::Multicast { group: Family::Ipv6.vrrp_group() };
        r.addresses = vec![vip(VIP_V6)];
        change(r);
    })
}

/// Unicast to these peers.
pub fn unicast(peers: &[&str]) -> Cast {
    let peer = |address: &&str| Peer { address: ip(address), accepted_ttl: 255..=255 };
    Cast::Unicast { peers: peers.iter().map(peer).collect(), ttl: 255 }
}

pub fn with_priority(value: u8) -> RouterConfig {
    router(|r| r.priority = priority(value))
}

/// Files in every configuration, tracked by every router, with which [`Bench::track`] moves
/// priorities by any amount and stops routers.
///
/// [`Bench::track`]: super::bench::Bench::track
pub const LEVERS: [(&str, i64); 3] = [("/lever/a", 1), ("/lever/b", 1), ("/lever/stop", 0)];

pub fn config(routers: Vec<RouterConfig>) -> Config {
    config_with(routers, Vec::new())
}

pub fn config_with(routers: Vec<RouterConfig>, mut trackers: Vec<TrackerConfig>) -> Config {
    let mut routers = routers;
    for (path, weight) in LEVERS {
        let key = TrackerKey { namespace: Namespace::File, name: path.to_owned() };
        for router in &mut routers {
            router.track.push(TrackRef { tracker: key.clone(), weight: points(weight) });
        }
        let check = Check::File(FileCheck { path: path.into() });
        trackers.push(tracker(key, check, |r| r.watched = true));
    }
    Config {
        routers: routers.into_iter().map(Arc::new).collect(),
        trackers: trackers.into_iter().map(Arc::new).collect(),
        ..Config::default()
    }
}

pub fn points(value: i64) -> Weight {
    Weight::new(value, false).unwrap()
}

/// A script of that name, run every second for half a second at most.
pub fn script(name: &str, change: impl FnOnce(&mut Rhythm)) -> TrackerConfig {
    let command = Command::Argv { program: name.to_owned(), args: Vec::new() };
    let check = Check::Script(ScriptCheck { command, run_as: RunAs::Default, security: false });
    tracker(script_key(name), check, change)
}

fn script_key(name: &str) -> TrackerKey {
    TrackerKey { namespace: Namespace::Check, name: name.to_owned() }
}

fn tracker(key: TrackerKey, check: Check, change: impl FnOnce(&mut Rhythm)) -> TrackerConfig {
    let mut rhythm = Rhythm {
        watched: false,
        interval: secs(1),
        timeout: ms(500),
        rise: NonZeroU32::MIN,
        fall: NonZeroU32::MIN,
        init_fail: false,
        on_timeout: OnTimeout::Fail,
        rise_delay: Duration::ZERO,
        fall_delay: Duration::ZERO,
    };
    change(&mut rhythm);
    TrackerConfig { key, check: Arc::new(check), listeners: false, rhythm }
}

/// Tracks the script of that name.
pub fn tracks(script: &str, weight: i64) -> TrackRef {
    TrackRef { tracker: script_key(script), weight: points(weight) }
}

pub fn link(index: IfIndex, named: &str) -> Link {
    let last = u8::try_from(index.0).unwrap();
    Link {
        index,
        name: name(named),
        running: true,
        up: true,
        mac: Some(Mac([2, 0, 0, 0, 0, last])),
        mtu: 1500,
        noarp: false,
        loopback: false,
    }
}

pub fn address(text: &str) -> LinkAddress {
    LinkAddress { cidr: cidr(text), usable: true, secondary: false, ours: false, renewed: None }
}

/// eth0 with an address of each family, eth1 with one.
pub fn links() -> Vec<(Link, Vec<LinkAddress>)> {
    let eth0 = vec![address("192.0.2.101/24"), address("fe80::64/64")];
    vec![(link(ETH0, "eth0"), eth0), (link(ETH1, "eth1"), vec![address("198.51.100.100/24")])]
}

/// What the wire did to a message.
pub type Damage = fn(&mut Vec<u8>);

/// A packet of a peer: everything can be changed before it is sent, nothing has to be.
#[derive(Clone, Debug)]
pub struct Heard {
    pub dialect: Dialect,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hop_limit: Option<u8>,
    pub iface: IfIndex,
    pub at: Option<Now>,
    pub advert: Advert,
    pub damage: Option<Damage>,
}

/// A valid advert for the default router; priority 0 resigns.
pub fn advert(source: &str, priority: u8) -> Heard {
    Heard {
        dialect: V3,
        source: ip(source),
        destination: Family::of(ip(source)).vrrp_group(),
        hop_limit: Some(255),
        iface: ETH0,
        at: None,
        advert: Advert {
            vrid: Vrid::try_from(53).unwrap(),
            claim: Claim::from_wire(priority),
            interval: Centis::SECOND,
            addresses: vec![ip(VIP)],
        },
        damage: None,
    }
}

pub fn advert_v6(source: &str, priority: u8) -> Heard {
    advert(source, priority).speaking(V3_IPV6).listing(&[VIP_V6])
}

impl Heard {
    /// When it arrives, counted from the start of the bench.
    pub fn at(mut self, since_start: Duration) -> Heard {
        self.at = Some(T0 + since_start);
        self
    }

    pub fn every(mut self, cs: u16) -> Heard {
        self.advert.interval = centis(cs);
        self
    }

    pub fn speaking(mut self, dialect: Dialect) -> Heard {
        self.dialect = dialect;
        self
    }

    pub fn listing(mut self, addresses: &[&str]) -> Heard {
        self.advert.addresses = addresses.iter().map(|a| ip(a)).collect();
        self
    }

    pub fn vrid(mut self, vrid: u8) -> Heard {
        self.advert.vrid = Vrid::try_from(vrid).unwrap();
        self
    }

    pub fn to(mut self, destination: &str) -> Heard {
        self.destination = ip(destination);
        self
    }

    pub fn hop_limit(mut self, hop_limit: Option<u8>) -> Heard {
        self.hop_limit = hop_limit;
        self
    }

    pub fn on(mut self, iface: IfIndex) -> Heard {
        self.iface = iface;
        self
    }

    /// Changes the VRRP message after its checksum was written.
    pub fn damaged(mut self, damage: Damage) -> Heard {
        self.damage = Some(damage);
        self
    }

    /// The VRRP message.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        self.advert
            .emit(&self.dialect, self.source, self.destination, &mut message)
            .expect("a sendable advert");
        if let Some(damage) = self.damage {
            damage(&mut message);
        }
        message
    }

    /// IPv4: header and message.
    pub fn datagram(&self) -> Vec<u8> {
        self.carry(&self.message())
    }

    pub fn carry(&self, message: &[u8]) -> Vec<u8> {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.source, self.destination) else {
            panic!("IPv6 comes without its header");
        };
        let ttl = self.hop_limit.expect("IPv4 always carries a TTL");
        let mut bytes = Vec::new();
        ipv4::emit(7, source, destination, ttl, vrrp::PROTOCOL, message.len(), &mut bytes).unwrap();
        bytes.extend_from_slice(message);
        bytes
    }
}

/// Where every bench starts: late enough that nothing saturates at zero unnoticed.
pub const T0: Now = Now::from_start(Duration::from_secs(1000));

/// What people read of faults and hints.
pub trait Texts {
    fn texts(&self) -> Vec<String>;
}

impl Texts for Vec<FaultStatus> {
    fn texts(&self) -> Vec<String> {
        self.iter().map(|fault| fault.text.clone()).collect()
    }
}

impl Texts for Vec<HintStatus> {
    fn texts(&self) -> Vec<String> {
        self.iter().map(|hint| hint.text.clone()).collect()
    }
}
