//! What clients of the control socket and signals ask of the control thread.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::background::Notice;
use super::dumps;
use super::locks::{Conflict, Locks};
use super::prepared::{Answer, Plan, Prepared, Successor, Telling};
use super::startup;
use super::upgrade::Legacy;
use super::{Control, Inbox, Reloading, Reread, SHUTDOWN_BUDGET, Warning, names};
use crate::api::protocol::{Request, Response, Subject};
use crate::api::server::{self, Ask};
use crate::config::Config;
use crate::io::{Command, Input, RouterId};
use crate::text::counted;

/// Between two looks whether nothing is on its way any more, and how many.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
const SETTLE_LOOKS: u32 = 150;

/// How long a host on the LAN may take to answer for an address.
const NEIGHBOURS_ANSWER: Duration = Duration::from_millis(20);

/// How long a configuration may take to be read. A file may be a FIFO, or on a file system whose server
/// is gone: such a thread never ends, and nobody waits for it.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Threads that read a configuration at a time, those that never end among them.
const MOST_READERS: usize = 4;

/// Warnings of a reload that are logged; `vipd check` shows all.
const MOST_LOGGED: usize = 10;

impl Control {
    pub(super) fn answer(&mut self, ask: Ask) -> ControlFlow<()> {
        let Ask { request, answer } = ask;
        let response = match request {
            Request::Status => return self.answer_status(answer),
            _ if self.stopping => Response::Error("the daemon is shutting down".to_owned()),
            Request::Drain { router, force: false, .. } => {
                self.command("drain", router.as_deref(), Command::Drain)
            }
            Request::Drain { router, force: true, .. } => {
                self.command("drain --force", router.as_deref(), Command::ForceDrain)
            }
            Request::Resume { router } => {
                self.command("resume", router.as_deref(), Command::Resume)
            }
            Request::Handover { router } => {
                self.command("handover", router.as_deref(), Command::Handover)
            }
            Request::Reload => {
                self.start_reload(Some(answer));
                return ControlFlow::Continue(());
            }
            Request::PlanReload => {
                self.start_plan(answer);
                return ControlFlow::Continue(());
            }
            Request::Upgrade { binary } => {
                self.start_upgrade(binary, answer);
                return ControlFlow::Continue(());
            }
        };
        let _ = answer.send(response.into());
        self.perform_actions()
    }

    /// If the LAN is asked something because of it, the answers belong in the status.
    fn answer_status(&mut self, answer: Answer) -> ControlFlow<()> {
        let asked = self.effects.solicited;
        self.engine.handle(self.clock.now(), Input::StatusAsked);
        self.perform_actions()?;
        if self.effects.solicited == asked {
            self.tell_status(answer);
        } else {
            let outbox = self.outbox.clone();
            tokio::spawn(async move {
                tokio::time::sleep(NEIGHBOURS_ANSWER).await;
                let _ = outbox.send(Inbox::Status(answer));
            });
        }
        ControlFlow::Continue(())
    }

    pub(super) fn tell_status(&self, answer: Answer) {
        let _ = answer.send(self.status());
    }

    /// Go on with what an earlier daemon was told: routers out of service or handed over.
    pub(super) fn keep_orders(&mut self) -> ControlFlow<()> {
        for name in std::mem::take(&mut self.options.handed_over) {
            if let Some(id) = self.id_of(&name) {
                self.engine.handle(self.clock.now(), Input::Command(Command::StayHandedOver(id)));
                self.perform_actions()?;
            }
        }
        for name in std::mem::take(&mut self.options.drained) {
            let Some(id) = self.id_of(&name) else {
                tracing::info!("{name} was drained, and is not configured any more");
                continue;
            };
            tracing::info!(router = name, "stays drained until `vipd resume`");
            self.engine.handle(self.clock.now(), Input::Command(Command::ForceDrain(Some(id))));
            self.perform_actions()?;
        }
        ControlFlow::Continue(())
    }

