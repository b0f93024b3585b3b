//! A small process that outlives the daemon for a moment: it knows the process groups of the scripts
//! under way and kills them when the daemon has ended, for whatever reason.
//!
//! The kernel itself ends the leader of each group with the thread that started it, but not the
//! leader's children. The guard is this program again, started before the first script, and knows
//! only what it is told over a socket: the number of a group, which the group says itself before it
//! runs the script; the same number negated when it is over; and whether a start came to nothing.
//! The end of the socket is the end of the daemon.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::prctl::set_name;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sys::process::announce;
use crate::sys::signals;

/// A script is about to be started.
const STARTING: i32 = 0;

/// It could not be; no group has this number.
const NOT_STARTED: i32 = -1;

/// The daemon's end.
#[derive(Debug)]
pub(super) struct Guard {
    process: Child,
    line: UnixStream,
}

impl Guard {
    /// Starts `program guard`.
    pub(super) fn start(program: &Path) -> io::Result<Guard> {
        let mut command = Command::new(program);
        command.arg0("vipd").arg("guard").env_clear().process_group(0).current_dir("/");
        let (line, its_end) = UnixStream::pair()?;
        command.stdin(OwnedFd::from(its_end)).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn()?;
        // It reads at once what is sent; if it cannot, the daemon must not wait for it.
        line.set_nonblocking(true)?;
        Ok(Guard { process, line })
    }

    /// The process of `command` will announce its group before it runs the program: the daemon can
    /// be killed before it knows that number.
    pub(super) fn await_group_of(&mut self, command: &mut Command) -> io::Result<()> {
        self.say(STARTING)?;
        announce(command, self.line.try_clone()?);
        Ok(())
    }

    pub(super) fn not_started(&mut self) -> io::Result<()> {
        self.say(NOT_STARTED)
    }

    pub(super) fn remove(&mut self, group: Pid) -> io::Result<()> {
        self.say(-group.as_raw())
    }

    fn say(&mut self, message: i32) -> io::Result<()> {
        self.line.write_all(&message.to_ne_bytes())
    }
}

impl Drop for Guard {
    /// A guard that has missed a message could kill the wrong group later.
    fn drop(&mut self) {
        // It can only fail if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The guard itself: it reads until the daemon is gone, then kills what is left.
pub fn serve(mut line: impl Read) {
    // Whoever addresses all processes called vipd means the daemon, which decides what becomes of it.
    signals::ignore();
    // Not "exe", after the file it was started from.
    let _ = set_name(c"vipd-guard");
    for group in left_by(&mut line) {
        // One that has ended needs no killing.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// The groups under way when the daemon ended.
fn left_by(line: &mut impl Read) -> BTreeSet<i32> {
    let (mut groups, mut newest) = (BTreeSet::new(), None);
    let mut message = [0; size_of::<i32>()];
    while line.read_exact(&mut message).is_ok() {
        match i32::from_ne_bytes(message) {
            STARTING => newest = None,
            NOT_STARTED => {
                if let Some(group) = newest.take() {
                    groups.remove(&group);
                }
            }
            over if over < 0 => {
                groups.remove(&over.saturating_neg());
            }
            group => {
                groups.insert(group);
                newest = Some(group);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_guarded_until_it_is_over_or_came_to_nothing() {
        let left = |messages: &[i32]| {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| m.to_ne_bytes()).collect();
            left_by(&mut bytes.as_slice()).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(left(&[STARTING, 20, STARTING, 30, -20, STARTING, 40]), [30, 40]);
        assert_eq!(left(&[STARTING, 20, STARTING, 30, NOT_STARTED]), [20]);
        // It failed before it could say its number.
        assert_eq!(left(&[STARTING, 20, STARTING, NOT_STARTED]), [20]);
    }
}
