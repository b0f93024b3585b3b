//! What holds for the daemon's process as a whole. It is read when the daemon starts and at no other
//! time.

use super::diag::{Diagnostic, Spanned, quoted};
use super::key::{inherit, settings, within};

/// The process, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The named network namespace it works in (`ip netns`); `None`: where it was started.
    pub net_namespace: Option<String>,
    /// Tells several daemons in one namespace apart: the name of its run directory.
    pub instance: Option<String>,
    /// What `ps` and `pgrep` call it, at most 15 bytes.
    pub name: Option<String>,
    /// Permissions that files it makes do not have; `None`: as inherited.
    pub umask: Option<u16>,
    /// Niceness, -20 to 19; `None`: as inherited.
    pub nice: Option<i8>,
    /// The processors it may run on; empty: any.
    pub cpus: Vec<u16>,
    /// Run the threads that decide with SCHED_RR, where the system permits it.
    pub realtime: bool,
    /// With this priority, 1 to 99.
    pub realtime_priority: u8,
    /// Keep the process in memory (mlockall).
    pub lock_memory: bool,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            net_namespace: None,
            instance: None,
            name: None,
            umask: None,
            nice: None,
            cpus: Vec::new(),
            realtime: true,
            realtime_priority: 1,
            lock_memory: false,
        }
    }
}

impl Process {
    /// What differs in `new`, in the words of vipd.toml and, if they differ, of keepalived.conf.
    #[must_use]
    pub fn differences(&self, new: &Process) -> Vec<&'static str> {
        [
            ("net_namespace", self.net_namespace != new.net_namespace),
            ("instance", self.instance != new.instance),
            ("process_name (vrrp_process_name)", self.name != new.name),
            ("umask", self.umask != new.umask),
            ("nice (vrrp_priority)", self.nice != new.nice),
            ("cpus (vrrp_cpu_affinity)", self.cpus != new.cpus),
            ("realtime (vipd_realtime)", self.realtime != new.realtime),
            (
                "realtime_priority (vrrp_rt_priority)",
                self.realtime_priority != new.realtime_priority,
            ),
            ("lock_memory (vrrp_no_swap)", self.lock_memory != new.lock_memory),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

settings! {
    /// The process as written.
    pub struct RawProcess, ""
    written {
        /// The named network namespace the daemon works in. Default: the one the daemon is started
        /// in.
        net_namespace keepalived "net_namespace": String;
        /// Tells several daemons in one namespace apart: the name of its run directory. Default:
        /// none.
        instance keepalived "instance": String;
        /// What ps and pgrep call the daemon, at most 15 bytes. Default: "vipd".
        process_name keepalived "vrrp_process_name": String;
        /// Niceness, -20 to 19. Default: as inherited.
        nice keepalived "vrrp_priority": i64;
        /// Whether the threads that decide run with SCHED_RR, where the system permits it. Default:
        /// true.
        realtime keepalived "vipd_realtime": bool;
        /// With this priority, 1 to 99. Default: 1.
        realtime_priority keepalived "vrrp_rt_priority": i64;
        /// Whether the daemon's memory is kept from being swapped out. Default: false.
        lock_memory keepalived "vrrp_no_swap": bool;
    }
    beside {
        /// Permissions taken from new files.
        umask: Option<Spanned<i64>>;
        /// Numbers of processors.
        cpus: Vec<Spanned<i64>>;
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
        // As many as the kernel's set of processors has by default.
        let cpus = self.cpus.iter().filter_map(|cpu| within(Some(cpu), &(0..=1023), "a CPU", out));
        let cpus = cpus.collect();
        let realtime = self.realtime.is_none_or(|v| v.value);
        if let (Some(off), Some(priority)) = (self.realtime, self.realtime_priority)
            && !off.value
        {
            out.push(
                Diagnostic::warning(priority.span, "a real-time priority without real time")
                    .also(off.span, "switched off here"),
            );
        }
        Process {
            net_namespace: file_name(out, self.net_namespace.as_ref(), "a network namespace"),
            instance: file_name(out, self.instance.as_ref(), "an instance"),
            name: process_name(out, self.process_name.as_ref()),
            umask: umask(out, self.umask),
            nice: within(self.nice.as_ref(), &(-20..=19), "the niceness", out),
            cpus,
            realtime,
            realtime_priority: within(
                self.realtime_priority.as_ref(),
                &(1..=99),
                "a real-time priority",
                out,
            )
            .unwrap_or(1),
            lock_memory: self.lock_memory.is_some_and(|v| v.value),
        }
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

/// A name that becomes one part of a path.
fn file_name(
    out: &mut Vec<Diagnostic>,
    raw: Option<&Spanned<String>>,
    what: &str,
) -> Option<String> {
    let Spanned { value: name, span } = raw?;
    let bad = |c: char| c == '/' || c.is_control() || c.is_whitespace();
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || name.contains(bad) {
        let text = format!("{} cannot be the name of {what}", quoted(name));
        out.push(
            Diagnostic::error(*span, text)
                .help("up to 64 bytes without blanks and slashes, and no dot at the start"),
        );
        return None;
    }
    Some(name.clone())
}

fn process_name(out: &mut Vec<Diagnostic>, raw: Option<&Spanned<String>>) -> Option<String> {
    let Spanned { value: name, span } = raw?;
    if name.is_empty() || name.len() > 15 || name.contains(char::is_control) {
        let text = format!("{} cannot be the name of a process", quoted(name));
        out.push(Diagnostic::error(*span, text).help("the kernel keeps 15 bytes"));
        return None;
    }
    Some(name.clone())
}
