//! Clusters and listeners.

mod cluster;
mod listener;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::key::value::{DAY, MILLISECOND, within};
use crate::config::model::{ClusterConfig, ListenerConfig, Members};
use crate::config::raw::{Raw, RawCluster, RawListener};
use listener::ListenerCheck;

/// What is right by itself; [`ListenerConfig::cluster`] counts only if all clusters are.
pub(super) fn proxy(
    raw: &Raw,
    out: &mut Vec<Diagnostic>,
) -> (Vec<Arc<ClusterConfig>>, Vec<Arc<ListenerConfig>>) {
    let mut clusters = Vec::new();
    for (at, cluster) in raw.clusters.iter().enumerate() {
        let name = |c: &RawCluster| c.name.value == cluster.name.value;
        twice(
            "cluster",
            &cluster.name,
            raw.clusters.iter().take(at).find(|c| name(c)).map(|c| c.name.span),
            out,
        );
        clusters.push(cluster::cluster(cluster, out));
    }
    let known: Vec<(&RawCluster, Option<&ClusterConfig>)> =
        raw.clusters.iter().zip(clusters.iter().map(Option::as_ref)).collect();
    let mut listeners = Vec::new();
    for (at, listener) in raw.listeners.iter().enumerate() {
        let name = |l: &RawListener| l.name.value == listener.name.value;
        twice(
            "listener",
            &listener.name,
            raw.listeners.iter().take(at).find(|l| name(l)).map(|l| l.name.span),
            out,
        );
        listeners.extend(ListenerCheck { raw: listener, clusters: &known, out }.run());
    }
    drop(known);
    for listener in listeners.iter().filter(|listener| listener.by_status.is_some()) {
        let cluster = clusters.get_mut(listener.cluster).and_then(Option::as_mut);
        if let Some(Members::Patroni(patroni)) = cluster.map(|cluster| &mut cluster.members) {
            patroni.by_status = true;
        }
    }
    binds(&raw.listeners, out);
    idle(raw, &listeners, out);
    (
        clusters.into_iter().flatten().map(Arc::new).collect(),
        listeners.into_iter().map(Arc::new).collect(),
    )
}

pub(super) fn twice(
    what: &str,
    name: &Spanned<String>,
    first: Option<Span>,
    out: &mut Vec<Diagnostic>,
) {
    if let Some(first) = first {
        let text = format!("{what} {} exists twice", quoted(&name.value));
        out.push(
            Diagnostic::error(name.span, text)
                .also(first, "first one")
                .help("give it another name"),
        );
    }
}

/// No two listeners share a place: the kernel would deal connections out among them.
fn binds(listeners: &[RawListener], out: &mut Vec<Diagnostic>) {
    let mut places: BTreeMap<(SocketAddr, String), Span> = BTreeMap::new();
    for Spanned { value: bind, span } in listeners.iter().flat_map(|l| &l.binds) {
        let interface = bind.interface.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Some(first) = places.insert((bind.address, interface), *span) {
            out.push(
                Diagnostic::error(*span, format!("{} is listened at twice", bind.address))
                    .also(first, "first here")
                    .help("give one of them another port"),
            );
        }
    }
}

/// Clusters without a listener are probed for nothing, so they are not; that is not a mistake while
/// some listener is.
fn idle(raw: &Raw, listeners: &[ListenerConfig], out: &mut Vec<Diagnostic>) {
    if listeners.len() < raw.listeners.len() {
        return;
    }
    for (at, cluster) in raw.clusters.iter().enumerate() {
        if listeners.iter().all(|listener| listener.cluster != at) {
            let text = format!("cluster {} has no listener", quoted(&cluster.name.value));
            out.push(
                Diagnostic::warning(cluster.name.span, text)
                    .help("add `[listener.NAME]` with `cluster`, `bind` and `role`"),
            );
        }
    }
}

/// Bytes: a number, or one with a unit of 1024 bytes and its powers, as Patroni reads it.
pub(super) fn data(raw: Option<&Spanned<String>>, out: &mut Vec<Diagnostic>) -> Option<u64> {
    let Spanned { value, span } = raw?;
    let bytes = bytes(value);
    if bytes.is_none() {
        out.push(
            Diagnostic::error(*span, format!("{} is no amount of data", quoted(value)))
                .help("a number of bytes, or one with a unit: \"16MB\", \"1GB\""),
        );
    }
    bytes
}

fn max_lag_time(raw: Option<Spanned<Duration>>, out: &mut Vec<Diagnostic>) -> Option<Duration> {
    within(raw.as_ref(), &(MILLISECOND..=DAY), "max_lag_time", out)
}

/// The units of `max_lag`, largest first.
const UNITS: [(&str, u64); 5] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let number = || digits.trim_end().bytes().all(|b| b.is_ascii_digit());
    let times = if unit.is_empty() {
        1
    } else {
        UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1
    };
    number().then(|| digits.trim_end().parse::<u64>().ok()?.checked_mul(times)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_counted_as_patroni_counts() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("16MB", Some(16 << 20)),
            ("100 kB", Some(102_400)),
            ("1gb", Some(1 << 30)),
            ("1.5MB", None),
            ("16M", None),
            ("MB", None),
            ("-1", None),
            ("99999999999TB", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }
}
