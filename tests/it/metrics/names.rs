//! The names dashboards and alerts use: each is served, or it stands here why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::exposition::Families;
use super::{full, scrape};
use crate::status_render;

const KEEPALIVED: &str = "\
    advertisements_received_total advertisements_sent_total become_master_total \
    release_master_total packet_length_errors_total advertisements_interval_errors_total \
    ip_ttl_errors_total invalid_type_received_total address_list_errors_total \
    authentication_invalid_total authentication_mismatch_total authentication_failure_total \
    priority_zero_received_total priority_zero_sent_total gratuitous_arp_delay_total vrrp_state \
    vrrp_excluded_state exporter_check_script_status script_status script_state up \
    exporter_build_info vrrp_advert_rcvd vrrp_advert_sent vrrp_become_master vrrp_release_master \
    vrrp_packet_len_err vrrp_advert_interval_err vrrp_ip_ttl_err vrrp_invalid_type_rcvd \
    vrrp_addr_list_err vrrp_invalid_authtype vrrp_authtype_mismatch vrrp_auth_failure \
    vrrp_pri_zero_rcvd vrrp_pri_zero_sent";

const FRONTEND: &str = "\
    current_sessions max_sessions limit_sessions sessions_total connections_total bytes_in_total \
    bytes_out_total denied_connections_total denied_sessions_total requests_denied_total \
    request_errors_total internal_errors_total status";

/// Of backends and of servers.
const BOTH: &str = "\
    status weight current_sessions max_sessions limit_sessions sessions_total current_queue \
    max_queue bytes_in_total bytes_out_total connection_attempts_total connection_errors_total \
    response_errors_total retry_warnings_total redispatch_warnings_total client_aborts_total \
    server_aborts_total check_up_down_total check_last_change_seconds downtime_seconds_total \
    last_session_seconds loadbalanced_total queue_time_average_seconds \
    connect_time_average_seconds response_time_average_seconds total_time_average_seconds \
    max_queue_time_seconds max_connect_time_seconds max_response_time_seconds \
    max_total_time_seconds up";

const BACKEND: &str = "\
    active_servers backup_servers agg_server_status agg_server_check_status agg_check_status \
    servers_up";

const SERVER: &str = "\
    active backup uweight check_status check_code check_duration_seconds check_failures_total \
    current_throttle queue_limit used_connections_current";

const PROCESS: &str = "\
    start_time_seconds uptime_seconds current_connections max_connections connections_total \
    max_fds build_info";

const OWN: &str = "\
    router_state virtual_address_held lease_remaining_seconds peer_last_advert_seconds \
    adverts_dropped_total transitions_total timer_lateness_seconds cluster_primary \
    cluster_member_lag_bytes cluster_timeline listener_queue listener_queue_seconds \
    listener_refused_total listener_saturated writer_gap_seconds";

/// What is not served, by the ends of names, and why; vipd(8) says the same.
const NOT_SERVED: &[(&str, &str)] = &[
    ("keepalived_gratuitous_arp_delay_total", "a setting, no count; `vipd check --explain` has it"),
    (
        "keepalived_exporter_check_script_status",
        "a script of the exporter, which vipd does not run",
    ),
    ("keepalived_exporter_build_info", "vipd is not that exporter: vipd_build_info"),
    ("max_sessions", "the most there have been is not kept"),
    ("max_queue", "the most there have been is not kept"),
    ("internal_errors_total", "vipd has none that it survives"),
    ("response_errors_total", "HAProxy's own kind of error"),
    ("haproxy_server_retry_warnings_total", "counted for the listener"),
    ("haproxy_server_redispatch_warnings_total", "counted for the listener"),
    ("haproxy_server_client_aborts_total", "counted for the listener"),
    ("haproxy_server_server_aborts_total", "counted for the listener"),
    ("check_up_down_total", "one check serves many listeners"),
    ("check_last_change_seconds", "one check serves many listeners"),
    ("downtime_seconds_total", "not kept"),
    ("last_session_seconds", "not kept"),
    ("time_average_seconds", "no session is timed"),
    ("max_queue_time_seconds", "no session is timed"),
    ("max_connect_time_seconds", "no session is timed"),
    ("max_response_time_seconds", "no session is timed"),
    ("max_total_time_seconds", "no session is timed"),
    ("check_status", "one check serves many listeners: vipd_cluster_member_usable"),
    ("check_code", "one check serves many listeners"),
    ("check_duration_seconds", "one check serves many listeners"),
    ("current_throttle", "vipd has no slowstart"),
    ("queue_limit", "vipd queues at the listener"),
    ("haproxy_process_max_connections", "vipd has no limit for all listeners together"),
    ("haproxy_process_max_fds", "not in the status"),
    ("vipd_timer_lateness_seconds", "only the worst is kept: vipd_timer_lateness_max_seconds"),
    ("vipd_listener_queue_seconds", "no session is timed"),
    ("vipd_writer_gap_seconds", "not kept: vipd_listener_serves and vipd_cluster_has_primary"),
];

