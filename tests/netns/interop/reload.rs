//! Reload of a master: told at once, without a gap.

use std::time::Duration;

use vipd::lab::Stamp;

use super::pair::{Case, Dialect, Instance, Kind, LATE, Pair, QUIET, cases, ip};
use crate::common::Machine;
use crate::turns::{alone, each, together};

const FROM_VIPD: [[Kind; 2]; 2] = [[Kind::Vipd, Kind::Vipd], [Kind::Vipd, Kind::Keepalived]];

/// Well below the interval of one second, well above what reading a file takes.
const AT_ONCE: Duration = Duration::from_millis(400);

// C61, R32
#[test]
fn a_reload_is_advertised_at_once_and_leaves_the_address_alone() {
    let _turn = together();
    each(cases(&[Dialect::V2Pass], &FROM_VIPD), |case| {
        let mut pair = started(case, 150);
        let created = pair.a.created(pair.vip);

        let told = reload(&pair, &pair.instance(160), |priority, _| priority == 160);
        assert!(told <= AT_ONCE, "{told:?}");
        // Nothing changed: the next advert comes when it is due.
        let told = reload(&pair, &pair.instance(160), |priority, _| priority == 160);
        assert!(told >= AT_ONCE, "{told:?}");

        assert_eq!(pair.a.created(pair.vip), created, "the address was away");
        pair.settled_on_a();
        assert!(pair.wire.adverts().iter().all(|(_, advert)| advert.priority != 0));
    });
}

// R26
#[test]
fn an_address_added_or_removed_by_a_reload_does_not_touch_the_others() {
    let _turn = together();
    let added = ["10.0.0.100/24", "10.0.0.101/24"];
    each(cases(&[Dialect::V2Pass], &FROM_VIPD[..1]), |case| {
        let mut pair = started(case, 150);
        let created = pair.a.created(pair.vip);
        let since = Stamp::now();
        let both = Instance { vips: added.to_vec(), ..pair.instance(150) };
        let told = reload(&pair, &both, |_, addresses| addresses == 2);
        assert!(told <= AT_ONCE, "{told:?}");
        pair.wire.announced(&pair.a, ip("10.0.0.101"), since);
        assert!(pair.a.has(ip("10.0.0.101")));
        // The peer hears the longer list and obeys (V24).
        pair.settled_on_a();

        let told = reload(&pair, &pair.instance(150), |_, addresses| addresses == 1);
        assert!(told <= AT_ONCE, "{told:?}");
        assert!(!pair.a.has(ip("10.0.0.101")));
        assert_eq!(pair.a.created(pair.vip), created, "the address was away");
        pair.settled_on_a();
        assert!(pair.wire.adverts().iter().all(|(_, advert)| advert.priority != 0));
    });
}

// C102, R25, R9: 1 s to 100 ms, and the backup follows without being told otherwise.
#[test]
fn a_shorter_interval_is_learnt_by_the_backup_with_the_next_advert() {
    let _turn = alone();
    each(cases(&[Dialect::V3Ipv4, Dialect::V3Ipv6], &FROM_VIPD), |case| {
        let mut pair = Pair::new(case);
        let every = |pair: &Pair, priority, ms| Instance {
            interval: Duration::from_millis(ms),
            ..pair.instance(priority)
        };
        pair.a.start(&every(&pair, 150, 1000));
        pair.b.start(&every(&pair, 100, 1000));
        pair.settled_on_a();
        let now = Stamp::now();
        pair.a.reload(&every(&pair, 150, 100));
        let (first, _) = pair.wire.next_of(&pair.a, now, "an advert", |v| v.interval_cs == 10);
        assert!(first.since(now) <= AT_ONCE, "{:?}", first.since(now));
        pair.wire.next_of(&pair.a, first + QUIET, "a few more", |v| v.interval_cs == 10);

        let (killed, machine) = (Stamp::now(), Machine::watch());
        pair.a.kill();
        let (taken, advert) = pair.wire.next_of(&pair.b, killed, "an advert", |_| true);
        let silence = taken.since(pair.wire.last_of(&pair.a).0);
        let expected = Duration::from_micros(3 * 100_000 + 100_000 * 156 / 256);
        println!("{case}: takeover after {silence:?} of silence, expected {expected:?}");
        let most = expected + machine.allows(LATE);
        assert!(silence + LATE / 5 >= expected && silence <= most, "{silence:?}");
        assert_eq!(advert.interval_cs, 100, "as master it uses its own interval");
    });
}

fn started(case: &Case, priority: u8) -> Pair {
    let mut pair = Pair::new(case);
    pair.a.start(&pair.instance(priority));
    pair.b.start(&pair.instance(100));
    pair.settled_on_a();
    pair
}

/// Reloads right after an advert, so that the next one is not due for a while; returns the time to
/// the next advert, which must have the priority and number of addresses wanted.
fn reload(pair: &Pair, config: &Instance, wanted: impl Fn(u8, usize) -> bool) -> Duration {
    let last = Stamp::now();
    let (last, _) = pair.wire.next_of(&pair.a, last, "an advert", |_| true);
    pair.a.reload(config);
    let after = last + Duration::from_nanos(1);
    let (at, advert) = pair.wire.next_of(&pair.a, after, "an advert", |_| true);
    assert!(wanted(advert.priority, advert.addresses.len()), "{advert}\n{}", pair.logs());
    at.since(last)
}
