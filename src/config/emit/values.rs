//! How values look in vipd.toml.

use std::time::Duration;

use crate::config::model::{Peer, VirtualAddress};
use crate::config::vipd_toml::{SCOPES, word_for};

/// The widest line with more than one value.
const WIDEST: usize = 100;

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
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

/// An address with the options that differ from `standard`, the same address without any.
pub(super) fn address(own: &VirtualAddress, standard: &VirtualAddress) -> String {
    entry(&own.cidr.to_string(), &options(own, standard))
}

/// The options of an address that differ from `standard`.
pub(super) fn options(
    own: &VirtualAddress,
    standard: &VirtualAddress,
) -> Vec<(&'static str, String)> {
    let VirtualAddress {
        cidr: _,
        iface,
        advertised: _,
        scope,
        broadcast,
        label,
        peer,
        dad,
        home,
        mngtmpaddr,
        noprefixroute,
        autojoin,
        preferred_lft,
        track,
    } = own;
    let mut options = Vec::new();
    let mut set = |key, value: String| options.push((key, value));
    if let Some(iface) = iface {
        set("dev", text(iface.as_str()));
    }
    if let Some(label) = label {
        set("label", text(label));
    }
    if *scope != standard.scope {
        set("scope", word_for(SCOPES, scope).map_or_else(|| scope.to_string(), text));
    }
    if let Some(broadcast) = broadcast {
        set("broadcast", text(&broadcast.to_string()));
    }
    if let Some(peer) = peer {
        set("peer", text(&peer.to_string()));
    }
    for (key, own, standard) in [
        ("dad", *dad, standard.dad),
        ("home", *home, standard.home),
        ("mngtmpaddr", *mngtmpaddr, standard.mngtmpaddr),
        ("noprefixroute", *noprefixroute, standard.noprefixroute),
        ("autojoin", *autojoin, standard.autojoin),
    ] {
        if own != standard {
            set(key, own.to_string());
        }
    }
    if *preferred_lft != standard.preferred_lft {
        let seconds = preferred_lft.map(|seconds| length(Duration::from_secs(seconds.into())));
        set("preferred_lft", seconds.unwrap_or_else(|| text("forever")));
    }
    if *track != standard.track {
        set("track", track.to_string());
    }
    options
}

/// A peer with the options that differ from `standard`, the same peer without any.
pub(super) fn peer(own: &Peer, standard: &Peer) -> String {
    let Peer { address, accepted_ttl } = own;
    let mut options = Vec::new();
    if accepted_ttl.start() != standard.accepted_ttl.start() {
        options.push(("min_ttl", accepted_ttl.start().to_string()));
    }
    if accepted_ttl.end() != standard.accepted_ttl.end() {
        options.push(("max_ttl", accepted_ttl.end().to_string()));
    }
    entry(&address.to_string(), &options)
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
