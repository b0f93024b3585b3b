//! Numbers, durations, sizes and lists as people read them, and text from outside on its way to people.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses that a sentence has room for.
const MOST_LISTED: usize = 8;

/// "1 packet", "3 packets".
pub(crate) fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(
    count: N,
    noun: &str,
) -> String {
    if count == N::from(1) { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// "once", "3 times".
pub(crate) fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The two largest units: `340ms`, `12s`, `4m12s`, `3h04m`, `3d04h`.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{ms}ms"),
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{:02}s", s % 60),
        (0, h, m, _) => format!("{h}h{:02}m", m % 60),
        (d, h, ..) => format!("{d}d{:02}h", h % 24),
    }
}

/// "12 s ago", in the largest unit.
pub(crate) fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds} s ago"),
        (0, minutes) => format!("{minutes} min ago"),
        (hours, _) => format!("{hours} h ago"),
    }
}

/// A length of time as people write it: `1500ms` is "1.5 s".
pub(crate) fn human(length: Duration) -> String {
    let text = format!("{:.6}", length.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// In the largest unit that leaves a digit before the point.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = count;
    let mut unit = 0;
    while size >= 10 * 1024 && unit + 1 < units.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", units.get(unit).unwrap_or(&"B"))
}

/// Bytes in the units of vipd.toml.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| counted(bytes, "byte"), |(unit, name)| format!("{} {name}", bytes / unit))
}

/// In one line: `a, b and c`.
pub(crate) fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => items.concat(),
    }
}

/// Addresses for a sentence.
pub(crate) fn addresses(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "no address".to_owned();
    }
    let listed = addresses.iter().take(MOST_LISTED).map(ToString::to_string);
    let listed = listed.collect::<Vec<_>>().join(", ");
    match addresses.len().saturating_sub(MOST_LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

/// Whatever a sender lists, a sentence stays short.
pub(crate) fn first_and_more(first: Option<IpAddr>, more: usize) -> String {
    match (first, more) {
        (None, _) => "no address".to_owned(),
        (Some(first), 0) => first.to_string(),
        (Some(first), more) => format!("{first} and {more} more"),
    }
}

/// Rows of as many cells, in columns.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Without characters that a terminal or a log would obey: each control character but the end of a line
/// becomes U+FFFD. Servers, HAProxy, scripts and other daemons decide what they say, not what a
/// terminal does.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && c != '\n';
    if text.contains(commands) {
        let shown = |c: char| match c {
            '\t' => ' ',
            c if commands(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        text.chars().map(shown).collect()
    } else {
        text.into()
    }
}

/// [`plain`], in one line of at most so many characters.
#[must_use]
pub fn plain_line(text: &str, most: usize) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' | '\r' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let mut line: String = text.trim_end().chars().take(most).map(shown).collect();
    if text.trim_end().chars().nth(most).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_left() {
        assert_eq!(plain("a\nb"), "a\nb");
        assert_eq!(plain("\u{1b}]0;x\u{7}\u{9b}2J\t."), "\u{fffd}]0;x\u{fffd}\u{fffd}2J .");
        assert_eq!(plain_line("up\r\n\u{1b}[2J!\n", 80), "up  \u{fffd}[2J!");
        assert_eq!(plain_line("abcdef", 3), "abc…");
    }
}
