//! Groups of routers that change state together: members, and what the members of one track.

use std::collections::BTreeMap;

use super::notify::of_group;
use super::references::References;
use super::trackers::Trackers;
use crate::config::diag::{Diagnostic, Span, nearest, quoted};
use crate::config::model::{GroupConfig, Namespace, RouterConfig, Weight};
use crate::config::raw::{RawGlobals, RawGroup, RawRouter};

/// Every group with what it tracks, and the group of each member.
pub(super) struct Groups<'r> {
    groups: Vec<(&'r RawGroup, References)>,
    of_member: BTreeMap<&'r str, usize>,
}

impl<'r> Groups<'r> {
    pub(super) fn new(
        groups: &'r [RawGroup],
        routers: &'r [RawRouter],
        trackers: &Trackers<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Groups<'r> {
        let mut names: BTreeMap<&str, Span> = BTreeMap::new();
        let mut known = Groups { groups: Vec::new(), of_member: BTreeMap::new() };
        for raw in groups {
            let words = raw.words;
            let name = &raw.name;
            if let Some(first) = names.insert(&name.value, name.span) {
                let text = format!("{} {} exists twice", words.block, quoted(&name.value));
                out.push(Diagnostic::error(name.span, text).also(first, "first one").droppable());
            }
            if raw.members.is_empty() {
                let text = format!("{} {} has no members", words.block, name.value);
                out.push(
                    Diagnostic::error(name.span, text)
                        .help(format!(
                            "add `{}` with the names of its {}s",
                            words.members, words.member
                        ))
                        .droppable(),
                );
            }
            if let [only] = raw.members.as_slice() {
                let text = format!("{} {} has one member only", words.block, name.value);
                out.push(
                    Diagnostic::warning(only.span, text).note("there is nothing to keep in step"),
                );
            }
            for member in &raw.members {
                if !routers.iter().any(|router| router.name.value == member.value) {
                    let all = routers.iter().map(|router| router.name.value.as_str());
                    let text = format!("there is no {} {}", words.member, quoted(&member.value));
                    out.push(
                        Diagnostic::error(member.span, text)
                            .suggest(nearest(&member.value, all))
                            .droppable(),
                    );
                }
                let first = known.of_member.insert(&member.value, known.groups.len());
                if let Some(first) = first.and_then(|n| groups.get(n)) {
                    let text = format!("{} is a member already", member.value);
                    out.push(
                        Diagnostic::error(member.span, text)
                            .also(first.name.span, "of this group")
                            .help("a router belongs to one group, once"),
                    );
                }
            }
            let tracked = References::new(&raw.track, &raw.track_interfaces, None, trackers, out);
            known.groups.push((raw, tracked));
        }
        known
    }

    /// Adds what a router's group tracks to what it tracks itself.
    pub(super) fn join(&self, router: &RawRouter, own: &mut References, out: &mut Vec<Diagnostic>) {
        let group = self.of_member.get(router.name.value.as_str());
        let Some((raw, shared)) = group.and_then(|n| self.groups.get(*n)) else { return };
        let with_weights = raw.weights.is_some_and(|on| on.value);
        for tracked in &shared.track {
            if !own.track.iter().any(|known| known.tracker == tracked.tracker) {
                own.track.push(tracked.clone());
            }
        }
        for tracked in &shared.interfaces {
            let is_own =
                router.interface.as_ref().is_some_and(|i| i.value == tracked.iface.as_str());
            if !is_own && !own.interfaces.iter().any(|known| known.iface == tracked.iface) {
                own.interfaces.push(tracked.clone());
            }
        }
        if with_weights {
            return;
        }
        let mut without = Vec::new();
        own.track.retain_mut(|tracked| {
            let becomes_fault =
                tracked.tracker.namespace == Namespace::File && tracked.weight.value().abs() == 1;
            let keeps = tracked.weight.is_fault() || becomes_fault;
            if !tracked.weight.is_fault() {
                without.push(tracked.tracker.name.clone());
                tracked.weight =
                    Weight::new(0, tracked.weight.is_reverse()).unwrap_or(Weight::FAULT);
            }
            keeps
        });
        for tracked in own.interfaces.iter_mut().filter(|tracked| !tracked.weight.is_fault()) {
            without.push(tracked.iface.to_string());
            tracked.weight = Weight::FAULT;
        }
        own.weights.clear();
        if !without.is_empty() {
            let text = format!(
                "{} is in {} {}, which follows no weights: {}",
                router.name.value,
                raw.words.block,
                raw.name.value,
                without.join(", ")
            );
            out.push(
                Diagnostic::warning(raw.name.span, text)
                    .also(router.name.span, "this member")
                    .note(
                        "as in keepalived: a weighted script or process is not followed; an \
                         interface that is down, and a file of weight 1 that is not 0, mean FAULT",
                    )
                    .help(format!("use weight 0, or add `{}` to the group", raw.words.weights)),
            );
        }
    }

    /// The groups of those routers that are right.
    pub(super) fn configs(
        &self,
        routers: &[(&RawRouter, RouterConfig)],
        globals: &RawGlobals,
        out: &mut Vec<Diagnostic>,
    ) -> Vec<GroupConfig> {
        let mut configs = Vec::new();
        for (raw, _) in &self.groups {
            let members: Vec<&RouterConfig> = raw
                .members
                .iter()
                .filter_map(|member| routers.iter().find(|(_, r)| r.name == member.value))
                .map(|(_, router)| router)
                .collect();
            let owners = members.iter().filter(|router| router.priority.is_owner()).count();
            if owners > 0 && owners < members.len() {
                let text = "some members own their addresses (priority 255), others do not";
                out.push(
                    Diagnostic::warning(raw.name.span, text)
                        .note("an owner never yields, so such a group cannot stay together"),
                );
            }
            let members = members.iter().map(|router| router.key()).collect();
            let notify = of_group(&raw.notify, globals, out);
            configs.push(GroupConfig { name: raw.name.value.clone(), members, notify });
        }
        configs
    }
}
