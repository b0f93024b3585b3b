//! Lines to words: comments, quotes, escapes and variables, as HAProxy's reader splits them.

use std::str::Chars;

use crate::config::diag::{Diagnostic, FileId, Span, quoted};
use crate::config::sources::Loading;

/// A word and where it stands, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The text, quotes and escapes removed, variables replaced.
    pub(super) text: String,
    /// Its place.
    pub(super) span: Span,
}

/// The words of a line, at least one.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The first one.
    pub(super) keyword: Word,
    /// The others.
    pub(super) args: Vec<Word>,
}

impl Line {
    /// From the first word to the last.
    pub(super) fn span(&self) -> Span {
        self.args.last().map_or(self.keyword.span, |last| self.keyword.span.to(last.span))
    }

    /// The same without its first word; `None` if there is no other.
    pub(super) fn rest(&self) -> Option<Line> {
        let (keyword, args) = self.args.split_first()?;
        Some(Line { keyword: keyword.clone(), args: args.to_vec() })
    }

    /// All words.
    pub(super) fn words(&self) -> impl Iterator<Item = &Word> {
        std::iter::once(&self.keyword).chain(&self.args)
    }
}

/// The lines of a file that say something.
pub(super) fn lines(file: FileId, text: &str, load: &mut Loading<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut reader = Reader { file, start, line, load, at: 0 };
        let mut words = reader.words().into_iter();
        if let Some(keyword) = words.next() {
            lines.push(Line { keyword, args: words.collect() });
        }
        start += line.len();
    }
    lines
}

struct Reader<'a, 's> {
    file: FileId,
    /// The byte of the file the line begins at.
    start: usize,
    line: &'a str,
    load: &'a mut Loading<'s>,
    /// The byte of the line that comes next.
    at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Weak,
    Strong,
}

impl Reader<'_, '_> {
    fn rest(&self) -> Chars<'_> {
        self.line.get(self.at..).unwrap_or_default().chars()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn span(&self, from: usize) -> Span {
        Span::new(self.file, self.start + from..self.start + self.at)
    }

