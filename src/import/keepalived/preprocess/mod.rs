//! Files to the lines they stand for: `include`, `@ID`, `$NAME`, `~SEQ` and `~LST`.
//!
//! The stages: [`clean`] takes the comments out of each line, [`Preprocessor::line`] decides what
//! becomes of it ([`define`], [`repeat`], [`include`]), and what is left is split into words by the
//! lexer. Every byte of a [`line::Line`] knows where it was written, so that whatever is wrong
//! with it later is shown in the file, at the reader's own words.

mod budget;
mod builtin;
mod clean;
mod define;
mod include;
pub(crate) mod line;
mod reference;
mod repeat;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) use include::INCLUDES;

use self::budget::{Budget, DEEPEST, Exhausted, LONGEST_LINE};
use self::builtin::Builtins;
use self::clean::Cleaned;
use self::define::{Definitions, Expanded, Surroundings, Undefined, defining};
use self::include::Checks;
use self::line::{Frames, Line};
use self::repeat::Turns;
use super::lexer::{self, Brace, Token};
use crate::config::diag::{Diagnostic, FileId, Span, nearest, quoted};
use crate::config::sources::{Loading, Text};

/// Files read through `include`, so that files that include each other twice come to an end.
const MOST_FILES: usize = 1000;
const MOST_NESTED_FILES: usize = 16;
/// Names that are looked up among the defined ones to find the one that was meant.
const MOST_SUGGESTIONS: usize = 100;

/// What holds from one file to the next.
pub(crate) struct Preprocessor {
    tokens: Vec<Token>,
    definitions: Definitions,
    config_id: Option<String>,
    builtins: Builtins,
    frames: Frames,
    budget: Budget,
    checks: Checks,
    conditions: Conditions,
    undefined: Vec<Undefined>,
    files: BTreeMap<PathBuf, Rc<(FileId, Text)>>,
    included: usize,
    /// The files being read, outermost first.
    stack: Vec<PathBuf>,
    collecting: Option<Collecting>,
    is_exhausted: bool,
}

/// A definition whose lines are still being read.
struct Collecting {
    name: String,
    lines: Vec<Line>,
    /// Whether the condition before it holds.
    is_kept: bool,
}

/// The conditions met, to tell whether any of them was meant for this node.
#[derive(Default)]
struct Conditions {
    first: Option<Span>,
    ids: BTreeSet<String>,
    any_holds: bool,
}

impl Preprocessor {
    /// Nothing read yet, on the node that lines `@ID` call `config_id`.
    pub(crate) fn new(config_id: Option<String>) -> Preprocessor {
        Preprocessor {
            tokens: Vec::new(),
            definitions: Definitions::default(),
            builtins: Builtins::new(config_id.clone()),
            config_id,
            frames: Frames::default(),
            budget: Budget::default(),
            checks: Checks::default(),
            conditions: Conditions::default(),
            undefined: Vec::new(),
            files: BTreeMap::new(),
            included: 0,
            stack: Vec::new(),
            collecting: None,
            is_exhausted: false,
        }
    }

    /// Reads a file named on the command line and what it includes.
    pub(crate) fn file(&mut self, load: &mut Loading<'_>, file: FileId, path: &Path, text: &Text) {
        // Where it stopped was said there; what other files hold is not read either.
        if !self.is_exhausted {
            let _ = self.read(load, file, path, text);
        }
    }

    /// The words and braces of everything read; none if not everything was.
    pub(crate) fn finish(mut self, load: &mut Loading<'_>) -> Vec<Token> {
        if self.is_exhausted {
            return Vec::new();
        }
        let mut suggested: BTreeMap<String, Option<String>> = BTreeMap::new();
        for undefined in std::mem::take(&mut self.undefined) {
            load.out.push(self.undefined(&undefined, &mut suggested));
        }
        let Conditions { first, ids, any_holds: false } = self.conditions else {
            return self.tokens;
        };
        if let Some(first) = first {
            let ids: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
            let own = self.config_id.as_deref().map_or("unknown".to_owned(), quoted);
            load.out.push(
                Diagnostic::warning(first, format!("no `@` line is meant for this node, {own}"))
                    .note(format!("there are lines for {}", ids.join(", ")))
                    .help("say which node it is: `--config-id ID`; by default it is the host name"),
            );
        }
        self.tokens
    }

