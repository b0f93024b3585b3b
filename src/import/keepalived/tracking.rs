//! Scripts, files and processes, `vipd_check`, and what instances track of them.

use std::time::Duration;

use super::keywords::Block;
use super::lexer::Word;
use super::tree::Node;
use super::values::{number, read, seconds, text};
use super::walk::walk;
use crate::config::checks::{ArgsMatch, Command, ProcessPattern};
use crate::config::command;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::key::Words;
use crate::config::model::Namespace;
use crate::config::raw::{
    CheckKind, RawSettings, RawTrackRef, RawTrackedInterface, RawTracker, RawWeight, TrackerWords,
};

const INSTEAD: &str = "ask it: `#vipd check NAME { tcp HOST:PORT }`, or haproxy, http, postgres";
const OF_A_LISTENER: &str = "track what it served: `#vipd track_listener { SECTION }`";
const LISTENERS: [&str; 2] =
    ["`#vipd listeners` in its block", "`#vipd listeners false` in its block"];

static SCRIPT: TrackerWords = TrackerWords {
    block: "vrrp_script",
    settings: &[
        ("command", "script"),
        ("on_timeout", "vipd_on_timeout"),
        ("listeners", "vipd_listeners"),
    ],
    instead: INSTEAD,
    of_a_listener: OF_A_LISTENER,
    listeners: LISTENERS,
};
static FILE: TrackerWords = TrackerWords {
    block: "track_file",
    settings: &[("path", "file")],
    instead: INSTEAD,
    of_a_listener: OF_A_LISTENER,
    listeners: LISTENERS,
};
static PROCESS: TrackerWords = TrackerWords {
    block: "vrrp_track_process",
    settings: &[
        ("name", "process"),
        ("rise_delay", "fork_delay"),
        ("fall_delay", "terminate_delay"),
        ("listeners", "vipd_listeners"),
    ],
    instead: INSTEAD,
    of_a_listener: OF_A_LISTENER,
    listeners: LISTENERS,
};
static CHECK: TrackerWords = TrackerWords {
    block: "vipd_check",
    settings: &[],
    instead: INSTEAD,
    of_a_listener: OF_A_LISTENER,
    listeners: LISTENERS,
};

/// Reads a defining block.
pub(crate) fn define(
    keyword: &str,
    node: &Node,
    trackers: &mut Vec<RawTracker>,
    out: &mut Vec<Diagnostic>,
) {
    let Some(name) = node.args.first() else { return };
    let (kind, block, words) = match keyword {
        "vrrp_script" => (CheckKind::Script, Block::Script, &SCRIPT),
        "track_file" | "vrrp_track_file" => (CheckKind::File, Block::TrackFile, &FILE),
        "vrrp_track_process" => (CheckKind::Process, Block::TrackProcess, &PROCESS),
        _ => return check(name, node, trackers, out),
    };
    let mut raw = RawTracker::new(text(name), kind, words);
    let mut process = Process::default();
    walk(block, node.block.as_deref().unwrap_or_default(), out, |keyword, node, out| {
        let settings = &mut raw.settings;
        let key = words.settings.iter().find(|(_, own)| *own == keyword.name);
        let key = key.map_or(keyword.name, |(key, _)| key);
        raw.written.insert(key.to_owned());
        match (key, node.args.as_slice()) {
            ("command", args) => settings.command = script(args, out),
            ("name", args) => process.words = args.to_vec(),
            ("param_match", args) => process.args_match = param_match(args.first(), out),
            ("full_command", _) => process.full_command = true,
            ("delay", [word, ..]) => {
                settings.rise_delay = seconds(word, out);
                settings.fall_delay = settings.rise_delay;
            }
            ("init_file", _) => {}
            _ => set(settings, key, node, out),
        }
    });
    if kind == CheckKind::Script {
        // keepalived's: one failure is enough.
        raw.settings.fall.get_or_insert(Spanned::new(1, name.span));
        raw.settings.interval = raw.settings.interval.map(one_second_for_zero);
        raw.settings.timeout.take_if(|timeout| timeout.value.is_zero());
    }
    raw.settings.processes = process.pattern();
    trackers.push(raw);
}

/// `vipd_check`: what is asked stands where a `vrrp_script` has its `script`.
fn check(name: &Word, node: &Node, trackers: &mut Vec<RawTracker>, out: &mut Vec<Diagnostic>) {
    let nodes = node.block.as_deref().unwrap_or_default();
    let kind_of = |node: &Node| CheckKind::of(&node.keyword.text);
    let mut kinds = nodes.iter().filter_map(|node| Some((kind_of(node)?, node)));
    let Some((kind, first)) = kinds.next() else {
        let text = format!("#vipd check {} does not say what to ask", name.text);
        out.push(
            Diagnostic::error(name.span, text)
                .help("add `tcp HOST:PORT`, `http URL`, `patroni URL`, `haproxy SOCKET` or `postgres HOST:PORT`"),
        );
        return;
    };
    if let Some((_, second)) = kinds.next() {
        out.push(
            Diagnostic::error(second.keyword.span, "one `#vipd check` asks one thing")
                .also(first.keyword.span, "asked first")
                .help("write one for each, and track both"),
        );
    }
    let mut raw = RawTracker::new(text(name), kind, &CHECK);
    walk(Block::Check, nodes, out, |keyword, node, out| {
        let key = match (keyword.name, node.args.first()) {
            (name, _) if CheckKind::of(name).is_none() => match name {
                "header" => "headers",
                "tag" => "tags",
                name => name,
            },
            ("tcp" | "postgres", _) => "connect",
            ("haproxy", Some(target)) if target.text.starts_with('/') => "socket",
            _ => "url",
        };
        raw.written.insert(key.to_owned());
        if kind.keys().any(|known| known == key) {
            set(&mut raw.settings, key, node, out);
        } else {
            let text = format!("`{}` does not belong to {}", keyword.name, kind.name());
            out.push(Diagnostic::error(node.keyword.span, text));
        }
    });
    trackers.push(raw);
}

