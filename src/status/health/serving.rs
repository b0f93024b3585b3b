//! What is wrong with clusters and listeners.

use super::super::text::{goes_to, is, limit_words, missing_words};
use super::super::view::{is_open, limits};
use super::super::{
    AdmissionStatus, ClusterStatus, HintCode, Limit, LimitStatus, ListenerStatus, MemberStatus,
    Phase, ServerStatus, Snapshot,
};
use super::{AboutStatus, Finding, ObjectKind, ReasonCode, Severity};

pub(super) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Where several listeners wait for one primary, its absence is one reason.
    for cluster in &snapshot.clusters {
        let waits = |l: &&ListenerStatus| l.cluster == cluster.name && waits_for_writer(l);
        let waiting: Vec<&ListenerStatus> = snapshot.listeners.iter().filter(waits).collect();
        findings.extend(no_primary(snapshot, cluster, &waiting));
    }
    for listener in &snapshot.listeners {
        let known = snapshot.clusters.iter().any(|cluster| cluster.name == listener.cluster);
        unserved(listener, known, &mut findings);
        reach(listener, &mut findings);
        findings.extend(limits(listener).map(|limit| saturated(listener, limit)));
        servers(snapshot, listener, &mut findings);
    }
    for cluster in &snapshot.clusters {
        members(cluster, &mut findings);
    }
    findings
}

/// Whether its clients need a server that takes writes.
pub(super) fn is_for_writers(listener: &ListenerStatus) -> bool {
    ["primary", "leader"].contains(&&*listener.wants)
}

fn waits_for_writer(listener: &ListenerStatus) -> bool {
    is_for_writers(listener) && is_open(listener) && !listener.serves
}

fn of_listener(listener: &ListenerStatus) -> AboutStatus {
    AboutStatus::new(ObjectKind::Listener, &listener.name)
}

fn of_cluster(cluster: &ClusterStatus) -> AboutStatus {
    AboutStatus::new(ObjectKind::Cluster, &cluster.name)
}

/// The state of the cluster is shorter than what is wrong with each of its members.
fn no_primary(
    snapshot: &Snapshot,
    cluster: &ClusterStatus,
    waiting: &[&ListenerStatus],
) -> Option<Finding> {
    let mut about = vec![of_cluster(cluster)];
    about.extend(waiting.iter().map(|listener| of_listener(listener)));
    let finding = |code, severity, text: String| Some(Finding::new(code, severity, about, text));
    let summary = &cluster.summary;
    if !waiting.is_empty() {
        let several = snapshot.listeners.iter().filter(|l| is_for_writers(l)).count() > 1;
        let names: Vec<&str> = waiting.iter().map(|listener| listener.name.as_str()).collect();
        let whose = if several { format!(" of {}", names.join(", ")) } else { String::new() };
        let text = format!("writers{whose} wait: {summary}");
        return finding(ReasonCode::NoPrimary, Severity::Critical, text);
    }
    match cluster.phase {
        Phase::Plain | Phase::Primary | Phase::StandbyCluster => None,
        Phase::ApiSilent | Phase::SecondOpinion | Phase::Unsure => {
            let text = format!("cluster {}: {summary}", cluster.name);
            finding(ReasonCode::PrimaryUnconfirmed, Severity::Degraded, text)
        }
        Phase::Unknown
        | Phase::Promoting
        | Phase::Stopping
        | Phase::CrashRestart
        | Phase::Rivals
        | Phase::Unlocked
        | Phase::StoreOutage
        | Phase::Leaderless
        | Phase::Silent => {
            let text = format!("cluster {}: {summary}", cluster.name);
            finding(ReasonCode::NoPrimary, Severity::Degraded, text)
        }
    }
}

