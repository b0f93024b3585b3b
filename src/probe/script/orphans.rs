//! As the first process of a container, vipd is the parent of all processes that have lost theirs.
//!
//! The groups of scripts are looked after where they are run. What has left its group, or never had
//! anything to do with us (`docker exec`), would stay as a zombie for good.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use nix::unistd::{Pid, getsid};

use super::group::Live;

/// How often it is looked for them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts a thread that reaps them, if they are ours.
pub(super) fn reap(live: Live) -> io::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    let reaper = thread::Builder::new().name("reaper".to_owned());
    reaper.spawn(move || {
        let mut before = BTreeSet::new();
        loop {
            thread::sleep(LOOK_EVERY);
            let now: BTreeSet<Orphan> = orphans();
            // One that was there before is no script that was started a moment ago.
            for orphan in now.intersection(&before) {
                live.reap_unless_alive(orphan.pid, orphan.group);
            }
            before = now;
        }
    })?;
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Orphan {
    pid: Pid,
    group: Pid,
}

/// Our children that have ended and are of another session: those we start and wait for ourselves,
/// but for scripts, are of ours.
fn orphans() -> BTreeSet<Orphan> {
    let own = getsid(None).unwrap_or(Pid::from_raw(0));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| {
        process.file_name().to_str()?.parse::<i32>().ok()?;
        fs::read_to_string(process.path().join("stat")).ok()
    });
    stats.filter_map(|stat| orphan(&stat, own)).collect()
}

/// proc_pid_stat(5): number, name in brackets, state, parent, group, session.
fn orphan(stat: &str, own_session: Pid) -> Option<Orphan> {
    let (pid, _) = stat.split_once(' ')?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let mut numbers = fields.map(str::parse::<i32>);
    let mut number = || numbers.next()?.ok().map(Pid::from_raw);
    let (parent, group, session) = (number()?, number()?, number()?);
    let ours = state == "Z" && parent == Pid::from_raw(1) && session != own_session;
    Some(Orphan { pid: Pid::from_raw(pid.parse().ok()?), group }).filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_a_zombie_of_ours_from_another_session() {
        let own = Pid::from_raw(1);
        let seen = |stat| orphan(stat, own).map(|orphan| orphan.pid.as_raw());
        assert_eq!(seen("70 (a) b) Z 1 60 60 0 -1"), Some(70));
        assert_eq!(seen("70 (sh) S 1 60 60 0 -1"), None);
        assert_eq!(seen("70 (sh) Z 50 60 60 0 -1"), None);
        assert_eq!(seen("70 (sh) Z 1 1 1 0 -1"), None);
        assert_eq!(seen("nonsense"), None);
    }
}
