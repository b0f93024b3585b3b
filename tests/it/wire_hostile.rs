//! Hostile input: nothing panics, nothing damaged is accepted, whatever is accepted can be sent
//! again. `VIPD_FUZZ_ITERATIONS` sets the number of buffers.

use vipd::types::Dialect;
use vipd::wire::checksum::Checksum;
use vipd::wire::fuzz_datagram;
use vipd::wire::ipv4::Ipv4Header;
use vipd::wire::vrrp::ChecksumAccept;

use crate::golden::{
    NO_AUTH, PASS_1111, V3_MESSAGE, V3_PSEUDO, names, packet, receive, receive_with,
};

/// Enough to meet every branch in a second; a long run asks for 10 million.
const ITERATIONS: u64 = 200_000;
/// Longer than any Ethernet frame.
const LONGEST: usize = 2048;

// C31
#[test]
fn one_flipped_bit_is_never_accepted() {
    let cases = [
        ("v3_ipv4_ph", 20, V3_PSEUDO),
        ("v3_ipv4_noph", 20, V3_MESSAGE),
        ("v2_pass", 20, PASS_1111),
        ("v2_noauth_2vip", 20, NO_AUTH),
        ("v3_ipv6", 40, Dialect::V3Ipv6),
    ];
    for (file, header_len, dialect) in cases {
        let good = packet(file);
        assert!(receive(&good, &dialect).is_ok(), "{file}");
        for bit in header_len * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            for accept in [ChecksumAccept::Both, ChecksumAccept::MessageOnly] {
                let result = receive_with(&bad, &dialect, 255, accept);
                assert!(result.is_err(), "{file}: bit {bit}, {accept:?}: {result:?}");
            }
        }
    }
}

// C32
#[test]
fn random_and_mutated_buffers_never_panic() {
    let iterations = iterations(ITERATIONS);
    let seeds: Vec<Vec<u8>> = names().iter().map(|name| packet(name)).collect();
    let mut random = SplitMix(0x1157_ab1e_5eed_0001);
    let mut accepted = 0_u64;
    let mut buffer = Vec::with_capacity(LONGEST + 64);
    for iteration in 0..iterations {
        buffer.clear();
        // Every fourth is noise, half of the rest is damaged but has its checksums put right, so
        // that the checks behind them are met too.
        match iteration % 4 {
            0 => noise(&mut random, &mut buffer),
            1 => mutate(&mut random, &seeds, &mut buffer),
            _ => {
                mutate(&mut random, &seeds, &mut buffer);
                repair(&mut buffer);
            }
        }
        accepted += u64::from(fuzz_datagram(&buffer) > 0);
    }
    // Without accepted packets the round trip inside would have tested nothing.
    assert!(accepted >= iterations / 50, "{accepted} of {iterations} accepted");
}

#[test]
fn every_recorded_packet_and_every_prefix_of_it_goes_through() {
    for name in names() {
        let whole = packet(&name);
        for length in 0..=whole.len() {
            let _ = fuzz_datagram(&whole[..length]);
        }
    }
    assert!(fuzz_datagram(&packet("v3_ipv6")) > 0);
    assert!(fuzz_datagram(&packet("v2_pass")) > 0);
}

/// What `VIPD_FUZZ_ITERATIONS` says.
pub(crate) fn iterations(default: u64) -> u64 {
    match std::env::var("VIPD_FUZZ_ITERATIONS") {
        Ok(text) => text.parse().expect("VIPD_FUZZ_ITERATIONS is a number"),
        Err(_) => default,
    }
}

fn noise(random: &mut SplitMix, buffer: &mut Vec<u8>) {
    // Mostly short: long noise fails at the first check.
    let longest = if random.below(8) == 0 { LONGEST } else { 128 };
    let length = random.below(longest + 1);
    while buffer.len() < length {
        buffer.extend_from_slice(&random.next().to_le_bytes());
    }
    buffer.truncate(length);
}

/// A recorded packet with up to four bits, bytes or lengths changed.
fn mutate(random: &mut SplitMix, seeds: &[Vec<u8>], buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&seeds[random.below(seeds.len())]);
    for _ in 0..random.below(5) {
        let at = random.below(buffer.len().max(1));
        let [byte, ..] = random.next().to_le_bytes();
        match random.below(6) {
            0 => buffer.truncate(at),
            1 => buffer.extend(std::iter::repeat_n(byte, random.below(LONGEST - 128))),
            2 => buffer.insert(at, byte),
            3 => {
                buffer.get_mut(at).into_iter().for_each(|b| *b = byte);
            }
            4 => {
                // Values that sit on the edges of ranges.
                let edge = [0, 1, 3, 4, 0x20, 0x21, 0x31, 0x7f, 0x80, 0xff][random.below(10)];
                buffer.get_mut(at).into_iter().for_each(|b| *b = edge);
            }
            _ => {
                buffer.get_mut(at).into_iter().for_each(|b| *b ^= 1 << (byte % 8));
            }
        }
        buffer.truncate(LONGEST);
    }
}

/// Puts total length and VRRP checksum right, as far as there is a packet to put right.
fn repair(buffer: &mut [u8]) {
    if buffer.len() >= 20 && buffer[0] == 0x45 {
        let total = u16::try_from(buffer.len()).unwrap();
        buffer[2..4].copy_from_slice(&total.to_be_bytes());
        let Ok(ip) = Ipv4Header::parse(buffer) else { return };
        let (source, destination) = (ip.source, ip.destination);
        let message = &mut buffer[20..];
        if let [version, _, _, _, _, _, c0, c1, ..] = message {
            let version = *version >> 4;
            (*c0, *c1) = (0, 0);
            let sum = Checksum::new().add_bytes(message);
            let sum = match version {
                2 => sum,
                _ => sum.add_ipv4_pseudo_header(source, destination, 112, total - 20),
            };
            message[6..8].copy_from_slice(&sum.finish().to_be_bytes());
        }
    } else if buffer.len() >= 48 && buffer[0] >> 4 == 6 {
        let length = u16::try_from(buffer.len() - 40).unwrap();
        buffer[4..6].copy_from_slice(&length.to_be_bytes());
        // Source and destination as they stand are the pseudo-header's addresses.
        let (header, message) = buffer.split_at_mut(40);
        let at = if header[6] == 58 { 2 } else { 6 };
        message[at..at + 2].fill(0);
        let sum = Checksum::new()
            .add_bytes(&header[8..])
            .add_bytes(&[0, header[6]])
            .add_bytes(&length.to_be_bytes())
            .add_bytes(message);
        message[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
    }
}

/// Steele, Lea, Flood 2014: small, seeded, the same run every time.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}
