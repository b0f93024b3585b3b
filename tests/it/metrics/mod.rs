//! The status as metrics.

mod exposition;
mod names;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use vipd::metrics::{Format, Query, exposition as written};
use vipd::status::{
    AdmissionStatus, Limit, LimitStatus, RoleStatus, ServerTraffic, Snapshot, State,
};

use crate::expected::expect;
use crate::page::look::everything;
use crate::serving_render::{listener, member, server};
use crate::status_render;
use exposition::{Families, read};

/// Everything that can be served, with numbers of its own wherever there is one.
fn full() -> Snapshot {
    let mut all = everything();
    let excluded = &mut all.routers[0].addresses[1];
    (excluded.advertised, excluded.lease_ms) = (false, Some(2500));
    all.routers[1].peers = status_render::snapshot().routers[1].peers.clone();
    for (at, listener) in (1..).zip(&mut all.listeners) {
        listener.maxconn = Some(100 * at);
        let traffic = listener.traffic.as_mut().unwrap();
        traffic.waiting = at;
        let names = ["accepted", "sessions", "bytes_in", "bytes_out", "connect_failures"];
        let counted = (1..).zip(names).map(|(n, name)| (name.to_owned(), n * 1000));
        traffic.counters = counted.collect();
        traffic.counters.insert("unserved".into(), 7);
        traffic.counters.insert("unserved_full".into(), 2);
        traffic.counters.insert("overflowed".into(), 3);
        traffic.limits = vec![LimitStatus {
            limit: Limit::Queue,
            most: Some(10),
            reached: true,
            waiting: 1,
            refused: 3,
            raise: "queue_max".into(),
        }];
        for server in &mut listener.servers {
            server.maxconn = Some(50);
            server.traffic = Some(ServerTraffic {
                attempts: 40,
                connections: 39,
                bytes_in: 1_000_000,
                bytes_out: 2_000_000,
            });
        }
    }
    all
}

fn scrape(of: &Snapshot, query: &str) -> Families {
    let query = Query::parse(query).unwrap();
    let plain = written(Arc::new(of.clone()), &query, Format::Prometheus);
    let open = written(Arc::new(of.clone()), &query, Format::OpenMetrics);
    let families = read(&plain, false).unwrap_or_else(|why| panic!("{why}\n{plain}"));
    let same = read(&open, true).unwrap_or_else(|why| panic!("{why}\n{open}"));
    let numbers = |families: &Families| -> BTreeMap<_, _> {
        families.iter().map(|(name, of)| (name.clone(), of.samples.clone())).collect()
    };
    assert_eq!(numbers(&families), numbers(&same));
    families
}

/// The value of the sample that has these labels.
fn value(families: &Families, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
    let fits = |of: &[(String, String)]| {
        labels.iter().all(|(key, value)| of.iter().any(|(k, v)| k == key && v == value))
    };
    let mut found = family.samples.iter().filter(|(of, _)| fits(of)).map(|(_, value)| *value);
    let value = found.next().unwrap_or_else(|| panic!("no {name}{labels:?}: {family:?}"));
    assert_eq!(found.next(), None, "{name}{labels:?} is not one sample");
    value
}

#[test]
fn a_whole_scrape_to_the_letter() {
    let text = written(Arc::new(full()), &Query::default(), Format::Prometheus);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/metrics/everything.txt");
    expect(&path, &text);
    let open = written(Arc::new(full()), &Query::default(), Format::OpenMetrics);
    assert!(open.contains("# TYPE vipd_reloads counter\nvipd_reloads_total "), "{open}");
    assert!(open.contains("# TYPE keepalived_vrrp_advert_sent unknown\n"), "{open}");
}

