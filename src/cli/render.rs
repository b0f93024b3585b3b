//! A snapshot as text: the table of all virtual routers and the page of one.
//!
//! Pure, so that what an operator sees can be tested to the letter.

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::fold::{fold, fold_under};
use crate::engine::allow_vrrp;
use crate::status::health::{MOST_REASONS, daemon_notes};
use crate::status::text::{
    RECENT_MS, WallClock, address_line, cluster_heading, cluster_notes, drained, heading,
    master_line, next_failure, peer_line, priority_line, span, state, told, tracked_lines,
    transition,
};
use crate::status::view::{self, Holds, MANY_ROUTERS, View};
use crate::status::{HintCode, HintStatus, RouterStatus, Severity, Snapshot, State};
use crate::text::age;

/// State changes shown per router unless one router is asked for.
const FEW: usize = 3;

/// Columns of the labels on a router's own page.
pub(super) const LABEL: usize = 13;

/// Everything at a glance, `width` columns wide if the names allow it.
#[must_use]
pub fn overview(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let routers = view::routers(snapshot, &clock);
    let mut out = heads(snapshot, &routers, width);
    let few_routers = routers.rows.len() <= MANY_ROUTERS;
    for (row, router) in routers.rows.into_iter().zip(&snapshot.routers) {
        let mut notes = row.notes;
        if few_routers || !notes.is_empty() {
            let recent = router.transitions.iter().filter(|change| change.age_ms <= RECENT_MS);
            notes.extend(recent.take(FEW).map(|change| transition(change, &clock)));
        }
        about(&mut out, width, &router.name, &notes);
    }
    out
}

/// The same for a screen that is drawn again and again: the state changes of all routers together,
/// the latest first and by their age.
#[must_use]
pub fn live(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let routers = view::routers(snapshot, &clock);
    let mut out = heads(snapshot, &routers, width);
    for (row, router) in routers.rows.iter().zip(&snapshot.routers) {
        about(&mut out, width, &router.name, &row.notes);
    }
    let changes = view::changes(snapshot, &clock).rows.into_iter();
    let lines = changes.map(|row| {
        let [ago, name, change] = row.cells.map(|cell| cell.text);
        format!("{ago:<12} {name}  {change}")
    });
    section(&mut out, width, "state changes", lines);
    out
}

/// The daemon, what is wrong with it, and the tables.
fn heads(snapshot: &Snapshot, routers: &View<9>, width: u16) -> String {
    let health = snapshot.judged();
    let mut out = fold(&health.line(), width.into()) + "\n" + &heading(&snapshot.daemon);
    let notes = daemon_notes(snapshot);
    // The line has no room for more than a few, and what is only amiss stands with what it is about.
    let weighs = health.reasons.iter().filter(|reason| reason.severity > Severity::Notice);
    let grave = weighs.skip(MOST_REASONS).filter(|reason| reason.severity == Severity::Critical);
    let more: Vec<String> = grave.map(|reason| reason.text.clone()).collect();
    for note in more.into_iter().chain(notes) {
        let _ = writeln!(out, "{}", fold(&format!("! {note}"), width.into()));
    }
    out.push('\n');
    let listeners = view::listeners(snapshot);
    if listeners.rows.is_empty() || !routers.rows.is_empty() {
        table(&mut out, width, "", routers);
    }
    if !listeners.rows.is_empty() {
        if !routers.rows.is_empty() {
            out.push('\n');
        }
        table(&mut out, width, "", &listeners);
        for (row, listener) in listeners.rows.iter().zip(&snapshot.listeners) {
            about(&mut out, width, &listener.name, &row.notes);
        }
    }
    for cluster in &snapshot.clusters {
        let heading = format!("cluster {}: {}", cluster.name, cluster_heading(cluster));
        let _ = writeln!(out, "\n{}", fold(&heading, width.into()));
        for note in cluster_notes(cluster) {
            let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
        }
        table(&mut out, width, "  ", &view::members(snapshot, cluster));
    }
    out
}

/// Each line begins with `indent`.
pub(super) fn table<const N: usize>(out: &mut String, width: u16, indent: &str, view: &View<N>) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    let add = |texts: [&str; N]| {
        let mut first = indent;
        texts.map(|text| format!("{}{text}", std::mem::take(&mut first)))
    };
    table.set_header(add(view.columns.each_ref().map(|column| column.short)));
    for row in &view.rows {
        table.add_row(add(row.cells.each_ref().map(|cell| cell.text.as_str())));
    }
    let longest_word = |text: &str| text.split(' ').map(|word| word.chars().count()).max();
    for (position, (column, held)) in table.column_iter_mut().zip(&view.columns).enumerate() {
        let padding = if position + 1 == N { 0 } else { 2 };
        column.set_padding((0, padding));
        column.set_constraint(if held.holds == Holds::Words {
            let texts = view.rows.iter().filter_map(|row| row.cells.get(position));
            let longest = texts.filter_map(|cell| longest_word(&cell.text)).max().unwrap_or(0);
            // The column's own width includes what is left free beside it.
            let longest = u16::try_from(longest).unwrap_or(u16::MAX);
            ColumnConstraint::LowerBoundary(Width::Fixed(longest.saturating_add(padding)))
        } else {
            ColumnConstraint::ContentWidth
        });
        if held.holds == Holds::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let _ = writeln!(out, "{}", table.trim_fmt());
}

