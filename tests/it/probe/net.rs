//! Checks that ask over a network: what passes, and how the ways of failing are told apart.

use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use vipd::config::checks::{
    Check, Endpoint, HaproxyCheck, HaproxyPage, HaproxyStats, HttpCheck, HttpTarget, MaxLag,
    PatroniCheck, PatroniRole, PostgresCheck, ProxySide, TcpCheck, Tls, Trust,
};
use vipd::probe::resolve::Resolver;
use vipd::probe::{Probe, ProbeContext};
use vipd::track::outcome::{Cause, Outcome, Verdict};
use vipd::types::Identity;

use super::server::{Manner, Server, nobody, pem};
use super::{SOON, run};

const OK: Manner = Manner::Says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n");

fn target(endpoint: Endpoint, tls: Option<Tls>) -> HttpTarget {
    HttpTarget { endpoint, tls, host: None, headers: Vec::new() }
}

fn http(target: HttpTarget) -> HttpCheck {
    HttpCheck {
        target,
        method: Method::GET,
        path: "/health?full".parse().unwrap(),
        expect: "200-299".parse().unwrap(),
        body_contains: None,
    }
}

async fn ask_with(resolver: Resolver, check: &Check, timeout: Duration) -> Outcome {
    Probe::new(check, &ProbeContext::new(resolver).unwrap()).run(timeout).await
}

async fn ask(check: Check) -> Outcome {
    ask_with(Resolver::default(), &check, SOON).await
}

async fn get(endpoint: Endpoint) -> Outcome {
    ask(Check::Http(http(target(endpoint, None)))).await
}

#[track_caller]
fn failed(outcome: &Outcome, cause: Cause, said: &str) {
    assert_eq!(outcome.verdict, Verdict::Failed(cause), "{outcome:?}");
    assert!(outcome.detail.contains(said), "{outcome:?}");
}

#[test]
fn a_connection_is_enough_for_tcp() {
    run(async {
        let server = Server::start(Manner::Silent).await;
        let outcome = ask(Check::Tcp(TcpCheck { endpoint: server.endpoint(), tls: None })).await;
        assert_eq!(outcome.verdict, Verdict::Passed);
        let endpoint = nobody().await;
        let outcome = ask(Check::Tcp(TcpCheck { endpoint: endpoint.clone(), tls: None })).await;
        failed(&outcome, Cause::Refused, &endpoint.to_string());
    });
}

#[test]
fn an_http_request_says_what_the_check_says() {
    run(async {
        let server = Server::start(OK).await;
        let outcome = get(server.endpoint()).await;
        assert_eq!((outcome.verdict, &*outcome.detail), (Verdict::Passed, "status 200"));
        let version = env!("CARGO_PKG_VERSION");
        let plain = format!(
            "GET /health?full HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nuser-agent: vipd/{version}\r\n\
             accept: */*\r\nconnection: close\r\n\r\n",
            server.port
        );
        assert_eq!(server.asked(), [plain]);

        let mut check = http(target(server.endpoint(), None));
        check.method = Method::OPTIONS;
        check.target.host = Some(HeaderValue::from_static("db.example.org"));
        check.target.headers =
            vec![(HeaderName::from_static("x-probe"), HeaderValue::from_static("vipd"))];
        assert_eq!(ask(Check::Http(check)).await.verdict, Verdict::Passed);
        let asked = server.asked().pop().unwrap();
        assert!(asked.starts_with("OPTIONS /health?full HTTP/1.1\r\nhost: db.example.org\r\n"));
        assert!(asked.contains("\r\nx-probe: vipd\r\n"), "{asked}");
    });
}

#[test]
fn status_and_body_decide() {
    run(async {
        let server = Server::start(Manner::Says("HTTP/1.0 503 No\r\n\r\nstarting")).await;
        failed(&get(server.endpoint()).await, Cause::WrongAnswer, "status 503, not 200-299");
        let mut check = http(target(server.endpoint(), None));
        check.expect = "200,503".parse().unwrap();
        check.body_contains = Some("start".to_owned());
        assert_eq!(ask(Check::Http(check.clone())).await.verdict, Verdict::Passed);
        check.body_contains = Some("ready".to_owned());
        let lacks = "status 503, but the body lacks \"ready\"";
        failed(&ask(Check::Http(check)).await, Cause::WrongAnswer, lacks);

        // A redirection is an answer, and nobody goes there.
        let moved = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
        let server = Server::start(Manner::Says(moved)).await;
        failed(&get(server.endpoint()).await, Cause::WrongAnswer, "status 302");
        assert_eq!(server.asked().len(), 1);
    });
}

