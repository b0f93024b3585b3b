//! Text from outside, on its way to people.

use std::borrow::Cow;

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
