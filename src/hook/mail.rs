//! Mail: one task sends one letter after the other. Posting never waits; while a server is away or
//! hangs, letters beyond the limit are dropped, the oldest first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::lock;
use crate::config::MailConfig;
use crate::notify::mail::Letter;
use crate::status::MailStatus;
use crate::text::plain_line;

/// Letters that wait at most.
const MAX_LETTERS: usize = 100;

/// The pauses between attempts; after the last one a letter is given up.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// A letter takes a connection, four commands and the text, each with the configured limit: after this
/// many limits it has failed.
const STEPS: u32 = 6;

#[derive(Debug)]
pub(super) struct Mailer {
    config: MailConfig,
    host: String,
    outgoing: Arc<Outgoing>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Outgoing {
    state: Mutex<Waiting>,
    wake: Notify,
}

type Posted = (u64, Message);

#[derive(Debug, Default)]
struct Waiting {
    posted: u64,
    letters: VecDeque<Posted>,
    sent: u64,
    failed: u64,
    lost: u64,
    error: Option<String>,
}

impl Mailer {
    /// `host` is the host's name; `last`, whose place this one takes, leaves it the letters that
    /// wait.
    pub(super) fn start(config: MailConfig, host: &str, last: Option<Mailer>) -> Mailer {
        let outgoing = last.map(|last| Arc::clone(&last.outgoing)).unwrap_or_default();
        let transport = transport(&config, host);
        let limit = config.options.timeout.saturating_mul(STEPS);
        let task = tokio::spawn(send(transport, limit, Arc::clone(&outgoing)));
        Mailer { config, host: host.to_owned(), outgoing, task }
    }

    pub(super) fn post(&self, letter: Option<Letter>) {
        let Some(letter) = letter else { return };
        let message = match message(&self.config, &self.host, letter) {
            Ok(message) => message,
            Err(error) => {
                let mut state = lock(&self.outgoing.state);
                state.failed += 1;
                state.error = Some(error);
                return;
            }
        };
        let mut state = lock(&self.outgoing.state);
        if state.letters.len() >= MAX_LETTERS {
            state.letters.pop_front();
            state.lost += 1;
        }
        state.posted += 1;
        let number = state.posted;
        state.letters.push_back((number, message));
        drop(state);
        self.outgoing.wake.notify_one();
    }

    pub(super) fn is_idle(&self) -> bool {
        lock(&self.outgoing.state).letters.is_empty()
    }

    pub(super) fn status(&self) -> MailStatus {
        let state = lock(&self.outgoing.state);
        MailStatus {
            server: self.config.server.to_string(),
            sent: state.sent,
            failed: state.failed,
            waiting: u64::try_from(state.letters.len()).unwrap_or(u64::MAX),
            lost: state.lost,
            error: state.error.clone(),
        }
    }
}

impl Drop for Mailer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn transport(config: &MailConfig, host: &str) -> Transport {
    let hello = config.options.helo.clone().unwrap_or_else(|| host.to_owned());
    Transport::builder_dangerous(config.server.host.to_string())
        .port(config.server.port.get())
        .hello_name(ClientId::Domain(hello))
        .timeout(Some(config.options.timeout))
        .build()
}

fn message(config: &MailConfig, host: &str, letter: Letter) -> Result<Message, String> {
    let mailbox = |address: &str| -> Result<Mailbox, String> {
        address.parse().map_err(|error| format!("{address}: {error}"))
    };
    let from = config.options.from.clone().unwrap_or_else(|| format!("vipd@{host}"));
    let mut message = Message::builder().from(mailbox(&from)?).subject(letter.subject).date_now();
    for to in &config.to {
        message = message.to(mailbox(to)?);
    }
    message
        .header(ContentType::TEXT_PLAIN)
        .body(letter.body)
        .map_err(|error| format!("cannot write a mail: {error}"))
}

/// Sends the oldest letter until it is sent or given up, then the next.
async fn send(transport: Transport, limit: Duration, outgoing: Arc<Outgoing>) {
    loop {
        let Some((number, message)) = lock(&outgoing.state).letters.front().cloned() else {
            outgoing.wake.notified().await;
            continue;
        };
        let mut pauses = PAUSES.iter();
        let sent = loop {
            let (error, refused) = match timeout(limit, transport.send(message.clone())).await {
                Ok(Ok(_)) => break true,
                Ok(Err(error)) => (explained(&error), error.is_permanent()),
                Err(_) => ("no answer".to_owned(), false),
            };
            // RFC 5321 section 4.2.1: what was refused with 5yz is not to be sent again as it is.
            let pause = pauses.next().filter(|_| !refused);
            if lock(&outgoing.state).error.replace(error.clone()).is_none() {
                let then = if pause.is_some() { "it is tried again" } else { "it is given up" };
                tracing::warn!("cannot send mail: {error}; {then}");
            }
            let Some(pause) = pause else { break false };
            sleep(*pause).await;
        };
        let mut state = lock(&outgoing.state);
        // It may have been lost to newer ones meanwhile.
        if state.letters.front().is_some_and(|(first, _)| *first == number) {
            state.letters.pop_front();
        }
        if sent {
            state.sent += 1;
            state.error = None;
        } else {
            state.failed += 1;
        }
    }
}

/// Characters of an error: a server may say anything at any length.
const SERVERS_WORDS: usize = 400;

fn explained(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    plain_line(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "), SERVERS_WORDS)
}
