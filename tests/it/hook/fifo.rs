use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Instant;

use vipd::config::FifoConfig;
use vipd::hook::FINISH_LIMIT;

use super::*;

fn fifo(path: &Path) -> FifoConfig {
    FifoConfig {
        path: path.to_owned(),
        user: None,
        group: None,
        reader: None,
        states_on_reload: false,
    }
}

fn with(fifo: FifoConfig) -> Config {
    Config { fifos: vec![fifo], ..config(NotifyConfig::default()) }
}

#[test]
fn a_fifo_is_made_keeps_its_lines_for_a_late_reader_and_goes_with_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = file(&dir, "fifo");
    run(async {
        let owned = FifoConfig {
            user: Some("nobody".to_owned()),
            group: Some("daemon".to_owned()),
            ..fifo(&path)
        };
        let hooks = start(with(owned));
        hooks.notify(entered(None, State::Backup));
        hooks.notify(master());
        until("the writing", || hooks.fifos()[0].written == 2).await;
        let made = fs::metadata(&path).unwrap();
        assert!(made.file_type().is_fifo());
        let daemon = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw();
        assert_eq!((made.mode() & 0o777, made.uid(), made.gid()), (0o600, nobody, daemon));
        let mut late = File::open(&path).unwrap();
        hooks.finish().await;
        let mut lines = String::new();
        late.read_to_string(&mut lines).unwrap();
        assert_eq!(
            lines,
            "INSTANCE \"VI_1\" BACKUP 150\nINSTANCE \"VI_1\" MASTER 150\nINSTANCE \"VI_1\" STOP 150\n"
        );
        assert!(!path.exists());
    });
}

#[test]
fn a_fifo_an_earlier_daemon_made_goes_with_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = file(&dir, "fifo");
    let (foreign, _) = file(&dir, "foreign");
    for path in [&path, &foreign] {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    run(async {
        let inherited = Inherited { notified: Vec::new(), fifos: vec![path.clone()] };
        let config =
            Config { fifos: vec![fifo(&path), fifo(&foreign)], ..config(NotifyConfig::default()) };
        let (scripts, config) = (Scripts::new().unwrap(), Arc::new(config));
        let hooks = Hooks::start(&Handle::current(), scripts, config, "lb1".to_owned(), inherited);
        assert_eq!(hooks.made_fifos(), std::slice::from_ref(&path));
        hooks.finish().await;
        assert!(!path.exists() && foreign.exists());
    });
}

#[test]
fn a_fifo_nobody_reads_loses_its_oldest_lines_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = file(&dir, "fifo");
    run(async {
        let hooks = start(with(fifo(&path)));
        let total = 5000;
        for n in 0..total {
            hooks.notify(Notification { priority: u8::try_from(n % 256).unwrap(), ..master() });
            if n % 500 == 499 {
                until("the reading", || hooks.is_idle()).await;
            }
        }
        until("the pipe to be full", || {
            let fifo = &hooks.fifos()[0];
            fifo.written + fifo.waiting + fifo.lost == total && fifo.lost > 0
        })
        .await;
        let fifo = hooks.fifos()[0].clone();
        assert_eq!(fifo.waiting, 1024);
        // What was written and what waits comes, whole and in order, the newest last.
        let mut reader = BufReader::new(File::open(&path).unwrap()).lines();
        let mut last = String::new();
        for _ in 0..fifo.written {
            last = reader.next().unwrap().unwrap();
        }
        assert_eq!(last, format!("INSTANCE \"VI_1\" MASTER {}", (fifo.written - 1) % 256));
        until("the rest", || hooks.fifos()[0].waiting == 0).await;
        for _ in 0..1024 {
            last = reader.next().unwrap().unwrap();
        }
        assert_eq!(last, format!("INSTANCE \"VI_1\" MASTER {}", (total - 1) % 256));
    });
}

