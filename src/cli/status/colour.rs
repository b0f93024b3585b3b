//! The colour of a verdict: on terminals that have colours, for people who want them.

use std::io::IsTerminal;

use crate::cli::check::no_color;
use crate::status::HealthLevel;

/// Standard output shows colours, and nobody asked for none.
pub(super) fn is_wanted() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stdout().is_terminal() && !dumb && !no_color()
}

/// The text with the word at its beginning in its colour, if it begins with one and colours are `wanted`.
pub(super) fn word(text: &str, wanted: bool) -> String {
    // Green, yellow, red, magenta (ECMA-48, SGR), each bold.
    let colours = [
        (HealthLevel::Ok, 32),
        (HealthLevel::Degraded, 33),
        (HealthLevel::Critical, 31),
        (HealthLevel::Unknown, 35),
    ];
    let coloured = colours.into_iter().find_map(|(level, colour)| {
        let word = level.to_string();
        let rest = text.strip_prefix(&word).filter(|rest| rest.starts_with(':'))?;
        Some(format!("\x1b[1;{colour}m{word}\x1b[0m{rest}"))
    });
    coloured.filter(|_| wanted).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_is_coloured_and_only_if_that_is_wanted() {
        let painted = word("CRITICAL: x\nOK: y\n", true);
        assert_eq!(painted, "\x1b[1;31mCRITICAL\x1b[0m: x\nOK: y\n");
        for text in ["CRITICAL: x", "OKAY: x", "lb1: OK: x", ""] {
            assert_eq!(word(text, false), text);
        }
        assert_eq!(word("OKAY: x", true), "OKAY: x");
        assert_eq!(word("lb1: OK: x", true), "lb1: OK: x");
    }
}
