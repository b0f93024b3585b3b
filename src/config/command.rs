//! Commands: a word with a shell's quotes and escapes, but without a shell.
//!
//! keepalived splits twice: the line into the command and the user to run it as, then the command
//! into its arguments, with the same quotes and escapes both times.

use std::ops::Range;

use super::checks::Command;
use super::diag::{Diagnostic, Span};

/// The command a text stands for. One that begins with `<` is for the shell, as in keepalived.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Command, &'static str> {
    if text.starts_with('<') {
        return Ok(Command::Shell(text.to_owned()));
    }
    let mut words = command_line(text)?.into_iter();
    let program = words.next().filter(|program| !program.is_empty()).ok_or(NO_COMMAND)?;
    Ok(Command::Argv { program, args: words.collect() })
}

/// What is wrong with a command that is empty.
pub const NO_COMMAND: &str = "there is no command";

/// Splits a command into the program and its arguments, to be run without a shell.
///
/// # Errors
/// What is wrong with its quotes or escapes.
pub fn command_line(command: &str) -> Result<Vec<String>, &'static str> {
    let mut arguments = Vec::new();
    let mut rest = command.trim_start();
    while !rest.is_empty() {
        let piece = word(rest);
        match piece.problems.first() {
            Some((_, Problem::Unclosed(_))) => return Err("a quote in the command is not closed"),
            Some((_, Problem::NoCharacter)) => {
                return Err("an escape in the command stands for no character");
            }
            None => arguments.push(piece.text),
        }
        rest = rest.get(piece.len..).unwrap_or_default().trim_start();
    }
    Ok(arguments)
}

/// A word as found at the start of a text.
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Bytes it takes up, quotes included.
    pub(crate) len: usize,
    pub(crate) is_quoted: bool,
    /// What is wrong with which bytes.
    pub(crate) problems: Vec<(Range<usize>, Problem)>,
}

/// What can be wrong with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A quote without its second half.
    Unclosed(char),
    /// An escape that stands for no character.
    NoCharacter,
}

impl Problem {
    pub(crate) fn diagnostic(self, at: Span) -> Diagnostic {
        match self {
            Problem::Unclosed(quote) => Diagnostic::error(at, "the quote is not closed")
                .label("opens here")
                .help(format!("a quoted text ends on the line it begins on: add a `{quote}`")),
            Problem::NoCharacter => {
                Diagnostic::error(at, "this escape stands for no character of a command line")
                    .help("write characters beyond ASCII as they are; NUL cannot be passed")
            }
        }
    }
}

/// The word at the start of a text: quoted and other pieces that adjoin, with escapes in all of
/// them.
pub(crate) fn word(text: &str) -> Piece {
    let mut piece = Piece { text: String::new(), len: 0, is_quoted: false, problems: Vec::new() };
    let mut quote = None;
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let start = at;
        at += c.len_utf8();
        match (c, quote) {
            ('\\', _) => {
                let (meant, len) = escape(text.get(at..).unwrap_or_default());
                at += len;
                match meant {
                    Some(c) => piece.text.push(c),
                    None => piece.problems.push((start..at, Problem::NoCharacter)),
                }
            }
            (c, Some((open, _))) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some((c, start));
                piece.is_quoted = true;
            }
            (c, None) if c.is_whitespace() => {
                at = start;
                break;
            }
            (c, _) => piece.text.push(c),
        }
    }
    piece.len = at;
    if let Some((open, start)) = quote {
        piece.problems.push((start..start + 1, Problem::Unclosed(open)));
    }
    piece
}

/// The character an escape stands for and the bytes after its backslash; none if it stands for
/// NUL or for a byte that is no character.
fn escape(text: &str) -> (Option<char>, usize) {
    let digits = |radix: u32, most: usize, from: usize| -> &str {
        let text = text.get(from..).unwrap_or_default();
        let len = text.chars().take(most).take_while(|c| c.is_digit(radix)).count();
        text.get(..len).unwrap_or_default()
    };
    let byte = |digits: &str, radix: u32| {
        let byte = u32::from_str_radix(digits, radix).ok().filter(|byte| (1..128).contains(byte));
        byte.and_then(char::from_u32)
    };
    let Some(c) = text.chars().next() else {
        return (Some('\\'), 0);
    };
    let one = |meant: char| (Some(meant), c.len_utf8());
    match c {
        'a' => one('\u{7}'),
        'b' => one('\u{8}'),
        'E' => one('\u{1b}'),
        'f' => one('\u{c}'),
        'n' => one('\n'),
        'r' => one('\r'),
        't' => one('\t'),
        'v' => one('\u{b}'),
        '0'..='7' => {
            let digits = digits(8, 3, 0);
            (byte(digits, 8), digits.len())
        }
        'x' if !digits(16, 2, 1).is_empty() => {
            let digits = digits(16, 2, 1);
            (byte(digits, 16), 1 + digits.len())
        }
        'c' => match text.chars().nth(1).filter(char::is_ascii) {
            Some(control) => {
                let code = u32::from(control) & 0x1f;
                (char::from_u32(code).filter(|c| *c != '\0'), 2)
            }
            None => one('c'),
        },
        other => one(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What keepalived 2.2.7 hands to a script, save that `\x` takes two digits, as later versions.
    #[test]
    fn commands_are_split_as_keepalived_splits_them() {
        for (command, arguments) in [
            ("/x 1 a  b", vec!["/x", "1", "a", "b"]),
            ("/x 'a b' c", vec!["/x", "a b", "c"]),
            ("/x \"a b\"' c'd e", vec!["/x", "a b cd", "e"]),
            (
                "/x \\cA \\E \\e \\q \\101 \\x42C",
                vec!["/x", "\u{1}", "\u{1b}", "e", "q", "A", "BC"],
            ),
            ("/x '\"s p\"' \"it's\"", vec!["/x", "\"s p\"", "it's"]),
            ("/x '' a\\ b", vec!["/x", "", "a b"]),
            ("/x # ! { }", vec!["/x", "#", "!", "{", "}"]),
            ("  ", vec![]),
        ] {
            assert_eq!(command_line(command).unwrap(), arguments, "{command}");
        }
        for wrong in ["/x 'a", "/x \"", "/x \\377", "/x \\0", "/x \\xff", "/x \\c@"] {
            assert!(command_line(wrong).is_err(), "{wrong}");
        }
    }
}
