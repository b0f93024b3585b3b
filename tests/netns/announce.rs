//! Telling the LAN where the address is: what announcements look like and when they come (W31 to
//! W34), and that switch and clients follow.

use std::fs::{self, DirEntry};
use std::net::IpAddr;
use std::time::Duration;

use vipd::lab::deadline::eventually;
use vipd::lab::ping::Pinger;
use vipd::lab::{Arp, Capture, Decoded, Direction, Frame, Neighbour, Node, Stamp, Vipd};
use vipd::types::Mac;

use crate::SOON;
use crate::common::{
    INTERVAL, Machine, Site, VIP, adverts, await_address, await_state, ip, pass, site, start,
    status, web,
};
use crate::turns::{together, two};

const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn garps(wire: &Capture) -> Vec<(Stamp, Arp)> {
    let gratuitous = |d| match d {
        Decoded::Arp(arp) if arp.is_gratuitous() => Some(arp),
        _ => None,
    };
    wire.frames().iter().filter_map(|f| Some((f.at, gratuitous(f.decode())?))).collect()
}

fn advertised(wire: &Capture, target: &str) -> Vec<(Stamp, Neighbour)> {
    let target = ip(target);
    let about = |d| match d {
        Decoded::NeighbourAdvert(na) if na.target == target => Some(na),
        _ => None,
    };
    wire.frames().iter().filter_map(|f| Some((f.at, about(f.decode())?))).collect()
}

/// Waits until `count` announcements were seen and returns their times.
fn times<T>(
    count: usize,
    within: Duration,
    wire: &Capture,
    look: impl Fn() -> Vec<(Stamp, T)>,
) -> Vec<Stamp> {
    eventually(within, format!("{count} announcements"), || {
        let times: Vec<_> = look().into_iter().map(|(at, _)| at).collect();
        if times.len() >= count { Ok(times) } else { Err(wire.transcript()) }
    })
    .unwrap()
}

// W31, W33, W34
#[test]
fn five_announcements_at_once_and_five_after_five_seconds() {
    let _turn = two();
    let Site { lab, a, client, .. } = site();
    a.sysctl("net/ipv6/conf/eth0/forwarding", "1").unwrap();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    let short = || machine.allows(Duration::from_millis(200));
    let config = web(200, &format!("lease = false\naddresses = [\"{VIP}/24\", \"10.0.0.101/32\"]"))
        + &web(200, "lease = false\naddresses = [\"fe80::100/64\", \"2001:db8::100/128\"]")
            .replace("vrrp.web", "vrrp.six");
    let _vipd = start(&a, &config);
    let first = times(10, SOON, &wire, || garps(&wire));
    let spread = first[9].since(first[0]);
    assert!(spread < short(), "{spread:?}\n{}", wire.transcript());
    let sent = adverts(&wire.frames(), "10.0.0.2");
    assert!(sent[0].0 <= first[0], "the advert comes first\n{}", wire.transcript());
    // No address waits for another's repeats.
    let order: Vec<_> = garps(&wire).iter().map(|(_, arp)| IpAddr::from(arp.sender)).collect();
    assert_eq!(order[..4], [ip(VIP), ip("10.0.0.101"), ip(VIP), ip("10.0.0.101")]);
    for (_, arp) in garps(&wire) {
        assert_eq!((arp.source_mac, arp.sender_mac), (A, A), "{arp:?}");
        assert_eq!((arp.destination_mac, arp.operation), (Mac::BROADCAST, 1), "{arp:?}");
    }

    second_batch(10, &wire, &machine, || garps(&wire));

    let about = || advertised(&wire, "2001:db8::100");
    let six = times(5, SOON, &wire, about);
    assert!(six[4].since(six[0]) < short(), "{}", wire.transcript());
    second_batch(5, &wire, &machine, about);
    for (_, na) in about() {
        assert_eq!((na.source_mac, na.link_address), (A, Some(A)), "{na:?}");
        assert_eq!(na.destination_mac, Mac([0x33, 0x33, 0, 0, 0, 1]), "{na:?}");
        assert_eq!(IpAddr::from(na.destination), ip("ff02::1"), "{na:?}");
        assert_eq!((na.hop_limit, na.checksum_ok), (255, true), "{na:?}");
        assert_eq!((na.router, na.solicited, na.overriding), (true, false, true), "{na:?}");
    }
}

