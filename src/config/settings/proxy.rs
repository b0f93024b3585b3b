//! Clusters and listeners.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::object::Object;
use super::{NONE, human, listed, rows};
use crate::config::checks::{Check, HttpTarget, Tls, Trust};
use crate::config::key::Words;
use crate::config::{
    BindConfig, ByStatus, ClusterConfig, Frontend, ListenerConfig, ListenerOptions, Liveness,
    Members, PatroniCluster, PatroniMember, PlainMember, ProbeRhythm, ServerConfig, ServerOptions,
};
use crate::types::Identity;

pub(super) fn cluster(cluster: &ClusterConfig) -> Object {
    let ClusterConfig { name, members, rhythm, resolve_at_start } = cluster;
    let mut object = Object::new("cluster", name, []);
    object.settings.extend(members_of(members));
    let mut add = |key: &str, value: String| object.settings.push((key.to_owned(), value));
    add("resolve_at_start", resolve_at_start.to_string());
    if let Members::Patroni(PatroniCluster {
        members: _,
        down_after,
        primary_lease,
        by_status: _,
    }) = members
    {
        add("down_after", human(*down_after));
        add("primary_lease", primary_lease.map_or_else(|| "by Patroni's ttl".to_owned(), human));
    }
    // What Patroni answers counts at once.
    let counts = |name: &str| !cluster.has_roles() || !["down_interval", "fall"].contains(&name);
    rows(ProbeRhythm::ROWS, rhythm)
        .filter(|(name, _)| counts(name))
        .for_each(|(name, value)| add(name, value));
    object
}

/// One setting for each member: where it is, and how it is asked.
fn members_of(members: &Members) -> Vec<(String, String)> {
    let patroni = |member: &PatroniMember| {
        let PatroniMember { name, address, api } = member;
        (format!("member {name}"), format!("{address} by Patroni at {}", target(api)))
    };
    let plain = |member: &PlainMember| {
        let PlainMember { name, address, check } = member;
        let check = match check.as_deref() {
            None => "not checked".to_owned(),
            Some(check @ Check::Http(http)) => {
                let body = http.body_contains.as_ref().map_or(String::new(), |b| format!(" {b:?}"));
                format!("by {} {}{body}{}", check.subject(), http.expect, tls(&http.target))
            }
            Some(check) => {
                let (user, own) = match check {
                    Check::Postgres(check) => (check.user.as_ref(), check.tls.as_ref()),
                    Check::Tcp(check) => (None, check.tls.as_ref()),
                    _ => (None, None),
                };
                let user = user.map_or(String::new(), |user| format!(" user {user}"));
                let spoken = own.map_or(String::new(), |tls| format!(" TLS{}", trusted(tls)));
                format!("by {} {}{user}{spoken}", check.kind(), check.subject())
            }
        };
        (format!("member {name}"), format!("{address} {check}"))
    };
    match members {
        Members::Patroni(PatroniCluster { members, .. }) => members.iter().map(patroni).collect(),
        Members::Plain(members) => members.iter().map(plain).collect(),
    }
}

fn target(target: &HttpTarget) -> String {
    format!("{target}{}", tls(target))
}

/// What is particular about TLS, and about the request.
fn tls(target: &HttpTarget) -> String {
    let HttpTarget { endpoint: _, tls, host, headers } = target;
    let mut text = String::new();
    if let Some(host) = host {
        let _ = write!(text, " host {host:?}");
    }
    for (name, _) in headers {
        let _ = write!(text, " header {name}");
    }
    text + &tls.as_ref().map_or(String::new(), trusted)
}

fn trusted(tls: &Tls) -> String {
    let mut text = String::new();
    let Tls { trust, server_name, verify_name, identity } = tls;
    match trust {
        Trust::System => {}
        Trust::File(path) => {
            let _ = write!(text, " ca {}", path.display());
        }
        Trust::Anyone => text.push_str(" not verified"),
    }
    if let Some(name) = server_name {
        let _ = write!(text, " as {name}");
    }
    if !verify_name {
        text.push_str(" of any name");
    }
    if let Some(identity) = identity {
        let (cert, key) = (identity.certificate.display(), identity.key.display());
        let _ = write!(text, " with {cert} {key}");
    }
    text
}

