//! The sentences of the status: who is the trouble, and what to do about it.

use vipd::config::{Cast, Peer, RouterConfig, Strict};
use vipd::io::{Command, Input, Listen};
use vipd::status::State;
use vipd::types::Mac;

use super::bench::Bench;
use super::setup::*;

const RIVAL: Mac = Mac([2, 0, 0, 0, 0, 9]);

/// The only hint there is.
fn hint(bench: &Bench) -> String {
    let hints = bench.status().hints.texts();
    assert_eq!(hints.len(), 1, "{hints:?}");
    hints.into_iter().next().unwrap()
}

#[track_caller]
fn says(hint: &str, words: &[&str]) {
    for word in words {
        assert!(hint.contains(word), "{word:?} is not in: {hint}");
    }
}

fn announced(bench: &mut Bench, mac: Mac) {
    bench.feed(Input::Announced { iface: ETH0, vip: ip(VIP), mac });
}

/// A master for so long that it no longer announces anything by itself.
fn master() -> Bench {
    Bench::master(with_priority(100))
}

// What two nodes must agree on, and what each disagreement is called (pain points 2 and 3).
#[test]
fn every_incompatible_peer_is_named_with_the_remedy() {
    let v2 = |r: &mut RouterConfig| r.dialect = V2;
    let strict = |rfc| move |r: &mut RouterConfig| r.strict = Some(rfc);
    let cases: Vec<(RouterConfig, Heard, &[&str])> = vec![
        (router(v2), advert(HIGH, 150), &["VRRPv3 received", "VRRPv2", "same `version`"]),
        (
            router(v2),
            advert(HIGH, 150).speaking(V2_PASS),
            &["auth_type PASS received, no authentication configured", "same `authentication`"],
        ),
        (
            router(|r| r.dialect = V2_PASS),
            advert(HIGH, 150).speaking(V2),
            &["no authentication received", "same `authentication`"],
        ),
        (
            router(v2),
            advert(HIGH, 150).speaking(V2).every(200),
            &["interval is 2 s, ours is 1 s", "same `advert_int`"],
        ),
        (
            router(|_| ()),
            advert(HIGH, 150).damaged(|message| message.extend([7; 28])),
            &["auth_hmac"],
        ),
        (
            router(|_| ()),
            advert(HIGH, 150).to(OWN),
            &["sent to 192.0.2.101", "listens at 224.0.0.18", "use unicast", "or on none"],
        ),
        (
            router(|r| r.cast = unicast(&[LOW])),
            advert(LOW, 150),
            &["sent to 224.0.0.18", "listens at 192.0.2.101", "use unicast", "or on none"],
        ),
        (
            router(|r| r.cast = unicast(&[LOW])),
            advert(HIGH, 150).to(OWN),
            &["not in our list of peers", "add it"],
        ),
        (
            router(|r| r.cast = unicast(&[HIGH])),
            advert(HIGH, 150).to(OWN).hop_limit(Some(63)),
            &["TTL or hop limit 63", "min_ttl"],
        ),
        (
            router(|_| ()),
            advert(HIGH, 150).hop_limit(Some(63)),
            &["TTL or hop limit 63", "router or tunnel"],
        ),
        (
            router(|r| r.options.expect_owner = false),
            advert(HIGH, 255),
            &["claims priority 255", "expect_owner"],
        ),
        (
            router(|r| {
                r.priority = priority(255);
                r.options.owner_listens = false;
            }),
            advert(HIGH, 255),
            &["owns the addresses", "below 255"],
        ),
        (
            router(|r| {
                strict(Strict::Rfc9568)(r);
                r.dialect = V3_MESSAGE;
            }),
            advert(HIGH, 150),
            &["wrong VRRP checksum", "RFC 9568", "`strict` off"],
        ),
        (
            router(|_| ()),
            advert(HIGH, 150).damaged(|message| message[6] ^= 1),
            &["wrong VRRP checksum", "damaged on the way"],
        ),
        (
            router(|r| {
                v2(r);
                strict(Strict::Rfc3768)(r);
            }),
            advert(HIGH, 150).speaking(V2).listing(&["192.0.2.77"]),
            &["other addresses", "lists equal"],
        ),
    ];
    for (router, heard, words) in cases {
        let mut bench = Bench::settled(router);
        bench.run_for(secs(20));
        assert_eq!(bench.state(), State::Master);
        bench.hear(&heard);
        let hint = hint(&bench);
        let who = heard.source.to_string();
        says(&hint, &[&who, "VRID 53", "Both nodes may be master", "virtual_router_id"]);
        says(&hint, words);
    }
}

