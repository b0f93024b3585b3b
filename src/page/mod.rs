//! The status as a page for browsers: no scripts, nothing from elsewhere, readable at 3 a.m.
//!
//! Pure, like the text `vipd status` prints, and in the same words ([`crate::status::text`]).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod healthz;
mod html;
mod sections;

use std::time::Duration;

use crate::status::health::daemon_notes;
use crate::status::text::WallClock;
use crate::status::{HealthLevel, Snapshot};
use crate::text::age;
pub use healthz::{Healthz, healthz};
use html::Html;

/// How a page is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How often a browser asks again; `None`: when its user wants it to.
    pub refresh: Option<Duration>,
    /// Where the same is to be had as JSON.
    pub json: String,
}

/// The page.
#[must_use]
pub fn html(snapshot: &Snapshot, look: &Look) -> String {
    let daemon = &snapshot.daemon;
    let health = snapshot.judged();
    // The titles of a row of tabs tell which one to look at.
    let (mark, class) = match health.status {
        HealthLevel::Ok => ("", " class=good>"),
        HealthLevel::Degraded => ("", " class=odd>"),
        HealthLevel::Critical | HealthLevel::Unknown => ("! ", " class=bad>"),
    };
    let mut out = Html::default();
    head(&mut out, &format!("{mark}{}", daemon.node), look);
    out.raw("<header><p>");
    out.inside("b", &daemon.node);
    let clock = WallClock::at(&daemon.taken_at);
    out.text(&format!(
        " vipd {}, pid {}, up {}, at {}",
        daemon.version,
        daemon.pid,
        age(daemon.uptime_ms),
        clock.now()
    ));
    out.raw("</p><h1");
    out.raw(class);
    out.text(&health.line());
    out.raw("</h1></header><main>");
    let notes = daemon_notes(snapshot);
    if !notes.is_empty() {
        out.raw("<ul class=notes>");
        notes.iter().for_each(|note| out.inside("li", note.trim_start()));
        out.raw("</ul>");
    }
    sections::routers(&mut out, snapshot, &clock);
    sections::listeners(&mut out, snapshot);
    sections::clusters(&mut out, snapshot);
    sections::trackers(&mut out, snapshot);
    sections::changes(&mut out, snapshot, &clock);
    out.raw("</main>");
    foot(&mut out, look);
    out.finish()
}

/// What is shown while the daemon gives no status.
#[must_use]
pub fn silent(why: &str, look: &Look) -> String {
    let mut out = Html::default();
    head(&mut out, "! no status", look);
    out.raw("<header><p><b>vipd</b></p><h1 class=bad>");
    out.text(&format!("no status: {why}"));
    out.raw("</h1></header><main><p>This page is served by a thread of its own. ");
    out.raw("On the host, <code>vipd status</code> and the log tell more.</p></main>");
    foot(&mut out, look);
    out.finish()
}

fn head(out: &mut Html, title: &str, look: &Look) {
    out.raw("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>");
    out.raw("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    out.raw("<meta name=color-scheme content=\"light dark\">");
    if let Some(refresh) = look.refresh {
        out.raw("<meta http-equiv=refresh content=\"");
        out.text(&refresh.as_secs().max(1).to_string());
        out.raw("\">");
    }
    out.inside("title", title);
    out.raw("<style>");
    out.raw(include_str!("style.css"));
    out.raw("</style></head><body>\n");
}

fn foot(out: &mut Html, look: &Look) {
    out.raw("<footer><p>");
    match look.refresh {
        Some(refresh) => {
            out.text(&format!("Shown again every {} s. ", refresh.as_secs().max(1)));
        }
        None => out.raw("Reload to see it anew. "),
    }
    out.raw("For programs: <a href=\"");
    out.text(&look.json);
    out.raw("\">JSON</a>, the same as <code>vipd status --json</code>. ");
    out.raw("Nothing can be changed here.</p></footer></body></html>\n");
}
