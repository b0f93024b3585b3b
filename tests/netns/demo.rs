//! `vipd demo` as its user meets it: on a terminal, in a pipe, interrupted, without rights.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vipd::lab::deadline::eventually;

use crate::SOON;
use crate::common::copy_program;
use crate::turns::{long, together};

/// The promise of `vipd demo --help` is half of this.
const WHOLE_DEMO: Duration = Duration::from_secs(60);

const NOBODY: u32 = 65534;

const ACTS: [&str; 5] = [
    "1. Both daemons start",
    "2. lb-01 dies",
    "3. lb-01 boots again",
    "4. lb-01 is stopped",
    "5. pg-01, the database's primary, dies",
];

#[test]
fn on_a_terminal_the_rows_are_redrawn_within_80_columns() {
    let _turn = long();
    let run = Run::on_terminal(&["demo"], &[("LANG", "C.UTF-8")]);
    let namespaces = run.namespaces();
    assert_eq!(run.wait(WHOLE_DEMO), Some(0), "{}", run.output());
    let output = run.output();
    check_acts(&output);
    assert!(output.contains("\x1b[3A"), "nothing was redrawn in place:\n{output}");
    assert!(output.contains("\x1b[32m━"), "no colour:\n{output}");

    let shown = shown(&output);
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
    // The last drawing of act 2: the thick line moves from lb-01 to lb-02, the client has a gap.
    let act = &shown[shown.find(ACTS[1]).unwrap()..shown.find(ACTS[2]).unwrap()];
    let last = |name: &str| act.lines().rfind(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(last("  lb-01").contains("━x") && last("  lb-01").ends_with("down"), "{act}");
    assert!(last("  lb-02").contains("─━") && last("  lb-02").ends_with("MASTER"), "{act}");
    assert!(last("  client").contains("·····"), "{act}");
    // In act 5 the writers have a row of their own, with a gap.
    let act = &shown[shown.find(ACTS[4]).unwrap()..shown.find("What the client noticed").unwrap()];
    let last = act.lines().rfind(|line| line.starts_with("  writers")).unwrap();
    assert!(last.contains("━····") && last.ends_with("pg-02"), "{act}");
    run.left_nothing(&namespaces);
}

#[test]
fn in_a_pipe_every_event_is_a_plain_line() {
    let _turn = long();
    let run = Run::in_pipe(Command::new(vipd()).arg("demo").env("LANG", "C.UTF-8"));
    let namespaces = run.namespaces();
    assert_eq!(run.wait(WHOLE_DEMO), Some(0), "{}", run.output());
    let output = run.output();
    check_acts(&output);
    assert!(!output.contains('\x1b') && !output.contains('\r'), "{output}");
    for line in output.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
    for event in [
        "s  lb-01 is MASTER",
        "s  lb-01 is down",
        "s  client: 10.0.0.10 does not answer",
        "s  lb-02 is MASTER",
        "s  client: 10.0.0.10 answers from lb-02",
        "s  pg-01 is dead",
        "s  pg-02 is promoted",
    ] {
        assert!(output.contains(event), "{event}:\n{output}");
    }
    run.left_nothing(&namespaces);
}

#[test]
fn interrupted_in_the_middle_it_leaves_nothing_and_says_so() {
    let _turn = together();
    let environment = [("LANG", "C"), ("NO_COLOR", "1")];
    for (signal, act, code) in [
        (Signal::SIGINT, ACTS[1], 130),
        (Signal::SIGTERM, ACTS[0], 143),
        (Signal::SIGHUP, ACTS[0], 129),
    ] {
        let run = Run::on_terminal(&["demo"], &environment);
        let namespaces = run.namespaces();
        run.shows(WHOLE_DEMO, act);
        run.shows(SOON, "\x1b[3A");
        run.signal(signal);
        assert_eq!(run.wait(SOON), Some(code), "{signal}: {}", run.output());
        let output = run.output();
        assert!(output.contains("demo interrupted"), "{output}");
        // NO_COLOR, and a locale without line-drawing characters: up and erase only.
        for sequence in output.split("\x1b[").skip(1) {
            assert!(sequence.starts_with("3A") || sequence.starts_with('K'), "{sequence}");
        }
        assert!(output.is_ascii(), "{output}");
        run.left_nothing(&namespaces);
    }
}

#[test]
fn a_takeover_that_does_not_happen_is_a_failure_with_its_reason() {
    let _turn = together();
    let run = Run::in_pipe(Command::new(vipd()).arg("demo"));
    run.shows(WHOLE_DEMO, ACTS[1]);
    let namespaces = run.namespaces();
    let backup = run.processes().into_iter().find(|process| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("lb-02/keepalived.conf")
    });
    let pid = backup.unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    assert_eq!(run.wait(WHOLE_DEMO), Some(70), "{}", run.output());
    let output = run.output();
    for part in [
        "vipd: demo failed: lb-01 dies: expected lb-01 down, lb-02 MASTER, answer from lb-02\n\
         but there is lb-01 down, lb-02 down, no answer ",
        "The last lines lb-02 logged:",
        "Entering BACKUP STATE",
    ] {
        assert!(output.contains(part), "{part}:\n{output}");
    }
    assert!(!output.contains(ACTS[2]), "{output}");
    run.left_nothing(&namespaces);
}

