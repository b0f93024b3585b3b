use std::time::{Duration, Instant};

use vipd::config::checks::{Command, RunAs, ScriptCheck};
use vipd::config::{Moment, NotifyConfig};
use vipd::hook::FINISH_LIMIT;
use vipd::io::{Kind, NotifyEvent};
use vipd::status::{NotifyStatus, State};

use super::*;

fn status(hooks: &Hooks) -> NotifyStatus {
    hooks.status(Kind::Router, "VI_1")
}

/// Appends a line to `log` per run: a name, the arguments, and a variable.
fn noting(log: &str, name: &str) -> ScriptCheck {
    sh(&format!("echo \"{name} $* $VIPD_PREVIOUS_STATE $VIPD_REASON\" >> {log}"))
}

#[test]
fn the_state_s_own_command_runs_first_and_every_state_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let commands = vec![
            (Moment::Any, noting(&at, "any")),
            (Moment::Master, noting(&at, "master")),
            (Moment::Backup, noting(&at, "backup")),
        ];
        let hooks = start(config(telling(commands)));
        for (notice, lines) in [(entered(None, State::Backup), 2), (master(), 4), (backup(), 6)] {
            hooks.notify(notice);
            until("the telling", || read(&log).lines().count() == lines).await;
        }
        assert_eq!(
            read(&log),
            "backup   a test\n\
             any INSTANCE VI_1 BACKUP 150  a test\n\
             master  BACKUP a test\n\
             any INSTANCE VI_1 MASTER 150 BACKUP a test\n\
             backup  MASTER a test\n\
             any INSTANCE VI_1 BACKUP 150 MASTER a test\n"
        );
        until("the status", || status(&hooks).runs.len() == 6).await;
        let last = &status(&hooks).runs[0];
        assert_eq!((last.hook.as_str(), last.about.as_str()), ("any", "BACKUP"));
        assert!(last.succeeded && last.outcome == "exit 0", "{last:?}");
    });
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children_and_the_newest_state_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let mark = format!("sleep 1000 & echo $! >> {at}.pid; wait");
        let commands = vec![
            (Moment::Master, sh(&mark)),
            (Moment::Any, sh(&format!("echo $3 skipped $VIPD_SKIPPED >> {at}"))),
        ];
        let timeout = Some(Duration::from_millis(700));
        let hooks = start(config(NotifyConfig { timeout, ..telling(commands) }));
        hooks.notify(master());
        until("the start", || status(&hooks).running.is_some()).await;
        for notice in [backup(), entered(Some(State::Backup), State::Fault), backup()] {
            hooks.notify(notice);
        }
        until("the last state", || read(&log).contains("BACKUP")).await;
        assert_eq!(read(&log), "MASTER skipped 0\nBACKUP skipped 2\n");
        until("the status", || status(&hooks).runs.len() == 3).await;
        let status = status(&hooks);
        assert_eq!(status.skipped, 2);
        let hung = &status.runs[2];
        assert_eq!((hung.hook.as_str(), hung.outcome.as_str()), ("master", "timed out"));
        assert!(hung.took_ms >= 700 && hung.took_ms < 5000, "{hung:?}");
        let child = read(&dir.path().join("log.pid")).trim().to_owned();
        // Whoever is the first process of this machine takes leave of it in its own time.
        let left = read(Path::new(&format!("/proc/{child}/stat")));
        assert!(left.is_empty() || left.contains(") Z "), "{left}");
    });
}

#[test]
fn what_cannot_be_run_is_said_and_keeps_nobody_from_being_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let absent = dir.path().join("no/such/script");
        let commands = vec![
            (Moment::Master, argv(&[absent.to_str().unwrap()])),
            (Moment::Any, noting(&at, "any")),
            (Moment::Backup, sh("exit 3")),
        ];
        let hooks = start(config(telling(commands)));
        hooks.notify(master());
        until("the telling", || read(&log).contains("MASTER 150")).await;
        until("the status", || status(&hooks).runs.len() == 2).await;
        let failed = &status(&hooks).runs[1];
        let said = format!("cannot run: {}/no: No such file or directory", dir.path().display());
        assert_eq!((failed.succeeded, &failed.outcome), (false, &said));
        hooks.notify(backup());
        until("the status", || status(&hooks).runs.len() == 4).await;
        assert_eq!(status(&hooks).runs[1].outcome, "exit 3");
    });
}

