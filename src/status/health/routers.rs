//! What is wrong with virtual routers.

use std::net::IpAddr;

use super::super::text::{address_line, state, tracked_why};
use super::super::{
    AddressStatus, FaultCode, FaultStatus, HintCode, HintStatus, PeerStatus, RouterStatus,
    Snapshot, Standing, State, TrackedStatus,
};
use super::daemon::unnotified;
use super::summary::{addresses, limited_to};
use super::{AboutStatus, Finding, ObjectKind, ReasonCode, Severity};

/// What a node sent is a matter of the present for so long.
const PEER_MATTERS_MS: u64 = 5 * 60 * 1000;

/// So long after a change of state addresses may still come or go.
const SETTLES_MS: u64 = 2000;

/// `below` has what is wrong with servers and listeners.
pub(super) fn findings(snapshot: &Snapshot, below: &[Finding]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for router in &snapshot.routers {
        hints(router, &mut findings);
        addresses_of(router, &mut findings);
    }
    findings.extend(faults(snapshot, below));
    for router in &snapshot.routers {
        findings.extend(waits(router));
        findings.extend(drained(router));
    }
    findings.extend(lowered(snapshot, below));
    for router in &snapshot.routers {
        findings.extend(unnotified(&of_router(router), &router.name, &router.notify));
    }
    findings
}

fn of_router(router: &RouterStatus) -> AboutStatus {
    AboutStatus::new(ObjectKind::Router, &router.name)
}

/// Nobody is known to have its addresses.
fn is_unserved(router: &RouterStatus) -> bool {
    router.master.is_none()
}

fn hints(router: &RouterStatus, findings: &mut Vec<Finding>) {
    let serves = router.state == State::Master;
    let name = &router.name;
    for HintStatus { code, text, node, .. } in &router.hints {
        let who = node.map_or_else(|| "another node".to_owned(), |node| node.to_string());
        let (reason, severity, brief) = match code {
            HintCode::SecondMaster => (
                ReasonCode::SecondMaster,
                Severity::Critical,
                format!("{who} is MASTER of {name} too"),
            ),
            HintCode::TwoMasters => {
                let brief = format!("two other nodes are MASTER of {name}");
                (ReasonCode::SecondMaster, Severity::Critical, brief)
            }
            HintCode::AddressConflict => {
                let brief = format!("another host answers for an address of {name}");
                (ReasonCode::AddressConflict, Severity::Critical, brief)
            }
            // It is the master's own as long as it is one.
            HintCode::ForeignAddress => {
                let severity = if serves { Severity::Degraded } else { Severity::Critical };
                let brief = format!("an address of {name} was put on this host by another program");
                (ReasonCode::AddressConflict, severity, brief)
            }
            HintCode::AddressesUnserved => {
                let brief = format!("{who} is MASTER of {name} and lists none of its addresses");
                (ReasonCode::NobodyServes, Severity::Critical, brief)
            }
            HintCode::AddressListsDiffer => {
                let brief = format!("{who} lists other addresses of {name}");
                (ReasonCode::PeerRefused, by_age(router, *node), brief)
            }
            HintCode::PacketsRefused => {
                let brief = format!("adverts of {who} for {name} are refused");
                (ReasonCode::PeerRefused, by_age(router, *node), brief)
            }
            HintCode::DuplicateSource => {
                let brief = format!("adverts of {name} arrive from this node's own address");
                (ReasonCode::AddressConflict, Severity::Degraded, brief)
            }
            HintCode::AdvertsFilteredIn => {
                let brief = format!("this host's packet filter drops adverts for {name}");
                (ReasonCode::AdvertsFiltered, Severity::Degraded, brief)
            }
            // Whoever hears nothing takes over.
            HintCode::AdvertsFilteredOut => {
                let severity = if serves { Severity::Critical } else { Severity::Degraded };
                let brief = format!("this host's packet filter drops the adverts of {name}");
                (ReasonCode::AdvertsFiltered, severity, brief)
            }
            HintCode::AddressFight => {
                let brief = format!("something keeps removing an address of {name}");
                (ReasonCode::AddressFight, Severity::Degraded, brief)
            }
            _ => (ReasonCode::Hint, Severity::Notice, text.clone()),
        };
        let mut about = vec![of_router(router)];
        about.extend(node.map(|node| AboutStatus::new(ObjectKind::Peer, &node.to_string())));
        let text = format!("{name}: {text}");
        findings.push(Finding::new(reason, severity, about, text).briefly(brief));
    }
}

/// A stranger that sent one packet and went is remembered for a day, but nothing is amiss any more. One that is not
/// among the last peers was pushed out by others, which are.
fn by_age(router: &RouterStatus, node: Option<IpAddr>) -> Severity {
    let peer = router.peers.iter().find(|peer| Some(peer.address) == node);
    let ago = |peer: &PeerStatus| peer.last_refusal_ms.unwrap_or(peer.last_seen_ms);
    match peer.is_none_or(|peer| ago(peer) < PEER_MATTERS_MS) {
        true => Severity::Degraded,
        false => Severity::Notice,
    }
}

