//! A daemon that is stopped, killed, denied its log or its run directory (C109 to C111, R36, R37).

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use vipd::lab::deadline::{eventually, never};
use vipd::lab::{Capture, Decoded, Exit, Node, Proc, Stamp, Vipd};

use crate::SOON;
use crate::common::{
    INTERVAL, Machine, QUIET, Site, VIP, adverts, await_address, await_advert, await_one_holder,
    await_state, binary, counter, ip, longest_gap, pass, site, snapshot, start, status, web,
};
use crate::turns::{alone, together};

/// Many intervals: whoever sleeps this long has been replaced.
const STALL: Duration = Duration::from_millis(2_500);

fn gratuitous_from(wire: &Capture, node: &Node) -> usize {
    let own = node.link_status("eth0").unwrap().unwrap().mac;
    let of_node =
        |d| matches!(d, Decoded::Arp(arp) if arp.is_gratuitous() && arp.sender_mac == own);
    wire.new_frames().iter().filter(|f| of_node(f.decode())).count()
}

// C109
#[test]
fn a_stalled_master_that_is_still_the_best_speaks_once_when_it_wakes() {
    let _turn = alone();
    let Site { lab, a, b, client } = site();
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    let second = start(&b, &web(100, ""));
    await_state(&second, "backup");
    first.process().signal(Signal::SIGSTOP);
    await_state(&second, "master");
    pass(STALL);
    let wire = lab.capture_port(&client, "eth0").unwrap();
    wire.mark();
    let machine = Machine::watch();
    let woken = Stamp::now();
    first.process().signal(Signal::SIGCONT);
    let (at, _) = await_advert(&wire, "10.0.0.2");
    assert!(at.since(woken) < machine.allows(INTERVAL), "{}", wire.transcript());
    await_state(&second, "backup");
    let sent = adverts(&wire.frames(), "10.0.0.2");
    let at_once = sent.iter().filter(|(t, _)| t.since(woken) < INTERVAL - INTERVAL / 10).count();
    assert_eq!(at_once, 1, "{}", wire.transcript());
    // One round for its return, another if the lease had ended meanwhile.
    let rounds = gratuitous_from(&wire, &a);
    assert!(rounds <= 13, "{rounds}\n{}", wire.transcript());
    let router = await_state(&first, "master");
    assert!(router["counters"]["stalls"].as_u64() >= Some(1), "{router:#}");
    await_address(&a, VIP, true);
    assert_eq!(await_one_holder(&[&a, &b]), 0);
}

// C110
#[test]
fn a_stalled_master_that_was_outranked_says_nothing_when_it_wakes() {
    let _turn = alone();
    let Site { lab, a, b, client } = site();
    let first = start(&a, &web(100, ""));
    await_state(&first, "master");
    first.process().signal(Signal::SIGSTOP);
    let second = start(&b, &web(200, ""));
    await_state(&second, "master");
    pass(STALL);
    let wire = lab.capture_port(&client, "eth0").unwrap();
    wire.mark();
    first.process().signal(Signal::SIGCONT);
    await_state(&first, "backup");
    await_address(&a, VIP, false);
    never(QUIET, || {
        let spoke =
            !adverts(&wire.frames(), "10.0.0.2").is_empty() || gratuitous_from(&wire, &a) > 0;
        spoke.then(|| wire.transcript())
    })
    .unwrap();
    assert_eq!(await_one_holder(&[&a, &b]), 1);
    assert_eq!(wire.lost(), 0);
}

// C111
#[test]
fn a_stalled_backup_hears_what_waited_before_it_acts() {
    let _turn = alone();
    let Site { lab, a, b, client } = site();
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    let second = start(&b, &web(100, ""));
    await_state(&second, "backup");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    second.process().signal(Signal::SIGSTOP);
    pass(STALL);
    second.process().signal(Signal::SIGCONT);
    never(QUIET, || {
        let spoke = !adverts(&wire.frames(), "10.0.0.3").is_empty();
        (spoke || b.has_address(ip(VIP)).unwrap()).then(|| wire.transcript())
    })
    .unwrap();
    assert_eq!(counter(&second, "master_transitions"), 0);
    assert_eq!(status(&first)["state"], "master");
}

#[test]
fn a_killed_master_loses_its_address_by_itself_and_comes_back_in_order() {
    let _turn = together();
    let Site { a, b, .. } = site();
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    await_address(&a, VIP, true);
    let second = start(&b, &web(100, ""));
    await_state(&second, "backup");
    let mut running = first;
    for _ in 0..2 {
        // At once: it goes on before anybody has noticed, or as a backup after a clean-up.
        running.kill9();
        running.process().wait(SOON).unwrap();
        running = start(&a, &web(200, ""));
        await_state(&running, "master");
    }
    running.kill9();
    running.process().wait(SOON).unwrap();
    await_state(&second, "master");
    // The lease is 2 s, and the kernel may be 1.5 s late.
    await_address(&a, VIP, false);
    assert_eq!(await_one_holder(&[&a, &b]), 1);
    let again = start(&a, &web(200, ""));
    await_state(&again, "master");
    await_state(&second, "backup");
    assert_eq!(await_one_holder(&[&a, &b]), 0);
}

