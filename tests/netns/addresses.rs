//! Virtual addresses in the kernel: how they are stored, who else takes them away or adds them, and
//! what happens when the kernel's news are lost (C107).

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use vipd::lab::deadline::{eventually, never};
use vipd::lab::{Address, Decoded, LinkSpec, Node, Vipd};

use crate::SOON;
use crate::common::{
    Machine, QUIET, Site, VIP, await_address, await_state, binary, counter, ip, longest_gap, site,
    snapshot, start, status, web,
};
use crate::turns::{alone, together};

/// Marks vipd's addresses (IFA_PROTO), as the manual says.
const OUR_PROTO: u8 = 0x76;

fn run(node: &Node, program: &str, arguments: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace());
    let finished = node.output(command, SOON * 6).unwrap();
    assert!(finished.exit.success(), "{program} {arguments}: {}", finished.stderr);
    finished.stdout
}

/// What `ip` knows about an address.
fn shown(node: &Node, address: &str) -> Value {
    let text = run(node, "ip", "-details -json addr show dev eth0");
    let links: Value = serde_json::from_str(&text).unwrap();
    let found = links[0]["addr_info"].as_array().unwrap().iter().find(|a| a["local"] == address);
    found.unwrap_or_else(|| panic!("no {address} in {links:#}")).clone()
}

fn stored(node: &Node, address: &str) -> Address {
    let all = node.addresses("eth0").unwrap();
    let found = all.iter().find(|a| a.cidr.address() == ip(address));
    found.unwrap_or_else(|| panic!("no {address} in {all:#?}")).clone()
}

#[test]
fn keepalived_address_options_reach_the_kernel() {
    let _turn = together();
    let Site { a, .. } = site();
    let config = "vrrp_instance web {
        state MASTER
        interface eth0
        virtual_router_id 51
        priority 200
        advert_int 0.1
        vipd_lease no
        version 3
        virtual_ipaddress {
            10.0.0.100/24 brd + label eth0:vip
            10.0.0.101
            10.0.4.1/24 scope link
            10.0.2.1/32 peer 10.0.2.2/30
            10.0.0.103/24 brd 10.0.0.7
        }
        virtual_ipaddress_excluded {
            10.0.3.1/24 noprefixroute
            2001:db8::100/128
            2001:db8::101/64 preferred_lft 300
            2001:db8:1::1/64 noprefixroute
        }
    }\n";
    let vipd = Vipd::start(&a, binary(), "keepalived.conf", config).unwrap();
    let router = await_state(&vipd, "master");
    eventually(SOON, "all addresses", || {
        let router = status(&vipd);
        let held = router["addresses"].as_array().unwrap().iter().all(|a| a["held"] == true);
        if held { Ok(()) } else { Err(router.to_string()) }
    })
    .unwrap();
    assert_eq!(router["addresses"].as_array().unwrap().len(), 9);

    let first = stored(&a, VIP);
    assert_eq!(first.cidr.to_string(), "10.0.0.100/24");
    assert_eq!(first.label.as_deref(), Some("eth0:vip"));
    assert_eq!(first.broadcast, Some("10.0.0.255".parse().unwrap()));
    assert_eq!((first.scope, first.protocol), (0, Some(OUR_PROTO)));
    assert_eq!((first.valid, first.preferred), (None, None));

    let bare = stored(&a, "10.0.0.101");
    assert_eq!(bare.cidr.to_string(), "10.0.0.101/32");
    assert_eq!((bare.broadcast, bare.label.as_deref()), (None, Some("eth0")));
    assert_eq!(stored(&a, "10.0.4.1").scope, 253);

    let peer = shown(&a, "10.0.2.1");
    assert_eq!((&peer["address"], &peer["prefixlen"]), (&"10.0.2.2".into(), &30.into()), "{peer}");

    assert_eq!(stored(&a, "10.0.0.103").broadcast, Some("10.0.0.7".parse().unwrap()));

    let routeless = stored(&a, "10.0.3.1");
    assert!(routeless.has_flag(nix::libc::IFA_F_NOPREFIXROUTE));
    assert_eq!(routeless.protocol, Some(OUR_PROTO));
    let routes = run(&a, "ip", "route show");
    assert!(!routes.contains("10.0.3.0/24"), "{routes}");

    // A /128 must not be chosen as a source: deprecated from the start, valid for ever.
    let v6 = stored(&a, "2001:db8::100");
    assert_eq!((v6.preferred, v6.valid), (Some(Duration::ZERO), None));
    assert!(v6.has_flag(nix::libc::IFA_F_NODAD) && v6.has_flag(nix::libc::IFA_F_DEPRECATED));
    assert_eq!(v6.protocol, Some(OUR_PROTO));
    let fading = stored(&a, "2001:db8::101");
    assert_eq!((fading.valid, fading.cidr.prefix()), (None, 64));
    let left = fading.preferred.unwrap().as_secs();
    assert!((280..=300).contains(&left), "{left}");
    assert!(stored(&a, "2001:db8:1::1").has_flag(nix::libc::IFA_F_NOPREFIXROUTE));

    // Everything goes again, and nothing else does.
    vipd.stop();
    assert!(vipd.process().wait(SOON).unwrap().success(), "{}", vipd.log());
    let left: Vec<_> = a.addresses("eth0").unwrap();
    assert!(left.iter().all(|a| a.protocol != Some(OUR_PROTO)), "{left:#?}");
    assert_eq!(left.len(), 3, "{left:#?}");
}

