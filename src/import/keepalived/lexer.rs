//! keepalived.conf to words: comments, quotes and braces, line by line, as keepalived's reader
//! splits them.

use crate::config::diag::{Diagnostic, FileId, Span};

/// The longest line keepalived reads, in bytes.
const KEEPALIVED_LINE: usize = 1024;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The words between two line breaks or braces, at least one.
    Line(Vec<Word>),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
}

/// A word and where it stands (without its quotes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// The text, quotes removed.
    pub(crate) text: String,
    /// Its place, quotes included.
    pub(crate) span: Span,
    /// Whether it was written in double quotes.
    pub(crate) is_quoted: bool,
}

/// Splits a file. Whatever is wrong with the characters is reported; the rest is still split.
pub(crate) fn lex(file: FileId, text: &str, out: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let content = line.trim_end_matches(['\n', '\r']);
        let whole = Span::new(file, start..start + content.len());
        if content.contains('\0') {
            out.push(
                Diagnostic::error(whole, "a NUL byte in the line")
                    .note("keepalived drops such a line without a word"),
            );
        } else {
            if content.len() > KEEPALIVED_LINE {
                let text = format!("the line has {} bytes", content.len());
                out.push(
                    Diagnostic::warning(whole, text)
                        .note("keepalived drops a line of more than 1024 bytes; vipd reads it"),
                );
            }
            // A byte order mark is no part of the first word.
            let skip = if start == 0 && content.starts_with('\u{feff}') { 3 } else { 0 };
            LineLexer { file, base: start, text: content, at: skip, words: Vec::new(), out }
                .run(&mut tokens);
        }
        start = end;
    }
    tokens
}

struct LineLexer<'a> {
    file: FileId,
    base: usize,
    text: &'a str,
    at: usize,
    words: Vec<Word>,
    out: &'a mut Vec<Diagnostic>,
}

impl LineLexer<'_> {
    fn run(mut self, tokens: &mut Vec<Token>) {
        while let Some(c) = self.peek() {
            match c {
                '#' | '!' => break,
                '{' | '}' if !self.in_include() => {
                    self.end_line(tokens);
                    let span = self.span(self.at, self.at + 1);
                    tokens.push(if c == '{' { Token::Open(span) } else { Token::Close(span) });
                    self.at += 1;
                }
                c if c.is_whitespace() => self.at += c.len_utf8(),
                '"' => self.quoted(),
                _ => self.bare(),
            }
        }
        self.end_line(tokens);
    }

    fn end_line(&mut self, tokens: &mut Vec<Token>) {
        if !self.words.is_empty() {
            tokens.push(Token::Line(std::mem::take(&mut self.words)));
        }
    }

    fn quoted(&mut self) {
        let start = self.at;
        let escapes = self.words.first().is_some_and(|word| takes_command(&word.text));
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.peek() {
                None => {
                    self.out.push(
                        Diagnostic::error(self.span(start, start + 1), "the quote is not closed")
                            .label("opens here")
                            .help("a quoted text ends on the line it begins on: add a `\"`"),
                    );
                    break;
                }
                Some('"') => {
                    self.at += 1;
                    break;
                }
                Some('\\') if escapes => {
                    text.push('\\');
                    self.at += 1;
                    if let Some(c) = self.peek() {
                        text.push(c);
                        self.at += c.len_utf8();
                    }
                }
                Some(c) => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        let span = self.span(start, self.at);
        self.words.push(Word { text, span, is_quoted: true });
    }

    fn bare(&mut self) {
        let start = self.at;
        let mut text = String::new();
        // `${NAME}` is one word, so that it can be refused as such.
        let mut in_name = false;
        while let Some(mut c) = self.peek() {
            match c {
                '\\' => {
                    // `\#` and `\!` are no comments.
                    let mut rest = self.text.get(self.at + 1..).unwrap_or_default().chars();
                    if let Some(escaped) = rest.next().filter(|c| matches!(c, '#' | '!')) {
                        c = escaped;
                        self.at += 1;
                    }
                }
                '{' if text.ends_with('$') => in_name = true,
                '}' if in_name => in_name = false,
                '#' | '!' => break,
                '{' | '}' if !self.in_include() => break,
                c if c.is_whitespace() && !in_name => break,
                _ => {}
            }
            text.push(c);
            self.at += c.len_utf8();
        }
        let span = self.span(start, self.at);
        self.glued_comment(span);
        self.words.push(Word { text, span, is_quoted: false });
    }

    /// A password that ends where its author did not mean it to.
    fn glued_comment(&mut self, word: Span) {
        let is_password = self.words.first().is_some_and(|word| word.text == "auth_pass");
        if let (true, Some(c @ ('#' | '!'))) = (is_password, self.peek()) {
            self.out.push(
                Diagnostic::warning(word, format!("the password ends at the `{c}`"))
                    .note("it begins a comment, in keepalived as well")
                    .help("put the password in double quotes, on all nodes, if it is part of it"),
            );
        }
    }

    /// The braces of a file name pattern are no blocks.
    fn in_include(&self) -> bool {
        self.words.first().is_some_and(is_include)
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, self.base + start..self.base + end)
    }
}

/// The forms of `include`; the longer ones only differ in what must exist.
pub(crate) const INCLUDES: &[&str] =
    &["include", "includer", "includem", "includew", "includeb", "includea"];

/// Whether a line that begins with `word` reads other files.
pub(crate) fn is_include(word: &Word) -> bool {
    !word.is_quoted && INCLUDES.contains(&word.text.as_str())
}

/// Keywords whose first argument is a command: a backslash in quotes escapes there.
fn takes_command(keyword: &str) -> bool {
    keyword == "script" || keyword.starts_with("notify") || keyword.ends_with("_script")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diag::SourceMap;

    fn shape(text: &str) -> (String, usize) {
        let mut map = SourceMap::default();
        let file = map.add("f", text);
        let mut out = Vec::new();
        let shape = lex(file, text, &mut out)
            .iter()
            .map(|token| match token {
                Token::Line(words) => {
                    words.iter().map(|w| format!("<{}>", w.text)).collect::<String>()
                }
                Token::Open(_) => "{".to_owned(),
                Token::Close(_) => "}".to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" ");
        (shape, out.len())
    }

    #[test]
    fn words_as_keepalived_splits_them() {
        for (text, expected) in [
            ("a b # c\n! d\ne#f", "<a><b> <e>"),
            ("a \"b # c\" d", "<a><b # c><d>"),
            ("a \\#b \\!c", "<a><#b><!c>"),
            ("a{b c}d", "<a> { <b><c> } <d>"),
            ("a\r\nb\r\n", "<a> <b>"),
            ("// x", "<//><x>"),
            ("script \"x \\\" { y\"", "<script><x \\\" { y>"),
            ("a \"\"", "<a><>"),
            ("include a/{b,c}.conf # x", "<include><a/{b,c}.conf>"),
            ("\u{feff}a", "<a>"),
            ("a 'b # c'", "<a><'b>"),
        ] {
            assert_eq!(shape(text), (expected.to_owned(), 0), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_characters_is_said() {
        assert_eq!(shape("a \"b\nc"), ("<a><b> <c>".to_owned(), 1));
        assert_eq!(shape("a\0\nb"), ("<b>".to_owned(), 1));
        assert_eq!(shape(&format!("a {}", "x".repeat(1100))).1, 1);
    }
}
