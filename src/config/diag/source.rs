//! The files a configuration was read from: places in them, and their lines as a snippet may show
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Index of a file in a [`SourceMap`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

/// A range of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// How the text came here, if it is not what the file says at this place.
    via: Option<TrailId>,
}

/// Index of a trail in a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct TrailId(usize);

impl Span {
    /// The bytes `range` of `file`.
    #[must_use]
    pub fn new(file: FileId, range: Range<usize>) -> Span {
        Span { file, start: range.start, end: range.end.max(range.start), via: None }
    }

    /// From the start of this span to the end of `last`, if both lie in one file.
    #[must_use]
    pub fn to(self, last: Span) -> Span {
        if self.file == last.file { Span { end: last.end.max(self.end), ..self } } else { self }
    }
}

/// One step from the text a reader sees in the file to the text that was meant: what stands there
/// is replaced by what is written at `at`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// What was replaced, as the file spells it: `$NAME`.
    pub what: Arc<str>,
    /// Where the text that took its place is written.
    pub at: Span,
}

/// A value and where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value` as written at `span`.
    pub const fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }

    /// Another value at the same place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

/// The files a configuration was read from.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    origins: Box<Origins>,
}

/// What is known of text that did not come straight from its place.
#[derive(Clone, Debug, Default)]
struct Origins {
    trails: Vec<Vec<Step>>,
    known: BTreeMap<Vec<Step>, TrailId>,
    /// Passwords.
    hidden: BTreeSet<(FileId, usize, usize)>,
}

impl SourceMap {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        self.files.push(SourceFile { name: name.into(), text, line_starts });
        FileId(self.files.len() - 1)
    }

    /// A file by its id.
    #[must_use]
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0)
    }

    /// The files in the order they were read.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// Line and column of a byte.
    #[must_use]
    pub fn position(&self, id: FileId, byte: usize) -> Option<Position> {
        let file = self.file(id)?;
        let line = file.line_of(byte);
        let start = file.line_start(line);
        let column = file.text.get(start..file.floor(byte)).map_or(0, |text| text.chars().count());
        Some(Position { line: line + 1, column: column + 1 })
    }

    /// The same place for text that came there in these steps, outermost first.
    pub(crate) fn via(&mut self, span: Span, steps: &[Step]) -> Span {
        if steps.is_empty() {
            return span;
        }
        let Origins { trails, known, .. } = &mut *self.origins;
        let id = known.get(steps).copied().unwrap_or_else(|| {
            let id = TrailId(trails.len());
            trails.push(steps.to_vec());
            known.insert(steps.to_vec(), id);
            id
        });
        Span { via: Some(id), ..span }
    }

    /// How the text at a place came there; empty if the file has it.
    #[must_use]
    pub fn trail(&self, span: Span) -> &[Step] {
        let trail = span.via.and_then(|id| self.origins.trails.get(id.0));
        trail.map_or(&[], Vec::as_slice)
    }

    /// Keeps a password that a definition supplied out of every snippet.
    pub(crate) fn hide(&mut self, span: Span) {
        if let Some(at) = self.trail(span).last().map(|step| step.at) {
            self.origins.hidden.insert((at.file, at.start, at.end));
        }
    }

    /// The marked lines and their neighbours, with passwords and control characters replaced byte
    /// for byte; the lines between are there, but empty.
    pub(super) fn excerpt(
        &self,
        id: FileId,
        file: &SourceFile,
        marked: &BTreeSet<usize>,
    ) -> Excerpt {
        let mut excerpt = Excerpt::default();
        let (Some(&first), Some(&last)) = (marked.first(), marked.last()) else { return excerpt };
        for line in first..=last {
            if marked.range(line.saturating_sub(2)..=line + 2).next().is_some() {
                let (start, end) = (file.line_start(line), file.line_end(line));
                let end = file.floor(end.min(start + MOST_SHOWN));
                let hidden = self.origins.hidden.range((id, start, 0)..(id, end, 0));
                let hidden: Vec<Range<usize>> =
                    hidden.map(|(_, from, to)| from - start..to - start).collect();
                excerpt.lines.insert(line, (start, excerpt.text.len(), end - start));
                let text = file.text.get(start..end).unwrap_or_default();
                mask(text, &hidden, &mut excerpt.text);
            }
            excerpt.text.push('\n');
        }
        excerpt
    }

    /// The line that holds the start of `span`, without passwords and white space around it.
    #[must_use]
    pub fn line(&self, span: Span) -> Option<String> {
        let file = self.file(span.file)?;
        let excerpt = self.excerpt(span.file, file, &[file.line_of(span.start)].into());
        Some(excerpt.text.trim().to_owned())
    }

    /// `file:line`, for messages that point at another place in words.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        match (self.file(span.file), self.position(span.file, span.start)) {
            (Some(file), Some(at)) => format!("{}:{}", file.name, at.line),
            _ => String::new(),
        }
    }
}

