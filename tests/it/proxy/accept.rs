//! Listening, and accepting under adverse conditions.

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use vipd::config::{Frontend, ListenerProtocol};
use vipd::proxy::{HintSink, ListenerId, Options, Proxy, Remaining};

use super::bench::*;

fn proxy() -> Proxy {
    let sink = HintSink(std::sync::Arc::new(|_| true));
    Proxy::start(Options { workers: 2, splice: COPY }, &sink).unwrap()
}

#[test]
fn an_address_this_host_does_not_have_yet_is_listened_on() {
    let foreign = ["192.0.2.7:0", "[2001:db8::7]:0"];
    let foreign: Vec<SocketAddr> = foreign.iter().map(|a| a.parse().unwrap()).collect();
    let binds = foreign.iter().copied().map(Into::into).collect();
    let addresses = proxy().open(ID, Frontend::new("vip", ListenerProtocol::Tcp, binds)).unwrap();
    for (asked, got) in foreign.iter().zip(addresses) {
        assert_eq!(asked.ip(), got.ip());
        assert_ne!(got.port(), 0);
    }
}

#[test]
fn a_port_in_use_is_an_error_even_if_it_could_be_shared() {
    let (_taken, address) = listen();
    let listener = |at: SocketAddr| Frontend::new("db", ListenerProtocol::Tcp, vec![at.into()]);
    let error = proxy().open(ID, listener(address)).unwrap_err();
    assert_eq!(error.to_string(), format!("listen on {address} for db: Address already in use"));

    let (mut first, mut second) = (proxy(), proxy());
    let address = first.open(ID, listener(loopback())).unwrap()[0];
    let error = second.open(ID, listener(address)).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
}

/// `bind *:5000` and `bind :::5000` side by side.
#[test]
fn one_port_is_listened_on_at_addresses_that_overlap() {
    let (reserved, address) = listen();
    drop(reserved);
    let port = address.port();
    let everywhere: [SocketAddr; 3] =
        [([0, 0, 0, 0], port).into(), ([0_u16; 8], port).into(), address];
    let binds = everywhere.iter().copied().map(Into::into).collect();
    let bench = Bench::new(
        Frontend::new("all", ListenerProtocol::Tcp, binds),
        COPY,
        &[serve(|mut stream| {
            stream.write_all(b"x").unwrap();
        })],
    );
    for address in [address, (std::net::Ipv6Addr::LOCALHOST, port).into()] {
        assert_eq!(read_all(&mut connect(address)), b"x");
    }
    assert_eq!(bench.state().sockets, 6);
}

#[test]
fn a_full_listener_leaves_clients_in_the_queue_until_there_is_room() {
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.options.maxconn = NonZeroU32::new(2);
    let bench = Bench::new(settings, COPY, &[echo()]);
    let mut first: Vec<_> = (0..2)
        .map(|_| {
            let mut client = bench.connect();
            client.write_all(b"a").unwrap();
            assert_eq!(read(&mut client, 1), b"a");
            client
        })
        .collect();
    let mut waiting: Vec<_> = (0..4).map(|_| bench.connect()).collect();
    for client in &mut waiting {
        client.write_all(b"b").unwrap();
    }
    assert_eq!(bench.state().connections, 2);
    // Whichever worker has them in its queue, each that leaves lets one in.
    while let Some(client) = first.pop() {
        drop(client);
    }
    while !waiting.is_empty() {
        waiting.remove(answered(&waiting));
        assert!(bench.state().connections <= 2);
    }
    bench.wait_for("all leave", |state| state.connections == 0);
    assert_eq!(bench.state().counters.accepted, 6);
}

#[test]
fn a_changed_listener_keeps_its_sessions_and_what_waits_in_its_sockets() {
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.options.maxconn = NonZeroU32::new(1);
    let mut bench = Bench::new(settings.clone(), COPY, &[echo()]);
    let mut first = bench.connect();
    first.write_all(b"a").unwrap();
    assert_eq!(read(&mut first, 1), b"a");
    // Waits in the kernel's queue: there is room for one only.
    let mut queued = bench.connect();
    queued.write_all(b"b").unwrap();

    let (taken, other) = listen();
    settings.binds.push(other.into());
    let error = bench.proxy.change(ID, settings.clone()).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(bench.state().connections, 1, "nothing has changed");
    drop(taken);

    settings.options.maxconn = None;
    bench.proxy.change(ID, settings.clone()).unwrap();
    assert_eq!(read(&mut queued, 1), b"b");
    let mut by_other = connect(other);
    by_other.write_all(b"c").unwrap();
    assert_eq!(read(&mut by_other, 1), b"c");

    settings.binds.remove(0);
    bench.proxy.change(ID, settings).unwrap();
    until("the first is closed", || std::net::TcpStream::connect(bench.address).is_err());
    first.write_all(b"d").unwrap();
    assert_eq!(read(&mut first, 1), b"d");
    bench.wait_for("three sessions", |state| (state.connections, state.sockets) == (3, 2));
}

