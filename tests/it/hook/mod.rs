//! Those who are told: commands, FIFOs and mail, with real processes, pipes and a mail server.

mod commands;
mod fifo;
mod mail;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use vipd::config::checks::{Command, RunAs, ScriptCheck};
use vipd::config::{Config, Moment, NotifyConfig, RouterConfig};
use vipd::hook::{Hooks, Inherited};
use vipd::io::{Kind, Notification, NotifyEvent};
use vipd::probe::script::Scripts;
use vipd::status::State;

use crate::engine::setup;

/// Long enough for anything that comes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Runs on a runtime such as that of the effects thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(test)
}

/// Waits for a condition while the tasks of this thread run.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !holds() {
        assert!(std::time::Instant::now() < end, "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn argv(words: &[&str]) -> ScriptCheck {
    let mut words = words.iter().map(|&word| word.to_owned());
    let command = Command::Argv { program: words.next().unwrap(), args: words.collect() };
    let run_as = RunAs::User { user: nix::unistd::Uid::effective().to_string(), group: None };
    ScriptCheck { command, run_as, security: false }
}

fn sh(text: &str) -> ScriptCheck {
    argv(&["/bin/sh", "-c", text, "sh"])
}

fn telling(commands: Vec<(Moment, ScriptCheck)>) -> NotifyConfig {
    NotifyConfig { commands: commands.into_iter().collect(), ..NotifyConfig::default() }
}

/// One router `VI_1` that tells this.
fn config(notify: NotifyConfig) -> Config {
    setup::config(vec![setup::router(|r: &mut RouterConfig| r.notify = notify)])
}

fn start(config: Config) -> Hooks {
    let scripts = Scripts::new().unwrap();
    Hooks::start(
        &Handle::current(),
        scripts,
        Arc::new(config),
        "lb1".to_owned(),
        Inherited::default(),
    )
}

fn entered(from: Option<State>, to: State) -> Notification {
    notice(NotifyEvent::Entered { from, to })
}

fn notice(event: NotifyEvent) -> Notification {
    let (name, reason) = ("VI_1".to_owned(), "a test".to_owned());
    Notification { kind: Kind::Router, name, event, reason, priority: 150 }
}

fn master() -> Notification {
    entered(Some(State::Backup), State::Master)
}

fn backup() -> Notification {
    entered(Some(State::Master), State::Backup)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn file(dir: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = dir.path().join(name);
    let text = path.display().to_string();
    (path, text)
}
