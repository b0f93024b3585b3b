//! A second reader of packets, written without looking at [`crate::wire`]: what it says about our
//! own packets is a witness. It checks every length and never panics.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::Mac;

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A VRRP advertisement.
    Vrrp(Vrrp),
    /// ARP for IPv4 over Ethernet.
    Arp(Arp),
    /// A neighbour advertisement (RFC 4861 section 4.4).
    NeighbourAdvert(Neighbour),
    /// A neighbour solicitation (RFC 4861 section 4.3).
    NeighbourSolicit(Neighbour),
    /// An ICMP or ICMPv6 echo request or reply.
    Echo(Echo),
    /// Anything else, and anything cut short: one line about it.
    Other(String),
}

/// A VRRP packet with what carried it. Nothing in it has been judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrrp {
    /// Ethernet source.
    pub source_mac: Mac,
    /// Ethernet destination.
    pub destination_mac: Mac,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// Inside an authentication header (IP protocol 51), as RFC 2338 had it.
    pub behind_ah: bool,
    /// 2 or 3.
    pub version: u8,
    /// 1 is an advertisement.
    pub kind: u8,
    /// Virtual router id.
    pub vrid: u8,
    /// Priority; 0 resigns.
    pub priority: u8,
    /// The address count field.
    pub count: u8,
    /// Interval in centiseconds, whatever the version.
    pub interval_cs: u16,
    /// Version 2: the authentication type field; version 3: the four reserved bits.
    pub auth_type: u8,
    /// Version 2: the eight authentication bytes.
    pub auth_data: Option<[u8; 8]>,
    /// The checksum field.
    pub checksum: u16,
    /// What the checksum field turns out to cover.
    pub checksum_over: ChecksumOver,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// Bytes from the VRRP header to the end of the IP packet.
    pub length: usize,
}

/// What a VRRP checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumOver {
    /// The VRRP message only.
    Message,
    /// The message and a pseudo header of the carrying protocol.
    PseudoHeader,
    /// Neither: it is wrong.
    Nothing,
}

/// An ARP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Ethernet source.
    pub source_mac: Mac,
    /// Ethernet destination.
    pub destination_mac: Mac,
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender hardware address.
    pub sender_mac: Mac,
    /// Sender protocol address.
    pub sender: Ipv4Addr,
    /// Target hardware address.
    pub target_mac: Mac,
    /// Target protocol address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Says where an address is without having been asked (RFC 5227 section 1.1).
    #[must_use]
    pub fn is_gratuitous(&self) -> bool {
        self.sender == self.target && !self.sender.is_unspecified()
    }
}

/// A neighbour advertisement or solicitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Ethernet source.
    pub source_mac: Mac,
    /// Ethernet destination.
    pub destination_mac: Mac,
    /// IP source.
    pub source: Ipv6Addr,
    /// IP destination.
    pub destination: Ipv6Addr,
    /// Hop limit; 255 or it is not to be believed.
    pub hop_limit: u8,
    /// The address in question.
    pub target: Ipv6Addr,
    /// R: the sender is a router.
    pub router: bool,
    /// S: an answer to a solicitation.
    pub solicited: bool,
    /// O: replaces what a cache knows.
    pub overriding: bool,
    /// Target (advertisement) or source (solicitation) link-layer address option.
    pub link_address: Option<Mac>,
    /// Whether the ICMPv6 checksum is right.
    pub checksum_ok: bool,
}

/// A ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Ethernet source.
    pub source_mac: Mac,
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// The answer rather than the question.
    pub reply: bool,
    /// Identifier.
    pub id: u16,
    /// Sequence number.
    pub sequence: u16,
}

/// Reads one Ethernet frame.
pub(super) fn decode(frame: &[u8]) -> Decoded {
    ethernet(frame).unwrap_or_else(|| Decoded::Other(format!("{} bytes, cut short", frame.len())))
}

