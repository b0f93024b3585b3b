//! Long lines for narrow terminals.

/// Breaks a line at spaces. What follows is indented a little more than the line itself.
pub(super) fn fold(line: &str, width: usize) -> String {
    let indent = line.chars().take_while(|c| *c == ' ').count() + 4;
    fold_under(line, indent, width)
}

/// Breaks a line at spaces. What follows is indented by `indent` columns, or half of `width`.
pub(super) fn fold_under(line: &str, indent: usize, width: usize) -> String {
    let indent = indent.min(width / 2);
    let mut folded = String::new();
    let mut rest = line.to_owned();
    while rest.chars().count() > width {
        let at = |columns| rest.char_indices().nth(columns).map_or(rest.len(), |(at, _)| at);
        // The line may end right before the next space. A word that fills it alone is cut.
        let (head, _) = rest.split_at(at(width + 1));
        let space = head.rfind(' ').filter(|space| !rest.split_at(*space).0.trim().is_empty());
        let cut = space.unwrap_or_else(|| at(width));
        let (head, tail) = rest.split_at(cut);
        folded.push_str(head.trim_end());
        folded.push('\n');
        rest = format!("{:indent$}{}", "", tail.trim_start());
    }
    folded + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_at_a_space_and_indented() {
        assert_eq!(fold("  short", 20), "  short");
        assert_eq!(
            fold("  12:00  BACKUP -> MASTER: preempting 10.0.0.3", 24),
            "  12:00  BACKUP ->\n      MASTER: preempting\n      10.0.0.3"
        );
        let endless = fold(&"ä".repeat(50), 20);
        assert!(endless.lines().all(|line| line.chars().count() <= 20), "{endless}");
        assert_eq!(endless.matches('ä').count(), 50);
    }

    #[test]
    fn a_label_stays_in_a_column_of_its_own() {
        assert_eq!(fold_under("hint     one two three", 9, 16), "hint     one two\n        three");
    }
}
