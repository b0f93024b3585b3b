//! Virtual addresses that are on this host although their router does not serve, and what an owner leases.

use vipd::io::{Input, LinkAddress, LinkChange};
use vipd::status::State;

use super::bench::Bench;
use super::setup::*;

fn appears(bench: &mut Bench, address: &str, ours: bool) {
    let cidr = cidr(address);
    let address = LinkAddress { cidr, usable: true, secondary: false, ours, renewed: None };
    bench.feed(Input::Link(LinkChange::Address { iface: ETH0, address }));
}

#[test]
fn a_backup_removes_an_address_with_our_mark_and_no_other() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200));
    appears(&mut bench, VIP, true);
    bench.expect(&["drop 192.0.2.251"]);
    bench.feed(Input::Link(LinkChange::AddressGone { iface: ETH0, cidr: cidr(VIP) }));
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());

    appears(&mut bench, VIP, false);
    bench.expect_nothing();
    assert_eq!(bench.state(), State::Backup);
    let hint = bench.status().hints.texts().join("\n");
    for words in ["192.0.2.251", "is on eth0 although this router is BACKUP", "ip address del"] {
        assert!(hint.contains(words), "{hint}");
    }
    // With the network it was given by hand.
    bench.feed(Input::Link(LinkChange::AddressGone { iface: ETH0, cidr: cidr(VIP) }));
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());
    appears(&mut bench, "192.0.2.251/24", false);
    assert!(bench.status().hints.texts().join("\n").contains("192.0.2.251/24 is on eth0"));
}

#[test]
fn a_master_leaves_its_addresses_alone() {
    let mut bench = Bench::master(with_priority(100));
    appears(&mut bench, VIP, true);
    bench.expect_nothing();
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());
}

#[test]
fn a_master_is_told_of_an_address_that_will_stay_when_it_does_not_serve() {
    let mut bench = Bench::master(with_priority(100));
    appears(&mut bench, VIP, false);
    assert_eq!(bench.status().hints.texts(), Vec::<String>::new());
    appears(&mut bench, "192.0.2.251/24", false);
    let hint = bench.status().hints.texts().join("\n");
    for words in ["192.0.2.251/24 is on eth0, and", "stays when another node takes over"] {
        assert!(hint.contains(words), "{hint}");
    }
    let mut owner = Bench::master(with_priority(255));
    appears(&mut owner, "192.0.2.251/24", false);
    assert_eq!(owner.status().hints.texts(), Vec::<String>::new());
}

// R21: only what was there before is the interface's.
#[test]
fn an_owner_leases_what_it_installs() {
    let mut bench = Bench::master(router(|r| {
        r.priority = priority(255);
        r.options.lease = true;
    }));
    bench.run_for(ms(1000));
    let did = bench.did();
    assert!(did.contains(&"renew 192.0.2.251 2 s x2".to_owned()), "{did:?}");
}
