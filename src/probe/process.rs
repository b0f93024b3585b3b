//! Tracked processes: an end is noticed at once, a start at the next scan.
//!
//! One task looks at all processes every [`PAUSE`] while some check wants to know, for all of them
//! together. Each check holds a pidfd of every process that counts for it, which becomes readable the
//! moment the process ends. A death counts after another look, a few milliseconds later: the process
//! may have left its work to a younger one. The kernel's process events, which would announce births
//! as well, exist only for the initial network and process namespaces and wake their listeners for
//! every process of the machine; good news can wait a second.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Failure, finished};
use crate::config::checks::{ProcessCheck, ProcessPattern};
use crate::sys::process::{has_ended, open_process};
use crate::sys::ready::Watched;
use crate::track::outcome::{Cause, Outcome};
use crate::track::process::{counts, judge};

/// Between two looks nobody has asked for.
const PAUSE: Duration = Duration::from_secs(1);

/// All processes at one moment.
#[derive(Debug)]
struct Look {
    began: Instant,
    /// Command lines were read as well.
    with_lines: bool,
    seen: Result<Vec<Running>, String>,
}

#[derive(Debug)]
struct Running {
    pid: i32,
    name: String,
    command_line: Vec<String>,
}

/// Looks at all processes, for all checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes(Arc<Mutex<Weak<Looks>>>);

#[derive(Debug)]
struct Looks {
    latest: watch::Receiver<Option<Arc<Look>>>,
    at_once: Arc<Notify>,
    /// Checks that need command lines.
    need_lines: Arc<AtomicUsize>,
}

impl Processes {
    /// The looks under way, or new ones, which end with the last check.
    fn subscribe(&self) -> Arc<Looks> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(looks) = known.upgrade() {
            return looks;
        }
        let (sender, latest) = watch::channel(None);
        let (at_once, need_lines) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(look_around(sender, Arc::clone(&at_once), Arc::clone(&need_lines)));
        let looks = Arc::new(Looks { latest, at_once, need_lines });
        *known = Arc::downgrade(&looks);
        looks
    }
}

async fn look_around(
    latest: watch::Sender<Option<Arc<Look>>>,
    at_once: Arc<Notify>,
    need_lines: Arc<AtomicUsize>,
) {
    while !latest.is_closed() {
        let (began, with_lines) = (Instant::now(), need_lines.load(Ordering::Relaxed) > 0);
        let seen = tokio::task::spawn_blocking(move || look(with_lines)).await;
        let seen = seen.unwrap_or_else(|error| Err(error.to_string()));
        latest.send_replace(Some(Arc::new(Look { began, with_lines, seen })));
        // Asked for, or not.
        let _ = timeout(PAUSE, at_once.notified()).await;
    }
}

fn look(with_lines: bool) -> Result<Vec<Running>, String> {
    let all = procfs::process::all_processes().map_err(|error| error.to_string())?;
    // One that ends while it is looked at does not run.
    let running = all.filter_map(|process| {
        let process = process.ok()?;
        let stat = process.stat().ok()?;
        if ['Z', 'X'].contains(&stat.state) {
            return None;
        }
        let command_line = if with_lines { process.cmdline().ok()? } else { Vec::new() };
        Some(Running { pid: stat.pid, name: stat.comm, command_line })
    });
    Ok(running.collect())
}

pub(super) struct Process {
    check: ProcessCheck,
    looks: Arc<Looks>,
    latest: watch::Receiver<Option<Arc<Look>>>,
    /// Those that count, each with the number of its watch: process ids are given away again.
    alive: BTreeMap<i32, u64>,
    watches: u64,
    deaths: FuturesUnordered<BoxFuture<'static, (i32, u64)>>,
    /// When one of them was seen to have ended, until a look that began later.
    bereft: Option<Instant>,
    last: Option<Result<String, Failure>>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("check", &self.check).finish_non_exhaustive()
    }
}