#[test]
fn a_peer_that_was_mended_is_not_complained_of() {
    let mut bench = master();
    bench.hear(&advert(LOW, 50).speaking(V2));
    says(&hint(&bench), &["version"]);
    bench.hear(&advert(LOW, 50).at(bench.elapsed() + secs(1)));
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());
}

// Pain point 2: the difference, not two lists to compare at night.
#[test]
fn lists_that_differ_are_told_by_their_difference() {
    let three = || vec![vip(VIP), vip("192.0.2.252"), vip("192.0.2.253")];
    let mut bench = Bench::settled(router(|r| r.addresses = three()));
    bench.hear(&advert(HIGH, 150).listing(&[VIP, "192.0.2.253", "192.0.2.66"]));
    let told = hint(&bench);
    says(&told, &[HIGH, "lists 192.0.2.66, which we do not", "does not list our 192.0.2.252:"]);
    says(&told, &["keepalived before 2.3.3", "make the lists equal"]);
    assert!(!told.contains("192.0.2.253"), "{told}");
}

// Pain point 3: somebody else's cluster with our number.
#[test]
fn a_stranger_with_our_vrid_is_told_from_a_peer() {
    let stranger = || advert(HIGH, 150).listing(&["192.0.2.66", "192.0.2.67"]);
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&stranger());
    let told = bench.status().hints.texts().swap_remove(0);
    says(&told, &[HIGH, "VRID 53", "192.0.2.66 and 1 more", "another `virtual_router_id`"]);
    bench.run_for(secs(5));
    assert_eq!(bench.state(), State::Master, "it serves its own addresses");

    // Its list changed while it was our master: it is a peer all the same.
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 150));
    bench.hear(&stranger());
    says(&hint(&bench), &[HIGH, "is a peer", "nobody serves 192.0.2.251", "Make the lists equal"]);
}

// Pain points 1 and 4: two masters that hear each other in one direction only.
#[test]
fn a_rival_that_does_not_hear_us_is_told_to_look_at_its_filter() {
    let mut bench = master();
    for _ in 0..3 {
        bench.hear(&advert(LOW, 50).at(bench.elapsed() + secs(1)));
    }
    says(&hint(&bench), &["192.0.2.9 is master too, with priority 50", "IP protocol 112"]);
    says(&hint(&bench), &["nft insert rule inet filter input meta l4proto 112 accept"]);
    says(&hint(&bench), &["iptables -I INPUT -p 112 -j ACCEPT"]);
    bench.run_for(secs(4));
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());

    let mut bench = master();
    bench.hear(&advert(LOW, 50).speaking(V3_MESSAGE));
    assert_eq!(
        bench.status().hints.texts(),
        Vec::<String>::new(),
        "it may not have heard our answer yet"
    );
    bench.hear(&advert(LOW, 50).speaking(V3_MESSAGE).at(bench.elapsed() + secs(1)));
    says(&hint(&bench), &["192.0.2.9", "other VRRPv3 checksum form", "v3_checksum_as_v2"]);
}

// Pain point 1, seen by a third node.
#[test]
fn two_others_that_are_both_master_are_told() {
    let mut bench = Bench::settled(with_priority(90));
    for second in 1..4 {
        bench.hear(&advert(HIGH, 150).at(secs(second)));
        bench.hear(&advert(LOW, 120).at(secs(second) + ms(500)));
    }
    says(&hint(&bench), &["192.0.2.200 (priority 150) and 192.0.2.9 (priority 120)"]);
    says(&hint(&bench), &["192.0.2.9 does not hear or does not accept"]);
    // One of them gives way.
    bench.hear(&advert(HIGH, 150).at(secs(4)));
    bench.hear(&advert(HIGH, 150).at(secs(5)));
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());
}

