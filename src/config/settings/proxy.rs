//! Clusters, one text each, and listeners, one text for each and one for every setting that is not the
//! standard.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::{human, listed};
use crate::config::checks::{Check, HttpTarget, Tls, Trust};
use crate::config::vipd_toml::{BALANCES, ON_DOWN, PROTOCOLS, ROLES, word_for};
use crate::config::{
    BindConfig, ByStatus, ClusterConfig, HoldConfig, ListenerConfig, ListenerProtocol,
    LivenessConfig, Members, OnDown, PatroniCluster, PatroniMember, PlainMember, ProbeRhythm,
    ServerConfig,
};
use crate::pool::Balance;

const SECOND: Duration = Duration::from_secs(1);

/// The clusters, one text each.
pub(crate) fn clusters(all: &[Arc<ClusterConfig>]) -> Vec<String> {
    let text = |cluster: &Arc<ClusterConfig>| {
        let ClusterConfig { name, members, rhythm, resolve_at_start } = &**cluster;
        let ProbeRhythm { interval, fast_interval, down_interval, timeout, rise, fall } = rhythm;
        let mut text = format!("{name}: {}", members_of(members));
        let (interval, timeout) = (human(*interval), human(*timeout));
        let _ = write!(text, ", interval {interval}, timeout {timeout}, rise {rise}");
        match members {
            Members::Patroni(PatroniCluster { members: _, silence, lease, by_status: _ }) => {
                let (fast, silence) = (human(*fast_interval), human(*silence));
                let lease = lease.map_or_else(|| "by Patroni's ttl".to_owned(), human);
                let _ = write!(text, ", fast_interval {fast}, silence {silence}, lease {lease}");
            }
            Members::Plain(_) => {
                let (fast, down) = (human(*fast_interval), human(*down_interval));
                let _ = write!(text, ", fast_interval {fast}, down_interval {down}, fall {fall}");
            }
        }
        if *resolve_at_start {
            text.push_str(", resolve_at_start");
        }
        text
    };
    all.iter().map(text).collect()
}

