//! What is refused as a whole, and what HAProxy accepts in silence although it is hardly meant.

use std::time::Duration;

use super::check::Expect;
use super::cluster::{Front, Lowered};
use super::keywords::Reporter;
use super::proxy::Proxy;
use super::role::{HealthCheck, PATRONI_PORT, RoleCheck, check_endpoint, uri};
use super::route::{Route, backend, shorter, writer_beside};
use super::sections::Kind;
use super::server::Server;
use super::values::length;
use crate::config::checks::Statuses;
use crate::config::diag::{Diagnostic, quoted};
use crate::pool::Wants;

/// With Patroni's defaults another node can be primary so long after the last good answer: `ttl` less
/// `loop_wait`.
const LEASE: Duration = Duration::from_secs(20);
/// Pools of applications keep connections for longer than this.
const SHORT_IDLE: Duration = Duration::from_secs(300);
/// The sample that everybody copied says 100; a pool or two fill it.
const FEW: i64 = 500;
/// A lag without a unit below this was hardly meant in bytes.
const SMALL_LAG: u64 = 16 << 20;

/// Refuses what works on HTTP, or ends TLS.
pub(super) fn layer_7(
    front: &Proxy,
    route: Option<Route>,
    proxies: &[Proxy],
    health_checks: &[HealthCheck],
    out: &mut Vec<Diagnostic>,
) -> bool {
    let before = out.len();
    let back = route.and_then(|route| proxies.get(route.backend)).filter(|b| b.name != front.name);
    let sides: Vec<&Proxy> = std::iter::once(front).chain(back).collect();
    let is_http = |proxy: &&&Proxy| proxy.is_http();
    let https: Vec<&&Proxy> = sides.iter().filter(is_http).collect();
    if let Some(first) = https.first() {
        let names: Vec<String> = https.iter().map(|proxy| quoted(&proxy.name.value)).collect();
        let verb = if names.len() > 1 { "work" } else { "works" };
        let place = first.settings.http.map_or(first.name.span, |mode| mode.span);
        let text = format!("{} {verb} on HTTP (layer 7), and vipd on TCP", names.join(" and "));
        let mut error = Diagnostic::error(first.name.span, text).also(place, "the mode");
        let sql = route.is_some_and(|route| {
            matches!(health_checks.get(route.backend), Some(HealthCheck::Patroni(_)))
        });
        if sql {
            error = error
                .note("PostgreSQL is not HTTP: HAProxy would answer its clients with an error")
                .help("add `mode tcp` to this section");
        } else {
            error = error
                .note("vipd reads no requests, ends no TLS and knows neither paths nor cookies")
                .help(format!(
                    "layer 4 instead: `mode tcp` in {}; requests pass as they are",
                    names.join(" and ")
                ));
            let check = sides.last().map(|proxy| &proxy.settings.check);
            if let Some(check) = check.filter(|check| check.is_http()) {
                let path = uri(check).value;
                error = error
                    .help(format!("the health check stays: servers are asked for {path} as now"));
            }
        }
        out.push(error);
    } else if let Some(line) = &front.layer_7 {
        let text =
            format!("`{}` is about HTTP, and {} carries TCP", line.text, quoted(&front.name.value));
        out.push(
            Diagnostic::error(line.span, text).help("remove it, or leave the section to HAProxy"),
        );
    }
    if let Some(tls) = front.tls {
        out.push(
            Diagnostic::error(tls, "vipd ends no TLS")
                .note("clients would speak TLS to a server that expects none")
                .help("pass TLS through: remove `ssl` and `crt` here, and give the servers the certificate"),
        );
    }
    out.len() > before
}

/// Goes through the mistakes that are made in the field.
pub(super) fn lint(lowered: &Lowered<'_>, reporter: &mut Reporter<'_>) {
    let out = &mut *reporter.out;
    global(lowered, out);
    for (at, proxy) in lowered.proxies.iter().enumerate() {
        several_methods(proxy, out);
        unused(at, proxy, lowered, out);
    }
    for front in lowered.fronts {
        let (Some(own), Some(back)) =
            (lowered.proxies.get(front.proxy), lowered.proxies.get(front.route.backend))
        else {
            continue;
        };
        if own.settings.default_backend.is_some() && !own.servers.is_empty() {
            let text = format!("the servers of {} are never used", quoted(&own.name.value));
            let place =
                own.settings.default_backend.as_ref().map_or(own.name.span, |name| name.span);
            out.push(Diagnostic::warning(place, text).help("remove them, or `default_backend`"));
        }
        idle(own, back, out);
        match lowered.health_checks.get(front.route.backend) {
            Some(HealthCheck::Patroni(role)) => {
                patroni(&Way { front, own, back, role }, lowered, out);
            }
            Some(HealthCheck::Url(path)) => {
                special_path(&path.value, back, out);
                not_the_primary(&path.value, back, out);
            }
            Some(HealthCheck::Tcp) => connected(back, out),
            Some(HealthCheck::Postgres | HealthCheck::Nothing) | None => {}
        }
        unchecked(back, lowered.health_checks.get(front.route.backend), out);
        shared_limit(front, back, lowered, out);
    }
}

