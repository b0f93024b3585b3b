//! One listener for each section that listens.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::{Front, Group, Lowered, status_check};
use super::proxy::Proxy;
use super::role::{HealthCheck, RoleCheck, check_endpoint, speaks_sql};
use super::route::shorter;
use super::server::{Server, ServerOptions};
use super::values::length;
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::model::{ListenerProtocol, OnDown};
use crate::config::raw::{RawCluster, RawListener, RawServer};
use crate::pool::{Balance, Wants};

/// The listener of a section, and what was made of its lines.
pub(super) fn listener(
    front: &Front,
    groups: &[Group],
    clusters: &[RawCluster],
    lowered: &Lowered<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<RawListener> {
    let own = lowered.proxies.get(front.proxy)?;
    let backend = lowered.proxies.get(front.route.backend)?;
    let health_check = lowered.health_checks.get(front.route.backend)?;
    let group = groups.iter().find(|group| group.backends.contains(&front.route.backend))?;
    let mut raw = RawListener::new(own.name.clone());
    raw.binds.clone_from(&own.binds);
    raw.unreadable = own.unreadable;
    raw.cluster = Some(group.name.clone());
    raw.servers = Some(servers(group, backend));
    raw.balance = backend.settings.balance;
    raw.all_backups = backend.settings.all_backups;
    raw.end_backups = end_backups(backend, out);
    raw.maxconn = own.settings.maxconn.or(lowered.global.maxconn);
    raw.backlog = own.settings.backlog;
    times(&mut raw, own, backend);
    raw.client = own.settings.client.clone();
    raw.server = backend.settings.server.clone();
    let slow = backend.servers.iter().find_map(|server| server.options.tcp_user_timeout);
    raw.server.tcp_user_timeout = slow.or(raw.server.tcp_user_timeout);
    match health_check {
        HealthCheck::Patroni(role) => {
            role_of(&mut raw, role, front, group, lowered);
            raw.status_check = status_check(backend);
            if let Some(check) = &mut raw.status_check {
                check.on_down = Some(on_down(backend, &mut Vec::new()));
            }
            let primary = front.route.primary.and_then(|at| lowered.proxies.get(at));
            raw.primary_status_check = primary.and_then(status_check);
            let cluster = clusters.iter().find(|cluster| cluster.name == group.name);
            raw.inferred.extend(cluster.and_then(|cluster| rhythm(cluster, backend)));
        }
        HealthCheck::Url(_) | HealthCheck::Tcp | HealthCheck::Nothing => {
            let protocol = if speaks_sql(backend) {
                ListenerProtocol::Postgres
            } else {
                ListenerProtocol::Tcp
            };
            raw.protocol = Some(Spanned::new(protocol, own.name.span));
            raw.on_down = Some(on_down(backend, out));
        }
        HealthCheck::Postgres => raw.on_down = Some(on_down(backend, out)),
    }
    if !matches!(health_check, HealthCheck::Patroni(_)) {
        let cluster = clusters.iter().find(|cluster| cluster.name == group.name);
        let tls = cluster.is_some_and(|cluster| cluster.tls.https.is_some());
        let url = match health_check {
            HealthCheck::Url(path) => format!("by HTTP for {}", path.value),
            HealthCheck::Postgres => "for PostgreSQL's answer to a session that begins".to_owned(),
            HealthCheck::Tcp if tls => "by a connection that speaks TLS".to_owned(),
            HealthCheck::Tcp => "by a connection".to_owned(),
            HealthCheck::Patroni(_) | HealthCheck::Nothing => "not at all".to_owned(),
        };
        let place = backend.settings.check.method.map_or(backend.name.span, |method| method.span);
        raw.inferred.push((place, format!("each server is asked {url}")));
    }
    Some(raw)
}

/// What became of `inter` and `fall`, at the place of the first.
fn rhythm(cluster: &RawCluster, backend: &Proxy) -> Option<(Span, String)> {
    let inter = backend.servers.first()?.options.rhythm.interval?;
    let (interval, silence) = (cluster.rhythm.interval?.value, cluster.down_after?.value);
    let fast = cluster.rhythm.fast_interval.map_or(Duration::from_millis(100), |fast| fast.value);
    let [interval, silence, fast] = [interval, silence, fast.min(interval)].map(length);
    let text = format!(
        "each node is asked every {interval}, every {fast} while something changes, and is down after {silence} of silence"
    );
    Some((inter.span, text))
}

fn servers(group: &Group, backend: &Proxy) -> Vec<RawServer> {
    let server = |server: &Server| {
        let options = &server.options;
        let name = group.member(server, &check_endpoint(server, &backend.settings.check));
        RawServer {
            member: Spanned::new(name, server.name.span),
            address: Some(server.address.clone()),
            weight: options.weight,
            maxconn: options.maxconn,
            backup: options.backup,
            disabled: options.disabled,
        }
    };
    in_order(backend).map(server).collect()
}

/// By their ids where that is the order they are used in; those without have the lowest free ones.
fn in_order(backend: &Proxy) -> impl Iterator<Item = &Server> {
    let mut servers: Vec<&Server> = backend.servers.iter().collect();
    if backend.settings.balance.is_some_and(|balance| balance.value == Balance::First) {
        let own = |server: &Server| server.options.id.map(|id| id.value);
        let taken: BTreeSet<i64> = servers.iter().filter_map(|server| own(server)).collect();
        let mut free = (1..).filter(|id| !taken.contains(id));
        servers.sort_by_cached_key(|server| own(server).or_else(|| free.next()));
    }
    servers.into_iter()
}

fn times(raw: &mut RawListener, own: &Proxy, backend: &Proxy) {
    let (front, back) = (own.settings.timeouts, backend.settings.timeouts);
    let limit = |time: Option<Spanned<Duration>>| time.filter(|time| !time.value.is_zero());
    raw.connect_timeout = limit(back.connect);
    // Without a limit of its own, HAProxy's queue has that of a connection.
    raw.queue_timeout_full = limit(back.queue).or(raw.connect_timeout);
    let tunnel = back.tunnel.or(front.tunnel);
    raw.idle_timeout = tunnel.or_else(|| shorter(front.client, back.server));
    raw.half_closed = shorter(front.client_fin, back.server_fin);
}

fn role_of(
    raw: &mut RawListener,
    role: &RoleCheck,
    front: &Front,
    group: &Group,
    lowered: &Lowered<'_>,
) {
    let at = role.path.span;
    raw.role = Some(Spanned::new(role.wants, at));
    let standbys = matches!(role.wants, Wants::Reader | Wants::Sync | Wants::Async);
    if standbys {
        let place = front.route.fallback.unwrap_or(at);
        raw.fallback = Some(Spanned::new(front.route.fallback.is_some(), place));
    }
    if standbys || role.wants == Wants::Any {
        raw.max_lag.clone_from(&role.lag);
        raw.tags.clone_from(&role.tags);
        raw.replication_state.clone_from(&role.replication_state);
    }
    let what = match role.wants {
        Wants::Writer => "writer: the primary",
        Wants::Leader => "leader: the primary, or the leader of a standby cluster",
        Wants::Reader => "reader: a standby",
        Wants::Any => "any: the primary or a standby",
        Wants::Sync => "sync: a synchronous standby",
        Wants::Async => "async: an asynchronous standby",
    };
    let sections: Vec<String> = group
        .backends
        .iter()
        .filter_map(|at| lowered.proxies.get(*at))
        .map(|proxy| proxy.name.value.clone())
        .collect();
    let once = match sections.as_slice() {
        [_] => String::new(),
        _ => format!("; each node is asked once for {}", sections.join(", ")),
    };
    raw.inferred.push((at, format!("role {what}{once}")));
    if let Some(line) = front.route.fallback {
        let note = "fallback: readers get the primary while no standby is up".to_owned();
        raw.inferred.push((line, note));
    }
}

/// A server that is no backup may end the sessions of backups when it is up again.
fn end_backups(backend: &Proxy, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
    let backup = |options: &ServerOptions| options.backup.is_some_and(|b| b.value);
    let servers = || backend.servers.iter().map(|server| &server.options);
    let mut active = servers().filter(|options| !backup(options)).map(|o| o.ends_backups);
    let first = active.clone().flatten().next()?;
    if active.any(|ends| ends.is_none()) {
        let text = format!("this holds for all servers of {}", quoted(&backend.name.value));
        out.push(Diagnostic::warning(first, text).help("write it on the default-server line"));
    }
    servers().any(backup).then(|| Spanned::new(true, first))
}

/// Sessions go on with a server that is down unless they are to be shut.
fn on_down(backend: &Proxy, out: &mut Vec<Diagnostic>) -> Spanned<OnDown> {
    let ends = |server: &&Server| server.options.ends_sessions.is_some();
    let first = backend.servers.iter().find(ends).and_then(|server| server.options.ends_sessions);
    let other = backend.servers.iter().find(|server| !ends(server));
    match (first, other) {
        (Some(span), Some(_)) => {
            let text = format!("this holds for all servers of {}", quoted(&backend.name.value));
            out.push(Diagnostic::warning(span, text).help("write it on the default-server line"));
            Spanned::new(OnDown::End, span)
        }
        (Some(span), None) => Spanned::new(OnDown::End, span),
        (None, _) => Spanned::new(OnDown::Keep, backend.name.span),
    }
}
