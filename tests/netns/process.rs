//! What the configuration and keepalived's command line make of the daemon's process.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use vipd::lab::deadline::eventually;
use vipd::lab::keepalived::Keepalived;
use vipd::lab::{Exit, Node, Proc};

use crate::common::binary;
use crate::{SOON, lab};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));

fn config(globals: &str) -> String {
    format!(
        "{globals}
        vrrp_instance VI_1 {{
            version 3
            interface eth0
            virtual_router_id 51
            priority 150
            advert_int 0.1
            virtual_ipaddress {{ 10.0.0.10/24 }}
        }}"
    )
}

fn host(lab: &vipd::lab::Lab, name: &str) -> Node {
    let node = lab.node(name).unwrap();
    node.link("eth0", &["10.0.0.2/24"]).unwrap();
    node
}

/// `vipd run` with a run directory of its own and these options.
fn vipd(node: &Node, config: &str, run_dir: &str, options: &[&str]) -> Proc {
    let file = node.write_file("keepalived.conf", config).unwrap();
    let run_dir = node.directory().unwrap().join(run_dir);
    let mut command = Command::new(binary());
    command.arg("run").arg("-f").arg(file).arg("--run-dir").arg(run_dir).args(options);
    node.spawn(command).unwrap()
}

fn started(node: &Node, config: &str, options: &[&str]) -> Proc {
    let vipd = vipd(node, config, "run", options);
    vipd.wait_for_output(SOON, "started").unwrap();
    vipd
}

/// A name in /run/netns for a host's namespace, as `ip netns add` makes one.
struct Named(String);