#[test]
fn routers_and_addresses_are_as_the_status_has_them() {
    let mut snapshot = everything();
    snapshot.routers[1].state = State::Leaving;
    let scraped = scrape(&snapshot, "");
    let [first, second] = ["VI_1", "VI_2"];
    for (router, state, expected) in [
        (first, "master", 1.0),
        (first, "backup", 0.0),
        (second, "master", 0.0),
        (second, "leaving", 1.0),
    ] {
        let labels = [("router", router), ("state", state)];
        assert_eq!(value(&scraped, "vipd_router_state", &labels), expected, "{labels:?}");
    }
    assert_eq!(value(&scraped, "vipd_router_priority", &[("router", first)]), 91.0);
    // As the exporters have it: the address alone, and 1 for a master that hands over.
    let labels = [("iname", first), ("ip_address", "10.0.0.10")];
    assert_eq!(value(&scraped, "keepalived_vrrp_state", &labels), 2.0);
    let labels = [("iname", second), ("ip_address", "10.0.0.20")];
    assert_eq!(value(&scraped, "keepalived_vrrp_state", &labels), 1.0);
    let labels = [("name", first), ("state", "MASTER")];
    assert_eq!(value(&scraped, "keepalived_vrrp_advert_sent", &labels), 604_800.0);
    assert_eq!(
        value(&scraped, "keepalived_advertisements_sent_total", &[("iname", first)]),
        604_800.0
    );
    assert_eq!(value(&scraped, "keepalived_script_status", &[("name", "chk_haproxy")]), 0.0);
    assert_eq!(value(&scraped, "keepalived_script_state", &[("name", "chk_slow")]), 1.0);
    snapshot.routers[0].addresses.clear();
    let bare = scrape(&snapshot, "scope=keepalived");
    assert_eq!(value(&bare, "keepalived_vrrp_state", &[("iname", first), ("ip_address", "")]), 2.0);
}

#[test]
fn a_standby_of_a_writer_pool_is_down_for_haproxy_and_usable_for_vipd() {
    let members = ["pg-1", "pg-2", "pg-3"].map(|name| match name {
        "pg-2" => member(name, RoleStatus::Primary, 5),
        _ => member(name, RoleStatus::AsyncStandby, 5),
    });
    let mut servers = members.each_ref().map(|m| server(m, m.name == "pg-2", 0)).to_vec();
    let mut snapshot = everything();
    snapshot.listeners = vec![listener("write", 5000, "primary", servers.clone())];
    let scraped = scrape(&snapshot, "");
    let state = |of: &Families, server, state| {
        value(of, "haproxy_server_status", &[("server", server), ("state", state)])
    };
    assert_eq!(state(&scraped, "pg-1", "DOWN"), 1.0);
    assert_eq!(state(&scraped, "pg-2", "UP"), 1.0);
    assert_eq!(value(&scraped, "haproxy_backend_active_servers", &[]), 1.0);
    assert_eq!(value(&scraped, "haproxy_backend_servers_up", &[("proxy", "write")]), 1.0);
    assert_eq!(value(&scraped, "haproxy_server_up", &[("server", "pg-1")]), 0.0);
    assert_eq!(value(&scraped, "vipd_server_usable", &[("server", "pg-1")]), 1.0);
    assert!(scraped["haproxy_server_status"].help.contains("vipd_server_usable"));
    // Its lease is over: those it has go on.
    servers[1].admission = AdmissionStatus::Held;
    snapshot.listeners = vec![listener("write", 5000, "primary", servers)];
    snapshot.listeners[0].servers[1].takes = false;
    let scraped = scrape(&snapshot, "");
    assert_eq!(state(&scraped, "pg-2", "DRAIN"), 1.0);
    assert_eq!(value(&scraped, "haproxy_backend_active_servers", &[]), 0.0);
    assert_eq!(value(&scraped, "haproxy_backend_status", &[("state", "DOWN")]), 1.0);
}

#[test]
fn counters_of_a_listener_are_what_the_proxy_counted() {
    let scraped = scrape(&full(), "");
    let write = [("proxy", "write")];
    for (name, expected) in [
        ("haproxy_frontend_connections_total", 1000.0),
        ("haproxy_frontend_bytes_in_total", 3000.0),
        ("haproxy_backend_bytes_out_total", 4000.0),
        ("haproxy_backend_retry_warnings_total", 5000.0),
        ("haproxy_backend_connection_attempts_total", 120.0),
        ("haproxy_backend_current_queue", 1.0),
        ("haproxy_frontend_limit_sessions", 100.0),
        ("haproxy_backend_limit_sessions", 100.0),
    ] {
        assert_eq!(value(&scraped, name, &write), expected, "{name}");
    }
    let refused = |reason| {
        value(&scraped, "vipd_listener_refused_total", &[("listener", "write"), ("reason", reason)])
    };
    assert_eq!(["queue-full", "no-server", "servers-full"].map(refused), [3.0, 5.0, 2.0]);
    let saturated = |limit| {
        value(&scraped, "vipd_listener_saturated", &[("listener", "write"), ("limit", limit)])
    };
    assert_eq!(["queue", "maxconn"].map(saturated), [1.0, 0.0]);
    assert_eq!(value(&scraped, "haproxy_process_connections_total", &[]), 3000.0);
    let server = [("proxy", "write"), ("server", "pg-2")];
    assert_eq!(value(&scraped, "haproxy_server_check_failures_total", &server), 2.0);
}

