//! Moving bytes from one socket to the other, as many as can be without waiting.
//!
//! Readiness is edge-triggered: what is ready stays so until the kernel says WouldBlock. A
//! direction reads only what its sink can take, so that what a slow reader leaves stays in the
//! sender's socket. An idle direction owns no memory: the buffer is its thread's, a remainder is
//! boxed while the sink is full, a pipe is borrowed while bulk data moves.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::settings::Splice;
use crate::sys::descriptors::FdLimit;
use crate::sys::epoll::Ready;
use crate::sys::splice::Pipe;
use crate::sys::tcp;

/// Size of the buffer a worker copies through. One read of a bulk transfer fills it.
const SCRATCH: usize = 64 * 1024;

/// Reads of one direction before other sessions are served: half a megabyte, or eight pipes.
const STEPS: usize = 8;

/// Reads in a row that filled the buffer before splicing is tried: two more system calls a step do
/// not pay for small exchanges.
const FULL_READS: u8 = 2;

/// Splices in a row that moved less than [`SMALL`] before copying is resumed: the stream is no bulk
/// transfer any more, and the pipe can serve another.
const SMALL_SPLICES: u8 = 8;
const SMALL: usize = 4096;

/// A smaller pipe than this, or than was asked for, is slower than copying.
const SMALLEST_PIPE: usize = 64 * 1024;

/// How long no pipe is made after the kernel gave none, or too small a one.
const PIPE_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) fd: OwnedFd,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other end has ended its stream; all it sent is in the socket.
    pub(super) finished: bool,
    /// Urgent data makes reads stop early, so a short one proves nothing.
    pub(super) urgent: bool,
    /// The kernel reported an error or the end of both streams.
    pub(super) dead: bool,
    /// Whether room to write is watched. Few sessions ever need it.
    pub(super) watched: bool,
}

/// The events that are always watched.
pub(super) const INTEREST: Ready = Ready::IN.union(Ready::RDHUP).union(Ready::PRI).union(Ready::ET);

impl Conn {
    /// A socket nothing is known of: to try is how to find out.
    pub(super) fn new(fd: OwnedFd) -> Conn {
        Conn {
            fd,
            readable: true,
            writable: true,
            finished: false,
            urgent: false,
            dead: false,
            watched: false,
        }
    }

    /// Take note of an event. An error surfaces when the socket is used.
    pub(super) fn note(&mut self, ready: Ready) {
        let broken = ready.intersects(Ready::ERR | Ready::HUP);
        self.dead |= broken;
        self.readable |= broken || ready.intersects(Ready::IN | Ready::RDHUP | Ready::PRI);
        self.writable |= broken || ready.contains(Ready::OUT);
        self.finished |= ready.contains(Ready::RDHUP);
        self.urgent |= ready.contains(Ready::PRI);
    }

    /// What to watch from now on, if that has changed: room to write, once there was none.
    pub(super) fn interest(&mut self) -> Option<Ready> {
        let change = !self.writable && !self.watched;
        self.watched |= change;
        change.then_some(INTEREST | Ready::OUT)
    }
}

#[derive(Debug, Default)]
pub(super) struct Direction {
    pub(super) bytes: u64,
    unsent: Option<Box<Unsent>>,
    pipe: Option<Pipe>,
    full_reads: u8,
    small_splices: u8,
    copies_only: bool,
    ending: bool,
    /// ... and the sink has been told.
    pub(super) done: bool,
}

/// What the sink had no room for.
#[derive(Debug)]
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for an event.
    Idle,
    /// It let others go first and can go on.
    More,
}

#[derive(Debug)]
pub(super) enum BrokenEnd {
    Source,
    Sink,
}

/// What the sessions of a worker share.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) scratch: Box<[u8]>,
    pub(super) pipes: Pipes,
    /// Bytes spliced since they were last added to the statistics.
    pub(super) spliced: u64,
}

