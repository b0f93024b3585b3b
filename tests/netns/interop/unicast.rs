//! Pairs that speak unicast: the same life as with multicast, and what only unicast has.

use std::net::IpAddr;

use vipd::lab::Stamp;
use vipd::lab::deadline::{eventually, never};

use super::lifecycle::live;
use super::pair::{Case, Dialect, Host, Kind, PAIRS, Pair, QUIET, Wire, cases, ip};
use crate::common::Machine;
use crate::turns::{each, together, two};
use crate::{SOON, lab};

// C74
#[test]
fn unicast_v2_pairs_elect_hand_over_fail_back_and_survive_a_crash() {
    let _turn = two();
    each(cases(&[Dialect::V2Pass, Dialect::V2None], &PAIRS), life);
}

// C74
#[test]
fn unicast_v3_pairs_elect_hand_over_fail_back_and_survive_a_crash() {
    let _turn = two();
    each(cases(&[Dialect::V3Ipv4, Dialect::V3Ipv6], &PAIRS), life);
}

fn life(case: &Case) {
    let pair = Pair::unicast(case);
    let client = Wire::at(&pair.client);
    live(case, pair);
    assert!(client.adverts().is_empty(), "an advert reached somebody who is no peer");
}

const VIPDS: [Kind; 2] = [Kind::Vipd, Kind::Vipd];

/// The same file on both nodes but for the priority; the VRID is used for multicast as well.
fn one_file(priority: u8) -> String {
    format!(
        "[vrrp.unicast]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
         interval = \"200ms\"\naddresses = [\"fe80::100/64\", \"2001:db8::100/64\"]\n\
         peers = [\"2001:db8::2\", \"2001:db8::3\"]\n\
         [vrrp.multicast]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
         interval = \"200ms\"\naddresses = [\"fe80::101/64\"]\n"
    )
}

// D10, W41: each packet reaches the router it is for, and only once.
#[test]
fn one_file_serves_both_nodes_and_multicast_next_to_it() {
    let _turn = together();
    let mut pair = Pair::new(&Case { dialect: Dialect::V3Ipv6, kinds: VIPDS });
    let wire = Wire::at_port(&pair.lab, &pair.b.node);
    pair.a.start_toml(&one_file(150));
    pair.settled_on_a();
    pair.b.start_toml(&one_file(100));
    pair.b.follows(ip("2001:db8::2"));
    let routers = |host: &Host| host.vipd().status().unwrap()["routers"].clone();
    let accepted = eventually(SOON, "adverts of both kinds", || {
        let routers = routers(&pair.b);
        let received = [0, 1].map(|n: usize| routers[n]["counters"]["adv_rcvd"].as_u64().unwrap());
        if received.iter().all(|n| *n > 10) { Ok(received) } else { Err(routers) }
    })
    .unwrap_or_else(|e| panic!("{e}\n{}", pair.logs()));
    let difference = accepted[0].abs_diff(accepted[1]);
    assert!(difference <= 5, "{accepted:?}: each advert is heard once");
    for host in [&pair.a, &pair.b] {
        let routers = routers(host);
        for router in routers.as_array().unwrap() {
            for counter in ["wrong_cast", "unknown_peer", "ip_ttl_errors"] {
                assert_eq!(router["counters"][counter], 0, "{router:#}");
            }
        }
        assert_eq!(routers[0]["hints"], serde_json::json!([]));
    }
    let (_, advert) =
        wire.next_of(&pair.a, Stamp::now(), "unicast", |v| !v.destination.is_multicast());
    assert_eq!((advert.source, advert.destination), (ip("2001:db8::2"), ip("2001:db8::3")));
    assert_eq!((advert.ttl, advert.tos), (255, 0xc0));

    let (machine, asked) = (Machine::watch(), Stamp::now());
    pair.a.stop();
    pair.settled_on_b();
    let ping = pair.ping().record();
    let outage = ping.longest_outage_in(asked, Stamp::now()).unwrap();
    println!("unicast hand-over, one file: client {:?}", outage.length);
    assert!(outage.length < machine.allows(QUIET), "{outage:?}");
}

// C75, R22, R27
#[test]
fn a_node_without_its_address_is_in_fault_and_says_when_it_is_back() {
    let _turn = together();
    let mut pair = Pair::unicast(&Case { dialect: Dialect::V3Ipv4, kinds: VIPDS });
    pair.b.start(&pair.instance(100));
    pair.b.until("state master", |router| router["state"] == "master");
    let own: IpAddr = ip("10.0.0.3");
    // The virtual address goes too if it is its secondary.
    pair.b.node.del_address("eth0", "10.0.0.3/24").unwrap();
    let fault = pair.b.until("Fault", |router| router["state"] == "fault");
    assert!(fault["faults"][0]["text"].as_str().unwrap().contains("eth0"), "{fault:#}");
    let back = Stamp::now();
    pair.b.node.add_address("eth0", "10.0.0.3/24").unwrap();
    pair.wire.announced(&pair.b, own, back);
    pair.b.until("state master", |router| router["state"] == "master");
    pair.a.start(&pair.instance(150));
    pair.settled_on_a();
    pair.b.follows(ip("10.0.0.2"));
}

