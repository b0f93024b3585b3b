//! Listeners and status pages as `vipd check` shows them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::diag::printable;
use crate::config::vipd_toml::role_word;
use crate::config::{BindConfig, Config, ListenerConfig, PageConfig};
use crate::status::millis;
use crate::status::text::bind;
use crate::text::aligned;

/// One aligned line per listener, and one per page, under headings: no table where there are none.
pub(super) fn tables(config: &Config) -> impl Iterator<Item = String> {
    let listeners = (!config.listeners.is_empty()).then(|| listeners(config));
    listeners.into_iter().chain((!config.pages.is_empty()).then(|| pages(config)))
}

fn pages(config: &Config) -> String {
    let mut rows = vec![["PAGE", "BIND", "PATH", "SEEN BY"].map(str::to_owned)];
    rows.extend(config.pages.iter().map(|page| {
        let users = names(page).join(", ");
        [
            printable(&page.name),
            shown(&page.binds),
            page.path.clone(),
            if users.is_empty() { "everybody".to_owned() } else { printable(&users) },
        ]
    }));
    aligned(&rows)
}

fn names(page: &PageConfig) -> Vec<&str> {
    page.users.iter().map(|user| user.name.as_str()).collect()
}

fn listeners(config: &Config) -> String {
    let heading = ["LISTENER", "BIND", "ROLE", "IF NONE", "CLUSTER", "SERVERS"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(config.listeners.iter().map(|listener| row(config, listener)));
    aligned(&rows)
}

fn row(config: &Config, listener: &ListenerConfig) -> [String; 6] {
    let (cluster, servers) = place(config, listener);
    [
        printable(listener.name()),
        shown(&listener.frontend.binds),
        role(config, listener).unwrap_or("none").to_owned(),
        if listener.fallback { "primary" } else { "wait" }.to_owned(),
        printable(&cluster),
        printable(&servers.join(", ")),
    ]
}

/// The name of the cluster and those of the servers.
fn place(config: &Config, listener: &ListenerConfig) -> (String, Vec<String>) {
    let Some(cluster) = config.clusters.get(listener.cluster) else { return Default::default() };
    let names = cluster.names();
    let name = |member: usize| names.get(member).copied().unwrap_or_default().to_owned();
    let servers = listener.servers.iter().map(|server| name(server.member));
    (cluster.name.clone(), servers.collect())
}

fn role(config: &Config, listener: &ListenerConfig) -> Option<&'static str> {
    let cluster = config.clusters.get(listener.cluster)?;
    cluster.has_roles().then(|| role_word(listener.wants))
}

/// As the status shows them.
fn shown(binds: &[BindConfig]) -> String {
    binds.iter().map(|each| bind(&each.address)).collect::<Vec<_>>().join(", ")
}

fn binds(all: &[BindConfig]) -> Vec<String> {
    all.iter().map(|bind| bind.address.to_string()).collect()
}

/// One listener for programs.
#[derive(JsonSchema, Serialize)]
pub(super) struct JsonListener<'a> {
    name: &'a str,
    bind: Vec<String>,
    /// Absent where servers have no roles.
    role: Option<&'static str>,
    fallback: bool,
    cluster: String,
    servers: Vec<String>,
}

pub(super) fn json(config: &Config) -> Vec<JsonListener<'_>> {
    config.listeners.iter().map(|listener| json_listener(config, listener)).collect()
}

fn json_listener<'c>(config: &Config, listener: &'c ListenerConfig) -> JsonListener<'c> {
    let (cluster, servers) = place(config, listener);
    JsonListener {
        name: listener.name(),
        bind: binds(&listener.frontend.binds),
        role: role(config, listener),
        fallback: listener.fallback,
        cluster,
        servers,
    }
}

/// One status page for programs.
#[derive(JsonSchema, Serialize)]
pub(super) struct JsonPage<'a> {
    name: &'a str,
    bind: Vec<String>,
    path: &'a str,
    /// How often a browser asks again; absent if it does not.
    refresh_ms: Option<u64>,
    /// Who may see it; empty: everybody.
    users: Vec<&'a str>,
}

pub(super) fn json_pages(config: &Config) -> Vec<JsonPage<'_>> {
    let all = config.pages.iter();
    all.map(|page| JsonPage {
        name: &page.name,
        bind: binds(&page.binds),
        path: &page.path,
        refresh_ms: page.refresh.map(millis),
        users: names(page),
    })
    .collect()
}