impl Named {
    fn attach(node: &Node) -> Named {
        let holder = node.spawn(command("sleep", &["60"])).unwrap();
        let name = format!("vipd-test-{}", holder.pid());
        let output = command("ip", &["netns", "attach", &name, &holder.pid().to_string()]);
        let output = { output }.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Named(name)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(command("ip", &["netns", "delete", &self.0]).output());
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[test]
fn the_daemon_works_in_the_namespace_its_configuration_names() {
    let lab = lab();
    let outside = lab.node("lb-01").unwrap();
    let inside = host(&lab, "blue");
    let name = Named::attach(&inside);
    let vipd = started(&outside, &config(&format!("net_namespace {}", name.0)), &[]);
    eventually(SOON, "the address", || inside.has_address(VIP).unwrap()).unwrap();
    let namespace = fs::read_link(format!("/proc/{}/ns/net", vipd.pid())).unwrap();
    assert_eq!(namespace, PathBuf::from(format!("net:[{}]", inside.namespace_id())));
    // Its own client, asked for the directory above.
    let mut ask = Command::new(binary());
    ask.args(["status", "--run-dir"]).arg(outside.directory().unwrap());
    let asked = outside.output(ask, SOON).unwrap();
    assert_eq!(asked.exit, Exit::Code(69));
    let hint = format!("--run-dir {}", outside.directory().unwrap().join("run").display());
    assert!(asked.stderr.contains(&hint), "{}", asked.stderr);
    vipd.signal(Signal::SIGTERM);
    assert_eq!(vipd.wait(SOON).unwrap(), Exit::Code(0));
    assert!(!inside.has_address(VIP).unwrap());

    // The command line goes before.
    let other = config("net_namespace vipd-test-nowhere");
    let vipd = started(&outside, &other, &["-s", &name.0]);
    eventually(SOON, "the address", || inside.has_address(VIP).unwrap()).unwrap();
    drop(vipd);
}

#[test]
fn a_namespace_that_is_not_there_ends_the_start() {
    let lab = lab();
    let node = host(&lab, "lb-01");
    let vipd = vipd(&node, &config("net_namespace vipd-test-nowhere"), "run", &[]);
    assert_eq!(vipd.wait(SOON).unwrap(), Exit::Code(71));
    let said = vipd.output();
    assert!(said.contains("cannot enter the network namespace vipd-test-nowhere"), "{said}");
}

/// A line of /proc/PID/status.
fn status(vipd: &Proc, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", vipd.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap().trim().to_owned()
}

/// Niceness, real-time priority and policy: fields 19, 40 and 41 of /proc/PID/stat (proc(5)).
fn scheduling(vipd: &Proc) -> [i32; 3] {
    let stat = fs::read_to_string(format!("/proc/{}/stat", vipd.pid())).unwrap();
    let after_name: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [19, 40, 41].map(|field| after_name[field - 3].parse().unwrap())
}

#[test]
fn the_kernel_sees_the_process_as_configured() {
    let lab = lab();
    let node = host(&lab, "lb-01");
    let globals = "global_defs {
        vrrp_process_name lb_vrrp
        umask 027
        vrrp_priority -5
        vrrp_rt_priority 7
        vrrp_cpu_affinity 0
    }";
    let vipd = started(&node, &config(globals), &[]);
    assert_eq!(status(&vipd, "Name"), "lb_vrrp");
    assert_eq!(status(&vipd, "Umask"), "0027");
    assert_eq!(status(&vipd, "Cpus_allowed_list"), "0");
    const SCHED_RR: i32 = 2;
    assert_eq!(scheduling(&vipd), [-5, 7, SCHED_RR], "{}", vipd.output());
    assert!(!vipd.output().contains("WARN"), "{}", vipd.output());

    node.write_file("keepalived.conf", &config(&globals.replace("027", "022"))).unwrap();
    vipd.signal(Signal::SIGHUP);
    vipd.wait_for_output(SOON, "umask: read when the daemon starts").unwrap();
    assert_eq!(status(&vipd, "Umask"), "0027");
    drop(vipd);

    let vipd = started(&node, &config(globals), &["--umask", "077"]);
    assert_eq!(status(&vipd, "Umask"), "0077");
}

#[test]
fn a_pid_file_lives_as_long_as_its_daemon() {
    let lab = lab();
    let node = host(&lab, "lb-01");
    let path = node.directory().unwrap().join("keepalived.pid");
    let pid_file = path.to_str().unwrap();
    let named = |vipd: &Proc| {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", vipd.pid()), "{}", vipd.output());
    };
    let vipd_with = |run_dir| vipd(&node, &config(""), run_dir, &["-p", pid_file]);

    let first = vipd_with("run");
    first.wait_for_output(SOON, "started").unwrap();
    named(&first);
    let second = vipd_with("other");
    assert_eq!(second.wait(SOON).unwrap(), Exit::Code(73));
    let said = second.output();
    assert!(said.contains(&format!("process {}, which runs", first.pid())), "{said}");

    first.kill9();
    first.wait(SOON).unwrap();
    named(&first);
    let next = vipd_with("run");
    next.wait_for_output(SOON, "started").unwrap();
    named(&next);
    next.signal(Signal::SIGTERM);
    assert_eq!(next.wait(SOON).unwrap(), Exit::Code(0));
    assert!(!path.exists());
}

#[test]
fn a_keepalived_that_still_runs_keeps_its_pid_file_and_is_mentioned() {
    let lab = lab();
    let node = host(&lab, "lb-01");
    let keepalived = Keepalived::start(&node, &config("")).unwrap();
    eventually(SOON, "keepalived's address", || node.has_address(VIP).unwrap()).unwrap();
    let path = node.directory().unwrap().join("keepalived.pid");
    let vipd = vipd(&node, &config(""), "run", &["-p", path.to_str().unwrap()]);
    assert_eq!(vipd.wait(SOON).unwrap(), Exit::Code(73));
    let pid = format!("belongs to process {}", keepalived.process().pid());
    assert!(vipd.output().contains(&pid), "{}", vipd.output());

    let vipd = started(&node, &config(""), &[]);
    assert!(vipd.output().contains("another program here has VRRP sockets"), "{}", vipd.output());
    drop((vipd, keepalived));
    let vipd = started(&node, &config(""), &[]);
    assert!(!vipd.output().contains("VRRP sockets"), "{}", vipd.output());
}

#[test]
fn a_lenient_daemon_serves_what_it_can_and_keeps_serving_it() {
    let lab = lab();
    let node = host(&lab, "lb-01");
    let bad = config("").replace("VI_1", "VI_2").replace("51", "52").replace(".10/", ".300/");
    let servers = "virtual_server 10.0.0.10 80 { delay_loop 6 }";
    let sloppy = config(&format!("global_defs {{ bogus }} {servers}")) + &bad;
    let refused = vipd(&node, &sloppy, "run", &["-P"]);
    assert_eq!(refused.wait(SOON).unwrap(), Exit::Code(78));
    assert!(!refused.output().contains("`virtual_server`"), "{}", refused.output());

    let vipd = started(&node, &sloppy, &["-P", "--lenient"]);
    eventually(SOON, "the address", || node.has_address(VIP).unwrap()).unwrap();
    let file = node.directory().unwrap().join("keepalived.conf");
    let left_out = format!("not run (--lenient): VI_2 ({}:10)", file.display());
    assert!(vipd.output().contains(&left_out), "{}", vipd.output());
    let status = |arguments: &[&str]| {
        let mut ask = Command::new(binary());
        ask.arg("status").args(arguments).arg("--run-dir");
        ask.arg(node.directory().unwrap().join("run"));
        node.output(ask, SOON).unwrap().stdout
    };
    let said = status(&[]);
    assert!(said.contains(&format!("! 1 setting dropped (--lenient); {left_out}")), "{said}");

    // What runs is not ended by a slip in a file.
    let slip = sloppy.replacen("priority 150", "priority 15O", 1).replace(".300/", ".30/");
    node.write_file("keepalived.conf", &slip).unwrap();
    vipd.signal(Signal::SIGHUP);
    vipd.wait_for_output(SOON, "VI_1 runs, and would be left out").unwrap();
    assert!(node.has_address(VIP).unwrap());
    // What is right by now is not mentioned any more.
    node.write_file("keepalived.conf", &config("global_defs { router_id lb }")).unwrap();
    vipd.signal(Signal::SIGHUP);
    eventually(SOON, "the reload", || {
        let said: Value = serde_json::from_str(&status(&["--json"])).unwrap_or_default();
        let daemon = &said["daemon"];
        daemon["reloads"] == 1 && daemon["settings_dropped"] == Value::Array(Vec::new())
    })
    .unwrap();
}

#[test]
fn keepalived_s_command_line_is_understood() {
    let lab = lab();
    let node = host(&lab, "lb-01");
    let log = node.directory().unwrap().join("test.log");
    let report = format!("-t={}", log.display());
    let broken = config("").replace("virtual_router_id 51", "virtual_router_id 0");
    for (config, options, status) in [
        (config(""), &["-t"][..], 0),
        (config(""), &["--config-test", "-nlD"], 0),
        (broken.clone(), &["-t"], 78),
        (broken, &[&report], 78),
        // Something else than what would happen.
        (config(""), &["-V"], 64),
    ] {
        let vipd = vipd(&node, &config, "run", options);
        assert_eq!(vipd.wait(SOON).unwrap(), Exit::Code(status), "{options:?}: {}", vipd.output());
    }
    let report = fs::read_to_string(log).unwrap();
    assert!(report.contains("virtual_router_id must be 1 to 255, not 0"), "{report}");

    for (name, number) in [("DATA", "10\n"), ("JSON", "36\n"), ("STATS_CLEAR", "63\n")] {
        let asked = |program: &str, run: &[&str]| {
            let mut command = Command::new(program);
            command.args(run).arg(format!("--signum={name}"));
            let asked = node.output(command, SOON).unwrap();
            assert_eq!(asked.exit, Exit::Code(0), "{}", asked.stderr);
            asked.stdout
        };
        assert_eq!(asked(binary().to_str().unwrap(), &["run"]), number);
        assert_eq!(asked("keepalived", &[]), number);
    }

    let vipd = started(&node, &config(""), &["-nlDGd", "-S", "local1", "--dont-respawn"]);
    eventually(SOON, "the address", || node.has_address(VIP).unwrap()).unwrap();
    assert!(Path::new(&format!("/proc/{}", vipd.pid())).exists());
}
