//! Settings without effect: a class of their own, said in one line for each file.

use std::collections::BTreeMap;

use super::{Diagnostic, FileId, SourceMap, printable};

/// Places of one setting after which nobody reads on.
const MOST_PLACES: usize = 3;

/// One line for each file: what has no effect there, and at which lines it stands.
#[must_use]
pub fn without_effect(notes: &[Diagnostic], map: &SourceMap) -> Vec<String> {
    let mut files: BTreeMap<FileId, Vec<(&str, Vec<usize>)>> = BTreeMap::new();
    for note in notes {
        let Some(span) = note.span else { continue };
        let line = map.position(span.file, span.start).map_or(0, |position| position.line);
        let settings = files.entry(span.file).or_default();
        match settings.iter_mut().find(|(setting, _)| *setting == note.label) {
            Some((_, lines)) => lines.push(line),
            None => settings.push((&note.label, vec![line])),
        }
    }
    let line = |(file, settings): (FileId, Vec<(&str, Vec<usize>)>)| {
        let name = map.file(file).map_or("", |file| file.name.as_str());
        let count: usize = settings.iter().map(|(_, lines)| lines.len()).sum();
        let have = if count == 1 { "setting has" } else { "settings have" };
        let list: Vec<String> = settings
            .iter()
            .map(|(setting, lines)| format!("`{setting}` {}", places(lines)))
            .collect();
        let list = list.join(", ");
        let text = format!("{name}: {count} {have} no effect here: {list}");
        printable(&text)
    };
    files.into_iter().map(line).collect()
}

/// `(line 4)`, `(lines 4, 17)`, `(lines 4, 17, 30 and 2 more)`
fn places(lines: &[usize]) -> String {
    let word = if lines.len() == 1 { "line" } else { "lines" };
    let shown: Vec<String> = lines.iter().take(MOST_PLACES).map(ToString::to_string).collect();
    let more = match lines.len().saturating_sub(MOST_PLACES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("({word} {}{more})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diag::Span;

    #[test]
    fn a_file_is_one_line() {
        let mut map = SourceMap::default();
        let (a, b) = (map.add("a.cfg", "x\ny\nx\nx\nx\n"), map.add("b.cfg", "x\n"));
        let note = |file, at, what| Diagnostic::no_effect(Span::new(file, at..at + 1), what, "why");
        let mut notes: Vec<_> = [0, 4, 6, 8].map(|at| note(a, at, "x")).into();
        notes.extend([note(a, 2, "y"), note(b, 0, "x")]);
        assert_eq!(
            without_effect(&notes, &map),
            [
                "a.cfg: 5 settings have no effect here: `x` (lines 1, 3, 4 and 1 more), `y` (line 2)",
                "b.cfg: 1 setting has no effect here: `x` (line 1)",
            ]
        );
    }
}