/// A limit of a server that several sections send clients to, said at the first of them.
fn shared_limit(front: &Front, back: &Proxy, lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) {
    let limited = back.servers.iter().find_map(|server| {
        let most = server.options.maxconn.filter(|most| most.value > 0)?;
        Some((server, most))
    });
    let Some((server, most)) = limited else { return };
    let sharing = lowered.fronts.iter().filter(|other| other.route.backend == front.route.backend);
    let names: Vec<String> = sharing
        .filter_map(|other| lowered.proxies.get(other.proxy))
        .map(|proxy| quoted(&proxy.name.value))
        .collect();
    let [first, _, ..] = names.as_slice() else { return };
    if lowered.proxies.get(front.proxy).is_none_or(|own| *first != quoted(&own.name.value)) {
        return;
    }
    let text = format!(
        "{} sessions each for {} may go to {}",
        most.value,
        names.join(" and "),
        quoted(&server.name.value)
    );
    out.push(
        Diagnostic::warning(most.span, text)
            .note("HAProxy lets all of them together have so many")
            .help("divide it among them, or have one section listen at all their addresses"),
    );
}

fn global(lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) {
    let Some(most) = lowered.global.maxconn.filter(|most| (1..FEW).contains(&most.value)) else {
        return;
    };
    let text = format!(
        "each listener takes {} sessions, and further clients wait in the kernel's queue",
        most.value
    );
    out.push(
        Diagnostic::warning(most.span, text)
            .note("HAProxy lets all of them together have so many; a pool or two of an application fill that")
            .help("raise it above what all clients may open, and limit servers by their own maxconn"),
    );
}

fn several_methods(proxy: &Proxy, out: &mut Vec<Diagnostic>) {
    let Some((before, last)) = proxy.settings.check.several() else { return };
    let text = format!("{} has several ways of checking", quoted(&proxy.name.value));
    let mut warning = Diagnostic::warning(last.span, text);
    for other in before {
        warning = warning.also(other.span, "replaced");
    }
    out.push(
        warning
            .note(format!("the last counts, `{}`, as in HAProxy", last.value))
            .help("keep one: `option httpchk` asks Patroni for the role"),
    );
}

/// A backend that no section sends anybody to.
fn unused(at: usize, proxy: &Proxy, lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) {
    let name = &proxy.name;
    let is_it = |other: &str| backend(other, lowered.proxies) == Some(at);
    let named = lowered.proxies.iter().any(|other| {
        let default = other.settings.default_backend.as_ref();
        other.kind != Kind::Backend
            && (default.is_some_and(|default| is_it(&default.value))
                || other.rules.iter().any(|rule| is_it(&rule.backend.text)))
    });
    let listens = proxy.kind == Kind::Frontend || !proxy.binds.is_empty() || proxy.unreadable;
    if !listens && !named {
        let text = format!("no section sends clients to {}", quoted(&name.value));
        let help = if proxy.kind == Kind::Listen {
            "add a `bind` line"
        } else {
            "name it in `default_backend`"
        };
        out.push(Diagnostic::warning(name.span, text).help(format!("{help}, or remove it")));
    }
}

fn idle(own: &Proxy, back: &Proxy, out: &mut Vec<Diagnostic>) {
    let (front, server) = (own.settings.timeouts.client, back.settings.timeouts.server);
    let tunnel = back.settings.timeouts.tunnel.or(own.settings.timeouts.tunnel);
    let Some(idle) = tunnel.or_else(|| shorter(front, server)) else { return };
    if !idle.value.is_zero() && idle.value < SHORT_IDLE {
        let text = format!("sessions are closed after {} without a byte", length(idle.value));
        out.push(
            Diagnostic::warning(idle.span, text)
                .note("pools of applications keep idle connections, and a long query sends nothing")
                .help("use 30m or more, for both timeout client and timeout server"),
        );
    }
}

