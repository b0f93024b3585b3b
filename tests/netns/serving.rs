//! The proxy and the virtual address in one daemon: what the one does to the other.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use vipd::lab::deadline::eventually;
use vipd::lab::fake_patroni::{FakePatroni, FakeRole};
use vipd::lab::{Lab, Node, Stamp, Vipd};

use crate::common::{Machine, adverts, pass, snapshot, start};
use crate::turns::{alone, together};
use crate::{SOON, lab};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const INTERVAL: Duration = Duration::from_millis(100);

fn host(lab: &Lab, name: &str, last: u8) -> Node {
    let node = lab.node(name).unwrap();
    node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
    node
}

/// A router with the virtual address, and what listens behind it.
fn config(priority: u8, track: &str, serves: &str) -> String {
    format!(
        "[vrrp.edge]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nversion = 3\n\
         interval = \"100ms\"\naddresses = [\"{VIP}/24\"]\n{track}\n{serves}"
    )
}

const PATRONI: &str = "[cluster.pg]\nmembers = [\"10.0.0.21\"]\n\
                       [listener]\nwrite = { bind = \"*:5000\", role = \"writer\" }\n";

fn state(vipd: &Vipd) -> String {
    snapshot(vipd)["routers"][0]["state"].as_str().unwrap().to_owned()
}

fn await_state(vipd: &Vipd, wanted: &str) {
    let what = format!("{} to be {wanted}", vipd.process().node().name());
    let look = || if state(vipd) == wanted { Ok(()) } else { Err(vipd.log()) };
    eventually(SOON, what, look).unwrap();
}

/// A TCP server in a host, and the connections it has accepted.
fn server(node: &Node, at: SocketAddr) -> std::sync::mpsc::Receiver<TcpStream> {
    let (to, accepted) = std::sync::mpsc::channel();
    let listener = node.inside("listen", move || TcpListener::bind(at)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if to.send(stream).is_err() {
                return;
            }
        }
    });
    accepted
}

#[test]
fn sessions_that_came_in_by_the_address_end_on_both_sides_when_it_goes() {
    let _turn = together();
    let lab = lab();
    let (a, b, db) = (host(&lab, "lb-01", 2), host(&lab, "lb-02", 3), host(&lab, "db", 21));
    let client = host(&lab, "client", 9);
    let serves = "[cluster.any]\ncheck = \"none\"\nmembers = [\"10.0.0.21:7000\"]\n\
                  [listener.any]\nbind = \"*:5000\"\n";
    let accepted = server(&db, "10.0.0.21:7000".parse().unwrap());
    let first = start(&a, &config(150, "", serves));
    let _second = start(&b, &config(100, "", serves));
    await_state(&first, "master");

    let connect = |to: Ipv4Addr| {
        let at = SocketAddr::from((to, 5000));
        let stream = client.inside("connect", move || TcpStream::connect_timeout(&at, SOON));
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(b"x").unwrap();
        let mut server = accepted.recv_timeout(SOON).unwrap();
        server.set_read_timeout(Some(SOON)).unwrap();
        server.read_exact(&mut [0]).unwrap();
        (stream, server)
    };
    let (mut by_vip, mut vip_server) = connect(VIP);
    let (mut by_own, mut own_server) = connect(Ipv4Addr::new(10, 0, 0, 2));

    let from = Stamp::now();
    first.stop();
    let end = by_vip.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    let end = vip_server.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    assert!(Stamp::now().since(from) < SOON);
    // The others end with the daemon, not before.
    let end = by_own.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    drop(own_server.read(&mut [0]));
}

