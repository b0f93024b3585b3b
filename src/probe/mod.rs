//! Running checks: each run ends in one [`Outcome`].
//!
//! All of it lives in one runtime, that of the "effects" thread. What may block (the file system,
//! the name service, the user database) is done on that runtime's bounded pool of helper threads,
//! and scripts are started by a thread of their own, so a hanging mount or name server delays the
//! checks that need it and no other.
#![deny(clippy::indexing_slicing)]

mod connect;
mod exchange;
mod file;
mod haproxy;
mod http;
mod postgres;
mod process;
pub mod resolve;
pub mod script;
pub mod tls;
mod verify;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use ::http::uri::PathAndQuery;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::checks::{Check, PatroniCheck, TcpCheck};
use crate::sys::cause;
use crate::text::plain_line;
use crate::track::outcome::{Cause, Outcome, Verdict};
use crate::track::patroni::{self, Answer, NoAnswer, Question};
use exchange::Wanted;
use file::Directories;
use process::Processes;
use resolve::Resolver;
use script::{Script, Scripts};
use tls::Roots;

/// What all checks share: how names are looked up, scripts started, files and processes watched.
#[derive(Clone, Debug)]
pub struct ProbeContext {
    scripts: Scripts,
    resolver: Resolver,
    roots: Roots,
    directories: Directories,
    processes: Processes,
}

impl ProbeContext {
    /// Must run inside the runtime that runs the checks.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn new(resolver: Resolver) -> io::Result<ProbeContext> {
        Ok(ProbeContext::with(resolver, Scripts::new()?))
    }

    /// The same with scripts started by `scripts`.
    #[must_use]
    pub fn with(resolver: Resolver, scripts: Scripts) -> ProbeContext {
        ProbeContext {
            scripts,
            resolver,
            roots: Roots::default(),
            directories: Directories::default(),
            processes: Processes::default(),
        }
    }
}

/// A check, with what it keeps from one run to the next.
#[derive(Debug)]
pub struct Probe {
    kind: Kind,
    resolver: Resolver,
}

#[derive(Debug)]
enum Kind {
    Script(Script),
    File(file::File),
    Process(process::Process),
    Tcp(TcpCheck, Option<tls::Client>),
    Http(http::Http),
    Patroni(PatroniCheck, http::Server),
    Haproxy(haproxy::Haproxy),
    Postgres(postgres::Postgres),
}

impl Probe {
    /// A check that has not run yet.
    #[must_use]
    pub fn new(check: &Check, context: &ProbeContext) -> Probe {
        let ProbeContext { scripts, resolver, roots, directories, processes } = context.clone();
        let kind = match check {
            Check::Script(check) => Kind::Script(Script::new(check.clone(), scripts)),
            Check::File(check) => Kind::File(file::File::new(&check.path, directories)),
            Check::Process(check) => Kind::Process(process::Process::new(check, &processes)),
            Check::Tcp(check) => {
                let host = &check.endpoint.host;
                let tls = check.tls.as_ref().map(|tls| tls::Client::new(tls, host, roots));
                Kind::Tcp(check.clone(), tls)
            }
            Check::Http(check) => Kind::Http(http::Http::new(check, resolver.clone(), roots)),
            Check::Patroni(check) => {
                let server = http::Server::new(check.target.clone(), resolver.clone(), roots);
                Kind::Patroni(check.clone(), server)
            }
            Check::Haproxy(check) => {
                Kind::Haproxy(haproxy::Haproxy::new(check, resolver.clone(), roots))
            }
            Check::Postgres(check) => Kind::Postgres(postgres::Postgres::new(check, roots)),
        };
        Probe { kind, resolver }
    }

    /// Runs it once. The answer comes within `timeout`, or, of a script, within `timeout` of its
    /// start ([`Script::run`]).
    pub async fn run(&mut self, timeout: Duration) -> Outcome {
        let deadline = Deadline::after(timeout);
        let resolver = &self.resolver;
        match &mut self.kind {
            Kind::Script(script) => script.run(timeout).await,
            Kind::File(file) => file.run(timeout).await,
            Kind::Process(process) => process.run(timeout).await,
            Kind::Tcp(check, tls) => outcome(reach(check, tls.as_mut(), resolver, deadline)).await,
            Kind::Http(http) => outcome(http.run(deadline)).await,
            Kind::Patroni(check, server) => outcome(ask_patroni(check, server, deadline)).await,
            Kind::Haproxy(haproxy) => outcome(haproxy.run(deadline)).await,
            Kind::Postgres(postgres) => outcome(postgres.run(resolver, deadline)).await,
        }
    }

