//! Named pipes. One task per pipe opens and writes it, another keeps its reader running.
//!
//! The pipe is opened for reading and writing, as keepalived does: that never waits for a reader, and
//! what is written stays in the kernel (64 KiB) until one comes. When that is full, lines wait here,
//! and when too many do, the oldest of them are dropped, counted and logged.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, mkfifo};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::{lock, outcome_text, text};
use crate::config::FifoConfig;
use crate::config::checks::ScriptCheck;
use crate::notify;
use crate::probe::script::{Scripts, owner};
use crate::status::FifoStatus;
use crate::sys::cause;

/// Lines that wait here at most.
const MAX_LINES: usize = 1024;

/// The pause before a pipe is opened again; also the first pause before its reader is started again,
/// which doubles.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause before a reader is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Dropped lines are logged at most this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// How long a reader may go on reading when the daemon ends, before it gets SIGTERM.
const READ_ON: Duration = Duration::from_millis(500);

/// A reader has no deadline until it is given one.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

#[derive(Debug)]
pub(super) struct Fifo {
    config: FifoConfig,
    lines: Arc<Lines>,
    writer: JoinHandle<()>,
    reader: Option<Reader>,
}

/// What is to be written, and what became of it.
#[derive(Debug, Default)]
struct Lines {
    state: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    written: u64,
    lost: u64,
    said: Option<Instant>,
    error: Option<String>,
    /// The daemon has created it, and removes it at its end.
    ours: bool,
    last: bool,
}

/// The command that reads a FIFO.
#[derive(Debug)]
struct Reader {
    check: ScriptCheck,
    /// How its last run ended.
    ended: Arc<Mutex<Option<String>>>,
    deadline: watch::Sender<Instant>,
    task: JoinHandle<()>,
}

impl Fifo {
    /// `ours`: the daemon this one continues has made it.
    pub(super) fn start(config: &FifoConfig, ours: bool) -> Fifo {
        let state = Mutex::new(Waiting { ours, ..Waiting::default() });
        let lines = Arc::new(Lines { state, wake: Notify::default() });
        let writer = tokio::spawn(write(config.clone(), Arc::clone(&lines)));
        Fifo { config: FifoConfig { reader: None, ..config.clone() }, lines, writer, reader: None }
    }

    pub(super) fn is_ours(&self) -> bool {
        lock(&self.lines.state).ours
    }

    pub(super) fn path(&self) -> PathBuf {
        self.config.path.clone()
    }

    /// Whether it is the same pipe.
    pub(super) fn is(&self, other: &FifoConfig) -> bool {
        let FifoConfig { path, user, group, .. } = &self.config;
        *path == other.path && *user == other.user && *group == other.group
    }

    /// A reader that is still wanted reads on.
    pub(super) fn configure(&mut self, config: &FifoConfig, scripts: &Scripts) {
        self.config = config.clone();
        let wanted = config.reader.as_ref();
        if self.reader.as_ref().map(|reader| &reader.check) != wanted {
            self.reader = wanted.map(|check| Reader::start(check, &config.path, scripts));
        }
    }

    pub(super) fn repeats_states(&self) -> bool {
        self.config.states_on_reload
    }

    pub(super) fn write(&self, line: Option<String>) {
        let Some(line) = line else { return };
        let mut state = lock(&self.lines.state);
        if state.lines.len() >= MAX_LINES {
            state.lines.pop_front();
            state.lost += 1;
            if state.said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                state.said = Some(Instant::now());
                let (path, lost) = (self.config.path.display(), state.lost);
                tracing::warn!(
                    "nobody reads the FIFO {path} fast enough; lines lost so far: {lost}"
                );
            }
        }
        state.lines.push_back(line);
        drop(state);
        self.lines.wake.notify_one();
    }

    /// Nothing more is coming: the reader sees the end when it has read everything.
    pub(super) fn finish(&mut self) {
        lock(&self.lines.state).last = true;
        self.lines.wake.notify_one();
        if let Some(reader) = &self.reader {
            let _ = reader.deadline.send(Instant::now() + READ_ON);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let unread = !self.writer.is_finished() && !lock(&self.lines.state).lines.is_empty();
        !unread && self.reader.as_ref().is_none_or(|reader| reader.task.is_finished())
    }

    pub(super) fn status(&self) -> FifoStatus {
        let state = lock(&self.lines.state);
        FifoStatus {
            path: self.config.path.clone(),
            written: state.written,
            waiting: u64::try_from(state.lines.len()).unwrap_or(u64::MAX),
            lost: state.lost,
            error: state.error.clone(),
            reader: self.reader.as_ref().and_then(|reader| lock(&reader.ended).clone()),
        }
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.writer.abort();
        if self.is_ours() {
            // It may be gone already.
            let _ = fs::remove_file(&self.config.path);
        }
    }
}