/// What there is to say about one router or listener, if anything.
fn about(out: &mut String, width: u16, name: &str, notes: &[String]) {
    if !notes.is_empty() {
        let _ = writeln!(out, "\n{name}");
        for note in notes {
            let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
        }
    }
}

/// Everything about the router of that name in at most `width` columns; `None` if there is none.
#[must_use]
pub fn router(snapshot: &Snapshot, name: &str, width: u16) -> Option<String> {
    let router = snapshot.routers.iter().find(|router| router.name == name)?;
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = String::new();
    let mut line = |label: &str, text: &str| {
        let line = format!("{label:<LABEL$}{text}");
        let _ = writeln!(out, "{}", fold_under(&line, LABEL, width.into()));
    };
    line("router", &router.name);
    let RouterStatus { interface, vrid, version, family, .. } = router;
    line("on", &format!("{interface}, VRID {vrid}, VRRPv{version} over {family}"));
    let lasting = format!("{}, for {}", state(router), age(router.state_age_ms));
    line("state", &format!("{lasting}{}", clock.since_note(router.state_age_ms)));
    if let Some(drained) = drained(router, &clock) {
        line("operator", &drained);
    }
    line("reason", &router.reason);
    for fault in router.faults.iter().filter(|fault| fault.text != router.reason) {
        line("fault", &fault.text);
    }
    if let Some(group) = &router.group {
        line("group", group);
    }
    for told in told(&router.notify) {
        line("notify", &told);
    }
    line("priority", &priority_line(snapshot, router));
    let mut interval = format!("{} ms", router.interval_ms);
    if router.master_interval_ms != router.interval_ms {
        let _ = write!(interval, ", the master's {} ms", router.master_interval_ms);
    }
    line("interval", &interval);
    if let Some(source) = router.source {
        line("source", &source.to_string());
    }
    let to: Vec<String> = router.destinations.iter().map(ToString::to_string).collect();
    if !to.is_empty() {
        line("sends to", &to.join(", "));
    }
    line("master", &master_line(router));
    if let Some(left) = router.next_deadline_ms {
        match router.state {
            State::Master => line("next advert", &format!("in {left} ms")),
            State::Backup => {
                // A worse master does not stop it; the hint says what does.
                let unless = if router.preempts { "" } else { " if nothing is heard" };
                line("takes over", &format!("in {left} ms{unless}"));
            }
            State::Leaving => {
                line("lets go", &format!("in {left} ms, or when the successor is heard"));
            }
            State::Fault => {}
        }
    }
    if let Some(next) = next_failure(router) {
        line("next failure", &next);
    }
    if let Some(lasts) = router.failover.as_ref().and_then(|failover| failover.on_daemon_crash) {
        let lasts = span(lasts);
        line("lease", &format!("if only vipd dies, the kernel removes its addresses in {lasts}"));
    }
    if router.state == State::Master && router.last_heard_ms.is_none() {
        line("heard", &never_heard(router));
    }
    for hint in &router.hints {
        line("hint", &hint.text);
    }

    section(&mut out, width, "addresses", router.addresses.iter().map(address_line));
    section(&mut out, width, "tracks", tracked_lines(snapshot, router).into_iter());
    section(&mut out, width, "peers", router.peers.iter().map(|peer| peer_line(peer, true)));
    section(
        &mut out,
        width,
        "state changes",
        router.transitions.iter().map(|change| transition(change, &clock)),
    );
    let counters = router.counters.iter().filter(|(_, count)| *count > 0);
    section(
        &mut out,
        width,
        "counters",
        counters.map(|(name, count)| format!("{name:<24}{count:>12}")),
    );
    Some(out)
}

pub(super) fn section(
    out: &mut String,
    width: u16,
    title: &str,
    lines: impl Iterator<Item = String>,
) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(out, "\n{title}");
        for line in lines {
            let _ = writeln!(out, "{}", fold(&format!("  {line}"), width.into()));
        }
    }
}

/// Nobody heard is normal for one master and the sign of a filter for two.
fn never_heard(router: &RouterStatus) -> String {
    let RouterStatus { interface, family, .. } = router;
    let says_it = |hint: &HintStatus| {
        matches!(hint.code, HintCode::AddressConflict | HintCode::AdvertsFilteredIn)
    };
    if router.hints.iter().any(says_it) {
        return format!("no other node on {interface} since the start");
    }
    let allow = allow_vrrp(*family);
    format!(
        "no other node on {interface} since the start: backups are silent, so this is as it should \
         be if no other node says MASTER. If one does, IP protocol 112 is filtered between you: on \
         both hosts, {allow} lets VRRP in"
    )
}
