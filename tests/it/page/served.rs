//! Status pages over sockets: a whole daemon without rights, as a browser or an attacker meets it.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use vipd::api::page::{MOST_CONNECTIONS, Page, Source, serve, site};
use vipd::api::protocol::{Request, Response};
use vipd::api::server::{Client, Host};
use vipd::lab::deadline::eventually;
use vipd::page::Look;
use vipd::status::Snapshot;

use crate::unprivileged::{Vipd, published};

/// Generous: compilers may run beside.
pub(super) const SOON: Duration = Duration::from_secs(20);

impl Vipd {
    /// The answer to GET, once there is one with this status.
    pub(super) fn get(&self, port: u16, path: &str, status: u16) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let what = format!("{status} of {path} at port {port}");
        let look = || match ask(self.at(port), &request) {
            Ok(answer) if answer.status == status => Ok(answer),
            other => Err(format!("{other:?}\n{}", self.log())),
        };
        eventually(SOON, what, look).unwrap()
    }

    /// The answer to a request.
    pub(super) fn request(&self, port: u16, request: &str) -> Answer {
        ask(self.at(port), request).unwrap()
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    Ok(stream)
}

/// One request and everything that comes back.
fn ask(to: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = connect(to)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // A request that is not read to its end is answered all the same.
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => return Err(error),
        _ => {}
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(ErrorKind::InvalidData)?;
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// A listener and a page with these lines.
pub(super) fn page(lines: &str) -> String {
    format!(
        "listen pg\n mode tcp\n timeout connect 4s\n bind HOST:5000\n \
         server a 127.0.0.1:1 check\nlisten stats\n mode http\n{lines}"
    )
}

/// Every path of keys in a JSON value.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                keys(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| keys(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_page_of_a_published_haproxy_cfg_shows_what_the_status_shows() {
    let vipd = Vipd::start(&published());
    let html = vipd.get(7000, "/", 200);
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; style-src 'unsafe-inline'",
    ] {
        assert!(html.head.contains(header), "{header}: {}", html.head);
    }
    let binds = [5000, 5001].map(|port| vipd.at(port).to_string());
    for text in ["pg_primary", "pg_replicas", "pg-node-3", "writers wait", &binds[0], &binds[1]] {
        assert!(html.body.contains(text), "{text}: {}", html.body);
    }
    assert!(html.body.contains("<meta http-equiv=refresh content=\"5\">"), "{}", html.body);

    let json = vipd.get(7000, "/status.json", 200);
    assert!(json.head.contains("content-type: application/json"), "{}", json.head);
    let (mut shown, mut printed) = (BTreeSet::new(), BTreeSet::new());
    let json: Value = serde_json::from_str(&json.body).unwrap();
    keys(&json, "", &mut shown);
    let status: Value = serde_json::from_str(&vipd.command(&["status", "--json"])).unwrap();
    keys(&status, "", &mut printed);
    assert_eq!(shown, printed);
    assert_eq!(json["pages"][0]["bind"], vipd.at(7000).to_string());
    assert_eq!(json["pages"][0]["failure"], Value::Null);

    let ask = |request: &str| ask(vipd.at(7000), request).unwrap();
    let head = ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(!head.head.contains("content-length: 0"), "{}", head.head);
    for path in ["/x", "/index.html", "/../status.json", "//", "/status.json/"] {
        let answer = ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(answer.status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer =
            ask(&format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"));
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("\r\nallow: get,head"), "{}", answer.head);
    }
}

#[test]
fn metrics_are_beside_a_page_and_where_prometheus_looks() {
    let vipd = Vipd::start(&page(" bind HOST:7000\n stats uri /stats\n"));
    let all = vipd.get(7000, "/metrics", 200);
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(
        all.head.contains(kind) && all.head.contains("cache-control: no-store"),
        "{}",
        all.head
    );
    for name in ["vipd_build_info", "haproxy_process_uptime_seconds", "haproxy_frontend_status"] {
        assert!(all.body.contains(&format!("# TYPE {name} gauge\n{name}")), "{name}: {}", all.body);
    }
    assert!(
        all.body.contains("haproxy_server_weight{proxy=\"pg\",server=\"a\"} 1\n"),
        "{}",
        all.body
    );
    let server = vipd.get(7000, "/stats/metrics?scope=server", 200).body;
    let types: Vec<&str> = server.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(types.len() > 10, "{server}");
    assert!(types.iter().all(|name| name.starts_with("haproxy_server_")), "{types:?}");
    let wrong = vipd.get(7000, "/metrics?scope=servers", 400);
    assert!(wrong.body.contains("there is no such scope"), "{wrong:?}");
    let open = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0,\
                text/plain;version=0.0.4;q=0.5\r\n\r\n";
    let open = ask(vipd.at(7000), open).unwrap();
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(open.head.contains(kind) && open.body.ends_with("\n# EOF\n"), "{open:?}");
}

