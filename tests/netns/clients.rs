//! Whoever talks to the daemon besides routers: clients of the control socket, good and bad, the
//! service manager and the journal.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vipd::lab::deadline::eventually;
use vipd::lab::{Exit, Node, Vipd};

use crate::SOON;
use crate::common::{
    INTERVAL, Machine, Site, adverts, await_state, binary, longest_gap, site, start, status, web,
};
use crate::turns::{alone, together};

fn connect(vipd: &Vipd) -> UnixStream {
    let stream = UnixStream::connect(vipd.run_dir().join("vipd.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream
}

/// Everything the daemon says before it hangs up. A reset is a way to hang up.
fn rest(mut stream: UnixStream) -> String {
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the daemon does not hang up: {e}"),
    }
    text
}

#[test]
fn clients_that_say_nothing_or_nonsense_are_sent_away() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();

    let machine = Machine::watch();
    let silent = connect(&vipd);
    let started = Instant::now();
    rest(silent);
    assert!(started.elapsed() < machine.allows(Duration::from_secs(2)), "{:?}", started.elapsed());

    for (said, answer) in [
        (&b"nonsense\n"[..], "not understood"),
        (b"{\"request\":\"world-peace\"}\n", "not understood"),
        (b"{}\n", "not understood"),
        (b"\xff\xfe\x00\n", "not understood"),
        (b"\n", "not understood"),
        (b"{\"request\":\"status\"", "one line"),
    ] {
        let mut stream = connect(&vipd);
        stream.write_all(said).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let heard = rest(stream);
        assert!(heard.contains(answer), "{said:?}: {heard}");
    }

    let mut long = connect(&vipd);
    // The daemon may hang up before it has all been sent.
    let _ = long.write_all(&vec![b'x'; 2 << 20]);
    let heard = rest(long);
    assert!(heard.is_empty() || heard.contains("one line"), "{heard}");

    // One that asks and never reads, and one that drips.
    let mut deaf = connect(&vipd);
    for _ in 0..50 {
        if deaf.write_all(b"{\"request\":\"status\"}\n").is_err() {
            break;
        }
    }
    let mut dripping = connect(&vipd);
    let started = Instant::now();
    while dripping.write_all(b" ").is_ok() && started.elapsed() < SOON {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(started.elapsed() < machine.allows(Duration::from_secs(3)), "{:?}", started.elapsed());

    assert_eq!(status(&vipd)["state"], "master");
    let gap = longest_gap(&adverts(&wire.frames(), "10.0.0.2"));
    assert!(gap < machine.allows(INTERVAL * 2), "{gap:?}");
}

#[test]
fn a_client_that_asks_twice_is_answered_twice() {
    let _turn = together();
    let Site { a, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let mut stream = connect(&vipd);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..2 {
        stream.write_all(b"{\"request\":\"status\",\"unknown\":1}\n").unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("{\"status\":"), "{line}");
    }
}

#[test]
fn fifty_clients_at_once_are_answered_or_told_to_come_back() {
    let _turn = alone();
    let Site { lab, a, client, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    let (mut good, mut busy) = (0, 0);
    for _ in 0..10 {
        let answers = fifty_answers(&vipd);
        good += answers.iter().filter(|line| line.starts_with("{\"status\":")).count();
        busy += answers.iter().filter(|line| line.contains("busy")).count();
        thread::sleep(INTERVAL / 2);
    }
    assert!(good >= 80 && good + busy == 500, "{good} answered, {busy} told to come back");
    assert_eq!(status(&vipd)["state"], "master");
    let gap = longest_gap(&adverts(&wire.frames(), "10.0.0.2"));
    assert!(gap < machine.allows(INTERVAL * 2), "{gap:?}");
}

fn fifty_answers(vipd: &Vipd) -> Vec<String> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = connect(vipd);
                    let asked = stream.write_all(b"{\"request\":\"status\"}\n");
                    let mut line = String::new();
                    let _ = BufReader::new(stream).read_line(&mut line);
                    assert!(asked.is_ok() || line.contains("busy"), "{asked:?} {line}");
                    line
                })
            })
            .collect();
        clients.into_iter().map(|c| c.join().unwrap()).collect()
    })
}

