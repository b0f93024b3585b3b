//! Clusters and listeners.

use std::fmt::Write;
use std::net::SocketAddr;

use super::super::{
    AdmissionStatus, ClusterStatus, Limit, LimitStatus, ListenerStatus, MemberStatus, Miss,
    MissingStatus, Phase, ServerStatus, Snapshot,
};
use crate::text::age;

/// An answer older than this is worth a word.
const OLD_MS: u64 = 3000;

/// The state of a whole cluster.
pub(crate) fn cluster_heading(cluster: &ClusterStatus) -> String {
    let for_so_long = age(cluster.phase_age_ms);
    match cluster.phase {
        Phase::Plain => cluster.summary.clone(),
        _ => format!("{}, for {for_so_long}", cluster.summary),
    }
}

/// `*:5000`, `10.0.0.10:5000`.
pub(crate) fn bind(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V4(any) if any.ip().is_unspecified() => format!("*:{}", any.port()),
        other => other.to_string(),
    }
}

/// "refused the last 3 connections, 2 s ago".
pub(crate) fn missing_words(missing: &MissingStatus) -> String {
    let MissingStatus { how, times, ago_ms } = missing;
    let connections =
        if *times == 1 { "connection".to_owned() } else { format!("{times} connections") };
    let ago = age(*ago_ms);
    match how {
        Miss::Refused => format!("refused the last {connections}, {ago} ago"),
        Miss::Unreachable => format!("did not answer the last {connections}, {ago} ago"),
        Miss::Closed => {
            format!("closed the last {connections} without a word, {ago} ago")
        }
    }
}

