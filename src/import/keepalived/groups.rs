//! `vrrp_sync_group`

use super::globals::GlobalDefs;
use super::keywords::Block;
use super::notify;
use super::tracking::references;
use super::tree::Node;
use super::values::{boolean, text};
use super::walk::walk;
use crate::config::diag::Diagnostic;
use crate::config::raw::{GroupWords, RawGroup, RawRouter};

static WORDS: GroupWords = GroupWords {
    block: "vrrp_sync_group",
    member: "vrrp_instance",
    members: "group { … }",
    weights: "sync_group_tracking_weight",
};

/// `vrrp_sync_group`
pub(crate) fn sync_group(
    node: &Node,
    routers: &[RawRouter],
    globals: &GlobalDefs,
    out: &mut Vec<Diagnostic>,
) -> Option<RawGroup> {
    let name = node.args.first()?;
    let statements = node.block.as_deref().unwrap_or_default();
    let is_member = |s: &&Node| routers.iter().any(|r| r.name.value == s.keyword.text);
    if let Some(bare) = statements.iter().find(is_member) {
        let text = format!("the member {} stands outside `group {{ }}`", bare.keyword.text);
        out.push(
            Diagnostic::error(bare.keyword.span, text)
                .note("keepalived removes such a group as empty")
                .help("put the members in a block: `group { … }`")
                .droppable(),
        );
        return None;
    }
    let mut raw = RawGroup::new(text(name), &WORDS);
    walk(Block::SyncGroup, statements, out, |keyword, node, out| match keyword.name {
        "group" => {
            let lines = node.block.as_deref().unwrap_or_default();
            raw.members.extend(lines.iter().flat_map(Node::words).map(text));
        }
        "sync_group_tracking_weight" => raw.weights = boolean(node, out),
        name if notify::set(&mut raw.notify, name, node, out) => {}
        track => references(track, node, &mut raw.track, &mut raw.track_interfaces, out),
    });
    globals.tellers.complete(&mut raw.notify);
    // It has no priority that could change.
    raw.notify.priority_changes = None;
    Some(raw)
}