#[test]
fn a_master_that_follows_another_is_no_second_one() {
    // A better one comes and the old one stops at once; and one dies and another takes over.
    let mut bench = Bench::settled(with_priority(90));
    for (source, value, at) in [
        (LOW, 120, 1000),
        (LOW, 120, 2000),
        (HIGH, 150, 2300),
        (HIGH, 150, 3300),
        (HIGH, 150, 4300),
        (LOW, 120, 7400),
        (LOW, 120, 8400),
    ] {
        bench.hear(&advert(source, value).at(ms(at)));
        assert_eq!(bench.status().hints.texts(), Vec::<String>::new(), "{source} at {at} ms");
    }
}

// Pain point 4: VRRP does not get through, ARP does.
#[test]
fn an_announcement_where_nothing_was_ever_heard_means_a_filter() {
    let mut bench = master();
    assert_eq!(bench.status().last_heard_ms, None);
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new(), "silence alone is no alarm");
    announced(&mut bench, RIVAL);
    bench.expect_nothing();
    bench.run_for(secs(12));
    let told = hint(&bench);
    says(&told, &["no advert of another node was ever received on eth0 since the start"]);
    says(
        &told,
        &["02:00:00:00:00:09 announced 192.0.2.251 12 s ago", "IP protocol 112 is filtered"],
    );
    says(&told, &["nft insert rule", "iptables -I INPUT", "use unicast"]);

    let mut bench = Bench::master(router_v6(|_| ()));
    bench.feed(Input::Announced { iface: ETH0, vip: ip(VIP_V6), mac: RIVAL });
    says(&hint(&bench), &["ip6tables -I INPUT"]);
    // Whoever has no choice of multicast is not told to leave it.
    let mut bench = Bench::master(router(|r| r.cast = unicast(&[LOW])));
    announced(&mut bench, RIVAL);
    says(&hint(&bench), &["compare the peers on both nodes"]);
}

// Pain point 5.
#[test]
fn another_node_that_answers_for_our_address_is_named_by_its_mac() {
    let mut bench = master();
    bench.hear(&advert(LOW, 50).vrid(77));
    announced(&mut bench, RIVAL);
    let told = hint(&bench);
    says(&told, &["answers ARP for an address of ours on eth0", "02:00:00:00:00:09"]);
    says(&told, &["192.0.2.251", "send their traffic there", "ip neigh"]);
    announced(&mut bench, Mac([0, 0, 0x5e, 0, 1, 53]));
    says(&hint(&bench), &["00:00:5e:00:01:35 (the virtual MAC of VRID 53", "use_vmac"]);
    // A lower advert makes us announce the address again: hosts know better then.
    bench.hear(&advert(LOW, 50));
    assert!(bench.status().hints.texts().iter().all(|hint| !hint.contains("answers ARP")));
}

#[test]
fn an_announcement_of_our_own_or_to_a_backup_is_nothing_to_tell() {
    let mut bench = Bench::master(router(|r| {
        r.addresses = vec![vip(VIP), vip_on("192.0.2.252", Some("eth1"))];
    }));
    bench.feed(Input::Announced {
        iface: ETH1,
        vip: ip("192.0.2.252"),
        mac: Mac([2, 0, 0, 0, 0, 2]),
    });
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new(), "through our other interface");

    announced(&mut bench, RIVAL);
    assert_eq!(bench.status().hints.texts().len(), 1);
    bench.hear(&advert(HIGH, 150).listing(&[VIP, "192.0.2.252"]));
    announced(&mut bench, RIVAL);
    assert_eq!(bench.state(), State::Backup);
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new(), "the master may");
}

