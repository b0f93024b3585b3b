//! Scripts: what counts as success, and what is left of a run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use vipd::config::checks::{Command, RunAs, ScriptCheck};
use vipd::lab::deadline::eventually;
use vipd::probe::script::{Script, Scripts};
use vipd::track::outcome::{Cause, Outcome, Verdict};

use super::{SOON, run};

fn argv(words: &[&str]) -> Command {
    Command::Argv {
        program: words[0].to_owned(),
        args: words[1..].iter().map(|&word| word.to_owned()).collect(),
    }
}

fn sh(text: &str) -> Command {
    argv(&["/bin/sh", "-c", text])
}

fn script(command: Command, scripts: &Scripts) -> Script {
    let run_as = RunAs::User { user: nix::unistd::Uid::effective().to_string(), group: None };
    Script::new(ScriptCheck { command, run_as, security: false }, scripts.clone())
}

fn once(command: Command) -> Outcome {
    run(async { script(command, &Scripts::new().unwrap()).run(SOON).await })
}

fn written(dir: &tempfile::TempDir, name: &str, mode: u32, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn program(path: &Path) -> Command {
    argv(&[path.to_str().unwrap()])
}

/// The processes whose command line contains `mark`.
fn left(mark: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    processes()
        .filter_map(|(pid, dir)| {
            let line = fs::read_to_string(dir.join("cmdline")).ok()?.replace('\0', " ");
            (pid != own && line.contains(mark)).then(|| format!("{pid} {line}"))
        })
        .collect()
}

/// Children of ours by that name that have ended and nobody has taken leave of.
fn zombies(name: &str) -> usize {
    let own = std::process::id().to_string();
    processes()
        .filter_map(|(_, dir)| fs::read_to_string(dir.join("stat")).ok())
        .filter(|stat| stat.contains(&format!("({name}) Z {own} ")))
        .count()
}

fn processes() -> impl Iterator<Item = (String, PathBuf)> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        name.bytes().all(|b| b.is_ascii_digit()).then(|| (name, entry.path()))
    })
}

fn none_left(mark: &str, within: Duration) {
    let look = || match left(mark) {
        found if found.is_empty() => Ok(()),
        found => Err(found.join(", ")),
    };
    eventually(within, "every process to end", look).unwrap();
}

#[test]
fn the_exit_code_is_the_answer() {
    assert_eq!(once(argv(&["/bin/true"])).verdict, Verdict::Passed);
    assert_eq!(once(argv(&["false"])).verdict, Verdict::Failed(Cause::Exit(1)));
    for code in [2, 126, 127, 255] {
        let outcome = once(sh(&format!("exit {code}")));
        assert_eq!(outcome.verdict, Verdict::Failed(Cause::Exit(code)));
    }
    let killed = once(sh("kill -USR1 $$"));
    assert_eq!(killed.verdict, Verdict::Failed(Cause::Signal(10)));
    assert_eq!(killed.detail, "SIGUSR1");
}

#[test]
fn words_are_not_for_a_shell_but_a_text_that_begins_with_a_redirection_is() {
    let echo = once(argv(&["echo", "$HOME", ">", "/nowhere/at/all", "2>&1"]));
    assert_eq!(echo.verdict, Verdict::Passed);
    assert_eq!(echo.output, "$HOME > /nowhere/at/all 2>&1");
    let dir = tempfile::tempdir().unwrap();
    let file = written(&dir, "present", 0o644, "");
    let redirection = |path: &Path| Command::Shell(format!("<{}", path.display()));
    assert_eq!(once(redirection(&file)).verdict, Verdict::Passed);
    let absent = once(redirection(&dir.path().join("absent")));
    assert!(matches!(absent.verdict, Verdict::Failed(Cause::Exit(_))), "{absent:?}");
}

