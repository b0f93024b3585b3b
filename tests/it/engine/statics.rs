//! Static addresses: there from the start to the stop, whatever the routers do.

use std::sync::Arc;

use vipd::config::{Config, StaticAddress};
use vipd::io::{KernelView, Level, LinkAddress};
use vipd::status::State;
use vipd::types::IfIndex;

use super::bench::{Answers, Bench};
use super::setup::*;

/// An address on eth1 that VI_1 cannot do without, or that nobody cares about.
fn on_eth1(text: &str, required: bool) -> Arc<StaticAddress> {
    let required_by = if required { vec!["VI_1".to_owned()] } else { Vec::new() };
    Arc::new(StaticAddress { iface: name("eth1"), address: vip(text), required_by })
}

const OWN_9: &str = "10.9.0.1/24";

fn with(statics: Vec<Arc<StaticAddress>>) -> Config {
    Config { static_addresses: statics, ..config(vec![with_priority(100)]) }
}

fn placed() -> Bench {
    let mut bench = Bench::start(with(vec![on_eth1(OWN_9, false)]));
    bench.run_for(secs(20));
    bench.run_to_next();
    assert_eq!(bench.state(), State::Master);
    bench.did();
    bench.logs.clear();
    bench
}

#[test]
fn a_static_address_is_there_from_the_start_and_goes_last() {
    let mut bench = Bench::start(with(vec![on_eth1(OWN_9, false)]));
    assert!(bench.did().contains(&"hold 10.9.0.1 on eth1".to_owned()));
    let shown = &bench.snapshot().static_addresses[0];
    assert_eq!((shown.address.as_str(), shown.held, shown.lease_ms), (OWN_9, true, None));
    // Nothing about it depends on the state, and nothing renews it.
    bench.link_running(ETH0, false);
    bench.run_for(secs(60));
    assert!(bench.did().iter().all(|did| !did.contains("10.9.0.1")));
    bench.link_running(ETH0, true);
    bench.run_for(secs(10));
    bench.did();
    bench.shut_down();
    bench.expect(&["advert 0", "drop 192.0.2.251", "drop 10.9.0.1 on eth1", "exit"]);
}

#[test]
fn one_that_somebody_removes_is_put_back_and_a_fight_is_an_alarm() {
    let mut bench = placed();
    for _ in 0..5 {
        bench.address_removed(ETH1, OWN_9);
        bench.expect(&["hold 10.9.0.1 on eth1"]);
    }
    assert_eq!(bench.snapshot().static_addresses[0].readded, 5);
    // From here on once per second.
    bench.address_removed(ETH1, OWN_9);
    bench.expect_nothing();
    bench.run_for(secs(1));
    bench.expect(&["hold 10.9.0.1 on eth1", "advert 100"]);
    let warned = |text: &str| {
        bench.logs.iter().any(|(level, said)| *level == Level::Warn && said.contains(text))
    };
    assert!(warned("Somebody removed 10.9.0.1/24: put back"), "{:?}", bench.logs);
    assert!(warned("Somebody keeps removing 10.9.0.1/24"), "{:?}", bench.logs);
    assert_eq!((bench.state(), bench.counter("master_transitions")), (State::Master, 1));
}

#[test]
fn one_that_only_a_resync_misses_is_put_back_as_well() {
    let mut bench = placed();
    let mut links: Vec<_> = bench.links.values().cloned().collect();
    links[1].1.retain(|a| a.cidr != cidr(OWN_9));
    bench.resync(links);
    bench.expect(&["hold 10.9.0.1 on eth1"]);
}

#[test]
fn it_follows_its_interface_wherever_that_goes() {
    let mut bench = placed();
    bench.link_gone(ETH1);
    bench.run_for(ms(10));
    assert!(!bench.snapshot().static_addresses[0].held);
    bench.did();
    bench.link_changed(link(IfIndex(13), "eth1"));
    bench.expect(&["hold 10.9.0.1 on eth1"]);
    // The interface gets another name, and another interface gets this one.
    bench.link_changed(link(IfIndex(13), "old1"));
    bench.expect(&["drop 10.9.0.1 on old1"]);
    bench.link_changed(link(IfIndex(14), "eth1"));
    bench.expect(&["hold 10.9.0.1 on eth1"]);
}

// An admin's address is the admin's.
#[test]
fn one_that_was_there_before_stays_when_we_go() {
    let mut links = links();
    links[1].1.push(address(OWN_9));
    let config = with(vec![on_eth1(OWN_9, false), on_eth1("10.9.0.2/24", false)]);
    let mut bench = Bench::start_with(config, links, Answers::AtOnce);
    bench.did();
    bench.shut_down();
    bench.expect(&["drop 10.9.0.2 on eth1", "exit"]);
}

#[test]
fn one_that_was_there_before_is_ours_once_we_have_put_it_back() {
    let mut links = links();
    links[1].1.push(address(OWN_9));
    let mut bench = Bench::start_with(with(vec![on_eth1(OWN_9, false)]), links, Answers::AtOnce);
    bench.address_removed(ETH1, OWN_9);
    bench.did();
    bench.shut_down();
    bench.expect(&["drop 10.9.0.1 on eth1", "exit"]);
}

