//! Clusters and listeners.

mod cluster;
mod listener;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::human;
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::model::{ClusterConfig, ListenerConfig, Members};
use crate::config::raw::{Raw, RawCluster, RawListener};
use listener::ListenerCheck;

/// The longest time a setting takes: one day. Longer is a slip of the unit.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The longest limit of a session, thirty days.
const LONGEST_SESSION: Duration = Duration::from_secs(30 * 86_400);

/// What is right by itself; [`ListenerConfig::cluster`] counts only if all clusters are.
pub(super) fn proxy(
    raw: &Raw,
    out: &mut Vec<Diagnostic>,
) -> (Vec<Arc<ClusterConfig>>, Vec<Arc<ListenerConfig>>) {
    let mut limits = Limits { out };
    let mut clusters = Vec::new();
    for (at, cluster) in raw.clusters.iter().enumerate() {
        let name = |c: &RawCluster| c.name.value == cluster.name.value;
        twice(
            "cluster",
            &cluster.name,
            raw.clusters.iter().take(at).find(|c| name(c)).map(|c| c.name.span),
            limits.out,
        );
        clusters.push(cluster::cluster(cluster, &mut limits));
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
            limits.out,
        );
        listeners
            .extend(ListenerCheck { raw: listener, clusters: &known, limits: &mut limits }.run());
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

/// Ranges of values.
pub(super) struct Limits<'a> {
    pub(super) out: &'a mut Vec<Diagnostic>,
}

impl Limits<'_> {
    /// Between `least` and a day.
    fn time(
        &mut self,
        what: &str,
        raw: Option<Spanned<Duration>>,
        least: Duration,
    ) -> Option<Duration> {
        self.time_within(what, raw, least, LONGEST)
    }

    pub(super) fn time_within(
        &mut self,
        what: &str,
        raw: Option<Spanned<Duration>>,
        least: Duration,
        most: Duration,
    ) -> Option<Duration> {
        let Spanned { value, span } = raw?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        let (least, most) = (human(least), human(most));
        let text = format!("{what} must be {least} to {most}, not {}", human(value));
        self.out.push(Diagnostic::error(span, text));
        None
    }

    /// As [`Limits::time`], where zero means never.
    fn optional_time(
        &mut self,
        what: &str,
        raw: Option<Spanned<Duration>>,
        standard: Option<Duration>,
        least: Duration,
    ) -> Option<Duration> {
        match raw {
            None => standard,
            Some(never) if never.value.is_zero() => None,
            some => self.time_within(what, some, least, LONGEST_SESSION),
        }
    }

    fn number(
        &mut self,
        what: &str,
        raw: Option<Spanned<i64>>,
        least: u32,
        most: u32,
    ) -> Option<u32> {
        let Spanned { value, span } = raw?;
        let number = u32::try_from(value).ok().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            let text = format!("{what} must be {least} to {most}, not {value}");
            self.out.push(Diagnostic::error(span, text));
        }
        number
    }

    /// A limit of connections; 0 is none, as HAProxy has it.
    fn maxconn(&mut self, raw: Option<Spanned<i64>>) -> Option<NonZeroU32> {
        self.number("maxconn", raw, 0, 1_000_000).and_then(NonZeroU32::new)
    }

    /// Bytes: a number, or one with a unit of 1024 bytes and its powers, as Patroni reads it.
    fn bytes(&mut self, raw: Option<&Spanned<String>>) -> Option<u64> {
        let Spanned { value, span } = raw?;
        let bytes = bytes(value);
        if bytes.is_none() {
            self.out.push(
                Diagnostic::error(*span, format!("{} is no amount of data", quoted(value)))
                    .help("a number of bytes, or one with a unit: \"16MB\", \"1GB\""),
            );
        }
        bytes
    }
}

/// The units of `max_lag`, largest first.
const UNITS: [(&str, u64); 4] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];

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
