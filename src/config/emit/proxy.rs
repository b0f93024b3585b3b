//! Clusters and listeners.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::Inexpressible;
use super::table::Table;
use super::values::{array, key, length, text};
use crate::config::check::UNITS;
use crate::config::check::check;
use crate::config::checks::{Check, Endpoint, HttpCheck, HttpTarget, PostgresCheck, Tls, Trust};
use crate::config::diag::{SourceMap, Spanned};
use crate::config::load::Loaded;
use crate::config::model::{
    BindConfig, ByStatus, ClusterConfig, Config, HoldConfig, ListenerConfig, LivenessConfig,
    Members, OnDown, PatroniCluster, PlainMember, ProbeRhythm, ServerConfig,
};
use crate::config::raw::{Raw, RawCheck, RawCluster, RawListener};
use crate::config::vipd_toml::{self, BALANCES, CHECKS, ON_DOWN, PROTOCOLS, ROLES};
use crate::types::Identity;

pub(super) fn cluster(
    own: &ClusterConfig,
    raw: &RawCluster,
    map: &SourceMap,
) -> Result<String, Inexpressible> {
    let ClusterConfig { name, members, rhythm, resolve_at_start } = own;
    let heading = format!("[cluster.{}]", key(name));
    let mut table = Table::new(heading, map, Some(raw.name.span));
    table.set("members", array("members", &members_of(members)));
    if *resolve_at_start {
        table.set("resolve_at_start", "true");
    }
    let kind = kind(members);
    if kind != RawCheck::Patroni {
        table.set("check", text(vipd_toml::word_for(CHECKS, &kind).unwrap_or_default()));
    }
    match members {
        Members::Patroni(PatroniCluster { members, .. }) => {
            let first = members.first().map(|member| &member.api);
            let all = members.iter().filter_map(|member| member.api.tls.as_ref());
            tls(&mut table, "https", first.and_then(|api| api.tls.as_ref()), shared_name(all));
            headers(&mut table, first.map_or(&[], |api| &api.headers));
        }
        Members::Plain(members) => {
            let checks = members.iter().filter_map(|member| member.check.as_deref());
            request(&mut table, checks.into_iter().next(), shared_name(members_tls(members)));
        }
    }
    let standard = standard_cluster(raw, kind)
        .ok_or_else(|| Inexpressible::Differs(format!("{name} does not check")))?;
    let ProbeRhythm { interval, fast_interval, down_interval, timeout, rise, fall } = *rhythm;
    let fast = match members {
        Members::Patroni(_) => standard.rhythm.fast_interval.min(interval),
        Members::Plain(_) => interval,
    };
    for (key, own, standard) in [
        ("interval", interval, standard.rhythm.interval),
        ("fast_interval", fast_interval, fast),
        ("down_interval", down_interval, interval),
        ("timeout", timeout, interval),
    ] {
        if own != standard {
            table.set(key, length(own));
        }
    }
    for (key, own, standard) in
        [("rise", rise, standard.rhythm.rise), ("fall", fall, standard.rhythm.fall)]
    {
        if own != standard {
            table.set(key, own.to_string());
        }
    }
    if let (Members::Patroni(own), Members::Patroni(standard)) = (members, &standard.members) {
        let PatroniCluster { members: _, silence, lease, by_status: _ } = own;
        if *silence != standard.silence {
            table.set("silence", length(*silence));
        }
        if let Some(lease) = lease {
            table.set("lease", length(*lease));
        }
    }
    Ok(table.finish())
}

/// The same members with nothing said about how they are probed.
fn standard_cluster(raw: &RawCluster, kind: RawCheck) -> Option<ClusterConfig> {
    let mut bare = RawCluster::new(raw.name.clone());
    bare.members = raw.members.clone();
    for member in &mut bare.members {
        (member.checked, member.server_name) = (None, None);
    }
    bare.check = Some(Spanned::new(kind, raw.name.span));
    let raw = Raw { clusters: vec![bare], ..Raw::default() };
    let cluster = check(&raw, &mut Vec::new())?.clusters.pop()?;
    Some((*cluster).clone())
}

