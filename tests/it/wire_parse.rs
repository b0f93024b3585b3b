//! What we refuse, by rule: each packet has one fault, made right in every other respect.

use std::net::IpAddr;

use vipd::types::{AuthV2, Dialect, DropCounter};
use vipd::wire::checksum::Checksum;
use vipd::wire::vrrp::{
    Advert, ChecksumAccept, DropReason, HOP_LIMIT, Parsed, Peek, check_hop_limit, peek,
};

use crate::golden::{
    NO_AUTH, PASS_1111, V3_MESSAGE, V3_PSEUDO, deliver, packet, receive, receive_with, v4, v6,
};

/// The message of a recorded packet, changed, with its checksum put right in the form the
/// dialect's peer would use.
fn altered(file: &str, dialect: &Dialect, change: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    let ip = deliver(&packet(file)).unwrap();
    let mut message = ip.message;
    change(&mut message);
    let length = u16::try_from(message.len()).unwrap();
    message[6..8].fill(0);
    let sum = Checksum::new().add_bytes(&message);
    let sum = match (message[0] >> 4, ip.source, ip.destination) {
        (2, ..) => sum,
        (_, IpAddr::V4(source), IpAddr::V4(destination)) => {
            sum.add_ipv4_pseudo_header(source, destination, 112, length)
        }
        (_, IpAddr::V6(source), IpAddr::V6(destination)) => {
            sum.add_ipv6_pseudo_header(source, destination, 112, length)
        }
        _ => unreachable!("one family"),
    };
    message[6..8].copy_from_slice(&sum.finish().to_be_bytes());
    Refusal(Advert::parse(dialect, ip.source, ip.destination, &message, ChecksumAccept::Both))
}

struct Refusal(Result<Parsed, DropReason>);

impl Refusal {
    fn counter(&self) -> DropCounter {
        self.0.as_ref().expect_err("accepted").counter()
    }
}

// C19, C33, C71
#[test]
fn hop_limits_outside_the_range_or_unknown_are_refused() {
    let multicast = HOP_LIMIT..=HOP_LIMIT;
    assert_eq!(check_hop_limit(Some(255), &multicast), Ok(()));
    for received in [Some(254), Some(0), None] {
        let refusal = check_hop_limit(received, &multicast).unwrap_err();
        assert_eq!(refusal.counter().name(), "ip_ttl_errors", "{refusal}");
    }
    assert_eq!(check_hop_limit(Some(64), &(60..=255)), Ok(()));
    assert!(check_hop_limit(Some(59), &(60..=255)).is_err());

    let mut v6 = packet("v3_ipv6");
    v6[7] = 254;
    let refusal = receive(&v6, &Dialect::V3Ipv6).unwrap_err();
    assert_eq!(refusal, DropReason::HopLimit { found: 254, lowest: 255, highest: 255 });
    let unicast = packet("v3_ipv6_uni_hl64");
    assert_eq!(receive(&unicast, &Dialect::V3Ipv6).unwrap_err().counter().name(), "ip_ttl_errors");
}

// C20
#[test]
fn every_type_but_advertisement_is_refused() {
    for packet_type in (0..=15).filter(|packet_type| *packet_type != 1) {
        let refusal = altered("v3_ipv4_ph", &V3_PSEUDO, |m| m[0] = 0x30 | packet_type);
        assert_eq!(refusal.counter().name(), "invalid_type_pkts", "type {packet_type}");
    }
}

// C21
#[test]
fn unknown_versions_and_vrrpv2_over_ipv6_are_refused() {
    for version in (0..=15).filter(|version| !matches!(version, 2 | 3)) {
        let refusal = altered("v3_ipv4_ph", &V3_PSEUDO, |m| m[0] = version << 4 | 1);
        assert_eq!(refusal.counter().name(), "version_errors", "version {version}");
    }
    let refusal = altered("v3_ipv6", &Dialect::V3Ipv6, |m| m[0] = 0x21);
    assert_eq!(refusal.0, Err(DropReason::Version2OverIpv6));
    assert_eq!(refusal.counter().name(), "version_errors");
}

// C91
#[test]
fn the_other_version_is_a_version_error_not_a_checksum_error() {
    for (file, dialect) in [
        ("v2_noauth_2vip", V3_PSEUDO),
        ("v2_pass", V3_MESSAGE),
        ("v3_ipv4_ph", NO_AUTH),
        ("v3_ipv4_noph", PASS_1111),
        ("v3_ipv6", NO_AUTH),
        ("v3_ipv6", V3_PSEUDO),
        ("v3_ipv4_ph", Dialect::V3Ipv6),
    ] {
        let refusal = receive(&packet(file), &dialect).expect_err(file);
        assert_eq!(refusal.counter().name(), "version_errors", "{file}: {refusal}");
    }
}

