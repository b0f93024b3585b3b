//! Files to lines without comments.

use super::budget::LONGEST_LINE;
use super::line::Line;
use crate::config::diag::{Diagnostic, FileId, Span};

/// The longest line keepalived reads, in bytes.
const KEEPALIVED_LINE: usize = 1024;

/// A line of a file without its comment, without blanks around it.
pub(super) struct Cleaned {
    pub(super) line: Line,
    /// If the line ends with `\`, which continues a definition: its length without it.
    pub(super) continues: Option<usize>,
    /// Whether the file has nothing there, not even a blank.
    pub(super) is_empty: bool,
    /// What is wrong with its characters.
    pub(super) said: Vec<Diagnostic>,
}

/// The lines of a file, empty ones included.
pub(super) fn lines(file: FileId, text: &str) -> impl Iterator<Item = Cleaned> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let base = start;
        start += line.len();
        let content = line.trim_end_matches(['\n', '\r']);
        let whole = Span::new(file, base..base + content.len());
        let unusable = if content.contains('\0') {
            Some(
                Diagnostic::error(whole, "a NUL byte in the line")
                    .note("keepalived drops such a line without a word"),
            )
        } else {
            (content.len() > LONGEST_LINE).then(|| too_long(whole))
        };
        if let Some(said) = unusable {
            let line = Line::default();
            return Cleaned { line, continues: None, is_empty: false, said: vec![said] };
        }
        // A byte order mark is no part of the first word.
        let mark = if base == 0 && content.starts_with('\u{feff}') { 3 } else { 0 };
        let text = content.get(mark..).unwrap_or_default();
        let mut cleaned = match own(text) {
            Some(at) => {
                let cleaned = clean(file, base + mark + at, text.get(at..).unwrap_or_default());
                Cleaned { line: cleaned.line.own(), ..cleaned }
            }
            None => clean(file, base + mark, text),
        };
        cleaned.is_empty = content.is_empty();
        if content.len() > KEEPALIVED_LINE {
            let text = format!("the line has {} bytes", content.len());
            cleaned.said.push(
                Diagnostic::warning(whole, text)
                    .note("keepalived drops a line of more than 1024 bytes; vipd reads it"),
            );
        }
        cleaned
    })
}

/// Where the words begin of a line that is a comment to keepalived and none to vipd:
/// `#vipd KEYWORD …`, or `!vipd KEYWORD …`.
fn own(text: &str) -> Option<usize> {
    let comment = text.trim_start().strip_prefix(['#', '!'])?;
    let words = comment.strip_prefix("vipd")?;
    (words.is_empty() || words.starts_with(char::is_whitespace)).then(|| text.len() - words.len())
}

/// What is longer than this was never meant as a line.
pub(super) fn too_long(at: Span) -> Diagnostic {
    Diagnostic::error(at, format!("the line has more than {} KiB", LONGEST_LINE >> 10))
        .note("keepalived drops a line of more than 1024 bytes")
        .help("break it up")
}