// W39, D9: a router between the nodes takes one off the TTL.
#[test]
fn peers_may_be_behind_a_router() {
    let _turn = together();
    let lab = lab();
    let gateway = lab.node("gateway").unwrap();
    gateway.link("eth0", &["10.0.0.1/24"]).unwrap();
    gateway.link("eth1", &["10.1.0.1/24"]).unwrap();
    gateway.sysctl("net/ipv4/ip_forward", "1").unwrap();
    let mut a = Host::new(&lab, "lb-01", Kind::Vipd, &["10.0.0.2/24"]);
    let mut b = Host::new(&lab, "lb-02", Kind::Vipd, &["10.1.0.3/24"]);
    a.node.default_route(ip("10.0.0.1")).unwrap();
    b.node.default_route(ip("10.1.0.1")).unwrap();
    let config = |priority: u8, min_ttl: u8| {
        format!(
            "[vrrp.far]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nversion = 3\n\
             interval = \"200ms\"\naddresses = [\"10.9.0.100/32\"]\n\
             peers = [{{ address = \"10.0.0.2\", min_ttl = {min_ttl} }}, \
             {{ address = \"10.1.0.3\", min_ttl = {min_ttl} }}]\n"
        )
    };
    a.start_toml(&config(150, 254));
    a.until("state master", |router| router["state"] == "master");
    b.start_toml(&config(100, 254));
    b.follows(ip("10.0.0.2"));
    a.stop();
    b.until("state master", |router| router["state"] == "master");
    b.stop();

    // Without the option such packets are refused, and the status says what to do.
    b.start_toml(&config(100, 255));
    a.start_toml(&config(150, 254));
    eventually(SOON, "the hint", || b.hints().contains("min_ttl"))
        .unwrap_or_else(|e| panic!("{e}\n{}", b.log()));
}

// V19: on a real socket, next to a keepalived that was given our address.
#[test]
fn a_keepalived_that_is_no_peer_is_refused_and_named() {
    let _turn = together();
    let case = Case { dialect: Dialect::V3Ipv4, kinds: [Kind::Keepalived, Kind::Vipd] };
    let mut pair = Pair::unicast(&case);
    let stranger = pair.instance(150);
    pair.a.start(&stranger);
    let ours = pair.instance(100).to_string().replace("10.0.0.2", "10.0.0.4");
    pair.b.start(&ours);
    pair.b.until("unknown_peer", |r| r["counters"]["unknown_peer"].as_u64().unwrap() > 0);
    assert!(pair.b.hints().contains("10.0.0.2"), "{}", pair.b.hints());
    let silent = never(QUIET, || {
        let adverts = pair.wire.adverts_of(&pair.b, Stamp::default());
        adverts.into_iter().find(|(_, v)| v.destination != ip("10.0.0.4"))
    });
    assert!(silent.is_ok(), "{silent:?}");
}

/// A keepalived that is told to send what it sent before 1.3.7.
#[test]
fn the_old_checksum_is_spoken_with_keepalived_where_both_are_told_to() {
    let _turn = together();
    let case = Case { dialect: Dialect::V3Ipv4, kinds: [Kind::Keepalived, Kind::Vipd] };
    let mut pair = Pair::unicast(&case);
    let old = |priority| {
        let instance = pair.instance(priority).to_string();
        instance.replace("version 3", "version 3\n  old_unicast_checksum")
    };
    let (better, worse) = (old(150), old(100));
    pair.a.start(&better);
    pair.b.start(&worse);
    pair.b.follows(ip("10.0.0.2"));
    pair.a.stop();
    pair.settled_on_b();
    // It follows us, so it has verified what we send.
    pair.a.start(&better.replace("priority 150", "priority 50"));
    pair.settled_on_b();
    pair.wire.silent(&pair.a, Stamp::now());

    // A vipd that is not told refuses it, and says so.
    pair.a.stop();
    pair.b.stop();
    let plain = pair.instance(100);
    pair.a.start(&better);
    pair.b.start(&plain);
    pair.b.until("checksum errors", |r| r["counters"]["checksum_errors"].as_u64().unwrap() > 0);
}