    fn undefined(
        &self,
        used: &Undefined,
        suggested: &mut BTreeMap<String, Option<String>>,
    ) -> Diagnostic {
        if used.in_password {
            return Diagnostic::warning(used.span, "the `$` in the password names no definition")
                .note("the password is taken as it is written");
        }
        let name = &used.name;
        if let ("_ENV", Some(variable)) = (name.as_str(), &used.params) {
            let variable = quoted(variable.trim());
            let text =
                format!("the environment has no variable {variable}; the text stays as it is");
            return Diagnostic::warning(used.span, text)
                .note("it is the environment of the process that reads the file");
        }
        let text = format!("`${name}` is not defined and stays as it is");
        let warning = Diagnostic::warning(used.span, text);
        if self.definitions.names().any(|known| known == name) {
            return warning.help("it is defined further down: move its definition up");
        }
        if !suggested.contains_key(name) && suggested.len() < MOST_SUGGESTIONS {
            // Names of one or two letters are all alike.
            let known = self.definitions.names().chain(Builtins::NAMES).filter(|n| n.len() > 2);
            let meant = nearest(name, known).map(|meant| format!("${meant}"));
            suggested.insert(name.clone(), meant);
        }
        warning.suggest(suggested.get(name).and_then(Option::as_deref))
    }

    fn read(
        &mut self,
        load: &mut Loading<'_>,
        file: FileId,
        path: &Path,
        text: &Text,
    ) -> Result<(), Exhausted> {
        if text.executable {
            let at = Span::new(file, 0..0);
            load.out.push(
                Diagnostic::warning(at, "keepalived would skip this file: it is executable")
                    .note("vipd reads it")
                    .help("chmod a-x, so that both see the same configuration"),
            );
        }
        let directory = load.sources.directory(path);
        let outer = std::mem::replace(&mut self.builtins.directory, directory);
        let checks = self.checks;
        self.stack.push(path.to_owned());
        self.tokens.push(Token::Begin);
        for mut cleaned in clean::lines(file, &text.text) {
            load.out.append(&mut cleaned.said);
            let at = cleaned.line.place(0..cleaned.line.text().len());
            let at = at.unwrap_or(Span::new(file, 0..0));
            let spent = self.budget.line(cleaned.line.text().len());
            if let Err(exhausted) = spent.and_then(|()| self.physical(load, cleaned)) {
                if !std::mem::replace(&mut self.is_exhausted, true) {
                    load.out.push(exhausted.diagnostic(at));
                }
                return Err(exhausted);
            }
        }
        self.define_collected();
        self.tokens.push(Token::End);
        self.stack.pop();
        self.checks = checks;
        self.builtins.directory = outer;
        Ok(())
    }

    /// One line of a file: part of a definition, or a line of its own.
    fn physical(&mut self, load: &mut Loading<'_>, cleaned: Cleaned) -> Result<(), Exhausted> {
        let Cleaned { line, continues, is_empty, .. } = cleaned;
        let Some(collecting) = &mut self.collecting else {
            return if line.text().is_empty() {
                Ok(())
            } else {
                self.line(load, line, continues.is_some(), 0)
            };
        };
        if line.is_own() {
            let at = line.span(0..line.text().len(), &self.frames, &mut load.map);
            load.out.push(
                Diagnostic::error(at, "a `#vipd` comment inside a definition")
                    .help("put it before or behind the lines that end with `\\`"),
            );
            return Ok(());
        }
        let kept = continues.unwrap_or(line.text().len());
        if kept > 0 {
            collecting.lines.push(line.slice(0..kept));
        } else if !is_empty {
            // keepalived goes on after a comment, and after a line of blanks.
            return Ok(());
        } else if let Some(last) = collecting.lines.last() {
            let text = last.text();
            let start = text.char_indices().next_back().map_or(0, |(at, _)| at);
            let at = last.span(start..text.len(), &self.frames, &mut load.map);
            let text = format!("the definition of `${}` ends here", collecting.name);
            load.out.push(
                Diagnostic::warning(at, text)
                    .note("the next line is empty")
                    .help("remove the empty line, or the `\\` before it"),
            );
        }
        if continues.is_none() {
            self.define_collected();
        }
        Ok(())
    }

    fn define_collected(&mut self) {
        if let Some(Collecting { name, mut lines, is_kept: true }) = self.collecting.take() {
            if lines.is_empty() {
                lines.push(Line::default());
            }
            self.definitions.define(&name, lines);
        }
    }

