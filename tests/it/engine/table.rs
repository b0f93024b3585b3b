//! The whole state machine as one table: every state against every event, with the next state, what
//! is done and when the next deadline is. Every cell also says that nothing else happens.

use std::time::Duration;

use super::bench::Bench;
use super::setup::*;

/// Next state, actions, deadline.
type Cell = (&'static str, &'static str, &'static str);

/// A router with priority 100 at 192.0.2.101. Fault: a tracker fails. Backup: follows a master of
/// priority 150 heard one second ago. Master: its last advert went out 300 ms ago.
///
/// Deadlines: `kept`, `none`, or counted from the event: `mdi` (3609.375 ms), `skew` (609.375 ms),
/// `ai` (1 s), `new ai` (0.5 s), `kept+skews` (shifted by the difference of the skews).
const TABLE: &[(&str, [Cell; 3])] = &[
    // event                      next state, actions, deadline: in Fault, Backup, Master
    ("resigned", [("FAULT", "", "none"), ("BACKUP", "", "skew"), ("MASTER", "advert 100", "ai")]),
    (
        "lower",
        [
            ("FAULT", "", "none"),
            ("BACKUP", "", "kept"),
            ("MASTER", "advert 100, announce 192.0.2.251 x5", "kept"),
        ],
    ),
    (
        "equal, lower address",
        [
            ("FAULT", "", "none"),
            ("BACKUP", "", "mdi"),
            ("MASTER", "advert 100, announce 192.0.2.251 x5", "kept"),
        ],
    ),
    (
        "equal, same address",
        [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")],
    ),
    (
        "equal, higher address",
        [
            ("FAULT", "", "none"),
            ("BACKUP", "", "mdi"),
            ("BACKUP", "drop 192.0.2.251, MASTER to BACKUP", "mdi"),
        ],
    ),
    (
        "higher",
        [
            ("FAULT", "", "none"),
            ("BACKUP", "", "mdi"),
            ("BACKUP", "drop 192.0.2.251, MASTER to BACKUP", "mdi"),
        ],
    ),
    (
        "timer",
        [
            ("FAULT", "", "none"),
            (
                "MASTER",
                "advert 100, hold 192.0.2.251, BACKUP to MASTER, announce 192.0.2.251 x5",
                "repeat",
            ),
            ("MASTER", "advert 100", "ai"),
        ],
    ),
    ("early timer", [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")]),
    (
        "link down",
        [
            ("FAULT", "", "none"),
            ("FAULT", "BACKUP to FAULT", "none"),
            ("FAULT", "drop 192.0.2.251, MASTER to FAULT", "none"),
        ],
    ),
    (
        "tracker fails",
        [
            ("FAULT", "", "none"),
            ("FAULT", "BACKUP to FAULT", "none"),
            ("FAULT", "advert 0, drop 192.0.2.251, MASTER to FAULT", "none"),
        ],
    ),
    (
        "tracker recovers",
        [("BACKUP", "FAULT to BACKUP", "mdi"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")],
    ),
    (
        "shutdown",
        [
            ("FAULT", "exit", "none"),
            ("FAULT", "exit", "none"),
            ("FAULT", "advert 0, drop 192.0.2.251, exit", "none"),
        ],
    ),
    (
        "priority 100 to 40",
        [("FAULT", "", "none"), ("BACKUP", "", "kept+skews"), ("MASTER", "advert 40", "kept")],
    ),
    (
        "priority 100 to 160",
        [("FAULT", "", "none"), ("BACKUP", "", "kept+skews"), ("MASTER", "", "kept")],
    ),
    (
        "address vanished",
        [
            ("FAULT", "", "none"),
            ("BACKUP", "", "kept"),
            ("MASTER", "hold 192.0.2.251, announce 192.0.2.251 x5", "repeat"),
        ],
    ),
    ("suspended 1 h", [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "ai")]),
    (
        "stalled 10 s",
        [
            ("FAULT", "", "none"),
            (
                "MASTER",
                "advert 100, hold 192.0.2.251, BACKUP to MASTER, announce 192.0.2.251 x5",
                "repeat",
            ),
            ("MASTER", "advert 100", "ai"),
        ],
    ),
    ("reload same", [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")]),
    (
        "reload interval 50",
        [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "advert 100", "new ai")],
    ),
    (
        "reload other address",
        [
            ("FAULT", "", "none"),
            ("BACKUP", "", "kept"),
            (
                "MASTER",
                "drop 192.0.2.251, hold 192.0.2.252, advert 100, announce 192.0.2.252 x5",
                "repeat",
            ),
        ],
    ),
    ("malformed", [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")]),
    ("truncated", [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")]),
    ("for another router", [("FAULT", "", "none"), ("BACKUP", "", "kept"), ("MASTER", "", "kept")]),
];

const STATES: [&str; 3] = ["FAULT", "BACKUP", "MASTER"];

fn bench_in(state: &str) -> Bench {
    let mut bench = match state {
        "FAULT" => {
            let mut bench = Bench::settled(with_priority(100));
            bench.track(0, true);
            bench
        }
        "BACKUP" => {
            let mut bench = Bench::settled(with_priority(100));
            bench.hear(&advert(HIGH, 150).at(secs(5)));
            bench.run_for(secs(1));
            bench
        }
        _ => {
            let mut bench = Bench::master(with_priority(100));
            bench.run_for(ms(300));
            bench
        }
    };
    bench.did();
    assert_eq!(bench.state().to_string(), state);
    bench
}

fn happen(bench: &mut Bench, event: &str) {
    let failed = bench.state().to_string() == "FAULT";
    match event {
        "resigned" => bench.hear(&advert(HIGH, 0)),
        "lower" => bench.hear(&advert(HIGH, 99)),
        "equal, lower address" => bench.hear(&advert(LOW, 100)),
        "equal, same address" => bench.hear(&advert(OWN, 100)),
        "equal, higher address" => bench.hear(&advert(HIGH, 100)),
        "higher" => bench.hear(&advert(LOW, 101)),
        "timer" if failed => bench.tick(),
        "timer" => bench.run_to_next(),
        "early timer" => bench.tick(),
        "link down" => bench.link_running(ETH0, false),
        "tracker fails" => bench.track(0, true),
        "tracker recovers" => bench.track(0, false),
        "shutdown" => bench.shut_down(),
        "priority 100 to 40" => bench.track(-60, failed),
        "priority 100 to 160" => bench.track(60, failed),
        "address vanished" => bench.address_removed(ETH0, "192.0.2.251/32"),
        "suspended 1 h" => bench.suspend(secs(3600)),
        "stalled 10 s" => {
            bench.stall(secs(10));
            bench.tick();
        }
        "reload same" => bench.reload(vec![with_priority(100)]),
        "reload interval 50" => bench.reload(vec![router(|r| r.interval = centis(50))]),
        "reload other address" => {
            bench.reload(vec![router(|r| r.addresses = vec![vip("192.0.2.252")])]);
        }
        "malformed" => bench.hear(&advert(HIGH, 255).damaged(|m| m[6] ^= 1)),
        "truncated" => bench.feed(vipd::io::Input::Packet {
            iface: ETH0,
            datagram: vipd::io::Datagram::Truncated(vipd::types::Family::Ipv4),
        }),
        "for another router" => bench.hear(&advert(HIGH, 255).vrid(54)),
        other => panic!("no such event: {other}"),
    }
}

fn expected_deadline(
    word: &str,
    before: Option<Duration>,
    at: Duration,
    event: &str,
) -> Option<Duration> {
    Some(match word {
        "none" => return None,
        "kept" => before.unwrap(),
        "mdi" => at + ns(3_609_375_000),
        "skew" => at + ns(609_375_000),
        "ai" => at + secs(1),
        "new ai" => at + ms(500),
        "repeat" => at + EARLY_REPEAT,
        "kept+skews" => {
            let new = if event.ends_with("40") { 40 } else { 160 };
            before.unwrap() + skew(100, new) - skew(100, 100)
        }
        other => panic!("no such deadline: {other}"),
    })
}

#[test]
fn every_state_against_every_event() {
    for (event, cells) in TABLE {
        for (from, (to, actions, deadline)) in STATES.into_iter().zip(cells) {
            let place = format!("{from}, {event}");
            let mut bench = bench_in(from);
            let due = |b: &Bench| b.engine.poll_deadline().map(|at| at.since(T0));
            let before = due(&bench);
            happen(&mut bench, event);
            assert_eq!(bench.did().join(", "), *actions, "{place}: actions");
            assert_eq!(bench.state().to_string(), *to, "{place}: next state");
            let at = bench.elapsed();
            assert_eq!(
                due(&bench),
                expected_deadline(deadline, before, at, event),
                "{place}: deadline"
            );
            // A spurious tick adds nothing anywhere.
            bench.tick();
            assert_eq!(bench.did().join(", "), "", "{place}: a spurious tick");
        }
    }
}

/// Whatever happens to a master, its peers hear of the end at most once.
#[test]
fn a_reign_ends_with_at_most_one_resignation() {
    for (event, _) in TABLE {
        let mut bench = bench_in("MASTER");
        happen(&mut bench, event);
        bench.track(0, true);
        bench.link_running(ETH0, false);
        bench.shut_down();
        let resignations = bench.sent.iter().filter(|s| s.advert.claim.wire_value() == 0).count();
        assert!(resignations <= 1, "{event}: {resignations} resignations");
        assert!(bench.held().is_empty(), "{event}: {:?}", bench.held());
    }
}