fn kind(members: &Members) -> RawCheck {
    let Members::Plain(members) = members else { return RawCheck::Patroni };
    match members.iter().find_map(|member| member.check.as_deref()) {
        Some(Check::Http(_)) => RawCheck::Http,
        Some(Check::Postgres(_)) => RawCheck::Postgres,
        Some(_) => RawCheck::Tcp,
        None => RawCheck::None,
    }
}

fn members_of(members: &Members) -> Vec<String> {
    match members {
        Members::Patroni(PatroniCluster { members, .. }) => {
            let shared = shared_name(members.iter().filter_map(|m| m.api.tls.as_ref()));
            let member = |member: &crate::config::model::PatroniMember| {
                let standard = (&member.address.host, 8008);
                let probe = &member.api.endpoint;
                let probe = ((&probe.host, probe.port.get()) != standard).then_some(probe);
                let name = member.api.tls.as_ref().filter(|_| !shared);
                entry(&member.name, &member.address, probe, false, name)
            };
            members.iter().map(member).collect()
        }
        Members::Plain(members) => {
            let anyone = members.iter().any(|member| member.check.is_some());
            let shared = shared_name(members_tls(members));
            let member = |member: &PlainMember| {
                let probe = match member.check.as_deref() {
                    Some(Check::Http(check)) => Some(&check.target.endpoint),
                    Some(Check::Tcp(check)) => Some(&check.endpoint),
                    Some(Check::Postgres(check)) => Some(&check.endpoint),
                    _ => None,
                };
                let probe = probe.filter(|probe| **probe != member.address);
                let unchecked = anyone && member.check.is_none();
                let name = member.check.as_deref().and_then(tls_of).filter(|_| !shared);
                entry(&member.name, &member.address, probe, unchecked, name)
            };
            members.iter().map(member).collect()
        }
    }
}

fn entry(
    name: &str,
    address: &Endpoint,
    probe: Option<&Endpoint>,
    unchecked: bool,
    tls: Option<&Tls>,
) -> String {
    let mut options = String::new();
    if name != address.host.to_string() {
        options.push_str(&format!(", name = {}", text(name)));
    }
    if let Some(probe) = probe {
        options.push_str(&format!(", probe = {}", text(&probe.to_string())));
    }
    if unchecked {
        options.push_str(", checked = false");
    }
    if let Some(name) = tls.and_then(|tls| tls.server_name.as_ref()) {
        options.push_str(&format!(", server_name = {}", text(&name.to_string())));
    }
    let address = endpoint(address);
    if options.is_empty() { address } else { format!("{{ address = {address}{options} }}") }
}

/// PostgreSQL's port goes without saying.
fn endpoint(endpoint: &Endpoint) -> String {
    let usual = endpoint.port.get() == 5432;
    text(&if usual { endpoint.host.to_string() } else { endpoint.to_string() })
}

fn members_tls(members: &[PlainMember]) -> impl Iterator<Item = &Tls> {
    members.iter().filter_map(|member| tls_of(member.check.as_deref()?))
}

fn tls_of(check: &Check) -> Option<&Tls> {
    match check {
        Check::Http(check) => check.target.tls.as_ref(),
        Check::Tcp(check) => check.tls.as_ref(),
        Check::Postgres(check) => check.tls.as_ref(),
        _ => None,
    }
}

/// Whether all members have one name in their certificates, or none.
fn shared_name<'t>(mut all: impl Iterator<Item = &'t Tls>) -> bool {
    let name = |tls: &Tls| (tls.server_name.clone(), tls.verify_name);
    let first = all.next().map(name);
    all.all(|tls| first == Some(name(tls)))
}

fn tls(table: &mut Table<'_>, word: &str, tls: Option<&Tls>, shared: bool) {
    let Some(Tls { trust, server_name, verify_name, identity }) = tls else { return };
    table.set(word, "true");
    match trust {
        Trust::System => {}
        Trust::File(path) => table.set("ca", text(&path.display().to_string())),
        Trust::Anyone => table.set("verify", "false"),
    }
    if let Some(name) = server_name.as_ref().filter(|_| shared) {
        table.set("server_name", text(&name.to_string()));
    }
    if !(shared && *verify_name) {
        table.set("verify_name", "false");
    }
    show(table, identity.as_ref());
}

