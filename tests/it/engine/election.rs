//! Who becomes master, when, and who lets go: cases C36 to C46, C53 to C56, C94 to C98.

use vipd::config::{Preempt, Strict};
use vipd::status::State;
use vipd::types::Dialect;

use super::bench::{Answers, Bench};
use super::setup::*;

/// What a takeover with one address looks like when the kernel obeys at once.
pub const TAKEOVER: [&str; 4] =
    ["advert 100", "hold 192.0.2.251", "BACKUP to MASTER", "announce 192.0.2.251 x5"];

// C36
#[test]
fn a_start_below_255_is_silent_and_waits_a_whole_master_down_interval() {
    let mut bench = Bench::start(config(vec![with_priority(100)]));
    bench.expect(&["open 224.0.0.18 on 2", "START to BACKUP"]);
    assert_eq!(bench.deadline(), ns(3_609_375_000));
    assert_eq!(bench.counter("adv_sent"), 0);
}

// C37
#[test]
fn an_owner_starts_as_master() {
    let mut bench = Bench::start(config(vec![router(|r| {
        r.priority = priority(255);
        r.addresses = vec![vip("192.0.2.251"), vip("192.0.2.252")];
    })]));
    let mut expected = vec![
        "open 224.0.0.18 on 2".to_owned(),
        "advert 255".to_owned(),
        "hold 192.0.2.251".to_owned(),
        "hold 192.0.2.252".to_owned(),
        "START to MASTER".to_owned(),
    ];
    for _ in 0..5 {
        expected.push("announce 192.0.2.251".to_owned());
        expected.push("announce 192.0.2.252".to_owned());
    }
    assert_eq!(bench.did(), expected);
    assert_eq!(bench.deadline(), EARLY_REPEAT);
}

// C38, W34
#[test]
fn silence_makes_a_master_advert_first_then_addresses_then_announcements() {
    let mut bench = Bench::settled(with_priority(100));
    bench.run_until(ns(3_609_374_999));
    bench.expect_nothing();
    bench.run_until(ns(3_609_375_000));
    bench.expect(&TAKEOVER);
    assert_eq!(bench.deadline(), ns(3_609_375_000) + EARLY_REPEAT);
    assert_eq!(bench.sent[0].advert.interval, centis(100));
    assert_eq!(bench.sent[0].advert.addresses, [ip(VIP)]);
}

// C38, R4: announcements wait for the kernel, however long it takes.
#[test]
fn nothing_is_announced_before_the_kernel_has_the_address() {
    let mut bench = Bench::settled(router(|r| {
        r.addresses = vec![vip("192.0.2.251"), vip("192.0.2.252")];
    }));
    bench.answers = Answers::OnDemand;
    bench.run_to_next();
    bench.expect(&["advert 100", "hold 192.0.2.251", "hold 192.0.2.252", "BACKUP to MASTER"]);
    bench.run_for(ms(900));
    bench.answer();
    bench.expect_nothing();
    bench.answer();
    assert_eq!(bench.did().len(), 10);
}

// C38: our own bytes are keepalived's (packet G4 but for the sender).
#[test]
fn the_advert_is_the_recorded_one_to_the_byte() {
    let links = vec![(link(ETH0, "eth0"), vec![address("192.0.2.1/24")])];
    let cfg = router(|r| {
        r.priority = priority(150);
        r.interval = centis(50);
    });
    let mut bench = Bench::start_with(config(vec![cfg]), links, Answers::AtOnce);
    bench.run_to_next();
    let golden = "45c0002000010000ff701899c0000201e0000012313596010032d30ac00002fb";
    let hex: String = bench.sent[0].bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, golden);
}

// C41
#[test]
fn a_backup_follows_a_higher_and_discards_a_lower_priority() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 101).at(ms(500)));
    assert_eq!(bench.deadline(), ms(500) + mdi(100, 100));
    bench.hear(&advert(LOW, 99).at(ms(1200)));
    assert_eq!(bench.deadline(), ms(500) + mdi(100, 100));
    bench.expect_nothing();
}

// C41, R10: equal counts as higher in Backup, whatever the address.
#[test]
fn a_backup_follows_an_equal_priority_from_any_address() {
    for source in [LOW, HIGH] {
        let mut bench = Bench::settled(with_priority(100));
        bench.hear(&advert(source, 100).at(ms(500)));
        assert_eq!(bench.deadline(), ms(500) + mdi(100, 100));
        bench.expect_nothing();
    }
}

