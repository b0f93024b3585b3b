//! Why a value could not be sent.

use std::net::IpAddr;

use thiserror::Error;

use crate::types::{Centis, Family};

/// A value that has no form on the wire. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// The source or destination is of the wrong family.
    #[error(
        "cannot send from {source_address} to {destination}: the virtual router speaks {family}"
    )]
    Endpoints {
        /// Source of the packet.
        source_address: IpAddr,
        /// Destination of the packet.
        destination: IpAddr,
        /// The family of the virtual router.
        family: Family,
    },
    /// An address of the wrong family in the list.
    #[error("cannot advertise {address}: the virtual router speaks {family}")]
    WrongFamily {
        /// The address.
        address: IpAddr,
        /// The family of the virtual router.
        family: Family,
    },
    /// The count is one byte.
    #[error("cannot advertise {found} addresses, the packet counts to 255")]
    TooManyAddresses {
        /// Addresses in the list.
        found: usize,
    },
    /// Every VRRPv3 receiver ignores an advert without an address (RFC 9568 section 5.2.5).
    #[error("cannot advertise without any address")]
    NoAddress,
    /// The interval does not fit the version's field.
    #[error("cannot advertise an interval of {interval}, VRRPv{version} allows {allowed}")]
    Interval {
        /// The interval.
        interval: Centis,
        /// 2 or 3.
        version: u8,
        /// The allowed range in words.
        allowed: &'static str,
    },
    /// An IPv4 datagram has at most 65535 bytes.
    #[error("cannot send {payload} bytes in one IPv4 datagram")]
    TooLong {
        /// Bytes after the IPv4 header.
        payload: usize,
    },
}
