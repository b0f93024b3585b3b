//! A whole daemon with a haproxy.cfg alone: no virtual router, no rights.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use vipd::lab::deadline::eventually;

/// The haproxy.cfg published with Patroni, at the loopback address.
pub(crate) fn published() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/golden/config/published/patroni-3node.cfg");
    let text = std::fs::read_to_string(path).unwrap();
    text.replace("bind *:", "bind HOST:").replace("10.0.1.1", "127.0.0.1")
}

/// A vipd of a haproxy.cfg, at a loopback address of its own.
pub(crate) struct Vipd {
    dir: tempfile::TempDir,
    process: Child,
    host: String,
}

impl Vipd {
    /// HOST in the text stands for the address.
    pub(crate) fn start(config: &str) -> Vipd {
        Vipd::start_with(config, &[])
    }

    pub(crate) fn start_with(config: &str, options: &[&str]) -> Vipd {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = format!("127.{}.{high}.{}", NEXT.fetch_add(1, Ordering::Relaxed), low.max(1));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("haproxy.cfg"), config.replace("HOST", &host)).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_vipd"))
            .args(["run", "--no-realtime", "--config", "haproxy.cfg", "--run-dir", "run"])
            .args(options)
            .current_dir(dir.path())
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Vipd { dir, process, host }
    }

    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        format!("{}:{port}", self.host).parse().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// A `vipd` command about this daemon.
    pub(crate) fn asks(&self, args: &[&str]) -> Command {
        let mut vipd = Command::new(env!("CARGO_BIN_EXE_vipd"));
        vipd.args(args).arg("--run-dir").arg(self.dir.path().join("run"));
        vipd
    }

    fn try_command(&self, args: &[&str]) -> Output {
        self.asks(args).output().unwrap()
    }

    /// Output of a `vipd` command about this daemon.
    pub(crate) fn command(&self, args: &[&str]) -> String {
        let done = self.try_command(args);
        assert!(done.status.success(), "{done:?}\n{}", self.log());
        String::from_utf8(done.stdout).unwrap()
    }

    pub(crate) fn reload(&self, config: &str) {
        let text = config.replace("HOST", &self.host);
        std::fs::write(self.dir.path().join("haproxy.cfg"), text).unwrap();
        self.command(&["reload"]);
    }
}

impl Drop for Vipd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_moves_addresses_says_that_there_are_none() {
    let vipd = Vipd::start("listen pg\n bind HOST:5000\n server a 127.0.0.1:1\n");
    let up = || vipd.try_command(&["status"]).status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    for command in ["drain", "resume", "handover"] {
        let done = vipd.try_command(&[command]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(66), "{command}: {said}");
        assert!(said.contains("there is no virtual router here"), "{command}: {said}");
        assert_eq!(done.stdout, b"");
    }
}

