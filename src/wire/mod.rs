//! Bytes to values and back: VRRP messages, the IPv4 header around them, gratuitous ARP and
//! unsolicited Neighbour Advertisements.
//!
//! There is no policy, no logging and no clock here. A packet that breaks a rule is a [`DropReason`]
//! that names the counter it belongs to; a value that cannot be put on the wire is an
//! [`Unsendable`]. Everything received is read through length-checked patterns: no input, however
//! hostile, panics or allocates more than one list of 255 addresses.
//!
//! The order of the checks on a received advert is the RFCs' (RFC 9568 section 7.1, RFC 3768
//! section 7.1): [`ipv4::Ipv4Header::parse`], [`vrrp::check_hop_limit`], [`vrrp::from_ipv4`], then
//! [`vrrp::Advert::parse`]. IPv6 raw sockets deliver the VRRP message alone; source, destination
//! and hop limit come from ancillary data.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::indexing_slicing)]

pub mod arp;
pub mod checksum;
pub mod ipv4;
pub mod ndisc;
pub mod vrrp;

mod drop_reason;
mod error;
mod fuzz;

pub use drop_reason::DropReason;
pub use error::Unsendable;
#[doc(hidden)]
pub use fuzz::fuzz_datagram;