// C22, C24
#[test]
fn count_and_length_must_agree_exactly() {
    for (file, dialect, address_len) in
        [("v3_ipv4_ph", V3_PSEUDO, 4), ("v3_ipv6", Dialect::V3Ipv6, 16), ("v2_pass", PASS_1111, 4)]
    {
        let count = deliver(&packet(file)).unwrap().message[3];
        for wrong in (1..=255).filter(|n| *n != count) {
            let refusal = altered(file, &dialect, |m| m[3] = wrong);
            assert_eq!(refusal.counter().name(), "packet_length_errors", "{file}: count {wrong}");
        }
        for more in [1, 2, address_len, 27, 28, 29, 56] {
            let refusal = altered(file, &dialect, |m| m.resize(m.len() + more, 0));
            assert_eq!(refusal.counter().name(), "packet_length_errors", "{file}: {more} more");
            assert_eq!(refusal.0 == Err(DropReason::AuthExtension), more == 28, "{file}: {more}");
        }
        for fewer in 1..=address_len {
            let refusal = altered(file, &dialect, |m| m.truncate(m.len() - fewer));
            assert_eq!(refusal.counter().name(), "packet_length_errors", "{file}: {fewer} fewer");
        }
    }
    for (file, dialect) in [("v3_ipv4_ph", V3_PSEUDO), ("v3_ipv6", Dialect::V3Ipv6)] {
        let refusal = altered(file, &dialect, |m| {
            m.truncate(8);
            m[3] = 0;
        });
        assert_eq!(refusal.counter().name(), "addr_count_zero", "{file}");
    }
    // VRRPv2 has no such rule.
    let empty = altered("v2_noauth_2vip", &NO_AUTH, |m| {
        m.drain(8..16);
        m[3] = 0;
    });
    assert!(empty.0.unwrap().advert.addresses.is_empty());
}

// C23
#[test]
fn interval_zero_is_refused() {
    let zero = |m: &mut Vec<u8>| m[5] = 0;
    assert_eq!(altered("v2_pass", &PASS_1111, zero).counter().name(), "interval_errors");
    assert_eq!(altered("v3_ipv6", &Dialect::V3Ipv6, zero).counter().name(), "interval_errors");
    // The reserved nibble does not count.
    let reserved_only = altered("v3_ipv4_ph", &V3_PSEUDO, |m| (m[4], m[5]) = (0xf0, 0));
    assert_eq!(reserved_only.counter().name(), "interval_errors");
}

// C25
#[test]
fn messages_below_eight_bytes_are_refused() {
    let whole = deliver(&packet("v3_ipv4_ph")).unwrap();
    for length in 0..8 {
        let message = &whole.message[..length];
        assert_eq!(peek(message), Err(DropReason::TooShort { found: length }));
        for dialect in [NO_AUTH, V3_PSEUDO] {
            let refusal = Advert::parse(
                &dialect,
                whole.source,
                whole.destination,
                message,
                ChecksumAccept::Both,
            )
            .unwrap_err();
            assert_eq!(refusal.counter().name(), "packet_length_errors");
        }
    }
}

// C26
#[test]
fn virtual_router_id_zero_is_refused() {
    for (file, dialect) in
        [("v2_pass", PASS_1111), ("v3_ipv4_ph", V3_PSEUDO), ("v3_ipv6", Dialect::V3Ipv6)]
    {
        assert_eq!(altered(file, &dialect, |m| m[1] = 0).counter().name(), "vrid_errors", "{file}");
    }
}

#[test]
fn peek_reads_the_start_and_nothing_else() {
    let message = deliver(&packet("neg_v2_vrid0")).unwrap().message;
    assert_eq!(peek(&message), Ok(Peek { version: 2, vrid_byte: 0, priority: 200 }));
    // A wrong checksum and a missing list are not its business.
    let message = deliver(&packet("neg_v3_badck")).unwrap().message;
    assert_eq!(peek(&message[..8]), Ok(Peek { version: 3, vrid_byte: 53, priority: 200 }));
    assert_eq!(peek(&[0x11; 8]), Err(DropReason::UnknownVersion { found: 1 }));
    assert_eq!(peek(&[0x32; 8]), Err(DropReason::Type { found: 2 }));
}

// C34
#[test]
fn ethernet_padding_is_ignored() {
    for (file, dialect) in [("v3_ipv4_ph", V3_PSEUDO), ("v2_pass", PASS_1111)] {
        let mut padded = packet(file);
        let bare = receive(&padded, &dialect);
        padded.resize(padded.len() + 14, 0x5a);
        assert_eq!(receive(&padded, &dialect), bare, "{file}");
        assert!(bare.is_ok(), "{file}");
    }
}

