//! What a load balancer is told, and by which status of HTTP.

use vipd::page::healthz;
use vipd::status::{AdmissionStatus, Snapshot, State, Traffic};

use super::served::page;
use crate::health::faults::well;
use crate::unprivileged::{Vipd, published};

fn says(snapshot: &Snapshot, query: &str) -> (u16, String) {
    let answer = healthz(snapshot, query);
    (answer.status, answer.line)
}

fn answer(status: u16, line: &str) -> (u16, String) {
    (status, line.to_owned())
}

#[test]
fn a_node_is_asked_as_a_whole_or_for_a_router_or_a_listener() {
    let mut node = well();
    let whole = "OK: lb1 is MASTER for 10.0.0.10; writers go to pg-1";
    assert_eq!(says(&node, ""), answer(200, whole));
    assert_eq!(says(&node, "master=VI_1"), answer(200, "VI_1 is MASTER for 10.0.0.10"));
    assert_eq!(says(&node, "listener=write"), answer(200, "write goes to pg-1"));
    let both = "VI_1 is MASTER for 10.0.0.10; read goes to pg-2, pg-3";
    assert_eq!(says(&node, "master=VI_1&listener=read"), answer(200, both));

    // What other clients lack is no matter of a listener.
    node.listeners[1].serves = false;
    node.listeners[1].reason = "no usable replica".into();
    node.listeners[1].servers.iter_mut().for_each(|server| server.takes = false);
    let cannot = "cannot serve: clients of read wait: no usable replica";
    assert_eq!(says(&node, ""), answer(503, cannot));
    assert_eq!(says(&node, "listener=write").0, 200);
    let wait = "clients of read wait: no usable replica";
    assert_eq!(says(&node, "listener=read"), answer(503, wait));
    assert_eq!(says(&node, "listener=write&listener=read").0, 503);
}

#[test]
fn a_master_is_only_who_has_the_addresses() {
    for (state, status) in [
        (State::Master, 200),
        (State::Backup, 503),
        (State::Fault, 503),
        // It has resigned.
        (State::Leaving, 503),
    ] {
        let mut node = well();
        node.routers[0].state = state;
        assert_eq!(says(&node, "master=VI_1").0, status, "{state}");
    }
    let mut node = well();
    (node.routers[0].state, node.routers[0].drained) = (State::Fault, true);
    assert_eq!(says(&node, "").0, 503);
    assert_eq!(says(&node, "listener=write").0, 200);
}

#[test]
fn a_listener_serves_who_comes_next_or_does_not() {
    let mut node = well();
    node.clusters[0].members[2].admission = AdmissionStatus::Down;
    node.listeners[1].servers[2].takes = false;
    assert_eq!(says(&node, "listener=read"), answer(200, "read goes to pg-2"));
    assert!(says(&node, "").1.starts_with("DEGRADED: "), "{:?}", says(&node, ""));
    assert_eq!(says(&node, "").0, 200);
    // All are full: who comes next waits.
    node.listeners[1].servers[1].takes = false;
    let full = "read goes to nobody: its servers are full";
    assert_eq!(says(&node, "listener=read"), answer(503, full));
    let failure = Some("listen on 0.0.0.0:5001 for read: Address already in use".to_owned());
    node.listeners[1].traffic = Some(Traffic { failure, ..Traffic::default() });
    let (status, line) = says(&node, "listener=read");
    assert!(status == 503 && line.starts_with("read is not open: cannot listen"), "{line}");
}

#[test]
fn a_name_nobody_has_and_a_question_that_is_none_are_told_apart() {
    let mut node = well();
    node.listeners[0].name = "a b&c".into();
    for (query, status, line) in [
        ("master=VI_2", 404, "no virtual router is called \"VI_2\"; there are: VI_1"),
        ("listener=x", 404, "no listener is called \"x\"; there are: a b&c, read"),
        ("listener=", 404, "no listener is called \"\"; there are: a b&c, read"),
        ("listener=a+b%26c", 200, "a b&c goes to pg-1"),
        ("listener=a%20b%26c", 200, "a b&c goes to pg-1"),
        ("role=x", 400, "\"role\" is no question; master=ROUTER and listener=NAME are"),
        ("master=VI_2&role=x", 400, "\"role\" is no question; master=ROUTER and listener=NAME are"),
    ] {
        assert_eq!(says(&node, query), answer(status, line), "{query}");
    }
    node.routers.clear();
    let none = "no virtual router is called \"VI_1\"; there is none";
    assert_eq!(says(&node, "master=VI_1"), answer(404, none));
}

#[test]
fn it_is_asked_for_beside_the_page_with_its_password_and_by_head() {
    // Nobody answers behind the published file.
    let vipd = Vipd::start(&published());
    let body = vipd.get(7000, "/healthz", 503).body;
    assert!(body.starts_with("cannot serve: writers wait: "), "{body}");
    assert_eq!(body.matches('\n').count(), 1, "{body}");
    let body = vipd.get(7000, "/healthz?listener=nobody", 404).body;
    assert_eq!(body, "no listener is called \"nobody\"; there are: pg_primary, pg_replicas\n");
    vipd.get(7000, "/healthz?master=x", 404);
    vipd.get(7000, "/healthz?x", 400);
    let head = vipd.request(7000, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (503, ""));
    assert!(head.head.contains("content-type: text/plain"), "{}", head.head);

    let vipd = Vipd::start(&page(" bind HOST:7000\n stats uri /stats\n stats auth x:y\n"));
    assert_eq!(vipd.get(7000, "/stats/healthz", 401).body, "a user and a password are needed\n");
    let with = |path: &str| {
        let head = "Host: x\r\nAuthorization: Basic eDp5";
        vipd.request(7000, &format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n")).status
    };
    assert_eq!(with("/stats/healthz?listener=nobody"), 404);
    assert_eq!(with("/healthz"), 404);
}
