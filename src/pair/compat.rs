//! What keeps one node from accepting the other's adverts, before any of them is sent.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::{NodeSide, Place, RouterPair, Side, rough};
use crate::config::check::{ANY_TTL, HOW_FAR};
use crate::config::diag::{Diagnostic, Severity};
use crate::config::{Cast, Peer, Strict};
use crate::types::{AuthV2, Centis, Dialect, V3Checksum};
use crate::vrrp::timing;
use crate::wire::vrrp::HOP_LIMIT;

const BOTH_REFUSE: &str = "neither node accepts the other's adverts: both become master";

/// Reports that, and notes in `pair` which side refuses the other's adverts.
pub(super) fn check(pair: &mut RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let mut found = Vec::new();
    identity(pair, &mut found);
    let same_version = pair.a.router.dialect.version() == pair.b.router.dialect.version();
    if same_version {
        authentication(pair, &mut found);
        interval_v2(pair, &mut found);
    }
    cast(pair, &mut found);
    if found.is_empty() {
        for (own, other) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
            out.extend(peer_not_on_link(pair, own, other));
        }
    } else {
        pair.set_refusing(Side::A);
        pair.set_refusing(Side::B);
    }
    out.append(&mut found);
    if same_version {
        checksum(pair, out);
        interval_v3(pair, out);
        for side in [Side::A, Side::B] {
            refused_by(pair, side, out);
        }
    }
}

/// VRID, family, version.
fn identity(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&pair.a, &pair.b);
    if a.router.vrid != b.router.vrid {
        let (ours, theirs) = (a.router.vrid, b.router.vrid);
        out.push(
            pair.error(
                "the VRIDs differ",
                a.at(a.raw.vrid.as_ref(), ours),
                b.at(b.raw.vrid.as_ref(), theirs),
            )
            .note("adverts for another VRID are none of a node's business: both become master")
            .help("give this router the same number on both nodes"),
        );
    }
    let (ours, theirs) = (a.router.dialect.family(), b.router.dialect.family());
    if ours != theirs {
        let first = |node: &NodeSide<'_>| node.raw.addresses.first().map(|raw| raw.cidr);
        out.push(
            pair.error(
                "one node speaks IPv4, the other IPv6",
                a.at(first(a).as_ref(), ours),
                b.at(first(b).as_ref(), theirs),
            )
            .note("the first address decides the family of the adverts: both become master")
            .help("put the same address first on both nodes"),
        );
        return;
    }
    let (ours, theirs) = (a.router.dialect.version(), b.router.dialect.version());
    if ours != theirs {
        out.push(
            pair.error(
                "the VRRP versions differ",
                a.at(a.raw.version.as_ref(), format!("version {ours}")),
                b.at(b.raw.version.as_ref(), format!("version {theirs}")),
            )
            .note(BOTH_REFUSE)
            .help("use the same version on both nodes; change both at the same time"),
        );
    }
}

fn authentication(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&pair.a, &pair.b);
    let (Dialect::V2(ours), Dialect::V2(theirs)) = (a.router.dialect, b.router.dialect) else {
        return;
    };
    if ours == theirs {
        return;
    }
    let word = |auth| if auth == AuthV2::None { "no password" } else { "a password" };
    let text = if word(ours) == word(theirs) {
        "the passwords differ"
    } else {
        "only one node has a password"
    };
    let place = |node: &NodeSide<'_>, auth| match (&node.raw.auth_pass, auth) {
        (Some(pass), AuthV2::Pass(_)) => (pass.span, format!("{}: a password", node.node_name)),
        _ => (node.raw.name.span, format!("{}: no password", node.node_name)),
    };
    out.push(
        pair.error(text, place(a, ours), place(b, theirs))
            .note(BOTH_REFUSE)
            .help("use the same auth_pass on both nodes, or none"),
    );
}

fn interval_v2(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&pair.a, &pair.b);
    if let (Dialect::V2(_), true) = (a.router.dialect, a.router.interval != b.router.interval) {
        out.push(
            intervals(pair, Severity::Error)
                .note("version 2 refuses adverts with another interval: both become master")
                .help("use the same interval on both nodes"),
        );
    }
}

fn intervals(pair: &RouterPair<'_>, severity: Severity) -> Diagnostic {
    let (a, b) = (&pair.a, &pair.b);
    let error = pair.error(
        "the advert intervals differ",
        a.at(a.raw.interval.as_ref(), a.router.interval),
        b.at(b.raw.interval.as_ref(), b.router.interval),
    );
    Diagnostic { severity, ..error }
}