#[test]
fn a_reader_is_given_the_path_started_again_and_left_to_read_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (path, at) = file(&dir, "fifo");
    let (log, log_at) = file(&dir, "log");
    run(async {
        // It ends after the first line, and is told where to read as its last word.
        let script = format!("read line < $2; echo \"$1: $line\" >> {log_at}");
        let reader = argv(&["/bin/sh", "-c", &script, "sh", "first"]);
        let hooks = start(with(FifoConfig { reader: Some(reader), ..fifo(&path) }));
        hooks.notify(entered(None, State::Backup));
        until("the first line", || read(&log).contains("BACKUP")).await;
        until("the end of the reader", || hooks.fifos()[0].reader.is_some()).await;
        assert_eq!(hooks.fifos()[0].reader.as_deref(), Some("exit 0"));
        hooks.notify(master());
        until("the second line", || read(&log).contains("MASTER")).await;
        assert_eq!(
            read(&log),
            "first: INSTANCE \"VI_1\" BACKUP 150\nfirst: INSTANCE \"VI_1\" MASTER 150\n"
        );
        until("the end of the second reader", || {
            read(&log).lines().count() == 2 && hooks.fifos()[0].waiting == 0
        })
        .await;
        let began = Instant::now();
        hooks.finish().await;
        assert!(began.elapsed() < FINISH_LIMIT, "{:?}", began.elapsed());
        assert!(!Path::new(&at).exists());
    });
}

#[test]
fn a_reader_that_lives_is_told_to_end_after_the_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = file(&dir, "fifo");
    let (log, log_at) = file(&dir, "log");
    run(async {
        let script =
            format!("while read line; do echo \"$line\" >> {log_at}; done < $1; sleep 600");
        let reader = argv(&["/bin/sh", "-c", &script, "sh"]);
        let hooks = start(with(FifoConfig { reader: Some(reader), ..fifo(&path) }));
        hooks.notify(entered(None, State::Backup));
        until("the first line", || read(&log).contains("BACKUP")).await;
        let began = Instant::now();
        hooks.finish().await;
        assert!(began.elapsed() < FINISH_LIMIT, "{:?}", began.elapsed());
        assert!(read(&log).ends_with("STOP 150\n"), "{}", read(&log));
    });
}

#[test]
fn a_file_in_the_place_of_a_fifo_is_left_alone_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = file(&dir, "fifo");
    fs::write(&path, "precious").unwrap();
    run(async {
        let hooks = start(with(fifo(&path)));
        hooks.notify(master());
        until("the error", || hooks.fifos()[0].error.is_some()).await;
        assert_eq!(hooks.fifos()[0].error.as_deref(), Some("it exists and is no FIFO"));
        assert_eq!(read(&path), "precious");
        fs::remove_file(&path).unwrap();
        until("the next attempt", || hooks.fifos()[0].written == 1).await;
        assert_eq!(hooks.fifos()[0].error, None);
    });
}

#[test]
fn a_reload_keeps_the_fifo_and_repeats_the_states_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = file(&dir, "fifo");
    run(async {
        let hooks = start(with(fifo(&path)));
        hooks.notify(entered(None, State::Backup));
        hooks.notify(master());
        until("the writing", || hooks.fifos()[0].written == 2).await;
        let mut reader = BufReader::new(File::open(&path).unwrap()).lines();
        hooks.notify(notice(NotifyEvent::PriorityChanged { master: true }));
        hooks.reconfigure(Arc::new(with(FifoConfig { states_on_reload: true, ..fifo(&path) })));
        until("the repetition", || hooks.fifos()[0].written == 3).await;
        let lines: Vec<String> = (0..3).map(|_| reader.next().unwrap().unwrap()).collect();
        assert_eq!(lines[1], "INSTANCE \"VI_1\" MASTER 150");
        assert_eq!(lines[2], "INSTANCE \"VI_1\" MASTER 150");
    });
}
