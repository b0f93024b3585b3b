//! Checks, from the engine's asking to its answer.
//!
//! The control thread sends orders over an unbounded channel: it may not wait, and the engine asks
//! for a check only after it has answered. In the runtime of the "effects" thread one task takes the
//! orders and one task per check runs it, one run at a time, so an overdue check that is asked again
//! comes to it when its run is over. Cancelling a check drops its task, which kills the script it
//! runs; what is left of them ends with the daemon.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use super::Inbox;
use crate::config::checks::{Check, HostName};
use crate::io::ProbeId;
use crate::probe::resolve::Resolver;
use crate::probe::script::Scripts;
use crate::probe::{PatroniClient, Probe, ProbeContext};
use crate::track::patroni::Question;

/// Always this program, even when another has been installed in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// All checks, from the control thread.
#[derive(Debug)]
pub(super) struct Probes {
    commands: UnboundedSender<ProbeCommand>,
    scripts: Scripts,
}

#[derive(Debug)]
enum ProbeCommand {
    Run { probe: ProbeId, check: Arc<Check>, timeout: Duration },
    Ask { probe: ProbeId, question: Arc<Question>, timeout: Duration },
    Resolve(Vec<HostName>),
    Cancel { probe: ProbeId },
}

impl Probes {
    /// Runs checks in `runtime` and sends what they say to `inbox`. `successor`: this process was
    /// another daemon before.
    pub(super) fn start(
        runtime: &Handle,
        inbox: UnboundedSender<Inbox>,
        successor: bool,
    ) -> io::Result<Probes> {
        let scripts = {
            let _of_that_thread = runtime.enter();
            Scripts::guarded(PathBuf::from(OWN_PROGRAM), successor)?
        };
        let resolver = Resolver::default();
        let context = ProbeContext::with(resolver.clone(), scripts.clone());
        let (commands, queue) = unbounded_channel();
        runtime.spawn(execute(queue, context, resolver, inbox));
        Ok(Probes { commands, scripts })
    }

    /// Whoever else runs scripts: their ends are watched in one place.
    pub(super) fn scripts(&self) -> Scripts {
        self.scripts.clone()
    }

    pub(super) fn run(&self, probe: ProbeId, check: Arc<Check>, timeout: Duration) {
        let _ = self.commands.send(ProbeCommand::Run { probe, check, timeout });
    }

    pub(super) fn ask(&self, probe: ProbeId, question: Arc<Question>, timeout: Duration) {
        let _ = self.commands.send(ProbeCommand::Ask { probe, question, timeout });
    }

    /// Keep the addresses of these names known, and of no others.
    pub(super) fn resolve(&self, names: Vec<HostName>) {
        let _ = self.commands.send(ProbeCommand::Resolve(names));
    }

    pub(super) fn cancel(&self, probe: ProbeId) {
        let _ = self.commands.send(ProbeCommand::Cancel { probe });
    }
}

impl Drop for Probes {
    /// No script outlives the daemon.
    fn drop(&mut self) {
        self.scripts.kill_all();
    }
}

/// One check under way; dropped, it ends.
#[derive(Debug)]
struct Task {
    runs: UnboundedSender<Duration>,
    handle: AbortHandle,
}

impl Task {
    fn start<F>(serve: impl FnOnce(UnboundedReceiver<Duration>) -> F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (runs, queue) = unbounded_channel();
        Task { runs, handle: tokio::spawn(serve(queue)).abort_handle() }
    }

    fn run(&self, timeout: Duration) {
        // A task ends only by being dropped.
        let _ = self.runs.send(timeout);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

async fn execute(
    mut commands: UnboundedReceiver<ProbeCommand>,
    context: ProbeContext,
    resolver: Resolver,
    inbox: UnboundedSender<Inbox>,
) {
    let mut tasks: BTreeMap<ProbeId, Task> = BTreeMap::new();
    let mut names: BTreeMap<HostName, Task> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            ProbeCommand::Cancel { probe } => drop(tasks.remove(&probe)),
            ProbeCommand::Run { probe, check, timeout } => {
                let task = tasks.entry(probe).or_insert_with(|| {
                    let probed = Probe::new(&check, &context);
                    Task::start(|queue| run_on_request(probe, probed, queue, inbox.clone()))
                });
                task.run(timeout);
            }
            ProbeCommand::Ask { probe, question, timeout } => {
                let task = tasks.entry(probe).or_insert_with(|| {
                    let client = PatroniClient::new(question, &context);
                    Task::start(|queue| ask_on_request(probe, client, queue, inbox.clone()))
                });
                task.run(timeout);
            }
            ProbeCommand::Resolve(wanted) => {
                names.retain(|name, _| wanted.contains(name));
                for name in wanted {
                    names.entry(name.clone()).or_insert_with(|| {
                        Task::start(|_| watch_name(name, resolver.clone(), inbox.clone()))
                    });
                }
            }
        }
    }
}

/// Answers every run, and every change of a watched check once it has run.
async fn run_on_request(
    id: ProbeId,
    mut probe: Probe,
    mut runs: UnboundedReceiver<Duration>,
    inbox: UnboundedSender<Inbox>,
) {
    let Some(mut timeout) = runs.recv().await else { return };
    let mut outcome = probe.run(timeout).await;
    while inbox.send(Inbox::Probed { probe: id, outcome }).is_ok() {
        // Both are cancel-safe: a run that was asked for stays in the channel, a change that was
        // not reported is still one.
        outcome = tokio::select! {
            asked = runs.recv() => {
                let Some(asked) = asked else { return };
                timeout = asked;
                probe.run(timeout).await
            }
            changed = probe.changed(timeout) => changed,
        };
    }
}

/// Puts a question whenever that is asked for.
async fn ask_on_request(
    id: ProbeId,
    mut client: PatroniClient,
    mut runs: UnboundedReceiver<Duration>,
    inbox: UnboundedSender<Inbox>,
) {
    while let Some(timeout) = runs.recv().await {
        let answer = client.ask(timeout).await;
        if inbox.send(Inbox::Answered { probe: id, answer }).is_err() {
            return;
        }
    }
}
/// Tells where a name leads, and when that changes.
async fn watch_name(name: HostName, resolver: Resolver, inbox: UnboundedSender<Inbox>) {
    let mut last = None;
    loop {
        let found = resolver.another(&name, last).await;
        let told = inbox.send(Inbox::Resolved { name: name.clone(), address: found });
        if told.is_err() {
            return;
        }
        last = Some(found);
    }
}