    /// Decides what becomes of a line; `continues` if the next one belongs to it, `loops` counts
    /// the repetitions around it.
    fn line(
        &mut self,
        load: &mut Loading<'_>,
        mut line: Line,
        continues: bool,
        loops: usize,
    ) -> Result<(), Exhausted> {
        let mut tails = Vec::new();
        let mut is_expanded = false;
        let mut is_dropped = false;
        loop {
            if line.text().starts_with('@') {
                let (rest, holds) = self.condition(load, &line);
                is_dropped |= !holds;
                line = line.slice(rest);
            }
            if defining(line.text()).is_some() {
                self.definition(load, &line, continues, !is_dropped);
                break;
            }
            if is_dropped {
                break;
            }
            if let Some(blank) = define::blank_before_equals(line.text()) {
                let span = line.span(blank, &self.frames, &mut load.map);
                load.out.push(
                    Diagnostic::error(span, "no blank may stand before the `=` of a definition")
                        .note("keepalived does not take this for a definition")
                        .help("write `$NAME=VALUE`"),
                );
                break;
            }
            if line.text().starts_with('~') {
                self.repeat(load, &line, loops)?;
                break;
            }
            if is_expanded || !line.text().contains('$') {
                match self.emit(load, &line)? {
                    Some(rest) => (line, is_expanded) = (rest, false),
                    None => break,
                }
                continue;
            }
            // Before names are replaced: what follows may give them other values.
            if let Some((head, rest)) = self.split(&line)? {
                self.line(load, head, false, loops)?;
                line = rest;
                continue;
            }
            is_expanded = true;
            let Some(expanded) = self.expand(load, line)? else { break };
            tails.extend(expanded.tails);
            let blank = expanded.line.text().len() - expanded.line.text().trim_start().len();
            line = match blank {
                0 => expanded.line,
                n => expanded.line.slice(n..expanded.line.text().len()),
            };
        }
        for tail in tails.into_iter().rev() {
            for body in tail.value.iter().skip(1) {
                self.budget.line(body.text().len())?;
                let mut line = Line::default();
                line.push(body, 0..body.text().len(), Some(tail.frame));
                self.line(load, line, false, loops)?;
            }
        }
        Ok(())
    }

    /// Replaces the names in a line; `None` if it is not to be used, which was said then.
    fn expand(
        &mut self,
        load: &mut Loading<'_>,
        line: Line,
    ) -> Result<Option<Expanded>, Exhausted> {
        let mut around = Surroundings {
            frames: &mut self.frames,
            budget: &mut self.budget,
            builtins: &mut self.builtins,
            sources: load.sources,
            map: &mut load.map,
            out: &mut load.out,
            undefined: &mut self.undefined,
        };
        self.definitions.expand(line, &mut around)
    }

    /// `@ID rest`: what remains, and whether it is meant for this node.
    fn condition(&mut self, load: &mut Loading<'_>, line: &Line) -> (Range<usize>, bool) {
        let text = line.text();
        let mut holds = true;
        let mut at = 0;
        while text.get(at..).is_some_and(|rest| rest.starts_with('@')) {
            let rest = text.get(at..).unwrap_or_default();
            let word = rest.split(char::is_whitespace).next().unwrap_or_default();
            let (id, negated) = match word.strip_prefix("@^") {
                Some(id) => (id, true),
                None => (word.strip_prefix('@').unwrap_or_default(), false),
            };
            let after = rest.get(word.len()..).unwrap_or_default().trim_start();
            let span = line.span(at..at + word.len(), &self.frames, &mut load.map);
            if id.is_empty() {
                load.out.push(
                    Diagnostic::warning(span, format!("no name follows the `{word}`"))
                        .help("write `@NAME` without a blank"),
                );
            } else if id.contains('$') {
                load.out.push(
                    Diagnostic::warning(span, "definitions are not replaced in a condition")
                        .help("write the name of the node out"),
                );
            } else if after.is_empty() {
                load.out.push(Diagnostic::warning(span, format!("nothing follows `{word}`")));
            }
            let matches = self.config_id.as_deref() == Some(id);
            self.conditions.first.get_or_insert(span);
            self.conditions.any_holds |= matches || negated;
            if self.conditions.ids.len() < 10 {
                self.conditions.ids.insert(id.to_owned());
            }
            holds &= matches != negated && !after.is_empty();
            at = text.len() - after.len();
        }
        (at..text.len(), holds)
    }

