//! The same file and the same servers to HAProxy and to vipd: who is up?
//!
//! `tests/golden/haproxy-checks.expected` is the table of the answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use vipd::config::Config;
use vipd::engine::Engine;
use vipd::io::{Action, Input, KernelView, ProbeId};
use vipd::load::load;
use vipd::pool::{Admission, ListenerId, PoolView};
use vipd::probe::resolve::Resolver;
use vipd::probe::{PatroniClient, Probe, ProbeContext};
use vipd::types::Now;

use super::server::{acceptor, pem};
use super::{SOON, run};
use crate::expected::{OneFile, expect};

/// What a server does with a client.
#[derive(Clone, Copy)]
enum Act {
    /// Reads once.
    Read,
    Say(&'static [u8]),
    /// Stays connected and says nothing more.
    Stay,
    /// Resets the connection instead of closing it.
    Reset,
}
use Act::{Read, Reset, Say, Stay};

/// One server, and how a section asks it.
struct Case {
    name: &'static str,
    /// Lines of the section, separated by `;`.
    lines: &'static str,
    /// Words of its server line.
    server: &'static str,
    /// With TLS by this certificate.
    certificate: Option<&'static str>,
    acts: &'static [Act],
}

const fn plain(name: &'static str, lines: &'static str, acts: &'static [Act]) -> Case {
    Case { name, lines, server: "", certificate: None, acts }
}

const fn secure(
    name: &'static str,
    server: &'static str,
    certificate: &'static str,
    acts: &'static [Act],
) -> Case {
    Case { name, lines: "", server, certificate: Some(certificate), acts }
}

/// At the port of an API beside PostgreSQL's own, where Patroni would be.
const fn role(name: &'static str, lines: &'static str, acts: &'static [Act]) -> Case {
    Case { name, lines, server: "port PORT", certificate: None, acts }
}

const PG: &str = "option pgsql-check user checker";
const URL: &str = "option httpchk GET /alive;http-check expect status 200";
const TEXT: &str = "option httpchk GET /alive;http-check expect string good";
const SNI: &str =
    "option httpchk;http-check connect ssl sni db.example.org;http-check send meth GET uri /alive";
const OTHER_SNI: &str =
    "option httpchk;http-check connect ssl sni web.example.org;http-check send meth GET uri /alive";
const OK: Act = Say(b"HTTP/1.0 200 OK\r\n\r\n");
const PRIMARY: &str = "option httpchk GET /primary;http-check expect status 200";
const LEADER: &[u8] =
    b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"state\": \"running\", \
    \"role\": \"primary\", \"timeline\": 4, \"xlog\": {\"location\": 5}}";
const STANDBY: &[u8] =
    b"HTTP/1.0 503 No\r\nContent-Type: application/json\r\n\r\n{\"state\": \"running\", \
    \"role\": \"replica\", \"timeline\": 4, \"xlog\": {\"replayed_location\": 5}}";
const VERIFIED: &str = "check-ssl verify required ca-file authority.pem";

const CASES: &[Case] = &[
    plain("pgsql-check: trust", PG, &[Read, Say(b"R\0\0\0\x08\0\0\0\0")]),
    plain("pgsql-check: password", PG, &[Read, Say(b"R\0\0\0\x08\0\0\0\x03")]),
    plain("pgsql-check: md5", PG, &[Read, Say(b"R\0\0\0\x0c\0\0\0\x05salt"), Reset]),
    plain("pgsql-check: SCRAM", PG, &[Read, Say(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0")]),
    plain(
        "pgsql-check: refused by pg_hba.conf",
        PG,
        &[Read, Say(b"E\0\0\0\x2aSFATAL\0C28000\0Mno pg_hba.conf entry\0\0")],
    ),
    plain("pgsql-check: an unknown method", PG, &[Read, Say(b"R\0\0\0\x08\0\0\0\x0c")]),
    plain("pgsql-check: closed", PG, &[Read]),
    plain("pgsql-check: silent", PG, &[Read, Stay]),
    plain("pgsql-check: HTTP", PG, &[Read, Say(b"HTTP/1.0 400 Bad Request\r\n\r\n")]),
    Case {
        name: "pgsql-check: over TLS",
        lines: PG,
        server: "check-ssl verify none",
        certificate: Some("server"),
        acts: &[Read, Say(b"R\0\0\0\x08\0\0\0\0")],
    },
    secure("check-ssl alone: TLS", "check-ssl verify none", "server", &[Stay]),
    Case {
        name: "check-ssl alone: closes at once",
        lines: "",
        server: "check-ssl verify none",
        certificate: None,
        acts: &[Read],
    },
    Case {
        name: "check-ssl alone: accepts and is silent",
        lines: "",
        server: "check-ssl verify none",
        certificate: None,
        acts: &[Stay],
    },
    Case {
        name: "check-ssl alone: speaks HTTP",
        lines: "",
        server: "check-ssl verify none",
        certificate: None,
        acts: &[Read, Say(b"HTTP/1.0 400 Bad Request\r\n\r\n")],
    },
    secure("ca-file, any name", VERIFIED, "server", &[Stay]),
    secure(
        "ca-file of somebody else",
        "check-ssl verify required ca-file stranger.pem",
        "server",
        &[Stay],
    ),
    secure("expired", VERIFIED, "expired", &[Stay]),
    secure(
        "verify none with another's ca-file and another name",
        "check-ssl verify none ca-file stranger.pem verifyhost web.example.org",
        "server",
        &[Stay],
    ),
    secure(
        "verifyhost of the certificate",
        "check-ssl verify required ca-file authority.pem verifyhost db.example.org",
        "server",
        &[Stay],
    ),
    secure(
        "verifyhost of another",
        "check-ssl verify required ca-file authority.pem verifyhost web.example.org",
        "server",
        &[Stay],
    ),
    secure(
        "verifyhost in the subject alone",
        "check-ssl verify required ca-file authority.pem verifyhost SERVER",
        "server",
        &[Stay],
    ),
    secure(
        "check-sni of the certificate",
        "check-ssl verify required ca-file authority.pem check-sni db.example.org",
        "server",
        &[Stay],
    ),
    secure(
        "check-sni of another, though verifyhost fits",
        "check-ssl verify required ca-file authority.pem check-sni web.example.org verifyhost db.example.org",
        "server",
        &[Stay],
    ),
    secure(
        "check-sni fits, verifyhost is of another",
        "check-ssl verify required ca-file authority.pem check-sni db.example.org verifyhost web.example.org",
        "server",
        &[Stay],
    ),
    secure("certificate of version 1", VERIFIED, "version-1", &[Stay]),
    secure(
        "certificate of version 1, verifyhost",
        "check-ssl verify required ca-file authority.pem verifyhost version-1",
        "version-1",
        &[Stay],
    ),
    secure(
        "certificate of version 1 of another's",
        "check-ssl verify required ca-file stranger.pem",
        "version-1",
        &[Stay],
    ),
    secure("certificate of version 1, verify none", "check-ssl verify none", "version-1", &[Stay]),
    secure(
        "self-signed authority as its own ca-file",
        "check-ssl verify required ca-file own.pem",
        "own",
        &[Stay],
    ),
    secure(
        "self-signed authority, verifyhost",
        "check-ssl verify required ca-file own.pem verifyhost db.example.org",
        "own",
        &[Stay],
    ),
    secure(
        "self-signed authority, verifyhost of another",
        "check-ssl verify required ca-file own.pem verifyhost web.example.org",
        "own",
        &[Stay],
    ),
    secure(
        "certificate as its own ca-file, not self-signed",
        "check-ssl verify required ca-file server.pem",
        "server",
        &[Stay],
    ),
    Case {
        name: "http-check connect sni of the certificate",
        lines: SNI,
        server: "verify required ca-file authority.pem",
        certificate: Some("server"),
        acts: &[Read, OK],
    },
    Case {
        name: "http-check connect sni of another",
        lines: OTHER_SNI,
        server: "verify required ca-file authority.pem",
        certificate: Some("server"),
        acts: &[Read, OK],
    },
    plain("http: 200", URL, &[Read, OK]),
    plain("http: 503", URL, &[Read, Say(b"HTTP/1.0 503 No\r\n\r\n")]),
    plain(
        "http: 302 without expect",
        "option httpchk GET /alive",
        &[Read, Say(b"HTTP/1.0 302 Found\r\n\r\n")],
    ),
    plain(
        "http: body shorter than its length",
        URL,
        &[Read, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")],
    ),
    plain(
        "http: no body, then reset",
        URL,
        &[Read, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), Reset],
    ),
    plain(
        "http: stays connected",
        URL,
        &[Read, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), Stay],
    ),
    plain(
        "http: stays connected without a length",
        URL,
        &[Read, Say(b"HTTP/1.1 200 OK\r\n\r\nabc"), Stay],
    ),
    plain("http: answers before it reads", URL, &[OK]),
    plain("http: answers before it reads and resets", URL, &[OK, Reset]),
    plain("http: lines end in LF", URL, &[Read, Say(b"HTTP/1.0 200 OK\n\n")]),
    plain("http: no reason", URL, &[Read, Say(b"HTTP/1.0 200\r\n\r\n")]),
    plain("http: headers do not end", URL, &[Read, Say(b"HTTP/1.0 200 OK\r\nServer: x\r\n")]),
    plain("http: a header that is none", URL, &[Read, Say(b"HTTP/1.1 200 OK\r\nnone\r\n\r\n")]),
    plain(
        "http: a length that is none",
        URL,
        &[Read, Say(b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n")],
    ),
    plain(
        "http: two lengths",
        URL,
        &[Read, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")],
    ),
    plain("http: another protocol", URL, &[Read, Say(b"SSH-2.0-OpenSSH_9.2p1\r\n")]),
    plain("http: closed", URL, &[Read]),
    plain("http: silent", URL, &[Read, Stay]),
    role("GET /primary: Patroni's primary", PRIMARY, &[Read, Say(LEADER)]),
    role("GET /primary: Patroni's standby", PRIMARY, &[Read, Say(STANDBY)]),
    role("GET /primary: 200 without a body", PRIMARY, &[Read, OK]),
    role("GET /primary: 200 with a text", PRIMARY, &[Read, Say(b"HTTP/1.0 200 OK\r\n\r\nprimary\n")]),
    role("GET /primary: 200 with other JSON, cut", PRIMARY, &[
        Read,
        Say(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"primary\": true"),
        Reset,
    ]),
    role("GET /primary: 200 before it reads", PRIMARY, &[OK]),
    role("GET /primary: 503 without a body", PRIMARY, &[Read, Say(b"HTTP/1.0 503 No\r\n\r\n")]),
    role("GET /primary: 404", PRIMARY, &[Read, Say(b"HTTP/1.0 404 No\r\n\r\nno\n")]),
    role("GET /replica: 200 with a text", "option httpchk GET /replica?lag=1MB", &[
        Read,
        Say(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"),
    ]),
    role("OPTIONS /: 200 of an xinetd script", "option httpchk", &[
        Read,
        Say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nprimary\r\n"),
    ]),
    role("OPTIONS /: 503 of an xinetd script", "option httpchk", &[
        Read,
        Say(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nstandby\r\n"),
    ]),
    plain(
        "string: there, body cut",
        TEXT,
        &[Read, Say(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nall good")],
    ),
    plain(
        "string: there, stays connected",
        TEXT,
        &[Read, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nall good"), Stay],
    ),
    plain("string: there, status 500", TEXT, &[Read, Say(b"HTTP/1.0 500 No\r\n\r\nall good")]),
    plain("string: not there", TEXT, &[Read, Say(b"HTTP/1.0 200 OK\r\n\r\nall bad")]),
];

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, acts: &[Act]) -> bool {
    for act in acts {
        match act {
            Read => {
                if !matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
                    return false;
                }
            }
            Say(text) => {
                let _ = stream.write_all(text).await;
                let _ = stream.flush().await;
            }
            Stay => std::future::pending().await,
            Reset => return true,
        }
    }
    let _ = stream.shutdown().await;
    false
}

/// Starts the server of a case: its port.
async fn start(case: &'static Case) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = case.certificate.map(|certificate| acceptor(certificate, false));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(attend(stream, tls.clone(), case.acts));
        }
    });
    port
}

async fn attend(mut stream: TcpStream, tls: Option<TlsAcceptor>, acts: &[Act]) {
    match tls {
        None => {
            if serve(&mut stream, acts).await {
                stream.set_zero_linger().unwrap();
            }
        }
        Some(tls) => {
            if let Ok(mut stream) = tls.accept(stream).await {
                serve(&mut stream, acts).await;
            }
        }
    }
}

/// HAProxy with a file, ended with the test.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which of the sections' servers are up once each was asked.
async fn haproxy(dir: &Path, text: &str) -> BTreeMap<String, bool> {
    let socket = dir.join("socket");
    let file = dir.join("haproxy.cfg");
    let global = format!("global\n stats socket {}\n", socket.display());
    std::fs::write(&file, global + text).unwrap();
    let mut command = Command::new("haproxy");
    let command = command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null());
    let child = command.stderr(Stdio::null()).spawn().expect("haproxy: apt-get install haproxy");
    let _process = Haproxy(child);
    let deadline = Instant::now() + SOON * 2;
    let mut up: BTreeMap<String, bool> = BTreeMap::new();
    let mut settled = None;
    loop {
        let mut statistics = String::new();
        if let Ok(mut stream) = UnixStream::connect(&socket).await {
            stream.write_all(b"show stat -1 4 -1\n").await.unwrap();
            stream.read_to_string(&mut statistics).await.unwrap();
        }
        let rows = statistics.lines().skip(1).filter(|row| !row.is_empty());
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split(',').collect()).collect();
        // Columns 17 and 36: the status, and what the last check said.
        for row in &rows {
            let passed = row[17].starts_with("UP") && row[36].ends_with("OK");
            *up.entry(row[0].to_owned()).or_default() |= passed;
        }
        let asked = rows.iter().all(|row| !["", "INI", "* INI"].contains(&row[36]));
        if !rows.is_empty() && asked {
            // On a busy machine the first check of a good server may come too late for HAProxy.
            let settled = *settled.get_or_insert_with(Instant::now);
            if settled.elapsed() > Duration::from_secs(2) {
                return up;
            }
        }
        assert!(Instant::now() < deadline, "HAProxy's checks do not end: {statistics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The engine with its checks, until all have answered.
struct Shell {
    engine: Engine,
    began: Instant,
    context: ProbeContext,
    /// How many answers of each are waited for.
    probes: BTreeMap<ProbeId, u32>,
    names: BTreeMap<ListenerId, String>,
    views: BTreeMap<ListenerId, Arc<PoolView>>,
    /// What has answered.
    inbox: (mpsc::UnboundedSender<Said>, mpsc::UnboundedReceiver<Said>),
}

/// An answer on its way to the engine.
type Said = (ProbeId, Input<'static>);

impl Shell {
    fn new(config: Arc<Config>) -> Shell {
        let kernel = KernelView { links: Vec::new(), uptime: Duration::from_secs(100) };
        Shell {
            engine: Engine::new(config, kernel, Now::ZERO),
            began: Instant::now(),
            context: ProbeContext::new(Resolver::default()).unwrap(),
            probes: BTreeMap::new(),
            names: BTreeMap::new(),
            views: BTreeMap::new(),
            inbox: mpsc::unbounded_channel(),
        }
    }

    fn now(&self) -> Now {
        Now::from_start(self.began.elapsed())
    }

    fn act(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            let said = self.inbox.0.clone();
            match action {
                Action::Probe { probe, check, timeout } => {
                    self.probes.entry(probe).or_insert(1);
                    let mut running = Probe::new(&check, &self.context);
                    tokio::spawn(async move {
                        let outcome = running.run(timeout).await;
                        let _ = said.send((probe, Input::Probed { probe, outcome }));
                    });
                }
                Action::Ask { probe, question, timeout } => {
                    self.probes.entry(probe).or_insert(1);
                    let mut client = PatroniClient::new(question, &self.context);
                    tokio::spawn(async move {
                        let answer = client.ask(timeout).await;
                        let _ = said.send((probe, Input::Answered { probe, answer }));
                    });
                }
                Action::Cancel { probe } => drop(self.probes.remove(&probe)),
                Action::Listen { listener, config } => {
                    self.names.insert(listener, config.name().to_owned());
                }
                Action::Publish { listener, view } => drop(self.views.insert(listener, view)),
                _ => {}
            }
        }
    }

    async fn judged(mut self) -> BTreeMap<String, bool> {
        let deadline = Instant::now() + SOON * 2;
        self.act();
        while self.probes.values().any(|answers| *answers > 0) {
            assert!(Instant::now() < deadline, "the checks do not end");
            let due = self.engine.poll_deadline().map_or(SOON, |at| at.since(self.now()));
            let said = tokio::time::timeout(due, self.inbox.1.recv()).await;
            let now = self.now();
            match said {
                Ok(Some((probe, input))) => {
                    if let Some(answers) = self.probes.get_mut(&probe) {
                        *answers = answers.saturating_sub(1);
                    }
                    self.engine.handle(now, input);
                }
                _ => self.engine.handle(now, Input::Tick),
            }
            self.act();
        }
        let serves = |view: &PoolView| {
            let usable = |server: &&vipd::pool::Server| server.admission == Admission::Up;
            view.servers.iter().filter(usable).any(|server| view.admits(server.role))
        };
        let names = self.names.iter();
        names
            .map(|(id, name)| (name.clone(), self.views.get(id).is_some_and(|v| serves(v))))
            .collect()
    }
}

#[test]
fn vipd_takes_for_up_what_haproxy_does() {
    let dir = tempfile::tempdir().unwrap();
    let (haproxy, vipd) = run(async {
        let tls = pem("server.pem");
        let tls = tls.parent().unwrap().display();
        let mut text = format!(
            "global\n ca-base {tls}\ndefaults\n mode tcp\n timeout connect 3s\n \
             timeout client 1h\n timeout server 1h\n timeout check 5s\n"
        );
        for (n, case) in CASES.iter().enumerate() {
            let port = start(case).await;
            let own = 20_000 + n;
            let lines = case.lines.replace(';', "\n ");
            let server = case.server.replace("PORT", &port.to_string());
            let to = if server == case.server { port } else { 5432 };
            writeln!(
                text,
                "listen case-{n:02}\n bind 127.0.0.1:{own}\n {lines}\n server s 127.0.0.1:{to} \
                 check inter 900ms fall 1 rise 1 {server}"
            )
            .unwrap();
        }
        // HAProxy needs no listeners to check.
        let backends = text.lines().filter(|line| !line.starts_with(" bind"));
        let backends =
            backends.collect::<Vec<_>>().join("\n").replace("listen ", "backend ") + "\n";
        let loaded = load(&OneFile(text), &["haproxy.cfg".into()], None);
        let loaded = loaded.unwrap_or_else(|failed| panic!("{}", failed.render()));
        let config = Arc::new(loaded.config);
        // One after the other: all of them share this thread.
        let theirs = haproxy(dir.path(), &backends).await;
        (theirs, Shell::new(config).judged().await)
    });
    let mut table = String::new();
    let word = |up: Option<&bool>| if up.is_some_and(|up| *up) { "up" } else { "down" };
    for (n, case) in CASES.iter().enumerate() {
        let name = format!("case-{n:02}");
        let (theirs, ours) = (word(haproxy.get(&name)), word(vipd.get(&name)));
        writeln!(table, "{:55} HAProxy {theirs:4}  vipd {ours}", case.name).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/haproxy-checks.expected");
    expect(&path, &table);
    let differs: Vec<&str> =
        table.lines().filter(|line| line.contains("up ") == line.ends_with("down")).collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}
