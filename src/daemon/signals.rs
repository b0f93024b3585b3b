//! What signals ask of the daemon. None but SIGTERM and SIGINT ends it; SIGHUP asks for a reload, some for
//! keepalived's files ([`super::dumps`]); the rest is said and has no effect.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt;
use nix::libc;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::mpsc::UnboundedSender;

use super::Inbox;
use crate::sys::signals;
use crate::types::Now;

/// Exit status of a process that a second SIGTERM ends on the spot: 128 + SIGTERM.
const TERMINATED: i32 = 143;

/// A signal without effect is said once in this time.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// SIGTERM and SIGINT are asked politely the first time. The second time the process ends in the
/// handler, even if the loop hangs. The flag says whether one has come.
pub(super) fn exit_on_second() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the flag is set after it was looked at.
        signal_hook::flag::register_conditional_shutdown(signal, TERMINATED, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

/// Catch all of them, those that were held back too. Must run inside the control thread's runtime.
pub(super) fn watch(inbox: UnboundedSender<Inbox>) -> io::Result<()> {
    let mut caught = Signals::new(signals::fatal().chain([SIGTERM, SIGINT]))?;
    signals::accept()?;
    tokio::spawn(async move {
        while let Some(signal) = caught.next().await {
            if inbox.send(Inbox::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Signals without effect, and when each was said.
#[derive(Debug, Default)]
pub(super) struct Ineffective {
    said: BTreeMap<i32, (Now, u64)>,
}

impl Ineffective {
    /// One came. What to say about it, unless that was said a moment ago.
    pub(super) fn came(&mut self, now: Now, signal: i32) -> Option<String> {
        let more = match self.said.get_mut(&signal) {
            Some((at, left_out)) if now.since(*at) < SAY_EVERY => {
                *left_out += 1;
                return None;
            }
            Some((_, 0)) | None => String::new(),
            Some((_, left_out)) => format!(" ({left_out} more since the last such line)"),
        };
        self.said.insert(signal, (now, 0));
        let name = signals::name_of(signal);
        let instead = match signal {
            _ if signal == libc::SIGRTMAX() - 1 => {
                " (keepalived clears its counters on it): SIGUSR2 writes them"
            }
            _ => "",
        };
        Some(format!("{name} has no effect on vipd{instead}{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_without_effect_is_said_once_a_minute_each() {
        let mut ineffective = Ineffective::default();
        let minute = SAY_EVERY;
        let mut said = |at: Duration, signal| ineffective.came(Now::ZERO + at, signal);
        let first = said(Duration::ZERO, libc::SIGALRM).unwrap();
        assert!(first.starts_with("SIGALRM has no effect"));
        assert_eq!(said(minute / 2, libc::SIGALRM), None);
        assert!(said(minute / 2, libc::SIGPOLL).is_some());
        assert!(said(minute, libc::SIGALRM).unwrap().contains("1 more"));
        assert!(!said(minute * 2, libc::SIGALRM).unwrap().contains("more"));
        assert!(said(minute, libc::SIGRTMAX() - 1).unwrap().contains("SIGUSR2"));
    }
}
