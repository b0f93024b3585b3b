//! The number at the beginning of a tracked file.

use std::borrow::Cow;

/// More digits than any number that counts.
pub const LONGEST: usize = 64;

/// Reads it as C's `strtol` does with base 0, and keepalived with it: white space, a sign, `0x` for
/// hexadecimal, `0` for octal, and whatever follows is ignored. Numbers beyond 32 bits are cut.
///
/// The second part says what else there is to know: a file without a number counts as 0.
#[must_use]
pub fn value(text: &[u8]) -> (i32, Cow<'static, str>) {
    let text = String::from_utf8_lossy(text.get(..LONGEST).unwrap_or(text));
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return (0, "empty, which counts as 0".into());
    }
    let (negative, digits) = match trimmed.strip_prefix(['-', '+']) {
        Some(rest) => (trimmed.starts_with('-'), rest),
        None => (false, trimmed),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.strip_prefix("0x") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_hexdigit()) => (16, rest),
        _ if lower.starts_with('0') => (8, lower.as_str()),
        _ => (10, lower.as_str()),
    };
    let number =
        digits.chars().map_while(|c| c.to_digit(base)).fold(None, |sum: Option<i64>, digit| {
            let next = sum.unwrap_or(0).saturating_mul(base.into()).saturating_add(digit.into());
            Some(next)
        });
    let Some(number) = number else {
        let start: String = trimmed.chars().take(20).collect();
        return (0, format!("{start:?} is not a number and counts as 0").into());
    };
    let signed = if negative { -number } else { number };
    let cut = i32::try_from(signed).unwrap_or(if negative { i32::MIN } else { i32::MAX });
    (cut, Cow::Borrowed(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_strtol() {
        for (text, number) in [
            ("0", 0),
            ("-60\n", -60),
            ("  +12 maintenance", 12),
            ("0x1F", 31),
            ("-0X10", -16),
            ("010", 8),
            ("08", 0),
            ("0x", 0),
            ("7,5", 7),
            ("99999999999999999999999", i32::MAX),
            ("-99999999999999999999999", i32::MIN),
        ] {
            assert_eq!(value(text.as_bytes()), (number, "".into()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_counts_as_0_and_says_so() {
        assert_eq!(value(b" \n"), (0, "empty, which counts as 0".into()));
        assert_eq!(value(b"yes\n"), (0, "\"yes\" is not a number and counts as 0".into()));
        assert_eq!(value(b"-").0, 0);
        assert_eq!(value(&[0xff; 200]).0, 0);
    }
}
