//! How many descriptors are left. The kernel gives the lowest number that is free, so a high number
//! says that few are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::resource::{Resource, getrlimit};
use rustix::io::fcntl_dupfd_cloexec;

/// Left to others of this process, or a quarter of all if that is less.
const RESERVE: u64 = 128;

/// Descriptors promised to those who will need one, of all threads.
#[derive(Clone, Debug, Default)]
pub struct Promises(Arc<AtomicU32>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Promise(Promises);

impl Promises {
    /// One more.
    #[must_use]
    pub fn one(&self) -> Promise {
        self.0.fetch_add(1, Ordering::AcqRel);
        Promise(self.clone())
    }

    fn count(&self) -> RawFd {
        RawFd::try_from(self.0.load(Ordering::Acquire)).unwrap_or(RawFd::MAX)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The number connections end at, so that checks, status and log go on when clients are too many.
#[derive(Clone, Debug)]
pub struct Ceiling {
    number: RawFd,
    promises: Promises,
}

impl Ceiling {
    /// That of the limit as it is now.
    #[must_use]
    pub fn now(promises: &Promises) -> Ceiling {
        Ceiling { number: number(), promises: promises.clone() }
    }

    /// Whether a descriptor is beyond it. The limit is looked at again before it is believed.
    pub fn is_below(&mut self, descriptor: impl AsFd) -> bool {
        self.is_passed_by(descriptor.as_fd().as_raw_fd())
    }

    /// Whether a descriptor was promised to somebody else.
    pub fn is_promised(&mut self, descriptor: impl AsFd) -> bool {
        let number = descriptor.as_fd().as_raw_fd();
        self.is_passed_by(number.saturating_add(self.promises.count()))
    }

    /// Whether the next descriptor would be, or the one after it, found out by a copy of `any`.
    ///
    /// # Errors
    /// EMFILE if there is none at all.
    pub fn is_reached(&mut self, any: impl AsFd) -> io::Result<bool> {
        let next = fcntl_dupfd_cloexec(any, 0)?;
        let number = next.as_raw_fd().saturating_add(1);
        Ok(self.is_passed_by(number.saturating_add(self.promises.count())))
    }

    fn is_passed_by(&mut self, descriptor: RawFd) -> bool {
        if descriptor >= self.number {
            self.number = number();
        }
        descriptor >= self.number
    }
}

/// Descriptors the process may have, for people.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

fn number() -> RawFd {
    let soft = limit();
    RawFd::try_from(soft - RESERVE.min(soft / 4)).unwrap_or(RawFd::MAX)
}
