//! Clients no server can be found for: they wait in order, are let go at a pace, and are told why
//! if it lasts.

use std::io::Write;
use std::num::NonZeroU32;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use vipd::config::{Frontend, ListenerProtocol};
use vipd::pool::{Admission, Role};
use vipd::proxy::{Options, Phase};

use super::bench::*;
use super::postgres::*;

fn holding(unavailable: Duration) -> Frontend {
    let mut settings = listener(ListenerProtocol::Postgres);
    settings.options.queue_timeout = unavailable;
    settings.options.queue_timeout_full = unavailable;
    settings
}

#[test]
fn a_client_waits_until_there_is_a_server() {
    let mut bench = writer(holding(LONG), &[postgres("pg-1")]);
    bench.view.servers[0].role = Role::Replica;
    bench.publish();
    let mut client = ask(&bench, "alice");
    bench.wait_for("it waits", |state| state.waiting == 1);
    let infos: Vec<_> = bench.proxy.sessions(10).iter().flatten().collect();
    assert_eq!(infos.iter().map(|info| info.phase).collect::<Vec<_>>(), [Phase::Waiting]);
    bench.view.servers[0].role = Role::Primary;
    let published = Instant::now();
    bench.publish();
    assert_eq!(served_by(&mut client), "pg-1");
    assert!(published.elapsed() < Duration::from_secs(2));
    assert_eq!((bench.state().waiting, bench.state().counters.held), (0, 1));
}

#[test]
fn before_the_first_view_clients_wait_too() {
    let mut bench = Bench::blind(holding(LONG), SPLICE);
    let mut client = ask(&bench, "alice");
    bench.wait_for("it waits", |state| state.waiting == 1);
    bench.view = view(&[postgres("pg-1")]);
    bench.publish();
    assert_eq!(served_by(&mut client), "pg-1");
}

#[test]
fn when_the_hold_ends_the_client_is_told_why() {
    let hold = Duration::from_millis(300);
    let mut bench = writer(holding(hold), &[postgres("pg-1"), postgres("pg-2")]);
    bench.view.servers[0].admission = Admission::Down("no answer for 8 s".into());
    bench.publish();
    for asks in [false, true] {
        let mut client = bench.connect();
        let asked = Instant::now();
        if asks {
            // What it is told after this answer, in TLS, is in another test.
            client.write_all(&SSL_REQUEST).unwrap();
            assert_eq!(read(&mut client, 1), b"S");
            assert!(asked.elapsed() >= hold, "{:?}", asked.elapsed());
            continue;
        }
        client.write_all(&startup("alice")).unwrap();
        assert_eq!(
            read_error(&mut client),
            [
                "SFATAL",
                "VFATAL",
                "C57P03",
                "Mno usable primary: pg-1 is down (no answer for 8 s), pg-2 is a replica \
                 (waited 0.3 s)",
            ]
        );
        assert!(asked.elapsed() >= hold, "{:?}", asked.elapsed());
    }
    assert_eq!(bench.state().counters.unserved, 2);

    let bench = Bench::blind(holding(Duration::ZERO), SPLICE);
    let fields = read_error(&mut ask(&bench, "alice"));
    assert_eq!(fields[3], "Mno server is known yet (waited 0.0 s)");
}

#[test]
fn the_last_failure_is_part_of_the_reason() {
    let (closed, refusing) = listen();
    drop(closed);
    let bench = writer(holding(Duration::from_millis(250)), &[refusing]);
    let fields = read_error(&mut ask(&bench, "alice"));
    assert_eq!(fields[4], format!("DThe last try: pg-1 ({refusing}): Connection refused."));
    let server = bench.proxy.servers().next().unwrap();
    let failures = server.failures;
    assert_eq!((server.attempts, server.connected), (failures, 0));
    assert!((2..=4).contains(&failures), "{failures} tries in 250 ms");
}

