//! Where every setting of a file stands: for `vipd check --explain`.

use toml::de::{DeTable, DeValue};

use super::{Value, entries};
use crate::config::diag::{FileId, Span};
use crate::config::raw::WrittenSetting;

/// Everything with a value that is no table, by its table and its name there.
pub(super) fn leaves(file: FileId, table: &DeTable<'_>) -> Vec<WrittenSetting> {
    let mut found = Vec::new();
    for (kind, _, value) in entries(table) {
        // `[track.KIND.NAME]`, `[vrrp.NAME]`, `[global]`
        let names = match kind {
            "track" => 2,
            "global" | "mail" | "static" | "fifo" => 0,
            _ => 1,
        };
        match value.get_ref() {
            DeValue::Array(all) => {
                all.iter().for_each(|entry| block(file, kind, entry, 0, &mut found));
            }
            _ => block(file, kind, value, names, &mut found),
        }
    }
    found
}

/// A table, or a table of them.
fn block(
    file: FileId,
    title: &str,
    value: &Value<'_>,
    names: usize,
    found: &mut Vec<WrittenSetting>,
) {
    let Some(table) = value.get_ref().as_table() else { return };
    for (name, at, value) in entries(table) {
        if names > 0 {
            block(file, &format!("{title} {name}"), value, names - 1, found);
        } else {
            leaf(file, title, name.to_owned(), (at.start, value), found);
        }
    }
}

fn leaf(
    file: FileId,
    block: &str,
    key: String,
    (start, value): (usize, &Value<'_>),
    found: &mut Vec<WrittenSetting>,
) {
    match value.get_ref().as_table() {
        Some(table) if !table.is_empty() => {
            for (name, at, value) in entries(table) {
                leaf(file, block, format!("{key}.{name}"), (at.start, value), found);
            }
        }
        Some(_) | None => {
            let value = value.span();
            let whole = Span::new(file, start..value.end);
            let block = block.to_owned();
            found.push(WrittenSetting { block, key, whole, value: Span::new(file, value) });
        }
    }
}
