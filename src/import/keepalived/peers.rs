//! `unicast_peer`, one peer per line, and the settings that only make sense with it.

use super::keywords::Block;
use super::tree::Node;
use super::values::{ip, number};
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::config::raw::{RawPeer, RawPeers, RawRouter};

/// Adds the peers of a block; a second block adds to the first.
pub(crate) fn lower(node: &Node, raw: &mut RawRouter, out: &mut Vec<Diagnostic>) {
    let span = node.keyword.span;
    let peers = raw.peers.get_or_insert(RawPeers { span, list: Vec::new(), unreadable: false });
    for line in node.block.as_deref().unwrap_or_default() {
        match entry(line, out) {
            Some(peer) => peers.list.push(peer),
            None => peers.unreadable = true,
        }
    }
}

fn entry(node: &Node, out: &mut Vec<Diagnostic>) -> Option<RawPeer> {
    if node.block.is_some() {
        out.push(
            Diagnostic::error(node.span(), "a peer takes no block").help("is a `}` missing above?"),
        );
        return None;
    }
    let mut peer = RawPeer::new(ip(&node.keyword, out)?);
    let mut words = node.args.iter();
    while let Some(word) = words.next() {
        let Some(keyword) = Block::Peer.find(&word.text) else {
            let text = format!("{} is no option of a peer", quoted(&word.text));
            let known = Block::Peer.keywords().iter().map(|k| k.name);
            let error = Diagnostic::error(word.span, text).suggest(nearest(&word.text, known));
            out.push(if word.text.parse::<std::net::IpAddr>().is_ok() {
                error.help("one peer per line")
            } else {
                error
            });
            return None;
        };
        let Some(value) = words.next() else {
            out.push(Diagnostic::error(word.span, format!("`{}` needs a value", keyword.name)));
            return None;
        };
        let ttl = Some(number(value, out)?);
        match keyword.name {
            "min_ttl" => peer.min_ttl = ttl,
            "max_ttl" => peer.max_ttl = ttl,
            name => debug_assert!(false, "{name} is in the table but not read"),
        }
    }
    Some(peer)
}

/// `old_unicast_checksum [never]`: the place, if it asks for it.
pub(crate) fn old_checksum(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Span> {
    let Some(word) = node.args.first() else { return Some(node.keyword.span) };
    if word.text != "never" {
        let text = format!("{} is left over after `old_unicast_checksum`", quoted(&word.text));
        out.push(Diagnostic::error(word.span, text).help("allowed: never, or nothing"));
    }
    None
}

/// What depends on whether there are peers. The group of `global_defs` is for multicast instances.
pub(crate) fn finish(
    raw: &mut RawRouter,
    global_group: Option<Spanned<std::net::IpAddr>>,
    out: &mut Vec<Diagnostic>,
) {
    if let Some(Spanned { value: true, span }) = raw.fault_without_peers {
        // It asks for unicast by itself.
        raw.peers.get_or_insert(RawPeers { span, list: Vec::new(), unreadable: false });
    }
    let empty = |peers: &mut RawPeers| peers.list.is_empty() && !peers.unreadable;
    let waits = raw.fault_without_peers.is_some_and(|on| on.value);
    if let Some(peers) = raw.peers.take_if(|peers| !waits && empty(peers)) {
        out.push(
            Diagnostic::warning(peers.span, "no unicast peers: adverts go to the multicast group")
                .note("as in keepalived, which calls this deprecated")
                .help("list the other nodes, or remove the empty block")
                .help("to wait in FAULT until it is filled, say so: `unicast_fault_no_peer`"),
        );
    }
    if raw.peers.is_none() {
        raw.group = raw.group.or(global_group);
        // As in keepalived, it waits for peers.
        raw.ttl = None;
    } else if let Some(group) = raw.group.take() {
        let why = "with `unicast_peer` adverts go to the peers";
        out.push(Diagnostic::no_effect(group.span, "mcast_dst_ip", why));
    }
}