    fn id_of(&self, router: &str) -> Option<RouterId> {
        self.engine.names().find(|(_, known)| *known == router).map(|(id, _)| id)
    }

    fn command(
        &mut self,
        what: &str,
        router: Option<&str>,
        command: fn(Option<RouterId>) -> Command,
    ) -> Response {
        let id = match router {
            None => None,
            Some(name) => match self.id_of(name) {
                Some(id) => Some(id),
                None => {
                    return Response::Unknown {
                        router: name.to_owned(),
                        routers: self.engine.names().map(|(_, name)| name.to_owned()).collect(),
                    };
                }
            },
        };
        let concerned = self.engine.names().filter(|(known, _)| id.is_none_or(|id| id == *known));
        let subjects = concerned.filter_map(|(known, name)| {
            let (state, drained) = self.engine.standing(known)?;
            Some(Subject { name: name.to_owned(), state, drained })
        });
        let subjects = subjects.collect();
        tracing::info!("{what} {} on request", router.unwrap_or("every router"));
        self.engine.handle(self.clock.now(), Input::Command(command(id)));
        Response::Accepted(subjects)
    }

    pub(super) fn start_reload(&mut self, answer: Option<Answer>) {
        if self.stopping {
            return;
        }
        if self.reload != Reloading::Idle {
            // The file may have changed after it was read.
            self.reload = Reloading::Again;
            self.asked_again.extend(answer);
            return;
        }
        self.asked_reload.extend(answer);
        self.background.notify(Notice::Reloading);
        let (outbox, reload) = (self.outbox.clone(), Arc::clone(&self.options.reload));
        let in_use = Arc::clone(&self.effects.config);
        self.reload = Reloading::Running;
        self.reading += 1;
        let reading = self.reading;
        if self.readers >= MOST_READERS {
            return self.finish_reload(Err(readers_stuck()));
        }
        self.readers += 1;
        let take = self.locks_of();
        let started = thread::Builder::new().name("reload".to_owned()).spawn(move || {
            let named = |read: Reread| names::resolve(&read.config, &in_use).map(|()| read);
            let result = reload().and_then(named);
            let result = result.and_then(|read| Prepared::new(read, &in_use, take));
            let _ = outbox.send(Inbox::Reloaded { reading, result: Box::new(result) });
        });
        if let Err(error) = started {
            let why = format!("cannot start a thread to read the configuration: {error}");
            let result = Box::new(Err(why));
            let _ = self.outbox.send(Inbox::Reloaded { reading, result });
        }
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(READ_WITHIN).await;
            let _ = outbox.send(Inbox::ReadingLate(reading));
        });
    }

    /// Takes what a configuration needs for itself. For another thread: it may take its time.
    fn locks_of(&self) -> impl FnOnce(&Config) -> (Locks, Option<Conflict>) + use<> {
        let (runtime, held) = (self.background.effects.clone(), self.locks.names());
        let run_dir = self.options.run_dir.clone();
        move |config| Locks::take(&runtime, &run_dir, config, &held)
    }

    /// A thread has come to its end; whether anybody still waits for it is another matter.
    pub(super) fn has_read(&mut self, reading: u64, result: Result<Prepared, String>) {
        self.readers = self.readers.saturating_sub(1);
        if self.is_reading(reading) {
            self.finish_reload(result);
        }
    }

    pub(super) fn reading_late(&mut self, reading: u64) {
        if self.is_reading(reading) {
            let seconds = READ_WITHIN.as_secs();
            self.finish_reload(Err(format!(
                "the configuration could not be read within {seconds} s: is one of its files a \
                 FIFO, or on a file system that does not answer?"
            )));
        }
    }

    fn is_reading(&self, reading: u64) -> bool {
        self.reload != Reloading::Idle && reading == self.reading
    }

    pub(super) fn finish_reload(&mut self, result: Result<Prepared, String>) {
        let again = std::mem::replace(&mut self.reload, Reloading::Idle) == Reloading::Again;
        let response = match result.and_then(|read| self.keeping_all(read)) {
            _ if self.stopping => return,
            Ok(Prepared { config, dropped, mut warnings, mut changes, locks }) => {
                self.locks.change(&config, locks);
                warnings.extend(self.needs_restart(&config));
                let group = &config.globals.control_group;
                if *group != self.effects.config.globals.control_group {
                    self.background.notify(Notice::ControlGroup(group.clone()));
                }
                self.engine.predict_effects(&config, &mut changes);
                self.engine.handle(self.clock.now(), Input::Reload(Arc::clone(&config)));
                self.stalls.reconfigured(&config);
                self.effects.reconfigure(config);
                self.daemon.reloads += 1;
                self.daemon.routers_left_out = dropped.left_out();
                self.daemon.settings_dropped = dropped.settings;
                self.daemon.reload_error = None;
                let count = match warnings.len() {
                    0 => String::new(),
                    1 => " (1 warning, see `vipd check`)".to_owned(),
                    count => format!(" ({count} warnings, see `vipd check`)"),
                };
                tracing::info!("configuration reloaded: {}{count}", changes.summary());
                self.log_warnings(&warnings);
                // Listeners open at once, or say why not.
                let over = self.perform_actions();
                debug_assert!(over.is_continue(), "a reload ends nothing");
                let failures = self.effects.listeners.failures();
                Response::Reloaded { warnings: texts(&warnings), changes, failures }
            }
            Err(why) => {
                tracing::error!(
                    "reload refused, the old configuration stays in use: {}",
                    in_one_line(&why)
                );
                self.daemon.reload_error = Some(why.clone());
                Response::ReloadRefused(why)
            }
        };
        for answer in self.asked_reload.drain(..) {
            let _ = answer.send(response.clone().into());
        }
        self.background.notify(Notice::Ready);
        if again {
            self.asked_reload = std::mem::take(&mut self.asked_again);
            self.start_reload(None);
        }
    }

    /// The daemon may have been started without the rights a new router needs. Leniency is for
    /// starting: a mistake in a file must not end the service of a router that runs.
    fn keeping_all(&self, prepared: Prepared) -> Result<Prepared, String> {
        let Prepared { config, dropped, warnings, .. } = &prepared;
        startup::require_capabilities(config).map_err(|error| error.to_string())?;
        let stays = |name: &str| config.routers.iter().any(|router| router.name == name);
        let mut running = self.engine.names().map(|(_, name)| name);
        let ended =
            running.find(|name| dropped.routers.iter().any(|(out, _)| out == name) && !stays(name));
        let ended = ended.map(str::to_owned).or_else(|| {
            let listeners = &self.effects.config.listeners;
            let mut names = listeners.iter().map(|listener| listener.name());
            let stays = |name: &str| config.listeners.iter().any(|l| l.name() == name);
            let dropped = |name: &str| dropped.listeners.iter().any(|out| out == name);
            names.find(|name| dropped(name) && !stays(name)).map(str::to_owned)
        });
        match ended {
            Some(name) => Err(format!("{name} runs, and would be left out:\n{}", texts(warnings))),
            None => Ok(prepared),
        }
    }

    /// What a reload cannot change.
    fn needs_restart(&self, new: &Config) -> Option<Warning> {
        let differences = self.options.process.differences(&new.globals.process);
        (!differences.is_empty()).then(|| {
            let names = differences.join(", ");
            let line = format!(
                "warning: {names}: read when the daemon starts; the old value stays until a restart"
            );
            Warning { text: format!("{line}\n"), line }
        })
    }

    /// Those that were not said about the configuration before.
    fn log_warnings(&mut self, warnings: &[Warning]) {
        let said = std::mem::take(&mut self.warned);
        self.warned = warnings.iter().map(|warning| warning.line.clone()).collect();
        let new: BTreeSet<&String> = self.warned.difference(&said).collect();
        for line in new.iter().take(MOST_LOGGED) {
            tracing::warn!("{line}");
        }
        if new.len() > MOST_LOGGED {
            tracing::warn!("and {}", counted(new.len() - MOST_LOGGED, "more new warning"));
        }
    }

    /// Read the configuration without using it. However many ask, each gets a thread: it ends when
    /// the file is read.
    fn start_plan(&mut self, answer: Answer) {
        if self.readers >= MOST_READERS {
            let _ = answer.send(Response::ReloadRefused(readers_stuck()).into());
            return;
        }
        self.readers += 1;
        let (outbox, reload) = (self.outbox.clone(), Arc::clone(&self.options.reload));
        let in_use = Arc::clone(&self.effects.config);
        let take = self.locks_of();
        let started = thread::Builder::new().name("plan".to_owned()).spawn(move || {
            let result = reload().and_then(|read| Prepared::new(read, &in_use, take));
            let _ = outbox.send(Inbox::Planned(Plan { in_use, result, answer }));
        });
        if let Err(error) = started {
            // The answer went with the thread: the client sees the end of the conversation.
            tracing::warn!("cannot start a thread to read the configuration: {error}");
            self.readers -= 1;
        }
    }

    pub(super) fn finish_plan(&mut self, plan: Plan) {
        self.readers = self.readers.saturating_sub(1);
        let Plan { in_use, result, answer } = plan;
        let response = match result.and_then(|read| self.keeping_all(read)) {
            // A reload came in between: what is in use now?
            Ok(_) if !Arc::ptr_eq(&in_use, &self.effects.config) => return self.start_plan(answer),
            Ok(Prepared { config, mut warnings, mut changes, .. }) => {
                warnings.extend(self.needs_restart(&config));
                self.engine.predict_effects(&config, &mut changes);
                Response::ReloadPlan { warnings: texts(&warnings), changes }
            }
            Err(why) => Response::ReloadRefused(why),
        };
        let _ = answer.send(response.into());
    }

    fn start_upgrade(&mut self, binary: Option<PathBuf>, answer: Answer) {
        let refuse = |answer: Answer, why: &str| {
            let _ = answer.send(Response::Error(format!("not upgraded: {why}")).into());
        };
        let binary = match binary {
            Some(binary) => binary,
            None => match &self.options.executable {
                Some(executable) => executable.clone(),
                None => return refuse(answer, "the daemon does not know its own file"),
            },
        };
        if std::mem::replace(&mut self.upgrading, true) {
            return refuse(answer, "another upgrade is under way");
        }
        let (outbox, verify) = (self.outbox.clone(), Arc::clone(&self.options.verify));
        let started = thread::Builder::new().name("verify".to_owned()).spawn(move || {
            let _ = outbox.send(match verify(&binary) {
                Ok(version) => {
                    Inbox::Upgrade(Successor { binary, version, answer, looks: 0, telling: None })
                }
                Err(why) => Inbox::NoUpgrade { why, answer },
            });
        });
        if let Err(error) = started {
            // The answer went with the thread: the client sees the end of the conversation.
            tracing::warn!("cannot start a thread to look at the new binary: {error}");
            self.upgrading = false;
        }
    }

    pub(super) fn refuse_upgrade(&mut self, why: &str, answer: Answer) {
        self.upgrading = false;
        tracing::warn!("not upgraded: {why}");
        let _ = answer.send(Response::Error(format!("not upgraded: {why}")).into());
    }

    /// Continue as the new binary, as soon as nothing is on its way.
    pub(super) fn upgrade(&mut self, mut successor: Successor) {
        if self.stopping {
            return self.refuse_upgrade("the daemon is shutting down", successor.answer);
        }
        let Some(telling) = successor.telling.take() else {
            let (hooks, outbox) = (self.hooks.clone(), self.outbox.clone());
            self.background.effects.spawn(async move {
                let orders = hooks.commands_sent();
                let (idle, told, fifos) = (hooks.is_idle(), hooks.notified(), hooks.made_fifos());
                let telling = Some(Telling { idle, told, fifos, orders });
                let _ = outbox.send(Inbox::Upgrade(Successor { telling, ..successor }));
            });
            return;
        };
        // A command that takes its time is run again by the successor.
        let busy = !telling.idle && successor.looks < SETTLE_LOOKS;
        let outdated = telling.orders != self.hooks.commands_sent();
        if busy || outdated || !self.engine.is_settled() || self.reload != Reloading::Idle {
            successor.looks += 1;
            if successor.looks > SETTLE_LOOKS {
                let why = "a hand-over, an address or a reload does not come to its end";
                return self.refuse_upgrade(why, successor.answer);
            }
            let outbox = self.outbox.clone();
            tokio::spawn(async move {
                tokio::time::sleep(SETTLE_PAUSE).await;
                let _ = outbox.send(Inbox::Upgrade(successor));
            });
            return;
        }
        let Successor { binary, version, answer, .. } = successor;
        tracing::info!("continuing as {} (vipd {version})", binary.display());
        let legacy = Legacy {
            version: self.daemon.version.clone(),
            held: self.engine.held().map(|(iface, cidr)| (iface.0, cidr.address())).collect(),
            handed_over: self.engine.handed_over().map(str::to_owned).collect(),
            told: telling.told,
            fifos: telling.fifos,
        };
        let Err(why) = legacy.pass_on(&self.options.run_dir, &binary);
        self.refuse_upgrade(&why, answer);
    }

    pub(super) fn signal(&mut self, signal: i32) {
        match signal {
            SIGHUP => self.start_reload(None),
            SIGTERM | SIGINT => self.stop(signal),
            signal => {
                if let Some(dump) = dumps::of_signal(signal)
                    && let server::Answer::Status(view) = self.status()
                {
                    let config = Arc::clone(&self.effects.config);
                    self.background.dump(dump, signal, view, config);
                } else if let Some(text) = self.ineffective.came(self.clock.now(), signal) {
                    tracing::warn!("{text}");
                }
            }
        }
    }

    pub(super) fn stop(&mut self, signal: i32) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        tracing::info!("{name}: resigning and removing the addresses");
        self.background.notify(Notice::Stopping);
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SHUTDOWN_BUDGET).await;
            let _ = outbox.send(Inbox::GiveUp);
        });
        self.engine.handle(self.clock.now(), Input::Command(Command::Shutdown));
    }
}

