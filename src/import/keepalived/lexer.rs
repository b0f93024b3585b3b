//! Lines to words: quotes and braces, as keepalived's reader splits them.

use std::ops::Range;

use super::preprocess::line::{Frames, Line};
use crate::config::command::{self, Piece, Problem};
use crate::config::diag::Span;
use crate::config::sources::Loading;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The words between two line breaks or braces, at least one.
    Line(Vec<Word>),
    /// `{`
    Open(Brace),
    /// `}`
    Close(Brace),
    /// A file begins.
    Begin,
    /// The file that began last ends.
    End,
}

/// A brace and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Brace {
    /// Its place.
    pub(crate) span: Span,
    /// Whether it stands in a `#vipd` comment.
    pub(crate) is_own: bool,
}

/// A word and where it stands (without its quotes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// The text, quotes removed.
    pub(crate) text: String,
    /// Its place, quotes included.
    pub(crate) span: Span,
    /// Whether it was written in quotes.
    pub(crate) is_quoted: bool,
    /// Whether it stands in a `#vipd` comment, which keepalived skips.
    pub(crate) is_own: bool,
}

/// The byte of the first brace that stands in no quotes and in no `${NAME}`.
pub(crate) fn brace(text: &str) -> Option<usize> {
    let mut in_quotes = false;
    let mut in_name = false;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            _ if previous == '\\' => {
                previous = ' ';
                continue;
            }
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            '{' if previous == '$' => in_name = true,
            '}' if in_name => in_name = false,
            '{' | '}' => return Some(at),
            _ => {}
        }
        previous = c;
    }
    None
}

/// Splits the part of a line that holds no braces. Whatever is wrong with the quotes is reported;
/// the rest is still split.
pub(crate) fn words(
    line: &Line,
    range: Range<usize>,
    frames: &Frames,
    load: &mut Loading<'_>,
    tokens: &mut Vec<Token>,
) {
    let text = line.text().get(range.clone()).unwrap_or_default();
    let mut words: Vec<Word> = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let in_command = words.first().is_some_and(|word| takes_command(&word.text));
        let piece = if in_command { command::word(rest) } else { plain(rest) };
        let from = range.start + at;
        let span = line.span(from..from + piece.len, frames, &mut load.map);
        for (part, problem) in piece.problems {
            let part = from + part.start..from + part.end;
            let span = line.span(part, frames, &mut load.map);
            load.out.push(problem.diagnostic(span));
        }
        let (is_quoted, is_own) = (piece.is_quoted, line.is_own());
        words.push(Word { text: piece.text, span, is_quoted, is_own });
        at += piece.len;
    }
    if words.first().is_some_and(|word| is_password(&word.text)) {
        for word in words.iter().skip(1) {
            load.map.hide(word.span);
        }
    }
    if !words.is_empty() {
        tokens.push(Token::Line(words));
    }
}

/// `"…"` without escapes, or what ends at a blank or a quote.
fn plain(text: &str) -> Piece {
    let piece = |text: &str, len, is_quoted| Piece {
        text: text.to_owned(),
        len,
        is_quoted,
        problems: Vec::new(),
    };
    let Some(inner) = text.strip_prefix('"') else {
        let mut in_name = false;
        let mut previous = ' ';
        // `${NAME 1 2}` is one word, so that it can be complained about as such.
        let end = text.find(|c: char| {
            match c {
                '{' if previous == '$' => in_name = true,
                '}' => in_name = false,
                _ => {}
            }
            previous = c;
            c == '"' || c.is_whitespace() && !in_name
        });
        let end = end.unwrap_or(text.len());
        return piece(text.get(..end).unwrap_or(text), end, false);
    };
    match inner.split_once('"') {
        Some((quoted, _)) => piece(quoted, quoted.len() + 2, true),
        None => Piece {
            problems: vec![(0..1, Problem::Unclosed('"'))],
            ..piece(inner, text.len(), true)
        },
    }
}

/// Whether a line, or its keyword, is about a password: its text must not show anywhere.
pub(crate) fn is_password(line: &str) -> bool {
    line.starts_with("auth_p")
}

/// Keywords whose first argument is a command, with the quotes and escapes of one.
fn takes_command(keyword: &str) -> bool {
    keyword == "script"
        || keyword.starts_with("notify")
        || keyword.ends_with("_script")
        || matches!(keyword, "vipd_while_master" | "while_master")
}