    /// `$NAME=VALUE`
    fn definition(&mut self, load: &mut Loading<'_>, line: &Line, continues: bool, is_kept: bool) {
        let text = line.text();
        let Some(defining) = defining(text) else { return };
        let value = text.get(defining.value..).unwrap_or_default();
        let end = if continues {
            let kept = value.strip_suffix('\\').unwrap_or(value).trim_end();
            defining.value + kept.len()
        } else {
            defining.value + value.trim_end().len()
        };
        let value = line.slice(defining.value..end);
        if continues {
            if !is_kept {
                let name = line.span(0..1 + defining.name.len(), &self.frames, &mut load.map);
                load.out.push(
                    Diagnostic::warning(name, "the whole definition is meant for another node")
                        .note("keepalived drops its first line only and reads the others as usual")
                        .help("begin the lines of the value with the condition instead"),
                );
            }
            let lines = if value.text().is_empty() { Vec::new() } else { vec![value] };
            self.collecting = Some(Collecting { name: defining.name.to_owned(), lines, is_kept });
        } else if is_kept {
            self.definitions.define(defining.name, vec![value]);
        }
    }

    /// `~SEQ(…) rest` and its kind.
    fn repeat(
        &mut self,
        load: &mut Loading<'_>,
        line: &Line,
        loops: usize,
    ) -> Result<(), Exhausted> {
        let head = match repeat::head(line.text()) {
            Ok(head) => head,
            Err(wrong) => {
                self.wrong(load, line, wrong);
                return Ok(());
            }
        };
        let whole = line.span(0..head.rest, &self.frames, &mut load.map);
        if loops >= DEEPEST {
            let text = format!("more than {DEEPEST} repetitions in each other");
            load.out.push(Diagnostic::error(whole, text));
            return Ok(());
        }
        let inner = self.expand(load, line.slice(head.inner.clone()))?;
        let Some(inner) = inner else { return Ok(()) };
        let mut turns = match Turns::of(head.kind, &inner.line) {
            Ok(turns) => turns,
            Err(wrong) => {
                self.wrong(load, &inner.line, wrong);
                return Ok(());
            }
        };
        let place = line.place(0..head.rest).unwrap_or(whole);
        let blank = line.text().get(head.rest..).map_or(0, |r| r.len() - r.trim_start().len());
        let body = line.slice(head.rest + blank..line.text().len());
        if body.text().is_empty() {
            let text = format!("nothing follows `{}`", head.kind.name());
            load.out.push(Diagnostic::warning(whole, text));
            return Ok(());
        }
        while let Some(values) = turns.next(place) {
            for (name, value) in values {
                self.definitions.define(name, vec![value]);
            }
            self.budget.line(body.text().len())?;
            self.line(load, body.clone(), false, loops + 1)?;
        }
        Ok(())
    }

    fn wrong(&self, load: &mut Loading<'_>, line: &Line, wrong: repeat::Wrong) {
        let (range, text, help) = wrong;
        let span = line.span(range, &self.frames, &mut load.map);
        load.out.push(Diagnostic::error(span, text).help(help));
    }

    /// A line with everything replaced: other files, or words. What follows a brace may have to be
    /// looked at again: keepalived takes it for a line of its own.
    fn emit(&mut self, load: &mut Loading<'_>, line: &Line) -> Result<Option<Line>, Exhausted> {
        self.budget.remarks(load.out.len() + self.undefined.len())?;
        if line.text().len() > LONGEST_LINE {
            let span = line.span(0..line.text().len(), &self.frames, &mut load.map);
            // Without its trail: thousands of names may have made it so long.
            let span = Span::new(span.file, span.start..span.end);
            load.out.push(clean::too_long(span));
            return Ok(None);
        }
        if let Some(include) = include::include(line.text()) {
            self.include(load, line, &include)?;
            return Ok(None);
        }
        let mut start = 0;
        loop {
            let text = line.text().get(start..).unwrap_or_default();
            let brace = lexer::brace(text);
            let end = start + brace.unwrap_or(text.len());
            self.directive(load, line, start..end);
            lexer::words(line, start..end, &self.frames, load, &mut self.tokens);
            if brace.is_none() {
                return Ok(None);
            }
            let span = line.span(end..end + 1, &self.frames, &mut load.map);
            let is_open = line.text().get(end..=end) == Some("{");
            let brace = Brace { span, is_own: line.is_own() };
            self.tokens.push(if is_open { Token::Open(brace) } else { Token::Close(brace) });
            start = end + 1;
            if let Some(rest) = self.special(line, start)? {
                return Ok(Some(rest));
            }
        }
    }

