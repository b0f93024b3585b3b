//! Two daemons in one network namespace: no router and no address belongs to both.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use vipd::lab::deadline::eventually;
use vipd::lab::{Exit, Finished, Node, Proc, Vipd};

use crate::SOON;
use crate::common::{
    Site, VIP, await_address, await_state, binary, counter, ip, site, start, status, web,
};
use crate::turns::together;

/// A configuration and a run directory beside those of the first daemon.
struct Second<'a> {
    node: &'a Node,
    config: PathBuf,
    run_dir: PathBuf,
}

impl Second<'_> {
    fn of<'a>(node: &'a Node, config: &str) -> Second<'a> {
        let run_dir = node.directory().unwrap().join("second");
        Second { node, config: node.write_file("second.toml", config).unwrap(), run_dir }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(&self.config).arg("--run-dir").arg(&self.run_dir);
        command
    }

    fn refused(&self) -> Finished {
        let finished = self.node.output(self.command(), SOON).unwrap();
        assert_eq!(finished.exit, Exit::Code(73), "{}", finished.stderr);
        finished
    }

    fn started(&self) -> Proc {
        let process = self.node.spawn(self.command()).unwrap();
        process.wait_for_output(SOON, "started").unwrap();
        process
    }

    fn says(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--run-dir").arg(&self.run_dir);
        self.node.output(command, SOON).unwrap()
    }
}

/// Another router with an address of its own.
fn other() -> String {
    web(150, "addresses = [\"10.0.0.200/24\"]").replace("vrid = 51", "vrid = 52")
}

fn names(said: &str, vipd: &Vipd) -> bool {
    let pid = format!("pid {}", vipd.process().pid());
    said.contains(&pid) && said.contains(vipd.run_dir().to_str().unwrap())
}

/// Nothing was taken from it and put back.
fn assert_untouched(vipd: &Vipd, node: &Node) {
    assert!(node.has_address(ip(VIP)).unwrap());
    assert_eq!(status(vipd)["counters"]["master_transitions"], 1, "{}", vipd.log());
    assert_eq!(counter(vipd, "addresses_readded"), 0, "{}", vipd.log());
}

#[test]
fn a_router_and_an_address_of_a_living_daemon_are_refused_and_the_daemon_is_named() {
    let _turn = together();
    let Site { a, .. } = site();
    let first = start(&a, &web(150, ""));
    await_state(&first, "master");
    await_address(&a, VIP, true);
    let same_router = web(150, "addresses = [\"10.0.0.200/24\"]");
    let same_address = web(150, "").replace("vrid = 51", "vrid = 52");
    for (config, what) in [(web(150, ""), VIP), (same_router, "VRID 51"), (same_address, VIP)] {
        let said = Second::of(&a, &config).refused().stderr;
        assert!(said.contains(what) && names(&said, &first), "{said}");
    }
    assert_untouched(&first, &a);
    // One that hangs has it, too, until it is dead.
    first.process().signal(Signal::SIGSTOP);
    let second = Second::of(&a, &web(150, ""));
    let said = second.refused().stderr;
    assert!(said.contains(&format!("pid {}", first.process().pid())), "{said}");
    first.kill9();
    drop(second.started());
}

#[test]
fn daemons_with_routers_of_their_own_run_beside_each_other() {
    let _turn = together();
    let Site { a, .. } = site();
    let first = start(&a, &web(150, ""));
    await_state(&first, "master");
    await_address(&a, VIP, true);
    let second = Second::of(&a, &other());
    let process = second.started();
    await_address(&a, "10.0.0.200", true);
    assert_untouched(&first, &a);

    // A reload cannot take what the first one has.
    std::fs::write(&second.config, web(150, "")).unwrap();
    for arguments in [&["reload"][..], &["reload", "--dry-run"]] {
        let refused = second.says(arguments);
        assert!(!refused.exit.success() && names(&refused.stderr, &first), "{refused:?}");
    }
    assert_untouched(&first, &a);
    assert!(a.has_address(ip("10.0.0.200")).unwrap());
    let cleanup = second.says(&["cleanup", "--dry-run"]);
    assert!(names(&cleanup.stdout, &first) && !cleanup.stdout.contains("would"), "{cleanup:?}");

    // What one gives up is the other's to take; a reload of the same keeps what it has.
    first.reload(&other().replace("52", "53").replace("0.200", "0.201")).unwrap();
    await_address(&a, VIP, false);
    eventually(SOON, "the second daemon to take it", || {
        let reload = second.says(&["reload"]);
        if reload.exit.success() { Ok(()) } else { Err(reload.stderr) }
    })
    .unwrap();
    await_address(&a, VIP, true);
    assert!(second.says(&["reload"]).exit.success());
    process.signal(Signal::SIGTERM);
    assert_eq!(process.wait(SOON).unwrap(), Exit::Code(0));
}

#[test]
fn a_daemon_keeps_what_it_has_through_an_upgrade_and_gets_it_back_after_its_death() {
    let _turn = together();
    let Site { a, .. } = site();
    let first = start(&a, &web(150, ""));
    await_state(&first, "master");
    let mut upgrade = Command::new(binary());
    upgrade.args(["upgrade", "--run-dir"]).arg(first.run_dir());
    assert!(a.output(upgrade, SOON).unwrap().exit.success(), "{}", first.log());
    let said = Second::of(&a, &web(150, "")).refused().stderr;
    assert!(names(&said, &first), "{said}");
    await_state(&first, "master");
    // Without waiting for its end.
    first.kill9();
    let config = first.config().to_owned();
    let again = Second { node: &a, config, run_dir: a.directory().unwrap().join("second") };
    again.started();
}

/// Whoever may not set addresses may not keep a daemon from starting either.
#[test]
fn a_lock_of_a_stranger_is_said_and_keeps_nobody_from_starting() {
    let _turn = together();
    let Site { a, .. } = site();
    let hold = "import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind('\\0vipd/eth0/address/10.0.0.100')
s.listen(0)
print('bound', flush=True)
time.sleep(60)";
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", hold]);
    let stranger = a.spawn(command).unwrap();
    stranger.wait_for_output(SOON, "bound").unwrap();
    let vipd = start(&a, &web(150, ""));
    await_state(&vipd, "master");
    assert!(vipd.log().contains("user 65534"), "{}", vipd.log());
    assert!(Path::new(&format!("/proc/{}", stranger.pid())).exists());
}
