//! Unicast routers in whole engines, fed with datagrams: whom they send to, whom they believe.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::Config;
use vipd::engine::Engine;
use vipd::io::{
    Action, Applied, Datagram, Input, KernelView, Link, LinkAddress, LinkChange, Listen, OpId,
};
use vipd::load::load;
use vipd::status::{RouterStatus, State};
use vipd::types::{Centis, Cidr, Dialect, IfIndex, Mac, Now, Priority, V3Checksum, Vrid};
use vipd::wire::ipv4::{self, Ipv4Header};
use vipd::wire::vrrp::{Advert, ChecksumAccept, Claim};

use crate::engine::setup::Texts as _;
use crate::expected::OneFile;
use crate::golden::{V3_PSEUDO, deliver, packet};

const ETH0: IfIndex = IfIndex(2);
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

pub(crate) fn config(toml: &str) -> Arc<Config> {
    let loaded = load(&OneFile(toml.to_owned()), &[PathBuf::from("vipd.toml")], None);
    Arc::new(loaded.unwrap_or_else(|failed| panic!("{}", failed.render())).config)
}

/// VRID 62 as in the recorded unicast packet, with these settings.
fn router(settings: &str) -> String {
    format!(
        "[vrrp.web]\ninterface = \"eth0\"\nvrid = 62\npriority = 150\nversion = 3\n\
         addresses = [\"192.0.2.231/24\"]\n{settings}\n"
    )
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An engine whose kernel does at once what it is told.
struct Host {
    engine: Engine,
    now: Now,
    done: Vec<Action>,
}

impl Host {
    fn new(config: &Arc<Config>, own: &[&str]) -> Host {
        let addresses = own.iter().map(|cidr| address(cidr)).collect();
        let links = vec![(link(true), addresses)];
        let host = KernelView { links, uptime: Duration::ZERO };
        let engine = Engine::new(Arc::clone(config), host, Now::ZERO);
        let mut host = Host { engine, now: Now::ZERO, done: Vec::new() };
        host.perform();
        host
    }

    fn perform(&mut self) {
        let mut ops: VecDeque<OpId> = VecDeque::new();
        loop {
            while let Some(action) = self.engine.poll_action() {
                if let Action::Address { op, .. } | Action::Socket { op, .. } = &action {
                    ops.push_back(*op);
                }
                self.done.push(action);
            }
            let Some(op) = ops.pop_front() else { return };
            self.engine.handle(self.now, Input::Done { op, result: Ok(Applied::Changed) });
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
        self.perform();
    }

    fn link(&mut self, change: LinkChange) {
        self.feed(Input::Link(change));
    }

    /// Lets the next deadline come, again and again, for this long.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.poll_deadline().filter(|at| *at <= end) {
            self.now = at;
            self.feed(Input::Tick);
        }
        self.now = end;
    }

    fn status(&self) -> RouterStatus {
        self.engine.snapshot(self.now).routers.swap_remove(0)
    }

    /// What was sent since the last look: destination, hop limit, bytes.
    fn sent(&mut self) -> Vec<(IpAddr, u8, Vec<u8>)> {
        let transmit = |action| match action {
            Action::Transmit { destination, hop_limit, bytes, .. } => {
                Some((destination, hop_limit, bytes))
            }
            _ => None,
        };
        self.done.drain(..).filter_map(transmit).collect()
    }

    /// Feeds an advert of VRID 62.
    fn hear(&mut self, from: &str, to: &str, ttl: u8, priority: u8) {
        let datagram = datagram(from, to, ttl, priority);
        self.feed(Input::Packet { iface: ETH0, datagram: Datagram::V4(&datagram) });
    }

    fn sockets(&self) -> Vec<(Listen, bool)> {
        let socket = |action: &Action| match action {
            Action::Socket { listen, open, .. } => Some((*listen, *open)),
            _ => None,
        };
        self.done.iter().filter_map(socket).collect()
    }
}

fn link(running: bool) -> Link {
    Link {
        index: ETH0,
        name: "eth0".parse().unwrap(),
        running,
        up: true,
        mac: Some(MAC),
        mtu: 1500,
        noarp: false,
        loopback: false,
    }
}

