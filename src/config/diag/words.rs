//! Words from a file as they may appear in a message, and what a misspelt one was meant to be.

/// The listed name closest to a misspelt one, if any is close enough to be meant.
#[must_use]
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let furthest = |candidate: &str| 1.max(candidate.len().min(name.len()) / 3);
    known
        .into_iter()
        // The distance is at least both of these, and much dearer to compute.
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= furthest(candidate))
        .filter(|candidate| letters_apart(name, candidate) <= furthest(candidate))
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= furthest(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters at least have to be changed, whatever their order: the distance of two words is
/// not less.
fn letters_apart(a: &str, b: &str) -> usize {
    let mut surplus = [0_i16; 32];
    let mut count = |word: &str, by: i16| {
        for byte in word.bytes() {
            // Upper and lower case fall together.
            if let Some(n) = surplus.get_mut(usize::from(byte & 0x1f)) {
                *n += by;
            }
        }
    };
    count(a, 1);
    count(b, -1);
    let apart = |sign: i16| surplus.iter().map(|n| (n * sign).max(0).unsigned_abs()).sum::<u16>();
    apart(1).max(apart(-1)).into()
}

/// Text from a file as it may appear in a message: no control characters, not endless.
#[must_use]
pub fn printable(text: &str) -> String {
    const MOST: usize = 400;
    let mut out: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

/// A word from a file in quotes, as it may appear in a message.
#[must_use]
pub fn quoted(word: &str) -> String {
    const MOST: usize = 60;
    let short: String = word.chars().take(MOST).collect();
    let more = if short.len() < word.len() { "…" } else { "" };
    format!("\"{}{more}\"", printable(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let known = ["priority", "preempt_delay", "interface"];
        assert_eq!(nearest("prioriti", known), Some("priority"));
        assert_eq!(nearest("Interface", known), Some("interface"));
        assert_eq!(nearest("virtual_server", known), None);
    }
}