/// After single repeats within the first second nothing comes for five seconds, then `count`.
fn second_batch<T>(
    count: usize,
    wire: &Capture,
    machine: &Machine,
    look: impl Fn() -> Vec<(Stamp, T)>,
) {
    let pause = Duration::from_secs(5);
    let ages = || {
        let seen = look();
        let first = seen[0].0;
        seen.into_iter().map(|(at, _)| at.since(first)).collect::<Vec<_>>()
    };
    let late: Vec<_> = eventually(SOON, "the second batch", || {
        let late: Vec<_> = ages().into_iter().filter(|age| *age > pause / 2).collect();
        if late.len() >= count { Ok(late) } else { Err(wire.transcript()) }
    })
    .unwrap();
    // Nothing but a late first one makes it early.
    let tolerance = Duration::from_millis(200);
    let (earliest, latest) = (tolerance + machine.late() * 4, machine.allows(tolerance));
    assert!(late[0] + earliest > pause && late[count - 1] < pause + latest, "{late:?}");
    assert_eq!(late.len(), count, "{late:?}");
}

#[test]
fn announcements_follow_their_settings() {
    let _turn = two();
    let Site { lab, a, client, .. } = site();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    let vipd = start(
        &a,
        &web(
            200,
            "lease = false\nannounce = { repeat = 2, delay = \"1500ms\", refresh = \"2s\", refresh_repeat = 3, \
             garp_interval = \"20ms\" }",
        ),
    );
    await_state(&vipd, "master");
    // 2 at once, the early repeats, 2 after the delay, 3 two seconds later and 3 again.
    let seen = times(11, SOON, &wire, || garps(&wire));
    let after = |n: usize| seen[n].since(seen[0]);
    let expected = [20, 50, 200, 1000, 1500, 1520, 3500, 3520, 3540, 5500];
    for (n, expected) in (1..).zip(expected) {
        let expected = Duration::from_millis(expected);
        let found = after(n);
        let tolerance = Duration::from_millis(40);
        assert!(
            found + tolerance + machine.late() * 4 > expected
                && found < expected + machine.allows(tolerance),
            "announcement {n} came after {found:?}, not {expected:?}\n{}",
            wire.transcript()
        );
    }
}

fn cached(client: &Node) -> Option<Mac> {
    client.neighbours().unwrap().into_iter().find(|n| n.ip == ip(VIP))?.mac
}

/// Where the switch would deliver a frame to this address.
fn port_of(site: &Site, mac: Mac) -> Vec<String> {
    let all = site.lab.fdb().unwrap().into_iter();
    all.filter(|entry| entry.mac == mac).map(|entry| entry.node).collect()
}

#[test]
fn switch_and_client_follow_a_fail_over_without_asking() {
    let _turn = together();
    let site = site();
    let first = start(&site.a, &web(200, ""));
    await_state(&first, "master");
    let second = start(&site.b, &web(100, ""));
    await_state(&second, "backup");
    // What it knows it will believe for an hour: only an announcement can change its mind.
    site.client.sysctl("net/ipv4/neigh/eth0/base_reachable_time_ms", "3600000").unwrap();
    let ping = Pinger::start(&site.client, ip(VIP)).unwrap();
    eventually(SOON, "an answer", || ping.last().filter(|l| l.from == A)).unwrap();
    assert_eq!(cached(&site.client), Some(A));

    let asks = |d| matches!(d, Decoded::Arp(arp) if arp.operation == 1 && arp.target == VIP.parse::<std::net::Ipv4Addr>().unwrap());
    let asked = move |f: &Frame| f.outgoing && asks(f.decode());
    let out = site.client.capture_only("eth0", asked).unwrap();
    first.kill9();
    site.a.unplug().unwrap();
    eventually(SOON, "an answer of the other", || ping.last().filter(|l| l.from == B)).unwrap();
    assert_eq!(cached(&site.client), Some(B));
    assert_eq!(port_of(&site, B), ["lb-02"]);
    assert!(out.frames().is_empty(), "{}", out.transcript());
}

