//! Hosts that have an address of ours, and contact lost and found: asked for, named, defended, logged.

use std::net::IpAddr;

use vipd::io::{Input, Level};
use vipd::status::State;
use vipd::types::Mac;

use super::bench::Bench;
use super::setup::*;

/// A host that was given the address by hand.
const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 0x77]);
/// A peer.
const PEER: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn located(bench: &mut Bench, address: &str, mac: Mac) {
    bench.feed(Input::Located { iface: ETH0, address: ip(address), mac });
}

fn asked(bench: &mut Bench) -> Vec<IpAddr> {
    std::mem::take(&mut bench.solicited)
}

fn warnings(bench: &mut Bench) -> Vec<String> {
    let logs = std::mem::take(&mut bench.logs);
    logs.into_iter().filter(|(level, _)| *level == Level::Warn).map(|(_, text)| text).collect()
}

fn hint(bench: &Bench) -> String {
    bench.status().hints.texts().join("\n")
}

#[test]
fn a_master_asks_for_its_address_soon_and_every_minute() {
    let mut bench = Bench::settled(with_priority(100));
    bench.run_for(secs(4));
    assert_eq!((bench.state(), asked(&mut bench)), (State::Master, vec![]));
    bench.run_for(secs(5));
    assert_eq!(asked(&mut bench), [ip(VIP)]);
    bench.run_for(secs(57));
    assert_eq!(asked(&mut bench), [] as [IpAddr; 0]);
    bench.run_for(secs(2));
    assert_eq!(asked(&mut bench), [ip(VIP)]);
    bench.hear(&advert(HIGH, 200));
    bench.run_for(ms(100));
    bench.feed(Input::StatusAsked);
    assert_eq!(asked(&mut bench), [] as [IpAddr; 0], "a backup has no address to ask for");
}

#[test]
fn many_addresses_are_asked_for_a_few_at_a_time() {
    let all: Vec<String> = (1..=20).map(|n| format!("192.0.2.{}", 210 + n)).collect();
    let mut bench = Bench::settled(router(|r| r.addresses = all.iter().map(|a| vip(a)).collect()));
    bench.run_for(secs(4));
    let mut lots = Vec::new();
    for _ in 0..12 {
        bench.run_for(secs(1));
        lots.push(asked(&mut bench).len());
    }
    lots.retain(|lot| *lot > 0);
    assert_eq!(lots, [8, 8, 4]);
}

#[test]
fn whoever_looks_at_the_status_has_the_lan_asked_now_and_then() {
    let mut bench = Bench::master(with_priority(100));
    asked(&mut bench);
    bench.feed(Input::StatusAsked);
    bench.feed(Input::StatusAsked);
    assert_eq!(asked(&mut bench), [ip(VIP)]);
    bench.run_for(secs(6));
    bench.feed(Input::StatusAsked);
    assert_eq!(asked(&mut bench), [ip(VIP)]);
}

#[test]
fn a_host_that_has_our_address_is_named_defended_against_and_logged() {
    let mut bench = Bench::master(with_priority(100));
    bench.hear(&advert(LOW, 50).vrid(77));
    asked(&mut bench);
    bench.feed(Input::StatusAsked);
    located(&mut bench, VIP, STRANGER);
    bench.expect(&["announce 192.0.2.251"]);
    let told = hint(&bench);
    for words in
        ["02:00:00:00:00:77 answers ARP for 192.0.2.251, which this node holds", "ip neigh"]
    {
        assert!(told.contains(words), "{told}");
    }
    bench.run_for(secs(1));
    let logged = "02:00:00:00:00:77 answers for 192.0.2.251, which this node holds as master";
    assert_eq!(warnings(&mut bench), [logged]);
    // At a limited rate.
    bench.did();
    for _ in 0..50 {
        located(&mut bench, VIP, STRANGER);
    }
    bench.expect_nothing();
    assert_eq!(bench.state(), State::Master);
    // The next question is not answered: it is gone.
    bench.run_for(secs(130));
    assert_eq!(hint(&bench), "");
}

#[test]
fn an_answer_of_ourselves_or_of_the_predecessor_is_none() {
    let mut bench = Bench::settled(with_priority(100));
    bench.run_to_next();
    assert_eq!(bench.state(), State::Master);
    bench.did();
    located(&mut bench, VIP, STRANGER);
    assert_eq!(hint(&bench), "", "it has just lost the address");
    bench.run_for(secs(10));
    bench.did();
    located(&mut bench, VIP, Mac([2, 0, 0, 0, 0, 2]));
    located(&mut bench, "192.0.2.77", STRANGER);
    bench.expect_nothing();
    assert_eq!(hint(&bench), "", "our other interface, and another address");
}

// IP protocol 112 is filtered from some moment on, ARP is not.
#[test]
fn a_peer_that_serves_too_is_named_by_its_address() {
    let mut bench = Bench::master(with_priority(100));
    bench.hear(&advert(LOW, 50));
    bench.run_for(secs(41));
    bench.did();
    asked(&mut bench);
    bench.feed(Input::Announced { iface: ETH0, vip: ip(VIP), mac: PEER });
    assert_eq!(asked(&mut bench), [ip(LOW)], "whose MAC is that?");
    located(&mut bench, LOW, PEER);
    let told = hint(&bench);
    for words in [
        "the last advert of another node on eth0 was received 41 s ago",
        "192.0.2.9 (02:00:00:00:00:09) announced 192.0.2.251",
        "it is master too, and IP protocol 112 is filtered between you",
    ] {
        assert!(told.contains(words), "{told}");
    }
    bench.run_for(secs(2));
    assert!(!bench.did().iter().any(|did| did.starts_with("announce")), "two masters would fight");
    let logged = "192.0.2.9 (02:00:00:00:00:09) announced 192.0.2.251, which this node holds as \
                  master";
    assert!(warnings(&mut bench).contains(&logged.to_owned()));
}

#[test]
fn an_announcement_of_a_better_node_is_neither_logged_nor_defended_against() {
    let mut bench = Bench::master(with_priority(100));
    bench.feed(Input::Announced { iface: ETH0, vip: ip(VIP), mac: PEER });
    bench.hear(&advert(HIGH, 200));
    bench.run_for(secs(2));
    assert_eq!(bench.state(), State::Backup);
    assert!(!bench.did().iter().any(|did| did.starts_with("announce")));
    assert_eq!(warnings(&mut bench), [] as [&str; 0]);
}

#[test]
fn lost_and_regained_contact_is_logged() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200));
    bench.logs.clear();
    bench.run_for(secs(10));
    assert_eq!(bench.state(), State::Master);
    let lost = "No advert from 192.0.2.200 for 3.61 s: it is down or cut off";
    assert_eq!(warnings(&mut bench), [lost]);
    bench.hear(&advert(HIGH, 50));
    let found = "192.0.2.200 is heard again, after 10.0 s of silence";
    assert!(bench.logs.iter().any(|(level, text)| *level == Level::Info && text == found));
    let second = "192.0.2.200 is master too, with priority 50: it was last heard 10.0 s ago, and has \
                  not heard this node meanwhile";
    assert_eq!(warnings(&mut bench), [second]);
}

#[test]
fn a_resignation_is_no_loss() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200));
    bench.hear(&advert(HIGH, 0));
    bench.run_for(secs(10));
    assert_eq!((bench.state(), warnings(&mut bench)), (State::Master, vec![]));
}
