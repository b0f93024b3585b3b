//! `vipd status`: ask the daemon, show the answer, once or again and again.

mod watch;

use std::path::PathBuf;
use std::time::Duration;

use super::{complain, exit, no_router, print, render, run_dir, strange, unavailable};
use crate::api::client::{self, AskError};
use crate::api::protocol::{Request, Response};
use crate::status::Snapshot;
use crate::text::plain;

/// Where standard output is no terminal nothing is folded: who reads it looks for whole lines.
const UNLIMITED: u16 = u16::MAX;

/// What can be said to `vipd status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show everything about this virtual router instead of a table of all
    name: Option<String>,
    /// Show it again and again, every second or as often as said
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = seconds
    )]
    watch: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run directory of the daemon to ask [default: /run/vipd]
    #[arg(long, value_name = "DIR", default_value_os_t = run_dir::of_daemon())]
    #[arg(hide_default_value = true)]
    run_dir: PathBuf,
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum NoStatus {
    /// The daemon gave none.
    Unavailable(AskError),
    /// It gave something else.
    Strange(Box<Response>),
    /// It has no router of that name, but these.
    Unknown(Vec<String>),
}

pub(super) fn run(args: &Args) -> u8 {
    if let (Some(_), Some(Ok(_))) = (args.watch, args.name.as_deref().map(seconds)) {
        return watch_how_often(args);
    }
    if let Some(every) = args.watch {
        return watch::run(args, every);
    }
    match args.ask().and_then(|snapshot| args.text(&snapshot, width(), render::overview)) {
        Ok(text) => print(&text),
        Err(why) => args.complain(why),
    }
}

/// `-w 2`: the number is no value of the option, and hardly a router.
fn watch_how_often(args: &Args) -> u8 {
    let number = args.name.as_deref().unwrap_or_default();
    complain(&format!(
        "{number} would be the name of a virtual router here; to redraw the status every {number} \
         seconds write -w={number} or --watch={number}"
    ));
    exit::USAGE
}

impl Args {
    pub(super) fn ask(&self) -> Result<Snapshot, NoStatus> {
        match client::ask(&self.run_dir, &Request::Status) {
            Ok(Response::Status(snapshot)) => Ok(*snapshot),
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
        let unknown = || {
            NoStatus::Unknown(snapshot.routers.iter().map(|router| router.name.clone()).collect())
        };
        let Some(name) = &self.name else {
            return Ok(if self.json {
                self.json(snapshot)
            } else {
                plain(&all(snapshot, width)).into_owned()
            });
        };
        if !self.json {
            let text = render::router(snapshot, name, width);
            return text.map(|text| plain(&text).into_owned()).ok_or_else(unknown);
        }
        let router = snapshot.routers.iter().find(|router| router.name == *name);
        router.map(|router| self.json(router)).ok_or_else(unknown)
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
            NoStatus::Unknown(names) => no_router(self.name.as_deref().unwrap_or_default(), &names),
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string_pretty(value).ok().map(|text| text + "\n")
}

/// Columns to write for.
pub(super) fn width() -> u16 {
    crate::sys::terminal_width().unwrap_or(UNLIMITED)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let time: Option<f64> = text.parse().ok();
    match time.filter(|seconds| (0.1..=3600.0).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None if time.is_some() => Err("0.1 to 3600 seconds are possible".to_owned()),
        None => Err("it is no number of seconds".to_owned()),
    }
}
