//! Edge-triggered readiness of many descriptors, for one thread that serves them all.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::{read, write};

/// What one descriptor is ready for.
pub type Ready = epoll::EventFlags;

/// An epoll instance.
#[derive(Debug)]
pub struct Poller(OwnedFd);

impl Poller {
    /// Events taken at once: whoever comes last waits for all before it.
    const AT_ONCE: usize = 64;

    /// An instance that watches nothing.
    ///
    /// # Errors
    /// The kernel's, if it has no descriptor to give.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Watch a descriptor; `token` is how events call it. Closing it ends that.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Ready) -> io::Result<()> {
        Ok(epoll::add(&self.0, fd, epoll::EventData::new_u64(token), interest)?)
    }

    /// Change what is watched. What is ready already is reported again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Ready) -> io::Result<()> {
        Ok(epoll::modify(&self.0, fd, epoll::EventData::new_u64(token), interest)?)
    }

    /// Watch a descriptor no more, which lives on.
    pub fn forget(&self, fd: impl AsFd) {
        // Fails only if it was not watched.
        let _ = epoll::delete(&self.0, fd);
    }

    /// Wait until something is ready, at most `timeout` (rounded up to whole milliseconds), and
    /// append what is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self, timeout: Duration, into: &mut Vec<(u64, Ready)>) -> io::Result<()> {
        // Rounded down, a deadline would be waited for in a row of empty turns.
        let millis = timeout.as_nanos().div_ceil(1_000_000).min(60_000);
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        let timeout = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
        let mut space = [const { MaybeUninit::uninit() }; Self::AT_ONCE];
        let (events, _) = match epoll::wait(&self.0, &mut space, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            found => found?,
        };
        into.extend(events.iter().map(|event| (event.data.u64(), event.flags)));
        Ok(())
    }
}

/// Wakes a [`Poller`] that watches it, from any thread and without waiting.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A waker nobody watches yet.
    ///
    /// # Errors
    /// The kernel's, if it has no descriptor to give.
    pub fn new() -> io::Result<Waker> {
        Ok(Waker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wake whoever watches. Many calls before it looks are one.
    pub fn wake(&self) {
        // Full means that it is being woken already; nothing else can go wrong with an eventfd.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Take note of having been woken.
    pub fn rest(&self) {
        let mut count = [0; 8];
        let _ = read(&self.0, &mut count);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
