//! What the scenarios of faults and attacks share: hosts with vipd, and what its status says.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::Value;
use vipd::cli::schema::Printed;
use vipd::lab::deadline::eventually;
use vipd::lab::{Capture, Decoded, Frame, Lab, Node, Stamp, Vipd, Vrrp};

use crate::violations::violations;
use crate::{SOON, lab};

/// The program under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vipd"))
}

/// Copies the program under test. Not by this process: a child that another test starts meanwhile
/// would have the copy open for writing for a moment, and nobody could run it.
pub(crate) fn copy_program(to: &Path) {
    let copied = Command::new("cp").arg(binary()).arg(to).status().unwrap();
    assert!(copied.success(), "{copied}");
}

/// The address most scenarios float.
pub(crate) const VIP: &str = "10.0.0.100";

/// Its interval.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// Longer than a master-down interval of any router with [`INTERVAL`].
pub(crate) const QUIET: Duration = Duration::from_millis(600);

/// Two load balancers, 10.0.0.2 (02:00:00:00:00:01) and 10.0.0.3 (02:00:00:00:00:02), and a client,
/// 10.0.0.9 (02:00:00:00:00:03).
pub(crate) struct Site {
    pub(crate) lab: Lab,
    pub(crate) a: Node,
    pub(crate) b: Node,
    pub(crate) client: Node,
}

pub(crate) fn site() -> Site {
    let lab = lab();
    let host = |name: &str, last: u8| {
        let node = lab.node(name).unwrap();
        node.link("eth0", &[&format!("10.0.0.{last}/24"), &format!("2001:db8::{last}/64")])
            .unwrap();
        node
    };
    let (a, b, client) = (host("lb-01", 2), host("lb-02", 3), host("client", 9));
    Site { a, b, client, lab }
}

/// A VRRPv3 router with [`INTERVAL`], VRID 51 and [`VIP`]; `more` is added to its table.
pub(crate) fn web(priority: u8, more: &str) -> String {
    let addresses = if more.contains("addresses") {
        String::new()
    } else {
        format!("addresses = [\"{VIP}/24\"]")
    };
    format!(
        "[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nversion = 3\n\
         interval = \"100ms\"\n{addresses}\n{more}\n"
    )
}

pub(crate) fn start(node: &Node, config: &str) -> Vipd {
    Vipd::start(node, binary(), "vipd.toml", config).unwrap()
}

/// What every limit leaves to the machine: more than a shared one takes a processor away for, less
/// than lets a backup miss its master at 100 ms. Benchmarks measure what is below it.
const SHARED: Duration = Duration::from_millis(150);

/// How late the machine wakes threads that only sleep, one on each processor: what the daemon may
/// be late by. Seen from the moment this was made.
pub(crate) struct Machine(Stamp);

/// When a sleeper was woken late, and how late.
static DELAYS: LazyLock<Mutex<Vec<(Stamp, Duration)>>> = LazyLock::new(|| {
    for cpu in 0..thread::available_parallelism().unwrap().get() {
        thread::spawn(move || sleep_on(cpu));
    }
    Mutex::default()
});

fn sleep_on(cpu: usize) {
    const NAP: Duration = Duration::from_millis(2);
    let mut only = CpuSet::new();
    only.set(cpu).unwrap();
    // Where this one is not allowed, any processor will do.
    let _ = sched_setaffinity(Pid::from_raw(0), &only);
    loop {
        let asleep = Instant::now();
        thread::sleep(NAP);
        let late = asleep.elapsed().saturating_sub(NAP);
        if late > NAP {
            DELAYS.lock().unwrap().push((Stamp::now(), late));
        }
    }
}

impl Machine {
    pub(crate) fn watch() -> Machine {
        LazyLock::force(&DELAYS);
        Machine(Stamp::now())
    }

    /// The limit for a daemon, given how late the machine was so far. One event can wait for
    /// several threads in turn.
    pub(crate) fn allows(&self, limit: Duration) -> Duration {
        self.allows_in_turn(limit, 4)
    }

    /// The limit for what waits `wakes` times, one after the other.
    pub(crate) fn allows_in_turn(&self, limit: Duration, wakes: u32) -> Duration {
        limit + SHARED.max(self.late() * wakes)
    }

