//! What is wrong, where, and what to do about it: one type for every dialect.
//!
//! A diagnostic's first line is `file:line:column: error: message`, so that editors and grep can
//! use it; the source line with a caret and the `help:` lines follow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use annotate_snippets::renderer::{AnsiColor, DecorStyle, Effects};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::Serialize;

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

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but does something the reader may not expect.
    Warning,
    /// Nothing is wrong; for those who want to know everything.
    #[schemars(skip)]
    Remark,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Remark => "remark",
        }
    }
}

/// One remark about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line without a trailing dot.
    pub message: String,
    /// Where; `None` if no place in a file is to blame.
    pub span: Option<Span>,
    /// A few words under the caret; may be empty.
    pub label: String,
    /// Other places that belong to it, each with a few words.
    pub secondary: Vec<(Span, String)>,
    /// Facts that explain it: what vipd does instead, what is allowed.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Vec<String>,
    /// What an error takes with it.
    pub reach: Reach,
    /// Which line of vipd says so.
    pub origin: Origin,
}

/// How much of the configuration cannot be used because of an error: what lenient reading does
/// without.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// All of it: nobody can say what was meant.
    #[default]
    Everything,
    /// One router, by its name and the place of its header.
    Router(String, Span),
    /// The one setting, which keepalived ignores as well, and the nodes still hear each other.
    Setting,
}

/// The line of source code that made a diagnostic. It takes no part in comparisons: two places may
/// find the same mistake.
#[derive(Clone, Copy, Debug)]
pub struct Origin(pub &'static Location<'static>);

impl PartialEq for Origin {
    fn eq(&self, _: &Origin) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Diagnostic {
    /// An error at `span`.
    #[track_caller]
    pub fn error(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, Some(span), message.into())
    }

