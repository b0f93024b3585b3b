//! CPU time and memory of a pair at rest.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;
use serde::Serialize;
use vipd::lab::Lab;

use crate::figures::{HIGH, LOW, Pace};
use crate::host::{Host, Kind, Plan, Programs, SOON};

/// What is measured: virtual routers and pace.
pub(crate) const CELLS: [(u8, Pace); 4] =
    [(1, Pace::Second), (250, Pace::Second), (1, Pace::Tenth), (250, Pace::Tenth)];

/// keepalived announces its addresses again 5 s after a takeover, and so does vipd: at rest is
/// later.
const ANNOUNCED_AGAIN: Duration = Duration::from_secs(6);

/// The same with `--quick`, where that burst may be in the window.
const SHORT_REST: Duration = Duration::from_secs(1);

/// One daemon over one window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) kind: Kind,
    pub(crate) instances: u8,
    pub(crate) pace: Pace,
    pub(crate) master: bool,
    /// utime + stime of all its processes, in ticks of 10 ms.
    pub(crate) ticks: u64,
    /// The same as the scheduler counts it, ms.
    pub(crate) run_ms: f64,
    /// Times its threads were put on a CPU.
    pub(crate) wakeups: u64,
    /// Proportional set size of all its processes, KiB.
    pub(crate) pss_kib: u64,
    /// Processes.
    pub(crate) processes: usize,
}

/// Starts a pair, lets it settle, and measures both sides over `window`.
pub(crate) fn measure(
    programs: &Programs,
    kind: Kind,
    instances: u8,
    pace: Pace,
    window: Duration,
    quick: bool,
) -> Result<[Sample; 2]> {
    let lab = Lab::new()?;
    let start = |name, address, priority| {
        let plan = Plan { pace, priority, instances };
        let mut host = Host::new(&lab, name, address, kind, plan, programs, true)?;
        host.start()?;
        anyhow::Ok(host)
    };
    let master = start("lb-01", "10.0.0.2/16", HIGH)?;
    master.wait_for_addresses(usize::from(instances), pace.master_down(HIGH) + SOON)?;
    let backup = start("lb-02", "10.0.0.3/16", LOW)?;
    thread::sleep(if quick { SHORT_REST } else { ANNOUNCED_AGAIN });

    let pids = [master.pids()?, backup.pids()?];
    let before = [Spent::by(&pids[0])?, Spent::by(&pids[1])?];
    thread::sleep(window);
    let after = [Spent::by(&pids[0])?, Spent::by(&pids[1])?];
    master.wait_for_addresses(usize::from(instances), Duration::ZERO)?;
    backup.wait_for_addresses(0, Duration::ZERO)?;
    let sample = |side: usize| {
        let (pids, before, after) = (&pids[side], before[side], after[side]);
        anyhow::Ok(Sample {
            kind,
            instances,
            pace,
            master: side == 0,
            ticks: after.ticks.saturating_sub(before.ticks),
            run_ms: after.run.saturating_sub(before.run).as_secs_f64() * 1e3,
            wakeups: after.wakeups.saturating_sub(before.wakeups),
            pss_kib: pids.iter().map(|pid| pss_kib(*pid)).sum::<Result<_>>()?,
            processes: pids.len(),
        })
    };
    Ok([sample(0)?, sample(1)?])
}

/// What processes have used so far.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    ticks: u64,
    run: Duration,
    wakeups: u64,
}

impl Spent {
    fn by(pids: &[Pid]) -> Result<Spent> {
        let mut total = Spent::default();
        for pid in pids {
            total.ticks += ticks(&read(&format!("/proc/{pid}/stat"))?)
                .with_context(|| format!("/proc/{pid}/stat is not as proc(5) says"))?;
            let tasks = format!("/proc/{pid}/task");
            for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
                let path = task?.path().join("schedstat");
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let mut fields = text.split_ascii_whitespace().map(str::parse);
                let (Some(Ok(run)), Some(Ok(_)), Some(Ok(times))) =
                    (fields.next(), fields.next(), fields.next())
                else {
                    bail!("{} is not as the kernel documents it: {text}", path.display());
                };
                total.run += Duration::from_nanos(run);
                total.wakeups += times;
            }
        }
        Ok(total)
    }
}

/// utime and stime (fields 14 and 15). The name in parentheses may contain anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

fn pss_kib(pid: Pid) -> Result<u64> {
    let text = read(&format!("/proc/{pid}/smaps_rollup"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next());
    value
        .and_then(|kib| kib.parse().ok())
        .with_context(|| format!("/proc/{pid}/smaps_rollup has no Pss"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}
