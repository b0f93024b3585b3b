//! Commands that are notified of something. Only how they end is of interest, so their output goes to
//! /dev/null; processes they leave behind live on, because people start services with them.

use std::future::Future;
use std::pin::pin;
use std::process::Stdio;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::spawner::Started;
use super::{GRACE, Scripts, outcome, prepare};
use crate::config::checks::ScriptCheck;
use crate::probe::Failure;
use crate::sys::process::End;
use crate::sys::ready::Watched;
use crate::track::outcome::{Cause, Outcome};

impl Scripts {
    /// Run a command once, with these variables added to its environment. When `deadline` has
    /// passed, which may be moved meanwhile, its group gets SIGTERM and 500 ms later SIGKILL; the
    /// answer waits for that.
    pub async fn run_once(
        &self,
        check: ScriptCheck,
        environment: Vec<(&'static str, String)>,
        mut deadline: watch::Receiver<Instant>,
    ) -> Outcome {
        let began = Instant::now();
        let result = self.start_and_wait(check, environment, &mut deadline).await;
        outcome(began, result, String::new())
    }

    async fn start_and_wait(
        &self,
        check: ScriptCheck,
        environment: Vec<(&'static str, String)>,
        deadline: &mut watch::Receiver<Instant>,
    ) -> Result<End, Failure> {
        let late = |what: &str| Failure::new(Cause::TimedOut, what);
        let looked_up = until(deadline, spawn_blocking(move || prepare::prepare(&check))).await;
        let looked_up =
            looked_up.ok_or_else(|| late("while the script and its user were looked up"))?;
        let mut prepared =
            looked_up.map_err(|error| Failure::new(Cause::CannotRun, error.to_string()))??;
        prepared.environment = environment;
        if let Some(weakness) = &prepared.weakness {
            self.warn_once(weakness);
        }
        let starting = self.start(prepared, (Stdio::null(), Stdio::null()));
        let Started { mut member, leader } =
            until(deadline, starting).await.ok_or_else(|| late("while it was started"))??;
        let leader =
            Watched::new(leader).map_err(|error| Failure::cannot("watch the process", &error))?;
        if until(deadline, leader.readable()).await.is_none() {
            if let Some(mut termination) = member.terminate(GRACE) {
                termination.over().await;
            }
            return Err(late(""));
        }
        let end = member.let_go();
        end.ok_or_else(|| Failure::new(Cause::CannotRun, "somebody else reaped the process"))
    }
}

/// `None`: the deadline passed before the step was done.
async fn until<T>(
    deadline: &mut watch::Receiver<Instant>,
    step: impl Future<Output = T>,
) -> Option<T> {
    let mut step = pin!(step);
    loop {
        let at = *deadline.borrow_and_update();
        tokio::select! { biased;
            done = &mut step => return Some(done),
            () = sleep_until(at) => return None,
            Ok(()) = deadline.changed() => {}
        }
    }
}
