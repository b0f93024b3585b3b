//! The names of HAProxy's built-in exporter, as far as they concern TCP. A listener is a frontend and
//! the backend of the same name, as with HAProxy's `listen`.

use std::fmt;

use super::daemon::started;
use super::family::{
    Families, Kind, Label, Row, Value, counter, gauge, label, number, seconds, write_rows,
};
use super::listeners::{Server, count, servers};
use super::query::{Query, Scope};
use crate::status::{AdmissionStatus, ListenerStatus, ServerStatus, Snapshot};

/// What a server can be.
const STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

const STANDBY: &str = "One of DOWN, UP, MAINT, DRAIN, NOLB is 1. As with HAProxy, a healthy standby of \
                       a pool for writers is DOWN; vipd_server_usable tells whether it is well.";

const NO_RULES: &str = "Always 0: vipd has no rules that deny.";

/// What HAProxy would say of a server.
fn state(server: &ServerStatus) -> &'static str {
    match (server.fits, server.admission) {
        (true, AdmissionStatus::Usable) if server.weight != Some(0) => "UP",
        (true, AdmissionStatus::Usable | AdmissionStatus::Held) => "DRAIN",
        (_, AdmissionStatus::Down) | (false, _) => "DOWN",
    }
}

fn is_up(server: &ServerStatus) -> bool {
    state(server) == "UP"
}

/// How many servers are up, backups or others.
fn up(listener: &ListenerStatus, backup: bool) -> usize {
    listener.servers.iter().filter(|server| is_up(server) && server.backup == backup).count()
}

/// The weight of those that share the connections.
fn weight(listener: &ListenerStatus) -> u64 {
    let backups = up(listener, false) == 0;
    let sharing =
        listener.servers.iter().filter(|server| is_up(server) && server.backup == backups);
    sharing.map(|server| u64::from(server.weight.unwrap_or(1))).sum()
}

/// Clients that left a server for another, because it failed them.
fn again(listener: &ListenerStatus) -> Option<Value> {
    let failed = count(listener, "connect_failures")?;
    Some(Value::Count(failed.saturating_add(count(listener, "replayed")?)))
}

fn of_servers(listener: &ListenerStatus, value: fn(&ServerStatus) -> Option<u64>) -> Option<Value> {
    listener.traffic.as_ref()?;
    let sum = listener.servers.iter().filter_map(value).fold(0, u64::saturating_add);
    Some(Value::Count(sum))
}

const FRONTEND: &[Row<ListenerStatus>] = &[
    gauge("haproxy_frontend_current_sessions", "Clients connected.", |listener| {
        Some(listener.traffic.as_ref()?.connections.into())
    }),
    gauge("haproxy_frontend_limit_sessions", "The most clients at a time (maxconn).", |listener| {
        listener.maxconn.map(Value::from)
    }),
    counter("haproxy_frontend_sessions_total", "Connections accepted.", |listener| {
        count(listener, "accepted").map(Value::Count)
    }),
    counter("haproxy_frontend_connections_total", "Connections accepted.", |listener| {
        count(listener, "accepted").map(Value::Count)
    }),
    counter("haproxy_frontend_bytes_in_total", "Bytes from clients.", |listener| {
        count(listener, "bytes_in").map(Value::Count)
    }),
    counter("haproxy_frontend_bytes_out_total", "Bytes to clients.", |listener| {
        count(listener, "bytes_out").map(Value::Count)
    }),
    counter("haproxy_frontend_denied_connections_total", NO_RULES, |_| Some(Value::Count(0))),
    counter("haproxy_frontend_denied_sessions_total", NO_RULES, |_| Some(Value::Count(0))),
    counter("haproxy_frontend_requests_denied_total", NO_RULES, |_| Some(Value::Count(0))),
    counter(
        "haproxy_frontend_request_errors_total",
        "Clients that sent no complete first message in time.",
        |listener| count(listener, "silent").map(Value::Count),
    ),
];