// Pain point 8: what the first BACKUP means.
#[test]
fn the_first_wait_is_explained() {
    let mut bench = Bench::settled(with_priority(150));
    bench.run_for(secs(1));
    says(&hint(&bench), &["just started", "becomes master in 2.4 s if nobody does"]);
    bench.hear(&advert(HIGH, 200));
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());
}

/// Nodes that use the other kind of cast send where none of our sockets would listen.
#[test]
fn peers_of_the_other_cast_are_heard_too() {
    let group = |text: &str| Listen::Group(ip(text));
    let own = Listen::Local(ip(OWN));
    let there = |bench: &Bench| bench.observed().iter().copied().collect::<Vec<_>>();

    let mut bench = Bench::settled(router(|_| ()));
    assert_eq!(there(&bench), [(ETH0, own)]);
    bench.reload(vec![router(|r| r.cast = unicast(&[LOW]))]);
    assert_eq!(there(&bench), [(ETH0, group("224.0.0.18"))]);
    let both = router(|r| r.cast = Cast::Multicast { group: ip("224.0.0.18") });
    let other = router(|r| {
        r.name = "VI_2".to_owned();
        r.cast = unicast(&[LOW]);
    });
    bench.reload(vec![both, other]);
    assert_eq!(there(&bench), []);
    bench.reload(vec![router_v6(|_| ())]);
    assert_eq!(there(&bench), [(ETH0, Listen::Local(ip(OWN_V6)))]);
    bench.reload(vec![]);
    assert_eq!(there(&bench), []);
}

/// What the shell sends to itself to learn whether it hears itself.
#[test]
fn our_own_question_is_no_loop_in_the_network() {
    let mut bench = Bench::settled(with_priority(100));
    let question = advert(OWN, 50);
    bench.hear_message(&question, &[0; 8]);
    assert_eq!(bench.counters(), Default::default());
    assert_eq!(bench.status().last_heard_ms, None);
}

#[test]
fn peers_in_words_name_each_accepted_ttl() {
    let peers = vec![Peer { address: ip(LOW), accepted_ttl: 64..=255 }];
    let mut bench = Bench::master(router(|r| r.cast = Cast::Unicast { peers, ttl: 255 }));
    bench.hear(&advert(LOW, 150).to(OWN).hop_limit(Some(63)));
    says(&hint(&bench), &["TTL or hop limit 63, expected 64 to 255"]);
}

// The operator's word holds until the successor is gone: no countdown.
#[test]
fn after_a_handover_nobody_is_about_to_be_preempted() {
    let mut bench = Bench::master(with_priority(150));
    bench.feed(Input::Command(Command::Handover(None)));
    for second in 1..8 {
        bench.hear(&advert(LOW, 100).at(bench.elapsed() + ms(second * 100)));
    }
    assert_eq!(bench.state(), State::Backup);
    says(&hint(&bench), &["192.0.2.9 stays master with priority 100, ours is 150"]);
    says(&hint(&bench), &["the operator handed over to it", "falls silent"]);
    assert!(!bench.status().preempts);
}

#[test]
fn only_a_worse_master_that_is_about_to_be_preempted_cannot_stop_it() {
    let mut bench = Bench::settled(with_priority(150));
    bench.hear(&advert(LOW, 100));
    assert!(bench.status().preempts);
    says(&hint(&bench), &["about to be preempted"]);
}

#[test]
fn adverts_of_a_listed_peer_from_behind_a_router_are_said_until_min_ttl_says_how_far_it_is() {
    let from = |accepted: std::ops::RangeInclusive<u8>| {
        let peer = Peer { address: ip(HIGH), accepted_ttl: accepted };
        let cast = Cast::Unicast { peers: vec![peer], ttl: 255 };
        let mut bench = Bench::settled(router(|r| r.cast = cast.clone()));
        bench.hear(&advert(HIGH, 150).to(OWN).hop_limit(Some(254)));
        assert_eq!(bench.status().counters.adv_rcvd, 1);
        bench.status().hints.texts().join("\n")
    };
    says(&from(1..=255), &[HIGH, "TTL 254, not 255", "a router is between you", "`min_ttl` 254"]);
    assert!(!from(254..=255).contains("TTL"));
}
