//! Scheduling and memory of the threads that must not be late.
#![allow(unsafe_code)]

use std::io;

use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// The lowest real-time priority is before every ordinary process; more would only compete with the
/// kernel's own threads.
const PRIORITY: libc::c_int = 1;

/// Schedules the calling thread before every ordinary process (SCHED_RR). Threads and processes it
/// starts from here on are ordinary again.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE and RLIMIT_RTPRIO, or where the control group gets no real time.
pub fn prefer_this_thread() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the kernel reads one `sched_param`, which lives until the call returns; pid 0 is the
    // calling thread.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the calling thread an ordinary one, whatever its process was before.
///
/// # Errors
/// None known: giving up a privilege is always permitted.
pub fn treat_this_thread_as_any_other() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // The flag stays: taking it away is a privilege.
    let policy = libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK;
    // SAFETY: as above.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How the calling thread is scheduled, in the kernel's words.
#[must_use]
pub fn of_this_thread() -> String {
    // SAFETY: the call takes a number and touches no memory of ours; pid 0 is the calling thread.
    let policy = unsafe { libc::sched_getscheduler(0) };
    match policy & !libc::SCHED_RESET_ON_FORK {
        libc::SCHED_RR => format!("SCHED_RR {PRIORITY}"),
        libc::SCHED_FIFO => "SCHED_FIFO".to_owned(),
        libc::SCHED_OTHER => "SCHED_OTHER".to_owned(),
        other => format!("policy {other}"),
    }
}

/// Keeps every page the process touches in memory. Call it once all threads are there: what they
/// have not touched of their stacks costs nothing.
///
/// # Errors
/// `EPERM` unless RLIMIT_MEMLOCK is unlimited or the process has CAP_IPC_LOCK, as `may_exceed` says:
/// under a limit every later allocation could fail, which is worse than a page fault.
pub fn lock_memory(may_exceed: bool) -> io::Result<()> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    if soft != RLIM_INFINITY && !may_exceed {
        return Err(io::Error::other(format!(
            "RLIMIT_MEMLOCK is {} KiB; it must be unlimited",
            soft / 1024
        )));
    }
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: the call takes flags and touches no memory of ours.
    let result = unsafe { libc::mlockall(flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_preferred_thread_starts_ordinary_ones() {
        thread::spawn(|| {
            // Without the permission there is nothing to inherit either.
            let preferred = prefer_this_thread().is_ok();
            let expected = if preferred { "SCHED_RR 1" } else { "SCHED_OTHER" };
            assert_eq!(of_this_thread(), expected);
            assert_eq!(thread::spawn(of_this_thread).join().unwrap(), "SCHED_OTHER");
            treat_this_thread_as_any_other().unwrap();
            assert_eq!(of_this_thread(), "SCHED_OTHER");
        })
        .join()
        .unwrap();
    }
}
