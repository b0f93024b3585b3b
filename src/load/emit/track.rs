//! What is tracked, and what changes state together.
//!
//! Written from the raw configuration: both dialects share its settings, and what a group means for
//! its members is worked out again when the text is read.

use std::collections::BTreeSet;

use super::table::Table;
use super::values::{array, key, text, written};
use crate::config::check::check;
use crate::config::checks::{ArgsMatch, Command, ProcessPattern};
use crate::config::command;
use crate::config::diag::{Severity, SourceMap, Spanned};
use crate::config::key::Words;
use crate::config::model::{Namespace, TrackerKey};
use crate::config::raw::{
    CheckKind, Raw, RawGroup, RawTrackRef, RawTrackedInterface, RawTracker, RawWeight,
};
use crate::load::Loaded;

/// The tables of all trackers; those that nobody tracks are written too.
pub(super) fn trackers(raw: &Raw, map: &SourceMap) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let sound = |tracker: &&RawTracker| {
        let alone = Raw { trackers: vec![(*tracker).clone()], ..Raw::default() };
        let mut said = Vec::new();
        check(&alone, &mut said);
        said.iter().all(|d| d.severity != Severity::Error)
    };
    let first = |tracker: &&RawTracker| seen.insert(key_of(tracker));
    raw.trackers.iter().filter(sound).filter(first).map(|raw| tracker(raw, map)).collect()
}

fn key_of(tracker: &RawTracker) -> TrackerKey {
    TrackerKey { namespace: tracker.kind.namespace(), name: tracker.name.value.clone() }
}

fn tracker(raw: &RawTracker, map: &SourceMap) -> String {
    let heading = format!("[track.{}.{}]", raw.kind.name(), key(&raw.name.value));
    let mut table = Table::new(heading, map, Some(raw.name.span));
    let mut settings = raw.settings.clone();
    for name in raw.kind.keys() {
        let (value, span) = match (raw.kind, name) {
            (CheckKind::Script, "command") => {
                let Some(command) = &settings.command else { continue };
                (words(&command.value), command.span)
            }
            (CheckKind::Process, "name" | "command" | "match") => {
                let Some(pattern) = &settings.processes else { continue };
                let Some(value) = process(name, &pattern.value) else { continue };
                (value, pattern.span)
            }
            _ => {
                let Some(slot) = settings.slot(name) else { continue };
                let (Some(span), Some(value)) = (slot.origin(), written(slot)) else { continue };
                (value, span)
            }
        };
        table.translated(name, value, Some(span));
    }
    table.finish()
}

/// A command as one text where that reads back as the same words.
pub(super) fn words(command: &Command) -> String {
    let words: Vec<&str> = match command {
        Command::Shell(line) => return text(line),
        Command::Argv { program, args } => {
            std::iter::once(program).chain(args).map(String::as_str).collect()
        }
    };
    let joined = words.join(" ");
    if command::parse(&joined).as_ref() == Ok(command) {
        return text(&joined);
    }
    let list: Vec<String> = words.into_iter().map(text).collect();
    format!("[{}]", list.join(", "))
}

fn process(name: &str, pattern: &ProcessPattern) -> Option<String> {
    match (name, pattern) {
        ("name", ProcessPattern::Name(program)) => Some(text(program)),
        ("command", ProcessPattern::CommandLine { program, args, .. }) => {
            Some(words(&Command::Argv { program: program.clone(), args: args.clone() }))
        }
        ("match", ProcessPattern::CommandLine { args_match, .. })
            if *args_match != ArgsMatch::default() =>
        {
            Some(text(args_match.word()))
        }
        _ => None,
    }
}

/// The keys `track` and `track_interfaces` of a router or a group.
pub(super) fn references(
    table: &mut Table<'_>,
    track: &[RawTrackRef],
    interfaces: &[RawTrackedInterface],
    loaded: &Loaded,
) {
    let track: Vec<String> = track.iter().filter_map(|track| reference(track, loaded)).collect();
    let interfaces: Vec<String> =
        interfaces.iter().map(|i| entry(&i.name.value, None, i.weight)).collect();
    for (key, list) in [("track", track), ("track_interfaces", interfaces)] {
        if !list.is_empty() {
            table.set(key, array(key, &list));
        }
    }
}

/// One of `track`, unless lenient reading did without it.
fn reference(raw: &RawTrackRef, loaded: &Loaded) -> Option<String> {
    let name = &raw.name.value;
    if raw.namespace == Some(Namespace::Listener) {
        let weight = raw.weight.value.map(|weight| format!(", weight = {}", weight.value));
        let reverse = raw.weight.reverse.map(|reverse| format!(", reverse = {}", reverse.value));
        let options = [weight, reverse].into_iter().flatten().collect::<String>();
        return Some(format!("{{ listener = {}{options} }}", text(name)));
    }
    let fits = |namespace| raw.namespace.is_none_or(|wanted| wanted == namespace);
    let mut trackers = loaded.config.trackers.iter().map(|tracker| &tracker.key);
    let listens = loaded.config.listeners.iter().any(|listener| listener.name() == *name);
    if !trackers.any(|key| key.name == *name && fits(key.namespace)) && !listens {
        return None;
    }
    let namesakes = loaded.raw.trackers.iter().filter(|tracker| tracker.name.value == *name);
    let kinds: Vec<CheckKind> = namesakes.map(|tracker| tracker.kind).collect();
    let several = kinds.iter().any(|kind| !fits(kind.namespace()));
    let own = kinds.into_iter().find(|kind| several && fits(kind.namespace()));
    Some(entry(name, own.map(CheckKind::name), raw.weight))
}

fn entry(name: &str, kind: Option<&str>, weight: RawWeight) -> String {
    let mut options = Vec::new();
    options.extend(kind.map(|kind| format!("kind = {}", text(kind))));
    options.extend(weight.value.map(|weight| format!("weight = {}", weight.value)));
    options.extend(weight.reverse.map(|reverse| format!("reverse = {}", reverse.value)));
    if options.is_empty() {
        return text(name);
    }
    format!("{{ name = {}, {} }}", text(name), options.join(", "))
}

pub(super) fn group(raw: &RawGroup, loaded: &Loaded) -> String {
    let heading = format!("[group.{}]", key(&raw.name.value));
    let mut table = Table::new(heading, &loaded.map, Some(raw.name.span));
    let members = raw.members.iter().map(|member| &member.value);
    let known =
        members.filter(|name| loaded.config.routers.iter().any(|router| router.name == **name));
    let members: Vec<String> = known.map(|name| text(name)).collect();
    table.set("members", array("members", &members));
    references(&mut table, &raw.track, &raw.track_interfaces, loaded);
    if let Some(Spanned { value: true, span }) = raw.weights {
        table.translated("weights", "true", Some(span));
    }
    table.finish()
}
