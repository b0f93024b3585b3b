//! What is configured, what the RFCs make of it, and how several samples become one figure.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// Priority of the master to be.
pub(crate) const HIGH: u8 = 150;
/// Priority of its successor.
pub(crate) const LOW: u8 = 100;

/// How long a dead daemon's address is given to go away by itself.
pub(crate) const GHOST_WATCH: Duration = Duration::from_secs(3);

/// How often adverts come, and in which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// VRRPv2 with a password, 1 s.
    Second,
    /// VRRPv3, 0.1 s.
    Tenth,
    /// VRRPv3, 0.01 s.
    Hundredth,
}

impl Pace {
    /// Those at which fail-overs are measured.
    pub(crate) const ALL: [Pace; 2] = [Pace::Second, Pace::Hundredth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Pace::Second => "1 s",
            Pace::Tenth => "0.1 s",
            Pace::Hundredth => "10 ms",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Pace::Second => "VRRPv2 PASS, advert_int 1",
            Pace::Tenth => "VRRPv3, advert_int 0.1",
            Pace::Hundredth => "VRRPv3, advert_int 0.01",
        }
    }

    /// Time between two adverts.
    pub(crate) fn interval(self) -> Duration {
        match self {
            Pace::Second => Duration::from_secs(1),
            Pace::Tenth => Duration::from_millis(100),
            Pace::Hundredth => Duration::from_millis(10),
        }
    }

    /// Time between the client's probes.
    pub(crate) fn probe_interval(self) -> Duration {
        Duration::from_millis(if self == Pace::Second { 2 } else { 1 })
    }

    /// How long both daemons are at least left alone after a takeover.
    pub(crate) fn watch(self) -> Duration {
        Duration::from_millis(if self == Pace::Second { 1000 } else { 250 })
    }

    /// `Skew_Time` of a priority: RFC 3768 section 6.1 counts in seconds, RFC 9568 section 6.1 in
    /// the master's interval.
    pub(crate) fn skew(self, priority: u8) -> Duration {
        let scale = if self == Pace::Second { Duration::from_secs(1) } else { self.interval() };
        scale * (256 - u32::from(priority)) / 256
    }

    /// Silence after which a backup of this priority takes over.
    pub(crate) fn master_down(self, priority: u8) -> Duration {
        self.interval() * 3 + self.skew(priority)
    }
}

/// Milliseconds, signed.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Several samples in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) worst: f64,
}

impl Spread {
    /// `None` without samples.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Spread> {
        samples.sort_by(f64::total_cmp);
        let upper = *samples.get(samples.len() / 2)?;
        let lower = *samples.get((samples.len() - 1) / 2)?;
        Some(Spread { median: f64::midpoint(lower, upper), worst: *samples.last()? })
    }
}
