//! Hosts that have an address of a master without having announced it, and packet filters that begin
//! after the nodes have met.

use std::process::Command;

use vipd::lab::deadline::eventually;
use vipd::lab::{Exit, Node, Vipd};

use crate::SOON;
use crate::common::{Site, VIP, await_state, site, start, status, web};
use crate::turns::together;

fn shell(node: &Node, line: &str) {
    let mut command = Command::new("sh");
    command.args(["-ec", line]);
    let done = node.output(command, SOON).unwrap();
    assert_eq!(done.exit, Exit::Code(0), "{line}: {}{}", done.stdout, done.stderr);
}

/// From here on the host's own packet filter drops VRRP on its way in or out.
fn filter(node: &Node, chain: &str) {
    shell(
        node,
        &format!(
            "nft add table inet f
             nft add chain inet f {chain} '{{ type filter hook {chain} priority 0; }}'
             nft add rule inet f {chain} meta l4proto 112 drop"
        ),
    );
}

fn hints(vipd: &Vipd) -> String {
    status(vipd)["hints"].to_string()
}

fn says(vipd: &Vipd, words: &str) {
    eventually(SOON, format!("a hint: {words}"), || {
        let hints = hints(vipd);
        if hints.contains(words) { Ok(()) } else { Err(hints) }
    })
    .unwrap();
}

fn logs(vipd: &Vipd, words: &str) {
    eventually(SOON, format!("a line of the log: {words}"), || {
        let log = vipd.log();
        if log.lines().any(|line| line.contains("WARN") && line.contains(words)) {
            Ok(())
        } else {
            Err(log)
        }
    })
    .unwrap();
}

#[test]
fn a_third_host_with_the_address_is_found_and_named() {
    let _turn = together();
    let Site { a, client, lab: _lab, .. } = site();
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    shell(&client, &format!("ip addr add {VIP}/24 dev eth0"));
    says(&first, &format!("02:00:00:00:00:03 answers ARP for {VIP}, which this node holds"));
    logs(&first, &format!("02:00:00:00:00:03 answers for {VIP}"));
    assert_eq!(status(&first)["state"], "master");
    shell(&client, &format!("ip addr del {VIP}/24 dev eth0"));
    eventually(SOON, "nothing to say", || {
        let hints = hints(&first);
        if hints == "[]" { Ok(()) } else { Err(hints) }
    })
    .unwrap();
}

#[test]
fn a_filter_that_begins_after_contact_is_said_on_both_nodes() {
    let _turn = together();
    let Site { a, b, lab: _lab, .. } = site();
    let second = start(&b, &web(100, ""));
    await_state(&second, "master");
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    await_state(&second, "backup");
    for node in [&a, &b] {
        filter(node, "input");
    }
    await_state(&second, "master");
    logs(&second, "No advert from 10.0.0.2 for");
    // It has been master before, a moment ago, when there was no filter.
    logs(&second, "its own packet filter drops what other nodes send");
    says(&second, "its own packet filter drops what other nodes send");
    says(&first, "its own packet filter drops what other nodes send");
    logs(&first, &format!("10.0.0.3 (02:00:00:00:00:02) announced {VIP}"));
    says(&first, "it is master too, and IP protocol 112 is filtered between you");
}

#[test]
fn a_filter_of_what_is_sent_is_proved_by_what_the_kernel_says() {
    let _turn = together();
    let Site { a, lab: _lab, .. } = site();
    let ipv6 = web(200, "addresses = [\"fe80::100/64\"]").replace("[vrrp.web]", "[vrrp.web6]");
    let first = start(&a, &(web(200, "") + &ipv6));
    await_state(&first, "master");
    filter(&a, "output");
    says(&first, "the host's own packet filter refuses adverts on eth0 (EPERM");
    for command in ["`iptables -I OUTPUT", "`ip6tables -I OUTPUT"] {
        let refused = "the host's own packet filter refuses adverts on eth0 (EPERM)";
        eventually(SOON, command, || {
            let told = |line: &str| line.contains(refused) && line.contains(command);
            if first.log().lines().any(told) { Ok(()) } else { Err(first.log()) }
        })
        .unwrap();
    }
}