/// What proc_pid_status(5) says of a set of signals, as a bit each.
fn signals(pid: u32, set: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

#[test]
fn no_signal_but_term_and_int_ends_it() {
    let mut vipd = Vipd::start("listen pg\n bind HOST:5000\n server a 127.0.0.1:1\n");
    let pid = vipd.process.id();
    let bit = |signal: u32| 1_u64 << (signal - 1);
    let hangup = bit(1);
    // As soon as it runs: it has not even read its configuration.
    let kept = || (signals(pid, "SigBlk") | signals(pid, "SigCgt")) & hangup != 0;
    eventually(Duration::from_secs(20), "signals to be held", || kept().then_some(())).unwrap();
    // Those that end a process by default: signal(7). 32 and 33 are the C library's own.
    let fatal = [1, 3, 10, 12, 13, 14, 16, 24, 25, 26, 27, 29, 30].into_iter().chain(34..=64);
    let send_all = || {
        let each = fatal.clone().map(|signal| format!("kill -{signal} {pid};"));
        let sent = Command::new("sh").arg("-c").arg(each.collect::<String>()).status().unwrap();
        assert!(sent.success());
    };
    send_all();
    let up = || vipd.try_command(&["status"]).status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    send_all();
    let handled = || {
        let pending = signals(pid, "ShdPnd") | signals(pid, "SigPnd");
        (pending == 0).then_some(()).ok_or(pending)
    };
    eventually(Duration::from_secs(20), "all to be handled", handled).unwrap();
    vipd.command(&["status"]);
    let log = vipd.log();
    for said in ["SIGQUIT has no effect", "SIGALRM has no effect", "SIGRTMIN+3 has no effect"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    for dump in ["keepalived.data", "keepalived.stats", "keepalived.json"] {
        let written = || vipd.dir.path().join(dump).exists().then_some(());
        eventually(Duration::from_secs(20), dump, written).unwrap();
    }
    let term = Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status().unwrap();
    assert!(term.success());
    assert_eq!(vipd.process.wait().unwrap().code(), Some(0), "{}", vipd.log());
}

#[test]
fn a_script_starts_with_every_signal_as_it_is_by_default_and_the_rights_of_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let (config, seen) = (dir.path().join("vipd.toml"), dir.path().join("seen"));
    let script =
        format!("grep -E '^(Sig|Cap)' /proc/self/status > {0}.new; mv {0}.new {0}", seen.display());
    std::fs::write(dir.path().join("look.sh"), format!("#!/bin/sh\n{script}\n")).unwrap();
    let text = format!(
        "[global]\nstartup_script = [\"/bin/sh\", \"{}\"]\n[cluster.pg]\nmembers = [\"127.0.0.1\"]\n\
         [listener]\nread = {{ bind = \"127.77.3.1:5000\", role = \"reader\" }}\n",
        dir.path().join("look.sh").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_vipd"))
        .args(["run", "--no-realtime", "--config"])
        .arg(&config)
        .arg("--run-dir")
        .arg(dir.path().join("run"))
        .stderr(File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let look = || std::fs::read_to_string(&seen).map_err(|error| error.to_string());
    let status = eventually(Duration::from_secs(20), "the script to run", look);
    // CAP_SYS_ADMIN and CAP_SYS_MODULE are for nothing a daemon does, but a root script may need them.
    let needless = 1 << 21 | 1 << 16;
    let daemon = signals(process.id(), "CapEff") & needless;
    let _ = process.kill();
    let _ = process.wait();
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let status = status.unwrap_or_else(|error| panic!("{error:?}\n{log}"));
    let script = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let script = u64::from_str_radix(script.trim(), 16).unwrap() & needless;
    assert_eq!((daemon, script), (0, signals(std::process::id(), "CapEff") & needless));
    for set in ["SigBlk", "SigIgn"] {
        let line = status.lines().find(|line| line.starts_with(set)).unwrap();
        let signals = u64::from_str_radix(line.rsplit(':').next().unwrap().trim(), 16).unwrap();
        // Nobody but the C library can touch these two.
        let library_s = (1 << (32 - 1)) | (1 << (33 - 1));
        assert_eq!(signals & !library_s, 0, "{status}");
    }
}

#[test]
fn a_json_log_is_nothing_but_json() {
    let good = "global\n log /dev/log local0\nlisten pg\n bind HOST:5000\n option tcplog\n \
                server a 127.0.0.1:1\n";
    let mut vipd = Vipd::start_with(good, &["--log-format", "json"]);
    let up = || vipd.try_command(&["status"]).status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    vipd.reload(&good.replace("option tcplog", "option tcplog\n option dontlognull"));
    let file = vipd.dir.path().join("haproxy.cfg");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("server", "sewer")).unwrap();
    assert!(!vipd.try_command(&["reload"]).status.success());
    let term = Command::new("kill").arg(vipd.process.id().to_string()).status().unwrap();
    assert!(term.success());
    vipd.process.wait().unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_vipd"))
        .args(["run", "--log-format", "json", "--config", "haproxy.cfg"])
        .current_dir(vipd.dir.path())
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let log = vipd.log() + std::str::from_utf8(&refused.stderr).unwrap();
    let said = |what: &str| log.lines().any(|line| line.contains(what));
    assert!(said("reload refused") && said("configuration reloaded") && said("sewer"), "{log}");
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|value| value["level"].is_string()), "{line}");
    }
}