fn ethernet(frame: &[u8]) -> Option<Decoded> {
    let mut reader = Reader(frame);
    let destination_mac = reader.mac()?;
    let source_mac = reader.mac()?;
    let macs = Macs { source_mac, destination_mac };
    match reader.u16()? {
        0x0806 => arp(macs, reader),
        0x0800 => ipv4(macs, reader),
        0x86dd => ipv6(macs, reader),
        kind => Some(Decoded::Other(format!(
            "{source_mac} > {destination_mac} ethertype {kind:#06x}, {} bytes",
            frame.len()
        ))),
    }
}

#[derive(Clone, Copy)]
struct Macs {
    source_mac: Mac,
    destination_mac: Mac,
}

/// What the IP header says, both families.
#[derive(Clone, Copy)]
struct Ip {
    macs: Macs,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    tos: u8,
}

fn arp(macs: Macs, mut reader: Reader<'_>) -> Option<Decoded> {
    let Macs { source_mac, destination_mac } = macs;
    let kinds = (reader.u16()?, reader.u16()?, reader.u8()?, reader.u8()?);
    let operation = reader.u16()?;
    if kinds != (1, 0x0800, 6, 4) {
        return Some(Decoded::Other(format!("{source_mac} > {destination_mac} ARP {kinds:?}")));
    }
    Some(Decoded::Arp(Arp {
        source_mac,
        destination_mac,
        operation,
        sender_mac: reader.mac()?,
        sender: reader.ipv4()?,
        target_mac: reader.mac()?,
        target: reader.ipv4()?,
    }))
}

fn ipv4(macs: Macs, mut reader: Reader<'_>) -> Option<Decoded> {
    let packet = reader.0;
    let version_ihl = reader.u8()?;
    let tos = reader.u8()?;
    let total = usize::from(reader.u16()?);
    let _id = reader.u16()?;
    let fragment = reader.u16()?;
    let ttl = reader.u8()?;
    let protocol = reader.u8()?;
    let _checksum = reader.u16()?;
    let ip =
        Ip { macs, source: reader.ipv4()?.into(), destination: reader.ipv4()?.into(), ttl, tos };
    let header = usize::from(version_ihl & 0x0f) * 4;
    let payload = packet.get(header..total)?;
    if version_ihl >> 4 != 4 || header < 20 || fragment & 0x1fff != 0 {
        return Some(other(&ip, protocol, payload));
    }
    match protocol {
        112 => vrrp(&ip, false, payload),
        51 => authenticated(&ip, payload),
        1 => Some(echo(&ip, protocol, payload, 8, 0)),
        _ => Some(other(&ip, protocol, payload)),
    }
}

fn ipv6(macs: Macs, mut reader: Reader<'_>) -> Option<Decoded> {
    let first = reader.u32()?;
    let length = usize::from(reader.u16()?);
    let protocol = reader.u8()?;
    let ttl = reader.u8()?;
    let source = reader.ipv6()?;
    let destination = reader.ipv6()?;
    let tos = u8::try_from((first >> 20) & 0xff).ok()?;
    let ip = Ip { macs, source: source.into(), destination: destination.into(), ttl, tos };
    let payload = reader.0.get(..length)?;
    match (protocol, payload.first()) {
        (112, _) => vrrp(&ip, false, payload),
        (51, _) => authenticated(&ip, payload),
        (58, Some(136)) => neighbour(&ip, source, destination, payload, true),
        (58, Some(135)) => neighbour(&ip, source, destination, payload, false),
        (58, _) => Some(echo(&ip, protocol, payload, 128, 129)),
        _ => Some(other(&ip, protocol, payload)),
    }
}

/// RFC 4302: next header, length in 4-byte words minus 2.
fn authenticated(ip: &Ip, payload: &[u8]) -> Option<Decoded> {
    let next = *payload.first()?;
    let words = usize::from(*payload.get(1)?);
    let inner = payload.get((words + 2) * 4..)?;
    if next == 112 { vrrp(ip, true, inner) } else { Some(other(ip, next, inner)) }
}