impl Process {
    pub(super) fn new(check: &ProcessCheck, processes: &Processes) -> Process {
        let looks = processes.subscribe();
        if needs_lines(check) {
            looks.need_lines.fetch_add(1, Ordering::Relaxed);
        }
        Process {
            check: check.clone(),
            latest: looks.latest.clone(),
            looks,
            alive: BTreeMap::new(),
            watches: 0,
            deaths: FuturesUnordered::new(),
            bereft: None,
            last: None,
        }
    }

    pub(super) async fn run(&mut self, limit: Duration) -> Outcome {
        let began = Instant::now();
        self.bereft = Some(began);
        self.looks.at_once.notify_one();
        let answer = self.next_answer(limit).await;
        self.last = Some(answer.clone());
        finished(began, answer)
    }

    /// Waits until the answer is another than last time.
    pub(super) async fn changed(&mut self, limit: Duration) -> Outcome {
        loop {
            let answer = self.next_answer(limit).await;
            let began = self.bereft.take().unwrap_or_else(Instant::now);
            if self.last.as_ref() != Some(&answer) {
                self.last = Some(answer.clone());
                return finished(began, answer);
            }
        }
    }

    /// The answer after the next look that is recent enough. Cancel-safe.
    async fn next_answer(&mut self, limit: Duration) -> Result<String, Failure> {
        loop {
            let too_late = self.bereft.map(|since| since + limit);
            tokio::select! { biased;
                Some((pid, number)) = self.deaths.next() => {
                    if self.alive.get(&pid) == Some(&number) {
                        self.alive.remove(&pid);
                        self.bereft = Some(Instant::now());
                        self.looks.at_once.notify_one();
                    }
                }
                Ok(()) = self.latest.changed() => {
                    let Some(look) = self.latest.borrow_and_update().clone() else { continue };
                    let recent = self.bereft.is_none_or(|since| look.began >= since);
                    if recent && (look.with_lines || !needs_lines(&self.check)) {
                        return self.take_in(&look);
                    }
                    self.looks.at_once.notify_one();
                }
                () = sleep_until(too_late.unwrap_or_else(Instant::now)), if too_late.is_some() => {
                    let text = "no answer while looking at the processes";
                    return Err(Failure::new(Cause::TimedOut, text));
                }
            }
        }
    }

    fn take_in(&mut self, look: &Look) -> Result<String, Failure> {
        let seen = look.seen.as_ref().map_err(|why| {
            Failure::new(Cause::CannotRun, format!("cannot look at the processes: {why}"))
        })?;
        let counting = seen
            .iter()
            .filter(|running| counts(&self.check.pattern, &running.name, &running.command_line));
        let before = std::mem::take(&mut self.alive);
        for &Running { pid, .. } in counting {
            if let Some(&number) = before.get(&pid) {
                self.alive.insert(pid, number);
                continue;
            }
            let number = self.watches;
            match open_process(pid) {
                // It ended after the look.
                Ok(process) if has_ended(&process) => continue,
                Ok(process) => self.deaths.extend(death(process, pid, number)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                // Too many descriptors: its death will be seen at a later look.
                Err(_) => {}
            }
            self.watches += 1;
            self.alive.insert(pid, number);
        }
        judge(&self.check, self.alive.len()).map_err(|why| Failure::new(Cause::WrongAnswer, why))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if needs_lines(&self.check) {
            self.looks.need_lines.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn needs_lines(check: &ProcessCheck) -> bool {
    matches!(check.pattern, ProcessPattern::CommandLine { .. })
}

fn death(process: OwnedFd, pid: i32, number: u64) -> Option<BoxFuture<'static, (i32, u64)>> {
    let process = Watched::new(process).ok()?;
    Some(Box::pin(async move {
        // An error means that the runtime is shutting down.
        let _ = process.readable().await;
        (pid, number)
    }))
}
