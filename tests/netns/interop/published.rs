//! Configurations from published guides, unchanged, on two hosts.

use super::pair::{Case, Dialect, PAIRS, Pair, cases, ip};
use crate::turns::{each, together};

/// Both hosts of the edge pair have this one.
const EDGE: &str = include_str!("../../golden/config/published/edge.conf");
const PATRONI_MASTER: &str =
    include_str!("../../golden/config/published/patroni-2node-master.conf");
const PATRONI_BACKUP: &str =
    include_str!("../../golden/config/published/patroni-2node-backup.conf");

// R10: with equal priorities whoever serves goes on serving.
#[test]
fn the_edge_file_on_two_hosts_makes_a_pair_that_fails_over_and_not_back() {
    let _turn = together();
    each(cases(&[Dialect::V2Pass], &PAIRS), |case| {
        let mut pair = start(case, "10.0.0.10");
        pair.a.start(&EDGE);
        pair.settled_on_a();
        pair.b.start(&EDGE);
        pair.b.follows(pair.source(&pair.a));
        pair.settled_on_a();
        pair.a.stop();
        pair.settled_on_b();
        pair.a.start(&EDGE);
        pair.a.follows(pair.source(&pair.b));
        pair.settled_on_b();
    });
}

#[test]
fn the_two_files_of_the_patroni_guide_fail_over_and_back() {
    let _turn = together();
    each(cases(&[Dialect::V2Pass], &PAIRS), |case| {
        let mut pair = start(case, "10.0.0.1");
        pair.b.start(&PATRONI_BACKUP);
        pair.a.start(&PATRONI_MASTER);
        pair.settled_on_a();
        pair.a.kill();
        pair.serves(false);
        pair.a.start(&PATRONI_MASTER);
        pair.settled_on_a();
    });
}

fn start(case: &Case, vip: &str) -> Pair {
    let mut pair = Pair::new(case);
    pair.vip = ip(vip);
    pair
}