// A crash left it: the mark says that it is ours.
#[test]
fn one_of_an_earlier_run_is_gone_on_with_and_removed_at_the_stop() {
    let mut links = links();
    links[1].1.push(LinkAddress { ours: true, ..address(OWN_9) });
    let mut bench = Bench::start_with(with(vec![on_eth1(OWN_9, false)]), links, Answers::AtOnce);
    assert!(bench.snapshot().static_addresses[0].held);
    bench.did();
    bench.shut_down();
    bench.expect(&["drop 10.9.0.1 on eth1", "exit"]);
}

#[test]
fn a_reload_changes_the_list_and_nothing_else() {
    let mut bench = placed();
    bench.reload_all(with(vec![on_eth1("10.9.0.2/24", false), on_eth1("10.9.0.3/24", false)]));
    bench.expect(&["drop 10.9.0.1 on eth1", "hold 10.9.0.2 on eth1", "hold 10.9.0.3 on eth1"]);
    bench.reload_all(with(vec![on_eth1("10.9.0.3/24", false)]));
    bench.expect(&["drop 10.9.0.2 on eth1"]);
    bench.reload_all(with(vec![on_eth1("10.9.0.3/24", false)]));
    bench.expect_nothing();
    let held: Vec<_> = bench.snapshot().static_addresses.into_iter().map(|a| a.address).collect();
    assert_eq!(held, ["10.9.0.3/24"]);
}

// In the order that leaves it in place.
#[test]
fn an_address_can_change_from_static_to_virtual_and_back() {
    let mut bench = placed();
    let virtual_one =
        || config(vec![router(|r| r.addresses = vec![vip(VIP), vip_on(OWN_9, Some("eth1"))])]);
    bench.reload_all(virtual_one());
    assert!(bench.held().contains("10.9.0.1"));
    assert!(bench.status().addresses.iter().all(|a| a.held));
    bench.reload_all(with(vec![on_eth1(OWN_9, false)]));
    assert!(bench.held().contains("10.9.0.1"));
    assert!(bench.snapshot().static_addresses[0].held);
    assert!(!bench.logs.iter().any(|(_, said)| said.contains("Somebody")), "{:?}", bench.logs);
}

// It carries our mark, yet it is an address of this node.
#[test]
fn adverts_may_come_from_a_static_address_and_do_so_to_the_last() {
    let mut links = links();
    links[0].1.clear();
    let own =
        StaticAddress { iface: name("eth0"), address: vip("192.0.2.7/24"), required_by: vec![] };
    let host = KernelView { links, uptime: secs(0) };
    let mut bench = Bench::start_on(with(vec![Arc::new(own)]), host, Answers::AtOnce);
    bench.run_for(secs(5));
    assert_eq!(bench.state(), State::Master);
    assert_eq!(bench.status().source, Some(ip("192.0.2.7")));
    bench.did();
    bench.shut_down();
    bench.expect(&["advert 0", "drop 192.0.2.251", "drop 192.0.2.7", "exit"]);
}

// Routers that need one.

#[test]
fn an_address_that_cannot_be_kept_is_a_fault_of_the_routers_that_need_it() {
    let config = with(vec![on_eth1(OWN_9, true)]);
    let mut bench = Bench::start_with(config, links(), Answers::OnDemand);
    let refuse_the_address = |bench: &mut Bench| {
        assert!(bench.did().contains(&"hold 10.9.0.1 on eth1".to_owned()));
        bench.refuse("Permission denied");
    };
    bench.answer();
    refuse_the_address(&mut bench);
    let fault = "the static address 10.9.0.1/24 is not on eth1: change eth0: Permission denied";
    assert_eq!(bench.status().faults.texts(), [fault]);
    // While it is tried again, nothing changes.
    for _ in 0..3 {
        bench.run_for(secs(1));
        assert_eq!(bench.status().faults.texts(), [fault]);
        refuse_the_address(&mut bench);
        assert_eq!(bench.status().faults.texts(), [fault]);
    }
    bench.run_for(secs(1));
    bench.answer();
    assert_eq!(bench.state(), State::Backup);
}

#[test]
fn one_that_is_put_back_at_once_costs_nobody_anything() {
    let mut bench = Bench::start(with(vec![on_eth1(OWN_9, true)]));
    bench.run_for(secs(20));
    bench.run_to_next();
    bench.did();
    bench.address_removed(ETH1, OWN_9);
    bench.expect(&["hold 10.9.0.1 on eth1"]);
    assert_eq!((bench.state(), bench.counter("master_transitions")), (State::Master, 1));
}

#[test]
fn a_master_whose_static_address_is_lost_resigns() {
    let mut bench = Bench::start(with(vec![on_eth1(OWN_9, true)]));
    bench.run_for(secs(20));
    bench.run_to_next();
    bench.did();
    bench.link_gone(ETH1);
    bench.expect(&["advert 0", "drop 192.0.2.251", "MASTER to FAULT"]);
    assert_eq!(
        bench.status().faults.texts(),
        ["the static address 10.9.0.1/24 is not on eth1: the interface does not exist"]
    );
    // Not needed any more: back to work.
    bench.reload_all(with(vec![on_eth1(OWN_9, false)]));
    assert_eq!(bench.state(), State::Backup);
}
