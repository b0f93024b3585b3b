//! The VRRP advertisement, versions 2 and 3.
//!
//! ```text
//! VRRPv2 (RFC 3768 section 5.1; authentication of RFC 2338 section 5.3)
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Version| Type | Virtual Rtr ID|   Priority    | Count IP Addrs|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Auth Type   | Adver Int (s) |           Checksum            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                  IPv4 addresses (4 bytes each)                |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Authentication Data (8 bytes, always there)          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!
//! VRRPv3 (RFC 9568 section 5.1)
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Version| Type | Virtual Rtr ID|   Priority    | Count IP Addrs|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Reserve| Max Advertise Int (cs)|           Checksum            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           IPv4 (4 bytes each) or IPv6 (16) addresses          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! The checksum covers, by version and family:
//!
//! | | message | pseudo-header |
//! |---|---|---|
//! | VRRPv2 | whole, with the authentication data | no |
//! | VRRPv3 over IPv6 | whole | yes (RFC 9568 section 5.2.8) |
//! | VRRPv3 over IPv4 | whole | [`V3Checksum`]: implementations disagree |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use subtle::ConstantTimeEq;

use super::checksum::Checksum;
use super::ipv4::{self, Ipv4Header};
pub use super::{DropReason, Unsendable};
use crate::types::{AuthV2, Centis, Dialect, Family, Priority, V3Checksum, Vrid};

/// The IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
pub const PROTOCOL: u8 = 112;
/// The IP protocol number of the IPsec authentication header (RFC 4302 section 2).
pub const AH_PROTOCOL: u8 = 51;
/// TTL and hop limit of every multicast advert: a router on the way would have made it less
/// (RFC 9568 sections 5.1.1.3 and 5.1.2.3).
pub const HOP_LIMIT: u8 = 255;

/// The only packet type (RFC 9568 section 5.2.2).
const ADVERTISEMENT: u8 = 1;
/// Bytes before the addresses.
const HEADER_LEN: usize = 8;
/// Where the checksum field starts.
const CHECKSUM_AT: usize = 6;
/// Bytes of the authentication data of VRRPv2.
const AUTH_DATA_LEN: usize = AuthV2::MAX_PASS;
/// Bytes keepalived's `auth_hmac` appends to any message.
const HMAC_TRAILER_LEN: usize = 28;
/// The IPv6 header; [`ipv4::HEADER_LEN`] is its IPv4 sibling.
const IPV6_HEADER_LEN: usize = 40;
/// The upper nibble of the VRRPv3 interval field is reserved: zero on sending, ignored on
/// receipt (RFC 9568 section 5.2.6).
const INTERVAL_MASK: u16 = 0x0fff;

/// The destination in the checksum of old unicast senders: always the assigned group.
const OLD_DESTINATION: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// An advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The virtual router.
    pub vrid: Vrid,
    /// What the sender claims.
    pub claim: Claim,
    /// The sender's advertisement interval.
    pub interval: Centis,
    /// The virtual addresses in the sender's order, all of the dialect's family.
    pub addresses: Vec<IpAddr>,
}

/// What an advert claims. Priority 0 is no priority: the sender stops being master
/// (RFC 9568 section 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// "I stop": the backups take over after the skew time.
    Resign,
    /// "I am master with this priority."
    Priority(Priority),
}

impl Claim {
    /// The priority byte: 0 or 1..=255.
    #[must_use]
    pub const fn wire_value(self) -> u8 {
        match self {
            Claim::Resign => 0,
            Claim::Priority(priority) => priority.get(),
        }
    }

    /// The meaning of a priority byte. Every value has one.
    #[must_use]
    pub fn from_wire(byte: u8) -> Claim {
        Priority::try_from(byte).map_or(Claim::Resign, Claim::Priority)
    }
}

/// A received advert and how it was protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The advert.
    pub advert: Advert,
    /// VRRPv3 over IPv4: the form of checksum that arrived; `PseudoHeader` if both verify.
    pub checksum: Option<V3Checksum>,
}

/// Which checksum forms a VRRPv3 router accepts over IPv4. Other dialects have one form only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumAccept {
    /// With and without the pseudo-header, so that any peer is understood.
    #[default]
    Both,
    /// Those, and the one of old unicast senders.
    OldUnicast,
    /// RFC 9568 section 5.2.8 to the letter.
    MessageOnly,
}

/// As much of a message as it takes to find the virtual router it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// 2 or 3.
    pub version: u8,
    /// The virtual router id, 0 included.
    pub vrid_byte: u8,
    /// The priority byte.
    pub priority: u8,
}