#[test]
fn a_body_without_end_is_cut() {
    run(async {
        let endless = Manner::SaysForever("HTTP/1.1 200 OK\r\n\r\nand so on ");
        let server = Server::start(endless).await;
        let outcome = get(server.endpoint()).await;
        assert_eq!(outcome.verdict, Verdict::Passed, "{outcome:?}");
        assert!(outcome.took < SOON / 2, "{outcome:?}");
    });
}

#[test]
fn the_ways_of_failing_are_told_apart() {
    run(async {
        failed(&get(nobody().await).await, Cause::Refused, "127.0.0.1:");
        let server = Server::start(Manner::Closes).await;
        failed(&get(server.endpoint()).await, Cause::Unreachable, "closed the connection");
        let server = Server::start(Manner::Resets).await;
        failed(&get(server.endpoint()).await, Cause::Unreachable, "Connection reset by peer");
        let server = Server::start(Manner::Says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n")).await;
        failed(&get(server.endpoint()).await, Cause::Unreachable, "before its answer was complete");
        let server = Server::start(Manner::Says("SSH-2.0-OpenSSH_9.2p1\r\n")).await;
        failed(&get(server.endpoint()).await, Cause::WrongAnswer, "does not speak HTTP");
        let unresolved = get("no-such-host.invalid:80".parse_endpoint()).await;
        failed(&unresolved, Cause::Resolve, "no-such-host.invalid: ");
    });
}

#[test]
fn one_deadline_holds_for_the_whole_request() {
    // A busy machine takes a third of that to read its certificates.
    const LIMIT: Duration = Duration::from_secs(1);
    run(async {
        for manner in [
            Manner::Silent,
            Manner::Trickles("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            Manner::Trickles("HTTP/1.1 200 OK\r\nServer: slow\r\n\r\n"),
        ] {
            let server = Server::start(manner).await;
            let began = Instant::now();
            let check = Check::Http(http(target(server.endpoint(), None)));
            let outcome = ask_with(Resolver::default(), &check, LIMIT).await;
            let waiting =
                format!("no answer while waiting for the answer of {}", server.endpoint());
            failed(&outcome, Cause::TimedOut, &waiting);
            assert!(began.elapsed() >= LIMIT && began.elapsed() < LIMIT * 4, "{outcome:?}");
        }
        // A server that accepts and never speaks TLS.
        let server = Server::start(Manner::Silent).await;
        let check = Check::Http(http(target(server.endpoint(), Some(Tls::default()))));
        let outcome = ask_with(Resolver::default(), &check, LIMIT).await;
        failed(&outcome, Cause::TimedOut, "no answer while agreeing on TLS");
    });
}

#[test]
fn every_address_of_a_name_gets_its_turn() {
    run(async {
        let server = Server::start(OK).await;
        let resolver = Resolver::with(SOON, |_| {
            Ok(vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()])
        });
        let check = Check::Http(http(target(server.called("db"), None)));
        let outcome = ask_with(resolver, &check, SOON).await;
        assert_eq!(outcome.verdict, Verdict::Passed, "{outcome:?}");
        let expected = format!("host: db:{}\r\n", server.port);
        assert!(server.asked()[0].contains(&expected));
        let lost = Resolver::with(SOON, |_| Err(io::Error::other("no such name")));
        failed(&ask_with(lost, &check, SOON).await, Cause::Resolve, "db: no such name");
    });
}

fn tls(trust: Trust) -> Tls {
    Tls { trust, ..Tls::default() }
}

#[test]
fn a_certificate_must_be_vouched_for_valid_and_of_that_name() {
    run(async {
        let server = Server::with_tls(OK, "server", false).await;
        let own = || Trust::File(pem("authority.pem"));
        let ask = |endpoint, tls: Tls| ask(Check::Http(http(target(endpoint, Some(tls)))));
        let passed = ask(server.endpoint(), tls(own())).await;
        assert_eq!(passed.verdict, Verdict::Passed, "{passed:?}");
        assert_eq!(ask(server.called("localhost"), tls(own())).await.verdict, Verdict::Passed);

        let stranger = ask(server.endpoint(), tls(Trust::File(pem("stranger.pem")))).await;
        failed(&stranger, Cause::Tls, "UnknownIssuer");
        failed(&ask(server.endpoint(), tls(Trust::System)).await, Cause::Tls, "UnknownIssuer");
        let anyone = ask(server.endpoint(), tls(Trust::Anyone)).await;
        assert_eq!(anyone.verdict, Verdict::Passed, "{anyone:?}");

        let named = |name: &str| Tls { server_name: Some(name.parse().unwrap()), ..tls(own()) };
        assert_eq!(ask(server.endpoint(), named("db.example.org")).await.verdict, Verdict::Passed);
        let other = ask(server.endpoint(), named("web.example.org")).await;
        failed(&other, Cause::Tls, "not valid for name \"web.example.org\"");

        let expired = Server::with_tls(OK, "expired", false).await;
        failed(&ask(expired.endpoint(), tls(own())).await, Cause::Tls, "expired");
        let plain = Server::start(Manner::Says("HTTP/1.0 400 Bad Request\r\n\r\n")).await;
        failed(&ask(plain.endpoint(), tls(own())).await, Cause::Tls, "does it speak TLS at all?");
    });
}

#[test]
fn a_client_shows_its_certificate() {
    run(async {
        let server = Server::with_tls(OK, "server", true).await;
        let trust = || Trust::File(pem("authority.pem"));
        let ask = |tls: Tls| ask(Check::Http(http(target(server.endpoint(), Some(tls)))));
        failed(&ask(tls(trust())).await, Cause::Tls, "CertificateRequired");
        let identity = |certificate: &str, key: &str| {
            Some(Identity { certificate: pem(certificate), key: pem(key) })
        };
        let with = |identity| Tls { identity, ..tls(trust()) };
        let outcome = ask(with(identity("client.pem", "client.key"))).await;
        assert_eq!(outcome.verdict, Verdict::Passed, "{outcome:?}");
        let outcome = ask(with(identity("client.pem", "absent.key"))).await;
        failed(&outcome, Cause::CannotRun, "absent.key: No such file or directory");
        let outcome = ask(with(identity("client.key", "client.key"))).await;
        failed(&outcome, Cause::CannotRun, "client.key has no certificate in it");
        let outcome = ask(with(identity("client.pem", "server.key"))).await;
        failed(&outcome, Cause::CannotRun, "client.pem and ");
        let outcome = ask(tls(Trust::File(pem("absent.pem")))).await;
        failed(&outcome, Cause::CannotRun, "absent.pem: No such file or directory");
    });
}

#[test]
fn patroni_is_asked_for_the_role() {
    run(async {
        let leader = Server::start(Manner::Says(
            "HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\nContent-Type: \
             application/json\r\n\r\n{\"state\": \"running\", \"role\": \"master\", \"timeline\": 4, \
             \"patroni\": {\"version\": \"3.0.2\", \"scope\": \"main\"}}",
        ))
        .await;
        let check = |role| {
            Check::Patroni(PatroniCheck {
                target: target(leader.endpoint(), None),
                role,
                tags: Vec::new(),
            })
        };
        let outcome = ask(check(PatroniRole::Primary)).await;
        assert_eq!(outcome.verdict, Verdict::Passed);
        assert_eq!(outcome.detail, "master, running, timeline 4");
        let lag = MaxLag { bytes: Some(1_000_000), time: None };
        let outcome = ask(check(PatroniRole::Replica(lag))).await;
        failed(&outcome, Cause::WrongAnswer, "master, running, not replica");
        let paths: Vec<_> =
            leader.asked().iter().map(|asked| asked.lines().next().unwrap().to_owned()).collect();
        assert_eq!(paths, ["GET /primary HTTP/1.1", "GET /replica?lag=1000000 HTTP/1.1"]);
    });
}

const STATISTICS: &str = "# pxname,svname,status,act,bck,\npg,FRONTEND,OPEN,,,\n\
                          pg,BACKEND,UP,1,0,\nmail,BACKEND,DOWN,0,0,\n\n";

#[test]
fn haproxy_is_asked_over_its_socket_or_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("haproxy.sock");
    run(async {
        let ask = |stats, proxy: &str| {
            ask(Check::Haproxy(HaproxyCheck {
                stats,
                proxy: proxy.to_owned(),
                side: ProxySide::Every,
                min_servers: NonZeroU32::MIN,
            }))
        };
        let socket = || HaproxyStats::Socket(path.clone());
        failed(&ask(socket(), "pg").await, Cause::Unreachable, "haproxy.sock: No such file");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut command = [0; 100];
                let count = stream.read(&mut command).await.unwrap();
                assert_eq!(&command[..count], b"show stat -1 3 -1\n");
                stream.write_all(STATISTICS.as_bytes()).await.unwrap();
            }
        });
        let outcome = ask(socket(), "pg").await;
        assert_eq!(outcome.verdict, Verdict::Passed);
        assert_eq!(outcome.detail, "frontend OPEN, backend UP with 1 server");
        failed(&ask(socket(), "mail").await, Cause::WrongAnswer, "backend DOWN");

        let text: &str = STATISTICS;
        let answer = Box::leak(format!("HTTP/1.0 200 OK\r\n\r\n{text}").into_boxed_str());
        let server = Server::start(Manner::Says(answer)).await;
        let page = |server: &Server| {
            HaproxyStats::Page(Box::new(HaproxyPage {
                target: target(server.endpoint(), None),
                path: "/stats".parse().unwrap(),
            }))
        };
        assert_eq!(ask(page(&server), "pg").await.verdict, Verdict::Passed);
        assert!(server.asked()[0].starts_with("GET /stats;csv;norefresh HTTP/1.1\r\n"));
        let locked = Server::start(Manner::Says("HTTP/1.0 401 Unauthorized\r\n\r\n")).await;
        failed(&ask(page(&locked), "pg").await, Cause::WrongAnswer, "status 401 instead of");
    });
}