/// A certificate and its key.
fn show(table: &mut Table<'_>, identity: Option<&Identity>) {
    if let Some(Identity { certificate, key }) = identity {
        table.set("cert", text(&certificate.display().to_string()));
        table.set("key", text(&key.display().to_string()));
    }
}

fn headers(table: &mut Table<'_>, headers: &[(HeaderName, HeaderValue)]) {
    if !headers.is_empty() {
        table.set("headers", header_table(headers));
    }
}

fn header_table(headers: &[(HeaderName, HeaderValue)]) -> String {
    let written = |(name, value): &(HeaderName, HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        format!("{} = {}", key(name.as_str()), text(&value))
    };
    let list: Vec<String> = headers.iter().map(written).collect();
    format!("{{ {} }}", list.join(", "))
}

fn request(table: &mut Table<'_>, check: Option<&Check>, shared: bool) {
    let check = match check {
        Some(Check::Http(check)) => check,
        Some(check) => {
            tls(table, "tls", tls_of(check), shared);
            if let Check::Postgres(PostgresCheck { user: Some(user), .. }) = check {
                table.set("user", text(user));
            }
            return;
        }
        None => return,
    };
    let HttpTarget { endpoint: _, tls: own_tls, host, headers: own_headers } = &check.target;
    tls(table, "https", own_tls.as_ref(), shared);
    headers(table, own_headers);
    for (key, value, standard) in [
        ("path", check.path.to_string(), "/"),
        ("method", check.method.to_string(), "GET"),
        ("status", check.expect.to_string(), "200-299"),
    ] {
        if value != standard {
            table.set(key, text(&value));
        }
    }
    if let Some(body) = &check.body_contains {
        table.set("body", text(body));
    }
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
        table.set("host", text(host));
    }
}

pub(super) fn listener(
    own: &ListenerConfig,
    raw: &RawListener,
    loaded: &Loaded,
) -> Result<String, Inexpressible> {
    let Loaded { config, raw: all, map, .. } = loaded;
    let (Some(standard), Some(cluster)) =
        (standard_listener(own, raw, config, all), config.clusters.get(own.cluster))
    else {
        return Err(Inexpressible::Differs(format!("{} does not check", own.name)));
    };
    let ListenerConfig {
        name,
        binds,
        cluster: _,
        servers: own_servers,
        wants,
        fallback,
        balance,
        all_backups,
        end_backups,
        max_lag,
        tags,
        replication_state,
        protocol,
        identity,
        maxconn,
        backlog,
        connect_timeout,
        first_message,
        hold: own_hold,
        idle,
        half_closed,
        on_down,
        client,
        server,
        by_status,
    } = own;
    let heading = format!("[listener.{}]", key(name));
    let mut table = Table::new(heading, map, Some(raw.name.span));
    let places: Vec<String> = binds.iter().map(bind).collect();
    match places.as_slice() {
        [one] if !one.starts_with('{') => table.set("bind", one),
        _ => table.set("bind", array("bind", &places)),
    }
    if cluster.has_roles() {
        table.choice("role", ROLES, wants, None);
    }
    if config.clusters.len() > 1 {
        table.set("cluster", text(&cluster.name));
    }
    servers(&mut table, own_servers, cluster);
    table.flag("fallback", *fallback, standard.fallback, None);
    if *balance != standard.balance {
        table.choice("balance", BALANCES, balance, None);
    }
    table.flag("all_backups", *all_backups, standard.all_backups, None);
    table.flag("end_backups", *end_backups, standard.end_backups, None);
    if let Some(bytes) = max_lag.bytes {
        table.set("max_lag", text(&data(bytes)));
    }
    if let Some(time) = max_lag.time {
        table.set("max_lag_time", length(time));
    }
    if !tags.is_empty() {
        let tags: Vec<String> =
            tags.iter().map(|(name, value)| format!("{} = {}", key(name), text(value))).collect();
        table.set("tags", format!("{{ {} }}", tags.join(", ")));
    }
    if let Some(state) = replication_state {
        table.set("replication_state", text(state));
    }
    if *protocol != standard.protocol {
        table.choice("protocol", PROTOCOLS, protocol, None);
    }
    show(&mut table, identity.as_ref());
    if let Some(maxconn) = maxconn {
        table.translated("maxconn", maxconn.to_string(), raw.maxconn.map(|m| m.span));
    }
    if *backlog != standard.backlog {
        table.set("backlog", backlog.to_string());
    }
    for (key, own, standard, raw) in [
        ("connect_timeout", *connect_timeout, standard.connect_timeout, raw.connect_timeout),
        ("first_message", *first_message, standard.first_message, raw.first_message),
        ("hold", own_hold.unavailable, standard.hold.unavailable, raw.hold),
        ("hold_full", own_hold.full, standard.hold.full, raw.hold_full),
    ] {
        if own != standard {
            table.translated(key, length(own), raw.map(|raw| raw.span));
        }
    }
    hold(&mut table, own_hold, &standard.hold);
    for (key, own, standard, raw) in [
        ("idle_timeout", *idle, standard.idle, raw.idle_timeout),
        ("half_closed", *half_closed, standard.half_closed, raw.half_closed),
    ] {
        if own != standard {
            table.translated(key, optional(own), raw.map(|raw| raw.span));
        }
    }
    if *on_down != standard.on_down {
        table.choice("on_down", ON_DOWN, on_down, None);
    }
    liveness(&mut table, "client", client, &standard.client);
    liveness(&mut table, "server", server, &standard.server);
    if let Some(ByStatus { own, primary, on_down }) = by_status {
        status_check(&mut table, "status_check", own, Some(*on_down));
        if let Some(primary) = primary {
            status_check(&mut table, "primary_status_check", primary, None);
        }
    }
    Ok(table.finish())
}