/// Deletes one of the master's addresses and returns how long it was away.
fn takes_back(node: &Node, cidr: &str) -> Duration {
    let address = cidr.split('/').next().unwrap();
    node.del_address("eth0", cidr).unwrap();
    let gone = Instant::now();
    while !node.has_address(ip(address)).unwrap() {
        assert!(gone.elapsed() < SOON, "{address} stays away");
    }
    gone.elapsed()
}

// C107
#[test]
fn an_address_taken_away_is_put_back_at_once_and_announced_again() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    let list = format!(
        "addresses = [\"{VIP}/24\", {{ address = \"10.0.2.1/32\", peer = \"10.0.2.2/30\" }}]\n\
         excluded = [\"2001:db8::100/128\"]"
    );
    let vipd = start(&a, &web(200, &list));
    await_state(&vipd, "master");
    await_address(&a, "2001:db8::100", true);
    let wire = lab.capture_port(&client, "eth0").unwrap();
    for (n, cidr) in (1..).zip([format!("{VIP}/24").as_str(), "10.0.2.1/30", "2001:db8::100/128"]) {
        wire.mark();
        let machine = Machine::watch();
        let away = takes_back(&a, cidr);
        let limit = machine.allows(Duration::from_millis(50));
        assert!(away < limit, "{cidr} was away for {away:?}");
        let address = ip(cidr.split('/').next().unwrap());
        wire.wait_for(SOON, "an announcement", |f| match f.decode() {
            Decoded::Arp(arp) => arp.is_gratuitous() && arp.sender == address,
            Decoded::NeighbourAdvert(na) => na.target == address,
            _ => false,
        })
        .unwrap();
        let router = status(&vipd);
        assert_eq!(router["counters"]["addresses_readded"], n, "{router:#}");
        assert_eq!(router["state"], "master");
    }
    let router = status(&vipd);
    assert_eq!(router["addresses"][1]["readded"], 1, "{router:#}");
    assert_eq!(router["counters"]["pri_zero_sent"], 0);
    assert!(vipd.log().contains("Somebody removed 10.0.0.100/24"), "{}", vipd.log());
}

// C107
#[test]
fn a_fight_over_an_address_is_an_alarm_and_ends_with_the_address_in_place() {
    let _turn = together();
    let Site { a, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    await_address(&a, VIP, true);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As fast as it can: also in the moment between adding it and being told so.
            while !over.load(Ordering::Relaxed) {
                let _ = a.del_address("eth0", &format!("{VIP}/24"));
            }
        });
        let alarm = eventually(SOON, "a hint about the fight", || {
            let router = status(&vipd);
            let hints = router["hints"].to_string();
            if hints.contains(VIP) { Ok(router) } else { Err(router.to_string()) }
        });
        over.store(true, Ordering::Relaxed);
        let alarm = alarm.unwrap();
        assert_eq!(alarm["state"], "master");
        assert!(alarm["hints"].to_string().contains("keeps removing"), "{alarm:#}");
    });
    await_address(&a, VIP, true);
    never(QUIET, || (!a.has_address(ip(VIP)).unwrap()).then(|| vipd.log())).unwrap();
    let log = vipd.log();
    assert!(log.contains("Somebody keeps removing"), "{log}");
    assert!(log.lines().count() < 20, "a fight must not fill the log:\n{log}");
}

/// An address removed in the very moment it is added: the news of both come together.
#[test]
fn an_address_removed_while_it_is_added_comes_back() {
    let _turn = together();
    let Site { a, .. } = site();
    for _ in 0..8 {
        let vipd = start(&a, &web(200, ""));
        let started = Instant::now();
        while a.del_address("eth0", &format!("{VIP}/24")).is_err() {
            assert!(started.elapsed() < SOON, "{}", vipd.log());
        }
        await_address(&a, VIP, true);
        vipd.stop();
        assert!(vipd.process().wait(SOON).unwrap().success(), "{}", vipd.log());
    }
}