#[test]
fn postgresql_answers_an_ssl_request() {
    run(async {
        let ask =
            |endpoint| ask(Check::Postgres(PostgresCheck { endpoint, user: None, tls: None }));
        let server = Server::start(Manner::Says("N")).await;
        let outcome = ask(server.endpoint()).await;
        assert_eq!((outcome.verdict, &*outcome.detail), (Verdict::Passed, "answers, without TLS"));
        assert_eq!(server.asked()[0].as_bytes()[..4], [0, 0, 0, 8]);
        let server = Server::start(Manner::Says("ESFATAL")).await;
        failed(&ask(server.endpoint()).await, Cause::WrongAnswer, "answers with an error");
        let server = Server::start(Manner::Says("HTTP/1.0 400 Bad Request\r\n\r\n")).await;
        failed(&ask(server.endpoint()).await, Cause::WrongAnswer, "does not speak PostgreSQL's");
        let server = Server::start(Manner::Closes).await;
        failed(&ask(server.endpoint()).await, Cause::Unreachable, "without an answer");
        failed(&ask(nobody().await).await, Cause::Refused, "");
        let hung = Server::start(Manner::Silent).await;
        let check =
            Check::Postgres(PostgresCheck { endpoint: hung.endpoint(), user: None, tls: None });
        let outcome = ask_with(Resolver::default(), &check, Duration::from_millis(200)).await;
        failed(&outcome, Cause::TimedOut, "waiting for the answer");
    });
}

/// A server that agrees to TLS must not find a connection broken off in the middle, which it logs.
#[test]
fn postgresql_that_agrees_to_tls_is_left_politely() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ended = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"S").await.unwrap();
            let acceptor = super::server::acceptor("server", false);
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut rest = Vec::new();
            // An end without a goodbye would be an error.
            stream.read_to_end(&mut rest).await.unwrap();
            rest
        });
        let endpoint = address.to_string().parse_endpoint();
        let outcome = ask(Check::Postgres(PostgresCheck { endpoint, user: None, tls: None })).await;
        assert_eq!((outcome.verdict, &*outcome.detail), (Verdict::Passed, "answers, with TLS"));
        assert_eq!(ended.await.unwrap(), b"");
    });
}

trait ParseEndpoint {
    fn parse_endpoint(&self) -> Endpoint;
}

impl<T: AsRef<str>> ParseEndpoint for T {
    fn parse_endpoint(&self) -> Endpoint {
        Endpoint::parse(self.as_ref(), None).unwrap()
    }
}
