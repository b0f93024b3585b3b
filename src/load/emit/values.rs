//! How values look in vipd.toml.

use std::time::Duration;

use crate::config::diag::Spanned;
use crate::config::key::{Key, Slot};
use crate::config::raw::{RawAddress, RawPeer};
use crate::config::vipd_toml::{SCOPES, word_for};

/// The widest line with more than one value.
const WIDEST: usize = 100;

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What a slot holds.
pub(super) fn written(slot: Slot<'_>) -> Option<String> {
    Some(match slot {
        Slot::Text(at) => text(&at.as_ref()?.value),
        Slot::Number(at) => at.as_ref()?.value.to_string(),
        Slot::Time(at) => length(at.as_ref()?.value),
        Slot::Flag(at) => at.as_ref()?.value.to_string(),
        Slot::Address(at) => text(&at.as_ref()?.value.to_string()),
        Slot::Word(at) => text(at.chosen()?.value),
        Slot::Pairs(pairs) if pairs.is_empty() => return None,
        Slot::Pairs(pairs) => inline(pairs),
    })
}

/// `name = value` for each setting of a block that was written.
pub(super) fn settings<D: Clone>(block: &D, keys: &[Key<D>]) -> Vec<String> {
    pairs(block, keys).into_iter().map(|(name, value)| format!("{name} = {value}")).collect()
}

fn pairs<D: Clone>(block: &D, keys: &[Key<D>]) -> Vec<(&'static str, String)> {
    let mut block = block.clone();
    let value = |key: &Key<D>| Some((key.name, written((key.slot)(&mut block))?));
    keys.iter().filter_map(value).collect()
}

pub(super) fn inline(pairs: &[(Spanned<String>, Spanned<String>)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{} = {}", key(&name.value), text(&value.value)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// A key, in quotes if it needs them.
pub(super) fn key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { text(key) }
}

/// A length of time with the largest unit that needs no second one.
pub(super) fn length(length: Duration) -> String {
    let nanos = length.as_nanos();
    let units: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if nanos == 0 {
        return text("0s");
    }
    // 90 seconds are "90s", 1500 milliseconds "1.5s": only short units take a fraction.
    let fits = |unit: &&(u128, &str)| {
        nanos.is_multiple_of(unit.0) || (unit.0 <= 1_000_000_000 && nanos >= unit.0)
    };
    let (unit, name) = *units.iter().find(fits).unwrap_or(&(1, "ns"));
    let rest = format!("{:09}", (nanos % unit) * 1_000_000_000 / unit);
    let number = format!("{}.{rest}", nanos / unit);
    text(&format!("{}{name}", number.trim_end_matches('0').trim_end_matches('.')))
}

/// The values of `key`: on its line if they fit, else one a line.
pub(super) fn array(key: &str, values: &[String]) -> String {
    let line = format!("[{}]", values.join(", "));
    let tables = values.iter().any(|value| value.starts_with('{'));
    if values.len() <= 1 || (!tables && key.len() + 3 + line.chars().count() <= WIDEST) {
        return line;
    }
    let lines: String = values.iter().map(|value| format!("    {value},\n")).collect();
    format!("[\n{lines}]")
}

/// An address with its options.
pub(super) fn address(raw: &RawAddress) -> String {
    entry(&raw.cidr.value.to_string(), &options(raw))
}

/// The options of an address.
pub(super) fn options(raw: &RawAddress) -> Vec<(&'static str, String)> {
    let RawAddress { scope, broadcast, peer, preferred_lft, no_track, .. } = raw;
    let scope = scope.map(|scope| scope.value);
    let scope = scope.map(|scope| word_for(SCOPES, &scope).map_or_else(|| scope.to_string(), text));
    let lifetime = preferred_lft.map(|seconds| match seconds.value {
        Some(seconds) => length(Duration::from_secs(seconds.into())),
        None => text("forever"),
    });
    let others = [
        ("scope", scope),
        ("broadcast", broadcast.map(|address| text(&address.value.to_string()))),
        ("peer", peer.map(|peer| text(&peer.value.to_string()))),
        ("preferred_lft", lifetime),
        ("track", no_track.map(|_| false.to_string())),
    ];
    let others = others.into_iter().filter_map(|(key, value)| Some((key, value?)));
    pairs(raw, RawAddress::KEYS).into_iter().chain(others).collect()
}

/// A peer with its options.
pub(super) fn peer(raw: &RawPeer) -> String {
    entry(&raw.address.value.to_string(), &pairs(raw, RawPeer::KEYS))
}

fn entry(address: &str, options: &[(&str, String)]) -> String {
    if options.is_empty() {
        return text(address);
    }
    let options: String = options.iter().map(|(key, value)| format!(", {key} = {value}")).collect();
    format!("{{ address = {}{options} }}", text(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_one_unit() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5us"),
            (100_000_000, "100ms"),
            (1_000_000_000, "1s"),
            (1_500_000_000, "1.5s"),
            (1_000_000_001, "1.000000001s"),
            (40_950_000_000, "40.95s"),
            (60_000_000_000, "1min"),
            (90_000_000_000, "90s"),
            (7_200_000_000_000, "2h"),
            (86_400_000_000_000, "1d"),
        ] {
            assert_eq!(length(Duration::from_nanos(nanos)), format!("\"{expected}\""));
        }
    }

    #[test]
    fn keys_are_bare_where_they_can_be() {
        assert_eq!(key("VI_1-a"), "VI_1-a");
        assert_eq!(key("a.b"), "\"a.b\"");
        assert_eq!(key("grün \"1\""), "'grün \"1\"'");
    }
}
