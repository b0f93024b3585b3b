//! vipd's own keywords stand in comments that begin with `#vipd` (or `!vipd`): keepalived skips those,
//! so that one file serves both programs.

use super::keywords::{Block, Body, Content, Keyword};
use super::tree::Node;
use crate::config::diag::{Diagnostic, nearest, quoted};

/// What the names of vipd's own keywords begin with where they stand in no comment.
const PREFIX: &str = "vipd_";

/// Says what keepalived would make of a keyword, or of the entries of its block, at this place.
pub(super) fn placed(
    block: Block,
    keyword: &'static Keyword,
    node: &Node,
    out: &mut Vec<Diagnostic>,
) {
    let span = node.keyword.span;
    if let (Some(own), false) = (keyword.name.strip_prefix(PREFIX), node.keyword.is_own) {
        let warning = Diagnostic::warning(span, format!("keepalived knows no `{}`", keyword.name));
        let warning = match (keyword.body, block) {
            (Body::Yes, Block::Instance | Block::SyncGroup) => warning.note(
                "should it read this file again, it loses what stands behind the block in the \
                 block around it, priority and addresses among them",
            ),
            _ => warning.note("should it read this file again, it complains and goes on without"),
        };
        let each = if keyword.body == Body::Yes { ", and so each line of its block" } else { "" };
        out.push(
            warning.help(format!("write it as a comment, which it skips: `#vipd {own} …`{each}")),
        );
    }
    let lists = matches!(Content::of(block, keyword.name), Content::Lines(_));
    // A check of vipd alone is tracked beside those of both.
    if lists && !node.keyword.is_own && keyword.name != "track_script" {
        for line in node.block.iter().flatten().filter(|line| line.keyword.is_own) {
            let text = format!("keepalived would do without this entry of `{}`", keyword.name);
            out.push(Diagnostic::error(line.keyword.span, text).help("write it without `#vipd`"));
        }
    }
}

/// What is wrong with a word behind `#vipd` that is no keyword there.
pub(super) fn unknown(block: Block, node: &Node) -> Diagnostic {
    let (name, span) = (&node.keyword.text, node.keyword.span);
    if let Some(own) = name.strip_prefix(PREFIX)
        && block.find(name).is_some()
    {
        return Diagnostic::error(span, format!("`{name}` stands in a `#vipd` comment"))
            .help(format!("write `#vipd {own} …`"));
    }
    if block.find(name).is_some() {
        return Diagnostic::error(span, format!("`{name}` stands in a `#vipd` comment"))
            .note("keepalived would not see it")
            .help("write it without `#vipd`");
    }
    let own = |block: Block| block.keywords().iter().filter_map(|k| k.name.strip_prefix(PREFIX));
    let homes = Block::ALL.iter().filter(|home| own(**home).any(|own| own == name));
    let homes: Vec<String> = homes.map(|home| format!("`{home}`")).collect();
    if !homes.is_empty() {
        let text = format!("`#vipd {name}` does not belong here");
        return Diagnostic::error(span, text).help(format!("it belongs in {}", homes.join(" or ")));
    }
    let error = Diagnostic::error(span, format!("unknown keyword {} behind `#vipd`", quoted(name)));
    let known = Block::ALL.iter().flat_map(|home| own(*home));
    let near = match block {
        Block::Check => nearest(name, block.keywords().iter().map(|keyword| keyword.name)),
        _ => nearest(name.strip_prefix(PREFIX).unwrap_or(name), known),
    };
    error
        .note("vipd reads comments that begin with `#vipd`")
        .help("put a blank behind the `#` if it is not meant for vipd")
        .suggest(near)
}