/// A daemon behind a shell line that ends in `exec "$@"`.
fn behind_shell(node: &Node, line: &str, config: &str) -> Proc {
    let file = node.write_file("vipd.toml", config).unwrap();
    let run_dir = node.directory().unwrap().join("run");
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).arg("sh").arg(binary()).args(["run", "--config"]).arg(file);
    command.arg("--run-dir").arg(run_dir);
    node.spawn(command).unwrap()
}

fn asked(node: &Node) -> Result<Value, String> {
    let mut command = Command::new(binary());
    command.args(["status", "--json", "--run-dir"]).arg(node.directory().unwrap().join("run"));
    let finished = node.output(command, SOON).unwrap();
    serde_json::from_str(&finished.stdout).map_err(|_| finished.stderr)
}

fn await_asked_state(node: &Node, state: &str) -> Value {
    eventually(SOON, format!("state {state}"), || match asked(node) {
        Ok(status) if status["routers"][0]["state"] == state => Ok(status),
        Ok(status) => Err(status.to_string()),
        Err(why) => Err(why),
    })
    .unwrap()
}

#[test]
fn a_log_nobody_reads_loses_lines_and_nothing_else() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    a.link_with(vipd::lab::LinkSpec {
        name: "noise0".parse().unwrap(),
        addresses: Vec::new(),
        mac: None,
        lan: 1,
    })
    .unwrap();
    let fifo = a.directory().unwrap().join("log");
    let fill = format!(
        "mkfifo {0} && exec 3<>{0} && head -c 65536 /dev/zero >&3 && VIPD_LOG=trace exec \"$@\" 2>&3",
        fifo.display()
    );
    let daemon = behind_shell(&a, &fill, &web(200, ""));
    await_asked_state(&a, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    let noise: String = (0..4000)
        .map(|n| {
            let cidr = format!("10.9.{}.{}/32", n / 250, n % 250 + 1);
            format!("addr add {cidr} dev noise0\naddr del {cidr} dev noise0\n")
        })
        .collect();
    let file = a.write_file("noise", &noise).unwrap();
    let mut batch = Command::new("ip");
    batch.arg("-batch").arg(file);
    assert!(a.output(batch, SOON * 6).unwrap().exit.success());
    let status = eventually(SOON, "lost lines", || {
        let status = asked(&a)?;
        let lost = status["daemon"]["log_lines_lost"].as_u64();
        if lost > Some(0) { Ok(status) } else { Err(status.to_string()) }
    })
    .unwrap();
    assert_eq!(status["routers"][0]["state"], "master");
    // It stays like this, the log being stuck.
    pass(QUIET);
    let gap = longest_gap(&adverts(&wire.frames(), "10.0.0.2"));
    assert!(gap < machine.allows(INTERVAL * 3), "{gap:?}");
    // It can even stop.
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(SOON).unwrap(), Exit::Code(0));
    assert!(!a.has_address(ip(VIP)).unwrap());
}

#[test]
fn a_closed_standard_error_is_no_reason_to_fail() {
    let _turn = together();
    let Site { a, .. } = site();
    let daemon = behind_shell(&a, "exec \"$@\" 0<&- 1>&- 2>&-", &web(200, ""));
    await_asked_state(&a, "master");
    await_address(&a, VIP, true);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(SOON).unwrap(), Exit::Code(0));
    assert!(!a.has_address(ip(VIP)).unwrap());
}

/// A reader of the log that goes away, as `vipd run 2>&1 | head` has.
#[test]
fn a_log_reader_that_goes_away_is_no_reason_to_fail() {
    let _turn = together();
    let Site { a, .. } = site();
    let daemon = behind_shell(&a, "\"$@\" 2>&1 | head -n 1", &web(200, ""));
    await_asked_state(&a, "master");
    pass(QUIET);
    eventually(SOON, "an answer", || asked(&a)).unwrap();
    drop(daemon);
}