#[test]
fn a_flushed_interface_is_a_fault_until_it_has_a_source_again() {
    let _turn = together();
    let Site { a, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    await_address(&a, VIP, true);
    run(&a, "ip", "-4 addr flush dev eth0");
    await_state(&vipd, "fault");
    await_address(&a, VIP, false);
    a.add_address("eth0", "10.0.0.2/24").unwrap();
    await_state(&vipd, "master");
    await_address(&a, VIP, true);
    // Only what is ours.
    run(&a, "ip", &format!("addr del {VIP}/24 dev eth0"));
    await_address(&a, VIP, true);
    assert_eq!(status(&vipd)["state"], "master");
}

#[test]
fn a_backup_leaves_another_daemons_address_alone() {
    let _turn = together();
    let Site { a, b, .. } = site();
    let master = start(&a, &web(200, ""));
    await_state(&master, "master");
    let backup = start(&b, &web(100, ""));
    await_state(&backup, "backup");
    b.add_address("eth0", &format!("{VIP}/24")).unwrap();
    never(QUIET, || (!b.has_address(ip(VIP)).unwrap()).then(|| backup.log())).unwrap();
    b.del_address("eth0", &format!("{VIP}/24")).unwrap();
    never(QUIET, || b.has_address(ip(VIP)).unwrap().then(|| backup.log())).unwrap();
    assert_eq!(counter(&backup, "addresses_readded"), 0);
}

#[test]
fn an_ipv6_router_keeps_its_link_local_address_and_takes_its_addresses_back() {
    let _turn = together();
    let Site { a, .. } = site();
    let vipd = start(&a, &web(200, "addresses = [\"fe80::100/64\", \"2001:db8::100/64\"]"));
    let router = await_state(&vipd, "master");
    let source = router["source"].as_str().unwrap();
    assert!(source.starts_with("fe80::") && source != "fe80::100", "{source}");
    await_address(&a, "2001:db8::100", true);
    for cidr in ["fe80::100/64", "2001:db8::100/64"] {
        takes_back(&a, cidr);
    }
    eventually(SOON, "both to be counted", || counter(&vipd, "addresses_readded") == 2).unwrap();
    assert_eq!(status(&vipd)["source"].as_str(), Some(source));
    // Setting the link down takes every IPv6 address away; coming up brings a link-local one.
    a.set_down("eth0").unwrap();
    await_state(&vipd, "fault");
    a.set_up("eth0").unwrap();
    await_state(&vipd, "master");
    await_address(&a, "2001:db8::100", true);
}

/// An interface nobody cares about.
fn noisy_link(node: &Node) {
    node.link_with(LinkSpec {
        name: "noise0".parse().unwrap(),
        addresses: Vec::new(),
        mac: None,
        lan: 1,
    })
    .unwrap();
}

/// Thousands of changes of addresses on it.
fn flood(node: &Node, changes: usize) {
    let lines: String = (0..changes / 2)
        .map(|n| {
            let cidr = format!("10.9.{}.{}/32", n / 250 % 250, n % 250 + 1);
            format!("addr add {cidr} dev noise0\naddr del {cidr} dev noise0\n")
        })
        .collect();
    let file = node.write_file("flood", &lines).unwrap();
    run(node, "ip", &format!("-batch {}", file.display()));
}

#[test]
fn lost_news_are_read_again_and_obeyed() {
    let _turn = together();
    let Site { a, .. } = site();
    noisy_link(&a);
    // Without a lease, which would end while the daemon is stopped.
    let vipd = start(&a, &web(200, "lease = false"));
    await_state(&vipd, "master");
    await_address(&a, VIP, true);

    vipd.process().signal(Signal::SIGSTOP);
    flood(&a, 60_000);
    a.del_address("eth0", &format!("{VIP}/24")).unwrap();
    vipd.process().signal(Signal::SIGCONT);
    await_address(&a, VIP, true);
    let overruns = || snapshot(&vipd)["daemon"]["netlink_overruns"].as_u64().unwrap();
    eventually(SOON, "an overrun to be counted", || overruns() > 0).unwrap();
    await_state(&vipd, "master");

    // This time the interface is made again while the daemon is blind: another index.
    vipd.process().signal(Signal::SIGSTOP);
    flood(&a, 60_000);
    a.delete_link("eth0").unwrap();
    a.recreate_link("eth0").unwrap();
    vipd.process().signal(Signal::SIGCONT);
    eventually(SOON, "the new interface to be noticed", || {
        let log = vipd.log();
        if log.contains("was deleted and created again") { Ok(()) } else { Err(log) }
    })
    .unwrap();
    await_state(&vipd, "master");
    await_address(&a, VIP, true);
    assert!(vipd.log().contains("the kernel dropped interface events"), "{}", vipd.log());
}

#[test]
fn a_flood_of_news_does_not_delay_adverts() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    noisy_link(&a);
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    flood(&a, 40_000);
    let gap = longest_gap(&crate::common::adverts(&wire.frames(), "10.0.0.2"));
    assert!(gap < machine.allows(Duration::from_millis(200)), "{gap:?}\n{}", wire.transcript());
    a.del_address("eth0", &format!("{VIP}/24")).unwrap();
    await_address(&a, VIP, true);
}
