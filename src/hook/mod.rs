//! Telling: runs the commands, writes the FIFOs and sends the mail that [`crate::notify`] words.
//!
//! All of it lives in the runtime of the "effects" thread. One task ([`serve`]) takes the notices in
//! their order and knows what runs; each command under way, each FIFO, each FIFO's reader and the
//! mail is a task of its own, so none of them holds up another. The control thread never waits: a
//! notice too many is dropped, counted and said, a configuration never is. The tasks end with the
//! runtime; [`Hooks::finish`] gives them a moment to come to an end first.

mod fifo;
mod mail;
mod teller;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::{Config, LifeScript};
use crate::engine::{Kind, Notice};
use crate::probe::script::Scripts;
use crate::status::{FifoStatus, MailStatus, NotifyStatus, State};
use crate::track::outcome::Verdict;
use teller::Teller;

/// Notices on their way at most: many more than any network can cause in the time of one task.
const NOTICES: usize = 4096;

/// How long commands, readers and mail have when the daemon ends.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

/// Between two looks whether everything has come to its end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Whoever is told, from outside.
#[derive(Clone, Debug)]
pub struct Hooks {
    orders: mpsc::UnboundedSender<Order>,
    /// Orders the task has not dealt with yet.
    waiting: Arc<AtomicUsize>,
    /// Orders so far.
    given: Arc<AtomicU64>,
    teller: Arc<Mutex<Teller>>,
    lost: Arc<AtomicU64>,
}

/// What a daemon goes on with that continues another.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The states that have been told already.
    pub told: Vec<(Key, State)>,
    /// The FIFOs that were made, and are to go with the daemon.
    pub fifos: Vec<PathBuf>,
}

/// What the task is asked to do.
#[derive(Debug)]
enum Order {
    Tell(Notice),
    Configure(Arc<Config>),
    Finish(oneshot::Sender<()>),
}

/// A router's or group's name.
pub type Key = (Kind, String);

impl Hooks {
    /// Tells what `config` says in `runtime`. `node` is the host's name.
    #[must_use]
    pub fn start(
        runtime: &Handle,
        scripts: Scripts,
        config: Arc<Config>,
        node: String,
        inherited: Inherited,
    ) -> Hooks {
        let _of_that_thread = runtime.enter();
        let (orders, inbox) = mpsc::unbounded_channel();
        let (ended, ends) = mpsc::unbounded_channel();
        let waiting = Arc::<AtomicUsize>::default();
        let teller = Arc::new(Mutex::new(Teller::new(scripts, config, node, inherited, ended)));
        runtime.spawn(serve(inbox, Arc::clone(&waiting), ends, Arc::clone(&teller)));
        Hooks { orders, waiting, given: Arc::default(), teller, lost: Arc::default() }
    }

    /// Tells whoever wants to know, without waiting.
    pub fn tell(&self, notice: Notice) {
        if self.waiting.load(Ordering::Relaxed) < NOTICES {
            self.order(Order::Tell(notice));
        } else {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!("notices lost: {lost}; the effects thread does not keep up");
        }
    }

    /// Goes on with another configuration.
    pub fn reconfigure(&self, config: Arc<Config>) {
        self.order(Order::Configure(config));
    }

    fn order(&self, order: Order) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.given.fetch_add(1, Ordering::Relaxed);
        // An error means that the runtime is shutting down.
        let _ = self.orders.send(order);
    }

    /// Comes to an end: everyone is told of the stop, and what runs has [`LAST_WORDS`].
    pub async fn finish(&self) {
        let (over, when_over) = oneshot::channel();
        let end = async {
            self.order(Order::Finish(over));
            let _ = when_over.await;
        };
        if timeout(LAST_WORDS, end).await.is_err() {
            let limit = LAST_WORDS.as_secs();
            tracing::warn!("not everyone was told of the stop within {limit} s");
        }
        self.teller().close();
    }

    /// How many orders were given so far. Never waits, unlike what follows: those share a lock with the
    /// task.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Whether no command runs and none waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && self.teller().is_idle()
    }

    /// The states that were told completely.
    #[must_use]
    pub fn told(&self) -> Vec<(Key, State)> {
        self.teller().told()
    }

    /// The FIFOs that were made, and are to go with the daemon.
    #[must_use]
    pub fn made_fifos(&self) -> Vec<PathBuf> {
        self.teller().made_fifos()
    }

    /// How the commands of a router or group went.
    #[must_use]
    pub fn status(&self, kind: Kind, name: &str) -> NotifyStatus {
        self.teller().status(kind, name)
    }

    /// How the commands of the groups went, by name.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<String, NotifyStatus> {
        self.teller().groups()
    }

    /// The FIFOs.
    #[must_use]
    pub fn fifos(&self) -> Vec<FifoStatus> {
        self.teller().fifos()
    }

    /// The mail, if there is any.
    #[must_use]
    pub fn mail(&self) -> Option<MailStatus> {
        self.teller().mail()
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        lock(&self.teller)
    }
}

/// Runs a command of the daemon's own start or end in `runtime`, and waits for it within its limit.
/// `name` is what the log calls it if it fails.
pub async fn run_to_its_end(
    runtime: &Handle,
    scripts: Scripts,
    script: &LifeScript,
    name: &'static str,
) {
    let (_deadline, until) = watch::channel(Instant::now() + script.timeout);
    let command = script.command.clone();
    let run = runtime.spawn(async move { scripts.run_once(command, Vec::new(), until).await });
    // An error means that the runtime is shutting down.
    let Ok(outcome) = run.await else { return };
    let took = outcome.took.as_secs_f32();
    if outcome.verdict == Verdict::Passed {
        tracing::info!("{name} took {took:.2} s");
    } else {
        tracing::warn!("{name} failed: {} ({took:.2} s)", teller::said(&outcome));
    }
}

/// Until the last [`Hooks`] is gone. The lock is never held while anything is awaited.
async fn serve(
    mut orders: mpsc::UnboundedReceiver<Order>,
    waiting: Arc<AtomicUsize>,
    mut ends: mpsc::UnboundedReceiver<teller::Ended>,
    teller: Arc<Mutex<Teller>>,
) {
    let mut finishing: Option<oneshot::Sender<()>> = None;
    loop {
        let (due, finished) = {
            let mut teller = lock(&teller);
            teller.start();
            (teller.next_due(), teller.is_finished())
        };
        if finished && let Some(over) = finishing.take() {
            let _ = over.send(());
        }
        tokio::select! {
            order = orders.recv() => {
                match order {
                    Some(Order::Tell(notice)) => lock(&teller).tell(&notice),
                    Some(Order::Configure(config)) => lock(&teller).reconfigure(config),
                    Some(Order::Finish(over)) => {
                        lock(&teller).finish();
                        finishing = Some(over);
                    }
                    None => return,
                }
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Some(ended) = ends.recv() => lock(&teller).ended(ended),
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
            // FIFOs, readers and mail come to their ends without a word.
            () = sleep(LOOK_AGAIN), if finishing.is_some() => {}
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
