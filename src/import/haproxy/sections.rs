//! Lines to sections.

use super::keywords::{KeywordScope, Reporter};
use super::lexer::{Line, Word};
use crate::config::diag::{Diagnostic, Span, quoted};

/// The sections vipd reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Global,
    Defaults,
    Listen,
    Frontend,
    Backend,
    /// One that has no effect; its lines are not looked at.
    Other,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) kind: Kind,
    /// The line it begins with.
    pub(super) head: Line,
    pub(super) name: Option<Word>,
    /// The defaults it builds on, if not those before it.
    pub(super) from: Option<Word>,
    pub(super) lines: Vec<Line>,
}

impl Section {
    pub(super) fn is_proxy(&self) -> bool {
        matches!(self.kind, Kind::Listen | Kind::Frontend | Kind::Backend)
    }

    /// The place of its name, or else of its keyword.
    pub(super) fn span(&self) -> Span {
        self.name.as_ref().map_or(self.head.keyword.span, |name| name.span)
    }
}

/// All sections, in their order.
pub(super) fn sections(lines: Vec<Line>, reporter: &mut Reporter<'_>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lost = false;
    for line in lines {
        if KeywordScope::Section.find(&line.keyword.text).is_some() {
            sections.push(section(line, reporter));
            continue;
        }
        if line.keyword.text.starts_with('.') {
            let text = format!("{} is not supported", quoted(&line.keyword.text));
            reporter.out.push(
                Diagnostic::error(line.keyword.span, text)
                    .note("vipd knows no conditional parts of a haproxy.cfg")
                    .help("keep the part that holds on this host, and remove the condition"),
            );
            continue;
        }
        match sections.last_mut() {
            Some(section) => section.lines.push(line),
            None if lost => {}
            None => {
                lost = true;
                let text = format!("{} stands in no section", quoted(&line.keyword.text));
                reporter.out.push(
                    Diagnostic::error(line.span(), text)
                        .help("a section comes first: global, defaults, listen NAME, frontend NAME or backend NAME"),
                );
            }
        }
    }
    sections
}

fn section(head: Line, reporter: &mut Reporter<'_>) -> Section {
    let known = reporter.line(KeywordScope::Section, &head, "").is_some();
    let kind = match head.keyword.text.as_str() {
        "global" => Kind::Global,
        "defaults" => Kind::Defaults,
        "listen" if known => Kind::Listen,
        "frontend" if known => Kind::Frontend,
        "backend" if known => Kind::Backend,
        _ => Kind::Other,
    };
    let (name, from) = match head.args.as_slice() {
        [keyword, from] if keyword.text == "from" => (None, Some(from.clone())),
        [name, keyword, from] if keyword.text == "from" => (Some(name.clone()), Some(from.clone())),
        [name, rest @ ..] => {
            if let (Some(surplus), false) = (rest.first(), kind == Kind::Other) {
                let text = format!("{} is one word too many", quoted(&surplus.text));
                let error = Diagnostic::error(surplus.span, text);
                reporter.out.push(error.help("a section has one name, and `from NAME` behind it"));
            }
            (Some(name.clone()), None)
        }
        [] => (None, None),
    };
    Section { kind, head, name, from, lines: Vec::new() }
}