/// No new connection gets a server; `known` says that its cluster has told of a missing primary.
fn unserved(listener: &ListenerStatus, known: bool, findings: &mut Vec<Finding>) {
    let name = &listener.name;
    let about = || vec![of_listener(listener)];
    let closed = |text| Finding::new(ReasonCode::ListenerClosed, Severity::Critical, about(), text);
    let failure = listener.traffic.as_ref().and_then(|traffic| traffic.failure.as_ref());
    if let Some(failure) = failure {
        findings.push(closed(format!("{name} is not open: cannot {failure}")));
    } else if !listener.accepting && listener.traffic.is_some() {
        let text = format!("{name} does not accept connections at all its addresses");
        findings.push(closed(text));
    }
    if failure.is_none() && !listener.serves && !(known && is_for_writers(listener)) {
        let text = format!("clients of {name} wait: {}", listener.reason);
        findings.push(Finding::new(ReasonCode::NoServer, Severity::Critical, about(), text));
    }
}

/// The next connection gets a server, but not one it should, or to no avail.
fn reach(listener: &ListenerStatus, findings: &mut Vec<Finding>) {
    if !listener.serves || !is_open(listener) {
        return;
    }
    let (name, to) = (&listener.name, goes_to(listener));
    if reaches_nobody(listener) {
        let text = format!("clients of {name} go to {to}");
        let about = vec![of_listener(listener)];
        findings.push(Finding::new(
            ReasonCode::ServersUnreachable,
            Severity::Critical,
            about,
            text,
        ));
    } else if listener.fallen_back {
        let text = format!("clients of {name} go to {to}");
        let about = vec![of_listener(listener)];
        findings.push(Finding::new(ReasonCode::Fallback, Severity::Degraded, about, text));
    }
}

/// The last connection to each server the next one may go to came to nothing.
fn reaches_nobody(listener: &ListenerStatus) -> bool {
    let mut takes = listener.servers.iter().filter(|server| server.takes).peekable();
    takes.peek().is_some() && takes.all(ServerStatus::failed_lately)
}

/// Who only waits is served later; who is refused is not. What the accept queue drops is sent again.
fn saturated(listener: &ListenerStatus, limit: &LimitStatus) -> Finding {
    let severity = match (limit.reached, limit.refused > 0, limit.limit) {
        (false, ..) => Severity::Notice,
        (true, true, Limit::Backlog) | (true, false, _) => Severity::Degraded,
        (true, true, _) => Severity::Critical,
    };
    let text = format!("{}: {}", listener.name, limit_words(limit));
    Finding::new(ReasonCode::Saturated, severity, vec![of_listener(listener)], text)
}

/// Single servers of a listener.
fn servers(snapshot: &Snapshot, listener: &ListenerStatus, findings: &mut Vec<Finding>) {
    let all_fail = reaches_nobody(listener);
    let members = snapshot.clusters.iter().filter(|cluster| cluster.name == listener.cluster);
    let members: Vec<&MemberStatus> = members.flat_map(|cluster| &cluster.members).collect();
    for server in &listener.servers {
        let about =
            || vec![AboutStatus::new(ObjectKind::Member, &server.name), of_listener(listener)];
        let mut add = |code, text| {
            let text = format!("{}: {text}", listener.name);
            findings.push(Finding::new(code, Severity::Degraded, about(), text));
        };
        let (name, usable) = (&server.name, server.admission == AdmissionStatus::Usable);
        if let Some(missing) = server.missing.as_ref().filter(|_| usable && !all_fail)
            && server.failed_lately()
        {
            let words = missing_words(missing);
            add(ReasonCode::ServerUnreachable, format!("{name} at {} {words}", server.address));
        }
        if server.mute {
            let text = format!("{name} accepts connections but does not answer");
            add(ReasonCode::ServerMute, text);
        }
        // What is wrong with a member for everybody stands with the cluster.
        let known = members.iter().any(|m| m.name == *name && m.admission == server.admission);
        if !usable && !known && listener.serves {
            if server.lags {
                add(ReasonCode::ServerLags, format!("{name} is not used: {}", server.reason));
            } else if server.flaps {
                add(ReasonCode::ServerFlaps, format!("{name} is not used: {}", server.reason));
            }
        }
    }
}

