//! What only IPv6 has: link-local sources, duplicate address detection, the router flag.

use std::net::IpAddr;

use vipd::lab::deadline::{eventually, never};
use vipd::lab::raw::Datagram;
use vipd::lab::{Decoded, Stamp};

use super::pair::{Case, Dialect, Kind, LATE, PAIRS, Pair, cases, ip};
use crate::SOON;
use crate::common::Machine;
use crate::turns::{alone, each, together};

const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_DADFAILED: u32 = 0x08;

// C62, R27
#[test]
fn without_a_link_local_address_a_router_is_in_fault_until_there_is_one() {
    let _turn = together();
    let mut pair = pair();
    let own = pair.source(&pair.a).to_string() + "/64";
    pair.a.node.del_address("eth0", &own).unwrap();
    let start = Stamp::now();
    pair.a.start(&pair.instance(150));
    let router = pair.a.until("a fault", |r| r["faults"][0].is_object());
    assert_eq!(router["state"], "fault");
    let why = router["faults"][0]["text"].as_str().unwrap();
    assert!(why.contains("eth0") && why.contains("link-local"), "{why}");
    never(pair.dialect.down(150), || pair.wire.adverts_of(&pair.a, start).pop()).unwrap();

    pair.a.node.add_address("eth0", "fe80::aa/64").unwrap();
    pair.settled_on_a();
    assert_eq!(pair.wire.last_of(&pair.a).1.source, ip("fe80::aa"));

    pair.a.node.del_address("eth0", "fe80::aa/64").unwrap();
    let (gone, machine) = (Stamp::now(), Machine::watch());
    eventually(SOON, "the address to leave", || !pair.a.has(pair.vip)).unwrap();
    pair.wire.silent(&pair.a, gone + machine.allows(LATE));
    assert_eq!(pair.a.router()["state"], "fault");
}

// C64, V22
#[test]
fn a_list_without_a_link_local_address_is_obeyed_and_counted() {
    let _turn = together();
    let mut pair = pair();
    // As the captured packet has it: VRID 10, interval 1 s, one global address, which is ours too.
    let config = pair.instance(150).to_string();
    let config = config.replace("virtual_router_id 51", "virtual_router_id 10");
    let config = config.replace("2001:db8::100", "2001:db8::240");
    let packet = hex(include_str!("../../golden/packets/v3_ipv6_frr_nolinklocal.hex"));
    let from: IpAddr = ip("fe80::200:5eff:fe00:20a");
    let advert = Datagram::vrrp(from, ip("ff02::12"), packet[40..].to_vec());
    pair.a.start(&config);
    let heard = |pair: &Pair| {
        pair.client.send_datagram("eth0", &advert).unwrap();
        let router = pair.a.router();
        let followed = router["master"]["address"] == from.to_string();
        if followed && router["state"] == "backup" { Ok(router) } else { Err(router) }
    };
    let router = eventually(SOON, "the sender to be followed", || heard(&pair)).unwrap();
    let counters = &router["counters"];
    assert!(counters["first_addr_not_ll"].as_u64() >= Some(1), "{counters}");
    assert_eq!(counters["adv_rcvd"], counters["first_addr_not_ll"]);
    never(pair.dialect.down(150) * 2, || {
        pair.client.send_datagram("eth0", &advert).unwrap();
        pair.wire.adverts_of(&pair.a, Stamp::default()).pop()
    })
    .unwrap();

    // C68: one bit wrong.
    let mut broken = advert.clone();
    broken.payload[7] ^= 1;
    pair.client.send_datagram("eth0", &broken).unwrap();
    pair.a.until("the bad checksum to be counted", |r| r["counters"]["checksum_errors"] == 1);
    // It has not kept the dead master alive.
    pair.vip = ip("2001:db8::240");
    pair.settled_on_a();
}

