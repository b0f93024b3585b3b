//! The vocabulary every module shares: each unit and range is a type that can only be built in
//! range, so a centisecond can never be taken for a second (RFC 9568 section 5.2.7).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod drop_counter;
mod identity;
mod net;
mod time;
mod vrrp;

use thiserror::Error;

pub use drop_counter::DropCounter;
pub use identity::Identity;
pub use net::{Cidr, Family, IfIndex, IfName, Mac};
pub use time::{Centis, Now};
pub use vrrp::{AuthV2, Dialect, Priority, V3Checksum, Vrid};

/// A value outside the range its type allows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} must be {allowed}, not {found}")]
pub struct OutOfRange {
    /// What the value is, in the words of the configuration.
    pub what: &'static str,
    /// The allowed range in words.
    pub allowed: &'static str,
    /// The value found.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_enforced_at_construction() {
        assert!(Centis::try_from(0).is_err());
        assert!(Centis::try_from(25_501).is_err());
        assert_eq!(Centis::try_from(25_500).unwrap().whole_seconds(), Some(255));
        assert_eq!(Centis::try_from(150).unwrap().whole_seconds(), None);
        assert!(Vrid::try_from(0).is_err());
        assert!(Priority::try_from(0).is_err());
        assert_eq!(Priority::DEFAULT.get(), 100);
        assert!("eth0:1".parse::<IfName>().is_err());
        assert!("a-name-that-is-too-long".parse::<IfName>().is_err());
        assert!("10.0.0.1/33".parse::<Cidr>().is_err());
        assert!("10.0.0.1/+3".parse::<Cidr>().is_err());
        assert_eq!("fe80::1".parse::<Cidr>().unwrap().prefix(), 128);
        assert!(AuthV2::pass(b"").is_err());
        assert!(AuthV2::pass(b"ninebytes").is_err());
    }

    // C11
    #[test]
    fn virtual_router_mac_ends_in_the_vrid() {
        let mac = |family, vrid: u8| {
            Mac::virtual_router(family, Vrid::try_from(vrid).unwrap()).to_string()
        };
        assert_eq!(mac(Family::Ipv4, 1), "00:00:5e:00:01:01");
        assert_eq!(mac(Family::Ipv4, 56), "00:00:5e:00:01:38");
        assert_eq!(mac(Family::Ipv6, 255), "00:00:5e:00:02:ff");
    }

    #[test]
    fn a_password_never_shows_in_debug_output() {
        let auth = AuthV2::pass(b"1111").unwrap();
        assert_eq!(format!("{:?}", Dialect::V2(auth)), "V2(Pass(…))");
    }
}
