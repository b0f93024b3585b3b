//! The parts of the page: virtual routers, listeners, clusters, trackers, state changes.

use super::html::Html;
use super::verdict::{is_open, limits};
use crate::status::text::{
    RECENT_MS, WallClock, address_line, bind, change_text, cluster_heading, cluster_notes,
    everything, goes_to, is, listener_notes, master, next_failure, priority, priority_line,
    router_notes, sessions, since, state,
};
use crate::status::{
    AdmissionStatus, ClusterStatus, ListenerStatus, MemberStatus, Phase, RouterStatus, Snapshot,
    Standing, State, Traffic,
};
use crate::text::{age, bytes};

/// With more routers than this, only those with something to say get lines of their own.
const MANY_ROUTERS: usize = 8;

/// Addresses of one router that are listed.
const MOST_ADDRESSES: usize = 8;

/// State changes shown.
const CHANGES: usize = 10;

const GOOD: &str = "good";
const CALM: &str = "calm";
const ODD: &str = "odd";
const BAD: &str = "bad";
const NUMBER: &str = "number";

pub(super) fn routers(out: &mut Html, snapshot: &Snapshot, clock: &WallClock) {
    if snapshot.routers.is_empty() {
        return;
    }
    out.raw("<section><h2>Virtual routers</h2>");
    out.table(&["Router", "State", "Since", "Priority", "Master", "Addresses"]);
    let few = snapshot.routers.len() <= MANY_ROUTERS;
    for router in &snapshot.routers {
        out.raw("<tr>");
        let RouterStatus { name, interface, vrid, .. } = router;
        out.cell("Router", &format!("{name} ({interface}, VRID {vrid})"));
        let color = match router.state {
            State::Master => GOOD,
            State::Backup => CALM,
            State::Leaving => ODD,
            State::Fault if router.drained => ODD,
            State::Fault => BAD,
        };
        out.cell_of(color, "State", state(router));
        out.cell("Since", &since(router, clock));
        out.cell("Priority", &priority(router));
        out.cell("Master", &master(router));
        let held = |address| address_line(address).replace(": held", "");
        let mut addresses: Vec<String> =
            router.addresses.iter().take(MOST_ADDRESSES).map(held).collect();
        if router.addresses.len() > MOST_ADDRESSES {
            addresses.push(format!("{} more", router.addresses.len() - MOST_ADDRESSES));
        }
        out.cell("Addresses", &addresses.join("; "));
        out.raw("</tr>\n");
        let mut notes = router_notes(snapshot, router, clock);
        if few || !notes.is_empty() {
            let adds = !router.tracking.is_empty();
            if adds && !notes.iter().any(|note| note.starts_with("priority ")) {
                notes.insert(0, format!("priority {}", priority_line(snapshot, router)));
            }
            notes.insert(0, format!("{}: {}", state(router), router.reason));
            notes.extend(next_failure(router));
        }
        out.notes(&notes);
    }
    out.table_over();
}

pub(super) fn listeners(out: &mut Html, snapshot: &Snapshot) {
    if snapshot.listeners.is_empty() {
        return;
    }
    out.raw("<section><h2>Listeners</h2>");
    out.table(&["Listener", "Bind", "Role", "Now goes to", "Clients", "Waiting"]);
    for listener in &snapshot.listeners {
        out.raw("<tr>");
        out.cell("Listener", &listener.name);
        let binds: Vec<String> = listener.binds.iter().map(bind).collect();
        out.cell("Bind", &binds.join(" "));
        out.cell("Role", &listener.wants);
        let (color, to) = match (listener.serves, listener.fallen_back) {
            _ if !is_open(listener) => (BAD, "nobody: it is not open".to_owned()),
            (false, _) => (BAD, goes_to(listener)),
            _ if limits(listener).any(|limit| limit.reached) => (BAD, goes_to(listener)),
            (true, true) => (ODD, goes_to(listener)),
            (true, false) => (GOOD, goes_to(listener)),
        };
        out.cell_of(color, "Now goes to", &to);
        out.cell_of(NUMBER, "Clients", &count(listener, |traffic| traffic.connections));
        out.cell_of(NUMBER, "Waiting", &count(listener, |traffic| traffic.waiting));
        out.raw("</tr>\n");
        out.notes(&listener_notes(snapshot, listener));
    }
    out.table_over();
}

fn count(listener: &ListenerStatus, of: fn(&Traffic) -> u32) -> String {
    listener.traffic.as_ref().map_or_else(|| "-".to_owned(), |traffic| of(traffic).to_string())
}

