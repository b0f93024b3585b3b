//! The kernel's side: operations that fail, addresses others remove, links that come, go and change.

use vipd::config::AnnounceConfig;
use vipd::io::{Input, KernelView, Link, LinkAddress, LinkChange};
use vipd::status::State;
use vipd::types::{IfIndex, Mac};

use super::bench::{Answers, Bench};
use super::setup::*;

const ETH0_AGAIN: IfIndex = IfIndex(12);

fn starting(routers: Vec<vipd::config::RouterConfig>) -> Bench {
    Bench::start_with(config(routers), links(), Answers::OnDemand)
}

// Operations.

#[test]
fn no_router_runs_without_its_socket_and_opening_is_tried_every_second() {
    let mut bench = starting(vec![with_priority(100)]);
    bench.expect(&["open 224.0.0.18 on 2"]);
    assert_eq!(bench.engine.poll_deadline(), None);
    bench.refuse("Operation not permitted");
    bench.expect(&["START to FAULT"]);
    assert!(bench.status().faults.texts()[0].contains("Operation not permitted"));
    for _ in 0..5 {
        bench.run_for(secs(1));
        bench.expect(&["open 224.0.0.18 on 2"]);
        bench.refuse("Operation not permitted");
        bench.expect_nothing();
    }
    bench.run_for(secs(1));
    bench.answer();
    bench.expect(&["open 224.0.0.18 on 2", "FAULT to BACKUP"]);
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(100, 100));
    assert!(bench.logs.len() <= 3, "{:?}", bench.logs);
}

#[test]
fn routers_on_one_link_and_group_share_a_socket() {
    let other = router(|r| {
        r.name = "VI_2".to_owned();
        r.vrid = 54.try_into().unwrap();
        r.addresses = vec![vip("192.0.2.252")];
    });
    let mut bench =
        starting(vec![with_priority(100), other, router_v6(|r| r.name = "VI_6".into())]);
    bench.expect(&["open 224.0.0.18 on 2", "open ff02::12 on 2"]);
}

fn refused_master() -> Bench {
    let mut bench = Bench::settled(router(|r| r.announce.delay = secs(0)));
    bench.answers = Answers::OnDemand;
    bench.run_to_next();
    bench.did();
    bench.refuse("Operation not permitted");
    bench
}

// The master stays master and says why it is a poor one.
#[test]
fn a_refused_address_is_tried_every_second_and_shown() {
    let mut bench = refused_master();
    bench.expect_nothing();
    let status = bench.status();
    assert!(!status.addresses[0].held);
    assert!(status.addresses[0].error.as_ref().unwrap().contains("Operation not permitted"));
    assert_eq!(bench.counter("address_errors"), 1);
    bench.run_for(secs(1));
    bench.expect(&["hold 192.0.2.251", "advert 100"]);
    bench.refuse("Operation not permitted");
    assert_eq!(bench.logs.iter().filter(|(_, text)| text.contains("Cannot")).count(), 1);
}

// R4, R7: an address is announced when it is there, at the second attempt too.
#[test]
fn an_address_that_succeeds_later_is_announced() {
    let mut bench = refused_master();
    bench.run_for(secs(1));
    bench.expect(&["hold 192.0.2.251", "advert 100"]);
    bench.answer();
    bench.expect(&["announce 192.0.2.251 x5"]);
    assert!(bench.status().addresses[0].error.is_none());
}

// The same when the other address was fine all along.
#[test]
fn one_refused_address_does_not_swallow_the_announcement_of_another() {
    let mut bench = Bench::settled(router(|r| {
        r.addresses = vec![vip("192.0.2.251"), vip("192.0.2.252")];
        r.announce = AnnounceConfig { repeat: 1, delay: secs(0), ..AnnounceConfig::default() };
    }));
    bench.answers = Answers::OnDemand;
    bench.run_to_next();
    bench.did();
    bench.answer();
    bench.refuse("No buffer space available");
    bench.expect(&["announce 192.0.2.251"]);
    bench.run_for(secs(1));
    bench.expect(&["hold 192.0.2.252", "advert 100"]);
    bench.answer();
    let did = bench.did();
    assert!(did.contains(&"announce 192.0.2.252".to_owned()), "{did:?}");
    // Both are removed, one comes back, the other is refused: the first is announced.
    bench.address_removed(ETH0, "192.0.2.251/32");
    bench.address_removed(ETH0, "192.0.2.252/32");
    bench.expect(&["hold 192.0.2.251", "hold 192.0.2.252"]);
    bench.answer();
    bench.refuse("No buffer space available");
    bench.expect(&["announce 192.0.2.251"]);
}

