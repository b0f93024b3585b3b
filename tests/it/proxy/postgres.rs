//! What a PostgreSQL client notices of servers that come and go while it connects: nothing, or the
//! reason.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use vipd::config::{Frontend, ListenerProtocol};
use vipd::pool::{Admission, Role, ServerId, Wants};
use vipd::proxy::Hint;

use super::bench::*;
use super::refusal::answer_in_tls;

pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];
/// AuthenticationOk and ReadyForQuery.
pub const TRUSTED: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

pub fn startup(user: &str) -> Vec<u8> {
    let body = [b"\0\x03\0\0user\0", user.as_bytes(), b"\0\0"].concat();
    let length = u32::try_from(body.len() + 4).unwrap();
    [length.to_be_bytes().as_slice(), &body].concat()
}

fn error(code: &str, message: &str) -> Vec<u8> {
    let body = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let length = u32::try_from(body.len() + 4).unwrap();
    [b"E", length.to_be_bytes().as_slice(), body.as_bytes()].concat()
}

/// The fields of the ErrorResponse a client gets, and that nothing follows it.
pub fn read_error(client: &mut TcpStream) -> Vec<String> {
    let message = read_all(client);
    assert_eq!(message.first(), Some(&b'E'), "{message:?}");
    let length = u32::from_be_bytes(message[1..5].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap() + 1, message.len());
    let fields = message[5..].split(|byte| *byte == 0).filter(|field| !field.is_empty());
    fields.map(|field| String::from_utf8(field.to_vec()).unwrap()).collect()
}

/// A start-up message, or a request; none if the client is gone.
pub fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut message = length.to_vec();
    message.resize(usize::try_from(u32::from_be_bytes(length)).unwrap(), 0);
    stream.read_exact(&mut message[4..]).ok()?;
    Some(message)
}

pub fn user(message: &[u8]) -> String {
    let name = &message[13..message.len() - 2];
    String::from_utf8(name.to_vec()).unwrap()
}

/// A server that takes every client and tells it its four letters. It has no TLS.
pub fn postgres(name: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        while let Some(message) = read_message(&mut stream) {
            if message == SSL_REQUEST || message == GSS_REQUEST {
                stream.write_all(b"N").unwrap();
                continue;
            }
            stream.write_all(TRUSTED).unwrap();
            stream.write_all(name.as_bytes()).unwrap();
            let _ = stream.read(&mut [0]);
            return;
        }
    })
}

/// A server that does something of its own with each client's first message, and how many did.
fn failing(
    with: impl Fn(TcpStream, Vec<u8>) + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let with = Arc::new(with);
    let address = serve(move |mut stream| {
        if let Some(message) = read_message(&mut stream) {
            count.fetch_add(1, Ordering::AcqRel);
            with(stream, message);
        }
    });
    (address, asked)
}

fn starting_up() -> (SocketAddr, Arc<AtomicUsize>) {
    failing(|mut stream, _| {
        let _ = stream.write_all(&error("57P03", "the database system is starting up"));
    })
}

pub fn writer(listener: Frontend, servers: &[SocketAddr]) -> Bench {
    let mut bench = Bench::blind(listener, SPLICE);
    bench.view = view(servers);
    bench.view.wants = Wants::Writer;
    for standby in &mut bench.view.servers[1..] {
        standby.role = Role::Replica;
    }
    bench.publish();
    bench
}

/// Make the other of two servers the primary.
fn switch_over(bench: &mut Bench) {
    let [old, new] = bench.view.servers.as_mut_slice() else { panic!("two servers") };
    std::mem::swap(&mut old.role, &mut new.role);
    bench.publish();
}

pub fn ask(bench: &Bench, user: &str) -> TcpStream {
    let mut client = bench.connect();
    client.write_all(&startup(user)).unwrap();
    client
}

pub fn served_by(client: &mut TcpStream) -> String {
    assert_eq!(read(client, TRUSTED.len()), TRUSTED);
    String::from_utf8(read(client, 4)).unwrap()
}

