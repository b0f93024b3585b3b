//! Numbers and lengths of time as haproxy.cfg writes them.

use std::time::Duration;

use super::lexer::Word;
use crate::config::diag::{Diagnostic, Spanned, quoted};

/// A number with a unit; without one it is milliseconds.
pub(super) fn duration(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    let found = parse(&word.text);
    if found.is_none() {
        let text = format!("{} is no length of time", quoted(&word.text));
        out.push(
            Diagnostic::error(word.span, text)
                .help("a whole number and one of us, ms, s, m, h, d; without a unit it is ms"),
        );
    }
    Some(Spanned::new(found?, word.span))
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let micros: u64 = match text.get(digits.len()..)? {
        "us" => 1,
        "ms" | "" => 1_000,
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

/// The word as it is.
pub(super) fn text(word: &Word) -> Spanned<String> {
    Spanned::new(word.text.clone(), word.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_a_unit_are_milliseconds() {
        for (text, millis) in [("3000", 3000), ("3s", 3000), ("30m", 1_800_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("500us"), Some(Duration::from_micros(500)));
        for wrong in ["", "s", "1.5s", "-1", "1 s", "3min", "99999999999999d"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
