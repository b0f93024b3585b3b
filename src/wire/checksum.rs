//! The Internet checksum (RFC 1071) and the pseudo-headers it may cover.
//!
//! ```text
//! IPv4 (RFC 793 section 3.1)            IPv6 (RFC 8200 section 8.1)
//! +--------+--------+--------+--------+  +--------+--------+--------+--------+
//! |          source address           |  |          source address (16)      |
//! +--------+--------+--------+--------+  +--------+--------+--------+--------+
//! |        destination address        |  |       destination address (16)    |
//! +--------+--------+--------+--------+  +--------+--------+--------+--------+
//! |  zero  |protocol|     length      |  |       upper-layer length          |
//! +--------+--------+--------+--------+  +--------+--------+--------+--------+
//!                                        |          zero            |next hdr|
//!                                        +--------+--------+--------+--------+
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

/// A running ones' complement sum of 16-bit words.
///
/// A sender feeds the message with its checksum field zero and writes [`Checksum::finish`] into the
/// field; a receiver feeds the message as it came and asks [`Checksum::verifies`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    sum: u64,
    /// An odd number of bytes so far: the next one is the low half of a word.
    odd: bool,
}

impl Checksum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Checksum {
        Checksum { sum: 0, odd: false }
    }

    /// Adds the next bytes of the message. It may come in pieces of any length.
    #[must_use]
    pub fn add_bytes(mut self, bytes: &[u8]) -> Checksum {
        let mut bytes = bytes;
        if self.odd
            && let [low, rest @ ..] = bytes
        {
            self.sum += u64::from(*low);
            self.odd = false;
            bytes = rest;
        }
        let (words, last) = bytes.as_chunks::<2>();
        self.sum += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        if let [high] = last {
            self.sum += u64::from(u16::from_be_bytes([*high, 0]));
            self.odd = true;
        }
        self
    }

    /// Adds an IPv4 pseudo-header, before or after the message of `length` bytes.
    #[must_use]
    pub fn add_ipv4_pseudo_header(
        self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        length: u16,
    ) -> Checksum {
        self.add_pseudo_header(&source.octets(), &destination.octets(), protocol, length)
    }

    /// Adds an IPv6 pseudo-header, before or after the message of `length` bytes.
    #[must_use]
    pub fn add_ipv6_pseudo_header(
        self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: u8,
        length: u16,
    ) -> Checksum {
        self.add_pseudo_header(&source.octets(), &destination.octets(), next_header, length)
    }

    /// The value of the checksum field.
    #[must_use]
    pub fn finish(self) -> u16 {
        let mut sum = self.sum;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let [.., high, low] = sum.to_be_bytes();
        !u16::from_be_bytes([high, low])
    }

    /// Whether a message that was fed with its checksum field is intact.
    #[must_use]
    pub fn verifies(self) -> bool {
        self.finish() == 0
    }

    /// The families differ only in the width of the addresses: zero words do not change the sum.
    fn add_pseudo_header(
        mut self,
        source: &[u8],
        destination: &[u8],
        protocol: u8,
        length: u16,
    ) -> Checksum {
        let addresses = Checksum::new().add_bytes(source).add_bytes(destination);
        self.sum += addresses.sum + u64::from(protocol) + u64::from(length);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Checksum::new().add_bytes(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn pieces_of_any_length_give_the_sum_of_the_whole() {
        let bytes: Vec<u8> = (0..=255).collect();
        let whole = Checksum::new().add_bytes(&bytes).finish();
        for first in 0..bytes.len() {
            for second in [first, (first + 1).min(255), (first + 2).min(255)] {
                let pieces = Checksum::new()
                    .add_bytes(&bytes[..first])
                    .add_bytes(&bytes[first..second])
                    .add_bytes(&[])
                    .add_bytes(&bytes[second..]);
                assert_eq!(pieces.finish(), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_pseudo_header_may_come_before_or_after_an_odd_message() {
        let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let before = Checksum::new()
            .add_ipv4_pseudo_header(source, destination, 112, 3)
            .add_bytes(&[1, 2, 3]);
        let after = Checksum::new().add_bytes(&[1, 2, 3]).add_ipv4_pseudo_header(
            source,
            destination,
            112,
            3,
        );
        assert_eq!(before.finish(), after.finish());
        let by_hand = [192, 0, 2, 1, 192, 0, 2, 2, 0, 112, 0, 3, 1, 2, 3, 0];
        assert_eq!(before.finish(), Checksum::new().add_bytes(&by_hand).finish());
    }

    #[test]
    fn the_largest_datagram_does_not_overflow() {
        assert_eq!(Checksum::new().add_bytes(&[0xff; 65_535]).finish(), 0x00ff);
    }
}
