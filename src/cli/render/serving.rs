//! Clusters and listeners: where a new connection goes now, and why not elsewhere.

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::{fold, keep_words};
use crate::status::text::{
    bind, cluster_heading, cluster_notes, goes_to, is, listener_notes, sessions,
};
use crate::status::{ClusterStatus, Snapshot, Traffic};
use crate::text::{age, bytes};

/// Listeners, then the clusters behind them; nothing if there are none.
pub(super) fn serving(snapshot: &Snapshot, width: u16) -> String {
    let mut out = String::new();
    if !snapshot.listeners.is_empty() {
        listeners(&mut out, width, snapshot);
    }
    for cluster in &snapshot.clusters {
        members(&mut out, width, snapshot, cluster);
    }
    out
}

fn listeners(out: &mut String, width: u16, snapshot: &Snapshot) {
    let listeners = &snapshot.listeners;
    let header = ["LISTENER", "BIND", "ROLE", "CLIENTS", "WAIT", "NOW GOES TO"];
    let mut table = plain(width, header, &[3, 4]);
    for listener in listeners {
        let binds: Vec<String> = listener.binds.iter().map(bind).collect();
        let count = |of: fn(&Traffic) -> u32| {
            listener.traffic.as_ref().map_or_else(|| "-".to_owned(), |t| of(t).to_string())
        };
        table.add_row([
            listener.name.clone(),
            binds.join(" "),
            listener.wants.clone(),
            count(|traffic| traffic.connections),
            count(|traffic| traffic.waiting),
            goes_to(listener),
        ]);
    }
    keep_words(&mut table, &[1, 5]);
    let _ = writeln!(out, "{}", table.trim_fmt());
    for listener in listeners {
        let notes = listener_notes(snapshot, listener);
        if !notes.is_empty() {
            let _ = writeln!(out, "\n{}", listener.name);
            for note in notes {
                let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
            }
        }
    }
}

fn members(out: &mut String, width: u16, snapshot: &Snapshot, cluster: &ClusterStatus) {
    let heading = format!("cluster {}: {}", cluster.name, cluster_heading(cluster));
    let _ = writeln!(out, "\n{}", fold(&heading, width.into()));
    for note in cluster_notes(cluster) {
        let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
    }
    let header = ["  MEMBER", "ADDRESS", "STATE", "TL", "LAG", "AGE", "SESSIONS"];
    let mut table = plain(width, header, &[3, 4, 5, 6]);
    let dash = || "-".to_owned();
    for member in &cluster.members {
        table.add_row([
            format!("  {}", member.name),
            member.address.clone(),
            is(member),
            member.timeline.map_or_else(dash, |timeline| timeline.to_string()),
            member.lag_bytes.map_or_else(dash, bytes),
            age(member.since_ms),
            sessions(snapshot, cluster, member).map_or_else(dash, |count| count.to_string()),
        ]);
    }
    keep_words(&mut table, &[2]);
    let _ = writeln!(out, "{}", table.trim_fmt());
}

/// A table without lines, with numbers in some columns.
fn plain<const N: usize>(width: u16, header: [&str; N], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(header);
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if position + 1 == N { 0 } else { 2 }));
        if numbers.contains(&position) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
