//! `nopreempt`: a better router that comes later waits until it is needed.

use std::time::Duration;

use vipd::lab::Stamp;
use vipd::lab::deadline::never;

use super::pair::{Case, Dialect, Instance, Kind, PAIRS, Pair, cases};
use crate::turns::{each, long, together};

// R12
#[test]
fn a_better_router_with_nopreempt_takes_over_only_when_the_master_is_gone() {
    let _turn = long();
    let dialects = [Dialect::V2Pass, Dialect::V3Ipv4, Dialect::V3Ipv6];
    each(cases(&dialects, &PAIRS), patient);
}

// R11, C54: without it, the master is left alone for one master-down interval.
#[test]
fn a_better_router_says_that_it_is_about_to_preempt() {
    let _turn = together();
    each(cases(&[Dialect::V2None], &PAIRS[..2]), |case| {
        let mut pair = Pair::new(case);
        pair.b.start(&pair.instance(100));
        pair.settled_on_b();
        pair.a.start(&pair.instance(150));
        pair.a.follows(pair.source(&pair.b));
        let hints = pair.a.hints();
        assert!(hints.contains("10.0.0.3 is about to be preempted"), "{hints}");
        let page = pair.a.status_text(&["VI_1"]);
        assert!(!page.contains("if nothing is heard"), "{page}");
        pair.settled_on_a();
        assert_eq!(pair.a.hints(), "");
    });
}

// C55, R28
#[test]
fn a_preempt_delay_is_waited_for_and_told() {
    let _turn = together();
    each(cases(&[Dialect::V3Ipv4], &PAIRS[..2]), |case| {
        let mut pair = Pair::new(case);
        pair.b.start(&pair.instance(100));
        pair.settled_on_b();
        let start = Stamp::now();
        pair.a.start(&Instance { more: "preempt_delay 3", ..pair.instance(150) });
        pair.a.follows(pair.source(&pair.b));
        let hints = pair.a.hints();
        assert!(hints.contains("preempt_delay has"), "{hints}");
        let (taken, _) = pair.wire.next_of(&pair.a, start, "an advert", |_| true);
        assert!(taken.since(start) >= Duration::from_secs(3), "{:?}", taken.since(start));
        pair.settled_on_a();
    });
}

fn patient(case: &Case) {
    let mut pair = Pair::new(case);
    let better = Instance { more: "nopreempt", ..pair.instance(150) };
    pair.b.start(&pair.instance(100));
    pair.settled_on_b();
    pair.a.start(&better);
    pair.a.follows(pair.source(&pair.b));
    let since = Stamp::now();
    let patience = pair.dialect.down(150) + Duration::from_secs(1);
    never(patience, || pair.wire.adverts_of(&pair.a, since).pop())
        .unwrap_or_else(|(_, advert)| panic!("{advert}\n{}", pair.logs()));
    pair.settled_on_b();
    if pair.a.kind == Kind::Vipd {
        let hints = pair.a.hints();
        assert!(hints.contains("nopreempt is set"), "{hints}");
    }

    pair.b.stop();
    pair.settled_on_a();
    pair.b.start(&pair.instance(100));
    pair.b.follows(pair.source(&pair.a));
    pair.settled_on_a();
}
