//! Packets nobody's kernel would send: any source, any field, any destination MAC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::{Error, Result};
use super::node::Node;
use crate::types::Mac;

/// An IP packet to forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// IP protocol, 112 for VRRP.
    pub protocol: u8,
    /// Everything after the IP header.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// A packet as VRRP sends it: TTL 255, precedence "internetwork control" (TOS 0xc0).
    #[must_use]
    pub fn vrrp(source: IpAddr, destination: IpAddr, payload: Vec<u8>) -> Datagram {
        Datagram { source, destination, ttl: 255, tos: 0xc0, protocol: 112, payload }
    }

    /// The IP packet, header included.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the families differ or the payload is too long for a packet.
    pub fn packet(&self) -> Result<Vec<u8>> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.ipv4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.ipv6(source, destination),
            _ => Err(impossible("an IPv4 address cannot talk to an IPv6 address")),
        }
    }

    /// The packet in an Ethernet frame. Without a `to`, a multicast packet goes to its group's MAC
    /// address and any other to everybody.
    ///
    /// # Errors
    /// As for [`Datagram::packet`].
    pub fn frame(&self, from: Mac, to: Option<Mac>) -> Result<Vec<u8>> {
        let packet = self.packet()?;
        let ether_type: [u8; 2] = if self.source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        let to = to.unwrap_or_else(|| group_mac(self.destination));
        Ok([&to.0[..], &from.0[..], &ether_type[..], &packet].concat())
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Result<Vec<u8>> {
        let total = self.length_plus(20)?.to_be_bytes();
        let mut header = [0; 20];
        let fields: [(usize, &[u8]); 6] = [
            (0, &[0x45, self.tos]),
            (2, &total),
            (4, &[0, 1]),
            (8, &[self.ttl, self.protocol]),
            (12, &source.octets()),
            (16, &destination.octets()),
        ];
        for (at, bytes) in fields {
            if let Some(field) = header.get_mut(at..at + bytes.len()) {
                field.copy_from_slice(bytes);
            }
        }
        let [high, low] = checksum(&header).to_be_bytes();
        header[10] = high;
        header[11] = low;
        Ok([&header[..], &self.payload].concat())
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Result<Vec<u8>> {
        let first = (0x6000_0000 | u32::from(self.tos) << 20).to_be_bytes();
        let length = self.length_plus(0)?.to_be_bytes();
        let limits = [self.protocol, self.ttl];
        let (source, destination) = (source.octets(), destination.octets());
        Ok([&first[..], &length, &limits, &source, &destination, &self.payload].concat())
    }

    fn length_plus(&self, header: usize) -> Result<u16> {
        u16::try_from(self.payload.len() + header)
            .map_err(|_| impossible("the payload is longer than an IP packet may be"))
    }
}

impl Node {
    /// Sends a forged packet from the host's own MAC address.
    ///
    /// # Errors
    /// [`Error::NoLink`] without such a link; as for [`Datagram::packet`] and
    /// [`Node::send_frame`].
    pub fn send_datagram(&self, link: &str, datagram: &Datagram) -> Result<()> {
        let own = self
            .link_status(link)?
            .ok_or_else(|| Error::NoLink { node: self.name().into(), link: link.into() })?;
        self.send_frame(link, &datagram.frame(own.mac, None)?)
    }
}

/// The RFC 1071 checksum of `bytes`, whose checksum field is zero.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// RFC 1112 section 6.4 and RFC 2464 section 7; everybody if it is no group.
fn group_mac(destination: IpAddr) -> Mac {
    match destination {
        IpAddr::V4(group) if group.is_multicast() => {
            let [_, b, c, d] = group.octets();
            Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(group) if group.is_multicast() => {
            let [.., a, b, c, d] = group.octets();
            Mac([0x33, 0x33, a, b, c, d])
        }
        _ => Mac::BROADCAST,
    }
}

fn impossible(why: &str) -> Error {
    Error::Kernel {
        place: "lab".into(),
        what: "forge a packet".into(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_packet_equals_a_captured_one() {
        // keepalived 2.2.7, VRRPv2 with password.
        let vrrp = [
            0x21, 0x33, 0x96, 1, 1, 1, 0x22, 0x69, 192, 0, 2, 254, 0x31, 0x31, 0x31, 0x31, 0, 0, 0,
            0,
        ];
        let ip = |text: &str| text.parse().unwrap();
        let forged = Datagram::vrrp(ip("192.0.2.1"), ip("224.0.0.18"), vrrp.to_vec());
        let header = [
            0x45, 0xc0, 0, 0x28, 0, 1, 0, 0, 0xff, 0x70, 0x18, 0x91, 192, 0, 2, 1, 224, 0, 0, 0x12,
        ];
        assert_eq!(forged.packet().unwrap(), [header, vrrp].concat());
        let frame = forged.frame(Mac([2, 0, 0, 0, 0, 1]), None).unwrap();
        assert!(frame.starts_with(&[0x01, 0, 0x5e, 0, 0, 0x12, 2, 0, 0, 0, 0, 1, 0x08, 0x00]));
    }

    #[test]
    fn families_do_not_mix() {
        let mixed = Datagram::vrrp("::1".parse().unwrap(), "224.0.0.18".parse().unwrap(), vec![]);
        assert!(mixed.packet().is_err());
    }
}