// People start services from notify_master.
#[test]
fn what_a_command_leaves_behind_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "pid");
    run(async {
        let hooks = start(config(telling(vec![(
            Moment::Master,
            sh(&format!("sleep 30 & echo $! > {at}")),
        )])));
        hooks.notify(master());
        until("the end of the command", || status(&hooks).runs.len() == 1).await;
        let pid = read(&log).trim().to_owned();
        let process = format!("/proc/{pid}/cmdline");
        assert!(read(Path::new(&process)).contains("sleep"), "{pid} is gone");
        let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    });
}

#[test]
fn what_has_to_be_true_of_a_master_is_tried_until_it_is_and_ended_with_the_mastership() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let command = sh(&format!("echo $VIPD_ATTEMPT >> {at}; test $(wc -l < {at}) -ge 2"));
        let every = Duration::from_millis(300);
        let (while_master, while_master_every) = (Some(command), every);
        let notify = NotifyConfig { while_master, while_master_every, ..NotifyConfig::default() };
        let hooks = start(config(notify));
        hooks.notify(entered(None, State::Backup));
        hooks.notify(master());
        until("the first failure", || status(&hooks).runs.len() == 1).await;
        assert_eq!(status(&hooks).ensured, Some(false));
        until("a success, and another", || read(&log).lines().count() >= 3).await;
        until("the status", || status(&hooks).ensured == Some(true)).await;
        assert!(read(&log).starts_with("1\n2\n1\n"), "{}", read(&log));
        hooks.notify(backup());
        until("the end", || status(&hooks).ensured.is_none()).await;
    });
}

#[test]
fn an_attempt_under_way_is_ended_when_the_router_is_master_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let while_master = Some(sh("sleep 1000"));
        let notify = telling(vec![(Moment::Backup, noting(&at, "backup"))]);
        let hooks = start(config(NotifyConfig { while_master, ..notify }));
        hooks.notify(master());
        until("the start", || status(&hooks).running.is_some()).await;
        let told = Instant::now();
        hooks.notify(backup());
        until("the next state", || !read(&log).is_empty()).await;
        assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    });
}

#[test]
fn a_stop_is_told_within_a_limit_even_past_a_command_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let hangs = sh("trap '' TERM; sleep 1000");
        let commands = vec![(Moment::Master, hangs), (Moment::Stop, noting(&at, "stop"))];
        let hooks = start(config(telling(commands)));
        hooks.notify(master());
        until("the start", || status(&hooks).running.is_some()).await;
        let began = Instant::now();
        hooks.notify(notice(NotifyEvent::Stopped));
        hooks.finish().await;
        assert!(began.elapsed() < FINISH_LIMIT, "{:?}", began.elapsed());
        assert_eq!(read(&log), "stop  MASTER a test\n");
    });
}

#[test]
fn a_flood_of_notices_loses_notices_and_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let hooks = start(config(NotifyConfig::default()));
        // Nothing runs before this task waits.
        for _ in 0..10_000 {
            hooks.notify(notice(NotifyEvent::LowerPriorityHeard));
        }
        let any = config(telling(vec![(Moment::Any, noting(&at, "any"))]));
        hooks.reconfigure(Arc::new(any));
        until("the end", || hooks.is_idle()).await;
        hooks.notify(master());
        until("the telling", || read(&log).contains("MASTER 150")).await;
    });
}

#[test]
fn a_daemon_that_continues_another_repeats_no_state_it_has_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let key = (Kind::Router, "VI_1".to_owned());
        let scripts = Scripts::new().unwrap();
        let config = Arc::new(config(telling(vec![(Moment::Any, noting(&at, "any"))])));
        let known = Inherited { notified: vec![(key.clone(), State::Master)], fifos: Vec::new() };
        let runtime = Handle::current();
        let hooks = Hooks::start(&runtime, scripts, config, "lb1".to_owned(), known);
        hooks.notify(entered(None, State::Master));
        hooks.notify(backup());
        until("the telling", || read(&log).contains("BACKUP 150")).await;
        assert!(!read(&log).contains("MASTER 150"), "{}", read(&log));
        until("the end", || hooks.is_idle()).await;
        assert_eq!(hooks.notified(), [(key, State::Backup)]);
    });
}

#[test]
fn a_shell_command_gets_its_words_too() {
    let dir = tempfile::tempdir().unwrap();
    let (log, at) = file(&dir, "log");
    run(async {
        let command = Command::Shell(format!("</dev/null printf '%s|' >> {at}"));
        let check = ScriptCheck { command, run_as: RunAs::Default, security: false };
        let hooks = start(config(telling(vec![(Moment::Any, check)])));
        hooks.notify(master());
        until("the telling", || !read(&log).is_empty()).await;
        assert_eq!(read(&log), "INSTANCE|VI_1|MASTER|150|");
    });
}
