//! From one configuration to the next (R24 to R27, R32): a change of what does not matter is silent,
//! a change of what does is told at once, and the end is where a fresh start ends.

use std::sync::Arc;

use vipd::config::{
    Cast, Config, InterfaceConfig, PacingGroup, Preempt, Release, RouterConfig, StaticAddress,
};
use vipd::io::{Input, ProbeId};
use vipd::status::{AddressStatus, RouterStatus, Snapshot, State};
use vipd::track::outcome::Verdict;
use vipd::types::Mac;

use super::bench::{Answers, Bench, outcome};
use super::setup::*;

fn variants() -> Vec<(&'static str, Config)> {
    let second = |vrid: u8, address: &str| {
        let address = vip(address);
        router(|r| {
            r.name = "VI_2".to_owned();
            r.vrid = vrid.try_into().unwrap();
            r.addresses = vec![address];
        })
    };
    let routers = vec![
        ("nothing", vec![]),
        ("default", vec![with_priority(100)]),
        ("priority 150", vec![with_priority(150)]),
        ("owner", vec![with_priority(255)]),
        ("renamed", vec![router(|r| r.name = "OTHER".to_owned())]),
        ("interval 50", vec![router(|r| r.interval = centis(50))]),
        ("version 2", vec![router(|r| r.dialect = V2)]),
        (
            "version 2, 3 s",
            vec![router(|r| {
                r.dialect = V2_PASS;
                r.interval = centis(300);
            })],
        ),
        ("message-only checksum", vec![router(|r| r.dialect = V3_MESSAGE)]),
        ("another address", vec![router(|r| r.addresses = vec![vip("192.0.2.252")])]),
        (
            "three addresses",
            vec![router(|r| {
                r.addresses =
                    vec![vip("192.0.2.252"), vip(VIP), vip_on("198.51.100.7", Some("eth1"))];
            })],
        ),
        ("address on eth1", vec![router(|r| r.addresses = vec![vip_on(VIP, Some("eth1"))])]),
        ("another prefix", vec![router(|r| r.addresses = vec![vip("192.0.2.251/24")])]),
        ("another source", vec![router(|r| r.source = Some(ip("192.0.2.77")))]),
        ("another group", vec![router(|r| r.cast = Cast::Multicast { group: ip("224.0.0.118") })]),
        ("unicast", vec![router(|r| r.cast = unicast(&["192.0.2.102"]))]),
        ("other peers", vec![router(|r| r.cast = unicast(&["192.0.2.101", "192.0.2.103"]))]),
        ("no peer but itself", vec![router(|r| r.cast = unicast(&["192.0.2.101"]))]),
        (
            "unicast, another source",
            vec![router(|r| {
                r.cast = unicast(&["192.0.2.102"]);
                r.source = Some(ip("198.51.100.100"));
            })],
        ),
        (
            "unicast next to multicast",
            vec![second(53, "192.0.2.252"), router(|r| r.cast = unicast(&["192.0.2.102"]))],
        ),
        ("another VRID", vec![router(|r| r.vrid = 99.try_into().unwrap())]),
        ("IPv6", vec![router_v6(|_| ())]),
        ("on eth1", vec![router(|r| r.iface = name("eth1"))]),
        ("no preemption", vec![router(|r| r.preempt = Preempt::Never)]),
        ("down_timer_adverts 10", vec![router(|r| r.options.down_timer_adverts = 10)]),
        ("two routers", vec![with_priority(100), second(54, "192.0.2.252")]),
        ("two, other order", vec![second(54, "192.0.2.252"), with_priority(100)]),
        ("missing interface", vec![router(|r| r.iface = name("eth9"))]),
    ];
    let fixed = |address: &str, iface: &str, needed_by: &str| {
        let required_by = vec![needed_by.to_owned()];
        Arc::new(StaticAddress { iface: name(iface), address: vip(address), required_by })
    };
    let delays = InterfaceConfig { down_delay: secs(1), up_delay: secs(2) };
    let group = PacingGroup {
        interfaces: [name("eth0"), name("eth1")].into(),
        garp_interval: Some(ms(5)),
        gna_interval: None,
    };
    let besides = [
        (
            "static addresses",
            Config {
                // The second one is virtual in some of the others.
                static_addresses: vec![
                    fixed("10.9.0.1/24", "eth0", "VI_1"),
                    fixed(VIP, "eth1", "VI_1"),
                ],
                ..config(vec![with_priority(100)])
            },
        ),
        (
            "a static address that cannot be",
            Config {
                static_addresses: vec![fixed("10.9.0.1/24", "eth9", "VI_2")],
                ..config(vec![with_priority(100), second(54, "192.0.2.252")])
            },
        ),
        (
            "links with delays, paced",
            Config {
                interfaces: [(name("eth0"), delays)].into(),
                pacing: vec![group],
                ..config(vec![with_priority(100)])
            },
        ),
    ];
    routers.into_iter().map(|(what, routers)| (what, config(routers))).chain(besides).collect()
}

