//! Settings of the election that both must have alike, read from the same file by both.

use super::pair::{Case, Dialect, Instance, Kind, LATE, PAIRS, Pair, cases, ip};
use crate::common::Machine;
use crate::turns::{each, two};

/// Another group for all instances, another one for this instance, how many adverts may be missing.
#[test]
fn groups_and_missing_adverts_are_counted_alike() {
    let _turn = two();
    each(cases(&[Dialect::V3Ipv4], &PAIRS), |case| {
        crash_in("224.0.0.118", case, "");
        crash_in("224.0.0.119", case, "mcast_dst_ip 224.0.0.119");
    });
}

fn crash_in(group: &str, case: &Case, more: &'static str) {
    let globals =
        "global_defs {\n  vrrp_mcast_group4 224.0.0.118\n  vrrp_down_timer_adverts 5\n}\n";
    let mut pair = Pair::new(case);
    let of =
        |priority| format!("{globals}{}", Instance { more, ..case.dialect.instance(priority) });
    pair.a.start(&of(150));
    pair.settled_on_a();
    pair.b.start(&of(100));
    pair.b.follows(pair.source(&pair.a));
    let (_, said) = pair.wire.last_of(&pair.a);
    assert_eq!(said.destination, ip(group));

    let machine = Machine::watch();
    pair.a.kill();
    pair.serves(false);
    let (last, _) = pair.wire.last_of(&pair.a);
    let (taken, said) = pair.wire.next_of(&pair.b, last, "an advert", |_| true);
    assert_eq!(said.destination, ip(group));
    let expected = case.dialect.interval() * 5 + case.dialect.skew(100);
    let waited = taken.since(last);
    assert!(waited + LATE >= expected, "{waited:?}, not {expected:?}");
    if pair.b.kind == Kind::Vipd {
        assert!(waited <= expected + machine.allows(LATE), "{waited:?}, not {expected:?}");
    }
}