fn addresses_of(router: &RouterStatus, findings: &mut Vec<Finding>) {
    let settled = router.state_age_ms >= SETTLES_MS && router.state != State::Leaving;
    let serves = router.state == State::Master;
    for address in &router.addresses {
        let AddressStatus { held, error, lease_ms, readded, .. } = address;
        let (code, severity) = match (serves, held) {
            (true, false) if settled || error.is_some() => {
                (ReasonCode::AddressMissing, Severity::Critical)
            }
            (false, true) if settled => (ReasonCode::AddressStays, Severity::Critical),
            _ if error.is_some() || (serves && *lease_ms == Some(0)) => {
                (ReasonCode::AddressError, Severity::Degraded)
            }
            (true, true) if *readded > 0 => (ReasonCode::AddressFight, Severity::Notice),
            _ => continue,
        };
        let line = address_line(address);
        let text = match code {
            ReasonCode::AddressStays => {
                format!("{} is {}, and yet {line}", router.name, state(router))
            }
            _ => format!("{}: address {line}", router.name),
        };
        findings.push(Finding::new(code, severity, vec![of_router(router)], text));
    }
}

/// What keeps routers from serving: a reason for each cause, however many they are.
fn faults(snapshot: &Snapshot, below: &[Finding]) -> Vec<Finding> {
    let in_fault = |r: &&RouterStatus| r.state == State::Fault && !r.drained;
    let mut causes: Vec<(&FaultStatus, Vec<&RouterStatus>)> = Vec::new();
    for router in snapshot.routers.iter().filter(in_fault) {
        for fault in &router.faults {
            match causes.iter_mut().find(|(known, _)| *known == fault) {
                Some((_, routers)) => routers.push(router),
                None => causes.push((fault, vec![router])),
            }
        }
    }
    // The rest of a group has no cause of its own.
    let (of_groups, mut own): (Vec<_>, Vec<_>) =
        causes.into_iter().partition(|(cause, _)| cause.member.is_some());
    for (cause, routers) in of_groups {
        let text = cause.member.as_ref().map(|member| &member.text);
        match own.iter_mut().find(|(own, _)| Some(&own.text) == text) {
            Some((_, known)) => {
                for router in routers {
                    if !known.iter().any(|other| other.name == router.name) {
                        known.push(router);
                    }
                }
            }
            None => own.push((cause, routers)),
        }
    }
    let mut told: Vec<&str> = Vec::new();
    let mut findings = Vec::new();
    for (cause, routers) in own {
        let consequence = consequence(&routers, &mut told);
        let names = limited_to(5, routers.iter().map(|router| router.name.as_str()));
        let starting = cause.code == FaultCode::Starting;
        let severity = match routers.iter().any(|router| is_unserved(router)) {
            true if !starting => Severity::Critical,
            _ => Severity::Degraded,
        };
        let text = format!("{}: {names} in FAULT{consequence}", cause.text);
        let about = routers.iter().map(|router| of_router(router)).collect();
        let finding = Finding::new(ReasonCode::RouterFault, severity, about, text);
        let known = cause.code == FaultCode::Tracker
            && routers.iter().all(|router| {
                let mut at_fault =
                    router.tracking.iter().filter(|tracked| tracked.fault).peekable();
                at_fault.peek().is_some()
                    && at_fault.all(|tracked| is_said(snapshot, tracked, below))
            });
        findings.push(match known {
            true => finding.briefly(format!("{names} in FAULT for that reason{consequence}")),
            false => finding,
        });
    }
    findings
}

/// Who serves instead, each router's once.
fn consequence<'s>(routers: &[&'s RouterStatus], told: &mut Vec<&'s str>) -> String {
    let new: Vec<&RouterStatus> =
        routers.iter().copied().filter(|router| !told.contains(&router.name.as_str())).collect();
    told.extend(new.iter().map(|router| router.name.as_str()));
    let unserved: Vec<&RouterStatus> =
        new.iter().copied().filter(|router| is_unserved(router)).collect();
    match (new.as_slice(), unserved.as_slice()) {
        ([], _) => String::new(),
        ([router], []) => match &router.master {
            Some(master) => format!(", {} serves {}", master.address, addresses(router)),
            None => String::new(),
        },
        (_, []) => ", others serve".to_owned(),
        ([router], _) => format!(", nobody is known to serve {}", addresses(router)),
        (all, some) if all.len() == some.len() => {
            ", nobody is known to serve their addresses".to_owned()
        }
        (_, some) => {
            let names = limited_to(5, some.iter().map(|router| router.name.as_str()));
            format!(", nobody is known to serve the addresses of {names}")
        }
    }
}

/// Whether what is tracked is the matter of a reason that is there already.
fn is_said(snapshot: &Snapshot, tracked: &TrackedStatus, below: &[Finding]) -> bool {
    if tracked.kind == "listener" {
        let listener = AboutStatus::new(ObjectKind::Listener, &tracked.name);
        return below.iter().any(|f| f.is_about(&listener) && f.reason.severity > Severity::Notice);
    }
    // A check of HAProxy that vipd's own listeners answer.
    let answer = |name: &str| {
        let tracker = snapshot.trackers.iter().find(|t| t.name == name && t.kind == tracked.kind);
        tracker.and_then(|tracker| tracker.answer.as_deref())
    };
    let closed = |finding: &Finding| finding.reason.code == ReasonCode::ListenerClosed;
    answer(&tracked.name) == Some("listener not open") && below.iter().any(closed)
}

