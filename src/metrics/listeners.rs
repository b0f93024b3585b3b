//! Listeners and their servers.

use std::fmt;

use super::family::{Families, Label, Row, Value, code, counter, gauge, label, write_rows};
use crate::status::{AdmissionStatus, Limit, ListenerStatus, MemberStatus, ServerStatus, Snapshot};

/// A server with its listener.
pub(super) struct Server<'a> {
    pub(super) listener: &'a ListenerStatus,
    pub(super) status: &'a ServerStatus,
    /// The member of the cluster it is.
    pub(super) member: Option<&'a MemberStatus>,
}

/// The servers of all listeners.
pub(super) fn servers(snapshot: &Snapshot) -> Vec<Server<'_>> {
    let mut servers = Vec::new();
    for listener in &snapshot.listeners {
        let cluster = snapshot.clusters.iter().find(|cluster| cluster.name == listener.cluster);
        let members = cluster.map_or(&[][..], |cluster| &cluster.members);
        servers.extend(listener.servers.iter().map(|status| {
            let member = members.iter().find(|member| member.name == status.name);
            Server { listener, status, member }
        }));
    }
    servers
}

/// A counter of a listener, by its name in the status, where zeros are left out.
pub(super) fn count(listener: &ListenerStatus, name: &str) -> Option<u64> {
    let counters = &listener.traffic.as_ref()?.counters;
    Some(counters.get(name).copied().unwrap_or(0))
}

const LIMITS: [Limit; 5] =
    [Limit::Maxconn, Limit::ServerMaxconn, Limit::Queue, Limit::Descriptors, Limit::Backlog];

/// Why sessions ended, and the counters of it.
const ENDS: [(&str, &str); 8] = [
    ("server-down", "ended_down"),
    ("role-lost", "ended_role"),
    ("removed", "ended_removed"),
    ("backup-replaced", "ended_backup"),
    ("address-gone", "ended_here"),
    ("idle", "idle"),
    ("client-reset", "reset_by_client"),
    ("server-reset", "reset_by_server"),
];

const LISTENER: &[Row<ListenerStatus>] = &[
    gauge(
        "vipd_listener_accepting",
        "1 if it accepts connections at all its addresses.",
        |listener| Some(listener.accepting.into()),
    ),
    gauge(
        "vipd_listener_serves",
        "1 if a new connection gets a server. At 0 clients wait, however many servers are up.",
        |listener| Some(listener.serves.into()),
    ),
    gauge(
        "vipd_listener_fallen_back",
        "1 if clients that only read are given the primary.",
        |listener| Some(listener.fallen_back.into()),
    ),
    gauge("vipd_listener_connections", "Clients connected.", |listener| {
        Some(listener.traffic.as_ref()?.connections.into())
    }),
    gauge(
        "vipd_listener_maxconn",
        "The most clients it takes at a time; without a limit there is no sample.",
        |listener| listener.maxconn.map(Value::from),
    ),
    gauge("vipd_listener_queue", "Clients that wait for a server.", |listener| {
        Some(listener.traffic.as_ref()?.waiting.into())
    }),
    counter("vipd_listener_queued_total", "Clients that had to wait for a server.", |listener| {
        count(listener, "held").map(Value::Count)
    }),
    counter("vipd_listener_accepted_total", "Connections accepted.", |listener| {
        count(listener, "accepted").map(Value::Count)
    }),
    counter(
        "vipd_listener_sessions_total",
        "Sessions that began: a server took the client.",
        |listener| count(listener, "sessions").map(Value::Count),
    ),
    counter("vipd_listener_bytes_in_total", "Bytes from clients to servers.", |listener| {
        count(listener, "bytes_in").map(Value::Count)
    }),
    counter("vipd_listener_bytes_out_total", "Bytes from servers to clients.", |listener| {
        count(listener, "bytes_out").map(Value::Count)
    }),
];

fn of_servers<'a>() -> Vec<Row<Server<'a>>> {
    vec![
        gauge(
            "vipd_server_usable",
            "1 if it may have sessions of some kind: a healthy standby of a writer pool has 1 here, \
               and is DOWN in haproxy_server_status.",
            |server| Some((server.status.admission == AdmissionStatus::Usable).into()),
        ),
        gauge("vipd_server_takes", "1 if the next connection may go to it.", |server| {
            Some(server.status.takes.into())
        }),
        gauge("vipd_server_sessions", "Its sessions.", |server| {
            server.status.sessions.map(Value::from)
        }),
        gauge(
            "vipd_server_maxconn",
            "The most sessions it may have; without a limit there is no sample.",
            |server| server.status.maxconn.map(Value::from),
        ),
        counter(
            "vipd_server_connect_failures_total",
            "Connections to it that came to nothing.",
            |server| server.status.failures.map(Value::Count),
        ),
        counter(
            "vipd_server_unanswered_total",
            "Clients whose first message it did not answer in time.",
            |server| server.status.unanswered.map(Value::Count),
        ),
        gauge(
            "vipd_server_mute",
            "1 if it accepts connections and has answered no client since the last of those.",
            |server| Some(server.status.mute.into()),
        ),
    ]
}

pub(super) fn write(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let listeners = &snapshot.listeners;
    write_rows(out, LISTENER, listeners, |listener| [label("listener", &*listener.name)])?;
    let refused = listeners.iter().flat_map(|listener| {
        let of = |name| count(listener, name);
        let full = of("unserved_full");
        let nobody = of("unserved").zip(full).map(|(all, full)| all.saturating_sub(full));
        [("queue-full", of("overflowed")), ("no-server", nobody), ("servers-full", full)]
            .into_iter()
            .filter_map(|(reason, count)| {
                Some((of_listener(listener, "reason", reason), count?.into()))
            })
    });
    out.counter("vipd_listener_refused_total", "Clients turned away.", refused)?;
    let ended = listeners.iter().flat_map(|listener| {
        ENDS.into_iter().filter_map(|(reason, counter)| {
            let count = count(listener, counter)?;
            Some((of_listener(listener, "reason", reason), count.into()))
        })
    });
    out.counter(
        "vipd_listener_sessions_ended_total",
        "Sessions that did not end by themselves.",
        ended,
    )?;
    let saturated = listeners.iter().filter(|listener| listener.traffic.is_some());
    let saturated = saturated.flat_map(|listener| {
        LIMITS.map(|limit| {
            let limits = listener.traffic.iter().flat_map(|traffic| &traffic.limits);
            let reached = limits.into_iter().any(|known| known.limit == limit && known.reached);
            (of_listener(listener, "limit", &code(&limit)), reached.into())
        })
    });
    out.gauge("vipd_listener_saturated", "1 while a limit is reached.", saturated)?;
    let servers = servers(snapshot);
    write_rows(out, &of_servers(), &servers, names)?;
    let roles = servers.iter().map(|server| {
        let [listener, name] = names(server);
        ([listener, name, label("role", code(&server.status.role))], Value::Count(1))
    });
    out.gauge("vipd_server_role", "1 for what a server is.", roles)
}

fn of_listener<'a>(
    listener: &'a ListenerStatus,
    name: &'static str,
    value: &str,
) -> [Label<'a>; 2] {
    [label("listener", &*listener.name), label(name, value.to_owned())]
}

fn names<'a>(server: &Server<'a>) -> [Label<'a>; 2] {
    [label("listener", &*server.listener.name), label("server", &*server.status.name)]
}
