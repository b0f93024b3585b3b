//! Seeing every frame on an interface, in order, stamped by the kernel.

use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::deadline::Overdue;
use super::decode::{Decoded, decode};
use super::error::{Error, Result};
use super::lock;
use super::stamp::Stamp;
use crate::sys::frames::FrameSocket;

/// Longest frame kept, in bytes: an IP packet of any size with its Ethernet header.
const LONGEST: usize = 65_536 + 14;

/// Lines of a transcript in an error; the older ones are counted only.
const TRANSCRIPT_LINES: usize = 60;

/// A captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel sent or received it.
    pub at: Stamp,
    /// Sent by the interface captured on, rather than received.
    pub outgoing: bool,
    /// The frame, Ethernet header first.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// What the frame says, as far as the lab understands it.
    #[must_use]
    pub fn decode(&self) -> Decoded {
        decode(&self.bytes)
    }
}

/// A running capture; dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    name: String,
    shared: Arc<Shared>,
    /// Closing this end ends the reader.
    stop: Option<UnixStream>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    start: Stamp,
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    frames: Vec<Frame>,
    /// Index of the first frame that `wait_for` looks at.
    mark: usize,
    lost: u32,
}

impl Capture {
    pub(super) fn start(name: String, socket: FrameSocket) -> Result<Capture> {
        Capture::start_only(name, socket, |_| true)
    }

    pub(super) fn start_only(
        name: String,
        socket: FrameSocket,
        keep: impl Fn(&Frame) -> bool + Send + 'static,
    ) -> Result<Capture> {
        let failed =
            |source| Error::Kernel { place: name.clone(), what: "start a capture".into(), source };
        let (stop, stopped) = UnixStream::pair().map_err(failed)?;
        let shared =
            Arc::new(Shared { start: Stamp::now(), seen: Mutex::default(), more: Condvar::new() });
        let writer = Arc::clone(&shared);
        let reader = thread::Builder::new()
            .name("lab:capture".into())
            .spawn(move || read_all(&socket, &stopped, &writer, &keep))
            .map_err(failed)?;
        Ok(Capture { name, shared, stop: Some(stop), reader: Some(reader) })
    }

    /// All frames so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        lock(&self.shared.seen).frames.clone()
    }

    /// The frames since the last [`Capture::mark`].
    #[must_use]
    pub fn new_frames(&self) -> Vec<Frame> {
        let seen = lock(&self.shared.seen);
        seen.frames.get(seen.mark..).unwrap_or_default().to_vec()
    }

    /// From now on [`Capture::wait_for`] and [`Capture::new_frames`] see only later frames.
    pub fn mark(&self) {
        let mut seen = lock(&self.shared.seen);
        seen.mark = seen.frames.len();
    }

    /// The first frame since the last [`Capture::mark`] (or the start) that `wanted` accepts,
    /// waiting for it if it has not come yet. `what` completes the sentence "waited for …".
    ///
    /// # Errors
    /// [`Overdue`] with a transcript of what came instead.
    pub fn wait_for(
        &self,
        within: Duration,
        what: &str,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Result<Frame, Overdue> {
        let start = Instant::now();
        let mut seen = lock(&self.shared.seen);
        let mut next = seen.mark;
        loop {
            while let Some(frame) = seen.frames.get(next) {
                if wanted(frame) {
                    return Ok(frame.clone());
                }
                next += 1;
            }
            let Some(left) = within.checked_sub(start.elapsed()).filter(|l| !l.is_zero()) else {
                let frames = seen.frames.get(seen.mark..).unwrap_or_default();
                return Err(Overdue {
                    what: format!("{what} on {}", self.name),
                    waited: start.elapsed(),
                    instead: self.describe(frames, seen.lost),
                });
            };
            seen = match self.shared.more.wait_timeout(seen, left) {
                Ok((seen, _)) => seen,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// The same, waiting for a frame whose meaning `wanted` picks.
    ///
    /// # Errors
    /// As for [`Capture::wait_for`].
    pub fn wait_for_decoded<T>(
        &self,
        within: Duration,
        what: &str,
        wanted: impl Fn(Decoded) -> Option<T>,
    ) -> Result<(Frame, T), Overdue> {
        let frame = self.wait_for(within, what, |f| wanted(f.decode()).is_some())?;
        match wanted(frame.decode()) {
            Some(value) => Ok((frame, value)),
            None => Err(Overdue {
                what: what.to_owned(),
                waited: Duration::ZERO,
                instead: "a frame wanted at the first look only".to_owned(),
            }),
        }
    }

    /// Frames the kernel could not hand over in time. A test that proves an absence wants 0.
    #[must_use]
    pub fn lost(&self) -> u32 {
        lock(&self.shared.seen).lost
    }

    /// When the capture began.
    #[must_use]
    pub fn started(&self) -> Stamp {
        self.shared.start
    }

    /// One line per frame, times relative to the start of the capture.
    #[must_use]
    pub fn transcript(&self) -> String {
        let seen = lock(&self.shared.seen);
        self.describe(&seen.frames, seen.lost)
    }

    fn describe(&self, frames: &[Frame], lost: u32) -> String {
        let skipped = frames.len().saturating_sub(TRANSCRIPT_LINES);
        let mut text = format!("{} frames", frames.len());
        if skipped > 0 {
            text.push_str(&format!(", the last {TRANSCRIPT_LINES}:"));
        }
        if lost > 0 {
            text.push_str(&format!(" ({lost} more were lost by the kernel)"));
        }
        for frame in frames.iter().skip(skipped) {
            text.push_str(&format!("\n  {}", Line { frame, start: self.shared.start }));
        }
        text
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has printed why.
            drop(reader.join());
        }
    }
}

/// A frame as one line of a transcript.
struct Line<'a> {
    frame: &'a Frame,
    start: Stamp,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.frame.at.since(self.start).as_secs_f64();
        let way = if self.frame.outgoing { "out" } else { "in " };
        write!(f, "{at:>10.6} {way} {}", self.frame.decode())
    }
}

fn read_all(
    socket: &FrameSocket,
    stopped: &UnixStream,
    shared: &Shared,
    keep: &dyn Fn(&Frame) -> bool,
) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let mut waiting = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        let [_, stop] = &waiting;
        if stop.any().unwrap_or(true) {
            return;
        }
        let mut batch = Vec::new();
        loop {
            match socket.receive(&mut buffer) {
                Ok(Some(received)) => {
                    let bytes = buffer.get(..received.length).unwrap_or_default().to_vec();
                    let at = Stamp::from_epoch(received.at);
                    let frame = Frame { at, outgoing: received.outgoing, bytes };
                    if keep(&frame) {
                        batch.push(frame);
                    }
                }
                Ok(None) => break,
                // The interface went down: it may come back, and the socket stays bound to it.
                Err(error) if error.raw_os_error() == Some(Errno::ENETDOWN as i32) => {}
                Err(_) => return,
            }
        }
        let lost = socket.take_dropped().unwrap_or_default();
        let mut seen = lock(&shared.seen);
        seen.frames.append(&mut batch);
        seen.lost = seen.lost.saturating_add(lost);
        drop(seen);
        shared.more.notify_all();
    }
}