/// Reads the start of a message. The rest is unverified: use it for finding the virtual router and
/// for words in a log, never for a decision.
///
/// # Errors
/// [`DropReason`] if the message is shorter than 8 bytes, of an unknown version or not an advert.
pub fn peek(message: &[u8]) -> Result<Peek, DropReason> {
    let header = Header::read(message)?;
    Ok(Peek { version: header.version, vrid_byte: header.vrid, priority: header.priority })
}

/// The VRRP message inside an IPv4 datagram.
///
/// # Errors
/// [`DropReason::AuthenticationHeader`] for IP protocol 51, [`DropReason::Protocol`] for any other
/// but 112.
pub fn from_ipv4<'a>(datagram: &Ipv4Header<'a>) -> Result<&'a [u8], DropReason> {
    match datagram.protocol {
        PROTOCOL => Ok(datagram.payload),
        AH_PROTOCOL => Err(DropReason::AuthenticationHeader),
        found => Err(DropReason::Protocol { found }),
    }
}

/// Checks the TTL or hop limit: `HOP_LIMIT..=HOP_LIMIT` for multicast (RFC 9568 sections 5.1.1.3
/// and 5.1.2.3), what the peer is configured with for unicast.
///
/// # Errors
/// [`DropReason`] if it is outside `allowed` or if the kernel did not deliver it.
pub fn check_hop_limit(
    received: Option<u8>,
    allowed: &RangeInclusive<u8>,
) -> Result<(), DropReason> {
    match received {
        None => Err(DropReason::HopLimitUnknown),
        Some(found) if allowed.contains(&found) => Ok(()),
        Some(found) => {
            Err(DropReason::HopLimit { found, lowest: *allowed.start(), highest: *allowed.end() })
        }
    }
}

/// How many addresses fit one advert on a link with this MTU in bytes. At 1500 bytes IPv4 reaches
/// the 255 of the count byte, IPv6 holds 90.
#[must_use]
pub fn max_addresses(dialect: &Dialect, mtu: u16) -> usize {
    let layout = Layout::of(dialect.version(), dialect.family());
    let room = usize::from(mtu).saturating_sub(packet_len(dialect, 0));
    (room / layout.address_len).min(usize::from(u8::MAX))
}

/// Bytes of an advert with this many addresses, IP header included.
#[must_use]
pub fn packet_len(dialect: &Dialect, addresses: usize) -> usize {
    let ip_header = match dialect.family() {
        Family::Ipv4 => ipv4::HEADER_LEN,
        Family::Ipv6 => IPV6_HEADER_LEN,
    };
    let count = u8::try_from(addresses).unwrap_or(u8::MAX);
    ip_header + Layout::of(dialect.version(), dialect.family()).length(count)
}

impl Advert {
    /// Reads a message that came from `source` to `destination` for a router that speaks
    /// `dialect`. `message` starts at the VRRP header and ends with the IP payload.
    ///
    /// Checked in this order: length of the fixed part, version, type, exact length, checksum,
    /// VRID, version of the dialect, authentication, interval. Not checked here, because it takes
    /// the router's state: whether the interval and the addresses are ours.
    ///
    /// # Errors
    /// [`DropReason`] with the first check that fails.
    pub fn parse(
        dialect: &Dialect,
        source: IpAddr,
        destination: IpAddr,
        message: &[u8],
        accept: ChecksumAccept,
    ) -> Result<Parsed, DropReason> {
        let header = Header::read(message)?;
        let family = dialect.family();
        let endpoints = Endpoints::new(family, source, destination)
            .ok_or(DropReason::Family { expected: family, found: source })?;
        if header.version == 2 && family == Family::Ipv6 {
            return Err(DropReason::Version2OverIpv6);
        }

        let layout = Layout::of(header.version, family);
        let (addresses, auth_data) = layout.split(&header, message)?;
        let checksum = endpoints.verify(header.version, message, accept)?;

        let vrid = Vrid::try_from(header.vrid).map_err(|_| DropReason::VridZero)?;
        if header.version != dialect.version() {
            return Err(DropReason::OtherVersion {
                expected: dialect.version(),
                found: header.version,
            });
        }
        let centis = match dialect {
            Dialect::V2(auth) => {
                let [auth_type, seconds] = header.interval_field;
                authenticate(auth, auth_type, auth_data)?;
                u16::from(seconds) * 100
            }
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => {
                u16::from_be_bytes(header.interval_field) & INTERVAL_MASK
            }
        };
        let interval = Centis::try_from(centis).map_err(|_| DropReason::ZeroInterval)?;

        Ok(Parsed {
            advert: Advert {
                vrid,
                claim: Claim::from_wire(header.priority),
                interval,
                addresses: read_addresses(family, addresses),
            },
            checksum,
        })
    }

