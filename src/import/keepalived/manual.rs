//! The coverage table of vipd-keepalived(5), from the keyword table.

use std::fmt::Write as _;

use super::keywords::{CoverageRow, coverage};

/// The coverage table as mdoc(7): one subsection per block, keywords with the same answer together.
#[must_use]
pub fn coverage_roff() -> String {
    let mut out = String::new();
    let rows: Vec<CoverageRow> = coverage().collect();
    for block in rows.chunk_by(|a, b| a.block == b.block) {
        let Some(first) = block.first() else { continue };
        let _ = writeln!(out, ".Ss {}", heading(&first.block));
        out.push_str(".Bl -tag -width Ds\n");
        let same = |a: &CoverageRow, b: &CoverageRow| a.status == b.status && a.text == b.text;
        for (at, row) in block.iter().enumerate() {
            if block.iter().take(at).any(|earlier| same(earlier, row)) {
                continue;
            }
            let names: Vec<String> = block
                .iter()
                .filter(|other| same(other, row))
                .map(|other| format!("\"{}\"", escape(other.keyword)))
                .collect();
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
        "a peer line" => "Words of a line in unicast_peer".to_owned(),
        block => format!("Inside {block}"),
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
