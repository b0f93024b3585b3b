//! Packets sent to break the election: a master keeps its rhythm, a backup its deadline, and the
//! status names the reason (C115 to C120).

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde_json::Value;
use vipd::lab::deadline::eventually;
use vipd::lab::raw::{Datagram, checksum};
use vipd::lab::{Decoded, Node, Stamp, Vipd};
use vipd::sys::frames::FrameSocket;

use crate::SOON;
use crate::common::{
    Machine, Site, adverts, await_address, await_advert, await_one_holder, await_state, counter,
    ip, longest_gap, pass, router, site, snapshot, start, status, web,
};
use crate::turns::{alone, together};

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(2);

/// What the kernel says when a queue is full.
const FULL: [Errno; 2] = [Errno::ENOBUFS, Errno::EAGAIN];

/// Longest time between adverts under attack: a second one must not be missing.
const RHYTHM: Duration = Duration::from_millis(190);

/// An advert of a VRRPv3 router for IPv4, checksum over the message.
pub(crate) fn v3(vrid: u8, priority: u8, centis: u16) -> Vec<u8> {
    let [high, low] = centis.to_be_bytes();
    let mut message = vec![0x31, vrid, priority, 1, high, low, 0, 0, 10, 0, 0, 100];
    let sum = checksum(&message).to_be_bytes();
    message[6..8].copy_from_slice(&sum);
    message
}

/// The frame with which the host sends this VRRP message to the group.
fn frame(node: &Node, source: &str, message: Vec<u8>) -> Vec<u8> {
    frame_with_ttl(node, source, 255, message)
}

pub(crate) fn frame_with_ttl(node: &Node, source: &str, ttl: u8, message: Vec<u8>) -> Vec<u8> {
    let own = node.link_status("eth0").unwrap().unwrap().mac;
    let group = if ip(source).is_ipv4() { ip("224.0.0.18") } else { ip("ff02::12") };
    let datagram = Datagram { ttl, ..Datagram::vrrp(ip(source), group, message) };
    datagram.frame(own, None).unwrap()
}

/// Sends frames from another thread until it is stopped or dropped.
pub(crate) struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<u128>>,
}

