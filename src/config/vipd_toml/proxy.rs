//! `[cluster.NAME]` and `[listener.NAME]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use super::{Reader, Value, entries};
use crate::config::checks::Endpoint;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::model::{BindConfig, ListenerProtocol, OnDown};
use crate::config::raw::{
    Raw, RawCheck, RawCluster, RawListener, RawLiveness, RawMember, RawServer, RawStatusCheck,
};
use crate::pool::{Balance, Wants};

pub(super) const CLUSTER: &[&str] = &[
    "members",
    "resolve_at_start",
    "check",
    "probe_port",
    "https",
    "tls",
    "ca",
    "cert",
    "key",
    "server_name",
    "verify",
    "verify_name",
    "path",
    "method",
    "status",
    "body",
    "host",
    "headers",
    "user",
    "interval",
    "fast_interval",
    "down_interval",
    "timeout",
    "rise",
    "fall",
    "silence",
    "lease",
    "max_lag",
    "max_lag_time",
];

pub(super) const MEMBER: &[&str] = &["address", "name", "probe", "checked", "server_name"];

pub(super) const LISTENER: &[&str] = &[
    "bind",
    "role",
    "cluster",
    "servers",
    "fallback",
    "balance",
    "all_backups",
    "end_backups",
    "max_lag",
    "max_lag_time",
    "tags",
    "replication_state",
    "protocol",
    "cert",
    "key",
    "maxconn",
    "server_maxconn",
    "backlog",
    "connect_timeout",
    "first_message",
    "hold",
    "hold_full",
    "hold_most",
    "hold_burst",
    "hold_rate",
    "idle_timeout",
    "half_closed",
    "on_down",
    "client",
    "server",
    "status_check",
    "primary_status_check",
];

pub(super) const BIND: &[&str] = &["address", "v6_only", "interface"];

pub(super) const SERVER: &[&str] =
    &["member", "address", "weight", "maxconn", "backup", "disabled"];

pub(super) const STATUS_CHECK: &[&str] = &[
    "path",
    "method",
    "status",
    "body",
    "host",
    "headers",
    "interval",
    "fast_interval",
    "down_interval",
    "timeout",
    "rise",
    "fall",
    "on_down",
];

pub(super) const LIVENESS: &[&str] = &["keepalive", "interval", "count", "unacknowledged"];

/// The words for `check`.
pub(in crate::config) const CHECKS: &[(&str, RawCheck)] = &[
    ("patroni", RawCheck::Patroni),
    ("tcp", RawCheck::Tcp),
    ("postgres", RawCheck::Postgres),
    ("http", RawCheck::Http),
    ("none", RawCheck::None),
];

/// The words for `role`.
pub(in crate::config) const ROLES: &[(&str, Wants)] = &[
    ("writer", Wants::Writer),
    ("reader", Wants::Reader),
    ("any", Wants::Any),
    ("sync", Wants::Sync),
    ("async", Wants::Async),
    ("leader", Wants::Leader),
];

/// The words for `balance`.
pub(in crate::config) const BALANCES: &[(&str, Balance)] = &[
    ("roundrobin", Balance::RoundRobin),
    ("leastconn", Balance::LeastConn),
    ("first", Balance::First),
];

/// The words for `protocol`.
pub(in crate::config) const PROTOCOLS: &[(&str, ListenerProtocol)] =
    &[("postgres", ListenerProtocol::Postgres), ("tcp", ListenerProtocol::Tcp)];

/// The words for `on_down`.
pub(in crate::config) const ON_DOWN: &[(&str, OnDown)] =
    &[("end", OnDown::End), ("keep", OnDown::Keep)];

/// PostgreSQL's.
const PORT: Option<NonZeroU16> = NonZeroU16::new(5432);

