//! Settings of single instances that decide whether and when one serves: what it tracks besides its
//! link, whom it listens to, and what its adverts need.

use std::time::Duration;

use vipd::config::{AnnounceConfig, Config, InterfaceConfig, PacingGroup, RouterConfig};
use vipd::status::State;
use vipd::types::IfIndex;

use super::bench::{Answers, Bench};
use super::setup::*;

// W10: what cannot be sent whole must not decide an election.
#[test]
fn a_link_too_narrow_for_the_advert_means_fault_and_a_wider_one_ends_it() {
    let three = router(|r| {
        r.addresses = ["192.0.2.251", "192.0.2.252", "192.0.2.253"].map(vip).into();
    });
    let mut narrow = links();
    // Two addresses and a byte short of the third: 20 + 8 + 2 * 4 + 3.
    narrow[0].0.mtu = 39;
    let mut bench = Bench::start_with(config(vec![three]), narrow, Answers::AtOnce);
    assert_eq!(bench.state(), State::Fault);
    assert_eq!(
        bench.status().faults.texts(),
        ["an advert with 3 addresses does not fit the MTU of eth0, 39 bytes, which holds 2: \
          exclude the others from the advert, on every node"]
    );
    bench.did();
    let with_mtu = |mtu| vipd::io::Link { mtu, ..link(ETH0, "eth0") };
    bench.link_changed(with_mtu(40));
    bench.expect(&["FAULT to BACKUP"]);
    bench.run_for(secs(4));
    assert_eq!(bench.state(), State::Master);
    bench.did();
    bench.link_changed(with_mtu(39));
    bench.expect(&["drop 192.0.2.251", "drop 192.0.2.252", "drop 192.0.2.253", "MASTER to FAULT"]);
}

/// The configured source is an address of eth1, to be taken away and given back.
const ELSEWHERE: &str = "198.51.100.100/24";

#[test]
fn a_tracked_source_that_vanishes_is_a_fault_which_the_master_announces() {
    for cast in [with_priority(100).cast, unicast(&[HIGH])] {
        let tracked = router(|r| {
            r.source = Some(cidr(ELSEWHERE).address());
            r.options.track_source = true;
            r.cast = cast;
        });
        let mut bench = Bench::master(tracked);
        bench.address_removed(ETH1, ELSEWHERE);
        bench.expect(&["advert 0", "drop 192.0.2.251", "MASTER to FAULT"]);
        assert_eq!(
            bench.status().faults.texts(),
            ["no interface of this host has the source address 198.51.100.100"]
        );
        bench.address_added(ETH1, ELSEWHERE);
        let did = bench.did();
        assert_eq!(did.last().unwrap(), "FAULT to BACKUP");
    }
}

#[test]
fn a_source_nobody_tracks_may_be_anywhere() {
    let mut bench = Bench::master(router(|r| r.source = Some(cidr(ELSEWHERE).address())));
    bench.address_removed(ETH1, ELSEWHERE);
    bench.expect_nothing();
    assert_eq!(bench.state(), State::Master);
}

// Delays of links.

fn with_delays(down: Duration, up: Duration) -> Bench {
    let delays = InterfaceConfig { down_delay: down, up_delay: up };
    let mut config = config(vec![with_priority(100)]);
    config.interfaces = [(name("eth0"), delays)].into();
    let mut bench = Bench::start(config);
    bench.run_for(secs(20));
    assert_eq!(bench.state(), State::Master);
    bench.run_to_next();
    bench.did();
    bench
}

#[test]
fn a_link_that_is_back_within_its_down_delay_was_never_away() {
    let mut bench = with_delays(ms(1500), secs(0));
    bench.link_running(ETH0, false);
    bench.run_for(ms(1499));
    bench.link_running(ETH0, true);
    bench.run_for(secs(5));
    assert_eq!((bench.state(), bench.counter("master_transitions")), (State::Master, 1));
    // Not even many times, with hardly any time in between.
    for _ in 0..10 {
        bench.link_running(ETH0, false);
        bench.run_for(ms(1499));
        bench.link_running(ETH0, true);
        bench.run_for(ms(1));
    }
    assert_eq!((bench.state(), bench.counter("master_transitions")), (State::Master, 1));
}

#[test]
fn a_link_that_stays_down_counts_after_the_delay_and_one_that_stays_up_too() {
    let mut bench = with_delays(ms(1500), secs(10));
    bench.link_running(ETH0, false);
    bench.run_for(ms(1499));
    assert_eq!(bench.state(), State::Master);
    bench.run_for(ms(1));
    assert_eq!(bench.state(), State::Fault);
    assert_eq!(bench.status().faults.texts(), ["interface eth0 is down or has no carrier"]);
    bench.link_running(ETH0, true);
    bench.run_for(ms(9_999));
    assert_eq!(
        bench.status().faults.texts(),
        ["interface eth0 is up again, but not yet for as long as it has to"]
    );
    // Down for a moment: the time starts again.
    bench.link_running(ETH0, false);
    bench.link_running(ETH0, true);
    bench.run_for(ms(9_999));
    assert_eq!(bench.state(), State::Fault);
    bench.run_for(ms(1));
    assert_eq!(bench.state(), State::Backup);
}

