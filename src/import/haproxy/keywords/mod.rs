//! Every keyword of haproxy.cfg, once: what the importer knows, what "did you mean" offers and what
//! the coverage table in vipd-haproxy(5) says come from here.

mod table;

use std::fmt;

use crate::config::diag::{Diagnostic, nearest, quoted};
use crate::import::coverage::CoverageRow;
use crate::import::haproxy::lexer::{Line, Word};

/// Where a keyword stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeywordScope {
    /// Begins a section.
    Section,
    /// In `global`.
    Global,
    /// In `defaults`, `listen`, `frontend` and `backend`.
    Proxy,
    /// Behind `timeout`.
    Timeout,
    /// Behind `option`.
    Option,
    /// Behind `http-check`.
    HttpCheck,
    /// Behind `stats`.
    Stats,
    /// A word of a `bind` line.
    Bind,
    /// A word of a `server` or `default-server` line.
    Server,
}

impl KeywordScope {
    /// All of them, in the order of the manual.
    const ALL: &'static [KeywordScope] = &[
        KeywordScope::Section,
        KeywordScope::Global,
        KeywordScope::Proxy,
        KeywordScope::Timeout,
        KeywordScope::Option,
        KeywordScope::HttpCheck,
        KeywordScope::Stats,
        KeywordScope::Bind,
        KeywordScope::Server,
    ];

    fn keywords(self) -> &'static [Keyword] {
        match self {
            KeywordScope::Section => table::SECTIONS,
            KeywordScope::Global => table::GLOBAL,
            KeywordScope::Proxy => table::PROXY,
            KeywordScope::Timeout => table::TIMEOUTS,
            KeywordScope::Option => table::OPTIONS,
            KeywordScope::HttpCheck => table::HTTP_CHECK,
            KeywordScope::Stats => table::STATS,
            KeywordScope::Bind => table::BIND,
            KeywordScope::Server => table::SERVER,
        }
    }

    /// What they are called.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        self.keywords().iter().map(|keyword| keyword.name)
    }

    /// The keyword of that name; those of the table that end in `.*` stand for all that begin so.
    pub(super) fn find(self, name: &str) -> Option<&'static Keyword> {
        self.keywords().iter().find(|keyword| match keyword.name.strip_suffix(".*") {
            Some(family) => name.strip_prefix(family).is_some_and(|rest| rest.starts_with('.')),
            None => keyword.name == name,
        })
    }
}

impl fmt::Display for KeywordScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeywordScope::Section => "the sections",
            KeywordScope::Global => "global",
            KeywordScope::Proxy => "a proxy",
            KeywordScope::Timeout => "timeout",
            KeywordScope::Option => "option",
            KeywordScope::HttpCheck => "http-check",
            KeywordScope::Stats => "stats",
            KeywordScope::Bind => "a bind line",
            KeywordScope::Server => "a server line",
        })
    }
}

/// One keyword.
#[derive(Debug)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    /// Fewest and most words that belong to it.
    pub(super) args: (usize, usize),
    pub(super) class: Class,
    /// What vipd does with it, or why it does nothing.
    pub(super) text: &'static str,
}

/// What vipd does with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// As HAProxy does, as far as the text does not say otherwise.
    Honoured,
    /// Nothing, and nothing is lost by it.
    Quiet,
    /// Nothing, and a warning says so.
    Warned,
    /// An error: without it clients would be sent elsewhere, or let in who should not be. What to do
    /// instead.
    Refused(&'static str),
}

impl Class {
    pub(super) const fn status(self) -> &'static str {
        match self {
            Class::Honoured => "yes",
            Class::Quiet => "no effect",
            Class::Warned => "not supported",
            Class::Refused(_) => "refused",
        }
    }
}

impl Keyword {
    /// What vipd does with it, or why not and what to do instead.
    pub(super) fn explanation(&self) -> String {
        match self.class {
            Class::Refused(instead) => format!("{}; {instead}", self.text),
            Class::Honoured | Class::Quiet | Class::Warned => self.text.to_owned(),
        }
    }
}

/// What vipd does with every keyword of haproxy.cfg, in the order of the manual.
pub(super) fn coverage() -> impl Iterator<Item = CoverageRow> {
    KeywordScope::ALL.iter().flat_map(|scope| {
        scope.keywords().iter().map(|keyword| CoverageRow {
            block: scope.to_string(),
            keyword: keyword.name,
            status: keyword.class.status(),
            text: keyword.explanation(),
        })
    })
}

/// Diagnostics about keywords.
pub(super) struct Reporter<'a> {
    pub(super) out: &'a mut Vec<Diagnostic>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(out: &'a mut Vec<Diagnostic>) -> Reporter<'a> {
        Reporter { out }
    }

    /// The keyword called `word`, if it is honoured; says what becomes of the others. `before` is
    /// what stands before it in messages: `option `.
    pub(super) fn keyword(
        &mut self,
        scope: KeywordScope,
        word: &Word,
        before: &str,
    ) -> Option<&'static Keyword> {
        let Some(keyword) = scope.find(&word.text) else {
            let text = format!("unknown keyword {} in {scope}", quoted(&word.text));
            let error =
                Diagnostic::error(word.span, text).suggest(nearest(&word.text, scope.names()));
            self.out.push(error.note("vipd-haproxy(5) lists the keywords there are"));
            return None;
        };
        let name = format!("`{before}{}`", word.text);
        match keyword.class {
            Class::Honoured => return Some(keyword),
            Class::Quiet => {
                let text = format!("{name}: {}", keyword.text);
                self.out.push(Diagnostic::remark(word.span, text));
            }
            Class::Warned => {
                let setting = format!("{before}{}", word.text);
                self.out.push(Diagnostic::no_effect(word.span, &setting, keyword.text));
            }
            Class::Refused(instead) => {
                let text = format!("{name} is not supported");
                let error = Diagnostic::error(word.span, text).note(keyword.text);
                self.out.push(error.help(instead));
            }
        }
        None
    }

    /// The keyword of a line with as many words as it takes.
    pub(super) fn line(
        &mut self,
        scope: KeywordScope,
        line: &Line,
        before: &str,
    ) -> Option<&'static Keyword> {
        let keyword = self.keyword(scope, &line.keyword, before)?;
        let (least, most) = keyword.args;
        let name = format!("`{before}{}`", keyword.name);
        if line.args.len() < least {
            let text = format!("{name} needs a value");
            self.out.push(Diagnostic::error(line.keyword.span, text));
            return None;
        }
        if let Some(surplus) = line.args.get(most) {
            let text = format!("{} is one word too many for {name}", quoted(&surplus.text));
            self.out.push(Diagnostic::error(surplus.span, text));
            return None;
        }
        Some(keyword)
    }
}