/// `clusters` are those of its configuration.
pub(super) fn listener(listener: &ListenerConfig, clusters: &[Arc<ClusterConfig>]) -> Object {
    let ListenerConfig {
        frontend,
        cluster,
        servers,
        wants,
        fallback,
        max_lag,
        tags,
        replication_state,
        on_down,
        by_status,
    } = listener;
    let Frontend { name, binds, protocol, identity, options, client, server } = frontend;
    let cluster = clusters.get(*cluster);
    let names = cluster.map(|cluster| cluster.names()).unwrap_or_default();
    let binds: Vec<String> = binds.iter().map(bind).collect();
    let tags: Vec<String> = tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let any =
        |bytes: &Option<u64>| bytes.map_or_else(|| "any".to_owned(), |b| format!("{b} bytes"));
    let file = |of: fn(&Identity) -> &PathBuf| {
        identity
            .as_ref()
            .map_or_else(|| "made at start".to_owned(), |own| of(own).display().to_string())
    };
    let settings = [
        ("bind", listed(&binds)),
        ("cluster", cluster.map(|cluster| cluster.name.clone()).unwrap_or_default()),
        ("role", wants.word().to_owned()),
        ("fallback", fallback.to_string()),
        ("max_lag", any(&max_lag.bytes)),
        ("max_lag_time", max_lag.time.map_or_else(|| "any".to_owned(), human)),
        ("tags", listed(&tags)),
        ("replication_state", replication_state.clone().unwrap_or_else(|| "any".to_owned())),
        ("protocol", protocol.word().to_owned()),
        ("cert", file(|own| &own.certificate)),
        ("key", file(|own| &own.key)),
        ("on_down", on_down.word().to_owned()),
        ("client", liveness(client)),
        ("server", liveness(server)),
        ("status_check", by_status.as_ref().map_or_else(|| NONE.to_owned(), status_check)),
    ];
    let mut object = Object::new("listener", &**name, settings);
    object.settings.extend(rows(ListenerOptions::ROWS, options).map(|(k, v)| (k.to_owned(), v)));
    object.settings.extend(servers.iter().map(|server| server_of(server, &names)));
    object
}

/// How members are judged that are not Patroni.
fn status_check(by_status: &ByStatus) -> String {
    let ByStatus { own, primary, on_down } = by_status;
    let one = |own: &Arc<ClusterConfig>| {
        let settings = cluster(own).settings.into_iter();
        settings.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    };
    let primary = primary.as_ref().map_or(String::new(), |own| format!("; primary {}", one(own)));
    format!("{}{primary}; on_down {}", one(own), on_down.word().to_owned())
}

pub(super) fn bind(bind: &BindConfig) -> String {
    let BindConfig { address, v6_only, interface } = bind;
    let only = if *v6_only { " v6_only" } else { "" };
    let interface = interface.as_ref().map_or(String::new(), |name| format!(" on {name}"));
    format!("{address}{only}{interface}")
}

fn server_of(server: &ServerConfig, names: &[&str]) -> (String, String) {
    let ServerConfig { member, address, options } = server;
    let name = names.get(*member).copied().unwrap_or_default();
    let mut text = String::new();
    if let Some(address) = address {
        let _ = write!(text, " at {address}");
    }
    let usual = ServerOptions::default();
    let pairs = rows(ServerOptions::ROWS, options).zip(rows(ServerOptions::ROWS, &usual));
    for ((name, value), _) in pairs.filter(|(own, usual)| own != usual) {
        let value = if value == "true" { String::new() } else { format!(" {value}") };
        let _ = write!(text, " {name}{value}");
    }
    let text = if text.is_empty() { "as its member" } else { text.trim_start() };
    (format!("server {name}"), text.to_owned())
}

fn liveness(liveness: &Liveness) -> String {
    let settings = rows(Liveness::ROWS, liveness).map(|(name, value)| format!("{name} {value}"));
    settings.collect::<Vec<_>>().join(" ")
}