fn readers_stuck() -> String {
    format!(
        "{MOST_READERS} threads that read the configuration have not come to an end: is one of its \
         files a FIFO, or on a file system that does not answer?"
    )
}

fn texts(warnings: &[Warning]) -> String {
    warnings.iter().map(|warning| warning.text.as_str()).collect()
}

/// The first error of a rendered text, and how many more there are.
fn in_one_line(why: &str) -> String {
    let mut errors = why.lines().filter(|line| line.contains("error: ") && !line.starts_with(' '));
    let Some(first) = errors.next() else {
        return why.lines().next().unwrap_or_default().to_owned();
    };
    match errors.count() {
        0 => first.to_owned(),
        1 => format!("{first} (and 1 more error, see `vipd check`)"),
        more => format!("{first} (and {more} more errors, see `vipd check`)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_one_line_of_a_refused_reload() {
        let one = "a.toml:1:1: error: no such key\n  |\n1 | x = 1\n  | ^";
        assert_eq!(in_one_line(one), "a.toml:1:1: error: no such key");
        let warned = format!("a.toml:9:1: warning: odd\n  | error: in a line\n{one}\n{one}");
        let line = "a.toml:1:1: error: no such key (and 1 more error, see `vipd check`)";
        assert_eq!(in_one_line(&warned), line);
        assert_eq!(in_one_line("cannot read it\nat all"), "cannot read it");
    }
}