fn address(cidr: &str) -> LinkAddress {
    let cidr: Cidr = cidr.parse().unwrap();
    LinkAddress { cidr, usable: true, secondary: false, ours: false, renewed: None }
}

fn datagram(from: &str, to: &str, ttl: u8, priority: u8) -> Vec<u8> {
    let (from, to): (Ipv4Addr, Ipv4Addr) = (from.parse().unwrap(), to.parse().unwrap());
    let advert = Advert {
        vrid: Vrid::try_from(62).unwrap(),
        claim: Claim::Priority(Priority::try_from(priority).unwrap()),
        interval: Centis::SECOND,
        addresses: vec![ip("192.0.2.231"), ip("192.0.2.232")],
    };
    let mut message = Vec::new();
    let dialect = Dialect::V3Ipv4(V3Checksum::PseudoHeader);
    advert.emit(&dialect, from.into(), to.into(), &mut message).unwrap();
    let mut out = Vec::new();
    ipv4::emit(1, from, to, ttl, 112, message.len(), &mut out).unwrap();
    out.extend(message);
    out
}

// C69, C6, W22
#[test]
fn each_peer_gets_its_own_datagram_as_keepalived_sends_it() {
    let config = config(&router("peers = [\"192.0.2.100\", \"192.0.2.101\"]"));
    let mut host = Host::new(&config, &["192.0.2.1/24"]);
    assert_eq!(host.sockets(), [(Listen::Local(ip("192.0.2.1")), true)]);
    host.run(Duration::from_secs(4));
    assert_eq!(host.status().state, State::Master);
    let sent = host.sent();
    let to: Vec<_> = sent.iter().map(|(to, ..)| *to).collect();
    assert_eq!(to[..2], [ip("192.0.2.100"), ip("192.0.2.101")]);
    assert_eq!(to.len() % 2, 0);
    assert_eq!(host.status().counters.adv_sent, u64::try_from(to.len() / 2).unwrap());

    let first = Ipv4Header::parse(&sent[0].2).unwrap();
    let recorded = deliver(&packet("v3_ipv4_uni_ph")).unwrap();
    assert_eq!((first.ttl, IpAddr::from(first.destination)), (255, recorded.destination));
    assert_eq!(first.payload, recorded.message);
    for (to, ttl, bytes) in &sent {
        let header = Ipv4Header::parse(bytes).unwrap();
        let accept = ChecksumAccept::Both;
        let parsed = Advert::parse(&V3_PSEUDO, ip("192.0.2.1"), *to, header.payload, accept);
        assert_eq!(parsed.unwrap().checksum, Some(V3Checksum::PseudoHeader));
        assert_eq!(*ttl, 255);
    }
}

// D10
#[test]
fn ipv6_adverts_leave_with_255_and_from_an_address_that_reaches_the_peers() {
    let global = "[vrrp.web]\ninterface = \"eth0\"\nvrid = 62\npriority = 150\n\
        addresses = [\"fe80::100/64\", \"2001:db8::100/64\"]\n";
    let own = ["fe80::1/64", "2001:db8:1::1/64", "2001:db8::1/64"];
    for (settings, source, hop_limit) in [
        ("peers = [\"2001:db8::2\"]", "2001:db8::1", 255),
        ("peers = [\"2001:db8:2::2\"]", "2001:db8:1::1", 255),
        ("peers = [\"2001:db8:7::2\", \"2001:db8::1\"]", "2001:db8::1", 255),
        ("peers = [\"fe80::2\"]\nttl = 100", "fe80::1", 100),
    ] {
        let mut host = Host::new(&config(&format!("{global}{settings}\n")), &own);
        assert_eq!(host.sockets(), [(Listen::Local(ip(source)), true)], "{settings}");
        host.run(Duration::from_secs(4));
        assert_eq!(host.status().source, Some(ip(source)));
        assert_eq!(host.sent()[0].1, hop_limit);
    }
}