    /// How late it woke a sleeper at worst.
    pub(crate) fn late(&self) -> Duration {
        let delays = DELAYS.lock().unwrap();
        let since = delays.iter().rev().take_while(|(at, _)| *at >= self.0);
        since.map(|(_, late)| *late).max().unwrap_or_default()
    }
}

/// One router's status, or what is there instead of it.
pub(crate) fn router(vipd: &Vipd, name: &str) -> Result<Value, String> {
    let status = vipd.status().map_err(|e| format!("{e}\n{}", vipd.log()))?;
    follows(Printed::Status, &status);
    let found = status["routers"].as_array().and_then(|all| all.iter().find(|r| r["name"] == name));
    found.cloned().ok_or_else(|| format!("no router {name} in {status}"))
}

/// The whole status. A client's patience of a second is too short where compilers run as well.
pub(crate) fn snapshot(vipd: &Vipd) -> Value {
    let ask = || vipd.status().map_err(|e| format!("{e}\n{}", vipd.log()));
    let status = eventually(SOON, "an answer of the daemon", ask).unwrap();
    follows(Printed::Status, &status);
    status
}

fn schema(printed: Printed) -> Value {
    serde_json::from_str(&printed.schema()).unwrap()
}

/// What programs were promised about the JSON holds.
pub(crate) fn follows(printed: Printed, value: &Value) {
    // The status is looked at all the time, and its schema takes longer to make than to compare.
    static STATUS: LazyLock<Value> = LazyLock::new(|| schema(Printed::Status));
    let made;
    let schema = if printed == Printed::Status {
        &*STATUS
    } else {
        made = schema(printed);
        &made
    };
    let found = violations(schema, schema, value, "");
    assert!(found.is_empty(), "{value:#}: {found:#?}");
}

/// The status of the router called web.
pub(crate) fn status(vipd: &Vipd) -> Value {
    eventually(SOON, "an answer of the daemon", || router(vipd, "web")).unwrap()
}

pub(crate) fn counter(vipd: &Vipd, name: &str) -> u64 {
    let router = status(vipd);
    router["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {router}"))
}

/// Waits until the router called web is there, and returns its status.
pub(crate) fn await_state(vipd: &Vipd, state: &str) -> Value {
    eventually(SOON, format!("{} to become {state}", vipd.process().node().name()), || {
        let router = router(vipd, "web")?;
        if router["state"] == state {
            Ok(router)
        } else {
            Err(format!("{router:#}\n{}", vipd.log()))
        }
    })
    .unwrap()
}

/// Waits until `node` has `address`, or has it no longer.
pub(crate) fn await_address(node: &Node, address: &str, there: bool) {
    let what = format!("{} {} {address}", node.name(), if there { "to have" } else { "to lose" });
    eventually(SOON, what, || node.has_address(ip(address)).unwrap() == there).unwrap();
}

/// Waits until exactly one of the nodes has the virtual address, and says which.
pub(crate) fn await_one_holder(nodes: &[&Node]) -> usize {
    eventually(SOON, "exactly one holder", || {
        let on = |n: &&Node| n.has_address(ip(VIP)).unwrap();
        let holders: Vec<_> = nodes.iter().map(on).collect();
        let mut found = holders.iter().enumerate().filter(|(_, h)| **h).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(format!("{holders:?}")),
        }
    })
    .unwrap()
}

/// Adverts from `source` among the frames, with their times.
pub(crate) fn adverts(frames: &[Frame], source: &str) -> Vec<(Stamp, Vrrp)> {
    let source = ip(source);
    frames
        .iter()
        .filter_map(|f| match f.decode() {
            Decoded::Vrrp(v) if v.source == source => Some((f.at, v)),
            _ => None,
        })
        .collect()
}

pub(crate) fn await_advert(wire: &Capture, source: &str) -> (Stamp, Vrrp) {
    let source = ip(source);
    let (frame, advert) = wire
        .wait_for_decoded(SOON, &format!("an advert from {source}"), |d| match d {
            Decoded::Vrrp(v) if v.source == source => Some(v),
            _ => None,
        })
        .unwrap();
    (frame.at, advert)
}

/// The longest time between two neighbours of the list.
pub(crate) fn longest_gap(adverts: &[(Stamp, Vrrp)]) -> Duration {
    let gaps = adverts.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    gaps.max().unwrap_or(Duration::MAX)
}

/// Lets `period` pass: for scenarios whose subject is what happens during a time.
pub(crate) fn pass(period: Duration) {
    thread::sleep(period);
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
