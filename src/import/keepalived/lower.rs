//! The tree to [`Raw`], block by block.

use super::globals::GlobalDefs;
use super::groups;
use super::instance;
use super::keywords::Block;
use super::lexer::Word;
use super::process;
use super::statics::{self, TrackGroups};
use super::tracking;
use super::tree::Node;
use super::values::{plain, seconds};
use super::walk::{can_go, walk};
use crate::config::diag::{Diagnostic, Spanned};
use crate::config::raw::{Raw, RawInterface, RawPacing};

/// Lowers all statements of all files.
pub(crate) fn lower(nodes: &[Node], raw: &mut Raw, out: &mut Vec<Diagnostic>) {
    let mut globals = GlobalDefs::default();
    let mut instances = Vec::new();
    let mut sync_groups = Vec::new();
    let mut statics = Vec::new();
    let mut track_groups = TrackGroups::default();
    walk(Block::Root, nodes, out, |keyword, node, out| match keyword.name {
        "global_defs" => globals.read(node, out),
        "vrrp_instance" => instances.push(node),
        "vrrp_sync_group" => sync_groups.push(node),
        "static_ipaddress" => statics.push(node),
        "track_group" => track_groups.define(node, out),
        "garp_group" => raw.pacing.push(garp_group(node, out)),
        "interface_up_down_delays" => interfaces(node, raw, out),
        name if process::set(&mut globals.own.process, name, node, out) => {}
        _ => tracking::define(keyword.name, node, &mut raw.trackers, out),
    });
    if let Some(strict) = globals.strict.filter(|on| on.value) {
        out.push(instance::strict_warning("vrrp_strict", strict.span));
    }
    for node in &instances {
        let before = out.len();
        if let Some(router) = instance::lower(node, &globals, out) {
            out.iter_mut().skip(before).for_each(|found| found.within(&router.name));
            raw.routers.push(router);
        }
    }
    track_groups.check(&instances, out);
    for node in statics {
        let interface = globals.default_interface.as_ref();
        raw.static_addresses.extend(statics::lower(node, &track_groups, interface, out));
    }
    for node in sync_groups {
        raw.groups.extend(groups::sync_group(node, &raw.routers, &globals, out));
    }
    globals.finish(raw, out);
}

/// `interface_up_down_delays`: `IF DOWN [UP]`, one per line.
fn interfaces(node: &Node, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
    for line in node.block.as_deref().unwrap_or_default() {
        let before = out.len();
        let name = Spanned::new(line.keyword.text.clone(), line.keyword.span);
        match (line.args.as_slice(), &line.block) {
            ([down, up @ ..], None) if up.len() <= 1 => raw.interfaces.push(RawInterface {
                down_delay: seconds(down, out),
                up_delay: up.first().and_then(|up| seconds(up, out)),
                ..RawInterface::new(name)
            }),
            _ => {
                let text = "an interface and one or two delays are expected here";
                out.push(
                    Diagnostic::error(line.span(), text)
                        .help("one interface per line, for example `eth0 0.5 2`"),
                );
            }
        }
        can_go(line, before, out);
    }
}

/// `garp_group`: interfaces behind one switch.
fn garp_group(node: &Node, out: &mut Vec<Diagnostic>) -> RawPacing {
    let mut group = RawPacing::new(node.keyword.span);
    let name = |word: &Word| Spanned::new(word.text.clone(), word.span);
    let nodes = node.block.as_deref().unwrap_or_default();
    walk(Block::GarpGroup, nodes, out, |keyword, node, out| {
        let before = out.len();
        match (keyword.name, node.args.first()) {
            (own, _) if plain(&mut group, RawPacing::KEYS, own, node, out) => {}
            ("interface", Some(word)) => group.interfaces.push(name(word)),
            ("interfaces", _) => {
                let lines = node.block.as_deref().unwrap_or_default();
                group.interfaces.extend(lines.iter().flat_map(Node::words).map(name));
            }
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
        out.iter_mut().skip(before).for_each(Diagnostic::alone);
    });
    group
}
