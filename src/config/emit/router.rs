//! One router.

use std::sync::Arc;

use super::Inexpressible;
use super::table::Table;
use super::track;
use super::values::{address, array, key, length, peer, text};
use crate::config::announce::{AnnounceConfig, RawAnnounce};
use crate::config::check::{check, version_of};
use crate::config::diag::{Span, Spanned};
use crate::config::load::Loaded;
use crate::config::model::{Cast, Peer, Preempt, ReceiveBuffer, RouterConfig};
use crate::config::raw::{Raw, RawAddress, RawPeer, RawPeers, RawRouter};
use crate::config::vipd_toml;
use crate::types::{AuthV2, Centis, Dialect};
use crate::wire::vrrp::HOP_LIMIT;

pub(super) fn router(
    router: &RouterConfig,
    raw: &RawRouter,
    loaded: &Loaded,
) -> Result<String, Inexpressible> {
    let Some(standard) = standard(router, raw.name.span) else {
        return Err(Inexpressible::Differs(format!("{} does not check", router.name)));
    };
    let RouterConfig {
        name,
        iface,
        vrid,
        dialect,
        priority,
        interval,
        preempt,
        highest_peer_priority,
        down_timer_adverts,
        strict,
        source,
        track_source,
        cast,
        addresses,
        announce,
        answer_lower,
        advert_before_yield,
        check_addresses,
        max_learned_interval,
        expect_owner,
        owner_listens,
        track_iface,
        router_flag,
        release,
        lease,
        receive_buffer,
        promote_secondaries,
        // With those of its group.
        track: _,
        track_interfaces: _,
        notify: _,
    } = router;
    let heading = format!("[vrrp.{}]", key(name));
    let mut table = Table::new(heading, &loaded.map, Some(raw.name.span));
    table.set("interface", text(iface.as_str()));
    table.set("vrid", vrid.to_string());
    let list = |advertised| {
        let all = addresses.iter().zip(&standard.addresses);
        let some = all.filter(|(own, _)| own.advertised == advertised);
        some.map(|(own, standard)| address(own, standard)).collect::<Vec<_>>()
    };
    table.set("addresses", array("addresses", &list(true)));
    if addresses.iter().any(|address| !address.advertised) {
        table.set("excluded", array("excluded", &list(false)));
    }
    // Said even if it is the default: it is what tells the nodes of a group apart.
    table.translated("priority", priority.to_string(), raw.priority.map(|p| p.span));
    let version = i64::from(dialect.version());
    if version != version_of(&RawRouter { version: None, ..identity(router, raw.name.span) }) {
        table.translated("version", version.to_string(), raw.version.map(|v| v.span));
    }
    if *interval != Centis::SECOND {
        table.set("interval", length(interval.as_duration()));
    }
    match preempt {
        _ if *preempt == standard.preempt => {}
        Preempt::Never => table.translated("preempt", "false", raw.preempt.map(|p| p.span)),
        Preempt::After(delay) => table.set("preempt_delay", length(*delay)),
    }
    if let Some(highest) = highest_peer_priority {
        let at = raw.highest_peer_priority.map(|p| p.span);
        table.translated("highest_peer_priority", highest.to_string(), at);
    }
    if let Dialect::V2(AuthV2::Pass(padded)) = dialect {
        table.set("auth_pass", password(padded, name)?);
    }
    track::references(&mut table, &raw.track, &raw.track_interfaces, loaded);
    announcements(&mut table, announce, &standard.announce, &raw.announce);
    if let Some(source) = source {
        table.set("source", text(&source.to_string()));
    }
    match (cast, &standard.cast) {
        (Cast::Multicast { group }, _) => {
            if *group != dialect.family().vrrp_group() {
                table.translated("group", text(&group.to_string()), raw.group.map(|g| g.span));
            }
        }
        (Cast::Unicast { peers, ttl }, Cast::Unicast { peers: standard, .. }) => {
            let peers: Vec<String> =
                peers.iter().zip(standard).map(|(own, standard)| peer(own, standard)).collect();
            table.set("peers", array("peers", &peers));
            if peers.is_empty() {
                table.set("fault_without_peers", "true");
            }
            if *ttl != HOP_LIMIT {
                table.translated("ttl", ttl.to_string(), raw.ttl.map(|ttl| ttl.span));
            }
        }
        (Cast::Unicast { .. }, Cast::Multicast { .. }) => {}
    }
    if let (Dialect::V3Ipv4(own), Dialect::V3Ipv4(standard)) = (dialect, standard.dialect)
        && *own != standard
    {
        table.choice("checksum", vipd_toml::CHECKSUMS, own, raw.checksum.map(|c| c.span));
    }
    if let Some(strict) = strict {
        table.choice("strict", vipd_toml::STRICT, strict, raw.strict.map(|s| s.span));
    }
    if *down_timer_adverts != standard.down_timer_adverts {
        let at = raw.down_timer_adverts.map(|n| n.span);
        table.translated("down_timer_adverts", down_timer_adverts.to_string(), at);
    }
    if *max_learned_interval != standard.max_learned_interval {
        table.set("max_learned_interval", length(max_learned_interval.as_duration()));
    }
    for (key, own, standard, raw) in [
        ("answer_lower", *answer_lower, standard.answer_lower, raw.answer_lower),
        (
            "advert_before_yield",
            *advert_before_yield,
            standard.advert_before_yield,
            raw.advert_before_yield,
        ),
        ("check_addresses", *check_addresses, standard.check_addresses, raw.check_addresses),
        ("expect_owner", *expect_owner, standard.expect_owner, raw.expect_owner),
        ("owner_listens", *owner_listens, standard.owner_listens, raw.owner_listens),
        ("track_interface", *track_iface, standard.track_iface, raw.track_interface),
        ("track_source", *track_source, standard.track_source, raw.track_source),
        ("lease", *lease, standard.lease, raw.lease),
        (
            "promote_secondaries",
            *promote_secondaries,
            standard.promote_secondaries,
            raw.promote_secondaries,
        ),
    ] {
        table.flag(key, own, standard, raw);
    }
    if *router_flag != standard.router_flag {
        let at = raw.router_flag.map(|flag| flag.span);
        table.choice("router_flag", vipd_toml::ROUTER_FLAGS, router_flag, at);
    }
    if *release != standard.release {
        table.choice("release", vipd_toml::RELEASES, release, raw.release.map(|r| r.span));
    }
    if let Some(buffer) = receive_buffer {
        let value = match buffer {
            ReceiveBuffer::Bytes(bytes) => bytes.to_string(),
            ReceiveBuffer::Mtus(times) => text(&format!("{times} mtu")),
        };
        table.translated("receive_buffer", value, raw.receive_buffer.map(|b| b.span));
    }
    Ok(table.finish())
}

