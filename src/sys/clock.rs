//! The daemon's clock: CLOCK_MONOTONIC counted from the start, and CLOCK_BOOTTIME to notice that
//! the machine slept (rules R34, R35).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::types::Now;

/// BOOTTIME and MONOTONIC are read one after the other, so being interrupted in between looks like
/// a jump. Shorter ones are therefore not reported; no protocol deadline cares about them.
const SHORTEST_SUSPEND: Duration = Duration::from_millis(100);

/// The one clock of the process.
#[derive(Debug)]
pub struct Clock {
    start: Duration,
    slept: Duration,
}

impl Clock {
    /// A clock that starts at [`Now::ZERO`].
    #[must_use]
    pub fn start() -> Clock {
        let start = read(ClockId::CLOCK_MONOTONIC);
        Clock { start, slept: read(ClockId::CLOCK_BOOTTIME).saturating_sub(start) }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Now {
        Now::from_start(read(ClockId::CLOCK_MONOTONIC).saturating_sub(self.start))
    }

    /// The same point as an absolute reading of CLOCK_MONOTONIC.
    #[must_use]
    pub fn absolute(&self, at: Now) -> Duration {
        self.start.saturating_add(at.since_start())
    }

    /// How long the machine slept since the last call, if it did for more than 100 ms.
    pub fn suspended(&mut self) -> Option<Duration> {
        let monotonic = read(ClockId::CLOCK_MONOTONIC);
        self.slept_altogether(read(ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic))
    }

    fn slept_altogether(&mut self, slept: Duration) -> Option<Duration> {
        let gap = slept.saturating_sub(self.slept);
        (gap > SHORTEST_SUSPEND).then(|| {
            self.slept = slept;
            gap
        })
    }
}

/// Time since the system was booted, suspends included.
#[must_use]
pub fn uptime() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

/// CLOCK_MONOTONIC in hundredths of a second, wrapping as the kernel's `ifa_cacheinfo` does. The
/// kernel counts those from a moment later in its boot: ages come out up to half a second too long.
pub(super) fn centis_since_boot() -> u32 {
    let centis = read(ClockId::CLOCK_MONOTONIC).as_millis() / 10;
    u32::try_from(centis & u128::from(u32::MAX)).unwrap_or_default()
}

/// Both clocks exist on every kernel since 2.6.39, and reading an existing clock cannot fail; the
/// epoch stands in for the impossible.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_advances_and_never_sleeps_by_itself() {
        let mut clock = Clock::start();
        let first = clock.now();
        while clock.now() == first {}
        assert!(clock.now() > first);
        assert_eq!(clock.absolute(first).saturating_sub(clock.start), first.since_start());
        assert_eq!(clock.suspended(), None);
    }

    // C112
    #[test]
    fn a_jump_of_boottime_is_reported_once() {
        let mut clock = Clock::start();
        let hour = clock.slept + Duration::from_secs(3600);
        assert_eq!(clock.slept_altogether(hour), Some(Duration::from_secs(3600)));
        assert_eq!(clock.slept_altogether(hour + Duration::from_millis(99)), None);
    }
}