/// The interval `node` uses while it follows a master that advertises `advertised`.
pub(super) fn learned(node: &NodeSide<'_>, advertised: Centis) -> Centis {
    match node.router.dialect {
        Dialect::V2(_) => node.router.interval,
        Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => {
            advertised.min(node.router.options.max_learned_interval)
        }
    }
}

/// How long `node` waits for the next advert of such a master.
pub(super) fn master_down_interval(node: &NodeSide<'_>, advertised: Centis) -> Duration {
    timing::master_down(
        &node.router.dialect,
        node.priority(),
        learned(node, advertised),
        node.router.options.down_timer_adverts,
    )
}

/// Version 3 backups follow their master's interval, within limits.
fn interval_v3(pair: &mut RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&pair.a, &pair.b);
    if a.router.dialect.version() != 3 || a.router.interval == b.router.interval {
        return;
    }
    let side = if a.router.interval < b.router.interval { Side::A } else { Side::B };
    let (quick, slow) = (pair.node(side), pair.node(side.other()));
    let (name, other) = (quick.node_name, slow.node_name);
    let theirs = slow.router.interval;
    let wait = master_down_interval(quick, theirs);
    if wait <= theirs.as_duration() {
        let limit = quick.router.options.max_learned_interval;
        let text = format!(
            "{name} believes an interval of at most {limit} and waits {} for {other}, which speaks \
             every {theirs}",
            rough(wait)
        );
        out.push(
            intervals(pair, Severity::Error)
                .note(text)
                .note(format!("{name} takes over between two adverts of {other}, again and again"))
                .help("use the same interval on both nodes"),
        );
        pair.flaps = true;
        return;
    }
    let mut warning = intervals(pair, Severity::Warning)
        .note("a backup follows the interval of its master, so a failover takes longer one way")
        .help("use the same interval on both nodes");
    let first = master_down_interval(quick, quick.router.interval);
    if first <= theirs.as_duration() {
        warning = warning.note(format!(
            "until it hears {other}, {name} waits {}: it may take over whenever it starts",
            rough(first)
        ));
    }
    out.push(warning);
}

/// Multicast or unicast, the group, the peers.
fn cast(pair: &RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&pair.a, &pair.b);
    if let (Some(ours), Some(theirs)) = (a.router.source, b.router.source)
        && ours == theirs
    {
        out.push(
            pair.error(
                "both nodes send from the same address",
                a.at(a.raw.source.as_ref(), ours),
                b.at(b.raw.source.as_ref(), theirs),
            )
            .note("a node takes such adverts for its own and ignores them")
            .help("use the node's own address on each"),
        );
    }
    match (&a.router.cast, &b.router.cast) {
        (Cast::Multicast { group: ours }, Cast::Multicast { group: theirs }) => {
            if ours != theirs && ours.is_ipv4() == theirs.is_ipv4() {
                out.push(
                    pair.error(
                        "the multicast groups differ",
                        a.at(a.raw.group.as_ref(), ours),
                        b.at(b.raw.group.as_ref(), theirs),
                    )
                    .note(BOTH_REFUSE)
                    .help("use the same group on both nodes, or none"),
                );
            }
        }
        (Cast::Unicast { .. }, Cast::Unicast { .. }) => {
            for (own, other) in [(a, b), (b, a)] {
                out.extend(unlisted(pair, own, other));
            }
            if out.is_empty() {
                out.extend(one_peer_for_both(pair));
            }
        }
        _ => {
            let place = |node: &NodeSide<'_>| match &node.raw.peers {
                Some(peers) => (peers.span, format!("{}: unicast", node.node_name)),
                None => (node.raw.name.span, format!("{}: multicast", node.node_name)),
            };
            out.push(
                pair.error("one node speaks unicast, the other multicast", place(a), place(b))
                    .note(BOTH_REFUSE)
                    .help("list the unicast peers on both nodes, or on neither"),
            );
        }
    }
}

