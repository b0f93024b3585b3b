//! `vipd status`: ask the daemon, show the answer, once or again and again.

mod check;
mod colour;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use super::{complain, details, exit, print, render, run_dir, strange, unavailable};
use crate::api::client::{self, AskError};
use crate::api::protocol::{Request, Response};
use crate::status::{Object, Snapshot};
use crate::text::plain;

/// Where standard output is no terminal nothing is folded: who reads it looks for whole lines.
const UNLIMITED: u16 = u16::MAX;

/// What can be said to `vipd status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show everything about the virtual router, listener or cluster of this name instead of a table of all; where
    /// several have it, router/NAME, listener/NAME or cluster/NAME is one
    name: Option<String>,
    /// Show it again and again, every second or as often as said
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "1",
        value_parser = watched
    )]
    watch: Option<Watched>,
    /// Print one line on the health, and exit with 0, 1, 2 or 3 as monitoring plugins do
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run directory of the daemon to ask [default: /run/vipd]
    #[arg(long, value_name = "DIR", default_value_os_t = run_dir::of_daemon())]
    #[arg(hide_default_value = true)]
    run_dir: PathBuf,
}

/// What stands behind `--watch`.
#[derive(Clone, Debug)]
enum Watched {
    Every(Duration),
    /// No number, so it is the name, and the time is not said.
    Name(String),
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum NoStatus {
    /// The daemon gave none.
    Unavailable(AskError),
    /// It gave something else.
    Strange(Box<Response>),
    /// It has nothing of that name, but these.
    Unknown(String),
}

pub(super) fn run(args: &Args) -> u8 {
    if let (Some(Watched::Name(behind)), Some(name)) = (&args.watch, &args.name) {
        complain(&format!(
            "one name at a time: {behind:?} is no number of seconds, {name:?} is the name"
        ));
        return exit::USAGE;
    }
    if args.check {
        return check::run(args);
    }
    match &args.watch {
        Some(Watched::Every(every)) => return watch::run(args, *every),
        Some(Watched::Name(_)) => return watch::run(args, Duration::from_secs(1)),
        None => {}
    }
    match args.ask().and_then(|snapshot| args.text(&snapshot, width(), render::overview)) {
        Ok(text) => print(&colour::word(&text, colour::is_wanted() && !args.json)),
        Err(why) => args.complain(why),
    }
}

impl Args {
    fn name(&self) -> Option<&str> {
        match &self.watch {
            Some(Watched::Name(name)) => Some(name),
            Some(Watched::Every(_)) | None => self.name.as_deref(),
        }
    }

    pub(super) fn ask(&self) -> Result<Snapshot, NoStatus> {
        match client::ask(&self.run_dir, &Request::Status) {
            Ok(Response::Status(mut snapshot)) => {
                snapshot.health = snapshot.judged().into_owned();
                Ok(*snapshot)
            }
            Ok(other) => Err(NoStatus::Strange(Box::new(other))),
            Err(error) => Err(NoStatus::Unavailable(error)),
        }
    }

    /// What was asked for in at most `width` columns; `all` draws every router.
    pub(super) fn text(
        &self,
        snapshot: &Snapshot,
        width: u16,
        all: fn(&Snapshot, u16) -> String,
    ) -> Result<String, NoStatus> {
        let Some(name) = self.name() else {
            return Ok(if self.json {
                self.json(snapshot)
            } else {
                plain(&all(snapshot, width)).into_owned()
            });
        };
        let objects = found(snapshot, name)?;
        // One object is one value: of several, the router, as ever.
        let Some(first) = objects.first().filter(|_| self.json) else {
            return Ok(plain(&details::of(snapshot, &objects, width)).into_owned());
        };
        Ok(match first {
            Object::Router(router) => self.json(router),
            Object::Listener(listener) => self.json(listener),
            Object::Cluster(cluster) => self.json(cluster),
        })
    }

    /// Indented, or in one line where one follows another.
    fn json(&self, value: &impl serde::Serialize) -> String {
        if self.watch.is_none() {
            return json(value).unwrap_or_default();
        }
        serde_json::to_string(value).map(|text| text + "\n").unwrap_or_default()
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn complain(&self, why: NoStatus) -> u8 {
        match why {
            NoStatus::Unavailable(error) => unavailable(&error),
            NoStatus::Strange(answer) => strange(&answer),
            NoStatus::Unknown(what) => {
                complain(&what);
                exit::NO_INPUT
            }
        }
    }
}

/// What has this name.
fn found<'s>(snapshot: &'s Snapshot, name: &str) -> Result<Vec<Object<'s>>, NoStatus> {
    let objects = snapshot.named(name);
    if objects.is_empty() {
        let names = snapshot.names();
        let there = match names.is_empty() {
            true => "there is none at all".to_owned(),
            false => format!("there are: {}", names.join(", ")),
        };
        let what = "no virtual router, listener or cluster is called";
        return Err(NoStatus::Unknown(format!("{what} {name:?}; {there}")));
    }
    Ok(objects)
}

pub(super) fn json(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string_pretty(value).ok().map(|text| text + "\n")
}

/// Columns to write for.
pub(super) fn width() -> u16 {
    crate::sys::terminal_width().unwrap_or(UNLIMITED)
}

fn watched(text: &str) -> Result<Watched, String> {
    let time: Option<f64> = text.parse().ok();
    match time.filter(|seconds| (0.1..=3600.0).contains(seconds)) {
        Some(seconds) => Ok(Watched::Every(Duration::from_secs_f64(seconds))),
        None if time.is_some() => Err("0.1 to 3600 seconds are possible".to_owned()),
        None => Ok(Watched::Name(text.to_owned())),
    }
}