const BACKEND: &[Row<ListenerStatus>] = &[
    gauge("haproxy_backend_active_servers", "Servers that are UP and no backups.", |listener| {
        Some(number(up(listener, false)))
    }),
    gauge("haproxy_backend_backup_servers", "Backups that are UP.", |listener| {
        Some(number(up(listener, true)))
    }),
    gauge("haproxy_backend_servers_up", "Servers that are UP, backups too.", |listener| {
        Some(number(up(listener, false) + up(listener, true)))
    }),
    gauge("haproxy_backend_weight", "The weight of those that share connections.", |listener| {
        Some(Value::Count(weight(listener)))
    }),
    gauge("haproxy_backend_current_sessions", "Clients connected.", |listener| {
        Some(listener.traffic.as_ref()?.connections.into())
    }),
    gauge(
        "haproxy_backend_limit_sessions",
        "The most clients at a time: maxconn of the listener, as vipd has no fullconn.",
        |listener| listener.maxconn.map(Value::from),
    ),
    counter("haproxy_backend_sessions_total", "Connections accepted.", |listener| {
        count(listener, "accepted").map(Value::Count)
    }),
    gauge("haproxy_backend_current_queue", "Clients that wait for a server.", |listener| {
        Some(listener.traffic.as_ref()?.waiting.into())
    }),
    counter("haproxy_backend_bytes_in_total", "Bytes to servers.", |listener| {
        count(listener, "bytes_in").map(Value::Count)
    }),
    counter("haproxy_backend_bytes_out_total", "Bytes from servers.", |listener| {
        count(listener, "bytes_out").map(Value::Count)
    }),
    counter("haproxy_backend_connection_attempts_total", "Attempts to connect.", |listener| {
        of_servers(listener, |server| Some(server.traffic?.attempts))
    }),
    counter(
        "haproxy_backend_connection_errors_total",
        "Connections to its servers that came to nothing.",
        |listener| of_servers(listener, |server| server.failures),
    ),
    counter(
        "haproxy_backend_retry_warnings_total",
        "Times a client was given another server because one failed it.",
        again,
    ),
    counter(
        "haproxy_backend_redispatch_warnings_total",
        "The same: vipd tries again at another server, so each retry is a redispatch.",
        again,
    ),
    counter(
        "haproxy_backend_client_aborts_total",
        "Sessions the client broke off, and clients that left before a server had answered.",
        |listener| {
            let left = count(listener, "abandoned")?;
            Some(Value::Count(left.saturating_add(count(listener, "reset_by_client")?)))
        },
    ),
    counter("haproxy_backend_server_aborts_total", "Sessions the server broke off.", |listener| {
        count(listener, "reset_by_server").map(Value::Count)
    }),
    counter("haproxy_backend_loadbalanced_total", "Times a server was chosen.", |listener| {
        of_servers(listener, |server| Some(server.traffic?.attempts))
    }),
];

fn server_rows<'a>() -> Vec<Row<Server<'a>>> {
    vec![
        gauge("haproxy_server_active", "1 if it is no backup.", |server| {
            Some((!server.status.backup).into())
        }),
        gauge("haproxy_server_backup", "1 if it is a backup.", |server| {
            Some(server.status.backup.into())
        }),
        gauge("haproxy_server_weight", "Its weight.", |server| {
            server.status.weight.map(Value::from)
        }),
        gauge("haproxy_server_uweight", "Its weight.", |server| {
            server.status.weight.map(Value::from)
        }),
        gauge("haproxy_server_current_sessions", "Its sessions.", |server| {
            server.status.sessions.map(Value::from)
        }),
        gauge("haproxy_server_used_connections_current", "Its sessions.", |server| {
            server.status.sessions.map(Value::from)
        }),
        gauge("haproxy_server_limit_sessions", "The most sessions (maxconn).", |server| {
            server.status.maxconn.map(Value::from)
        }),
        gauge("haproxy_server_current_queue", "Always 0: clients wait at the backend.", |_| {
            Some(Value::Count(0))
        }),
        counter("haproxy_server_sessions_total", "Connections to it.", |server| {
            Some(Value::Count(server.status.traffic?.connections))
        }),
        counter(
            "haproxy_server_bytes_in_total",
            "Bytes to it, counted when a session ends.",
            |server| Some(Value::Count(server.status.traffic?.bytes_in)),
        ),
        counter(
            "haproxy_server_bytes_out_total",
            "Bytes from it, counted when a session ends.",
            |server| Some(Value::Count(server.status.traffic?.bytes_out)),
        ),
        counter("haproxy_server_connection_attempts_total", "Attempts to connect.", |server| {
            Some(Value::Count(server.status.traffic?.attempts))
        }),
        counter("haproxy_server_loadbalanced_total", "Times it was chosen.", |server| {
            Some(Value::Count(server.status.traffic?.attempts))
        }),
        counter(
            "haproxy_server_check_failures_total",
            "Checks of the member that failed, for all listeners that have it.",
            |server| server.member?.check_failures.map(Value::Count),
        ),
        counter(
            "haproxy_server_connection_errors_total",
            "Connections to it that came to nothing.",
            |server| server.status.failures.map(Value::Count),
        ),
    ]
}

