//! Interfaces that fail, vanish, change their names and lose their addresses (C106, R22, R27).

use std::time::{Duration, Instant};

use vipd::lab::deadline::{eventually, never};
use vipd::lab::{Decoded, LinkSpec, Node, Stamp};

use crate::common::{
    INTERVAL, Machine, QUIET, Site, VIP, adverts, await_address, await_advert, await_one_holder,
    await_state, counter, ip, site, start, status, web,
};
use crate::turns::together;
use crate::{SOON, lab};

/// What a fault may take on a busy machine; alone it is a few milliseconds.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Pulls a link of the master away with `fail` and gives it back with `heal`.
fn link_lost(fail: impl Fn(&Node), heal: impl Fn(&Node), words: &str) {
    let Site { lab, a, b, client } = site();
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    let second = start(&b, &web(100, ""));
    await_state(&second, "backup");

    let machine = Machine::watch();
    let failed = Instant::now();
    fail(&a);
    await_address(&a, VIP, false);
    let held = failed.elapsed();
    assert!(held < machine.allows(AT_ONCE), "the address went after {held:?}");
    let fault = await_state(&first, "fault");
    assert!(fault["faults"][0]["text"].as_str().unwrap().contains(words), "{fault:#}");
    assert!(fault["reason"].as_str().unwrap().contains(words), "{fault:#}");
    let sent = fault["counters"]["adv_sent"].as_u64();
    await_state(&second, "master");
    never(QUIET, || {
        let now = status(&first);
        (now["counters"]["adv_sent"].as_u64() != sent || now["state"] != "fault").then_some(now)
    })
    .unwrap();
    assert_eq!(fault["counters"]["pri_zero_sent"], 0, "nobody could have heard a resignation");

    let wire = lab.capture_port(&client, "eth0").unwrap();
    let healed = Stamp::now();
    heal(&a);
    let back = await_state(&first, "master");
    let (from, to) = (&back["transitions"][1]["from"], &back["transitions"][1]["to"]);
    assert_eq!((from, to), (&"fault".into(), &"backup".into()), "{back:#}");
    let (at, _) = await_advert(&wire, "10.0.0.2");
    // Priority 200: 3 intervals and a skew of 56/256 interval.
    assert!(at.since(healed) >= Duration::from_micros(321_875), "{}", wire.transcript());
    assert_eq!(await_one_holder(&[&a, &b]), 0);
    await_state(&second, "backup");
}

// C106
#[test]
fn a_master_that_loses_carrier_lets_go_and_comes_back_as_backup() {
    let _turn = together();
    link_lost(|n| n.unplug().unwrap(), |n| n.plug().unwrap(), "eth0 is down or has no carrier");
}

// C106
#[test]
fn a_master_whose_link_is_set_down_lets_go_and_comes_back_as_backup() {
    let _turn = together();
    link_lost(
        |n| n.set_down("eth0").unwrap(),
        |n| n.set_up("eth0").unwrap(),
        "eth0 is down or has no carrier",
    );
}

// C106
#[test]
fn a_master_whose_interface_is_made_again_follows_it_by_name() {
    let _turn = together();
    link_lost(
        |n| n.delete_link("eth0").unwrap(),
        |n| drop(n.recreate_link("eth0").unwrap()),
        "interface eth0 does not exist",
    );
}

// C106
#[test]
fn a_renamed_interface_is_let_go_with_its_address_and_followed_when_it_comes_back() {
    let _turn = together();
    link_lost(
        |n| n.rename_link("eth0", "old0").unwrap(),
        |n| n.rename_link("old0", "eth0").unwrap(),
        "interface eth0 does not exist",
    );
}

/// The carrier goes and comes many times: whatever state it ends in, one node holds the address.
#[test]
fn a_flapping_link_ends_with_one_holder() {
    let _turn = together();
    let Site { a, b, .. } = site();
    let first = start(&a, &web(200, ""));
    let second = start(&b, &web(100, ""));
    await_state(&first, "master");
    for _ in 0..20 {
        a.unplug().unwrap();
        a.plug().unwrap();
    }
    await_state(&first, "master");
    await_state(&second, "backup");
    assert_eq!(await_one_holder(&[&a, &b]), 0);
}

#[test]
fn an_interface_that_is_not_there_yet_is_named_and_waited_for() {
    let _turn = together();
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    let vipd = start(&a, &web(100, ""));
    let fault = await_state(&vipd, "fault");
    assert_eq!(fault["faults"][0]["text"], "interface eth0 does not exist");
    assert_eq!(fault["reason"], "interface eth0 does not exist", "{fault:#}");
    vipd.process().wait_for_output(SOON, "interface eth0 does not exist").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    await_state(&vipd, "master");
    await_address(&a, VIP, true);
}

