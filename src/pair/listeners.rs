//! The listeners of both nodes: clients reach the node that has the addresses, and expect the same
//! service of both.

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, Place};
use crate::config::diag::{Diagnostic, Span};
use crate::config::raw::{RawCluster, RawListener};
use crate::config::vipd_toml::role_word;
use crate::config::{ClusterConfig, ListenerConfig};
use crate::text::listed;

/// A listener of one node.
#[derive(Clone, Copy)]
struct Offer<'a> {
    node_name: &'a str,
    listener: &'a ListenerConfig,
    raw: &'a RawListener,
    cluster: &'a ClusterConfig,
    raw_cluster: &'a RawCluster,
}

impl<'a> Offer<'a> {
    fn all(node: Node<'a>) -> Vec<Offer<'a>> {
        let Node { name, config, raw } = node;
        let offer = |listener: &'a ListenerConfig| {
            let cluster = &**config.clusters.get(listener.cluster)?;
            Some(Offer {
                node_name: name,
                listener,
                raw: raw.listeners.iter().find(|raw| raw.name.value == listener.name())?,
                cluster,
                raw_cluster: raw.clusters.iter().find(|raw| raw.name.value == cluster.name)?,
            })
        };
        config.listeners.iter().filter_map(|listener| offer(listener)).collect()
    }

    fn ports(&self) -> BTreeSet<u16> {
        self.listener.frontend.binds.iter().map(|bind| bind.address.port()).collect()
    }

    fn role(&self) -> &'static str {
        if self.cluster.has_roles() { role_word(self.listener.wants) } else { "no role" }
    }

    /// Where its sessions may go, and where that is written.
    fn servers(&self) -> BTreeMap<String, Span> {
        let servers = self.listener.servers.iter().filter_map(|server| {
            let (name, own) = self.cluster.member(server.member)?;
            let listed = self.raw.servers.iter().flatten().find(|raw| *raw.member.value == **name);
            let member = self.raw_cluster.members.iter().find(|raw| raw.address.value == *own);
            let span = listed.map(|raw| raw.member.span).or(member.map(|raw| raw.address.span));
            let address = server.address.as_ref().unwrap_or(own);
            Some((address.to_string(), span.unwrap_or(self.raw.name.span)))
        });
        servers.collect()
    }
}

/// How many listeners both nodes have. Says what they differ in, and which one node lacks.
pub(super) fn check(a: Node<'_>, b: Node<'_>, out: &mut Vec<Diagnostic>) -> usize {
    let (ours, theirs) = (Offer::all(a), Offer::all(b));
    let pairs = matching(&ours, &theirs);
    for (own, other) in &pairs {
        ports(own, other, out);
        roles(own, other, out);
    }
    servers(&pairs, out);
    let paired = |offer: &Offer<'_>| {
        pairs.iter().any(|(a, b)| a.raw.name == offer.raw.name || b.raw.name == offer.raw.name)
    };
    for (offers, lacks) in [(&ours, b.name), (&theirs, a.name)] {
        let alone: Vec<&Offer<'_>> = offers.iter().filter(|offer| !paired(offer)).collect();
        out.extend(missing(&alone, lacks));
    }
    pairs.len()
}

/// Which belong together: the same name first, then a port in common. Each has one counterpart at
/// most.
fn matching<'a>(a: &[Offer<'a>], b: &[Offer<'a>]) -> Vec<(Offer<'a>, Offer<'a>)> {
    let named =
        |own: &Offer<'_>| b.iter().find(|other| other.listener.name() == own.listener.name());
    let mut found: Vec<(Offer<'_>, Offer<'_>)> =
        a.iter().filter_map(|own| Some((*own, *named(own)?))).collect();
    for own in a.iter().filter(|own| named(own).is_none()) {
        let free = |other: &&Offer<'_>| !found.iter().any(|(_, b)| b.raw.name == other.raw.name);
        let meets = |other: &&Offer<'_>| !other.ports().is_disjoint(&own.ports());
        if let Some(other) = b.iter().filter(free).find(meets) {
            found.push((*own, *other));
        }
    }
    found
}

