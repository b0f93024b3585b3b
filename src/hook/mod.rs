//! Runs the commands, writes the FIFOs and sends the mail whose words come from [`crate::notify`].
//!
//! All of it lives in the runtime of the "effects" thread. One task ([`serve`]) takes the notices in
//! their order and knows what runs; each command under way, each FIFO, each FIFO's reader and the
//! mail is a task of its own, so none of them holds up another. The control thread never waits: a
//! notice too many is dropped, counted and said, a configuration never is. The tasks end with the
//! runtime; [`Hooks::finish`] gives them a moment to come to an end first.

mod fifo;
mod mail;
mod notifier;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::Config;
use crate::config::checks::ScriptCheck;
use crate::io::{Kind, Notification};
use crate::probe::script::Scripts;
use crate::status::{FifoStatus, MailStatus, NotifyStatus, State};
use crate::track::outcome::{Outcome, Verdict};
use notifier::Notifier;

/// Notices on their way at most: many more than any network can cause in the time of one task.
const NOTICES: usize = 4096;

/// How long commands, readers and mail have when the daemon ends.
pub const FINISH_LIMIT: Duration = Duration::from_secs(5);

/// Between two looks whether everything has come to its end.
const FINISH_POLL: Duration = Duration::from_millis(5);

/// Notifications, from outside.
#[derive(Clone, Debug)]
pub struct Hooks {
    commands: mpsc::UnboundedSender<HookCommand>,
    /// Commands the task has not carried out yet.
    waiting: Arc<AtomicUsize>,
    commands_sent: Arc<AtomicU64>,
    notifier: Arc<Mutex<Notifier>>,
    lost: Arc<AtomicU64>,
}

/// What a daemon goes on with that continues another.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The states that have been notified already.
    pub notified: Vec<(Key, State)>,
    /// The FIFOs that were made, and are to go with the daemon.
    pub fifos: Vec<PathBuf>,
}

/// What the task is asked to do.
#[derive(Debug)]
enum HookCommand {
    Notify(Notification),
    Configure(Arc<Config>),
    Finish(oneshot::Sender<()>),
}

pub type Key = (Kind, String);

impl Hooks {
    /// Start in `runtime` with what `config` says. `node` is the host's name.
    #[must_use]
    pub fn start(
        runtime: &Handle,
        scripts: Scripts,
        config: Arc<Config>,
        node: String,
        inherited: Inherited,
    ) -> Hooks {
        let _of_that_thread = runtime.enter();
        let (commands, inbox) = mpsc::unbounded_channel();
        let (ended, ends) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        let notifier = Arc::new(Mutex::new(Notifier::new(scripts, config, node, inherited, ended)));
        runtime.spawn(serve(inbox, Arc::clone(&waiting), ends, Arc::clone(&notifier)));
        Hooks { commands, waiting, commands_sent: Arc::default(), notifier, lost: Arc::default() }
    }

    /// Notify commands, FIFOs and mail of something, without waiting.
    pub fn notify(&self, notice: Notification) {
        if self.waiting.load(Ordering::Relaxed) < NOTICES {
            self.send(HookCommand::Notify(notice));
        } else {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!("notices lost: {lost}; the effects thread does not keep up");
        }
    }

    pub fn reconfigure(&self, config: Arc<Config>) {
        self.send(HookCommand::Configure(config));
    }

