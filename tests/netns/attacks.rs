//! Ten seconds of each attack at an interval of one second, the default: a master keeps its rhythm
//! and answers in moderation, its backup stays one, and status says what is going on (C115 to C118,
//! C120, D25).

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use vipd::lab::deadline::eventually;
use vipd::lab::{Node, Stamp, Vipd};

use crate::SOON;
use crate::common::{
    Machine, Site, adverts, await_advert, await_state, longest_gap, pass, site, snapshot, start,
    status, web,
};
use crate::hostile::{Flood, assert_quiet_log, frame_with_ttl, usage, v3};
use crate::turns::{alone, each, together};

const LASTING: Duration = Duration::from_secs(10);

/// What the adverts of a master may be apart.
const RHYTHM: Duration = Duration::from_millis(1_050);

/// Its own ten, and at most ten answers a second.
const MOST_ADVERTS: usize = 10 + 10 * 10 + 1;

struct Attack {
    name: &'static str,
    per_second: u32,
    messages: fn() -> Vec<Vec<u8>>,
    /// TTL of the packets.
    ttl: u8,
    /// What the status of both nodes must count, and at least how often.
    counter: (&'static str, u64),
    /// What the master's status must say about it; unknown ids are not its own.
    told: &'static str,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A better router's advert, changed.
fn spoilt(change: fn(&mut Vec<u8>)) -> Vec<Vec<u8>> {
    let mut message = v3(51, 200, 100);
    change(&mut message);
    vec![message]
}

const ATTACKS: [Attack; 8] = [
    Attack {
        name: "a trickle of wrong checksums",
        per_second: 3,
        messages: || spoilt(|m| m[6] ^= 1),
        ttl: 255,
        counter: ("checksum_errors", 20),
        told: "checksum",
    },
    Attack {
        name: "a trickle that is too short",
        per_second: 3,
        messages: || spoilt(|m| m.truncate(7)),
        ttl: 255,
        counter: ("packet_length_errors", 20),
        told: "10.0.0.9 speaks for VRID 51 too",
    },
    Attack {
        name: "a trickle of another version",
        per_second: 3,
        messages: || spoilt(|m| m[0] = 0x41),
        ttl: 255,
        counter: ("version_errors", 20),
        told: "set the same `version`",
    },
    Attack {
        name: "a trickle from behind a router",
        per_second: 3,
        messages: || spoilt(|_| ()),
        ttl: 254,
        counter: ("ip_ttl_errors", 20),
        told: "find the router or tunnel",
    },
    Attack {
        name: "a stream of better routers that advertise every 0 s",
        per_second: 100,
        messages: || vec![v3(51, 200, 0)],
        ttl: 255,
        counter: ("interval_errors", 800),
        told: "set the same `advert_int`",
    },
    Attack {
        name: "a flood of lower priorities",
        per_second: 1000,
        messages: || vec![v3(51, 1, 100)],
        ttl: 255,
        counter: ("adv_rcvd", 8_000),
        told: "10.0.0.9 is master too",
    },
    Attack {
        name: "a flood of unknown ids",
        per_second: 10_000,
        messages: || (1..=255).filter(|id| *id != 51).map(|id| v3(id, 200, 100)).collect(),
        ttl: 255,
        counter: ("vrid_errors", 20_000),
        told: "",
    },
    Attack {
        name: "a stream of resignations",
        per_second: 100,
        messages: || vec![v3(51, 0, 100)],
        ttl: 255,
        counter: ("pri_zero_rcvd", 800),
        told: "\"address\":\"10.0.0.9\"",
    },
];

/// A router with an interval of one second.
fn slow(priority: u8) -> String {
    "[global]\nlog_unknown_vrids = true\n".to_owned() + &web(priority, "").replace("100ms", "1s")
}

/// A master and a backup that knows it.
fn pair(site: &Site) -> [Vipd; 2] {
    let master = start(&site.a, &slow(150));
    await_state(&master, "master");
    let backup = start(&site.b, &slow(100));
    eventually(SOON, "the backup to follow", || {
        let router = status(&backup);
        if router["master"]["address"] == "10.0.0.2" { Ok(()) } else { Err(router.to_string()) }
    })
    .unwrap();
    [master, backup]
}

fn begin(attack: &Attack, from: &Node) -> Flood {
    let frames =
        (attack.messages)().into_iter().map(|m| frame_with_ttl(from, "10.0.0.9", attack.ttl, m));
    Flood::start(from, attack.per_second, frames.collect())
}

#[test]
fn ten_seconds_of_any_attack_move_neither_the_master_nor_its_backup() {
    let _turn = alone();
    each(ATTACKS, |attack| {
        let site = site();
        let nodes = pair(&site);
        let wire = site.a.capture_only("eth0", |f| f.outgoing).unwrap();
        await_advert(&wire, "10.0.0.2");
        let memory = nodes.each_ref().map(|vipd| usage(vipd).1);
        let machine = Machine::watch();
        let flood = begin(attack, &site.client);
        pass(LASTING);

        let sent = adverts(&wire.frames(), "10.0.0.2");
        assert!(longest_gap(&sent) <= machine.allows(RHYTHM), "{}", wire.transcript());
        assert!((10..=MOST_ADVERTS).contains(&sent.len()), "{} adverts", sent.len());
        for ((vipd, state), before) in nodes.iter().zip(["master", "backup"]).zip(memory) {
            let whole = snapshot(vipd);
            let router = &whole["routers"][0];
            assert_eq!(router["state"], state, "{router:#}");
            let (counter, least) = attack.counter;
            let count = |of: &Value| of[counter].as_u64().unwrap_or_default();
            let counted = count(&router["counters"]) + count(&whole["unattributed"]);
            assert!(counted >= least, "{counter}: {counted}\n{whole:#}");
            let after = usage(vipd).1;
            assert!(after < before + 4096, "{before} KiB before, {after} KiB after");
            assert_quiet_log(vipd, 12);
        }
        let [master, backup] = &nodes;
        let page = status(master).to_string();
        assert!(page.contains(attack.told), "{page}");
        assert_eq!(status(backup)["counters"]["adv_sent"], 0);

        if attack.name == "a stream of resignations" {
            // It cannot push the backup's deadline away either (C116): 156/256 s.
            master.kill9();
            site.a.unplug().unwrap();
            let silent = Stamp::now();
            let (at, _) = await_advert(&site.b.capture("eth0").unwrap(), "10.0.0.3");
            let skew = Duration::from_millis(609);
            assert!(at.since(silent) <= machine.allows(skew), "{:?}", at.since(silent));
        }
        flood.stop();
    });
}

// D25: three intervals of a learnt interval of at most 3 s, and the skew.
#[test]
fn one_forged_interval_of_41_seconds_delays_a_takeover_by_at_most_11_seconds() {
    let _turn = together();
    let site = site();
    let [master, backup] = pair(&site);
    let wire = site.b.capture_only("eth0", |f| f.outgoing).unwrap();
    let machine = Machine::watch();
    let forged = frame_with_ttl(&site.client, "10.0.0.9", 255, v3(51, 254, 4095));
    let silent = Stamp::now();
    master.kill9();
    site.a.unplug().unwrap();
    // After the last advert of the master, which yields to it.
    site.client.send_frame("eth0", &forged).unwrap();
    let told = eventually(SOON, "the backup to follow the forger", || {
        let router = status(&backup);
        if router["master"]["address"] == "10.0.0.9" { Ok(router) } else { Err(router) }
    })
    .map_err(|e| e.to_string())
    .unwrap();
    assert_eq!(told["counters"]["interval_clamped"], 1, "{told:#}");
    let within = Duration::from_secs(11);
    eventually(within + SOON, "a takeover", || !adverts(&wire.frames(), "10.0.0.3").is_empty())
        .unwrap();
    let (at, _) = adverts(&wire.frames(), "10.0.0.3")[0];
    assert!(at.since(silent) <= machine.allows(within), "{:?}", at.since(silent));
    assert!(backup.log().contains("10.0.0.9 advertises every 40.95 s"), "{}", backup.log());
}
