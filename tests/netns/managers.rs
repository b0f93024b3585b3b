//! A network manager that starts again on the interface of a master: systemd-networkd takes addresses
//! away that it did not set, and for some milliseconds even its own.

use std::process::Command;

use vipd::lab::deadline::eventually;
use vipd::lab::{Node, Proc};

use crate::SOON;
use crate::common::{
    VIP, await_address, await_one_holder, await_state, counter, site, start, status, web,
};
use crate::turns::{each, together};

/// In mounts of its own, without D-Bus, and told that udev is through with every interface.
const NETWORKD: &str = "
set -e
mount -t tmpfs run /run
mount -t sysfs sysfs /sys
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases \
    /run/systemd/netif/lldp /run/udev/data
chown -R systemd-network: /run/systemd/netif
for link in /sys/class/net/*; do
    echo I:1 >/run/udev/data/n$(cat $link/ifindex)
done
printf '[Match]\\nName=eth0\\n[Network]\\nAddress=10.0.0.2/24\\nIPv6AcceptRA=no\\n%s\\n' \"$0\" \
    >/run/systemd/network/lan.network
SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console exec /lib/systemd/systemd-networkd
";

/// Runs it and waits until it has configured the interface.
fn networkd(node: &Node, setting: &str) -> Proc {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", NETWORKD, setting]);
    let networkd = node.spawn(command).unwrap();
    let done = "eth0: State changed: configuring -> configured";
    networkd.wait_for_output(SOON, done).unwrap();
    networkd
}

#[test]
fn a_master_outlives_a_restart_of_systemd_networkd() {
    let _turn = together();
    each(["", "KeepConfiguration=static", "KeepConfiguration=yes"], |setting| {
        let site = site();
        let before = networkd(&site.a, setting);
        let first = start(&site.a, &web(150, ""));
        await_state(&first, "master");
        let second = start(&site.b, &web(100, ""));
        await_state(&second, "backup");

        before.kill9();
        let after = networkd(&site.a, setting);
        await_address(&site.a, VIP, true);
        let router = await_state(&first, "master");
        if setting.is_empty() {
            // It took the address adverts come from, too: handed over, and back again.
            let back = || counter(&first, "master_transitions") == 2;
            eventually(SOON, "the way back", back).unwrap();
            assert_eq!(await_one_holder(&[&site.a, &site.b]), 0);
        } else {
            assert_eq!(router["counters"]["master_transitions"], 1, "{router:#}");
            assert_eq!(status(&second)["state"], "backup");
        }
        if *setting == "KeepConfiguration=yes" {
            assert_eq!(counter(&first, "addresses_readded"), 0, "{}", after.output());
        }
    });
}
