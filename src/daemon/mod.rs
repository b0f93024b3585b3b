//! The control thread: one loop that feeds the [`Engine`] and performs what it decides.
//!
//! Threads: this one (engine, raw sockets, kernel events, the timer); "addresses" ([`effects`]);
//! "effects" and "notify" ([`background`]); "log" ([`crate::log`]); and short-lived ones, "reload"
//! while a configuration is read and "verify" while a new binary is looked at. Tasks of this thread's
//! runtime: the two netlink connections ([`crate::sys`]), the monitor and the signals, which all end
//! with the runtime. They report through one inbox, unbounded because none of its senders may wait:
//! the kernel's events and the answers to our own operations must not be lost, and the loop empties
//! it on every round. Clients' questions come on a bounded channel and are refused when it is full.

mod background;
mod commands;
mod deadline;
mod drains;
mod dumps;
mod effects;
mod failures;
mod host;
mod inbox;
mod listeners;
mod locks;
pub mod names;
mod options;
mod pages;
mod pidfile;
mod prepared;
mod probes;
mod progress;
mod receive;
mod run_file;
mod saturation;
mod signals;
mod sockets;
mod stalls;
mod startup;
mod status;
mod upgrade;
mod watchdog;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::api::SOCKET_NAME;
use crate::api::server::{Ask, MOST_CLIENTS};
use crate::config::Process;
use crate::engine::{Engine, is_adoptable};
use crate::hook::{Hooks, Inherited, run_to_its_end};
use crate::io::{Input, KernelView, LinkChange};
use crate::log::Log;
use crate::status::Daemon;
use crate::sys::clock::{self, Clock};
use crate::sys::monitor::{Monitor, Reported};
use crate::sys::netlink::Netlink;
use crate::sys::packet::FrameSender;
use crate::sys::process::allow_more_descriptors;
use crate::sys::rawsock::Batch;
use crate::sys::realtime;
use crate::sys::timer::Timer;
use crate::types::Now;
use background::{Background, Notice};
use deadline::Deadline;
use drains::Drains;
use effects::Effects;
use host::{Access, DaemonHost, LoopbackCheck};
use inbox::Inbox;
use locks::Locks;
use pages::PageStates;
use pidfile::PidFile;
use prepared::Answer;
use probes::Probes;
use progress::{Doing, Progress, TURN_EVERY};
use signals::Ineffective;
use stalls::Stalls;
use startup::RunDir;
use upgrade::Legacy;
use watchdog::Watchdog;

pub use locks::{Holder, holder_of_address};
pub use options::{Options, Reload, Reread, StartError, Verify, Warning};

/// Reports and answers handled before the sockets are looked at again.
const INBOX_PER_ROUND: usize = 256;

/// How long the engine may take to resign and remove every address.
const SHUTDOWN_BUDGET: Duration = Duration::from_secs(2);

/// A deadline this late means that the process did not run, for the clusters behind the listeners.
const STALLED: Duration = Duration::from_secs(1);