/// `own` does not know the address `other` sends from.
fn unlisted(pair: &RouterPair<'_>, own: &NodeSide<'_>, other: &NodeSide<'_>) -> Option<Diagnostic> {
    let Cast::Unicast { peers, .. } = &own.router.cast else { return None };
    let span = own.raw.peers.as_ref().map_or(own.raw.name.span, |peers| peers.span);
    let (name, from) = (own.node_name, other.node_name);
    let Some(source) = other.router.source else {
        if peers.iter().any(|peer| Some(peer.address) != own.router.source) {
            return None;
        }
        let text = format!("{}: {name} lists no peer but itself", pair.name());
        return Some(
            Diagnostic::error(span, text)
                .note("it has nobody to send to and stays in FAULT")
                .help(format!("list the address of {from}")),
        );
    };
    if source.is_ipv4() != pair.a.router.dialect.family().vrrp_group().is_ipv4()
        || peers.iter().any(|peer| peer.address == source)
    {
        return None;
    }
    let text = format!("{}: {name} does not list {source}, from where {from} sends", pair.name());
    let (there, label) = other.at(other.raw.source.as_ref(), source);
    Some(
        Diagnostic::error(span, text)
            .label(format!("the peers of {name}"))
            .also(there, label)
            .note(format!("{name} sends no adverts there and refuses those from there"))
            .help(format!("add {source} to the peers of {name}")),
    )
}

fn only_peer<'a>(node: &NodeSide<'a>) -> Option<&'a Peer> {
    match &node.router.cast {
        Cast::Unicast { peers, .. } => match peers.as_slice() {
            [peer] => Some(peer),
            _ => None,
        },
        Cast::Multicast { .. } => None,
    }
}

/// The only peer of `own` is outside the networks of the virtual addresses. Its own file does not say
/// from which address it sends; the peers of `other` do.
fn peer_not_on_link(
    pair: &RouterPair<'_>,
    own: &NodeSide<'_>,
    other: &NodeSide<'_>,
) -> Option<Diagnostic> {
    let peer = only_peer(own).filter(|peer| *peer.accepted_ttl.start() == 1)?;
    let here = match own.router.source {
        None => only_peer(other)?.address,
        // Said of its own file.
        Some(_) => return None,
    };
    let address = peer.address;
    let networks = own.router.addresses.iter().chain(&other.router.addresses);
    let mut networks =
        networks.map(|vip| vip.cidr).filter(|network| network.contains(here)).peekable();
    networks.peek()?;
    if here == address || networks.any(|network| network.contains(address)) {
        return None;
    }
    let name = own.node_name;
    let place = |node: &NodeSide<'_>, label| {
        let span = node.raw.peers.as_ref().map_or(node.raw.name.span, |peers| peers.span);
        (span, label)
    };
    let from = place(other, format!("{}: this is {name}", other.node_name));
    let text = format!("the peer {address} of {name} is not in the network of {here}");
    Some(
        pair.warning(&text, place(own, format!("{name}: {address}")), from)
            .note(ANY_TTL)
            .help(HOW_FAR),
    )
}

/// The same list with one address on both nodes: it can be one of them only.
fn one_peer_for_both(pair: &RouterPair<'_>) -> Option<Diagnostic> {
    let only = |node: &NodeSide<'_>| only_peer(node).map(|peer| peer.address);
    let address = only(&pair.a).filter(|address| only(&pair.b) == Some(*address))?;
    let place = |node: &NodeSide<'_>| {
        let span = node.raw.peers.as_ref().map_or(node.raw.name.span, |peers| peers.span);
        (span, format!("{}: {address}", node.node_name))
    };
    Some(
        pair.error("both nodes list the same single peer", place(&pair.a), place(&pair.b))
            .note(format!("if {address} is one of them, that node has nobody to send to"))
            .help("list both addresses on both nodes, or on each the other's"),
    )
}