// R27
#[test]
fn a_master_without_a_source_address_is_in_fault_until_it_has_one() {
    let _turn = together();
    let Site { lab, a, b, .. } = site();
    // /32, so that the kernel does not remove it with the address of its subnet.
    let list = format!("addresses = [\"{VIP}/32\"]");
    let first = start(&a, &web(200, &list));
    await_state(&first, "master");
    let second = start(&b, &web(100, &list));
    await_state(&second, "backup");

    let wire = lab.capture_port(&b, "eth0").unwrap();
    a.del_address("eth0", "10.0.0.2/24").unwrap();
    // R22: the backup need not wait for the master-down interval.
    wire.wait_for_decoded(SOON, "a resignation from the address that was", |d| match d {
        Decoded::Vrrp(v) => (v.source == ip("10.0.0.2") && v.priority == 0).then_some(()),
        _ => None,
    })
    .unwrap();
    let fault = await_state(&first, "fault");
    let words = "interface eth0 has no IPv4 address to send adverts from";
    assert_eq!(fault["faults"][0]["text"], words, "{fault:#}");
    await_state(&second, "master");
    assert_eq!(await_one_holder(&[&a, &b]), 1);

    a.add_address("eth0", "10.0.0.2/24").unwrap();
    await_state(&first, "master");
    assert_eq!(await_one_holder(&[&a, &b]), 0);
}

// R27
#[test]
fn a_changed_source_address_is_used_from_the_next_advert() {
    let _turn = together();
    let Site { lab, a, client, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    a.add_address("eth0", "10.0.1.2/24").unwrap();
    await_advert(&wire, "10.0.0.2");
    // The virtual address is in the same subnet: the kernel removes it with its primary address.
    a.del_address("eth0", "10.0.0.2/24").unwrap();
    let changed = Stamp::now();
    let (at, _) = await_advert(&wire, "10.0.1.2");
    assert!(at.since(changed) < machine.allows(INTERVAL + AT_ONCE), "{}", wire.transcript());
    await_address(&a, VIP, true);
    let now = status(&vipd);
    assert_eq!((&now["state"], &now["source"]), (&"master".into(), &"10.0.1.2".into()), "{now:#}");
    let late = adverts(&wire.frames(), "10.0.0.2");
    let last = late.last().unwrap();
    assert!(changed.since(last.0) > Duration::ZERO || last.0.since(changed) < INTERVAL);
}

/// A host with a second interface on a second LAN.
fn second_link(node: &Node) {
    node.link_with(LinkSpec {
        name: "eth1".parse().unwrap(),
        addresses: vec!["10.1.0.2/24".parse().unwrap()],
        mac: None,
        lan: 1,
    })
    .unwrap();
}

#[test]
fn an_address_on_another_interface_is_announced_there_and_tracked() {
    let _turn = together();
    let Site { a, .. } = site();
    second_link(&a);
    let eth0 = a.capture("eth0").unwrap();
    let eth1 = a.capture("eth1").unwrap();
    let list = "addresses = [{ address = \"10.1.0.100/24\", dev = \"eth1\" }]";
    let vipd = start(&a, &web(200, list));
    await_state(&vipd, "master");
    let announced = |d| match d {
        Decoded::Arp(arp) if arp.is_gratuitous() => Some(arp),
        _ => None,
    };
    let (_, arp) = eth1.wait_for_decoded(SOON, "a gratuitous ARP", announced).unwrap();
    assert_eq!(arp.sender, ip("10.1.0.100"));
    assert_eq!(arp.sender_mac, a.link_status("eth1").unwrap().unwrap().mac);
    assert!(!eth0.frames().iter().any(|f| announced(f.decode()).is_some()));
    assert!(!eth1.frames().iter().any(|f| matches!(f.decode(), Decoded::Vrrp(_))));
    assert_eq!(a.addresses("eth1").unwrap().len(), 3, "its own, the virtual and the link-local");

    a.unplug_link("eth1").unwrap();
    let fault = await_state(&vipd, "fault");
    assert_eq!(fault["faults"][0]["text"], "interface eth1 is down or has no carrier");
    await_address(&a, "10.1.0.100", false);
    // R22: eth0 still works, so the backups need not wait for the master-down interval.
    assert_eq!(fault["counters"]["pri_zero_sent"], 1, "{fault:#}");
    a.plug_link("eth1").unwrap();
    await_state(&vipd, "master");
    await_address(&a, "10.1.0.100", true);
}

#[test]
fn an_untracked_interface_may_fail_and_gets_its_address_back_when_made_again() {
    let _turn = together();
    let Site { a, .. } = site();
    second_link(&a);
    let list = format!(
        "addresses = [\"{VIP}/24\", {{ address = \"10.1.0.100/24\", dev = \"eth1\", track = false }}]"
    );
    let vipd = start(&a, &web(200, &list));
    await_state(&vipd, "master");
    await_address(&a, "10.1.0.100", true);
    a.unplug_link("eth1").unwrap();
    eventually(SOON, "no carrier", || !a.link_status("eth1").unwrap().unwrap().carrier).unwrap();
    never(QUIET, || (status(&vipd)["state"] != "master").then(|| vipd.log())).unwrap();
    a.plug_link("eth1").unwrap();
    a.delete_link("eth1").unwrap();
    await_address(&a, "10.1.0.100", false);
    a.recreate_link("eth1").unwrap();
    await_state(&vipd, "master");
    await_address(&a, "10.1.0.100", true);
    assert_eq!(counter(&vipd, "adv_rcvd"), 0);
}