// C70, V19
#[test]
fn a_stranger_is_refused_and_named() {
    let config = config(&router("peers = [\"192.0.2.100\"]"));
    let mut host = Host::new(&config, &["192.0.2.1/24"]);
    host.run(Duration::from_secs(1));
    host.hear("192.0.2.66", "192.0.2.1", 255, 254);
    let status = host.status();
    assert_eq!((status.counters.unknown_peer, status.counters.adv_rcvd), (1, 0));
    assert!(status.hints.texts()[0].contains("192.0.2.66"), "{:?}", status.hints.texts());
    assert!(status.hints.texts()[0].contains("list of peers"), "{:?}", status.hints.texts());
    host.hear("192.0.2.100", "192.0.2.1", 255, 254);
    assert_eq!(host.status().counters.adv_rcvd, 1);
    assert_eq!(host.status().master.unwrap().address, ip("192.0.2.100"));
}

// C71, D9
#[test]
fn each_peer_has_its_own_range_of_ttl() {
    for (settings, ttl, accepted) in [
        ("peers = [\"192.0.2.100\"]", 255, true),
        ("peers = [\"192.0.2.100\"]", 254, true),
        ("peers = [\"192.0.2.100\"]", 1, true),
        ("peers = [{ address = \"192.0.2.100\", min_ttl = 255 }]", 254, false),
        ("peers = [{ address = \"192.0.2.100\", min_ttl = 60 }]", 64, true),
        ("peers = [{ address = \"192.0.2.100\", min_ttl = 60 }]", 59, false),
        ("peers = [{ address = \"192.0.2.100\", max_ttl = 254 }]", 255, false),
        ("peers = [\"192.0.2.100\"]\nttl = 64", 64, true),
        ("peers = [\"192.0.2.100\"]\nttl = 64", 63, true),
        ("peers = [\"192.0.2.99\", { address = \"192.0.2.100\", min_ttl = 9 }]", 9, true),
    ] {
        let mut host = Host::new(&config(&router(settings)), &["192.0.2.1/24"]);
        host.hear("192.0.2.100", "192.0.2.1", ttl, 200);
        let counters = host.status().counters;
        let expected = if accepted { (1, 0) } else { (0, 1) };
        assert_eq!((counters.adv_rcvd, counters.ip_ttl_errors), expected, "{settings} {ttl}");
    }
}

// D10: keepalived leaves the hop limit to the kernel.
#[test]
fn ipv6_is_accepted_with_any_hop_limit_that_is_known() {
    let toml = "[vrrp.web]\ninterface = \"eth0\"\nvrid = 63\naddresses = [\"fe80::63/64\"]\n\
        peers = [\"fe80::2\"]\n";
    let recorded = deliver(&packet("v3_ipv6_uni_hl64")).unwrap();
    let toml = toml.replace("fe80::2", &recorded.source.to_string());
    let own = format!("{}/64", recorded.destination);
    let mut host = Host::new(&config(&toml), &[&own]);
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (recorded.source, recorded.destination)
    else {
        panic!("not IPv6");
    };
    for hop_limit in [Some(64), Some(63), None] {
        let message = &recorded.message[..];
        let datagram = Datagram::V6 { source, destination, hop_limit, message };
        host.feed(Input::Packet { iface: ETH0, datagram });
    }
    let counters = host.status().counters;
    assert_eq!((counters.adv_rcvd, counters.ip_ttl_errors), (2, 1), "{:?}", host.status());
}

// C72, C73, V4
#[test]
fn the_other_kind_of_cast_is_refused_and_said() {
    for (settings, to) in [
        ("peers = [\"192.0.2.100\"]", "224.0.0.18"),
        ("peers = [\"192.0.2.100\"]", "192.0.2.9"),
        ("", "192.0.2.1"),
    ] {
        let mut host = Host::new(&config(&router(settings)), &["192.0.2.1/24"]);
        host.hear("192.0.2.100", to, 255, 254);
        let status = host.status();
        assert_eq!((status.counters.wrong_cast, status.counters.adv_rcvd), (1, 0), "{to}");
        assert!(status.hints.texts()[0].contains("unicast"), "{:?}", status.hints.texts());
    }
}