fn announcements(
    table: &mut Table<'_>,
    own: &AnnounceConfig,
    standard: &AnnounceConfig,
    raw: &RawAnnounce,
) {
    for key in AnnounceConfig::KEYS.iter().filter(|key| !(key.same)(own, standard)) {
        table.translated(key.path, (key.toml)(own), (key.origin)(raw));
    }
}

/// The characters of a password as it travels: padded with zero bytes.
fn password(padded: &[u8; AuthV2::MAX_PASS], router: &str) -> Result<String, Inexpressible> {
    let zeros = padded.iter().rev().take_while(|byte| **byte == 0).count();
    let bytes = padded.get(..padded.len() - zeros).unwrap_or_default();
    let pass = std::str::from_utf8(bytes)
        .map_err(|_| Inexpressible::Password { router: router.to_owned() })?;
    Ok(text(pass))
}

/// A router that says no more than which one it is, for the defaults that follow from that.
fn standard(router: &RouterConfig, place: Span) -> Option<Arc<RouterConfig>> {
    let raw = Raw { routers: vec![identity(router, place)], ..Raw::default() };
    check(&raw, &mut Vec::new())?.routers.pop()
}

fn identity(router: &RouterConfig, place: Span) -> RawRouter {
    let mut raw = RawRouter::new(Spanned::new(router.name.clone(), place), &vipd_toml::WORDS);
    raw.interface = Some(Spanned::new(router.iface.to_string(), place));
    raw.vrid = Some(Spanned::new(router.vrid.get().into(), place));
    raw.version = Some(Spanned::new(router.dialect.version().into(), place));
    raw.interval = Some(Spanned::new(router.interval.as_duration(), place));
    raw.strict = router.strict.map(|strict| Spanned::new(strict, place));
    raw.source = router.source.map(|source| Spanned::new(source, place));
    for address in &router.addresses {
        let list = if address.advertised { &mut raw.addresses } else { &mut raw.excluded };
        list.push(RawAddress::new(Spanned::new(address.cidr, place)));
    }
    raw.no_addresses = raw.addresses.is_empty().then_some(place);
    match &router.cast {
        Cast::Multicast { group } => raw.group = Some(Spanned::new(*group, place)),
        Cast::Unicast { peers, ttl } => {
            let peer = |peer: &Peer| RawPeer::new(Spanned::new(peer.address, place));
            let list = peers.iter().map(peer).collect();
            raw.peers = Some(RawPeers { span: place, list, unreadable: false });
            raw.fault_without_peers = Some(Spanned::new(true, place));
            raw.ttl = Some(Spanned::new((*ttl).into(), place));
        }
    }
    raw
}