#[test]
fn without_root_a_user_namespace_will_do_where_there_are_any() {
    let _turn = long();
    let allowed = as_nobody("unshare").args(["--user", "true"]).status().unwrap().success();
    let (_keep, binary) = program_for_everyone();
    let run = Run::in_pipe(as_nobody(&binary).arg("demo"));
    if allowed {
        let namespaces = run.namespaces();
        assert_eq!(run.wait(WHOLE_DEMO), Some(0), "{}", run.output());
        check_acts(&run.output());
        assert!(run.output().contains("Not root, so all of this is in a user namespace"));
        run.left_nothing(&namespaces);
    } else {
        assert_eq!(run.wait(SOON), Some(77), "{}", run.output());
        assert!(run.output().starts_with("vipd: demo: cannot make a user namespace: "));
    }
}

#[test]
fn where_users_may_not_make_namespaces_it_says_which_setting_forbids_it() {
    let _turn = together();
    // A user namespace of many users, in which its root forbids any further one.
    let (_keep, binary) = program_for_everyone();
    let script = format!(
        // The second shell is started by a user who is root by then.
        "read mapped; exec sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; \
         exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"{}\" demo'",
        binary.display()
    );
    let mut command = Command::new("unshare");
    let mut run = Run::in_pipe(command.args(["--user", "sh", "-c", &script]));
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    let of = |what: &str| PathBuf::from(format!("/proc/{}/{what}", run.pid));
    eventually(SOON, "unshare to unshare", || {
        fs::read_link(of("ns/user")).is_ok_and(|namespace| namespace != own)
    })
    .unwrap();
    fs::write(of("uid_map"), "0 0 70000").unwrap();
    fs::write(of("gid_map"), "0 0 70000").unwrap();
    run.type_in("go");
    assert_eq!(run.wait(SOON), Some(77), "{}", run.output());
    assert_eq!(
        run.output(),
        "vipd: demo: cannot make a user namespace: this system has user.max_user_namespaces = 0\n\
         Run it as root, or allow it with: sysctl -w user.max_user_namespaces=10000\n"
    );
}

#[test]
fn keep_opens_a_shell_in_which_every_suggested_breakage_works() {
    let _turn = long();
    let mut run =
        Run::in_pipe(Command::new(vipd()).args(["demo", "--keep"]).env("SHELL", "/bin/sh"));
    run.shows(WHOLE_DEMO, "exit ends everything.");
    let namespaces = run.namespaces();
    run.type_in("hostname; ip -brief address show eth0");
    run.shows(SOON, "10.0.0.100/24");

    let output = run.output();
    let (_, advice) = output.split_once("Try:").unwrap();
    let (advice, others) = advice.split_once("From another terminal:").unwrap();
    let commands: Vec<&str> = advice.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(advice.lines().filter(|line| line.starts_with(char::is_numeric)).count(), 5);
    assert_eq!(commands.len(), 8, "{commands:?}");
    // Whose turn it is to hold the address after each command.
    let holders = ["lb-02", "lb-01", "lb-02", "lb-01", "lb-01", "lb-01", "lb-02", "lb-02"];
    for (number, (command, holder)) in (1..).zip(commands.iter().zip(holders)) {
        run.type_in(&format!("{{ {command}; }} && echo did-$(({number}+0))"));
        run.shows(SOON, &format!("did-{number}\n"));
        let ask =
            format!("vipd status --json --run-dir {holder}/run | grep -c '\"state\": \"master\"'");
        eventually(SOON, format!("{holder} to be master after {command}"), || {
            run.type_in(&format!("echo masters-after-{number}: $({ask})"));
            thread::sleep(Duration::from_millis(200));
            let output = run.output();
            if output.contains(&format!("masters-after-{number}: 1")) {
                Ok(())
            } else {
                Err(output)
            }
        })
        .unwrap();
    }
    run.shows(SOON, "[client] 10.0.0.10 answers from lb-02");
    // Command 8 deleted the address by hand; the daemon put it back.
    run.type_in("vipd-status");
    run.shows(SOON, "restored once");
    run.type_in("vipd-log lb-01");
    run.shows(SOON, "configuration reloaded");

    for host in ["lb-01", "lb-02", "client"] {
        let line = others.lines().find(|line| line.trim_start().starts_with(host)).unwrap();
        let command = line.trim_start().strip_prefix(host).unwrap();
        let output = Command::new("sh").args(["-c", &format!("{command} hostname")]).output();
        assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout).trim(), host);
    }
    run.type_in("exit 3");
    assert_eq!(run.wait(SOON), Some(0), "{}", run.output());
    run.left_nothing(&namespaces);
}

