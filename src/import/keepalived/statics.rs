//! `static_ipaddress`, and `track_group`, which says whose instances need one of them.

use std::collections::BTreeMap;

use super::address;
use super::keywords::Block;
use super::lexer::Word;
use super::tree::Node;
use super::walk::{can_go, walk};
use crate::config::diag::{Diagnostic, Severity, Spanned, nearest, quoted};
use crate::config::raw::RawStatic;

/// keepalived's `default_interface` where nobody names one.
const DEFAULT_INTERFACE: &str = "eth0";

/// The groups by name, with their members.
#[derive(Debug, Default)]
pub(crate) struct TrackGroups<'n> {
    known: BTreeMap<&'n str, (&'n Word, Vec<&'n Word>)>,
}

impl<'n> TrackGroups<'n> {
    /// Reads one `track_group` block.
    pub(crate) fn define(&mut self, node: &'n Node, out: &mut Vec<Diagnostic>) {
        let Some(name) = node.args.first() else { return };
        let mut members = Vec::new();
        walk(Block::TrackGroup, node.block.as_deref().unwrap_or_default(), out, |_, node, _| {
            let lines = node.block.as_deref().unwrap_or_default();
            members.extend(lines.iter().flat_map(Node::words));
        });
        let (first, _) = self.known.entry(&name.text).or_insert((name, members));
        if first.span != name.span {
            let text = format!("track_group {} exists twice", quoted(&name.text));
            out.push(Diagnostic::error(name.span, text).also(first.span, "first one").droppable());
        }
    }

    /// Says which members are no instances, and forgets them.
    pub(crate) fn check(&mut self, instances: &[&Node], out: &mut Vec<Diagnostic>) {
        let names: Vec<&str> =
            instances.iter().filter_map(|node| Some(node.args.first()?.text.as_str())).collect();
        for (_, members) in self.known.values_mut() {
            members.retain(|member| {
                let known = names.contains(&member.text.as_str());
                if !known {
                    let text = format!("there is no vrrp_instance {}", quoted(&member.text));
                    let near = nearest(&member.text, names.iter().copied());
                    out.push(Diagnostic::error(member.span, text).suggest(near).droppable());
                }
                known
            });
        }
    }

    fn members(&self, group: &Word, out: &mut Vec<Diagnostic>) -> Vec<Spanned<String>> {
        let Some((_, members)) = self.known.get(group.text.as_str()) else {
            let text = format!("there is no track_group {}", quoted(&group.text));
            let near = nearest(&group.text, self.known.keys().copied());
            let error = Diagnostic::error(group.span, text).droppable();
            out.push(match near {
                Some(near) => error.suggest(Some(near)),
                None => {
                    let name = &group.text;
                    error.help(format!("add `track_group {name} {{ group {{ … }} }}`, anywhere"))
                }
            });
            return Vec::new();
        };
        members.iter().map(|word| Spanned::new(word.text.clone(), group.span)).collect()
    }
}

/// The addresses of one `static_ipaddress` block, one per line.
pub(crate) fn lower(
    node: &Node,
    groups: &TrackGroups<'_>,
    default_interface: Option<&Spanned<String>>,
    out: &mut Vec<Diagnostic>,
) -> Vec<RawStatic> {
    let mut statics = Vec::new();
    for line in node.block.as_deref().unwrap_or_default() {
        let before = out.len();
        let entry = address::entry(line, out);
        let wrong = out.iter().skip(before).any(|d| d.severity == Severity::Error);
        can_go(line, before, out);
        let Some((mut address, group)) = entry.filter(|_| !wrong) else { continue };
        if address.dev.is_none() {
            let fallback = Spanned::new(DEFAULT_INTERFACE.to_owned(), address.cidr.span);
            if default_interface.is_none() {
                let text = format!("no `dev`: this address goes to {DEFAULT_INTERFACE}");
                out.push(
                    Diagnostic::warning(address.cidr.span, text)
                        .note("as in keepalived, whatever the host's interfaces are called")
                        .help("write `dev`, or set default_interface in global_defs"),
                );
            }
            address.dev = Some(default_interface.cloned().unwrap_or(fallback));
        }
        let required_by = group.map(|group| groups.members(&group, out)).unwrap_or_default();
        statics.push(RawStatic { address, required_by });
    }
    statics
}