/// Whatever it does about TLS, psql shows the words of the proxy.
#[test]
fn psql_shows_why_it_is_refused_with_and_without_tls() {
    let _turn = together();
    let lab = lab();
    let (edge, client) = (host(&lab, "lb-01", 2), host(&lab, "client", 9));
    let serves = "[cluster.pg]\nmembers = [\"10.0.0.21\"]\n[listener.write]\n\
                  bind = \"*:5000\"\nrole = \"writer\"\nqueue_timeout = \"0s\"\n";
    let vipd = start(&edge, serves);
    eventually(SOON, "the port to be open", || edge_listens(&client)).unwrap();
    for mode in ["disable", "allow", "prefer", "require"] {
        let mut command = Command::new("psql");
        let to = format!("host=10.0.0.2 port=5000 user=alice dbname=app sslmode={mode}");
        command.args(["-X", "-c", "select 1"]).arg(to);
        let done = client.output(command, SOON).unwrap();
        let words = "FATAL:  no usable primary";
        let said = &done.stderr;
        assert!(!done.exit.success() && said.contains(words), "{mode}: {said}; {}", vipd.log());
        assert!(!said.contains("SSL exchange") && !said.contains("does not"), "{mode}: {said}");
    }
}

/// Who verifies certificates believes the listener's own, which a reload cannot lose.
#[test]
fn psql_shows_why_it_is_refused_to_users_who_verify_certificates() {
    let _turn = together();
    let lab = lab();
    let (edge, client) = (host(&lab, "lb-01", 2), host(&lab, "client", 9));
    let pem = |name: &str| format!("{}/tests/golden/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let (cert, key, authority) = (pem("server.pem"), pem("server.key"), pem("authority.pem"));
    let serves = format!(
        "[cluster.pg]\nmembers = [\"10.0.0.21\"]\n[listener.write]\nbind = \"*:5000\"\n\
         role = \"writer\"\nqueue_timeout = \"0s\"\ncert = {cert:?}\nkey = {key:?}\n"
    );
    let vipd = start(&edge, &serves);
    eventually(SOON, "the port to be open", || edge_listens(&client)).unwrap();
    let refused = |mode: &str| {
        let mut command = Command::new("psql");
        let to = format!(
            "host=db.example.org hostaddr=10.0.0.2 port=5000 user=alice dbname=app \
             sslmode={mode} sslrootcert={authority}"
        );
        command.args(["-X", "-c", "select 1"]).arg(to);
        let said = client.output(command, SOON).unwrap().stderr;
        let words = "FATAL:  no usable primary";
        assert!(said.contains(words) && !said.contains("SSL error"), "{mode}: {said}");
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        refused(mode);
    }
    let absent = serves.replace("server.pem", "absent.pem");
    vipd.reload(&absent).unwrap();
    eventually(SOON, "the reload to be refused", || {
        let error = snapshot(&vipd)["daemon"]["reload_error"].to_string();
        if error.contains("absent.pem: No such file or directory") { Ok(()) } else { Err(error) }
    })
    .unwrap();
    refused("verify-full");
}

fn edge_listens(client: &Node) -> Result<(), String> {
    let at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 5000));
    let connects = client.inside("connect", move || TcpStream::connect_timeout(&at, SOON));
    connects.map(drop).map_err(|error| error.to_string())
}

