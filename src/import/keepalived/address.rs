//! One line of `virtual_ipaddress` or `static_ipaddress`.

use std::net::{IpAddr, Ipv4Addr};

use super::keywords::{Block, Class};
use super::lexer::Word;
use super::tree::Node;
use super::values::{interface, ip};
use crate::config::diag::{Diagnostic, Spanned, nearest, quoted};
use crate::config::raw::{RawAddress, broadcast_of};
use crate::types::Cidr;

/// The addresses of a block, one per line.
pub(crate) fn lower(node: &Node, out: &mut Vec<Diagnostic>) -> Vec<RawAddress> {
    let lines = node.block.as_deref().unwrap_or_default();
    let entries = lines.iter().filter_map(|line| entry(line, out)).collect::<Vec<_>>();
    for group in entries.iter().filter_map(|(_, group)| group.as_ref()) {
        out.push(
            Diagnostic::error(group.span, "`track_group` belongs to static addresses")
                .note("an instance looks after its own addresses in any case")
                .help("remove it"),
        );
    }
    entries.into_iter().map(|(address, _)| address).collect()
}

/// An address and the word after its `track_group`, if it has one.
pub(crate) fn entry(node: &Node, out: &mut Vec<Diagnostic>) -> Option<(RawAddress, Option<Word>)> {
    if node.block.is_some() {
        out.push(
            Diagnostic::error(node.span(), "an address takes no block")
                .help("is a `}` missing above?"),
        );
        return None;
    }
    let cidr = cidr(&node.keyword, out)?;
    let mut address = RawAddress::new(cidr);
    let mut track_group = None;
    let mut words = node.args.iter();
    while let Some(word) = words.next() {
        let Some(keyword) = Block::Address.find(&word.text) else {
            out.push(stray(word));
            break;
        };
        if let Class::Refused(why, instead) = keyword.class {
            let text = format!("`{}` is not supported", keyword.name);
            out.push(Diagnostic::error(word.span, text).note(why).help(instead));
            break;
        }
        let value = if keyword.args.0 == 1 {
            let Some(value) = words.next() else {
                let text = format!("`{}` needs a value", keyword.name);
                out.push(Diagnostic::error(word.span, text));
                break;
            };
            value
        } else {
            word
        };
        if keyword.name == "track_group" {
            track_group = Some(value.clone());
        } else {
            option(&mut address, keyword.name, value, out);
        }
    }
    Some((address, track_group))
}

fn option(address: &mut RawAddress, name: &str, value: &Word, out: &mut Vec<Diagnostic>) {
    let text = || Some(Spanned::new(value.text.clone(), value.span));
    let here = Some(Spanned::new(true, value.span));
    match name {
        "dev" => address.dev = interface(name, value, out),
        "label" => address.label = text(),
        "scope" => address.scope = scope(value, out),
        "brd" | "broadcast" => address.broadcast = broadcast(address.cidr.value, value, out),
        "peer" => address.peer = cidr(value, out),
        "home" => address.home = here,
        "-nodad" => address.dad = here,
        "mngtmpaddr" => address.mngtmpaddr = here,
        "noprefixroute" => address.noprefixroute = here,
        "autojoin" => address.autojoin = here,
        "no_track" => address.no_track = Some(value.span),
        "preferred_lft" => address.preferred_lft = preferred_lft(value, out),
        name => debug_assert!(false, "{name} is in the table but not read"),
    }
}

fn cidr(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Cidr>> {
    match word.text.parse::<Cidr>() {
        Ok(cidr) => Some(Spanned::new(cidr, word.span)),
        Err(error) => {
            let known = Block::Root.find(&word.text).or_else(|| Block::Instance.find(&word.text));
            let diagnostic = if known.is_some() {
                let text = format!("expected an address, found the keyword `{}`", word.text);
                Diagnostic::error(word.span, text).help("is a `}` missing above?")
            } else {
                Diagnostic::error(word.span, error.to_string())
                    .help("one address per line, for example `10.0.0.10/24 dev eth0`")
            };
            out.push(diagnostic);
            None
        }
    }
}

fn stray(word: &Word) -> Diagnostic {
    if word.text.parse::<Cidr>().is_ok() {
        let text = format!("a second address, {}, on one line", word.text);
        return Diagnostic::error(word.span, text)
            .note("each line is one address with its options; keepalived ignores the second one")
            .help("put it on a line of its own");
    }
    let known = Block::Address.keywords().iter().map(|k| k.name);
    Diagnostic::error(word.span, format!("unknown address option {}", quoted(&word.text)))
        .suggest(nearest(&word.text, known))
}

fn scope(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<u8>> {
    let scope = match word.text.as_str() {
        "global" => Some(0),
        "site" => Some(200),
        "link" => Some(253),
        "host" => Some(254),
        "nowhere" => Some(255),
        number => number.parse().ok(),
    };
    if scope.is_none() {
        let text = format!("unknown scope {}", quoted(&word.text));
        out.push(
            Diagnostic::error(word.span, text)
                .help("allowed: global, site, link, host, nowhere, 0 to 255"),
        );
    }
    scope.map(|scope| Spanned::new(scope, word.span))
}

/// An address, `+` (all host bits set) or `-` (all clear).
fn broadcast(cidr: Cidr, word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Ipv4Addr>> {
    let broadcast = match word.text.as_str() {
        "+" => broadcast_of(cidr, true),
        "-" => broadcast_of(cidr, false),
        _ => match ip(word, out)?.value {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        },
    };
    if broadcast.is_none() {
        out.push(Diagnostic::error(word.span, "a broadcast address is an IPv4 matter"));
    }
    Some(Spanned::new(broadcast?, word.span))
}

fn preferred_lft(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Option<u32>>> {
    let value = match word.text.as_str() {
        "forever" => Some(None),
        number => number.parse().ok().map(Some),
    };
    if value.is_none() {
        let text = format!("{} is no lifetime", quoted(&word.text));
        out.push(Diagnostic::error(word.span, text).help("allowed: forever, 0, seconds"));
    }
    value.map(|value| Spanned::new(value, word.span))
}
