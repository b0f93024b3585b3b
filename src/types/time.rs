//! Moments and intervals.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OutOfRange;

/// A point on the monotonic clock, counted from the start of the daemon.
///
/// The pure modules never read a clock: they are handed a `Now`. Unlike `std::time::Instant` it can
/// be printed, stored in a trace and built in a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Now(Duration);

impl Now {
    /// The start of the daemon.
    pub const ZERO: Now = Now(Duration::ZERO);

    /// The point `since_start` after the daemon started.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Now {
        Now(since_start)
    }

    /// Time since the daemon started.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` lies in the future.
    #[must_use]
    pub fn since(self, earlier: Now) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `by` before this one, never before the start.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Now {
        Now(self.0.saturating_sub(by))
    }
}

impl std::ops::Add<Duration> for Now {
    type Output = Now;
    fn add(self, by: Duration) -> Now {
        Now(self.0.saturating_add(by))
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// An advertisement interval in centiseconds (hundredths of a second), 1..=25500.
///
/// VRRPv3 carries 1..=4095 on the wire (RFC 9568 section 5.2.7), VRRPv2 whole seconds 1..=255
/// (RFC 3768 section 5.3.7); the configuration checks the version's own range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Centis(u16);

impl Centis {
    /// One second, the default of every VRRP version.
    pub const SECOND: Centis = Centis(100);
    /// The shortest.
    pub const MIN: Centis = Centis(1);
    /// The largest interval the 12-bit field of VRRPv3 can carry: 40.95 s.
    pub const MAX_V3: Centis = Centis(4095);

    /// The number of centiseconds.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The same length as a `Duration`.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * 10)
    }

    /// Whole seconds, if the interval is a whole number of seconds (VRRPv2).
    #[must_use]
    pub fn whole_seconds(self) -> Option<u8> {
        if self.0.is_multiple_of(100) { u8::try_from(self.0 / 100).ok() } else { None }
    }
}

impl TryFrom<u16> for Centis {
    type Error = OutOfRange;
    fn try_from(centis: u16) -> Result<Self, OutOfRange> {
        if (1..=25_500).contains(&centis) {
            Ok(Centis(centis))
        } else {
            Err(OutOfRange {
                what: "advertisement interval",
                allowed: "0.01 to 255 seconds",
                found: format!("{centis} cs"),
            })
        }
    }
}

impl From<Centis> for u16 {
    fn from(centis: Centis) -> u16 {
        centis.0
    }
}

impl fmt::Display for Centis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (s, 0) => write!(f, "{s} s"),
            (0, cs) => write!(f, "{} ms", cs * 10),
            (s, cs) => write!(f, "{s}.{cs:02} s"),
        }
    }
}
