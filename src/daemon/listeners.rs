//! What the engine wants of the proxy, and what the proxy says.
//!
//! The proxy's threads start with the first listener. Nothing here waits for them: orders go into
//! their inboxes, counts are read from atomics, and what they notice is gathered until the control
//! thread takes it. Once a second [`Listeners::look_after`] tries again what could not be opened,
//! and looks whether the threads turn.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Inbox;
use super::failures::{self, FailureLog};
use super::saturation::{Saturation, limits};
use crate::config::ListenerConfig;
use crate::io::Input;
use crate::pool::{Hint, Hinted, ListenerId, PoolView, Server, ServerId, candidates, next_in_line};
use crate::proxy::{HintSink, Left, ListenerState, Options, Proxy, Remaining, ServerState};
use crate::status::{ServerTraffic, Snapshot, Traffic};
use crate::sys::cause;

/// How often what is not as it should be is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A worker begins an iteration at least once a second. One that has not for so long is stuck, or has
/// no processor.
const STUCK: Duration = Duration::from_secs(4);

/// See the module.
#[derive(Debug)]
pub(super) struct Listeners {
    proxy: Option<Proxy>,
    wanted: BTreeMap<ListenerId, Wanted>,
    /// Configured no longer; their last sessions go on.
    ending: Vec<ListenerId>,
    hints: Arc<Hints>,
    inbox: UnboundedSender<Inbox>,
    effects: Handle,
    looking: Option<AbortHandle>,
    /// When that was done last, and when it was late last: the whole process did not run then.
    looked: Option<Instant>,
    resumed: Option<Instant>,
    /// What the engine was told last.
    alive: Option<bool>,
}

#[derive(Debug)]
struct Wanted {
    config: Arc<ListenerConfig>,
    view: Option<Arc<PoolView>>,
    /// It is open, be it as it was configured before.
    open: bool,
    /// Why it is not as configured.
    failure: Option<String>,
    /// What the engine was told last.
    accepting: Option<bool>,
    saturation: Saturation,
    failures: FailureLog,
}

/// What sessions have noticed since it was last taken, handed over without a lock: a worker that has
/// no processor just then must not keep the control thread waiting.
#[derive(Debug)]
struct Hints {
    noticed: ArrayQueue<Hinted>,
    /// The control thread knows that there is something.
    told: AtomicBool,
}

/// Those of many iterations of all workers. One that finds no room keeps what it has until its next.
const MOST_HINTS: usize = 1024;

impl Hints {
    fn new() -> Hints {
        Hints { noticed: ArrayQueue::new(MOST_HINTS), told: AtomicBool::new(false) }
    }

    /// Whether there was room.
    fn add(&self, hinted: Hinted) -> bool {
        self.noticed.push(hinted).is_ok()
    }

    /// Whether the control thread has to be told.
    fn news(&self) -> bool {
        !self.told.swap(true, Ordering::AcqRel)
    }

    fn take(&self) -> Vec<Hinted> {
        self.told.store(false, Ordering::Release);
        let mut sums: BTreeMap<(ListenerId, ServerId, Hint), u32> = BTreeMap::new();
        // No more than there can be at once, however fast they come.
        for hinted in std::iter::from_fn(|| self.noticed.pop()).take(MOST_HINTS) {
            let count = sums.entry((hinted.listener, hinted.server, hinted.hint)).or_default();
            *count = count.saturating_add(hinted.count);
        }
        let hinted = |((listener, server, hint), count)| Hinted { listener, server, hint, count };
        sums.into_iter().map(hinted).collect()
    }
}

impl Listeners {
    pub(super) fn new(inbox: UnboundedSender<Inbox>, effects: Handle) -> Listeners {
        Listeners {
            proxy: None,
            wanted: BTreeMap::new(),
            ending: Vec::new(),
            hints: Arc::new(Hints::new()),
            inbox,
            effects,
            looking: None,
            looked: None,
            resumed: None,
            alive: None,
        }
    }

