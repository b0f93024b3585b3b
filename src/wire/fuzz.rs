//! One entry point for fuzzing: everything that reads bytes from the network, and what must hold
//! for whatever it accepts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ipv4::Ipv4Header;
use super::vrrp::{Advert, ChecksumAccept, from_ipv4, peek};
use super::{arp, ndisc};
use crate::types::{AuthV2, Dialect, Family, V3Checksum};

const DIALECTS: [Dialect; 6] = [
    Dialect::V2(AuthV2::None),
    Dialect::V2(AuthV2::Pass(*b"1111\0\0\0\0")),
    Dialect::V3Ipv4(V3Checksum::PseudoHeader),
    Dialect::V3Ipv4(V3Checksum::MessageOnly),
    Dialect::V3Ipv4(V3Checksum::OldUnicast),
    Dialect::V3Ipv6,
];

/// Reads `bytes` as an IPv4 datagram, an IPv6 packet, a bare VRRP message in every dialect, an ARP
/// and an NDP packet. Returns how many dialects accepted an advert.
///
/// # Panics
/// If an accepted advert does not survive being sent and received again, or lists more than 255
/// addresses. Anything else is a bug.
#[doc(hidden)]
#[must_use]
pub fn fuzz_datagram(bytes: &[u8]) -> usize {
    let _ = arp::parse_announcement(bytes);
    let _ = ndisc::parse_unsolicited(bytes);

    let mut accepted = 0;
    if let Ok(datagram) = Ipv4Header::parse(bytes)
        && let Ok(message) = from_ipv4(&datagram)
    {
        accepted += read(datagram.source.into(), datagram.destination.into(), message);
    }
    if let Some((header, message)) = bytes.split_first_chunk::<40>()
        && let Some((source, destination)) = header[8..].split_first_chunk::<16>()
        && let Some(destination) = destination.first_chunk::<16>()
    {
        let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
        accepted += read(source.into(), destination.into(), message);
    }
    accepted += read(Ipv4Addr::LOCALHOST.into(), Family::Ipv4.vrrp_group(), bytes);
    accepted + read(Ipv6Addr::LOCALHOST.into(), Family::Ipv6.vrrp_group(), bytes)
}

fn read(source: IpAddr, destination: IpAddr, message: &[u8]) -> usize {
    let peeked = peek(message);
    let mut accepted = 0;
    for dialect in &DIALECTS {
        for accept in [ChecksumAccept::Both, ChecksumAccept::MessageOnly] {
            let Ok(parsed) = Advert::parse(dialect, source, destination, message, accept) else {
                continue;
            };
            assert!(peeked.is_ok_and(|peek| peek.vrid_byte == parsed.advert.vrid.get()));
            assert!(parsed.advert.addresses.capacity() <= 255);
            let answer = parsed.checksum.map_or(*dialect, Dialect::V3Ipv4);
            let mut sent = Vec::new();
            let emitted = parsed.advert.emit(&answer, source, destination, &mut sent);
            assert_eq!(emitted, Ok(()), "cannot send what was received");
            let again = Advert::parse(&answer, source, destination, &sent, accept);
            assert_eq!(again, Ok(parsed), "sending changed the advert");
            accepted += 1;
        }
    }
    accepted
}