impl Reader<'_> {
    pub(super) fn clusters(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            raw.clusters.extend(self.cluster(name, value));
        }
    }

    fn cluster(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawCluster> {
        let place = format!("[cluster.{}]", name.value);
        let mut raw = RawCluster::new(name);
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "members" => {
                    let list = self.list(value, "members, such as [\"10.0.0.11\"]");
                    raw.members = list.iter().filter_map(|item| self.member(item)).collect();
                    raw.unreadable = raw.members.len() < list.len() || !value.get_ref().is_array();
                }
                "resolve_at_start" => raw.resolve_at_start = self.boolean(value),
                "check" => raw.check = self.choice(value, CHECKS),
                "probe_port" => raw.probe_port = self.number(value),
                "https" | "tls" => raw.tls.https = self.boolean(value),
                "ca" => raw.tls.ca = self.text(value),
                "cert" => raw.tls.cert = self.text(value),
                "key" => raw.tls.key = self.text(value),
                "server_name" => raw.tls.server_name = self.text(value),
                "verify" => raw.tls.verify = self.boolean(value),
                "verify_name" => raw.tls.verify_name = self.boolean(value),
                "path" => raw.request.path = self.text(value),
                "method" => raw.request.method = self.text(value),
                "status" => raw.request.status = self.text(value),
                "body" => raw.request.body = self.text(value),
                "host" => raw.request.host = self.text(value),
                "headers" => raw.request.headers = self.pairs(value),
                "user" => raw.user = self.text(value),
                "interval" => raw.interval = self.duration(value),
                "fast_interval" => raw.fast_interval = self.duration(value),
                "down_interval" => raw.down_interval = self.duration(value),
                "timeout" => raw.timeout = self.duration(value),
                "rise" => raw.rise = self.number(value),
                "fall" => raw.fall = self.number(value),
                "silence" => raw.silence = self.duration(value),
                "lease" => raw.lease = self.duration(value),
                "max_lag" => raw.max_lag = self.text(value),
                "max_lag_time" => raw.max_lag_time = self.duration(value),
                _ => self.unknown(key, span, CLUSTER, &place),
            }
        }
        Some(raw)
    }

    fn member(&mut self, value: &Value<'_>) -> Option<RawMember> {
        let member = |address| RawMember {
            address,
            name: None,
            probe: None,
            checked: None,
            server_name: None,
        };
        if value.get_ref().is_str() {
            return self.endpoint(value, PORT).map(member);
        }
        let table = self.record(value, "address")?;
        let mut raw = member(self.endpoint(table.get("address")?, PORT)?);
        for (key, span, value) in entries(table) {
            match key {
                "address" => {}
                "name" => raw.name = self.text(value),
                "probe" => raw.probe = self.endpoint(value, None),
                "checked" => raw.checked = self.boolean(value),
                "server_name" => raw.server_name = self.text(value),
                _ => self.unknown(key, span, MEMBER, "a member"),
            }
        }
        Some(raw)
    }

    pub(super) fn listeners(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            raw.listeners.extend(self.listener(name, value));
        }
    }

    fn listener(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawListener> {
        let place = format!("[listener.{}]", name.value);
        let mut raw = RawListener::new(name);
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "bind" => (raw.binds, raw.unreadable) = self.binds(value),
                "role" => raw.role = self.choice(value, ROLES),
                "cluster" => raw.cluster = self.text(value),
                "servers" => {
                    let list = self.list(value, "servers, such as [\"10.0.0.11\"]");
                    raw.servers = Some(list.iter().filter_map(|item| self.server(item)).collect());
                }
                "fallback" => raw.fallback = self.boolean(value),
                "balance" => raw.balance = self.choice(value, BALANCES),
                "all_backups" => raw.all_backups = self.boolean(value),
                "end_backups" => raw.end_backups = self.boolean(value),
                "max_lag" => raw.max_lag = self.text(value),
                "max_lag_time" => raw.max_lag_time = self.duration(value),
                "tags" => raw.tags = self.pairs(value),
                "replication_state" => raw.replication_state = self.text(value),
                "protocol" => raw.protocol = self.choice(value, PROTOCOLS),
                "cert" => raw.cert = self.text(value),
                "key" => raw.key = self.text(value),
                "maxconn" => raw.maxconn = self.number(value),
                "server_maxconn" => raw.server_maxconn = self.number(value),
                "backlog" => raw.backlog = self.number(value),
                "connect_timeout" => raw.connect_timeout = self.duration(value),
                "first_message" => raw.first_message = self.duration(value),
                "hold" => raw.hold = self.duration(value),
                "hold_full" => raw.hold_full = self.duration(value),
                "hold_most" => raw.hold_most = self.number(value),
                "hold_burst" => raw.hold_burst = self.number(value),
                "hold_rate" => raw.hold_rate = self.number(value),
                "idle_timeout" => raw.idle_timeout = self.duration(value),
                "half_closed" => raw.half_closed = self.duration(value),
                "on_down" => raw.on_down = self.choice(value, ON_DOWN),
                "client" => raw.client = self.liveness(value),
                "server" => raw.server = self.liveness(value),
                "status_check" => raw.status_check = self.status_check(value),
                "primary_status_check" => raw.primary_status_check = self.status_check(value),
                _ => self.unknown(key, span, LISTENER, &place),
            }
        }
        Some(raw)
    }

    /// One place to listen at or several, and whether some cannot be read.
    pub(super) fn binds(&mut self, value: &Value<'_>) -> (Vec<Spanned<BindConfig>>, bool) {
        let one = std::slice::from_ref(value);
        let many = value.get_ref().as_array().map(|array| array.iter().collect());
        let places: Vec<&Value<'_>> = many.unwrap_or_else(|| one.iter().collect());
        let binds: Vec<_> = places.iter().filter_map(|place| self.bind(place)).collect();
        let unreadable = binds.len() < places.len();
        (binds, unreadable)
    }

    fn bind(&mut self, value: &Value<'_>) -> Option<Spanned<BindConfig>> {
        if value.get_ref().is_str() {
            let address = self.socket_address(value)?;
            let bind = |address| BindConfig { address, v6_only: false, interface: None };
            return Some(address.map(bind));
        }
        let table = self.record(value, "address")?;
        let address = self.socket_address(table.get("address")?)?;
        let mut bind = BindConfig { address: address.value, v6_only: false, interface: None };
        for (key, span, value) in entries(table) {
            match key {
                "address" => {}
                "v6_only" => bind.v6_only = self.boolean(value)?.value,
                "interface" => bind.interface = Some(self.interface_name(value)?),
                _ => self.unknown(key, span, BIND, "a place to listen at"),
            }
        }
        Some(Spanned::new(bind, address.span))
    }

    /// `10.0.0.1:5000`, `[::]:5000`, or `*:5000` for every IPv4 address.
    fn socket_address(&mut self, value: &Value<'_>) -> Option<Spanned<SocketAddr>> {
        let text = self.text(value)?;
        let any = text.value.strip_prefix("*:").and_then(|port| port.parse().ok());
        let any = any.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
        let address = any.or_else(|| text.value.parse().ok()).filter(|a| a.port() != 0);
        if address.is_none() {
            let message = format!("{} is no address and port", quoted(&text.value));
            self.out.push(
                Diagnostic::error(text.span, message)
                    .help("for example \"*:5000\", \"10.0.0.10:5000\" or \"[::]:5000\""),
            );
        }
        Some(Spanned::new(address?, text.span))
    }

    fn server(&mut self, value: &Value<'_>) -> Option<RawServer> {
        if value.get_ref().is_str() {
            return self.text(value).map(RawServer::new);
        }
        let table = self.record(value, "member")?;
        let mut raw = RawServer::new(self.text(table.get("member")?)?);
        for (key, span, value) in entries(table) {
            match key {
                "member" => {}
                "address" => raw.address = self.endpoint(value, PORT),
                "weight" => raw.weight = self.number(value),
                "maxconn" => raw.maxconn = self.number(value),
                "backup" => raw.backup = self.boolean(value),
                "disabled" => raw.disabled = self.boolean(value),
                _ => self.unknown(key, span, SERVER, "a server"),
            }
        }
        Some(raw)
    }

    fn status_check(&mut self, value: &Value<'_>) -> Option<RawStatusCheck> {
        let mut raw = RawStatusCheck::new(self.span(value.span()));
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "path" => raw.request.path = self.text(value),
                "method" => raw.request.method = self.text(value),
                "status" => raw.request.status = self.text(value),
                "body" => raw.request.body = self.text(value),
                "host" => raw.request.host = self.text(value),
                "headers" => raw.request.headers = self.pairs(value),
                "interval" => raw.interval = self.duration(value),
                "fast_interval" => raw.fast_interval = self.duration(value),
                "down_interval" => raw.down_interval = self.duration(value),
                "timeout" => raw.timeout = self.duration(value),
                "rise" => raw.rise = self.number(value),
                "fall" => raw.fall = self.number(value),
                "on_down" => raw.on_down = self.choice(value, ON_DOWN),
                _ => self.unknown(key, span, STATUS_CHECK, "a check by status"),
            }
        }
        Some(raw)
    }

    fn liveness(&mut self, value: &Value<'_>) -> RawLiveness {
        let mut raw = RawLiveness::default();
        let Some(table) = self.table(value) else { return raw };
        for (key, span, value) in entries(table) {
            match key {
                "keepalive" => raw.keepalive = self.duration(value),
                "interval" => raw.interval = self.duration(value),
                "count" => raw.count = self.number(value),
                "unacknowledged" => raw.unacknowledged = self.duration(value),
                _ => self.unknown(key, span, LIVENESS, "the liveness of a side"),
            }
        }
        raw
    }

    fn endpoint(
        &mut self,
        value: &Value<'_>,
        port: Option<NonZeroU16>,
    ) -> Option<Spanned<Endpoint>> {
        let text = self.text(value)?;
        match Endpoint::parse(&text.value, port) {
            Ok(endpoint) => Some(Spanned::new(endpoint, text.span)),
            Err(error) => {
                self.out.push(Diagnostic::error(text.span, error.to_string()));
                None
            }
        }
    }

    fn interface_name(&mut self, value: &Value<'_>) -> Option<crate::types::IfName> {
        let text = self.text(value)?;
        let name = text.value.parse();
        name.map_err(|error: crate::types::OutOfRange| {
            self.out.push(Diagnostic::error(text.span, error.to_string()));
        })
        .ok()
    }

    /// The elements of an array of `what`.
    pub(super) fn list<'v, 't>(&mut self, value: &'v Value<'t>, what: &str) -> Vec<&'v Value<'t>> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, &format!("an array of {what}"));
            return Vec::new();
        };
        array.iter().collect()
    }

    /// The table of an entry that is more than a text.
    pub(super) fn record<'v, 't>(
        &mut self,
        value: &'v Value<'t>,
        key: &str,
    ) -> Option<&'v toml::de::DeTable<'t>> {
        let Some(table) = value.get_ref().as_table() else {
            self.expected(value, &format!("a text or {{ {key} = \"…\", … }}"));
            return None;
        };
        if !table.contains_key(key) {
            let span = self.span(value.span());
            self.out.push(Diagnostic::error(span, format!("an entry without `{key}`")));
            return None;
        }
        Some(table)
    }
}
