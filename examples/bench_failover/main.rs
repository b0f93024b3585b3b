//! `make bench-failover`: how long a virtual address is out of reach, and what the daemon costs.
//!
//! Pairs of vipd, of keepalived and of one each run on the same machine in the same run, in networks
//! made of namespaces. Nothing here asserts a time: the tables are for a human, `--json` for a
//! script. The exit status says whether everything could be measured.

mod cost;
mod failover;
mod figures;
mod holding;
mod host;
mod tables;
mod yardstick;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use vipd::lab::{Lab, keepalived};

use failover::{Sample, Scenario};
use figures::Pace;
use host::{Kind, Pair, Programs};
use yardstick::Yardstick;

/// Compare the fail-over and the cost of vipd with keepalived's
#[derive(Debug, Parser)]
struct Args {
    /// Fail-overs of each kind and pair; their phases are spread over the interval
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// One part only
    #[arg(long)]
    only: Option<Part>,
    /// A smoke test of less than a minute: one run, fewer scenarios, short windows
    #[arg(long)]
    quick: bool,
    /// These ways to fail only
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// This pace only
    #[arg(long)]
    pace: Option<Pace>,
    /// Write every sample to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The vipd to measure [default: the one built next to this program]
    #[arg(long, value_name = "FILE")]
    vipd: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Outages
    Failover,
    /// CPU and memory
    Cpu,
}

/// Lines printed of one failure: both logs and the beginning of a transcript.
const LONGEST_FAILURE: usize = 30;

/// Between the beginnings of pairs that are measured together, so that no two fail at one moment:
/// one fail-over and the way back take about four of it.
const STAGGER: Duration = Duration::from_millis(1750);

/// Each may take half a minute: that many, and the rest is not worth waiting for.
const TOO_MANY_FAILURES: usize = 4;

/// Everything measured.
#[derive(Debug, Default, Serialize)]
struct Measured {
    vipd: String,
    keepalived: String,
    failover: Vec<Sample>,
    cost: Vec<cost::Sample>,
    failures: Vec<String>,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            for failure in failures {
                let lines: Vec<_> = failure.lines().take(LONGEST_FAILURE).collect();
                eprintln!("not measured: {}", lines.join("\n"));
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<Vec<String>> {
    Lab::enter_user_namespace_if_needed()?;
    let programs = Programs { vipd: vipd_binary(args)? };
    let (major, minor, patch) = keepalived::version()?;
    let mut measured = Measured {
        vipd: env!("CARGO_PKG_VERSION").to_owned(),
        keepalived: format!("{major}.{minor}.{patch}"),
        ..Measured::default()
    };
    println!("vipd {} and keepalived {}", measured.vipd, measured.keepalived);
    let began = Instant::now();
    if args.only != Some(Part::Cpu) {
        for pace in Pace::ALL.into_iter().filter(|pace| args.pace.is_none_or(|only| only == *pace))
        {
            fail_over(&programs, pace, args, &mut measured)?;
            let samples = measured.failover.iter().filter(|s| s.pace == pace).collect::<Vec<_>>();
            print!("\n{}", tables::failover(pace, &samples));
        }
    }
    if args.only != Some(Part::Failover) {
        let window = Duration::from_secs(if args.quick { 2 } else { 10 });
        spend(&programs, window, args.quick, &mut measured);
        print!("\n{}", tables::cost(window, &measured.cost));
    }
    print!("\n{}", tables::verdict(&measured.failover, &measured.cost));
    eprintln!("measured in {:.0} s", began.elapsed().as_secs_f64());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&measured)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(measured.failures)
}

/// Run by run, every pair in each: a machine that becomes slower does so for all.
///
/// With second-long intervals nearly all of the time is waiting, so the four pairs wait together;
/// with centiseconds they take turns. What fails once is measured once more, alone.
fn fail_over(programs: &Programs, pace: Pace, args: &Args, measured: &mut Measured) -> Result<()> {
    let runs = if args.quick { 1 } else { args.runs };
    let scenarios = match &args.scenarios[..] {
        [] if args.quick => Scenario::QUICK,
        [] => Scenario::ALL,
        chosen => chosen,
    };
    let yardstick = Yardstick::start()?;
    for run in 0..runs {
        let one = |pair: Pair| {
            let outcome = failover::run(programs, &yardstick, pace, pair, (run, runs), scenarios);
            let label = format!("{} {}/{} run {}/{runs}", pace.name(), pair.0, pair.1, run + 1);
            let state = if outcome.failure.is_some() { " FAILED" } else { "" };
            eprintln!("{label}:{state} {}", tables::progress(&outcome.samples));
            (label, pair, outcome)
        };
        let outcomes: Vec<_> = if pace == Pace::Second {
            thread::scope(|scope| {
                let mut wait = Duration::ZERO;
                let running = Kind::PAIRS.map(|pair| {
                    let before = wait;
                    wait += STAGGER;
                    scope.spawn(move || {
                        thread::sleep(before);
                        one(pair)
                    })
                });
                running.into_iter().map(thread::ScopedJoinHandle::join).collect()
            })
        } else {
            Kind::PAIRS.into_iter().map(|pair| Ok(one(pair))).collect()
        };
        for outcome in outcomes {
            let (mut label, pair, mut outcome) =
                outcome.map_err(|_| anyhow!("a measuring thread has panicked"))?;
            if outcome.failure.is_some() {
                (label, _, outcome) = one(pair);
            }
            measured.failover.extend(outcome.samples);
            let failure = outcome.failure.map(|failure| format!("{label}: {failure:#}"));
            measured.failures.extend(failure);
        }
        if measured.failures.len() >= TOO_MANY_FAILURES {
            bail!("{}", measured.failures.join("\n"));
        }
    }
    Ok(())
}

/// Both daemons at the same time, each as a pair of its own.
fn spend(programs: &Programs, window: Duration, quick: bool, measured: &mut Measured) {
    for (instances, pace) in cost::CELLS {
        let once = |kind| cost::measure(programs, kind, instances, pace, window, quick);
        let outcomes = thread::scope(|scope| {
            let running =
                [Kind::Vipd, Kind::Keepalived].map(|kind| scope.spawn(move || once(kind)));
            running.map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a panic"))))
        });
        for (kind, outcome) in [Kind::Vipd, Kind::Keepalived].into_iter().zip(outcomes) {
            // A backup that took over for a moment has not been at rest: once more.
            match outcome.or_else(|_| once(kind)) {
                Ok(samples) => {
                    for sample in samples {
                        eprintln!("{}", tables::cost_progress(&sample));
                        measured.cost.push(sample);
                    }
                }
                Err(error) => {
                    let failure = format!("{instances} instances at {}: {error:#}", pace.name());
                    eprintln!("{instances} instances at {}: FAILED, see the end", pace.name());
                    measured.failures.push(failure);
                }
            }
        }
    }
}

fn vipd_binary(args: &Args) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    // target/<profile>/examples/bench-failover
    let beside = own.parent().and_then(|d| d.parent()).map(|profile| profile.join("vipd"));
    match args.vipd.clone().or(beside) {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => bail!("there is no {}: build it with cargo build --release", path.display()),
        None => bail!("cannot tell where vipd is: say so with --vipd FILE"),
    }
}