/// What must be equal: everything but history.
pub fn essence(bench: &Bench) -> (Vec<RouterStatus>, Vec<AddressStatus>) {
    let Snapshot { mut routers, mut static_addresses, .. } = bench.snapshot();
    for address in &mut static_addresses {
        address.readded = 0;
    }
    for status in &mut routers {
        status.state_age_ms = 0;
        status.priority_age_ms = 0;
        status.reason.clear();
        status.reason_code = None;
        status.next_deadline_ms = None;
        status.counters = Default::default();
        status.transitions.clear();
        if let Some(master) = &mut status.master {
            master.last_advert_ms = None;
        }
        for address in &mut status.addresses {
            // Renewed twice a second, at moments of its own.
            address.lease_ms = address.lease_ms.map(|left| left.div_ceil(1000));
        }
    }
    (routers, static_addresses)
}

#[test]
fn the_same_configuration_again_does_nothing() {
    for (what, config) in variants() {
        let mut bench = Bench::start(config.clone());
        for step in [0, 1, 20] {
            bench.run_for(secs(step));
            bench.did();
            bench.logs.clear();
            let before = (bench.snapshot(), bench.engine.poll_deadline());
            bench.reload_all(config.clone());
            assert!(bench.did().is_empty() && bench.logs.is_empty(), "{what}");
            assert_eq!((bench.snapshot(), bench.engine.poll_deadline()), before, "{what}");
        }
    }
}

#[test]
fn every_reload_settles_where_a_fresh_start_does() {
    let fresh = |(to, new): (&'static str, Config)| {
        let mut fresh = Bench::start(new.clone());
        fresh.run_for(secs(60));
        (to, new, fresh)
    };
    let all: Vec<_> = variants().into_iter().map(fresh).collect();
    for (from, old) in variants() {
        for (to, new, fresh) in &all {
            for ran in [0, 2, 20] {
                let place = format!("{from}, {ran} s, then {to}");
                let mut bench = Bench::start(old.clone());
                bench.run_for(secs(ran));
                bench.reload_all(new.clone());
                bench.run_for(secs(60));
                assert_eq!(essence(&bench), essence(fresh), "{place}");
                assert_eq!(bench.held(), fresh.held(), "{place}");
                assert_eq!(bench.open_sockets(), fresh.open_sockets(), "{place}");
            }
        }
    }
}

// R32, C61: a master stays master through every change that keeps its identity.
#[test]
fn a_master_stays_master_through_every_reload() {
    for (to, new) in variants() {
        let same = |r: &Arc<RouterConfig>| r.key() == with_priority(100).key();
        if !new.routers.first().is_some_and(same) {
            continue;
        }
        let mut bench = Bench::master(with_priority(100));
        bench.reload_all(new.clone());
        assert_eq!(bench.state(), State::Master, "{to}");
        let did = bench.did();
        assert!(!did.iter().any(|d| d.contains("MASTER to") || d == "advert 0"), "{to}: {did:?}");
        // R26, R32: told at once if anything of its own changed.
        let adverts = did.iter().filter(|d| d.starts_with("advert")).count();
        let changed = new.routers[0] != config(vec![with_priority(100)]).routers[0];
        assert_eq!(adverts, usize::from(changed), "{to}: {did:?}");
        assert!(bench.deadline() > bench.elapsed(), "{to}");
    }
}

// R25
#[test]
fn a_changed_interval_is_told_at_once_and_used_from_then_on() {
    for (cs, version) in [(50, V3), (400, V3), (200, V2)] {
        let mut bench = Bench::master(router(|r| r.dialect = version));
        bench.run_for(ms(700));
        let at = bench.elapsed();
        bench.reload(vec![router(|r| {
            r.dialect = version;
            r.interval = centis(cs);
        })]);
        bench.expect(&["advert 100"]);
        assert_eq!(bench.sent.last().unwrap().advert.interval, centis(cs));
        assert_eq!(bench.deadline(), at + ms(u64::from(cs) * 10));
    }
}

