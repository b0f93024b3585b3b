//! Listeners as `vipd check` shows them.

use schemars::JsonSchema;
use serde::Serialize;

use super::check::aligned;
use crate::config::diag::printable;
use crate::config::vipd_toml::role_word;
use crate::config::{Config, ListenerConfig};

/// One aligned line per listener, under a heading; nothing if there are none.
pub(super) fn table(config: &Config) -> String {
    if config.listeners.is_empty() {
        return String::new();
    }
    let heading = ["LISTENER", "BIND", "ROLE", "ELSE", "CLUSTER", "SERVERS"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(config.listeners.iter().map(|listener| row(config, listener)));
    aligned(&rows)
}

fn row(config: &Config, listener: &ListenerConfig) -> [String; 6] {
    let (cluster, servers) = place(config, listener);
    [
        printable(&listener.name),
        binds(listener).join(", "),
        role(config, listener).unwrap_or("none").to_owned(),
        if listener.fallback { "primary" } else { "hold" }.to_owned(),
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

fn binds(listener: &ListenerConfig) -> Vec<String> {
    listener.binds.iter().map(|bind| bind.address.to_string()).collect()
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
        name: &listener.name,
        bind: binds(listener),
        role: role(config, listener),
        fallback: listener.fallback,
        cluster,
        servers,
    }
}