#[test]
fn a_port_for_metrics_has_nothing_else() {
    let vipd = Vipd::start(&page(
        " bind HOST:7000\n stats uri /stats\n stats auth ops:secret\n \
         http-request use-service prometheus-exporter if { path /metrics }\n\
         frontend prom\n mode http\n bind HOST:7001\n \
         http-request use-service prometheus-exporter if { path /prom }\n",
    ));
    assert!(vipd.get(7001, "/prom", 200).body.contains("\nvipd_build_info{"));
    for path in ["/", "/metrics", "/prom/", "/status.json", "/prom/status.json"] {
        let answer = vipd.get(7001, path, 404);
        assert_eq!(answer.body, "nothing is here; the metrics are at /prom\n");
    }
    // As in HAProxy, whose `stats auth` is about the page.
    assert!(vipd.get(7000, "/metrics", 200).body.contains("\nvipd_build_info{"));
    for path in ["/stats", "/stats/status.json", "/metrics/", "//metrics", "/elsewhere"] {
        vipd.get(7000, path, 401);
    }
    assert!(vipd.log().contains(&format!("metrics are served at http://{}/prom", vipd.at(7001))));
}

#[test]
fn who_has_no_password_sees_nothing() {
    let vipd = Vipd::start(&page(
        " bind HOST:7000\n stats uri /stats\n stats auth ops:open:sesame\n stats auth x:y\n",
    ));
    for path in ["/stats", "/stats/status.json", "/stats/metrics", "/metrics", "/elsewhere"] {
        let answer = vipd.get(7000, path, 401);
        let asks = answer.head.contains("\r\nwww-authenticate: basic realm=\"vipd\"");
        assert!(asks && !answer.body.contains("pg"), "{answer:?}");
    }
    let with = |path: &str, credentials: &str| {
        let header = format!("Authorization: {credentials}\r\n");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        ask(vipd.at(7000), &request).unwrap().status
    };
    // ops:open:sesame, x:y
    for right in ["Basic b3BzOm9wZW46c2VzYW1l", "basic eDp5"] {
        assert_eq!(with("/stats", right), 200);
        assert_eq!(with("/stats/", right), 200);
        assert_eq!(with("/stats/status.json", right), 200);
        assert_eq!(with("/", right), 404);
    }
    // ops:open, ops:y, nothing, another scheme, no scheme
    let asked = Instant::now();
    for wrong in ["Basic b3BzOm9wZW4=", "Basic b3BzOnk=", "Basic ", "Bearer eDp5", "eDp5", "é"] {
        assert_eq!(with("/stats", wrong), 401, "{wrong}");
    }
    let each = asked.elapsed() / 6;
    assert!(each >= Duration::from_millis(900), "passwords can be tried every {each:?}");
}

#[test]
fn slow_clients_are_in_nobodys_way() {
    let vipd = Vipd::start(&page(" bind HOST:7000\n stats uri /\n"));
    vipd.get(7000, "/", 200);
    let slow = || {
        let mut stream = connect(vipd.at(7000)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        stream
    };
    let streams: Vec<TcpStream> = (0..MOST_CONNECTIONS * 3).map(|_| slow()).collect();
    vipd.get(7000, "/", 200);
    // Nobody keeps a connection by sending nothing more.
    let from = Instant::now();
    for mut stream in streams {
        let end = stream.read_to_end(&mut Vec::new());
        let late = matches!(&end, Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(!late, "{end:?}");
    }
    assert!(from.elapsed() < SOON);
    // Nor by a byte now and then.
    let mut dripping = slow();
    let what = "the end of a connection that drips";
    eventually(SOON, what, || dripping.write_all(b"x").and_then(|()| dripping.flush()).is_err())
        .unwrap();
}

#[test]
fn a_flood_is_in_the_way_of_its_own_source_alone() {
    let vipd = Vipd::start(&page(" bind HOST:7000\n stats uri /\n"));
    vipd.get(7000, "/", 200);
    let elsewhere = || -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 9], 0)).into())?;
        socket.connect(&vipd.at(7000).into())?;
        socket.set_read_timeout(Some(SOON))?;
        Ok(socket.into())
    };
    // Again if the machine was slower than a request may be.
    eventually(SOON, "a slow client to be answered during a flood", || {
        let mut slow = elsewhere().map_err(|error| error.to_string())?;
        slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
        let flood: Vec<_> = (0..MOST_CONNECTIONS * 3).map(|_| connect(vipd.at(7000))).collect();
        vipd.get(7000, "/", 200);
        let mut answer = String::new();
        let read = slow.write_all(b"\r\n").and_then(|()| slow.read_to_string(&mut answer));
        drop(flood);
        if answer.starts_with("HTTP/1.1 200 OK") { Ok(()) } else { Err(format!("{read:?}")) }
    })
    .unwrap();
}

/// A daemon that does not answer itself.
struct Mute;

impl Host for Mute {
    fn complete(&self, _: &mut Snapshot) {}

