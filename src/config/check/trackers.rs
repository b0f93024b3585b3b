//! Trackers: what is checked, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::config::checks::{Check, Command};
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::key::value::within;
use crate::config::model::{Namespace, TrackerConfig, TrackerKey};
use crate::config::raw::{RawGlobals, RawListener, RawSettings, RawTracker, Rhythm, TrackerWords};

/// Every tracker that is written, right or wrong, by its identity.
pub(super) struct Trackers<'r> {
    known: BTreeMap<TrackerKey, Defined<'r>>,
    /// Listeners can be tracked too; what is wrong with them is said elsewhere.
    listeners: BTreeSet<TrackerKey>,
}

struct Defined<'r> {
    raw: &'r RawTracker,
    config: Option<Arc<TrackerConfig>>,
}

impl<'r> Trackers<'r> {
    pub(super) fn new(
        trackers: &'r [RawTracker],
        listeners: &[RawListener],
        globals: &RawGlobals,
        out: &mut Vec<Diagnostic>,
    ) -> Trackers<'r> {
        let mut known: BTreeMap<TrackerKey, Defined<'r>> = BTreeMap::new();
        for raw in trackers {
            let key = TrackerKey { namespace: raw.kind.namespace(), name: raw.name.value.clone() };
            let config = TrackerCheck { raw, settings: &raw.settings, globals, out };
            let config = config.run(&key);
            if let Some(first) = known.get(&key) {
                let text = format!("{} {} exists twice", raw.words.block, quoted(&key.name));
                out.push(
                    Diagnostic::error(raw.name.span, text)
                        .also(first.raw.name.span, "first one")
                        .help("give it another name")
                        .droppable(),
                );
            } else {
                known.insert(key, Defined { raw, config: config.map(Arc::new) });
            }
        }
        let key = |raw: &RawListener| TrackerKey {
            namespace: Namespace::Listener,
            name: raw.name.value.clone(),
        };
        Trackers { known, listeners: listeners.iter().map(key).collect() }
    }

    /// The first of each name.
    fn in_order<'s>(
        &'s self,
        trackers: &'s [RawTracker],
    ) -> impl Iterator<Item = (&'s TrackerKey, &'s Defined<'r>)> {
        trackers.iter().filter_map(|raw| {
            let key = TrackerKey { namespace: raw.kind.namespace(), name: raw.name.value.clone() };
            self.known
                .get_key_value(&key)
                .filter(|(_, defined)| defined.raw.name.span == raw.name.span)
        })
    }

    /// Whether it can be run at all; what is wrong with it has been said.
    pub(super) fn is_sound(&self, key: &TrackerKey) -> bool {
        let runs = self.known.get(key).is_some_and(|defined| defined.config.is_some());
        runs || self.listeners.contains(key)
    }

    pub(super) fn get(&self, key: &TrackerKey) -> Option<&'r RawTracker> {
        self.known.get(key).map(|defined| defined.raw)
    }

    /// The identities that a name may stand for.
    pub(super) fn find(&self, name: &str, namespace: Option<Namespace>) -> Vec<&TrackerKey> {
        let fits = |key: &&TrackerKey| {
            key.name == name && namespace.is_none_or(|wanted| key.namespace == wanted)
        };
        self.known.keys().chain(&self.listeners).filter(fits).collect()
    }

    pub(super) fn names(&self, namespace: Option<Namespace>) -> impl Iterator<Item = &str> {
        let fits = move |key: &&TrackerKey| namespace.is_none_or(|n| key.namespace == n);
        self.known.keys().chain(&self.listeners).filter(fits).map(|key| key.name.as_str())
    }

    /// Those that somebody tracks, in the order of the files; the others are said to be idle, unless
    /// a reference to nothing may be meant for one of them.
    pub(super) fn used(
        &self,
        trackers: &[RawTracker],
        used: &[Option<TrackerKey>],
        out: &mut Vec<Diagnostic>,
    ) -> Vec<Arc<TrackerConfig>> {
        let mut configs = Vec::new();
        let complete = used.iter().all(Option::is_some);
        let used: BTreeSet<&TrackerKey> = used.iter().flatten().collect();
        for (key, Defined { raw, config }) in self.in_order(trackers) {
            if used.contains(key) {
                configs.extend(config.clone());
            } else if complete && config.is_some() {
                let text = format!("{} {} is tracked by nobody", raw.words.block, key.name);
                out.push(Diagnostic::warning(raw.name.span, text).note("it does not run at all"));
            }
        }
        configs
    }
}

/// One tracker under examination.
pub(super) struct TrackerCheck<'a> {
    pub(super) raw: &'a RawTracker,
    pub(super) settings: &'a RawSettings,
    pub(super) globals: &'a RawGlobals,
    pub(super) out: &'a mut Vec<Diagnostic>,
}

impl TrackerCheck<'_> {
    fn run(mut self, key: &TrackerKey) -> Option<TrackerConfig> {
        let check = self.check();
        let listeners = self.settings.listeners.is_some_and(|on| on.value);
        let watched = check.as_ref().is_some_and(Check::is_watched);
        let rhythm = Rhythm { watched: watched && !listeners, ..self.rhythm(watched) };
        if let (Some(Check::Script(script)), Some(at), false) =
            (&check, &self.settings.command, listeners)
        {
            self.out.extend(habits(&script.command, at, self.raw.words));
        }
        Some(TrackerConfig { key: key.clone(), check: Arc::new(check?), listeners, rhythm })
    }

    fn rhythm(&mut self, watched: bool) -> Rhythm {
        let mut standard = Rhythm { watched, ..Rhythm::default() };
        if watched {
            standard.fall = NonZeroU32::MIN;
        }
        let mut rhythm = self.settings.over(&standard, self.out);
        if self.settings.timeout.is_none() {
            rhythm.timeout = rhythm.interval;
        }
        rhythm
    }

    /// A number of its kind alone.
    pub(super) fn within(
        &mut self,
        key: &'static str,
        raw: Option<Spanned<i64>>,
        limits: RangeInclusive<u16>,
    ) -> Option<u16> {
        within(raw.as_ref(), &limits, self.raw.word(key), self.out)
    }
}

/// What commands do that their authors do not expect.
fn habits(command: &Command, at: &Spanned<Command>, words: &TrackerWords) -> Vec<Diagnostic> {
    let Command::Argv { program, args } = command else { return Vec::new() };
    let mut found = Vec::new();
    let name = program.rsplit('/').next().unwrap_or(program);
    let argv = || std::iter::once(program).chain(args).map(String::as_str).collect::<Vec<_>>();
    let text = || quoted(&argv().join(" "));
    let looks = ["pidof", "pgrep"].contains(&name)
        || (["killall", "pkill", "kill"].contains(&name) && args.iter().any(|arg| arg == "-0"));
    if looks {
        let message = format!("{} proves that a process exists, not that it answers", text());
        found.push(Diagnostic::warning(at.span, message).help(words.instead));
    }
    let prints =
        |arg: &String| arg.contains("echo ") && arg.contains("||") && !arg.contains("exit");
    if args.iter().any(prints) {
        found.push(
            Diagnostic::warning(at.span, "this command prints its answer, and always succeeds")
                .note("only the exit code counts: 0 is success, anything else failure")
                .help("write `exit 1` instead of `echo`"),
        );
    }
    found
}
