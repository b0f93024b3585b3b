//! Numbers and lengths of time as haproxy.cfg writes them.

use std::time::Duration;

use super::lexer::Word;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::key::{Key, Slot};

/// A number with a unit; without one it is milliseconds.
pub(super) fn duration(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    time(word, "ms", out)
}

/// The same where a bare number is seconds.
pub(super) fn seconds(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    time(word, "s", out)
}

fn time(word: &Word, bare: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    let found = parse(&word.text, bare);
    if found.is_none() {
        let text = format!("{} is no length of time", quoted(&word.text));
        let help = "a whole number and one of us, ms, s, m, h, d; without a unit it is";
        out.push(Diagnostic::error(word.span, text).help(format!("{help} {bare}")));
    }
    Some(Spanned::new(found?, word.span))
}

fn parse(text: &str, bare: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let micros: u64 = match if unit.is_empty() { bare } else { unit } {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>());
    Some(Duration::from_micros(number?.ok()?.checked_mul(micros)?))
}

/// A whole number.
pub(super) fn number(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<i64>> {
    let found = word.text.parse().ok().filter(|_| !word.text.starts_with('+'));
    if found.is_none() {
        let text = format!("{} is no whole number", quoted(&word.text));
        out.push(Diagnostic::error(word.span, text));
    }
    Some(Spanned::new(found?, word.span))
}

/// Reads a word if the row of a setting names it; a bare number of a time has the unit `bare`.
pub(super) fn plain<D>(
    draft: &mut D,
    keys: &[Key<D>],
    name: &str,
    (value, bare): (&Word, &str),
    out: &mut Vec<Diagnostic>,
) -> bool {
    let Some(key) = keys.iter().find(|key| key.haproxy == Some(name)) else { return false };
    match (key.slot)(draft) {
        Slot::Number(at) => *at = number(value, out),
        Slot::Time(at) => *at = time(value, bare, out),
        _ => return false,
    }
    true
}

/// A host without the brackets around an IPv6 address.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The word as it is.
pub(super) fn text(word: &Word) -> Spanned<String> {
    Spanned::new(word.text.clone(), word.span)
}

/// A length of time as haproxy.cfg has it.
pub(super) fn length(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    format!("{seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_unit_has_the_one_that_is_usual_there() {
        for (text, millis) in [("3000", 3000), ("3s", 3000), ("30m", 1_800_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse(text, "ms"), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("500us", "s"), Some(Duration::from_micros(500)));
        assert_eq!(parse("5", "s"), Some(Duration::from_secs(5)));
        for wrong in ["", "s", "1.5s", "-1", "1 s", "3min", "99999999999999d"] {
            assert_eq!(parse(wrong, "ms"), None, "{wrong}");
        }
    }
}
