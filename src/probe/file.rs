//! Tracked files: read at once when the kernel reports a change, and every [`PAUSE`] in any case.
//!
//! The directory is watched, not the file, which may be replaced by another of its name. The kernel
//! reports only what this machine does to a local file system: changes by other hosts (NFS), through
//! symbolic links, in directories that did not exist, and of files that have no events (FUSE,
//! `/proc`) are seen at the next reading, every [`PAUSE`].

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nix::libc;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::{BlockingTask, Deadline, Failure};
use crate::sys::cause;
use crate::track::file::{LONGEST, value};
use crate::track::outcome::{Cause, Outcome, Verdict};

/// From one reading without a reported change to the next.
const PAUSE: Duration = Duration::from_secs(2);

/// How long an empty file is taken for one that is being written.
const BEING_WRITTEN: Duration = Duration::from_millis(20);

/// Watches directories for all checks, with one thread of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Directories {
    /// Dropping the watcher waits for its thread while this is locked: the thread must not lock it.
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
    waiting: Waiting,
}

/// Who waits for what happens in a directory.
#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<BTreeMap<PathBuf, Vec<Weak<Notify>>>>>);

impl Directories {
    /// Makes sure the directory is watched, also one that has been replaced. Blocks.
    fn watch(&self, directory: &Path) {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_none() {
            let waiting = self.waiting.clone();
            let report = move |event: notify::Result<Event>| {
                if let Ok(event) = event {
                    waiting.happened(&event);
                }
            };
            *watcher = notify::recommended_watcher(report).ok();
        }
        if let Some(watcher) = &mut *watcher {
            // What cannot be watched is read now and then.
            let _ = watcher.watch(directory, RecursiveMode::NonRecursive);
        }
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<Weak<Notify>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self, directory: &Path) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let mut all = self.lock();
        let waiting = all.entry(directory.to_owned()).or_default();
        waiting.retain(|other| other.strong_count() > 0);
        waiting.push(Arc::downgrade(&wake));
        wake
    }

    /// Only when a change is complete: a file that is truncated and then written is empty in between.
    fn happened(&self, event: &Event) {
        let complete = matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Create(_)
                | EventKind::Remove(_)
                | EventKind::Other
        );
        if !complete {
            return;
        }
        let of_event = |directory: &Path| {
            event.paths.is_empty() || event.paths.iter().any(|p| p.parent() == Some(directory))
        };
        let all = self.lock();
        let concerned = all.iter().filter(|(directory, _)| of_event(directory));
        for wake in concerned.flat_map(|(_, waiting)| waiting).filter_map(Weak::upgrade) {
            wake.notify_one();
        }
    }
}

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    directories: Directories,
    wake: Arc<Notify>,
    reading: BlockingTask<io::Result<Vec<u8>>>,
    last: Option<Outcome>,
}

impl File {
    pub(super) fn new(path: &Path, directories: Directories) -> File {
        let wake = directories.waiting.subscribe(path.parent().unwrap_or(path));
        File {
            path: path.to_owned(),
            directories,
            wake,
            reading: BlockingTask::default(),
            last: None,
        }
    }

    pub(super) async fn run(&mut self, timeout: Duration) -> Outcome {
        let mut outcome = self.read(timeout).await;
        let was_empty = |outcome: &Outcome| outcome.verdict == Verdict::Value(0);
        if was_empty(&outcome) && !self.last.as_ref().is_some_and(was_empty) {
            sleep(BEING_WRITTEN).await;
            outcome = self.read(timeout).await;
        }
        self.last = Some(outcome.clone());
        outcome
    }

    /// Wait until the content differs from the last.
    pub(super) async fn changed(&mut self, limit: Duration) -> Outcome {
        loop {
            let _ = timeout(PAUSE, self.wake.notified()).await;
            let before = self.last.clone();
            let outcome = self.run(limit).await;
            let same =
                |last: &Outcome| (last.verdict, &last.detail) == (outcome.verdict, &outcome.detail);
            if !before.as_ref().is_some_and(same) {
                return outcome;
            }
        }
    }

    async fn read(&mut self, limit: Duration) -> Outcome {
        let began = Instant::now();
        let (path, directories) = (self.path.clone(), self.directories.clone());
        let read = move || {
            directories.watch(path.parent().unwrap_or(&path));
            start_of(&path)
        };
        let deadline = Deadline::after(limit);
        let (verdict, detail) = match self.reading.run(deadline, "reading the file", read).await {
            Ok(Ok(bytes)) => {
                let (value, detail) = value(&bytes);
                (Verdict::Value(value), detail.into_owned())
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                (Verdict::Value(0), "missing, which counts as 0".to_owned())
            }
            Ok(Err(error)) => {
                let text = format!("{}: {}", self.path.display(), cause(&error));
                (Verdict::Failed(Cause::CannotRun), text)
            }
            Err(Failure { cause, detail }) => (Verdict::Failed(cause), detail),
        };
        Outcome { verdict, detail, output: String::new(), took: began.elapsed() }
    }
}

/// Opening a pipe or a terminal could block, so it is opened without waiting.
fn start_of(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(u64::try_from(LONGEST).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
