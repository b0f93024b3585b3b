//! An address is held once: by a daemon that lives, and through a planned hand-over without a gap.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vipd::lab::deadline::eventually;
use vipd::lab::ping::Pinger;
use vipd::lab::{Lab, Node};
use vipd::types::Mac;

use crate::common::{VIP, await_address, await_one_holder, await_state, ip, site, start, web};
use crate::{SOON, lab, turns};

/// A 2 s lease ends up to 1.5 s late; the rest is the machine.
const LEASE_OVER: Duration = Duration::from_secs(5);

fn valid_for(node: &Node) -> Option<Duration> {
    let addresses = node.addresses("eth0").unwrap();
    addresses.into_iter().find(|a| a.cidr.address() == ip(VIP)).unwrap().valid
}

// R39: killed or stopped, the kernel takes the address back by itself.
#[test]
fn a_dead_or_hung_daemon_loses_its_address() {
    let _turn = turns::together();
    turns::each(["SIGKILL", "SIGSTOP"], |signal| {
        let site = site();
        let first = start(&site.a, &web(150, ""));
        await_state(&first, "master");
        let second = start(&site.b, &web(100, ""));
        await_state(&second, "backup");
        let lease = valid_for(&site.a).expect("a finite lifetime");
        assert!(lease <= Duration::from_secs(2), "{lease:?}");

        first.process().signal_group(signal.parse::<Signal>().unwrap());
        await_address(&site.b, VIP, true);
        eventually(LEASE_OVER, "the kernel to end the lease", || {
            !site.a.has_address(ip(VIP)).unwrap()
        })
        .unwrap();
        if *signal == "SIGSTOP" {
            // It wakes up, weighs what it missed, and the better one serves: nobody else.
            first.process().signal(Signal::SIGCONT);
            await_state(&first, "master");
            assert_eq!(await_one_holder(&[&site.a, &site.b]), 0);
        }
    });
}

#[test]
fn without_a_lease_the_address_stays_for_ever() {
    let _turn = turns::together();
    let site = site();
    let vipd = start(&site.a, &web(150, "lease = false"));
    await_state(&vipd, "master");
    assert_eq!(valid_for(&site.a), None);
    vipd.stop();
    await_address(&site.a, VIP, false);
}

// A host that resolves the address while both nodes answer for it must not keep the dead one's MAC
// until the second batch of announcements, 5 s later. Which answer arrives last depends on the order
// of the switch's ports.
#[test]
fn a_host_that_asks_during_the_hand_over_ends_on_the_successor() {
    let _turn = turns::alone();
    for order in [["lb-01", "lb-02"], ["lb-02", "lb-01"]] {
        let lab = lab();
        let [one, other] = order.map(|name| host(&lab, name));
        let (a, b) = if order[0] == "lb-01" { (one, other) } else { (other, one) };
        let client = lab.node("client").unwrap();
        client.link("eth0", &["10.0.0.9/24"]).unwrap();

        let leaving = start(&a, &web(150, ""));
        await_state(&leaving, "master");
        let successor = start(&b, &web(100, ""));
        await_state(&successor, "backup");
        let pings = Pinger::start(&client, ip(VIP)).unwrap();
        eventually(SOON, "answers", || pings.received() > 50).unwrap();

        leaving.process().signal(Signal::SIGTERM);
        let asked_until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < asked_until {
            client.forget_neighbours().unwrap();
            thread::sleep(Duration::from_millis(3));
        }
        let heir = mac(&b);
        eventually(Duration::from_secs(3), "the successor to answer the client", || {
            let known = client.neighbours().unwrap().into_iter().find(|n| n.ip == ip(VIP));
            known.and_then(|n| n.mac) == Some(heir) && pings.last().is_some_and(|p| p.from == heir)
        })
        .unwrap_or_else(|error| panic!("ports in the order {order:?}: {error}"));
    }
}

fn host(lab: &Lab, name: &str) -> Node {
    let node = lab.node(name).unwrap();
    let last = if name == "lb-01" { 2 } else { 3 };
    node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
    node
}

fn mac(node: &Node) -> Mac {
    node.link_status("eth0").unwrap().unwrap().mac
}