// C42, R18
#[test]
fn a_master_yields_to_a_higher_priority_without_a_word() {
    let mut bench = Bench::master(with_priority(100));
    bench.stall(ms(10));
    let at = bench.elapsed();
    bench.hear(&advert(LOW, 101).every(200));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
    assert_eq!(bench.deadline(), at + mdi(200, 100));
    assert_eq!(bench.status().master_interval_ms, 2000);
    assert!(bench.held().is_empty());
}

// C43, R19, D4
#[test]
fn a_master_answers_a_lower_priority_with_one_advert() {
    let mut bench = Bench::master(with_priority(100));
    let due = bench.deadline();
    bench.hear(&advert(HIGH, 99));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
    assert_eq!(bench.deadline(), due, "the advert timer is not touched (R19)");
}

// C43: RFC 3768 and 5798 are silent, and strict mode announces nothing.
#[test]
fn a_master_told_not_to_answer_ignores_a_lower_priority() {
    let mut bench = Bench::master(router(|r| {
        r.options.answer_lower = false;
        r.announce.lower_repeat = 0;
    }));
    let due = bench.deadline();
    bench.hear(&advert(HIGH, 99));
    bench.expect_nothing();
    assert_eq!(bench.deadline(), due);
}

// C44, R17
#[test]
fn a_master_answers_a_resignation_and_restarts_its_timer() {
    let mut bench = Bench::master(with_priority(100));
    bench.stall(ms(400));
    let at = bench.elapsed();
    bench.hear(&advert(HIGH, 0));
    bench.expect(&["advert 100"]);
    assert_eq!(bench.deadline(), at + secs(1));
}

// C45, R8
#[test]
fn a_resignation_shortens_the_wait_to_the_skew_until_another_master_speaks() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(LOW, 200).at(secs(1)));
    bench.hear(&advert(LOW, 0).at(ms(1500)));
    assert_eq!(bench.deadline(), ms(1500) + ns(609_375_000));
    bench.hear(&advert(HIGH, 100).at(ms(1600)));
    assert_eq!(bench.deadline(), ms(1600) + mdi(100, 100));
    bench.expect_nothing();
}

// C45: the skew belongs to the learnt interval, which a resignation does not replace.
#[test]
fn a_resignation_teaches_no_interval() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(LOW, 200).every(200).at(secs(1)));
    bench.hear(&advert(LOW, 0).every(50).at(ms(1500)));
    assert_eq!(bench.deadline(), ms(1500) + skew(200, 100));
    assert_eq!(bench.status().master_interval_ms, 2000);
}

// C46, R3
#[test]
fn adverts_in_fault_are_counted_and_ignored() {
    let mut bench = Bench::settled(with_priority(100));
    bench.link_running(ETH0, false);
    bench.expect(&["BACKUP to FAULT"]);
    for value in [0, 50, 100, 255] {
        bench.hear(&advert(HIGH, value));
    }
    bench.expect_nothing();
    assert_eq!(bench.counter("ignored_state"), 4);
    assert_eq!(bench.counter("adv_rcvd"), 0);
    assert_eq!(bench.engine.poll_deadline(), None);
}

// C53, R12, R8
#[test]
fn without_preemption_a_living_worse_master_is_followed() {
    let mut bench = Bench::settled(router(|r| {
        r.priority = priority(200);
        r.preempt = Preempt::Never;
    }));
    for n in 1..=60 {
        bench.hear(&advert(LOW, 100).at(secs(n)));
    }
    bench.expect_nothing();
    assert_eq!(bench.deadline(), secs(60) + mdi(100, 200));
    let mut heir = Bench::settled(router(|r| {
        r.priority = priority(200);
        r.preempt = Preempt::Never;
    }));
    heir.hear(&advert(LOW, 100).at(secs(1)));
    heir.hear(&advert(LOW, 0).at(ms(1500)));
    assert_eq!(heir.deadline(), ms(1500) + skew(100, 200));
    bench.run_to_next();
    heir.run_to_next();
    assert_eq!((bench.state(), heir.state()), (State::Master, State::Master));
}

