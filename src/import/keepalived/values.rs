//! Words to values. keepalived takes trailing garbage with a shrug; here it is an error, because
//! `100x` is a slip whose author believes in 100.

use std::net::IpAddr;
use std::time::Duration;

use super::lexer::Word;
use super::tree::Node;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::key::{Key, Slot, no_word};
use crate::types::Cidr;

/// A whole decimal number.
pub(crate) fn number(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<i64>> {
    let digits = word.text.strip_prefix(['-', '+']).unwrap_or(&word.text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match word.text.parse() {
        Ok(value) if plain => Some(Spanned::new(value, word.span)),
        _ => {
            let text = format!("{} is not a whole number", quoted(&word.text));
            out.push(Diagnostic::error(word.span, text));
            None
        }
    }
}

/// A whole number from `least` to `most`; `what` names it in the message.
pub(crate) fn number_in(
    what: &str,
    word: &Word,
    (least, most): (i64, i64),
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<i64>> {
    let number = number(word, out)?;
    if (least..=most).contains(&number.value) {
        return Some(number);
    }
    let to = if most == least + 1 { "or" } else { "to" };
    let text = format!("{what} must be {least} {to} {most}, not {}", number.value);
    out.push(Diagnostic::error(word.span, text));
    None
}

/// Decimal seconds, read to the microsecond.
pub(crate) fn seconds(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    let parsed = parse_seconds(&word.text);
    if parsed.is_none() {
        let text = format!("{} is not a number of seconds", quoted(&word.text));
        let error = Diagnostic::error(word.span, text);
        let digits = word.text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = word.text.get(digits.len()..).unwrap_or_default();
        out.push(match (unit, parse_seconds(digits)) {
            ("s" | "sec", Some(_)) => {
                error.help(format!("keepalived.conf has no units: write `{digits}`"))
            }
            ("ms", Some(ms)) => {
                let seconds = format!("{:.6}", (ms / 1000).as_secs_f64());
                let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
                error.help(format!("keepalived.conf has no units: write `{seconds}`"))
            }
            _ => error,
        });
    }
    parsed.map(|value| Spanned::new(value, word.span))
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let micros: u32 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(Duration::from_secs(whole.into()) + Duration::from_micros(micros.into()))
}

/// The boolean after a keyword; nothing there means true.
pub(crate) fn boolean(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
    let Some(word) = node.args.first() else {
        return Some(Spanned::new(true, node.keyword.span));
    };
    let value = match word.text.as_str() {
        "true" | "on" | "yes" => true,
        "false" | "off" | "no" => false,
        other => {
            let text = format!("{} is neither true nor false", quoted(other));
            out.push(
                Diagnostic::error(word.span, text)
                    .help("allowed: true, on, yes, false, off, no; nothing means true"),
            );
            return None;
        }
    };
    Some(Spanned::new(value, word.span))
}

/// Reads a keyword if the row of a setting names it.
pub(crate) fn plain<D>(
    draft: &mut D,
    keys: &[Key<D>],
    name: &str,
    node: &Node,
    out: &mut Vec<Diagnostic>,
) -> bool {
    let says = |word: &str| word.strip_prefix('!').unwrap_or(word) == name;
    let named = |key: &Key<D>| Some((key.slot, *key.keepalived.iter().find(|word| says(word))?));
    let Some((slot, word)) = keys.iter().find_map(named) else { return false };
    let mut slot = slot(draft);
    read(&mut slot, node, out);
    if let (true, Slot::Flag(Some(flag))) = (word.starts_with('!'), slot) {
        flag.value = !flag.value;
    }
    true
}

/// The value of a statement, as the setting it makes has it; false if it cannot be one.
pub(crate) fn read(slot: &mut Slot<'_>, node: &Node, out: &mut Vec<Diagnostic>) -> bool {
    match (slot, node.args.as_slice()) {
        (Slot::Text(at), [word, ..]) => **at = Some(text(word)),
        (Slot::Number(at), [word, ..]) => **at = number(word, out),
        (Slot::Time(at), [word, ..]) => **at = seconds(word, out),
        (Slot::Address(at), [word, ..]) => **at = ip(word, out),
        (Slot::Flag(at), _) => **at = boolean(node, out),
        (Slot::Word(at), [word, ..]) => {
            if !at.choose(&word.text, word.span) {
                out.push(no_word(&word.text, word.span, &at.words(), ""));
            }
        }
        (Slot::Pairs(at), [name, value]) => at.push((text(name), text(value))),
        _ => return false,
    }
    true
}

pub(crate) fn text(word: &Word) -> Spanned<String> {
    Spanned::new(word.text.clone(), word.span)
}

/// An address without a prefix length; keepalived leaves one out.
pub(crate) fn ip(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<IpAddr>> {
    if let Ok(ip) = word.text.parse() {
        return Some(Spanned::new(ip, word.span));
    }
    if let (true, Ok(cidr)) = (word.text.contains('/'), word.text.parse::<Cidr>()) {
        out.push(
            Diagnostic::warning(word.span, "the prefix length means nothing here")
                .note("as in keepalived")
                .help(format!("write `{}`", cidr.address())),
        );
        return Some(Spanned::new(cidr.address(), word.span));
    }
    let text = format!("{} is not an IP address", quoted(&word.text));
    out.push(Diagnostic::error(word.span, text));
    None
}

/// The name of an interface; `keyword` stands before it.
pub(crate) fn interface(
    keyword: &str,
    word: &Word,
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<String>> {
    let Some((link, _)) = word.text.split_once(':') else {
        return Some(Spanned::new(word.text.clone(), word.span));
    };
    let label = if keyword == "dev" { format!(" label {}", word.text) } else { String::new() };
    out.push(
        Diagnostic::error(
            word.span,
            format!("{} is a label, not an interface", quoted(&word.text)),
        )
        .note("keepalived finds no interface of that name and does not start")
        .help(format!("write `{keyword} {link}{label}`")),
    );
    None
}

#[cfg(test)]
mod tests {
    use super::super::keywords::{Block, Class};
    use super::*;
    use crate::config::process::RawProcess;
    use crate::config::raw::{RawAnnounce, RawGlobals, RawPacing, RawRouter};

    fn words<D>(keys: &[Key<D>]) -> impl Iterator<Item = &'static str> {
        keys.iter().flat_map(|key| key.keepalived).map(|word| word.trim_start_matches('!'))
    }

    #[test]
    fn keywords_that_rows_name_are_honoured() {
        let all = words(RawRouter::KEYS)
            .chain(words(RawAnnounce::KEYS))
            .chain(words(RawGlobals::KEYS))
            .chain(words(RawProcess::KEYS))
            .chain(words(RawPacing::KEYS));
        for word in all {
            let honoured = |block: &Block| {
                block.find(word).is_some_and(|keyword| matches!(keyword.class, Class::Honoured))
            };
            assert!(Block::ALL.iter().any(honoured), "{word}");
        }
    }
}