/// Every act is there with its figure, and the figures are those of the protocol.
fn check_acts(output: &str) {
    for act in ACTS {
        assert!(output.contains(act), "{act} is missing:\n{output}");
    }
    for host in ["lb-01", "lb-02"] {
        let (_, status) = output.split_once(&format!("{host}# vipd status")).unwrap();
        assert!(
            status.contains(&format!("{host}: vipd {}", env!("CARGO_PKG_VERSION"))),
            "{output}"
        );
    }
    let shown = shown(output);
    let (_, table) = shown.split_once("What the client noticed").unwrap();
    let row = |title: &str| {
        let line =
            table.lines().find(|line| line.contains(title)).unwrap_or_else(|| panic!("{table}"));
        line.split_once(title).unwrap().1.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text}: {table}"));
    // A busy machine may add the demo's own tolerance of 1 s, or be late with the last advert, which
    // shortens an outage.
    // C36
    let start = row(". both start");
    assert_eq!(start[0], "lb-01");
    assert!((3605..=4605).contains(&number(&start[1])), "{table}");
    // C38: two to three intervals and a skew after the crash.
    let crash = row(". lb-01 dies");
    assert_eq!(crash[0], "lb-02");
    assert!((2000..=4609).contains(&number(&crash[1])), "{table}");
    assert!((500..=2305).contains(&number(&crash[3])), "{table}");
    // C54, C42
    let back = row(". lb-01 comes back");
    assert_eq!(back[0], "lb-01");
    assert!(back[1] == "none" || number(&back[1]) <= 1000, "{table}");
    // C45, C57
    let stop = row(". lb-01 is stopped");
    assert_eq!(stop[0], "lb-02");
    // The address answers until its successor has it: a ping or two at most.
    assert!(stop[1] == "none" || number(&stop[1]) <= 1000, "{table}");
    // Nobody could be written to for 1.5 s; clients waited for as long and were not refused.
    let (_, waited) = table.split_once("5. pg-01 dies: writers waited ").unwrap();
    let (waited, rest) = waited.split_once(" ms; ").unwrap();
    assert!(rest.starts_with("no connection failed"), "{table}");
    assert!((1500..=3500).contains(&number(waited)), "{table}");
    assert!(output.contains("vipd check /etc/keepalived/keepalived.conf"));
    assert!(output.contains("Everything the demo made is gone again"));
}

/// The lines as written, without escape sequences: each redrawing is a line of its own.
fn shown(output: &str) -> String {
    let mut text = String::new();
    let mut rest = output.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => drop(rest.by_ref().skip(1).find(char::is_ascii_alphabetic)),
            '\r' => {}
            c => text.push(c),
        }
    }
    text
}

fn vipd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vipd"))
}

/// A copy of the program where any user may run it: a checkout can be private.
fn program_for_everyone() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = directory.path().join("vipd");
    copy_program(&binary);
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    (directory, binary)
}

fn as_nobody(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
    command
}

/// A running program, its output so far, and a directory for temporary files of its own, by which
/// its processes are known.
struct Run {
    pid: i32,
    child: Mutex<Child>,
    output: Arc<Mutex<Vec<u8>>>,
    temporary: tempfile::TempDir,
}