#[test]
fn a_client_that_missed_the_first_batch_learns_from_the_second() {
    let _turn = together();
    let Site { a, b, client, .. } = site();
    // Longer than a busy machine may take from the first batch to the end of the block.
    let more = "announce = { delay = \"3s\" }";
    let first = start(&a, &web(200, more));
    await_state(&first, "master");
    let second = start(&b, &web(100, more));
    await_state(&second, "backup");
    client.sysctl("net/ipv4/neigh/eth0/base_reachable_time_ms", "3600000").unwrap();
    let ping = Pinger::start(&client, ip(VIP)).unwrap();
    eventually(SOON, "an answer", || ping.last().filter(|l| l.from == A)).unwrap();

    client.block(Direction::Receiving).unwrap();
    first.kill9();
    a.unplug().unwrap();
    await_state(&second, "master");
    await_address(&b, VIP, true);
    eventually(SOON, "the first batch", || {
        status(&second)["counters"]["announcements_sent"].as_u64() >= Some(5)
    })
    .unwrap();
    client.unblock().unwrap();
    assert_eq!(cached(&client), Some(A), "the client was to miss the announcement");
    eventually(SOON, "an answer of the other", || ping.last().filter(|l| l.from == B)).unwrap();
    assert_eq!(cached(&client), Some(B));
}

// W34
#[test]
fn nothing_is_announced_before_the_kernel_has_the_address() {
    let _turn = together();
    let Site { lab, a, client, .. } = site();
    let machine = Machine::watch();
    // The kernel refuses the IPv6 address as long as IPv6 is off.
    a.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let vipd = start(&a, &web(200, "excluded = [\"2001:db8::100/128\"]"));
    await_state(&vipd, "master");
    times(5, SOON, &wire, || garps(&wire));
    let router = eventually(SOON, "a second attempt", || {
        let router = status(&vipd);
        let again = router["counters"]["address_errors"].as_u64() >= Some(2);
        if again { Ok(router) } else { Err(router.to_string()) }
    })
    .unwrap();
    let error = router["addresses"][1]["error"].as_str().unwrap();
    assert!(error.contains("disable_ipv6"), "{error}");
    assert_eq!(advertised(&wire, "2001:db8::100"), []);
    a.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0").unwrap();
    await_address(&a, "2001:db8::100", true);
    times(1, SOON, &wire, || advertised(&wire, "2001:db8::100"));
    let sent = adverts(&wire.frames(), "10.0.0.2");
    assert!(crate::common::longest_gap(&sent) < machine.allows(INTERVAL * 3));
    assert_eq!(status(&vipd)["state"], "master");
}

/// How often the threads of a daemon were put on a processor.
fn wake_ups(vipd: &Vipd) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", vipd.process().pid())).unwrap();
    let count = |task: DirEntry| -> u64 {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap();
        text.split_whitespace().last().unwrap().parse().unwrap()
    };
    tasks.map(|task| count(task.unwrap())).sum()
}

#[test]
fn announcements_do_not_keep_a_backup_awake() {
    let _turn = together();
    let site = site();
    let backup = start(&site.b, &web(100, ""));
    await_state(&backup, "master");
    let _master = start(&site.a, &web(150, ""));
    await_state(&backup, "backup");
    // Five announcements at once, and three more in the first second.
    pass(Duration::from_millis(1_200));
    let before = wake_ups(&backup);
    pass(Duration::from_secs(1));
    let woken = wake_ups(&backup) - before;
    // Ten adverts, each of which may be waited for twice.
    assert!(woken < 100, "{woken} times in a second");
}