/// Run until told to stop.
///
/// # Errors
/// [`StartError`] if it cannot start. Once it runs, nothing but a signal ends it.
pub fn run(options: Options, log: &Log) -> Result<(), StartError> {
    startup::require_capabilities(&options.config)?;
    startup::shape_process(&options.config.globals.process)?;
    startup::give_up_capabilities(&options.config);
    let kernel = |what| move |source| StartError::Kernel { what, source };
    let frames = match options.config.routers.is_empty() {
        true => None,
        false => Some(FrameSender::open().map_err(kernel("open a packet socket"))?),
    };
    let run_dir = RunDir::claim(&options.run_dir)?;
    let pid_files = options.pid_files.iter().map(|path| PidFile::claim(path));
    let _pid_files = pid_files.collect::<Result<Vec<_>, _>>()?;
    let listener = run_dir.listen()?;
    let asked_to_stop = signals::exit_on_second().map_err(kernel("install signal handlers"))?;
    startup::warn_of_other_daemons();

    let legacy = Legacy::take(&options.run_dir);
    let drains = Drains::load(&options.run_dir, legacy.is_some());
    let drained = drains.names();
    // The clients of the control socket, and the status pages.
    let (asks_tx, asks) = mpsc::channel(MOST_CLIENTS + 1);
    let host = DaemonHost {
        lost: Box::new(log.lost()),
        drains,
        access: Access::new(options.run_dir.join(SOCKET_NAME)),
        loopback: LoopbackCheck::default(),
        hooks: OnceLock::new(),
        pages: PageStates::default(),
    };
    let group = options.config.globals.control_group.clone();
    let background = Background::start(listener, asks_tx, Arc::new(host), group)
        .map_err(kernel("start the effects thread"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(kernel("start the control runtime"))?;
    allow_more_descriptors().map_err(kernel("raise the limit of descriptors"))?;
    let (locks, conflict) =
        Locks::take(&background.effects, &options.run_dir, &options.config, &BTreeSet::new());
    match conflict {
        // An upgrade ends nobody's service.
        Some(conflict) if legacy.is_some() => tracing::error!("{conflict}"),
        Some(conflict) => return Err(StartError::Held(conflict.to_string())),
        None => {}
    }
    let outcome = runtime.block_on(async {
        let mut control =
            Control::start(options, frames, asks, background, locks, legacy, drained).await?;
        control.run(&asked_to_stop).await;
        Ok(())
    });
    // From here on it waits for ordinary threads, partly by spinning: in real time they would not
    // run, nor would anything else on this processor.
    let _ = realtime::treat_this_thread_as_any_other();
    outcome
}

struct Control {
    engine: Engine,
    clock: Clock,
    timer: Timer,
    effects: Effects,
    hooks: Hooks,
    batch: Batch,
    /// Sockets that were reported ready and have not been armed again.
    reported: Vec<u64>,
    last_packet: Now,
    /// Let packets gather until then.
    gathering: Option<Now>,
    inbox: UnboundedReceiver<Inbox>,
    outbox: UnboundedSender<Inbox>,
    asks: mpsc::Receiver<Ask>,
    background: Background,
    locks: Locks,
    options: OptionsLeft,
    daemon: Daemon,
    stalls: Stalls,
    reload: Reloading,
    /// The number of the last reload, and the threads that read a configuration.
    reading: u64,
    readers: usize,
    /// What was said about the configuration in use.
    warned: BTreeSet<String>,
    /// Who waits for the end of the reload under way, and of the one after.
    asked_reload: Vec<Answer>,
    asked_again: Vec<Answer>,
    watchdog: Option<Watchdog>,
    deadline: Deadline,
    progress: Option<Progress>,
    ineffective: Ineffective,
    upgrading: bool,
    stopping: bool,
}

/// What is left of the options once the configuration is in use.
struct OptionsLeft {
    reload: Arc<Reload>,
    verify: Arc<Verify>,
    executable: Option<PathBuf>,
    run_dir: PathBuf,
    host_name: String,
    /// What cannot change any more.
    process: Process,
    /// Routers an earlier daemon was told to keep out of service.
    drained: Vec<String>,
    /// Routers it was told to hand over.
    handed_over: Vec<String>,
}

/// Whether a configuration is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reloading {
    Idle,
    Running,
    /// It was asked for again.
    Again,
}

impl Control {
    /// Everything before the first round of the loop.
    async fn start(
        options: Options,
        frames: Option<FrameSender>,
        asks: mpsc::Receiver<Ask>,
        background: Background,
        locks: Locks,
        legacy: Option<Legacy>,
        drained: Vec<String>,
    ) -> Result<Control, StartError> {
        let kernel = |what| move |source| StartError::Kernel { what, source };
        let clock = Clock::start();
        let config = Arc::new(options.config);
        let (outbox, inbox) = mpsc::unbounded_channel();
        let probes = Probes::start(&background.effects, outbox.clone(), legacy.is_some())
            .map_err(kernel("start the thread for scripts"))?;
        if legacy.is_none()
            && let Some(script) = &config.globals.startup_script
        {
            let scripts = probes.scripts();
            let limit = config.globals.startup_script_timeout;
            run_to_its_end(&background.effects, scripts, script, limit, "startup_script").await;
        }
        let mut netlink = Netlink::connect().map_err(kernel("open a netlink socket"))?;
        // Subscribed before the dump: nothing that happens in between is missed.
        let monitor = Monitor::open(netlink.clone()).map_err(kernel("watch the interfaces"))?;
        let mut table = netlink.dump().await?;
        if let Some(legacy) = &legacy {
            legacy.vouch(&mut table);
        }
        let in_place = config.routers.iter().filter(|router| is_adoptable(router, &table)).count();
        let removed_at_start = startup::remove_leftovers(&mut netlink, &config, &mut table).await;

        signals::watch(outbox.clone()).map_err(kernel("catch signals"))?;
        tokio::spawn(watch_kernel(monitor, outbox.clone()));
        let process = &config.globals.process;
        let realtime = process.realtime.then_some(process.realtime_priority);
        let inherited = legacy.as_ref().map_or_else(Inherited::default, |legacy| Inherited {
            notified: legacy.told.clone(),
            fifos: legacy.fifos.clone(),
        });
        let hooks = Hooks::start(
            &background.effects,
            probes.scripts(),
            config.clone(),
            options.host_name.clone(),
            inherited,
        );
        background.hooks(hooks.clone());
        background.pages(&config.pages);
        let mut effects = Effects::new(
            config.clone(),
            frames,
            outbox.clone(),
            background.clone(),
            probes,
            hooks.clone(),
            realtime,
        )
        .map_err(kernel("open an epoll descriptor"))?;
        startup::prefer_control_thread(realtime, legacy.is_some());
        if process.lock_memory {
            startup::lock_memory();
        }
        effects.links_changed(&LinkChange::Resync(table.clone()));

        let daemon = Daemon {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            config: options.files,
            routers_left_out: options.dropped.left_out(),
            settings_dropped: options.dropped.settings,
            scheduling: realtime::of_this_thread(),
            adopted: u64::try_from(in_place).unwrap_or(u64::MAX),
            removed_at_start,
            upgraded_from: legacy.as_ref().map(|legacy| legacy.version.clone()),
            ..Daemon::default()
        };
        let watchdog = match Watchdog::requested(clock.now()) {
            None => None,
            Some(Ok(watchdog)) => Some(watchdog),
            Some(Err(error)) => {
                tracing::warn!("the watchdog of the service manager stays unfed: {error}");
                None
            }
        };
        let host = KernelView { links: table, uptime: clock::uptime() };
        let engine = Engine::new(config.clone(), host, clock.now());
        Ok(Control {
            engine,
            clock,
            timer: Timer::new().map_err(kernel("open a timer"))?,
            effects,
            hooks,
            batch: Batch::new(),
            reported: Vec::new(),
            last_packet: Now::ZERO,
            gathering: None,
            inbox,
            outbox,
            asks,
            background,
            locks,
            options: OptionsLeft {
                reload: options.reload,
                verify: options.verify,
                executable: options.executable,
                run_dir: options.run_dir,
                host_name: options.host_name,
                process: config.globals.process.clone(),
                drained,
                handed_over: legacy.map(|legacy| legacy.handed_over).unwrap_or_default(),
            },
            daemon,
            stalls: Stalls::new(&config),
            reload: Reloading::Idle,
            reading: 0,
            readers: 0,
            warned: options.warned.into_iter().collect(),
            asked_reload: Vec::new(),
            asked_again: Vec::new(),
            watchdog,
            deadline: Deadline::default(),
            progress: None,
            ineffective: Ineffective::default(),
            upgrading: false,
            stopping: false,
        })
    }

    /// THE loop. Every branch of the `select` is cancel-safe: channels keep what was not received,
    /// and the two descriptors keep their readiness until it is consumed.
    async fn run(&mut self, asked_to_stop: &AtomicBool) {
        let version = &self.daemon.version;
        let config = &self.effects.config;
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        let mut parts = vec![count(config.routers.len(), "virtual router")];
        if !config.listeners.is_empty() {
            parts.push(count(config.listeners.len(), "listener"));
        }
        let parts = parts.join(" and ");
        let past = match &self.daemon.upgraded_from {
            Some(past) => format!(", continuing vipd {past}"),
            None => String::new(),
        };
        tracing::info!("vipd {version} started with {parts}{past}");
        self.watch_progress();
        let mut flow = self.perform_actions();
        if flow.is_continue() {
            flow = self.keep_orders();
        }
        // One that came before anybody listened.
        if asked_to_stop.load(Ordering::Relaxed) {
            self.stop(SIGTERM);
        }
        self.background.notify(Notice::Ready);
        let mut behind = false;
        while flow.is_continue() {
            let gathering = self.gathering.take();
            let mut first = None;
            if behind {
                // The tasks of this thread need their turn too.
                tokio::task::yield_now().await;
            } else {
                if gathering.is_none() {
                    self.effects.sockets.arm(&mut self.reported);
                }
                self.arm(gathering);
                self.doing(Doing::Waiting);
                let asked = tokio::select! { biased;
                    _ = self.effects.sockets.wait() => None,
                    item = self.inbox.recv() => { first = item; None }
                    ask = self.asks.recv() => ask,
                    _ = self.timer.fired() => None,
                };
                if let Some(ask) = asked {
                    self.doing(Doing::Questions);
                    flow = self.answer(ask);
                }
            }
            if flow.is_continue() {
                (flow, behind) = self.round(first);
            }
            if let Some(progress) = &self.progress {
                progress.turned();
            }
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.round_done(self.clock.now());
            }
        }
        self.progress = None;
        self.effects.finish().await;
        tracing::info!("stopped");
    }

    /// One round, in the order that makes late things harmless: the time slept, what the tasks say,
    /// every packet that waits, and only then the deadlines (rules R36, R37). Returns whether there
    /// is more to do without waiting.
    fn round(&mut self, first: Option<Inbox>) -> (ControlFlow<()>, bool) {
        self.doing(Doing::Events);
        if let Some(gap) = self.clock.suspended() {
            let slept = gap.as_secs_f32();
            tracing::warn!("the machine slept for {slept:.1} s");
            self.engine.handle(self.clock.now(), Input::Suspended { gap });
            if self.perform_actions().is_break() {
                return (ControlFlow::Break(()), false);
            }
        }
        let now = self.clock.now();
        let late = self.engine.poll_deadline().map(|deadline| now.since(deadline));
        if let Some(gap) = late.filter(|late| *late >= STALLED) {
            self.engine.handle(now, Input::Stalled { gap });
        }
        let mut item = first.or_else(|| self.inbox.try_recv().ok());
        for _ in 0..INBOX_PER_ROUND {
            let Some(next) = item.take() else { break };
            if self.take_in(next).is_break() {
                return (ControlFlow::Break(()), false);
            }
            item = self.inbox.try_recv().ok();
        }
        // One more was taken out than the round allows.
        let mut behind = match item {
            Some(last) => {
                if self.take_in(last).is_break() {
                    return (ControlFlow::Break(()), false);
                }
                true
            }
            None => false,
        };
        self.doing(Doing::Packets);
        match self.read_sockets() {
            ControlFlow::Continue(more) => behind |= more,
            ControlFlow::Break(()) => return (ControlFlow::Break(()), false),
        }
        let now = self.clock.now();
        if let Some(deadline) = self.engine.poll_deadline()
            && self.deadline.wake(deadline) <= now
        {
            self.doing(Doing::Deadlines);
            let late = u64::try_from(now.since(deadline).as_micros()).unwrap_or(u64::MAX);
            self.daemon.latest_timer_us = self.daemon.latest_timer_us.max(late);
            if let Some(said) = self.stalls.was_late(now, now.since(deadline)) {
                tracing::warn!("{said}");
            }
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.was_late(now.since(deadline));
            }
            self.engine.handle(now, Input::Tick);
            let flow = self.perform_actions();
            if self.deadline.ticked(now, self.engine.poll_deadline()) {
                tracing::error!(
                    "a deadline does not move and is passed over: this is a mistake in vipd, please \
                     report it with the output of `vipd status --json`"
                );
            }
            return (flow, behind);
        }
        (ControlFlow::Continue(()), behind)
    }

    fn take_in(&mut self, item: Inbox) -> ControlFlow<()> {
        let now = self.clock.now();
        match item {
            Inbox::Done { op, result } => self.engine.handle(now, Input::Done { op, result }),
            Inbox::NotRenewed { iface, cidr } => {
                self.engine.handle(now, Input::NotRenewed { iface, cidr });
            }
            Inbox::Deaf { iface, group } => self.effects.is_deaf(now, iface, group),
            Inbox::Probed { probe, outcome } => {
                self.engine.handle(now, Input::Probed { probe, outcome });
            }
            Inbox::Answered { probe, answer } => {
                self.engine.handle(now, Input::Answered { probe, answer });
            }
            Inbox::Resolved { name, address } => {
                self.engine.handle(now, Input::Resolved { name, address });
            }
            Inbox::Hints => {
                for hinted in self.effects.listeners.hints() {
                    self.engine.handle(now, Input::Hinted(hinted));
                    self.perform_actions()?;
                }
            }
            Inbox::LookAfterListeners => {
                for news in self.effects.listeners.look_after() {
                    self.engine.handle(now, news);
                    self.perform_actions()?;
                }
            }
            Inbox::Kernel(Reported::Change(change)) => {
                self.effects.links_changed(&change);
                self.engine.handle(now, Input::Link(change));
            }
            Inbox::Kernel(Reported::Lost) => {
                self.daemon.netlink_overruns += 1;
                tracing::warn!("the kernel dropped interface events; reading everything again");
            }
            Inbox::Kernel(Reported::Blind(error)) => tracing::warn!("{error}; trying again"),
            Inbox::Signal(signal) => self.signal(signal),
            Inbox::Reloaded { reading, result } => self.has_read(reading, *result),
            Inbox::ReadingLate(reading) => self.reading_late(reading),
            Inbox::Planned(plan) => self.finish_plan(plan),
            Inbox::Status(answer) => self.tell_status(answer),
            Inbox::Upgrade(successor) => self.upgrade(successor),
            Inbox::NoUpgrade { why, answer } => self.refuse_upgrade(&why, answer),
            Inbox::GiveUp => {
                let budget = SHUTDOWN_BUDGET.as_secs();
                tracing::warn!("not everything was cleaned up within {budget} s; exiting anyway");
                return ControlFlow::Break(());
            }
        }
        self.perform_actions()
    }

    fn perform_actions(&mut self) -> ControlFlow<()> {
        perform_actions(&mut self.engine, &mut self.effects, &self.clock)
    }

    /// From here on the process ends if this thread is stuck.
    fn watch_progress(&mut self) {
        let process = &self.options.process;
        match Progress::watched(process.realtime.then_some(process.realtime_priority)) {
            Ok(progress) => self.progress = Some(progress),
            Err(error) => tracing::warn!(
                "nobody notices if the control loop is stuck: cannot start a thread: {}",
                crate::sys::cause(&error)
            ),
        }
    }

    fn doing(&self, doing: Doing) {
        if let Some(progress) = &self.progress {
            progress.doing(doing);
        }
    }

    fn arm(&mut self, gathering: Option<Now>) {
        let hungry = self.watchdog.as_ref().map(Watchdog::deadline);
        let due = self.engine.poll_deadline().map(|deadline| self.deadline.wake(deadline));
        let turn = self.progress.as_ref().map(|_| self.clock.now() + TURN_EVERY);
        let earliest = [due, gathering, hungry, turn].into_iter().flatten().min();
        let deadline = earliest.map(|at| self.clock.absolute(at));
        if let Err(error) = self.timer.fire_by(deadline) {
            // Setting a timer that exists cannot fail; a daemon that cannot wake up must not go on.
            tracing::error!("cannot set the timer: {error}");
            self.stop(SIGTERM);
        }
    }
}

/// Do everything the engine wants, in order. Breaks on [`crate::io::Action::Exit`].
fn perform_actions(engine: &mut Engine, effects: &mut Effects, clock: &Clock) -> ControlFlow<()> {
    while let Some(action) = engine.poll_action() {
        effects.perform(clock.now(), action)?;
    }
    ControlFlow::Continue(())
}

async fn watch_kernel(mut monitor: Monitor, inbox: UnboundedSender<Inbox>) {
    while !inbox.is_closed() {
        monitor
            .next(|reported| {
                let _ = inbox.send(Inbox::Kernel(reported));
            })
            .await;
    }
}
