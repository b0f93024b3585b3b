//! What we put on the wire: limits, the IPv4 header, and that reading undoes writing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::ipv4::{Ipv4Packet, checksum as ipv4_checksum};
use proptest::prelude::*;
use vipd::types::{AuthV2, Centis, Dialect, V3Checksum, Vrid};
use vipd::wire::ipv4;
use vipd::wire::vrrp::{
    Advert, ChecksumAccept, Claim, HOP_LIMIT, PROTOCOL, Unsendable, max_addresses,
};

use crate::golden::{NO_AUTH, PASS_1111, V3_MESSAGE, V3_PSEUDO, advert, v4, v6};

/// From a usual source to the group of the dialect.
fn emit(advert: &Advert, dialect: &Dialect) -> Result<Vec<u8>, Unsendable> {
    let source = match dialect {
        Dialect::V2(_) | Dialect::V3Ipv4(_) => IpAddr::V4(v4("192.0.2.1")),
        Dialect::V3Ipv6 => IpAddr::V6(v6("fe80::1")),
    };
    let mut out = Vec::new();
    let result = advert.emit(dialect, source, dialect.family().vrrp_group(), &mut out);
    assert!(result.is_ok() || out.is_empty(), "a refused advert leaves nothing behind");
    result.map(|()| out)
}

// C6
#[test]
fn a_unicast_advert_has_the_peer_in_its_checksum() {
    let advert = advert(62, 150, 100, &["192.0.2.231"]);
    let checksum = |destination: &str| {
        let mut out = Vec::new();
        advert.emit(&V3_PSEUDO, v4("192.0.2.1").into(), v4(destination).into(), &mut out).unwrap();
        u16::from_be_bytes([out[6], out[7]])
    };
    assert_eq!(checksum("192.0.2.100"), 0xf091);
    assert_ne!(checksum("192.0.2.101"), 0xf091);
}

// C7
#[test]
fn the_reserved_nibble_is_zero_for_every_interval() {
    for dialect in [V3_PSEUDO, V3_MESSAGE] {
        for centis in 1..=4095 {
            let out = emit(&advert(1, 100, centis, &["192.0.2.9"]), &dialect).unwrap();
            assert_eq!(u16::from_be_bytes([out[4], out[5]]), centis);
        }
        for centis in [4096, 25_500] {
            let refusal = emit(&advert(1, 100, centis, &["192.0.2.9"]), &dialect).unwrap_err();
            assert!(matches!(refusal, Unsendable::Interval { version: 3, .. }), "{refusal}");
        }
    }
    assert!(Centis::try_from(0).is_err());
}

#[test]
fn vrrpv2_intervals_are_whole_seconds() {
    for seconds in 1..=255_u8 {
        let advert = advert(1, 100, u16::from(seconds) * 100, &["192.0.2.9"]);
        assert_eq!(emit(&advert, &NO_AUTH).unwrap()[5], seconds);
    }
    for centis in [1, 99, 101, 150] {
        let refusal = emit(&advert(1, 100, centis, &["192.0.2.9"]), &NO_AUTH).unwrap_err();
        assert!(matches!(refusal, Unsendable::Interval { version: 2, .. }), "{refusal}");
    }
}

// C8
#[test]
fn passwords_are_padded_with_zeros() {
    let auth_data = |password: &[u8]| {
        let dialect = Dialect::V2(AuthV2::pass(password).unwrap());
        emit(&advert(1, 100, 100, &["192.0.2.9"]), &dialect).unwrap()[12..].to_vec()
    };
    assert_eq!(auth_data(b"abc"), *b"abc\0\0\0\0\0");
    assert_eq!(auth_data(b"abcdefgh"), *b"abcdefgh");
    assert!(AuthV2::pass(b"abcdefghi").is_err());
}

// C9
#[test]
fn the_list_holds_255_addresses_or_what_the_mtu_allows() {
    let addresses = |count: u16| (0..count).map(|n| IpAddr::V4(Ipv4Addr::from_bits(n.into())));
    let mut advert = advert(1, 100, 100, &["192.0.2.9"]);
    for dialect in [NO_AUTH, PASS_1111, V3_PSEUDO, V3_MESSAGE] {
        advert.addresses = addresses(255).collect();
        let auth_data = if dialect.version() == 2 { 8 } else { 0 };
        assert_eq!(emit(&advert, &dialect).unwrap().len(), 8 + 255 * 4 + auth_data);
        advert.addresses = addresses(256).collect();
        assert_eq!(emit(&advert, &dialect), Err(Unsendable::TooManyAddresses { found: 256 }));
        assert_eq!(max_addresses(&dialect, 1500), 255);
    }

    assert_eq!(max_addresses(&Dialect::V3Ipv6, 1500), 90);
    advert.addresses =
        (0..90).map(|n| IpAddr::V6(Ipv6Addr::from_bits(0xfe80 << 112 | n))).collect();
    assert_eq!(40 + emit(&advert, &Dialect::V3Ipv6).unwrap().len(), 1488);

    // One byte decides whether the last address fits, and no MTU makes it panic.
    assert_eq!(max_addresses(&V3_PSEUDO, 20 + 8 + 4), 1);
    assert_eq!(max_addresses(&V3_PSEUDO, 20 + 8 + 3), 0);
    assert_eq!(max_addresses(&NO_AUTH, 20 + 16 + 4), 1);
    assert_eq!(max_addresses(&NO_AUTH, 20 + 16 + 3), 0);
    assert_eq!(max_addresses(&Dialect::V3Ipv6, 0), 0);
    assert_eq!(max_addresses(&Dialect::V3Ipv6, u16::MAX), 255);
}

