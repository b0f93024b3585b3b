//! Receive validation, V1 to V26: each refusal moves exactly its counter, and nothing else: no state,
//! no timer, no learnt value (R13).

use std::collections::BTreeMap;

use vipd::config::{RouterConfig, Strict};
use vipd::io::{Datagram, Input};
use vipd::status::State;
use vipd::types::{Family, V3Checksum};

use super::bench::{Bench, untouched};
use super::setup::*;

/// A damaged message: what it is, who hears it, what it counts as, how it is made.
type Fault<'a> = (&'a str, &'a RouterConfig, &'a str, Damage);

/// Feeds `hear` to the router as Backup following a master and as Master, and asserts that exactly
/// one of `counter` is counted (`-name`: for no router) and that nothing has moved.
fn refused(case: &str, router: &RouterConfig, counter: &str, hear: impl Fn(&mut Bench)) {
    for master in [false, true] {
        let mut bench = if master { Bench::master(router.clone()) } else { follower(router) };
        let (before, due) = (bench.snapshot(), bench.engine.poll_deadline());
        let counters = bench.counters();
        hear(&mut bench);
        bench.expect_nothing();
        untouched(&before, &bench.snapshot());
        assert_eq!(bench.engine.poll_deadline(), due, "{case}: deadline");
        assert_eq!(moved(&counters, &bench.counters()), [(counter.to_owned(), 1)], "{case}");
        // The deadline kept its meaning too.
        bench.run_to_next();
        assert_eq!(bench.sent.last().unwrap().at, due.unwrap(), "{case}: the timer");
    }
}

/// A backup that has heard and follows a better master.
fn follower(router: &RouterConfig) -> Bench {
    let mut bench = Bench::settled(router.clone());
    let better = match router.dialect.family() {
        Family::Ipv4 => advert(LOW, 200).speaking(router.dialect),
        Family::Ipv6 => advert_v6("fe80::9", 200),
    };
    bench.hear(&better.at(secs(1)));
    bench.did();
    bench
}

fn moved(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let grown = |(name, count): (&String, &u64)| {
        let by = count - before.get(name).copied().unwrap_or(0);
        (by > 0).then(|| (name.clone(), by))
    };
    after.iter().filter_map(grown).collect()
}

/// A datagram with one thing wrong in its IPv4 header.
fn bytes(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = advert(HIGH, 200).datagram();
    change(&mut bytes);
    bytes
}

// V1
#[test]
fn truncated_datagrams_belong_to_nobody() {
    refused("truncated", &with_priority(100), "-rx_truncated", |bench| {
        bench.feed(Input::Packet { iface: ETH0, datagram: Datagram::Truncated(Family::Ipv4) });
    });
}

// V2, C29, C34
#[test]
fn broken_ip_headers_belong_to_nobody() {
    let cases: [(&str, Damage); 6] = [
        ("empty", Vec::clear),
        ("19 bytes", |b| b.truncate(19)),
        ("IP version 6", |b| b[0] = 0x65),
        ("IHL 4", |b| b[0] = 0x44),
        ("IHL 15 in 32 bytes", |b| b[0] = 0x4f),
        ("total length beyond the read", |b| b[3] += 1),
    ];
    for (case, change) in cases {
        refused(case, &with_priority(100), "-packet_length_errors", |bench| {
            bench.hear_bytes(ETH0, &bytes(change));
        });
    }
    let mut padded = advert(HIGH, 200).datagram();
    padded.extend([0; 14]);
    let mut bench = follower(&with_priority(100));
    bench.hear_bytes(ETH0, &padded);
    assert_eq!(bench.counter("adv_rcvd"), 2, "padding is cut, not refused");
}

// V3
#[test]
fn impossible_sources_are_refused() {
    for source in ["0.0.0.0", "224.0.0.1"] {
        refused(source, &with_priority(100), "-own_source", |b| b.hear(&advert(source, 200)));
    }
    for source in ["::", "ff02::1"] {
        let six = router_v6(|_| ());
        refused(source, &six, "-own_source", |b| b.hear(&advert_v6(source, 200)));
    }
}

