//! What the operator can ask of a running daemon, and what its clients and peers notice: nothing.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use vipd::cli::schema::Printed;
use vipd::lab::deadline::{eventually, never};
use vipd::lab::ping::Pinger;
use vipd::lab::{Exit, Finished, Lab, Node, Vipd};

use crate::common::{copy_program, follows};
use crate::turns::alone;
use crate::{SOON, lab};

const VIPD: &str = env!("CARGO_BIN_EXE_vipd");
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));

/// Two daemons and a client that pings their address every 2 ms.
struct Pair {
    /// A host that nobody holds is gone.
    _lab: (Lab, Node, Node),
    a: Node,
    master: Vipd,
    backup: Vipd,
    client: Pinger,
    /// Not answered before anything happened: neighbour discovery.
    lost_before: u64,
}

impl Pair {
    fn start(globals: &str, interval: &str, extra: &str) -> Pair {
        let lab = lab();
        let [a, b, c] = ["lb-01", "lb-02", "client"].map(|name| lab.node(name).unwrap());
        for (node, address) in [(&a, "10.0.0.2/24"), (&b, "10.0.0.3/24"), (&c, "10.0.0.9/24")] {
            node.link("eth0", &[address]).unwrap();
        }
        let master = start(&a, &config(globals, 150, interval, extra));
        wait_for(&master, "state", "master");
        let backup = start(&b, &config(globals, 100, interval, extra));
        wait_for(&backup, "state", "backup");
        eventually(SOON, "the backup to hear the master", || {
            router(&backup)["master"]["priority"] == 150
        })
        .unwrap();
        let client = Pinger::start(&c, VIP).unwrap();
        eventually(SOON, "answers", || client.received() > 50).unwrap();
        let lost_before = lost(&client);
        Pair { _lab: (lab, b, c), a, master, backup, client, lost_before }
    }

    /// Pings lost since the start. Waits for a second of them first, so that a late loss counts.
    fn lost(&self) -> u64 {
        let sent = self.client.sent();
        eventually(SOON, "another second of pings", || self.client.sent() > sent + 500).unwrap();
        lost(&self.client) - self.lost_before
    }

    fn changes_at_the_peer(&self) -> usize {
        changes(&self.backup)
    }

    fn ask(&self, arguments: &[&str]) -> Finished {
        ask(&self.a, &self.master, arguments)
    }
}

fn config(globals: &str, priority: u8, interval: &str, extra: &str) -> String {
    format!(
        "global_defs {{
            {globals}
        }}
        vrrp_instance VI_1 {{
            version 3
            interface eth0
            virtual_router_id 51
            priority {priority}
            advert_int {interval}
            {extra}
            virtual_ipaddress {{
                10.0.0.10/24
            }}
        }}"
    )
}

fn start(node: &Node, config: &str) -> Vipd {
    let vipd = Vipd::start(node, Path::new(VIPD), "keepalived.conf", config).unwrap();
    vipd.process().wait_for_output(SOON, "started").unwrap();
    vipd
}

fn router(vipd: &Vipd) -> Value {
    vipd.status().map_or(Value::Null, |status| status["routers"][0].clone())
}

fn daemon(vipd: &Vipd, field: &str) -> Value {
    vipd.status().unwrap()["daemon"][field].clone()
}

fn changes(vipd: &Vipd) -> usize {
    router(vipd)["transitions"].as_array().unwrap().len()
}

fn wait_for(vipd: &Vipd, field: &str, value: impl Into<Value>) {
    let value = value.into();
    eventually(SOON, format!("{field} {value}"), || match router(vipd) {
        router if router[field] == value => Ok(()),
        other => Err(format!("{other}")),
    })
    .unwrap();
}

/// Pings are answered within microseconds, so at some look none is under way.
fn lost(client: &Pinger) -> u64 {
    let look = || client.sent().saturating_sub(u64::try_from(client.received()).unwrap());
    let ends = Instant::now() + Duration::from_millis(300);
    let mut least = look();
    while Instant::now() < ends {
        least = least.min(look());
    }
    least
}

fn ask(node: &Node, vipd: &Vipd, arguments: &[&str]) -> Finished {
    let mut command = Command::new(VIPD);
    command.args(arguments).arg("--run-dir").arg(vipd.run_dir());
    node.output(command, SOON).unwrap()
}