#[test]
fn a_scope_leaves_the_others_out() {
    for (query, prefixes) in [
        ("scope=server", &["haproxy_server_"][..]),
        ("scope=frontend&scope=backend", &["haproxy_frontend_", "haproxy_backend_"]),
        ("scope=global", &["haproxy_process_", "haproxy_up"]),
        ("scope=vipd", &["vipd_"]),
        ("scope=keepalived", &["keepalived_"]),
        ("metrics=keepalived_up,vipd_reloads_total", &["keepalived_up", "vipd_reloads_total"]),
    ] {
        let scraped = scrape(&full(), query);
        let foreign: Vec<&String> = scraped
            .keys()
            .filter(|name| !prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        assert!(foreign.is_empty(), "{query}: {foreign:?}");
        let all = prefixes.iter().all(|prefix| scraped.keys().any(|name| name.starts_with(prefix)));
        assert!(all, "{query}: {:?}", scraped.keys());
    }
    assert!(scrape(&full(), "scope=").is_empty());
    assert!(!scrape(&full(), "metrics=-keepalived_up").contains_key("keepalived_up"));
}

#[test]
fn nothing_is_claimed_of_what_is_not_configured() {
    let empty = Snapshot { routers: vec![], listeners: vec![], ..everything() };
    let foreign = |name: &&String| !name.starts_with("vipd_");
    let scraped = scrape(&empty, "");
    assert_eq!(scraped.keys().find(foreign), None);
}

#[test]
fn names_are_text_wherever_they_stand() {
    const EVIL: &str = "a\"} 1\n# TYPE b gauge\nb{c=\"\\ untyped\n";
    let mut all = full();
    all.daemon.version = EVIL.into();
    all.routers[0].name = EVIL.into();
    all.trackers[0].name = EVIL.into();
    all.clusters[0].name = EVIL.into();
    all.clusters[0].members[0].name = EVIL.into();
    all.listeners.iter_mut().for_each(|listener| listener.cluster = EVIL.into());
    all.listeners[0].name = EVIL.into();
    all.listeners[0].servers[0].name = EVIL.into();
    all.pages[0].name = EVIL.into();
    let (tame, wild) = (scrape(&full(), ""), scrape(&all, ""));
    assert!(tame.keys().eq(wild.keys()));
    for (name, label) in [
        ("vipd_build_info", "version"),
        ("vipd_router_priority", "router"),
        ("keepalived_become_master_total", "iname"),
        ("vipd_cluster_paused", "cluster"),
        ("vipd_cluster_member_usable", "member"),
        ("haproxy_frontend_status", "proxy"),
        ("haproxy_server_weight", "server"),
        ("vipd_page_open", "page"),
    ] {
        let samples = &wild[name].samples;
        let found = samples.iter().flat_map(|(labels, _)| labels);
        assert!(found.clone().any(|(key, value)| key == label && value == EVIL), "{name}");
    }
}

#[test]
fn a_large_site_is_scraped_in_a_moment() {
    let mut all = full();
    let (router, one) = (all.routers[0].clone(), all.listeners[0].clone());
    all.routers = (0..250)
        .map(|n| {
            let mut router = router.clone();
            router.name = format!("VI_{n}");
            router
        })
        .collect();
    all.listeners = (0..50)
        .map(|n| {
            let mut listener = one.clone();
            listener.name = format!("listener-{n}");
            let server = |m: u32| {
                let mut server = one.servers[0].clone();
                server.name = format!("server-{m}");
                server
            };
            listener.servers = (0..10).map(server).collect();
            listener
        })
        .collect();
    let all = Arc::new(all);
    let begun = Instant::now();
    let text = written(Arc::clone(&all), &Query::default(), Format::Prometheus);
    let took = begun.elapsed();
    println!("{} bytes, {} lines in {took:?}", text.len(), text.lines().count());
    assert!(text.len() < 8 << 20, "{}", text.len());
    // Without optimisation and beside compilers; it takes a hundredth of that.
    assert!(took.as_secs() < 20, "{took:?}");
    assert!(read(&text, false).is_ok());
}