// V4, C73
#[test]
fn a_unicast_copy_is_the_wrong_cast() {
    let router = with_priority(100);
    refused("unicast", &router, "wrong_cast", |b| b.hear(&advert(HIGH, 200).to(OWN)));
    refused("other group", &router, "wrong_cast", |b| b.hear(&advert(HIGH, 200).to("224.0.0.5")));
    let six = router_v6(|_| ());
    refused("IPv6", &six, "wrong_cast", |b| b.hear(&advert_v6("fe80::1", 200).to(OWN_V6)));
}

// V5, C19, C33
#[test]
fn hop_limits_below_255_and_unknown_ones_are_refused() {
    for ttl in [0, 1, 64, 254] {
        refused("TTL", &with_priority(100), "ip_ttl_errors", |bench| {
            bench.hear(&advert(HIGH, 200).hop_limit(Some(ttl)));
        });
    }
    for hop_limit in [Some(254), Some(0), None] {
        refused("hop limit", &router_v6(|_| ()), "ip_ttl_errors", |bench| {
            bench.hear(&advert_v6("fe80::1", 200).hop_limit(hop_limit));
        });
    }
}

// V6 to V10, V16, V17, V20: one fault per packet.
#[test]
fn each_malformed_message_has_its_counter() {
    let v3 = with_priority(100);
    let v2 = router(|r| r.dialect = V2_PASS);
    let cases: [Fault; 13] = [
        ("7 bytes", &v3, "packet_length_errors", |m| m.truncate(7)),
        ("version 4", &v3, "version_errors", |m| m[0] = 0x41),
        ("version 0", &v3, "version_errors", |m| m[0] = 0x01),
        ("version 15", &v3, "version_errors", |m| m[0] = 0xf1),
        ("type 0", &v3, "invalid_type_pkts", |m| m[0] = 0x30),
        ("type 2", &v3, "invalid_type_pkts", |m| m[0] = 0x32),
        ("type 15", &v3, "invalid_type_pkts", |m| m[0] = 0x3f),
        ("4 bytes more", &v3, "packet_length_errors", |m| m.extend([0; 4])),
        ("an HMAC trailer", &v3, "packet_length_errors", |m| m.extend([0; 28])),
        ("count beyond the body", &v3, "packet_length_errors", |m| m[3] = 2),
        ("no address", &v3, "addr_count_zero", |m| m[3] = 0),
        ("wrong checksum", &v3, "checksum_errors", |m| m[7] ^= 0x10),
        ("wrong v2 checksum", &v2, "checksum_errors", |m| m[7] ^= 0x10),
    ];
    for (case, router, counter, damage) in cases {
        refused(case, router, counter, |bench| {
            bench.hear(&advert(HIGH, 200).speaking(router.dialect).damaged(damage));
        });
    }
}

/// Changes a byte and makes the checksum of a message without pseudo-header right again.
fn patched(message: &mut [u8], at: usize, value: u8) {
    message[at] = value;
    message[6..8].fill(0);
    let sum = vipd::wire::checksum::Checksum::new().add_bytes(message).finish();
    message[6..8].copy_from_slice(&sum.to_be_bytes());
}

// V16 to V18, V20, C23, C76, C77, C104, D7, D24
#[test]
fn authentication_and_interval_faults_with_good_checksums() {
    let v3 = with_priority(100);
    let pass = router(|r| r.dialect = V2_PASS);
    let plain = router(|r| r.dialect = V2);
    let cases: [Fault; 9] = [
        ("v3 interval 0", &v3, "interval_errors", |m| {
            m[4] = 0;
            patched(m, 5, 0);
        }),
        ("v2 interval 0", &pass, "interval_errors", |m| patched(m, 5, 0)),
        ("v2 interval 9", &pass, "interval_errors", |m| patched(m, 5, 9)),
        ("auth type 9", &pass, "invalid_auth_type", |m| patched(m, 4, 9)),
        ("no auth to PASS", &pass, "auth_type_mismatch", |m| patched(m, 4, 0)),
        ("AH to PASS", &pass, "auth_type_mismatch", |m| patched(m, 4, 2)),
        ("PASS to no auth", &plain, "auth_type_mismatch", |m| patched(m, 4, 1)),
        ("wrong password", &pass, "auth_failures", |m| {
            let last = m.len() - 1;
            patched(m, last, b'x');
        }),
        ("wrong first letter", &pass, "auth_failures", |m| {
            let first = m.len() - 8;
            patched(m, first, b'2');
        }),
    ];
    for (case, router, counter, damage) in cases {
        refused(case, router, counter, |bench| {
            bench.hear(&advert(HIGH, 200).speaking(router.dialect).damaged(damage));
        });
    }
    // C76: the right password is heard.
    let mut bench = Bench::settled(pass);
    bench.hear(&advert(HIGH, 200).speaking(V2_PASS).at(secs(1)));
    assert_eq!(bench.deadline(), secs(1) + ns(3_609_375_000));
}