/// What HAProxy 2.6 did not print: other exporters, later versions, and a name in published posts.
const NOT_IN_GOLDEN: [&str; 6] = [
    "haproxy_up",
    "haproxy_backend_up",
    "haproxy_backend_servers_up",
    "haproxy_server_up",
    "haproxy_server_active",
    "haproxy_server_backup",
];

fn names() -> BTreeSet<String> {
    let lists = [
        ("keepalived_", KEEPALIVED),
        ("haproxy_frontend_", FRONTEND),
        ("haproxy_backend_", BOTH),
        ("haproxy_backend_", BACKEND),
        ("haproxy_server_", BOTH),
        ("haproxy_server_", SERVER),
        ("haproxy_process_", PROCESS),
        ("haproxy_", "up"),
        ("vipd_", OWN),
    ];
    let all = lists.into_iter().flat_map(|(prefix, names)| {
        names.split_whitespace().map(move |name| format!("{prefix}{name}"))
    });
    all.collect()
}

#[test]
fn every_name_is_served_or_it_is_known_why_not() {
    let scraped = scrape(&full(), "");
    let excuse = |name: &str| {
        let fits = |end: &str| {
            let stem = name.strip_suffix(end);
            stem.is_some_and(|stem| stem.is_empty() || stem.ends_with('_'))
        };
        NOT_SERVED.iter().find(|(end, _)| fits(end)).map(|(_, why)| *why)
    };
    let missing: Vec<String> = names()
        .into_iter()
        .filter(|name| !scraped.contains_key(name) && excuse(name).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let names = names();
    let idle: Vec<&&str> = NOT_SERVED
        .iter()
        .map(|(end, _)| end)
        .filter(|end| {
            !names.iter().any(|name| name.ends_with(**end) && !scraped.contains_key(name))
        })
        .collect();
    assert!(idle.is_empty(), "served after all, or nowhere: {idle:?}");
}

/// Metrics of HAProxy 2.6: the type, and the names of the labels in their order.
fn golden() -> BTreeMap<String, (String, Vec<String>, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/metrics/haproxy-2.6.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            found.insert(name.to_owned(), (kind.to_owned(), Vec::new(), BTreeSet::new()));
            continue;
        }
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let pairs = inside.map_or("", |(inside, _)| inside).split(',').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.trim_matches('"').to_owned()))
        });
        let pairs: Vec<(String, String)> = pairs.collect();
        let (_, labels, states) = found.get_mut(name).unwrap();
        *labels = pairs.iter().map(|(key, _)| key.clone()).collect();
        states.extend(pairs.into_iter().filter(|(key, _)| key == "state").map(|(_, value)| value));
    }
    found
}

fn of_haproxy(scraped: &Families) -> impl Iterator<Item = &String> {
    let other = |name: &&String| !NOT_IN_GOLDEN.contains(&name.as_str());
    scraped.keys().filter(|name| name.starts_with("haproxy_")).filter(other)
}

#[test]
fn types_labels_and_states_are_those_haproxy_prints() {
    let (golden, scraped) = (golden(), scrape(&full(), ""));
    assert!(of_haproxy(&scraped).count() > 45);
    for name in of_haproxy(&scraped) {
        let (kind, labels, states) =
            golden.get(name).unwrap_or_else(|| panic!("HAProxy prints no {name}"));
        let ours = &scraped[name];
        assert_eq!(&ours.kind, kind, "{name}");
        let mut found = BTreeSet::new();
        for (pairs, _) in &ours.samples {
            let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).collect();
            assert_eq!(keys, labels.iter().collect::<Vec<_>>(), "{name}");
            found.extend(pairs.iter().filter(|(key, _)| key == "state").map(|(_, v)| v.clone()));
        }
        assert_eq!(&found, states, "{name}");
    }
}

#[test]
fn the_exporters_for_keepalived_have_their_types_and_labels() {
    let scraped = scrape(&full(), "scope=keepalived");
    for (name, family) in &scraped {
        let expected: &[&str] = match name.as_str() {
            "keepalived_up" => &[],
            "keepalived_script_status" | "keepalived_script_state" => &["name"],
            "keepalived_vrrp_state" | "keepalived_vrrp_excluded_state" => {
                &["iname", "intf", "vrid", "ip_address"]
            }
            name if name.ends_with("_total") => &["iname", "intf", "vrid"],
            _ => &["name", "intf", "vrid", "state"],
        };
        for (labels, _) in &family.samples {
            let keys: Vec<&str> = labels.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, expected, "{name}");
        }
        let counts = name.ends_with("_total") || expected.ends_with(&["vrid", "state"]);
        assert_eq!(family.kind, if counts { "counter" } else { "gauge" }, "{name}");
    }
}

#[test]
fn alert_rules_ask_for_what_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/vipd.rules.yml");
    let rules = std::fs::read_to_string(path).unwrap();
    let mut snapshot = full();
    snapshot.routers.extend(status_render::snapshot().routers.into_iter().skip(2));
    let scraped = scrape(&snapshot, "scope=vipd");
    let words = rules
        .lines()
        .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("vipd_")).collect();
    assert!(asked.len() > 15, "{asked:?}");
    let unknown: Vec<&&str> = asked.iter().filter(|name| !scraped.contains_key(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