pub(super) fn write(out: &mut Families<'_>, snapshot: &Snapshot, query: &Query) -> fmt::Result {
    let listeners = &snapshot.listeners;
    if query.has(Scope::Global) {
        process(out, snapshot)?;
    }
    if query.has(Scope::Frontend) {
        let accepting = listeners.iter().map(|listener| (listener, listener.accepting));
        one_hot(out, "haproxy_frontend_status", "UP while it accepts connections.", accepting)?;
        write_rows(out, FRONTEND, listeners, proxy)?;
    }
    if query.has(Scope::Backend) {
        let works = |listener| up(listener, false) + up(listener, true) > 0;
        let works = listeners.iter().map(|listener| (listener, works(listener)));
        one_hot(out, "haproxy_backend_status", "UP while a server is UP.", works)?;
        write_rows(out, BACKEND, listeners, proxy)?;
        let help = "How many servers are in each state.";
        for name in ["haproxy_backend_agg_server_status", "haproxy_backend_agg_server_check_status"]
        {
            out.gauge(name, help, listeners.iter().flat_map(aggregate))?;
        }
        let works = listeners.iter().map(|listener| {
            (
                [label("backend", &*listener.name)],
                (up(listener, false) + up(listener, true) > 0).into(),
            )
        });
        out.gauge("haproxy_backend_up", "1 while a server is UP.", works)?;
    }
    if query.has(Scope::Server) {
        let servers = servers(snapshot);
        let states = servers.iter().flat_map(|server| {
            let state = state(server.status);
            STATES.map(|known| {
                let [proxy, name] = names(server);
                ([proxy, name, label("state", known)], (known == state).into())
            })
        });
        out.gauge("haproxy_server_status", STANDBY, states)?;
        write_rows(out, &server_rows(), &servers, names)?;
        let works = servers.iter().map(|server| {
            let [(_, proxy), name] = names(server);
            ([("backend", proxy), name], is_up(server.status).into())
        });
        out.gauge("haproxy_server_up", "1 if it is UP.", works)?;
    }
    Ok(())
}

fn process(out: &mut Families<'_>, snapshot: &Snapshot) -> fmt::Result {
    let gauge = Kind::Gauge;
    out.single(gauge, "haproxy_up", "1: vipd runs in HAProxy's place.", true)?;
    if let Some(started) = started(snapshot) {
        let help = "When the process started, in seconds since 1970.";
        out.single(gauge, "haproxy_process_start_time_seconds", help, started)?;
    }
    let up = seconds(snapshot.daemon.uptime_ms);
    out.single(gauge, "haproxy_process_uptime_seconds", "Since the process started.", up)?;
    let traffic = snapshot.listeners.iter().filter_map(|listener| listener.traffic.as_ref());
    let connections = traffic.map(|traffic| u64::from(traffic.connections)).sum::<u64>();
    out.single(gauge, "haproxy_process_current_connections", "Clients connected.", connections)?;
    let accepted = snapshot.listeners.iter().filter_map(|listener| count(listener, "accepted"));
    let accepted = accepted.fold(0, u64::saturating_add);
    let help = "Connections accepted.";
    out.single(Kind::Counter, "haproxy_process_connections_total", help, accepted)?;
    let version = [([label("version", &*snapshot.daemon.version)], Value::Count(1))];
    out.gauge("haproxy_process_build_info", "Always 1; the label is vipd's version.", version)
}

fn one_hot<'a>(
    out: &mut Families<'_>,
    name: &'static str,
    help: &str,
    listeners: impl Iterator<Item = (&'a ListenerStatus, bool)>,
) -> fmt::Result {
    let samples = listeners.flat_map(|(listener, up)| {
        [("DOWN", !up), ("UP", up)].map(|(state, set)| {
            let [proxy] = proxy(listener);
            ([proxy, label("state", state)], set.into())
        })
    });
    out.gauge(name, help, samples)
}

fn aggregate(listener: &ListenerStatus) -> [([Label<'_>; 2], Value); 5] {
    STATES.map(|known| {
        let count = listener.servers.iter().filter(|server| state(server) == known).count();
        let [proxy] = proxy(listener);
        ([proxy, label("state", known)], number(count))
    })
}

fn proxy(listener: &ListenerStatus) -> [Label<'_>; 1] {
    [label("proxy", &*listener.name)]
}

fn names<'a>(server: &Server<'a>) -> [Label<'a>; 2] {
    [label("proxy", &*server.listener.name), label("server", &*server.status.name)]
}