/// What is wrong with a cluster that has a primary, or beside that it has none.
fn members(cluster: &ClusterStatus, findings: &mut Vec<Finding>) {
    let name = &cluster.name;
    let about = || vec![of_cluster(cluster)];
    let mut add = |code, severity, about, text| {
        findings.push(Finding::new(code, severity, about, format!("cluster {name}: {text}")));
    };
    if cluster.paused {
        let text = "paused: Patroni fails nothing over by itself".to_owned();
        add(ReasonCode::ClusterPaused, Severity::Degraded, about(), text);
    }
    if cluster.failsafe {
        let text = "failsafe mode: its store is out of reach, and the primary goes on".to_owned();
        add(ReasonCode::Failsafe, Severity::Degraded, about(), text);
    }
    if let Some(switchover) = &cluster.switchover {
        add(ReasonCode::Hint, Severity::Notice, about(), format!("switchover {switchover}"));
    }
    let leads = |member: &str| {
        cluster.primary.iter().flat_map(|names| names.split(", ")).any(|name| name == member)
    };
    let unconfirmed =
        matches!(cluster.phase, Phase::ApiSilent | Phase::SecondOpinion | Phase::Unsure);
    let mut explained: Vec<&str> = Vec::new();
    for hint in &cluster.hints {
        let (code, severity) = match hint.code {
            HintCode::LeaseTooLong => (ReasonCode::LeaseTooLong, Severity::Degraded),
            HintCode::PatroniSilent => (ReasonCode::PatroniSilent, Severity::Degraded),
            HintCode::PostgresqlSilent => (ReasonCode::PostgresqlSilent, Severity::Degraded),
            // None of them is used, or the one that is the primary beyond doubt.
            HintCode::SeveralPrimaries if cluster.primary.is_none() => {
                (ReasonCode::SeveralPrimaries, Severity::Critical)
            }
            HintCode::SeveralPrimaries => (ReasonCode::SeveralPrimaries, Severity::Degraded),
            HintCode::OtherScope => (ReasonCode::OtherScope, Severity::Degraded),
            _ => (ReasonCode::Hint, Severity::Notice),
        };
        let member = hint.member.as_deref();
        explained.extend(member);
        let said = match hint.code {
            HintCode::PatroniSilent => unconfirmed && member.is_some_and(leads),
            HintCode::SeveralPrimaries => cluster.phase == Phase::Rivals,
            _ => false,
        };
        if said {
            continue;
        }
        let mut about = about();
        about.extend(member.map(|member| AboutStatus::new(ObjectKind::Member, member)));
        add(code, severity, about, hint.text.clone());
    }
    // Where no member answers, the cluster has said it of all.
    let silent = cluster.phase == Phase::Silent;
    let unsaid = |member: &&MemberStatus| {
        let said = silent
            || explained.contains(&member.name.as_str())
            || (unconfirmed && leads(&member.name));
        member.admission != AdmissionStatus::Usable && !said
    };
    let mut alike: Vec<(String, Vec<&MemberStatus>)> = Vec::new();
    for member in cluster.members.iter().filter(unsaid) {
        let text = is(member);
        match alike.iter_mut().find(|(known, _)| *known == text) {
            Some((_, members)) => members.push(member),
            None => alike.push((text, vec![member])),
        }
    }
    for (text, members) in alike {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let down = members.iter().any(|member| member.admission == AdmissionStatus::Down);
        let code = if down { ReasonCode::MemberDown } else { ReasonCode::MemberHeld };
        let mut about = about();
        about.extend(names.iter().map(|name| AboutStatus::new(ObjectKind::Member, name)));
        let are = if names.len() == 1 { "is" } else { "are" };
        add(code, Severity::Degraded, about, format!("{} {are} {text}", names.join(", ")));
    }
}
