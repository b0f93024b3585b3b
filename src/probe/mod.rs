//! Running checks: each run ends in one [`Outcome`](crate::track::outcome::Outcome).
//!
//! All of it lives in one runtime, that of the "effects" thread. What may block (the file system,
//! the name service, the user database) is done on that runtime's bounded pool of helper threads,
//! and scripts are started by a thread of their own, so a hanging mount or name server delays the
//! checks that need it and no other.

pub mod script;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::sys::cause;
use crate::track::outcome::Cause;

/// Why a run failed, on the way to its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    cause: Cause,
    detail: String,
}

impl Failure {
    fn new(cause: Cause, detail: impl Into<String>) -> Failure {
        Failure { cause, detail: detail.into() }
    }

    /// It could not be tried at all.
    fn cannot(what: impl std::fmt::Display, error: &io::Error) -> Failure {
        Failure::new(Cause::CannotRun, format!("cannot {what}: {}", cause(error)))
    }
}

/// The end of one run, whatever it is busy with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    fn after(timeout: Duration) -> Deadline {
        Deadline(Instant::now() + timeout)
    }

    /// One step of the run; `what` completes "no answer while …".
    async fn step<T>(self, what: &str, step: impl Future<Output = T>) -> Result<T, Failure> {
        timeout_at(self.0, step)
            .await
            .map_err(|_| Failure::new(Cause::TimedOut, format!("no answer while {what}")))
    }

    /// A step that blocks, on a helper thread. It goes on there when the run is over.
    async fn blocking<T: Send + 'static>(
        self,
        what: &str,
        step: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.step(what, tokio::task::spawn_blocking(step)).await?;
        done.map_err(|error| Failure::cannot(what, &io::Error::other(error)))
    }
}
