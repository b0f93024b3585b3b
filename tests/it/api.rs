//! The control socket, both ends of it, with a stand-in for the control thread.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use vipd::api::client::{AskError, ask};
use vipd::api::protocol::{Request, Response};
use vipd::api::server::{self, Answer, Ask, Client, Host, MOST_CLIENTS};
use vipd::api::{SOCKET_NAME, client};
use vipd::status::{Changes, Daemon, HealthStatus, Snapshot};
use vipd::types::DropCounter;

/// A server on a thread of its own; the control loop behind it answers while `alive`.
fn serve(run_dir: &Path, alive: Arc<AtomicBool>) {
    serve_as(Arc::new(Stub), run_dir, alive);
}

fn serve_as(host: Arc<dyn Host>, run_dir: &Path, alive: Arc<AtomicBool>) {
    let listener = UnixListener::bind(run_dir.join(SOCKET_NAME)).unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (asks, mut inbox) = tokio::sync::mpsc::channel::<Ask>(MOST_CLIENTS);
            tokio::spawn(async move {
                let mut unanswered = Vec::new();
                while let Some(ask) = inbox.recv().await {
                    if alive.load(Ordering::SeqCst) {
                        let _ = ask.answer.send(match ask.request {
                            Request::Reload => Answer::from(Response::Reloaded {
                                warnings: String::new(),
                                changes: Changes::default(),
                                failures: Vec::new(),
                            }),
                            _ => Answer::Status(Box::new(snapshot)),
                        });
                    } else {
                        unanswered.push(ask);
                    }
                }
            });
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            server::serve(listener, asks, host).await
        })
    });
}

/// Completes with a five, forbids to upgrade saying who asked, and spoils every reload.
struct Stub;

impl Host for Stub {
    fn complete(&self, snapshot: &mut Snapshot) {
        snapshot.daemon.log_lines_lost = 5;
    }

    fn permits(&self, client: Client, request: &Request) -> Result<(), String> {
        match request {
            Request::Upgrade { .. } => Err(format!("not for user {}", client.uid)),
            _ => Ok(()),
        }
    }

    fn accepted(&self, request: &Request, response: Response) -> Response {
        match request {
            Request::Reload => Response::ReloadRefused("a.conf:3: nonsense".into()),
            _ => response,
        }
    }
}

/// Completes no snapshot before somebody else's reload has been answered.
struct Slow(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);

impl Host for Slow {
    fn complete(&self, snapshot: &mut Snapshot) {
        let reloaded = self.0.lock().unwrap().recv_timeout(Duration::from_secs(10));
        snapshot.daemon.log_lines_lost = u64::from(reloaded.is_ok());
    }

    fn permits(&self, _: Client, _: &Request) -> Result<(), String> {
        Ok(())
    }

    fn accepted(&self, _: &Request, response: Response) -> Response {
        self.1.send(()).unwrap();
        response
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        health: HealthStatus::default(),
        daemon: Daemon { node: "lb1".into(), ..Daemon::default() },
        routers: vec![],
        static_addresses: vec![],
        trackers: Vec::new(),
        groups: [].into(),
        fifos: vec![],
        mail: None,
        pages: vec![],
        clusters: vec![],
        listeners: vec![],
        strangers: vec![],
        more_strangers: 0,
        unattributed: [(DropCounter::VridErrors, 3)].into(),
    }
}

fn say(stream: &mut UnixStream, line: &str) -> serde_json::Value {
    stream.write_all(line.as_bytes()).unwrap();
    hear(stream)
}

fn hear(stream: &mut UnixStream) -> serde_json::Value {
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn a_status_makes_the_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(AtomicBool::new(true)));
    let mut expected = snapshot();
    expected.daemon.log_lines_lost = 5;
    assert_eq!(ask(dir.path(), &Request::Status).unwrap(), Response::Status(Box::new(expected)));
}

#[test]
fn a_status_that_takes_long_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (reloaded, seen) = mpsc::channel();
    let host = Slow(Mutex::new(seen), reloaded);
    serve_as(Arc::new(host), dir.path(), Arc::new(AtomicBool::new(true)));
    let mut slow = UnixStream::connect(dir.path().join(SOCKET_NAME)).unwrap();
    slow.write_all(b"{\"request\":\"status\"}\n").unwrap();
    ask(dir.path(), &Request::Reload).unwrap();
    assert_eq!(hear(&mut slow)["status"]["daemon"]["log_lines_lost"], 1);
}

