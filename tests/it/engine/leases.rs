//! A master's addresses end by themselves unless it lengthens their leases.

use vipd::config::RouterConfig;
use vipd::io::Input;
use vipd::status::State;

use super::bench::{Answers, Bench};
use super::setup::*;

fn leased() -> RouterConfig {
    router(|r| r.options.lease = true)
}

fn not_renewed(bench: &mut Bench) {
    bench.feed(Input::NotRenewed { iface: ETH0, cidr: cidr(VIP) });
}

#[test]
fn a_lease_of_2_s_is_lengthened_every_half_second() {
    let mut bench = Bench::master(leased());
    bench.run_for(ms(1000));
    bench.expect(&["advert 100", "renew 192.0.2.251 2 s x2"]);
}

#[test]
fn a_lease_that_is_not_lengthened_is_asked_for_until_it_is_there() {
    let mut bench = Bench::master(leased());
    bench.answers = Answers::OnDemand;
    not_renewed(&mut bench);
    bench.expect(&["hold 192.0.2.251"]);
    bench.refuse("No such device");
    let address = bench.status().addresses.swap_remove(0);
    assert_eq!(
        (address.held, address.error.as_deref()),
        (false, Some("change eth0: No such device"))
    );
    assert!(bench.logs[0].1.contains("No such device"), "{:?}", bench.logs);
    bench.run_for(ms(1000));
    assert!(bench.did().contains(&"hold 192.0.2.251".to_owned()));
    bench.answer();
    assert!(bench.status().addresses[0].held);
}

#[test]
fn a_lease_that_was_let_go_of_is_not_asked_for() {
    let mut bench = Bench::master(leased());
    bench.hear(&advert(HIGH, 200));
    assert_eq!(bench.state(), State::Backup);
    bench.did();
    not_renewed(&mut bench);
    bench.expect_nothing();
}
