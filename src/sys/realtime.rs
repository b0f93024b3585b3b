//! Scheduling and memory of the threads that must not be late.
#![allow(unsafe_code)]

use std::io;

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::Pid;

/// The lowest real-time priority is before every ordinary process; more only competes with the
/// kernel's own threads.
const LOWEST: u8 = 1;

/// Schedules the calling thread before every ordinary process (SCHED_RR): with `priority`, or with
/// the lowest if RLIMIT_RTPRIO does not reach. Threads and processes it starts from here on are
/// ordinary again. Returns the priority it got.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE and RLIMIT_RTPRIO, or where the control group gets no real time.
pub fn prefer_this_thread(priority: u8) -> io::Result<u8> {
    match round_robin(priority) {
        Err(_) if priority > LOWEST => round_robin(LOWEST).map(|()| LOWEST),
        result => result.map(|()| priority),
    }
}

fn round_robin(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority.into() };
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
        libc::SCHED_RR => format!("SCHED_RR {}", own_priority()),
        libc::SCHED_FIFO => "SCHED_FIFO".to_owned(),
        libc::SCHED_OTHER => "SCHED_OTHER".to_owned(),
        other => format!("policy {other}"),
    }
}

fn own_priority() -> libc::c_int {
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel writes one `sched_param`, which lives until the call returns; pid 0 is the
    // calling thread. It cannot fail with valid arguments.
    unsafe { libc::sched_getparam(0, &raw mut parameters) };
    parameters.sched_priority
}

/// Sets the niceness of the calling thread and of those it starts, -20 to 19.
///
/// # Errors
/// `EACCES` for a lower one without CAP_SYS_NICE and RLIMIT_NICE.
pub fn set_nice(nice: i8) -> io::Result<()> {
    // SAFETY: the call takes numbers and touches no memory of ours; 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice.into()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the calling thread and those it starts on these processors.
///
/// # Errors
/// `EINVAL` if none of them exists or may be used.
pub fn stay_on(cpus: &[u16]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu.into())?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
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
            let expected = match prefer_this_thread(2) {
                Ok(got) => format!("SCHED_RR {got}"),
                Err(_) => "SCHED_OTHER".to_owned(),
            };
            assert_eq!(of_this_thread(), expected);
            assert_eq!(thread::spawn(of_this_thread).join().unwrap(), "SCHED_OTHER");
            treat_this_thread_as_any_other().unwrap();
            assert_eq!(of_this_thread(), "SCHED_OTHER");
        })
        .join()
        .unwrap();
    }
}
