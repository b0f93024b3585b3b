//! Bytes from socket to socket through a pipe, without a copy through user space.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// A pipe and what is in it.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// A pipe of about `size` bytes, and the size it really has: the kernel rounds it, and gives a
    /// user who has many only a page or two.
    ///
    /// # Errors
    /// The kernel's, if it has no descriptors to give.
    pub fn new(size: usize) -> io::Result<(Pipe, usize)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused to a user over the limit of pages, who keeps the size there is.
        let _ = fcntl_setpipe_size(&write, size);
        let real = fcntl_getpipe_size(&write)?;
        Ok((Pipe { read, write, held: 0 }, real))
    }

    /// Bytes in the pipe. May exceed its size, and is the only truth about it being empty.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Move up to `most` bytes from a socket into the pipe; 0 at the end of the stream.
    ///
    /// # Errors
    /// WouldBlock if the socket is empty *or the pipe full*; the socket's own.
    pub fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
        let moved = retry(|| splice(&from, None, &self.write, None, most, FLAGS))?;
        self.held += moved;
        Ok(moved)
    }

    /// Move as much as goes from the pipe into a socket.
    ///
    /// # Errors
    /// WouldBlock if the socket is full; the socket's own.
    pub fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let moved = retry(|| splice(&self.read, None, &to, None, self.held, FLAGS))?;
        self.held = self.held.saturating_sub(moved);
        Ok(moved)
    }
}

impl AsFd for Pipe {
    /// The end that was made last.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }
}

/// Without MORE: it would delay the last bytes of a message.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}
