//! Gratuitous ARP (IPv4) and unsolicited neighbour advertisements (IPv6) of a master.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::key::settings;
use super::key::value::DAY;
use crate::types::Family;

const TIMES: RangeInclusive<Duration> = Duration::ZERO..=DAY;
pub(super) const PAUSES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);

settings! {
    /// Gratuitous ARP (IPv4) and unsolicited neighbour advertisement (IPv6) while master. The defaults
    /// are keepalived's: 5 at once, 5 more after 5 s, no refresh, no pause.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AnnounceConfig, RawAnnounce, "announce." {
        /// Frames per address right after taking over.
        repeat: u8 = 5, 1..=255, "the number of frames";
        /// Delay until the second batch; zero: no second batch.
        delay keepalived "garp_master_delay": Duration = Duration::from_secs(5), TIMES, "the delay";
        /// Period of refresh announcements while master; zero: none.
        refresh keepalived "garp_master_refresh": Duration = Duration::ZERO, TIMES, "the refresh period";
        /// Frames per address in a refresh.
        refresh_repeat: u8 = 1, 1..=255, "the number of frames";
        /// Period of announcements, one per address, on other interfaces than the router's own, whose
        /// adverts keep no switch informed there; zero: none (`garp_extra_if all`).
        refresh_elsewhere: Duration = Duration::ZERO, TIMES, "the refresh period";
        /// Frames per address after a lower-priority advert; zero: none.
        lower_repeat: u8 = 5, 0..=255, "the number of frames";
        /// Delay until the second batch after a lower-priority advert; zero: none.
        lower_delay keepalived "garp_lower_prio_delay": Duration = Duration::from_secs(5), TIMES, "the delay";
        /// Pause between two gratuitous ARPs on one interface, whichever router's.
        garp_interval keepalived "garp_interval": Duration = Duration::ZERO, PAUSES, "the pause";
        /// Pause between two unsolicited NAs on one interface, whichever router's.
        gna_interval keepalived "gna_interval": Duration = Duration::ZERO, PAUSES, "the pause";
    }
}

impl AnnounceConfig {
    /// The pause after an announcement of this family.
    #[must_use]
    pub fn pause(&self, family: Family) -> Duration {
        match family {
            Family::Ipv4 => self.garp_interval,
            Family::Ipv6 => self.gna_interval,
        }
    }
}
