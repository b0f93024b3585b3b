//! The terms of VRRP.

use std::fmt;
use std::num::NonZeroU8;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, Mac, OutOfRange};

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

impl Mac {
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