// C65, W37
#[test]
fn addresses_are_usable_at_once_whoever_else_has_them() {
    let _turn = alone();
    let mut pair = pair();
    for node in [&pair.a.node, &pair.client] {
        node.sysctl("net/ipv6/conf/eth0/accept_dad", "1").unwrap();
        node.sysctl("net/ipv6/conf/eth0/dad_transmits", "3").unwrap();
    }
    // The client has it too: duplicate address detection would find it.
    pair.client.sysctl("net/ipv6/conf/eth0/accept_dad", "0").unwrap();
    pair.client.add_address("eth0", "2001:db8::100/128").unwrap();
    let (start, machine) = (Stamp::now(), Machine::watch());
    pair.a.start(&pair.instance(150));
    let (taken, _) = pair.wire.next_of(&pair.a, start, "an advert", |_| true);
    for vip in ["fe80::100", "2001:db8::100"] {
        let (told, _) = pair.wire.announced(&pair.a, ip(vip), start);
        let after = told.since(taken);
        assert!(told >= taken && after <= machine.allows(LATE), "{vip} after {after:?}");
        println!("{vip}: advert to announcement {:?}", told.since(taken));
    }
    let addresses = pair.a.node.addresses("eth0").unwrap();
    let found = addresses.iter().find(|a| a.cidr.address() == pair.vip).unwrap();
    assert!(!found.has_flag(IFA_F_TENTATIVE) && !found.has_flag(IFA_F_DADFAILED), "{found:?}");
    let asked = pair.wire.frames().into_iter().any(|f| match f.decode() {
        Decoded::NeighbourSolicit(n) => n.source.is_unspecified() && n.target == pair.vip,
        _ => false,
    });
    assert!(!asked, "duplicate address detection was done for {}", pair.vip);
}

// C66, W35, W36
#[test]
fn the_router_flag_follows_forwarding_unless_the_configuration_says_otherwise() {
    let _turn = together();
    let cases = [
        ("0", "forwarding", false),
        ("1", "forwarding", true),
        ("0", "set", true),
        ("1", "clear", false),
    ];
    each(cases.map(Flag), |Flag((forwarding, setting, wanted))| {
        let mut pair = pair();
        pair.a.node.sysctl("net/ipv6/conf/eth0/forwarding", forwarding).unwrap();
        let config = format!(
            "[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\npriority = 150\nversion = 3\n\
             interval = \"200ms\"\naddresses = [\"fe80::100/64\", \"2001:db8::100/64\"]\n\
             router_flag = \"{setting}\"\n"
        );
        pair.a.start_toml(&config);
        let (_, told) = pair.wire.announced(&pair.a, pair.vip, Stamp::default());
        let Decoded::NeighbourAdvert(told) = told else { panic!("{told}") };
        assert_eq!(
            (told.router, told.overriding, told.solicited),
            (*wanted, true, false),
            "{told:?}"
        );
        assert_eq!((told.hop_limit, told.link_address), (255, Some(pair.a.mac)));
        assert_eq!(told.destination, "ff02::1".parse::<std::net::Ipv6Addr>().unwrap());
        assert!(told.checksum_ok);
    });
}

// C90
#[test]
fn the_same_vrid_in_both_families_is_two_routers() {
    let _turn = together();
    each(cases(&[Dialect::V3Ipv6], &PAIRS[..2]), |case| {
        let mut pair = Pair::new(case);
        let both = |priority| {
            let of = |dialect: Dialect| dialect.instance(priority).to_string();
            of(Dialect::V3Ipv6) + &of(Dialect::V3Ipv4).replace("VI_1", "VI_2")
        };
        let other_vip = Dialect::V3Ipv4.vip();
        pair.a.start(&both(150));
        pair.b.start(&both(100));
        pair.settled_on_a();
        eventually(SOON, "the other family's address", || pair.a.has(other_vip)).unwrap();

        // Over IPv6 alone the first host can no longer be heard.
        let own = pair.source(&pair.a).to_string() + "/64";
        pair.a.node.del_address("eth0", &own).unwrap();
        pair.settled_on_b();
        assert!(pair.a.has(other_vip) && !pair.b.has(other_vip), "{}", pair.logs());
        pair.a.node.add_address("eth0", &own).unwrap();
        pair.settled_on_a();
        assert!(pair.a.has(other_vip) && !pair.b.has(other_vip), "{}", pair.logs());
    });
}

struct Flag((&'static str, &'static str, bool));

impl std::fmt::Display for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Flag((forwarding, setting, _)) = self;
        write!(f, "forwarding {forwarding}, router_flag {setting}")
    }
}

fn pair() -> Pair {
    Pair::new(&Case { dialect: Dialect::V3Ipv6, kinds: [Kind::Vipd, Kind::Vipd] })
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