fn status_check(
    table: &mut Table<'_>,
    word: &str,
    cluster: &ClusterConfig,
    on_down: Option<OnDown>,
) {
    let Members::Plain(members) = &cluster.members else { return };
    let check = members.first().and_then(|member| member.check.as_deref());
    let Some(Check::Http(check)) = check else { return };
    let HttpCheck { target, method, path, expect, body_contains } = check;
    let ProbeRhythm { interval, fast_interval, down_interval, timeout, rise, fall } =
        cluster.rhythm;
    let mut options = vec![
        format!("path = {}", text(path.as_str())),
        format!("method = {}", text(method.as_str())),
        format!("status = {}", text(&expect.to_string())),
    ];
    if let Some(body) = body_contains {
        options.push(format!("body = {}", text(body)));
    }
    if let Some(host) = target.host.as_ref().and_then(|host| host.to_str().ok()) {
        options.push(format!("host = {}", text(host)));
    }
    if !target.headers.is_empty() {
        options.push(format!("headers = {}", header_table(&target.headers)));
    }
    for (key, time, standard) in [
        ("interval", interval, Duration::from_secs(2)),
        ("fast_interval", fast_interval, interval),
        ("down_interval", down_interval, interval),
        ("timeout", timeout, interval),
    ] {
        if time != standard {
            options.push(format!("{key} = {}", length(time)));
        }
    }
    for (key, count, standard) in [("rise", rise, 2), ("fall", fall, 3)] {
        if count.get() != standard {
            options.push(format!("{key} = {count}"));
        }
    }
    if on_down == Some(OnDown::Keep) {
        options.push("on_down = \"keep\"".to_owned());
    }
    table.set(word, format!("{{ {} }}", options.join(", ")));
}

