//! Scripts: one process group per run, and an end to every process of it.
//!
//! Who lives how long: a [`Script`] belongs to one tracker and runs one group at a time. The group
//! of a run that is over, because its leader ended, its time is up or nobody waits for it any more,
//! is killed and reaped, if need be by a task of its own; the next run waits for that.
//! [`Scripts::kill_all`] ends every group at once when the daemon stops; [`guard`] does if the daemon
//! is killed.

mod group;
pub mod guard;
mod orphans;
mod prepare;
mod run_once;
mod spawner;

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{BlockingTask, Deadline, Failure};
use crate::config::checks::ScriptCheck;
use crate::sys::process::End;
use crate::sys::ready::Watched;
use crate::track::outcome::{Cause, Outcome, Verdict};
use group::Termination;
use prepare::Prepared;
pub(crate) use prepare::{inspect, owner};
pub use spawner::Scripts;
use spawner::Started;

/// How much of the output is kept.
const OUTPUT: usize = 1024;

/// How much of it stands in the detail, in characters.
const DETAIL: usize = 100;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// One script check, run again and again, never twice at a time.
#[derive(Debug)]
pub struct Script {
    check: Arc<ScriptCheck>,
    scripts: Scripts,
    preparing: BlockingTask<Result<Prepared, Failure>>,
    last: Option<Termination>,
}

impl Script {
    /// A check that has not run yet.
    #[must_use]
    pub fn new(check: ScriptCheck, scripts: Scripts) -> Script {
        Script { check: Arc::new(check), scripts, preparing: BlockingTask::default(), last: None }
    }

    /// Run it once. If it has not ended `timeout` after it was started, its group gets SIGTERM and
    /// 500 ms later SIGKILL; the answer does not wait for that. What a script leaves behind in its
    /// group when it ends is killed as well. Dropping the future kills the group at once.
    ///
    /// A machine so busy that starting takes time does not make the script late: starting has a
    /// `timeout` of its own.
    pub async fn run(&mut self, timeout: Duration) -> Outcome {
        let began = Instant::now();
        let mut output = Vec::new();
        let result = self.run_once(timeout, &mut output).await;
        outcome(began, result, printable(&output))
    }

    async fn run_once(&mut self, timeout: Duration, output: &mut Vec<u8>) -> Result<End, Failure> {
        let deadline = Deadline::after(timeout);
        self.finish_last(deadline).await?;
        let check = Arc::clone(&self.check);
        let look_up = move || prepare::prepare(&check);
        let what = "looking up the script and its user";
        let prepared = self.preparing.run(deadline, what, look_up).await??;
        if let Some(weakness) = &prepared.weakness {
            self.scripts.warn_once(weakness);
        }
        let (writer, reader) =
            pipe::pipe().map_err(|error| Failure::cannot("open a pipe", &error))?;
        let stdio = || -> io::Result<(Stdio, Stdio)> {
            let out = writer.into_blocking_fd()?;
            Ok((out.try_clone()?.into(), out.into()))
        };
        let stdio = stdio().map_err(|error| Failure::cannot("open a pipe", &error))?;
        let starting = self.scripts.start(prepared, stdio);
        let Started { mut member, leader } = deadline.step("starting", starting).await??;
        let leader =
            Watched::new(leader).map_err(|error| Failure::cannot("watch the process", &error))?;
        if !watch(&leader, reader, Deadline::after(timeout), output).await {
            self.last = member.terminate(GRACE);
            return Err(Failure::new(Cause::TimedOut, first_line(&printable(output))));
        }
        self.last = member.terminate(Duration::ZERO);
        member
            .end()
            .ok_or_else(|| Failure::new(Cause::CannotRun, "somebody else reaped the process"))
    }

    /// Never two runs at a time: what is left of the last one goes first.
    async fn finish_last(&mut self, deadline: Deadline) -> Result<(), Failure> {
        let Some(last) = &mut self.last else { return Ok(()) };
        let left =
            format!("the last run (process group {}) is left and cannot be killed", last.pid);
        match timeout_at(deadline.0, last.finish()).await {
            Ok(()) => {
                self.last = None;
                Ok(())
            }
            Err(_) => Err(Failure::new(Cause::CannotRun, left)),
        }
    }
}

fn outcome(began: Instant, result: Result<End, Failure>, output: String) -> Outcome {
    let (verdict, detail) = match result {
        Ok(End::Exit(0)) => (Verdict::Passed, String::new()),
        Ok(End::Exit(code)) => (Verdict::Failed(Cause::Exit(code)), first_line(&output)),
        Ok(End::Signal(signal)) => {
            (Verdict::Failed(Cause::Signal(signal as i32)), signal.as_str().to_owned())
        }
        Err(failure) => (Verdict::Failed(failure.cause), failure.detail),
    };
    Outcome { verdict, detail, output, took: began.elapsed() }
}

/// Collect what the group prints until the leader ends (true) or the time is up (false). Output beyond
/// what is kept is read as well, or the script would block on a full pipe.
async fn watch(
    leader: &Watched<OwnedFd>,
    mut reader: pipe::Receiver,
    deadline: Deadline,
    output: &mut Vec<u8>,
) -> bool {
    let mut chunk = [0; 4096];
    let mut open = true;
    loop {
        tokio::select! { biased;
            _ = leader.readable() => break,
            () = sleep_until(deadline.0) => return false,
            read = reader.read(&mut chunk), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => keep(output, chunk.get(..count).unwrap_or_default()),
            },
        }
    }
    while let Ok(count @ 1..) = reader.try_read(&mut chunk) {
        keep(output, chunk.get(..count).unwrap_or_default());
        if output.len() >= OUTPUT {
            break;
        }
    }
    true
}

fn keep(output: &mut Vec<u8>, chunk: &[u8]) {
    let room = OUTPUT.saturating_sub(output.len());
    output.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(DETAIL).collect()
}