impl Flood {
    /// `frames` in turn, `per_second` of them.
    pub(crate) fn start(node: &Node, per_second: u32, frames: Vec<Vec<u8>>) -> Flood {
        let index = node.link_status("eth0").unwrap().unwrap().index;
        let open = move || FrameSocket::on_interface(index);
        let socket = node.inside("open a packet socket", open).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let (start, mut sent) = (Instant::now(), 0);
            let mut next = frames.iter().cycle();
            while !stop.load(Ordering::Relaxed) {
                let due = start.elapsed().as_millis() * u128::from(per_second) / 1000;
                while sent < due {
                    match socket.send(next.next().unwrap()) {
                        Ok(()) => sent += 1,
                        Err(e)
                            if e.raw_os_error()
                                .is_some_and(|code| FULL.contains(&Errno::from_raw(code))) =>
                        {
                            break;
                        }
                        Err(error) => panic!("flood: {error}"),
                    }
                }
                thread::sleep(Duration::from_millis(2));
            }
            sent
        });
        Flood { over, thread: Some(thread) }
    }

    /// Ends it; how many were sent.
    pub(crate) fn stop(mut self) -> u128 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Flood {
    /// A test that fails meanwhile takes the namespace away: its reason should be the only one.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Floods for [`FLOOD`]; returns how many frames that were.
fn flood(node: &Node, per_second: u32, frames: Vec<Vec<u8>>) -> u128 {
    let flood = Flood::start(node, per_second, frames);
    pass(FLOOD);
    flood.stop()
}

/// Processor time used so far and memory in use, in KiB. Pages of the program itself do not count:
/// they come when a line of code is first reached, and go when the machine needs room.
pub(crate) fn usage(vipd: &Vipd) -> (Duration, u64) {
    let pid = vipd.process().pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|&n| fields[n].parse::<u64>().unwrap()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
    let kib = resident.trim().trim_end_matches(" kB").parse().unwrap();
    // Ticks of user space are 1/100 s on every Linux.
    (Duration::from_millis(ticks * 10), kib)
}

/// The log must not grow with what strangers send (C120).
pub(crate) fn assert_quiet_log(vipd: &Vipd, most: usize) {
    let log = vipd.log();
    assert!(log.lines().count() <= most, "{} lines:\n{log}", log.lines().count());
}

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/packets").join(name);
    let text = fs::read_to_string(path.with_extension("hex")).unwrap();
    let text = text.trim();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Every recorded packet to be dropped, the router it is aimed at and the counter that moves.
const NEGATIVES: [(&str, &str, &str); 13] = [
    ("neg_v2_advint9", "plain", "interval_errors"),
    ("neg_v2_authtype9", "plain", "invalid_auth_type"),
    ("neg_v2_badpass", "secret", "auth_failures"),
    ("neg_v2_noauthdata", "secret", "packet_length_errors"),
    ("neg_v3_advint0", "web", "interval_errors"),
    ("neg_v3_badck", "web", "checksum_errors"),
    ("neg_v3_count0", "web", "addr_count_zero"),
    ("neg_v3_count_gt_body", "web", "packet_length_errors"),
    ("neg_v3_short7", "web", "packet_length_errors"),
    ("neg_v3_trailing4", "web", "packet_length_errors"),
    ("neg_v3_ttl254", "web", "ip_ttl_errors"),
    ("neg_v3_type2", "web", "invalid_type_pkts"),
    ("neg_v3_ver4", "web", "version_errors"),
];

/// All of them claim priority 200: whoever obeys one steps down or waits.
fn three_routers(priority: u8) -> String {
    let table = |name: &str, vrid: u8, more: &str, address: u8| {
        format!(
            "[vrrp.{name}]\ninterface = \"eth0\"\nvrid = {vrid}\npriority = {priority}\n{more}\n\
             addresses = [\"10.0.0.{address}/24\"]\n"
        )
    };
    table("web", 53, "version = 3\ninterval = \"100ms\"", 100)
        + &table("secret", 51, "auth_pass = \"1111\"", 101)
        + &table("plain", 52, "", 102)
}

// C115, C120
#[test]
fn no_recorded_bad_packet_moves_a_master_or_a_backup() {
    let _turn = together();
    let Site { lab, a, b, client } = site();
    let master = start(&a, &three_routers(150));
    let backup = start(&b, &three_routers(100));
    let all_are = |vipd: &Vipd, state: &str| {
        eventually(SOON, format!("three routers in {state}"), || {
            for name in ["web", "secret", "plain"] {
                let router = router(vipd, name)?;
                if router["state"] != state {
                    return Err(router.to_string());
                }
            }
            Ok(())
        })
        .unwrap();
    };
    all_are(&master, "master");
    all_are(&backup, "backup");

    let wire = lab.capture_port(&client, "eth0").unwrap();
    let own = client.link_status("eth0").unwrap().unwrap().mac;
    let ethernet = |name: &str| {
        let to_group = [0x01, 0, 0x5e, 0, 0, 0x12];
        [&to_group[..], &own.0[..], &[0x08, 0x00], &golden(name)].concat()
    };
    let mut frames: Vec<_> = NEGATIVES.iter().map(|(name, ..)| ethernet(name)).collect();
    frames.push(ethernet("neg_v2_vrid0"));
    let machine = Machine::watch();
    let started = Stamp::now();
    let attack = Flood::start(&client, 200, frames);
    pass(FLOOD);
    let ended = Stamp::now();
    all_are(&master, "master");
    all_are(&backup, "backup");
    for vipd in [&master, &backup] {
        for (packet, name, counter) in NEGATIVES {
            let router = router(vipd, name).unwrap();
            let count = router["counters"][counter].as_u64().unwrap();
            assert!(count > 10, "{packet}: {counter} is {count}\n{router:#}");
            let peer = router["peers"].as_array().unwrap().iter();
            let attacker = peer.clone().find(|p| p["address"] == "192.0.2.100").unwrap();
            assert!(attacker["refused"][counter].as_u64().unwrap() > 10, "{attacker:#}");
        }
        assert_quiet_log(vipd, 40);
    }
    let of = |vrid: u8| -> Vec<_> {
        let all = adverts(&wire.frames(), "10.0.0.2");
        all.into_iter().filter(|(at, v)| v.vrid == vrid && *at > started && *at < ended).collect()
    };
    assert!(longest_gap(&of(53)) < machine.allows(RHYTHM), "{}", wire.transcript());
    assert!(
        longest_gap(&of(51)) < machine.allows(Duration::from_millis(1_150)),
        "{}",
        wire.transcript()
    );
    assert_eq!(adverts(&wire.frames(), "10.0.0.3").len(), 0, "the backup must be silent");

    // The attack goes on while the master dies: the backup takes over in its time.
    wire.mark();
    master.kill9();
    a.unplug().unwrap();
    let last = adverts(&wire.frames(), "10.0.0.2").into_iter().rev().find(|(_, v)| v.vrid == 53);
    let taken = wire
        .wait_for(SOON, "the backup's advert", |f| match f.decode() {
            Decoded::Vrrp(v) => v.vrid == 53 && v.source == ip("10.0.0.3"),
            _ => false,
        })
        .unwrap();
    let silence = taken.at.since(last.unwrap().0);
    // 3 intervals and a skew of 156/256 interval: 361 ms.
    assert!(
        silence > Duration::from_millis(350)
            && silence < machine.allows(Duration::from_millis(500)),
        "{silence:?}"
    );
    attack.stop();
}

/// xorshift64*: the same noise in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

#[test]
fn random_packets_are_counted_and_change_nothing() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    let six = web(150, "addresses = [\"fe80::100/64\"]").replace("vrrp.web", "vrrp.six");
    let vipd = start(&a, &(web(150, "") + &six));
    await_state(&vipd, "master");
    eventually(SOON, "the IPv6 router", || router(&vipd, "six").unwrap()["state"] == "master")
        .unwrap();
    let mut noise = Noise(0x5eed);
    let frames = (0..4000)
        .map(|n| {
            let length = match n % 4 {
                0 => usize::try_from(noise.next() % 12).unwrap(),
                1 => 1460,
                _ => usize::try_from(noise.next() % 80).unwrap(),
            };
            let mut message = noise.bytes(length);
            // Most look like ours at first sight.
            for (at, byte) in [0x31, 51, 250].into_iter().enumerate() {
                if n % 3 != 0 && message.len() > at {
                    message[at] = byte;
                }
            }
            // One in five has the right length for its one address.
            if n % 5 == 0 {
                message = [&[0x31, 51, 250, 1][..], &noise.bytes(if n % 2 == 0 { 8 } else { 20 })]
                    .concat();
            }
            let source = if n % 2 == 0 { "10.0.0.9" } else { "fe80::9" };
            let mut whole = frame(&client, source, message);
            if n % 7 == 0 {
                // Shorter than its IP header says.
                whole.truncate(whole.len() - usize::try_from(noise.next() % 8).unwrap());
            }
            whole
        })
        .collect();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    let (_, before) = usage(&vipd);
    flood(&client, 2000, frames);
    let sent = adverts(&wire.frames(), "10.0.0.2");
    assert!(longest_gap(&sent) < machine.allows(RHYTHM), "{}", wire.transcript());
    for name in ["web", "six"] {
        let router = router(&vipd, name).unwrap();
        assert_eq!(router["state"], "master", "{router:#}");
        let counters = &router["counters"];
        assert!(counters["packet_length_errors"].as_u64() > Some(100), "{counters:#}");
        assert!(counters["checksum_errors"].as_u64() > Some(10), "{counters:#}");
        assert_eq!(counters["adv_rcvd"], 0, "{counters:#}");
    }
    let (_, after) = usage(&vipd);
    assert!(after < before + 4096, "{before} KiB before, {after} KiB after");
    assert_quiet_log(&vipd, 30);
}