/// Who gets the next connection.
pub(crate) fn goes_to(listener: &ListenerStatus) -> String {
    let takes = || listener.servers.iter().filter(|server| server.takes);
    let mut weights = takes().map(|server| server.weight);
    let first = weights.next();
    let same = weights.all(|weight| Some(weight) == first);
    let name = |server: &ServerStatus| {
        let mut remarks = Vec::new();
        if let Some(weight) = server.weight.filter(|_| !same) {
            remarks.push(format!("weight {weight}"));
        }
        if server.backup {
            remarks.push("backup".to_owned());
        }
        remarks.extend(server.failed_lately().then(|| "the last connection failed".to_owned()));
        match remarks.is_empty() {
            true => server.name.clone(),
            false => format!("{} ({})", server.name, remarks.join(", ")),
        }
    };
    let names: Vec<String> = takes().map(name).collect();
    match (names.is_empty(), listener.fallen_back) {
        (true, _) if listener.serves => "nobody: its servers are full".to_owned(),
        (true, _) => "nobody: clients wait".to_owned(),
        (false, true) => format!("{} (fallback)", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

/// A limit clients run into, what that does to them, and what raises it.
pub(crate) fn limit_words(status: &LimitStatus) -> String {
    let LimitStatus { limit, most, reached, waiting, refused, raise } = status;
    let most = most.map(|most| format!(" ({most})")).unwrap_or_default();
    let is = if *reached { "is" } else { "was" };
    let mut text = match limit {
        Limit::Maxconn => format!("maxconn{most} {is} reached"),
        Limit::ServerMaxconn => {
            format!("all servers {} full (maxconn)", if *reached { "are" } else { "were" })
        }
        Limit::Queue => format!("the queue{most} {is} full"),
        Limit::Descriptors => format!("the limit of file descriptors{most} {is} reached"),
        Limit::Backlog => format!("the accept queue{most} {is} full"),
    };
    if *reached && *waiting > 0 {
        let (clients, wait) = if *waiting == 1 { ("client", "waits") } else { ("clients", "wait") };
        let _ = write!(text, ", {waiting} {clients} {wait}");
    }
    if *limit == Limit::Backlog {
        let (attempts, were) =
            if *refused == 1 { ("attempt", "was") } else { ("attempts", "were") };
        let _ = write!(text, ", {refused} {attempts} to connect {were} dropped");
    } else if *refused > 0 {
        let (client, was) = if *refused == 1 { ("client", "was") } else { ("clients", "were") };
        let _ = write!(text, ", {refused} {client} {was} refused");
    }
    let _ = write!(text, ": raise {raise}");
    text
}

/// What keeps new connections from a listener, or from some of its servers.
pub(crate) fn listener_notes(snapshot: &Snapshot, listener: &ListenerStatus) -> Vec<String> {
    let mut notes = Vec::new();
    let traffic = listener.traffic.as_ref();
    match traffic.and_then(|traffic| traffic.failure.as_deref()) {
        Some(failure) => notes.push(format!("not open: cannot {failure}")),
        None if !listener.accepting && traffic.is_some() => {
            notes.push("does not accept connections at all its addresses".to_owned());
        }
        None => {}
    }
    if let Some(traffic) = traffic {
        notes.extend(traffic.limits.iter().map(limit_words));
    }
    let usable = listener.servers.iter().filter(|s| s.admission == AdmissionStatus::Usable);
    let missing = usable.filter_map(|server| Some((server, server.missing.as_ref()?)));
    notes.extend(missing.map(|(server, missing)| {
        format!("{} at {} {}", server.name, server.address, missing_words(missing))
    }));
    let mute = listener.servers.iter().filter(|server| server.mute);
    notes.extend(mute.map(|server| {
        let count = server.unanswered.unwrap_or_default();
        let clients = if count == 1 { "client" } else { "clients" };
        format!(
            "{} accepts connections but does not answer: {count} {clients} waited in vain",
            server.name
        )
    }));
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
        let full = listener.servers.iter().filter(|server| !server.takes && server.is_full());
        notes.extend(full.map(|server| {
            format!("not {}: full, maxconn {}", server.name, server.maxconn.unwrap_or_default())
        }));
        let amiss = |s: &&ServerStatus| s.admission != AdmissionStatus::Usable && !known(s);
        let amiss = listener.servers.iter().filter(amiss);
        notes.extend(amiss.map(|server| match server.falls {
            0 | 1 => format!("not {}: {}", server.name, server.reason),
            falls => format!(
                "not {}: {} ({falls} times, each within 5 minutes of the last)",
                server.name, server.reason
            ),
        }));
    }
    notes
}

/// What is out of the ordinary about a cluster.
pub(crate) fn cluster_notes(cluster: &ClusterStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(confirmed), Some(left)) = (cluster.confirmed_ms, cluster.lease_left_ms)
        && confirmed > OLD_MS
    {
        let ago = format!("last confirmed as primary {} ago", age(confirmed));
        notes.push(match (left, cluster.sessions_left_ms) {
            (0, Some(sessions)) => format!(
                "{ago}; it gets no new sessions, and those it has end in {} unless it confirms",
                age(sessions)
            ),
            (0, None) => format!("{ago}; it gets no new sessions"),
            (left, _) => format!("{ago}; new sessions stop in {} unless it confirms", age(left)),
        });
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
    notes.extend(cluster.hints.iter().map(|hint| format!("hint: {}", hint.text)));
    notes
}

/// What a member is, and what keeps it from being used.
pub(crate) fn is(member: &MemberStatus) -> String {
    let mut text = match member.admission {
        AdmissionStatus::Usable => member.role.to_string(),
        AdmissionStatus::Held => format!("not used: {}", member.reason),
        AdmissionStatus::Down => format!("down: {}", member.reason),
    };
    for note in &member.notes {
        let _ = write!(text, ", {note}");
    }
    text
}

/// Sessions of all listeners.
pub(crate) fn sessions(
    snapshot: &Snapshot,
    cluster: &ClusterStatus,
    member: &MemberStatus,
) -> Option<u32> {
    let listeners = snapshot.listeners.iter().filter(|l| l.cluster == cluster.name);
    let servers = listeners.flat_map(|listener| &listener.servers);
    let of_member = servers.filter(|server| server.name == member.name);
    of_member.filter_map(|server| server.sessions).reduce(u32::saturating_add)
}
