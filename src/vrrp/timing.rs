//! The protocol's intervals, in integer nanoseconds (rule T4): no rounding a test could not pin.

use std::time::Duration;

use crate::io::Lease;
use crate::types::{Centis, Dialect, Priority};

/// `Skew_Time`: what staggers the backups so that the best one speaks first.
///
/// VRRPv2: (256 − priority)/256 seconds whatever the interval (RFC 3768 section 6.1); VRRPv3: scaled by
/// the master's interval (RFC 9568 section 6.1).
#[must_use]
pub fn skew(dialect: &Dialect, priority: Priority, master_interval: Centis) -> Duration {
    let scale = match dialect {
        Dialect::V2(_) => Centis::SECOND,
        Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => master_interval,
    };
    let steps = 256 - u64::from(priority.get());
    Duration::from_nanos(steps * u64::from(scale.get()) * 10_000_000 / 256)
}

/// `Master_Down_Interval` (RFC 9568: `Active_Down_Interval`): silence after which a backup takes
/// over. The RFCs count 3 missed adverts; keepalived's `down_timer_adverts` changes that number.
#[must_use]
pub fn master_down(
    dialect: &Dialect,
    priority: Priority,
    master_interval: Centis,
    down_timer_adverts: u8,
) -> Duration {
    master_interval.as_duration() * u32::from(down_timer_adverts)
        + skew(dialect, priority, master_interval)
}

/// Without an advert of ours for longer than this, some peer has taken over: the best one, if its
/// priority is known, else any, whose longest wait is 3 intervals and a full skew (rule R35).
#[must_use]
pub fn surely_replaced(
    dialect: &Dialect,
    best_peer: Option<Priority>,
    interval: Centis,
    down_timer_adverts: u8,
) -> Duration {
    match best_peer {
        Some(priority) => master_down(dialect, priority, interval, down_timer_adverts),
        None => interval.as_duration() * 4,
    }
}

/// The kernel works in whole seconds and ends a lease this late at most, never early.
pub const LEASE_ENDS_LATE_BY: Duration = Duration::from_millis(1500);

/// The lease of an installed address: it must end before the earliest successor takes over, and it
/// must outlive the renewals of a healthy loop by far.
#[must_use]
pub fn lease(interval: Centis, down_timer_adverts: u8) -> Lease {
    let earliest = interval.as_duration() * u32::from(down_timer_adverts);
    let whole = earliest.saturating_sub(LEASE_ENDS_LATE_BY).as_secs();
    Lease(u32::try_from(whole).unwrap_or(u32::MAX).max(2))
}

/// How long a leaving master keeps answering if no successor shows up: by then the slowest one,
/// with priority 1, has taken over.
#[must_use]
pub fn longest_skew(dialect: &Dialect, interval: Centis) -> Duration {
    skew(dialect, Priority::LOWEST, interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AuthV2, V3Checksum};

    const V2: Dialect = Dialect::V2(AuthV2::None);
    const V3: Dialect = Dialect::V3Ipv4(V3Checksum::PseudoHeader);

    fn down_ns(dialect: Dialect, centis: u16, priority: u8) -> u128 {
        let priority = Priority::try_from(priority).unwrap();
        master_down(&dialect, priority, Centis::try_from(centis).unwrap(), 3).as_nanos()
    }

    // C47, C48, C49: the table of master-down intervals, to the nanosecond.
    #[test]
    fn master_down_intervals_are_the_rfcs() {
        let table: [(Dialect, u16, u8, u128); 22] = [
            (V2, 100, 1, 3_996_093_750),
            (V2, 100, 100, 3_609_375_000),
            (V2, 100, 150, 3_414_062_500),
            (V2, 100, 200, 3_218_750_000),
            (V2, 100, 254, 3_007_812_500),
            (V2, 100, 255, 3_003_906_250),
            (V2, 500, 100, 15_609_375_000),
            (V2, 500, 254, 15_007_812_500),
            (V3, 100, 1, 3_996_093_750),
            (V3, 100, 100, 3_609_375_000),
            (V3, 50, 150, 1_707_031_250),
            (V3, 20, 100, 721_875_000),
            (V3, 20, 255, 600_781_250),
            (V3, 10, 1, 399_609_375),
            (V3, 10, 100, 360_937_500),
            (V3, 10, 254, 300_781_250),
            (V3, 1, 1, 39_960_937),
            (V3, 1, 100, 36_093_750),
            (V3, 1, 255, 30_039_062),
            (V3, 4095, 1, 163_640_039_062),
            (V3, 4095, 100, 147_803_906_250),
            (V3, 4095, 255, 123_009_960_937),
        ];
        for (dialect, centis, priority, expected) in table {
            assert_eq!(
                down_ns(dialect, centis, priority),
                expected,
                "{dialect:?} {centis} cs priority {priority}"
            );
        }
    }

    #[test]
    fn a_lease_ends_before_the_earliest_successor() {
        let seconds = |centis| lease(Centis::try_from(centis).unwrap(), 3).0;
        assert_eq!(seconds(1), 2);
        assert_eq!(seconds(100), 2);
        assert_eq!(seconds(200), 4);
        assert_eq!(seconds(500), 13);
        assert_eq!(seconds(4095), 121);
    }

    // C51
    #[test]
    fn the_number_of_missed_adverts_is_configurable() {
        let down = |n| master_down(&V3, Priority::DEFAULT, Centis::SECOND, n);
        assert_eq!(down(1), Duration::from_nanos(1_609_375_000));
        assert_eq!(down(10), Duration::from_nanos(10_609_375_000));
    }
}
