//! `$NAME=VALUE`, and what replaces `$NAME` and `${NAME}`.
//!
//! A value is kept as written and expanded where it is used, so that it follows later changes of
//! the names in it. Scanning goes on at the start of what was inserted, as in keepalived.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::budget::{Budget, DEEPEST, Exhausted};
use super::builtin::Builtins;
use super::line::{FrameId, Frames, Line};
use super::reference::{Use, name_len};
use crate::config::diag::{Diagnostic, SourceMap, Span};
use crate::config::sources::Sources;

/// The lines of a value; more than one only if it was written with `\`.
pub(super) type Value = Rc<[Line]>;

/// The names and what they stand for.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    known: BTreeMap<String, Value>,
}

/// A definition as written: the name and where its value starts.
pub(super) struct Defining<'t> {
    pub(super) name: &'t str,
    pub(super) value: usize,
}

/// Whether a line is a definition.
pub(super) fn defining(text: &str) -> Option<Defining<'_>> {
    let rest = text.strip_prefix('$')?;
    let name = rest.get(..name_len(rest)).filter(|name| !name.is_empty())?;
    let value = rest.get(name.len()..)?.strip_prefix('=')?;
    let blank = value.len() - value.trim_start().len();
    Some(Defining { name, value: text.len() - value.len() + blank })
}

/// The blanks that keep a line from being a definition.
pub(super) fn blank_before_equals(text: &str) -> Option<std::ops::Range<usize>> {
    let name = 1 + name_len(text.strip_prefix('$')?);
    let rest = text.get(name..)?;
    let blank = rest.len() - rest.trim_start().len();
    let is_one = name > 1 && blank > 0 && rest.trim_start().starts_with('=');
    is_one.then_some(name..name + blank)
}

/// What expanding needs besides the definitions.
pub(super) struct Surroundings<'a> {
    pub(super) frames: &'a mut Frames,
    pub(super) budget: &'a mut Budget,
    pub(super) builtins: &'a mut Builtins,
    pub(super) sources: &'a dyn Sources,
    pub(super) map: &'a mut SourceMap,
    pub(super) out: &'a mut Vec<Diagnostic>,
    /// Uses of names that stand for nothing, and whether in braces.
    pub(super) undefined: &'a mut Vec<Undefined>,
}

/// A use of a name that is not defined.
#[derive(Debug)]
pub(super) struct Undefined {
    pub(super) name: String,
    /// What follows the name within the braces.
    pub(super) params: Option<String>,
    pub(super) span: Span,
    pub(super) in_password: bool,
}

/// A line with its names replaced.
pub(super) struct Expanded {
    pub(super) line: Line,
    /// The lines that follow it, innermost definition last.
    pub(super) tails: Vec<Tail>,
}

/// The second and later lines of a value.
pub(super) struct Tail {
    pub(super) value: Value,
    pub(super) frame: FrameId,
}