#[test]
fn a_reload_says_in_the_log_what_is_new_and_no_more() {
    let good = "global\n log /dev/log local0\nlisten pg\n bind HOST:5000\n option tcplog\n \
                server a 127.0.0.1:1\n";
    let vipd = Vipd::start(good);
    let up = || vipd.try_command(&["status"]).status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    let before = vipd.log().lines().count();
    vipd.reload(good);
    let reloaded = || vipd.log().contains("configuration reloaded").then_some(());
    eventually(Duration::from_secs(20), "the line", reloaded).unwrap();
    let log = vipd.log();
    assert_eq!(log.lines().count(), before + 1, "{log}");
}

#[test]
fn a_reload_of_a_file_that_blocks_is_given_up_and_the_next_one_works() {
    let good = "listen pg\n bind HOST:5000\n server a 127.0.0.1:1\n";
    let vipd = Vipd::start(good);
    let up = || vipd.try_command(&["status"]).status.success().then_some(());
    eventually(Duration::from_secs(20), "an answer", up).unwrap();
    let file = vipd.dir.path().join("haproxy.cfg");
    std::fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    let done = vipd.try_command(&["reload"]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && said.contains("FIFO"), "{said}");
    std::fs::remove_file(&file).unwrap();
    vipd.reload(good);
}

#[test]
fn a_reload_whose_listener_does_not_open_fails_and_says_so_and_the_others_serve() {
    let good = "listen pg\n bind HOST:5000\n server a 127.0.0.1:1\n";
    let vipd = Vipd::start(good);
    let listens = |port| TcpStream::connect(vipd.at(port)).ok().map(drop);
    eventually(Duration::from_secs(20), "the port to be open", || listens(5000)).unwrap();
    let other = TcpListener::bind(vipd.at(5001)).unwrap();
    let taken = format!("{good}listen other\n bind HOST:5001\n server a 127.0.0.1:1\n");
    let file = vipd.dir.path().join("haproxy.cfg");
    std::fs::write(&file, taken.replace("HOST", &vipd.host)).unwrap();
    let done = vipd.try_command(&["reload"]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(71), "{said}");
    let why = format!("listen on {} for other: Address already in use", vipd.at(5001));
    assert!(said.contains(&why), "{said}");
    let done = vipd.try_command(&["reload", "--json"]);
    assert_eq!(done.status.code(), Some(71));
    let answer: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(answer["failures"][0].as_str().unwrap().contains(&why), "{answer}");
    assert!(vipd.command(&["status"]).contains("Address already in use"));
    listens(5000).unwrap();
    drop(other);
    let works = || vipd.try_command(&["reload"]).status.success().then(|| listens(5001)).flatten();
    eventually(Duration::from_secs(20), "the listener to open", works).unwrap();
}

/// The check asks another port, as Patroni's does: with HAProxy, too, the server stays up.
#[test]
fn a_server_that_refuses_clients_although_its_check_passes_is_named_at_once() {
    let checked = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let vipd = Vipd::start(&format!(
        "listen pool\n bind HOST:5000\n timeout queue 200ms\n retries 0\n \
         server bouncer {service} check port {}\n",
        checked.local_addr().unwrap().port()
    ));
    let fine = |status: &str| status.contains("bouncer") && !status.contains("last connection");
    let up = || {
        let done = vipd.try_command(&["status"]);
        fine(&String::from_utf8_lossy(&done.stdout)).then_some(())
    };
    eventually(Duration::from_secs(20), "it to be used", up).unwrap();
    let connect = || TcpStream::connect(vipd.at(5000)).unwrap();
    drop(connect());
    let refused = format!("bouncer at {service} refused the last ");
    let named = || {
        let status = vipd.command(&["status"]);
        let both = status.contains(&refused) && status.contains("(the last connection failed)");
        both.then_some(()).ok_or(status)
    };
    eventually(Duration::from_secs(20), "it to be named", named).unwrap();
    let _service = TcpListener::bind(service).unwrap();
    let _client = connect();
    let well = || fine(&vipd.command(&["status"])).then_some(());
    eventually(Duration::from_secs(20), "it to be well again", well).unwrap();
}
