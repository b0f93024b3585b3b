//! A proxy with one listener, and the clients and servers around it. Everything that waits has a
//! deadline.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use vipd::config::{Frontend, ListenerProtocol};
use vipd::pool::{Admission, Balance, PoolView, Role, Server, ServerId, Wants, Weight};
use vipd::proxy::{HintSink, Hinted, ListenerId, ListenerState, Options, Proxy, Splice};

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(20);

pub const ID: ListenerId = ListenerId(1);

pub const COPY: Splice = Splice { pipes: 0, size: 0 };
pub const SPLICE: Splice = Splice { pipes: 32, size: 1 << 20 };
pub const ONE_PAGE: Splice = Splice { pipes: 32, size: 4096 };

pub struct Bench {
    pub proxy: Proxy,
    pub address: SocketAddr,
    pub view: PoolView,
    pub hints: Receiver<Hinted>,
}

pub fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub fn listener(protocol: ListenerProtocol) -> Frontend {
    Frontend::new("test", protocol, vec![loopback().into()])
}

/// Servers numbered from 1, all primaries of a listener that takes any.
pub fn view(servers: &[SocketAddr]) -> PoolView {
    let server = |(id, address): (u32, &SocketAddr)| Server {
        id: ServerId(id),
        name: format!("pg-{id}").into(),
        address: *address,
        role: Role::Primary,
        admission: Admission::Up,
        weight: Weight::ONE,
        maxconn: None,
        backup: false,
    };
    PoolView {
        wants: Wants::Any,
        fallback: false,
        balance: Balance::RoundRobin,
        all_backups: false,
        end_backups: false,
        unknown_protocol: false,
        unresolved: Vec::new(),
        servers: (1..).zip(servers).map(server).collect(),
    }
}

impl Bench {
    /// A proxy that listens and has been given no view.
    pub fn blind(listener: Frontend, splice: Splice) -> Bench {
        Bench::with(Options { workers: 2, splice }, listener)
    }

    pub fn with(options: Options, listener: Frontend) -> Bench {
        let (to, hints) = mpsc::channel();
        let to = std::sync::Mutex::new(to);
        let sink = HintSink(Arc::new(move |hint| {
            let _ = to.lock().unwrap().send(hint);
            true
        }));
        let mut proxy = Proxy::start(options, &sink).unwrap();
        let address = proxy.open(ID, listener).unwrap()[0];
        Bench { proxy, address, view: view(&[]), hints }
    }

    pub fn new(listener: Frontend, splice: Splice, servers: &[SocketAddr]) -> Bench {
        let mut bench = Bench::blind(listener, splice);
        bench.view = view(servers);
        bench.publish();
        bench
    }

    pub fn tcp(splice: Splice, server: SocketAddr) -> Bench {
        Bench::new(listener(ListenerProtocol::Tcp), splice, &[server])
    }

    pub fn publish(&mut self) {
        self.proxy.publish(ID, Arc::new(self.view.clone()));
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    pub fn state(&self) -> ListenerState {
        self.proxy.listener(ID).unwrap()
    }

    pub fn wait_for(&self, what: &str, holds: impl Fn(&ListenerState) -> bool) {
        until(what, || holds(&self.state()));
    }
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).unwrap())
}

/// A stream that fails rather than wait for ever.
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The number of a client that has been sent something.
pub fn answered(clients: &[TcpStream]) -> usize {
    let mut answered = None;
    until("one is answered", || {
        answered = clients.iter().position(|client| {
            client.set_nonblocking(true).unwrap();
            let answered = client.peek(&mut [0]).is_ok();
            client.set_nonblocking(false).unwrap();
            answered
        });
        answered.is_some()
    });
    answered.unwrap()
}

/// A server that does the same with each connection, on a thread of its own.
pub fn serve(with: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let (listener, address) = listen();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let with = with.clone();
            let stream = patient(stream.unwrap());
            thread::spawn(move || with(stream));
        }
    });
    address
}

/// A server that sends back what it gets.
pub fn echo() -> SocketAddr {
    serve(|mut stream| {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })
}

/// A session through the proxy, both ends in hand.
pub fn session(bench: &Bench, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = bench.connect();
    let (server, _) = server.accept().unwrap();
    (client, patient(server))
}

pub fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Everything up to an orderly end.
pub fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Everything up to a reset.
pub fn read_to_reset(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).expect_err("an orderly end instead of a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    bytes
}

pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Enough descriptors for thousands of sessions in one process.
pub fn allow_many_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= 16_384, "this test needs 16384 descriptors (ulimit -Hn), not {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
