//! What becomes of every line, in the words of the keyword table and of what was inferred.

use super::keywords::{Keyword, KeywordScope};
use super::lexer::Line;
use super::sections::{Kind, Section};
use crate::config::diag::{Span, masked, nearest, printable};
use crate::config::explain::Statement;

/// The sections and their lines.
pub(super) fn explain(sections: &[Section], inferred: &[(Span, String)]) -> Vec<Statement> {
    let mut found = Vec::new();
    for section in sections {
        let scope = match section.kind {
            Kind::Global => KeywordScope::Global,
            _ => KeywordScope::Proxy,
        };
        found.push(statement(KeywordScope::Section, &section.head, 0, inferred));
        if section.kind == Kind::Other {
            continue;
        }
        found.extend(section.lines.iter().map(|line| statement(scope, line, 1, inferred)));
    }
    found
}

fn statement(
    scope: KeywordScope,
    line: &Line,
    depth: usize,
    inferred: &[(Span, String)],
) -> Statement {
    let rest = line.rest();
    let own = scope.find(&line.keyword.text);
    let behind = match (line.keyword.text.as_str(), depth) {
        ("timeout", 1) => Some(KeywordScope::Timeout),
        ("option", 1) => Some(KeywordScope::Option),
        ("http-check", 1) => Some(KeywordScope::HttpCheck),
        ("stats", 1) if scope == KeywordScope::Proxy => Some(KeywordScope::Stats),
        _ => None,
    };
    let inner = behind.and_then(|scope| scope.find(&rest.as_ref()?.keyword.text));
    let keyword: Option<&'static Keyword> = if behind.is_some() { inner } else { own };
    let covers = |span: &Span| {
        span.file == line.span().file && (line.span().start..=line.span().end).contains(&span.start)
    };
    let mut notes: Vec<&str> = Vec::new();
    for (_, note) in inferred.iter().filter(|(span, _)| covers(span)) {
        // Sections that share a line share what became of it.
        if !notes.contains(&note.as_str()) {
            notes.push(note);
        }
    }
    let (status, why) = match keyword {
        None => {
            let known = scope.names();
            let near =
                nearest(&line.keyword.text, known).map(|name| format!("did you mean `{name}`?"));
            ("unknown", near.unwrap_or_default())
        }
        Some(keyword) if notes.is_empty() => (keyword.class.status(), keyword.explanation()),
        Some(keyword) => (keyword.class.status(), notes.join("; ")),
    };
    let words: Vec<&str> = line.words().map(|word| word.text.as_str()).collect();
    Statement {
        span: line.keyword.span,
        places: line.words().map(|word| word.span).chain([line.span()]).collect(),
        block: scope.to_string(),
        depth,
        text: masked(&printable(&words.join(" "))),
        status,
        why,
    }
}