/// The same listener with nothing said but where it is and whom it serves.
fn standard_listener(
    own: &ListenerConfig,
    raw: &RawListener,
    config: &Config,
    all: &Raw,
) -> Option<ListenerConfig> {
    let cluster = config.clusters.get(own.cluster)?;
    let mut bare = RawListener::new(raw.name.clone());
    bare.binds = raw.binds.clone();
    bare.cluster = Some(Spanned::new(cluster.name.clone(), raw.name.span));
    bare.role = cluster.has_roles().then_some(Spanned::new(own.wants, raw.name.span));
    let mut clusters = all.clusters.clone();
    for cluster in &mut clusters {
        (cluster.max_lag, cluster.max_lag_time) = (None, None);
    }
    let raw = Raw { clusters, listeners: vec![bare], ..Raw::default() };
    let listener = check(&raw, &mut Vec::new())?.listeners.pop()?;
    Some((*listener).clone())
}

pub(super) fn bind(bind: &BindConfig) -> String {
    let BindConfig { address, v6_only, interface } = bind;
    let mut place = address.to_string();
    if let Some(port) = place.strip_prefix("0.0.0.0:") {
        place = format!("*:{port}");
    }
    let mut options = String::new();
    if *v6_only {
        options.push_str(", v6_only = true");
    }
    if let Some(interface) = interface {
        options.push_str(&format!(", interface = {}", text(interface.as_str())));
    }
    let place = text(&place);
    if options.is_empty() { place } else { format!("{{ address = {place}{options} }}") }
}

fn servers(table: &mut Table<'_>, servers: &[ServerConfig], cluster: &ClusterConfig) {
    let names = cluster.names();
    let shared = servers.first().and_then(|first| first.maxconn);
    let shared = shared.filter(|_| servers.iter().all(|server| server.maxconn == shared));
    if let Some(maxconn) = shared {
        table.set("server_maxconn", maxconn.to_string());
    }
    let mut plain = servers.len() == names.len();
    let mut list = Vec::new();
    for (at, server) in servers.iter().enumerate() {
        let ServerConfig { member, address, weight, maxconn, backup, disabled } = server;
        let mut options = String::new();
        if let Some(address) = address {
            options.push_str(&format!(", address = {}", endpoint(address)));
        }
        if *weight != crate::pool::Weight::ONE {
            options.push_str(&format!(", weight = {}", weight.get()));
        }
        if let (Some(maxconn), None) = (maxconn, shared) {
            options.push_str(&format!(", maxconn = {maxconn}"));
        }
        for (key, on) in [("backup", backup), ("disabled", disabled)] {
            if *on {
                options.push_str(&format!(", {key} = true"));
            }
        }
        plain &= *member == at && options.is_empty();
        let name = text(names.get(*member).copied().unwrap_or_default());
        let entry = format!("{{ member = {name}{options} }}");
        list.push(if options.is_empty() { name } else { entry });
    }
    if !plain {
        table.set("servers", array("servers", &list));
    }
}

fn hold(table: &mut Table<'_>, own: &HoldConfig, standard: &HoldConfig) {
    let HoldConfig { unavailable: _, full: _, most, burst, per_second } = own;
    for (key, own, standard) in [
        ("hold_most", most, standard.most),
        ("hold_burst", burst, standard.burst),
        ("hold_rate", per_second, standard.per_second),
    ] {
        if *own != standard {
            table.set(key, own.to_string());
        }
    }
}

fn liveness(table: &mut Table<'_>, side: &str, own: &LivenessConfig, standard: &LivenessConfig) {
    let LivenessConfig { keepalive, interval, count, unacknowledged } = own;
    let mut options = Vec::new();
    if *keepalive != standard.keepalive {
        options.push(format!("keepalive = {}", optional(*keepalive)));
    }
    if *interval != standard.interval {
        options.push(format!("interval = {}", length(*interval)));
    }
    if *count != standard.count {
        options.push(format!("count = {count}"));
    }
    if *unacknowledged != standard.unacknowledged {
        options.push(format!("unacknowledged = {}", optional(*unacknowledged)));
    }
    if !options.is_empty() {
        table.set(side, format!("{{ {} }}", options.join(", ")));
    }
}

/// Zero is never.
fn optional(time: Option<Duration>) -> String {
    length(time.unwrap_or_default())
}

fn data(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| bytes.to_string(), |(name, size)| format!("{}{name}", bytes / size))
}
