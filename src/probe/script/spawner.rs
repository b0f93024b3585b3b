//! The thread that starts scripts.
//!
//! Starting a process waits until the kernel has read the program, so it is not done where checks
//! are awaited. It is one thread that lives as long as there is a [`Scripts`], because the kernel
//! kills a script when the thread that started it ends. Requests wait in an unbounded channel, one
//! per check at most.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::group::{Live, Member};
use super::guard::Guard;
use super::orphans;
use super::prepare::Prepared;
use crate::probe::Failure;
use crate::sys::cause;
use crate::sys::process::{Group, reap_inherited};
use crate::sys::realtime::treat_this_thread_as_any_other;
use crate::track::outcome::Cause;

/// Starts scripts, and ends all of them.
#[derive(Clone, Debug)]
pub struct Scripts {
    requests: mpsc::Sender<Request>,
    live: Live,
    warned: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Debug)]
struct Request {
    prepared: Prepared,
    stdio: (Stdio, Stdio),
    started: oneshot::Sender<Result<Started, Failure>>,
}

/// A run under way.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) member: Member,
    /// Readable when the leader has ended.
    pub(super) leader: OwnedFd,
}

impl Scripts {
    /// Starts the thread. Must run inside the runtime that runs the scripts.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn new() -> io::Result<Scripts> {
        Scripts::begin(None, false)
    }

    /// The same for a daemon: `program guard` ends the scripts if the daemon cannot. If the process
    /// was another daemon before (`successor`), its last scripts are reaped.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn guarded(program: PathBuf, successor: bool) -> io::Result<Scripts> {
        Scripts::begin(Some(program), successor)
    }

    fn begin(guard: Option<PathBuf>, successor: bool) -> io::Result<Scripts> {
        let (live, runtime) = (Live::default(), Handle::current());
        let (requests, inbox) = mpsc::channel();
        orphans::reap(live.clone())?;
        let scripts = Scripts { requests, live: live.clone(), warned: Arc::default() };
        thread::Builder::new().name("scripts".to_owned()).spawn(move || {
            // What it starts is to be ordinary too, even if vipd was started with `chrt`.
            let _ = treat_this_thread_as_any_other();
            if successor {
                reap_inherited();
            }
            let mut inbox = inbox.into_iter().peekable();
            if let (Some(guard), Some(_)) = (guard, inbox.peek()) {
                start_guard(&guard, &live);
            }
            for request in inbox {
                serve(request, &live, &runtime);
            }
        })?;
        Ok(scripts)
    }

    /// Kills every process of every run, also of those that are just being started.
    pub fn kill_all(&self) {
        self.live.kill_all();
    }

    /// Starts one. A start that is not awaited any longer does not happen, or is undone.
    pub(super) fn start(
        &self,
        prepared: Prepared,
        stdio: (Stdio, Stdio),
    ) -> impl Future<Output = Result<Started, Failure>> + use<> {
        let (started, reply) = oneshot::channel();
        let asked = self.requests.send(Request { prepared, stdio, started });
        async move {
            let dead = |_| Failure::new(Cause::CannotRun, "the thread that starts scripts is gone");
            asked.map_err(|_| dead(()))?;
            reply.await.map_err(|_| dead(()))?
        }
    }

    /// Says something about a script in the log, unless it has been said.
    pub(super) fn warn_once(&self, weakness: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(weakness.to_owned()) {
            tracing::warn!("{weakness}");
        }
    }
}

fn start_guard(program: &Path, live: &Live) {
    match Guard::start(program) {
        Ok(guard) => live.guarded_by(guard),
        Err(error) => tracing::warn!(
            "scripts may outlive a vipd that is killed: cannot start their guard {}: {}",
            program.display(),
            cause(&error)
        ),
    }
}

fn serve(request: Request, live: &Live, runtime: &Handle) {
    let Request { prepared, stdio, started } = request;
    if started.is_closed() {
        return;
    }
    let mut command = prepared.command(stdio);
    live.await_group_of(&mut command);
    let result = command.spawn().map_err(|error| {
        live.not_started();
        prepared.explain(&error)
    });
    let result = result.and_then(|child| register(&child, live, runtime.clone()));
    // One that nobody waits for any more is killed by being dropped.
    let _ = started.send(result);
}

fn register(child: &Child, live: &Live, runtime: Handle) -> Result<Started, Failure> {
    let (group, leader) =
        Group::of(child).map_err(|error| Failure::cannot("watch the process", &error))?;
    Ok(Started { member: Member::new(group, live, runtime), leader })
}
