//! What holds for the daemon's process as a whole. It is read when the daemon starts and at no other
//! time.

use super::diag::{Diagnostic, Spanned};
use super::key::value::{Texts, within};
use super::key::{Row, inherit, settings};

/// A name that becomes one part of a path.
const FILE_NAME: Texts = Texts {
    fits: |name| {
        let bad = |c: char| c == '/' || c.is_control() || c.is_whitespace();
        (1..=64).contains(&name.len()) && !name.starts_with('.') && !name.contains(bad)
    },
    allowed: "1 to 64 bytes without blanks and slashes, without a dot at the start",
};
const PROCESS_NAME: Texts = Texts {
    fits: |name| (1..=15).contains(&name.len()) && !name.contains(char::is_control),
    allowed: "1 to 15 bytes, as many as the kernel keeps",
};

settings! {
    /// The process.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Process, RawProcess, "" {
        /// The named network namespace the daemon works in (`ip netns`). Default: the one the daemon
        /// is started in.
        net_namespace keepalived "net_namespace" at start:
            Option<String> = None, FILE_NAME, "the name of a network namespace";
        /// Tells several daemons in one namespace apart: the name of its run directory.
        instance keepalived "instance" at start:
            Option<String> = None, FILE_NAME, "the name of an instance";
        /// What ps and pgrep call the daemon, at most 15 bytes. Default: "vipd".
        process_name keepalived "vrrp_process_name" at start:
            Option<String> = None, PROCESS_NAME, "the name of a process";
        /// Niceness. Default: as inherited.
        nice keepalived "vrrp_priority" at start: Option<i8> = None, -20..=19, "the niceness";
        /// Whether the threads that decide run with SCHED_RR, where the system permits it.
        realtime keepalived "vipd_realtime" at start: bool = true;
        /// With this priority.
        realtime_priority keepalived "vrrp_rt_priority" at start:
            u8 = 1, 1..=99, "a real-time priority";
        /// Whether the daemon's memory is kept from being swapped out (mlockall).
        lock_memory keepalived "vrrp_no_swap" at start: bool = false;
    }
    checked {
        /// Permissions that files it makes do not have; `None`: as inherited.
        umask: Option<u16>;
        /// The processors it may run on; empty: any.
        cpus: Vec<u16>;
    }
    beside {
        /// Permissions taken from new files.
        umask: Option<Spanned<i64>>;
        /// Numbers of processors.
        cpus: Vec<Spanned<i64>>;
    }
}

impl Process {
    /// What differs in `new`, in the words of vipd.toml and, if they differ, of keepalived.conf.
    #[must_use]
    pub fn differences(&self, new: &Process) -> Vec<String> {
        let differs = |row: &&Row<RawProcess, Process>| {
            row.key.at_start && (row.show)(self) != (row.show)(new)
        };
        let mut names: Vec<_> =
            Process::ROWS.iter().filter(differs).map(|row| row.key.names()).collect();
        names.extend((self.umask != new.umask).then(|| "umask".to_owned()));
        names.extend((self.cpus != new.cpus).then(|| "cpus (vrrp_cpu_affinity)".to_owned()));
        names
    }
}

impl RawProcess {
    /// What it does not say, `other` says.
    pub(crate) fn complete(&mut self, other: &RawProcess) {
        inherit(self, other, RawProcess::KEYS);
        self.umask = self.umask.or(other.umask);
        if self.cpus.is_empty() {
            self.cpus.clone_from(&other.cpus);
        }
    }

    pub(super) fn check(&self, out: &mut Vec<Diagnostic>) -> Process {
        if let (Some(off), Some(priority)) = (self.realtime, self.realtime_priority)
            && !off.value
        {
            out.push(
                Diagnostic::warning(priority.span, "a real-time priority without real time")
                    .also(off.span, "switched off here"),
            );
        }
        // As many as the kernel's set of processors has by default.
        let cpus = self.cpus.iter().filter_map(|cpu| within(Some(cpu), &(0..=1023), "a CPU", out));
        let cpus = cpus.collect();
        Process { cpus, umask: umask(out, self.umask), ..self.over(&Process::default(), out) }
    }
}

fn umask(out: &mut Vec<Diagnostic>, raw: Option<Spanned<i64>>) -> Option<u16> {
    let Spanned { value, span } = raw?;
    let mask = u16::try_from(value).ok().filter(|mask| *mask <= 0o777);
    if mask.is_none() {
        out.push(Diagnostic::error(span, "a umask is 0 to 0777, octal"));
    }
    mask
}