/// Neither a reset nor an end: what is under way is never answered.
#[test]
fn a_peer_that_vanishes_in_the_middle_of_a_transfer_is_noticed_where_there_is_a_limit() {
    let _turn = together();
    let lab = lab();
    let (edge, db) = (host(&lab, "lb-01", 2), host(&lab, "db", 21));
    let client = host(&lab, "client", 9);
    let serves = "[cluster.any]\ncheck = \"none\"\nmembers = [\"10.0.0.21:7000\"]\n\
                  [listener.any]\nbind = \"*:5000\"\nclient = { tcp_user_timeout = \"2s\" }\n\
                  server = { tcp_user_timeout = \"2s\" }\n";
    let accepted = server(&db, "10.0.0.21:7000".parse().unwrap());
    let vipd = start(&edge, serves);
    let at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 5000));
    let connect = || {
        let connect = move || TcpStream::connect_timeout(&at, SOON);
        let mut stream =
            eventually(SOON, "a connection", || client.inside("connect", connect)).unwrap();
        stream.write_all(b"x").unwrap();
        let mut server = accepted.recv_timeout(SOON).unwrap();
        server.read_exact(&mut [0]).unwrap();
        (stream, server)
    };
    // The one that stays pumps until its session breaks.
    let pump = |mut stays: TcpStream, gone: &Node| {
        stays.set_write_timeout(Some(SOON)).unwrap();
        stays.write_all(&[0; 1 << 16]).unwrap();
        lab.isolate(gone).unwrap();
        let from = Stamp::now();
        let error = loop {
            if let Err(error) = stays.write_all(&[0; 1 << 16]) {
                break error;
            }
        };
        let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(kinds.contains(&error.kind()), "{}: {error}; {}", gone.name(), vipd.log());
        println!("{} missed after {:?}", gone.name(), Stamp::now().since(from));
        lab.heal().unwrap();
    };
    let ((_client, by_server), (by_client, _server)) = (connect(), connect());
    pump(by_server, &client);
    pump(by_client, &db);
}

#[test]
fn the_address_follows_the_edge_that_can_serve_and_stays_where_nobody_can() {
    let _turn = together();
    let lab = lab();
    let (a, b) = (host(&lab, "lb-01", 2), host(&lab, "lb-02", 3));
    let (pg, client) = (host(&lab, "pg-01", 21), host(&lab, "client", 9));
    let database = FakePatroni::start(&pg, Ipv4Addr::new(10, 0, 0, 21)).unwrap();
    database.set_role(FakeRole::Primary(1)).unwrap();
    let track = "track = [{ listener = \"write\", weight = -60 }]";
    let (first, second) =
        (start(&a, &config(150, track, PATRONI)), start(&b, &config(100, track, PATRONI)));
    await_state(&first, "master");
    await_state(&second, "backup");

    // Port 5000 is taken where the better node is configured to listen from now on.
    let taken = a.inside("listen", || TcpListener::bind("10.0.0.2:5001")).unwrap();
    let elsewhere = PATRONI.replace("*:5000", "*:5001");
    first.reload(&config(150, track, &elsewhere)).unwrap();
    await_state(&second, "master");
    drop(taken);
    await_state(&first, "master");

    // What both see moves nothing.
    database.set_role(FakeRole::Dead).unwrap();
    let moved = vipd::lab::deadline::never(Duration::from_secs(6), || {
        (state(&first) != "master").then(|| first.log())
    });
    assert_eq!(moved, Ok(()));
    drop(client);
}

/// One message of PostgreSQL's protocol, and everything up to the server's readiness for the next.
fn exchange(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.write_all(message)?;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) - 4;
        std::io::copy(&mut stream.take(length.into()), &mut std::io::sink())?;
        if kind == b'Z' {
            return Ok(());
        }
    }
}

