//! A snapshot as text: the table of all virtual routers and the page of one.
//!
//! Pure, so that what an operator sees can be tested to the letter.

mod serving;

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::fold::{fold, fold_under};
use crate::engine::allow_vrrp;
use crate::status::text::{
    RECENT_MS, WallClock, address_line, causes, change_text, daemon_notes, drained, heading,
    master, master_line, next_failure, peer_line, priority, priority_line, router_notes, since,
    span, state, told, tracked_lines, transition, vips,
};
use crate::status::{HintCode, HintStatus, RouterStatus, Snapshot, State};
use crate::text::age;

/// State changes shown per router unless one router is asked for.
const FEW: usize = 3;

/// State changes shown for all routers together.
const CHANGES: usize = 10;

/// With more routers than this, only those with something to say get lines of their own.
const MANY_ROUTERS: usize = 8;

/// Columns of the labels on a router's own page.
const LABEL: usize = 13;

// Positions in the table.
const VRID: usize = 2;
const SINCE: usize = 5;
const MASTER: usize = 7;
const VIPS: usize = 8;

/// Everything at a glance, `width` columns wide if the names allow it.
#[must_use]
pub fn overview(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = heads(snapshot, width);
    let few_routers = snapshot.routers.len() <= MANY_ROUTERS;
    for router in &snapshot.routers {
        let mut notes = router_notes(snapshot, router, &clock);
        if few_routers || !notes.is_empty() {
            notes.extend(next_failure(router));
            let recent = router.transitions.iter().filter(|change| change.age_ms <= RECENT_MS);
            notes.extend(recent.take(FEW).map(|change| transition(change, &clock)));
        }
        about(&mut out, width, router, &notes);
    }
    out
}

/// The same for a screen that is drawn again and again: the state changes of all routers together,
/// the latest first and by their age.
#[must_use]
pub fn live(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = heads(snapshot, width);
    let few_routers = snapshot.routers.len() <= MANY_ROUTERS;
    for router in &snapshot.routers {
        let mut notes = router_notes(snapshot, router, &clock);
        if few_routers {
            notes.extend(next_failure(router));
        }
        about(&mut out, width, router, &notes);
    }
    let changes = snapshot
        .routers
        .iter()
        .flat_map(|router| router.transitions.iter().map(|change| (&router.name, change)));
    let mut changes: Vec<_> = changes.filter(|(_, change)| change.age_ms <= RECENT_MS).collect();
    changes.sort_by_key(|(_, change)| change.age_ms);
    let lines = changes.iter().take(CHANGES).map(|(name, change)| {
        let ago = format!("{} ago", age(change.age_ms));
        format!("{ago:<12} {name}  {}", change_text(change))
    });
    section(&mut out, width, "state changes", lines);
    out
}

/// The daemon, what is wrong with it, and the table.
fn heads(snapshot: &Snapshot, width: u16) -> String {
    let clock = WallClock::at(&snapshot.daemon.taken_at);
    let mut out = heading(&snapshot.daemon);
    for note in causes(snapshot).into_iter().chain(daemon_notes(snapshot)) {
        let _ = writeln!(out, "{}", fold(&format!("! {note}"), width.into()));
    }
    out.push('\n');
    let listens = !snapshot.listeners.is_empty();
    if !listens || !snapshot.routers.is_empty() {
        routers(&mut out, width, snapshot, &clock);
        if listens {
            out.push('\n');
        }
    }
    out.push_str(&serving::serving(snapshot, width));
    out
}

fn routers(out: &mut String, width: u16, snapshot: &Snapshot, clock: &WallClock) {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(["ROUTER", "ON", "VRID", "V", "STATE", "SINCE", "PRIO", "MASTER", "VIPS"]);
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if position == VIPS { 0 } else { 2 }));
        if position == VRID {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for router in &snapshot.routers {
        table.add_row([
            router.name.clone(),
            router.interface.to_string(),
            router.vrid.to_string(),
            router.version.to_string(),
            state(router).to_owned(),
            since(router, clock),
            priority(router),
            master(router),
            vips(&router.addresses),
        ]);
    }
    keep_words(&mut table, &[SINCE, MASTER]);
    let _ = writeln!(out, "{}", table.trim_fmt());
}

/// Only these columns are broken into lines, and only between words: half an address is no address.
fn keep_words(table: &mut Table, flexible: &[usize]) {
    let longest_word = |text: &str| text.split(' ').map(|word| word.chars().count()).max();
    let longest = |position: usize| {
        let cells = table.row_iter().filter_map(|row| row.cell_iter().nth(position));
        cells.filter_map(|cell| longest_word(&cell.content())).max().unwrap_or(0)
    };
    let columns = table.column_iter().count();
    let widths: Vec<usize> = (0..columns).map(longest).collect();
    for (position, (column, longest)) in table.column_iter_mut().zip(widths).enumerate() {
        column.set_constraint(if flexible.contains(&position) {
            // The column's own width includes what is left free beside it.
            let longest = u16::try_from(longest).unwrap_or(u16::MAX);
            let least = longest.saturating_add(column.padding_width());
            ColumnConstraint::LowerBoundary(Width::Fixed(least))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
}

/// What there is to say about one router, if anything.
fn about(out: &mut String, width: u16, router: &RouterStatus, notes: &[String]) {
    if !notes.is_empty() {
        let _ = writeln!(out, "\n{}", router.name);
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

fn section(out: &mut String, width: u16, title: &str, lines: impl Iterator<Item = String>) {
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
