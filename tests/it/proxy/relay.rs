//! Bytes through the proxy: all of them, in order, in bounded memory, with both ways to end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use vipd::config::ListenerProtocol;
use vipd::proxy::Splice;

use super::bench::*;

const MODES: [(&str, Splice); 3] = [("copy", COPY), ("splice", SPLICE), ("one page", ONE_PAGE)];

/// Bytes of a stream at a place: any shift, loss or repetition shows.
const PERIOD: usize = 1_048_573;

fn pattern(salt: u8) -> Vec<u8> {
    let mut state = u32::from(salt) + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..PERIOD).map(|_| next()).collect()
}

fn send_pattern(stream: &mut TcpStream, salt: u8, mut count: usize) {
    let pattern = pattern(salt);
    while count > 0 {
        let now = count.min(PERIOD);
        stream.write_all(&pattern[..now]).unwrap();
        count -= now;
    }
}

fn expect_pattern(stream: &mut TcpStream, salt: u8, count: usize) {
    let pattern = pattern(salt);
    let mut buffer = vec![0; 256 * 1024];
    let (mut at, mut left) = (0, count);
    while left > 0 {
        let most = buffer.len().min(left).min(PERIOD - at);
        let got = stream.read(&mut buffer[..most]).unwrap();
        assert_ne!(got, 0, "the stream ended {left} bytes early");
        assert!(buffer[..got] == pattern[at..at + got], "bytes differ, {left} before the end");
        at = (at + got) % PERIOD;
        left -= got;
    }
}

/// Bulk in both directions at once, then an orderly end of each.
fn bulk_both_ways(splice: Splice, count: usize) -> u64 {
    let (server, address) = listen();
    let bench = Bench::tcp(splice, address);
    let (mut client, mut server) = session(&bench, &server);
    thread::scope(|scope| {
        for (stream, salt) in [(&client, 1), (&server, 2)] {
            let mut stream = stream.try_clone().unwrap();
            scope.spawn(move || {
                send_pattern(&mut stream, salt, count);
                stream.shutdown(Shutdown::Write).unwrap();
            });
        }
        scope.spawn(|| expect_pattern(&mut server, 1, count));
        expect_pattern(&mut client, 2, count);
    });
    assert_eq!(read_all(&mut client), b"");
    assert_eq!(read_all(&mut server), b"");
    bench.wait_for("the end", |state| state.connections == 0);
    let counters = bench.state().counters;
    let count = u64::try_from(count).unwrap();
    assert_eq!((counters.bytes_in, counters.bytes_out), (count, count));
    assert_eq!(counters.reset_by_client + counters.reset_by_server, 0);
    counters.spliced
}

#[test]
fn a_gibibyte_each_way_arrives_spliced() {
    let spliced = bulk_both_ways(SPLICE, 1 << 30);
    assert!(spliced > 1 << 30, "only {spliced} bytes were spliced");
}

#[test]
fn bulk_arrives_copied_and_through_pipes_of_one_page() {
    assert_eq!(bulk_both_ways(COPY, 128 << 20), 0);
    assert!(bulk_both_ways(ONE_PAGE, 64 << 20) > 0);
}

#[test]
fn small_exchanges_are_passed_on_at_once_and_never_spliced() {
    for (mode, splice) in MODES {
        let bench = Bench::tcp(splice, echo());
        let mut client = bench.connect();
        for round in 0..2000_u32 {
            client.write_all(&round.to_be_bytes()).unwrap();
            assert_eq!(read(&mut client, 4), round.to_be_bytes(), "{mode}");
        }
        assert_eq!(bench.state().counters.spliced, 0, "{mode}");
    }
}

#[test]
fn bursts_of_bulk_between_small_exchanges_arrive() {
    for (mode, splice) in MODES {
        let bench = Bench::tcp(splice, echo());
        let mut client = bench.connect();
        for size in [1, 3 << 20, 10, 64 * 1024, 65_537, 5, 1 << 20, 4096, 1] {
            let mut out = client.try_clone().unwrap();
            thread::scope(|scope| {
                scope.spawn(move || send_pattern(&mut out, 3, size));
                expect_pattern(&mut client, 3, size);
            });
        }
        drop(client);
        bench.wait_for(mode, |state| state.connections == 0);
    }
}

