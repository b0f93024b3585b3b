//! The coverage table of vipd-keepalived(5), from the keyword table.

use std::fmt::Write as _;

use super::keywords::{CoverageRow, coverage};

/// The coverage table as mdoc(7): one subsection per block, keywords with the same answer together.
#[must_use]
pub fn coverage_roff() -> String {
    let mut out = String::new();
    let mut blocks: Vec<(String, Vec<(CoverageRow, Vec<&'static str>)>)> = Vec::new();
    for row in coverage() {
        if blocks.last().is_none_or(|(block, _)| *block != row.block) {
            blocks.push((row.block.clone(), Vec::new()));
        }
        let Some((_, answers)) = blocks.last_mut() else { continue };
        match answers.iter_mut().find(|(a, _)| a.status == row.status && a.text == row.text) {
            Some((_, names)) => names.push(row.keyword),
            None => {
                let name = row.keyword;
                answers.push((row, vec![name]));
            }
        }
    }
    for (block, answers) in blocks {
        let _ = writeln!(out, ".Ss {}", heading(&block));
        out.push_str(".Bl -tag -width Ds\n");
        for (row, names) in answers {
            let names: Vec<String> =
                names.iter().map(|name| format!("\"{}\"", escape(name))).collect();
            let _ = writeln!(out, ".It Cm {}", names.join(" , "));
            let _ = writeln!(out, ".Em {} :", row.status);
            let _ = writeln!(out, "{}.", escape(&row.text));
        }
        out.push_str(".El\n");
    }
    out
}

fn heading(block: &str) -> String {
    match block {
        "the preprocessor" => "Lines read before anything else".to_owned(),
        "the top level" => "Outside every block".to_owned(),
        "an address line" => "Words of an address line".to_owned(),
        block => format!("In {block}"),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            c => out.push(c),
        }
    }
    if out.starts_with(['.', '\'']) {
        out.insert_str(0, "\\&");
    }
    out
}
