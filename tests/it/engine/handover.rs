//! Make before break: each address answers until its successor announces it, and no longer.

use vipd::config::Release;
use vipd::io::{Command, Input, RouterId};
use vipd::status::{State, StateReason};
use vipd::types::Mac;

use super::bench::Bench;
use super::setup::*;

const SUCCESSOR: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn master() -> Bench {
    Bench::master(router(|r| {
        r.priority = priority(100);
        r.options.release = Release::AfterSuccessor;
    }))
}

fn announced(bench: &mut Bench) {
    bench.feed(Input::Announced { iface: ETH0, vip: ip(VIP), mac: SUCCESSOR });
}

#[test]
fn an_address_goes_when_the_successor_announces_it() {
    let mut bench = master();
    bench.hear(&advert(HIGH, 200));
    assert_eq!(bench.state(), State::Leaving);
    bench.expect_nothing();
    announced(&mut bench);
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

#[test]
fn without_an_announcement_it_goes_100_ms_after_the_successors_advert() {
    let mut bench = master();
    bench.hear(&advert(HIGH, 200));
    bench.run_for(ms(99));
    bench.expect_nothing();
    bench.run_for(ms(1));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

// Both wait in their sockets when the loop wakes up, and no order holds between two sockets.
#[test]
fn an_announcement_read_before_the_advert_counts() {
    let mut bench = master();
    announced(&mut bench);
    assert_eq!(bench.state(), State::Master, "an announcement alone proves nothing");
    bench.expect_nothing();
    bench.hear(&advert(HIGH, 200));
    bench.expect(&["drop 192.0.2.251", "MASTER to BACKUP"]);
}

#[test]
fn a_stop_resigns_at_once_and_lets_go_with_the_announcement() {
    let mut bench = master();
    bench.shut_down();
    bench.expect(&["advert 0"]);
    announced(&mut bench);
    bench.expect(&["drop 192.0.2.251", "exit"]);
}

// `vipd upgrade` after `vipd handover`: the new binary knows what the old one was told.
#[test]
fn a_router_handed_over_before_an_upgrade_stays_a_backup() {
    let mut bench = Bench::settled(with_priority(150));
    bench.feed(Input::Command(Command::StayHandedOver(RouterId(0))));
    assert_eq!(bench.engine.handed_over().collect::<Vec<_>>(), ["VI_1"]);
    for _ in 0..10 {
        bench.hear(&advert(LOW, 100));
        bench.run_for(secs(1));
    }
    assert_eq!(bench.state(), State::Backup);
    bench.run_for(secs(3));
    assert_eq!(bench.state(), State::Master, "the successor is dead");
    assert_eq!(bench.engine.handed_over().count(), 0);
}

// An address that is nowhere helps nobody: the operator is told, and must insist.
#[test]
fn a_drain_or_handover_that_nobody_follows_gives_the_address_back_at_once() {
    for release in [Release::AfterSuccessor, Release::Now] {
        for command in [Command::Drain(None), Command::Handover(None)] {
            let mut bench = Bench::master(router(|r| {
                r.priority = priority(100);
                r.options.release = release;
            }));
            bench.told.clear();
            bench.feed(Input::Command(command.clone()));
            assert_eq!(bench.state(), State::Leaving, "{release:?} {command:?}");
            bench.run_for(ms(1100));
            assert_eq!((bench.state(), bench.status().drained), (State::Master, false));
            assert!(bench.held().contains(VIP), "{command:?}");
            assert!(bench.did().contains(&"advert 100".to_owned()));
            assert!(bench.told.is_empty(), "nobody was told of an end: {:?}", bench.told);
            assert!(bench.status().transitions[0].reason.contains("nobody took over"));
        }
        let mut bench = master();
        bench.feed(Input::Command(Command::ForceDrain(None)));
        bench.run_for(ms(1100));
        assert_eq!((bench.state(), bench.status().drained), (State::Fault, true));
        assert!(bench.held().is_empty());
    }
}

#[test]
fn a_drain_that_somebody_follows_holds() {
    let mut bench = master();
    bench.feed(Input::Command(Command::Drain(None)));
    bench.run_for(ms(300));
    bench.hear(&advert(LOW, 50));
    bench.run_for(secs(5));
    assert_eq!((bench.state(), bench.status().drained), (State::Fault, true));
    // By its announcement alone.
    let mut bench = master();
    bench.feed(Input::Command(Command::Drain(None)));
    announced(&mut bench);
    assert_eq!((bench.state(), bench.status().drained), (State::Fault, true));
}

#[test]
fn who_is_resumed_by_the_operator_says_so() {
    let last = |bench: &Bench| {
        let (status, changes) = (bench.status(), bench.status().transitions);
        assert_eq!(status.reason_code, changes[0].reason_code);
        assert_eq!(status.reason_code, Some(StateReason::Resumed));
        changes[0].reason.clone()
    };
    let mut bench = master();
    bench.feed(Input::Command(Command::Drain(None)));
    bench.hear(&advert(HIGH, 90));
    announced(&mut bench);
    assert_eq!(bench.state(), State::Fault);
    bench.feed(Input::Command(Command::Resume(None)));
    assert_eq!(bench.state(), State::Backup);
    assert_eq!(last(&bench), "resumed by the operator");

    let mut bench = master();
    bench.feed(Input::Command(Command::Drain(None)));
    bench.feed(Input::Command(Command::Resume(None)));
    bench.hear(&advert(HIGH, 90));
    announced(&mut bench);
    assert_eq!(bench.state(), State::Backup);
    assert_eq!(last(&bench), "drained and resumed by the operator");
}
