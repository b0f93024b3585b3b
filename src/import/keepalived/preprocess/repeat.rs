//! `~SEQ(var, start, step, end)`, `~SEQx(…)` and `~LST(var, value, …)`: a line several times.

use std::ops::Range;

use super::budget::MOST_LINES;
use super::line::Line;
use super::reference::is_name;
use crate::config::diag::{Span, quoted};
use crate::text::counted;

/// What goes wrong: the bytes of the specification to blame, the message, and a remedy.
pub(super) type Wrong = (Range<usize>, String, &'static str);

/// The head of a line that is repeated.
pub(super) struct Head {
    pub(super) kind: Kind,
    /// What stands in the parentheses.
    pub(super) inner: Range<usize>,
    /// Where the text to repeat begins.
    pub(super) rest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sequence,
    Hexadecimal,
    List,
}

const SEQ_HELP: &str =
    "write `~SEQ(NAME, start, step, end)`, `~SEQ(NAME, start, end)` or `~SEQ(NAME, end)`";
const LST_HELP: &str = "write `~LST(NAME, value, value …)` or `~LST({A, B}, {1, 2}, {3, 4} …)`";

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Sequence => "~SEQ",
            Kind::Hexadecimal => "~SEQx",
            Kind::List => "~LST",
        }
    }

    fn help(self) -> &'static str {
        if self == Kind::List { LST_HELP } else { SEQ_HELP }
    }
}

/// The head of a line that begins with `~`.
pub(super) fn head(text: &str) -> Result<Head, Wrong> {
    let word = text.find(|c: char| c != '~' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let kind = match text.get(..word) {
        Some("~SEQ") => Kind::Sequence,
        Some("~SEQx") => Kind::Hexadecimal,
        Some("~LST") => Kind::List,
        _ => {
            let text = format!("unknown word {}", quoted(text.get(..word).unwrap_or_default()));
            return Err((0..word.max(1), text, "a line is repeated by `~SEQ`, `~SEQx` or `~LST`"));
        }
    };
    let after = text.get(word..).unwrap_or_default();
    let open = word + (after.len() - after.trim_start().len()) + 1;
    let close = text.find(')').filter(|_| after.trim_start().starts_with('('));
    match close {
        Some(close) if close >= open => Ok(Head { kind, inner: open..close, rest: close + 1 }),
        _ => Err((
            0..word,
            format!("`{}` needs its values in parentheses", kind.name()),
            kind.help(),
        )),
    }
}

/// The turns of a loop: in each, names and what they stand for.
pub(super) enum Turns {
    Numbers { name: String, next: i64, step: i64, left: u64, hexadecimal: bool },
    Values { names: Vec<String>, values: std::vec::IntoIter<Vec<Line>> },
}

impl Turns {
    /// The turns a specification asks for; `inner` has its names replaced already.
    pub(super) fn of(kind: Kind, inner: &Line) -> Result<Turns, Wrong> {
        match kind {
            Kind::List => list(inner),
            Kind::Sequence | Kind::Hexadecimal => sequence(inner, kind),
        }
    }

    /// What the names stand for in the next turn; `at` is to blame for a number.
    pub(super) fn next(&mut self, at: Span) -> Option<Vec<(&str, Line)>> {
        match self {
            Turns::Numbers { name, next, step, left, hexadecimal } => {
                *left = left.checked_sub(1)?;
                let text = if *hexadecimal { format!("{next:x}") } else { next.to_string() };
                *next = next.saturating_add(*step);
                Some(vec![(name.as_str(), Line::made(text, at))])
            }
            Turns::Values { names, values } => {
                let values = values.next()?.into_iter();
                Some(names.iter().map(String::as_str).zip(values).collect())
            }
        }
    }
}

fn sequence(inner: &Line, kind: Kind) -> Result<Turns, Wrong> {
    let wrong = |range: Range<usize>, text: String| Err((range, text, kind.help()));
    let text = inner.text();
    let fields = fields(text);
    let (Some(name), 2..=4) = (fields.first(), fields.len()) else {
        return wrong(
            0..text.len(),
            format!("`{}` takes a name and one to three numbers", kind.name()),
        );
    };
    let name_text = text.get(name.clone()).unwrap_or_default();
    if !is_name(name_text) {
        return wrong(name.clone(), format!("{} is no name", quoted(name_text)));
    }
    let mut numbers = Vec::new();
    for field in fields.iter().skip(1) {
        let text = text.get(field.clone()).unwrap_or_default();
        match number(text) {
            Some(number) => numbers.push(number),
            None => return wrong(field.clone(), format!("{} is not a whole number", quoted(text))),
        }
    }
    let (start, step, end) = match numbers.as_slice() {
        [start, step, end] => (*start, *step, *end),
        [start, end] => (*start, if end < start { -1 } else { 1 }, *end),
        [end] => {
            let start = if *end < 0 { -1 } else { 1 };
            (start, if *end < start { -1 } else { 1 }, *end)
        }
        _ => (1, 1, 0),
    };
    let distance = i128::from(end) - i128::from(start);
    if step == 0 || distance.signum() * i128::from(step.signum()) < 0 {
        return wrong(0..text.len(), format!("steps of {step} never lead from {start} to {end}"));
    }
    let turns = distance / i128::from(step) + 1;
    match u64::try_from(turns) {
        Ok(left) if turns <= i128::try_from(MOST_LINES).unwrap_or(i128::MAX) => {
            let hexadecimal = kind == Kind::Hexadecimal;
            let name = name_text.to_owned();
            Ok(Turns::Numbers { name, next: start, step, left, hexadecimal })
        }
        _ => Err((
            0..text.len(),
            format!("`{}` asks for {turns} lines, the limit is {MOST_LINES}", kind.name()),
            "shorten the sequence",
        )),
    }
}

/// As C reads it: decimal, `0x…` or octal after a leading 0.
fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with(['+', '-']) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => {
            i64::from_str_radix(digits, 8).ok()?
        }
        None => digits.parse().ok()?,
    };
    Some(sign * number)
}