/// Puts the value of a statement where it belongs.
fn set(settings: &mut RawSettings, key: &str, node: &Node, out: &mut Vec<Diagnostic>) {
    match (key, node.args.as_slice()) {
        ("weight", [value, direction @ ..]) => {
            settings.weight = weight(value, direction.first(), out);
            return;
        }
        ("user", [user, group @ ..]) => {
            settings.user = Some(text(user));
            settings.group = group.first().map(text);
            return;
        }
        _ => {}
    }
    let read = settings.slot(key).is_some_and(|mut slot| read(&mut slot, node, out));
    debug_assert!(read, "{key} is in the table but not read");
}

fn one_second_for_zero(interval: Spanned<Duration>) -> Spanned<Duration> {
    interval.map(|time| if time.is_zero() { Duration::from_secs(1) } else { time })
}

/// The command of a script: keepalived splits the line and, a second time, its first word.
fn script(args: &[Word], out: &mut Vec<Diagnostic>) -> Option<Spanned<Command>> {
    let (first, last) = (args.first()?, args.last()?);
    let span = first.span.to(last.span);
    if args.len() > 1 {
        let message = format!("keepalived runs {} without what follows", quoted(&first.text));
        out.push(
            Diagnostic::warning(span, message)
                .note("vipd runs the whole line")
                .help("put the command in double quotes, so that both do"),
        );
    }
    let words: Vec<&str> = args.iter().map(|word| word.text.as_str()).collect();
    match command::parse(&words.join(" ")) {
        Ok(command) => Some(Spanned::new(command, span)),
        Err(error) => {
            out.push(Diagnostic::error(span, error));
            None
        }
    }
}

/// `process`, with what decides how it is read.
#[derive(Default)]
struct Process {
    words: Vec<Word>,
    args_match: Option<ArgsMatch>,
    full_command: bool,
}

impl Process {
    /// Arguments, and everything that compares them, ask for the whole command line.
    fn pattern(self) -> Option<Spanned<ProcessPattern>> {
        let (program, args) = self.words.split_first()?;
        let pattern = if args.is_empty() && !self.full_command && self.args_match.is_none() {
            ProcessPattern::Name(program.text.clone())
        } else {
            ProcessPattern::CommandLine {
                program: program.text.clone(),
                args: args.iter().map(|word| word.text.clone()).collect(),
                args_match: self.args_match.unwrap_or_default(),
            }
        };
        Some(Spanned::new(pattern, program.span))
    }
}

fn param_match(word: Option<&Word>, out: &mut Vec<Diagnostic>) -> Option<ArgsMatch> {
    let Some(word) = word else { return Some(ArgsMatch::Exact) };
    match word.text.as_str() {
        "initial" => Some(ArgsMatch::Initial),
        "partial" => Some(ArgsMatch::Partial),
        other => {
            let text = format!("unknown param_match {}", quoted(other));
            out.push(Diagnostic::error(word.span, text).help("allowed: initial, partial"));
            None
        }
    }
}

/// Reads a `track_…` block of an instance or a group.
pub(crate) fn references(
    keyword: &str,
    node: &Node,
    track: &mut Vec<RawTrackRef>,
    interfaces: &mut Vec<RawTrackedInterface>,
    out: &mut Vec<Diagnostic>,
) {
    let namespace = match keyword {
        "track_script" => Some(Namespace::Check),
        "track_file" => Some(Namespace::File),
        "track_process" => Some(Namespace::Process),
        "vipd_track_listener" => Some(Namespace::Listener),
        _ => None,
    };
    for line in node.block.as_deref().unwrap_or_default() {
        let weight = match line.args.as_slice() {
            [] => RawWeight::default(),
            [word, value, rest @ ..] if word.text == "weight" && rest.len() <= 1 => {
                weight(value, rest.first(), out)
            }
            [word, ..] => {
                let text = format!("unknown option {} in {keyword}", quoted(&word.text));
                let help = format!("one per line: `{} weight 2`", line.keyword.text);
                out.push(Diagnostic::error(word.span, text).help(help));
                RawWeight::default()
            }
        };
        let name = text(&line.keyword);
        match namespace {
            Some(_) => track.push(RawTrackRef { name, namespace, weight }),
            None => interfaces.push(RawTrackedInterface { name, weight }),
        }
    }
}

fn weight(value: &Word, direction: Option<&Word>, out: &mut Vec<Diagnostic>) -> RawWeight {
    let reverse = direction.and_then(|word| match word.text.as_str() {
        "reverse" => Some(Spanned::new(true, word.span)),
        "noreverse" => Some(Spanned::new(false, word.span)),
        other => {
            let text = format!("{} is left over after the weight", quoted(other));
            out.push(Diagnostic::error(word.span, text).help("allowed: reverse, noreverse"));
            None
        }
    });
    RawWeight { value: number(value, out), reverse }
}