/// An advert as keepalived before 1.3.7 sends it, from 192.0.2.100 to 192.0.2.101.
#[test]
fn the_old_checksum_is_heard_and_sent_where_it_is_asked_for() {
    for (settings, heard) in [("checksum = \"old-unicast\"", true), ("", false)] {
        let peers = format!("peers = [\"192.0.2.100\"]\n{settings}");
        let mut host = Host::new(&config(&router(&peers)), &["192.0.2.101/24"]);
        let recorded = packet("v3_ipv4_uni_old");
        host.feed(Input::Packet { iface: ETH0, datagram: Datagram::V4(&recorded) });
        let counters = host.status().counters;
        assert_eq!(
            (counters.adv_rcvd, counters.checksum_errors),
            if heard { (1, 0) } else { (0, 1) }
        );
        host.run(Duration::from_secs(8));
        let (_, _, bytes) = host.sent().swap_remove(0);
        let (source, destination) = (ip("192.0.2.101"), ip("192.0.2.100"));
        let form = Dialect::V3Ipv4(V3Checksum::OldUnicast);
        let accept = ChecksumAccept::OldUnicast;
        let sent = Advert::parse(&form, source, destination, &bytes[20..], accept).unwrap();
        assert_eq!(sent.checksum == Some(V3Checksum::OldUnicast), heard);
    }
}

#[test]
fn one_vrid_serves_multicast_and_unicast_side_by_side() {
    let second = router("").replace("[vrrp.web]", "[vrrp.multicast]").replace(".231", ".232");
    let both = format!("{}{second}", router("peers = [\"192.0.2.100\"]"));
    let mut host = Host::new(&config(&both), &["192.0.2.1/24"]);
    let listens = host.sockets();
    assert!(listens.contains(&(Listen::Local(ip("192.0.2.1")), true)), "{listens:?}");
    assert!(listens.contains(&(Listen::Group(ip("224.0.0.18")), true)), "{listens:?}");
    host.hear("192.0.2.100", "192.0.2.1", 255, 254);
    host.hear("192.0.2.100", "224.0.0.18", 255, 253);
    let heard = host.engine.snapshot(host.now).routers;
    let masters: Vec<_> = heard.iter().map(|r| r.master.as_ref().unwrap().priority).collect();
    assert_eq!(masters, [254, 253]);
    assert!(heard.iter().all(|r| r.counters.wrong_cast == 0));
}

#[test]
fn one_list_suits_every_node() {
    let config = config(&router("peers = [\"192.0.2.1\", \"192.0.2.2\"]"));
    for (own, other) in [("192.0.2.1/24", "192.0.2.2"), ("192.0.2.2/24", "192.0.2.1")] {
        // Another address comes first, as it may on a real host.
        let mut host = Host::new(&config, &["192.0.2.77/24", own]);
        host.run(Duration::from_secs(4));
        let status = host.status();
        assert_eq!(status.source, Some(own.parse::<Cidr>().unwrap().address()));
        assert_eq!(status.destinations, [ip(other)]);
        let sent = host.sent();
        assert!(!sent.is_empty() && sent.iter().all(|(to, ..)| *to == ip(other)), "{own}");
    }
}

#[test]
fn a_list_without_anybody_else_is_a_fault_until_there_is_one() {
    let alone = config(&router("peers = [\"192.0.2.1\"]"));
    let mut host = Host::new(&alone, &["192.0.2.1/24"]);
    host.run(Duration::from_secs(10));
    let status = host.status();
    assert_eq!(status.state, State::Fault);
    assert!(status.faults.texts()[0].contains("this node itself"), "{:?}", status.faults.texts());
    assert_eq!(host.sent(), []);
    host.feed(Input::Reload(config(&router("peers = [\"192.0.2.1\", \"192.0.2.2\"]"))));
    host.run(Duration::from_secs(4));
    assert_eq!(host.status().state, State::Master);
}