#[test]
fn a_client_that_ends_its_stream_first_still_gets_the_answer() {
    for (mode, splice) in MODES {
        let (server, address) = listen();
        let bench = Bench::tcp(splice, address);
        for size in [10, 8 << 20] {
            let (mut client, mut server) = session(&bench, &server);
            thread::scope(|scope| {
                scope.spawn(|| {
                    send_pattern(&mut client, 1, size);
                    client.shutdown(Shutdown::Write).unwrap();
                    expect_pattern(&mut client, 2, size);
                    assert_eq!(read_all(&mut client), b"", "{mode}");
                });
                expect_pattern(&mut server, 1, size);
                assert_eq!(read_all(&mut server), b"", "{mode}");
                send_pattern(&mut server, 2, size);
                drop(server);
            });
        }
    }
}

#[test]
fn a_server_that_ends_its_stream_first_still_gets_what_follows() {
    for (mode, splice) in MODES {
        let (server, address) = listen();
        let bench = Bench::tcp(splice, address);
        for size in [10, 8 << 20] {
            let (mut client, mut server) = session(&bench, &server);
            thread::scope(|scope| {
                scope.spawn(|| {
                    // The server speaks first.
                    send_pattern(&mut server, 2, size);
                    server.shutdown(Shutdown::Write).unwrap();
                    expect_pattern(&mut server, 1, size);
                    assert_eq!(read_all(&mut server), b"", "{mode}");
                });
                expect_pattern(&mut client, 2, size);
                assert_eq!(read_all(&mut client), b"", "{mode}");
                send_pattern(&mut client, 1, size);
                client.shutdown(Shutdown::Write).unwrap();
            });
        }
    }
}

#[test]
fn all_that_was_said_before_a_close_arrives() {
    for (mode, splice) in MODES {
        let address = serve(|mut stream| send_pattern(&mut stream, 5, 8 << 20));
        let bench = Bench::tcp(splice, address);
        let mut client = bench.connect();
        expect_pattern(&mut client, 5, 8 << 20);
        assert_eq!(read_all(&mut client), b"", "{mode}");
    }
}

#[test]
fn a_reset_is_passed_on_as_a_reset_with_what_was_said_before_it() {
    for (mode, splice) in MODES {
        let (server, address) = listen();
        let bench = Bench::tcp(splice, address);

        let (mut client, mut server_end) = session(&bench, &server);
        server_end.write_all(b"last words").unwrap();
        assert_eq!(read(&mut client, 10), b"last words", "{mode}");
        reset(server_end);
        assert_eq!(read_to_reset(&mut client), b"", "{mode}");

        let (mut client, mut server_end) = session(&bench, &server);
        client.write_all(b"last words").unwrap();
        assert_eq!(read(&mut server_end, 10), b"last words", "{mode}");
        reset(client);
        assert_eq!(read_to_reset(&mut server_end), b"", "{mode}");

        bench.wait_for("both counted", |state| {
            let counters = state.counters;
            state.connections == 0 && (counters.reset_by_client, counters.reset_by_server) == (1, 1)
        });
    }
}

#[test]
fn what_a_server_says_before_it_leaves_arrives_though_the_client_is_still_sending() {
    let (server, address) = listen();
    let bench = Bench::tcp(COPY, address);
    let (mut client, mut server) = session(&bench, &server);
    client.write_all(b"query").unwrap();
    read(&mut server, 5);
    server.write_all(b"terminating connection").unwrap();
    // Unread bytes make the kernel send a reset after them.
    client.write_all(b"more").unwrap();
    until("unread bytes", || server.peek(&mut [0; 4]).unwrap() == 4);
    drop(server);
    assert_eq!(read_to_reset(&mut client), b"terminating connection");
}

