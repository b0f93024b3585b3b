//! Processes inside a host, which never outlive it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::deadline::{Overdue, eventually};
use super::error::Result;
use super::lock;
use super::node::Node;
use crate::sys::netns;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

impl Exit {
    /// By itself with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "killed by {signal}"),
        }
    }
}

/// A process that has ended, and what it said.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A process started in a host: the leader of its own process group, whose output is kept in
/// memory. Dropping it kills the whole group with SIGKILL; so does the end of this program.
#[derive(Debug)]
pub struct Proc {
    program: String,
    pid: Pid,
    child: Mutex<Child>,
    stdout: File,
    stderr: Option<File>,
    /// The process must not outlive the host, nor the host's thread the process.
    node: Node,
}

impl Node {
    /// Starts a process inside the host.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the program cannot be run.
    pub fn spawn(&self, command: Command) -> Result<Proc> {
        Proc::start(self, command, false)
    }

    /// Runs a program inside the host to its end, output and errors kept apart.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it cannot be run, [`Error::Overdue`] if it takes longer than `within`.
    pub fn output(&self, command: Command, within: Duration) -> Result<Finished> {
        Proc::start(self, command, true)?.finish(within)
    }
}

impl Proc {
    /// Starts `command` in `node`; standard error joins standard output unless `apart`.
    fn start(node: &Node, mut command: Command, apart: bool) -> Result<Proc> {
        let program = Path::new(command.get_program())
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let (child, stdout, stderr) = node.inside(format!("run {program}"), move || {
            let (stdout, to_stdout) = output()?;
            let (stderr, to_stderr) = if apart {
                let (keep, give) = output()?;
                (Some(keep), give)
            } else {
                (None, to_stdout.try_clone()?)
            };
            command.stdin(Stdio::null()).stdout(to_stdout).stderr(to_stderr).process_group(0);
            netns::die_with_spawning_thread(&mut command);
            Ok((command.spawn()?, stdout, stderr))
        })?;
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let node = node.clone();
        Ok(Proc { program, pid, child: Mutex::new(child), stdout, stderr, node })
    }

    /// The process id, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The program's name without its directory.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The host it runs in.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// What it has printed so far, standard error included unless that is kept apart.
    #[must_use]
    pub fn output(&self) -> String {
        read(&self.stdout)
    }

    /// Signals the process itself, not its group. Nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) {
        // Not reaped before the drop, so the number cannot have been given to another process;
        // and a signal to one that has ended is no error.
        let _ = kill(self.pid, signal);
    }

    /// Kills the process itself as `kill -9` does; its children learn of it as in real life.
    pub fn kill9(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Signals every process of the group.
    pub fn signal_group(&self, signal: Signal) {
        // No error if all have ended: see `signal`.
        let _ = killpg(self.pid, signal);
    }

    /// How it has ended, or `None` while it runs.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid), look) {
            Ok(WaitStatus::Exited(_, code)) => Some(Exit::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::Signal(signal)),
            _ => None,
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Overdue`] with the last lines it printed.
    pub fn wait(&self, within: Duration) -> Result<Exit, Overdue> {
        let what = format!("{} (pid {}) on {} to end", self.program, self.pid, self.node.name());
        eventually(within, what, || self.exit().ok_or_else(|| self.last_lines()))
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// [`Overdue`] with the last lines it printed.
    pub fn wait_for_output(&self, within: Duration, text: &str) -> Result<(), Overdue> {
        let what = format!("{} on {} to print {text:?}", self.program, self.node.name());
        eventually(within, what, || {
            if self.output().contains(text) { Ok(()) } else { Err(self.last_lines()) }
        })
    }

    /// Waits for the end of a process whose standard error was kept apart.
    pub(super) fn finish(&self, within: Duration) -> Result<Finished> {
        let exit = self.wait(within)?;
        let stderr = self.stderr.as_ref().map(read).unwrap_or_default();
        Ok(Finished { exit, stdout: self.output(), stderr })
    }

    fn last_lines(&self) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
        let state = self.exit().map_or_else(|| "running".to_owned(), |exit| exit.to_string());
        format!("{state}; it printed\n{}", last.join("\n"))
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        self.signal_group(Signal::SIGKILL);
        // It can only fail if someone else has reaped the process, which leaves nothing to do.
        drop(lock(&self.child).wait());
    }
}

/// Kills whatever still runs in the network namespace `id`: grandchildren that left their group.
/// A file without a name, and a second handle to give away.
fn output() -> io::Result<(File, File)> {
    let file = File::from(memfd_create("output", MFdFlags::MFD_CLOEXEC)?);
    let give = file.try_clone()?;
    Ok((file, give))
}

/// Reads from the start without moving the position at which the process writes.
fn read(file: &File) -> String {
    let mut bytes = vec![0; usize::try_from(file.metadata().map_or(0, |m| m.len())).unwrap_or(0)];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, u64::try_from(read).unwrap_or(u64::MAX)) {
            Ok(0) | Err(_) => break,
            Ok(more) => read += more,
        }
    }
    bytes.truncate(read);
    String::from_utf8_lossy(&bytes).into_owned()
}
