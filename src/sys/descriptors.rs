//! How many descriptors are left. The kernel gives the lowest number that is free, so a high number
//! says that few are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::resource::{Resource, getrlimit};
use rustix::io::fcntl_dupfd_cloexec;

/// Left to others of this process, or a quarter of all if that is less.
const RESERVE: u64 = 128;

/// The number connections end at, so that checks, status and log go on when clients are too many.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling(RawFd);

impl Ceiling {
    /// That of the limit as it is now.
    #[must_use]
    pub fn now() -> Ceiling {
        let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let numbers = soft - RESERVE.min(soft / 4);
        Ceiling(RawFd::try_from(numbers).unwrap_or(RawFd::MAX))
    }

    /// Whether a descriptor is beyond it. The limit is looked at again before it is believed.
    pub fn is_below(&mut self, descriptor: impl AsFd) -> bool {
        let number = descriptor.as_fd().as_raw_fd();
        if number >= self.0 {
            *self = Ceiling::now();
        }
        number >= self.0
    }

    /// Whether the next descriptor would be, found out by a copy of `any`.
    ///
    /// # Errors
    /// EMFILE if there is none at all.
    pub fn is_reached(&mut self, any: impl AsFd) -> io::Result<bool> {
        Ok(self.is_below(fcntl_dupfd_cloexec(any, 0)?))
    }
}
