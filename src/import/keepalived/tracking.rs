//! Scripts, files, processes, interfaces and groups. Nothing of it moves a priority yet, so names,
//! weights and references are checked and a warning says plainly what will not happen.

use std::collections::BTreeMap;

use super::keywords::Block;
use super::lexer::Word;
use super::lower::walk;
use super::tree::Node;
use super::values::{number, number_in, seconds};
use crate::config::diag::{Diagnostic, Span, nearest, quoted};
use crate::types::IfName;

/// What can be tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Script,
    File,
    Process,
    Interface,
}

impl Kind {
    /// The keyword of the block that refers to it.
    const fn keyword(self) -> &'static str {
        match self {
            Kind::Script => "track_script",
            Kind::File => "track_file",
            Kind::Process => "track_process",
            Kind::Interface => "track_interface",
        }
    }

    /// The keyword of the block that defines it.
    const fn definition(self) -> &'static str {
        match self {
            Kind::Script => "vrrp_script",
            Kind::File => "track_file",
            Kind::Process => "vrrp_track_process",
            Kind::Interface => "interface",
        }
    }

    const fn most_weight(self) -> i64 {
        match self {
            Kind::Script | Kind::Interface => 253,
            Kind::File | Kind::Process => 254,
        }
    }
}

/// The definitions, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Trackers {
    known: BTreeMap<(Kind, String), Definition>,
}

#[derive(Debug)]
struct Definition {
    span: Span,
    weight: i64,
    /// The command of a script.
    command: String,
}

impl Trackers {
    /// Reads a defining block.
    pub(crate) fn define(&mut self, keyword: &str, node: &Node, out: &mut Vec<Diagnostic>) {
        let (kind, block, mandatory) = match keyword {
            "vrrp_script" => (Kind::Script, Block::Script, "script"),
            "track_file" | "vrrp_track_file" => (Kind::File, Block::TrackFile, "file"),
            _ => (Kind::Process, Block::TrackProcess, "process"),
        };
        let Some(name) = node.args.first() else { return };
        let weight = if kind == Kind::File { 1 } else { 0 };
        let mut definition = Definition { span: name.span, weight, command: String::new() };
        let mut complete = false;
        walk(block, node.block.as_deref().unwrap_or_default(), out, |keyword, node, out| {
            complete |= keyword.name == mandatory;
            definition.set(keyword.name, kind, node, out);
        });
        if !complete {
            let text = format!("{keyword} {} has no `{mandatory}`", name.text);
            out.push(Diagnostic::error(name.span, text).droppable());
        }
        if let Some(first) = self.known.get(&(kind, name.text.clone())) {
            let text = format!("{keyword} {} exists twice", quoted(&name.text));
            out.push(
                Diagnostic::error(name.span, text)
                    .also(first.span, "first one")
                    .help("give it another name")
                    .droppable(),
            );
        } else {
            self.known.insert((kind, name.text.clone()), definition);
        }
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.known.keys().filter(move |(k, _)| *k == kind).map(|(_, name)| name.as_str())
    }
}

impl Definition {
    fn set(&mut self, name: &str, kind: Kind, node: &Node, out: &mut Vec<Diagnostic>) {
        let Some(word) = node.args.first() else { return };
        match name {
            "script" => {
                self.command =
                    node.args.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
            }
            "weight" => {
                if let Some(weight) = weight(word, node.args.get(1), kind, out) {
                    self.weight = weight;
                }
            }
            "interval" | "timeout" | "delay" | "fork_delay" | "terminate_delay" => {
                let _ = seconds(word, out);
            }
            "rise" | "fall" => drop(number_in(name, word, (1, i64::from(u32::MAX)), out)),
            "quorum" => drop(number_in(name, word, (1, 65_535), out)),
            "quorum_max" => drop(number_in(name, word, (0, 65_535), out)),
            "param_match" if !["initial", "partial"].contains(&word.text.as_str()) => {
                let text = format!("unknown param_match {}", quoted(&word.text));
                out.push(Diagnostic::error(word.span, text).help("allowed: initial, partial"));
            }
            _ => {}
        }
    }
}

