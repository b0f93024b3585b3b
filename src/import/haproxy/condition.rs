//! `acl` and the conditions of `use_backend`: how many servers of a backend are up.

use std::collections::BTreeMap;

use super::lexer::{Line, Word};
use crate::config::diag::{Diagnostic, Span, nearest, quoted};

/// The conditions a section has names for. Lines of one name are alternatives.
#[derive(Clone, Debug, Default)]
pub(super) struct Acls(BTreeMap<String, Vec<Vec<Word>>>);

impl Acls {
    /// `acl NAME CRITERION VALUE…`
    pub(super) fn define(&mut self, line: &Line) {
        if let [name, criterion @ ..] = line.args.as_slice() {
            self.0.entry(name.text.clone()).or_default().push(criterion.to_vec());
        }
    }

    /// What a name stands for, if it has one meaning.
    pub(super) fn only(&self, name: &str) -> Option<&[Word]> {
        match self.0.get(name)?.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// A condition that can be decided from the numbers of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// `if`, whatever is.
    Always(bool),
    /// Whether the number of servers of this backend that are up is in the list of ranges.
    Up(String, Vec<(u64, u64)>),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Whether it holds if `up` says how many servers of a backend are.
    pub(super) fn holds(&self, up: &dyn Fn(&str) -> u64) -> bool {
        match self {
            Condition::Always(always) => *always,
            Condition::Up(backend, ranges) => {
                let up = up(backend);
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&up))
            }
            Condition::Not(inner) => !inner.holds(up),
            Condition::All(all) => all.iter().all(|one| one.holds(up)),
            Condition::Any(any) => any.iter().any(|one| one.holds(up)),
        }
    }

    /// The backends it asks about.
    pub(super) fn backends(&self) -> Vec<&str> {
        match self {
            Condition::Always(_) => Vec::new(),
            Condition::Up(backend, _) => vec![backend],
            Condition::Not(inner) => inner.backends(),
            Condition::All(list) | Condition::Any(list) => {
                list.iter().flat_map(Condition::backends).collect()
            }
        }
    }
}

/// Reads `if …` or `unless …`; nothing is always so. `here` is the section it stands in.
pub(super) fn parse(
    words: &[Word],
    acls: &Acls,
    here: &str,
    at: Span,
    out: &mut Vec<Diagnostic>,
) -> Option<Condition> {
    let Some((keyword, rest)) = words.split_first() else { return Some(Condition::Always(true)) };
    let parser = Parser { acls, here, at };
    let found = match keyword.text.as_str() {
        "if" => parser.alternatives(rest),
        "unless" => parser.alternatives(rest).map(|inner| Condition::Not(Box::new(inner))),
        _ => Err(Unknown { span: keyword.span, what: keyword.text.clone(), names: Vec::new() }),
    };
    let Unknown { span, what, names } = match found {
        Ok(condition) => return Some(condition),
        Err(unknown) => unknown,
    };
    let message = format!("vipd cannot decide {}", quoted(&what));
    out.push(
        Diagnostic::error(span, message)
            .note("passing over it would send clients elsewhere")
            .help("conditions are about `nbsrv(BACKEND)`, for example `{ nbsrv(readers) eq 0 }`")
            .suggest(nearest(&what, names.iter().map(String::as_str))),
    );
    None
}

/// What cannot be decided, and the names there are.
struct Unknown {
    span: Span,
    what: String,
    names: Vec<String>,
}

struct Parser<'a> {
    acls: &'a Acls,
    here: &'a str,
    at: Span,
}

impl Parser<'_> {
    /// Terms side by side hold together; `or` and `||` separate alternatives.
    fn alternatives(&self, words: &[Word]) -> Result<Condition, Unknown> {
        let is_or = |word: &Word| matches!(word.text.as_str(), "or" | "||");
        let alternatives = words.split(is_or).map(|words| self.terms(words));
        Ok(Condition::Any(alternatives.collect::<Result<_, _>>()?))
    }

    fn terms(&self, words: &[Word]) -> Result<Condition, Unknown> {
        let mut terms = Vec::new();
        let mut not = false;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let bare = word.text.trim_start_matches('!');
            not ^= (word.text.len() - bare.len()) % 2 == 1;
            let term = match bare {
                "" | "and" | "&&" => continue,
                "{" => {
                    let inner: Vec<Word> =
                        words.by_ref().take_while(|word| word.text != "}").cloned().collect();
                    self.criterion(&inner)?
                }
                "TRUE" => Condition::Always(true),
                "FALSE" => Condition::Always(false),
                name => self.named(name, word.span)?,
            };
            terms.push(if not { Condition::Not(Box::new(term)) } else { term });
            not = false;
        }
        if terms.is_empty() {
            return Err(self.unknown(words.as_slice().first(), "a condition without a term"));
        }
        Ok(Condition::All(terms))
    }

    fn named(&self, name: &str, span: Span) -> Result<Condition, Unknown> {
        let Some(alternatives) = self.acls.0.get(name) else {
            let names = self.acls.0.keys().cloned().collect();
            return Err(Unknown { span, what: name.to_owned(), names });
        };
        let alternatives = alternatives.iter().map(|words| self.criterion(words));
        Ok(Condition::Any(alternatives.collect::<Result<_, _>>()?))
    }

    /// `nbsrv(BACKEND) [-m int] [eq|ge|gt|le|lt] NUMBER…`; numbers may be ranges `1:3`.
    fn criterion(&self, words: &[Word]) -> Result<Condition, Unknown> {
        let Some((fetch, values)) = words.split_first() else {
            return Err(self.unknown(None, "a condition without a term"));
        };
        let unknown = || self.unknown(Some(fetch), "");
        if values.is_empty() && matches!(fetch.text.as_str(), "always_true" | "always_false") {
            return Ok(Condition::Always(fetch.text == "always_true"));
        }
        let backend = fetch.text.strip_prefix("nbsrv").ok_or_else(unknown)?;
        let backend = match backend.strip_prefix('(').and_then(|name| name.strip_suffix(')')) {
            Some("") => self.here,
            None if backend.is_empty() => self.here,
            Some(name) => name,
            None => return Err(unknown()),
        };
        let mut ranges = Vec::new();
        let mut operator = "eq";
        let mut values = values.iter();
        while let Some(word) = values.next() {
            match word.text.as_str() {
                "-m" if values.next().is_some_and(|kind| kind.text == "int") => {}
                "--" => {}
                "eq" | "ge" | "gt" | "le" | "lt" => operator = word.text.as_str(),
                value => {
                    let unknown = || self.unknown(Some(word), "");
                    ranges.push(range(operator, value).ok_or_else(unknown)?);
                }
            }
        }
        if ranges.is_empty() {
            return Err(unknown());
        }
        Ok(Condition::Up(backend.to_owned(), ranges))
    }

    fn unknown(&self, word: Option<&Word>, what: &str) -> Unknown {
        let (span, text) = word.map_or((self.at, what), |word| (word.span, word.text.as_str()));
        Unknown { span, what: text.to_owned(), names: Vec::new() }
    }
}