    fn permits(&self, _: Client, _: &Request) -> Result<(), String> {
        Ok(())
    }

    fn accepted(&self, _: &Request, response: Response) -> Response {
        response
    }
}

#[test]
fn a_daemon_that_gives_no_status_is_said_to_give_none() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let (asks, _unanswered) = tokio::sync::mpsc::channel(1);
            let source = Arc::new(Source::new(asks, Arc::new(Mute)));
            let look = Look { refresh: Some(Duration::from_secs(5)), json: "/status.json".into() };
            let path = "/".into();
            let (only_metrics, open_metrics) = (false, false);
            let page = Page { path, only_metrics, open_metrics, look, users: vec![] };
            let (_keep, site) = tokio::sync::watch::channel(site(&page, source));
            serve(listener, site, Arc::default()).await
        })
    });
    let at = told.recv_timeout(SOON).unwrap();
    let html = ask(at, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(html.status, 503);
    let text = "no status: the control loop does not answer";
    assert!(html.body.contains(text) && html.body.contains("http-equiv=refresh"), "{html:?}");
    let json = ask(at, "GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let expected = "{\"error\":\"the control loop does not answer\"}\n";
    assert_eq!((json.status, json.body.as_str()), (503, expected));
    let metrics = ask(at, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(metrics.status, 503);
    assert_eq!(metrics.body, "# no status: the control loop does not answer\n");
}

#[test]
fn nonsense_is_answered_or_ended_and_the_daemon_goes_on() {
    let vipd = Vipd::start(&page(" bind HOST:7000\n stats uri /\n"));
    vipd.get(7000, "/", 200);
    let long = "x".repeat(9000);
    let many: String = (0..150).map(|n| format!("X-{n}: {n}\r\n")).collect();
    for (request, expected) in [
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
        ("GET /?a=b&c HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 200),
        ("CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431),
        ("GET / HTTP/1.1\r\nHost x\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}hello, TLS\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 0),
    ] {
        let answer = ask(vipd.at(7000), &request).map(|answer| answer.status);
        let request: String = request.chars().take(60).collect();
        assert_eq!(answer.unwrap_or(0), expected, "{request:?}\n{}", vipd.log());
    }
    vipd.get(7000, "/", 200);
}

#[test]
fn a_reload_moves_a_page_and_leaves_the_others_alone() {
    let two = |port: u16, lines: &str| {
        page(&format!(
            " bind HOST:{port}\n stats uri /\n{lines}listen other\n mode http\n bind HOST:7009\n \
             stats uri /other\n"
        ))
    };
    let vipd = Vipd::start(&two(7000, ""));
    vipd.get(7000, "/", 200);
    vipd.get(7009, "/other", 200);
    // One whose request is under way.
    let mut under_way = connect(vipd.at(7009)).unwrap();
    under_way.write_all(b"GET /other HTTP/1.1\r\n").unwrap();
    vipd.reload(&two(7001, ""));
    vipd.get(7001, "/", 200);
    under_way.write_all(b"Host: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let closed = || ask(vipd.at(7000), "GET / HTTP/1.1\r\n\r\n").map_err(|e| e.kind());
    eventually(SOON, "the old port to be closed", || match closed() {
        Err(ErrorKind::ConnectionRefused) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .unwrap();
    // What is no matter of the port changes under it.
    vipd.reload(&two(7001, " stats auth a:b\n"));
    vipd.get(7001, "/", 401);
    vipd.reload(&page(" bind HOST:7001\n stats uri /new\n"));
    vipd.get(7001, "/new", 200);
    vipd.get(7001, "/", 404);
    let opened = vipd.log().matches(&format!("http://{}/", vipd.at(7001))).count();
    assert_eq!(opened, 1, "{}", vipd.log());
}

#[test]
fn a_port_in_use_is_said_and_taken_when_it_is_free() {
    let config = page(" bind HOST:7000\n stats uri /\n bind HOST:7001\n");
    let vipd = Vipd::start(&config);
    vipd.get(7000, "/", 200);
    let taken = TcpListener::bind(vipd.at(7002)).unwrap();
    vipd.reload(&config.replace(":7001", ":7002"));
    let status =
        || -> Value { serde_json::from_str(&vipd.command(&["status", "--json"])).unwrap() };
    let look = || match status()["pages"][1]["failure"].as_str() {
        Some(why) if why.contains("Address already in use") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually(SOON, "the status to say so", look).unwrap();
    let said = format!("cannot listen on {} for page stats: Address already in use", vipd.at(7002));
    assert!(vipd.log().contains(&said), "{}", vipd.log());
    let shown = || match vipd.get(7000, "/", 200).body {
        body if body.contains("page stats is not open: cannot listen") => Ok(()),
        body => Err(body),
    };
    eventually(SOON, "the other page to say so", shown).unwrap();
    drop(taken);
    vipd.get(7002, "/", 200);
    assert_eq!(vipd.log().matches(&said).count(), 1, "{}", vipd.log());
}