/// A process that was stopped has asked nobody: that is no failure of the servers, nor of the proxy.
#[test]
fn a_session_outlives_a_stop_of_the_process_and_no_check_fails_by_it() {
    let _turn = together();
    let lab = lab();
    let (edge, pg) = (host(&lab, "lb-01", 2), host(&lab, "pg-01", 21));
    let client = host(&lab, "client", 9);
    let database = FakePatroni::start(&pg, Ipv4Addr::new(10, 0, 0, 21)).unwrap();
    database.set_role(FakeRole::Primary(1)).unwrap();
    let serves = PATRONI.replace("[listener]", "primary_lease = \"2s\"\n[listener]");
    let vipd = start(&edge, &config(150, "track = [{ listener = \"write\" }]", &serves));
    await_state(&vipd, "master");
    let at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 5000));
    let connect = move || TcpStream::connect_timeout(&at, SOON);
    let mut session = client.inside("connect", connect).unwrap();
    session.set_read_timeout(Some(SOON)).unwrap();
    exchange(&mut session, b"\0\0\0\x10\0\x03\0\0user\0x\0\0").unwrap();
    let query = b"Q\0\0\0\x0dselect 1\0";
    exchange(&mut session, query).unwrap();

    // Longer than the lease, and than the proxy may stand still.
    let before = snapshot(&vipd)["routers"][0]["transitions"].as_array().unwrap().len();
    vipd.process().signal(Signal::SIGSTOP);
    pass(Duration::from_millis(5500));
    vipd.process().signal(Signal::SIGCONT);
    exchange(&mut session, query).unwrap_or_else(|error| panic!("{error}\n{}", vipd.log()));
    let amiss = vipd::lab::deadline::never(Duration::from_millis(1500), || {
        let error = exchange(&mut session, query).err().map(|error| error.to_string());
        let priority = snapshot(&vipd)["routers"][0]["priority"].clone();
        (error.is_some() || priority != 150).then(|| (error, priority, vipd.log()))
    });
    assert_eq!(amiss, Ok(()));
    let changes = snapshot(&vipd)["routers"][0]["transitions"].as_array().unwrap().len();
    assert!(changes > before, "the lease of its address has ended");
}

#[test]
fn adverts_are_on_time_while_the_proxy_takes_all_processors() {
    let _turn = alone();
    for (scheduling, global) in
        [("real time", ""), ("no real time", "[global]\nrealtime = false\n")]
    {
        let (bytes, adverts, late) = lateness_under_load(global);
        println!("{scheduling}: {bytes} MiB proxied, {adverts} adverts, at most {late:?} late");
    }
}

/// How many MiB went through the proxy, and how late the latest of so many adverts was.
fn lateness_under_load(global: &str) -> (u64, usize, Duration) {
    let lab = lab();
    let (a, wire) = (host(&lab, "lb-01", 2), host(&lab, "watch", 8));
    let serves = "[cluster.any]\ncheck = \"none\"\nmembers = [\"127.0.0.1:7000\"]\n\
                  [listener.any]\nbind = \"127.0.0.1:5000\"\n";
    let over = Arc::new(AtomicBool::new(false));
    let moved = Arc::new(AtomicU64::new(0));
    let accepted = server(&a, "127.0.0.1:7000".parse().unwrap());
    let (stop, count) = (Arc::clone(&over), Arc::clone(&moved));
    let sink = thread::spawn(move || {
        let mut readers = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut stream) = accepted.recv_timeout(INTERVAL) else { continue };
            let count = Arc::clone(&count);
            readers.push(thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    count.fetch_add(u64::try_from(read).unwrap(), Ordering::Relaxed);
                }
            }));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    let vipd = start(&a, &format!("{global}{}", config(150, "", serves)));
    await_state(&vipd, "master");
    let machine = Machine::watch();
    let seen = wire.capture("eth0").unwrap();
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
            let stream = a.inside("connect", move || TcpStream::connect_timeout(&at, SOON));
            let (mut stream, stop) = (stream.unwrap(), Arc::clone(&over));
            thread::spawn(move || {
                let chunk = vec![7; 1 << 14];
                while !stop.load(Ordering::Relaxed) && stream.write_all(&chunk).is_ok() {}
                let _ = stream.shutdown(Shutdown::Both);
            })
        })
        .collect();
    pass(Duration::from_secs(4));
    over.store(true, Ordering::Relaxed);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    sink.join().unwrap();
    let bytes = moved.load(Ordering::Relaxed);
    assert!(bytes > 100 << 20, "{bytes} bytes went through the proxy: it was not busy");
    let times: Vec<Stamp> =
        adverts(&seen.frames(), "10.0.0.2").into_iter().map(|(at, _)| at).collect();
    let latest = times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    let late = latest.saturating_sub(INTERVAL);
    assert!(late <= machine.allows(Duration::from_millis(50)), "{late:?}");
    (bytes >> 20, times.len(), late)
}
