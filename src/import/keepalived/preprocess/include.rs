//! `include` and its stricter forms: which files a pattern stands for, and whether that will do.

use std::path::PathBuf;

use super::line::Line;
use crate::config::diag::{Diagnostic, Span, quoted};
use crate::config::sources::Sources;

/// The forms of `include`.
pub(crate) const INCLUDES: &[&str] =
    &["include", "includer", "includem", "includew", "includeb", "includea"];

/// Alternatives in the braces of one pattern.
const MOST_ALTERNATIVES: usize = 1000;

/// What must exist. That a file which exists can be read is demanded always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// A name without wildcards.
    plain: bool,
    /// A match for wildcards.
    wildcards: bool,
    /// Every alternative in braces.
    braces: bool,
}

impl Checks {
    const ALL: Checks = Checks { plain: true, wildcards: true, braces: true };

    /// What a form of `include` demands besides what is demanded everywhere.
    fn with(self, keyword: &str) -> Checks {
        match keyword {
            "includem" => Checks { plain: true, ..self },
            "includew" => Checks { plain: true, wildcards: true, ..self },
            "includeb" => Checks { plain: true, braces: true, ..self },
            "includea" => Checks::ALL,
            _ => self,
        }
    }

    /// `include_check` with its words; the first word that is none of its options is returned.
    pub(super) fn set<'w>(&mut self, words: impl Iterator<Item = &'w str>) -> Result<(), &'w str> {
        let mut words = words.peekable();
        let mut checks = *self;
        // Words without a sign name all that is checked from now on.
        match words.peek() {
            None => checks = Checks::ALL,
            Some(first) if !first.starts_with(['+', '-']) => checks = Checks::default(),
            Some(_) => {}
        }
        for word in words {
            let on = !word.starts_with('-');
            match word.trim_start_matches(['+', '-']) {
                "read" | "readable" => {}
                "match" => checks.plain = on,
                "wildcard_match" => checks.wildcards = on,
                "brace_match" => checks.braces = on,
                _ => return Err(word),
            }
        }
        *self = checks;
        Ok(())
    }
}

/// An `include` line.
pub(super) struct Include {
    keyword: usize,
    pattern: std::ops::Range<usize>,
}

/// Whether a line reads other files.
pub(super) fn include(text: &str) -> Option<Include> {
    // Most lines do not get further; some are very long.
    if !text.starts_with("include") {
        return None;
    }
    let keyword = text.split(char::is_whitespace).next().unwrap_or_default();
    if !INCLUDES.contains(&keyword) {
        return None;
    }
    let rest = text.get(keyword.len()..).unwrap_or_default();
    let start = text.len() - rest.trim_start().len();
    Some(Include { keyword: keyword.len(), pattern: start..text.trim_end().len().max(start) })
}

impl Include {
    /// Where the pattern stands in the line; the keyword if there is none.
    pub(super) fn place(&self) -> std::ops::Range<usize> {
        if self.pattern.is_empty() { 0..self.keyword } else { self.pattern.clone() }
    }