fn clean(file: FileId, base: usize, text: &str) -> Cleaned {
    let blank = text.len() - text.trim_start().len();
    let (base, text) = (base + blank, text.trim());
    let mut line = Line::default();
    let mut copied = 0;
    let mut in_quotes = false;
    let mut comment = None;
    let mut ends_with_backslash = false;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(['\\', '"', '#', '!'])) {
        at += found;
        let mut after = text.get(at + 1..).unwrap_or_default().chars();
        match (text.as_bytes().get(at), after.next()) {
            (Some(b'\\'), None) => ends_with_backslash = true,
            (Some(b'\\'), Some(next)) => {
                // `\#` and `\!` are no comments; the backslash is no part of the text then.
                if comment.is_none() && !in_quotes && matches!(next, '#' | '!') {
                    line.push_written(
                        file,
                        base + copied,
                        text.get(copied..at).unwrap_or_default(),
                    );
                    copied = at + 1;
                }
                at += next.len_utf8();
            }
            (Some(b'"'), _) if comment.is_none() => in_quotes = !in_quotes,
            (Some(b'#' | b'!'), _) if comment.is_none() && !in_quotes => comment = Some(at),
            _ => {}
        }
        at += 1;
    }
    let said = comment.and_then(|comment| glued_comment(file, base, text, comment));
    let rest = text.get(copied..comment.unwrap_or(text.len())).unwrap_or_default();
    line.push_written(file, base + copied, rest.trim_end());
    // A comment may hide the backslash: keepalived goes on nevertheless.
    let kept = line.text().strip_suffix('\\').map(|kept| kept.trim_end().len());
    let hidden = comment.filter(|_| ends_with_backslash).map(|_| line.text().len());
    let behind = comment.filter(|at| text.get(*at..).is_some_and(|rest| own(rest).is_some()));
    let behind = behind.map(|at| {
        let text = "a `#vipd` comment stands behind a statement";
        Diagnostic::error(Span::new(file, base + at..base + at + "#vipd".len()), text)
            .help("put it on a line of its own: vipd reads it there, and keepalived skips it")
    });
    let said = said.into_iter().chain(behind).collect();
    Cleaned { continues: kept.or(hidden), line, is_empty: false, said }
}

/// A password that ends where its author did not mean it to.
fn glued_comment(file: FileId, base: usize, text: &str, comment: usize) -> Option<Diagnostic> {
    let (before, after) = text.split_at_checked(comment)?;
    let mut words = before.split_whitespace();
    if before.ends_with(char::is_whitespace) || words.next() != Some("auth_pass") {
        return None;
    }
    let (last, c) = (words.next_back()?, after.chars().next()?);
    let word = Span::new(file, base + comment - last.len()..base + comment);
    Some(
        Diagnostic::warning(word, format!("the password ends at the `{c}`"))
            .note("it begins a comment, in keepalived as well")
            .help("put the password in double quotes, on all nodes, if it is part of it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diag::SourceMap;

    fn cleaned(text: &str) -> Vec<(String, bool)> {
        let mut map = SourceMap::default();
        let file = map.add("f", text);
        lines(file, text)
            .map(|cleaned| {
                let text = cleaned.line.text();
                let kept = cleaned.continues.and_then(|kept| text.get(..kept)).unwrap_or(text);
                (kept.to_owned(), cleaned.continues.is_some())
            })
            .collect()
    }

    #[test]
    fn comments_end_where_keepalived_ends_them() {
        for (text, expected, continues) in [
            ("  a b # c", "a b", false),
            ("! a", "", false),
            ("a#b", "a", false),
            ("a \"# b\" c", "a \"# b\" c", false),
            ("a \\#b \\!c", "a #b !c", false),
            ("\"a\\#b\"", "\"a\\#b\"", false),
            ("\"a\\\"#b\" # c", "\"a\\\"#b\"", false),
            ("a \\", "a", true),
            ("a # b \\", "a", true),
            ("# b \\", "", true),
            ("a \\ # b", "a", true),
            ("\\", "", true),
            ("a\\b", "a\\b", false),
            ("a\t\r", "a", false),
            ("é # ü", "é", false),
        ] {
            assert_eq!(cleaned(text), [(expected.to_owned(), continues)], "{text:?}");
        }
    }

    #[test]
    fn every_byte_knows_its_place() {
        let text = "x\n  a \\#b ü \"c\" # d\n";
        let mut map = SourceMap::default();
        let file = map.add("f", text);
        let lines: Vec<Cleaned> = lines(file, text).collect();
        let line = &lines[1].line;
        for (at, c) in line.text().char_indices() {
            let place = line.place(at..at + c.len_utf8()).unwrap();
            assert_eq!(&text[place.start..place.end], c.to_string(), "{at}");
        }
    }
}
