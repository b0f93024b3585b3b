//! The vocabulary every module shares: each unit and range is a type that can only be built in
//! range, so a centisecond can never be taken for a second (RFC 9568 section 5.2.7).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod drop_counter;
mod identity;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use drop_counter::DropCounter;
pub use identity::Identity;

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

/// A virtual router identifier, 1..=255 (RFC 9568 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl TryFrom<u8> for Vrid {
    type Error = OutOfRange;
    fn try_from(vrid: u8) -> Result<Self, OutOfRange> {
        NonZeroU8::new(vrid).map(Vrid).ok_or_else(|| OutOfRange {
            what: "virtual router id",
            allowed: "1 to 255",
            found: vrid.to_string(),
        })
    }
}

impl From<Vrid> for u8 {
    fn from(vrid: Vrid) -> u8 {
        vrid.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A VRRP priority, 1..=255. Zero exists only on the wire, where it means "I resign"
/// (see [`crate::wire::vrrp::Claim`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The address owner's priority (RFC 9568 section 5.2.4).
    pub const OWNER: Priority = Priority(NonZeroU8::MAX);
    /// The highest of a router that does not own the addresses.
    pub const HIGHEST_BACKUP: Priority = match NonZeroU8::new(254) {
        Some(n) => Priority(n),
        None => Priority(NonZeroU8::MAX),
    };
    /// The lowest, which waits longest.
    pub const LOWEST: Priority = Priority(NonZeroU8::MIN);
    /// The default of a router that does not own the addresses.
    pub const DEFAULT: Priority = match NonZeroU8::new(100) {
        Some(n) => Priority(n),
        None => Priority(NonZeroU8::MIN),
    };

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether this is the address owner's 255.
    #[must_use]
    pub fn is_owner(self) -> bool {
        self == Priority::OWNER
    }
}

impl TryFrom<u8> for Priority {
    type Error = OutOfRange;
    fn try_from(priority: u8) -> Result<Self, OutOfRange> {
        NonZeroU8::new(priority).map(Priority).ok_or_else(|| OutOfRange {
            what: "priority",
            allowed: "1 to 255",
            found: priority.to_string(),
        })
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.get()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// IPv4 or IPv6.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// The VRRP multicast group: 224.0.0.18 or ff02::12 (RFC 9568 sections 5.1.1.2, 5.1.2.2).
    #[must_use]
    pub fn vrrp_group(self) -> IpAddr {
        match self {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        }
    }

    /// Bits in an address: 32 or 128.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

/// A Linux interface name: 1 to 15 bytes, no slash, no white space, not `.` or `..`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = OutOfRange;
    fn from_str(name: &str) -> Result<Self, OutOfRange> {
        let legal = (1..=15).contains(&name.len())
            && name != "."
            && name != ".."
            && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0');
        if legal {
            Ok(IfName(name.to_owned()))
        } else {
            Err(OutOfRange {
                what: "interface name",
                allowed: "1 to 15 characters without blank, '/' or ':'",
                found: format!("{name:?}"),
            })
        }
    }
}

impl TryFrom<String> for IfName {
    type Error = OutOfRange;
    fn try_from(name: String) -> Result<Self, OutOfRange> {
        name.parse()
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> String {
        name.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A kernel interface index. It changes when an interface is deleted and created again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address with its prefix length, as an interface carries it (host bits kept).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// An address with a prefix length no longer than its family allows.
    ///
    /// # Errors
    /// [`OutOfRange`] if `prefix` exceeds 32 (IPv4) or 128 (IPv6).
    pub fn new(address: IpAddr, prefix: u8) -> Result<Cidr, OutOfRange> {
        if prefix <= Family::of(address).bits() {
            Ok(Cidr { address, prefix })
        } else {
            Err(OutOfRange {
                what: "prefix length",
                allowed: match address {
                    IpAddr::V4(_) => "0 to 32",
                    IpAddr::V6(_) => "0 to 128",
                },
                found: prefix.to_string(),
            })
        }
    }

    /// A single host: /32 or /128.
    #[must_use]
    pub fn host(address: IpAddr) -> Cidr {
        Cidr { address, prefix: Family::of(address).bits() }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The prefix length in bits.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The address family.
    #[must_use]
    pub fn family(self) -> Family {
        Family::of(self.address)
    }

    /// Whether the network it belongs to has this address too.
    #[must_use]
    pub fn contains(self, other: IpAddr) -> bool {
        let bits = |address| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let host_bits = u32::from(self.family().bits().saturating_sub(self.prefix));
        let differs = bits(self.address) ^ bits(other);
        self.family() == Family::of(other) && differs.checked_shr(host_bits).unwrap_or(0) == 0
    }
}

impl FromStr for Cidr {
    type Err = OutOfRange;
    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let bad = || OutOfRange {
            what: "address",
            allowed: "an IPv4 or IPv6 address with an optional /prefix",
            found: format!("{text:?}"),
        };
        match text.split_once('/') {
            Some((address, prefix)) => Cidr::new(
                address.parse().map_err(|_| bad())?,
                // `u8::from_str` takes "+24", an address never does.
                Some(prefix)
                    .filter(|p| p.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|p| p.parse().ok())
                    .ok_or_else(bad)?,
            ),
            None => Ok(Cidr::host(text.parse().map_err(|_| bad())?)),
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = OutOfRange;
    fn try_from(text: String) -> Result<Self, OutOfRange> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix))
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// The virtual router's MAC: 00:00:5e:00:01:VRID or 00:00:5e:00:02:VRID (RFC 9568 section 7.3).
    #[must_use]
    pub const fn virtual_router(family: Family, vrid: Vrid) -> Mac {
        let block = match family {
            Family::Ipv4 => 0x01,
            Family::Ipv6 => 0x02,
        };
        Mac([0x00, 0x00, 0x5e, 0x00, block, vrid.get()])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = OutOfRange;
    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let bad = || OutOfRange {
            what: "MAC address",
            allowed: "six hex pairs such as 00:00:5e:00:01:33",
            found: format!("{text:?}"),
        };
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(bad)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Mac(octets)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = OutOfRange;
    fn try_from(text: String) -> Result<Self, OutOfRange> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

/// VRRPv2 authentication (RFC 2338 section 5.3.6; removed by RFC 3768, still on real networks).
///
/// PASS travels in clear text: it guards against mistakes, not against people.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AuthV2 {
    /// Type 0; the eight data bytes are sent as zero and ignored on receipt.
    None,
    /// Type 1, simple text, zero-padded to eight bytes.
    Pass([u8; 8]),
}

impl AuthV2 {
    /// The longest password the packet can carry, in bytes.
    pub const MAX_PASS: usize = 8;

    /// A password of 1 to 8 bytes.
    ///
    /// # Errors
    /// [`OutOfRange`] if it is empty or longer. keepalived cuts a longer one to its first eight
    /// bytes; whoever wants that must cut it (and say so) first.
    pub fn pass(password: &[u8]) -> Result<AuthV2, OutOfRange> {
        let mut data = [0; Self::MAX_PASS];
        match data.get_mut(..password.len()) {
            Some(start) if !password.is_empty() => start.copy_from_slice(password),
            _ => {
                return Err(OutOfRange {
                    what: "auth_pass",
                    allowed: "1 to 8 bytes",
                    found: format!("{} bytes", password.len()),
                });
            }
        }
        Ok(AuthV2::Pass(data))
    }
}

impl fmt::Debug for AuthV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthV2::None => "None",
            AuthV2::Pass(_) => "Pass(…)",
        })
    }
}

/// What one virtual router speaks. "VRRPv2 over IPv6" cannot be written down (RFC 3768 is IPv4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 3768 with the authentication of RFC 2338.
    V2(AuthV2),
    /// RFC 5798 / RFC 9568 over IPv4.
    V3Ipv4(V3Checksum),
    /// RFC 5798 / RFC 9568 over IPv6.
    V3Ipv6,
}

impl Dialect {
    /// 2 or 3.
    #[must_use]
    pub const fn version(&self) -> u8 {
        match self {
            Dialect::V2(_) => 2,
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => 3,
        }
    }

    /// The family of the carrying packet and of every address in it.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Dialect::V2(_) | Dialect::V3Ipv4(_) => Family::Ipv4,
            Dialect::V3Ipv6 => Family::Ipv6,
        }
    }
}

/// Which checksum a VRRPv3 router sends over IPv4 (the interoperability trap of RFC 5798).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum V3Checksum {
    /// Over an IPv4 pseudo-header and the message: keepalived's and FRR's default.
    #[default]
    PseudoHeader,
    /// Over the message only: RFC 9568 section 5.2.8, Cisco, Arista, Holo.
    MessageOnly,
    /// Unicast with the multicast group in the pseudo-header's destination: keepalived before 1.3.7.
    OldUnicast,
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