fn has_vip(node: &Node) -> bool {
    node.has_address(VIP).unwrap()
}

fn assert_exit(finished: &Finished, code: i32) {
    assert_eq!(finished.exit, Exit::Code(code), "{}{}", finished.stdout, finished.stderr);
}

#[test]
fn a_drain_loses_no_ping_and_lasts_until_resume() {
    let _turn = alone();
    let pair = Pair::start("", "1", "");
    let plan = pair.ask(&["drain", "--dry-run"]);
    assert!(plan.stdout.starts_with("VI_1: "), "{}", plan.stdout);
    assert_eq!(router(&pair.master)["drained"], false);
    let drained = pair.ask(&["drain"]);
    assert_exit(&drained, 0);
    println!("{}", drained.stdout);
    assert!(
        drained.stdout.starts_with("VI_1: handed over to 10.0.0.3 (priority 100) in "),
        "{}",
        drained.stdout
    );
    assert!(!has_vip(&pair.a));
    assert_eq!(router(&pair.backup)["state"], "master");
    let status = pair.ask(&["status"]).stdout;
    assert!(status.contains("DRAINED by operator since "), "{status}");
    assert!(status.contains("10.0.0.3 100"), "who serves instead: {status}");
    // A better priority does not bring it back.
    never(Duration::from_secs(2), || has_vip(&pair.a).then_some(())).unwrap();

    let again = pair.ask(&["drain", "VI_1"]);
    assert_exit(&again, 0);
    assert!(again.stdout.contains("DRAINED already; 10.0.0.3"), "{}", again.stdout);

    let resumed = pair.ask(&["resume"]);
    assert_exit(&resumed, 0);
    assert!(resumed.stdout.contains("takes part again as BACKUP"), "{}", resumed.stdout);
    wait_for(&pair.master, "state", "master");
    assert_eq!(pair.lost(), 0);
}

#[test]
fn a_handover_loses_no_ping_and_the_successor_keeps_it() {
    let _turn = alone();
    let pair = Pair::start("", "0.2", "");
    let done = pair.ask(&["handover", "--json"]);
    assert_exit(&done, 0);
    println!("{}", done.stdout);
    let outcome: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(outcome[0]["master"], "10.0.0.3");
    assert_eq!(outcome[0]["ok"], true);
    assert_eq!(outcome[0]["state"], "backup");
    never(Duration::from_secs(1), || has_vip(&pair.a).then_some(())).unwrap();
    assert_eq!(pair.lost(), 0);

    let nothing = pair.ask(&["handover", "VI_1"]);
    assert_exit(&nothing, 1);
    assert!(nothing.stdout.contains("nothing to hand over, it is BACKUP; 10.0.0.3"));
}

#[test]
fn a_drain_that_nobody_answers_is_said_and_fails() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config("", 150, "0.1", ""));
    wait_for(&vipd, "state", "master");
    let plan = ask(&a, &vipd, &["drain", "--dry-run"]);
    assert_exit(&plan, 1);
    assert!(plan.stdout.contains("no other node was heard"), "{}", plan.stdout);
    for verb in ["drain", "handover"] {
        let asked = ask(&a, &vipd, &[verb]);
        assert_exit(&asked, 1);
        assert!(asked.stdout.contains("NOBODY took over"), "{}", asked.stdout);
        assert_eq!(router(&vipd)["state"], "master", "{}", asked.stdout);
        assert_eq!(router(&vipd)["drained"], false, "{}", asked.stdout);
        eventually(SOON, "the address", || has_vip(&a)).unwrap();
    }
    let drained = ask(&a, &vipd, &["drain", "--force"]);
    assert_exit(&drained, 1);
    assert!(drained.stdout.contains("its addresses are nowhere"), "{}", drained.stdout);
    assert!(!has_vip(&a));
    let unknown = ask(&a, &vipd, &["drain", "VI_9"]);
    assert_exit(&unknown, 66);
    assert!(unknown.stderr.contains("VI_9") && unknown.stderr.contains("VI_1"));
}