#[test]
fn a_closed_listener_keeps_or_ends_its_sessions() {
    for (remaining, kept) in [(Remaining::Keep, true), (Remaining::End, false)] {
        let mut bench = Bench::tcp(COPY, echo());
        let mut client = bench.connect();
        client.write_all(b"a").unwrap();
        assert_eq!(read(&mut client, 1), b"a");
        bench.proxy.close(ID, remaining);
        until("nobody listens", || std::net::TcpStream::connect(bench.address).is_err());
        if kept {
            client.write_all(b"b").unwrap();
            assert_eq!(read(&mut client, 1), b"b");
            bench.view.servers.clear();
            bench.publish();
        }
        assert_eq!(read_to_reset(&mut client), b"");
    }
}

#[test]
fn a_closed_listener_takes_all_that_waits_in_its_queue() {
    allow_many_descriptors();
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.options.maxconn = NonZeroU32::new(1);
    let mut bench = Bench::new(settings, COPY, &[echo()]);
    let mut first = bench.connect();
    first.write_all(b"a").unwrap();
    assert_eq!(read(&mut first, 1), b"a");
    // More than are taken from a socket at a time, and there is room for none.
    let mut queued: Vec<_> = (0..400).map(|_| bench.connect()).collect();
    bench.proxy.close(ID, Remaining::Keep);
    for client in &mut queued {
        client.write_all(b"b").unwrap();
        assert_eq!(read(client, 1), b"b");
    }
    until("nobody listens", || std::net::TcpStream::connect(bench.address).is_err());
    assert_eq!(bench.state().counters.accepted, 401);
}

/// As `ss -K` does, or a program that ends the sockets of an address.
#[test]
fn a_listening_socket_that_breaks_is_opened_again() {
    let bench = Bench::tcp(COPY, echo());
    let me = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    )
    .unwrap();
    let copy = |number: i32| {
        let flags = rustix::process::PidfdGetfdFlags::empty();
        let socket = rustix::process::pidfd_getfd(&me, number, flags).ok()?;
        let here = rustix::net::getsockname(&socket).ok()?;
        let listens = rustix::net::sockopt::socket_acceptconn(&socket).ok()?;
        (listens && SocketAddr::try_from(here).ok()? == bench.address).then_some(socket)
    };
    let numbers = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // A copy that is kept would have a number of its own.
    let numbers: Vec<_> = numbers.filter(|number| copy(*number).is_some()).collect();
    let sockets: Vec<_> = numbers.into_iter().filter_map(copy).collect();
    assert_eq!(sockets.len(), 2);
    for socket in sockets {
        rustix::net::shutdown(&socket, rustix::net::Shutdown::Both).unwrap();
    }
    bench.wait_for("the loss is noticed", |state| state.sockets < 2);
    bench.wait_for("both are open again", |state| state.sockets == 2);
    let mut client = bench.connect();
    client.write_all(b"a").unwrap();
    assert_eq!(read(&mut client, 1), b"a");
}

const SHORT: &str = "VIPD_TEST_SHORT_OF_DESCRIPTORS";

