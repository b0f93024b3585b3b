//! Gratuitous ARP: "this IPv4 address is at my MAC now" (RFC 9568 section 8.1.2, RFC 5227).
//!
//! ```text
//! +----------------+----------------+------+  Ethernet: to ff:ff:ff:ff:ff:ff, from SHA, 0x0806
//! | destination(6) |   source(6)    | type |
//! +------+------+--+--+-----+-------+------+  ARP (RFC 826)
//! | htype 1     | 0x0800    | 6 | 4 | op   |
//! +-------------+-----------+--+--+-+------+
//! | SHA: sender's MAC(6)       | SPA: VIP  |
//! +----------------------------+-----------+
//! | THA: by variant(6)         | TPA: VIP  |
//! +----------------------------+-----------+
//! ```

use std::net::Ipv4Addr;

use pnet_base::MacAddr;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};

use crate::types::Mac;

/// Bytes of the Ethernet header.
const ETHERNET_LEN: usize = 14;
/// Bytes of an ARP packet for IPv4 over Ethernet.
const ARP_LEN: usize = 28;
/// The first eight bytes of ARP for IPv4 over Ethernet, without the operation: hardware type 1,
/// protocol type 0x0800, lengths 6 and 4.
const IPV4_OVER_ETHERNET: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];

/// A whole Ethernet frame.
pub type Frame = [u8; ETHERNET_LEN + ARP_LEN];

/// The forms in use. They differ in what old hosts and switches understand; every one of them has
/// SPA = TPA = the virtual address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// A request with THA ff:ff:ff:ff:ff:ff: what keepalived and FRR send.
    #[default]
    Request,
    /// A request with THA zero: the ARP Announcement of RFC 5227 section 2.3.
    Announcement5227,
    /// A reply with THA = SHA, which is the only reply Linux takes for gratuitous.
    Reply,
}

/// The whole Ethernet frame, 42 bytes, without padding.
///
/// `mac` is also the frame's source: a switch that learnt another one would send the virtual MAC's
/// traffic to the wrong port.
#[must_use]
pub fn gratuitous(variant: Variant, mac: Mac, vip: Ipv4Addr) -> Frame {
    let sender = MacAddr::from(mac.0);
    let (operation, target) = match variant {
        Variant::Request => (ArpOperations::Request, MacAddr::broadcast()),
        Variant::Announcement5227 => (ArpOperations::Request, MacAddr::zero()),
        Variant::Reply => (ArpOperations::Reply, sender),
    };
    frame(operation, (sender, vip), (target, vip))
}

/// The ARP probe of RFC 5227 section 2.1.1: asks who has an address, and changes no cache, because it
/// says nothing of the sender's own address.
#[must_use]
pub fn probe(mac: Mac, address: Ipv4Addr) -> Frame {
    let sender = (MacAddr::from(mac.0), Ipv4Addr::UNSPECIFIED);
    frame(ArpOperations::Request, sender, (MacAddr::zero(), address))
}

#[expect(clippy::expect_used, reason = "both buffers have exactly the length of their packet")]
fn frame(
    operation: ArpOperation,
    (sender, sender_ip): (MacAddr, Ipv4Addr),
    (target, target_ip): (MacAddr, Ipv4Addr),
) -> Frame {
    let mut frame = [0; ETHERNET_LEN + ARP_LEN];
    let (link, arp) = frame.split_at_mut(ETHERNET_LEN);

    let mut link = MutableEthernetPacket::new(link).expect("14 bytes");
    link.set_destination(MacAddr::broadcast());
    link.set_source(sender);
    link.set_ethertype(EtherTypes::Arp);

    let mut arp = MutableArpPacket::new(arp).expect("28 bytes");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(operation);
    arp.set_sender_hw_addr(sender);
    arp.set_sender_proto_addr(sender_ip);
    arp.set_target_hw_addr(target);
    arp.set_target_proto_addr(target_ip);
    frame
}