#[test]
fn a_sticky_drain_outlives_the_daemon_and_another_does_not() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let config = config("", 150, "0.1", "");
    for (arguments, survives) in
        [(["drain", "VI_1"].as_slice(), false), (&["drain", "--sticky", "--force"], true)]
    {
        let vipd = start(&a, &config);
        wait_for(&vipd, "state", "master");
        ask(&a, &vipd, arguments);
        let since = router(&vipd)["drained_since"].clone();
        vipd.stop();
        vipd.process().wait(SOON).unwrap();
        let next = start(&a, &config);
        wait_for(&next, "drained", survives);
        if survives {
            assert_eq!(router(&next)["drained_since"], since);
            never(Duration::from_secs(1), || has_vip(&a).then_some(())).unwrap();
            let page = ask(&a, &next, &["status", "VI_1"]).stdout;
            assert!(page.contains("(sticky)"), "{page}");
            // The table, not the state machine's memory, is what counts.
            assert_exit(&ask(&a, &next, &["resume"]), 0);
        }
        wait_for(&next, "state", "master");
        next.stop();
        next.process().wait(SOON).unwrap();
    }
}

fn another_binary(node: &Node) -> PathBuf {
    let path = node.directory().unwrap().join("vipd-new");
    copy_program(&path);
    path
}

fn descriptors(vipd: &Vipd) -> usize {
    fs::read_dir(format!("/proc/{}/fd", vipd.process().pid())).unwrap().count()
}

#[test]
fn an_upgrade_moves_nothing() {
    let _turn = alone();
    for (interval, extra) in [("1", ""), ("0.1", ""), ("0.2", "vipd_lease off")] {
        let pair = Pair::start("", interval, extra);
        let new = another_binary(&pair.a);
        let open = descriptors(&pair.master);
        let at_the_peer = pair.changes_at_the_peer();
        let upgraded = pair.ask(&["upgrade", "--binary", new.to_str().unwrap()]);
        assert_exit(&upgraded, 0);
        println!("{}", upgraded.stdout);
        let pid = pair.master.process().pid();
        assert!(
            upgraded.stdout.contains(&format!("still pid {pid}; 1 of 1")),
            "{}",
            upgraded.stdout
        );
        assert_eq!(fs::read_link(format!("/proc/{pid}/exe")).unwrap(), new);
        assert_eq!(daemon(&pair.master, "upgraded_from"), env!("CARGO_PKG_VERSION"));
        wait_for(&pair.master, "state", "master");
        let lost = pair.lost();
        println!("interval {interval} {extra}: {lost} pings lost");
        assert_eq!(lost, 0);
        assert_eq!(pair.changes_at_the_peer(), at_the_peer);
        assert_eq!(changes(&pair.master), 1);
        // The connection of a client that has its answer may be open for a moment.
        eventually(SOON, "no descriptor to leak into the new binary", || {
            let now = descriptors(&pair.master);
            if now == open { Ok(()) } else { Err(format!("{now}, {open} before")) }
        })
        .unwrap();
        assert!(pair.ask(&["status"]).stdout.contains("adopted 1 virtual router from vipd"));
        // Signals and the lock work as before.
        assert_exit(&pair.ask(&["run", "-c", pair.master.config().to_str().unwrap()]), 73);
        pair.master.stop();
        assert_eq!(pair.master.process().wait(SOON).unwrap(), Exit::Code(0));
    }
}

#[test]
fn a_drained_router_stays_so_through_an_upgrade() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config("", 150, "0.1", ""));
    ask(&a, &vipd, &["drain", "--force"]);
    assert_exit(&ask(&a, &vipd, &["upgrade"]), 0);
    wait_for(&vipd, "drained", true);
    assert_eq!(router(&vipd)["drained_sticky"], false);
}

#[test]
fn a_router_that_was_handed_over_does_not_come_back_through_an_upgrade() {
    let _turn = alone();
    let pair = Pair::start("", "0.2", "");
    assert_exit(&pair.ask(&["handover"]), 0);
    assert_exit(&pair.ask(&["upgrade"]), 0);
    wait_for(&pair.master, "state", "backup");
    // Its priority is the better one: at most 3 intervals and a skew, or it waits for ever.
    never(Duration::from_secs(2), || has_vip(&pair.a).then_some(())).unwrap();
    assert_eq!(pair.lost(), 0);
    // Only for as long as the successor lives.
    pair.backup.kill9();
    wait_for(&pair.master, "state", "master");
}

