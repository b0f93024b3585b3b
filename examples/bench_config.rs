//! How long `vipd check` takes for a keepalived.conf of 10,000 lines: the whole process, from its
//! start to its end. Run it with `make bench-config`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

const RUNS: usize = 20;
/// With 15 lines each, 10,000 lines.
const INSTANCES: usize = 666;

fn main() -> anyhow::Result<()> {
    let this = std::env::current_exe()?;
    let vipd = this.ancestors().nth(2).context("no build directory")?.join("vipd");
    let dir = tempfile::tempdir()?;
    println!("vipd check, {RUNS} runs each, milliseconds:      best  median   worst");
    for (what, text, status) in [
        ("nothing wrong", written_out("nopreempt"), 0),
        ("a mistake in every instance", written_out("nopremtp"), 78),
        ("from a definition in a loop", in_a_loop(), 0),
    ] {
        let path = dir.path().join("keepalived.conf");
        std::fs::write(&path, text)?;
        let mut took = Vec::new();
        for run in 0..=RUNS {
            let (time, code) = check(&vipd, &path)?;
            ensure!(code == Some(status), "{what}: exit status {code:?}");
            if run > 0 {
                took.push(time.as_secs_f64() * 1000.0);
            }
        }
        took.sort_by(f64::total_cmp);
        let at = |n: usize| took.get(n).copied().unwrap_or_default();
        let (best, median, worst) = (at(0), at(RUNS / 2), at(RUNS - 1));
        println!("  {what:41} {best:7.1} {median:7.1} {worst:7.1}");
    }
    Ok(())
}

fn check(vipd: &Path, file: &Path) -> anyhow::Result<(Duration, Option<i32>)> {
    let mut command = Command::new(vipd);
    command.arg("check").arg(file).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {}", vipd.display()))?;
    Ok((started.elapsed(), status.code()))
}

/// Every instance has 15 lines, `last` is one of them.
fn written_out(last: &str) -> String {
    let mut text = String::new();
    for i in 0..INSTANCES {
        let (net, host) = (i / 250, i % 250 + 1);
        let _ = write!(
            text,
            "vrrp_instance VI_{i} {{\n    # {i}\n    state BACKUP\n    interface eth{net}\n    \
             virtual_router_id {host}\n    priority 100\n    authentication {{\n        \
             auth_type PASS\n        auth_pass secret\n    }}\n    virtual_ipaddress {{\n        \
             10.{net}.{host}.1/16\n    }}\n    {last}\n}}\n"
        );
    }
    text
}

/// As many lines, once the loops are done.
fn in_a_loop() -> String {
    "$INSTANCE= \\\nvrrp_instance VI_${NET}_${HOST} { \\\nstate BACKUP \\\ninterface eth${NET} \\\n\
     virtual_router_id ${HOST} \\\npriority 100 \\\nauthentication { \\\nauth_type PASS \\\n\
     auth_pass secret \\\n} \\\nvirtual_ipaddress { \\\n10.${NET}.${HOST}.1/16 \\\n} \\\n\
     nopreempt \\\n}\n~SEQ(NET, 1, 3) ~SEQ(HOST, 1, 240) $INSTANCE\n"
        .to_owned()
}