#[test]
fn a_client_of_a_server_that_comes_or_goes_is_served_by_the_next_unseen() {
    let (closed, refusing) = listen();
    drop(closed);
    let (resetting, _) = failing(|stream, _| reset(stream));
    let (closing, _) = failing(|stream, _| drop(stream));
    let (shutting_down, _) = failing(|mut stream, _| {
        stream.write_all(&error("57P01", "terminating connection")).unwrap();
    });
    let cases = [
        (refusing, Hint::Refused),
        (resetting, Hint::GaveUp),
        (closing, Hint::GaveUp),
        (shutting_down, Hint::NotNow),
        (starting_up().0, Hint::NotNow),
    ];
    for (server, hint) in cases {
        let mut bench = writer(listener(ListenerProtocol::Postgres), &[server, postgres("new!")]);
        let mut client = ask(&bench, "alice");
        let hinted = bench.hints.recv_timeout(LONG).unwrap();
        assert_eq!((hinted.server, hinted.hint), (ServerId(1), hint));
        switch_over(&mut bench);
        assert_eq!(served_by(&mut client), "new!");
        assert_eq!(bench.state().counters.sessions, 1);
    }
}

#[test]
fn a_server_that_failed_is_tried_again_while_it_is_the_only_one() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let (address, _) = failing(move |mut stream, _| {
        let answer = match count.fetch_add(1, Ordering::AcqRel) {
            0 | 1 => error("57P03", "the database system is starting up"),
            _ => [TRUSTED, b"late"].concat(),
        };
        stream.write_all(&answer).unwrap();
    });
    let bench = writer(listener(ListenerProtocol::Postgres), &[address]);
    assert_eq!(served_by(&mut ask(&bench, "alice")), "late");
    assert_eq!(tries.load(Ordering::Acquire), 3);
}

#[test]
fn what_was_refused_to_the_client_before_is_not_asked_of_the_next_server() {
    let refuses = serve(|mut stream| {
        while let Some(message) = read_message(&mut stream) {
            if message != SSL_REQUEST && message != GSS_REQUEST {
                return;
            }
            stream.write_all(b"N").unwrap();
        }
    });
    let (startup_only, asked) = failing(|mut stream, message| {
        assert_eq!(message, startup("alice"));
        stream.write_all(&[TRUSTED, b"next"].concat()).unwrap();
    });
    let mut bench = writer(listener(ListenerProtocol::Postgres), &[refuses, startup_only]);
    let mut client = bench.connect();
    for request in [GSS_REQUEST, SSL_REQUEST] {
        client.write_all(&request).unwrap();
        assert_eq!(read(&mut client, 1), b"N");
    }
    client.write_all(&startup("alice")).unwrap();
    assert_eq!(bench.hints.recv_timeout(LONG).unwrap().hint, Hint::GaveUp);
    switch_over(&mut bench);
    assert_eq!(served_by(&mut client), "next");
    assert_eq!(asked.load(Ordering::Acquire), 1);
}

const HELLO: &[u8] = b"\x16\x03\x01\0\x0bclienthello";

#[test]
fn a_client_told_to_begin_tls_is_served_by_the_next_until_a_server_has_answered_in_it() {
    // The first agrees and goes away; the second does not.
    let (first, _) = failing(|mut stream, message| {
        assert_eq!(message, SSL_REQUEST);
        stream.write_all(b"S").unwrap();
        assert_eq!(read(&mut stream, HELLO.len()), HELLO);
        reset(stream);
    });
    let (second, _) = failing(|mut stream, message| {
        assert_eq!(message, SSL_REQUEST);
        stream.write_all(b"S").unwrap();
        assert_eq!(read(&mut stream, HELLO.len()), HELLO);
        stream.write_all(b"\x16\x03\x03serverhello").unwrap();
        assert_eq!(read(&mut stream, 6), b"secret");
        reset(stream);
    });
    let mut bench = writer(listener(ListenerProtocol::Postgres), &[first, second]);
    let mut client = bench.connect();
    client.write_all(&SSL_REQUEST).unwrap();
    assert_eq!(read(&mut client, 1), b"S");
    client.write_all(HELLO).unwrap();
    assert_eq!(bench.hints.recv_timeout(LONG).unwrap().hint, Hint::GaveUp);
    switch_over(&mut bench);
    assert_eq!(read(&mut client, 14), b"\x16\x03\x03serverhello");
    client.write_all(b"secret").unwrap();
    assert_eq!(read_to_reset(&mut client), b"");
}

