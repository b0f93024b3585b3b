//! The guide of the README, performed literally: old pairs change over to vipd and back, under load,
//! and something breaks in each phase.

mod balancer;
mod load;
mod site;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::turns::{each, together, two};
use crate::{SOON, lab};
use balancer::Balancer;
use site::Site;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

/// The interval of the old pair's check, and the shortest keepalived has.
const CHECK: Duration = Duration::from_secs(1);

/// A shared machine, and a check that takes its time.
const LATE: Duration = Duration::from_millis(400);

/// A section of the guide: its blocks of commands.
struct Guide {
    check: String,
    pair: String,
    install: String,
    there: String,
    back: String,
    /// What can be done in the end.
    after: String,
}

impl Guide {
    fn read(heading: &str) -> Guide {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let (_, rest) = readme.split_once(&format!("\n## {heading}")).unwrap();
        let section = rest.split("\n## ").next().unwrap();
        let blocks = section.split("   ```\n").skip(1).step_by(2).map(str::to_owned);
        let [check, pair, install, there, back] = blocks.collect::<Vec<_>>().try_into().unwrap();
        let after = section.split("\n```\n").nth(1).unwrap().to_owned();
        Guide { check, pair, install, there, back, after }
    }
}

/// An old pair, each host with keepalived, HAProxy and a check of it, and what is to become of it.
#[derive(Clone, Copy)]
struct Pair {
    name: &'static str,
    /// The section of the guide.
    section: &'static str,
    /// HAProxy is to stay.
    keeps_haproxy: bool,
    /// keepalived's defaults: the address returns to the better host, and the check has a weight.
    preempts: bool,
    interval: Duration,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const BOTH: Pair = Pair {
    name: "HAProxy and keepalived",
    section: "HAProxy and keepalived to vipd",
    keeps_haproxy: false,
    preempts: false,
    interval: Duration::from_millis(500),
};

const KEEPALIVED: Pair = Pair {
    name: "keepalived",
    section: "Take over a keepalived pair",
    keeps_haproxy: true,
    preempts: false,
    interval: Duration::from_millis(500),
};

const WEIGHT: Pair = Pair {
    name: "a check with a weight",
    section: "HAProxy and keepalived to vipd",
    keeps_haproxy: false,
    preempts: true,
    interval: Duration::from_secs(1),
};

#[test]
fn the_guide_leads_from_old_pairs_to_vipd_and_back() {
    let _turn = two();
    each([BOTH, KEEPALIVED, WEIGHT], |pair| there_and_back(*pair));
}

fn there_and_back(pair: Pair) {
    let guide = Guide::read(pair.section);
    let mut site = Site::of_the_old_pair(pair);
    let files = site.balancers.each_ref().map(Balancer::files);
    for host in [0, 1] {
        let said = site.balancers[host].run(guide.check.trim());
        let replaced = said.contains("is not run: vipd is the proxy");
        assert_eq!(replaced, !pair.keeps_haproxy, "{said}");
    }
    let said = site.compare(&guide.pair);
    assert!(said.contains("chk_haproxy fails on A") && said.contains("B takes over"), "{said}");
    for host in [0, 1] {
        site.balancers[host].perform(&guide.install);
    }

    // Each phase loses a proxy and a host, the mixed ones those of either kind. With a weight each
    // failure moves the address twice, which says no more and takes longer.
    let fails = |site: &mut Site, serves: usize, mixed: bool| {
        if pair.preempts {
            return;
        }
        site.proxy_dies(serves);
        if mixed {
            site.proxy_dies(1 - serves);
            site.host_cut(serves);
        }
        site.host_cut(1 - serves);
    };
    fails(&mut site, 0, false);
    site.backup_changes(1, &guide.there);
    fails(&mut site, 0, true);
    site.master_changes(0, &guide.there);
    let serves = if pair.preempts { 0 } else { 1 };
    fails(&mut site, serves, false);
    if pair.keeps_haproxy {
        convert(&mut site, &guide.after);
    }
    site.backup_changes(1 - serves, &guide.back);
    fails(&mut site, serves, true);
    site.master_changes(serves, &guide.back);
    site.settle();
    assert_eq!(site.balancers.each_ref().map(Balancer::files), files);
}

/// keepalived's language is left behind, or could be.
fn convert(site: &mut Site, block: &str) {
    for balancer in &mut site.balancers {
        balancer.perform(block);
        balancer.run("vipd check /etc/vipd/vipd.toml");
    }
}

/// What only vipd knows stands in comments: keepalived reads the file as if it were not there.
#[test]
fn keepalived_skips_what_is_meant_for_vipd_alone() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.link("eth0", &["10.0.0.2/24"]).unwrap();
    let text = "global_defs {\n    #vipd realtime off\n}\n\
                #vipd check sql {\n#vipd     tcp 127.0.0.1:5432\n#vipd }\n\
                vrrp_script chk {\n    script \"/bin/true\" root\n    #vipd on_timeout keep\n}\n\
                vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n    \
                !vipd track_listener { primary weight -20 }\n    \
                #vipd while_master \"/bin/true\"\n    priority 101\n    \
                virtual_ipaddress {\n        10.0.0.100/24\n    }\n    \
                track_script {\n        chk\n        #vipd sql weight -5\n    }\n    nopreempt\n}\n";
    let check = |text: &str| {
        let file = node.write_file("keepalived.conf", text).unwrap();
        let mut command = Command::new("keepalived");
        command.arg("--config-test").arg("--use-file").arg(file);
        let finished = node.output(command, SOON).unwrap();
        format!("{}{}{}", finished.exit, finished.stdout, finished.stderr)
    };
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', '!']));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    let said = check(text);
    assert!(!said.contains("nknown"), "{said}");
    assert_eq!(said, check(&without));
}