// C54, R11
#[test]
fn preemption_takes_a_master_down_interval_from_the_start() {
    let mut bench = Bench::settled(with_priority(200));
    for n in 1..=3 {
        bench.hear(&advert(LOW, 100).at(secs(n)));
    }
    assert_eq!(bench.deadline(), ns(3_218_750_000));
    bench.run_to_next();
    assert_eq!(bench.state(), State::Master);
    assert_eq!(bench.sent.len(), 1);
}

// C55, R28
#[test]
fn preempt_delay_follows_the_worse_master_while_it_runs() {
    let delayed = || {
        Bench::settled(router(|r| {
            r.priority = priority(200);
            r.preempt = Preempt::After(secs(5));
        }))
    };
    let mut bench = delayed();
    for n in 1..=8 {
        bench.hear(&advert(LOW, 100).at(secs(n)));
    }
    // Heard first at 1 s, so followed until 6 s; the last one followed came at 5 s.
    assert_eq!(bench.deadline(), secs(5) + mdi(100, 200));
    bench.run_to_next();
    bench.expect(&[
        "advert 200",
        "hold 192.0.2.251",
        "BACKUP to MASTER",
        "announce 192.0.2.251 x5",
    ]);

    let mut bench = delayed();
    bench.hear(&advert(LOW, 100).at(secs(1)));
    bench.hear(&advert(HIGH, 200).at(secs(3)));
    for n in 4..=8 {
        bench.hear(&advert(LOW, 100).at(secs(n)));
    }
    assert_eq!(bench.deadline(), secs(8) + mdi(100, 200), "a better advert cancels the delay");

    let bench = delayed();
    assert_eq!(bench.deadline(), mdi(100, 200), "a silent master costs no delay");
}

// C59, C57, R15
#[test]
fn a_stopping_master_resigns_before_it_lets_go() {
    let mut bench = Bench::master(with_priority(100));
    bench.shut_down();
    bench.expect(&["advert 0", "drop 192.0.2.251", "exit"]);
    assert_eq!(bench.counter("pri_zero_sent"), 1);
    assert_eq!(bench.engine.poll_deadline(), None);
}

// C57, R6
#[test]
fn a_stopping_backup_says_nothing() {
    let mut bench = Bench::settled(with_priority(100));
    bench.shut_down();
    bench.expect(&["exit"]);
}

// C59: the exit waits for the kernel.
#[test]
fn the_exit_waits_until_the_addresses_are_gone() {
    let mut bench = Bench::master(with_priority(100));
    bench.answers = Answers::OnDemand;
    bench.shut_down();
    bench.expect(&["advert 0", "drop 192.0.2.251"]);
    bench.refuse("Resource temporarily unavailable");
    bench.expect_nothing();
    bench.run_for(secs(1));
    bench.expect(&["drop 192.0.2.251"]);
    bench.answer();
    bench.expect(&["exit"]);
    bench.shut_down();
    bench.expect_nothing();
}