/// A backup that knows of nobody who serves, and does not take over itself.
fn waits(router: &RouterStatus) -> Option<Finding> {
    if router.state != State::Backup || !is_unserved(router) {
        return None;
    }
    // It listens for a moment before it takes over.
    let waits =
        |hint: &&HintStatus| matches!(hint.code, HintCode::Untested | HintCode::WaitsForGroup);
    let (severity, why) = match router.hints.iter().find(waits) {
        Some(hint) => (Severity::Critical, hint.text.clone()),
        None => (Severity::Degraded, format!("{} listens before it takes over", router.name)),
    };
    let text = format!("nobody is known to serve {}: {why}", addresses(router));
    Some(Finding::new(ReasonCode::NobodyServes, severity, vec![of_router(router)], text))
}

/// The operator knows, but whoever is woken up may not.
fn drained(router: &RouterStatus) -> Option<Finding> {
    if !router.drained {
        return None;
    }
    let (name, addresses) = (&router.name, addresses(router));
    let (severity, who) = match &router.master {
        Some(master) if master.is_self => {
            (Severity::Degraded, format!("this node serves {addresses}"))
        }
        Some(master) => (Severity::Degraded, format!("{} serves {addresses}", master.address)),
        None if router.listens => (Severity::Critical, format!("nobody serves {addresses}")),
        None => (Severity::Degraded, format!("who serves {addresses} cannot be known")),
    };
    let text = format!("{name} is DRAINED, {who}");
    Some(Finding::new(ReasonCode::RouterDrained, severity, vec![of_router(router)], text))
}

/// Trackers that cost priority, each once.
fn lowered(snapshot: &Snapshot, below: &[Finding]) -> Vec<Finding> {
    let mut all: Vec<(&TrackedStatus, Vec<&RouterStatus>)> = Vec::new();
    for router in &snapshot.routers {
        for tracked in router.tracking.iter().filter(|tracked| costs(tracked)) {
            let same = |(known, _): &&mut (&TrackedStatus, Vec<&RouterStatus>)| {
                (&known.name, &known.kind) == (&tracked.name, &tracked.kind)
            };
            match all.iter_mut().find(same) {
                Some((_, routers)) => routers.push(router),
                None => all.push((tracked, vec![router])),
            }
        }
    }
    let finding = |(tracked, routers): (&TrackedStatus, Vec<&RouterStatus>)| {
        let TrackedStatus { name, kind, .. } = tracked;
        let effect = match routers.as_slice() {
            [router] => format!(
                "the priority of {} is {} instead of {}",
                router.name, router.priority, router.base_priority
            ),
            _ => {
                let names = limited_to(5, routers.iter().map(|router| router.name.as_str()));
                format!("the priorities of {names} are lower")
            }
        };
        let effect = if tracked.adds < 0 {
            effect
        } else {
            let names = limited_to(5, routers.iter().map(|router| router.name.as_str()));
            format!("it adds nothing to the priority of {names}")
        };
        let mut about: Vec<AboutStatus> = routers.iter().map(|router| of_router(router)).collect();
        about.push(AboutStatus::new(ObjectKind::Tracker, name));
        let why = tracked_why(snapshot, tracked).unwrap_or_else(|| "up".to_owned());
        let text = format!("{name} ({why}): {effect}");
        let severity = severity_of(snapshot, tracked);
        let finding = Finding::new(ReasonCode::PriorityLowered, severity, about, text);
        match kind == "listener" && is_said(snapshot, tracked, below) {
            true => finding.briefly(format!("for that, {effect}")),
            false => finding,
        }
    };
    all.into_iter().map(finding).collect()
}

/// It takes something away, or could add something and does not.
fn costs(tracked: &TrackedStatus) -> bool {
    let silent = matches!(tracked.standing, Standing::Down | Standing::Untested);
    !tracked.fault
        && (tracked.adds < 0
            || (tracked.adds == 0 && silent && !tracked.weight.starts_with(['0', '-'])))
}

/// Where a check asks which role a server has, "no" is an answer like any other, on all nodes but one; and whoever
/// gives a script a bonus may mean it so. What fails to answer, and what takes points away, is a failure.
fn severity_of(snapshot: &Snapshot, tracked: &TrackedStatus) -> Severity {
    let tracker =
        snapshot.trackers.iter().find(|t| t.name == tracked.name && t.kind == tracked.kind);
    let answered = tracker.and_then(|tracker| tracker.answer.as_deref()) == Some("wrong answer");
    match (tracked.standing, tracked.adds < 0, tracked.kind.as_str()) {
        (Standing::Untested, false, _) => Severity::Notice,
        (_, _, "patroni") if answered => Severity::Notice,
        (_, true, _) => Severity::Degraded,
        (_, false, "script" | "file" | "http") => Severity::Notice,
        (_, false, _) => Severity::Degraded,
    }
}
