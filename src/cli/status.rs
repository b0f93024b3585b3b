//! `vipd status`: ask the daemon, show the answer.

use std::path::PathBuf;

use super::{RUN_DIR, no_router, print, render, strange, unavailable};
use crate::api::client;
use crate::api::protocol::{Request, Response};

/// Width of the table where standard output is no terminal.
const DEFAULT_WIDTH: u16 = 80;

/// What can be said to `vipd status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show everything about this virtual router instead of a table of all
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run directory of the daemon to ask
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    run_dir: PathBuf,
}

pub(super) fn run(args: &Args) -> u8 {
    let snapshot = match client::ask(&args.run_dir, &Request::Status) {
        Ok(Response::Status(snapshot)) => snapshot,
        Ok(other) => return strange(&other),
        Err(error) => return unavailable(&error),
    };
    let text = match (&args.name, args.json) {
        (None, true) => json(&*snapshot),
        (None, false) => Some(render::overview(&snapshot, width())),
        (Some(name), true) => {
            snapshot.routers.iter().find(|router| router.name == *name).and_then(json)
        }
        (Some(name), false) => render::router(&snapshot, name, width()),
    };
    match text {
        Some(text) => print(&text),
        None => {
            let names: Vec<_> = snapshot.routers.iter().map(|router| router.name.clone()).collect();
            no_router(args.name.as_deref().unwrap_or_default(), &names)
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string_pretty(value).ok().map(|text| text + "\n")
}

/// Columns to write for.
pub(super) fn width() -> u16 {
    crate::sys::terminal_width().unwrap_or(DEFAULT_WIDTH)
}
