//! Sync groups (R29): members that change state together.

use vipd::config::{Config, GroupConfig, Release, RouterConfig};
use vipd::io::{Command, Input, RouterId};
use vipd::status::State;
use vipd::track::outcome::{Cause, Verdict};

use super::bench::{Answers, Bench};
use super::setup::*;

const OUTSIDE: &str = "198.51.100.251";

/// VI_1 on eth0, and VI_2 with VRID 54 on eth1.
fn members() -> Vec<RouterConfig> {
    let outside = router(|r| {
        r.name = "VI_2".to_owned();
        r.iface = name("eth1");
        r.vrid = 54.try_into().unwrap();
        r.addresses = vec![vip(OUTSIDE)];
    });
    vec![with_priority(100), outside]
}

fn grouped(routers: Vec<RouterConfig>) -> Config {
    let members = routers.iter().map(RouterConfig::key).collect();
    let groups = vec![GroupConfig { name: "VG".to_owned(), members, notify: Default::default() }];
    Config { groups, ..config(routers) }
}

/// A peer's advert for VI_2.
fn outside(priority: u8) -> Heard {
    advert("198.51.100.200", priority).on(ETH1).vrid(54).listing(&[OUTSIDE])
}

fn states(bench: &Bench) -> Vec<State> {
    bench.snapshot().routers.iter().map(|router| router.state).collect()
}

fn serving() -> Bench {
    let mut bench = Bench::start(grouped(members()));
    bench.run_for(secs(10));
    assert_eq!(states(&bench), [State::Master; 2]);
    bench.did();
    bench.logs.clear();
    bench
}

#[test]
fn nobody_becomes_master_before_all_can() {
    let mut slow = members();
    slow[1].priority = priority(50);
    let mut bench = Bench::start(grouped(slow));
    bench.did();
    bench.run_until(mdi(100, 100) + ms(1));
    assert_eq!(states(&bench), [State::Backup; 2]);
    bench.expect_nothing();
    let hints = bench.status().hints.texts();
    assert!(hints.iter().any(|hint| hint.contains("another member of the group")), "{hints:?}");
    // A packet that changes nothing does not wake it up for good.
    bench.hear(&advert(LOW, 1));
    bench.tick();
    bench.logs.clear();
    bench.run_until(mdi(100, 50));
    assert_eq!(states(&bench), [State::Master; 2]);
    assert_eq!(
        bench.did(),
        [
            "advert 100 for 53",
            "hold 192.0.2.251",
            "VI_1: BACKUP to MASTER",
            "advert 50 for 54",
            "hold 198.51.100.251 on eth1",
            "VI_2: BACKUP to MASTER",
            "announce 192.0.2.251 x5",
            "announce 198.51.100.251 x5",
        ]
    );
    let lines: Vec<&str> = bench.logs.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines.contains(&"VRRP_Group(VG) Syncing instances to MASTER state"), "{lines:?}");
}

#[test]
fn a_member_that_hears_a_better_master_takes_the_others_along_without_a_resignation() {
    for release in [Release::Now, Release::AfterSuccessor] {
        let mut routers = members();
        routers.iter_mut().for_each(|r| r.options.release = release);
        let mut bench = Bench::start(grouped(routers));
        bench.run_for(secs(10));
        bench.did();
        for _ in 0..2 {
            bench.hear(&outside(200));
            bench.run_for(ms(900));
        }
        assert_eq!(states(&bench), [State::Backup; 2], "{release:?}");
        let did = bench.did();
        assert!(!did.iter().any(|d| d.starts_with("advert")), "{did:?}");
        assert!(bench.held().is_empty());
        // As long as that one lives, the other stays a backup, alone on its wire.
        for _ in 0..20 {
            bench.hear(&outside(200));
            bench.run_for(ms(900));
        }
        assert_eq!(states(&bench), [State::Backup; 2]);
        bench.run_for(secs(5));
        assert_eq!(states(&bench), [State::Master; 2], "when it is gone, both at once");
    }
}

#[test]
fn a_member_that_cannot_serve_keeps_the_others_from_serving() {
    let mut bench = serving();
    bench.link_running(ETH1, false);
    assert_eq!(states(&bench), [State::Fault; 2]);
    let did = bench.did();
    assert!(did.contains(&"advert 0 for 53".to_owned()), "the peer follows at once: {did:?}");
    assert_eq!(
        bench.status().faults.texts(),
        ["VI_2 of group VG: interface eth1 is down or has no carrier"]
    );
    bench.link_running(ETH0, false);
    bench.link_running(ETH1, true);
    assert_eq!(states(&bench), [State::Fault; 2]);
    bench.link_running(ETH0, true);
    assert_eq!(states(&bench), [State::Backup; 2]);
    bench.run_for(secs(4));
    assert_eq!(states(&bench), [State::Master; 2]);
}

