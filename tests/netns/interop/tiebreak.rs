//! Two masters of the same priority after a partition: the address decides, as a number.

use std::time::Duration;

use vipd::lab::Stamp;
use vipd::lab::deadline::{eventually, never};

use super::pair::{Case, Dialect, Host, Kind, LATE, PAIRS, Pair, cases};
use crate::SOON;
use crate::common::Machine;
use crate::turns::{each, together, two};

const PRIORITY: u8 = 120;

// C94, C95 (10.0.0.10 beats 10.0.0.9), C67 (link-local sources over IPv6), R18, R19
#[test]
fn equal_masters_are_told_apart_by_address_once_the_partition_heals() {
    let _turn = two();
    each(cases(&[Dialect::V2None, Dialect::V3Ipv4, Dialect::V3Ipv6], &PAIRS), |case| {
        // The client stays with the winner.
        heal(case, "higher_prio_send_advert no", false);
    });
}

// D21: the loser's last word makes the winner tell everyone where the address is. keepalived has it by option only.
#[test]
fn a_client_behind_the_loser_is_fetched_with_an_advert_before_yielding() {
    let _turn = together();
    each(cases(&[Dialect::V2None, Dialect::V3Ipv6], &PAIRS), |case| {
        heal(case, "higher_prio_send_advert", true);
    });
}

// D21: by default, in whatever phase of the winner's adverts the partition heals.
#[test]
fn a_client_behind_the_loser_loses_next_to_nothing_when_a_partition_heals() {
    const PHASES: u32 = 4;
    let _turn = together();
    // The winner first: keepalived as the loser says nothing unless told to.
    let pairs = [[Kind::Vipd, Kind::Vipd], [Kind::Keepalived, Kind::Vipd]];
    each(cases(&[Dialect::V3Ipv4], &pairs), |case| {
        let mut pair = Pair::new(case);
        pair.a.start(&pair.instance(200));
        pair.settled_on_a();
        pair.b.start(&pair.instance(100));
        pair.b.follows(pair.source(&pair.a));
        for phase in 0..PHASES {
            pair.lab.isolate(&pair.a.node).unwrap();
            pair.serves(false);
            let now = Stamp::now();
            pair.wire.next_of(&pair.b, now, "an advert", |_| true);
            never(case.dialect.interval() / PHASES * phase, || None::<()>).unwrap();
            let (healed, machine) = (Stamp::now(), Machine::watch());
            pair.lab.heal().unwrap();
            pair.settled(true);
            let outage = pair.ping().record().longest_outage_in(healed, Stamp::now());
            let lost = outage.map_or(Duration::ZERO, |outage| outage.length);
            let most = machine.allows(Duration::from_millis(50));
            assert!(lost <= most, "phase {phase}: {lost:?}\n{}", pair.logs());
        }
    });
}

fn heal(case: &Case, more: &'static str, client_with_loser: bool) {
    let mut pair = Pair::with_addresses(case, ["10.0.0.10/24", "10.0.0.8/24"]);
    let instance = super::pair::Instance { more, ..pair.instance(PRIORITY) };
    pair.a.start(&instance);
    pair.settled_on_a();
    pair.b.start(&instance);
    let source = pair.source(&pair.a);
    // R10: the address decides between masters only.
    pair.b.follows(source);

    let a_wins = pair.source(&pair.a) > pair.source(&pair.b);
    // Link-local sources come from the MAC addresses, and the second host's is higher.
    assert_eq!(a_wins, case.dialect != Dialect::V3Ipv6);
    let apart = |pair: &Pair| {
        if a_wins == client_with_loser { pair.a.node.clone() } else { pair.b.node.clone() }
    };
    pair.lab.isolate(&apart(&pair)).unwrap();
    eventually(SOON, "two masters", || pair.a.has(pair.vip) && pair.b.has(pair.vip)).unwrap();
    pair.serves(a_wins != client_with_loser);

    let (healed, machine) = (Stamp::now(), Machine::watch());
    pair.lab.heal().unwrap();
    let healing = machine.allows(Stamp::now().since(healed));
    pair.settled(a_wins);
    let (winner, loser) = winner_and_loser(&pair, a_wins);
    let last_words = pair.wire.adverts_of(loser, healed);
    // Its regular advert, if that came first, those of the time the healing took, and the last word
    // it was configured to have.
    let regular = healing.as_millis() / case.dialect.interval().as_millis();
    let regular = usize::try_from(regular).unwrap();
    let allowed = 1 + regular + usize::from(client_with_loser);
    assert!(last_words.len() <= allowed, "the loser sent {last_words:?}\n{}", pair.logs());
    if let Some((at, advert)) = last_words.first() {
        assert_eq!(advert.priority, PRIORITY, "a yielding master resigns nothing");
        if winner.kind == Kind::Vipd {
            let (answered, _) = pair.wire.next_of(winner, *at, "an answer", |_| true);
            let most = machine.allows(LATE);
            assert!(answered.since(*at) <= most, "answered after {:?}", answered.since(*at));
            let (told, _) = pair.wire.announced(winner, pair.vip, *at);
            assert!(told.since(*at) <= most, "announced after {:?}", told.since(*at));
        }
    }
    // R19: one answer, not a second stream of adverts.
    pair.wire.next_of(winner, healed, "an advert", |_| true);
    let spoken = pair.wire.adverts_of(winner, healed);
    let span = spoken.last().unwrap().0.since(healed);
    let due = span.as_millis() / case.dialect.interval().as_millis() + 1;
    assert!(spoken.len() as u128 <= due + allowed as u128, "{} adverts in {span:?}", spoken.len());
}

fn winner_and_loser(pair: &Pair, a_wins: bool) -> (&Host, &Host) {
    if a_wins { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) }
}
