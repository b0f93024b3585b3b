//! `[track.KIND.NAME]`, and what routers say about them.

use super::{Reader, Value, entries};
use crate::config::checks::{ArgsMatch, Command, ProcessPattern};
use crate::config::command;
use crate::config::diag::{Diagnostic, Spanned, nearest, quoted};
use crate::config::key::Words;
use crate::config::model::Namespace;
use crate::config::raw::{
    CheckKind, GroupWords, Raw, RawGroup, RawTrackRef, RawTrackedInterface, RawTracker, RawWeight,
    TrackerWords,
};

/// The keys of an entry in `track`.
pub(super) const REFERENCE: &[&str] = &["name", "listener", "kind", "weight", "reverse"];

/// The keys of an entry in `track_interfaces`.
const WEIGHTED: &[&str] = &["name", "weight", "reverse"];

/// The keys of a group.
pub(super) const GROUP: &[&str] = &["members", "track", "track_interfaces", "notify"];

static GROUP_WORDS: GroupWords = GroupWords {
    block: "group",
    member: "router",
    members: "members = […]",
    weights: "weights = true",
};

static WORDS: TrackerWords = TrackerWords {
    block: "tracker",
    settings: &[],
    instead: "let [track.haproxy.NAME], [track.tcp.NAME] or one of their like ask it",
    of_a_listener: "track what it served: `track = [{ listener = \"NAME\" }]`",
    listeners: ["`listeners = true`", "`listeners = false`"],
};