    fn words(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            let blanks = self.rest().take_while(|c| c.is_whitespace() || *c == '\u{feff}');
            self.at += blanks.map(char::len_utf8).sum::<usize>();
            match self.rest().next() {
                None | Some('#') => return words,
                Some(_) => words.push(self.word()),
            }
        }
    }

    fn word(&mut self) -> Word {
        let from = self.at;
        let mut text = String::new();
        let mut quote = Quote::None;
        let mut opened = from;
        while let Some(next) = self.rest().next() {
            if quote == Quote::None && (next.is_whitespace() || next == '#') {
                break;
            }
            let before = self.at;
            self.next();
            match (next, quote) {
                ('"', Quote::None) => (quote, opened) = (Quote::Weak, before),
                ('\'', Quote::None) => (quote, opened) = (Quote::Strong, before),
                ('"', Quote::Weak) | ('\'', Quote::Strong) => quote = Quote::None,
                ('\\', Quote::None | Quote::Weak) => self.escape(&mut text),
                ('$', Quote::None | Quote::Weak) => self.variable(before, quote, &mut text),
                _ => text.push(next),
            }
        }
        if quote != Quote::None {
            let span = Span::new(self.file, self.start + opened..self.start + opened + 1);
            self.load.out.push(
                Diagnostic::error(span, "the quote is not closed")
                    .help("a quoted text ends on the line it begins on"),
            );
            text.truncate(text.trim_end().len());
        }
        Word { text, span: self.span(from) }
    }

    /// What stands for another character behind a backslash; anything else is itself.
    fn escape(&mut self, text: &mut String) {
        let hex = |chars: Chars<'_>| {
            let digits: String = chars.skip(1).take(2).collect();
            u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii)
        };
        match self.rest().next() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('x') => match hex(self.rest()) {
                Some(byte) => {
                    text.push(char::from(byte));
                    self.at += 2;
                }
                None => text.push('x'),
            },
            Some('\n') | None => {
                text.push('\\');
                return;
            }
            Some(other) => text.push(other),
        }
        self.next();
    }

    /// `$NAME`, `${NAME}`, and `${NAME-DEFAULT}` or `${NAME:-DEFAULT}`. HAProxy replaces them in
    /// double quotes only; files that are made by envsubst have them everywhere.
    fn variable(&mut self, from: usize, quote: Quote, text: &mut String) {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let braced = self.rest().next() == Some('{');
        let (name, default) = if braced {
            let rest = self.rest().as_str();
            let Some((inner, _)) = rest.get(1..).and_then(|inner| inner.split_once('}')) else {
                let span = Span::new(self.file, self.start + from..self.start + from + 2);
                let error = Diagnostic::error(span, "the name of the variable does not end");
                self.load.out.push(error.help("close it with a `}`"));
                return;
            };
            let inner = inner.to_owned();
            self.at += inner.len() + 2;
            let name: String = inner.chars().take_while(is_name).collect();
            let rest = inner.get(name.len()..).unwrap_or_default();
            let default = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'));
            let default = default.map(str::to_owned);
            (if rest.is_empty() || default.is_some() { name } else { inner }, default)
        } else {
            let name: String = self.rest().take_while(is_name).collect();
            if name.is_empty() || quote == Quote::None {
                text.push('$');
                return;
            }
            self.at += name.len();
            (name, None)
        };
        match self.load.sources.variable(&name).or(default) {
            Some(value) => text.push_str(&value),
            None => {
                // Stands for itself, so that what is said about the word can be understood.
                text.push_str(self.line.get(from..self.at).unwrap_or_default());
                let span = self.span(from);
                let message = format!("the variable {} is not set", quoted(&name));
                self.load.out.push(
                    Diagnostic::error(span, message)
                        .help(format!(
                            "set it in the environment of vipd, for example by `Environment={name}=…` in its unit"
                        ))
                        .help(format!("or write a default: `${{{name}-VALUE}}`")),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::diag::SourceMap;
    use crate::config::sources::{ReadError, Sources, Text};

    struct Variables;

    impl Sources for Variables {
        fn read(&self, path: &Path) -> Result<Text, ReadError> {
            Err(ReadError { path: path.into(), reason: "no files here".into() })
        }
        fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
            Vec::new()
        }
        fn host_name(&self) -> Option<String> {
            None
        }
        fn variable(&self, name: &str) -> Option<String> {
            (name == "PORT").then(|| "50 00".into())
        }
    }

    fn split(text: &str) -> (Vec<String>, usize) {
        let mut map = SourceMap::default();
        let file = map.add("a.cfg", text);
        let mut load = Loading { sources: &Variables, map, out: Vec::new(), unreadable: false };
        let lines = lines(file, text, &mut load);
        let words = lines.iter().flat_map(Line::words).map(|word| word.text.clone());
        (words.collect(), load.out.len())
    }

    #[test]
    fn words_are_split_as_haproxy_does() {
        for (text, words) in [
            ("  bind *:5000 # a comment", &["bind", "*:5000"][..]),
            ("a#b", &["a"]),
            (r"a\#b c\ d \\", &["a#b", "c d", r"\"]),
            (r#"a "b # c" 'd "$PORT" \'"#, &["a", "b # c", r#"d "$PORT" \"#]),
            (r#"x"y"'z'"#, &["xyz"]),
            (r"HTTP/1.0\r\nHost:\ x\x41", &["HTTP/1.0\r\nHost: xA"]),
            ("bind :${PORT}\r\n", &["bind", ":50 00"]),
            (r#""$PORT" $PORT "${X-1}" ${X:-}"#, &["50 00", "$PORT", "1", ""]),
            ("\u{feff}global\n\n#\n a", &["global", "a"]),
            (r#"ends \"#, &["ends", r"\"]),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(split(text), (words, 0), "{text:?}");
        }
        for wrong in ["\"a", "'a", "${X}", "${X", "\"$X\"", "${X!y}"] {
            assert_eq!(split(wrong).1, 1, "{wrong:?}");
        }
    }
}
