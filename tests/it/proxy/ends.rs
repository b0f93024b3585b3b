//! Sessions that have to end, and servers that fail.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vipd::config::ListenerProtocol;
use vipd::pool::{Admission, Role, ServerId, Wants};
use vipd::proxy::{Hint, Phase};

use super::bench::*;

fn down() -> Admission {
    Admission::Down("test".into())
}

#[test]
fn two_thousand_sessions_end_with_a_reset_when_their_server_is_down() {
    allow_many_descriptors();
    let (server, address) = listen();
    let (other, other_address) = listen();
    let mut bench = Bench::new(listener(ListenerProtocol::Tcp), SPLICE, &[address, other_address]);
    bench.view.servers[1].admission = Admission::Drain("later".into());
    bench.publish();
    let sessions: Vec<(TcpStream, TcpStream)> =
        (0..2000).map(|_| session(&bench, &server)).collect();
    bench.wait_for("all are sessions", |state| state.counters.sessions == 2000);
    bench.view.servers[1].admission = Admission::Up;
    bench.publish();
    // Turns alternate; one of two comes to the other server.
    let mut spared = bench.connect();
    let spared_server = std::thread::scope(|scope| {
        let accepted = scope.spawn(|| patient(other.accept().unwrap().0));
        while !accepted.is_finished() {
            spared = bench.connect();
            std::thread::sleep(Duration::from_millis(10));
        }
        accepted.join().unwrap()
    });
    bench.view.servers[0].admission = down();
    let published = Instant::now();
    bench.publish();
    for (mut client, mut server) in sessions {
        assert_eq!(read_to_reset(&mut client), b"");
        assert_eq!(read_to_reset(&mut server), b"");
    }
    let took = published.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(bench.state().counters.ended_down >= 2000);
    let mut spared_server = spared_server;
    spared_server.write_all(b"alive").unwrap();
    assert_eq!(read(&mut spared, 5), b"alive");
}

#[test]
fn sessions_end_when_their_server_loses_its_role_and_not_when_it_is_held_back() {
    let (server, address) = listen();
    let mut bench = Bench::new(listener(ListenerProtocol::Tcp), COPY, &[address]);
    bench.view.wants = Wants::Writer;
    bench.publish();
    let (mut client, mut server) = session(&bench, &server);
    bench.view.servers[0].admission = Admission::Drain("maintenance".into());
    bench.publish();
    client.write_all(b"a").unwrap();
    assert_eq!(read(&mut server, 1), b"a");
    bench.view.servers[0].role = Role::Replica;
    bench.publish();
    assert_eq!(read_to_reset(&mut client), b"");
    assert_eq!(read_to_reset(&mut server), b"");
    assert_eq!(bench.state().counters.ended_role, 1);
}

#[test]
fn bytes_not_yet_sent_never_reach_a_server_that_lost_its_role() {
    let (server, address) = listen();
    let mut bench = Bench::new(listener(ListenerProtocol::Tcp), SPLICE, &[address]);
    bench.view.wants = Wants::Writer;
    bench.publish();
    let (mut client, mut server) = session(&bench, &server);
    // More than the server's socket takes, so that some wait in the proxy's.
    let stuffing = Arc::new(AtomicBool::new(true));
    std::thread::scope(|scope| {
        let stuffed = Arc::clone(&stuffing);
        scope.spawn(move || {
            client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
            while client.write_all(&[0; 65_536]).is_ok() {}
            stuffed.store(false, Ordering::Release);
            assert_eq!(read_to_reset(&mut client), b"");
        });
        until("the client blocks", || !stuffing.load(Ordering::Acquire));
        bench.view.servers[0].role = Role::Replica;
        bench.publish();
        bench.wait_for("the session ends", |state| state.connections == 0);
        let read = read_to_reset(&mut server).len();
        let passed = usize::try_from(bench.state().counters.bytes_in).unwrap();
        assert!(read < passed, "all of {passed} bytes were read");
    });
}

/// A proxy that listens at every address of this host, and its server.
fn at_every_address() -> (Bench, TcpListener) {
    let (server, address) = listen();
    let any = "0.0.0.0:0".parse::<std::net::SocketAddr>().unwrap();
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.binds = vec![any.into()];
    (Bench::new(settings, COPY, &[address]), server)
}

#[test]
fn sessions_of_an_address_that_leaves_end_on_both_sides() {
    let (bench, server) = at_every_address();
    let port = bench.address.port();
    let mut vip = connect(([127, 0, 0, 2], port).into());
    let (mut vip_server, _) = server.accept().unwrap();
    let mut own = connect(([127, 0, 0, 1], port).into());
    let (mut own_server, _) = server.accept().unwrap();
    bench.proxy.leave(&[[127, 0, 0, 2].into()]).wait(LONG);
    assert_eq!(bench.state().counters.ended_here, 1, "it has ended when it is said to have");
    assert_eq!(read_to_reset(&mut vip), b"");
    assert_eq!(read_to_reset(&mut vip_server), b"");
    own.write_all(b"a").unwrap();
    assert_eq!(read(&mut own_server, 1), b"a");
}

