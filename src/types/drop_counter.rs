//! The counters of dropped packets.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! drop_counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a dropped packet is counted as. The names are those of the manual's table; the first
        /// ones are counters of a virtual router, the last three of the daemon.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize,
        )]
        pub enum DropCounter { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl DropCounter {
            /// The name in the status and in the manual.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(DropCounter::$variant => $name,)* }
            }
        }
    };
}

drop_counters! {
    /// Wrong length.
    PacketLengthErrors = "packet_length_errors",
    /// VRRPv3 advert without an address.
    AddrCountZero = "addr_count_zero",
    /// TTL or hop limit out of bounds.
    IpTtlErrors = "ip_ttl_errors",
    /// Sent to another destination.
    WrongCast = "wrong_cast",
    /// Not from a peer.
    UnknownPeer = "unknown_peer",
    /// Another VRRP version.
    VersionErrors = "version_errors",
    /// Not an advertisement.
    InvalidTypePkts = "invalid_type_pkts",
    /// Wrong checksum.
    ChecksumErrors = "checksum_errors",
    /// Unknown authentication type.
    InvalidAuthType = "invalid_auth_type",
    /// Another authentication type than ours.
    AuthTypeMismatch = "auth_type_mismatch",
    /// Wrong password.
    AuthFailures = "auth_failures",
    /// Interval zero, or another one than ours in VRRPv2.
    IntervalErrors = "interval_errors",
    /// Other addresses than ours.
    AddressListErrors = "address_list_errors",
    /// The first IPv6 address is not link-local.
    FirstAddrNotLl = "first_addr_not_ll",
    /// The IPv6 source is not link-local.
    SrcNotLl = "src_not_ll",
    /// From another node although this one owns the addresses and does not listen.
    OwnerConflict = "owner_conflict",
    /// Priority 255 although no owner is expected.
    UnexpectedOwner = "unexpected_owner",
    /// Longer than what is read of a packet.
    RxTruncated = "rx_truncated",
    /// From an address of this host.
    OwnSource = "own_source",
    /// For a virtual router that is not configured here.
    VridErrors = "vrid_errors",
}

impl fmt::Display for DropCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
