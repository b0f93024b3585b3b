//! `http-request use-service prometheus-exporter`: metrics for Prometheus.

use super::condition::Acls;
use super::lexer::{Line, Word};
use crate::config::check::page_path;
use crate::config::diag::{Span, Spanned};

/// Where HAProxy's manual has it, and where vipd's pages have it.
pub(super) const PATH: &str = "/metrics";

/// The line.
#[derive(Debug)]
pub(super) struct Exporter {
    pub(super) span: Span,
    /// From `if` or `unless` on.
    condition: Vec<Word>,
}

/// What its condition asks for.
pub(super) enum Asks {
    /// Requests for this path.
    Path(Spanned<String>),
    /// Any request.
    Anything,
    /// What vipd cannot judge.
    Else,
}

impl Exporter {
    /// Other services may answer for the page.
    pub(super) fn is_in(line: &Line) -> bool {
        let words: Vec<&str> = line.args.iter().take(2).map(|word| word.text.as_str()).collect();
        words == ["use-service", "prometheus-exporter"]
    }

    pub(super) fn of(line: &Line) -> Exporter {
        let condition = line.args.iter().skip(2).cloned().collect();
        Exporter { span: line.keyword.span, condition }
    }

    /// The condition is a path, in braces or by the name of an acl that is one.
    pub(super) fn asks(&self, acls: &Acls) -> Asks {
        let words: Vec<&str> = self.condition.iter().map(|word| word.text.as_str()).collect();
        let path = |word: Option<&Word>| {
            let word = word?;
            Some(Spanned::new(page_path(&word.text)?, word.span))
        };
        let found = match words.as_slice() {
            [] => return Asks::Anything,
            ["if", "{", "path", _, "}"] => path(self.condition.get(3)),
            ["if", name] => acls.only(name).and_then(|test| match test {
                [kind, value] if kind.text == "path" => path(Some(value)),
                _ => None,
            }),
            _ => None,
        };
        found.map_or(Asks::Else, Asks::Path)
    }
}