#[test]
fn a_takeover_overtakes_a_removal_that_is_under_way() {
    let mut bench = Bench::master(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.hear(&advert(HIGH, 200));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
    bench.hear(&advert(HIGH, 0));
    bench.run_to_next();
    bench.expect(&["advert 100", "hold 192.0.2.251", "BACKUP to MASTER"]);
    bench.answer();
    bench.expect_nothing();
    bench.answer_all();
    assert_eq!(bench.held().len(), 1);
    let did = bench.did();
    assert!(did.iter().any(|d| d.starts_with("announce")), "{did:?}");
    assert_eq!(bench.counter("addresses_readded"), 0, "our own removal is nobody's fault");
}

// R4: the first removal was performed, the takeover's installation refused.
#[test]
fn what_a_former_reign_held_is_not_announced() {
    let mut bench = Bench::master(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.hear(&advert(HIGH, 200));
    bench.hear(&advert(HIGH, 0));
    bench.run_to_next();
    bench.expect(&[
        "drop 192.0.2.251",
        "MASTER to BACKUP",
        "advert 100",
        "hold 192.0.2.251",
        "BACKUP to MASTER",
    ]);
    bench.answer();
    bench.refuse("No buffer space available");
    bench.expect_nothing();
    assert!(!bench.status().addresses[0].held);
}

#[test]
fn an_unknown_answer_is_ignored() {
    let mut bench = Bench::master(with_priority(100));
    let before = bench.snapshot();
    for op in [0, 1, 2, 999] {
        let op = vipd::io::OpId(op);
        bench.feed(Input::Done { op, result: Ok(vipd::io::Applied::Changed) });
    }
    bench.expect_nothing();
    assert_eq!(before, bench.snapshot());
}

// Addresses others remove.

// C107
#[test]
fn a_removed_address_is_put_back_and_announced() {
    let mut bench = Bench::master(with_priority(100));
    bench.address_removed(ETH0, "192.0.2.251/32");
    bench.expect(&["hold 192.0.2.251", "announce 192.0.2.251 x5"]);
    assert_eq!(bench.counter("addresses_readded"), 1);
    assert_eq!(bench.logs.len(), 1);
}

#[test]
fn somebody_elses_address_is_somebody_elses() {
    let mut bench = Bench::master(with_priority(100));
    bench.address_added(ETH0, "192.0.2.77/24");
    bench.address_removed(ETH0, "192.0.2.77/24");
    bench.address_added(ETH1, "192.0.2.251/32");
    bench.address_removed(ETH1, "192.0.2.251/32");
    bench.expect_nothing();
}

// A fight is not fought at the speed of the other side.
#[test]
fn a_fight_over_an_address_slows_down_to_once_a_second() {
    let mut bench = Bench::master(with_priority(100));
    let start = bench.elapsed();
    let mut held = 0;
    for n in 1..=3000 {
        bench.run_until(start + ms(n * 10));
        if bench.held().len() == 1 {
            bench.address_removed(ETH0, "192.0.2.251/32");
        }
        held += bench.did().iter().filter(|d| *d == "hold 192.0.2.251").count();
    }
    assert!((25..=40).contains(&held), "put back {held} times in 30 s");
    bench.run_for(secs(2));
    assert_eq!(bench.held().len(), 1, "when the other side gives up, we have it");
    assert!(bench.logs.len() <= 4, "{:?}", bench.logs);
}

// The notice of a removal may overtake the answer to the operation before it.
#[test]
fn an_address_removed_while_it_is_put_back_is_put_back_again() {
    let mut bench = Bench::master(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.address_removed(ETH0, "192.0.2.251/32");
    bench.expect(&["hold 192.0.2.251"]);
    let (op, applied) = bench.perform_silently();
    bench.address_removed(ETH0, "192.0.2.251/32");
    bench.feed(Input::Done { op, result: Ok(applied) });
    bench.answer_all();
    assert_eq!(bench.held().len(), 1, "a master without its address");
}

// Links.

// R22, C106
#[test]
fn a_link_that_goes_down_leaves_no_advert_behind() {
    let mut bench = Bench::master(with_priority(100));
    bench.link_running(ETH0, false);
    bench.expect(&["drop 192.0.2.251", "MASTER to FAULT"]);
    bench.run_for(secs(60));
    bench.expect_nothing();
    bench.link_running(ETH0, true);
    bench.expect(&["FAULT to BACKUP"]);
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(100, 100));
}

// R23: what was learnt before the fault is forgotten.
#[test]
fn leaving_fault_starts_with_our_own_interval() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).every(300));
    bench.track(0, true);
    bench.run_for(secs(1));
    bench.track(0, false);
    assert_eq!(bench.status().master_interval_ms, 1000);
    assert_eq!(bench.deadline(), bench.elapsed() + mdi(100, 100));
}

