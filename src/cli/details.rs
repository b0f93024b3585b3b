//! Everything about one listener or one cluster as text, as about one router.
//!
//! Pure, so that what an operator sees can be tested to the letter.

use std::fmt::Write;

use super::fold::{fold, fold_under};
use super::render::{LABEL, router, section, table};
use crate::status::text::{
    bind, cluster_heading, cluster_notes, goes_to, limit_words, listener_notes,
};
use crate::status::view;
use crate::status::{
    ClusterStatus, ListenerStatus, MemberStatus, Object, Snapshot, Traffic, health_of,
};
use crate::text::age;

/// All of them, one after the other, in at most `width` columns; first how they are.
#[must_use]
pub fn of(snapshot: &Snapshot, objects: &[Object<'_>], width: u16) -> String {
    let mut out = fold(&health_of(snapshot, objects).line(), width.into()) + "\n";
    for object in objects {
        out.push('\n');
        out += &match object {
            Object::Router(of) => router(snapshot, &of.name, width).unwrap_or_default(),
            Object::Listener(of) => listener(snapshot, of, width),
            Object::Cluster(of) => cluster(snapshot, of, width),
        };
    }
    out
}

/// Lines with a label each.
struct Labelled {
    out: String,
    width: u16,
}

impl Labelled {
    fn line(&mut self, label: &str, text: &str) {
        let line = format!("{label:<LABEL$}{text}");
        let _ = writeln!(self.out, "{}", fold_under(&line, LABEL, self.width.into()));
    }
}

fn listener(snapshot: &Snapshot, listener: &ListenerStatus, width: u16) -> String {
    let mut head = Labelled { out: String::new(), width };
    head.line("listener", &listener.name);
    let binds: Vec<String> = listener.binds.iter().map(bind).collect();
    head.line("at", &binds.join(", "));
    head.line("role", &listener.wants);
    if let Some(cluster) = snapshot.clusters.iter().find(|c| c.name == listener.cluster) {
        head.line("cluster", &format!("{}: {}", cluster.name, cluster_heading(cluster)));
    }
    let traffic = listener.traffic.as_ref();
    match view::is_open(listener) {
        true => head.line("goes to", &goes_to(listener)),
        false => head.line("goes to", "nobody: it is not open"),
    }
    if let Some(traffic) = traffic {
        let Traffic { connections, waiting, .. } = traffic;
        head.line("clients", &format!("{connections} connected, {waiting} of them waiting"));
    }
    // Limits have a section of their own.
    let limits: Vec<String> = view::limits(listener).map(limit_words).collect();
    let notes = listener_notes(snapshot, listener);
    for note in notes.iter().filter(|note| !limits.contains(note)) {
        head.line("note", note);
    }
    let mut out = head.out;
    out.push_str("\nservers\n");
    table(&mut out, width, "  ", &view::servers(listener));
    section(&mut out, width, "limits reached within the last minute", limits.into_iter());
    let counters = traffic.iter().flat_map(|traffic| &traffic.counters);
    let lines = counters.map(|(name, count)| format!("{name:<24}{count:>12}"));
    section(&mut out, width, "counters", lines);
    out
}

fn cluster(snapshot: &Snapshot, cluster: &ClusterStatus, width: u16) -> String {
    let mut head = Labelled { out: String::new(), width };
    head.line("cluster", &cluster.name);
    head.line("state", &cluster_heading(cluster));
    if let Some(primary) = &cluster.primary {
        let confirmed = cluster.confirmed_ms.map(|ms| format!(", confirmed {} ago", age(ms)));
        head.line("primary", &format!("{primary}{}", confirmed.unwrap_or_default()));
    }
    if let Some(lease) = cluster.lease_ms {
        let left = cluster.lease_left_ms.map(|left| format!(", {} left", age(left)));
        let left = left.unwrap_or_default();
        head.line(
            "lease",
            &format!("an unconfirmed primary gets new sessions for {}{left}", age(lease)),
        );
    }
    if cluster.fast {
        head.line("asked", "in quick succession, because something happened");
    }
    for note in cluster_notes(cluster) {
        match note.strip_prefix("hint: ") {
            Some(hint) => head.line("hint", hint),
            None => head.line("note", &note),
        }
    }
    let mut out = head.out;
    out.push_str("\nmembers\n");
    table(&mut out, width, "  ", &view::members(snapshot, cluster));
    let said = cluster.members.iter().filter_map(patroni);
    section(&mut out, width, "what their Patroni says", said);
    let of_cluster = snapshot.listeners.iter().filter(|l| l.cluster == cluster.name);
    let lines = of_cluster.map(|listener| {
        let binds: Vec<String> = listener.binds.iter().map(bind).collect();
        let to = goes_to(listener);
        format!("{} at {}, for {}: goes to {to}", listener.name, binds.join(", "), listener.wants)
    });
    section(&mut out, width, "listeners", lines);
    out
}

/// What a member that is asked by its REST API answered last.
fn patroni(member: &MemberStatus) -> Option<String> {
    let mut said = vec![match &member.version {
        Some(version) => format!("{version} at {}", member.api.as_ref()?),
        None => format!("at {}", member.api.as_ref()?),
    }];
    said.extend(member.state.as_ref().map(|state| format!("PostgreSQL {state}")));
    said.extend(member.timeline.map(|timeline| format!("timeline {timeline}")));
    said.extend(member.holds_lock.filter(|holds| *holds).map(|_| "holds the leader lock".into()));
    said.push(match member.answer_age_ms {
        Some(ms) => format!("answered {} ago", age(ms)),
        None => "has not answered yet".to_owned(),
    });
    Some(format!("{}: {}", member.name, said.join(", ")))
}