/// The daemon's share of a core while strangers' routers flood it, and what it logged.
fn strangers(log_unknown: bool) -> (f64, Vipd) {
    let Site { lab, a, client, .. } = site();
    let global = if log_unknown { "[global]\nlog_unknown_vrids = true\n" } else { "" };
    let vipd = start(&a, &(global.to_owned() + &web(150, "")));
    await_state(&vipd, "master");
    let frames = (1..=255u8)
        .filter(|vrid| *vrid != 51)
        .map(|vrid| frame(&client, "10.0.0.9", v3(vrid, 200, 10)))
        .collect();
    let wire = a.capture_only("eth0", |f| f.outgoing).unwrap();
    let machine = Machine::watch();
    let (before, _) = usage(&vipd);
    let sent = flood(&client, 10_000, frames);
    let (after, _) = usage(&vipd);
    assert!(sent > 10_000, "{sent}");
    let gap = longest_gap(&adverts(&wire.frames(), "10.0.0.2"));
    assert!(gap < machine.allows(RHYTHM), "{gap:?}");
    assert_eq!(status(&vipd)["state"], "master");
    drop(lab);
    ((after - before).as_secs_f64() / FLOOD.as_secs_f64(), vipd)
}

// C118
#[test]
fn ten_thousand_foreign_adverts_a_second_cost_nothing() {
    let _turn = alone();
    let (share, vipd) = strangers(false);
    assert!(share < 0.05, "{share} of a core");
    assert_quiet_log(&vipd, 6);
}