#[test]
fn an_untracked_link_may_go_down() {
    let mut bench = Bench::master(router(|r| r.options.track_interface = false));
    bench.link_running(ETH0, false);
    bench.expect_nothing();
    assert_eq!(bench.state(), State::Master);
}

// C106
#[test]
fn a_deleted_and_recreated_interface_is_followed_by_name() {
    let mut bench = Bench::master(with_priority(100));
    bench.link_gone(ETH0);
    bench.expect(&["close 224.0.0.18 on 2", "MASTER to FAULT"]);
    assert!(bench.status().reason.contains("does not exist"), "{}", bench.status().reason);
    assert_eq!(bench.engine.poll_deadline(), None);
    bench.link_changed(link(ETH0_AGAIN, "eth0"));
    bench.expect(&["open 224.0.0.18 on 12"]);
    assert!(
        bench.status().faults.texts()[0].contains("has no IPv4 address"),
        "{:?}",
        bench.status().faults.texts()
    );
    bench.address_added(ETH0_AGAIN, "192.0.2.101/24");
    bench.expect(&["FAULT to BACKUP"]);
    bench.hear(&advert(HIGH, 200).on(ETH0));
    assert_eq!(bench.counter("adv_rcvd"), 0, "the old index is nobody's");
    bench.run_to_next();
    bench.expect(&super::election::TAKEOVER);
    assert_eq!(bench.sent.last().unwrap().iface, ETH0_AGAIN);
}

// C106 after a netlink overrun: both at once.
#[test]
fn an_interface_replaced_between_two_looks_starts_over() {
    let mut bench = Bench::master(with_priority(100));
    bench.resync(vec![(link(ETH0_AGAIN, "eth0"), vec![address("192.0.2.101/24")])]);
    bench.expect(&[
        "close 224.0.0.18 on 2",
        "open 224.0.0.18 on 12",
        "MASTER to FAULT",
        "FAULT to BACKUP",
    ]);
    assert!(bench.sent.iter().all(|s| s.advert.claim.wire_value() == 100));
}

// A renamed interface keeps its index, and our address on it.
#[test]
fn a_renamed_interface_does_not_keep_our_address() {
    let mut bench = Bench::master(with_priority(100));
    bench.link_changed(link(ETH0, "lan0"));
    assert_eq!(bench.state(), State::Fault);
    assert!(bench.held().is_empty(), "still held on the renamed interface: {:?}", bench.held());
}

fn with_dev() -> Bench {
    let mut bench = Bench::settled(router(|r| {
        r.addresses = vec![vip(VIP), vip_on("198.51.100.251", Some("eth1"))];
        r.announce.repeat = 1;
        r.announce.delay = secs(0);
    }));
    bench.run_to_next();
    bench
}

// `dev`: an address may live on another link than the adverts.
#[test]
fn an_address_on_another_interface_follows_the_state() {
    let mut bench = with_dev();
    bench.expect(&[
        "advert 100",
        "hold 192.0.2.251",
        "hold 198.51.100.251 on eth1",
        "BACKUP to MASTER",
        "announce 192.0.2.251",
        "announce 198.51.100.251",
    ]);
    bench.hear(&advert(HIGH, 200));
    bench.expect(&["drop 192.0.2.251", "drop 198.51.100.251 on eth1", "MASTER to BACKUP"]);
}

