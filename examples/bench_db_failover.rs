//! `make bench-db-failover`: what clients see of a planned switchover of Patroni through HAProxy with
//! the settings everybody publishes, through vipd with the same file, and through vipd with the
//! defaults of its own.
//!
//! The three run in turn on one host in front of one cluster of three nodes. Two clients work through
//! the proxy, one in a session it opens again at once, one in a new session for each row; a third
//! looks for the primary itself: its gap is the database's own. Nothing here asserts a time: the
//! figures are for a human.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use vipd::lab::cluster::{Cluster, SQL_PORT};
use vipd::lab::deadline::eventually;
use vipd::lab::haproxy::Haproxy;
use vipd::lab::writer::{Diary, TABLE, Work, Writer};
use vipd::lab::{Lab, Node, Stamp, Vipd};

const EDGE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const PORT: u16 = 5000;
const SWITCHOVERS: usize = 5;
const SOON: Duration = Duration::from_secs(60);
/// What a client's driver puts up with.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time in which the clients write undisturbed.
const QUIET: Duration = Duration::from_secs(3);

/// As published with Patroni, and copied ever since.
const PUBLISHED: &str = "\
global
    maxconn 100
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 5s
listen primary
    bind *:5000
    option httpchk GET /primary
    http-check expect status 200
    default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
    server pg-01 10.0.0.21:5432 maxconn 100 check port 8008
    server pg-02 10.0.0.22:5432 maxconn 100 check port 8008
    server pg-03 10.0.0.23:5432 maxconn 100 check port 8008
";