// C118, C120
#[test]
fn ten_thousand_foreign_adverts_a_second_are_one_line_if_wanted() {
    let _turn = alone();
    let (_, vipd) = strangers(true);
    let log = vipd.log();
    assert_eq!(log.matches("which is not configured").count(), 1, "{log}");
    let status = snapshot(&vipd);
    assert!(status["unattributed"]["vrid_errors"].as_u64() > Some(5_000), "{status:#}");
}

/// Adverts the master sent during a flood of `message`, at an interval of one second.
fn answers(message: Vec<u8>, lasting: Duration) -> (usize, Vipd, Site) {
    let site = site();
    let config = web(150, "").replace("100ms", "1s");
    let vipd = start(&site.a, &config);
    await_state(&vipd, "master");
    let wire = site.lab.capture_port(&site.client, "eth0").unwrap();
    let machine = Machine::watch();
    let attack = Flood::start(&site.client, 1000, vec![frame(&site.client, "10.0.0.9", message)]);
    pass(lasting);
    attack.stop();
    let sent = adverts(&wire.frames(), "10.0.0.2");
    assert!(
        longest_gap(&sent) < machine.allows(Duration::from_millis(1_100)),
        "{}",
        wire.transcript()
    );
    (sent.len(), vipd, site)
}

// C117, C120
#[test]
fn a_flood_of_lower_priority_is_answered_ten_times_a_second() {
    let _turn = alone();
    let (sent, vipd, _site) = answers(v3(51, 1, 100), Duration::from_millis(3_300));
    // Three of its own, and an answer per 100 ms.
    assert!((10..=38).contains(&sent), "{sent}");
    let router = status(&vipd);
    assert_eq!(router["state"], "master");
    let counters = &router["counters"];
    assert!(counters["answers_limited"].as_u64() > Some(1000), "{counters:#}");
    // 13 for the takeover (five, three early repeats, five late ones), and per answer five and the
    // one owed to rivals that were heard too soon to be answered.
    let bound = 13 + 6 * counters["adv_sent"].as_u64().unwrap();
    let announced = counters["announcements_sent"].as_u64().unwrap();
    assert!(announced <= bound, "{counters:#}");
    assert!(router["hints"].to_string().contains("10.0.0.9 is master too"), "{router:#}");
    assert_quiet_log(&vipd, 10);
}

#[test]
fn a_flood_of_resignations_is_answered_ten_times_a_second() {
    let _turn = alone();
    let (sent, vipd, _site) = answers(v3(51, 0, 100), FLOOD);
    assert!((8..=26).contains(&sent), "{sent}");
    assert_eq!(status(&vipd)["state"], "master");
    assert!(counter(&vipd, "pri_zero_rcvd") > 1000);
    assert_quiet_log(&vipd, 10);
}

// C116
#[test]
fn a_stream_of_resignations_cannot_postpone_the_takeover() {
    let _turn = alone();
    let Site { lab, a, b, client } = site();
    let slow = |priority| web(priority, "").replace("100ms", "1s");
    let master = start(&a, &slow(150));
    let backup = start(&b, &slow(100));
    await_state(&master, "master");
    await_state(&backup, "backup");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    await_advert(&wire, "10.0.0.2");
    master.kill9();
    a.unplug().unwrap();
    let machine = Machine::watch();
    let started = Stamp::now();
    let attack = Flood::start(&client, 10, vec![frame(&client, "10.0.0.9", v3(51, 0, 100))]);
    let (at, _) = await_advert(&wire, "10.0.0.3");
    attack.stop();
    // Skew of priority 100: 156/256 of the master's second.
    let waited = at.since(started);
    assert!(
        waited < machine.allows(Duration::from_millis(609 + 150)),
        "{waited:?}\n{}",
        wire.transcript()
    );
    let taken = await_state(&backup, "master");
    assert!(taken["reason"].as_str().unwrap().contains("resigned"), "{taken:#}");
}