impl Reader<'_> {
    pub(super) fn trackers(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(kinds) = self.table(value) else { return };
        let before = raw.trackers.len();
        for (name, span, value) in entries(kinds) {
            let Some(kind) = CheckKind::of(name) else {
                let known = CheckKind::words;
                let text = format!("{} is no kind of tracker", quoted(name));
                let span = self.span(span);
                self.out.push(
                    Diagnostic::error(span, text)
                        .help(format!("allowed: {}", known().join(", ")))
                        .suggest(nearest(name, known())),
                );
                continue;
            };
            let Some(trackers) = self.table(value) else { continue };
            for (name, span, value) in entries(trackers) {
                let name = Spanned::new(name.to_owned(), self.span(span));
                let tracker = self.tracker(kind, name, value);
                raw.trackers.extend(tracker);
            }
        }
        // As written, whatever kind comes between two of another.
        if let Some(own) = raw.trackers.get_mut(before..) {
            own.sort_by_key(|tracker| tracker.name.span.start);
        }
    }

    fn tracker(
        &mut self,
        kind: CheckKind,
        name: Spanned<String>,
        value: &Value<'_>,
    ) -> Option<RawTracker> {
        let table = self.table(value)?;
        let place = format!("[track.{}.{}]", kind.name(), name.value);
        let keys: Vec<&'static str> = kind.keys().collect();
        let mut raw = RawTracker::new(name, kind, &WORDS);
        let mut pattern = Pattern::default();
        for (key, span, value) in entries(table) {
            raw.written.insert(key.to_owned());
            match (kind, key) {
                (CheckKind::Script, "command") => raw.settings.command = self.command(value),
                (CheckKind::Process, "name") => pattern.name = self.text(value),
                // It stands in place of the name.
                (CheckKind::Process, "command") => {
                    raw.written.insert("name".to_owned());
                    pattern.command = self.command(value);
                }
                (CheckKind::Process, "match") => {
                    self.word(&mut pattern.args_match, value);
                }
                _ if !keys.contains(&key) => self.unknown(key, span, &keys, &place),
                _ => match raw.settings.slot(key) {
                    Some(slot) => self.slot(slot, value),
                    None => debug_assert!(false, "{key} has no slot"),
                },
            }
        }
        raw.settings.processes = self.pattern(pattern);
        Some(raw)
    }

    /// `"killall -0 x"`, or `["killall", "-0", "x"]`.
    pub(super) fn command(&mut self, value: &Value<'_>) -> Option<Spanned<Command>> {
        let span = self.span(value.span());
        let Some(array) = value.get_ref().as_array() else {
            let text = self.text(value)?;
            return match command::parse(&text.value) {
                Ok(command) => Some(Spanned::new(command, span)),
                Err(error) => {
                    self.out.push(Diagnostic::error(span, error));
                    None
                }
            };
        };
        let mut words = Vec::new();
        for item in array {
            words.push(self.text(item)?.value);
        }
        let program = words.first().filter(|program| !program.is_empty()).cloned();
        if program.is_none() {
            self.out.push(Diagnostic::error(span, command::NO_COMMAND));
        }
        let args = words.into_iter().skip(1).collect();
        Some(Spanned::new(Command::Argv { program: program?, args }, span))
    }

    fn pattern(&mut self, raw: Pattern) -> Option<Spanned<ProcessPattern>> {
        let args_match = raw.args_match.map(|choice| choice.value).unwrap_or_default();
        match (raw.name, raw.command) {
            (Some(name), None) => {
                if let Some(choice) = raw.args_match {
                    let text = "`match` compares arguments, and a name has none";
                    self.out.push(Diagnostic::error(choice.span, text).help("use `command`"));
                }
                Some(name.map(ProcessPattern::Name))
            }
            (None, Some(Spanned { value: Command::Argv { program, args }, span })) => {
                let pattern = ProcessPattern::CommandLine { program, args, args_match };
                Some(Spanned::new(pattern, span))
            }
            (Some(_), Some(Spanned { span, .. }))
            | (None, Some(Spanned { value: Command::Shell(_), span })) => {
                let text = "a process has either a name or a command line";
                self.out.push(Diagnostic::error(span, text));
                None
            }
            (None, None) => None,
        }
    }

    /// Names and what belongs to each.
    pub(super) fn pairs(&mut self, value: &Value<'_>) -> Vec<(Spanned<String>, Spanned<String>)> {
        let Some(table) = self.table(value) else { return Vec::new() };
        entries(table)
            .into_iter()
            .filter_map(|(name, span, value)| {
                let name = Spanned::new(name.to_owned(), self.span(span));
                Some((name, self.text(value)?))
            })
            .collect()
    }

    pub(super) fn groups(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(groups) = self.table(value) else { return };
        for (name, span, value) in entries(groups) {
            let place = format!("[group.{name}]");
            let name = Spanned::new(name.to_owned(), self.span(span));
            let mut group = RawGroup::new(name, &GROUP_WORDS);
            let Some(table) = self.table(value) else { continue };
            for (key, span, value) in entries(table) {
                match key {
                    "members" => group.members = self.members(value),
                    "track" => group.track = self.references(value),
                    "track_interfaces" => group.track_interfaces = self.tracked_interfaces(value),
                    "notify" => {
                        let place = format!("[group.{}.notify]", group.name.value);
                        group.notify = self.notify(value, &place);
                    }
                    _ => {
                        let entry = (key, span, value);
                        self.setting(&mut group, RawGroup::KEYS, entry, GROUP, &place);
                    }
                }
            }
            raw.groups.push(group);
        }
    }

    fn members(&mut self, value: &Value<'_>) -> Vec<Spanned<String>> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "an array of routers, such as [\"inside\", \"outside\"]");
            return Vec::new();
        };
        array.iter().filter_map(|item| self.text(item)).collect()
    }

    /// The entries of `track`.
    pub(super) fn references(&mut self, value: &Value<'_>) -> Vec<RawTrackRef> {
        let entries = self.weighted(value, "trackers, such as [\"chk_haproxy\"]", REFERENCE);
        let reference = |Entry { name, kind, listener, weight }| {
            let namespace = match listener {
                true => Some(Namespace::Listener),
                false => kind.map(|kind| kind.value.namespace()),
            };
            Some(RawTrackRef { name: name?, namespace, weight })
        };
        entries.into_iter().filter_map(reference).collect()
    }

    /// The entries of `track_interfaces`.
    pub(super) fn tracked_interfaces(&mut self, value: &Value<'_>) -> Vec<RawTrackedInterface> {
        let entries = self.weighted(value, "interfaces, such as [\"eth1\"]", WEIGHTED);
        let interface =
            |Entry { name, weight, .. }| Some(RawTrackedInterface { name: name?, weight });
        entries.into_iter().filter_map(interface).collect()
    }

    fn weighted(
        &mut self,
        value: &Value<'_>,
        what: &str,
        keys: &'static [&'static str],
    ) -> Vec<Entry> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, &format!("an array of {what}"));
            return Vec::new();
        };
        array.iter().map(|item| self.entry(item, keys)).collect()
    }

    fn entry(&mut self, value: &Value<'_>, keys: &'static [&'static str]) -> Entry {
        let mut entry = Entry::default();
        if value.get_ref().is_str() {
            entry.name = self.text(value);
            return entry;
        }
        let Some(table) = value.get_ref().as_table() else {
            self.expected(value, "a name or { name = \"…\", weight = … }");
            return entry;
        };
        for (key, span, value) in entries(table) {
            match key {
                _ if !keys.contains(&key) => self.unknown(key, span, keys, "an entry"),
                "name" => entry.name = self.text(value),
                "listener" => (entry.name, entry.listener) = (self.text(value), true),
                "kind" => self.word(&mut entry.kind, value),
                "weight" => entry.weight.value = self.number(value),
                _ => entry.weight.reverse = self.boolean(value),
            }
        }
        if !entry.listener && !table.contains_key("name") {
            let span = self.span(value.span());
            self.out.push(Diagnostic::error(span, "an entry without `name`"));
        }
        entry
    }
}

/// One of `track` or `track_interfaces`, as it is being read.
#[derive(Default)]
struct Entry {
    name: Option<Spanned<String>>,
    kind: Option<Spanned<CheckKind>>,
    /// The name is that of a listener.
    listener: bool,
    weight: RawWeight,
}

/// Which processes count, as it is being read.
#[derive(Default)]
struct Pattern {
    name: Option<Spanned<String>>,
    command: Option<Spanned<Command>>,
    args_match: Option<Spanned<ArgsMatch>>,
}
