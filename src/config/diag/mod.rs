//! What is wrong, where, and what to do about it: one type for every dialect.
//!
//! A diagnostic's first line is `file:line:column: error: message`, so that editors and grep can
//! use it; the source line with a caret and the `help:` lines follow.

mod effect;
mod source;
mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::Location;

use annotate_snippets::renderer::{AnsiColor, DecorStyle, Effects};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::Serialize;

pub use effect::without_effect;
pub(crate) use source::masked;
use source::without_credentials;
pub use source::{FileId, Position, SourceFile, SourceMap, Span, Spanned, Step};
pub use words::{nearest, printable, quoted};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but does something the reader may not expect.
    Warning,
    /// A setting that has no effect here: see [`without_effect`].
    Note,
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
            Severity::Note => "note",
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
    /// One section of a haproxy.cfg, likewise.
    Section(String, Span),
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

    /// A setting that has no effect here, as it is written, and why.
    #[track_caller]
    pub fn no_effect(span: Span, setting: &str, why: &str) -> Diagnostic {
        let text = format!("`{setting}` has no effect: {why}");
        Diagnostic::new(Severity::Note, Some(span), text).label(setting)
    }

    /// A remark about `span`; [`crate::load::Loaded::remarks`] has them.
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
            message: without_credentials(message),
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
        self.label = without_credentials(label.into());
        self
    }

    /// One thing to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(without_credentials(help.into()));
        self
    }

    /// One fact that explains it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(without_credentials(note.into()));
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
            Severity::Note => Level::NOTE,
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

    /// The first line of [`Diagnostic::render`]: all a log has room for.
    #[must_use]
    pub fn line(&self, map: &SourceMap) -> String {
        self.first_line(map, false)
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
                Severity::Note => AnsiColor::BrightGreen,
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
    /// `error`, `warning`, or `note` for a setting without effect.
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
        for line in [
            "auth_pass hunter2",
            "auth_pas \"hunter2\"",
            "auth_pass = 'hunter2' # hunter2",
            "users = [{ name = \"a\", password = \"hunter2\" }]",
            "  stats  auth admin:hunter2",
            "stats auht admin:hunter2",
            "http-check send meth GET uri / hdr Authorization \"Basic hunter2\"",
            "option httpchk GET / HTTP/1.0\\r\\nAuthorization:\\ Basic\\ hunter2",
            "headers = { \"Authorization\" = \"Bearer hunter2\" }",
            "url = \"https://monitor:hunter2@10.0.0.1:8008/\"",
            "option httpchk GET http://hunter2@10.0.0.1/",
        ] {
            let (map, id) = one_file(line);
            let text = Diagnostic::warning(Span::new(id, 0..8), "m").render(&map, false);
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_message_quotes_a_url_without_its_user_and_password() {
        let (map, id) = one_file("x");
        let url = "https://monitor:hunter2@10.0.0.1/ and http://hunter2@b";
        let text = Diagnostic::error(Span::new(id, 0..1), format!("cannot use {url}"))
            .label(url)
            .help(url)
            .note(url)
            .render(&map, false);
        assert!(text.contains("cannot use https://***@10.0.0.1/ and http://***@b"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
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
}
