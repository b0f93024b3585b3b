//! The walk over the statements of a block that all blocks share.

use std::collections::BTreeMap;

use super::keywords::{Block, Body, Class, Keyword};
use super::lexer::Word;
use super::own;
use super::tree::Node;
use crate::config::diag::{Diagnostic, Span, nearest, quoted};

/// Visits the statements of a block: looks each up, checks its shape, says what has no effect, and
/// hands the rest to `visit`.
pub(crate) fn walk<'n>(
    block: Block,
    nodes: &'n [Node],
    out: &mut Vec<Diagnostic>,
    mut visit: impl FnMut(&'static Keyword, &'n Node, &mut Vec<Diagnostic>),
) {
    let mut seen: BTreeMap<&'static str, Span> = BTreeMap::new();
    for node in nodes {
        let Some(keyword) = block.keyword(&node.keyword) else {
            out.push(unknown(block, node));
            continue;
        };
        own::placed(block, keyword, node, out);
        match keyword.class {
            Class::Quiet => {
                let text = format!("`{}`: {}", keyword.name, keyword.text);
                out.push(Diagnostic::remark(node.keyword.span, text));
                continue;
            }
            Class::Refused(..) | Class::Apart(..) if is_empty_list(keyword.name, node) => {
                let text = format!("`{}` is empty: there is nothing to do", keyword.name);
                out.push(Diagnostic::remark(node.keyword.span, text));
                continue;
            }
            Class::Refused(why, instead) | Class::Apart(why, instead) => {
                let text = format!("`{}` is not supported", keyword.name);
                let mut error = Diagnostic::error(node.keyword.span, text).note(why).help(instead);
                if let Some(word) = node.args.first().filter(|word| takes_no_boolean(keyword, word))
                {
                    error = error.note(format!(
                        "keepalived takes {} for the name of the new interface, and uses a virtual MAC",
                        quoted(&word.text)
                    ));
                }
                let apart = matches!(keyword.class, Class::Apart(..));
                out.push(if apart { error.droppable() } else { error });
                continue;
            }
            Class::Warned(text) => {
                out.push(Diagnostic::no_effect(node.keyword.span, keyword.name, text));
                continue;
            }
            Class::Honoured => {}
        }
        if !shape(keyword, node, out) {
            continue;
        }
        // `state` has a rule of its own; what may be repeated adds up, as blocks do.
        let once = match keyword.name {
            "state" | "include_check" | "header" | "tag" => false,
            name => keyword.body == Body::No || name == "authentication",
        };
        if once && let Some(first) = seen.insert(keyword.name, node.keyword.span) {
            let text = format!("`{}` is given twice, the last one counts", keyword.name);
            out.push(Diagnostic::warning(node.keyword.span, text).also(first, "given before"));
        }
        visit(keyword, node, out);
    }
}

/// A block of routes or rules without any: generators write them.
fn is_empty_list(name: &str, node: &Node) -> bool {
    let lists = ["virtual_routes", "virtual_rules", "static_routes", "static_rules"];
    lists.contains(&name) && node.block.as_ref().is_some_and(Vec::is_empty)
}

/// `use_vmac false` turns virtual MACs on.
fn takes_no_boolean(keyword: &Keyword, word: &Word) -> bool {
    keyword.name == "use_vmac" && matches!(word.text.as_str(), "false" | "off" | "no")
}