// R25, C102: an own interval means nothing to a v3 backup that follows a master.
#[test]
fn a_v3_backup_waits_for_the_masters_next_advert() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).at(secs(1)));
    bench.run_until(ms(1500));
    bench.reload(vec![router(|r| r.interval = centis(10))]);
    bench.expect_nothing();
    assert_eq!(bench.deadline(), secs(1) + mdi(100, 100));
    bench.hear(&advert(HIGH, 200).every(10).at(secs(2)));
    assert_eq!(bench.deadline(), secs(2) + ns(360_937_500));
}

// R25
#[test]
fn a_v2_backup_counts_its_new_interval_from_the_last_advert() {
    let five = |r: &mut RouterConfig| {
        r.dialect = V2;
        r.interval = centis(500);
    };
    let mut bench = Bench::settled(router(|r| r.dialect = V2));
    bench.hear(&advert(HIGH, 200).speaking(V2).at(secs(1)));
    bench.run_until(ms(2500));
    bench.reload(vec![router(five)]);
    assert_eq!(bench.deadline(), secs(1) + ns(15_609_375_000));
}

// T5: another number of missed adverts keeps the learnt interval.
#[test]
fn fewer_missed_adverts_still_mean_the_masters_adverts() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).every(300).at(secs(1)));
    bench.run_until(ms(1500));
    bench.reload(vec![router(|r| r.options.down_timer_adverts = 2)]);
    assert_eq!(bench.status().master_interval_ms, 3000);
    assert_eq!(bench.deadline(), secs(1) + secs(6) + skew(300, 100));
}

// R26
#[test]
fn an_added_address_is_installed_and_announced_a_removed_one_removed() {
    let both = || router(|r| r.addresses = vec![vip(VIP), vip("192.0.2.252")]);
    let mut bench = Bench::master(with_priority(100));
    bench.reload(vec![both()]);
    let did = bench.did();
    assert_eq!(did[..2], ["hold 192.0.2.252", "advert 100"]);
    assert!(did.contains(&"announce 192.0.2.252".to_owned()));
    assert_eq!(bench.sent.last().unwrap().advert.addresses, [ip(VIP), ip("192.0.2.252")]);
    bench.run_for(secs(20));
    bench.did();
    bench.reload(vec![with_priority(100)]);
    bench.expect(&["drop 192.0.2.252", "advert 100"]);
    assert_eq!(bench.sent.last().unwrap().advert.addresses, [ip(VIP)]);
    assert_eq!(bench.held().into_iter().collect::<Vec<_>>(), [VIP]);
}

// W11: an excluded address is held and announced, never listed.
#[test]
fn an_excluded_address_is_held_but_not_listed() {
    let mut excluded = (*vip("192.0.2.252")).clone();
    excluded.advertised = false;
    let mut bench = Bench::settled(router(|r| r.addresses = vec![vip(VIP), excluded.into()]));
    bench.run_to_next();
    assert_eq!(bench.held().len(), 2);
    assert_eq!(bench.sent[0].advert.addresses, [ip(VIP)]);
}

// An address that is already gone is not asked to go.
#[test]
fn a_backup_leaves_the_kernel_alone() {
    let mut bench = Bench::master(with_priority(100));
    bench.hear(&advert(HIGH, 200));
    bench.did();
    bench.reload(vec![router(|r| r.addresses = vec![vip("192.0.2.252")])]);
    bench.reload(vec![]);
    bench.expect(&["close 224.0.0.18 on 2"]);
}