// C94, R18, R19
#[test]
fn of_two_masters_with_one_priority_the_lower_address_yields() {
    let mut bench = Bench::master(with_priority(100));
    bench.hear(&advert(LOW, 100));
    bench.expect(&["advert 100", "announce 192.0.2.251 x5"]);
    bench.hear(&advert(HIGH, 100));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

// C95, R18
#[test]
fn addresses_compare_as_unsigned_numbers() {
    for (own, theirs, yields) in [
        ("10.0.0.9/24", "10.0.0.10", true),
        ("10.0.0.10/24", "10.0.0.9", false),
        ("127.0.0.1/8", "128.0.0.1", true),
        ("128.0.0.1/8", "127.0.0.1", false),
    ] {
        let links = vec![(link(ETH0, "eth0"), vec![address(own)])];
        let config = config(vec![with_priority(100)]);
        let mut bench = Bench::start_with(config, links, Answers::AtOnce);
        bench.run_to_next();
        bench.hear(&advert(theirs, 100));
        let state = if yields { State::Backup } else { State::Master };
        assert_eq!(bench.state(), state, "{own} against {theirs}");
    }
}

// C96, R20, V3
#[test]
fn an_advert_from_our_own_address_changes_nothing() {
    let mut bench = Bench::master(with_priority(100));
    let (before, due) = (bench.snapshot(), bench.deadline());
    bench.hear(&advert(OWN, 100));
    bench.hear(&advert(OWN, 255));
    bench.expect_nothing();
    super::bench::untouched(&before, &bench.snapshot());
    assert_eq!(bench.deadline(), due);
    assert_eq!(bench.counter("duplicate_source"), 2);
    assert_eq!(bench.counters()["-own_source"], 2);
    assert_eq!(bench.logs.len(), 1);
}

// C96, R20: the configured source address need not be on the link.
#[test]
fn equal_priority_and_equal_address_stays_master() {
    let mut bench = Bench::master(router(|r| r.source = Some(ip("192.0.2.77"))));
    assert_eq!(bench.sent[0].source, ip("192.0.2.77"));
    let due = bench.deadline();
    bench.hear(&advert("192.0.2.77", 100));
    bench.expect_nothing();
    assert_eq!(bench.counter("duplicate_source"), 1);
    assert_eq!(bench.deadline(), due);
}

fn owner(strict: Option<Strict>) -> Bench {
    Bench::master(router(|r| {
        r.priority = priority(255);
        r.strict = strict;
        // What the configuration derives from RFC 5798.
        r.options.answer_lower = strict.is_none();
        r.options.owner_listens = strict.is_none();
    }))
}

// C97, R21
#[test]
fn two_owners_settle_by_address_unless_an_older_rfc_forbids_it() {
    let mut bench = owner(None);
    bench.hear(&advert(LOW, 255));
    bench.expect(&["advert 255", "announce 192.0.2.251 x5"]);
    bench.hear(&advert(HIGH, 255));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);

    let mut strict = owner(Some(Strict::Rfc5798));
    for source in [LOW, HIGH] {
        strict.hear(&advert(source, 255));
    }
    strict.expect_nothing();
    assert_eq!(strict.counter("owner_conflict"), 2);
}

// R21, V23: to the letter, an owner ignores every advert, resignations too.
#[test]
fn a_strict_owner_hears_nobody() {
    let mut bench = owner(Some(Strict::Rfc5798));
    let (before, due) = (bench.snapshot(), bench.deadline());
    for value in [0, 100, 254, 255] {
        bench.hear(&advert(HIGH, value));
    }
    bench.expect_nothing();
    super::bench::untouched(&before, &bench.snapshot());
    assert_eq!(bench.deadline(), due);
    assert_eq!(bench.counter("owner_conflict"), 4);
    assert_eq!(bench.counter("adv_rcvd"), 0);
}

#[test]
fn an_owner_told_not_to_listen_serves_whatever_it_hears() {
    let mut bench = Bench::master(router(|r| {
        r.priority = priority(255);
        r.options.owner_listens = false;
    }));
    bench.hear(&advert(HIGH, 255));
    bench.expect_nothing();
    assert_eq!((bench.state(), bench.counter("owner_conflict")), (State::Master, 1));
    // Only an owner: the same setting on another node means nothing.
    let mut other = Bench::settled(router(|r| r.options.owner_listens = false));
    other.hear(&advert(HIGH, 200));
    assert_eq!(other.counter("adv_rcvd"), 1);
}

// V23: by default a second owner is obeyed or answered, and reported either way.
#[test]
fn a_second_owner_is_counted_and_logged() {
    let mut bench = owner(None);
    bench.hear(&advert(LOW, 255));
    bench.hear(&advert(LOW, 255));
    assert_eq!(bench.counter("owner_conflict"), 2);
    let told = bench.logs.iter().filter(|(_, text)| text.contains("255")).count();
    assert!(told >= 1, "{:?}", bench.logs);
}

// C98: priority 255 without the address on the interface is an owner all the same.
#[test]
fn an_owner_that_lacks_the_address_serves() {
    let bench = owner(None);
    assert_eq!(bench.state(), State::Master);
    assert_eq!(bench.held().len(), 1);
}

// R21: the owner's own address is its source address, virtual or not.
#[test]
fn an_owner_speaks_from_the_address_it_owns() {
    let links = vec![(link(ETH0, "eth0"), vec![address("192.0.2.251/24")])];
    let owner = router(|r| {
        r.priority = priority(255);
        r.addresses = vec![vip("192.0.2.251/24")];
    });
    let mut bench = Bench::start_with(config(vec![owner]), links, Answers::AtOnce);
    assert_eq!(bench.state(), State::Master);
    assert_eq!(bench.sent[0].source, ip("192.0.2.251"));
    bench.did();
    // Below 255 a virtual address is never a source.
    bench.reload(vec![router(|r| r.addresses = vec![vip("192.0.2.251/24")])]);
    assert_eq!(bench.state(), State::Fault);
}

