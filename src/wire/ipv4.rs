//! The IPv4 header (RFC 791 section 3.1).
//!
//! An IPv4 raw socket delivers it in front of every message, and vipd writes its own, because the
//! source address of an advert is configured, not routed.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version|  IHL  |Type of Service|          Total Length         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Identification        |Flags|      Fragment Offset    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Time to Live |    Protocol   |         Header Checksum       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       Source Address                          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Destination Address                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Options (IHL - 5 words)                    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::net::Ipv4Addr;

use super::checksum::Checksum;
use super::{DropReason, Unsendable};

/// Bytes of a header without options: the least a datagram can have, and what [`emit`] writes.
pub const HEADER_LEN: usize = 20;

/// Internetwork control (RFC 791 section 3.1), in DSCP terms CS6: what routing protocols use.
const TOS_INTERNETWORK_CONTROL: u8 = 0xc0;

/// The parts of a received datagram that matter here. The kernel has verified the header checksum
/// and put fragments together before a raw socket sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header<'a> {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// What follows the header and its options, up to the total length.
    pub payload: &'a [u8],
}

impl<'a> Ipv4Header<'a> {
    /// Reads a datagram. Options are skipped; bytes beyond the total length are Ethernet padding
    /// and are left out of the payload.
    ///
    /// # Errors
    /// [`DropReason`] if the header or the total length does not fit into `datagram`.
    pub fn parse(datagram: &'a [u8]) -> Result<Ipv4Header<'a>, DropReason> {
        let found = datagram.len();
        let Some((header, _)) = datagram.split_first_chunk::<HEADER_LEN>() else {
            return Err(DropReason::Ipv4TooShort { found });
        };
        let [version_ihl, _, len0, len1, _, _, _, _, ttl, protocol, _, _, addresses @ ..] = *header;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;

        let version = version_ihl >> 4;
        if version != 4 {
            return Err(DropReason::Ipv4Version { found: version });
        }
        let header_len = usize::from(version_ihl & 0x0f) * 4;
        if header_len < HEADER_LEN || header_len > found {
            return Err(DropReason::Ipv4HeaderLength { claimed: header_len, found });
        }
        let total_len = usize::from(u16::from_be_bytes([len0, len1]));
        let Some(payload) = datagram.get(header_len..total_len) else {
            return Err(DropReason::Ipv4TotalLength { claimed: total_len, found });
        };
        Ok(Ipv4Header {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            ttl,
            protocol,
            payload,
        })
    }
}

/// Appends a 20-byte header for `payload_len` bytes that follow: no options, may be fragmented,
/// type of service 0xc0.
///
/// `id` is written as given; the caller skips 0, in whose place a Linux raw socket puts an id of
/// its own choice (raw(7)).
///
/// # Errors
/// [`Unsendable::TooLong`] if the datagram would exceed 65535 bytes; `out` is then unchanged.
pub fn emit(
    id: u16,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    protocol: u8,
    payload_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unsendable> {
    let total_len = payload_len
        .checked_add(HEADER_LEN)
        .and_then(|total| u16::try_from(total).ok())
        .ok_or(Unsendable::TooLong { payload: payload_len })?;
    let [len0, len1] = total_len.to_be_bytes();
    let [id0, id1] = id.to_be_bytes();
    let start = [0x45, TOS_INTERNETWORK_CONTROL, len0, len1, id0, id1, 0, 0, ttl, protocol];
    let (source, destination) = (source.octets(), destination.octets());
    let checksum =
        Checksum::new().add_bytes(&start).add_bytes(&source).add_bytes(&destination).finish();
    out.extend_from_slice(&start);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&source);
    out.extend_from_slice(&destination);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

    fn datagram(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        emit(1, SOURCE, GROUP, 255, 112, payload.len(), &mut out).unwrap();
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn what_was_written_is_read_back() {
        let datagram = datagram(&[1, 2, 3]);
        let expected = Ipv4Header {
            source: SOURCE,
            destination: GROUP,
            ttl: 255,
            protocol: 112,
            payload: &[1, 2, 3],
        };
        assert_eq!(Ipv4Header::parse(&datagram), Ok(expected));
    }

    // C29
    #[test]
    fn lengths_that_lie_are_refused() {
        let good = datagram(&[0; 4]);
        for cut in 0..HEADER_LEN {
            assert_eq!(
                Ipv4Header::parse(&good[..cut]),
                Err(DropReason::Ipv4TooShort { found: cut })
            );
        }
        let with_byte = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            Ipv4Header::parse(&bad).unwrap_err()
        };
        assert_eq!(with_byte(0, 0x65), DropReason::Ipv4Version { found: 6 });
        assert_eq!(with_byte(0, 0x44), DropReason::Ipv4HeaderLength { claimed: 16, found: 24 });
        assert_eq!(with_byte(0, 0x4f), DropReason::Ipv4HeaderLength { claimed: 60, found: 24 });
        assert_eq!(with_byte(3, 25), DropReason::Ipv4TotalLength { claimed: 25, found: 24 });
        assert_eq!(with_byte(3, 19), DropReason::Ipv4TotalLength { claimed: 19, found: 24 });
        assert_eq!(with_byte(2, 0xff).counter().name(), "packet_length_errors");
    }

    #[test]
    fn a_datagram_has_at_most_65535_bytes() {
        let mut out = Vec::new();
        assert_eq!(emit(1, SOURCE, GROUP, 255, 112, 65_515, &mut out), Ok(()));
        out.clear();
        for payload in [65_516, usize::MAX] {
            let refusal = emit(1, SOURCE, GROUP, 255, 112, payload, &mut out);
            assert_eq!(refusal, Err(Unsendable::TooLong { payload }));
            assert!(out.is_empty());
        }
    }
}