/// Patroni's API takes connections on every node.
fn connected(back: &Proxy, out: &mut Vec<Diagnostic>) {
    let asks_api = |server: &&Server| {
        server.is_checked()
            && check_endpoint(server, &back.settings.check).port.get() == PATRONI_PORT
    };
    let Some(server) = back.servers.iter().find(asks_api) else { return };
    let place = server.options.port.map_or(server.name.span, |port| port.span);
    let text = format!("{} takes every node that has a Patroni for up", quoted(&back.name.value));
    out.push(
        Diagnostic::warning(place, text)
            .note("without `option httpchk` a connection is enough, and standbys get writes")
            .help("add `option httpchk GET /primary`, or /replica for readers"),
    );
}

/// 503 is what Patroni answers on every node that is not the primary, well or not.
fn not_the_primary(path: &str, back: &Proxy, out: &mut Vec<Diagnostic>) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(Expect::Status(status)) = &back.settings.check.expect else { return };
    let primary = ["/", "/primary", "/master", "/read-write", "/leader"].contains(&path);
    let statuses = status.value.parse::<Statuses>();
    if primary && statuses.is_ok_and(|good| good.contains(503) && !good.contains(200)) {
        let text = format!("a node whose PostgreSQL is dead passes for a standby: 503 at {path}");
        out.push(
            Diagnostic::warning(status.span, text)
                .note("Patroni answers so on every node that is not the primary, whatever it is")
                .help("use `option httpchk GET /replica` and `http-check expect status 200`"),
        );
    }
}

/// What Patroni answers at paths that need GET.
fn special_path(path: &str, back: &Proxy, out: &mut Vec<Diagnostic>) {
    let check = &back.settings.check;
    let path = path.split('?').next().unwrap_or_default();
    let method = check.request().method.map_or("OPTIONS".to_owned(), |method| method.value);
    if ["/liveness", "/readiness"].contains(&path) && method != "GET" {
        let text = format!("Patroni answers {method} {path} with 503, always");
        let place = uri(check).span;
        out.push(Diagnostic::warning(place, text).help(format!("`option httpchk GET {path}`")));
    }
}

/// Servers that nobody asks beside others that are.
fn unchecked(back: &Proxy, health_check: Option<&HealthCheck>, out: &mut Vec<Diagnostic>) {
    let unasked = back.servers.iter().find(|server| !server.is_checked());
    let Some(server) = unasked.filter(|_| !matches!(health_check, Some(HealthCheck::Nothing)))
    else {
        return;
    };
    let text = format!("server {} has no `check`: it is always up", quoted(&server.name.value));
    let roles = matches!(health_check, Some(HealthCheck::Patroni(_)));
    let found = if roles {
        let text = format!("server {} has no `check`", quoted(&server.name.value));
        Diagnostic::error(server.name.span, text)
            .note("HAProxy takes it for up whatever its role is, and sends writes to standbys")
            .help(format!("add `check port {PATRONI_PORT}`"))
    } else {
        Diagnostic::warning(server.name.span, text).help("add `check`")
    };
    out.push(found);
}

/// How clients come to servers that have roles.
struct Way<'a> {
    front: &'a Front,
    /// The section they connect to.
    own: &'a Proxy,
    /// The section of the servers.
    back: &'a Proxy,
    role: &'a RoleCheck,
}

/// What goes wrong with roles.
fn patroni(way: &Way<'_>, lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) {
    let &Way { own, back, role, .. } = way;
    let name = quoted(&own.name.value);
    let check = &back.settings.check;
    let is_api = |server: &&Server| {
        check_endpoint(server, check) == server.address.value && server.is_checked()
    };
    if let Some(server) = back.servers.iter().find(is_api) {
        let text = format!("clients of {name} are sent to Patroni's API, not to PostgreSQL");
        out.push(Diagnostic::warning(server.address.span, text).help(
            "give the server PostgreSQL's port, for example 5432, and `check port` that of the API",
        ));
    }
    if !role.unread.is_empty() {
        let text = format!("Patroni passes over {} in {}", role.unread.join(", "), role.path.value);
        out.push(
            Diagnostic::warning(role.path.span, text)
                .help("it reads `lag`, `tag_NAME` and `replication_state`; remove the rest"),
        );
    }
    match role.wants {
        Wants::Writer => {
            silence(back, out);
            writer(way, lowered, out);
        }
        Wants::Leader => {
            silence(back, out);
            let text = format!(
                "{name} follows the leader of a standby cluster, too, which takes no writes"
            );
            out.push(
                Diagnostic::warning(role.path.span, text)
                    .help("use /primary for clients that write"),
            );
        }
        Wants::Any => {}
        Wants::Reader | Wants::Sync | Wants::Async => reader(way, lowered, out),
    }
}

