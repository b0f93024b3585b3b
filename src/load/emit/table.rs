//! One table of vipd.toml with its comments.

use super::is_toml;
use super::values::written;
use crate::config::diag::{SourceMap, Span, printable};
use crate::config::key::Key;

/// The lines of one table.
pub(super) struct Table<'m> {
    heading: String,
    /// `key = value` and its comment.
    lines: Vec<(String, Option<String>)>,
    map: &'m SourceMap,
    /// The place of the block all this stems from.
    home: Option<Span>,
}

impl<'m> Table<'m> {
    pub(super) fn new(heading: String, map: &'m SourceMap, home: Option<Span>) -> Table<'m> {
        Table { heading, lines: Vec::new(), map, home }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn set(&mut self, key: &str, value: impl AsRef<str>) {
        self.lines.push((format!("{key} = {}", value.as_ref()), None));
    }

    /// A setting that is spelt differently elsewhere, at `span`.
    pub(super) fn translated(&mut self, key: &str, value: impl AsRef<str>, span: Option<Span>) {
        // What the dialect means without saying it has the place of the block.
        let span = span.filter(|span| Some(*span) != self.home);
        let comment = span.and_then(|span| self.comment(key, span));
        self.lines.push((format!("{key} = {}", value.as_ref()), comment));
    }

    /// The settings of a block that were written.
    pub(super) fn written<D: Clone>(&mut self, block: &D, keys: &[Key<D>]) {
        let mut block = block.clone();
        for key in keys {
            if let Some(value) = written((key.slot)(&mut block)) {
                self.translated(key.path, value, (key.origin)(&block));
            }
        }
    }

    /// The line that said so, unless it says the same in the same words.
    fn comment(&self, key: &str, span: Span) -> Option<String> {
        let file = self.map.file(span.file)?;
        let line = self.map.line(span)?;
        let known = line.split_whitespace().next() == key.rsplit('.').next();
        if known || is_toml(&file.text) {
            return None;
        }
        let at = self.map.position(span.file, span.start)?.line;
        let at = match self.home {
            Some(home) if home.file == span.file => format!("line {at}"),
            None if self.map.files().count() == 1 => format!("line {at}"),
            Some(_) | None => printable(&self.map.place(span)),
        };
        // One that says several things is quoted once.
        let quoted = format!("# {at}: {line}");
        let again = self.lines.iter().any(|(_, comment)| comment.as_deref() == Some(&quoted));
        Some(if again { format!("# {at}") } else { quoted })
    }

    pub(super) fn finish(self) -> String {
        let home = self.home.filter(|at| self.map.file(at.file).is_some_and(|f| !is_toml(&f.text)));
        let mut out = home.map_or_else(String::new, |at| {
            let line = self.map.line(at).unwrap_or_default();
            let line = line.trim_end_matches([' ', '{']);
            format!("# {}: {line}\n", printable(&self.map.place(at)))
        });
        out.push_str(&self.heading);
        out.push('\n');
        let commented = self.lines.iter().filter(|(_, comment)| comment.is_some());
        let width = commented.map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        for (line, comment) in &self.lines {
            match comment {
                Some(comment) => out.push_str(&format!("{line:width$}  {comment}\n")),
                None => out.push_str(&format!("{line}\n")),
            }
        }
        out
    }
}