#[test]
fn a_run_directory_that_cannot_be_used_is_named_with_the_reason() {
    let _turn = together();
    let Site { a, .. } = site();
    let file = a.write_file("vipd.toml", &web(200, "")).unwrap();
    let place = a.directory().unwrap().join("small");
    fs::create_dir_all(&place).unwrap();
    for (prepare, words) in [
        ("head -c 1M /dev/zero >small/filler 2>/dev/null;", "No space left on device"),
        ("mount -o remount,ro small &&", "Read-only file system"),
    ] {
        let script = format!(
            "cd {} && mount -t tmpfs -o size=4k,mode=755 tmpfs small && {prepare} \
             exec {} run --config {} --run-dir small",
            a.directory().unwrap().display(),
            binary().display(),
            file.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        let finished = a.output(command, SOON).unwrap();
        assert_eq!(finished.exit, Exit::Code(73), "{}", finished.stderr);
        let said = &finished.stderr;
        assert!(said.contains(words) && said.contains("small/"), "{said}");
    }
    assert!(!a.has_address(ip(VIP)).unwrap());
}

#[test]
fn a_socket_and_a_pid_left_by_another_are_replaced() {
    let _turn = together();
    let Site { a, .. } = site();
    let run_dir = a.directory().unwrap().join("run");
    fs::create_dir_all(&run_dir).unwrap();
    // Init's number: a running process, but not the holder of the lock.
    fs::write(run_dir.join("vipd.pid"), "1\n").unwrap();
    drop(std::os::unix::net::UnixListener::bind(run_dir.join("vipd.sock")).unwrap());
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let pid = fs::read_to_string(run_dir.join("vipd.pid")).unwrap();
    assert_eq!(pid.trim(), vipd.process().pid().to_string());
}

#[test]
fn a_storm_of_reloads_changes_nothing() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    for _ in 0..500 {
        vipd.process().signal(Signal::SIGHUP);
        pass(Duration::from_millis(2));
    }
    let daemon = snapshot(&vipd)["daemon"].clone();
    assert!(daemon["reloads"].as_u64() >= Some(2), "{daemon:#}");
    let gap = longest_gap(&adverts(&wire.frames(), "10.0.0.2"));
    assert!(gap < machine.allows(INTERVAL * 2), "{gap:?}");
    let router = status(&vipd);
    assert_eq!(router["counters"]["master_transitions"], 1, "{router:#}");
    assert_eq!(router["counters"]["addresses_readded"], 0);
}

#[test]
fn a_second_sigterm_ends_it_at_once_and_the_lease_does_the_rest() {
    let _turn = together();
    let Site { a, b, .. } = site();
    let first = start(&a, &web(200, ""));
    await_state(&first, "master");
    let second = start(&b, &web(100, ""));
    await_state(&second, "backup");
    first.stop();
    first.stop();
    let exit = first.process().wait(Duration::from_secs(2)).unwrap();
    assert!(matches!(exit, Exit::Code(0 | 143)), "{exit}");
    await_state(&second, "master");
    await_address(&a, VIP, false);
    assert_eq!(await_one_holder(&[&a, &b]), 1);
}

/// Makes the control thread turn in a circle where it waits: whatever returns from there jumps to
/// itself. The threads that wait in the same function do so too; the one that watches does not.
fn jam(vipd: &Vipd) {
    let jump_to_itself: &[u8] = match std::env::consts::ARCH {
        "x86_64" => &[0xeb, 0xfe],
        "aarch64" => &[0x00, 0x00, 0x00, 0x14],
        other => panic!("how does {other} jump to itself?"),
    };
    let pid = vipd.process().pid();
    let blocked = format!("/proc/{pid}/task/{pid}/syscall");
    let place = eventually(SOON, "the control thread to wait", || {
        let state = fs::read_to_string(&blocked).unwrap();
        let place = state.split_whitespace().last().and_then(|place| place.strip_prefix("0x"));
        place.and_then(|place| u64::from_str_radix(place, 16).ok()).ok_or(state)
    });
    let memory = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/mem")).unwrap();
    memory.write_all_at(jump_to_itself, place.unwrap()).unwrap();
}

#[test]
fn a_control_loop_that_is_stuck_ends_the_process_and_one_that_was_stopped_does_not() {
    let _turn = together();
    let Site { a, b, .. } = site();
    let stopped = start(&b, &web(100, ""));
    let stuck = start(&a, &format!("[global]\nrealtime = false\n{}", web(200, "")));
    await_state(&stuck, "master");
    await_address(&a, VIP, true);
    stopped.process().signal(Signal::SIGSTOP);
    jam(&stuck);
    let exit = stuck.process().wait(Duration::from_secs(15)).unwrap();
    assert_eq!(exit, Exit::Signal(Signal::SIGABRT), "{}", stuck.process().output());
    let log = stuck.process().output();
    assert!(log.contains("stuck for 5 s") && log.contains("state R"), "{log}");
    await_address(&a, VIP, false);
    // It was away for longer than a loop may be stuck.
    stopped.process().signal(Signal::SIGCONT);
    await_state(&stopped, "master");
    assert_eq!(await_one_holder(&[&a, &b]), 1);
    never(QUIET, || stopped.process().exit()).unwrap();
}