#[test]
fn a_deleted_interface_counts_at_once_and_a_new_one_has_to_last() {
    let mut bench = with_delays(secs(1), secs(10));
    bench.link_gone(ETH0);
    assert_eq!(bench.state(), State::Fault);
    bench.resync(links());
    assert_eq!(
        bench.status().faults.texts(),
        ["interface eth0 is up again, but not yet for as long as it has to"]
    );
    bench.run_for(secs(10));
    assert_eq!(bench.state(), State::Backup);
}

#[test]
fn a_reload_takes_delays_away_and_brings_them() {
    let mut bench = with_delays(secs(2), secs(0));
    bench.link_running(ETH0, false);
    assert_eq!(bench.state(), State::Master);
    let without = config(vec![with_priority(100)]);
    bench.reload_all(without.clone());
    assert_eq!(bench.state(), State::Fault);
    bench.link_running(ETH0, true);
    bench.run_for(secs(5));
    assert_eq!(bench.state(), State::Master);
    let delays = InterfaceConfig { down_delay: secs(2), up_delay: secs(0) };
    bench.reload_all(Config { interfaces: [(name("eth0"), delays)].into(), ..without });
    bench.link_running(ETH0, false);
    assert_eq!(bench.state(), State::Master);
    bench.run_for(secs(2));
    assert_eq!(bench.state(), State::Fault);
}

// Pauses between announcements.

/// The second router, with an address on this interface.
fn second(iface: &str) -> RouterConfig {
    router(|r| {
        r.name = "VI_2".to_owned();
        r.vrid = 54.try_into().unwrap();
        r.addresses = vec![vip_on("192.0.2.252", Some(iface))];
        r.announce = paced(ms(100));
    })
}

fn paced(pause: Duration) -> AnnounceConfig {
    AnnounceConfig { repeat: 3, delay: secs(0), garp_interval: pause, ..AnnounceConfig::default() }
}

/// What two routers announce in each tenth of a second after both have become master.
fn announced(second: RouterConfig, pacing: Vec<PacingGroup>) -> Vec<Vec<String>> {
    let first = router(|r| r.announce = paced(ms(100)));
    let config = Config { pacing, ..config(vec![first, second]) };
    let mut bench = Bench::start(config);
    bench.run_until(mdi(100, 100) - ns(1));
    (0..8)
        .map(|n| {
            bench.run_until(mdi(100, 100) + ms(100) * n);
            let did = bench.did().into_iter().filter(|did| did.starts_with("announce"));
            did.collect()
        })
        .collect()
}

#[test]
fn routers_on_one_interface_take_turns_on_one_clock() {
    let (a, b) = ("announce 192.0.2.251", "announce 192.0.2.252");
    // The first has taken its next moment before the second asks; from then on nobody waits long.
    let expected = [vec![a], vec![a], vec![b], vec![a], vec![b], vec![b]];
    let said = announced(second("eth0"), Vec::new());
    assert_eq!(said[..6], expected);
}

#[test]
fn interfaces_of_one_group_share_a_clock_and_others_do_not() {
    let alone = announced(second("eth1"), Vec::new());
    assert_eq!(alone[..3].iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    let group = PacingGroup {
        interfaces: [name("eth0"), name("eth1")].into(),
        garp_interval: Some(ms(200)),
        gna_interval: None,
    };
    let shared = announced(second("eth1"), vec![group]);
    assert_eq!(shared.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1, 0, 1, 0, 1, 0]);
}

#[test]
fn addresses_on_other_interfaces_are_refreshed_where_that_is_asked_for() {
    let both = router(|r| {
        r.addresses = vec![vip(VIP), vip_on("198.51.100.251", Some("eth1"))];
        r.announce.refresh_elsewhere = secs(100);
    });
    let mut bench = Bench::settled(both);
    bench.run_until(mdi(100, 100) + ms(99_999));
    bench.did();
    bench.run_for(ms(1));
    let did = bench.did();
    assert!(did.contains(&"announce 198.51.100.251".to_owned()), "{did:?}");
    assert!(!did.contains(&format!("announce {VIP}")), "{did:?}");
}

#[test]
fn a_link_is_told_to_promote_secondaries_whenever_it_appears() {
    let asking = router(|r| r.options.promote_secondaries = true);
    let mut bench = Bench::start(config(vec![asking, second("eth1")]));
    let did = bench.did();
    let told = |did: &[String]| did.iter().filter(|d| d.starts_with("promote")).cloned().collect();
    let once: Vec<String> = told(&did);
    assert_eq!(once, ["promote secondaries on 2"]);
    // Before any address is asked for, and not again for every piece of news.
    bench.link_running(ETH0, false);
    bench.link_running(ETH0, true);
    assert_eq!(told(&bench.did()), Vec::<String>::new());
    bench.link_gone(ETH0);
    bench.link_changed(link(IfIndex(12), "eth0"));
    assert_eq!(told(&bench.did()), ["promote secondaries on 12"]);
}
