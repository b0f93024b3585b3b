//! Any configuration of clusters and listeners over the simulated nodes.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::checks::{Check, Endpoint, HttpTarget, MaxLag, PostgresCheck};
use vipd::config::{
    ClusterConfig, Config, Frontend, ListenerConfig, ListenerOptions, ListenerProtocol, Members,
    OnDown, PatroniCluster, PatroniMember, PlainMember, ProbeRhythm, ServerConfig, ServerOptions,
};
use vipd::pool::{Balance, Wants, Weight};

use crate::patroni::{Ms, NODES};
use crate::rng::Rng;

pub const INTERVAL: Ms = 1000;
pub const TIMEOUT: Ms = 500;

fn endpoint(n: usize, port: u16) -> Endpoint {
    Endpoint::parse(&format!("10.0.0.{n}:{port}"), None).unwrap()
}

fn member(n: usize) -> PatroniMember {
    PatroniMember {
        name: format!("pg-{n}").into(),
        address: endpoint(n, 5432),
        api: HttpTarget { endpoint: endpoint(n, 8008), tls: None, host: None, headers: Vec::new() },
    }
}

fn server(member: usize) -> ServerConfig {
    ServerConfig { member, address: None, options: ServerOptions::default() }
}

fn listener(name: &str, wants: Wants, port: u16) -> ListenerConfig {
    let binds = vec![SocketAddr::from(([0, 0, 0, 0], port)).into()];
    ListenerConfig {
        frontend: Frontend::new(name, ListenerProtocol::Postgres, binds),
        cluster: 0,
        servers: (0..NODES).map(server).collect(),
        wants,
        fallback: false,
        max_lag: MaxLag::default(),
        tags: Vec::new(),
        replication_state: None,
        on_down: OnDown::End,
        by_status: None,
    }
}

/// Three nodes, and a listener each for those who write and for everybody.
pub fn usual() -> Config {
    let cluster = ClusterConfig {
        name: "main".to_owned(),
        members: Members::Patroni(PatroniCluster {
            members: (0..NODES).map(member).collect(),
            down_after: Duration::from_secs(5),
            primary_lease: None,
            by_status: false,
        }),
        rhythm: ProbeRhythm {
            interval: Duration::from_millis(INTERVAL),
            fast_interval: Duration::from_millis(100),
            down_interval: Duration::from_millis(INTERVAL),
            timeout: Duration::from_millis(TIMEOUT),
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN,
        },
        resolve_at_start: false,
    };
    Config {
        clusters: vec![Arc::new(cluster)],
        listeners: vec![
            Arc::new(listener("writers", Wants::Writer, 5000)),
            Arc::new(listener("any", Wants::Any, 5001)),
        ],
        ..Config::default()
    }
}

/// Anything a configuration may say of clusters and listeners. No lease is longer than `most`.
pub fn any(rng: &mut Rng, most: Duration) -> Config {
    let nodes: Vec<usize> = match rng.below(4) {
        0 => (0..NODES).filter(|_| rng.chance(70)).collect(),
        1 => (0..NODES).rev().collect(),
        _ => (0..NODES).collect(),
    };
    let nodes = if nodes.is_empty() { vec![0] } else { nodes };
    let roles = rng.chance(85);
    let members = match roles {
        true => Members::Patroni(any_patroni(rng, &nodes, most)),
        false => Members::Plain(nodes.iter().map(|n| any_plain(rng, *n)).collect()),
    };
    let name = if rng.chance(80) { "main" } else { "other" };
    let cluster = ClusterConfig {
        name: name.to_owned(),
        members,
        rhythm: any_rhythm(rng),
        resolve_at_start: false,
    };
    let mut listeners = Vec::new();
    for (place, name) in ["writers", "readers", "any", "more"].into_iter().enumerate() {
        if rng.chance(85) {
            let port = 5000 + u16::try_from(place).unwrap();
            listeners.push(Arc::new(any_listener(rng, (name, port), nodes.len(), roles)));
        }
    }
    Config { clusters: vec![Arc::new(cluster)], listeners, ..Config::default() }
}

