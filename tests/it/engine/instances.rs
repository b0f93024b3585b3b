//! Settings of single instances that decide whether and when one serves: what it tracks besides its
//! link, whom it listens to, and what its adverts need.

use vipd::status::State;

use super::bench::{Answers, Bench};
use super::setup::*;

// W10: what cannot be sent whole must not decide an election.
#[test]
fn a_link_too_narrow_for_the_advert_means_fault_and_a_wider_one_ends_it() {
    let three = router(|r| {
        r.addresses = ["192.0.2.251", "192.0.2.252", "192.0.2.253"].map(vip).into();
    });
    let mut narrow = links();
    // Two addresses and a byte short of the third: 20 + 8 + 2 * 4 + 3.
    narrow[0].0.mtu = 39;
    let mut bench = Bench::start_with(config(vec![three]), narrow, Answers::AtOnce);
    assert_eq!(bench.state(), State::Fault);
    assert_eq!(
        bench.status().faults,
        ["an advert with 3 addresses does not fit the MTU of eth0, 39 bytes, which holds 2: \
          exclude the others from the advert, on every node"]
    );
    bench.did();
    let with_mtu = |mtu| vipd::engine::Link { mtu, ..link(ETH0, "eth0") };
    bench.link_changed(with_mtu(40));
    bench.expect(&["FAULT to BACKUP"]);
    bench.run_for(secs(4));
    assert_eq!(bench.state(), State::Master);
    bench.did();
    bench.link_changed(with_mtu(39));
    bench.expect(&["drop 192.0.2.251", "drop 192.0.2.252", "drop 192.0.2.253", "MASTER to FAULT"]);
}