fn range(operator: &str, value: &str) -> Option<(u64, u64)> {
    if let Some((from, to)) = value.split_once(':') {
        let bound = |text: &str, open| {
            if text.is_empty() { Some(open) } else { text.parse::<u64>().ok() }
        };
        return (operator == "eq").then_some((bound(from, 0)?, bound(to, u64::MAX)?));
    }
    let number: u64 = value.parse().ok()?;
    Some(match operator {
        "eq" => (number, number),
        "ge" => (number, u64::MAX),
        "gt" => (number.saturating_add(1), u64::MAX),
        "le" => (0, number),
        // Nothing is less than 0: a range from 1 to 0.
        _ => number.checked_sub(1).map_or((1, 0), |below| (0, below)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diag::FileId;

    fn words(text: &str) -> Vec<Word> {
        let span = Span::new(FileId::default(), 0..0);
        text.split_whitespace().map(|text| Word { text: text.to_owned(), span }).collect()
    }

    fn condition(text: &str) -> Option<Condition> {
        let mut acls = Acls::default();
        for line in ["none nbsrv(ro) eq 0", "few nbsrv(ro) -m int eq 1", "few nbsrv() lt 1"] {
            let mut line = words(line);
            line.insert(0, words("acl").remove(0));
            acls.define(&Line { keyword: line.remove(0), args: line });
        }
        parse(&words(text), &acls, "rw", Span::new(FileId::default(), 0..0), &mut Vec::new())
    }

    #[test]
    fn conditions_are_decided_from_the_number_of_servers() {
        // How many readers and writers are up; whether it holds.
        for (text, ro, rw, holds) in [
            ("", 0, 0, true),
            ("if { nbsrv(ro) eq 0 }", 0, 0, true),
            ("if { nbsrv(ro) eq 0 }", 1, 0, false),
            ("unless { nbsrv(ro) gt 0 }", 0, 1, true),
            ("if !{ nbsrv(ro) ge 1 }", 0, 1, true),
            ("if ! { nbsrv(ro) ge 1 }", 2, 1, false),
            ("if none { nbsrv(rw) ge 1 }", 0, 0, false),
            ("if none { nbsrv(rw) ge 1 }", 0, 1, true),
            ("if few", 1, 5, true),
            ("if few", 2, 5, false),
            ("if few", 2, 0, true),
            ("if !none or { nbsrv le 0 }", 0, 1, false),
            ("if !none || { nbsrv 0 }", 1, 1, true),
            ("if { nbsrv(ro) 1:2 4: }", 3, 0, false),
            ("if { nbsrv(ro) 1:2 4: }", 5, 0, true),
            ("if { nbsrv(ro) lt 0 }", 0, 0, false),
            ("if TRUE FALSE", 0, 0, false),
            ("if { always_true }", 0, 0, true),
        ] {
            let found = condition(text).unwrap_or_else(|| panic!("{text}"));
            let up = |backend: &str| if backend == "ro" { ro } else { rw };
            assert_eq!(found.holds(&up), holds, "{text} with {ro} and {rw}");
        }
        for wrong in [
            "if",
            "when x",
            "if other",
            "if { src 10.0.0.0/8 }",
            "if { nbsrv(ro) }",
            "if { nbsrv(ro) eq }",
            "if { nbsrv(ro) eq x }",
            "if { nbsrv(ro) ge 1:2 }",
            "if { nbsrvx eq 1 }",
            "if none or",
            "if { }",
        ] {
            assert_eq!(condition(wrong), None, "{wrong}");
        }
    }
}