fn differ(what: &str, names: &str, own: Place, other: Place) -> Diagnostic {
    Diagnostic::warning(own.0, format!("{names}: {what}")).label(own.1).also(other.0, other.1)
}

fn ports(own: &Offer<'_>, other: &Offer<'_>, out: &mut Vec<Diagnostic>) {
    if own.ports() == other.ports() {
        return;
    }
    let place = |offer: &Offer<'_>| {
        let span = offer.raw.binds.first().map_or(offer.raw.name.span, |bind| bind.span);
        (span, format!("{}: port {}", offer.node_name, listed(offer.ports())))
    };
    out.push(
        differ("the ports differ", own.listener.name(), place(own), place(other))
            .note("clients do not find it any more when the addresses move")
            .help("listen at the same ports on both nodes"),
    );
}

fn roles(own: &Offer<'_>, other: &Offer<'_>, out: &mut Vec<Diagnostic>) {
    if own.role() == other.role() {
        return;
    }
    let place = |offer: &Offer<'_>| {
        let span = offer.raw.role.map_or(offer.raw.name.span, |role| role.span);
        (span, format!("{}: {}", offer.node_name, offer.role()))
    };
    out.push(
        differ("the roles differ", own.listener.name(), place(own), place(other))
            .note("clients get servers of another role when the addresses move")
            .help("use the same role on both nodes"),
    );
}

/// Listeners whose servers differ in the same way.
struct Differing<'a> {
    names: Vec<&'a str>,
    /// The servers only one node has.
    only: [Vec<String>; 2],
    /// Where that shows first.
    places: [Place; 2],
}

fn servers(pairs: &[(Offer<'_>, Offer<'_>)], out: &mut Vec<Diagnostic>) {
    let mut found: Vec<Differing<'_>> = Vec::new();
    for (own, other) in pairs {
        let name = own.listener.name();
        let (ours, theirs) = (own.servers(), other.servers());
        let surplus = |from: &BTreeMap<String, Span>, than: &BTreeMap<String, Span>| {
            from.keys().filter(|server| !than.contains_key(*server)).cloned().collect()
        };
        let only: [Vec<String>; 2] = [surplus(&ours, &theirs), surplus(&theirs, &ours)];
        let [only_a, only_b] = &only;
        if only_a.is_empty() && only_b.is_empty() {
            continue;
        }
        if let Some(alike) = found.iter_mut().find(|differing| differing.only == only) {
            alike.names.push(name);
            continue;
        }
        let places = [place(own, &ours, only_a, only_b), place(other, &theirs, only_b, only_a)];
        found.push(Differing { names: vec![name], only, places });
    }
    for Differing { names, places: [here, there], .. } in found {
        out.push(
            differ("the nodes use different servers", &listed(names), here, there)
                .note("clients get other servers when the addresses move")
                .help("make the lists equal on both nodes"),
        );
    }
}

/// What this node has more or, if nothing, less than the other.
fn place(
    offer: &Offer<'_>,
    servers: &BTreeMap<String, Span>,
    more: &[String],
    less: &[String],
) -> Place {
    match more.first().and_then(|first| servers.get(first)) {
        Some(span) => (*span, format!("{} only: {}", offer.node_name, listed(more))),
        None => (offer.raw.name.span, format!("{} lacks {}", offer.node_name, listed(less))),
    }
}

/// Those only one node has.
fn missing(alone: &[&Offer<'_>], lacks: &str) -> Option<Diagnostic> {
    let (first, more) = alone.split_first()?;
    let names = listed(alone.iter().map(|offer| offer.listener.name()));
    let text = format!("{lacks} does not listen for {names}");
    let warning = more.iter().fold(Diagnostic::warning(first.raw.name.span, text), |warning, o| {
        warning.also(o.raw.name.span, "")
    });
    Some(
        warning
            .label(format!("{} only", first.node_name))
            .note(format!("clients find nobody there while {lacks} has the addresses"))
            .help(format!("listen on {lacks} too, unless another program does")),
    )
}
