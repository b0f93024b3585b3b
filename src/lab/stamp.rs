//! Points on the wall clock, as the kernel stamps packets.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A point on CLOCK_REALTIME in nanoseconds, the clock of packet time stamps: a program's action
/// and a captured frame can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(Duration);

impl Stamp {
    /// The current time.
    #[must_use]
    pub fn now() -> Stamp {
        Stamp(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    /// A point given as the time since 1970.
    #[must_use]
    pub const fn from_epoch(since_epoch: Duration) -> Stamp {
        Stamp(since_epoch)
    }

    /// Time since 1970.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Time since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Stamp) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Stamp {
    type Output = Stamp;
    fn add(self, by: Duration) -> Stamp {
        Stamp(self.0.saturating_add(by))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())
    }
}