fn vrrp(ip: &Ip, behind_ah: bool, message: &[u8]) -> Option<Decoded> {
    let mut reader = Reader(message);
    let version_kind = reader.u8()?;
    let version = version_kind >> 4;
    let vrid = reader.u8()?;
    let priority = reader.u8()?;
    let count = reader.u8()?;
    let (auth_type, interval_cs) = if version == 2 {
        (reader.u8()?, u16::from(reader.u8()?) * 100)
    } else {
        let field = reader.u16()?;
        (u8::try_from(field >> 12).ok()?, field & 0x0fff)
    };
    let checksum = reader.u16()?;
    let mut addresses = Vec::new();
    for _ in 0..count {
        addresses.push(match ip.source {
            IpAddr::V4(_) => reader.ipv4()?.into(),
            IpAddr::V6(_) => reader.ipv6()?.into(),
        });
    }
    let auth_data = if version == 2 { reader.bytes::<8>() } else { None };
    // An HMAC trailer over IPv4 is not summed.
    let without_trailer = message.get(..message.len() - reader.0.len())?;
    Some(Decoded::Vrrp(Vrrp {
        source_mac: ip.macs.source_mac,
        destination_mac: ip.macs.destination_mac,
        source: ip.source,
        destination: ip.destination,
        ttl: ip.ttl,
        tos: ip.tos,
        behind_ah,
        version,
        kind: version_kind & 0x0f,
        vrid,
        priority,
        count,
        interval_cs,
        auth_type,
        auth_data,
        checksum,
        checksum_over: match checksum_over(ip, message) {
            ChecksumOver::Nothing => checksum_over(ip, without_trailer),
            covered => covered,
        },
        addresses,
        length: message.len(),
    }))
}

fn neighbour(
    ip: &Ip,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: &[u8],
    advert: bool,
) -> Option<Decoded> {
    let mut reader = Reader(message);
    let _kind_code_checksum = reader.u32()?;
    let flags = reader.u32()?;
    let target = reader.ipv6()?;
    let wanted = if advert { 2 } else { 1 };
    let mut link_address = None;
    while let (Some(kind), Some(units)) = (reader.u8(), reader.u8()) {
        let body = (usize::from(units) * 8).checked_sub(2)?;
        let mut option = Reader(reader.take(body)?);
        if kind == wanted {
            link_address = option.mac();
        }
    }
    let body = Neighbour {
        source_mac: ip.macs.source_mac,
        destination_mac: ip.macs.destination_mac,
        source,
        destination,
        hop_limit: ip.ttl,
        target,
        router: flags & 0x8000_0000 != 0,
        solicited: flags & 0x4000_0000 != 0,
        overriding: flags & 0x2000_0000 != 0,
        link_address,
        checksum_ok: folded(sum(message) + pseudo_header(ip, 58, message.len())) == 0xffff,
    };
    Some(if advert { Decoded::NeighbourAdvert(body) } else { Decoded::NeighbourSolicit(body) })
}

fn echo(ip: &Ip, protocol: u8, message: &[u8], request: u8, reply: u8) -> Decoded {
    let parse = || {
        let mut reader = Reader(message);
        let kind = reader.u8()?;
        let _code = reader.u8()?;
        let _checksum = reader.u16()?;
        (kind == request || kind == reply).then_some(Decoded::Echo(Echo {
            source_mac: ip.macs.source_mac,
            source: ip.source,
            destination: ip.destination,
            reply: kind == reply,
            id: reader.u16()?,
            sequence: reader.u16()?,
        }))
    };
    parse().unwrap_or_else(|| other(ip, protocol, message))
}

fn other(ip: &Ip, protocol: u8, payload: &[u8]) -> Decoded {
    let what = match protocol {
        0 => "hop-by-hop options",
        1 => "ICMP",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        58 => "ICMPv6",
        _ => "",
    };
    Decoded::Other(format!(
        "{} {} > {} protocol {protocol} {what}, {} bytes",
        ip.macs.source_mac,
        ip.source,
        ip.destination,
        payload.len()
    ))
}