fn any_patroni(rng: &mut Rng, nodes: &[usize], most: Duration) -> PatroniCluster {
    let mut any_member = |n: usize| {
        let mut member = member(n);
        if rng.chance(10) {
            // It is asked in another way.
            member.api.host = format!("host-{}", rng.below(2)).parse().ok();
        }
        if rng.chance(5) {
            member.address = endpoint(n, 6432);
        }
        member
    };
    PatroniCluster {
        members: nodes.iter().map(|n| any_member(*n)).collect(),
        down_after: Duration::from_millis(rng.pick(&[500, 2000, 5000, 30_000])),
        primary_lease: rng.chance(30).then(|| rng.duration(Duration::from_secs(1), most)),
        by_status: false,
    }
}

fn any_plain(rng: &mut Rng, n: usize) -> PlainMember {
    let check =
        Check::Postgres(PostgresCheck { endpoint: endpoint(n, 5432), user: None, tls: None });
    PlainMember {
        name: format!("pg-{n}").into(),
        address: endpoint(n, 5432),
        check: rng.chance(80).then(|| Arc::new(check)),
    }
}

fn any_rhythm(rng: &mut Rng) -> ProbeRhythm {
    let mut count = || NonZeroU32::new(rng.pick(&[1, 1, 2, 3])).unwrap();
    let (rise, fall) = (count(), count());
    ProbeRhythm {
        interval: Duration::from_millis(rng.pick(&[100, 1000, 1000, 3000])),
        fast_interval: Duration::from_millis(rng.pick(&[20, 100, 100, 1000])),
        down_interval: Duration::from_millis(rng.pick(&[50, 1000, 10_000])),
        timeout: Duration::from_millis(rng.pick(&[50, 500, 500, 2000])),
        rise,
        fall,
    }
}

fn any_listener(
    rng: &mut Rng,
    (name, port): (&str, u16),
    members: usize,
    roles: bool,
) -> ListenerConfig {
    let all = [Wants::Writer, Wants::Reader, Wants::Any, Wants::Sync, Wants::Async, Wants::Leader];
    let wants = match (roles, name) {
        (false, _) => Wants::Any,
        (true, "writers") => Wants::Writer,
        (true, "readers") => rng.pick(&[Wants::Reader, Wants::Reader, Wants::Async]),
        (true, _) => rng.pick(&all),
    };
    let mut servers: Vec<ServerConfig> = (0..members).map(server).collect();
    if rng.chance(25) {
        servers.remove(rng.index(members));
    }
    if servers.is_empty() {
        servers.push(server(0));
    }
    for server in &mut servers {
        server.options.weight = Weight::try_from(rng.pick(&[1, 1, 1, 0, 5, 256])).unwrap();
        server.options.backup = rng.chance(15);
        server.options.disabled = rng.chance(5);
        server.options.maxconn = rng.chance(20).then(|| NonZeroU32::new(10).unwrap());
    }
    let bytes = rng.chance(30).then(|| rng.pick(&[0, 1, 9, 5000, 100_000]));
    let time = rng.chance(20).then(|| rng.duration(Duration::ZERO, Duration::from_secs(10)));
    let tags = if rng.chance(20) { vec![("zone".to_owned(), "a".to_owned())] } else { Vec::new() };
    let fallback = roles && rng.chance(40);
    let options = ListenerOptions {
        balance: rng.pick(&[Balance::RoundRobin, Balance::LeastConn, Balance::First]),
        all_backups: rng.chance(30),
        end_backups: rng.chance(30),
        ..ListenerOptions::default()
    };
    let mut listener = ListenerConfig {
        servers,
        fallback,
        max_lag: MaxLag { bytes, time },
        tags,
        replication_state: rng.chance(10).then(|| "streaming".to_owned()),
        on_down: if roles || rng.chance(50) { OnDown::End } else { OnDown::Keep },
        ..listener(name, wants, port)
    };
    let maxconn = rng.chance(20).then(|| NonZeroU32::new(100).unwrap());
    listener.frontend.options = ListenerOptions { maxconn, ..options };
    listener
}