/// What one instance or group tracks.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    blocks: Vec<Tracked>,
}

#[derive(Debug)]
struct Tracked {
    kind: Kind,
    span: Span,
    /// Name and its own weight.
    entries: Vec<(Word, Option<i64>)>,
}

impl Uses {
    /// Reads a `track_…` block.
    pub(crate) fn read(&mut self, kind: Kind, node: &Node, out: &mut Vec<Diagnostic>) {
        let mut entries = Vec::new();
        for line in node.block.as_deref().unwrap_or_default() {
            let weight = match line.args.as_slice() {
                [] => None,
                [word, value, rest @ ..] if word.text == "weight" && rest.len() <= 1 => {
                    weight(value, rest.first(), kind, out)
                }
                [word, ..] => {
                    let text =
                        format!("unknown option {} in {}", quoted(&word.text), kind.keyword());
                    let help = format!("one per line: `{} weight 2`", line.keyword.text);
                    out.push(Diagnostic::error(word.span, text).help(help));
                    None
                }
            };
            entries.push((line.keyword.clone(), weight));
        }
        self.blocks.push(Tracked { kind, span: node.keyword.span, entries });
    }

    /// Checks the references of `owner` and says what does not happen.
    pub(crate) fn report(
        &self,
        owner: &Word,
        own_interface: Option<&str>,
        trackers: &Trackers,
        out: &mut Vec<Diagnostic>,
    ) {
        for block in &self.blocks {
            let mut weighted = Vec::new();
            let mut fatal = Vec::new();
            let mut notes = Vec::new();
            for (name, weight) in &block.entries {
                let inherited = if block.kind == Kind::Interface {
                    if let Err(error) = name.text.parse::<IfName>() {
                        out.push(Diagnostic::error(name.span, error.to_string()));
                    }
                    Some(0)
                } else {
                    let known = trackers.known.get(&(block.kind, name.text.clone()));
                    if known.is_none() {
                        out.push(undefined(name, block.kind, trackers));
                    }
                    notes.extend(known.and_then(|d| process_check(&d.command)));
                    known.map(|d| d.weight)
                };
                let Some(weight) = weight.or(inherited) else { continue };
                if weight != 0 {
                    weighted.push(name.text.as_str());
                } else if Some(name.text.as_str()) != own_interface {
                    // The router's own interface is tracked in any case.
                    fatal.push(name.text.as_str());
                }
            }
            let mut missing = Vec::new();
            if !weighted.is_empty() {
                let names = weighted.join(", ");
                missing.push(format!("the priority of {} will not follow {names}", owner.text));
            }
            if !fatal.is_empty() {
                let names = fatal.join(", ");
                missing.push(format!("{} will not go to FAULT when {names} fails", owner.text));
            }
            if missing.is_empty() {
                continue;
            }
            let keyword = block.kind.keyword();
            let text = format!("`{keyword}` is not honoured yet: {}", missing.join("; "));
            let mut warning = Diagnostic::warning(block.span, text).note(format!(
                "the addresses stay on a node whose {} fails",
                [weighted, fatal].concat().join(" or ")
            ));
            warning.notes.append(&mut notes);
            out.push(
                warning.help(
                    "until it is, let the service manager stop vipd together with the service",
                ),
            );
        }
    }
}

/// A script that only looks for a process says little, and its author should know.
fn process_check(command: &str) -> Option<String> {
    let program = command.split_whitespace().next()?;
    let program = program.rsplit('/').next()?;
    let looks = ["pidof", "pgrep"].contains(&program)
        || (["killall", "pkill", "kill"].contains(&program) && command.contains(" -0 "));
    looks.then(|| {
        format!("{} only proves that a process exists, not that it answers", quoted(command))
    })
}

