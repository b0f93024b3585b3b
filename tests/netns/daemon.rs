//! The daemon as an operator meets it: start, status, signals, leftovers, exit statuses.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use vipd::lab::deadline::eventually;
use vipd::lab::{Exit, Finished, Node, Vipd};
use vipd::sys::netlink::OUR_IFA_PROTO;

use crate::{SOON, lab};

const VIPD: &str = env!("CARGO_BIN_EXE_vipd");

fn config(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{
            version 3
            interface eth0
            virtual_router_id 51
            priority {priority}
            advert_int 0.1
            virtual_ipaddress {{ 10.0.0.10/24 }}
        }}"
    )
}

fn start(node: &Node, config: &str) -> Vipd {
    let vipd = Vipd::start(node, Path::new(VIPD), "keepalived.conf", config).unwrap();
    vipd.process().wait_for_output(SOON, "started").unwrap();
    vipd
}

fn wait_for_state(vipd: &Vipd, state: &str) {
    eventually(SOON, format!("state {state}"), || match vipd.status() {
        Ok(status) if status["routers"][0]["state"] == state => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .unwrap();
}

fn has_vip(node: &Node) -> bool {
    node.has_address("10.0.0.10".parse::<std::net::IpAddr>().unwrap()).unwrap()
}

fn run(node: &Node, arguments: &[&str]) -> Finished {
    let mut command = Command::new(VIPD);
    command.args(arguments);
    node.output(command, SOON).unwrap()
}

fn run_dir(vipd: &Vipd) -> &str {
    vipd.run_dir().to_str().unwrap()
}

#[test]
fn a_clean_stop_leaves_nothing_behind() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config(150));
    wait_for_state(&vipd, "master");
    eventually(SOON, "the address", || has_vip(&a)).unwrap();
    vipd.stop();
    assert_eq!(vipd.process().wait(SOON).unwrap(), Exit::Code(0));
    assert!(!has_vip(&a));
    assert!(!vipd.run_dir().join("vipd.sock").exists());
    let status = run(&a, &["status", "--run-dir", run_dir(&vipd)]);
    assert_eq!(status.exit, Exit::Code(69));
    assert!(status.stderr.contains(run_dir(&vipd)), "{}", status.stderr);
}

#[test]
fn what_a_killed_daemon_left_is_gone_before_the_next_one_is_backup() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config(150));
    eventually(SOON, "the address", || has_vip(&a)).unwrap();
    vipd.kill9();
    vipd.process().wait(SOON).unwrap();
    assert!(has_vip(&a), "nothing removes it yet");
    let left = a.addresses("eth0").unwrap();
    assert!(left.iter().any(|address| address.protocol == Some(OUR_IFA_PROTO)));

    // Another address altogether: the mark alone says whose the old one is.
    let other =
        config(150).replace("10.0.0.10", "10.0.0.20").replace("advert_int 0.1", "advert_int 40");
    let next = start(&a, &other);
    assert!(!has_vip(&a));
    assert!(next.log().contains("removed 10.0.0.10/24 from eth0"), "{}", next.log());
    wait_for_state(&next, "backup");
}

#[test]
fn a_virtual_address_configured_elsewhere_is_removed_and_said() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    a.add_address("eth0", "10.0.0.10/24").unwrap();
    let vipd = start(&a, &config(150).replace("advert_int 0.1", "advert_int 40"));
    assert!(!has_vip(&a));
    assert!(vipd.log().contains("configured elsewhere"), "{}", vipd.log());
    let status = run(&a, &["status", "--run-dir", run_dir(&vipd)]).stdout;
    let words = status.split_whitespace().collect::<Vec<_>>().join(" ");
    let removed =
        "removed at the start, because nobody here was master yet: 10.0.0.10/24 on eth0. If";
    assert!(words.contains(removed), "{status}");
}

#[test]
fn a_reload_is_taken_or_refused_and_the_daemon_runs_on() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config(150));
    wait_for_state(&vipd, "master");
    let daemon = |field: &str| -> Value { vipd.status().unwrap()["daemon"][field].clone() };

    vipd.reload("nonsense {").unwrap();
    eventually(SOON, "the refusal", || daemon("reload_error").is_string()).unwrap();
    assert!(daemon("reload_error").as_str().unwrap().contains("nonsense"));
    assert_eq!(vipd.status().unwrap()["routers"][0]["state"], "master");
    assert!(has_vip(&a));

    let moved = config(150).replace("10.0.0.10", "10.0.0.10/24\n10.0.0.11");
    vipd.reload(&moved).unwrap();
    eventually(SOON, "the reload", || daemon("reloads") == 1).unwrap();
    assert_eq!(daemon("reload_error"), Value::Null);
    eventually(SOON, "the new address", || {
        a.has_address("10.0.0.11".parse::<std::net::IpAddr>().unwrap()).unwrap()
    })
    .unwrap();
}

#[test]
fn a_second_daemon_is_refused_and_the_first_one_named() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config(150));
    let config = vipd.config().to_str().unwrap();
    let second = run(&a, &["run", "--config", config, "--run-dir", run_dir(&vipd)]);
    assert_eq!(second.exit, Exit::Code(73));
    let pid = format!("pid {}", vipd.process().pid());
    assert!(second.stderr.contains(&pid), "{}", second.stderr);
    assert!(vipd.status().is_ok(), "the first one still listens");
}

#[test]
fn a_daemon_that_hangs_is_told_from_one_that_is_not_there() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config(150));
    vipd.process().signal(Signal::SIGSTOP);
    let status = run(&a, &["status", "--run-dir", run_dir(&vipd)]);
    vipd.process().signal(Signal::SIGCONT);
    assert_eq!(status.exit, Exit::Code(69));
    assert!(status.stderr.contains("hangs"), "{}", status.stderr);
}

#[test]
fn mistakes_have_their_own_exit_status() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    let bad = a.write_file("bad.conf", "vrrp_instance VI_1 { bogus }").unwrap();
    let good = a.write_file("good.conf", &config(100)).unwrap();
    let dir = a.directory().unwrap();
    let (bad, good, dir) = (bad.to_str().unwrap(), good.to_str().unwrap(), dir.to_str().unwrap());
    for (arguments, status) in [
        (vec!["run"], 64),
        (vec!["run", "--config", "/nonexistent"], 66),
        (vec!["run", "--config", bad], 78),
        (vec!["run", "--config", good, "--run-dir", good], 73),
        (vec!["check", good], 0),
        (vec!["check", bad], 78),
        (vec!["status", "--run-dir", dir], 69),
        (vec!["--version"], 0),
    ] {
        let finished = run(&a, &arguments);
        assert_eq!(finished.exit, Exit::Code(status), "{arguments:?}: {}", finished.stderr);
    }
}

#[test]
fn without_capabilities_it_says_which_are_missing() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    let config = a.write_file("good.conf", &config(100)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin", VIPD]);
    command.args(["run", "--config"]).arg(config);
    let finished = a.output(command, SOON).unwrap();
    assert_eq!(finished.exit, Exit::Code(77), "{}", finished.stderr);
    for name in ["CAP_NET_ADMIN", "CAP_NET_RAW"] {
        assert!(finished.stderr.contains(name), "{}", finished.stderr);
    }
}