impl Buffers {
    pub(super) fn new(splice: Splice, fd_limit: FdLimit) -> Buffers {
        let pipes = Pipes {
            idle: Vec::new(),
            lent: 0,
            most: splice.pipes,
            size: splice.size,
            pause: None,
            fd_limit,
        };
        Buffers { scratch: vec![0; SCRATCH].into_boxed_slice(), pipes, spliced: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Pipes {
    idle: Vec<Pipe>,
    lent: usize,
    most: usize,
    size: usize,
    pause: Option<Instant>,
    fd_limit: FdLimit,
}

impl Pipes {
    fn lend(&mut self) -> Option<Pipe> {
        let pipe = match self.idle.pop() {
            Some(pipe) => pipe,
            None => self.make()?,
        };
        self.lent += 1;
        Some(pipe)
    }

    fn make(&mut self) -> Option<Pipe> {
        if self.lent >= self.most || self.pause.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match Pipe::new(self.size) {
            Ok((pipe, real))
                if real >= self.size.min(SMALLEST_PIPE)
                    && !self.fd_limit.leaves_no_reserve(&pipe) =>
            {
                Some(pipe)
            }
            Ok(_) | Err(_) => {
                self.pause = Some(Instant::now() + PIPE_PAUSE);
                None
            }
        }
    }

    /// Take a pipe back. One with something in it is closed.
    fn release(&mut self, pipe: Pipe) {
        self.lent -= 1;
        if pipe.held() == 0 {
            self.idle.push(pipe);
        }
    }
}

impl Direction {
    /// Bytes to send before anything is read.
    pub(super) fn begin_with(&mut self, bytes: Vec<u8>) {
        self.unsent = (!bytes.is_empty()).then(|| Box::new(Unsent { bytes, sent: 0 }));
    }

    /// Count bytes that were moved before the session was one.
    pub(super) fn count(&mut self, moved: usize) {
        self.bytes += bytes_moved(moved);
    }

    /// Move bytes until the source is empty, the sink full, the stream over or [`STEPS`] are done.
    /// `last` says that the other direction is over: the sink need not be told of the end, as it
    /// will be closed.
    pub(super) fn pump(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        last: bool,
        buffers: &mut Buffers,
    ) -> Result<Progress, BrokenEnd> {
        for _ in 0..STEPS {
            if self.done || !self.flush(sink)? {
                return Ok(Progress::Idle);
            }
            if self.ending {
                if !last {
                    tcp::finish(&sink.fd);
                }
                self.done = true;
            }
            if self.small_splices >= SMALL_SPLICES {
                self.full_reads = 0;
                self.release(&mut buffers.pipes);
            }
            if self.done || !source.readable {
                self.release(&mut buffers.pipes);
                return Ok(Progress::Idle);
            }
            if source.urgent && !self.copies_only {
                // Splicing stops before an urgent byte, for good; the pipe has just been drained.
                self.copies_only = true;
                self.release(&mut buffers.pipes);
            }
            if self.full_reads >= FULL_READS && !self.copies_only && self.pipe.is_none() {
                self.pipe = buffers.pipes.lend();
            }
            if self.pipe.is_some() {
                self.splice(source, buffers)?;
            } else {
                self.copy(source, sink, buffers)?;
            }
        }
        Ok(Progress::More)
    }

    /// Send what is left over. Returns whether all of it is gone.
    fn flush(&mut self, sink: &mut Conn) -> Result<bool, BrokenEnd> {
        if let Some(unsent) = &mut self.unsent {
            while let Some(bytes) =
                unsent.bytes.get(unsent.sent..).filter(|bytes| !bytes.is_empty())
            {
                let Some(sent) = room(sink, |sink| tcp::send(&sink.fd, bytes, false))? else {
                    return Ok(false);
                };
                unsent.sent += sent;
                self.bytes += bytes_moved(sent);
            }
            self.unsent = None;
        }
        if let Some(pipe) = &mut self.pipe {
            while pipe.held() > 0 {
                let Some(sent) = room(sink, |sink| pipe.drain(&sink.fd))? else {
                    return Ok(false);
                };
                self.bytes += bytes_moved(sent);
            }
        }
        Ok(true)
    }

    fn splice(&mut self, source: &mut Conn, buffers: &mut Buffers) -> Result<(), BrokenEnd> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        match pipe.fill(&source.fd, buffers.pipes.size) {
            Ok(0) => self.ending = true,
            Ok(moved) => {
                buffers.spliced += bytes_moved(moved);
                self.small_splices = if moved < SMALL { self.small_splices + 1 } else { 0 };
            }
            // The pipe was empty, so it is the socket that is.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.readable = false,
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.copies_only = true;
                self.release(&mut buffers.pipes);
            }
            Err(_) => return Err(BrokenEnd::Source),
        }
        Ok(())
    }

    fn copy(
        &mut self,
        source: &mut Conn,
        sink: &mut Conn,
        buffers: &mut Buffers,
    ) -> Result<(), BrokenEnd> {
        let received = match tcp::recv(&source.fd, &mut buffers.scratch) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                source.readable = false;
                return Ok(());
            }
            Err(_) => return Err(BrokenEnd::Source),
        };
        let short = received < buffers.scratch.len() && !source.urgent;
        self.full_reads = if short { 0 } else { self.full_reads.saturating_add(1) };
        // A short read found the socket empty. If the end of the stream is known to have come, that
        // was all, and the end goes with it; else a new event tells of more.
        self.ending = received == 0 || (short && source.finished);
        source.readable = !short;
        let Some(bytes) = buffers.scratch.get(..received).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let sent = room(sink, |sink| tcp::send(&sink.fd, bytes, self.ending))?.unwrap_or(0);
        self.bytes += bytes_moved(sent);
        if let Some(unsent) = bytes.get(sent..) {
            self.begin_with(unsent.to_vec());
        }
        Ok(())
    }

    /// Return the pipe, which only a bulk transfer needs.
    pub(super) fn release(&mut self, pipes: &mut Pipes) {
        self.small_splices = 0;
        if let Some(pipe) = self.pipe.take() {
            pipes.release(pipe);
        }
    }
}

/// Send, and take note if there is no room.
fn room(
    sink: &mut Conn,
    send: impl FnOnce(&Conn) -> io::Result<usize>,
) -> Result<Option<usize>, BrokenEnd> {
    if !sink.writable {
        return Ok(None);
    }
    match send(sink) {
        Ok(sent) => Ok(Some(sent)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            sink.writable = false;
            Ok(None)
        }
        Err(_) => Err(BrokenEnd::Sink),
    }
}

fn bytes_moved(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