// C90
#[test]
fn one_vrid_serves_two_families_as_two_routers() {
    let six = router_v6(|r| r.name = "VI_6".to_owned());
    let mut bench = Bench::start(config(vec![with_priority(100), six]));
    bench.did();
    bench.hear(&advert_v6("fe80::1", 200).at(secs(1)));
    bench.run_until(secs(4));
    let states: Vec<State> = bench.snapshot().routers.iter().map(|r| r.state).collect();
    assert_eq!(states, [State::Master, State::Backup]);
    let heard: Vec<u64> = bench.snapshot().routers.iter().map(|r| r.counters.adv_rcvd).collect();
    assert_eq!(heard, [0, 1]);
    bench.hear(&advert(HIGH, 200).at(ms(4100)));
    let states: Vec<State> = bench.snapshot().routers.iter().map(|r| r.state).collect();
    assert_eq!(states, [State::Backup, State::Backup]);
}

// C91
#[test]
fn another_version_is_refused_in_both_directions() {
    for (ours, theirs) in [(V3, V2), (V2, V3)] {
        let mut bench = Bench::settled(router(|r| r.dialect = ours));
        let before = (bench.snapshot(), bench.deadline());
        bench.hear(&advert(HIGH, 255).speaking(theirs));
        bench.expect_nothing();
        super::bench::untouched(&before.0, &bench.snapshot());
        assert_eq!(bench.deadline(), before.1);
        assert_eq!(bench.counter("version_errors"), 1);
    }
}

/// Several benches on one wire that delivers after `delay`.
fn lan(priorities: &[u8], dialect: Dialect) -> Vec<Bench> {
    let start = |(n, value): (usize, &u8)| {
        let own = address(&format!("192.0.2.{}/24", n + 1));
        let cfg = router(|r| {
            r.priority = priority(*value);
            r.dialect = dialect;
        });
        let links = vec![(link(ETH0, "eth0"), vec![own])];
        let mut bench = Bench::start_with(config(vec![cfg]), links, Answers::AtOnce);
        bench.did();
        bench
    };
    priorities.iter().enumerate().map(start).collect()
}

/// Runs everybody to the next moment at which somebody is due; delivers what was sent.
fn lan_step(lan: &mut [Bench], delay: std::time::Duration) {
    let at = lan.iter().map(Bench::deadline).min().unwrap();
    let mut flights = Vec::new();
    for (n, bench) in lan.iter_mut().enumerate() {
        let sent = bench.sent.len();
        bench.run_until(at);
        flights.extend(bench.sent[sent..].iter().map(|s| (n, s.bytes.clone())));
    }
    for (from, bytes) in flights {
        for (n, bench) in lan.iter_mut().enumerate() {
            if n != from {
                bench.run_until(at + delay);
                bench.hear_bytes(ETH0, &bytes);
            }
        }
    }
}

// C39
#[test]
fn of_three_that_start_together_only_the_best_ever_speaks() {
    for dialect in [V2, V3] {
        let mut lan = lan(&[100, 150, 200], dialect);
        while lan[2].elapsed() < secs(30) {
            lan_step(&mut lan, ms(1));
        }
        let states: Vec<State> = lan.iter().map(Bench::state).collect();
        assert_eq!(states, [State::Backup, State::Backup, State::Master]);
        assert!(lan[0].sent.is_empty() && lan[1].sent.is_empty());
    }
}

// C40
#[test]
fn the_better_backup_inherits_by_its_shorter_skew() {
    let mut lan = lan(&[149, 150], V3);
    for bench in &mut lan {
        bench.hear(&advert("192.0.2.3", 200).at(secs(1)));
    }
    let delta = lan[0].deadline().checked_sub(lan[1].deadline()).unwrap();
    assert_eq!(delta, ns(3_906_250));
    while lan[1].elapsed() < secs(20) {
        lan_step(&mut lan, ms(3));
    }
    assert_eq!(lan[1].state(), State::Master);
    assert!(lan[0].sent.is_empty());
}
