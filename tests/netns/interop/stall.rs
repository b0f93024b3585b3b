//! A vipd that does not run for a while, as on a machine that stalls, next to one that does.

use std::time::Duration;

use vipd::lab::Stamp;
use vipd::lab::deadline::{eventually, never};

use super::pair::{Case, Dialect, Kind, PAIRS, Pair, cases};
use crate::SOON;
use crate::turns::{each, together};

/// vipd stalls, next to either.
fn all() -> Vec<Case> {
    let pairs: Vec<_> = PAIRS.into_iter().filter(|[first, _]| *first == Kind::Vipd).collect();
    cases(&[Dialect::V3Ipv4, Dialect::V3Ipv6], &pairs)
}

// C109, R36, D26
#[test]
fn a_master_that_wakes_up_to_a_worse_one_speaks_once() {
    let _turn = together();
    each(all(), |case| {
        let mut pair = started(case, [150, 100]);
        pair.settled_on_a();
        pair.a.freeze(true);
        let frozen = Stamp::now();
        let (taken, _) = pair.wire.next_of(&pair.b, frozen, "an advert", |_| true);
        // Some adverts of the new master have to wait in the socket.
        pair.wire.next_of(&pair.b, taken + pair.dialect.interval() * 4, "a fifth advert", |_| true);
        let woken = Stamp::now();
        pair.a.freeze(false);
        let (spoke, _) = pair.wire.next_of(&pair.a, woken, "an advert", |_| true);
        // The next answer, or the next advert, may come 100 ms later at the earliest.
        let soon = Duration::from_millis(90);
        eventually(SOON, "that moment", || Stamp::now().since(spoke) > soon).unwrap();
        let at_once = |at: &Stamp| at.since(spoke) < soon;
        let adverts = pair.wire.adverts_of(&pair.a, woken);
        let adverts = adverts.iter().filter(|(at, _)| at_once(at)).count();
        assert_eq!(adverts, 1, "{}", pair.logs());
        // One round against the rival, and one if the kernel had ended the lease.
        let told = pair.wire.announcements(&pair.a, pair.vip, woken);
        let told = told.iter().filter(|(after, _)| at_once(&(woken + *after))).count();
        assert!((1..=10).contains(&told), "{told} announcements\n{}", pair.logs());
        pair.settled_on_a();
    });
}

// C110, R36
#[test]
fn a_master_that_wakes_up_to_a_better_one_yields_without_a_word() {
    let _turn = together();
    each(all(), |case| {
        let mut pair = Pair::new(case);
        pair.a.start(&pair.instance(100));
        // As early as can be: the daemon may not know yet that it has the address.
        eventually(SOON, "the first master", || pair.a.has(pair.vip)).unwrap();
        pair.a.freeze(true);
        let frozen = Stamp::now();
        pair.b.start(&pair.instance(150));
        let (taken, _) = pair.wire.next_of(&pair.b, frozen, "an advert", |_| true);
        pair.wire.next_of(&pair.b, taken + pair.dialect.interval() * 4, "a fifth advert", |_| true);
        let woken = Stamp::now();
        pair.a.freeze(false);
        pair.settled_on_b();
        pair.wire.silent(&pair.a, woken);
        let told = pair.wire.announcements(&pair.a, pair.vip, woken);
        assert!(told.is_empty(), "{told:#?}\n{}", pair.logs());
    });
}

// C111, R37
#[test]
fn a_backup_that_overslept_reads_what_waited_before_it_takes_over() {
    let _turn = together();
    each(all(), |case| {
        let mut pair = started(case, [100, 150]);
        pair.settled_on_b();
        pair.a.follows(pair.source(&pair.b));
        pair.a.freeze(true);
        let frozen = Stamp::now();
        let long = pair.dialect.down(100) + Duration::from_millis(500);
        eventually(SOON, "its deadline to pass", || Stamp::now().since(frozen) > long).unwrap();
        pair.a.freeze(false);
        let more = pair.dialect.down(100);
        never(more, || pair.wire.adverts_of(&pair.a, frozen).pop()).unwrap();
        pair.settled_on_b();
    });
}

fn started(case: &Case, [of_a, of_b]: [u8; 2]) -> Pair {
    let mut pair = Pair::new(case);
    pair.a.start(&pair.instance(of_a));
    pair.b.start(&pair.instance(of_b));
    pair
}
