use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use vipd::config::checks::Endpoint;
use vipd::config::{MailConfig, MailOptions};

use super::*;

/// What a server does with those who connect.
#[derive(Clone, Copy)]
enum Manner {
    Takes,
    /// The first mail, for good.
    Refuses,
    /// For a while.
    IsBusy,
    Hangs,
}

/// A mail server; returns its address and what it was told.
fn sink(manner: Manner) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&heard);
    thread::spawn(move || {
        let mut kept = Vec::new();
        for client in listener.incoming() {
            let client = client.unwrap();
            match manner {
                Manner::Hangs => kept.push(client),
                Manner::IsBusy => drop((&client).write_all(b"421 later\r\n")),
                Manner::Takes => taken.lock().unwrap().push(converse(client, "250 fine")),
                Manner::Refuses => {
                    let first = taken.lock().unwrap().is_empty();
                    let answer = if first { "550 nobody of that name" } else { "250 fine" };
                    let heard = converse(client, answer);
                    taken.lock().unwrap().push(heard);
                }
            }
        }
    });
    (address, heard)
}

/// The dialogue of RFC 5321, as far as a client needs it.
fn converse(client: TcpStream, to_recipients: &str) -> String {
    let mut answer = client.try_clone().unwrap();
    let mut say = |text: &str| answer.write_all(text.as_bytes()).unwrap();
    say("220 sink\r\n");
    let (mut heard, mut in_text) = (String::new(), false);
    for line in BufReader::new(client).lines() {
        let line = line.unwrap();
        heard.push_str(&line);
        heard.push('\n');
        match line.split(' ').next().unwrap() {
            "." if in_text => {
                in_text = false;
                say("250 taken\r\n");
            }
            _ if in_text => {}
            "RCPT" => say(&format!("{to_recipients}\r\n")),
            "DATA" => {
                in_text = true;
                say("354 go on\r\n");
            }
            "QUIT" => {
                say("221 bye\r\n");
                break;
            }
            _ => say("250 fine\r\n"),
        }
    }
    heard
}

fn mailing(server: &str, timeout: Duration) -> Config {
    let mail = MailConfig {
        to: vec!["ops@example.org".into(), "pager@example.net".into()],
        server: Endpoint::parse(server, None).unwrap(),
        options: MailOptions {
            from: Some("vipd@lb1.example.org".into()),
            helo: Some("lb1.example.org".into()),
            timeout,
            ..MailOptions::default()
        },
    };
    let notify = NotifyConfig { mail: true, ..NotifyConfig::default() };
    Config { mail: Some(mail), ..config(notify) }
}

#[test]
fn a_change_of_state_is_mailed_with_keepalived_s_subject() {
    let (server, heard) = sink(Manner::Takes);
    run(async {
        let hooks = start(mailing(&server, SOON));
        hooks.notify(master());
        until("the mail", || hooks.mail().unwrap().sent == 1).await;
        until("the end of the dialogue", || !heard.lock().unwrap().is_empty()).await;
        let mail = heard.lock().unwrap()[0].clone();
        for part in [
            "EHLO lb1.example.org\n",
            "MAIL FROM:<vipd@lb1.example.org>",
            "RCPT TO:<ops@example.org>",
            "RCPT TO:<pager@example.net>",
            "\nSubject: [lb1] VRRP Instance VI_1 - Entering MASTER state\n",
            "\nFrom: vipd@lb1.example.org\n",
            "\nTo: ops@example.org, pager@example.net\n",
            "\nState:     BACKUP -> MASTER\nReason:    a test\nPriority:  150\n",
        ] {
            assert!(mail.contains(part), "no {part:?} in\n{mail}");
        }
    });
}

#[test]
fn a_mail_that_is_refused_is_given_up_and_the_next_one_sent() {
    let (server, heard) = sink(Manner::Refuses);
    run(async {
        let hooks = start(mailing(&server, SOON));
        hooks.notify(master());
        until("the refusal", || hooks.mail().unwrap().failed == 1).await;
        let error = hooks.mail().unwrap().error.unwrap();
        assert!(error.contains("550") && error.contains("nobody of that name"), "{error}");
        hooks.notify(backup());
        until("the next mail", || hooks.mail().unwrap().sent == 1).await;
        assert_eq!(hooks.mail().unwrap().error, None);
        until("its dialogue", || heard.lock().unwrap().len() == 2).await;
        assert!(heard.lock().unwrap()[1].contains("Entering BACKUP state"));
    });
}

#[test]
fn mail_that_waits_goes_to_the_server_of_a_reload() {
    let (away, _) = sink(Manner::IsBusy);
    let (server, heard) = sink(Manner::Takes);
    run(async {
        let hooks = start(mailing(&away, SOON));
        hooks.notify(master());
        until("the error", || hooks.mail().unwrap().error.is_some()).await;
        hooks.reconfigure(Arc::new(mailing(&server, SOON)));
        until("the mail", || hooks.mail().unwrap().sent == 1).await;
        until("its dialogue", || !heard.lock().unwrap().is_empty()).await;
        assert!(heard.lock().unwrap()[0].contains("Entering MASTER state"));
    });
}

#[test]
fn a_server_that_is_busy_or_hangs_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for (n, manner) in [Manner::IsBusy, Manner::Hangs].into_iter().enumerate() {
        let (server, _) = sink(manner);
        let (log, at) = file(&dir, &format!("log{n}"));
        run(async {
            let mut config = mailing(&server, Duration::from_millis(300));
            let router = Arc::make_mut(&mut config.routers[0]);
            router.notify.commands =
                [(Moment::Any, sh(&format!("echo $3 >> {at}")))].into_iter().collect();
            let hooks = start(config);
            for notice in [entered(None, State::Backup), master(), backup()] {
                let state = read(&log).lines().count();
                hooks.notify(notice);
                until("the command", || read(&log).lines().count() > state).await;
            }
            until("the error", || hooks.mail().unwrap().error.is_some()).await;
            let mail = hooks.mail().unwrap();
            assert_eq!((mail.sent, mail.waiting), (0, 3), "{mail:?}");
            let began = Instant::now();
            hooks.finish().await;
            assert!(began.elapsed() <= vipd::hook::FINISH_LIMIT + Duration::from_secs(1));
        });
    }
}
