//! What those who follow a router are told, and when.

use vipd::config::{Config, GroupConfig, Release, RouterConfig};
use vipd::io::NotifyEvent;
use vipd::status::State;

use super::bench::{Answers, Bench};
use super::setup::*;

fn events(bench: &mut Bench) -> Vec<(String, NotifyEvent, u8)> {
    bench.told.drain(..).map(|n| (n.name, n.event, n.priority)).collect()
}

fn told(name: &str, event: NotifyEvent, priority: u8) -> (String, NotifyEvent, u8) {
    (name.to_owned(), event, priority)
}

const STARTED: NotifyEvent = NotifyEvent::Entered { from: None, to: State::Backup };

#[test]
fn every_change_of_state_is_told_with_where_it_came_from_and_why() {
    let mut bench = Bench::start(config(vec![with_priority(100)]));
    bench.run_for(secs(20));
    bench.hear(&advert(HIGH, 200));
    let told: Vec<_> = bench.told.drain(..).collect();
    let reasons: Vec<&str> = told.iter().map(|n| n.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["started", "no master heard for 3.61 s", "192.0.2.200 has priority 200, ours is 100"]
    );
    let events: Vec<NotifyEvent> = told.iter().map(|n| n.event).collect();
    let master = NotifyEvent::Entered { from: Some(State::Backup), to: State::Master };
    let backup = NotifyEvent::Entered { from: Some(State::Master), to: State::Backup };
    assert_eq!(events, [STARTED, master, backup]);
}

#[test]
fn priorities_are_told_with_the_new_value() {
    let mut bench = Bench::master(with_priority(100));
    events(&mut bench);
    bench.track(-30, false);
    bench.track(-30, false);
    let changed = NotifyEvent::PriorityChanged { master: true };
    assert_eq!(events(&mut bench), [told("VI_1", changed, 70)]);
    bench.hear(&advert(HIGH, 200));
    bench.run_for(secs(1));
    events(&mut bench);
    bench.track(0, false);
    let changed = NotifyEvent::PriorityChanged { master: false };
    assert_eq!(events(&mut bench), [told("VI_1", changed, 100)]);
}

/// keepalived tells of each; but a stream of them must not become a stream of scripts.
#[test]
fn lower_priorities_are_told_twice_a_second_at_most() {
    let mut bench = Bench::master(with_priority(100));
    events(&mut bench);
    for _ in 0..100 {
        bench.hear(&advert(LOW, 50));
        bench.run_for(ms(20));
    }
    let told = events(&mut bench);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|(_, event, _)| *event == NotifyEvent::LowerPriorityHeard));
}

#[test]
fn a_router_that_does_not_answer_lower_priorities_is_told_of_them_all_the_same() {
    let mut bench = Bench::master(router(|r| r.options.answer_lower = false));
    events(&mut bench);
    bench.hear(&advert(LOW, 50));
    assert_eq!(events(&mut bench), [told("VI_1", NotifyEvent::LowerPriorityHeard, 100)]);
}

#[test]
fn a_removed_router_is_told_of_once_its_addresses_are_gone() {
    let mut bench = Bench::master(router(|r| r.options.release = Release::AfterSuccessor));
    events(&mut bench);
    bench.answers = Answers::OnDemand;
    bench.reload(vec![]);
    assert_eq!(events(&mut bench), [], "it still answers for its address");
    bench.run_for(secs(2));
    assert_eq!(events(&mut bench), [], "the kernel still has its address");
    bench.answer_all();
    assert_eq!(events(&mut bench), [told("VI_1", NotifyEvent::Deleted, 100)]);

    let mut backup = Bench::settled(with_priority(100));
    events(&mut backup);
    backup.reload(vec![]);
    assert_eq!(events(&mut backup), [told("VI_1", NotifyEvent::Deleted, 100)]);
}

#[test]
fn the_stop_is_told_of_every_router_once_all_addresses_are_gone() {
    let other = router(|r| {
        r.name = "VI_2".to_owned();
        r.vrid = 54.try_into().unwrap();
        r.addresses = vec![vip("192.0.2.252")];
        r.priority = priority(90);
    });
    let mut bench = Bench::start(config(vec![with_priority(100), other]));
    bench.run_for(secs(20));
    events(&mut bench);
    bench.answers = Answers::OnDemand;
    bench.shut_down();
    assert_eq!(events(&mut bench), []);
    bench.answer_all();
    let stopped = |name, priority| told(name, NotifyEvent::Stopped, priority);
    assert_eq!(events(&mut bench), [stopped("VI_1", 100), stopped("VI_2", 90)]);
    let did = bench.did();
    assert_eq!(did.last().map(String::as_str), Some("exit"));
}

#[test]
fn a_reload_tells_nothing_of_routers_that_stay() {
    let mut bench = Bench::master(with_priority(100));
    events(&mut bench);
    bench.reload(vec![router(|r| r.interval = centis(50))]);
    assert_eq!(events(&mut bench), []);
}

// keepalived tells of a group when all of its members are there.
#[test]
fn a_group_is_told_of_once_its_members_agree() {
    let second = router(|r| {
        r.name = "VI_2".to_owned();
        r.vrid = 54.try_into().unwrap();
        r.addresses = vec![vip("192.0.2.252")];
    });
    let routers = vec![with_priority(100), second];
    let members = routers.iter().map(RouterConfig::key).collect();
    let group = GroupConfig { name: "VG".to_owned(), members, notify: Default::default() };
    let mut bench = Bench::start(Config { groups: vec![group], ..config(routers) });
    bench.run_for(secs(20));
    bench.link_running(ETH0, false);
    bench.link_running(ETH0, true);
    bench.shut_down();
    let told: Vec<String> = bench
        .told
        .iter()
        .map(|n| match n.event {
            NotifyEvent::Entered { to, .. } => format!("{} {to} {}", n.name, n.priority),
            event => format!("{} {event:?}", n.name),
        })
        .collect();
    let mut expected = Vec::new();
    for (state, order) in [
        ("BACKUP", ["VI_1", "VI_2"]),
        ("MASTER", ["VI_1", "VI_2"]),
        ("FAULT", ["VI_1", "VI_2"]),
        ("BACKUP", ["VI_2", "VI_1"]),
    ] {
        expected.extend(order.map(|name| format!("{name} {state} 100")));
        expected.push(format!("VG {state} 0"));
    }
    expected.extend(["VI_1", "VI_2", "VG"].map(|name| format!("{name} Stopped")));
    assert_eq!(told, expected);
}