#[test]
fn what_no_receiver_would_take_is_not_sent() {
    assert_eq!(emit(&advert(1, 100, 100, &[]), &V3_PSEUDO), Err(Unsendable::NoAddress));
    assert_eq!(emit(&advert(1, 100, 100, &[]), &Dialect::V3Ipv6), Err(Unsendable::NoAddress));
    let mixed = advert(1, 100, 100, &["192.0.2.9", "2001:db8::9"]);
    for dialect in [NO_AUTH, V3_PSEUDO, Dialect::V3Ipv6] {
        assert!(matches!(emit(&mixed, &dialect), Err(Unsendable::WrongFamily { .. })));
    }
    let (v4, v6) = (IpAddr::from(v4("192.0.2.1")), IpAddr::from(v6("fe80::1")));
    for (source, destination) in [(v4, v6), (v6, v4), (v6, v6)] {
        let mut out = Vec::new();
        let result =
            advert(1, 1, 100, &["192.0.2.9"]).emit(&V3_PSEUDO, source, destination, &mut out);
        assert!(matches!(result, Err(Unsendable::Endpoints { .. })));
    }
}

// C10
#[test]
fn the_ipv4_header_is_keepalived_s() {
    let mut out = Vec::new();
    ipv4::emit(9, v4("192.0.2.1"), v4("224.0.0.18"), HOP_LIMIT, PROTOCOL, 20, &mut out).unwrap();
    let recorded = crate::golden::packet("v2_pass_prio0");
    assert_eq!(out, recorded[..20]);

    let decoded = Ipv4Packet::new(&out).unwrap();
    assert_eq!(decoded.get_header_length(), 5);
    assert_eq!(decoded.get_dscp() << 2 | decoded.get_ecn(), 0xc0);
    assert_eq!(decoded.get_identification(), 9);
    assert_eq!((decoded.get_flags(), decoded.get_fragment_offset()), (0, 0));
    assert_eq!((decoded.get_ttl(), decoded.get_next_level_protocol().0), (255, 112));
    assert_eq!(decoded.get_checksum(), ipv4_checksum(&decoded));
}

/// A dialect with an interval it can carry and up to 20 addresses (the length itself is C9).
fn dialect_and_advert() -> impl Strategy<Value = (Dialect, Advert)> {
    let dialect = prop_oneof![
        Just(NO_AUTH),
        any::<[u8; 8]>().prop_map(|password| Dialect::V2(AuthV2::Pass(password))),
        Just(V3_PSEUDO),
        Just(V3_MESSAGE),
        Just(Dialect::V3Ipv6),
    ];
    dialect.prop_flat_map(|dialect| {
        let interval = match dialect {
            Dialect::V2(_) => (1..=255_u16).prop_map(|seconds| seconds * 100).boxed(),
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => (1..=4095_u16).boxed(),
        };
        let address = match dialect {
            Dialect::V2(_) | Dialect::V3Ipv4(_) => any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed(),
            Dialect::V3Ipv6 => any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed(),
        };
        let fewest = usize::from(dialect.version() == 3);
        let addresses = prop::collection::vec(address, fewest..=20);
        (1..=255_u8, any::<u8>(), interval, addresses).prop_map(
            move |(vrid, priority, interval, addresses)| {
                let advert = Advert {
                    vrid: Vrid::try_from(vrid).unwrap(),
                    claim: Claim::from_wire(priority),
                    interval: Centis::try_from(interval).unwrap(),
                    addresses,
                };
                (dialect, advert)
            },
        )
    })
}

fn endpoint(dialect: &Dialect, bits: u128) -> IpAddr {
    match dialect {
        Dialect::V2(_) | Dialect::V3Ipv4(_) => {
            let [.., a, b, c, d] = bits.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        Dialect::V3Ipv6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // C16
    #[test]
    fn reading_undoes_writing(
        (dialect, advert) in dialect_and_advert(),
        source in any::<u128>(),
        destination in any::<u128>(),
    ) {
        let (source, destination) = (endpoint(&dialect, source), endpoint(&dialect, destination));
        let mut out = Vec::new();
        advert.emit(&dialect, source, destination, &mut out).unwrap();
        let parsed = Advert::parse(&dialect, source, destination, &out, ChecksumAccept::Both);
        let parsed = parsed.unwrap();
        prop_assert_eq!(&parsed.advert, &advert);
        match dialect {
            // With a pseudo-header that sums to zero both forms verify.
            Dialect::V3Ipv4(V3Checksum::MessageOnly) => prop_assert!(parsed.checksum.is_some()),
            Dialect::V3Ipv4(form) => prop_assert_eq!(parsed.checksum, Some(form)),
            Dialect::V2(_) | Dialect::V3Ipv6 => prop_assert_eq!(parsed.checksum, None),
        }
    }

    #[test]
    fn every_priority_byte_survives(byte in any::<u8>()) {
        prop_assert_eq!(Claim::from_wire(byte).wire_value(), byte);
        prop_assert_eq!(Claim::from_wire(byte) == Claim::Resign, byte == 0);
    }
}