    /// Open a listener, or change it to this.
    pub(super) fn listen(&mut self, id: ListenerId, config: Arc<ListenerConfig>) {
        let wanted = self.wanted.entry(id).or_insert_with(|| Wanted {
            config: Arc::clone(&config),
            view: None,
            open: false,
            failure: None,
            accepting: None,
            saturation: Saturation::default(),
            failures: FailureLog::default(),
        });
        wanted.config = config;
        self.fit(id);
        if self.looking.is_none() {
            let inbox = self.inbox.clone();
            let look = async move {
                let mut ticks = interval(LOOK_EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    if inbox.send(Inbox::LookAfterListeners).is_err() {
                        return;
                    }
                }
            };
            self.looking = Some(self.effects.spawn(look).abort_handle());
        }
    }

    /// Accept no more connections for a listener.
    pub(super) fn unlisten(&mut self, id: ListenerId) {
        self.wanted.remove(&id);
        if let Some(proxy) = &mut self.proxy {
            proxy.close(id, Remaining::Keep);
            self.ending.push(id);
        }
    }

    /// Give a listener a new view of its servers.
    pub(super) fn publish(&mut self, id: ListenerId, view: Arc<PoolView>) {
        if let Some(wanted) = self.wanted.get_mut(&id) {
            wanted.view = Some(Arc::clone(&view));
            if !wanted.open {
                return;
            }
        }
        if let Some(proxy) = &mut self.proxy {
            proxy.publish(id, view);
        }
    }

    /// End the sessions that came in by an address this host is about to lose.
    pub(super) fn leave(&self, address: IpAddr) -> Option<Left> {
        self.proxy.as_ref().map(|proxy| proxy.leave(&[address]))
    }

    /// What sessions have noticed of their servers.
    pub(super) fn hints(&self) -> Vec<Hinted> {
        self.hints.take()
    }

    /// Try again what failed, forget what is over, and say what has changed.
    pub(super) fn look_after(&mut self) -> Vec<Input<'static>> {
        let now = Instant::now();
        let late = |before| now.duration_since(before) >= LOOK_EVERY * 2;
        if self.looked.replace(now).is_some_and(late) {
            self.resumed = Some(now);
        }
        let failed = |(id, wanted): (&ListenerId, &Wanted)| wanted.failure.is_some().then_some(*id);
        for id in self.wanted.iter().filter_map(failed).collect::<Vec<_>>() {
            self.fit(id);
        }
        let mut news = Vec::new();
        let Some(proxy) = &mut self.proxy else { return news };
        let over = |id: &ListenerId| proxy.listener(*id).is_none_or(|state| state.connections == 0);
        let (over, ending) = std::mem::take(&mut self.ending).into_iter().partition(over);
        self.ending = ending;
        Vec::into_iter(over).for_each(|id| proxy.close(id, Remaining::End));