#[test]
fn a_client_told_to_begin_tls_is_not_given_to_a_server_without() {
    let (first, _) = failing(|mut stream, _| {
        stream.write_all(b"S").unwrap();
        read(&mut stream, HELLO.len());
    });
    let mut bench = writer(listener(ListenerProtocol::Postgres), &[first, postgres("bare")]);
    let mut client = bench.connect();
    client.write_all(&SSL_REQUEST).unwrap();
    assert_eq!(read(&mut client, 1), b"S");
    let told = std::thread::spawn(move || answer_in_tls(client).0);
    assert_eq!(bench.hints.recv_timeout(LONG).unwrap().hint, Hint::GaveUp);
    switch_over(&mut bench);
    let told = told.join().unwrap();
    assert!(told.contains("refuses the encryption that another has agreed to"), "{told:?}");
}

#[test]
fn direct_tls_passes_and_a_server_that_goes_before_it_answers_is_replaced() {
    let direct = |answer: &'static [u8]| {
        serve(move |mut stream| {
            assert_eq!(read(&mut stream, HELLO.len()), HELLO);
            stream.write_all(answer).unwrap();
        })
    };
    let mut bench = writer(listener(ListenerProtocol::Postgres), &[direct(b""), direct(b"tls!")]);
    let mut client = bench.connect();
    client.write_all(HELLO).unwrap();
    assert_eq!(bench.hints.recv_timeout(LONG).unwrap().hint, Hint::GaveUp);
    switch_over(&mut bench);
    assert_eq!(read_all(&mut client), b"tls!");
}

#[test]
fn other_errors_and_other_protocols_are_the_servers_own() {
    let wrong = error("28P01", "password authentication failed");
    let answer = wrong.clone();
    let (address, _) = failing(move |mut stream, _| stream.write_all(&answer).unwrap());
    let bench = writer(listener(ListenerProtocol::Postgres), &[address]);
    assert_eq!(read_all(&mut ask(&bench, "alice")), wrong);

    let other = serve(|mut stream| {
        assert_eq!(read(&mut stream, 18), b"GET / HTTP/1.0\r\n\r\n");
        stream.write_all(b"no").unwrap();
    });
    let bench = writer(listener(ListenerProtocol::Postgres), &[other]);
    let mut client = bench.connect();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(read_all(&mut client), b"no");
}

#[test]
fn after_the_first_authentication_message_everything_is_passed_on() {
    let (address, _) = failing(|mut stream, _| {
        stream.write_all(b"R\0\0\0\x08\0\0\0\x03").unwrap();
        assert_eq!(read(&mut stream, 1), b"p");
        stream.write_all(&error("57P01", "shut down")).unwrap();
    });
    let bench = writer(listener(ListenerProtocol::Postgres), &[address]);
    let mut client = ask(&bench, "alice");
    assert_eq!(read(&mut client, 9), b"R\0\0\0\x08\0\0\0\x03");
    client.write_all(b"p").unwrap();
    assert_eq!(read_all(&mut client), error("57P01", "shut down"));
}

#[test]
fn a_client_whose_server_loses_its_role_before_it_answers_goes_to_the_new_writer() {
    let (silent, asked) = failing(|mut stream, _| {
        let _ = stream.read(&mut [0]);
    });
    let mut bench = writer(listener(ListenerProtocol::Postgres), &[silent, postgres("new!")]);
    let mut client = ask(&bench, "alice");
    until("the first is asked", || asked.load(Ordering::Acquire) == 1);
    switch_over(&mut bench);
    assert_eq!(served_by(&mut client), "new!");
    assert_eq!(bench.state().counters.ended_role, 0);
}

