//! `nopreempt`: a better router that comes later waits until it is needed.

use std::time::Duration;

use vipd::lab::Stamp;
use vipd::lab::deadline::never;

use super::pair::{Case, Dialect, Instance, Kind, PAIRS, Pair, cases};
use crate::turns::{each, together};

// R12
#[test]
fn a_better_router_with_nopreempt_takes_over_only_when_the_master_is_gone() {
    let _turn = together();
    let dialects = [Dialect::V2Pass, Dialect::V3Ipv4, Dialect::V3Ipv6];
    each(cases(&dialects, &PAIRS), patient);
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
        let why = pair.a.status_text(&[]);
        assert!(why.contains("nopreempt is set"), "{why}");
    }

    pair.b.stop();
    pair.settled_on_a();
    pair.b.start(&pair.instance(100));
    pair.b.follows(pair.source(&pair.a));
    pair.settled_on_a();
}