#[test]
fn an_empty_list_that_is_meant_waits_for_a_reload() {
    let waiting = config(&router("peers = []\nfault_without_peers = true"));
    let mut host = Host::new(&waiting, &["192.0.2.1/24"]);
    host.run(Duration::from_secs(10));
    let status = host.status();
    assert_eq!(status.state, State::Fault);
    assert_eq!(status.faults.texts(), ["the list of unicast peers is empty: list the other nodes"]);
    assert_eq!(host.sent(), []);
    host.feed(Input::Reload(config(&router("peers = [\"192.0.2.2\"]"))));
    host.run(Duration::from_secs(4));
    assert_eq!(host.status().state, State::Master);
    // And back: the master goes without a word, there is nobody to tell.
    host.sent();
    host.feed(Input::Reload(waiting));
    assert_eq!((host.status().state, host.sent()), (State::Fault, Vec::new()));
}

// R25: a new list is used from the next advert on, by the same router.
#[test]
fn a_reload_changes_the_peers_of_a_master() {
    let mut host = Host::new(&config(&router("peers = [\"192.0.2.2\"]")), &["192.0.2.1/24"]);
    host.run(Duration::from_secs(4));
    host.done.clear();
    host.feed(Input::Reload(config(&router("peers = [\"192.0.2.3\", \"192.0.2.4\"]"))));
    assert_eq!(host.sockets(), []);
    let to: Vec<_> = host.sent().into_iter().map(|(to, ..)| to).collect();
    assert_eq!(to, [ip("192.0.2.3"), ip("192.0.2.4")]);
    assert_eq!(host.status().counters.master_transitions, 1);
}

// C75
#[test]
fn leaving_fault_tells_the_network_where_the_source_is() {
    for (settings, expected) in [("peers = [\"192.0.2.2\"]", 1), ("", 0)] {
        let mut host = Host::new(&config(&router(settings)), &["192.0.2.1/24"]);
        host.link(LinkChange::Link(link(false)));
        assert_eq!(host.status().state, State::Fault);
        host.done.clear();
        host.link(LinkChange::Link(link(true)));
        assert_eq!(host.status().state, State::Backup);
        let announced = host.done.iter().filter(|action| {
            let Action::Announce { iface, mac, vip, .. } = action else { return false };
            (*iface, *mac, *vip) == (ETH0, MAC, ip("192.0.2.1"))
        });
        assert_eq!(announced.count(), expected, "{settings}");
    }
}

// R27
#[test]
fn the_sockets_follow_the_source_address() {
    let mut host = Host::new(&config(&router("peers = [\"192.0.2.100\"]")), &["192.0.2.1/24"]);
    host.run(Duration::from_secs(4));
    let gone = |cidr: &str| LinkChange::AddressGone { iface: ETH0, cidr: cidr.parse().unwrap() };
    let added = |cidr: &str| LinkChange::Address { iface: ETH0, address: address(cidr) };
    host.link(added("192.0.2.5/24"));
    host.done.clear();
    host.link(gone("192.0.2.1/24"));
    let (old, new) = (Listen::Local(ip("192.0.2.1")), Listen::Local(ip("192.0.2.5")));
    assert_eq!(host.sockets(), [(old, false), (new, true)]);
    host.run(Duration::from_secs(1));
    assert_eq!(host.status().state, State::Master);
    assert!(host.sent().iter().all(|(_, _, bytes)| bytes[12..16] == [192, 0, 2, 5]));
    host.link(gone("192.0.2.5/24"));
    assert_eq!(host.status().state, State::Fault);
    assert!(
        host.status().faults.texts()[0].contains("reaches the peers"),
        "{:?}",
        host.status().faults.texts()
    );
}

#[test]
fn a_configured_source_must_be_there() {
    let settings = "peers = [\"192.0.2.100\"]\nsource = \"192.0.2.7\"";
    let mut host = Host::new(&config(&router(settings)), &["192.0.2.1/24"]);
    assert_eq!(
        host.status().faults.texts(),
        ["no interface of this host has the source address 192.0.2.7"]
    );
    let address = address("192.0.2.7/24");
    host.link(LinkChange::Address { iface: ETH0, address });
    assert_eq!(host.status().state, State::Backup);
    host.run(Duration::from_secs(4));
    assert_eq!(host.status().state, State::Master);
}