/// How long a silent node stays.
fn silence(back: &Proxy, out: &mut Vec<Diagnostic>) {
    let window = |server: &Server| {
        let options = &server.options;
        let inter = options.rhythm.interval.map_or(Duration::from_secs(2), |inter| inter.value);
        let timeouts = &back.settings.timeouts;
        let connect = timeouts.connect.map_or(inter, |connect| connect.value.min(inter));
        let answer = timeouts.check.map_or(Duration::ZERO, |check| check.value);
        let fall = options.rhythm.fall.map_or(3, |fall| fall.value);
        let each = inter.saturating_add(connect.max(answer));
        each.saturating_mul(u32::try_from(fall).unwrap_or(u32::MAX))
    };
    let slowest = back.servers.iter().max_by_key(|server| window(server));
    let Some(server) = slowest.filter(|server| window(server) > LEASE) else { return };
    let place = server.options.rhythm.interval.map_or(server.name.span, |inter| inter.span);
    let text = format!("HAProxy notices a silent node after up to {}", length(window(server)));
    out.push(
        Diagnostic::warning(place, text)
            .note("with Patroni's defaults another node can be primary after 20 s (ttl less loop_wait); vipd stops using the old one before")
            .help("use a shorter `inter`, `fall` or `timeout check`"),
    );
}

fn writer(way: &Way<'_>, lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) {
    let &Way { front, own, back, role } = way;
    let name = quoted(&own.name.value);
    if let Some(backup) = back.servers.iter().find_map(|s| s.options.backup.filter(|b| b.value)) {
        let text = format!("a backup server means nothing to {name}: there is one primary");
        out.push(Diagnostic::warning(backup.span, text).help("remove `backup`"));
    }
    if back.servers.iter().any(|server| server.options.ends_sessions.is_none()) {
        let text =
            format!("in HAProxy, sessions of {name} stay with a primary that no longer is one");
        out.push(
            Diagnostic::warning(own.name.span, text)
                .note("vipd ends them")
                .help("add `on-marked-down shutdown-sessions` to the default-server line"),
        );
    }
    let words = own.name.value.to_ascii_lowercase();
    let mut words = words.split(|c: char| !c.is_ascii_alphanumeric());
    let reads = ["ro", "read", "reads", "reader", "readers", "readonly", "replica", "replicas"];
    let standby = ["standby", "standbys", "slave", "slaves", "secondary", "secondaries"];
    let sounds = words.any(|word| reads.contains(&word) || standby.contains(&word));
    let write = own.name.value.to_ascii_lowercase().contains("write");
    let shared = lowered.fronts.iter().any(|other| other.proxy != front.proxy);
    if sounds && !write && shared {
        let text = format!("{name} sounds like readers, and gets the primary alone");
        out.push(
            Diagnostic::warning(role.path.span, text)
                .note(format!("{} is good on the primary only", role.path.value))
                .help("use `option httpchk GET /replica` for standbys, /read-only for all"),
        );
    }
}

fn reader(way: &Way<'_>, lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) {
    let &Way { front, own, back, role } = way;
    let name = quoted(&own.name.value);
    if let Some(lag) = &role.lag
        && lag.value.parse::<u64>().is_ok_and(|bytes| bytes < SMALL_LAG)
    {
        let text = format!("lag={} is in bytes", lag.value);
        out.push(
            Diagnostic::warning(lag.span, text)
                .note("Patroni up to 4.0 compares with what the leader reported up to 10 s ago")
                .help("with a unit of 1024: `lag=16MB`"),
        );
    }
    if front.route.fallback.is_some() {
        return;
    }
    // Clients that fall back must find what they speak to.
    let writer = writer_beside(back, lowered.proxies, lowered.health_checks);
    let primary = writer.map_or("PRIMARY", |proxy| proxy.name.value.as_str());
    let text = format!(
        "readers of {name} get no server while no standby is usable: nothing falls back to the primary"
    );
    let warning = Diagnostic::warning(own.name.span, text)
        .note("readers are cut off when the last usable standby goes down, lags or is promoted")
        .help(format!("add `use_backend {primary} if {{ nbsrv({}) eq 0 }}`", back.name.value));
    out.push(if writer.is_none() {
        warning
            .help("and `backend PRIMARY` with the same servers and `option httpchk GET /primary`")
    } else {
        warning
    });
}
