//! What vipd does with each keyword of another program's configuration, for the manuals.

use std::fmt::Write as _;

/// One line of a coverage table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRow {
    /// Where the keyword stands.
    pub block: String,
    /// The keyword.
    pub keyword: &'static str,
    /// `yes`, `no effect`, `not supported` or `refused`.
    pub status: &'static str,
    /// What vipd does with it.
    pub text: String,
}

impl CoverageRow {
    /// The keyword as people write it: vipd's own stand in comments that keepalived skips.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.keyword.strip_prefix("vipd_") {
            Some(own) => format!("#vipd {own}"),
            None => self.keyword.to_owned(),
        }
    }
}

/// A coverage table as mdoc(7): one subsection per block, keywords with the same answer together.
#[must_use]
pub(crate) fn roff(
    rows: impl Iterator<Item = CoverageRow>,
    heading: impl Fn(&str) -> String,
) -> String {
    let mut out = String::new();
    let rows: Vec<CoverageRow> = rows.collect();
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
                .map(|other| format!("\"{}\"", escape(&other.shown())))
                .collect();
            let _ = writeln!(out, ".It Cm {}", names.join(" , "));
            let _ = writeln!(out, ".Em {} :", row.status);
            let _ = writeln!(out, "{}.", escape(&row.text));
        }
        out.push_str(".El\n");
    }
    out
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