    /// Wait until the answer differs from that of the last run, if the check is watched; otherwise for
    /// ever. Cancel-safe.
    pub async fn changed(&mut self, timeout: Duration) -> Outcome {
        match &mut self.kind {
            Kind::File(file) => file.changed(timeout).await,
            Kind::Process(process) => process.changed(timeout).await,
            _ => std::future::pending().await,
        }
    }
}

/// A connection, and TLS if that is wanted.
async fn reach(
    check: &TcpCheck,
    tls: Option<&mut tls::Client>,
    resolver: &Resolver,
    deadline: Deadline,
) -> Result<String, Failure> {
    let (stream, _) = connect::connect(&check.endpoint, resolver, deadline).await?;
    match tls {
        None => Ok(String::new()),
        Some(tls) => tls.connect(stream, deadline).await.map(|_| "speaks TLS".to_owned()),
    }
}

async fn ask_patroni(
    check: &PatroniCheck,
    server: &mut http::Server,
    deadline: Deadline,
) -> Result<String, Failure> {
    let path = patroni::question(check);
    let path = path.parse().map_err(|error| {
        Failure::new(Cause::CannotRun, format!("{path} cannot be asked for: {error}"))
    })?;
    let answer = server.ask(&Method::GET, &path, Wanted::Body(http::BODY), deadline).await?;
    let now = patroni::clock(Timestamp::now(), answer.date.as_deref());
    patroni::judge(check.role, answer.status, &answer.body, now)
        .map_err(|why| Failure::new(Cause::WrongAnswer, why))
}

/// Asks one Patroni node one question, as often as needed.
#[derive(Debug)]
pub struct PatroniClient {
    question: Arc<Question>,
    server: http::Server,
}

impl PatroniClient {
    #[must_use]
    pub fn new(question: Arc<Question>, context: &ProbeContext) -> PatroniClient {
        let ProbeContext { resolver, roots, .. } = context.clone();
        let server = http::Server::new(question.target().clone(), resolver, roots);
        PatroniClient { question, server }
    }

    /// Asks once. The answer comes within `timeout`.
    pub async fn ask(&mut self, timeout: Duration) -> Answer {
        let began = Instant::now();
        let path = PathAndQuery::from_static(self.question.path());
        let (wanted, deadline) = (Wanted::Body(http::BODY), Deadline::after(timeout));
        let answer = self.server.ask(&Method::GET, &path, wanted, deadline).await;
        let said = match answer {
            Ok(answer) => {
                let now = patroni::clock(Timestamp::now(), answer.date.as_deref());
                self.question.read(answer.status, &answer.body, now)
            }
            Err(Failure { cause, detail }) => Err(NoAnswer { cause, detail }),
        };
        Answer { said, took: began.elapsed() }
    }
}

/// Characters of what a server says about itself.
const DETAIL: usize = 400;

/// Why a run failed, on the way to its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    cause: Cause,
    detail: String,
}

impl Failure {
    fn new(cause: Cause, detail: impl Into<String>) -> Failure {
        Failure { cause, detail: plain_line(&detail.into(), DETAIL) }
    }

    /// It could not be tried at all.
    fn cannot(what: impl std::fmt::Display, error: &io::Error) -> Failure {
        Failure::new(Cause::CannotRun, format!("cannot {what}: {}", cause(error)))
    }
}

/// The deadline of one run, shared by all its steps.
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
}

/// Blocking work on a helper thread, one piece at a time: work that hangs holds one thread, not one
/// for each run.
#[derive(Debug)]
struct BlockingTask<T>(Option<JoinHandle<T>>);

impl<T> Default for BlockingTask<T> {
    fn default() -> BlockingTask<T> {
        BlockingTask(None)
    }
}

impl<T: Send + 'static> BlockingTask<T> {
    /// Start the work, or wait for that of an earlier run if it is still under way.
    async fn run(
        &mut self,
        deadline: Deadline,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let task = self.0.get_or_insert_with(|| tokio::task::spawn_blocking(work));
        let done = deadline.step(what, task).await?;
        self.0 = None;
        done.map_err(|error| Failure::cannot(what, &io::Error::other(error)))
    }
}

/// Run `check` and make its answer an outcome.
async fn outcome(check: impl Future<Output = Result<String, Failure>>) -> Outcome {
    let began = Instant::now();
    finished(began, check.await)
}

/// The detail of a success, or the failure.
fn finished(began: Instant, answer: Result<String, Failure>) -> Outcome {
    let (verdict, detail) = match answer {
        Ok(detail) => (Verdict::Passed, plain_line(&detail, DETAIL)),
        Err(failure) => (Verdict::Failed(failure.cause), failure.detail),
    };
    Outcome { verdict, detail, output: String::new(), took: began.elapsed() }
}