impl Run {
    fn on_terminal(args: &[&str], environment: &[(&str, &str)]) -> Run {
        let size = Winsize { ws_row: 40, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).unwrap();
        let mut command = Command::new(vipd());
        command.args(args).env_clear().envs(environment.iter().copied());
        command.env("TERM", "xterm-256color");
        let other = || terminal.slave.try_clone().unwrap();
        command.stdin(other()).stdout(other()).stderr(terminal.slave.try_clone().unwrap());
        let run = Run::start(&mut command, File::from(terminal.master));
        drop(terminal.slave);
        run
    }

    fn in_pipe(command: &mut Command) -> Run {
        let (read, write) = std::io::pipe().unwrap();
        command.stdin(Stdio::piped()).stdout(write.try_clone().unwrap()).stderr(write);
        Run::start(command, File::from(std::os::fd::OwnedFd::from(read)))
    }

    fn start(command: &mut Command, mut from: File) -> Run {
        let temporary = tempfile::Builder::new().prefix("demo-test-").tempdir().unwrap();
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let child = command.env("TMPDIR", temporary.path()).spawn().unwrap();
        // The command keeps the write ends open; without them the reader sees the end.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let output = Arc::new(Mutex::new(Vec::new()));
        let so_far = Arc::clone(&output);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose other end is closed gives EIO.
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                so_far.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        let pid = i32::try_from(child.id()).unwrap();
        Run { pid, child: Mutex::new(child), output, temporary }
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    fn shows(&self, within: Duration, text: &str) {
        let what = format!("{text:?} to be shown");
        eventually(within, what, || {
            let output = self.output();
            if output.contains(text) { Ok(()) } else { Err(output) }
        })
        .unwrap();
    }

    fn type_in(&mut self, line: &str) {
        let child = self.child.get_mut().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap();
    }

    /// The exit code.
    fn wait(&self, within: Duration) -> Option<i32> {
        let start = Instant::now();
        let status = eventually(within, "the program to end", || {
            let status = self.child.lock().unwrap().try_wait().unwrap();
            status.ok_or_else(|| self.output())
        });
        let code = status.unwrap().code();
        // What it wrote last may still be on its way to the reader.
        thread::sleep(Duration::from_millis(100));
        println!("ended after {:?}", start.elapsed());
        code
    }

    /// The network namespaces it has made, as soon as they are all there.
    fn namespaces(&self) -> BTreeSet<u64> {
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        eventually(SOON, "a switch and five hosts", || {
            let made: BTreeSet<u64> = self
                .processes()
                .into_iter()
                .flat_map(|process| namespaces_of(&process).collect::<Vec<_>>())
                .filter(|namespace| *namespace != own)
                .collect();
            if made.len() == 6 { Ok(made) } else { Err(format!("{made:?}: {}", self.output())) }
        })
        .unwrap()
    }

    /// Every process with our TMPDIR.
    fn processes(&self) -> Vec<PathBuf> {
        let mark = self.temporary.path().to_str().unwrap();
        processes()
            .into_iter()
            .filter(|process| {
                let environment = fs::read(process.join("environ")).unwrap_or_default();
                String::from_utf8_lossy(&environment).contains(mark)
            })
            .collect()
    }

    fn left_nothing(&self, namespaces: &BTreeSet<u64>) {
        assert_eq!(self.processes(), Vec::<PathBuf>::new(), "processes");
        let files: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(files.is_empty(), "{files:?}");
        // Another test may get the number of one of them for a namespace of its own.
        let before: Vec<PathBuf> = processes();
        // The kernel takes a moment after the last process.
        eventually(SOON, "the namespaces to be gone", || {
            let left: Vec<&PathBuf> = before
                .iter()
                .filter(|process| !process.ends_with(std::process::id().to_string()))
                .filter(|process| namespaces_of(process).any(|id| namespaces.contains(&id)))
                .collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .unwrap();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        if child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

fn processes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let numbered =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u32>().is_ok();
    entries.filter(numbered).collect()
}

/// The network namespaces a process's threads live in or its descriptors name.
fn namespaces_of(process: &Path) -> impl Iterator<Item = u64> + use<> {
    let list = |what: &str| fs::read_dir(process.join(what)).into_iter().flatten().flatten();
    let threads = list("task").map(|task| task.path().join("ns/net"));
    let descriptors = list("fd").map(|fd| fd.path());
    threads.chain(descriptors).filter_map(|path| {
        let target = fs::read_link(path).ok()?;
        target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
    })
}
