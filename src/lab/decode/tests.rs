//! Packets captured from keepalived and FRR, and every way to cut them short.

use super::*;

const V2_PASS: &str = "45c0002800010000ff701891c0000201e00000122133960101012269c00002fe\
                       3131313100000000";
const V2_AH: &str = "45c0004000010000ff3318b6c0000201e000001270040000c0000201000000013cc89193732\
                     214abc4e3752621399601020183cbc00002f80000000000000000";
const V3_PSEUDO: &str = "45c0002000010000ff701899c0000201e0000012313596010032d30ac00002fb";
const V3_MESSAGE: &str = "45c0002000010000ff701899c0000201e0000012313596010032759bc00002fb";
const V3_WRONG: &str = "45c0002000010000ff701836c0000264e00000123135c8010064deadc00002fb";
const V3_HMAC: &str = "45c0003c00010000ff70b040c633640ae00000123133c80100644402c0000264010100006800\
                       0000800000001b84bc4e8e43892dc6d98448f8ee2265";
const V3_IPV6: &str = "6c0e475f002870fffe80000000000000000000fffe000001ff020000000000000000000000000\
                       0123136960200320c84fe80000000000000000000000000005420010db8000000000000000000\
                       000254";
const GARP: &str = "0001080006040001020000000001c00002feffffffffffffc00002fe";
const NA: &str = "6000000000203aff20010db8000000000000000000000254ff020000000000000000000000000001880\
                  0f4842000000020010db80000000000000000000002540201020000000001";

const ALL: [(&str, u16); 9] = [
    (V2_PASS, 0x0800),
    (V2_AH, 0x0800),
    (V3_PSEUDO, 0x0800),
    (V3_MESSAGE, 0x0800),
    (V3_WRONG, 0x0800),
    (V3_HMAC, 0x0800),
    (V3_IPV6, 0x86dd),
    (GARP, 0x0806),
    (NA, 0x86dd),
];

#[test]
fn vrrp_fields_are_what_they_were_sent_as() {
    let v2 = vrrp_of(V2_PASS, 0x0800);
    assert_eq!((v2.version, v2.kind, v2.vrid, v2.priority, v2.count), (2, 1, 51, 150, 1));
    assert_eq!((v2.interval_cs, v2.ttl, v2.tos, v2.checksum), (100, 255, 0xc0, 0x2269));
    assert_eq!((v2.auth_type, v2.auth_data), (1, Some(*b"1111\0\0\0\0")));
    assert_eq!(v2.addresses, ["192.0.2.254".parse::<IpAddr>().unwrap()]);
    assert_eq!(v2.length, 20);

    let ah = vrrp_of(V2_AH, 0x0800);
    assert!(ah.behind_ah && !v2.behind_ah);
    assert_eq!((ah.vrid, ah.auth_type, ah.checksum), (57, 2, 0x83cb));

    let v6 = vrrp_of(V3_IPV6, 0x86dd);
    assert_eq!((v6.version, v6.vrid, v6.interval_cs, v6.tos, v6.ttl), (3, 54, 50, 0xc0, 255));
    let vips = ["fe80::54", "2001:db8::254"].map(|ip| ip.parse::<IpAddr>().unwrap());
    assert_eq!(v6.addresses, vips);
    assert_eq!(v6.checksum_over, ChecksumOver::PseudoHeader);
}

#[test]
fn a_checksum_shows_what_it_covers() {
    let covered = |packet| vrrp_of(packet, 0x0800).checksum_over;
    assert_eq!(covered(V2_PASS), ChecksumOver::Message);
    assert_eq!(covered(V3_PSEUDO), ChecksumOver::PseudoHeader);
    assert_eq!(covered(V3_MESSAGE), ChecksumOver::Message);
    assert_eq!(covered(V3_HMAC), ChecksumOver::Message);
    assert_eq!(covered(V3_WRONG), ChecksumOver::Nothing);
}

#[test]
fn announcements_are_recognised() {
    match decode(&frame(GARP, 0x0806)) {
        Decoded::Arp(arp) => {
            assert!(arp.is_gratuitous());
            assert_eq!(arp.sender_mac.to_string(), "02:00:00:00:00:01");
        }
        other => panic!("{other}"),
    }
    match decode(&frame(NA, 0x86dd)) {
        Decoded::NeighbourAdvert(na) => {
            assert!(na.checksum_ok && na.overriding && !na.router && !na.solicited);
            assert_eq!(na.target.to_string(), "2001:db8::254");
            assert_eq!(na.link_address.unwrap().to_string(), "02:00:00:00:00:01");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn one_line_each() {
    let lines: Vec<_> = ALL.iter().map(|(p, kind)| decode(&frame(p, *kind)).to_string()).collect();
    assert_eq!(
        lines[0],
        "02:00:00:00:00:01 192.0.2.1 > 224.0.0.18 VRRPv2 vrid 51 prio 150 interval 1000 ms \
         ttl 255 auth 1 vips 192.0.2.254"
    );
    assert_eq!(
        lines[7],
        "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff ARP gratuitous request: 192.0.2.254 is at \
         02:00:00:00:00:01"
    );
    assert!(lines[4].contains("WRONG CHECKSUM"), "{}", lines[4]);
    assert!(lines.iter().all(|line| !line.contains('\n')));
}

#[test]
fn no_cut_or_changed_byte_panics() {
    for (packet, kind) in ALL {
        let whole = frame(packet, kind);
        for length in 0..whole.len() {
            drop(decode(&whole[..length]).to_string());
        }
        for at in 0..whole.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                drop(decode(&changed).to_string());
            }
        }
    }
}

fn vrrp_of(packet: &str, kind: u16) -> Vrrp {
    match decode(&frame(packet, kind)) {
        Decoded::Vrrp(vrrp) => vrrp,
        other => panic!("{other}"),
    }
}

/// The packet behind an Ethernet header from 02:00:00:00:00:01 to everybody.
fn frame(packet: &str, kind: u16) -> Vec<u8> {
    let bytes = (0..packet.len()).step_by(2);
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1];
    frame.extend(kind.to_be_bytes());
    frame.extend(bytes.map(|at| u8::from_str_radix(&packet[at..at + 2], 16).unwrap()));
    frame
}