fn checksum_over(ip: &Ip, message: &[u8]) -> ChecksumOver {
    if folded(sum(message)) == 0xffff {
        ChecksumOver::Message
    } else if folded(sum(message) + pseudo_header(ip, 112, message.len())) == 0xffff {
        ChecksumOver::PseudoHeader
    } else {
        ChecksumOver::Nothing
    }
}

/// One's complement sum of 16-bit words, not folded yet (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        })
        .sum()
}

fn folded(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn pseudo_header(ip: &Ip, protocol: u8, length: usize) -> u64 {
    let addresses = match (ip.source, ip.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum(&from.octets()) + sum(&to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => sum(&from.octets()) + sum(&to.octets()),
        _ => 0,
    };
    addresses + u64::from(protocol) + u64::try_from(length).unwrap_or_default()
}

/// Takes from the front; `None` once the bytes run out.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn mac(&mut self) -> Option<Mac> {
        self.bytes().map(Mac)
    }

    fn ipv4(&mut self) -> Option<Ipv4Addr> {
        self.bytes::<4>().map(Ipv4Addr::from)
    }

    fn ipv6(&mut self) -> Option<Ipv6Addr> {
        self.bytes::<16>().map(Ipv6Addr::from)
    }
}

impl fmt::Display for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decoded::Vrrp(v) => v.fmt(f),
            Decoded::Arp(arp) => arp.fmt(f),
            Decoded::NeighbourAdvert(n) => {
                write!(f, "{} {} > {} advert {}", n.source_mac, n.source, n.destination, n.target)?;
                if let Some(mac) = n.link_address {
                    write!(f, " is at {mac}")?;
                }
                let flag = |on, letter| if on { letter } else { "" };
                let flags = [flag(n.router, "R"), flag(n.solicited, "S"), flag(n.overriding, "O")];
                write!(f, " flags [{}]", flags.concat())?;
                if n.checksum_ok { Ok(()) } else { f.write_str(" WRONG CHECKSUM") }
            }
            Decoded::NeighbourSolicit(n) => {
                write!(f, "{} {} > {} who has {}", n.source_mac, n.source, n.destination, n.target)
            }
            Decoded::Echo(e) => {
                let what = if e.reply { "echo reply" } else { "echo request" };
                write!(f, "{} {} > {} {what} ", e.source_mac, e.source, e.destination)?;
                write!(f, "id {} seq {}", e.id, e.sequence)
            }
            Decoded::Other(line) => f.write_str(line),
        }
    }
}

impl fmt::Display for Vrrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vrrp { source_mac, source, destination, version, vrid, priority, ttl, .. } = self;
        write!(f, "{source_mac} {source} > {destination} VRRPv{version} vrid {vrid}")?;
        write!(f, " prio {priority} interval {} ms ttl {ttl}", u32::from(self.interval_cs) * 10)?;
        if self.kind != 1 {
            write!(f, " TYPE {}", self.kind)?;
        }
        if self.behind_ah {
            f.write_str(" AH")?;
        }
        if self.version == 2 {
            write!(f, " auth {}", self.auth_type)?;
        }
        if self.checksum_over == ChecksumOver::Nothing {
            f.write_str(" WRONG CHECKSUM")?;
        }
        f.write_str(" vips")?;
        self.addresses.iter().try_for_each(|vip| write!(f, " {vip}"))
    }
}

impl fmt::Display for Arp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arp { source_mac, destination_mac, sender, target, sender_mac, .. } = self;
        write!(f, "{source_mac} > {destination_mac} ARP ")?;
        match self.operation {
            _ if self.is_gratuitous() => {
                let how = if self.operation == 1 { "request" } else { "reply" };
                write!(f, "gratuitous {how}: {sender} is at {sender_mac}")
            }
            1 => write!(f, "who has {target}, tell {sender}"),
            2 => write!(f, "{sender} is at {sender_mac}, told to {target}"),
            operation => write!(f, "operation {operation}"),
        }
    }
}

#[cfg(test)]
mod tests;
