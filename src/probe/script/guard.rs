//! A small process that outlives the daemon by a moment: it knows the process groups of the scripts
//! under way and kills them when the daemon is gone, however that ended.
//!
//! The kernel itself ends the leader of each group with the thread that started it, but not the
//! leader's children. The guard is this program again, started before the first script, and knows
//! only what it is told through a pipe: a number is a group, and the same number negated is one that
//! is over. The end of the pipe is the end of the daemon.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sys::process::{ignore_signals, set_nonblocking};

/// The daemon's end.
#[derive(Debug)]
pub(super) struct Guard {
    process: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// Starts `program guard`.
    pub(super) fn start(program: &Path) -> io::Result<Guard> {
        let mut command = Command::new(program);
        command.arg("guard").env_clear().process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let pipe = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // It reads at once what it is told; if it cannot, nobody shall wait for it.
        set_nonblocking(&pipe)?;
        Ok(Guard { process, pipe })
    }

    /// The group runs.
    pub(super) fn add(&mut self, group: Pid) -> io::Result<()> {
        self.pipe.write_all(&group.as_raw().to_ne_bytes())
    }

    /// The group is over.
    pub(super) fn remove(&mut self, group: Pid) -> io::Result<()> {
        self.pipe.write_all(&(-group.as_raw()).to_ne_bytes())
    }
}

impl Drop for Guard {
    /// A guard that has missed something might kill the wrong group one day.
    fn drop(&mut self) {
        // It can only fail if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The guard's end: reads until the daemon is gone, then kills what is left.
pub fn serve(mut pipe: impl Read) {
    // Ctrl-C or a service manager addresses the daemon, which decides what becomes of it.
    ignore_signals(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    let mut groups = BTreeSet::new();
    let mut message = [0; size_of::<i32>()];
    while pipe.read_exact(&mut message).is_ok() {
        let group = i32::from_ne_bytes(message);
        if group > 1 {
            groups.insert(group);
        } else {
            groups.remove(&group.saturating_neg());
        }
    }
    for group in groups {
        // One that has ended needs no killing.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}