// D25
#[test]
fn a_forged_interval_of_41_seconds_is_believed_up_to_the_limit() {
    let _turn = together();
    let Site { lab, a, b, client } = site();
    let more = "max_learned_interval = \"200ms\"";
    let master = start(&a, &web(150, more));
    let backup = start(&b, &web(100, more));
    await_state(&master, "master");
    await_state(&backup, "backup");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    // The last word is the forger's, the master dying at the same moment.
    let attack = Flood::start(&client, 100, vec![frame(&client, "10.0.0.9", v3(51, 254, 4095))]);
    await_state(&master, "backup");
    master.kill9();
    a.unplug().unwrap();
    attack.stop();
    let machine = Machine::watch();
    let silent = Stamp::now();
    let (at, _) = await_advert(&wire, "10.0.0.3");
    assert!(at.since(silent) < machine.allows(Duration::from_secs(1)), "{}", wire.transcript());
    assert!(counter(&backup, "interval_clamped") > 0);
    await_address(&b, "10.0.0.100", true);
}

// C119
#[test]
fn a_forged_owner_is_obeyed_unless_none_is_expected() {
    let _turn = together();
    let Site { lab, a, client, .. } = site();
    let owner = frame(&client, "10.0.0.9", v3(51, 255, 10));
    let vipd = start(&a, &web(150, "expect_owner = false"));
    await_state(&vipd, "master");
    let attack = Flood::start(&client, 100, vec![owner.clone()]);
    eventually(SOON, "refusals", || counter(&vipd, "unexpected_owner") > 20).unwrap();
    let router = status(&vipd);
    assert_eq!(router["state"], "master", "{router:#}");
    assert!(router["hints"].to_string().contains("expect_owner"), "{router:#}");
    attack.stop();
    drop(vipd);

    let vipd = start(&a, &web(150, ""));
    await_state(&vipd, "master");
    let attack = Flood::start(&client, 100, vec![owner]);
    let backup = await_state(&vipd, "backup");
    assert!(backup["reason"].as_str().unwrap().contains("255"), "{backup:#}");
    attack.stop();
    await_state(&vipd, "master");
    assert_eq!(await_one_holder(&[&a]), 0);
    drop(lab);
}

#[test]
fn adverts_from_our_own_address_do_not_confuse_a_master() {
    let _turn = together();
    let Site { a, client, .. } = site();
    // The kernel drops them itself unless it is told to accept local sources.
    for path in ["all", "eth0"] {
        a.sysctl(&format!("net/ipv4/conf/{path}/accept_local"), "1").unwrap();
        a.sysctl(&format!("net/ipv4/conf/{path}/rp_filter"), "0").unwrap();
    }
    let vipd = start(&a, &web(150, ""));
    await_state(&vipd, "master");
    let source: Vec<_> = [150, 200, 0].map(|p| frame(&client, "10.0.0.2", v3(51, p, 10))).into();
    let attack = Flood::start(&client, 300, source);
    let router = eventually(SOON, "duplicates to be counted", || {
        let router = status(&vipd);
        let seen = router["counters"]["duplicate_source"].as_u64() > Some(50);
        if seen { Ok(router) } else { Err(router.to_string()) }
    })
    .unwrap();
    attack.stop();
    assert_eq!(router["state"], "master");
    assert_eq!(router["counters"]["adv_rcvd"], 0);
    assert!(router["hints"].to_string().contains("our own address"), "{router:#}");
    assert_quiet_log(&vipd, 8);
}

/// Many senders: the table of peers stays small, and the real master is still followed.
#[test]
fn thousands_of_forged_senders_do_not_fill_the_memory() {
    let _turn = together();
    let Site { a, b, client, .. } = site();
    let master = start(&a, &web(150, ""));
    let backup = start(&b, &web(100, ""));
    await_state(&master, "master");
    await_state(&backup, "backup");
    let (_, before) = usage(&backup);
    let frames = (0..4000u32)
        .map(|n| {
            let source = IpAddr::from([10, 200, n.to_be_bytes()[2], n.to_be_bytes()[3]]);
            frame(&client, &source.to_string(), v3(51, u8::try_from(n % 90).unwrap() + 1, 10))
        })
        .collect();
    flood(&client, 2000, frames);
    let (_, after) = usage(&backup);
    assert!(after < before + 4096, "{before} KiB before, {after} KiB after");
    for (vipd, state) in [(&master, "master"), (&backup, "backup")] {
        let router: Value = status(vipd);
        assert_eq!(router["state"], state, "{router:#}");
        assert!(router["peers"].as_array().unwrap().len() <= 32);
        assert_quiet_log(vipd, 20);
    }
    assert_eq!(await_one_holder(&[&a, &b]), 0);
}