#[test]
fn a_binary_that_will_not_do_is_refused_and_the_daemon_runs_on() {
    let _turn = alone();
    let pair = Pair::start("", "0.2", "");
    let script = pair.a.directory().unwrap().join("impostor");
    // States a version, takes the configuration, and is no program.
    fs::write(&script, "#!/bin/sh\ncase $1 in --version) echo vipd 9; exit;; esac; exit 78\n")
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (binary, why) in [
        ("/bin/false", "exit status 1"),
        ("/bin/true", "no vipd"),
        (script.to_str().unwrap(), "exit status 78"),
    ] {
        let refused = pair.ask(&["upgrade", "--binary", binary]);
        assert_exit(&refused, 70);
        assert!(refused.stderr.contains(why) && refused.stderr.contains("runs on"));
    }
    fs::write(pair.master.config(), "nonsense").unwrap();
    let refused = pair.ask(&["upgrade"]);
    assert_exit(&refused, 70);
    assert!(refused.stderr.contains("nonsense"), "{}", refused.stderr);
    assert_eq!(router(&pair.master)["state"], "master");
    assert_eq!(pair.lost(), 0);
}

// C60
#[test]
fn a_crash_and_an_immediate_restart_go_unnoticed() {
    let _turn = alone();
    let pair = Pair::start("", "1", "");
    let at_the_peer = pair.changes_at_the_peer();
    let killed = Instant::now();
    pair.master.kill9();
    pair.master.process().wait(SOON).unwrap();
    let next = start(&pair.a, &config("", 150, "1", ""));
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    wait_for(&next, "state", "master");
    assert_eq!(changes(&next), 1, "{}", next.log());
    let lost = pair.lost();
    println!("{lost} pings lost");
    assert_eq!(lost, 0);
    assert_eq!(pair.changes_at_the_peer(), at_the_peer);
    assert_eq!(daemon(&next, "adopted"), 1);
}

// C60
#[test]
fn a_restart_after_three_intervals_removes_what_is_left() {
    let pair = Pair::start("", "0.1", "nopreempt");
    pair.master.kill9();
    pair.master.process().wait(SOON).unwrap();
    wait_for(&pair.backup, "state", "master");
    assert!(has_vip(&pair.a), "the lease is longer than this");
    let next = start(&pair.a, &config("", 150, "0.1", "nopreempt"));
    assert!(!has_vip(&pair.a));
    assert!(next.log().contains("left by an earlier run"), "{}", next.log());
    wait_for(&next, "state", "backup");
    assert_eq!(daemon(&next, "adopted"), 0);
}

#[test]
fn cleanup_removes_our_addresses_and_no_others() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config("", 150, "0.1", "vipd_lease off"));
    eventually(SOON, "the address", || has_vip(&a)).unwrap();
    let refused = ask(&a, &vipd, &["cleanup"]);
    assert_exit(&refused, 73);
    assert!(refused.stderr.contains("--force") && has_vip(&a));
    vipd.process().signal(Signal::SIGSTOP);
    assert_exit(&ask(&a, &vipd, &["cleanup"]), 73);
    vipd.kill9();
    vipd.process().wait(SOON).unwrap();

    let dry = ask(&a, &vipd, &["cleanup", "--dry-run"]);
    assert_eq!(dry.stdout, "would remove 10.0.0.10/24 from eth0\n");
    assert!(has_vip(&a));
    assert_eq!(ask(&a, &vipd, &["cleanup"]).stdout, "removed 10.0.0.10/24 from eth0\n");
    assert!(!has_vip(&a) && a.has_address(Ipv4Addr::new(10, 0, 0, 2)).unwrap());
    assert_eq!(ask(&a, &vipd, &["cleanup"]).stdout, "no address of vipd is here\n");
}

