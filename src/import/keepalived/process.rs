//! The settings of `global_defs` and the top level that shape the daemon's process.

use super::lexer::Word;
use super::tree::Node;
use super::values::{number, plain, text};
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::process::RawProcess;

/// Takes a keyword if it is one of these.
pub(crate) fn set(
    process: &mut RawProcess,
    name: &'static str,
    node: &Node,
    out: &mut Vec<Diagnostic>,
) -> bool {
    let word = node.args.first();
    match name {
        // The parent's, which vipd does not have: only if nothing names the process that decides.
        "process_name" => process.process_name = process.process_name.take().or(word.map(text)),
        "umask" => process.umask = word.and_then(|word| umask(word, out)),
        "vrrp_cpu_affinity" => {
            process.cpus = node.args.iter().filter_map(|word| number(word, out)).collect();
        }
        _ => return plain(process, RawProcess::KEYS, name, node, out),
    }
    true
}

/// A number as C writes it, or the names of the bits with `|` between.
fn umask(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Spanned<i64>> {
    let mask = parse_umask(&word.text).map(|mask| Spanned::new(mask, word.span));
    if mask.is_none() {
        let text = format!("{} is no umask", quoted(&word.text));
        out.push(Diagnostic::error(word.span, text).help("for example `022` or `IWGRP|IWOTH`"));
    }
    mask
}

/// The value of a umask.
#[must_use]
pub fn parse_umask(text: &str) -> Option<i64> {
    let digits = |text: &str, radix| {
        // Without a sign, which `from_str_radix` would take.
        let plain = text.starts_with(|c: char| c.is_ascii_hexdigit());
        plain.then(|| i64::from_str_radix(text, radix).ok()).flatten()
    };
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits(hex, 16);
    }
    if text.starts_with('0') {
        return digits(text, 8);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return digits(text, 10);
    }
    text.split('|').try_fold(0, |mask, bit| {
        let (kind, who) = bit.trim().strip_prefix("S_").unwrap_or(bit).split_at_checked(2)?;
        let shift = ["OTH", "GRP", "USR"].iter().position(|known| *known == who)?;
        let bit: i64 = [("IR", 4), ("IW", 2), ("IX", 1)].iter().find(|(k, _)| *k == kind)?.1;
        Some(mask | bit << (3 * shift))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_umask_is_a_c_number_or_names_of_bits() {
        for (text, mask) in [
            ("0", Some(0)),
            ("022", Some(0o22)),
            ("18", Some(0o22)),
            ("0x12", Some(0o22)),
            ("IWGRP|IWOTH", Some(0o22)),
            ("S_IRUSR|S_IXOTH", Some(0o401)),
            ("089", None),
            ("-1", None),
            ("0x+2", None),
            ("IWGRP|", None),
            ("IRWXU", None),
            ("", None),
        ] {
            assert_eq!(parse_umask(text), mask, "{text:?}");
        }
    }
}
