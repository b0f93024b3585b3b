//! The line at the top: what is wrong and why, who serves, and where writers go.

use super::super::text::{cluster_heading, goes_to, state};
use super::super::view::is_open;
use super::super::{ListenerStatus, RouterStatus, Snapshot, State};
use super::serving::is_for_writers;
use super::{Finding, Object, ReasonCode, Severity};

/// With more routers than this, only their number is said.
const FEW: usize = 2;

/// Reasons that the line has room for; the others follow one by one.
pub(crate) const MOST_REASONS: usize = 3;

/// What somebody who was woken up wants to know first.
pub(super) fn of_node(snapshot: &Snapshot, findings: &[Finding]) -> String {
    let (node, mut parts) = (&snapshot.daemon.node, Vec::new());
    let mut facts = Vec::new();
    let routers = &snapshot.routers;
    if routers.len() > FEW {
        parts.push(counted(routers));
    } else {
        // What is wrong with the others is said with its cause.
        let told = |router: &&RouterStatus| {
            let about = Object::Router(router).about();
            let unserved = |f: &Finding| f.reason.code == ReasonCode::NobodyServes;
            router.state != State::Fault
                && !findings.iter().any(|f| unserved(f) && f.is_about(&about))
        };
        parts.extend(routers.iter().filter(told).map(|r| format!("is {}", router_words(r))));
    }
    let write: Vec<&ListenerStatus> =
        snapshot.listeners.iter().filter(|l| is_for_writers(l)).collect();
    let well = |listener: &&&ListenerStatus| {
        let about = Object::Listener(listener).about();
        let critical = |f: &Finding| f.reason.severity == Severity::Critical && f.is_about(&about);
        listener.serves && is_open(listener) && !findings.iter().any(critical)
    };
    for listener in write.iter().filter(well) {
        let whose = if write.len() > 1 { format!(" of {}", listener.name) } else { String::new() };
        facts.push(format!("writers{whose} go to {}", goes_to(listener)));
    }
    let about = if parts.is_empty() { ":" } else { "" };
    parts.extend(facts);
    let troubles = troubles(findings);
    match (troubles.is_empty(), parts.is_empty()) {
        (true, true) => match snapshot.listeners.len() {
            0 => format!("{node}: nothing is configured that could fail"),
            _ => format!("{node}: every listener has a server"),
        },
        (false, true) => format!("{node}: {troubles}"),
        (true, false) => format!("{node}{about} {}", parts.join("; ")),
        (false, false) => format!("{troubles}; {node}{about} {}", parts.join("; ")),
    }
}

/// The same of a few objects.
pub(super) fn of_objects(objects: &[Object<'_>], findings: &[Finding]) -> String {
    let said = |object: &Object<'_>| {
        let about = object.about();
        let out = |code| matches!(code, ReasonCode::RouterFault | ReasonCode::RouterDrained);
        let says_all = |f: &&Finding| f.reason.severity == Severity::Critical || out(f.reason.code);
        findings.iter().filter(says_all).any(|finding| finding.is_about(&about))
    };
    let words = objects.iter().filter(|object| !said(object)).map(|object| match object {
        Object::Router(router) => format!("{} is {}", router.name, router_words(router)),
        Object::Listener(listener) => listener_words(listener),
        Object::Cluster(cluster) => format!("{}: {}", cluster.name, cluster_heading(cluster)),
    });
    let troubles = Some(troubles(findings)).filter(|troubles| !troubles.is_empty());
    troubles.into_iter().chain(words).collect::<Vec<_>>().join("; ")
}

fn troubles(findings: &[Finding]) -> String {
    let troubles = || findings.iter().filter(|f| f.reason.severity > Severity::Notice);
    let shown: Vec<&str> = troubles().take(MOST_REASONS).map(Finding::brief).collect();
    match troubles().count().saturating_sub(MOST_REASONS) {
        0 => shown.join("; "),
        more => format!("{}; {more} more", shown.join("; ")),
    }
}

/// "MASTER for 10.0.0.10", "BACKUP for 10.0.0.10, which 10.0.0.12 serves".
pub(crate) fn router_words(router: &RouterStatus) -> String {
    let (state, addresses) = (state(router), addresses(router));
    let other = router.master.as_ref().filter(|master| !master.is_self);
    match (router.state, other) {
        (State::Backup | State::Fault, Some(master)) => {
            format!("{state} for {addresses}, which {} serves", master.address)
        }
        (State::Fault, None) => format!("{state} for {addresses}, and knows nobody who serves"),
        (State::Master | State::Leaving, _) | (State::Backup, None) => {
            format!("{state} for {addresses}")
        }
    }
}

/// "write goes to pg-1".
pub(crate) fn listener_words(listener: &ListenerStatus) -> String {
    let name = &listener.name;
    match is_open(listener) {
        true => format!("{name} goes to {}", goes_to(listener)),
        false => format!("{name} is not open"),
    }
}

/// Those of a router, as a sentence has room for them.
pub(super) fn addresses(router: &RouterStatus) -> String {
    let bare = |text: &'_ str| text.split('/').next().unwrap_or_default().to_owned();
    let addresses: Vec<String> = router.addresses.iter().map(|a| bare(&a.address)).collect();
    match addresses.as_slice() {
        [] => router.name.clone(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// "a, b, c and 40 more".
pub(crate) fn limited_to<'n>(most: usize, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.get(..most).unwrap_or(&names).join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// "is MASTER for 3, BACKUP for 2 virtual routers".
fn counted(routers: &[RouterStatus]) -> String {
    let words = ["MASTER", "BACKUP", "LEAVING", "DRAINED", "FAULT"];
    let counts = words.into_iter().filter_map(|word| {
        let count = routers.iter().filter(|router| state(router) == word).count();
        (count > 0).then(|| format!("{word} for {count}"))
    });
    format!("is {} virtual routers", counts.collect::<Vec<_>>().join(", "))
}
