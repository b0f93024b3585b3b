//! A whole daemon with a haproxy.cfg alone: no virtual router, no rights.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use vipd::lab::deadline::eventually;

/// A vipd of a haproxy.cfg, at a loopback address of its own.
pub(crate) struct Vipd {
    dir: tempfile::TempDir,
    process: Child,
    host: String,
}

impl Vipd {
    /// HOST in the text stands for the address.
    pub(crate) fn start(config: &str) -> Vipd {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = format!("127.{}.{high}.{}", NEXT.fetch_add(1, Ordering::Relaxed), low.max(1));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("haproxy.cfg"), config.replace("HOST", &host)).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_vipd"))
            .args(["run", "--no-realtime", "--config", "haproxy.cfg", "--run-dir", "run"])
            .current_dir(dir.path())
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

    fn try_command(&self, args: &[&str]) -> Output {
        let run_dir = self.dir.path().join("run");
        let mut vipd = Command::new(env!("CARGO_BIN_EXE_vipd"));
        vipd.args(args).arg("--run-dir").arg(run_dir).output().unwrap()
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
