//! Why a received packet was dropped.

use std::net::IpAddr;

use thiserror::Error;

use crate::text::first_and_more;
use crate::types::{Centis, DropCounter, Family};

/// Why a received packet was dropped, in the order of the checks.
///
/// The text is for the operator, [`DropReason::counter`] for the statistics. Neither ever holds a
/// password. Whoever matches this names every variant, so that a new one gets its own counter and
/// its own advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DropReason {
    /// Longer than the buffer, so its end is missing.
    #[error("longer than what is read of a packet")]
    Truncated,
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
    /// It came from one of this host's own addresses, or from one that nobody can have.
    #[error("its source is an address of this host, or none a sender can have")]
    OwnSource,
    /// No virtual router here has its VRID.
    #[error("no virtual router here has its VRID")]
    UnknownVrid,
    /// Sent to another destination than the one this router listens at.
    #[error("sent to {found}, but this router listens {}", at(*.expected))]
    WrongCast {
        /// Where it was sent to.
        found: IpAddr,
        /// The group, or this router's own address; `None`: it has none yet.
        expected: Option<IpAddr>,
    },
    /// This router speaks unicast, and the sender is none of its peers.
    #[error("its address is not in our list of peers")]
    UnknownPeer,
    /// VRRPv2 has no way to learn the master's interval.
    #[error("its advert interval is {theirs}, ours is {ours}; VRRPv2 routers must agree")]
    Interval {
        /// The interval received.
        theirs: Centis,
        /// The configured one.
        ours: Centis,
    },
    /// RFC 9568 section 5.1.2.1, in strict mode.
    #[error("its IPv6 source address is not link-local, and strict mode requires it")]
    SourceNotLinkLocal,
    /// RFC 9568 section 5.2.9, in strict mode.
    #[error("the first IPv6 address is not link-local, and strict mode requires it")]
    FirstAddressNotLinkLocal,
    /// This router owns the addresses and is configured not to listen.
    #[error("this node owns the addresses, and is told that an owner ignores adverts")]
    OwnerIgnoresAdverts,
    /// Priority 255 from another node although `expect_owner` is off.
    #[error("it claims priority 255, but no owner is expected here")]
    UnexpectedOwner,
    /// Another address list than ours, in strict mode.
    #[error("it lists other addresses than we do, and strict mode refuses that")]
    AddressList,
    /// Another cluster that has our VRID by chance.
    #[error("it lists {}, none of them ours: it belongs to another cluster", first_and_more(*.first, *.more))]
    OtherCluster {
        /// The first address it lists.
        first: Option<IpAddr>,
        /// How many others it lists.
        more: usize,
    },
}

impl DropReason {
    /// The counter it moves.
    #[must_use]
    pub const fn counter(&self) -> DropCounter {
        match self {
            DropReason::Truncated => DropCounter::RxTruncated,
            DropReason::Ipv4TooShort { .. }
            | DropReason::Ipv4Version { .. }
            | DropReason::Ipv4HeaderLength { .. }
            | DropReason::Ipv4TotalLength { .. }
            | DropReason::TooShort { .. }
            | DropReason::Length { .. }
            | DropReason::AuthExtension => DropCounter::PacketLengthErrors,
            DropReason::HopLimit { .. } | DropReason::HopLimitUnknown => DropCounter::IpTtlErrors,
            DropReason::Family { .. }
            | DropReason::UnknownVersion { .. }
            | DropReason::Version2OverIpv6
            | DropReason::OtherVersion { .. } => DropCounter::VersionErrors,
            DropReason::Protocol { .. } | DropReason::Type { .. } => DropCounter::InvalidTypePkts,
            DropReason::NoAddress => DropCounter::AddrCountZero,
            DropReason::Checksum => DropCounter::ChecksumErrors,
            DropReason::VridZero | DropReason::UnknownVrid => DropCounter::VridErrors,
            DropReason::UnknownAuthType { .. } => DropCounter::InvalidAuthType,
            DropReason::AuthTypeMismatch { .. } | DropReason::AuthenticationHeader => {
                DropCounter::AuthTypeMismatch
            }
            DropReason::WrongPassword => DropCounter::AuthFailures,
            DropReason::ZeroInterval | DropReason::Interval { .. } => DropCounter::IntervalErrors,
            DropReason::OwnSource => DropCounter::OwnSource,
            DropReason::WrongCast { .. } => DropCounter::WrongCast,
            DropReason::UnknownPeer => DropCounter::UnknownPeer,
            DropReason::SourceNotLinkLocal => DropCounter::SrcNotLl,
            DropReason::FirstAddressNotLinkLocal => DropCounter::FirstAddrNotLl,
            DropReason::OwnerIgnoresAdverts => DropCounter::OwnerConflict,
            DropReason::UnexpectedOwner => DropCounter::UnexpectedOwner,
            DropReason::AddressList | DropReason::OtherCluster { .. } => {
                DropCounter::AddressListErrors
            }
        }
    }
}

fn at(expected: Option<IpAddr>) -> String {
    expected.map_or_else(|| "nowhere yet".to_owned(), |address| format!("at {address}"))
}

/// The authentication types of RFC 2338 section 5.3.6, in the words of keepalived.conf.
fn auth_name(auth_type: u8) -> &'static str {
    match auth_type {
        0 => "no authentication",
        1 => "auth_type PASS",
        _ => "auth_type AH",
    }
}