// C35
#[test]
fn authentication_data_of_type_0_is_ignored() {
    let end = |m: &mut Vec<u8>| m.last_mut().map_or((), |byte| *byte = 0x5a);
    assert!(altered("v2_noauth_2vip", &NO_AUTH, end).0.is_ok());
    assert_eq!(altered("v2_pass", &PASS_1111, end).counter().name(), "auth_failures");
}

// C76, C77
#[test]
fn another_authentication_than_configured_is_refused() {
    let refusal = |file: &str, dialect: &Dialect| receive(&packet(file), dialect).unwrap_err();
    assert_eq!(
        refusal("v2_pass", &NO_AUTH).to_string(),
        "auth_type PASS received, no authentication configured"
    );
    assert_eq!(
        refusal("v2_noauth_2vip", &PASS_1111).to_string(),
        "no authentication received, auth_type PASS configured"
    );
    for (file, dialect) in [("v2_pass", NO_AUTH), ("v2_noauth_2vip", PASS_1111)] {
        assert_eq!(refusal(file, &dialect).counter().name(), "auth_type_mismatch");
        // Type 2 without the header in front of it.
        let ah = altered(file, &dialect, |m| m[4] = 2);
        assert_eq!(ah.counter().name(), "auth_type_mismatch");
        for unknown in 3..=255 {
            let refusal = altered(file, &dialect, |m| m[4] = unknown);
            assert_eq!(refusal.counter().name(), "invalid_auth_type");
        }
    }
    for password in [&b"1112"[..], b"111", b"11111", b"2111"] {
        let dialect = Dialect::V2(AuthV2::pass(password).unwrap());
        assert_eq!(refusal("v2_pass", &dialect), DropReason::WrongPassword);
    }
}

// C30
#[test]
fn the_form_of_a_checksum_is_told_only_where_there_are_two() {
    use vipd::types::V3Checksum::{MessageOnly, PseudoHeader};
    for (file, form) in [("v3_ipv4_ph", PseudoHeader), ("v3_ipv4_noph", MessageOnly)] {
        // What we send ourselves does not change what we understand.
        for dialect in [V3_PSEUDO, V3_MESSAGE] {
            assert_eq!(receive(&packet(file), &dialect).unwrap().checksum, Some(form));
        }
    }
    // Both verify when the pseudo-header adds nothing: the pseudo-header form is reported.
    let (source, destination) = (v4("0.0.0.2"), v4("255.255.255.129"));
    let mut out = Vec::new();
    let advert = receive(&packet("v3_ipv4_ph"), &V3_PSEUDO).unwrap().advert;
    advert.emit(&V3_MESSAGE, source.into(), destination.into(), &mut out).unwrap();
    for (accept, form) in
        [(ChecksumAccept::Both, PseudoHeader), (ChecksumAccept::MessageOnly, MessageOnly)]
    {
        let parsed =
            Advert::parse(&V3_PSEUDO, source.into(), destination.into(), &out, accept).unwrap();
        assert_eq!(parsed.checksum, Some(form));
    }
}

// RFC 3768 section 5.3.8
#[test]
fn vrrpv2_has_no_pseudo_header() {
    let ip = deliver(&packet("v2_noauth_2vip")).unwrap();
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (ip.source, ip.destination) else {
        panic!("an IPv4 packet");
    };
    let mut message = ip.message;
    message[6..8].fill(0);
    let length = u16::try_from(message.len()).unwrap();
    let sum = Checksum::new()
        .add_bytes(&message)
        .add_ipv4_pseudo_header(source, destination, 112, length)
        .finish();
    message[6..8].copy_from_slice(&sum.to_be_bytes());
    let refusal =
        Advert::parse(&NO_AUTH, ip.source, ip.destination, &message, ChecksumAccept::Both);
    assert_eq!(refusal, Err(DropReason::Checksum));
}

#[test]
fn the_checksum_binds_source_and_destination_in_ipv6() {
    let ip = deliver(&packet("v3_ipv6")).unwrap();
    let parse = |source, destination| {
        let accept = ChecksumAccept::Both;
        Advert::parse(&Dialect::V3Ipv6, source, destination, &ip.message, accept)
    };
    assert!(parse(ip.source, ip.destination).is_ok());
    assert_eq!(parse(v6("fe80::2").into(), ip.destination), Err(DropReason::Checksum));
    assert_eq!(parse(ip.source, v6("ff02::13").into()), Err(DropReason::Checksum));
}

// The tolerated range of a unicast peer does not change anything else.
#[test]
fn a_unicast_advert_with_a_lower_hop_limit_is_verified_as_any_other() {
    let mut unicast = packet("v3_ipv6_uni_hl64");
    let last = unicast.len() - 1;
    unicast[last] ^= 1;
    let refusal = receive_with(&unicast, &Dialect::V3Ipv6, 64, ChecksumAccept::Both);
    assert_eq!(refusal, Err(DropReason::Checksum));
}
