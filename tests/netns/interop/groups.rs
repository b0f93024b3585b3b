//! Sync groups beside keepalived: two virtual routers that are always on the same host.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use vipd::lab::Stamp;
use vipd::lab::deadline::{eventually, never};

use super::pair::{Dialect, Host, PAIRS, Pair, cases, ip};
use crate::SOON;
use crate::turns::{each, together};

const VRIDS: [u8; 2] = [51, 52];

/// Two members with these priorities; the second one's script fails while its file is missing.
fn group(host: &Host, priorities: [u8; 2]) -> String {
    let mark = host.node.directory().unwrap().join("mark");
    let script = format!(
        "vrrp_script chk {{\n script \"/usr/bin/test -e {}\"\n user root\n interval 1\n}}\n",
        mark.display()
    );
    let member = |name: &str, vrid: u8, vip: &str, more: &str, priority: u8| {
        format!(
            "vrrp_instance {name} {{\n state BACKUP\n interface eth0\n version 3\n advert_int 0.2\n \
             virtual_router_id {vrid}\n priority {priority}\n virtual_ipaddress {{\n {vip}/24\n }}\n \
             {more}\n}}\n"
        )
    };
    let [one, two] = priorities;
    script
        + &member("VI_1", 51, "10.0.0.100", "", one)
        + &member("VI_2", 52, "10.0.0.101", "track_script {\n chk\n }", two)
        + "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}\n"
}

fn vips() -> [IpAddr; 2] {
    [ip("10.0.0.100"), ip("10.0.0.101")]
}

fn held(host: &Host) -> Vec<IpAddr> {
    vips().into_iter().filter(|vip| host.has(*vip)).collect()
}

fn await_all_on(pair: &Pair, on_a: bool) {
    let (with, without) = if on_a { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
    let look = || {
        let seen = (held(with), held(without));
        if seen == (vips().to_vec(), vec![]) { Ok(()) } else { Err(format!("{seen:?}")) }
    };
    eventually(SOON, format!("all addresses on {}", with.node.name()), look)
        .unwrap_or_else(|e| panic!("{e}\n{}", pair.logs()));
}

/// The VRIDs of the adverts of a host since a moment that `wanted` accepts.
fn advertised(pair: &Pair, host: &Host, since: Stamp, wanted: fn(u8) -> bool) -> BTreeSet<u8> {
    let adverts = pair.wire.adverts_of(host, since).into_iter();
    adverts.filter(|(_, v)| wanted(v.priority)).map(|(_, v)| v.vrid).collect()
}

// R29
#[test]
fn a_member_that_cannot_serve_takes_its_group_along() {
    let _turn = together();
    each(cases(&[Dialect::V3Ipv4], &PAIRS), |case| {
        let pair = &mut Pair::new(case);
        pair.a.node.write_file("mark", "").unwrap();
        let mark = pair.b.node.write_file("mark", "").unwrap();
        assert!(mark.exists());
        let (better, other) = (group(&pair.a, [150, 150]), group(&pair.b, [100, 100]));
        pair.a.start(&better);
        pair.b.start(&other);
        await_all_on(pair, true);

        let broken = Stamp::now();
        std::fs::remove_file(pair.a.node.directory().unwrap().join("mark")).unwrap();
        await_all_on(pair, false);
        let resigned = advertised(pair, &pair.a, broken, |priority| priority == 0);
        assert_eq!(resigned, BTreeSet::from(VRIDS), "{}", pair.logs());

        let repaired = Stamp::now();
        pair.a.node.write_file("mark", "").unwrap();
        await_all_on(pair, true);
        let spoken = advertised(pair, &pair.a, repaired, |priority| priority == 150);
        assert_eq!(spoken, BTreeSet::from(VRIDS), "{}", pair.logs());
    });
}

// R29: half a group is no group.
#[test]
fn a_group_whose_members_disagree_stays_where_all_of_it_can_be() {
    let _turn = together();
    each(cases(&[Dialect::V3Ipv4], &PAIRS), |case| {
        let pair = &mut Pair::new(case);
        pair.a.node.write_file("mark", "").unwrap();
        pair.b.node.write_file("mark", "").unwrap();
        let (torn, other) = (group(&pair.a, [150, 90]), group(&pair.b, [100, 100]));
        pair.b.start(&other);
        await_all_on(pair, false);
        pair.a.start(&torn);
        never(Duration::from_secs(3), || (!held(&pair.a).is_empty()).then(|| held(&pair.a)))
            .unwrap_or_else(|seen| panic!("lb-01 took {seen:?}\n{}", pair.logs()));
        await_all_on(pair, false);
        pair.b.stop();
        await_all_on(pair, true);
    });
}
