//! How many descriptors are left. The kernel gives the lowest number that is free, so a high number
//! says that few are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::resource::{Resource, getrlimit};
use rustix::io::fcntl_dupfd_cloexec;

/// Descriptors left to the rest of the process, or a quarter of all if that is less.
const RESERVE: u64 = 128;

/// Counts descriptors that connections of all threads will need later: the servers' sides of clients that
/// were accepted.
#[derive(Clone, Debug, Default)]
pub struct FdReservations(Arc<AtomicU32>);

/// One descriptor, reserved until this is dropped.
#[derive(Debug)]
pub struct FdReservation(FdReservations);

impl FdReservations {
    /// Reserve one.
    #[must_use]
    pub fn reserve(&self) -> FdReservation {
        self.0.fetch_add(1, Ordering::AcqRel);
        FdReservation(self.clone())
    }

    fn count(&self) -> RawFd {
        RawFd::try_from(self.0.load(Ordering::Acquire)).unwrap_or(RawFd::MAX)
    }
}

impl Drop for FdReservation {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The highest descriptor that connections may have, so that checks, status and log go on however many
/// clients there are.
#[derive(Clone, Debug)]
pub struct FdLimit {
    number: RawFd,
    reservations: FdReservations,
}

impl FdLimit {
    /// The limit as it is now.
    #[must_use]
    pub fn now(reservations: &FdReservations) -> FdLimit {
        FdLimit { number: number(), reservations: reservations.clone() }
    }

    /// Whether a descriptor is above the limit. The limit is read again before that is said.
    pub fn is_exceeded_by(&mut self, descriptor: impl AsFd) -> bool {
        self.exceeds(descriptor.as_fd().as_raw_fd())
    }

    /// Whether, with this descriptor in use, too few are left for those that are reserved.
    pub fn leaves_no_reserve(&mut self, descriptor: impl AsFd) -> bool {
        let number = descriptor.as_fd().as_raw_fd();
        self.exceeds(number.saturating_add(self.reservations.count()))
    }

    /// The same of the next two descriptors, found out by a copy of `any`.
    ///
    /// # Errors
    /// EMFILE if there is none at all.
    pub fn is_reached(&mut self, any: impl AsFd) -> io::Result<bool> {
        let next = fcntl_dupfd_cloexec(any, 0)?;
        let number = next.as_raw_fd().saturating_add(1);
        Ok(self.exceeds(number.saturating_add(self.reservations.count())))
    }

    fn exceeds(&mut self, descriptor: RawFd) -> bool {
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