fn members_of(members: &Members) -> String {
    let patroni = |member: &PatroniMember| {
        let PatroniMember { name, address, api } = member;
        format!("{name} {address} by Patroni at {}", target(api))
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
        format!("{name} {address} {check}")
    };
    let list: Vec<String> = match members {
        Members::Patroni(PatroniCluster { members, .. }) => members.iter().map(patroni).collect(),
        Members::Plain(members) => members.iter().map(plain).collect(),
    };
    list.join(", ")
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

/// The listeners; `clusters` are those of their configuration.
pub(crate) fn listeners(
    all: &[Arc<ListenerConfig>],
    clusters: &[Arc<ClusterConfig>],
) -> Vec<String> {
    all.iter().flat_map(|listener| listener_of(listener, clusters)).collect()
}

fn listener_of(listener: &ListenerConfig, clusters: &[Arc<ClusterConfig>]) -> Vec<String> {
    let ListenerConfig {
        name,
        binds,
        cluster,
        servers,
        wants,
        fallback,
        balance,
        all_backups,
        end_backups,
        max_lag,
        tags,
        replication_state,
        protocol,
        maxconn,
        backlog,
        connect_timeout,
        first_message,
        hold,
        idle,
        half_closed,
        on_down,
        client,
        server,
        by_status,
    } = listener;
    let HoldConfig { unavailable, full, most, burst, per_second } = hold;
    let cluster = clusters.get(*cluster);
    let names = cluster.map(|cluster| cluster.names()).unwrap_or_default();
    let servers: Vec<String> = servers.iter().map(|server| server_of(server, &names)).collect();
    let binds: Vec<String> = binds.iter().map(bind).collect();
    let tags: Vec<String> = tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let never = |time: &Option<Duration>| time.map_or_else(|| "never".to_owned(), human);
    let maxconn = maxconn.map_or(0, std::num::NonZeroU32::get);
    let standard = HoldConfig::default();
    let alive = LivenessConfig::default();
    let settings = [
        ("fallback", *fallback, fallback.to_string()),
        ("balance", *balance != Balance::RoundRobin, word(BALANCES, balance)),
        ("all_backups", *all_backups, all_backups.to_string()),
        ("end_backups", *end_backups, end_backups.to_string()),
        ("max_lag", max_lag.bytes.is_some(), format!("{} bytes", max_lag.bytes.unwrap_or(0))),
        ("max_lag_time", max_lag.time.is_some(), never(&max_lag.time)),
        ("tags", !tags.is_empty(), listed(&tags)),
        (
            "replication_state",
            replication_state.is_some(),
            replication_state.clone().unwrap_or_else(|| "any".to_owned()),
        ),
        ("protocol", *protocol != ListenerProtocol::Postgres, word(PROTOCOLS, protocol)),
        ("maxconn", maxconn > 0, maxconn.to_string()),
        ("backlog", *backlog != 4096, backlog.to_string()),
        ("connect_timeout", *connect_timeout != SECOND, human(*connect_timeout)),
        ("first_message", *first_message != 60 * SECOND, human(*first_message)),
        ("hold", *unavailable != standard.unavailable, human(*unavailable)),
        ("hold_full", *full != standard.full, human(*full)),
        ("hold_most", *most != standard.most, most.to_string()),
        ("hold_burst", *burst != standard.burst, burst.to_string()),
        ("hold_rate", *per_second != standard.per_second, per_second.to_string()),
        ("idle_timeout", idle.is_some(), never(idle)),
        ("half_closed", *half_closed != Some(30 * SECOND), never(half_closed)),
        ("on_down", *on_down != OnDown::End, word(ON_DOWN, on_down)),
        ("client", *client != alive, liveness(client)),
        ("server", *server != alive, liveness(server)),
        (
            "status_check",
            by_status.is_some(),
            by_status.as_ref().map_or(String::new(), status_check),
        ),
    ];
    let cluster_name = cluster.map(|cluster| cluster.name.as_str()).unwrap_or_default();
    let role = word(ROLES, wants);
    let (binds, servers) = (listed(&binds), listed(&servers));
    let itself = format!("{name}: {role} of {cluster_name} at {binds}, servers {servers}");
    let others = settings.into_iter().filter(|(_, differs, _)| *differs);
    std::iter::once(itself)
        .chain(others.map(|(key, _, value)| format!("{name} {key} {value}")))
        .collect()
}

/// How members are judged that are not Patroni.
fn status_check(by_status: &ByStatus) -> String {
    let ByStatus { own, primary, on_down } = by_status;
    let one = |cluster: &Arc<ClusterConfig>| clusters(std::slice::from_ref(cluster)).join("");
    let primary = primary.as_ref().map_or(String::new(), |own| format!("; primary {}", one(own)));
    format!("{}{primary}; on_down {}", one(own), word(ON_DOWN, on_down))
}

fn word<T: PartialEq>(choices: &'static [(&'static str, T)], value: &T) -> String {
    word_for(choices, value).unwrap_or_default().to_owned()
}

pub(super) fn bind(bind: &BindConfig) -> String {
    let BindConfig { address, v6_only, interface } = bind;
    let only = if *v6_only { " v6_only" } else { "" };
    let interface = interface.as_ref().map_or(String::new(), |name| format!(" on {name}"));
    format!("{address}{only}{interface}")
}

fn server_of(server: &ServerConfig, names: &[&str]) -> String {
    let ServerConfig { member, address, weight, maxconn, backup, disabled } = server;
    let mut text = names.get(*member).copied().unwrap_or_default().to_owned();
    if let Some(address) = address {
        let _ = write!(text, " at {address}");
    }
    if weight.get() != 1 {
        let _ = write!(text, " weight {}", weight.get());
    }
    if let Some(maxconn) = maxconn {
        let _ = write!(text, " maxconn {maxconn}");
    }
    for (word, on) in [("backup", backup), ("disabled", disabled)] {
        if *on {
            let _ = write!(text, " {word}");
        }
    }
    text
}

fn liveness(liveness: &LivenessConfig) -> String {
    let LivenessConfig { keepalive, interval, count, unacknowledged } = liveness;
    let never = |time: &Option<Duration>| time.map_or_else(|| "never".to_owned(), human);
    let (keepalive, limit) = (never(keepalive), never(unacknowledged));
    format!(
        "keepalive {keepalive} interval {} count {count} unacknowledged {limit}",
        human(*interval)
    )
}