// R22: the link of the adverts is up, so the peers are told.
#[test]
fn a_master_whose_other_interface_fails_resigns() {
    let mut bench = with_dev();
    bench.did();
    bench.link_running(ETH1, false);
    bench.expect(&[
        "advert 0",
        "drop 192.0.2.251",
        "drop 198.51.100.251 on eth1",
        "MASTER to FAULT",
    ]);
    bench.link_running(ETH1, true);
    bench.expect(&["FAULT to BACKUP"]);
}

#[test]
fn a_master_whose_other_interface_is_deleted_resigns() {
    let mut bench = with_dev();
    bench.did();
    bench.link_gone(ETH1);
    bench.expect(&["advert 0", "drop 192.0.2.251", "MASTER to FAULT"]);
}

#[test]
fn an_untracked_address_does_not_fault_the_router() {
    let mut bench = Bench::settled(router(|r| {
        let mut other = (*vip_on("198.51.100.251", Some("eth1"))).clone();
        other.track = false;
        r.addresses = vec![vip(VIP), other.into()];
    }));
    bench.run_to_next();
    bench.did();
    bench.link_running(ETH1, false);
    bench.expect_nothing();
    assert_eq!(bench.state(), State::Master);
}

// The other interface is replaced between two looks: the address moves along.
#[test]
fn an_address_moves_to_the_new_incarnation_of_its_interface() {
    let mut bench = with_dev();
    bench.did();
    let mut links: Vec<_> = bench.links.values().cloned().collect();
    links.retain(|(l, _)| l.index != ETH1);
    links.push((link(IfIndex(13), "eth1"), vec![address("198.51.100.101/24")]));
    bench.resync(links);
    assert!(bench.held().contains("198.51.100.251"), "{:?} held", bench.held());
    let did = bench.did();
    assert!(did.contains(&"announce 198.51.100.251".to_owned()), "{did:?}");
}

// R27
#[test]
fn a_lost_source_address_is_a_fault_and_a_new_one_ends_it() {
    let mut bench = Bench::master(with_priority(100));
    bench.address_removed(ETH0, "192.0.2.101/24");
    assert_eq!(bench.state(), State::Fault);
    assert!(bench.held().is_empty());
    // R22: the link is up, and IPv4 lets us speak once more from the address that was.
    bench.expect(&["advert 0", "drop 192.0.2.251", "MASTER to FAULT"]);
    assert_eq!(bench.sent.last().unwrap().source, ip(OWN));
    bench.address_added(ETH0, "192.0.2.103/24");
    bench.expect(&["FAULT to BACKUP"]);
    bench.run_to_next();
    assert_eq!(bench.sent.last().unwrap().source, ip("192.0.2.103"));
}

// R27, R18: a changed source is used from the next packet and in the next comparison.
#[test]
fn a_changed_source_address_changes_the_tie_break() {
    let mut bench = Bench::master(with_priority(100));
    bench.address_added(ETH0, "192.0.2.250/24");
    bench.address_removed(ETH0, "192.0.2.101/24");
    bench.expect_nothing();
    bench.hear(&advert(HIGH, 100));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
    assert_eq!(bench.sent.last().unwrap().source, ip("192.0.2.250"));
}

#[test]
fn tentative_and_virtual_addresses_are_no_source() {
    let tentative = LinkAddress { usable: false, ..address("192.0.2.7/24") };
    let virtual_one = address("192.0.2.251/32");
    let secondary = LinkAddress { secondary: true, ..address("192.0.2.8/24") };
    let left_over = LinkAddress { ours: true, ..address("192.0.2.9/24") };
    let unusable = vec![tentative, virtual_one, left_over];
    let start = |addresses: Vec<LinkAddress>| {
        let links = vec![(link(ETH0, "eth0"), addresses)];
        Bench::start_with(config(vec![with_priority(100)]), links, Answers::AtOnce)
    };
    assert_eq!(start(unusable.clone()).state(), State::Fault);
    let with_secondary = start([unusable, vec![secondary]].concat());
    assert_eq!(with_secondary.status().source, Some(ip("192.0.2.8")));
    let primary = start(vec![secondary, address("192.0.2.50/24")]);
    assert_eq!(primary.status().source, Some(ip("192.0.2.50")), "a primary one is preferred");
}

