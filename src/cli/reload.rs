//! `vipd reload`: have the configuration read again; say what that changed, or would change.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::fold::{fold, fold_under};
use super::status::{json, width};
use super::{complain, exit, print, run_dir, strange, unavailable};
use crate::api::client::ask_within;
use crate::api::protocol::{Request, Response};
use crate::status::{Change, Changes, RouterChange, SettingChange};

/// More than the daemon allows itself.
const PATIENCE: Duration = Duration::from_secs(25);

/// What can be said to `vipd reload`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run directory of the daemon [default: /run/vipd]
    #[arg(long, value_name = "DIR", default_value_os_t = run_dir::of_daemon())]
    #[arg(hide_default_value = true)]
    run_dir: PathBuf,
}

/// The form for programs: fields are added, never repurposed.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Json {
    /// The configuration as it was read is in use now.
    reloaded: bool,
    /// Nothing but a look was asked for.
    dry_run: bool,
    /// Why the configuration cannot be used, rendered for a human.
    refused: Option<String>,
    /// Warnings about it, rendered for a human.
    warnings: String,
    /// What is, or would be, different; absent if it cannot be used.
    changes: Option<Changes>,
    /// Listeners that do not open, each with its reason.
    failures: Vec<String>,
}

pub(super) fn run(args: &Args) -> u8 {
    let request = if args.dry_run { Request::PlanReload } else { Request::Reload };
    let mut failed = Vec::new();
    let (refused, warnings, changes) = match ask_within(&args.run_dir, &request, PATIENCE) {
        Ok(Response::Reloaded { warnings, changes, failures }) if !args.dry_run => {
            failed = failures;
            (None, warnings, Some(changes))
        }
        Ok(Response::ReloadPlan { warnings, changes }) if args.dry_run => {
            (None, warnings, Some(changes))
        }
        Ok(Response::ReloadRefused(why)) => (Some(why), String::new(), None),
        Ok(other) => return strange(&other),
        Err(error) => return unavailable(&error),
    };
    let status = match (&refused, failed.is_empty()) {
        (Some(_), _) => exit::CONFIG,
        (None, false) => exit::OS_ERR,
        (None, true) => exit::OK,
    };
    if args.json {
        let reloaded = changes.is_some() && !args.dry_run;
        let failures = failed;
        let answer = Json { reloaded, dry_run: args.dry_run, refused, warnings, changes, failures };
        return print(&json(&answer).unwrap_or_default()).max(status);
    }
    let _ = io::stderr().write_all(warnings.as_bytes());
    if let Some(changes) = changes {
        let printed = print(&text(&changes, args.dry_run, width().into()));
        failed.iter().for_each(|failure| complain(&format!("listener {failure}")));
        return printed.max(status);
    }
    let _ = writeln!(io::stderr(), "{}", refused.unwrap_or_default().trim_end());
    complain(if args.dry_run {
        "a reload would be refused, the configuration in use would stay"
    } else {
        "reload refused, the old configuration stays in use"
    });
    status
}

/// The changes in at most `width` columns and, in the last line, what they come to.
#[must_use]
pub fn text(changes: &Changes, dry_run: bool, width: usize) -> String {
    let mut text = String::new();
    for change in &changes.globals {
        let _ = writeln!(text, "{}", setting(change, "", width));
    }
    for RouterChange { name, change, state: _, effect, settings } in &changes.routers {
        let what = match change {
            Change::Changed => String::new(),
            Change::Added | Change::Removed | Change::Replaced => format!("{change}, "),
        };
        let _ = writeln!(text, "{}", fold(&format!("{name}: {what}{effect}"), width));
        for change in settings {
            let _ = writeln!(text, "{}", setting(change, "  ", width));
        }
    }
    for object in &changes.objects {
        let what = format!("{}: {}", object.title(), object.change);
        let _ = writeln!(text, "{}", fold(&what, width));
        for change in &object.settings {
            let _ = writeln!(text, "{}", setting(change, "  ", width));
        }
    }
    let summary = changes.summary();
    let last = match (dry_run, changes.is_empty()) {
        (false, _) => format!("reloaded: {summary}"),
        (true, true) => "a reload would change nothing".to_owned(),
        (true, false) => format!("a reload would do this: {summary}"),
    };
    let _ = writeln!(text, "{}", fold(&last, width));
    text
}

fn setting(change: &SettingChange, indent: &str, width: usize) -> String {
    let SettingChange { setting, from, to, note } = change;
    let mut line = format!("{indent}{setting}  ");
    let label = line.chars().count();
    line += &match (from, to) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (Some(from), None) => format!("- {from}"),
        (None, Some(to)) => format!("+ {to}"),
        (None, None) => String::new(),
    };
    if !note.is_empty() {
        line += &format!(": {note}");
    }
    fold_under(&line, label, width)
}