/// Bytes of a line that are shown.
const MOST_SHOWN: usize = 2000;

/// Lines of a file as a snippet shows them.
#[derive(Default)]
pub(super) struct Excerpt {
    pub(super) text: String,
    /// Per line: where it begins in the file and in the text, and how much of it is shown.
    lines: BTreeMap<usize, (usize, usize, usize)>,
}

impl Excerpt {
    /// The bytes of a place within the text.
    pub(super) fn range(&self, file: &SourceFile, span: Span) -> Range<usize> {
        let line = self.lines.get(&file.line_of(span.start)).copied().unwrap_or_default();
        let (start, shown, len) = line;
        let within = file.within_line(span);
        let at = |byte: usize| shown + byte.saturating_sub(start).min(len);
        at(within.start)..at(within.end)
    }
}

/// One file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name, as given or as found by `include`.
    pub name: String,
    /// Its text.
    pub text: String,
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// Index of the line that holds `byte`.
    pub(super) fn line_of(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= byte).saturating_sub(1)
    }

    fn line_start(&self, line: usize) -> usize {
        self.line_starts.get(line).copied().unwrap_or(self.text.len())
    }

    /// End of a line without its line break.
    fn line_end(&self, line: usize) -> usize {
        let start = self.line_start(line);
        let end = self.line_start(line + 1);
        let text = self.text.get(start..end).unwrap_or_default();
        start + text.trim_end_matches(['\n', '\r']).len()
    }

    fn floor(&self, byte: usize) -> usize {
        self.text.floor_char_boundary(byte)
    }

    /// The part of `span` on its first line: a caret marks words, not pages.
    fn within_line(&self, span: Span) -> Range<usize> {
        let end_of_line = self.line_end(self.line_of(span.start));
        let start = self.floor(span.start).min(end_of_line);
        start..self.floor(span.end).clamp(start, end_of_line)
    }
}

/// A line without its password.
pub(crate) fn masked(line: &str) -> String {
    let mut out = String::new();
    mask(line, &[], &mut out);
    out
}

/// Copies a line; what follows a word that begins like a password keyword becomes stars, and so do
/// the bytes `hidden`.
///
/// Diagnostics end up in logs and chats: a password must not, not even through the source line of
/// a neighbouring mistake.
fn mask(line: &str, hidden: &[Range<usize>], out: &mut String) {
    let secret = ["auth_p", "auth-p", "authp", "authorization", "password"]
        .iter()
        .filter_map(|word| {
            let at = line.to_ascii_lowercase().find(word)?;
            let rest = line.get(at..)?;
            Some(at + rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len()))
        })
        .chain(stats_auth(line))
        .min();
    let users = userinfo(line);
    let hidden = |at: &usize| hidden.iter().chain(&users).any(|range| range.contains(at));
    for (at, c) in line.char_indices() {
        let secret = secret.is_some_and(|start| at >= start);
        let hide = (secret || hidden(&at))
            && !c.is_whitespace()
            && !matches!(c, '"' | '\'' | '=' | '{' | '}');
        if hide {
            // As many bytes as before: the spans stay right.
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else if c.is_control() && !matches!(c, '\n' | '\t' | '\r') {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
}

/// Where URLs name users and passwords: `https://USER:PASSWORD@host` (RFC 3986 section 3.2.1).
fn userinfo(text: &str) -> Vec<Range<usize>> {
    let authorities = text.match_indices("://").filter_map(|(at, mark)| {
        let start = at + mark.len();
        let rest = text.get(start..)?;
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"'));
        let user = rest.get(..end.unwrap_or(rest.len()))?.rfind('@')?;
        Some(start..start + user)
    });
    authorities.collect()
}

/// A message without users and passwords of URLs that it quotes.
pub(super) fn without_credentials(message: String) -> String {
    let mut message = message;
    // From the end, so that the places before stay where they are.
    for range in userinfo(&message).into_iter().rev() {
        message.replace_range(range, "***");
    }
    message
}

/// Where the password of HAProxy's `stats auth USER:PASSWORD` may begin.
fn stats_auth(line: &str) -> Option<usize> {
    let rest = line.trim_start().strip_prefix("stats")?;
    let word = rest.trim_start();
    let is_auth = word.len() < rest.len() && word.starts_with("au");
    let end = word.find(char::is_whitespace).filter(|_| is_auth)?;
    Some(line.len() - word.len() + end)
}