pub(super) fn clusters(out: &mut Html, snapshot: &Snapshot) {
    for cluster in &snapshot.clusters {
        out.raw("<section><h2>Cluster ");
        out.text(&cluster.name);
        out.raw("</h2><p class=");
        out.raw(color_of(cluster));
        out.raw(">");
        out.text(&cluster_heading(cluster));
        out.raw("</p>");
        let notes = cluster_notes(cluster);
        if !notes.is_empty() {
            out.raw("<ul class=notes>");
            notes.iter().for_each(|note| out.inside("li", note));
            out.raw("</ul>");
        }
        out.table(&["Member", "Address", "State", "Age", "Timeline", "Lag", "Sessions"]);
        let dash = || "-".to_owned();
        for member in &cluster.members {
            out.raw("<tr>");
            out.cell("Member", &member.name);
            out.cell("Address", &member.address);
            let mut primaries = cluster.primary.iter().flat_map(|names| names.split(", "));
            let leads = primaries.any(|name| name == member.name);
            let color = match member.admission {
                AdmissionStatus::Usable if leads => GOOD,
                AdmissionStatus::Usable => CALM,
                AdmissionStatus::Held => ODD,
                AdmissionStatus::Down => BAD,
            };
            out.cell_of(color, "State", &is(member));
            out.cell_of(NUMBER, "Age", &age(member.since_ms));
            let timeline = member.timeline.map_or_else(dash, |timeline| timeline.to_string());
            out.cell_of(NUMBER, "Timeline", &timeline);
            out.cell_of(NUMBER, "Lag", &lag(member));
            let sessions = sessions(snapshot, cluster, member);
            let sessions = sessions.map_or_else(dash, |count| count.to_string());
            out.cell_of(NUMBER, "Sessions", &sessions);
            out.raw("</tr>\n");
        }
        out.table_over();
    }
}

fn lag(member: &MemberStatus) -> String {
    let amount = member.lag_bytes.map_or_else(|| "-".to_owned(), bytes);
    match member.lag_ms.filter(|_| member.lag_bytes.is_some_and(|bytes| bytes > 0)) {
        Some(time) if time >= 1000 => format!("{amount}, {}", age(time)),
        _ => amount,
    }
}

fn color_of(cluster: &ClusterStatus) -> &'static str {
    match cluster.phase {
        Phase::Primary if cluster.paused || cluster.failsafe => ODD,
        Phase::Primary | Phase::StandbyCluster => GOOD,
        Phase::Plain => CALM,
        Phase::ApiSilent | Phase::SecondOpinion | Phase::Unsure | Phase::Promoting => ODD,
        Phase::Unknown
        | Phase::Stopping
        | Phase::CrashRestart
        | Phase::Rivals
        | Phase::Unlocked
        | Phase::StoreOutage
        | Phase::Leaderless
        | Phase::Silent => BAD,
    }
}

pub(super) fn trackers(out: &mut Html, snapshot: &Snapshot) {
    if snapshot.trackers.is_empty() {
        return;
    }
    out.raw("<section><h2>Checks</h2>");
    out.table(&["Check", "Kind", "Says"]);
    for tracker in &snapshot.trackers {
        out.raw("<tr>");
        out.cell("Check", &tracker.name);
        out.cell("Kind", &tracker.kind);
        let color = match tracker.standing {
            Standing::Up => GOOD,
            Standing::Value(_) => CALM,
            Standing::Untested => ODD,
            Standing::Down => BAD,
        };
        out.cell_of(color, "Says", &everything(tracker));
        out.raw("</tr>\n");
    }
    out.table_over();
}

pub(super) fn changes(out: &mut Html, snapshot: &Snapshot, clock: &WallClock) {
    let changes = snapshot
        .routers
        .iter()
        .flat_map(|router| router.transitions.iter().map(|change| (&router.name, change)));
    let mut changes: Vec<_> = changes.filter(|(_, change)| change.age_ms <= RECENT_MS).collect();
    if changes.is_empty() {
        return;
    }
    changes.sort_by_key(|(_, change)| change.age_ms);
    out.raw("<section><h2>State changes</h2>");
    out.table(&["When", "Router", "Change"]);
    for (name, change) in changes.into_iter().take(CHANGES) {
        out.raw("<tr>");
        let ago = format!("{} ago", age(change.age_ms));
        let when = clock.before(change.age_ms).map_or_else(|| ago.clone(), |then| then.long());
        out.cell("When", &when);
        out.cell("Router", name);
        out.cell("Change", &change_text(change));
        out.raw("</tr>\n");
    }
    out.table_over();
}