/// Whoever is let in must have a server: otherwise clients take all descriptors, and nobody is served.
#[test]
fn with_too_few_descriptors_the_first_are_served_and_the_rest_in_turn() {
    if std::env::var_os(SHORT).is_none() {
        let name =
            "proxy::accept::with_too_few_descriptors_the_first_are_served_and_the_rest_in_turn";
        return alone(name, SHORT);
    }
    // It keeps no descriptor for a client it has served.
    let server = serve(|mut stream| {
        let byte = read(&mut stream, 1);
        stream.write_all(&byte).unwrap();
    });
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 500, hard).unwrap();
    let bench = Bench::tcp(COPY, server);
    let clients: Vec<_> = (0..300).map(|_| socket()).collect();
    let from = std::time::Instant::now();
    let mut clients: Vec<_> = clients
        .into_iter()
        .map(|socket| {
            socket.connect(&bench.address.into()).unwrap();
            let mut client = patient(socket.into());
            client.write_all(b"a").unwrap();
            client
        })
        .collect();
    bench.wait_for("descriptors are short", |state| state.counters.starved > 0);
    bench.wait_for("some are served", |state| state.counters.sessions >= 10);
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
    while !clients.is_empty() {
        let mut client = clients.swap_remove(answered(&clients));
        assert_eq!(read(&mut client, 1), b"a");
    }
    let counters = bench.state().counters;
    assert_eq!((counters.sessions, counters.unserved, counters.connect_failures), (300, 0, 0));
}

const CHILD: &str = "VIPD_TEST_FEW_DESCRIPTORS";

/// The limit is the whole process's, so this test has one of its own.
#[test]
fn without_descriptors_clients_wait_and_the_listener_lives() {
    if std::env::var_os(CHILD).is_none() {
        let name = "proxy::accept::without_descriptors_clients_wait_and_the_listener_lives";
        return alone(name, CHILD);
    }
    let bench = Bench::tcp(COPY, echo());
    let mut clients: Vec<_> = (0..8).map(|_| bench.connect()).collect();
    for client in &mut clients {
        client.write_all(b"a").unwrap();
        assert_eq!(read(client, 1), b"a");
    }
    let more: Vec<_> = (0..4).map(|_| socket()).collect();
    // From now on the process has none to give.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
    for socket in &more {
        socket.connect(&bench.address.into()).unwrap();
    }
    bench.wait_for("accepting pauses, more than once", |state| state.counters.starved >= 3);
    assert_eq!(bench.state().counters.accepted, 8);
    // Those there are go on.
    for client in &mut clients {
        client.write_all(b"a").unwrap();
        assert_eq!(read(client, 1), b"a");
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    for socket in more {
        let mut client = patient(socket.into());
        client.write_all(b"b").unwrap();
        assert_eq!(read(&mut client, 1), b"b");
    }
    assert_eq!(bench.state().counters.accepted, 12);
}

const FLOODED: &str = "VIPD_TEST_FLOOD";

/// Checks of servers need descriptors, too: without an answer all sessions would end.
#[test]
fn clients_leave_descriptors_to_the_rest_of_the_process() {
    if std::env::var_os(FLOODED).is_none() {
        let name = "proxy::accept::clients_leave_descriptors_to_the_rest_of_the_process";
        return alone(name, FLOODED);
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 400, hard).unwrap();
    let bench = Bench::tcp(COPY, echo());
    let mut sessions: Vec<_> = (0..4).map(|_| bench.connect()).collect();
    for client in &mut sessions {
        client.write_all(b"a").unwrap();
        assert_eq!(read(client, 1), b"a");
    }
    let mut more = Vec::new();
    until("accepting pauses", || {
        more.push(bench.connect());
        bench.state().counters.starved > 0
    });
    let left: Vec<_> =
        std::iter::repeat_with(|| std::fs::File::open("/dev/null")).take(60).collect();
    assert!(left.iter().all(Result::is_ok), "{left:?}");
    for client in &mut sessions {
        client.write_all(b"a").unwrap();
        assert_eq!(read(client, 1), b"a");
    }
}

/// Run a test of this process's own in another.
fn alone(name: &str, mark: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(mark, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
}

fn socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

#[test]
fn two_listeners_of_one_proxy_are_told_apart() {
    let (first, second) = (echo(), serve(|mut stream| stream.write_all(b"other").unwrap()));
    let mut bench = Bench::tcp(COPY, first);
    let other = ListenerId(2);
    let address = bench.proxy.open(other, listener(ListenerProtocol::Tcp)).unwrap()[0];
    bench.proxy.publish(other, std::sync::Arc::new(view(&[second])));
    assert_eq!(read_all(&mut connect(address)), b"other");
    let mut client = bench.connect();
    client.write_all(b"a").unwrap();
    assert_eq!(read(&mut client, 1), b"a");
    assert!(bench.proxy.oldest_heartbeat() < Duration::from_secs(5));
    let state = bench.proxy.listener(other).unwrap();
    assert_eq!((state.counters.accepted, state.sockets), (1, 2));
    assert_eq!(bench.state().counters.accepted, 1);
    bench.proxy.stop();
}
