//! Signals that would end a process and are not meant to end this one.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;
use nix::libc::{self, c_int};

/// Each ends a process unless somebody catches it, and is sent by people, exporters, timers or limits.
/// SIGPIPE is ignored from the start by the standard library; the signals of a fault (SIGSEGV,
/// SIGABRT and their like) end the process whoever sends them, with a core dump where one is wanted.
const FATAL: [c_int; 12] = [
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
];

/// The signals that end a process by default and must not end the daemon: all but SIGTERM and SIGINT.
pub fn fatal() -> impl Iterator<Item = c_int> {
    FATAL.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
}

/// The usual name: `SIGUSR1`, `SIGRTMIN+2`.
#[must_use]
pub fn name_of(signal: c_int) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.to_owned(),
        None if signal >= libc::SIGRTMIN() => format!("SIGRTMIN+{}", signal - libc::SIGRTMIN()),
        None => format!("signal {signal}"),
    }
}

/// From now on [`fatal`] signals wait for [`accept`], in this thread and those it starts.
///
/// # Errors
/// None known.
pub fn hold() -> io::Result<()> {
    mask(libc::SIG_BLOCK, fatal())
}

/// The same, and those that ask for the end: a process that is about to be another has nobody to
/// handle them.
///
/// # Errors
/// None known.
pub(super) fn hold_all() -> io::Result<()> {
    mask(libc::SIG_BLOCK, fatal().chain([libc::SIGTERM, libc::SIGINT]))
}

/// The calling thread takes the signals that were held back, by this process or by one it was before.
///
/// # Errors
/// None known.
pub fn accept() -> io::Result<()> {
    mask(libc::SIG_UNBLOCK, fatal().chain([libc::SIGTERM, libc::SIGINT]))
}

/// Ignores them all, SIGTERM and SIGINT too, for the whole process.
pub fn ignore() {
    for signal in fatal().chain([libc::SIGTERM, libc::SIGINT]) {
        // SAFETY: the disposition runs no code and touches no memory. The call fails only for
        // signals that cannot be ignored, which are not among these.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

fn mask(how: c_int, signals: impl Iterator<Item = c_int>) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initializes the set, which lives on this stack; the other calls read and
    // write nothing else.
    let result = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, set.as_ptr(), ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(Errno::from_raw(result).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_signals_are_among_them_and_named_from_the_first() {
        assert!(fatal().any(|signal| signal == libc::SIGRTMIN() + 2));
        assert!(!fatal().any(|signal| [libc::SIGTERM, libc::SIGINT].contains(&signal)));
        assert_eq!(name_of(libc::SIGUSR1), "SIGUSR1");
        assert_eq!(name_of(libc::SIGRTMIN() + 2), "SIGRTMIN+2");
    }
}