    /// A warning at `span`.
    #[track_caller]
    pub fn warning(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, Some(span), message.into())
    }

    /// A remark about `span`; [`crate::config::load::Loaded::remarks`] has them.
    #[track_caller]
    pub(crate) fn remark(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Remark, Some(span), message.into())
    }

    /// An error that no place in a file is to blame for.
    #[track_caller]
    pub fn general(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, None, message.into())
    }

    #[track_caller]
    fn new(severity: Severity, span: Option<Span>, message: String) -> Diagnostic {
        Diagnostic {
            origin: Origin(Location::caller()),
            severity,
            message,
            span,
            label: String::new(),
            secondary: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            reach: Reach::Everything,
        }
    }

    /// This error is about one setting that can be done without.
    #[must_use]
    pub fn droppable(mut self) -> Diagnostic {
        self.reach = Reach::Setting;
        self
    }

    /// This error, unless it is about less, is about one setting that can be done without.
    pub(crate) fn alone(&mut self) {
        if self.reach == Reach::Everything {
            self.reach = Reach::Setting;
        }
    }

    /// This error, unless it is about less, is about this router.
    pub(crate) fn within(&mut self, router: &Spanned<String>) {
        if self.reach == Reach::Everything {
            self.reach = Reach::Router(router.value.clone(), router.span);
        }
    }

    /// A few words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// One thing to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    /// One fact that explains it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Another place that belongs to it.
    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.secondary.push((span, label.into()));
        self
    }

    /// A "did you mean" help line if `nearest` found something.
    #[must_use]
    pub fn suggest(self, nearest: Option<&str>) -> Diagnostic {
        match nearest {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The text for a terminal or a log, ending in a newline.
    #[must_use]
    pub fn render(&self, map: &SourceMap, color: bool) -> String {
        let mut out = self.first_line(map, color);
        out.push('\n');
        let mut group = Group::with_level(match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Remark => Level::INFO,
        });
        for snippet in self.snippets(map) {
            group = group.element(snippet);
        }
        let notes = self.notes.iter().map(|text| Level::NOTE.message(text.as_str()));
        let help = self.help.iter().map(|text| Level::HELP.message(text.as_str()));
        group = group.elements(notes).elements(help);
        if !group.is_empty() {
            let renderer = if color { Renderer::styled() } else { Renderer::plain() };
            out.push_str(renderer.decor_style(DecorStyle::Ascii).render(&[group]).trim_end());
            out.push('\n');
        }
        out
    }

    /// The flat form for `--json`.
    #[must_use]
    pub fn report(&self, map: &SourceMap) -> Report {
        let start = self.span.and_then(|span| map.position(span.file, span.start));
        let end = self.span.and_then(|span| map.position(span.file, span.end));
        Report {
            severity: self.severity,
            message: self.message.clone(),
            file: self.span.and_then(|span| map.file(span.file)).map(|file| file.name.clone()),
            line: start.map(|p| p.line),
            column: start.map(|p| p.column),
            end_line: end.map(|p| p.line),
            end_column: end.map(|p| p.column),
            notes: self
                .trail(map)
                .iter()
                .map(|step| format!("{}, written at {}", origin(step), map.place(step.at)))
                .chain(self.notes.iter().cloned())
                .collect(),
            help: self.help.clone(),
        }
    }

    fn first_line(&self, map: &SourceMap, color: bool) -> String {
        let mut out = String::new();
        if let Some(span) = self.span
            && let (Some(file), Some(at)) =
                (map.file(span.file), map.position(span.file, span.start))
        {
            let _ = write!(out, "{}:{}:{}: ", printable(&file.name), at.line, at.column);
        }
        let word = self.severity.as_str();
        if color {
            let shade = match self.severity {
                Severity::Error => AnsiColor::BrightRed,
                Severity::Warning => AnsiColor::Yellow,
                Severity::Remark => AnsiColor::BrightBlue,
            };
            let style = shade.on_default().effects(Effects::BOLD);
            let _ = write!(out, "{style}{word}{style:#}: ");
        } else {
            let _ = write!(out, "{word}: ");
        }
        out.push_str(&printable(&self.message));
        out
    }

    /// Where the text came from if the file has other text at the place complained about.
    fn trail<'m>(&self, map: &'m SourceMap) -> &'m [Step] {
        self.span.map_or(&[], |span| map.trail(span))
    }

    /// One snippet per file, the primary file first.
    fn snippets<'m>(
        &'m self,
        map: &'m SourceMap,
    ) -> Vec<Snippet<'m, annotate_snippets::Annotation<'m>>> {
        let mut files: Vec<FileId> = Vec::new();
        let primary = self.span.map(|span| (span, AnnotationKind::Primary, self.label.as_str()));
        let trail = self.trail(map).iter().map(|step| (step.at, origin(step)));
        let trail: Vec<(Span, String)> = trail.collect();
        let places = || {
            let context = self.secondary.iter().chain(&trail);
            let context =
                context.map(|(span, label)| (*span, AnnotationKind::Context, label.as_str()));
            primary.into_iter().chain(context)
        };
        for (span, _, _) in places() {
            if !files.contains(&span.file) {
                files.push(span.file);
            }
        }
        let mut snippets = Vec::new();
        for id in files {
            let Some(file) = map.file(id) else { continue };
            let here = || places().filter(|(span, _, _)| span.file == id);
            let marked: BTreeSet<usize> =
                here().map(|(span, _, _)| file.line_of(span.start)).collect();
            let excerpt = map.excerpt(id, file, &marked);
            let first = marked.first().map_or(1, |first| first + 1);
            let mut snippet = Snippet::source(excerpt.text.clone()).line_start(first);
            if Some(id) != self.span.map(|span| span.file) {
                // The first line of the text names the primary file already.
                snippet = snippet.path(file.name.as_str());
            }
            for (span, kind, label) in here() {
                let mut annotation = kind.span(excerpt.range(file, span));
                if !label.is_empty() {
                    annotation = annotation.label(label.to_owned());
                }
                snippet = snippet.annotation(annotation);
            }
            snippets.push(snippet);
        }
        snippets
    }
}

fn origin(step: &Step) -> String {
    format!("in the expansion of `{}`", step.what)
}

