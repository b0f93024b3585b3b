//! Sync groups: if one member cannot serve, the others of its group on that node do not serve either.

use std::collections::BTreeMap;

use super::preempts;
use super::{Node, NodeSide, RouterPair};
use crate::config::GroupConfig;
use crate::config::diag::{Diagnostic, Span};
use crate::text::listed;

/// Its group, if that has other members.
fn group_of<'a>(node: &NodeSide<'a>) -> Option<&'a GroupConfig> {
    let groups = node.config.groups.iter().filter(|group| group.members.len() > 1);
    groups.into_iter().find(|group| group.members.contains(&node.router.key()))
}

fn span_of(node: Node<'_>, group: &GroupConfig) -> Option<Span> {
    let written = node.raw.groups.iter().find(|raw| raw.name.value == group.name)?;
    Some(written.name.span)
}

/// The routers that move with this one on both nodes.
pub(super) fn same_group<'c, 'a>(
    pair: &RouterPair<'a>,
    pairs: &'c [RouterPair<'a>],
) -> Vec<&'c RouterPair<'a>> {
    let together = |one: &NodeSide<'_>, other: &NodeSide<'_>| {
        group_of(one).is_some_and(|group| group.members.contains(&other.router.key()))
    };
    let works = |other: &RouterPair<'_>| other.a_accepts && other.b_accepts && !other.flaps;
    let others = pairs.iter().filter(|other| {
        other.a.raw.name != pair.a.raw.name
            && together(&pair.a, &other.a)
            && together(&pair.b, &other.b)
            && works(other)
            && preempts(other) == preempts(pair)
    });
    others.collect()
}

/// Routers that move together on one node and not on the other.
pub(super) fn check(
    a: Node<'_>,
    b: Node<'_>,
    pairs: &[(NodeSide<'_>, NodeSide<'_>)],
    out: &mut Vec<Diagnostic>,
) {
    let turned: Vec<_> = pairs.iter().map(|(own, other)| (*other, *own)).collect();
    for (node, beside, pairs) in [(a, b, pairs), (b, a, turned.as_slice())] {
        for group in node.config.groups.iter().filter(|group| group.members.len() > 1) {
            out.extend(apart(node, beside, group, pairs));
        }
    }
}

/// The members of a group of `node` whose counterparts are not in one group `beside`.
fn apart(
    node: Node<'_>,
    beside: Node<'_>,
    group: &GroupConfig,
    pairs: &[(NodeSide<'_>, NodeSide<'_>)],
) -> Option<Diagnostic> {
    let members: Vec<_> =
        pairs.iter().filter(|(own, _)| group.members.contains(&own.router.key())).collect();
    let mut there: BTreeMap<Option<&str>, Vec<&NodeSide<'_>>> = BTreeMap::new();
    for (_, other) in &members {
        there.entry(group_of(other).map(|group| &*group.name)).or_default().push(other);
    }
    if members.len() < 2 || (there.len() == 1 && !there.contains_key(&None)) {
        return None;
    }
    let names = listed(members.iter().map(|(own, _)| &own.router.name));
    let (on, off) = (node.name, beside.name);
    let text = format!("{names} change state together on {on}, but not on {off}");
    let mut warning = Diagnostic::warning(span_of(node, group)?, text).label(on);
    for (name, nodes) in there {
        let names = listed(nodes.iter().map(|node| &node.router.name));
        let group = beside.config.groups.iter().find(|group| Some(&*group.name) == name);
        let header = nodes.first().map(|node| node.raw.name.span);
        let place = group.and_then(|group| span_of(beside, group)).or(header)?;
        let label = match name {
            Some(_) => format!("{off}: {names}"),
            None => format!("{off}: {names} in no group"),
        };
        warning = warning.also(place, label);
    }
    Some(
        warning
            .note(format!(
                "when one of them moves to {off} alone, {on} gives up the others, too: nobody has \
                 their addresses"
            ))
            .help("put the same routers into a group on both nodes, or into none"),
    )
}

/// What happens to a router of one node only that is in a group with a router of both.
pub(super) fn lost_with_group(
    node: &NodeSide<'_>,
    pairs: &[(NodeSide<'_>, NodeSide<'_>)],
) -> Option<String> {
    let group = group_of(node)?;
    let both = pairs.iter().flat_map(|(own, other)| [own, other]);
    let same_group = both
        .filter(|own| own.node_name == node.node_name)
        .find(|own| group.members.contains(&own.router.key()))?;
    Some(format!(
        "group {} gives them up when the other node takes over {}",
        group.name, same_group.router.name
    ))
}