#[test]
fn a_removed_router_resigns_and_lets_go() {
    let mut bench = Bench::master(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.reload(vec![]);
    bench.expect(&["advert 0", "drop 192.0.2.251", "close 224.0.0.18 on 2"]);
    bench.refuse("Device or resource busy");
    bench.run_for(secs(1));
    bench.expect(&["drop 192.0.2.251"]);
    bench.answer_all();
    assert!(bench.held().is_empty());
    assert_eq!(bench.engine.poll_deadline(), None);
    bench.shut_down();
    bench.expect(&["exit"]);
}

// Nor is it forgotten that an installation was under way when the removal was refused.
#[test]
fn a_refused_removal_of_an_unconfirmed_address_is_tried_again() {
    let mut bench = Bench::settled(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.run_to_next();
    bench.shut_down();
    bench.expect(&[
        "advert 100",
        "hold 192.0.2.251",
        "BACKUP to MASTER",
        "advert 0",
        "drop 192.0.2.251",
    ]);
    bench.answer();
    bench.refuse("Device or resource busy");
    bench.expect_nothing();
    bench.run_for(secs(1));
    bench.expect(&["drop 192.0.2.251"]);
    bench.answer();
    bench.expect(&["exit"]);
    assert!(bench.held().is_empty());
}

// A removal that is still being retried must not hit the address once it is wanted again.
#[test]
fn an_address_that_comes_back_is_not_removed_by_an_old_retry() {
    let other = || vec![router(|r| r.addresses = vec![vip("192.0.2.252")])];
    let mut bench = Bench::master(router(|r| r.addresses = vec![vip(VIP), vip("192.0.2.252")]));
    bench.answers = Answers::OnDemand;
    bench.reload(other());
    bench.refuse("Device or resource busy");
    bench.reload(vec![router(|r| r.addresses = vec![vip(VIP), vip("192.0.2.252")])]);
    bench.answer_all();
    bench.did();
    bench.answers = Answers::AtOnce;
    bench.run_for(ms(1500));
    let did = bench.did();
    assert!(!did.contains(&"drop 192.0.2.251".to_owned()), "{did:?}");
    assert_eq!(bench.held().len(), 2);
}

#[test]
fn a_shutdown_during_a_removal_waits_for_it() {
    let mut bench = Bench::master(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.reload(vec![]);
    bench.did();
    bench.shut_down();
    bench.expect_nothing();
    bench.answer_all();
    bench.expect(&["exit"]);
    bench.reload(vec![with_priority(100)]);
    bench.expect_nothing();
}

#[test]
fn a_new_router_next_to_a_master_disturbs_nothing() {
    let other = router(|r| {
        r.name = "VI_2".to_owned();
        r.vrid = 54.try_into().unwrap();
        r.addresses = vec![vip("192.0.2.252")];
    });
    let mut bench = Bench::master(with_priority(100));
    let due = bench.deadline();
    bench.reload(vec![other, with_priority(100)]);
    bench.expect(&["VI_2: START to BACKUP"]);
    assert_eq!(bench.deadline(), due);
}

// R27
#[test]
fn a_configured_source_is_used_at_once() {
    let mut bench = Bench::master(with_priority(100));
    bench.reload(vec![router(|r| r.source = Some(ip("192.0.2.77")))]);
    bench.expect(&["advert 100"]);
    assert_eq!(bench.sent.last().unwrap().source, ip("192.0.2.77"));
}

// R32: at once means at once, also in the moment of a regular advert.
#[test]
fn a_reload_in_the_moment_of_an_advert_is_told_too() {
    let mut bench = Bench::master(with_priority(100));
    bench.run_to_next();
    bench.expect(&["advert 100"]);
    bench.reload(vec![router(|r| r.addresses = vec![vip(VIP), vip("192.0.2.252")])]);
    assert_eq!(bench.sent.last().unwrap().advert.addresses.len(), 2);
}

// D5: a refresh turned off used to be due for ever.
#[test]
fn a_refresh_can_be_turned_off_and_on_under_a_master() {
    let refreshing = |period| vec![router(|r| r.announce.refresh = period)];
    let mut bench = Bench::master(refreshing(secs(10)).remove(0));
    bench.reload(refreshing(secs(0)));
    bench.did();
    bench.run_for(secs(60));
    bench.expect(&["advert 100 x60"]);
    bench.reload(refreshing(secs(30)));
    bench.did();
    bench.run_for(secs(60));
    bench.expect(&[
        "advert 100 x30",
        "announce 192.0.2.251",
        "advert 100 x30",
        "announce 192.0.2.251",
    ]);
}

// The kernel would end the last lease within seconds: nobody renews it any more.
#[test]
fn an_address_loses_its_lease_when_leases_are_turned_off() {
    let leased = |lease| vec![router(|r| r.options.lease = lease)];
    let mut bench = Bench::master(leased(true).remove(0));
    bench.reload(leased(false));
    bench.expect(&["hold 192.0.2.251 for ever", "advert 100"]);
    assert_eq!(bench.status().addresses[0].lease_ms, None);
    bench.run_for(secs(10));
    bench.expect(&["advert 100 x10"]);
    bench.reload(leased(true));
    bench.run_for(secs(1));
    let did = bench.did();
    assert!(did.contains(&"renew 192.0.2.251 2 s".to_owned()), "{did:?}");
}

// A router that is configured no more has nobody left who looks at its clock.
#[test]
fn a_removed_router_lets_go_in_time_without_a_successor() {
    let mut bench = Bench::master(router(|r| r.options.release = Release::AfterSuccessor));
    bench.reload(vec![]);
    bench.expect(&["advert 0", "close 224.0.0.18 on 2"]);
    bench.run_for(skew(100, 1) + ms(100));
    bench.expect(&["drop 192.0.2.251"]);
    assert_eq!(bench.engine.poll_deadline(), None);
}

#[test]
fn a_removed_router_lets_go_when_its_successor_announces_the_address() {
    let mut bench = Bench::master(router(|r| r.options.release = Release::AfterSuccessor));
    bench.reload(vec![]);
    bench.did();
    bench.feed(Input::Announced { iface: ETH0, vip: ip(VIP), mac: Mac([2, 0, 0, 0, 0, 9]) });
    bench.expect(&["drop 192.0.2.251"]);
    assert_eq!(bench.engine.poll_deadline(), None);
}

// C99, R24
#[test]
fn a_tracker_shifts_the_deadline_by_the_difference_of_the_skews() {
    let mut bench = Bench::settled(with_priority(150));
    assert_eq!(bench.deadline(), ns(3_414_062_500));
    bench.run_until(secs(2));
    bench.track(-50, false);
    assert_eq!(bench.deadline(), ns(3_414_062_500 + 195_312_500));
    bench.track(0, false);
    assert_eq!(bench.deadline(), ns(3_414_062_500));
    // With a learnt interval the skews are scaled.
    bench.hear(&advert(HIGH, 200).every(200).at(secs(3)));
    bench.track(-50, false);
    assert_eq!(bench.deadline(), secs(3) + mdi(200, 100));
    bench.expect_nothing();
}

// C100, R24
#[test]
fn a_masters_lower_priority_is_told_at_once_a_higher_one_in_time() {
    let mut bench = Bench::master(with_priority(150));
    let due = bench.deadline();
    bench.track(-60, false);
    bench.expect(&["advert 90"]);
    assert_eq!(bench.deadline(), due);
    bench.run_to_next();
    bench.expect(&["advert 90"]);
    bench.track(0, false);
    bench.expect_nothing();
    bench.run_to_next();
    bench.expect(&["advert 150"]);
    bench.track(-60, false);
    bench.did();
    bench.hear(&advert(LOW, 100));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

// C101, R24
#[test]
fn priorities_are_clamped_and_owners_exempt() {
    for (base, delta, effective) in [(100, -300, 1), (100, 300, 254), (255, -300, 255)] {
        let mut bench = Bench::master(with_priority(base));
        bench.track(delta, false);
        bench.run_to_next();
        assert_eq!(bench.status().priority, effective);
        assert_eq!(bench.sent.last().unwrap().advert.claim.wire_value(), effective);
    }
}

// R24 across a reload.
#[test]
fn what_trackers_say_survives_a_reload() {
    let mut bench = Bench::settled(with_priority(100));
    bench.track(-30, false);
    bench.reload(vec![with_priority(200)]);
    assert_eq!(bench.status().priority, 170);
    bench.track(-30, true);
    bench.reload(vec![with_priority(100)]);
    assert_eq!((bench.status().priority, bench.state()), (70, State::Fault));
    // A check that is not asked for any more answers in vain.
    let late = Input::Probed { probe: ProbeId(77), outcome: outcome(Verdict::Value(1)) };
    bench.feed(late);
    assert_eq!(bench.status().priority, 70);
}

// T5, C51
#[test]
fn the_number_of_missed_adverts_is_obeyed() {
    for (adverts, deadline) in [(1, 1_609_375_000), (10, 10_609_375_000)] {
        let bench = Bench::settled(router(|r| r.options.down_timer_adverts = adverts));
        assert_eq!(bench.deadline(), ns(deadline));
    }
}

// C47 to C49, T1 to T4: the deadlines of the whole table, through the engine.
#[test]
fn master_down_intervals_are_the_rfcs_to_the_nanosecond() {
    for cs in [1, 10, 20, 50, 100, 4095] {
        for value in [1, 100, 150, 200, 254] {
            let bench = Bench::settled(router(|r| {
                r.interval = centis(cs);
                r.priority = priority(value);
            }));
            assert_eq!(bench.deadline(), mdi(cs, value), "{cs} cs, priority {value}");
        }
    }
    for (seconds, deadline) in [(1, 3_609_375_000), (5, 15_609_375_000), (255, 765_609_375_000)] {
        let bench = Bench::settled(router(|r| {
            r.dialect = V2;
            r.interval = centis(seconds * 100);
        }));
        assert_eq!(bench.deadline(), ns(deadline));
    }
}