fn undefined(name: &Word, kind: Kind, trackers: &Trackers) -> Diagnostic {
    let text = format!("there is no {} {}", kind.definition(), quoted(&name.text));
    let error = Diagnostic::error(name.span, text)
        .note("keepalived runs the instance without it: a failure would not be noticed")
        .droppable();
    match nearest(&name.text, trackers.names(kind)) {
        Some(near) => error.suggest(Some(near)),
        None => error.help(format!("add `{} {} {{ … }}`, anywhere", kind.definition(), name.text)),
    }
}

fn weight(
    word: &Word,
    direction: Option<&Word>,
    kind: Kind,
    out: &mut Vec<Diagnostic>,
) -> Option<i64> {
    if let Some(direction) = direction
        && !["reverse", "noreverse"].contains(&direction.text.as_str())
    {
        let text = format!("{} is left over after the weight", quoted(&direction.text));
        out.push(Diagnostic::error(direction.span, text).help("allowed: reverse, noreverse"));
    }
    let value = number(word, out)?.value;
    let most = kind.most_weight();
    if (-most..=most).contains(&value) {
        return Some(value);
    }
    let text = format!("weight must be -{most} to {most}, not {value}");
    out.push(Diagnostic::error(word.span, text));
    None
}

/// `vrrp_sync_group`: members and references are checked.
pub(crate) fn sync_groups(
    groups: &[&Node],
    instances: &[&Node],
    trackers: &Trackers,
    out: &mut Vec<Diagnostic>,
) {
    let names: Vec<&str> =
        instances.iter().filter_map(|node| Some(node.args.first()?.text.as_str())).collect();
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for node in groups {
        let Some(name) = node.args.first() else { continue };
        if let Some(first) = seen.insert(&name.text, name.span) {
            let text = format!("vrrp_sync_group {} exists twice", quoted(&name.text));
            out.push(Diagnostic::error(name.span, text).also(first, "first one").droppable());
        }
        let statements = node.block.as_deref().unwrap_or_default();
        if let Some(bare) = statements.iter().find(|s| names.contains(&s.keyword.text.as_str())) {
            let text = format!("the member {} stands outside `group {{ }}`", bare.keyword.text);
            out.push(
                Diagnostic::error(bare.keyword.span, text)
                    .note("keepalived removes such a group as empty")
                    .help("put the members in a block: `group { … }`")
                    .droppable(),
            );
            continue;
        }
        let mut uses = Uses::default();
        let mut members = Vec::new();
        walk(Block::SyncGroup, statements, out, |keyword, node, out| match keyword.name {
            "group" => {
                let lines = node.block.as_deref().unwrap_or_default();
                members.extend(lines.iter().flat_map(Node::words));
            }
            "track_script" => uses.read(Kind::Script, node, out),
            "track_interface" => uses.read(Kind::Interface, node, out),
            "track_file" => uses.read(Kind::File, node, out),
            _ => uses.read(Kind::Process, node, out),
        });
        uses.report(name, None, trackers, out);
        if members.is_empty() {
            let text = format!("vrrp_sync_group {} has no members", name.text);
            out.push(
                Diagnostic::error(name.span, text)
                    .help("add `group { … }` with the instances")
                    .droppable(),
            );
            continue;
        }
        for member in &members {
            if !names.contains(&member.text.as_str()) {
                let text = format!("there is no vrrp_instance {}", quoted(&member.text));
                out.push(
                    Diagnostic::error(member.span, text)
                        .suggest(nearest(&member.text, names.iter().copied()))
                        .droppable(),
                );
            }
        }
        let list: Vec<&str> = members.iter().map(|member| member.text.as_str()).collect();
        let text = format!(
            "`vrrp_sync_group` is not honoured yet: {} change state one by one",
            list.join(", ")
        );
        out.push(
            Diagnostic::warning(name.span, text)
                .note("after a failure the addresses may be split between the nodes"),
        );
    }
}
