//! `stats` lines, and those that decide who is let in.

use std::time::Duration;

use super::keywords::{KeywordScope, Reporter};
use super::lexer::Line;
use super::values::{seconds, text};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::raw::{RawUser, Secret};

/// `stats` lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    /// The first of them. Every one asks for the page.
    pub(super) first: Option<Span>,
    /// They are those of the defaults.
    pub(super) inherited: bool,
    pub(super) uri: Option<Spanned<String>>,
    pub(super) refresh: Option<Spanned<Duration>>,
    pub(super) users: Vec<RawUser>,
    pub(super) guards: Vec<Guard>,
}

/// A line that decides who is let in, in a way vipd does not know.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// Its first two words.
    pub(super) text: String,
    pub(super) span: Span,
}

impl Guard {
    pub(super) fn of(line: &Line) -> Guard {
        let words: Vec<&str> = line.words().take(2).map(|word| word.text.as_str()).collect();
        Guard { text: words.join(" "), span: line.span() }
    }

    /// It stands where clients connect.
    pub(super) fn refused(&self) -> Diagnostic {
        Diagnostic::error(self.span, format!("`{}` is not supported", self.text))
            .note("vipd cannot tell whom it lets in, and would let in everybody")
            .help("let a firewall on this host do it, for example `nft add rule` with `ip saddr`")
    }
}

/// Whether a rule about requests may turn somebody away, or send them elsewhere.
pub(super) fn guards(keyword: &str, action: &str) -> bool {
    let harmless = ["set-", "add-", "del-", "replace-header", "unset-var", "capture", "track-sc"];
    let asks = ["http-request", "redirect"].contains(&keyword);
    asks && !harmless.iter().any(|start| action.starts_with(start))
}

impl Stats {
    /// What follows belongs to a section of its own.
    pub(super) fn inherit(&mut self) {
        self.inherited = true;
    }

    /// Reads what stands behind `stats`.
    pub(super) fn line(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        if self.inherited {
            // The first own line takes the place of all of the defaults, their users included.
            *self = Stats::default();
        }
        self.first = self.first.or(Some(line.span()));
        let Some(keyword) = reporter.line(KeywordScope::Stats, line, "stats ") else { return };
        match (keyword.name, line.args.first()) {
            ("uri", Some(value)) => self.uri = Some(text(value)),
            ("refresh", Some(value)) => self.refresh = seconds(value, reporter.out),
            ("auth", Some(value)) => self.user(&text(value), reporter),
            ("http-request" | "scope", _) => {
                let text = format!("stats {}", keyword.name);
                self.guards.push(Guard { text, span: line.span() });
            }
            ("enable", _) => {}
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn user(&mut self, word: &Spanned<String>, reporter: &mut Reporter<'_>) {
        let Spanned { value, span } = word;
        let (name, password) = value.split_once(':').unwrap_or((value, ""));
        if let Some(first) = self.users.iter().find(|user| user.name.value == name) {
            reporter.out.push(
                Diagnostic::warning(*span, format!("user {} exists twice", quoted(name)))
                    .also(first.name.span, "this one counts, as in HAProxy")
                    .help("remove one of them"),
            );
            return;
        }
        let password = Spanned::new(Secret(password.as_bytes().to_vec()), *span);
        let name = Spanned::new(name.to_owned(), *span);
        self.users.push(RawUser { name, password: Some(password) });
    }

    /// The section itself asks for the page.
    pub(super) fn own(&self) -> Option<Span> {
        self.first.filter(|_| !self.inherited)
    }
}
