//! What a human reads: at most 100 columns.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cost;
use crate::failover::{Sample, Scenario};
use crate::figures::{GHOST_WATCH, HIGH, LOW, Pace, Spread, millis};
use crate::host::{Kind, Pair};

/// The figures to reach.
const LATE_MS: f64 = 5.0;
const OUTAGE_MS: Spread = Spread { median: 10.0, worst: 30.0 };
const PSS_KIB: u64 = 8 * 1024;

/// What a fail-over is measured by: label, value, whether a ratio to keepalived means anything.
type Measure = (&'static str, fn(&Sample) -> f64, bool);
const MEASURES: [Measure; 8] = [
    ("client outage", |s| s.outage, true),
    ("pings lost", |s| count(s.lost), false),
    ("successor late", |s| s.late, false),
    ("both hold it", |s| s.both, true),
    ("back: outage", |s| s.back_outage, true),
    ("back: pings lost", |s| count(s.back_lost), false),
    ("back: both hold it", |s| s.back_both, true),
    ("back: after", |s| s.back, true),
];

fn count(pings: usize) -> f64 {
    u32::try_from(pings).map_or(f64::INFINITY, f64::from)
}

/// One line for the progress report.
pub(crate) fn progress(samples: &[Sample]) -> String {
    let each = |s: &Sample| {
        let both = if s.both_lasts { ", both hold it" } else { "" };
        let Sample { scenario, outage, lost, back_outage, back_lost, .. } = s;
        let back = format!("back {} ms {back_lost} lost", ms(*back_outage));
        format!("{scenario} {} ms {lost} lost{both}, {back}", ms(*outage))
    };
    samples.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// Fail-overs at one pace.
pub(crate) fn failover(pace: Pace, samples: &[&Sample]) -> String {
    let runs = samples.iter().map(|s| s.run).max().map_or(0, |last| last + 1);
    let mut text = format!(
        "Fail-over at {}: {}, priorities {HIGH} and {LOW}, {runs} run{}, a probe every {} ms\n",
        pace.name(),
        pace.title(),
        if runs == 1 { "" } else { "s" },
        millis(pace.probe_interval()),
    );
    let _ = write!(text, "{:<19}", "ms: median, worst");
    for pair in Kind::PAIRS {
        let _ = write!(text, "{:>17}", pair_name(pair));
    }
    text.push_str("  vipd:kd\n");
    for &scenario in Scenario::ALL {
        let of = |pair: Pair| {
            samples.iter().copied().filter(move |s| s.scenario == scenario && s.pair == pair)
        };
        if Kind::PAIRS.into_iter().all(|pair| of(pair).next().is_none()) {
            continue;
        }
        let _ = writeln!(text, "{}", scenario.title());
        for (label, value, comparable) in MEASURES {
            let _ = write!(text, "  {label:<17}");
            for pair in Kind::PAIRS {
                let lasts = label == "both hold it" && of(pair).any(|s| s.both_lasts);
                text.push_str(&cell(Spread::of(of(pair).map(value).collect()), lasts));
            }
            let median = |kind| Spread::of(of((kind, kind)).map(value).collect());
            let ratio = median(Kind::Vipd).zip(median(Kind::Keepalived));
            let ratio = ratio.filter(|(_, k)| comparable && k.median >= 0.01);
            match ratio {
                Some((vipd, k)) => {
                    let _ = writeln!(text, "{:>9.2}", vipd.median / k.median);
                }
                None => text.push('\n'),
            }
        }
    }
    let _ = writeln!(
        text,
        "late: after the old master's last advert plus Master_Down_Interval ({} ms), or plus \
         Skew_Time\n      ({} ms) if it resigned; kernel time stamps of one host. \
         Negative is early.\n\
         both hold it: and have a carrier; \">\": until the master is repaired, {} ms after the \
         takeover\n      ({} ms for a dead daemon).",
        ms(millis(pace.master_down(LOW))),
        ms(millis(pace.skew(LOW))),
        ms(millis(pace.watch())),
        ms(millis(GHOST_WATCH)),
    );
    text
}

/// One line for the progress report.
pub(crate) fn cost_progress(sample: &cost::Sample) -> String {
    let cost::Sample { kind, instances, pace, ticks, run_ms, pss_kib, .. } = sample;
    let side = side(sample.master);
    format!(
        "{instances} at {} {kind} {side}: {ticks} ticks, {run_ms:.1} ms, {pss_kib} KiB",
        pace.name()
    )
}

/// CPU time and memory.
pub(crate) fn cost(window: Duration, samples: &[cost::Sample]) -> String {
    let mut text = format!(
        "CPU over {} s at rest and memory, all processes of a daemon\n\
         {:<28}{:>15}{:>19}{:>15}{:>20}\n{:<28}",
        window.as_secs(),
        "",
        "ticks of 10 ms",
        "ms on CPU",
        "wake-ups",
        "PSS KiB",
        "routers, interval",
    );
    for width in [15, 19, 15, 20] {
        let _ = write!(text, "{:>width$}", "vipd     kd");
    }
    text.push('\n');
    for (instances, pace) in cost::CELLS {
        for master in [true, false] {
            let of = |kind| {
                samples.iter().find(|s| {
                    (s.kind, s.instances, s.pace, s.master) == (kind, instances, pace, master)
                })
            };
            let (Some(vipd), Some(keepalived)) = (of(Kind::Vipd), of(Kind::Keepalived)) else {
                continue;
            };
            let _ = writeln!(
                text,
                "{instances:>4} at {:<6} {:<14}{:>8}{:>7}{:>12.1}{:>7.1}{:>8}{:>7}{:>13}{:>7}",
                pace.name(),
                side(master),
                vipd.ticks,
                keepalived.ticks,
                vipd.run_ms,
                keepalived.run_ms,
                vipd.wakeups,
                keepalived.wakeups,
                vipd.pss_kib,
                keepalived.pss_kib,
            );
        }
    }
    text
}

/// Whether vipd reaches its figures.
pub(crate) fn verdict(failovers: &[Sample], costs: &[cost::Sample]) -> String {
    let mut lines = Vec::new();
    for pace in Pace::ALL {
        let by_vipd = |s: &&Sample| s.pace == pace && s.pair.1 == Kind::Vipd;
        let takeovers = failovers.iter().filter(by_vipd).collect::<Vec<_>>();
        if let Some(spread) = Spread::of(takeovers.iter().map(|s| s.late).collect()) {
            let missed = takeovers.iter().filter(|s| s.late > LATE_MS);
            let by_machine = missed.clone().filter(|s| s.machine_late > LATE_MS).count();
            let missed = missed.count();
            lines.push((
                missed == 0,
                format!(
                    "at {} vipd as successor at most {LATE_MS} ms late: median {} ms, worst {} ms; \
                     missed {missed} of {}",
                    pace.name(),
                    ms(spread.median),
                    ms(spread.worst),
                    takeovers.len()
                ),
            ));
            if missed > 0 {
                let line =
                    format!("  of these {by_machine} while the machine itself was that late");
                lines.push((by_machine == missed, line));
            }
        }
    }
    for pace in Pace::ALL {
        for successor in [Kind::Vipd, Kind::Keepalived] {
            let of = |s: &&Sample| s.pace == pace;
            let planned = failovers.iter().filter(of).filter(|s| s.scenario.is_planned());
            let handed = planned.filter(|s| s.pair == (Kind::Vipd, successor));
            // Where both serve already, there is nothing to hand over.
            let back = failovers.iter().filter(of).filter(|s| !s.both_lasts);
            let back = back.filter(|s| s.pair == (successor, Kind::Vipd));
            for (what, outages) in [
                ("planned hand-over", handed.map(|s| s.outage).collect()),
                ("way back", back.map(|s| s.back_outage).collect::<Vec<_>>()),
            ] {
                let Some(spread) = Spread::of(outages) else { continue };
                lines.push((
                    spread.median <= OUTAGE_MS.median && spread.worst <= OUTAGE_MS.worst,
                    format!(
                        "at {} {what} from vipd to {successor}: client outage at most {} ms, \
                         worst {} ms: {}, {} ms",
                        pace.name(),
                        OUTAGE_MS.median,
                        OUTAGE_MS.worst,
                        ms(spread.median),
                        ms(spread.worst)
                    ),
                ));
            }
        }
    }
    for vipd in costs.iter().filter(|s| s.kind == Kind::Vipd) {
        let same = |s: &&cost::Sample| {
            s.kind == Kind::Keepalived
                && (s.instances, s.pace, s.master) == (vipd.instances, vipd.pace, vipd.master)
        };
        let what =
            format!("{} router(s) at {}, {}", vipd.instances, vipd.pace.name(), side(vipd.master));
        // A single router costs either daemon less than a tick or two.
        if let Some(keepalived) = costs.iter().find(same).filter(|s| s.instances > 1) {
            lines.push((
                vipd.run_ms <= keepalived.run_ms,
                format!(
                    "{what}: CPU at most keepalived's: {:.1} and {:.1} ms ({} and {} ticks)",
                    vipd.run_ms, keepalived.run_ms, vipd.ticks, keepalived.ticks
                ),
            ));
        }
        if vipd.instances == 1 {
            lines.push((
                vipd.pss_kib <= PSS_KIB,
                format!("{what}: at most {PSS_KIB} KiB: {} KiB", vipd.pss_kib),
            ));
        }
    }
    let mut text = String::from("Figures to reach\n");
    for (reached, line) in lines {
        let _ = writeln!(text, "  {:<4}{line}", if reached { "yes" } else { "NO" });
    }
    text
}

fn cell(spread: Option<Spread>, lasts: bool) -> String {
    match spread {
        Some(Spread { median, worst }) => {
            let sign = if lasts { ">" } else { "" };
            format!("{:>9}{:>8}", format!("{sign}{}", ms(median)), ms(worst))
        }
        None => format!("{:>17}", "-"),
    }
}

fn pair_name((master, backup): Pair) -> String {
    let short = |kind| if kind == Kind::Vipd { "vipd" } else { "kd" };
    if master == backup {
        format!("{master} x2")
    } else {
        format!("{} > {}", short(master), short(backup))
    }
}

/// Three significant digits at least.
fn ms(value: f64) -> String {
    match value.abs() {
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn side(master: bool) -> &'static str {
    if master { "master" } else { "backup" }
}
