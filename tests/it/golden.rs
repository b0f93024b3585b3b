//! The recorded packets of `tests/golden/packets`, and the way a packet takes from the socket to
//! an advert.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use pnet_packet::Packet;
use pnet_packet::ipv6::Ipv6Packet;
use vipd::types::{AuthV2, Centis, Dialect, Priority, V3Checksum, Vrid};
use vipd::wire::ipv4::Ipv4Header;
use vipd::wire::vrrp::{
    Advert, ChecksumAccept, Claim, DropReason, HOP_LIMIT, Parsed, check_hop_limit, from_ipv4,
};

pub(crate) const NO_AUTH: Dialect = Dialect::V2(AuthV2::None);
pub(crate) const PASS_1111: Dialect = Dialect::V2(AuthV2::Pass(*b"1111\0\0\0\0"));
pub(crate) const V3_PSEUDO: Dialect = Dialect::V3Ipv4(V3Checksum::PseudoHeader);
pub(crate) const V3_MESSAGE: Dialect = Dialect::V3Ipv4(V3Checksum::MessageOnly);

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/packets")
}

/// The names of all packets, without `.hex`.
pub(crate) fn names() -> BTreeSet<String> {
    std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn packet(name: &str) -> Vec<u8> {
    let path = directory().join(name).with_extension("hex");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A packet taken apart as the sockets deliver it: hop limit, source, destination, message.
pub(crate) struct Delivered {
    pub(crate) hop_limit: u8,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) message: Vec<u8>,
}

/// IPv4 through our own header parser, IPv6 through pnet in the kernel's place.
pub(crate) fn deliver(packet: &[u8]) -> Result<Delivered, DropReason> {
    if packet.first().is_some_and(|byte| byte >> 4 == 6) {
        let ip = Ipv6Packet::new(packet).unwrap();
        return Ok(Delivered {
            hop_limit: ip.get_hop_limit(),
            source: ip.get_source().into(),
            destination: ip.get_destination().into(),
            message: ip.payload().to_vec(),
        });
    }
    let ip = Ipv4Header::parse(packet)?;
    Ok(Delivered {
        hop_limit: ip.ttl,
        source: ip.source.into(),
        destination: ip.destination.into(),
        message: from_ipv4(&ip)?.to_vec(),
    })
}

/// What a multicast router that speaks `dialect` makes of a packet.
pub(crate) fn receive(packet: &[u8], dialect: &Dialect) -> Result<Parsed, DropReason> {
    receive_with(packet, dialect, HOP_LIMIT, ChecksumAccept::Both)
}

/// The same for a router that asks for a least hop limit and a form of checksum.
pub(crate) fn receive_with(
    packet: &[u8],
    dialect: &Dialect,
    lowest_hop_limit: u8,
    accept: ChecksumAccept,
) -> Result<Parsed, DropReason> {
    let ip = deliver(packet)?;
    check_hop_limit(Some(ip.hop_limit), &(lowest_hop_limit..=HOP_LIMIT))?;
    Advert::parse(dialect, ip.source, ip.destination, &ip.message, accept)
}

pub(crate) fn advert(vrid: u8, priority: u8, centis: u16, addresses: &[&str]) -> Advert {
    Advert {
        vrid: Vrid::try_from(vrid).unwrap(),
        claim: match priority {
            0 => Claim::Resign,
            _ => Claim::Priority(Priority::try_from(priority).unwrap()),
        },
        interval: Centis::try_from(centis).unwrap(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

pub(crate) fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(crate) fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}