#[test]
fn what_cannot_run_has_failed_and_the_reason_names_the_culprit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let cannot = |command, said: String| {
        let outcome = once(command);
        assert_eq!(outcome.verdict, Verdict::Failed(Cause::CannotRun), "{outcome:?}");
        assert_eq!(outcome.detail, said);
    };
    let absent = dir.path().join("sub/check.sh");
    cannot(program(&absent), format!("{path}/sub: No such file or directory"));
    let orphan = written(&dir, "orphan", 0o755, "#!/usr/bin/python0\nexit 0\n");
    cannot(program(&orphan), format!("{path}/orphan needs /usr/bin/python0, which does not exist"));
    let closed = written(&dir, "closed", 0o644, "#!/bin/sh\nexit 0\n");
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap();
    cannot(program(&closed), format!("user {} may not execute {path}/closed", user.name));

    // One that vanishes between two runs as well.
    let brief = written(&dir, "brief", 0o755, "#!/bin/sh\nexit 0\n");
    let (first, second) = run(async {
        let mut script = script(program(&brief), &Scripts::new().unwrap());
        let first = script.run(SOON).await;
        fs::remove_file(&brief).unwrap();
        (first, script.run(SOON).await)
    });
    assert_eq!(first.verdict, Verdict::Passed);
    assert_eq!(second.verdict, Verdict::Failed(Cause::CannotRun));
    assert_eq!(second.detail, format!("{path}/brief: No such file or directory"));
}

#[test]
fn accounts_that_do_not_exist_fail_the_check() {
    let run_as = |user: &str, group: Option<&str>| {
        let run_as = RunAs::User { user: user.to_owned(), group: group.map(str::to_owned) };
        let check = ScriptCheck { command: argv(&["true"]), run_as, security: false };
        let outcome = run(async { Script::new(check, Scripts::new().unwrap()).run(SOON).await });
        assert_eq!(outcome.verdict, Verdict::Failed(Cause::CannotRun));
        outcome.detail
    };
    assert_eq!(run_as("no-such-user", None), "there is no user no-such-user");
    assert_eq!(run_as("0", Some("no-such-group")), "there is no group no-such-group");
}

#[test]
fn the_beginning_of_the_output_is_kept_and_the_rest_does_not_stop_the_script() {
    let outcome = once(sh("echo; printf 'no\\tanswer\\033[0m\\nfrom db'; exit 1"));
    assert_eq!(outcome.output, "\nno answer [0m\nfrom db");
    assert_eq!(outcome.detail, "no answer [0m");
    let chatty = once(sh("head -c 1000000 /dev/zero | tr '\\0' x; echo done >&2"));
    assert_eq!(chatty.verdict, Verdict::Passed);
    assert_eq!(chatty.output, "x".repeat(1024));
}

#[test]
fn a_script_starts_from_a_clean_slate() {
    let text = "grep -E '^(SigBlk|SigIgn)' /proc/self/status; umask; pwd; ls /proc/self/fd | wc -l; \
                cut -d' ' -f5,6,7 /proc/$$/stat; echo $$; cut -d' ' -f41 /proc/$$/stat; \
                ulimit -n; tty";
    vipd::sys::process::allow_more_descriptors().unwrap();
    // Descriptors of this process that are not close-on-exec are not for the script either.
    let _inherited = nix::unistd::dup(std::io::stderr()).unwrap();
    let outcome = once(sh(text));
    let lines: Vec<_> = outcome.output.lines().collect();
    let mask = |line: &str| u64::from_str_radix(line.rsplit(' ').next().unwrap(), 16).unwrap();
    // Signals 32 and 33 belong to the C library, which lets nobody touch them.
    assert_eq!((mask(lines[0]), mask(lines[1]) & !(3 << 31)), (0, 0), "blocked, ignored");
    // Standard input, output and error, and the directory `ls` reads.
    assert_eq!(lines[2..5], ["0022", "/", "4"]);
    let leader = lines[6];
    assert_eq!(lines[5], format!("{leader} {leader} 0"), "group, session and no terminal");
    assert_eq!(lines[7..], ["0", "1024", "not a tty"], "SCHED_OTHER, descriptors");
}

#[test]
fn a_run_that_takes_too_long_ends_with_all_its_processes() {
    let text = "trap '' TERM; sleep 7141 & sleep 7142; exit 0";
    run(async {
        let mut script = script(sh(text), &Scripts::new().unwrap());
        let timeout = Duration::from_millis(300);
        let began = Instant::now();
        let outcome = script.run(timeout).await;
        assert_eq!(outcome.verdict, Verdict::Failed(Cause::TimedOut));
        assert!(began.elapsed() >= timeout);
        // It answers without waiting for the ends of the processes.
        assert!(!left("sleep 714").is_empty());
        tokio::task::spawn_blocking(|| none_left("sleep 714", Duration::from_secs(1)))
            .await
            .unwrap();
    });
}