/// One diagnostic as `vipd check --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Report {
    /// `error` or `warning`.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The file, as given or as found by `include`.
    pub file: Option<String>,
    /// Counted from 1.
    pub line: Option<usize>,
    /// Counted in characters from 1.
    pub column: Option<usize>,
    /// Line of the end.
    pub end_line: Option<usize>,
    /// Column one past the last character.
    pub end_column: Option<usize>,
    /// Facts that explain it.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Vec<String>,
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
    fn excerpt(&self, id: FileId, file: &SourceFile, marked: &BTreeSet<usize>) -> Excerpt {
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
struct Excerpt {
    text: String,
    /// Per line: where it begins in the file and in the text, and how much of it is shown.
    lines: BTreeMap<usize, (usize, usize, usize)>,
}

impl Excerpt {
    /// The bytes of a place within the text.
    fn range(&self, file: &SourceFile, span: Span) -> Range<usize> {
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
    fn line_of(&self, byte: usize) -> usize {
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

/// The listed name closest to a misspelt one, if any is close enough to be meant.
#[must_use]
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let furthest = |candidate: &str| 1.max(candidate.len().min(name.len()) / 3);
    known
        .into_iter()
        // The distance is at least both of these, and much dearer to compute.
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= furthest(candidate))
        .filter(|candidate| letters_apart(name, candidate) <= furthest(candidate))
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= furthest(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters at least have to be changed, whatever their order: the distance of two words is
/// not less.
fn letters_apart(a: &str, b: &str) -> usize {
    let mut surplus = [0_i16; 32];
    let mut count = |word: &str, by: i16| {
        for byte in word.bytes() {
            // Upper and lower case fall together.
            if let Some(n) = surplus.get_mut(usize::from(byte & 0x1f)) {
                *n += by;
            }
        }
    };
    count(a, 1);
    count(b, -1);
    let apart = |sign: i16| surplus.iter().map(|n| (n * sign).max(0).unsigned_abs()).sum::<u16>();
    apart(1).max(apart(-1)).into()
}

/// Text from a file as it may appear in a message: no control characters, not endless.
#[must_use]
pub fn printable(text: &str) -> String {
    const MOST: usize = 400;
    let mut out: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

/// A word from a file in quotes, as it may appear in a message.
#[must_use]
pub fn quoted(word: &str) -> String {
    const MOST: usize = 60;
    let short: String = word.chars().take(MOST).collect();
    let more = if short.len() < word.len() { "…" } else { "" };
    format!("\"{}{more}\"", printable(&short))
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
    let secret = ["auth_p", "auth-p", "authp", "password"]
        .iter()
        .filter_map(|word| {
            let at = line.to_ascii_lowercase().find(word)?;
            let rest = line.get(at..)?;
            Some(at + rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len()))
        })
        .min();
    for (at, c) in line.char_indices() {
        let secret = secret.is_some_and(|start| at >= start);
        let hide = (secret || hidden.iter().any(|range| range.contains(&at)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn one_file(text: &str) -> (SourceMap, FileId) {
        let mut map = SourceMap::default();
        let id = map.add("a.conf", text);
        (map, id)
    }

    #[test]
    fn the_first_line_is_what_editors_and_grep_read() {
        let (map, id) = one_file("x\n  prioriti 7\n");
        let text = Diagnostic::error(Span::new(id, 4..12), "unknown keyword `prioriti`")
            .help("did you mean `priority`?")
            .render(&map, false);
        assert!(text.starts_with("a.conf:2:3: error: unknown keyword `prioriti`\n"), "{text}");
        assert!(text.contains("^^^^^^^^"), "{text}");
        assert!(text.contains("help: did you mean `priority`?"), "{text}");
    }

    #[test]
    fn a_password_never_shows_in_a_snippet() {
        for line in ["auth_pass hunter2", "auth_pas \"hunter2\"", "auth_pass = 'hunter2' # hunter2"]
        {
            let (map, id) = one_file(line);
            let text = Diagnostic::warning(Span::new(id, 0..8), "m").render(&map, false);
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn spans_out_of_the_file_or_inside_a_character_are_harmless() {
        let (map, id) = one_file("é\r\nü");
        for start in 0..8 {
            for end in 0..8 {
                let _ = Diagnostic::error(Span::new(id, start..end), "m")
                    .also(Span::new(id, end..start), "here")
                    .render(&map, true);
            }
        }
    }

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let known = ["priority", "preempt_delay", "interface"];
        assert_eq!(nearest("prioriti", known), Some("priority"));
        assert_eq!(nearest("Interface", known), Some("interface"));
        assert_eq!(nearest("virtual_server", known), None);
    }
}