    /// Appends the message to `out`, for sending from `source` to `destination`. Both are part of
    /// the checksum in VRRPv3: a unicast advert differs for each peer (RFC 9568 section 5.2.8).
    ///
    /// # Errors
    /// [`Unsendable`] if the dialect has no form for this advert; `out` is then unchanged.
    pub fn emit(
        &self,
        dialect: &Dialect,
        source: IpAddr,
        destination: IpAddr,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        let (version, family) = (dialect.version(), dialect.family());
        let endpoints = Endpoints::new(family, source, destination)
            .ok_or(Unsendable::Endpoints { source_address: source, destination, family })?;
        let count = u8::try_from(self.addresses.len())
            .map_err(|_| Unsendable::TooManyAddresses { found: self.addresses.len() })?;
        if version == 3 && count == 0 {
            return Err(Unsendable::NoAddress);
        }
        if let Some(&address) = self.addresses.iter().find(|a| Family::of(**a) != family) {
            return Err(Unsendable::WrongFamily { address, family });
        }
        let [type_or_high, low] = self.interval_field(dialect)?;

        let start = out.len();
        out.extend_from_slice(&[
            version << 4 | ADVERTISEMENT,
            self.vrid.get(),
            self.claim.wire_value(),
            count,
            type_or_high,
            low,
            0,
            0,
        ]);
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            }
        }
        match dialect {
            Dialect::V2(AuthV2::None) => out.extend_from_slice(&[0; AUTH_DATA_LEN]),
            Dialect::V2(AuthV2::Pass(password)) => out.extend_from_slice(password),
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => {}
        }

        let message = out.get(start..).unwrap_or_default();
        let sum = Checksum::new().add_bytes(message);
        let sum = match dialect {
            Dialect::V2(_) | Dialect::V3Ipv4(V3Checksum::MessageOnly) => sum,
            Dialect::V3Ipv4(V3Checksum::PseudoHeader) | Dialect::V3Ipv6 => {
                endpoints.add_pseudo_header(sum, message.len())
            }
            Dialect::V3Ipv4(V3Checksum::OldUnicast) => {
                endpoints.towards_the_group().add_pseudo_header(sum, message.len())
            }
        };
        let field = out.iter_mut().skip(start + CHECKSUM_AT);
        for (byte, value) in field.zip(sum.finish().to_be_bytes()) {
            *byte = value;
        }
        Ok(())
    }

    /// Bytes 4 and 5: authentication type and seconds, or centiseconds.
    fn interval_field(&self, dialect: &Dialect) -> Result<[u8; 2], Unsendable> {
        let unsendable = |allowed| Unsendable::Interval {
            interval: self.interval,
            version: dialect.version(),
            allowed,
        };
        match dialect {
            Dialect::V2(auth) => self
                .interval
                .whole_seconds()
                .map(|seconds| [auth_type(auth), seconds])
                .ok_or_else(|| unsendable("whole seconds from 1 to 255")),
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 if self.interval <= Centis::MAX_V3 => {
                Ok(self.interval.get().to_be_bytes())
            }
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => Err(unsendable("0.01 to 40.95 seconds")),
        }
    }
}

/// The fixed part of a message whose length, version and type are known to be right.
struct Header {
    version: u8,
    vrid: u8,
    priority: u8,
    count: u8,
    /// Its meaning depends on the version.
    interval_field: [u8; 2],
}

impl Header {
    fn read(message: &[u8]) -> Result<Header, DropReason> {
        let Some((header, _)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(DropReason::TooShort { found: message.len() });
        };
        let [version_type, vrid, priority, count, b4, b5, _, _] = *header;
        let (version, packet_type) = (version_type >> 4, version_type & 0x0f);
        if !matches!(version, 2 | 3) {
            return Err(DropReason::UnknownVersion { found: version });
        }
        if packet_type != ADVERTISEMENT {
            return Err(DropReason::Type { found: packet_type });
        }
        Ok(Header { version, vrid, priority, count, interval_field: [b4, b5] })
    }
}

/// The lengths of a message, which follow from its version and the family that carries it.
struct Layout {
    address_len: usize,
    auth_data_len: usize,
}

impl Layout {
    fn of(version: u8, family: Family) -> Layout {
        Layout {
            address_len: usize::from(family.bits() / 8),
            auth_data_len: if version == 2 { AUTH_DATA_LEN } else { 0 },
        }
    }

    /// Bytes of a message with `count` addresses.
    fn length(&self, count: u8) -> usize {
        HEADER_LEN + usize::from(count) * self.address_len + self.auth_data_len
    }