/// A patient monitoring system: every seat taken by silent clients, and still an answer.
#[test]
fn silent_clients_cannot_keep_an_operator_out() {
    let _turn = together();
    let Site { a, .. } = site();
    let vipd = start(&a, &web(200, ""));
    await_state(&vipd, "master");
    let silent: Vec<_> = (0..40).map(|_| connect(&vipd)).collect();
    eventually(SOON, "an answer", || vipd.status()).unwrap();
    drop(silent);
}

/// The next notification, as lines.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Waits for a notification with this line; states of routers come in between.
fn await_told(socket: &UnixDatagram, line: &str) -> String {
    let started = Instant::now();
    loop {
        let text = told(socket);
        if text.lines().any(|l| l == line) {
            return text;
        }
        assert!(text.starts_with("STATUS="), "expected {line}, was told {text:?}");
        assert!(started.elapsed() < SOON, "never told {line}");
    }
}

fn command(node: &Node, priority: u8) -> Command {
    let config = node.write_file("vipd.toml", &web(priority, "")).unwrap();
    let mut command = Command::new(binary());
    command.args(["run", "--config"]).arg(config);
    command.arg("--run-dir").arg(node.directory().unwrap().join("run"));
    command
}

#[test]
fn the_service_manager_is_kept_informed() {
    let _turn = together();
    let Site { a, .. } = site();
    let path = a.directory().unwrap().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut run = command(&a, 200);
    run.env("NOTIFY_SOCKET", &path);
    let daemon = a.spawn(run).unwrap();
    await_told(&socket, "READY=1");
    let master = "STATUS=1 master, 0 backup, 0 fault; last: web MASTER";
    await_told(&socket, master);
    daemon.signal(Signal::SIGHUP);
    let reloading = await_told(&socket, "RELOADING=1");
    let time = reloading.lines().find_map(|l| l.strip_prefix("MONOTONIC_USEC="));
    assert!(time.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
    await_told(&socket, "READY=1");
    daemon.signal(Signal::SIGTERM);
    await_told(&socket, "STOPPING=1");
    assert_eq!(daemon.wait(SOON).unwrap(), Exit::Code(0));
}

/// A service manager that never reads must not stop us.
#[test]
fn a_service_manager_that_does_not_read_is_not_waited_for() {
    let _turn = together();
    let Site { lab, a, client, .. } = site();
    let path = a.directory().unwrap().join("notify");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let mut run = command(&a, 200);
    run.env("NOTIFY_SOCKET", &path);
    let daemon = a.spawn(run).unwrap();
    daemon.wait_for_output(SOON, "Entering MASTER STATE").unwrap();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let machine = Machine::watch();
    // More notifications than the socket's queue takes.
    for _ in 0..300 {
        daemon.signal(Signal::SIGHUP);
        thread::sleep(Duration::from_millis(5));
    }
    let sent = adverts(&wire.frames(), "10.0.0.2");
    assert!(
        sent.len() > 5 && longest_gap(&sent) < machine.allows(INTERVAL * 3),
        "{}",
        wire.transcript()
    );
    let mut ask = Command::new(binary());
    ask.args(["status", "--run-dir"]).arg(a.directory().unwrap().join("run"));
    let answered = a.output(ask, SOON).unwrap();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(SOON).unwrap(), Exit::Code(0), "{}", daemon.output());
    assert_eq!(answered.exit, Exit::Code(0), "{}{}", answered.stderr, daemon.output());
}

#[test]
fn the_journal_gets_priorities_and_everybody_else_times() {
    let _turn = together();
    let Site { a, .. } = site();
    let inner = command(&a, 200);
    let run = |stream: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("JOURNAL_STREAM={stream} exec \"$@\"")).arg("sh");
        shell.arg(inner.get_program()).args(inner.get_args());
        let daemon = a.spawn(shell).unwrap();
        daemon.wait_for_output(SOON, "Entering MASTER STATE").unwrap();
        let log = daemon.output();
        daemon.signal(Signal::SIGTERM);
        daemon.wait(SOON).unwrap();
        log
    };
    let journal = run("$(stat -Lc %d:%i /proc/self/fd/2)");
    // The command substitution's own standard error is the daemon's.
    assert!(
        journal.lines().all(|line| line.starts_with('<') && line[2..].starts_with('>')),
        "{journal}"
    );
    assert!(journal.contains("<6>(web) Entering MASTER STATE"), "{journal}");
    let terminal = run("1:1");
    assert!(terminal.lines().all(|line| line.starts_with("20")), "{terminal}");
}