#[test]
fn a_client_of_another_protocol_that_cannot_be_served_is_reset() {
    let mut settings = listener(ListenerProtocol::Tcp);
    settings.options.queue_timeout = Duration::from_millis(200);
    let bench = Bench::blind(settings, COPY);
    assert_eq!(read_to_reset(&mut bench.connect()), b"");
    // One that has ended its stream is served all the same.
    let mut bench = Bench::blind(listener(ListenerProtocol::Tcp), COPY);
    let mut client = bench.connect();
    client.write_all(b"question").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    bench.wait_for("it waits", |state| state.waiting == 1);
    bench.view = view(&[echo()]);
    bench.publish();
    assert_eq!(read_all(&mut client), b"question");
}

#[test]
fn the_longest_waiting_are_let_go_first_and_at_a_pace() {
    let mut settings = holding(LONG);
    settings.options.queue_burst = 5;
    settings.options.queue_rate = 50;
    let (to, order) = mpsc::channel();
    let server = serve(move |mut stream| {
        to.send(user(&read_message(&mut stream).unwrap())).unwrap();
        stream.write_all(TRUSTED).unwrap();
    });
    let options = Options { workers: 1, splice: SPLICE };
    let mut bench = Bench::with(options, settings);
    let mut clients = Vec::new();
    for number in 1..=20_u32 {
        clients.push(ask(&bench, &number.to_string()));
        bench.wait_for("it waits", |state| state.waiting == number);
    }
    bench.view = view(&[server]);
    let published = Instant::now();
    bench.publish();
    let came: Vec<(u32, Duration)> = (0..20)
        .map(|_| (order.recv_timeout(LONG).unwrap().parse().unwrap(), published.elapsed()))
        .collect();
    // Fifteen of them at 20 ms each.
    assert!(came[19].1 >= Duration::from_millis(280), "{came:?}");
    let burst: std::collections::BTreeSet<u32> = came[..5].iter().map(|(n, _)| *n).collect();
    assert_eq!(burst, (1..=5).collect());
    assert!(came[5..].is_sorted(), "{came:?}");
}

#[test]
fn no_more_than_the_limit_wait() {
    let mut settings = holding(LONG);
    settings.options.queue_max = 3;
    let bench = Bench::blind(settings, SPLICE);
    let waiting: Vec<_> = (0..3).map(|_| ask(&bench, "alice")).collect();
    bench.wait_for("three wait", |state| state.waiting == 3);
    let fields = read_error(&mut ask(&bench, "bob"));
    assert_eq!(fields[2..], ["C53300", "M3 clients wait for a server already"]);
    assert_eq!((bench.state().waiting, bench.state().counters.overflowed), (3, 1));
    drop(waiting);
    bench.wait_for("nobody waits", |state| state.waiting == 0 && state.connections == 0);
    assert_eq!(bench.state().counters.abandoned, 3);
}

#[test]
fn a_full_server_is_waited_for() {
    let mut bench = writer(holding(LONG), &[postgres("pg-1")]);
    bench.view.servers[0].maxconn = NonZeroU32::new(2);
    bench.publish();
    let mut clients: Vec<_> = (0..12).map(|_| ask(&bench, "alice")).collect();
    // Whoever leaves makes room for one, at whichever worker it waits.
    while !clients.is_empty() {
        assert!(bench.proxy.servers().next().unwrap().sessions <= 2);
        clients.remove(answered(&clients));
    }
    assert_eq!(bench.state().counters.sessions, 12);

    let mut bench = writer(holding(Duration::from_millis(200)), &[postgres("pg-1")]);
    bench.view.servers[0].maxconn = NonZeroU32::new(1);
    bench.publish();
    let mut first = ask(&bench, "alice");
    served_by(&mut first);
    let fields = read_error(&mut ask(&bench, "bob"));
    assert_eq!(fields[2..], ["C53300", "Mall servers are full (waited 0.2 s for a place)"]);
}

#[test]
fn a_closed_listener_tells_those_that_wait() {
    let mut bench = Bench::blind(holding(LONG), SPLICE);
    let mut client = ask(&bench, "alice");
    bench.wait_for("it waits", |state| state.waiting == 1);
    bench.proxy.close(ID, vipd::proxy::Remaining::Keep);
    assert_eq!(read_error(&mut client)[2], "C57P03");
}
