//! Why a packet was refused, and why a value could not be sent.

use std::net::IpAddr;

use thiserror::Error;

use crate::types::{Centis, Family};

/// A received packet that must not reach a virtual router.
///
/// The text is for the operator, [`Malformed::counter`] for the statistics. Neither ever holds a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Shorter than the smallest IPv4 header.
    #[error("IPv4 datagram of {found} bytes, a header alone has 20")]
    Ipv4TooShort {
        /// Bytes received.
        found: usize,
    },
    /// The first nibble of the datagram is not 4.
    #[error("IP version {found} in a datagram from an IPv4 socket")]
    Ipv4Version {
        /// The version nibble.
        found: u8,
    },
    /// The header length is below 20 bytes or beyond the datagram.
    #[error("IPv4 header length of {claimed} bytes in a datagram of {found} bytes")]
    Ipv4HeaderLength {
        /// Bytes the header claims to have.
        claimed: usize,
        /// Bytes received.
        found: usize,
    },
    /// The total length is shorter than the header or longer than what was received.
    #[error("IPv4 total length of {claimed} bytes in a datagram of {found} bytes")]
    Ipv4TotalLength {
        /// Bytes the datagram claims to have.
        claimed: usize,
        /// Bytes received.
        found: usize,
    },
    /// The TTL or hop limit is out of bounds: the packet may have crossed a router.
    #[error("TTL or hop limit {found}, expected {lowest} to {highest}")]
    HopLimit {
        /// The TTL or hop limit received.
        found: u8,
        /// The lowest one allowed.
        lowest: u8,
        /// The highest one allowed.
        highest: u8,
    },
    /// The kernel did not say which hop limit the packet had.
    #[error("the kernel delivered no hop limit with the packet")]
    HopLimitUnknown,
    /// IP protocol 51: a peer configured with `auth_type AH`, which vipd does not speak.
    #[error("IPsec authentication header (auth_type AH), which is not supported")]
    AuthenticationHeader,
    /// Neither VRRP nor an authentication header in front of it.
    #[error("IP protocol {found} instead of 112 (VRRP)")]
    Protocol {
        /// The IP protocol number.
        found: u8,
    },
    /// The packet came over the other IP family than the virtual router's.
    #[error("packet from {found} for a virtual router that speaks {expected}")]
    Family {
        /// The family of the virtual router.
        expected: Family,
        /// Source of the packet.
        found: IpAddr,
    },
    /// Shorter than the fixed part of a VRRP message.
    #[error("VRRP message of {found} bytes, at least 8 are needed")]
    TooShort {
        /// Bytes received.
        found: usize,
    },
    /// A version nobody has defined.
    #[error("VRRP version {found}, only 2 and 3 exist")]
    UnknownVersion {
        /// The version nibble.
        found: u8,
    },
    /// VRRPv2 carries IPv4 addresses only (RFC 3768 section 1).
    #[error("VRRPv2 over IPv6 does not exist")]
    Version2OverIpv6,
    /// The other of the two versions: another virtual router, or a peer configured differently.
    #[error("VRRPv{found} received, this virtual router speaks VRRPv{expected}")]
    OtherVersion {
        /// The version of the virtual router.
        expected: u8,
        /// The version of the message.
        found: u8,
    },
    /// Not an ADVERTISEMENT, the only type there is.
    #[error("VRRP packet type {found}, only 1 (advertisement) exists")]
    Type {
        /// The type nibble.
        found: u8,
    },
    /// A VRRPv3 advert without any address (RFC 9568 section 5.2.5).
    #[error("VRRPv3 advertisement without an address")]
    NoAddress,
    /// The address count and the length of the message disagree.
    #[error("VRRP message of {found} bytes, its address count {count} makes {expected}")]
    Length {
        /// The address count of the message.
        count: u8,
        /// Bytes a message with that many addresses has.
        expected: usize,
        /// Bytes received.
        found: usize,
    },
    /// Exactly the 28 bytes too many that keepalived's `auth_hmac` appends.
    #[error("28 bytes follow the message: an auth_hmac trailer, which is not configured here")]
    AuthExtension,
    /// The checksum is wrong in every form accepted.
    #[error("wrong VRRP checksum")]
    Checksum,
    /// Virtual router id 0 is not a virtual router.
    #[error("virtual router id 0")]
    VridZero,
    /// An authentication type RFC 2338 does not know.
    #[error("unknown authentication type {found}")]
    UnknownAuthType {
        /// The type received.
        found: u8,
    },
    /// A known authentication type, but not the configured one.
    #[error("{} received, {} configured", auth_name(*.found), auth_name(*.expected))]
    AuthTypeMismatch {
        /// The configured type.
        expected: u8,
        /// The type received.
        found: u8,
    },
    /// Simple text authentication with another password.
    #[error("wrong password (auth_pass differs)")]
    WrongPassword,
    /// An interval of zero would make the master down interval zero.
    #[error("advertisement interval 0")]
    ZeroInterval,
}

impl Malformed {
    /// The counter the refusal belongs to, by the name the statistics use.
    #[must_use]
    pub const fn counter(&self) -> &'static str {
        match self {
            Malformed::Ipv4TooShort { .. }
            | Malformed::Ipv4Version { .. }
            | Malformed::Ipv4HeaderLength { .. }
            | Malformed::Ipv4TotalLength { .. }
            | Malformed::TooShort { .. }
            | Malformed::Length { .. }
            | Malformed::AuthExtension => "packet_length_errors",
            Malformed::HopLimit { .. } | Malformed::HopLimitUnknown => "ip_ttl_errors",
            Malformed::Family { .. }
            | Malformed::UnknownVersion { .. }
            | Malformed::Version2OverIpv6
            | Malformed::OtherVersion { .. } => "version_errors",
            Malformed::Protocol { .. } | Malformed::Type { .. } => "invalid_type_pkts",
            Malformed::NoAddress => "addr_count_zero",
            Malformed::Checksum => "checksum_errors",
            Malformed::VridZero => "vrid_errors",
            Malformed::UnknownAuthType { .. } => "invalid_auth_type",
            Malformed::AuthTypeMismatch { .. } | Malformed::AuthenticationHeader => {
                "auth_type_mismatch"
            }
            Malformed::WrongPassword => "auth_failures",
            Malformed::ZeroInterval => "interval_errors",
        }
    }
}

/// The authentication types of RFC 2338 section 5.3.6, in the words of keepalived.conf.
fn auth_name(auth_type: u8) -> &'static str {
    match auth_type {
        0 => "no authentication",
        1 => "auth_type PASS",
        _ => "auth_type AH",
    }
}

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
