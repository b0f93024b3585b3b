//! `make bench-leader`: what it costs a client to follow Patroni's leader by the virtual address.
//!
//! Three database nodes with `examples/vipd-patroni.toml`. One client writes to the address, another
//! at the same time to whoever is primary: its gap is the database's own. Nothing here asserts a
//! time: the figures are for a human.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vipd::lab::cluster::{Cluster, Member, SQL_PORT};
use vipd::lab::deadline::eventually;
use vipd::lab::writer::{TABLE, Writer};
use vipd::lab::{Lab, Stamp, Vipd};

const EXAMPLE: &str = include_str!("vipd-patroni.toml");
/// The address in the example.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const SWITCHOVERS: usize = 5;
const SOON: Duration = Duration::from_secs(60);
/// Time in which both clients write undisturbed.
const QUIET: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-leader: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let site = Site::start()?;
    println!("planned switchovers, ms without a row   by the address   directly   more");
    let mut gaps = Vec::new();
    for n in 1..=SWITCHOVERS {
        let (by_address, directly) = site.switch_over()?;
        print(&format!("  {n}"), by_address, directly, by_address.saturating_sub(directly));
        gaps.push((by_address, directly, by_address.saturating_sub(directly)));
    }
    let column = |pick: fn(&(Duration, Duration, Duration)) -> Duration| {
        let mut sorted: Vec<_> = gaps.iter().map(pick).collect();
        sorted.sort();
        sorted
    };
    let columns = [column(|gap| gap.0), column(|gap| gap.1), column(|gap| gap.2)];
    let [by_address, directly, more] =
        columns.each_ref().map(|c| c.get(c.len() / 2).copied().unwrap_or_default());
    print("  median", by_address, directly, more);
    let [by_address, directly, more] = columns.map(|c| c.last().copied().unwrap_or_default());
    print("  worst", by_address, directly, more);
    Ok(())
}

fn print(what: &str, by_address: Duration, directly: Duration, more: Duration) {
    let [by_address, directly, more] = [by_address, directly, more].map(|gap| gap.as_millis());
    println!("{what:<40}{by_address:>14}{directly:>11}{more:>7}");
}

struct Site {
    cluster: Cluster,
    by_address: Writer,
    direct: Writer,
    _daemons: Vec<Vipd>,
    _lab: Lab,
}

impl Site {
    fn start() -> Result<Site> {
        let vipd = vipd_binary()?;
        let lab = Lab::new()?;
        let cluster = Cluster::in_lab(&lab, &["pg-01", "pg-02", "pg-03"])?;
        let client = lab.node("client")?;
        client.link("eth0", &["10.0.0.9/24"])?;
        let leader = cluster.wait_for_primary(None, SOON)?;
        leader.sql(leader.address(), TABLE)?;
        let start = |member: &Member| Vipd::start(member.node(), &vipd, "vipd.toml", EXAMPLE);
        let daemons = cluster.members().iter().map(start).collect::<vipd::lab::Result<_>>()?;
        let sql = |address: Ipv4Addr| SocketAddr::from((address, SQL_PORT));
        let members: Vec<_> = cluster.members().iter().map(|m| sql(m.address())).collect();
        let by_address = Writer::start(&client, "by address", &[sql(VIP)])?;
        let direct = Writer::start(&client, "direct", &members)?;
        let site = Site { cluster, by_address, direct, _daemons: daemons, _lab: lab };
        site.await_writes_to(site.cluster.wait_for_primary(None, SOON)?)?;
        Ok(site)
    }

    /// How long each client could not write.
    fn switch_over(&self) -> Result<(Duration, Duration)> {
        self.cluster.wait_until_whole(SOON)?;
        let old = self.cluster.wait_for_primary(None, SOON)?;
        let new = self.cluster.members().iter().find(|m| m.address() != old.address());
        let new = new.context("there is one member only")?;
        thread::sleep(QUIET);
        let from = Stamp::now();
        self.cluster.switch_over(new)?;
        self.await_writes_to(new)?;
        thread::sleep(QUIET);
        let (by_address, direct) = (self.by_address.diary(), self.direct.diary());
        let read_only = by_address.read_only_in(from, Stamp::now());
        ensure!(read_only == 0, "a standby refused {read_only} rows by the address");
        let gap = |diary: &vipd::lab::writer::Diary| {
            diary.longest_gap_in(from, Stamp::now()).map(|gap| gap.length())
        };
        gap(&by_address).zip(gap(&direct)).context("a client wrote nothing")
    }

    fn await_writes_to(&self, member: &Member) -> Result<()> {
        let name = member.node().name();
        eventually(SOON, format!("rows on {name} by the address"), || {
            self.by_address.last().is_some_and(|row| row.by == name)
        })?;
        Ok(())
    }
}

fn vipd_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    // target/<profile>/examples/bench-leader
    let beside = own.parent().and_then(|d| d.parent()).map(|profile| profile.join("vipd"));
    beside.filter(|path| path.is_file()).context("there is no vipd: cargo build --release")
}
