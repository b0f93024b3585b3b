//! What scripts and FIFOs are told, next to keepalived and at the ends of the daemon's life.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::signal::Signal;
use vipd::lab::deadline::{eventually, never};
use vipd::lab::keepalived::Keepalived;
use vipd::lab::raw::{Datagram, checksum};
use vipd::lab::{Node, Vipd};

use crate::SOON;
use crate::common::{QUIET, Site, await_state, binary, ip, site, snapshot, start, status, web};
use crate::turns::together;

/// Reads a FIFO, whoever makes it again, until it is dropped.
struct Follower {
    lines: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    fn start(path: PathBuf) -> Follower {
        let (lines, over) = (Arc::<Mutex<String>>::default(), Arc::<AtomicBool>::default());
        let (read, stop) = (Arc::clone(&lines), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path) {
                    Ok(pipe) => follow(pipe, &path, &read, &stop),
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Follower { lines, over, thread: Some(thread) }
    }

    /// What each router and group was told, in order.
    fn told(&self) -> BTreeMap<String, Vec<String>> {
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in self.lines.lock().unwrap().lines() {
            let mut parts = line.splitn(3, ' ');
            let (kind, name) = (parts.next().unwrap(), parts.next().unwrap());
            let rest = parts.next().unwrap().to_owned();
            told.entry(format!("{kind} {name}")).or_default().push(rest);
        }
        told
    }

    fn await_line(&self, line: &str) {
        eventually(SOON, format!("the line {line}"), || {
            let lines = self.lines.lock().unwrap().clone();
            if lines.lines().any(|l| l == line) { Ok(()) } else { Err(lines) }
        })
        .unwrap();
    }
}

/// Until the FIFO is another one.
fn follow(mut pipe: File, path: &Path, lines: &Mutex<String>, stop: &AtomicBool) {
    let inode = pipe.metadata().unwrap().ino();
    let mut buffer = [0; 4096];
    loop {
        let gone = fs::metadata(path).map_or(true, |found| found.ino() != inode);
        match pipe.read(&mut buffer) {
            Ok(0) if gone || stop.load(Ordering::Relaxed) => return,
            Ok(0) => thread::sleep(Duration::from_millis(1)),
            Ok(count) => {
                let text = String::from_utf8_lossy(&buffer[..count]);
                lines.lock().unwrap().push_str(&text);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A program that notes its arguments, one line per run.
fn noting(node: &Node, name: &str) -> (PathBuf, PathBuf) {
    let log = node.directory().unwrap().join(format!("{name}.log"));
    let text = format!("#!/bin/sh\necho \"$#: $*\" >> {}\n", log.display());
    let script = node.write_file(name, &text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, log)
}

fn lines(log: &Path) -> Vec<String> {
    fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Four instances and a group, VRIDs from `vrid` on; `all` of them or only those that stay.
fn config(vrid: u8, script: &Path, fifo: &Path, weight: &Path, all: bool) -> String {
    let (n, fifo, weight) = (script.display(), fifo.display(), weight.display());
    let instance = |name: &str, at: u8, priority: u8, more: &str| {
        let vrid = vrid + at;
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n \
             priority {priority}\n advert_int 1\n virtual_ipaddress {{ 10.0.{vrid}.1/24 }}\n{more}}}\n"
        )
    };
    let every = format!(
        " notify_master \"{n} master 'a  b' x\\ y\"\n notify_backup \"{n} backup\"\n \
         notify_fault \"{n} fault\"\n notify_stop \"{n} stop\"\n notify_deleted \"{n} deleted\"\n \
         notify_master_rx_lower_pri \"{n} rival\"\n notify \"{n} any\"\n"
    );
    let mut text = format!(
        "global_defs {{\n script_user root\n vrrp_notify_fifo {fifo}\n \
         vrrp_notify_priority_changes\n fifo_write_vrrp_states_on_reload\n}}\n\
         track_file weight {{\n file {weight}\n weight 1\n}}\n\
         vrrp_sync_group G {{\n group {{\n B1\n B2\n }}\n notify_master \"{n} gmaster\"\n \
         notify_backup \"{n} gbackup\"\n notify_fault \"{n} gfault\"\n notify_stop \"{n} gstop\"\n \
         notify \"{n} gany\"\n}}\n"
    );
    text += &instance("A", 0, 100, &every);
    text += &instance("B1", 1, 100, &format!(" notify \"{n} any\"\n"));
    text += &instance("B2", 2, 101, "");
    if all {
        text += &instance("C", 3, 102, &format!("{every} track_file {{ weight }}\n"));
        let quiet = format!(" notify \"{n} any\"\n notify_fault \"{n} fault\"\n");
        text += &instance("D", 4, 102, &quiet);
    }
    text
}

/// An advert of somebody else with priority 50.
fn rival(client: &Node, vrid: u8) {
    let mut message = vec![0x21, vrid, 50, 1, 0, 1, 0, 0, 10, 0, vrid, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let sum = checksum(&message).to_be_bytes();
    message[6..8].copy_from_slice(&sum);
    let datagram = Datagram::vrrp(ip("10.0.0.9"), ip("224.0.0.18"), message);
    client.send_datagram("eth0", &datagram).unwrap();
}

/// One of the two daemons.
enum Daemon {
    Vipd(Vipd),
    Keepalived(Keepalived, PathBuf),
}

impl Daemon {
    fn reload(&self, config: &str) {
        match self {
            Daemon::Vipd(vipd) => vipd.reload(config).unwrap(),
            Daemon::Keepalived(keepalived, file) => {
                fs::write(file, config).unwrap();
                keepalived.process().signal(Signal::SIGHUP);
            }
        }
    }

    fn stop(&self) {
        let process = match self {
            Daemon::Vipd(vipd) => vipd.process(),
            Daemon::Keepalived(keepalived, _) => keepalived.process(),
        };
        process.signal(Signal::SIGTERM);
        process.wait(SOON).unwrap();
    }

    fn log(&self) -> String {
        match self {
            Daemon::Vipd(vipd) => vipd.log(),
            Daemon::Keepalived(keepalived, _) => keepalived.log(),
        }
    }
}

/// What FIFO and scripts of a host are told from start to stop.
fn life(
    client: &Node,
    node: &Node,
    vrid: u8,
    begin: impl FnOnce(&Node, &str) -> Daemon,
) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let directory = node.directory().unwrap();
    let (script, log) = noting(node, "note");
    let (fifo, weight) = (directory.join("fifo"), node.write_file("weight", "0\n").unwrap());
    let text = |all| config(vrid, &script, &fifo, &weight, all);
    let follower = Follower::start(fifo.clone());
    let daemon = begin(node, &text(true));
    let masters = |a: &str| {
        for (name, priority) in [("A", "100"), ("B1", "100"), ("C", a), ("D", "102")] {
            follower.await_line(&format!("INSTANCE \"{name}\" MASTER {priority}"));
        }
        follower.await_line("GROUP \"G\" MASTER 0");
    };
    masters("102");
    fs::write(&weight, "5\n").unwrap();
    follower.await_line("INSTANCE \"C\" MASTER_PRIORITY 107");
    rival(client, vrid);
    follower.await_line("INSTANCE \"A\" MASTER_RX_LOWER_PRI 100");
    // What is out of date when its turn comes is not told by vipd: let every script have its turn.
    let scripts_ran = |wanted: &[&str]| {
        eventually(SOON, "the scripts", || {
            let ran = lines(&log);
            let all = wanted.iter().all(|line| ran.iter().any(|l| l == line));
            if all { Ok(()) } else { Err(ran.join("\n")) }
        })
        .unwrap();
    };
    scripts_ran(&["1: rival"]);
    node.unplug_link("eth0").unwrap();
    follower.await_line("INSTANCE \"D\" FAULT 102");
    follower.await_line("GROUP \"G\" FAULT 0");
    follower.await_line("INSTANCE \"C\" FAULT 107");
    scripts_ran(&[
        "5: any INSTANCE A FAULT 100",
        "5: any INSTANCE B1 FAULT 100",
        "5: any INSTANCE C FAULT 107",
        "5: any INSTANCE D FAULT 102",
        "5: gany GROUP G FAULT 0",
    ]);
    node.plug_link("eth0").unwrap();
    masters("107");
    // Each again, and the states of those that stay.
    let told = |name: &str| follower.told().get(name).cloned().unwrap_or_default();
    eventually(SOON, "everyone to be master again", || {
        let masters =
            |name: &&str| told(name).iter().filter(|line| line.starts_with("MASTER ")).count() == 2;
        let all = ["INSTANCE \"A\"", "INSTANCE \"B1\"", "INSTANCE \"D\"", "GROUP \"G\""];
        if all.iter().all(masters) { Ok(()) } else { Err(format!("{:?}", follower.told())) }
    })
    .unwrap();
    daemon.reload(&text(false));
    follower.await_line("INSTANCE \"C\" DELETED 107");
    eventually(SOON, "the end of D", || {
        let told = told("INSTANCE \"D\"");
        if told.last().is_some_and(|last| last == "FAULT 102") {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .unwrap();
    eventually(SOON, "the repetition", || {
        let told = told("GROUP \"G\"");
        if told.len() == 6 { Ok(()) } else { Err(format!("{told:?}\n{}", daemon.log())) }
    })
    .unwrap();
    daemon.stop();
    follower.await_line("GROUP \"G\" STOP 0");
    never(QUIET, || None::<()>).unwrap();
    let mut argv = lines(&log);
    argv.sort();
    (follower.told(), argv)
}

// C100: the same life, the same words.
#[test]
fn scripts_and_fifos_are_told_what_keepalived_tells() {
    let _turn = together();
    let Site { lab: _lab, a, b, client } = site();
    let (ours, theirs) = thread::scope(|scope| {
        let ours = scope.spawn(|| {
            life(&client, &a, 51, |node, text| {
                Daemon::Vipd(Vipd::start(node, binary(), "keepalived.conf", text).unwrap())
            })
        });
        let theirs = scope.spawn(|| {
            life(&client, &b, 61, |node, text| {
                let file = node.directory().unwrap().join("keepalived.conf");
                Daemon::Keepalived(Keepalived::start(node, text).unwrap(), file)
            })
        });
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    for (subject, lines) in &theirs.0 {
        println!("{subject}: {}", lines.join(", "));
        let mut own = ours.0.get(subject).cloned().unwrap_or_default();
        if subject.starts_with("INSTANCE") {
            // Its manual promises the states of instances after a reload as well, but it repeats
            // those of groups only.
            own.dedup();
        }
        assert_eq!(own, *lines, "{subject}");
    }
    let again = ["MASTER 100", "MASTER 100", "STOP 100"].map(str::to_owned);
    assert!(ours.0["INSTANCE \"A\""].ends_with(&again), "{:?}", ours.0);
    assert_eq!(ours.0.len(), theirs.0.len());
    println!("{}", theirs.1.join("\n"));
    assert_eq!(ours.1, theirs.1);
}

/// What a flapping link makes of one instance: the lines of its FIFO and what its slow script noted.
fn flapping(
    node: &Node,
    vrid: u8,
    begin: impl FnOnce(&Node, &str) -> Daemon,
) -> (Vec<String>, Vec<String>) {
    const FLAPS: usize = 6;
    let directory = node.directory().unwrap();
    let (fifo, log) = (directory.join("fifo"), directory.join("log"));
    let text = format!("#!/bin/sh\nsleep 0.5\necho $3 $VIPD_SKIPPED >> {}\n", log.display());
    let script = node.write_file("slow", &text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let (fifo_path, script) = (fifo.display(), script.display());
    let config = format!(
        "global_defs {{\n script_user root\n vrrp_notify_fifo {fifo_path}\n}}\n\
         vrrp_instance A {{\n interface eth0\n virtual_router_id {vrid}\n priority 100\n \
         advert_int 1\n virtual_ipaddress {{ 10.0.{vrid}.1/24 }}\n notify {script}\n}}\n"
    );
    let follower = Follower::start(fifo);
    let daemon = begin(node, &config);
    let told = || follower.told().remove("INSTANCE \"A\"").unwrap_or_default();
    let count = |state: &str, wanted: usize| {
        eventually(SOON, format!("{state} number {wanted}"), || {
            let found = told().iter().filter(|line| line.starts_with(state)).count();
            if found == wanted { Ok(()) } else { Err(format!("{:?}", told())) }
        })
        .unwrap();
    };
    count("MASTER", 1);
    for n in 1..=FLAPS {
        node.unplug_link("eth0").unwrap();
        count("FAULT", n);
        node.plug_link("eth0").unwrap();
        count("BACKUP", n + 1);
    }
    count("MASTER", 2);
    eventually(SOON, "the last state to be told", || {
        let noted = lines(&log);
        let last = noted.iter().filter(|line| line.starts_with("MASTER")).count() == 2;
        if last { Ok(()) } else { Err(noted.join("\n")) }
    })
    .unwrap();
    let noted = lines(&log);
    daemon.stop();
    count("STOP", 1);
    (told(), noted)
}

// C100 under flapping: the FIFO has keepalived's lines in keepalived's order, and the script, slower
// than the link, learns the states in their order and nothing that is out of date.
#[test]
fn a_flapping_link_is_told_in_order_and_a_slow_script_nothing_out_of_date() {
    let _turn = together();
    let Site { lab: _lab, a, b, .. } = site();
    let (ours, theirs) = thread::scope(|scope| {
        let ours = scope.spawn(|| {
            flapping(&a, 51, |node, text| {
                Daemon::Vipd(Vipd::start(node, binary(), "keepalived.conf", text).unwrap())
            })
        });
        let theirs = scope.spawn(|| {
            flapping(&b, 61, |node, text| {
                let file = node.directory().unwrap().join("keepalived.conf");
                Daemon::Keepalived(Keepalived::start(node, text).unwrap(), file)
            })
        });
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    println!("{}\nkeepalived's script: {:?}\nours: {:?}", ours.0.join(", "), theirs.1, ours.1);
    assert_eq!(ours.0, theirs.0);
    let mut states = ours.0.iter().filter_map(|line| line.split(' ').next());
    let mut skipped = 0;
    for noted in &ours.1 {
        let (state, overtaken) = noted.split_once(' ').unwrap();
        assert!(states.any(|told| told == state), "{noted} is out of order: {:?}", ours.1);
        skipped += overtaken.parse::<usize>().unwrap();
    }
    // Two states per flap, the first backup, two masters; the stop comes later.
    assert_eq!(ours.1.len() + skipped, 2 * 6 + 3, "{:?}", ours.1);
    assert!(skipped > 0, "{:?}", ours.1);
    assert!(ours.1.last().unwrap().starts_with("MASTER"), "{:?}", ours.1);
}

/// A script that hangs on MASTER, and notes everything else with its environment.
#[test]
fn a_hanging_script_is_killed_the_next_state_told_and_the_status_says_so() {
    let _turn = together();
    let Site { lab: _lab, a, .. } = site();
    let log = a.directory().unwrap().join("log");
    let text = format!(
        "#!/bin/sh\n[ $3 = MASTER ] && sleep 600\n\
         echo \"$3 after $VIPD_PREVIOUS_STATE\" >> {}\n",
        log.display()
    );
    let script = a.write_file("state.sh", &text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let notify = format!(
        "[vrrp.web.notify]\nany = {{ command = \"{}\", user = \"root\" }}\ntimeout = \"1s\"\n",
        script.display()
    );
    let vipd = start(&a, &(web(150, "") + &notify));
    await_state(&vipd, "master");
    eventually(SOON, "the script to be killed", || {
        let runs = status(&vipd)["notify"]["runs"].clone();
        if runs.to_string().contains("timed out") { Ok(()) } else { Err(runs) }
    })
    .unwrap();
    a.unplug_link("eth0").unwrap();
    await_state(&vipd, "fault");
    eventually(SOON, "the next state", || {
        let lines = lines(&log);
        let wanted = ["BACKUP after ", "FAULT after MASTER"];
        if lines == wanted { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .unwrap();
    let mut shown = Command::new(binary());
    shown.args(["status", "--run-dir"]).arg(vipd.run_dir()).arg("web");
    let shown = a.output(shown, SOON).unwrap().stdout;
    assert!(shown.contains("any MASTER failed"), "{shown}");
}

#[test]
fn a_reload_asked_for_while_the_daemon_starts_waits_for_its_end() {
    let _turn = together();
    let Site { lab: _lab, a, .. } = site();
    let (note, log) = noting(&a, "note");
    let gate = log.with_file_name("gate");
    let wait = format!(
        "#!/bin/sh\n{} begin\nuntil [ -e {} ]; do sleep 0.01; done\n",
        note.display(),
        gate.display()
    );
    let script = a.write_file("wait", &wait).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let with = |priority| {
        format!("[global]\nstartup_script = \"{}\"\n{}", script.display(), web(priority, ""))
    };
    let vipd = start(&a, &with(150));
    eventually(SOON, "the start", || {
        let lines = lines(&log);
        if lines == ["1: begin"] { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .unwrap();
    vipd.reload(&with(140)).unwrap();
    fs::write(&gate, "").unwrap();
    await_state(&vipd, "master");
    eventually(SOON, "the new priority", || {
        let priority = snapshot(&vipd)["routers"][0]["base_priority"].clone();
        if priority == 140 { Ok(()) } else { Err(priority) }
    })
    .unwrap();
}

#[test]
fn an_upgrade_tells_nothing_again_and_a_stop_is_told_before_the_end() {
    let _turn = together();
    let Site { lab: _lab, a, .. } = site();
    let (script, log) = noting(&a, "note");
    let note = script.display();
    let text = format!(
        "[global]\nstartup_script = \"{note} begin\"\nshutdown_script = \"{note} end\"\n\
         {}[vrrp.web.notify]\nany = \"{note}\"\n",
        web(150, "")
    );
    let vipd = start(&a, &text);
    await_state(&vipd, "master");
    let told = |wanted: &[&str]| {
        eventually(SOON, "the telling", || {
            let lines = lines(&log);
            if lines == wanted { Ok(()) } else { Err(format!("{lines:?}")) }
        })
        .unwrap();
    };
    let mut all = vec!["1: begin", "4: INSTANCE web BACKUP 150", "4: INSTANCE web MASTER 150"];
    told(&all);
    let mut upgrade = Command::new(binary());
    upgrade.args(["upgrade", "--run-dir"]).arg(vipd.run_dir());
    let upgraded = a.output(upgrade, SOON).unwrap();
    assert!(upgraded.exit.success(), "{upgraded:?}");
    eventually(SOON, "the successor", || {
        let from = snapshot(&vipd)["daemon"]["upgraded_from"].clone();
        if from.is_string() { Ok(()) } else { Err(from) }
    })
    .unwrap();
    await_state(&vipd, "master");
    never(QUIET, || (lines(&log) != all).then(|| lines(&log))).unwrap();
    vipd.stop();
    assert!(vipd.process().wait(SOON).unwrap().success(), "{}", vipd.log());
    all.extend(["4: INSTANCE web STOP 150", "1: end"]);
    assert_eq!(lines(&log), all, "told before the process ended");
}