#[test]
fn a_reload_is_waited_for() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config("", 150, "0.1", ""));
    let done = ask(&a, &vipd, &["reload"]);
    assert_exit(&done, 0);
    assert_eq!(done.stdout, "reloaded: nothing changed\n");
    assert_eq!(daemon(&vipd, "reloads"), 1);
    fs::write(vipd.config(), "nonsense {").unwrap();
    let refused = ask(&a, &vipd, &["reload"]);
    assert_exit(&refused, 78);
    assert!(refused.stderr.contains("nonsense"), "{}", refused.stderr);
    assert_eq!(daemon(&vipd, "reloads"), 1);
}

#[test]
fn a_reload_says_what_it_changes_and_a_dry_run_changes_nothing() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config("", 150, "0.1", ""));
    wait_for(&vipd, "state", "master");
    let edited = config("vrrp_startup_delay 2", 120, "0.2", "");
    fs::write(vipd.config(), edited.replace("10.0.0.10/24", "10.0.0.10/24\n10.0.0.11/24")).unwrap();

    let plan = ask(&a, &vipd, &["reload", "--dry-run"]);
    assert_exit(&plan, 0);
    println!("{}", plan.stdout);
    for line in [
        "startup_delay  0 s -> 2 s: from the next start of the daemon on",
        "VI_1: stays MASTER: an advert at once, then every 200 ms",
        "  priority  150 -> 120",
        "  interval  100 ms -> 200 ms",
        "  addresses  + 10.0.0.11/24: keepalived before 2.3.3 refuses",
        "a reload would do this: 1 changed, 1 global setting, 0 unchanged",
    ] {
        assert!(plan.stdout.contains(line), "{line}\n{}", plan.stdout);
    }
    assert_eq!(daemon(&vipd, "reloads"), 0);
    let unchanged = router(&vipd);
    assert_eq!((&unchanged["priority"], &unchanged["interval_ms"]), (&150.into(), &100.into()));

    let done = ask(&a, &vipd, &["reload", "--json"]);
    assert_exit(&done, 0);
    let answer: Value = serde_json::from_str(&done.stdout).unwrap();
    follows(Printed::Reload, &answer);
    assert_eq!((&answer["reloaded"], &answer["refused"]), (&true.into(), &Value::Null));
    let changed = &answer["changes"]["routers"][0];
    assert_eq!((&changed["name"], &changed["state"]), (&"VI_1".into(), &"master".into()));
    assert_eq!(router(&vipd)["priority"], 120);
    assert_eq!(router(&vipd)["state"], "master");
    assert!(vipd.log().contains("configuration reloaded: 1 changed, 1 global setting"));

    fs::write(vipd.config(), "nonsense {").unwrap();
    let refused = ask(&a, &vipd, &["reload", "-n"]);
    assert_exit(&refused, 78);
    assert!(refused.stderr.contains("would be refused"), "{}", refused.stderr);
    assert_eq!(daemon(&vipd, "reload_error"), Value::Null);
}

/// As a user who is not root, perhaps with a group besides.
fn as_user(node: &Node, vipd: &Vipd, groups: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", groups, "--", VIPD]).args(arguments);
    command.arg("--run-dir").arg(vipd.run_dir());
    node.output(command, SOON).unwrap()
}

#[test]
fn only_root_and_the_control_group_command() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&a, &config("vipd_control_group daemon", 150, "0.1", ""));
    wait_for(&vipd, "state", "master");
    let member = "--groups=1";
    assert_exit(&as_user(&a, &vipd, member, &["status"]), 0);
    assert_exit(&as_user(&a, &vipd, member, &["reload"]), 0);
    let upgrade = as_user(&a, &vipd, member, &["upgrade"]);
    assert_exit(&upgrade, 77);
    assert!(upgrade.stderr.contains("only root"), "{}", upgrade.stderr);
    let stranger = as_user(&a, &vipd, "--clear-groups", &["drain"]);
    assert_exit(&stranger, 77);
    assert!(stranger.stderr.contains("control_group"), "{}", stranger.stderr);

    // Without the group the same user is a stranger, and a member of root's group may only look.
    fs::write(vipd.config(), config("", 150, "0.1", "")).unwrap();
    assert_exit(&ask(&a, &vipd, &["reload"]), 0);
    eventually(SOON, "the group to lose its right", || {
        as_user(&a, &vipd, member, &["status"]).exit == Exit::Code(77)
    })
    .unwrap();
    assert_exit(&as_user(&a, &vipd, "--groups=0", &["status"]), 0);
    let denied = as_user(&a, &vipd, "--groups=0", &["drain"]);
    assert_exit(&denied, 77);
    assert!(denied.stderr.contains("control_group"), "{}", denied.stderr);
    assert_eq!(router(&vipd)["drained"], false);
}