#[test]
fn a_tracker_of_one_member_stops_all() {
    let mut routers = members();
    routers[1].track = vec![tracks("chk", 0)];
    let members = routers.iter().map(RouterConfig::key).collect();
    let groups = vec![GroupConfig { name: "VG".to_owned(), members, notify: Default::default() }];
    let config = config_with(routers, vec![script("chk", |r| r.timeout = secs(10))]);
    let mut bench = Bench::start(Config { groups, ..config });
    bench.run_for(secs(5));
    assert_eq!(states(&bench), [State::Backup; 2], "the check has not answered yet");
    bench.answers("chk", Verdict::Passed);
    bench.run_for(ms(1));
    assert_eq!(states(&bench), [State::Master; 2]);
    bench.answers_when_due("chk", Verdict::Failed(Cause::Exit(1)));
    assert_eq!(states(&bench), [State::Fault; 2]);
}

#[test]
fn drain_and_handover_of_one_hold_for_all() {
    let mut bench = serving();
    bench.feed(Input::Command(Command::ForceDrain(Some(RouterId(1)))));
    bench.run_for(secs(2));
    let drained: Vec<bool> = bench.snapshot().routers.iter().map(|r| r.drained).collect();
    assert_eq!((states(&bench), drained), (vec![State::Fault; 2], vec![true; 2]));
    bench.feed(Input::Command(Command::Resume(Some(RouterId(0)))));
    bench.run_for(secs(4));
    assert_eq!(states(&bench), [State::Master; 2]);
    bench.feed(Input::Command(Command::Handover(Some(RouterId(0)))));
    assert_eq!(states(&bench), [State::Leaving; 2]);
    // One of them has a successor: the other one does not serve on alone.
    bench.hear(&advert(LOW, 50));
    bench.run_for(secs(2));
    assert_eq!(states(&bench), [State::Backup; 2]);
}

// Without a successor all of them serve on, whoever's time ends first.
#[test]
fn a_group_that_nobody_takes_over_serves_on() {
    for command in [Command::Drain(Some(RouterId(1))), Command::Handover(None)] {
        let mut bench = serving();
        bench.feed(Input::Command(command));
        assert_eq!(states(&bench), [State::Leaving; 2]);
        bench.run_for(secs(2));
        assert_eq!(states(&bench), [State::Master; 2]);
        assert!(bench.snapshot().routers.iter().all(|router| !router.drained));
    }
}

#[test]
fn a_member_added_to_a_serving_group_joins_it() {
    let mut bench = Bench::start(grouped(vec![with_priority(100)]));
    bench.run_for(secs(5));
    bench.did();
    bench.answers = Answers::OnDemand;
    bench.reload_all(grouped(members()));
    assert_eq!(states(&bench), [State::Master, State::Fault], "its socket is being opened");
    bench.answer_all();
    bench.answers = Answers::AtOnce;
    assert_eq!(states(&bench), [State::Master, State::Backup]);
    bench.run_for(secs(5));
    assert_eq!(states(&bench), [State::Master; 2]);
    let did = bench.did();
    assert!(!did.iter().any(|d| d.starts_with("VI_1:") || d.contains("advert 0")), "{did:?}");
}

// As keepalived, which only finds it odd: generators write such groups, and their scripts count.
#[test]
fn a_group_of_one_is_told_of() {
    let mut bench = Bench::start(grouped(vec![with_priority(100)]));
    bench.run_for(secs(5));
    assert_eq!(states(&bench), [State::Master]);
    let group = |notice: &&vipd::io::Notification| notice.kind == vipd::io::Kind::Group;
    let told: Vec<_> = bench.told.iter().filter(group).map(|notice| notice.event).collect();
    let entered = |from, to| vipd::io::NotifyEvent::Entered { from, to };
    let path = [entered(None, State::Backup), entered(Some(State::Backup), State::Master)];
    assert_eq!(told, path);
}

#[test]
fn a_reload_that_ends_the_group_lets_who_waits_go_on() {
    let mut bench = Bench::start(grouped(members()));
    for _ in 0..8 {
        bench.hear(&outside(200));
        bench.run_for(ms(900));
    }
    assert_eq!(states(&bench), [State::Backup; 2]);
    bench.reload_all(config(members()));
    bench.run_for(ms(1));
    assert_eq!(states(&bench), [State::Master, State::Backup]);
    // And one that makes them a group again brings them in step.
    bench.reload_all(grouped(members()));
    bench.hear(&outside(200));
    bench.run_for(secs(1));
    assert_eq!(states(&bench), [State::Backup; 2]);
}