// V11, V7, C118: packets for nobody.
#[test]
fn what_no_router_here_speaks_for_is_counted_apart() {
    let router = with_priority(100);
    let cases: [(&str, &str, Heard); 5] = [
        ("unknown VRID", "-vrid_errors", advert(HIGH, 200).vrid(54)),
        ("unknown VRID over IPv6", "-vrid_errors", advert_v6("fe80::1", 200)),
        ("another interface", "-vrid_errors", advert(HIGH, 200).on(ETH1)),
        ("unknown VRID, version 4", "-version_errors", {
            advert(HIGH, 200).vrid(54).damaged(|m| m[0] = 0x41)
        }),
        ("one byte", "-packet_length_errors", advert(HIGH, 200).damaged(|m| m.truncate(1))),
    ];
    for (case, counter, heard) in cases {
        refused(case, &router, counter, |bench| bench.hear(&heard));
    }
    refused("VRID 0", &router, "-vrid_errors", |bench| {
        bench.hear(&advert(HIGH, 200).damaged(|m| m[1] = 0));
    });
    refused("IP protocol 51", &router, "-auth_type_mismatch", |bench| {
        bench.hear_bytes(ETH0, &bytes(|b| b[9] = 51));
    });
    refused("IP protocol 17", &router, "-invalid_type_pkts", |bench| {
        bench.hear_bytes(ETH0, &bytes(|b| b[9] = 17));
    });
}

// V11: logged on demand, once a minute, under the name an operator knows.
#[test]
fn unknown_vrids_are_logged_on_demand() {
    let mut config = config(vec![with_priority(100)]);
    config.globals.log_unknown_vrids = true;
    let mut bench = Bench::start(config);
    bench.logs.clear();
    for vrid in 1..=50 {
        bench.hear(&advert(HIGH, 200).vrid(vrid));
    }
    assert_eq!(bench.logs.len(), 1);
    assert!(bench.logs[0].1.contains("eth0"), "{:?}", bench.logs);
}

// V12, R3: only a good advert is `ignored_state`; a bad one is what it is.
#[test]
fn in_fault_good_adverts_are_ignored_and_bad_ones_refused() {
    let mut bench = Bench::settled(with_priority(100));
    bench.track(0, true);
    bench.did();
    bench.hear(&advert(HIGH, 200));
    bench.hear(&advert(HIGH, 200).hop_limit(Some(1)));
    bench.expect_nothing();
    let expected = [("ignored_state".to_owned(), 1), ("ip_ttl_errors".to_owned(), 1)];
    assert_eq!(bench.counters().into_iter().collect::<Vec<_>>(), expected);
}

// V13, C91
#[test]
fn another_version_for_a_known_vrid_is_refused() {
    let (v2, v3) = (router(|r| r.dialect = V2), with_priority(100));
    refused("v2 to v3", &v3, "version_errors", |b| b.hear(&advert(HIGH, 200).speaking(V2)));
    refused("v3 to v2", &v2, "version_errors", |b| b.hear(&advert(HIGH, 200)));
    let six = router_v6(|_| ());
    refused("v2 over IPv6", &six, "version_errors", |bench| {
        bench.hear(&advert_v6("fe80::1", 200).damaged(|m| m[0] = 0x21));
    });
}