#[test]
fn what_a_script_leaves_behind_in_its_group_ends_with_it() {
    let outcome = once(sh("sleep 7151 & exit 0"));
    assert_eq!(outcome.verdict, Verdict::Passed);
    assert!(outcome.took < Duration::from_secs(5), "nobody waits for the one left behind");
    none_left("sleep 7151", SOON);
}

#[test]
fn runs_do_not_overlap() {
    let dir = tempfile::tempdir().unwrap();
    // Fails if the last run's mark is still there; lets go of it only when it is killed.
    let text = format!(
        "trap '' TERM; mkdir {0} || exit 9; trap 'rmdir {0}' EXIT; sleep 0.6; sleep 7161",
        dir.path().join("running").display()
    );
    run(async {
        let mut script = script(sh(&text), &Scripts::new().unwrap());
        let mut runs = 0;
        for _ in 0..30 {
            let outcome = script.run(Duration::from_millis(200)).await;
            match outcome.verdict {
                Verdict::Failed(Cause::TimedOut) => runs += 1,
                // On a busy machine the last one is still there, and no other is started.
                Verdict::Failed(Cause::CannotRun) => {}
                _ => panic!("{outcome:?}"),
            }
            // Killed by SIGKILL before the next one starts, so it cannot have tidied up.
            let _ = fs::remove_dir(dir.path().join("running"));
            assert!(left("sleep 7161").len() <= 2);
            if runs == 3 {
                return;
            }
        }
        panic!("{runs} runs");
    });
    none_left("sleep 7161", SOON);
}

#[test]
fn a_run_nobody_waits_for_any_more_is_killed() {
    run(async {
        let scripts = Scripts::new().unwrap();
        let mut script = script(sh("sleep 7171; true"), &scripts);
        let abandoned = script.run(SOON);
        assert!(tokio::time::timeout(Duration::from_millis(300), abandoned).await.is_err());
        tokio::task::spawn_blocking(|| none_left("sleep 7171", SOON)).await.unwrap();
    });
}

#[test]
fn all_runs_can_be_ended_at_once() {
    run(async {
        let scripts = Scripts::new().unwrap();
        let mut running: Vec<_> =
            (0..5).map(|_| script(sh("sleep 7181; true"), &scripts)).collect();
        let all = futures_util::future::join_all(running.iter_mut().map(|s| s.run(SOON)));
        let stop = async {
            let started = || left("sleep 7181").len() >= 10;
            tokio::task::spawn_blocking(move || eventually(SOON, "five scripts", started).unwrap())
                .await
                .unwrap();
            let scripts = scripts.clone();
            let kill = move || {
                scripts.kill_all();
                none_left("sleep 7181", Duration::from_secs(1));
            };
            tokio::task::spawn_blocking(kill).await.unwrap();
        };
        let (outcomes, ()) = tokio::join!(all, stop);
        for outcome in outcomes {
            assert_eq!(outcome.verdict, Verdict::Failed(Cause::Signal(9)));
        }
    });
}

/// Two hundred scripts each second, every other one hanging in a way that only SIGKILL ends.
#[test]
fn a_crowd_of_hanging_scripts_leaves_nothing_behind() {
    const EACH: Duration = Duration::from_secs(1);
    let dir = tempfile::tempdir().unwrap();
    let shell = dir.path().join("crowd");
    std::os::unix::fs::symlink("/bin/sh", &shell).unwrap();
    run(async {
        let scripts = Scripts::new().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200_u64 {
            let hangs = n % 2 == 0;
            let text = if hangs { "trap '' TERM; sleep 7191; true" } else { "exit 0" };
            let mut script = script(argv(&[shell.to_str().unwrap(), "-c", text]), &scripts);
            tasks.spawn(async move {
                tokio::time::sleep(EACH * u32::try_from(n).unwrap() / 200).await;
                let mut ticks = tokio::time::interval(EACH);
                for _ in 0..4 {
                    ticks.tick().await;
                    let (limit, expected) = if hangs {
                        (Duration::from_millis(900), Verdict::Failed(Cause::TimedOut))
                    } else {
                        // A machine that also compiles may be slow.
                        (SOON * 6, Verdict::Passed)
                    };
                    let outcome = script.run(limit).await;
                    assert_eq!(outcome.verdict, expected, "{outcome:?}");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let nothing = || {
            none_left("sleep 7191", Duration::from_secs(1));
            eventually(Duration::from_secs(1), "no zombie", || zombies("crowd") == 0).unwrap();
        };
        tokio::task::spawn_blocking(nothing).await.unwrap();
    });
}
