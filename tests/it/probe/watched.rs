//! Checks that report changes by themselves: files and processes.

use std::fs;
use std::num::NonZeroU16;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use vipd::config::checks::{ArgsMatch, Check, FileCheck, ProcessCheck, ProcessPattern};
use vipd::probe::resolve::Resolver;
use vipd::probe::{Probe, ProbeContext};
use vipd::track::outcome::{Cause, Outcome, Verdict};

use super::{SOON, run};

/// Less than the 2 s between two readings of a file, which begin anew with each one, so only an event
/// can be that fast; and as long as a busy machine may need for it.
const AT_ONCE: Duration = Duration::from_millis(1800);

fn probe(check: &Check) -> Probe {
    assert!(check.is_watched());
    Probe::new(check, &ProbeContext::new(Resolver::default()).unwrap())
}

async fn next(probe: &mut Probe, within: Duration) -> Outcome {
    timeout(within, probe.changed(SOON)).await.expect("a change")
}

#[test]
fn a_files_number_follows_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("maintenance");
    run(async {
        let mut probe = probe(&Check::File(FileCheck { path: path.clone() }));
        let outcome = probe.run(SOON).await;
        assert_eq!(outcome.verdict, Verdict::Value(0));
        assert_eq!(outcome.detail, "missing, which counts as 0");

        fs::write(&path, "-60\n").unwrap();
        assert_eq!(next(&mut probe, AT_ONCE).await.verdict, Verdict::Value(-60));
        // Truncated and written anew: nobody sees the empty file in between.
        fs::write(&path, "7").unwrap();
        assert_eq!(next(&mut probe, AT_ONCE).await.verdict, Verdict::Value(7));
        // Replaced by another file of that name.
        let other = dir.path().join("other");
        fs::write(&other, "0x10").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(next(&mut probe, AT_ONCE).await.verdict, Verdict::Value(16));
        // Nothing new in it: nothing to report.
        fs::write(&path, "16").unwrap();
        assert!(timeout(AT_ONCE, probe.changed(SOON)).await.is_err());
        fs::write(&path, "on").unwrap();
        let outcome = next(&mut probe, AT_ONCE).await;
        assert_eq!(outcome.verdict, Verdict::Value(0));
        assert_eq!(outcome.detail, "\"on\" is not a number and counts as 0");
        fs::remove_file(&path).unwrap();
        assert_eq!(next(&mut probe, AT_ONCE).await.detail, "missing, which counts as 0");
        fs::create_dir(&path).unwrap();
        let outcome = next(&mut probe, AT_ONCE).await;
        assert_eq!(outcome.verdict, Verdict::Failed(Cause::CannotRun));
        assert_eq!(outcome.detail, format!("{}: not a regular file", path.display()));
    });
}

/// Where there are no events, the file is read now and then.
#[test]
fn a_directory_that_comes_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later/value");
    run(async {
        let mut probe = probe(&Check::File(FileCheck { path: path.clone() }));
        assert_eq!(probe.run(SOON).await.verdict, Verdict::Value(0));
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "5").unwrap();
        assert_eq!(next(&mut probe, SOON).await.verdict, Verdict::Value(5));
        fs::write(&path, "6").unwrap();
        assert_eq!(next(&mut probe, AT_ONCE).await.verdict, Verdict::Value(6), "and watched");
    });
}

/// A process of a name of its own, with arguments.
struct Daemon(Child);

impl Daemon {
    fn start(dir: &tempfile::TempDir, name: &str) -> Daemon {
        let program = dir.path().join(name);
        if !program.exists() {
            std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        }
        let child = Command::new(program).arg("1234").stdin(Stdio::null()).spawn().unwrap();
        Daemon(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn named(name: &str, quorum: u16, quorum_max: Option<u16>) -> Check {
    let quorum = NonZeroU16::new(quorum).unwrap();
    Check::Process(ProcessCheck {
        pattern: ProcessPattern::Name(name.to_owned()),
        quorum,
        quorum_max,
    })
}

#[test]
fn a_birth_is_seen_soon_and_a_death_at_once() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut probe = probe(&named("vipd-birth", 2, None));
        let outcome = probe.run(SOON).await;
        assert_eq!(outcome.verdict, Verdict::Failed(Cause::WrongAnswer));
        assert_eq!(outcome.detail, "0 running, 2 wanted");
        let one = Daemon::start(&dir, "vipd-birth");
        assert_eq!(next(&mut probe, SOON).await.detail, "1 running, 2 wanted");
        let two = Daemon::start(&dir, "vipd-birth");
        let outcome = next(&mut probe, SOON).await;
        assert_eq!((outcome.verdict, &*outcome.detail), (Verdict::Passed, "2 running"));

        // A birth is seen by a reading, so the next reading is a whole pause away. The quickest of
        // some tells of the event however busy the machine is.
        let mut quickest = Duration::MAX;
        let (mut one, mut two) = (Some(one), Some(two));
        for _ in 0..3 {
            drop(one.take());
            let died = Instant::now();
            assert_eq!(next(&mut probe, SOON).await.detail, "1 running, 2 wanted");
            quickest = quickest.min(died.elapsed());
            one = Some(Daemon::start(&dir, "vipd-birth"));
            assert_eq!(next(&mut probe, SOON).await.verdict, Verdict::Passed);
        }
        assert!(quickest < Duration::from_millis(500), "{quickest:?}");
        drop(two.take());
        drop(one.take());
        assert_eq!(next(&mut probe, SOON).await.verdict, Verdict::Failed(Cause::WrongAnswer));
    });
}

/// A daemon that is replaced by a younger one is not missed in between.
#[test]
fn a_successor_takes_the_place_of_the_dead() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let old = Daemon::start(&dir, "vipd-heir");
        let mut probe = probe(&named("vipd-heir", 1, None));
        assert_eq!(probe.run(SOON).await.detail, "1 running");
        let young = Daemon::start(&dir, "vipd-heir");
        drop(old);
        let report = timeout(Duration::from_millis(2500), probe.changed(SOON)).await;
        assert!(report.is_err() || report.unwrap().verdict == Verdict::Passed);
        drop(young);
        assert_eq!(next(&mut probe, SOON).await.verdict, Verdict::Failed(Cause::WrongAnswer));
    });
}

#[test]
fn a_command_line_tells_instances_of_one_program_apart() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let _one = Daemon::start(&dir, "vipd-line");
        let program = dir.path().join("vipd-line").to_str().unwrap().to_owned();
        let line = |args: &[&str]| {
            let args = args.iter().map(|&arg| arg.to_owned()).collect();
            let args_match = ArgsMatch::Exact;
            Check::Process(ProcessCheck {
                pattern: ProcessPattern::CommandLine { program: program.clone(), args, args_match },
                quorum: NonZeroU16::MIN,
                quorum_max: None,
            })
        };
        // The looks begin without command lines.
        let context = ProbeContext::new(Resolver::default()).unwrap();
        let mut named = Probe::new(&named("vipd-line", 1, Some(1)), &context);
        assert_eq!(named.run(SOON).await.detail, "1 running");
        let mut right = Probe::new(&line(&["1234"]), &context);
        assert_eq!(right.run(SOON).await.verdict, Verdict::Passed);
        let mut wrong = Probe::new(&line(&["4321"]), &context);
        assert_eq!(wrong.run(SOON).await.verdict, Verdict::Failed(Cause::WrongAnswer));
    });
}