fn list(inner: &Line) -> Result<Turns, Wrong> {
    let wrong = |range: Range<usize>, text: String| Err((range, text, LST_HELP));
    let text = inner.text();
    let mut fields = fields(text).into_iter();
    let first = fields.next().unwrap_or(0..0);
    let names: Vec<Range<usize>> = members(text, first.clone());
    let mut known = Vec::new();
    for name in names {
        let name_text = text.get(name.clone()).unwrap_or_default();
        if !is_name(name_text) {
            return wrong(name, format!("{} is no name", quoted(name_text)));
        }
        known.push(name_text.to_owned());
    }
    let mut values = Vec::new();
    for field in fields {
        let members = members(text, field.clone());
        if members.len() > known.len() {
            let text = format!("{} values for {}", members.len(), counted(known.len(), "name"));
            return wrong(field, text);
        }
        let mut turn = Vec::new();
        for member in members {
            let value = text.get(member.clone()).unwrap_or_default();
            if value.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}')) {
                let text = format!("{} is no single value", quoted(value));
                return Err((
                    member,
                    text,
                    "a value has no blanks and no braces; commas separate values",
                ));
            }
            turn.push(inner.slice(member));
        }
        // keepalived: what a tuple lacks is empty.
        turn.resize_with(known.len(), Line::default);
        values.push(turn);
    }
    if values.is_empty() {
        return wrong(0..text.len(), "`~LST` has no values".to_owned());
    }
    Ok(Turns::Values { names: known, values: values.into_iter() })
}

/// The parts between the commas that stand in no braces, without blanks around them.
fn fields(text: &str) -> Vec<Range<usize>> {
    let mut fields = Vec::new();
    let mut start = 0;
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                fields.push(trimmed(text, start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(trimmed(text, start..text.len()));
    fields
}

/// The members of `{a, b}`, or the text itself.
fn members(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let inner = text.get(range.clone()).and_then(|t| t.strip_prefix('{')?.strip_suffix('}'));
    let Some(inner) = inner else { return vec![range] };
    let base = range.start + 1;
    fields(inner).into_iter().map(|f| base + f.start..base + f.end).collect()
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (part.len() - part.trim_start().len());
    start..(start + part.trim().len())
}
