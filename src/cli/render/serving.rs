//! Clusters and listeners: where a new connection goes now, and why not elsewhere.

use std::fmt::Write;
use std::net::SocketAddr;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};

use super::{age, fold};
use crate::status::{
    AdmissionStatus, ClusterStatus, ListenerStatus, MemberStatus, Phase, ServerStatus, Snapshot,
    Traffic,
};

/// An answer older than this is worth a word.
const OLD_MS: u64 = 3000;

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
    let header = ["LISTENER", "BIND", "FOR", "CLIENTS", "WAIT", "NOW GOES TO"];
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
    let _ = writeln!(out, "{}", table.trim_fmt());
    for listener in listeners {
        let notes = notes(snapshot, listener);
        if !notes.is_empty() {
            let _ = writeln!(out, "\n{}", listener.name);
            for note in notes {
                let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
            }
        }
    }
}

fn bind(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V4(any) if any.ip().is_unspecified() => format!("*:{}", any.port()),
        other => other.to_string(),
    }
}

fn goes_to(listener: &ListenerStatus) -> String {
    let names: Vec<&str> =
        listener.servers.iter().filter(|server| server.takes).map(|s| s.name.as_str()).collect();
    match (names.is_empty(), listener.fallen_back) {
        (true, _) => "nobody: clients wait".to_owned(),
        (false, true) => format!("{} (fallback)", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

fn notes(snapshot: &Snapshot, listener: &ListenerStatus) -> Vec<String> {
    let mut notes = Vec::new();
    let traffic = listener.traffic.as_ref();
    match traffic.and_then(|traffic| traffic.failure.as_deref()) {
        Some(failure) => notes.push(format!("not open: cannot {failure}")),
        None if !listener.accepting && traffic.is_some() => {
            notes.push("does not accept connections at all its addresses".to_owned());
        }
        None => {}
    }
    if !listener.serves {
        notes.push(listener.reason.clone());
    } else {
        // That a standby takes no writes is as it should be, and what is wrong with a member for
        // everybody stands with the cluster.
        let members = snapshot.clusters.iter().filter(|cluster| cluster.name == listener.cluster);
        let members: Vec<&MemberStatus> = members.flat_map(|cluster| &cluster.members).collect();
        let known = |s: &ServerStatus| {
            members.iter().any(|member| member.name == s.name && member.admission == s.admission)
        };
        let amiss = |s: &&ServerStatus| s.admission != AdmissionStatus::Usable && !known(s);
        let amiss = listener.servers.iter().filter(amiss);
        notes.extend(amiss.map(|server| match server.falls {
            0 | 1 => format!("not {}: {}", server.name, server.reason),
            falls => format!("not {}: {} (down {falls} times lately)", server.name, server.reason),
        }));
    }
    notes
}

fn members(out: &mut String, width: u16, snapshot: &Snapshot, cluster: &ClusterStatus) {
    let for_so_long = age(cluster.phase_age_ms);
    let heading = match cluster.phase {
        Phase::Plain => format!("cluster {}: {}", cluster.name, cluster.summary),
        _ => format!("cluster {}: {}, for {for_so_long}", cluster.name, cluster.summary),
    };
    let _ = writeln!(out, "\n{}", fold(&heading, width.into()));
    for note in cluster_notes(cluster) {
        let _ = writeln!(out, "{}", fold(&format!("  {note}"), width.into()));
    }
    let header = ["  MEMBER", "ADDRESS", "IS", "TL", "LAG", "FOR", "SESSIONS"];
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
    let _ = writeln!(out, "{}", table.trim_fmt());
}

fn cluster_notes(cluster: &ClusterStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(lease), Some(left)) = (cluster.lease_ms, cluster.lease_left_ms)
        && lease.saturating_sub(left) > OLD_MS
    {
        notes.push(format!(
            "not confirmed for {}; given up in {} unless it is",
            age(lease.saturating_sub(left)),
            age(left)
        ));
    }
    if cluster.paused {
        notes.push("paused: Patroni fails nothing over by itself".to_owned());
    }
    if cluster.failsafe {
        notes.push("failsafe mode: its store is out of reach, and the primary goes on".to_owned());
    }
    if let Some(switchover) = &cluster.switchover {
        notes.push(format!("switchover {switchover}"));
    }
    let silent = |member: &MemberStatus| {
        let (api, why) = member.api.as_ref().zip(member.silence.as_ref())?;
        Some(format!("no answer from the Patroni of {} at {api}: {why}", member.name))
    };
    notes.extend(cluster.members.iter().filter_map(silent));
    notes.extend(cluster.hints.iter().map(|hint| format!("hint: {hint}")));
    notes
}

/// What a member is, and what keeps it from being used.
fn is(member: &MemberStatus) -> String {
    let mut text = match member.admission {
        AdmissionStatus::Usable => {
            let role = member.role.as_str();
            let articles = ["the ", "an ", "a "];
            articles.iter().find_map(|a| role.strip_prefix(a)).unwrap_or(role).to_owned()
        }
        AdmissionStatus::Held | AdmissionStatus::Down => {
            format!("{}: {}", member.admission, member.reason)
        }
    };
    for note in &member.notes {
        let _ = write!(text, ", {note}");
    }
    text
}

/// Sessions of all listeners.
fn sessions(snapshot: &Snapshot, cluster: &ClusterStatus, member: &MemberStatus) -> Option<u32> {
    let listeners = snapshot.listeners.iter().filter(|l| l.cluster == cluster.name);
    let servers = listeners.flat_map(|listener| &listener.servers);
    let of_member = servers.filter(|server| server.name == member.name);
    of_member.filter_map(|server| server.sessions).reduce(u32::saturating_add)
}

/// In the largest unit that leaves a digit before the point.
fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = count;
    let mut unit = 0;
    while size >= 10 * 1024 && unit + 1 < units.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", units.get(unit).unwrap_or(&"B"))
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
        if position == 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if numbers.contains(&position) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
