//! Sync groups: a member that cannot serve takes the others along, on its own node only.

use std::collections::BTreeMap;

use super::roles::preempts;
use super::{Couple, Half, Node, listed};
use crate::config::GroupConfig;
use crate::config::diag::{Diagnostic, Span};

/// Its group, if it has company there.
fn group_of<'a>(half: &Half<'a>) -> Option<&'a GroupConfig> {
    let groups = half.config.groups.iter().filter(|group| group.members.len() > 1);
    groups.into_iter().find(|group| group.members.contains(&half.router.key()))
}

fn span_of(node: Node<'_>, group: &GroupConfig) -> Option<Span> {
    let written = node.raw.groups.iter().find(|raw| raw.name.value == group.name)?;
    Some(written.name.span)
}

/// The routers that move with this one on both nodes.
pub(super) fn company<'c, 'a>(
    couple: &Couple<'a>,
    couples: &'c [Couple<'a>],
) -> Vec<&'c Couple<'a>> {
    let together = |one: &Half<'_>, other: &Half<'_>| {
        group_of(one).is_some_and(|group| group.members.contains(&other.router.key()))
    };
    let works = |other: &Couple<'_>| other.a_hears && other.b_hears && !other.flaps;
    let others = couples.iter().filter(|other| {
        other.a.raw.name != couple.a.raw.name
            && together(&couple.a, &other.a)
            && together(&couple.b, &other.b)
            && works(other)
            && preempts(other) == preempts(couple)
    });
    others.collect()
}

/// Routers that move together on one node and not on the other.
pub(super) fn check(
    a: Node<'_>,
    b: Node<'_>,
    couples: &[(Half<'_>, Half<'_>)],
    out: &mut Vec<Diagnostic>,
) {
    let turned: Vec<_> = couples.iter().map(|(own, other)| (*other, *own)).collect();
    for (node, beside, couples) in [(a, b, couples), (b, a, turned.as_slice())] {
        for group in node.config.groups.iter().filter(|group| group.members.len() > 1) {
            out.extend(apart(node, beside, group, couples));
        }
    }
}

/// The members of a group of `node` whose counterparts are not in one group `beside`.
fn apart(
    node: Node<'_>,
    beside: Node<'_>,
    group: &GroupConfig,
    couples: &[(Half<'_>, Half<'_>)],
) -> Option<Diagnostic> {
    let members: Vec<_> =
        couples.iter().filter(|(own, _)| group.members.contains(&own.router.key())).collect();
    let mut there: BTreeMap<Option<&str>, Vec<&Half<'_>>> = BTreeMap::new();
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
    for (name, halves) in there {
        let names = listed(halves.iter().map(|half| &half.router.name));
        let group = beside.config.groups.iter().find(|group| Some(&*group.name) == name);
        let header = halves.first().map(|half| half.raw.name.span);
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

/// What becomes of a router that only one node has, in company of one that both have.
pub(super) fn taken_along(half: &Half<'_>, couples: &[(Half<'_>, Half<'_>)]) -> Option<String> {
    let group = group_of(half)?;
    let both = couples.iter().flat_map(|(own, other)| [own, other]);
    let company = both
        .filter(|own| own.node == half.node)
        .find(|own| group.members.contains(&own.router.key()))?;
    Some(format!(
        "group {} gives them up when the other node takes over {}",
        group.name, company.router.name
    ))
}
