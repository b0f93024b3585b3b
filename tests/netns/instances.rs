//! What instances ask of the kernel besides their addresses, and the static addresses next to them.

use std::process::Command;

use vipd::lab::deadline::{eventually, never};
use vipd::lab::{Node, Vipd};

use crate::SOON;
use crate::common::{
    QUIET, Site, VIP, adverts, await_address, await_advert, await_state, binary, ip, site,
    snapshot, start, status, web,
};
use crate::turns::together;

const OWN: &str = "10.9.0.1";

/// A static address on eth0 that the router called web needs.
fn with_static(priority: u8) -> String {
    let table =
        format!("[[static]]\naddress = \"{OWN}/24\"\ndev = \"eth0\"\nrequired_by = [\"web\"]\n");
    web(priority, "") + &table
}

fn mark(node: &Node, address: &str) -> Option<u8> {
    let all = node.addresses("eth0").unwrap();
    all.iter().find(|a| a.cidr.address() == ip(address)).unwrap().protocol
}

fn held(vipd: &Vipd) -> bool {
    snapshot(vipd)["static_addresses"][0]["held"] == true
}

#[test]
fn a_static_address_needs_no_master_and_outlives_the_daemon_but_not_an_orderly_stop() {
    let _turn = together();
    let Site { a, b, .. } = site();
    let better = start(&b, &web(250, ""));
    await_state(&better, "master");
    let vipd = start(&a, &with_static(100));
    await_state(&vipd, "backup");
    await_address(&a, OWN, true);
    let own =
        a.addresses("eth0").unwrap().into_iter().find(|a| a.cidr.address() == ip(OWN)).unwrap();
    assert_eq!((own.valid, own.protocol), (None, Some(0x76)), "no lease, but our mark");

    // Put back, and nobody loses anything.
    a.del_address("eth0", &format!("{OWN}/24")).unwrap();
    await_address(&a, OWN, true);
    eventually(SOON, "the daemon to say so", || {
        let shown = snapshot(&vipd)["static_addresses"][0].clone();
        if shown["readded"] == 1 && shown["held"] == true { Ok(()) } else { Err(shown) }
    })
    .unwrap();
    assert_eq!(status(&vipd)["state"], "backup");

    // A dead daemon leaves it; the next one goes on with it, without a moment's interruption.
    vipd.kill9();
    never(QUIET * 5, || (!a.has_address(ip(OWN)).unwrap()).then_some("gone")).unwrap();
    let next = start(&a, &with_static(100));
    await_state(&next, "backup");
    assert!(held(&next) && a.has_address(ip(OWN)).unwrap());
    assert!(!next.log().contains("removed 10.9.0.1"), "{}", next.log());
    next.stop();
    assert!(next.process().wait(SOON).unwrap().success(), "{}", next.log());
    assert!(!a.has_address(ip(OWN)).unwrap());

    // What an admin had set before stays, also when cleanup has been here.
    a.add_address("eth0", &format!("{OWN}/24")).unwrap();
    let last = start(&a, &with_static(100));
    await_state(&last, "backup");
    assert!(held(&last));
    last.stop();
    assert!(last.process().wait(SOON).unwrap().success(), "{}", last.log());
    assert!(a.has_address(ip(OWN)).unwrap() && mark(&a, OWN).is_none());
}

#[test]
fn cleanup_removes_the_static_address_of_a_dead_daemon() {
    let _turn = together();
    let Site { a, .. } = site();
    let vipd = start(&a, &with_static(100));
    await_address(&a, OWN, true);
    vipd.kill9();
    assert!(vipd.process().wait(SOON).is_ok());
    let mut cleanup = Command::new(binary());
    cleanup.arg("cleanup").arg("--run-dir").arg(vipd.run_dir());
    let finished = a.output(cleanup, SOON).unwrap();
    assert!(finished.stdout.contains("removed 10.9.0.1/24 from eth0"), "{finished:?}");
    assert!(!a.has_address(ip(OWN)).unwrap());
}