#[test]
fn nonsense_is_answered_and_the_conversation_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(AtomicBool::new(true)));
    let mut stream = UnixStream::connect(dir.path().join(SOCKET_NAME)).unwrap();
    for nonsense in ["{\"request\":\"fly\"}\n", "hello\n", "\n", "{}\n"] {
        let answer = say(&mut stream, nonsense);
        assert!(answer["error"].as_str().unwrap().starts_with("not understood"), "{answer}");
    }
    assert_eq!(say(&mut stream, "{\"request\":\"status\"}\n")["status"]["daemon"]["node"], "lb1");
}

#[test]
fn a_request_without_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(AtomicBool::new(true)));
    let mut stream = UnixStream::connect(dir.path().join(SOCKET_NAME)).unwrap();
    // The server may hang up before all is written.
    let _ = stream.write_all(&vec![b'x'; (1 << 20) + 1]);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    assert!(answer.is_empty() || answer.contains("1048576"), "{answer}");
    assert!(ask(dir.path(), &Request::Status).is_ok());
}

#[test]
fn the_ninth_client_is_sent_away_and_silent_ones_make_room() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(AtomicBool::new(true)));
    let path = dir.path().join(SOCKET_NAME);
    let _silent: Vec<UnixStream> =
        (0..MOST_CLIENTS).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let answer = hear(&mut UnixStream::connect(&path).unwrap());
    assert!(answer["error"].as_str().unwrap().contains("busy"), "{answer}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(dir.path(), &Request::Status).is_err() {
        assert!(Instant::now() < deadline, "silent clients kept their seats");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_missing_a_dead_and_a_hanging_daemon_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let named = |error: &AskError| error.to_string().contains(dir.path().to_str().unwrap());

    let missing = ask(dir.path(), &Request::Status).unwrap_err();
    assert!(matches!(missing, AskError::NoSocket { .. }) && named(&missing), "{missing}");

    drop(UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap());
    let dead = ask(dir.path(), &Request::Status).unwrap_err();
    assert!(matches!(dead, AskError::Refused { .. }) && named(&dead), "{dead}");

    std::fs::remove_file(dir.path().join(SOCKET_NAME)).unwrap();
    let _mute = UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap();
    let asked = Instant::now();
    let silent = ask(dir.path(), &Request::Status).unwrap_err();
    assert!(matches!(silent, AskError::Silent { .. }) && named(&silent), "{silent}");
    assert!(asked.elapsed() < client::PATIENCE * 5);
}

/// A daemon that is frozen accepts nobody, and once its queue is full no client gets as far as to ask.
#[test]
fn a_full_accept_queue_does_not_hold_up_a_client_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SOCKET_NAME);
    let frozen = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    frozen.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    frozen.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&SockAddr::unix(&path).unwrap()) {
            Ok(()) => waiting.push(client),
            Err(error) => break assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    let asked = Instant::now();
    let silent = ask(dir.path(), &Request::Status).unwrap_err();
    assert!(matches!(silent, AskError::Silent { .. }), "{silent}");
    assert!(asked.elapsed() < client::PATIENCE * 5);
}

#[test]
fn a_control_loop_that_hangs_is_reported_by_the_other_thread() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(AtomicBool::new(false)));
    let refusal = ask(dir.path(), &Request::Status).unwrap_err();
    assert!(
        matches!(&refusal, AskError::Refusal(why) if why.contains("control loop")),
        "{refusal}"
    );
}

#[test]
fn the_kernel_says_who_asks_and_the_host_who_may() {
    let dir = tempfile::tempdir().unwrap();
    serve(dir.path(), Arc::new(AtomicBool::new(true)));
    let denied = ask(dir.path(), &Request::Upgrade { binary: None }).unwrap_err();
    let me = format!("not for user {}", nix::unistd::geteuid());
    assert!(matches!(&denied, AskError::Forbidden(why) if *why == me), "{denied}");
    assert_eq!(
        ask(dir.path(), &Request::Reload).unwrap(),
        Response::ReloadRefused("a.conf:3: nonsense".into())
    );
}

#[test]
fn a_command_needs_no_more_than_its_name() {
    let parse = |line: &str| serde_json::from_str::<Request>(line).unwrap();
    let drain = Request::Drain { router: None, sticky: false, force: false };
    assert_eq!(parse(r#"{"request":"drain"}"#), drain);
    assert_eq!(
        parse(r#"{"request":"handover","router":"VI_1","later":1}"#),
        Request::Handover { router: Some("VI_1".into()) }
    );
}
