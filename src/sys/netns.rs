//! Network namespaces of the calling thread, and processes that must not outlive the thread that
//! started them.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, sethostname};

/// Moves the calling thread into a new network namespace and a new host-name namespace, and
/// returns the descriptor that names the network namespace.
///
/// Both live as long as a thread, process, socket or descriptor refers to them; no other thread of
/// this process is affected, and threads and processes started by this one inherit them.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` in the current user namespace; `ENOSPC` when
/// `user.max_net_namespaces` is reached.
pub fn unshare_network(hostname: &str) -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    sethostname(hostname)?;
    current()
}

/// Moves the calling thread into a network namespace `ip netns` has a name for, and with it the
/// threads it starts.
///
/// # Errors
/// `ENOENT` if nothing has this name, `EPERM` without `CAP_SYS_ADMIN`.
pub fn enter(name: &str) -> io::Result<()> {
    let namespace = File::open(Path::new("/run/netns").join(name))?;
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}

/// The network namespace of the calling thread.
///
/// # Errors
/// Whatever opening `/proc/thread-self/ns/net` gives, such as `ENOENT` without /proc.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Makes the kernel kill the command's process with SIGKILL when the *thread* that spawns it ends.
pub fn die_with_spawning_thread(command: &mut Command) {
    let parent = Pid::this();
    let arm = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above: then no signal will come.
        if getppid() == parent {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(nix::libc::ESRCH))
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls (prctl, getppid) and
    // allocates nothing, so no lock held by another thread of the parent can be waited for.
    unsafe {
        command.pre_exec(arm);
    }
}