impl Reader {
    fn start(check: &ScriptCheck, path: &Path, scripts: &Scripts) -> Reader {
        let command = notify::reader(check, &text(path));
        let ended = Arc::new(Mutex::new(None));
        let (deadline, until) = watch::channel(Instant::now() + NEVER);
        let keep = keep_reading(scripts.clone(), command, until, Arc::clone(&ended), text(path));
        Reader { check: check.clone(), ended, deadline, task: tokio::spawn(keep) }
    }
}

impl Drop for Reader {
    /// Its task ends with it.
    fn drop(&mut self) {
        let _ = self.deadline.send(Instant::now());
    }
}

/// Start the reader again whenever it ends, until its time is up.
async fn keep_reading(
    scripts: Scripts,
    command: ScriptCheck,
    mut until: watch::Receiver<Instant>,
    ended: Arc<Mutex<Option<String>>>,
    path: String,
) {
    let mut pause = PAUSE;
    loop {
        let outcome = scripts.run_once(command.clone(), Vec::new(), until.clone()).await;
        // Moved only when the daemon ends or the reader is wanted no more.
        if *until.borrow() < Instant::now() + NEVER / 2 {
            return;
        }
        if outcome.took >= LONGEST_PAUSE {
            pause = PAUSE;
        }
        let said = outcome_text(&outcome);
        let seconds = pause.as_secs();
        tracing::warn!("the reader of {path} ended ({said}); started again in {seconds} s");
        *lock(&ended) = Some(said);
        if timeout(pause, until.changed()).await.is_ok() {
            return;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Writes whatever comes until nothing more is coming.
async fn write(config: FifoConfig, lines: Arc<Lines>) {
    let mut pipe = None;
    loop {
        let next = {
            let state = lock(&lines.state);
            if state.last && state.lines.is_empty() {
                return;
            }
            state.lines.front().cloned()
        };
        let Some(sender) = &pipe else {
            pipe = open(&config, &lines).await;
            continue;
        };
        let Some(line) = next else {
            lines.wake.notified().await;
            continue;
        };
        // Shorter than PIPE_BUF, so it is written whole or not at all.
        match pipe::Sender::try_write(sender, line.as_bytes()) {
            Ok(_) => {
                let mut state = lock(&lines.state);
                // The line may have made room for others meanwhile: not while this thread writes.
                state.lines.pop_front();
                state.written += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if sender.writable().await.is_err() {
                    pipe = None;
                }
            }
            Err(error) => {
                lock(&lines.state).error = Some(cause(&error));
                pipe = None;
            }
        }
    }
}

/// The pipe, made if it is missing; after a failure and a pause `None`.
async fn open(config: &FifoConfig, lines: &Lines) -> Option<pipe::Sender> {
    let wanted = config.clone();
    let made = spawn_blocking(move || make(&wanted)).await.map_err(io::Error::other);
    let opened = made.flatten().and_then(|made| {
        let pipe = pipe::OpenOptions::new().read_write(true).open_sender(&config.path)?;
        Ok((made, pipe))
    });
    match opened {
        Ok((made, pipe)) => {
            let mut state = lock(&lines.state);
            state.error = None;
            state.ours |= made;
            Some(pipe)
        }
        Err(error) => {
            let error = cause(&error);
            let first = lock(&lines.state).error.replace(error.clone()).is_none();
            if first {
                let path = config.path.display();
                tracing::warn!("cannot open the FIFO {path}: {error}; trying again every second");
            }
            sleep(PAUSE).await;
            None
        }
    }
}

/// Whether it had to be made. May block.
fn make(config: &FifoConfig) -> io::Result<bool> {
    match fs::symlink_metadata(&config.path) {
        Ok(found) if found.file_type().is_fifo() => return Ok(false),
        Ok(_) => return Err(io::Error::other("it exists and is no FIFO")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let (user, group) = owner(config.user.as_deref(), config.group.as_deref())?;
    mkfifo(&config.path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let (user, group) = (user.map(Uid::as_raw), group.map(Gid::as_raw));
    if (user.is_some() || group.is_some())
        && let Err(error) = chown(&config.path, user, group)
    {
        let _ = fs::remove_file(&config.path);
        if error.kind() == io::ErrorKind::PermissionDenied {
            let why = format!("{}: another owner takes CAP_CHOWN", cause(&error));
            return Err(io::Error::other(why));
        }
        return Err(error);
    }
    Ok(true)
}