// V10, W23, C30
#[test]
fn both_checksum_forms_are_accepted_and_told_apart() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).at(ms(100)));
    bench.hear(&advert(HIGH, 200).speaking(V3_MESSAGE).at(ms(200)));
    assert_eq!(bench.deadline(), ms(200) + mdi(100, 100));
    assert_eq!(bench.counter("checksum_pseudo_header"), 1);
    assert_eq!(bench.counter("checksum_message_only"), 1);
    assert_eq!(bench.status().peers[0].checksum, Some(V3Checksum::MessageOnly));
    let strict = router(|r| {
        r.dialect = V3_MESSAGE;
        r.strict = Some(Strict::Rfc9568);
    });
    refused("strict", &strict, "checksum_errors", |b| b.hear(&advert(HIGH, 200)));
}

// V21, D8, C103
#[test]
fn a_differing_v3_interval_is_learnt_and_reported_once() {
    let mut bench = Bench::settled(with_priority(100));
    for n in 1..=10 {
        bench.hear(&advert(HIGH, 200).every(300).at(secs(n * 3 - 2)));
    }
    assert_eq!(bench.deadline(), secs(28) + ns(10_828_125_000));
    assert_eq!(bench.counter("interval_errors"), 10);
    assert_eq!(bench.logs.len(), 1, "{:?}", bench.logs);
    bench.run_to_next();
    assert_eq!(bench.sent[0].advert.interval, centis(100), "as master it uses its own");
    assert_eq!(bench.deadline(), secs(28) + ns(10_828_125_000) + EARLY_REPEAT);
}

// V22, C64
#[test]
fn addresses_that_are_not_link_local_are_remarked_or_refused_in_strict() {
    let lone_global = advert("fe80::1", 200).speaking(V3_IPV6).listing(&["2001:db8::254"]);
    let global_source = advert_v6("2001:db8::1", 200);
    let cases = [(&lone_global, "first_addr_not_ll"), (&global_source, "src_not_ll")];
    for (heard, counter) in cases {
        let both = router_v6(|r| r.addresses = vec![vip(VIP_V6), vip("2001:db8::254")]);
        let mut bench = Bench::settled(both);
        bench.hear(&heard.clone().at(secs(1)));
        assert_eq!(bench.deadline(), secs(1) + mdi(100, 100), "accepted");
        assert_eq!(bench.counter(counter), 1);
        for strict in [Strict::Rfc5798, Strict::Rfc9568] {
            let strict = router_v6(|r| r.strict = Some(strict));
            refused(counter, &strict, counter, |b| b.hear(heard));
        }
    }
}

// V24, D6
#[test]
fn another_address_list_is_accepted_counted_and_shown() {
    for list in [&[VIP, "192.0.2.252"][..], &[VIP, VIP]] {
        let mut bench = Bench::settled(with_priority(100));
        bench.hear(&advert(HIGH, 200).listing(list).at(secs(1)));
        assert_eq!(bench.deadline(), secs(1) + mdi(100, 100));
        assert_eq!(bench.counter("address_list_errors"), 1, "{list:?}");
        assert_eq!(bench.logs.len(), 1);
    }
    let two = router(|r| r.addresses = vec![vip("192.0.2.251"), vip("192.0.2.252")]);
    let mut bench = Bench::settled(two);
    bench.hear(&advert(HIGH, 200).listing(&["192.0.2.252", "192.0.2.251"]));
    assert_eq!(bench.counter("address_list_errors"), 0, "the order is free");
}

// V24: VRID 51 stands in every other published file, as keepalived 2.2.7 finds out by the list.
#[test]
fn a_list_without_an_address_of_ours_is_another_clusters_and_refused() {
    let other = |value| advert(HIGH, value).listing(&["192.0.2.252"]);
    refused("higher", &with_priority(100), "address_list_errors", |b| b.hear(&other(200)));
    refused("resigned", &with_priority(100), "address_list_errors", |b| b.hear(&other(0)));
    let v2 = router(|r| r.dialect = V2);
    refused("none", &v2, "address_list_errors", |b| {
        b.hear(&advert(HIGH, 200).speaking(V2).listing(&[]));
    });
    // Without addresses on both sides there is nothing to tell them apart by.
    let none = router(|r| {
        r.dialect = V2;
        r.addresses.clear();
    });
    let mut bench = Bench::settled(none.clone());
    bench.hear(&advert(HIGH, 200).speaking(V2).listing(&[]).at(secs(1)));
    assert_eq!(bench.counter("adv_rcvd"), 1);
    refused("some", &none, "address_list_errors", |b| {
        b.hear(&advert(HIGH, 200).speaking(V2).listing(&[VIP]));
    });
}