    /// What stands from `start` on, if it has to be looked at as a line of its own.
    fn special(&mut self, line: &Line, start: usize) -> Result<Option<Line>, Exhausted> {
        let rest = line.text().get(start..).unwrap_or_default().trim_start();
        let is_special = rest.starts_with(['@', '~'])
            || defining(rest).is_some()
            || include::include(rest).is_some();
        if !is_special {
            return Ok(None);
        }
        self.budget.line(rest.len())?;
        Ok(Some(line.slice(line.text().len() - rest.len()..line.text().len())))
    }

    /// Splits a line after the brace that such a rest follows.
    fn split(&mut self, line: &Line) -> Result<Option<(Line, Line)>, Exhausted> {
        let text = line.text();
        let mut start = 0;
        while let Some(brace) = text.get(start..).and_then(lexer::brace) {
            start += brace + 1;
            if let Some(rest) = self.special(line, start)? {
                return Ok(Some((line.slice(0..start), rest)));
            }
        }
        Ok(None)
    }

    /// The keywords that change how the rest is read.
    fn directive(&mut self, load: &mut Loading<'_>, line: &Line, range: Range<usize>) {
        let text = line.text().get(range.clone()).unwrap_or_default();
        let mut words = text.split_whitespace();
        match words.next() {
            Some("include_check") => {
                if let Err(word) = self.checks.set(words) {
                    let at = range.start + text.find(word).unwrap_or_default();
                    let span = line.span(at..at + word.len(), &self.frames, &mut load.map);
                    load.out.push(
                        Diagnostic::error(span, format!("unknown check {}", quoted(word))).help(
                            "allowed: readable, match, wildcard_match, brace_match, each with + or -",
                        ),
                    );
                }
            }
            Some("random_seed") => {
                if let Some(seed) = words.next().and_then(|word| word.parse().ok()) {
                    self.builtins.seed(seed);
                }
            }
            _ => {}
        }
    }

    fn include(
        &mut self,
        load: &mut Loading<'_>,
        line: &Line,
        include: &include::Include,
    ) -> Result<(), Exhausted> {
        let at = line.span(include.place(), &self.frames, &mut load.map);
        let including = self.stack.last().and_then(|path| path.parent());
        let directory = including.unwrap_or(Path::new("")).to_owned();
        let sources = load.sources;
        let files = include.files(line, &directory, self.checks, sources, at, &mut load.out);
        for path in files {
            self.included(load, &path, at)?;
        }
        Ok(())
    }

    fn included(&mut self, load: &mut Loading<'_>, path: &Path, by: Span) -> Result<(), Exhausted> {
        let error = |text: String| Diagnostic::error(by, text);
        if let Some(first) = self.stack.iter().position(|outer| outer == path) {
            let chain = self.stack.iter().skip(first).map(PathBuf::as_path).chain([path]);
            let chain: Vec<String> = chain.map(|path| path.display().to_string()).collect();
            load.out.push(
                error(format!("{} includes itself", path.display()))
                    .note(format!("it is reached again: {}", chain.join(" → ")))
                    .help("remove one of these `include` lines"),
            );
            return Ok(());
        }
        if self.stack.len() > MOST_NESTED_FILES {
            let text = format!("files included more than {MOST_NESTED_FILES} deep");
            load.out.push(error(text).help("do two files include each other by other names?"));
            return Ok(());
        }
        if self.included >= MOST_FILES {
            load.out.push(error(format!("more than {MOST_FILES} files included")));
            return Ok(());
        }
        self.included += 1;
        let known = match self.files.get(path) {
            Some(known) => Rc::clone(known),
            None => {
                let Some(opened) = load.open(path, Some(by)) else { return Ok(()) };
                let opened = Rc::new(opened);
                self.files.insert(path.to_owned(), Rc::clone(&opened));
                opened
            }
        };
        let (file, text) = &*known;
        self.read(load, *file, path, text)
    }
}