    /// The addresses and the authentication data of a message of exactly the right length.
    fn split<'a>(
        &self,
        header: &Header,
        message: &'a [u8],
    ) -> Result<(&'a [u8], &'a [u8]), DropReason> {
        let (count, found) = (header.count, message.len());
        if count == 0 && header.version == 3 {
            return Err(DropReason::NoAddress);
        }
        let expected = self.length(count);
        if found == expected + HMAC_TRAILER_LEN {
            return Err(DropReason::AuthExtension);
        }
        message
            .get(HEADER_LEN..)
            .filter(|_| found == expected)
            .and_then(|body| body.split_at_checked(usize::from(count) * self.address_len))
            .ok_or(DropReason::Length { count, expected, found })
    }
}

/// Source and destination, known to be of one family.
enum Endpoints {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Endpoints {
    fn new(family: Family, source: IpAddr, destination: IpAddr) -> Option<Endpoints> {
        match (family, source, destination) {
            (Family::Ipv4, IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Endpoints::V4(source, destination))
            }
            (Family::Ipv6, IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Endpoints::V6(source, destination))
            }
            _ => None,
        }
    }

    /// What a packet to everyone would have.
    fn towards_the_group(&self) -> Endpoints {
        match *self {
            Endpoints::V4(source, _) => Endpoints::V4(source, OLD_DESTINATION),
            Endpoints::V6(source, destination) => Endpoints::V6(source, destination),
        }
    }

    /// Verifies the checksum in the form the *message's* version and family ask for, which need
    /// not be the router's: a VRRPv2 advert heard by a VRRPv3 router is a version error, not a
    /// checksum error.
    fn verify(
        &self,
        version: u8,
        message: &[u8],
        accept: ChecksumAccept,
    ) -> Result<Option<V3Checksum>, DropReason> {
        let alone = Checksum::new().add_bytes(message);
        let with_pseudo_header = self.add_pseudo_header(alone, message.len());
        let form = match (version, self) {
            (2, _) => alone.verifies().then_some(None),
            (_, Endpoints::V6(..)) => with_pseudo_header.verifies().then_some(None),
            (_, Endpoints::V4(..)) => {
                let old = || self.towards_the_group().add_pseudo_header(alone, message.len());
                if accept != ChecksumAccept::MessageOnly && with_pseudo_header.verifies() {
                    Some(Some(V3Checksum::PseudoHeader))
                } else if accept == ChecksumAccept::OldUnicast && old().verifies() {
                    Some(Some(V3Checksum::OldUnicast))
                } else {
                    alone.verifies().then_some(Some(V3Checksum::MessageOnly))
                }
            }
        };
        form.ok_or(DropReason::Checksum)
    }

    fn add_pseudo_header(&self, sum: Checksum, message_len: usize) -> Checksum {
        // At most 8 + 255 * 16 bytes: the length has been checked or was just produced.
        let length = u16::try_from(message_len).unwrap_or(u16::MAX);
        match *self {
            Endpoints::V4(source, destination) => {
                sum.add_ipv4_pseudo_header(source, destination, PROTOCOL, length)
            }
            Endpoints::V6(source, destination) => {
                sum.add_ipv6_pseudo_header(source, destination, PROTOCOL, length)
            }
        }
    }
}

/// RFC 2338 section 7.1. The data of type 0 is ignored (RFC 3768 section 5.3.10).
fn authenticate(configured: &AuthV2, received: u8, data: &[u8]) -> Result<(), DropReason> {
    let expected = auth_type(configured);
    if received > 2 {
        return Err(DropReason::UnknownAuthType { found: received });
    }
    if received != expected {
        return Err(DropReason::AuthTypeMismatch { expected, found: received });
    }
    match configured {
        AuthV2::None => Ok(()),
        // In constant time, so that response times do not tell how much of a guess was right.
        AuthV2::Pass(password) if bool::from(password.as_slice().ct_eq(data)) => Ok(()),
        AuthV2::Pass(_) => Err(DropReason::WrongPassword),
    }
}

/// RFC 2338 section 5.3.6.
const fn auth_type(auth: &AuthV2) -> u8 {
    match auth {
        AuthV2::None => 0,
        AuthV2::Pass(_) => 1,
    }
}

fn read_addresses(family: Family, bytes: &[u8]) -> Vec<IpAddr> {
    match family {
        Family::Ipv4 => bytes.as_chunks::<4>().0.iter().map(|a| IpAddr::from(*a)).collect(),
        Family::Ipv6 => bytes.as_chunks::<16>().0.iter().map(|a| IpAddr::from(*a)).collect(),
    }
}