#[test]
fn a_client_that_says_nothing_costs_no_server() {
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.startup_timeout = Duration::from_millis(200);
    let (address, asked) = starting_up();
    let bench = writer(settings, &[address]);
    drop(bench.connect());
    bench.wait_for("the one that left", |state| state.counters.silent == 1);
    let mut client = bench.connect();
    client.write_all(&startup("alice")[..12]).unwrap();
    assert_eq!(read_all(&mut client), b"");
    assert_eq!(bench.state().counters.silent, 2);
    assert_eq!(asked.load(Ordering::Acquire), 0);
    assert_eq!(bench.proxy.servers().next().unwrap().connected, 0);
}

fn cancel_request() -> Vec<u8> {
    let mut request = vec![0, 0, 0, 16, 4, 210, 22, 46];
    request.extend([0, 0, 48, 57, 222, 173, 190, 239]);
    request
}

/// A server that reports the cancel requests it gets.
fn cancellable() -> (SocketAddr, Receiver<Vec<u8>>) {
    let (to, requests) = mpsc::channel();
    let address = serve(move |mut stream| {
        let Some(message) = read_message(&mut stream) else { return };
        if message[4..8] == cancel_request()[4..8] {
            to.send(message).unwrap();
            return;
        }
        stream.write_all(&[TRUSTED, b"here"].concat()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    (address, requests)
}

#[test]
fn a_cancel_request_reaches_every_server_with_sessions_and_is_seen_before_its_end() {
    let servers: Vec<_> = (0..3).map(|_| cancellable()).collect();
    let addresses: Vec<SocketAddr> = servers.iter().map(|(address, _)| *address).collect();
    let mut bench = Bench::new(listener(ListenerProtocol::Postgres), SPLICE, &addresses);
    bench.view.servers[2].admission = Admission::Drain("drained".into());
    bench.publish();
    let mut sessions = Vec::new();
    until("both have sessions", || {
        let mut client = ask(&bench, "alice");
        served_by(&mut client);
        sessions.push(client);
        bench.proxy.servers().filter(|server| server.sessions > 0).count() == 2
    });
    let mut canceller = bench.connect();
    canceller.write_all(&cancel_request()).unwrap();
    assert_eq!(read_all(&mut canceller), b"");
    for (number, (_, requests)) in servers.iter().enumerate() {
        let seen: Vec<Vec<u8>> = requests.try_iter().collect();
        assert_eq!(seen, vec![cancel_request(); usize::from(number < 2)], "server {number}");
    }
    assert_eq!(bench.state().counters.cancels, 1);
    until("it has left", || usize::try_from(bench.state().connections).unwrap() == sessions.len());
}

#[test]
fn a_cancel_request_nobody_can_take_ends_at_once() {
    let bench = writer(listener(ListenerProtocol::Postgres), &[postgres("idle")]);
    let mut canceller = bench.connect();
    canceller.write_all(&cancel_request()).unwrap();
    let asked = Instant::now();
    assert_eq!(read_all(&mut canceller), b"");
    assert!(asked.elapsed() < Duration::from_secs(4));
}

#[test]
fn cancel_requests_under_way_take_no_places_and_are_limited_by_themselves() {
    let release = Arc::new(AtomicUsize::new(0));
    let (released, seen) = (Arc::clone(&release), Arc::new(AtomicUsize::new(0)));
    let requests = Arc::clone(&seen);
    let (address, _) = failing(move |mut stream, message| {
        if message == cancel_request() {
            requests.fetch_add(1, Ordering::AcqRel);
            until("it is told to go on", || released.load(Ordering::Acquire) == 1);
            return;
        }
        stream.write_all(&[TRUSTED, b"here"].concat()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.maxconn = std::num::NonZeroU32::new(2);
    let bench = writer(settings, &[address]);
    let mut session = ask(&bench, "alice");
    served_by(&mut session);
    let mut cancellers: Vec<_> = (0..200)
        .map(|_| {
            let mut canceller = bench.connect();
            canceller.write_all(&cancel_request()).unwrap();
            canceller
        })
        .collect();
    bench.wait_for("all have been read", |state| state.counters.cancels == 200);
    assert_eq!(served_by(&mut ask(&bench, "bob")), "here");
    // 64 for each of the two workers, whichever has how many of the clients.
    let refused = bench.state().counters.cancels_refused;
    assert!((72..=136).contains(&refused), "{refused}");
    until("the others are at the server", || {
        seen.load(Ordering::Acquire) + usize::try_from(refused).unwrap() == 200
    });
    release.store(1, Ordering::Release);
    for canceller in &mut cancellers {
        assert_eq!(read_all(canceller), b"");
    }
}

/// It accepts connections, as the kernel does for a process that is stopped, and says nothing.
#[test]
fn a_server_that_never_answers_is_left_for_another() {
    let (frozen, asked) = failing(|mut stream, _| {
        let _ = stream.read(&mut [0]);
    });
    let (other, other_address) = listen();
    drop(other);
    let mut bench =
        Bench::new(listener(ListenerProtocol::Postgres), COPY, &[frozen, other_address]);
    bench.view.servers[1].admission = Admission::Down("test".into());
    bench.publish();
    // Nobody else is there: it is waited for, and known.
    let mut patient = ask(&bench, "alice");
    let hint = bench.hints.recv_timeout(LONG).unwrap();
    assert_eq!((hint.server, hint.hint), (ServerId(1), Hint::Silent));
    let server = |bench: &Bench| bench.proxy.servers().next().unwrap();
    assert!(server(&bench).unresponsive && server(&bench).unanswered > 0);
    assert_eq!(bench.state().connections, 1);
    // Then there is.
    bench.view.servers[1].address = postgres("next");
    bench.view.servers[1].admission = Admission::Up;
    bench.publish();
    assert_eq!(served_by(&mut patient), "next");
    // And who comes later does not wait for the first.
    let from = Instant::now();
    for _ in 0..4 {
        assert_eq!(served_by(&mut ask(&bench, "bob")), "next");
    }
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
    assert_eq!(asked.load(Ordering::Acquire), 1);
    assert!(server(&bench).unresponsive);
}

#[test]
fn a_client_that_falls_silent_after_the_answer_to_its_request_costs_its_server_no_longer() {
    let (address, asked) = failing(|mut stream, message| {
        assert_eq!(message, SSL_REQUEST);
        stream.write_all(b"N").unwrap();
        // As a server does whose patience with the client is at an end.
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.startup_timeout = Duration::from_millis(400);
    let bench = writer(settings, &[address]);
    let mut client = bench.connect();
    client.write_all(&SSL_REQUEST).unwrap();
    assert_eq!(read_all(&mut client), b"N");
    assert_eq!(bench.state().counters.silent, 1);
    assert!(asked.load(Ordering::Acquire) < 20);
}

/// As MySQL's, behind checks that look like Patroni's: nobody knows before the first has spoken.
#[test]
fn clients_of_servers_that_may_be_no_postgresql_need_not_speak_first() {
    let greets = serve(|mut stream| {
        stream.write_all(b"8.0.36").unwrap();
        drop(stream.read(&mut [0]));
    });
    let mut bench = Bench::new(listener(ListenerProtocol::Postgres), COPY, &[greets]);
    bench.view.unknown_protocol = true;
    bench.publish();
    for _ in 0..8 {
        assert_eq!(read(&mut bench.connect(), 6), b"8.0.36");
    }
    // A message shorter than any of PostgreSQL's.
    let echo = serve(|mut stream| {
        let mut said = [0; 6];
        stream.read_exact(&mut said).unwrap();
        stream.write_all(&said).unwrap();
    });
    let mut bench = Bench::new(listener(ListenerProtocol::Postgres), COPY, &[echo]);
    bench.view.unknown_protocol = true;
    bench.publish();
    let mut client = bench.connect();
    client.write_all(b"PING\r\n").unwrap();
    assert_eq!(read(&mut client, 6), b"PING\r\n");
    // Who speaks PostgreSQL's language is still told in it.
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.queue_timeout = Duration::ZERO;
    let mut bench = Bench::new(settings, COPY, &[]);
    bench.view.unknown_protocol = true;
    bench.publish();
    assert_eq!(read_error(&mut ask(&bench, "alice"))[2], "C57P03");
}