/// Whether a statement has the arguments and the block its keyword asks for.
fn shape(keyword: &Keyword, node: &Node, out: &mut Vec<Diagnostic>) -> bool {
    let (least, most) = keyword.args;
    let name = keyword.name;
    match (keyword.body, &node.block) {
        (Body::Yes, None) => {
            out.push(
                Diagnostic::error(node.keyword.span, format!("`{name}` needs a block"))
                    .help(format!("write `{name} {{ … }}`")),
            );
            return false;
        }
        (Body::No, Some(_)) => {
            out.push(Diagnostic::error(node.span(), format!("`{name}` takes no block")));
            return false;
        }
        _ => {}
    }
    if node.args.len() < least {
        let what = if keyword.body == Body::Yes { "a name" } else { "a value" };
        let text = format!("`{name}` needs {what}");
        out.push(Diagnostic::error(node.keyword.span, text));
        return false;
    }
    if let Some(surplus) = node.args.get(most) {
        let error = if name == "auth_pass" {
            // The rest of the line may be half of the password.
            Diagnostic::error(node.keyword.span, "`auth_pass` takes one word")
                .help("put a password with blanks in double quotes")
        } else {
            let text = format!("{} is left over after `{name}`", quoted(&surplus.text));
            Diagnostic::error(surplus.span, text).note(match most {
                0 => format!("`{name}` takes no value"),
                1 => format!("`{name}` takes one value"),
                n => format!("`{name}` takes {n} values"),
            })
        };
        out.push(error);
        return false;
    }
    true
}

/// What is wrong with a keyword nobody knows here.
pub(crate) fn unknown(block: Block, node: &Node) -> Diagnostic {
    if node.keyword.is_own {
        return own::unknown(block, node);
    }
    let name = &node.keyword.text;
    let span = node.keyword.span;
    let homes: Vec<String> = Block::ALL
        .iter()
        .filter(|home| !matches!(home, Block::Address | Block::Peer | Block::Preprocessor))
        .filter(|home| home.find(name).is_some())
        .map(|home| format!("`{home}`"))
        .collect();
    if !homes.is_empty() {
        let place = if block == Block::Root {
            "outside every block".to_owned()
        } else {
            format!("in `{block}`")
        };
        let error = Diagnostic::error(span, format!("`{name}` does not belong {place}"));
        if Block::Root.find(name).is_some() && block != Block::Root {
            return error.help("it stands outside every block: is a `}` missing above?");
        }
        let error = error.help(format!("it belongs in {}", homes.join(" or ")));
        return if VITAL.contains(&name.as_str()) { error } else { error.droppable() };
    }
    let place = if block == Block::Root { String::new() } else { format!(" in `{block}`") };
    let here = nearest(name, block.keywords().iter().map(|k| k.name));
    let error = Diagnostic::error(span, format!("unknown keyword {}{place}", quoted(name)))
        .note("keepalived says so, too, and runs without it");
    if name.starts_with("//") {
        return error.help("a comment begins with `#` or `!`");
    }
    let known = Block::ALL.iter().flat_map(|home| home.keywords().iter().map(|k| k.name));
    let elsewhere = nearest(name, known);
    let meant = here.or(elsewhere);
    let error =
        if meant.is_some_and(|near| VITAL.contains(&near)) { error } else { error.droppable() };
    if here.is_some() {
        return error.suggest(here);
    }
    let home = meant.and_then(|known| Block::ALL.iter().find(|home| home.find(known).is_some()));
    match (meant, home) {
        (Some(known), Some(home)) => {
            error.help(format!("did you mean `{known}`, which belongs in `{home}`?"))
        }
        _ => error,
    }
}

/// What a line about the host alone got wrong is no reason to serve nobody, unless a brace is missing
/// and it is another block's line.
pub(crate) fn can_go(line: &Node, before: usize, out: &mut [Diagnostic]) {
    if line.block.is_none() && Block::Root.find(&line.keyword.text).is_none() {
        out.iter_mut().skip(before).for_each(Diagnostic::alone);
    }
}

/// What all nodes must agree on, and what they serve: without it they do not hear each other, so a
/// slip in one of these words is never passed over.
const VITAL: &[&str] = &[
    "vrrp_instance",
    "interface",
    "virtual_router_id",
    "version",
    "vrrp_version",
    "vrrp_strict",
    "strict_mode",
    "advert_int",
    "authentication",
    "auth_type",
    "auth_pass",
    "auth_hmac",
    "unicast_peer",
    "unicast_src_ip",
    "mcast_src_ip",
    "mcast_dst_ip",
    "vrrp_mcast_group4",
    "vrrp_mcast_group6",
    "v3_checksum_as_v2",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "net_namespace",
    "use_vmac",
    "vrf",
];