#[test]
fn a_router_without_its_static_address_is_in_fault_and_reload_ends_it() {
    let _turn = together();
    let Site { lab, a, client, .. } = site();
    let on_eth1 = with_static(200).replace("dev = \"eth0\"", "dev = \"eth1\"");
    let vipd = start(&a, &on_eth1);
    let router = await_state(&vipd, "fault");
    assert!(router["faults"].to_string().contains("the interface does not exist"), "{router:#}");
    a.link("eth1", &[]).unwrap();
    await_address(&a, OWN, true);
    await_state(&vipd, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    wire.mark();
    a.delete_link("eth1").unwrap();
    await_state(&vipd, "fault");
    await_address(&a, VIP, false);
    // It resigned: the link the adverts use is fine.
    let resigned = eventually(SOON, "a resignation", || {
        let sent = adverts(&wire.frames(), "10.0.0.2");
        let last = sent.last().map(|(_, advert)| advert.priority);
        if last == Some(0) { Ok(()) } else { Err(format!("{last:?}")) }
    });
    resigned.unwrap();
    vipd.reload(&web(200, "")).unwrap();
    await_state(&vipd, "master");
    assert_eq!(snapshot(&vipd)["static_addresses"], serde_json::json!([]));
}

/// Adverts from the only address the node has, which is a static one.
#[test]
fn adverts_come_from_a_static_address_until_the_resignation() {
    let _turn = together();
    let Site { lab, a, client, .. } = site();
    a.del_address("eth0", "10.0.0.2/24").unwrap();
    let config = web(200, "") + "[[static]]\naddress = \"10.0.0.7/24\"\ndev = \"eth0\"\n";
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let vipd = start(&a, &config);
    await_state(&vipd, "master");
    let (_, advert) = await_advert(&wire, "10.0.0.7");
    assert_eq!(advert.priority, 200);
    vipd.stop();
    assert!(vipd.process().wait(SOON).unwrap().success(), "{}", vipd.log());
    let (_, last) = adverts(&wire.frames(), "10.0.0.7").pop().unwrap();
    assert_eq!(last.priority, 0);
    assert!(!a.has_address(ip("10.0.0.7")).unwrap());
}

#[test]
fn a_tracked_source_that_goes_makes_the_master_resign_from_it() {
    let _turn = together();
    let Site { lab, a, b, client } = site();
    a.add_address("eth0", "10.0.0.22/24").unwrap();
    let vipd = start(&a, &web(200, "source = \"10.0.0.22\"\ntrack_source = true"));
    await_state(&vipd, "master");
    let other = start(&b, &web(100, ""));
    await_state(&other, "backup");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    wire.mark();
    a.del_address("eth0", "10.0.0.22/24").unwrap();
    let router = await_state(&vipd, "fault");
    assert!(router["faults"].to_string().contains("10.0.0.22"), "{router:#}");
    await_state(&other, "master");
    let (_, last) = adverts(&wire.frames(), "10.0.0.22").pop().unwrap();
    assert_eq!(last.priority, 0, "the peer did not have to wait for silence");
    a.add_address("eth0", "10.0.0.22/24").unwrap();
    await_state(&vipd, "master");
}

#[test]
fn the_first_address_of_a_network_goes_without_the_others() {
    let _turn = together();
    let Site { a, .. } = site();
    const SETTING: &str = "net/ipv4/conf/eth0/promote_secondaries";
    a.sysctl(SETTING, "0").unwrap();
    let list = |first: &str, promote: bool| {
        web(200, &format!("addresses = [{first}\"10.5.0.2/24\"]\npromote_secondaries = {promote}"))
    };
    let both = "\"10.5.0.1/24\", ";
    let vipd = start(&a, &list(both, true));
    await_state(&vipd, "master");
    await_address(&a, "10.5.0.2", true);
    assert_eq!(a.read_sysctl(SETTING).unwrap(), "1");
    vipd.reload(&list("", true)).unwrap();
    await_address(&a, "10.5.0.1", false);
    let readded = |vipd: &Vipd| status(vipd)["counters"]["addresses_readded"].clone();
    assert_eq!(readded(&vipd), 0, "{}", vipd.log());

    // Without it the kernel takes the other one away as well, and vipd puts it back.
    a.sysctl(SETTING, "0").unwrap();
    vipd.reload(&list(both, false)).unwrap();
    await_address(&a, "10.5.0.1", true);
    a.del_address("eth0", "10.5.0.2/24").unwrap();
    eventually(SOON, "both addresses, put back", || readded(&vipd) == 2).unwrap();
    assert_eq!(a.read_sysctl(SETTING).unwrap(), "0");
}

#[test]
fn a_link_that_flaps_within_its_delays_is_no_failover_and_one_that_stays_down_is() {
    let _turn = together();
    let Site { a, .. } = site();
    let config = web(200, "") + "[interface.eth0]\ndown_delay = \"500ms\"\nup_delay = \"2s\"\n";
    let vipd = start(&a, &config);
    await_state(&vipd, "master");
    for _ in 0..5 {
        a.unplug_link("eth0").unwrap();
        a.plug_link("eth0").unwrap();
    }
    never(QUIET * 2, || {
        let now = status(&vipd);
        (now["counters"]["master_transitions"] != 1 || now["state"] != "master").then_some(now)
    })
    .unwrap();
    a.unplug_link("eth0").unwrap();
    let fault = await_state(&vipd, "fault");
    assert!(fault["faults"].to_string().contains("down or has no carrier"), "{fault:#}");
    await_address(&a, VIP, false);
    a.plug_link("eth0").unwrap();
    eventually(SOON, "the fault that it is up, but not yet for long", || {
        let faults = status(&vipd)["faults"].to_string();
        if faults.contains("not yet for as long") { Ok(()) } else { Err(faults) }
    })
    .unwrap();
    await_state(&vipd, "master");
}
