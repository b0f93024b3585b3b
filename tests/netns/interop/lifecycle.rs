//! The life of a pair: election, orderly hand-over, failback, a backup leaving, a crash.

use std::time::Duration;

use vipd::lab::Stamp;

use super::pair::{Case, Dialect, LATE, PAIRS, Pair, QUIET, cases};
use crate::common::Machine;
use crate::turns::{each, two};

/// The better router of each pair.
const HIGH: u8 = 150;
const LOW: u8 = 100;

// C93, C57, R6, R7, R11
#[test]
fn v2_pairs_elect_hand_over_fail_back_and_survive_a_crash() {
    let _turn = two();
    each(cases(&[Dialect::V2Pass, Dialect::V2None], &PAIRS), life);
}

// C92, C57, C65
#[test]
fn v3_pairs_elect_hand_over_fail_back_and_survive_a_crash() {
    let _turn = two();
    each(cases(&[Dialect::V3Ipv4, Dialect::V3Ipv6], &PAIRS), life);
}

fn life(case: &Case) {
    live(case, Pair::new(case));
}

/// Every scene in turn.
pub(crate) fn live(case: &Case, mut pair: Pair) {
    elect(&mut pair);
    hand_over(case, &mut pair);
    fail_back(case, &mut pair);
    lose_the_backup(&mut pair);
    crash(case, &mut pair);
}

fn elect(pair: &mut Pair) {
    pair.b.start(&pair.instance(LOW));
    pair.a.start(&pair.instance(HIGH));
    pair.settled_on_a();
    let (_, advert) = pair.wire.last_of(&pair.a);
    let advertised: Vec<_> = pair.instance(HIGH).vips.iter().map(|vip| cidr_ip(vip)).collect();
    assert_eq!((advert.version, advert.priority), (pair.dialect.version(), HIGH), "{advert}");
    assert_eq!(advert.addresses, advertised);
    assert_eq!(advert.source, pair.source(&pair.a));
    assert_eq!(u128::from(advert.interval_cs) * 10, pair.dialect.interval().as_millis());
}

/// C57: one priority 0, the addresses gone, the process ended; the peer is master within the skew.
fn hand_over(case: &Case, pair: &mut Pair) {
    let machine = Machine::watch();
    let asked = Stamp::now();
    pair.a.stop();
    let resignations: Vec<_> = pair
        .wire
        .adverts_of(&pair.a, asked)
        .into_iter()
        .filter(|(_, advert)| advert.priority == 0)
        .collect();
    assert_eq!(resignations.len(), 1, "{resignations:?}");
    assert!(!pair.a.has(pair.dialect.vip()));
    let resigned = resignations[0].0;
    pair.wire.silent(&pair.a, resigned + Duration::from_nanos(1));
    let (taken, advert) = pair.wire.next_of(&pair.b, resigned, "an advert", |_| true);
    assert_eq!(advert.priority, LOW);
    let (wait, skew) = (taken.since(resigned), pair.dialect.skew(LOW));
    assert!(
        wait + QUIET / 10 >= skew && wait <= skew + machine.allows(LATE),
        "{wait:?}, {skew:?}\n{}",
        pair.logs()
    );
    pair.settled_on_b();
    let (told, _) = pair.wire.announced(&pair.b, pair.dialect.vip(), taken);
    assert!(
        told.since(taken) <= machine.allows(LATE),
        "announced {:?} after the advert",
        told.since(taken)
    );
    let outage = pair.ping().record().longest_outage_in(asked, Stamp::now()).unwrap();
    println!(
        "{case}: resignation to takeover {wait:?} (skew {skew:?}), client {:?}",
        outage.length
    );
}

/// R11, R18: the better router comes back and takes over without anybody resigning.
fn fail_back(case: &Case, pair: &mut Pair) {
    let machine = Machine::watch();
    let back = Stamp::now();
    pair.a.start(&pair.instance(HIGH));
    pair.settled_on_a();
    let (taken, _) = pair.wire.next_of(&pair.a, back, "an advert", |_| true);
    let of_b = pair.wire.adverts_of(&pair.b, back);
    assert!(of_b.iter().all(|(_, advert)| advert.priority == LOW), "{of_b:?}");
    pair.wire.silent(&pair.b, taken + machine.allows(LATE));
    let outage = pair.ping().record().longest_outage_in(back, Stamp::now()).unwrap();
    println!("{case}: failback after {:?}, client {:?}", taken.since(back), outage.length);
    assert!(outage.length < machine.allows(QUIET), "{outage:?}\n{}", pair.logs());
}

/// R6: nobody else notices.
fn lose_the_backup(pair: &mut Pair) {
    let master = pair.source(&pair.a);
    pair.b.follows(master);
    let asked = Stamp::now();
    pair.b.stop();
    pair.wire.silent(&pair.b, asked);
    pair.settled_on_a();
    pair.b.start(&pair.instance(LOW));
    pair.b.follows(master);
    // keepalived says so before it has heard anybody.
    let heard = pair.wire.last_of(&pair.a).0;
    pair.wire.next_of(&pair.a, heard + QUIET, "another advert", |_| true);
}

/// R7: power or kernel gone, cable still in.
fn crash(case: &Case, pair: &mut Pair) {
    let machine = Machine::watch();
    let killed = Stamp::now();
    pair.a.kill();
    let (taken, _) = pair.wire.next_of(&pair.b, killed, "an advert", |_| true);
    let (last, _) = pair.wire.last_of(&pair.a);
    let (wait, down) = (taken.since(last), pair.dialect.down(LOW));
    assert!(
        wait + QUIET / 10 >= down && wait <= down + machine.allows(LATE),
        "{wait:?}, {down:?}\n{}",
        pair.b.log()
    );
    // What the dead host still holds is not asked here.
    pair.serves(false);
    println!("{case}: last advert to takeover {wait:?} (master down {down:?})");
}

fn cidr_ip(text: &str) -> std::net::IpAddr {
    super::pair::ip(text.split('/').next().unwrap())
}