// An owner waits for its own address, which is a virtual one.
#[test]
fn an_owner_starts_when_its_address_appears() {
    let owner = router(|r| {
        r.priority = priority(255);
        r.addresses = vec![vip("192.0.2.251/24")];
    });
    let links = vec![(link(ETH0, "eth0"), Vec::new())];
    let mut bench = Bench::start_with(config(vec![owner]), links, Answers::AtOnce);
    assert_eq!(bench.state(), State::Fault);
    bench.address_added(ETH0, "192.0.2.251/24");
    assert_eq!(bench.state(), State::Master);
}

// R21: the address an owner owns is the interface's: it outlives faults and the daemon.
#[test]
fn an_owner_never_removes_the_interface_s_own_address() {
    let owner = router(|r| {
        r.priority = priority(255);
        r.addresses = vec![vip("192.0.2.251/24")];
    });
    let links = vec![(link(ETH0, "eth0"), vec![address("192.0.2.251/24")])];
    let mut bench = Bench::start_with(config(vec![owner]), links, Answers::AtOnce);
    assert_eq!(bench.state(), State::Master);
    bench.link_running(ETH0, false);
    assert_eq!(bench.state(), State::Fault);
    bench.link_running(ETH0, true);
    assert_eq!(bench.state(), State::Master);
    bench.shut_down();
    let did = bench.did();
    assert!(!did.iter().any(|action| action.starts_with("drop")), "{did:?}");
    assert_eq!(did.last().map(String::as_str), Some("exit"));
}

