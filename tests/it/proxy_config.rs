//! Clusters and listeners: what comes of them, and examples that load.

use std::fmt::Write as _;

use vipd::config::load::load;
use vipd::config::vipd_toml::role_word;
use vipd::config::{ClusterConfig, Config, ListenerConfig, Members};
use vipd::pool::Wants;

use crate::expected::Below;

/// The whole of an edge in front of Patroni takes five lines.
#[test]
fn five_lines_make_an_edge() {
    let loaded = load(&Below::project("examples"), &["vipd-proxy.toml".into()], None).unwrap();
    let text = &loaded.map.files().next().unwrap().text;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.count(), 5);
    let Config { clusters, listeners, .. } = &loaded.config;
    assert_eq!(clusters[0].names(), ["10.0.1.11", "10.0.1.12", "10.0.1.13"]);
    let served: Vec<_> = listeners
        .iter()
        .map(|l| (l.binds[0].address.port(), l.wants, l.fallback, l.servers.len()))
        .collect();
    assert_eq!(served, [(5000, Wants::Writer, false, 3), (5001, Wants::Reader, true, 3)]);
}

#[test]
fn names_are_unique_over_all_files() {
    let below = Below::project("tests/golden/config");
    let file = std::path::PathBuf::from("toml-proxy.toml");
    let said = load(&below, &[file.clone(), file], None).unwrap_err().render();
    for twice in ["cluster \"web\" exists twice", "listener \"read\" exists twice"] {
        assert!(said.contains(twice), "{said}");
    }
}

/// The checked clusters and listeners, every setting of each.
pub(crate) fn dump(config: &Config) -> String {
    let mut out = String::new();
    for cluster in &config.clusters {
        let ClusterConfig { name, members, rhythm } = &**cluster;
        writeln!(out, "cluster {name}: {rhythm:?}").unwrap();
        match members {
            Members::Patroni(patroni) => {
                let (fast, silence, lease) =
                    (patroni.fast_interval, patroni.silence, patroni.lease);
                writeln!(out, "  Patroni, fast {fast:?} silence {silence:?} lease {lease:?}")
                    .unwrap();
                for member in &patroni.members {
                    let (name, address, api) = (&member.name, &member.address, &member.api);
                    write!(out, "  {name}: {address}, API {}", api.endpoint).unwrap();
                    let tls = api.tls.as_ref().map_or(String::new(), |tls| format!(" {tls:?}"));
                    writeln!(out, "{tls}").unwrap();
                }
            }
            Members::Plain(members) => {
                for member in members {
                    let (name, address, check) = (&member.name, &member.address, &member.check);
                    writeln!(out, "  {name}: {address}, {check:?}").unwrap();
                }
            }
        }
    }
    for listener in &config.listeners {
        let ListenerConfig {
            name,
            binds,
            cluster,
            servers,
            wants,
            fallback,
            balance,
            all_backups,
            max_lag,
            tags,
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
        } = &**listener;
        let cluster = &config.clusters[*cluster];
        let role = role_word(*wants);
        writeln!(out, "listener {name}: {role} of {}, fallback {fallback}", cluster.name).unwrap();
        for bind in binds {
            writeln!(out, "  {bind:?}").unwrap();
        }
        writeln!(out, "  {balance:?} {protocol:?} all_backups {all_backups} {on_down:?}").unwrap();
        writeln!(out, "  maxconn {maxconn:?} backlog {backlog} {max_lag:?} tags {tags:?}").unwrap();
        writeln!(out, "  connect {connect_timeout:?} first message {first_message:?}").unwrap();
        writeln!(out, "  idle {idle:?} half closed {half_closed:?} {hold:?}").unwrap();
        writeln!(out, "  client {client:?}").unwrap();
        writeln!(out, "  server {server:?}").unwrap();
        for server in servers {
            let member = cluster.names()[server.member];
            writeln!(out, "  {member}: {server:?}").unwrap();
        }
    }
    out
}
