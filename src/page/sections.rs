//! The parts of the page: virtual routers, listeners, clusters, trackers, state changes.

use super::html::Html;
use crate::status::Snapshot;
use crate::status::text::{WallClock, cluster_heading, cluster_notes, priority_line, state};
use crate::status::view::{self, Cell, Health, Holds, View};

pub(super) fn routers(out: &mut Html, snapshot: &Snapshot, clock: &WallClock) {
    let mut view = view::routers(snapshot, clock);
    for (row, router) in view.rows.iter_mut().zip(&snapshot.routers) {
        let notes = &mut row.notes;
        if !notes.is_empty() {
            let adds = !router.tracking.is_empty();
            if adds && !notes.iter().any(|note| note.starts_with("priority ")) {
                notes.insert(0, format!("priority {}", priority_line(snapshot, router)));
            }
            notes.insert(0, format!("{}: {}", state(router), router.reason));
        }
    }
    section(out, "Virtual routers", &view);
}

pub(super) fn listeners(out: &mut Html, snapshot: &Snapshot) {
    section(out, "Listeners", &view::listeners(snapshot));
}

pub(super) fn clusters(out: &mut Html, snapshot: &Snapshot) {
    for cluster in &snapshot.clusters {
        out.raw("<section><h2>Cluster ");
        out.text(&cluster.name);
        out.raw("</h2><p class=");
        out.raw(class(view::cluster_health(cluster)));
        out.raw(">");
        out.text(&cluster_heading(cluster));
        out.raw("</p>");
        let notes = cluster_notes(cluster);
        if !notes.is_empty() {
            out.raw("<ul class=notes>");
            notes.iter().for_each(|note| out.inside("li", note));
            out.raw("</ul>");
        }
        table(out, &view::members(snapshot, cluster));
    }
}

pub(super) fn trackers(out: &mut Html, snapshot: &Snapshot) {
    section(out, "Checks", &view::trackers(snapshot));
}

pub(super) fn changes(out: &mut Html, snapshot: &Snapshot, clock: &WallClock) {
    section(out, "State changes", &view::changes(snapshot, clock));
}

fn section<const N: usize>(out: &mut Html, title: &'static str, view: &View<N>) {
    if !view.rows.is_empty() {
        out.raw("<section>");
        out.inside("h2", title);
        table(out, view);
    }
}

/// The table, and the end of its section.
fn table<const N: usize>(out: &mut Html, view: &View<N>) {
    out.raw("<table><thead><tr>");
    view.columns.iter().for_each(|column| out.inside("th", column.name));
    out.raw("</tr></thead><tbody>\n");
    for row in &view.rows {
        out.raw("<tr>");
        for (column, Cell { text, detail, health }) in view.columns.iter().zip(&row.cells) {
            let number = if column.holds == Holds::Number { "number" } else { "" };
            out.cell(health.map_or(number, class), column.name, detail.as_ref().unwrap_or(text));
        }
        out.raw("</tr>\n");
        out.notes(&row.notes);
    }
    out.raw("</tbody></table></section>\n");
}

fn class(health: Health) -> &'static str {
    match health {
        Health::Good => "good",
        Health::Neutral => "calm",
        Health::Warning => "odd",
        Health::Bad => "bad",
    }
}