#[test]
fn a_slow_reader_stops_the_sender_and_loses_nothing() {
    for (mode, splice) in MODES {
        let (server, address) = listen();
        let bench = Bench::tcp(splice, address);
        let (mut client, mut server) = session(&bench, &server);
        server.set_nonblocking(true).unwrap();
        let pattern = pattern(7);
        let (mut sent, mut moved) = (0_usize, Instant::now());
        // The kernel's buffers, autotuned, and a pipe: some megabytes, not the gigabyte offered.
        while moved.elapsed() < Duration::from_millis(300) {
            assert!(sent < 64 << 20, "{mode}: {sent} bytes were taken that nobody read");
            match server.write(&pattern[sent % PERIOD..]) {
                Ok(count) => (sent, moved) = (sent + count, Instant::now()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{mode}");
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
        server.set_nonblocking(false).unwrap();
        drop(server);
        expect_pattern(&mut client, 7, sent);
        assert_eq!(read_all(&mut client), b"", "{mode}");
    }
}

#[test]
fn three_thousand_short_connections_leave_nothing_behind() {
    let address = serve(|mut stream| {
        let question = read(&mut stream, 4);
        stream.write_all(&question).unwrap();
    });
    let bench = Bench::tcp(SPLICE, address);
    let proxied = bench.address;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for number in 0..1000_u32 {
                    let mut client = connect(proxied);
                    client.write_all(&number.to_be_bytes()).unwrap();
                    assert_eq!(read_all(&mut client), number.to_be_bytes());
                }
            });
        }
    });
    bench.wait_for("all ends", |state| state.connections == 0);
    let counters = bench.state().counters;
    assert_eq!((counters.accepted, counters.sessions), (3000, 3000));
    assert_eq!((counters.bytes_in, counters.bytes_out), (12_000, 12_000));
    let server = bench.proxy.servers().next().unwrap();
    assert_eq!((server.sessions, server.connected, server.failures), (0, 3000, 0));
    assert_eq!((server.attempts, server.bytes_in, server.bytes_out), (3000, 12_000, 12_000));
}

#[test]
fn urgent_data_stalls_no_session_and_cuts_none_short() {
    let (server, address) = listen();
    let bench = Bench::tcp(COPY, address);
    let (mut client, mut server) = session(&bench, &server);
    client.write_all(b"before").unwrap();
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    client.write_all(b"after").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server), b"before!after");
}

#[test]
fn idle_and_half_closed_sessions_end_when_a_limit_says_so() {
    let (server, address) = listen();
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.options.half_closed = Some(Duration::from_secs(1));
    let bench = Bench::new(settings.clone(), COPY, &[address]);
    let (idle, _idle_server) = session(&bench, &server);
    let (mut client, mut half) = session(&bench, &server);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut half), b"");
    assert_eq!(read_all(&mut client), b"");
    // Without a limit of its own an idle session stays.
    assert_eq!(bench.state().connections, 1);
    drop(idle);

    settings.options.idle_timeout = Some(Duration::from_secs(1));
    let bench = Bench::new(settings, COPY, &[address]);
    let (mut client, mut server) = session(&bench, &server);
    assert_eq!(read_all(&mut client), b"");
    assert_eq!(read_all(&mut server), b"");
    assert_eq!(bench.state().counters.idle, 1);
}

/// Splicing stops at an urgent byte for good, and read(2) leaves it out.
#[test]
fn an_urgent_byte_passes_in_its_place() {
    for (name, splice) in MODES {
        let (server, address) = listen();
        let bench = Bench::tcp(splice, address);
        let (mut client, mut server) = session(&bench, &server);
        thread::scope(|scope| {
            let mut sender = client.try_clone().unwrap();
            scope.spawn(move || {
                for _ in 0..2 {
                    send_pattern(&mut sender, 1, 8 * PERIOD);
                    assert_eq!(SockRef::from(&sender).send_out_of_band(b"!").unwrap(), 1);
                }
                send_pattern(&mut sender, 1, PERIOD);
            });
            for _ in 0..2 {
                expect_pattern(&mut server, 1, 8 * PERIOD);
                assert_eq!(read(&mut server, 1), b"!", "{name}");
            }
            expect_pattern(&mut server, 1, PERIOD);
        });
        // The way back is as it was.
        send_pattern(&mut server, 2, 1000);
        expect_pattern(&mut client, 2, 1000);
    }
}
