//! Unsolicited Neighbour Advertisement: "this IPv6 address is at my MAC now"
//! (RFC 4861 sections 4.4 and 7.2.6, RFC 9568 section 6.4.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Type 136    |    Code 0     |           Checksum            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |R|S|O|                        Reserved                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Target address (16 bytes)                  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Option 2    |   Length 1    |       Target's MAC (6)        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               |
//! |                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::net::Ipv6Addr;

use pnet_base::MacAddr;
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::Icmpv6Types;
use pnet_packet::icmpv6::ndp::{
    Icmpv6Codes, MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NdpOption,
    NdpOptionTypes, NeighborAdvertFlags,
};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

use super::checksum::Checksum;
use crate::types::Mac;

/// Bytes of the Ethernet header.
const ETHERNET_LEN: usize = 14;
/// Bytes of the IPv6 header.
const IPV6_LEN: usize = 40;
/// Bytes of the advertisement with its one option.
const NA_LEN: u16 = 32;
/// ff02::1, every node on the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The group's MAC: 33:33 and the last four bytes of the address (RFC 2464 section 7).
const ALL_NODES_MAC: MacAddr = MacAddr(0x33, 0x33, 0x00, 0x00, 0x00, 0x01);
/// Proof that no router forwarded it (RFC 4861 section 7.1.2).
const HOP_LIMIT: u8 = 255;
/// IPv6 next header of ICMPv6.
const ICMPV6: u8 = 58;
/// ICMPv6 type of the Neighbour Advertisement.
const NEIGHBOR_ADVERT: u8 = 136;
/// The S flag.
const SOLICITED: u8 = 0x40;
/// The option with the target's link-layer address (RFC 4861 section 4.6.1).
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// The whole Ethernet frame, 86 bytes: from the virtual address to all nodes, hop limit 255,
/// traffic class and flow label 0, O set, S clear.
///
/// `router` is the R flag. It must tell whether this host forwards: hosts drop a default router
/// whose advertisement has it clear (RFC 4861 section 7.2.5). `mac` is also the frame's source.
#[must_use]
#[expect(clippy::expect_used, reason = "every buffer has exactly the length of its packet")]
pub fn unsolicited_na(mac: Mac, vip: Ipv6Addr, router: bool) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_LEN + IPV6_LEN + usize::from(NA_LEN)];
    let (link, packet) = frame.split_at_mut(ETHERNET_LEN);
    let (ip, icmp) = packet.split_at_mut(IPV6_LEN);

    let mut link = MutableEthernetPacket::new(link).expect("14 bytes");
    link.set_destination(ALL_NODES_MAC);
    link.set_source(MacAddr::from(mac.0));
    link.set_ethertype(EtherTypes::Ipv6);

    let mut ip = MutableIpv6Packet::new(ip).expect("40 bytes");
    ip.set_version(6);
    ip.set_payload_length(NA_LEN);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(HOP_LIMIT);
    ip.set_source(vip);
    ip.set_destination(ALL_NODES);

    let mut na = MutableNeighborAdvertPacket::new(icmp).expect("32 bytes");
    na.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    na.set_icmpv6_code(Icmpv6Codes::NoCode);
    let router = if router { NeighborAdvertFlags::Router } else { 0 };
    na.set_flags(router | NeighborAdvertFlags::Override);
    na.set_target_addr(vip);
    na.set_options(&[NdpOption {
        option_type: NdpOptionTypes::TargetLLAddr,
        length: 1,
        data: mac.0.to_vec(),
    }]);
    let checksum = Checksum::new()
        .add_ipv6_pseudo_header(vip, ALL_NODES, ICMPV6, NA_LEN)
        .add_bytes(icmp)
        .finish();
    MutableNeighborAdvertPacket::new(icmp).expect("32 bytes").set_checksum(checksum);
    frame
}