// V24: a rolling change of all addresses. Whoever was a peer stays one, so that no second master comes up.
#[test]
fn a_peer_whose_addresses_are_all_replaced_is_still_followed() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).at(secs(1)));
    for second in 2..8 {
        bench.hear(&advert(HIGH, 200).listing(&["192.0.2.252"]).at(secs(second)));
    }
    assert_eq!(bench.state(), State::Backup);
    // The same seen from the node that is changed first.
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).at(secs(1)));
    bench.reload(vec![router(|r| r.addresses = vec![vip("192.0.2.252")])]);
    for second in 2..8 {
        bench.hear(&advert(HIGH, 200).at(secs(second)));
    }
    assert_eq!(bench.state(), State::Backup);
}

// V24 in RFC 3768 to the letter: dropped unless an owner sends it.
#[test]
fn strict_v2_refuses_another_address_list_except_from_the_owner() {
    let strict = router(|r| {
        r.dialect = V2;
        r.strict = Some(Strict::Rfc3768);
    });
    let other = |value| advert(HIGH, value).speaking(V2).listing(&["192.0.2.252"]);
    refused("list", &strict, "address_list_errors", |b| b.hear(&other(200)));
    let mut bench = Bench::settled(strict);
    bench.hear(&other(255).at(secs(1)));
    assert_eq!(bench.deadline(), secs(1) + ns(3_609_375_000));
}

// V25, C119
#[test]
fn an_unexpected_owner_is_refused_where_none_may_be() {
    let router = router(|r| r.options.expect_owner = false);
    refused("forged 255", &router, "unexpected_owner", |b| b.hear(&advert(HIGH, 255)));
    let mut trusting = Bench::master(with_priority(100));
    trusting.hear(&advert(HIGH, 255));
    trusting.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

// V26
#[test]
fn accepted_adverts_are_counted_and_their_sender_remembered() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).at(secs(1)));
    bench.hear(&advert(HIGH, 0).at(ms(1100)));
    assert_eq!(bench.counter("adv_rcvd"), 2);
    assert_eq!(bench.counter("pri_zero_rcvd"), 1);
    let peer = &bench.status().peers[0];
    assert_eq!((peer.address, peer.accepted, peer.priority), (ip(HIGH), 2, Some(0)));
}

// The order of the checks: a packet with two faults is counted for the first.
#[test]
fn of_two_faults_the_earlier_check_counts() {
    let router = with_priority(100);
    let base = || advert(HIGH, 200);
    let cases: [(&str, &str, Heard); 4] = [
        ("cast before TTL", "wrong_cast", base().to(OWN).hop_limit(Some(1))),
        ("TTL before version", "ip_ttl_errors", {
            base().hop_limit(Some(1)).damaged(|m| m[0] = 0x41)
        }),
        ("version before type", "version_errors", base().damaged(|m| m[0] = 0x42)),
        ("length before checksum", "packet_length_errors", base().damaged(|m| m.push(1))),
    ];
    for (case, counter, heard) in cases {
        refused(case, &router, counter, |bench| bench.hear(&heard));
    }
}

// Recorded bad packets go the whole way from bytes to a counter.
#[test]
fn recorded_faults_reach_their_counters() {
    let v3 = with_priority(100);
    for (file, counter) in [
        ("neg_v3_badck", "checksum_errors"),
        ("neg_v3_ttl254", "ip_ttl_errors"),
        ("neg_v3_type2", "invalid_type_pkts"),
        ("neg_v3_ver4", "version_errors"),
        ("neg_v3_count0", "addr_count_zero"),
        ("neg_v3_advint0", "interval_errors"),
        ("neg_v3_trailing4", "packet_length_errors"),
        ("neg_v3_count_gt_body", "packet_length_errors"),
        ("neg_v3_short7", "packet_length_errors"),
    ] {
        let packet = crate::golden::packet(file);
        let known = packet[21] == 53;
        assert!(known, "{file} is for VRID {}", packet[21]);
        refused(file, &v3, counter, |bench| bench.hear_bytes(ETH0, &packet));
    }
}
