//! Clusters and listeners.

use super::table::Table;
use super::values::{array, inline, key, settings, text};
use crate::config::checks::Endpoint;
use crate::config::diag::SourceMap;
use crate::config::model::BindConfig;
use crate::config::raw::{
    RawCheck, RawCluster, RawListener, RawLiveness, RawMember, RawRequest, RawRhythm, RawServer,
    RawStatusCheck, RawTls,
};

pub(super) fn cluster(raw: &RawCluster, map: &SourceMap) -> String {
    let heading = format!("[cluster.{}]", key(&raw.name.value));
    let mut table = Table::new(heading, map, Some(raw.name.span));
    let check = raw.check.map_or(RawCheck::Patroni, |check| check.value);
    let members: Vec<String> =
        raw.members.iter().map(|member| self::member(member, check)).collect();
    table.set("members", array("members", &members));
    table.written(raw, RawCluster::KEYS);
    table.written(&raw.rhythm, RawRhythm::KEYS);
    let mut tls = raw.tls.clone();
    if let (RawCheck::Tcp | RawCheck::Postgres, Some(on)) = (check, tls.https) {
        tls.https = None;
        table.translated("tls", on.value.to_string(), Some(on.span));
    }
    table.written(&tls, RawTls::KEYS);
    table.written(&raw.request, RawRequest::KEYS);
    if !raw.request.headers.is_empty() {
        table.set("headers", inline(&raw.request.headers));
    }
    table.finish()
}

/// Its name goes without saying if it is its host, and so does the place it is asked at if that is the
/// usual one.
fn member(raw: &RawMember, check: RawCheck) -> String {
    let mut raw = raw.clone();
    let own = raw.address.value.clone();
    raw.name.take_if(|name| name.value == own.host.to_string());
    let usual = match check {
        RawCheck::Patroni => 8008,
        RawCheck::Tcp | RawCheck::Postgres | RawCheck::Http | RawCheck::None => own.port.get(),
    };
    raw.probe.take_if(|at| at.value.host == own.host && at.value.port.get() == usual);
    let mut options = settings(&raw, RawMember::KEYS);
    options.extend(raw.probe.map(|at| format!("probe = {}", text(&at.value.to_string()))));
    entry("address", endpoint(&own), &options)
}

/// A value, and what else there is to say.
fn entry(key: &str, value: String, options: &[String]) -> String {
    if options.is_empty() {
        return value;
    }
    format!("{{ {key} = {value}, {} }}", options.join(", "))
}

/// PostgreSQL's port goes without saying.
fn endpoint(endpoint: &Endpoint) -> String {
    let usual = endpoint.port.get() == 5432;
    text(&if usual { endpoint.host.to_string() } else { endpoint.to_string() })
}

pub(super) fn listener(raw: &RawListener, clusters: &[RawCluster], map: &SourceMap) -> String {
    let heading = format!("[listener.{}]", key(&raw.name.value));
    let mut table = Table::new(heading, map, Some(raw.name.span));
    let binds: Vec<BindConfig> = raw.binds.iter().map(|bind| bind.value.clone()).collect();
    places(&mut table, &binds);
    let named = |cluster: &&RawCluster| match &raw.cluster {
        Some(name) => cluster.name.value == name.value,
        None => true,
    };
    table.written(raw, RawListener::KEYS);
    if let (Some(own), Some(cluster)) = (&raw.servers, clusters.iter().find(named)) {
        servers(&mut table, own, cluster);
    }
    if !raw.tags.is_empty() {
        table.set("tags", inline(&raw.tags));
    }
    for (side, liveness) in [("client", &raw.client), ("server", &raw.server)] {
        let options = settings(liveness, RawLiveness::KEYS);
        if !options.is_empty() {
            table.set(side, format!("{{ {} }}", options.join(", ")));
        }
    }
    let checks =
        [("status_check", &raw.status_check), ("primary_status_check", &raw.primary_status_check)];
    for (key, check) in checks {
        if let Some(check) = check {
            table.set(key, status_check(check));
        }
    }
    table.finish()
}

fn status_check(raw: &RawStatusCheck) -> String {
    let mut options = settings(&raw.request, RawRequest::KEYS);
    if !raw.request.headers.is_empty() {
        options.push(format!("headers = {}", inline(&raw.request.headers)));
    }
    options.extend(settings(&raw.rhythm, RawRhythm::KEYS));
    options.extend(settings(raw, RawStatusCheck::KEYS));
    format!("{{ {} }}", options.join(", "))
}

/// The servers of a listener, unless they are all members of the cluster as they are.
fn servers(table: &mut Table<'_>, servers: &[RawServer], cluster: &RawCluster) {
    let name = |member: &RawMember| match &member.name {
        Some(name) => name.value.clone(),
        None => member.address.value.host.to_string(),
    };
    let mut plain = servers.len() == cluster.members.len();
    let mut list = Vec::new();
    for (at, raw) in servers.iter().enumerate() {
        let mut options = settings(raw, RawServer::KEYS);
        let own = cluster.members.iter().find(|member| name(member) == raw.member.value);
        let elsewhere = raw
            .address
            .as_ref()
            .filter(|address| own.is_none_or(|own| own.address.value != address.value));
        options.extend(elsewhere.map(|at| format!("address = {}", endpoint(&at.value))));
        let in_order = cluster.members.get(at).is_some_and(|m| name(m) == raw.member.value);
        plain &= in_order && options.is_empty();
        list.push(entry("member", text(&raw.member.value), &options));
    }
    if !plain {
        table.set("servers", array("servers", &list));
    }
}

/// The places to listen at.
pub(super) fn places(table: &mut Table<'_>, binds: &[BindConfig]) {
    let places: Vec<String> = binds.iter().map(bind).collect();
    match places.as_slice() {
        [one] if !one.starts_with('{') => table.set("bind", one),
        _ => table.set("bind", array("bind", &places)),
    }
}

fn bind(bind: &BindConfig) -> String {
    let BindConfig { address, v6_only, interface } = bind;
    let mut place = address.to_string();
    if let Some(port) = place.strip_prefix("0.0.0.0:") {
        place = format!("*:{port}");
    }
    let mut options = Vec::new();
    if *v6_only {
        options.push("v6_only = true".to_owned());
    }
    options.extend(interface.as_ref().map(|name| format!("interface = {}", text(name.as_str()))));
    entry("address", text(&place), &options)
}