    fn send(&self, command: HookCommand) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.commands_sent.fetch_add(1, Ordering::Relaxed);
        // An error means that the runtime is shutting down.
        let _ = self.commands.send(command);
    }

    /// Notify everyone of the stop; what runs then has [`FINISH_LIMIT`].
    pub async fn finish(&self) {
        let (over, when_over) = oneshot::channel();
        let end = async {
            self.send(HookCommand::Finish(over));
            let _ = when_over.await;
        };
        if timeout(FINISH_LIMIT, end).await.is_err() {
            let limit = FINISH_LIMIT.as_secs();
            tracing::warn!("not everyone was told of the stop within {limit} s");
        }
        self.notifier().close();
    }

    /// How many commands were sent to the task so far. Never waits, unlike what follows: those share a
    /// lock with the task.
    #[must_use]
    pub fn commands_sent(&self) -> u64 {
        self.commands_sent.load(Ordering::Relaxed)
    }

    /// Whether no command runs and none waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && self.notifier().is_idle()
    }

    /// The states of which everyone has been notified.
    #[must_use]
    pub fn notified(&self) -> Vec<(Key, State)> {
        self.notifier().notified()
    }

    /// The FIFOs that were made, and are to go with the daemon.
    #[must_use]
    pub fn made_fifos(&self) -> Vec<PathBuf> {
        self.notifier().made_fifos()
    }

    /// How the commands of a router or group went.
    #[must_use]
    pub fn status(&self, kind: Kind, name: &str) -> NotifyStatus {
        self.notifier().status(kind, name)
    }

    /// How the commands of the groups went, by name.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<String, NotifyStatus> {
        self.notifier().groups()
    }

    #[must_use]
    pub fn fifos(&self) -> Vec<FifoStatus> {
        self.notifier().fifos()
    }

    #[must_use]
    pub fn mail(&self) -> Option<MailStatus> {
        self.notifier().mail()
    }

    fn notifier(&self) -> MutexGuard<'_, Notifier> {
        lock(&self.notifier)
    }
}

/// Runs a command of the daemon's own start or end in `runtime`, and waits for it within `limit`.
/// `name` is what the log calls it if it fails.
pub async fn run_to_its_end(
    runtime: &Handle,
    scripts: Scripts,
    script: &ScriptCheck,
    limit: Duration,
    name: &'static str,
) {
    let (_deadline, until) = watch::channel(Instant::now() + limit);
    let command = script.clone();
    let run = runtime.spawn(async move { scripts.run_once(command, Vec::new(), until).await });
    // An error means that the runtime is shutting down.
    let Ok(outcome) = run.await else { return };
    let took = outcome.took.as_secs_f32();
    if outcome.verdict == Verdict::Passed {
        tracing::info!("{name} took {took:.2} s");
    } else {
        tracing::warn!("{name} failed: {} ({took:.2} s)", outcome_text(&outcome));
    }
}

/// Until the last [`Hooks`] is gone. The lock is never held while anything is awaited.
async fn serve(
    mut commands: mpsc::UnboundedReceiver<HookCommand>,
    waiting: Arc<AtomicUsize>,
    mut ends: mpsc::UnboundedReceiver<notifier::Ended>,
    notifier: Arc<Mutex<Notifier>>,
) {
    let mut finishing: Option<oneshot::Sender<()>> = None;
    loop {
        let (due, finished) = {
            let mut notifier = lock(&notifier);
            notifier.start();
            (notifier.next_due(), notifier.is_finished())
        };
        if finished && let Some(over) = finishing.take() {
            let _ = over.send(());
        }
        tokio::select! {
            command = commands.recv() => {
                match command {
                    Some(HookCommand::Notify(notice)) => lock(&notifier).notify(&notice),
                    Some(HookCommand::Configure(config)) => lock(&notifier).reconfigure(config),
                    Some(HookCommand::Finish(over)) => {
                        lock(&notifier).finish();
                        finishing = Some(over);
                    }
                    None => return,
                }
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Some(ended) = ends.recv() => lock(&notifier).ended(ended),
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
            // FIFOs, readers and mail do not report their ends.
            () = sleep(FINISH_POLL), if finishing.is_some() => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path as text, for the last word of a command.
fn text(path: &Path) -> String {
    path.display().to_string()
}

/// How a command ended, in a few words.
fn outcome_text(outcome: &Outcome) -> String {
    let verdict = match outcome.verdict {
        Verdict::Passed => "exit 0".to_owned(),
        Verdict::Failed(cause) => cause.to_string(),
        Verdict::Value(value) => value.to_string(),
    };
    if outcome.detail.is_empty() { verdict } else { format!("{verdict}: {}", outcome.detail) }
}