const OWN: &str = "\
[cluster.pg]
members = [\"10.0.0.21\", \"10.0.0.22\", \"10.0.0.23\"]
[listener]
primary = { bind = \"*:5000\", role = \"writer\" }
";

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-db-failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What stands between the clients and the cluster, until it is dropped.
enum Edge {
    Haproxy(#[expect(dead_code, reason = "runs until it is dropped")] Haproxy),
    Vipd(#[expect(dead_code, reason = "runs until it is dropped")] Vipd),
}

fn measure() -> Result<()> {
    let vipd = vipd_binary()?;
    let lab = Lab::new()?;
    let cluster = Cluster::in_lab(&lab, &["pg-01", "pg-02", "pg-03"])?;
    let host = |name: &str, address: &str| -> Result<Node> {
        let node = lab.node(name)?;
        node.link("eth0", &[address])?;
        Ok(node)
    };
    let (edge, client) = (host("lb-01", "10.0.0.11/24")?, host("client", "10.0.0.9/24")?);
    let leader = cluster.wait_for_primary(None, SOON)?;
    leader.sql(leader.address(), TABLE)?;
    println!(
        "{SWITCHOVERS} planned switchovers each; ms without a row, and what failed of new connections, \
         as read-only, otherwise\n"
    );
    println!(
        "{:<36}{:>9}{:>9}{:>9}{:>9}{:>11}{:>7}",
        "", "session", "rows", "direct", "connect", "read-only", "other"
    );
    let start = |what: &str| -> Result<Edge> { start(what, &edge, &vipd) };
    for what in ["HAProxy, published settings", "vipd, the same haproxy.cfg", "vipd.toml, defaults"]
    {
        let runs = Site { cluster: &cluster, client: &client }.through(what, start(what)?)?;
        print(what, &runs);
    }
    Ok(())
}

fn start(what: &str, edge: &Node, vipd: &Path) -> Result<Edge> {
    Ok(match what {
        "HAProxy, published settings" => Edge::Haproxy(Haproxy::start(edge, PUBLISHED)?),
        "vipd, the same haproxy.cfg" => {
            Edge::Vipd(Vipd::start(edge, vipd, "haproxy.cfg", PUBLISHED)?)
        }
        _ => Edge::Vipd(Vipd::start(edge, vipd, "vipd.toml", OWN)?),
    })
}

struct Site<'a> {
    cluster: &'a Cluster,
    client: &'a Node,
}

/// One switchover: times without a row of the session, the single rows and the direct client, and
/// how many connections, statements on a standby and others failed.
#[derive(Clone, Copy, Debug)]
struct Run {
    gaps: [Duration; 3],
    failed: [usize; 3],
}

impl Site<'_> {
    fn through(&self, what: &str, _edge: Edge) -> Result<Vec<Run>> {
        let at = |address: Ipv4Addr, port: u16| SocketAddr::from((address, port));
        let by_edge = [at(EDGE, PORT)];
        let name = |client: &str| format!("{client} of {what}");
        let client =
            |work, who: &str| Writer::doing(work, PATIENCE, self.client, &name(who), &by_edge);
        let session = client(Work::Write, "session")?;
        let rows = client(Work::WriteOnce, "rows")?;
        let members: Vec<_> =
            self.cluster.members().iter().map(|m| at(m.address(), SQL_PORT)).collect();
        let direct = Writer::start(self.client, &name("direct"), &members)?;
        let clients = [&session, &rows, &direct];
        (0..SWITCHOVERS).map(|_| self.switch_over(clients)).collect()
    }

    fn switch_over(&self, clients: [&Writer; 3]) -> Result<Run> {
        self.cluster.wait_until_whole(SOON)?;
        let old = self.cluster.wait_for_primary(None, SOON)?;
        let new = self.cluster.members().iter().find(|m| m.address() != old.address());
        let new = new.context("there is one member only")?;
        await_rows(clients, old.node().name())?;
        thread::sleep(QUIET);
        let from = Stamp::now();
        self.cluster.switch_over(new)?;
        await_rows(clients, new.node().name())?;
        thread::sleep(QUIET);
        let diaries = clients.map(Writer::diary);
        let gap = |diary: &Diary| diary.longest_gap_in(from, Stamp::now()).map(|gap| gap.length());
        let gaps = diaries.each_ref().map(|diary| gap(diary).unwrap_or_default());
        let [session, rows, _] = &diaries;
        let mut failed = [0; 3];
        for refusal in [session, rows].into_iter().flat_map(|d| d.refused_in(from, Stamp::now())) {
            let [connect, read_only, other] = &mut failed;
            *match refusal {
                refusal if refusal.cause.is_read_only() => read_only,
                refusal if refusal.connecting => connect,
                _ => other,
            } += 1;
        }
        Ok(Run { gaps, failed })
    }
}

fn await_rows(clients: [&Writer; 3], by: &str) -> Result<()> {
    for client in clients {
        eventually(SOON, format!("rows on {by}"), || match client.last() {
            Some(row) if row.by == by => Ok(()),
            other => Err(format!("{other:?}, {:?}", client.diary().refused.last())),
        })?;
    }
    Ok(())
}

fn print(what: &str, runs: &[Run]) {
    let sorted = |of: usize| {
        let mut gaps: Vec<_> =
            runs.iter().filter_map(|run| run.gaps.get(of).map(Duration::as_millis)).collect();
        gaps.sort_unstable();
        gaps
    };
    let gaps = [0, 1, 2].map(sorted);
    let failed =
        [0, 1, 2].map(|of| runs.iter().filter_map(|run| run.failed.get(of)).sum::<usize>());
    let line = |what: &str, at: fn(&[u128]) -> Option<&u128>, failed: &str| {
        let [session, rows, direct] =
            gaps.each_ref().map(|gaps| at(gaps).copied().unwrap_or_default());
        println!("{what:<36}{session:>9}{rows:>9}{direct:>9}{failed}");
    };
    let [connect, read_only, other] = failed;
    line(&format!("{what}: median"), |gaps| gaps.get(gaps.len() / 2), "");
    line(
        "  worst, and failures of all",
        <[u128]>::last,
        &format!("{connect:>9}{read_only:>11}{other:>7}"),
    );
}

fn vipd_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    // target/<profile>/examples/bench-db-failover
    let beside = own.parent().and_then(|d| d.parent()).map(|profile| profile.join("vipd"));
    beside.filter(|path| path.is_file()).context("there is no vipd: cargo build --release")
}
