//! Processes that are started to look at something: who they are, and how all of them end.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::libc::rlim_t;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, getpid, setgid, setgroups, setsid, setuid};
use rustix::process::{PidfdFlags, pidfd_open};

use super::netns::die_with_spawning_thread;

/// The customary limit of descriptors.
const DESCRIPTORS: rlim_t = 1024;

/// Who a process becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved user.
    pub uid: Uid,
    /// Real, effective and saved group.
    pub gid: Gid,
    /// All supplementary groups.
    pub groups: Vec<Gid>,
}

/// Prepares a command whose process leads a session of its own without a terminal, has nothing of
/// this process but its environment and the three standard descriptors, and is killed when the
/// *thread* that spawns it ends. Without an identity it stays who we are, less the capabilities
/// only we were given (the ambient ones).
pub fn set_apart(command: &mut Command, identity: Option<Identity>) {
    let become_another = move || {
        setsid()?;
        reset_signals();
        limit_descriptors()?;
        umask(Mode::from_bits_truncate(0o022));
        drop_ambient_capabilities();
        if let Some(Identity { uid, gid, groups }) = &identity {
            setgroups(groups)?;
            setgid(*gid)?;
            setuid(*uid)?;
        }
        close_on_exec()
    };
    // SAFETY: between fork and exec the closure only makes system calls that are async-signal-safe
    // and reads what it owns; it allocates nothing, so no lock held by another thread of the parent
    // can be waited for.
    unsafe {
        command.pre_exec(become_another);
    }
    // Last, because a change of user takes it back.
    die_with_spawning_thread(command);
}

/// Lets the process of a command write its number, four bytes in native order, to `line` before it
/// runs the program. If nobody listens there, it is not said.
pub fn announce(command: &mut Command, line: UnixStream) {
    let say = move || {
        let number = getpid().as_raw().to_ne_bytes();
        // Without a listener it must not cost the process its life.
        let _ = send(line.as_raw_fd(), &number, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two async-signal-safe system calls and reads
    // what it owns.
    unsafe {
        command.pre_exec(say);
    }
}

/// Lets this process have as many descriptors as it may: a check under way takes two.
///
/// # Errors
/// None known.
pub fn allow_more_descriptors() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// As many as every program can handle, some of which would close each number up to the limit.
fn limit_descriptors() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard)?)
}

/// Every signal does what it does by default, and none is blocked (the standard library unblocks).
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: setting a disposition to the default touches no memory. Signals whose disposition
        // cannot be set are refused, which is fine.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

fn drop_ambient_capabilities() {
    // SAFETY: the call takes numbers and touches no memory. It can only fail on kernels that have
    // no ambient capabilities, which leaves none to drop.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    }
}

/// Not closed at once: the standard library still needs its pipe to report a failing exec.
fn close_on_exec() -> io::Result<()> {
    // SAFETY: the call takes numbers and touches no memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    match Errno::result(result) {
        // Linux before 5.11: what this process opens is close-on-exec anyway.
        Ok(_) | Err(Errno::ENOSYS | Errno::EINVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The process group of a child that was [set apart](set_apart).
#[derive(Debug)]
pub struct Group {
    leader: Pid,
    ended: Option<End>,
}

/// How the leader of a group ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(Signal),
}

impl Group {
    /// Takes over the child, which must not be waited for by any other means, and a descriptor that
    /// becomes readable when it ends.
    ///
    /// # Errors
    /// `EMFILE` and its like; then the group has been killed.
    pub fn of(child: &Child) -> io::Result<(Group, OwnedFd)> {
        let leader = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let mut group = Group { leader, ended: None };
        match open_process(leader.as_raw()) {
            Ok(descriptor) => Ok((group, descriptor)),
            Err(error) => {
                group.signal(Signal::SIGKILL);
                group.reap();
                Err(error)
            }
        }
    }

    /// The process id of the leader, which is also the number of the group.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.leader
    }

    /// Sends a signal to every process of the group.
    pub fn signal(&self, signal: Signal) {
        // Those that have ended need none. The number is ours as long as one of them is left, and
        // the caller stops asking when none is.
        let _ = killpg(self.leader, signal);
    }

    /// Takes leave of every process of the group that is our child and has ended: the leader, and
    /// those its death has left to us if we are the first process of a container.
    pub fn reap(&mut self) {
        let group = Pid::from_raw(-self.leader.as_raw());
        loop {
            let end = match waitpid(group, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, End::Exit(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, End::Signal(signal)),
                Err(Errno::EINTR) => continue,
                Ok(_) | Err(_) => return,
            };
            if end.0 == self.leader {
                self.ended = Some(end.1);
            }
        }
    }

    /// How the leader ended, once it was reaped.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.ended
    }

    /// Whether no process of the group is left, not even as a zombie.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.ended.is_some() && killpg(self.leader, None) == Err(Errno::ESRCH)
    }
}

/// A descriptor of a process, which becomes readable when it ends.
///
/// # Errors
/// `NotFound` if there is none of that number; `EMFILE` and its like.
pub fn open_process(pid: i32) -> io::Result<OwnedFd> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let pid = rustix::process::Pid::from_raw(pid).ok_or_else(absent)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|error| match error {
        rustix::io::Errno::SRCH => absent(),
        other => other.into(),
    })
}

/// Whether the process behind a descriptor has ended.
#[must_use]
pub fn has_ended(process: &OwnedFd) -> bool {
    let mut set = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut set, PollTimeout::ZERO) == Ok(1)
}

/// Takes leave of the children of a program that this process was before, which ended with it.
pub fn reap_inherited() {
    // They were killed a moment ago; one that does not end is not waited for.
    for _ in 0..100 {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(10)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