        let awake = self.resumed.is_none_or(|resumed| now.duration_since(resumed) >= STUCK);
        let alive = proxy.oldest_heartbeat() < STUCK || !awake;
        if self.alive.replace(alive) != Some(alive) {
            if !alive {
                tracing::error!("the proxy does not turn: its threads are stuck, or starved");
            }
            news.push(Input::ProxyAlive(alive));
        }
        let loads = loads(proxy);
        for (id, wanted) in &mut self.wanted {
            if let Some(state) = proxy.listener(*id) {
                let full = wanted.view.as_deref().is_some_and(|view| is_full(view, &loads));
                let limits = limits(&wanted.config, &state, full);
                wanted.saturation.look(&wanted.config.frontend.name, now, limits);
            }
            if let Some(view) = &wanted.view {
                wanted.failures.look(&wanted.config.frontend.name, now, view, &loads);
            }
            let open = wanted.open && wanted.failure.is_none();
            let accepting = open && proxy.accepts(*id);
            if wanted.accepting.replace(accepting) != Some(accepting) {
                news.push(Input::Accepting { listener: *id, accepting });
            }
        }
        news
    }

    /// Those that do not open, each with its reason.
    pub(super) fn failures(&self) -> Vec<String> {
        let failed = |wanted: &Wanted| {
            let why = wanted.failure.as_ref()?;
            Some(format!(
                "{}: cannot {why}; trying again every second",
                wanted.config.frontend.name
            ))
        };
        self.wanted.values().filter_map(failed).collect()
    }

    /// What only the proxy knows.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        let Some(proxy) = &self.proxy else { return };
        let loads = loads(proxy);
        for listener in &mut snapshot.listeners {
            let id = ListenerId(listener.id);
            let wanted = self.wanted.get(&id);
            let failure = wanted.and_then(|wanted| wanted.failure.clone());
            let limits = wanted.map(|wanted| wanted.saturation.status()).unwrap_or_default();
            listener.traffic = Some(match proxy.listener(id) {
                None => Traffic { failure, ..Traffic::default() },
                Some(ListenerState { connections, waiting, counters, .. }) => {
                    let named = counters.named().filter(|(_, count)| *count > 0);
                    let counters = named.map(|(name, count)| (name.to_owned(), count)).collect();
                    Traffic { connections, waiting, failure, counters, limits }
                }
            });
            let next = wanted.and_then(|wanted| wanted.view.as_deref()).map(|view| {
                let unresponsive: Vec<ServerId> =
                    loads.values().filter(|load| load.unresponsive).map(|load| load.id).collect();
                next_in_line(view, |id| sessions(&loads, id), &unresponsive)
            });
            for server in &mut listener.servers {
                let id = ServerId(server.id);
                let load = loads.get(&id);
                server.sessions = Some(load.map_or(0, |load| load.sessions));
                server.failures = Some(load.map_or(0, |load| load.failures));
                server.traffic = Some(load.map(traffic).unwrap_or_default());
                server.unanswered = Some(load.map_or(0, |load| load.unanswered));
                server.mute = load.is_some_and(|load| load.unresponsive);
                server.missing = load.and_then(|load| load.failure_streak).map(failures::status);
                if let Some(next) = &next {
                    server.takes = next.contains(&id);
                }
            }
        }
    }

    /// Make a listener what is wanted.
    fn fit(&mut self, id: ListenerId) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        let frontend = wanted.config.frontend.clone();
        let name = Arc::clone(&frontend.name);
        let outcome = match start(&mut self.proxy, &self.hints, &self.inbox) {
            Ok(proxy) if wanted.open => proxy.change(id, frontend).map_err(|e| e.to_string()),
            Ok(proxy) => proxy.open(id, frontend).map_err(|e| e.to_string()).map(|_| {
                wanted.open = true;
                if let Some(view) = &wanted.view {
                    proxy.publish(id, Arc::clone(view));
                }
            }),
            Err(why) => Err(why),
        };
        let failed = std::mem::take(&mut wanted.failure);
        match outcome {
            Ok(()) if failed.is_some() => tracing::info!("{name} is open at last"),
            Ok(()) => {}
            Err(why) => {
                if failed.as_ref() != Some(&why) {
                    tracing::error!("cannot {why}; trying again every second");
                }
                wanted.failure = Some(why);
            }
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

fn loads(proxy: &Proxy) -> BTreeMap<ServerId, ServerState> {
    proxy.servers().map(|server| (server.id, server)).collect()
}

fn traffic(of: &ServerState) -> ServerTraffic {
    ServerTraffic {
        attempts: of.attempts,
        connections: of.connected,
        bytes_in: of.bytes_in,
        bytes_out: of.bytes_out,
    }
}

fn sessions(loads: &BTreeMap<ServerId, ServerState>, id: ServerId) -> u32 {
    loads.get(&id).map_or(0, |load| load.sessions)
}

/// Whether every server the next client may have has all the sessions it may have.
fn is_full(view: &PoolView, loads: &BTreeMap<ServerId, ServerState>) -> bool {
    let full = |server: &&Server| {
        server.maxconn.is_some_and(|most| sessions(loads, server.id) >= most.get())
    };
    let among = candidates(view, &[]);
    !among.is_empty() && among.iter().all(full)
}

/// The proxy, running from now on.
fn start<'p>(
    proxy: &'p mut Option<Proxy>,
    hints: &Arc<Hints>,
    inbox: &UnboundedSender<Inbox>,
) -> Result<&'p mut Proxy, String> {
    if proxy.is_none() {
        let (hints, inbox) = (Arc::clone(hints), inbox.clone());
        let sink = HintSink(Arc::new(move |hinted| {
            let taken = hints.add(hinted);
            if hints.news() {
                let _ = inbox.send(Inbox::Hints);
            }
            taken
        }));
        let started = Proxy::start(Options::default(), &sink);
        *proxy = Some(started.map_err(|error| format!("start the proxy: {}", cause(&error)))?);
    }
    proxy.as_mut().ok_or_else(String::new)
}