impl Definitions {
    /// Gives a name a value, or another one.
    pub(super) fn define(&mut self, name: &str, lines: Vec<Line>) {
        let lines: Value = lines.into_iter().map(Line::forget_frames).collect();
        match self.known.get_mut(name) {
            Some(value) => *value = lines,
            None => drop(self.known.insert(name.to_owned(), lines)),
        }
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// Replaces the names in a line; `None` if it must not be used, which was reported then.
    pub(super) fn expand(
        &self,
        line: Line,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Expanded>, Exhausted> {
        let in_password = super::super::lexer::is_password(line.text());
        let mut rest = Rest::default();
        rest.push([line].into(), None);
        let mut done = Expanded { line: Line::default(), tails: Vec::new() };
        while rest.copy_to_use(&mut done.line) {
            let Some(used) = Use::parse(rest.chars()) else {
                rest.copy(1, &mut done.line);
                continue;
            };
            let value = match self.known.get(&used.name) {
                Some(value) if used.params.is_none() => Some(Rc::clone(value)),
                Some(_) => None,
                None => match around.builtins.value(&used, rest.site(used.len), around.sources) {
                    Some(Ok(line)) => Some([line].into()),
                    Some(Err(why)) => {
                        let span = rest.span(used.len, around);
                        around.out.push(Diagnostic::error(span, why));
                        None
                    }
                    None => {
                        let span = rest.span(used.len, around);
                        let (name, params) = (used.name.clone(), used.params.clone());
                        around.undefined.push(Undefined { name, params, span, in_password });
                        None
                    }
                },
            };
            let Some(value) = value else {
                rest.copy(1, &mut done.line);
                continue;
            };
            let outer = rest.frame();
            let what = used.text();
            if around.frames.depth(outer) >= DEEPEST {
                // Without its trail, which says nothing more than the chain.
                let span = rest.span(used.len, around);
                let span = Span::new(span.file, span.start..span.end);
                around.out.push(too_deep(span, &what, &around.frames.names(outer)));
                return Ok(None);
            }
            let site = rest.site(used.len);
            if value.len() > 1 && !rest.is_blank_after(used.len) {
                let span = rest.span(used.len, around);
                around.out.push(
                    Diagnostic::error(span, format!("text follows `{what}`"))
                        .note("its value has several lines: it can only end a line")
                        .help("put what follows on a line of its own"),
                );
                return Ok(None);
            }
            rest.skip(used.len);
            let frame = site.map(|site| around.frames.enter(&what, site, outer));
            around.budget.replaced(value.first().map_or(0, |line| line.text().len()))?;
            let repeats = value.first().is_some_and(|l| l.text().trim_start().starts_with('~'));
            if let (Some(frame), true) = (frame, value.len() > 1) {
                done.tails.push(Tail { value: Rc::clone(&value), frame });
            }
            rest.push(value, frame);
            if repeats && done.line.text().trim().is_empty() {
                // What follows is expanded anew in every turn.
                rest.copy_all(&mut done.line);
            }
        }
        Ok(Some(done))
    }
}

fn too_deep(span: Span, what: &str, names: &[std::sync::Arc<str>]) -> Diagnostic {
    let name = |text: &str| text.trim_matches(['$', '{', '}']).to_owned();
    let own = name(what);
    match names.iter().rposition(|outer| name(outer) == own) {
        Some(at) => {
            let mut chain: Vec<&str> = names.iter().skip(at).map(AsRef::as_ref).collect();
            chain.push(what);
            Diagnostic::error(span, format!("`{what}` stands for itself"))
                .note(format!("it is reached again: {}", chain.join(" → ")))
                .help("take it out of its own value")
        }
        None => Diagnostic::error(span, format!("definitions nested more than {DEEPEST} deep"))
            .help("write some of them out"),
    }
}

/// What is still to be read of a line: values inserted lie on top of what follows them.
#[derive(Default)]
struct Rest {
    chunks: Vec<Chunk>,
}

struct Chunk {
    value: Value,
    at: usize,
    frame: Option<FrameId>,
}

impl Chunk {
    fn line(&self) -> Option<&Line> {
        self.value.first()
    }

    fn text(&self) -> &str {
        self.line().and_then(|line| line.text().get(self.at..)).unwrap_or_default()
    }

    fn copy(&mut self, n: usize, to: &mut Line) {
        if let Some(line) = self.value.first() {
            to.push(line, self.at..self.at + n, self.frame);
        }
        self.at += n;
    }
}

impl Rest {
    fn push(&mut self, value: Value, frame: Option<FrameId>) {
        self.chunks.push(Chunk { value, at: 0, frame });
    }

    /// Copies up to the next `$`; false if there is none.
    fn copy_to_use(&mut self, to: &mut Line) -> bool {
        while let Some(chunk) = self.chunks.last_mut() {
            if let Some(n) = chunk.text().find('$') {
                chunk.copy(n, to);
                return true;
            }
            chunk.copy(chunk.text().len(), to);
            self.chunks.pop();
        }
        false
    }

    fn copy(&mut self, n: usize, to: &mut Line) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.copy(n, to);
        }
    }

    fn copy_all(&mut self, to: &mut Line) {
        while let Some(mut chunk) = self.chunks.pop() {
            chunk.copy(chunk.text().len(), to);
        }
    }

    fn skip(&mut self, mut n: usize) {
        while let Some(chunk) = self.chunks.last_mut() {
            let here = n.min(chunk.text().len());
            chunk.at += here;
            n -= here;
            if n == 0 {
                return;
            }
            self.chunks.pop();
        }
    }

    fn chars(&self) -> impl Iterator<Item = char> {
        self.chunks.iter().rev().flat_map(|chunk| chunk.text().chars())
    }

    /// Whether only blanks follow the next `n` bytes.
    fn is_blank_after(&self, n: usize) -> bool {
        // Names and what is around them are ASCII: as many characters as bytes.
        self.chars().skip(n).all(char::is_whitespace)
    }

    /// What put the next byte here.
    fn frame(&self) -> Option<FrameId> {
        let chunk = self.chunks.last()?;
        chunk.frame.or_else(|| chunk.line()?.frame(chunk.at))
    }

    /// Where the next `n` bytes are written.
    fn site(&self, n: usize) -> Option<Span> {
        let chunk = self.chunks.last()?;
        chunk.line()?.place(chunk.at..chunk.at + n.min(chunk.text().len()))
    }

    fn span(&self, n: usize, around: &mut Surroundings<'_>) -> Span {
        let mut line = Line::default();
        if let Some((chunk, whole)) = self.chunks.last().and_then(|c| Some((c, c.line()?))) {
            let n = n.min(chunk.text().len());
            line.push(whole, chunk.at..chunk.at + n, chunk.frame);
        }
        line.span(0..line.text().len(), around.frames, around.map)
    }
}