#[test]
fn the_service_manager_hears_that_the_loop_lives_until_it_hangs() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let config = a.write_file("keepalived.conf", &config("", 150, "0.1", "")).unwrap();
    let dir = a.directory().unwrap();
    let manager = UnixDatagram::bind(dir.join("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let meals = || {
        let mut text = [0; 512];
        let heard = std::iter::from_fn(|| manager.recv(&mut text).ok().map(|n| text[..n].to_vec()));
        heard.filter(|said| said.starts_with(b"WATCHDOG=1")).count()
    };
    let mut command = Command::new(VIPD);
    command.arg("run").arg("--config").arg(config).arg("--run-dir").arg(dir.join("run"));
    command.env("NOTIFY_SOCKET", dir.join("notify")).env("WATCHDOG_USEC", "400000");
    let vipd = a.spawn(command).unwrap();
    let mut fed = 0;
    eventually(SOON, "five meals", || {
        fed += meals();
        fed >= 5
    })
    .unwrap();
    vipd.signal(Signal::SIGSTOP);
    // What was sent before it stopped.
    eventually(SOON, "silence", || meals() == 0).unwrap();
    never(Duration::from_secs(1), || (meals() > 0).then_some(())).unwrap();
    vipd.signal(Signal::SIGCONT);
    eventually(SOON, "another meal", || meals() > 0).unwrap();
}

#[test]
fn the_threads_that_decide_come_before_ordinary_ones_unless_told_otherwise() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    for (globals, expected) in
        [("vrrp_no_swap", "SCHED_RR 1"), ("vipd_realtime off", "SCHED_OTHER")]
    {
        let vipd = start(&a, &config(globals, 150, "0.1", ""));
        wait_for(&vipd, "state", "master");
        let said = daemon(&vipd, "scheduling");
        let permitted = !vipd.log().contains("no real-time scheduling");
        assert_eq!(said, if permitted { expected } else { "SCHED_OTHER" });
        vipd.stop();
        vipd.process().wait(SOON).unwrap();
    }
}

/// How the process' first thread is scheduled: 0 like any other, 2 in real time (sched(7)).
fn policy(pid: nix::unistd::Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit(')').next()?;
    // Field 41; a process that has ended has none.
    let mut fields = after_name.split_whitespace();
    (fields.next() != Some("Z")).then(|| fields.nth(37).unwrap().to_owned())
}

// Its end waits for the log's thread, which is an ordinary one: a real-time thread that waits by
// spinning kept it, and every other process of the host, from running for almost a second.
#[test]
fn a_daemon_that_has_handed_over_does_not_end_in_real_time() {
    let lab = lab();
    let a = lab.node("lb-01").unwrap();
    a.link("eth0", &["10.0.0.2/24"]).unwrap();
    let config = a.write_file("keepalived.conf", &config("", 150, "0.1", "")).unwrap();
    let dir = a.directory().unwrap();
    // Nobody reads its log: the log's thread hangs.
    let mut command = Command::new("sh");
    command.arg("-c").arg(
        "mkfifo log; exec 2<>log; head -c 65536 /dev/zero >&2; \
         exec \"$0\" run --config \"$1\" --run-dir run",
    );
    command.arg(VIPD).arg(config).current_dir(&dir);
    let vipd = a.spawn(command).unwrap();
    let socket = dir.join("run/vipd.sock");
    eventually(SOON, "the address", || has_vip(&a)).unwrap();
    let before = policy(vipd.pid());
    vipd.signal(Signal::SIGTERM);
    eventually(SOON, "the daemon to be through", || !socket.exists()).unwrap();
    let at_the_end = policy(vipd.pid());
    assert_eq!((before.as_deref(), at_the_end.as_deref()), (Some("2"), Some("0")));
    vipd.wait(SOON).unwrap();
}