// R21: an owner leaves the interface's own address alone, but not one it installed itself, however
// often the kernel was asked for it.
#[test]
fn an_owner_takes_its_own_installation_for_what_it_is() {
    let mut bench = Bench::settled(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.run_to_next();
    bench.track(0, true);
    bench.reload(vec![with_priority(255)]);
    bench.track(0, false);
    bench.answer_all();
    assert_eq!(bench.held().len(), 1);
    bench.did();
    bench.shut_down();
    bench.expect(&["advert 0", "drop 192.0.2.251"]);
}

// C62, C67, W18: IPv6.
#[test]
fn ipv6_speaks_from_the_link_local_address_and_lists_its_own_first() {
    let six = router_v6(|r| r.addresses = vec![vip(VIP_V6), vip("2001:db8::254")]);
    let mut bench = Bench::settled(six);
    bench.run_to_next();
    let sent = &bench.sent[0];
    assert_eq!((sent.source, sent.destination), (ip(OWN_V6), ip("ff02::12")));
    assert_eq!(sent.advert.addresses, [ip(VIP_V6), ip("2001:db8::254")]);
    let heard = |from| advert_v6(from, 100).listing(&[VIP_V6, "2001:db8::254"]);
    bench.hear(&heard("fe80::9"));
    assert_eq!(bench.state(), State::Master);
    bench.hear(&heard("fe80::65"));
    assert_eq!(bench.state(), State::Backup);
}

// C62
#[test]
fn ipv6_without_a_link_local_address_is_a_fault() {
    let links =
        vec![(link(ETH0, "eth0"), vec![address("2001:db8::1/64"), address("192.0.2.1/24")])];
    let config = config(vec![router_v6(|_| ())]);
    let mut bench = Bench::start_with(config, links, Answers::AtOnce);
    assert_eq!(bench.state(), State::Fault);
    assert!(bench.status().faults.texts()[0].contains("has no IPv6 link-local address"));
    bench.address_added(ETH0, "fe80::1/64");
    assert_eq!(bench.state(), State::Backup);
}

// W32
#[test]
fn an_interface_without_arp_or_mac_is_not_announced_on() {
    let plain = link(ETH0, "eth0");
    for link in [Link { noarp: true, ..plain.clone() }, Link { mac: None, ..plain }] {
        let links = vec![(link, vec![address("192.0.2.101/24")])];
        let config = config(vec![with_priority(100)]);
        let mut bench = Bench::start_with(config, links, Answers::AtOnce);
        bench.did();
        bench.run_until(secs(20));
        assert!(!bench.did().iter().any(|d| d.starts_with("announce")));
        assert_eq!(bench.held().len(), 1);
    }
}

#[test]
fn a_changed_mac_is_used_for_the_next_announcement() {
    let mut bench = Bench::settled(with_priority(100));
    bench.run_to_next();
    let mut changed = link(ETH0, "eth0");
    changed.mac = Some(Mac([2, 0, 0, 0, 0, 0x99]));
    bench.link_changed(changed);
    bench.did();
    // The bench checks the MAC of every announcement.
    bench.run_for(secs(6));
    assert!(bench.did().contains(&"announce 192.0.2.251 x5".to_owned()));
}

// R30
#[test]
fn the_start_up_delay_hears_nothing_and_counts_from_its_end() {
    let mut config = config(vec![with_priority(100)]);
    config.globals.startup_delay = secs(10);
    let mut bench = Bench::start(config);
    assert_eq!(bench.deadline(), secs(10) + mdi(100, 100));
    let before = bench.snapshot();
    for n in 1..10 {
        bench.hear(&advert(HIGH, if n % 2 == 0 { 0 } else { 200 }).at(secs(n)));
    }
    assert_eq!(bench.counter("ignored_startup"), 9);
    assert_eq!(bench.counter("adv_rcvd"), 0);
    assert_eq!(bench.deadline(), secs(10) + mdi(100, 100));
    assert_eq!(before.routers[0].state, bench.state());
    bench.hear(&advert(HIGH, 200).at(secs(10)));
    assert_eq!(bench.deadline(), secs(10) + mdi(100, 100));
    assert_eq!(bench.counter("adv_rcvd"), 1);
}

// R30, R1
#[test]
fn an_owner_waits_for_the_end_of_the_start_up_delay() {
    let mut config = config(vec![with_priority(255)]);
    config.globals.startup_delay = secs(10);
    let mut bench = Bench::start(config);
    assert_eq!(bench.deadline(), secs(10));
    bench.run_until(secs(10));
    assert_eq!(bench.state(), State::Master);
    assert_eq!(bench.sent.len(), 1);
}

// R30: what is left of the delay after the boot, or the start-up delay, whichever is longer.
#[test]
fn the_delay_after_boot_counts_from_the_boot() {
    for (after_boot, startup, uptime, expected) in [
        (60, 0, 40, 20),
        (60, 30, 40, 30),
        (60, 10, 40, 20),
        (60, 0, 61, 0),
        (60, 0, 86_400 * 500, 0),
    ] {
        let mut config = config(vec![with_priority(100)]);
        config.globals.delay_after_boot = secs(after_boot);
        config.globals.startup_delay = secs(startup);
        let host = KernelView { links: links(), uptime: secs(uptime) };
        let mut bench = Bench::start_on(config, host, Answers::AtOnce);
        assert_eq!(bench.deadline(), secs(expected) + mdi(100, 100));
        bench.hear(&advert(HIGH, 200));
        assert_eq!(bench.counter("ignored_startup"), u64::from(expected > 0));
    }
}

#[test]
fn a_resync_that_changes_nothing_does_nothing() {
    let mut bench = Bench::master(with_priority(100));
    let links: Vec<_> = bench.links.values().cloned().collect();
    let before = bench.snapshot();
    bench.resync(links);
    bench.feed(Input::Link(LinkChange::Gone(IfIndex(99))));
    bench.expect_nothing();
    assert_eq!(before, bench.snapshot());
}

// A lost address that only a resync tells of is put back as well.
#[test]
fn a_resync_without_our_address_puts_it_back() {
    let mut bench = Bench::master(with_priority(100));
    bench.resync(links());
    bench.expect(&["hold 192.0.2.251", "announce 192.0.2.251 x5"]);
}

// Whoever sends to the old MAC reaches nobody: a bond that failed over, `ip link set address`.
#[test]
fn a_new_mac_of_the_interface_is_announced_at_once() {
    let mut bench = Bench::master(with_priority(100));
    bench.run_for(secs(10));
    bench.did();
    let mut changed = link(ETH0, "eth0");
    changed.mac = Some(Mac([2, 0, 0, 0, 9, 9]));
    bench.link_changed(changed.clone());
    let did = bench.did();
    assert!(did.iter().any(|did| did.starts_with("announce")), "{did:?}");
    bench.run_for(secs(10));
    bench.did();
    bench.link_changed(changed);
    bench.expect_nothing();
}