/// The whole Ethernet frame of a neighbour solicitation, 86 bytes: who has `target`? From an address of
/// our own: where the target is tentative, nobody takes it for a duplicate (RFC 4862 section 5.4.3).
#[must_use]
#[expect(clippy::expect_used, reason = "every buffer has exactly the length of its packet")]
pub fn solicitation(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., x, y, z] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]);
    let mut frame = vec![0; ETHERNET_LEN + IPV6_LEN + usize::from(NA_LEN)];
    let (link, packet) = frame.split_at_mut(ETHERNET_LEN);
    let (ip, icmp) = packet.split_at_mut(IPV6_LEN);

    let mut link = MutableEthernetPacket::new(link).expect("14 bytes");
    link.set_destination(MacAddr(0x33, 0x33, 0xff, x, y, z));
    link.set_source(MacAddr::from(mac.0));
    link.set_ethertype(EtherTypes::Ipv6);

    let mut ip = MutableIpv6Packet::new(ip).expect("40 bytes");
    ip.set_version(6);
    ip.set_payload_length(NA_LEN);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(HOP_LIMIT);
    ip.set_source(source);
    ip.set_destination(group);

    let mut ns = MutableNeighborSolicitPacket::new(icmp).expect("32 bytes");
    ns.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
    ns.set_icmpv6_code(Icmpv6Codes::NoCode);
    ns.set_target_addr(target);
    ns.set_options(&[NdpOption {
        option_type: NdpOptionTypes::SourceLLAddr,
        length: 1,
        data: mac.0.to_vec(),
    }]);
    let checksum = Checksum::new()
        .add_ipv6_pseudo_header(source, group, ICMPV6, NA_LEN)
        .add_bytes(icmp)
        .finish();
    MutableNeighborSolicitPacket::new(icmp).expect("32 bytes").set_checksum(checksum);
    frame
}

/// The address somebody announced and the MAC it is said to be at, if `ipv6_packet` (from the IPv6
/// header on) is an unsolicited Neighbour Advertisement with the target's MAC.
#[must_use]
pub fn parse_unsolicited(ipv6_packet: &[u8]) -> Option<(Ipv6Addr, Mac)> {
    parse(ipv6_packet).filter(|(_, _, solicited)| !solicited).map(|(target, mac, _)| (target, mac))
}

/// The same of one that answers a [`solicitation`].
#[must_use]
pub fn parse_answer(ipv6_packet: &[u8]) -> Option<(Ipv6Addr, Mac)> {
    parse(ipv6_packet).filter(|(_, _, solicited)| *solicited).map(|(target, mac, _)| (target, mac))
}

/// Target, its MAC, and whether somebody had asked.
///
/// Checked as RFC 4861 section 7.1.2 asks. Advertisements behind extension headers are ignored.
fn parse(ipv6_packet: &[u8]) -> Option<(Ipv6Addr, Mac, bool)> {
    let (header, rest) = ipv6_packet.split_first_chunk::<IPV6_LEN>()?;
    let [version_class, _, _, _, len0, len1, next_header, hop_limit, addresses @ ..] = header;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let destination = destination.first_chunk::<16>()?;
    let payload_len = u16::from_be_bytes([*len0, *len1]);
    let icmp = rest.get(..usize::from(payload_len))?;
    if version_class >> 4 != 6 || *next_header != ICMPV6 || *hop_limit != HOP_LIMIT {
        return None;
    }

    let (fixed, options) = icmp.split_first_chunk::<24>()?;
    let [icmp_type, code, _, _, flags, _, _, _, target @ ..] = *fixed;
    let target = Ipv6Addr::from(target);
    let advert = icmp_type == NEIGHBOR_ADVERT && code == 0;
    if !advert || target.is_multicast() || target.is_unspecified() {
        return None;
    }
    let intact = Checksum::new()
        .add_ipv6_pseudo_header((*source).into(), (*destination).into(), ICMPV6, payload_len)
        .add_bytes(icmp)
        .verifies();
    if !intact {
        return None;
    }
    target_mac(options).map(|mac| (target, mac, flags & SOLICITED != 0))
}