#[test]
fn sessions_of_many_addresses_that_leave_at_once_end_before_their_own_does() {
    allow_many_descriptors();
    let (bench, server) = at_every_address();
    let port = bench.address.port();
    let open = |to: [u8; 4]| (connect((to, port).into()), patient(server.accept().unwrap().0));
    let mut by_own: Vec<_> = (0..1000).map(|_| open([127, 0, 0, 1])).collect();
    let by_vip: Vec<_> = (0..250).map(|n| ([127, 0, 1, n], open([127, 0, 1, n]))).collect();
    bench.wait_for("all are sessions", |state| state.counters.sessions == 1250);
    let leave = |(to, ends): ([u8; 4], _)| (bench.proxy.leave(&[to.into()]), ends);
    let leaving: Vec<_> = by_vip.into_iter().map(leave).collect();
    for (ended, (left, (mut client, mut server))) in (1..).zip(leaving) {
        left.wait(LONG);
        assert!(bench.state().counters.ended_here >= ended);
        assert_eq!(read_to_reset(&mut client), b"");
        assert_eq!(read_to_reset(&mut server), b"");
    }
    assert_eq!(bench.state().counters.ended_here, 250);
    for (client, server) in &mut by_own {
        client.write_all(b"a").unwrap();
        assert_eq!(read(server, 1), b"a");
    }
}

#[test]
fn a_server_that_refuses_is_passed_over_and_pointed_out() {
    let (closed, refusing) = listen();
    drop(closed);
    let bench = Bench::new(listener(ListenerProtocol::Tcp), COPY, &[refusing, echo()]);
    for _ in 0..4 {
        let mut client = bench.connect();
        client.write_all(b"a").unwrap();
        assert_eq!(read(&mut client, 1), b"a");
    }
    let hint = bench.hints.recv_timeout(LONG).unwrap();
    assert_eq!((hint.server, hint.hint), (ServerId(1), Hint::Refused));
    assert!(bench.state().counters.connect_failures >= 1);
    assert_eq!(bench.state().counters.sessions, 4);
}

/// A socket that listens and whose queue is full: the kernel answers nobody.
fn silent() -> (socket2::Socket, Vec<socket2::Socket>, std::net::SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&loopback().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = socket.connect_timeout(&address.into(), Duration::from_millis(100));
        queued.push(socket);
        if connected.is_err() {
            return (listener, queued, address);
        }
    }
}

#[test]
fn a_server_that_does_not_answer_is_left_after_the_connect_timeout() {
    let (_listener, _queued, address) = silent();
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.options.connect_timeout = Duration::from_millis(100);
    let bench = Bench::new(settings, COPY, &[address, echo()]);
    for _ in 0..2 {
        let mut client = bench.connect();
        client.write_all(b"a").unwrap();
        assert_eq!(read(&mut client, 1), b"a");
    }
    let hint = bench.hints.recv_timeout(LONG).unwrap();
    assert_eq!((hint.server, hint.hint), (ServerId(1), Hint::Unreachable));
}

#[test]
fn a_server_that_ends_its_sessions_is_pointed_out_with_their_number() {
    let (server, address) = listen();
    let bench = Bench::new(listener(ListenerProtocol::Tcp), COPY, &[address]);
    let sessions: Vec<_> = (0..20).map(|_| session(&bench, &server)).collect();
    let (mut clients, servers): (Vec<_>, Vec<_>) = sessions.into_iter().unzip();
    drop(servers);
    let mut ended = 0;
    while ended < 20 {
        let hint = bench.hints.recv_timeout(LONG).unwrap();
        assert_eq!((hint.server, hint.hint), (ServerId(1), Hint::Ended));
        ended += hint.count;
    }
    for client in &mut clients {
        assert_eq!(read_all(client), b"");
    }
}

#[test]
fn sessions_are_listed_with_their_ends_and_bytes() {
    let (server, address) = listen();
    let bench = Bench::new(listener(ListenerProtocol::Tcp), COPY, &[address]);
    let (mut client, mut server) = session(&bench, &server);
    client.write_all(b"abc").unwrap();
    read(&mut server, 3);
    server.write_all(b"de").unwrap();
    read(&mut client, 2);
    let infos: Vec<_> = bench.proxy.sessions(10).iter().flatten().collect();
    let [info] = infos.as_slice() else { panic!("{infos:?}") };
    assert_eq!(info.client, Some(client.local_addr().unwrap()));
    assert_eq!(info.local, Some(bench.address));
    assert_eq!((info.server, info.phase), (Some(ServerId(1)), Phase::Relaying));
    assert_eq!((info.bytes_in, info.bytes_out), (3, 2));
}
