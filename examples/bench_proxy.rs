//! What the data plane costs, on the loopback interface: the time until 2,000 sessions of a server
//! that lost its role have ended, beside what the kernel alone takes for as many resets, and the
//! memory of an idle session.
//!
//! `make bench-proxy`

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vipd::config::{Frontend, ListenerProtocol};
use vipd::pool::{Admission, Balance, PoolView, Role, Server, ServerId, Wants, Weight};
use vipd::proxy::{HintSink, ListenerId, Options, Proxy};
use vipd::sys::epoll::{Poller, Ready};
use vipd::sys::tcp;

const ID: ListenerId = ListenerId(1);
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let sessions: usize = std::env::args().nth(1).map_or(Ok(2000), |n| n.parse())?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = TcpListener::bind(loopback)?;
    let sink = HintSink(Arc::new(|_| true));
    let mut proxy = Proxy::start(Options::default(), &sink)?;
    let listener = Frontend::new("bench", ListenerProtocol::Tcp, vec![loopback.into()]);
    let address = *proxy.open(ID, listener)?.first().context("an address")?;
    let mut view = PoolView {
        wants: Wants::Writer,
        fallback: false,
        balance: Balance::RoundRobin,
        all_backups: false,
        end_backups: false,
        unknown_protocol: false,
        unresolved: Vec::new(),
        servers: vec![Server {
            id: ServerId(1),
            name: "pg-1".into(),
            address: server.local_addr()?,
            role: Role::Primary,
            admission: Admission::Up,
            weight: Weight::ONE,
            maxconn: None,
            backup: false,
        }],
    };
    for round in 1..=ROUNDS {
        set_role(&mut proxy, &mut view, Role::Primary);
        let before = resident()?;
        let mut clients = Vec::new();
        let mut servers = Vec::new();
        for _ in 0..sessions {
            let mut client = TcpStream::connect(address)?;
            client.write_all(b"x")?;
            let (mut accepted, _) = server.accept()?;
            accepted.read_exact(&mut [0])?;
            clients.push(client);
            servers.push(accepted);
        }
        let idle = resident()?.saturating_sub(before);
        let floor = kernel_alone(sessions)?;
        let poller = Poller::new()?;
        for client in &clients {
            poller.add(client, 0, Ready::RDHUP | Ready::ET)?;
        }
        let published = Instant::now();
        set_role(&mut proxy, &mut view, Role::Replica);
        // Clients are elsewhere: to be woken by each reset would take processors from the proxy.
        while proxy.listener(ID).is_some_and(|state| state.connections > 0) {
            ensure!(published.elapsed() < Duration::from_secs(10), "sessions did not end");
            std::thread::sleep(Duration::from_micros(100));
        }
        let ended = published.elapsed();
        let mut told = 0;
        while told < sessions {
            let mut events = Vec::new();
            poller.wait(Duration::ZERO, &mut events)?;
            ensure!(!events.is_empty(), "{told} of {sessions} clients were told");
            told += events.len();
        }
        println!(
            "round {round}: {sessions} clients were reset after {:.1} ms, {:.1} times what the \
             kernel alone takes ({:.1} ms); {idle} KiB more resident while they were idle",
            ended.as_secs_f64() * 1000.0,
            ended.as_secs_f64() / floor.as_secs_f64(),
            floor.as_secs_f64() * 1000.0,
        );
    }
    proxy.stop();
    Ok(())
}

/// Resets as many connections from two threads, which do nothing else.
fn kernel_alone(sessions: usize) -> Result<Duration> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut clients = Vec::new();
    let mut halves = [Vec::new(), Vec::new()];
    for n in 0..sessions {
        clients.push(TcpStream::connect(listener.local_addr()?)?);
        let (accepted, _) = listener.accept()?;
        halves[n % 2].push(OwnedFd::from(accepted));
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        for half in halves {
            scope.spawn(|| half.into_iter().for_each(tcp::reset));
        }
    });
    Ok(start.elapsed())
}

fn set_role(proxy: &mut Proxy, view: &mut PoolView, role: Role) {
    for server in &mut view.servers {
        server.role = role;
    }
    proxy.publish(ID, Arc::new(view.clone()));
}

/// KiB of this process in memory.
fn resident() -> Result<u64> {
    let status = procfs::process::Process::myself()?.status()?;
    status.vmrss.context("VmRSS")
}