/// The first target link-layer address, if every option up to it is well formed.
fn target_mac(mut options: &[u8]) -> Option<Mac> {
    loop {
        let [kind, units, ..] = *options else { return None };
        // In units of eight bytes; zero would never end (RFC 4861 section 4.6).
        let option = options.get(..usize::from(units) * 8).filter(|option| !option.is_empty())?;
        if kind == TARGET_LINK_LAYER_ADDRESS && units == 1 {
            return option.last_chunk::<6>().copied().map(Mac);
        }
        options = options.get(option.len()..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0x00, 0x00, 0x5e, 0x00, 0x02, 0x0a]);
    const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x240);

    /// A packet (without Ethernet header) with some bytes replaced and the checksum put right.
    fn altered(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut packet = unsolicited_na(MAC, VIP, true)[ETHERNET_LEN..].to_vec();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet[42..44].fill(0);
        let sum = Checksum::new()
            .add_ipv6_pseudo_header(VIP, ALL_NODES, ICMPV6, NA_LEN)
            .add_bytes(&packet[40..])
            .finish();
        packet[42..44].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    #[test]
    fn what_was_written_is_read_back() {
        for router in [false, true] {
            let frame = unsolicited_na(MAC, VIP, router);
            assert_eq!(frame.len(), 86);
            assert_eq!(parse_unsolicited(&frame[14..]), Some((VIP, MAC)));
        }
    }

    #[test]
    fn a_question_is_no_answer_and_an_answer_no_announcement() {
        let source: Ipv6Addr = "fe80::1".parse().unwrap();
        let frame = solicitation(MAC, source, VIP);
        assert_eq!(frame.len(), 86);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0, 2, 0x40]);
        let (header, icmp) = frame[14..].split_at(40);
        let group = <[u8; 16]>::try_from(&header[24..40]).unwrap();
        let intact = Checksum::new()
            .add_ipv6_pseudo_header(source, group.into(), ICMPV6, NA_LEN)
            .add_bytes(icmp)
            .verifies();
        assert!(intact && icmp[0] == 135);
        assert_eq!((parse_unsolicited(&frame[14..]), parse_answer(&frame[14..])), (None, None));
        let answer = altered(44, &[0x60]);
        assert_eq!((parse_unsolicited(&answer), parse_answer(&answer)), (None, Some((VIP, MAC))));
    }

    #[test]
    fn what_rfc_4861_section_7_1_2_forbids_is_ignored() {
        let refused = |at: usize, bytes: &[u8]| parse_unsolicited(&altered(at, bytes)).is_none();
        assert!(refused(0, &[0x40]), "IP version 4");
        assert!(refused(6, &[17]), "UDP");
        assert!(refused(7, &[254]), "hop limit 254");
        assert!(refused(40, &[135]), "a solicitation");
        assert!(refused(41, &[1]), "code 1");
        assert!(refused(44, &[0x60]), "solicited");
        assert!(refused(48, &[0xff]), "multicast target");
        assert!(refused(48, &[0; 16]), "unspecified target");
        assert!(refused(64, &[1]), "source instead of target link-layer address");
        assert!(refused(65, &[0]), "option without length");
        assert!(refused(65, &[2]), "option longer than the packet");
        let mut bad_sum = altered(44, &[0x20]);
        bad_sum[43] ^= 1;
        assert_eq!(parse_unsolicited(&bad_sum), None);
        let whole = altered(44, &[0x20]);
        for length in 0..whole.len() {
            assert_eq!(parse_unsolicited(&whole[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn options_in_front_are_skipped() {
        let other = [14, 1, 0, 0, 0, 0, 0, 0];
        let ours = [2, 1, 0, 0, 0x5e, 0, 2, 0x0a];
        assert_eq!(target_mac(&[other, ours].concat()), Some(MAC));
        assert_eq!(target_mac(&other), None);
        assert_eq!(target_mac(&[]), None);
        assert_eq!(target_mac(&[2]), None);
    }
}