    /// The files, in the order they are read.
    pub(super) fn files(
        &self,
        line: &Line,
        directory: &std::path::Path,
        checks: Checks,
        sources: &dyn Sources,
        at: Span,
        out: &mut Vec<Diagnostic>,
    ) -> Vec<PathBuf> {
        let keyword = line.text().get(..self.keyword).unwrap_or_default();
        let checks = checks.with(keyword);
        let written = line.text().get(self.pattern.clone()).unwrap_or_default();
        let pattern = written.trim_matches('"');
        if pattern.is_empty() {
            out.push(Diagnostic::error(at, format!("`{keyword}` needs a file name")));
            return Vec::new();
        }
        if pattern != written {
            out.push(
                Diagnostic::warning(at, "keepalived takes the quotes for a part of the name")
                    .help("remove the quotes: the name goes to the end of the line"),
            );
        }
        let Some(alternatives) = braces(pattern) else {
            let text = format!("the pattern has more than {MOST_ALTERNATIVES} alternatives");
            out.push(Diagnostic::error(at, text).help("use a wildcard"));
            return Vec::new();
        };
        let mut files = Vec::new();
        let mut missing = Vec::new();
        let mut is_wild = false;
        for alternative in &alternatives {
            let found = sources.glob(directory, alternative);
            is_wild |= alternative.contains(['*', '?', '[']);
            if found.is_empty() {
                missing.push(alternative.as_str());
            }
            files.extend(found);
        }
        let place = if directory.as_os_str().is_empty() { ".".as_ref() } else { directory };
        let note = format!("looked in {}, where the including file is", place.display());
        if files.is_empty() {
            let must = if is_wild { checks.wildcards } else { checks.plain };
            let text = format!("no file matches {}", quoted(pattern));
            out.push(remark(must || checks.braces && alternatives.len() > 1, at, text).note(note));
        } else if let Some(first) = missing.iter().find(|m| !m.contains(['*', '?', '['])) {
            let text = format!("no file matches {}", quoted(first));
            out.push(remark(checks.braces, at, text).note(note));
        }
        files.retain(|file| {
            let is_regular = sources.is_regular(file);
            if !is_regular {
                let text = format!("{} is no regular file and is skipped", file.display());
                out.push(Diagnostic::warning(at, text).note("keepalived skips it as well"));
            }
            is_regular
        });
        files
    }
}

fn remark(is_error: bool, at: Span, text: String) -> Diagnostic {
    if is_error { Diagnostic::error(at, text) } else { Diagnostic::warning(at, text) }
}

/// `a{b,c{d,e}}f` as glob(3) expands it: `abf`, `acdf`, `acef`. `None` if there are too many.
fn braces(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut todo = vec![pattern.to_owned()];
    while let Some(pattern) = todo.pop() {
        if todo.len() + done.len() >= MOST_ALTERNATIVES {
            return None;
        }
        match group(&pattern) {
            Some((head, choices, tail)) => {
                let expanded = choices.iter().map(|choice| format!("{head}{choice}{tail}"));
                let mut expanded: Vec<String> = expanded.take(MOST_ALTERNATIVES).collect();
                expanded.reverse();
                todo.append(&mut expanded);
            }
            None => done.push(pattern),
        }
    }
    Some(done)
}

/// The first group in braces: what stands before it, its choices, what stands after it.
fn group(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (head, rest) = pattern.split_once('{')?;
    let mut depth = 0_usize;
    let mut start = 0;
    let mut choices = Vec::new();
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                choices.push(rest.get(start..at)?);
                start = at + 1;
            }
            '}' => {
                choices.push(rest.get(start..at)?);
                return Some((head, choices, rest.get(at + 1..)?));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand_as_glob_does() {
        for (pattern, expected) in [
            ("a", vec!["a"]),
            ("a{b,c}d", vec!["abd", "acd"]),
            ("{foo/{,cat,dog},bar}", vec!["foo/", "foo/cat", "foo/dog", "bar"]),
            ("{a,b}{c,d}", vec!["ac", "ad", "bc", "bd"]),
            ("a{b", vec!["a{b"]),
            ("a{}", vec!["a"]),
        ] {
            assert_eq!(braces(pattern).unwrap(), expected, "{pattern}");
        }
        assert_eq!(braces(&"{a,b}".repeat(40)), None);
    }

    #[test]
    fn checks_add_up_and_are_taken_away() {
        let mut checks = Checks::default();
        checks.set("+match +brace_match".split(' ')).unwrap();
        assert_eq!(checks, Checks { plain: true, wildcards: false, braces: true });
        checks.set(["-match"].into_iter()).unwrap();
        assert_eq!(checks, Checks { plain: false, wildcards: false, braces: true });
        checks.set(["wildcard_match", "read"].into_iter()).unwrap();
        assert_eq!(checks, Checks { plain: false, wildcards: true, braces: false });
        checks.set([].into_iter()).unwrap();
        assert_eq!(checks, Checks::ALL);
        assert_eq!(checks.set(["mach"].into_iter()), Err("mach"));
        assert_eq!(checks, Checks::ALL);
    }
}
