//! The processes of one run, until the last one is gone.

use std::collections::BTreeSet;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::guard::Guard;
use crate::sys::cause;
use crate::sys::process::{End, Group};

/// First pause between two looks at a group that is ending; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// A process that survives SIGKILL waits for a device, which may take long.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The groups under way, known to the guard as well if there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Arc<Mutex<Groups>>);

#[derive(Debug, Default)]
struct Groups {
    groups: BTreeSet<Pid>,
    guard: Option<Guard>,
    /// All were killed: what is just being started comes too late.
    over: bool,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tell `guard` of every group from now on.
    pub(super) fn guarded_by(&self, guard: Guard) {
        self.lock().guard = Some(guard);
    }

    /// The process of `command` reports itself to the guard.
    pub(super) fn await_group_of(&self, command: &mut Command) {
        self.lock().with_guard(|guard| guard.await_group_of(command));
    }

    pub(super) fn not_started(&self) {
        self.lock().with_guard(Guard::not_started);
    }

    /// Takes leave of a child that has ended, unless its group is under way: that is done there.
    pub(super) fn reap_unless_alive(&self, child: Pid, group: Pid) {
        if !self.lock().groups.contains(&group) {
            // Somebody else may have.
            let _ = waitpid(child, Some(WaitPidFlag::WNOHANG));
        }
    }

    /// SIGKILL to every process of every group, and to those of any that is still to come.
    pub(super) fn kill_all(&self) {
        let mut live = self.lock();
        live.over = true;
        for group in &live.groups {
            // No error if all have ended.
            let _ = killpg(*group, Signal::SIGKILL);
        }
    }
}

impl Groups {
    fn remove(&mut self, group: Pid) {
        self.groups.remove(&group);
        self.with_guard(|guard| guard.remove(group));
    }

    fn with_guard(&mut self, what: impl FnOnce(&mut Guard) -> io::Result<()>) {
        if let Some(guard) = &mut self.guard
            && let Err(error) = what(guard)
        {
            let error = cause(&error);
            tracing::warn!(
                "scripts may outlive a vipd that is killed: their guard is gone: {error}"
            );
            self.guard = None;
        }
    }
}

/// A group and its entry among those under way. Processes are reaped only under the lock of that
/// list, so that nothing is killed by a process id that has been reused.
#[derive(Debug)]
struct Entry {
    group: Group,
    live: Live,
}

impl Entry {
    /// Reap what has ended. A group that was killed and whose leader is reaped is over: what is
    /// left of it never runs again.
    fn settle(&mut self, killed: bool) -> bool {
        let mut live = self.live.lock();
        self.group.reap();
        let over = killed && self.group.end().is_some();
        if over {
            live.remove(self.group.pid());
        }
        over
    }

    /// Ends the group: SIGTERM, `grace` later SIGKILL.
    async fn end(mut self, grace: Duration, hurried: Arc<Notify>, over: oneshot::Sender<()>) {
        if !grace.is_zero() {
            self.group.signal(Signal::SIGTERM);
            let until = Instant::now() + grace;
            while self.group.end().is_none() && Instant::now() < until {
                let next = until.min(Instant::now() + FIRST_PAUSE * 5);
                if timeout_at(next, hurried.notified()).await.is_ok() {
                    break;
                }
                self.settle(false);
            }
        }
        let mut pause = FIRST_PAUSE;
        self.group.signal(Signal::SIGKILL);
        while !self.settle(true) {
            sleep(pause).await;
            pause = LAST_PAUSE.min(pause * 2);
        }
        // Nobody may be waiting.
        let _ = over.send(());
        self.reap_orphans().await;
    }

    /// Reaps those who live on, as they end.
    async fn outlive(mut self) {
        while !self.group.is_gone() {
            sleep(LAST_PAUSE * 10).await;
            self.group.reap();
        }
    }

    /// If we are the first process of a container, those who have lost their parent are ours.
    async fn reap_orphans(mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.group.is_gone() && pause < LAST_PAUSE {
            sleep(pause).await;
            self.group.reap();
            pause *= 2;
        }
    }
}

/// A group under way. Dropping it kills and reaps its processes.
#[derive(Debug)]
pub(super) struct Member {
    entry: Option<Entry>,
    end: Option<End>,
    runtime: Handle,
}

impl Member {
    pub(super) fn new(group: Group, live: &Live, runtime: Handle) -> Member {
        let mut groups = live.lock();
        groups.groups.insert(group.pid());
        if groups.over {
            let _ = killpg(group.pid(), Signal::SIGKILL);
        }
        drop(groups);
        Member { entry: Some(Entry { group, live: live.clone() }), end: None, runtime }
    }

    /// Ends the group; `None`: it is over already. With `grace` it gets SIGTERM and so much time,
    /// else SIGKILL.
    pub(super) fn terminate(&mut self, grace: Duration) -> Option<Termination> {
        let mut entry = self.entry.take()?;
        let pid = entry.group.pid();
        if grace.is_zero() {
            // Before the leader is reaped: until then its number cannot be another's.
            entry.group.signal(Signal::SIGKILL);
            let over = entry.settle(true);
            self.end = entry.group.end();
            if over {
                if !entry.group.is_gone() {
                    self.runtime.spawn(entry.reap_orphans());
                }
                return None;
            }
        }
        let hurry = Arc::new(Notify::new());
        let (over, when_over) = oneshot::channel();
        self.runtime.spawn(entry.end(grace, Arc::clone(&hurry), over));
        Some(Termination { pid, hurry, when_over })
    }

    /// Reap the leader, which has ended, and leave the other processes of the group alone.
    pub(super) fn let_go(&mut self) -> Option<End> {
        let mut entry = self.entry.take()?;
        {
            let mut live = entry.live.lock();
            entry.group.reap();
            live.remove(entry.group.pid());
        }
        self.end = entry.group.end();
        // As the first process of a container we are the parent of everyone who has lost theirs.
        if std::process::id() == 1 && !entry.group.is_gone() {
            self.runtime.spawn(entry.outlive());
        }
        self.end
    }

    /// How the leader ended, if that was known when the group was terminated.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.terminate(Duration::ZERO));
    }
}

/// The end of a group, under way. It goes on when this is dropped.
#[derive(Debug)]
pub(super) struct Termination {
    pub(super) pid: Pid,
    hurry: Arc<Notify>,
    when_over: oneshot::Receiver<()>,
}

impl Termination {
    /// Without further grace, until no process of the group will ever run again. Cancel-safe.
    pub(super) async fn finish(&mut self) {
        self.hurry.notify_one();
        self.over().await;
    }

    /// The same, with the grace it was given. Cancel-safe.
    pub(super) async fn over(&mut self) {
        // An error means that the runtime is shutting down.
        let _ = (&mut self.when_over).await;
    }
}
