//! The line at the top: who serves, and where writers go.

use crate::status::text::{goes_to, limit_words, state};
use crate::status::view::{is_open, limits};
use crate::status::{ListenerStatus, RouterStatus, ServerStatus, Snapshot, State};

/// With more routers than this, only their number is said.
const FEW: usize = 2;

/// What somebody who was woken up wants to know first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Something does not work.
    pub bad: bool,
    /// It in words.
    pub text: String,
}

/// The verdict on a snapshot.
#[must_use]
pub fn verdict(snapshot: &Snapshot) -> Verdict {
    let node = &snapshot.daemon.node;
    let mut bad = false;
    let mut parts = Vec::new();
    let routers = &snapshot.routers;
    if routers.len() > FEW {
        parts.push(counted(routers));
    } else {
        parts.extend(routers.iter().map(alone));
    }
    bad |= routers.iter().any(|router| router.state == State::Fault && !router.drained);
    let writers = |listener: &&ListenerStatus| ["primary", "leader"].contains(&&*listener.wants);
    let (write, others): (Vec<_>, Vec<_>) = snapshot.listeners.iter().partition(writers);
    parts.extend(write.iter().map(|listener| {
        let whose = if write.len() > 1 { format!(" of {}", listener.name) } else { String::new() };
        match (listener.serves, is_open(listener)) {
            (_, false) => format!("{} is not open", listener.name),
            (true, true) => format!("writers{whose} go to {}", goes_to(listener)),
            (false, true) => format!("writers{whose} wait: {}", why(snapshot, listener)),
        }
    }));
    for listener in others {
        match (listener.serves, is_open(listener)) {
            (_, false) => parts.push(format!("{} is not open", listener.name)),
            (false, true) => parts.push(format!("clients of {} wait", listener.name)),
            (true, true) if reaches_nobody(listener) => {
                parts.push(format!("clients of {} go to {}", listener.name, goes_to(listener)));
            }
            (true, true) => {}
        }
    }
    for listener in &snapshot.listeners {
        let reached = limits(listener).filter(|limit| limit.reached);
        parts.extend(reached.map(|limit| format!("{}: {}", listener.name, limit_words(limit))));
    }
    let broken = |listener: &ListenerStatus| {
        !listener.serves
            || !is_open(listener)
            || limits(listener).any(|limit| limit.reached)
            || reaches_nobody(listener)
    };
    bad |= snapshot.listeners.iter().any(broken);
    if parts.is_empty() {
        parts.push(match snapshot.listeners.len() {
            0 => "nothing is configured that could fail".to_owned(),
            _ => "every listener has a server".to_owned(),
        });
    }
    let about = if routers.is_empty() { ":" } else { "" };
    let text = format!("{node}{about} {}", parts.join("; "));
    Verdict { bad, text }
}

/// The state of the cluster is shorter than what is wrong with each of its members.
fn why<'s>(snapshot: &'s Snapshot, listener: &'s ListenerStatus) -> &'s str {
    let cluster = snapshot.clusters.iter().find(|cluster| cluster.name == listener.cluster);
    cluster.map_or(&listener.reason, |cluster| &cluster.summary)
}

/// The last connection to each server the next one may go to came to nothing.
fn reaches_nobody(listener: &ListenerStatus) -> bool {
    let mut takes = listener.servers.iter().filter(|server| server.takes).peekable();
    takes.peek().is_some() && takes.all(ServerStatus::failed_lately)
}

/// "is MASTER for 10.0.0.10", "is BACKUP of 10.0.0.12 for 10.0.0.10".
fn alone(router: &RouterStatus) -> String {
    let addresses: Vec<&str> = router
        .addresses
        .iter()
        .map(|address| address.address.split('/').next().unwrap_or_default())
        .collect();
    let addresses = match addresses.as_slice() {
        [] => router.name.clone(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    };
    let state = state(router);
    let other = router.master.as_ref().filter(|master| !master.is_self);
    match (router.state, other) {
        (State::Master | State::Leaving, _) => format!("is {state} for {addresses}"),
        (State::Backup | State::Fault, Some(master)) => {
            format!("is {state} for {addresses}, which {} serves", master.address)
        }
        (State::Backup, None) => format!("is {state} for {addresses}"),
        (State::Fault, None) => format!("is {state} for {addresses}, and knows nobody who serves"),
    }
}

/// "is MASTER of 3, BACKUP of 2 virtual routers".
fn counted(routers: &[RouterStatus]) -> String {
    let words = ["MASTER", "BACKUP", "LEAVING", "DRAINED", "FAULT"];
    let counts = words.into_iter().filter_map(|word| {
        let count = routers.iter().filter(|router| state(router) == word).count();
        (count > 0).then(|| format!("{word} for {count}"))
    });
    format!("is {} virtual routers", counts.collect::<Vec<_>>().join(", "))
}