/// The address somebody announced and the MAC it is said to be at, if the payload of an ARP frame
/// is a gratuitous request or reply of any variant.
///
/// An ARP probe (SPA zero) is a question, not an announcement.
#[must_use]
pub fn parse_announcement(frame_payload: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let (_, sender, sender_ip, target_ip) = parse(frame_payload)?;
    (sender_ip == target_ip && !sender_ip.is_unspecified()).then_some((sender_ip, sender))
}

/// The address somebody has and its MAC, if the payload of an ARP frame is the answer to a [`probe`].
#[must_use]
pub fn parse_answer(frame_payload: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let (operation, sender, sender_ip, target_ip) = parse(frame_payload)?;
    (operation == 2 && target_ip.is_unspecified() && !sender_ip.is_unspecified())
        .then_some((sender_ip, sender))
}

/// Operation, sender's MAC and address, target's address of a request or reply.
fn parse(frame_payload: &[u8]) -> Option<(u16, Mac, Ipv4Addr, Ipv4Addr)> {
    let (arp, _padding) = frame_payload.split_first_chunk::<ARP_LEN>()?;
    let (kind, rest) = arp.split_first_chunk::<6>()?;
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (sender, rest) = rest.split_first_chunk::<6>()?;
    let (sender_ip, rest) = rest.split_first_chunk::<4>()?;
    let target_ip = rest.last_chunk::<4>()?;

    let operation = u16::from_be_bytes(*operation);
    (*kind == IPV4_OVER_ETHERNET && matches!(operation, 1 | 2))
        .then(|| (operation, Mac(*sender), Ipv4Addr::from(*sender_ip), Ipv4Addr::from(*target_ip)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0x00, 0x00, 0x5e, 0x00, 0x01, 0x38]);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 249);

    #[test]
    fn every_variant_is_heard_as_an_announcement() {
        for variant in [Variant::Request, Variant::Announcement5227, Variant::Reply] {
            let mut frame = gratuitous(variant, MAC, VIP).to_vec();
            // Ethernet pads to 60 bytes.
            frame.resize(60, 0);
            assert_eq!(parse_announcement(&frame[14..]), Some((VIP, MAC)), "{variant:?}");
        }
    }

    #[test]
    fn a_probe_is_no_announcement_and_its_answer_names_the_host() {
        let frame = probe(MAC, VIP);
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[28..32], [0; 4], "it must change nobody's cache");
        assert_eq!((parse_announcement(&frame[14..]), parse_answer(&frame[14..])), (None, None));
        let there = MacAddr(2, 0, 0, 0, 0, 9);
        let asker = (MacAddr::from(MAC.0), Ipv4Addr::UNSPECIFIED);
        let answer = super::frame(ArpOperations::Reply, (there, VIP), asker);
        assert_eq!(parse_answer(&answer[14..]), Some((VIP, Mac([2, 0, 0, 0, 0, 9]))));
        assert_eq!(parse_announcement(&answer[14..]), None);
        let ordinary = super::frame(ArpOperations::Reply, (there, VIP), (asker.0, VIP));
        assert_eq!(parse_answer(&ordinary[14..]), None, "it answers somebody's own question");
    }

    #[test]
    fn questions_and_other_protocols_are_no_announcement() {
        let good = gratuitous(Variant::Request, MAC, VIP);
        let with = |at: usize, bytes: &[u8]| {
            let mut arp = good[14..].to_vec();
            arp[at..at + bytes.len()].copy_from_slice(bytes);
            parse_announcement(&arp)
        };
        assert_eq!(with(0, &[0, 6]), None, "hardware type");
        assert_eq!(with(2, &[0x86, 0xdd]), None, "protocol type");
        assert_eq!(with(4, &[8]), None, "hardware length");
        assert_eq!(with(5, &[16]), None, "protocol length");
        assert_eq!(with(6, &[0, 3]), None, "operation");
        assert_eq!(with(24, &[192, 0, 2, 1]), None, "a question about another address");
        assert_eq!(with(14, &[0, 0, 0, 0]), None, "a probe");
        for length in 0..28 {
            assert_eq!(parse_announcement(&good[14..14 + length]), None);
        }
    }
}