/// The forms of the VRRPv3 checksum over IPv4; most receivers accept more than they send.
fn checksum(pair: &mut RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    let (a, b) = (pair.a, pair.b);
    let (Dialect::V3Ipv4(ours), Dialect::V3Ipv4(theirs)) = (a.router.dialect, b.router.dialect)
    else {
        return;
    };
    if ours == theirs {
        return;
    }
    let place = |node: &NodeSide<'_>, form| {
        let word = match form {
            V3Checksum::PseudoHeader => "over message and pseudo-header",
            V3Checksum::MessageOnly => "over the message only",
            V3Checksum::OldUnicast => "as before keepalived 1.3.7",
        };
        node.at(node.raw.checksum.as_ref(), word)
    };
    let mut accepted = true;
    for (side, own, other, form) in [(Side::A, a, b, theirs), (Side::B, b, a, ours)] {
        let accepts = match (own.router.strict, own.router.dialect) {
            (Some(Strict::Rfc9568), _) => form == V3Checksum::MessageOnly,
            (_, Dialect::V3Ipv4(V3Checksum::OldUnicast)) => true,
            _ => form != V3Checksum::OldUnicast,
        };
        if !accepts {
            let (name, from) = (own.node_name, other.node_name);
            out.push(
                pair.error(
                    &format!("{name} does not accept the checksum of {from}"),
                    place(&a, ours),
                    place(&b, theirs),
                )
                .note(not_seen(name, from))
                .help("use the same form on both nodes"),
            );
            pair.set_refusing(side);
            accepted = false;
        }
    }
    if accepted {
        out.push(
            pair
                .warning("the checksums differ", place(&a, ours), place(&b, theirs))
                .note("vipd accepts both; keepalived without v3_checksum_as_v2 refuses the shorter one")
                .help("use the same form on both nodes"),
        );
    }
}

fn not_seen(name: &str, from: &str) -> String {
    format!("{name} does not see {from} as master and serves beside it")
}

/// What only one direction suffers from: options of the receiver that refuse this sender.
fn refused_by(pair: &mut RouterPair<'_>, receiver: Side, out: &mut Vec<Diagnostic>) {
    let (own, other) = (pair.node(receiver), pair.node(receiver.other()));
    let (name, from) = (own.node_name, other.node_name);
    let mut found = Vec::new();
    if let Cast::Unicast { peers, .. } = &own.router.cast {
        let sent = match &other.router.cast {
            Cast::Unicast { ttl, .. } => *ttl,
            Cast::Multicast { .. } => HOP_LIMIT,
        };
        let mut from_there = peers.iter().filter(|peer| match other.router.source {
            Some(source) => peer.address == source,
            None => Some(peer.address) != own.router.source,
        });
        if from_there.clone().next().is_some()
            && from_there.all(|peer| !peer.accepted_ttl.contains(&sent))
        {
            let span = own.raw.peers.as_ref().map_or(own.raw.name.span, |peers| peers.span);
            let text = format!("{name} does not accept the TTL of {from}");
            let theirs = other.at(other.raw.ttl.as_ref(), format!("sends with TTL {sent}"));
            found.push(
                pair.error(&text, (span, format!("the peers of {name}")), theirs)
                    .help("leave the TTL at 255, or lower min_ttl of the peer"),
            );
        }
    }
    if let Some(strict) = own.raw.strict {
        let mut refuse = |what: &str, at: Place| {
            let text = format!("{name} follows an RFC to the letter and {what}");
            let here = (strict.span, format!("{name}: strict"));
            found.push(pair.error(&text, here, at).help("be strict on both nodes, or on neither"));
        };
        let not_link_local =
            |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if !v6.is_unicast_link_local());
        if other.router.advertised().next().is_some_and(not_link_local) {
            let at = other.at(other.raw.addresses.first().map(|raw| &raw.cidr), "not link-local");
            refuse("refuses a first address that is not link-local", at);
        }
        if other.router.source.is_some_and(not_link_local) {
            let at = other.at(other.raw.source.as_ref(), "not link-local");
            refuse("refuses a source that is not link-local", at);
        }
        let lists = |node: &NodeSide<'_>| node.router.advertised().collect::<BTreeSet<_>>();
        let owner = other.router.priority.is_owner();
        if strict.value == Strict::Rfc3768 && !owner && lists(own) != lists(other) {
            let at = (other.raw.name.span, format!("{from}: other addresses"));
            refuse("refuses adverts with other addresses than its own", at);
        }
    }
    if other.router.priority.is_owner() && !own.router.options.expect_owner {
        let theirs = other.at(other.raw.priority.as_ref(), "priority 255");
        let ours = own.at(own.raw.expect_owner.as_ref(), "expects no owner");
        let text = format!("{name} expects no owner, and {from} claims to be one");
        found.push(
            pair.error(&text, ours, theirs)
                .help(format!("lower the priority of {from}, or remove expect_owner")),
        );
    }
    if found.is_empty() {
        return;
    }
    let note = not_seen(name, from);
    out.extend(found.into_iter().map(|error| error.note(note.clone())));
    pair.set_refusing(receiver);
}
