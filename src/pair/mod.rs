//! Two nodes' configurations side by side: what keeps them from being a pair, and who serves when.
//!
//! Nothing is sent. From both files follows which adverts each node accepts, and how long a failover
//! takes, by [`crate::vrrp::timing`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod compat;
mod groups;
mod listeners;
mod lists;
mod outcomes;
mod roles;
mod weights;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

pub use outcomes::{Event, Outcome, Serving};

use crate::config::diag::{Diagnostic, Severity, Span, Spanned};
use crate::config::raw::{Raw, RawRouter};
use crate::config::{Config, Preempt, RouterConfig};
use crate::types::{Family, IfName, Vrid};

/// One node: its name in messages and its configuration, whose spans belong to a map it shares with
/// the other node's.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// What messages call it.
    pub name: &'a str,
    pub config: &'a Config,
    /// The same as written.
    pub raw: &'a Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    A,
    B,
}

impl Side {
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

/// A length of time with the precision people need: `609 ms`, `3.4 s`.
#[must_use]
pub fn rough(length: Duration) -> String {
    if length < Duration::from_secs(1) {
        format!("{:.0} ms", length.as_secs_f64() * 1000.0)
    } else {
        format!("{:.1} s", length.as_secs_f64())
    }
}

#[derive(Clone, Debug)]
pub struct Comparison {
    /// Errors mean that the pair, or a router of it, cannot work.
    pub diagnostics: Vec<Diagnostic>,
    /// The routers both nodes have, in the order of the first node's file.
    pub routers: Vec<Pairing>,
    /// How many listeners both nodes have.
    pub listeners: usize,
}

/// A virtual router of both nodes.
#[derive(Clone, Debug)]
pub struct Pairing {
    pub names: [String; 2],
    /// The VRID, as the first node has it.
    pub vrid: Vrid,
    /// The family, as the first node has it.
    pub family: Family,
    /// The version, as the first node has it.
    pub version: u8,
    /// The interfaces that carry the adverts.
    pub interfaces: [IfName; 2],
    /// The priorities while all trackers pass.
    pub priorities: [u8; 2],
    pub outcomes: Vec<Outcome>,
}

impl Pairing {
    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        let [name, _] = &self.names;
        name
    }

    /// Whether the outcomes of another router are the same.
    #[must_use]
    pub fn behaves_as(&self, other: &Pairing) -> bool {
        self.interfaces == other.interfaces
            && self.priorities == other.priorities
            && self.outcomes == other.outcomes
    }
}

#[must_use]
pub fn compare(first: Node<'_>, second: Node<'_>) -> Comparison {
    let mut diagnostics = Vec::new();
    let mut routers = Vec::new();
    let (a, b) = (nodes(first), nodes(second));
    let pairs = matching(&a, &b);
    let mut both = Vec::new();
    for &(own, other) in &pairs {
        let mut pair =
            RouterPair { a: own, b: other, a_accepts: true, b_accepts: true, flaps: false };
        compat::check(&mut pair, &mut diagnostics);
        lists::check(&mut pair, &mut diagnostics);
        roles::check(&pair, &mut diagnostics);
        weights::check(&pair, &mut diagnostics);
        both.push(pair);
    }
    for pair in &both {
        let RouterPair { a: own, b: other, .. } = pair;
        routers.push(Pairing {
            names: [own.router.name.clone(), other.router.name.clone()],
            vrid: own.router.vrid,
            family: own.router.dialect.family(),
            version: own.router.dialect.version(),
            interfaces: [own.router.iface.clone(), other.router.iface.clone()],
            priorities: [own.priority().get(), other.priority().get()],
            outcomes: outcomes::of(pair, &groups::same_group(pair, &both)),
        });
    }
    lists::shared_addresses(&a, &b, &pairs, &mut diagnostics);
    let alone = |node: &&NodeSide<'_>| {
        !pairs.iter().any(|(a, b)| a.raw.name == node.raw.name || b.raw.name == node.raw.name)
    };
    for node in a.iter().chain(&b).filter(alone) {
        let name = &node.router.name;
        let text = format!("{name} is on {} only: nobody takes over its addresses", node.node_name);
        let mut warning = Diagnostic::warning(node.raw.name.span, text);
        warning.notes.extend(groups::lost_with_group(node, &pairs));
        diagnostics.push(warning);
    }
    groups::check(first, second, &pairs, &mut diagnostics);
    let listeners = listeners::check(first, second, &mut diagnostics);
    // Two proxies may share an address that something else moves.
    let proxies = listeners > 0 && a.is_empty() && b.is_empty();
    if pairs.is_empty() && !proxies {
        let text = "the two nodes have no virtual router in common";
        diagnostics.push(
            Diagnostic::general(text)
                .note("neither a VRID, nor an address, nor a name is the same")
                .help("compare the files of two nodes that share an address"),
        );
    }
    Comparison { diagnostics, routers, listeners }
}

/// A place in one of the files, and a few words about it.
type Place = (Span, String);

/// One node's side of a router.
#[derive(Clone, Copy)]
struct NodeSide<'a> {
    node_name: &'a str,
    router: &'a RouterConfig,
    raw: &'a RawRouter,
    config: &'a Config,
}

impl NodeSide<'_> {
    /// Where a setting stands and what it says; at the block's header if it is a default.
    fn at<T>(&self, setting: Option<&Spanned<T>>, value: impl Display) -> Place {
        match setting {
            Some(written) => (written.span, format!("{}: {value}", self.node_name)),
            None => (self.raw.name.span, format!("{}: {value}, the default", self.node_name)),
        }
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.router.addresses.iter().map(|address| address.cidr.address()).collect()
    }

    /// Where one of its addresses stands.
    fn address_span(&self, address: IpAddr) -> Span {
        let mut all = self.raw.addresses.iter().chain(&self.raw.excluded);
        let written = all.find(|raw| raw.cidr.value.address() == address);
        written.map_or(self.raw.name.span, |raw| raw.cidr.span)
    }
}

fn nodes<'a>(node: Node<'a>) -> Vec<NodeSide<'a>> {
    let Node { name, config, raw } = node;
    let both = config.routers.iter().zip(&raw.routers);
    both.map(|(router, raw)| NodeSide { node_name: name, router, raw, config }).collect()
}

/// A router of both nodes.
struct RouterPair<'a> {
    a: NodeSide<'a>,
    b: NodeSide<'a>,
    /// Whether A accepts B's adverts.
    a_accepts: bool,
    /// Whether B accepts A's.
    b_accepts: bool,
    /// One of them waits for less than the other's interval and takes over between two adverts.
    flaps: bool,
}

impl<'a> RouterPair<'a> {
    fn node(&self, side: Side) -> &NodeSide<'a> {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// What messages call it.
    fn name(&self) -> String {
        let (a, b) = (&self.a.router.name, &self.b.router.name);
        if a == b { a.clone() } else { format!("{a} ({b} on {})", self.b.node_name) }
    }

    fn error(&self, text: &str, a: Place, b: Place) -> Diagnostic {
        let text = format!("{}: {text}", self.name());
        Diagnostic::error(a.0, text).label(a.1).also(b.0, b.1)
    }

    fn warning(&self, text: &str, a: Place, b: Place) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error(text, a, b) }
    }

    /// This side does not accept the adverts of the other.
    fn set_refusing(&mut self, side: Side) {
        match side {
            Side::A => self.a_accepts = false,
            Side::B => self.b_accepts = false,
        }
    }
}

/// The side that wins an election; `None` if that depends on source addresses not in the files.
fn better(pair: &RouterPair<'_>) -> Option<Side> {
    let by_address = match (pair.a.router.source, pair.b.router.source) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    };
    match pair.a.priority().cmp(&pair.b.priority()).then(by_address) {
        Ordering::Greater => Some(Side::A),
        Ordering::Less => Some(Side::B),
        Ordering::Equal => None,
    }
}

/// The node that takes the addresses back from the other one, if there is one.
fn preempts(pair: &RouterPair<'_>) -> Option<Side> {
    let side = better(pair)?;
    let (own, other) = (pair.node(side), pair.node(side.other()));
    let preempts = own.router.preempt != Preempt::Never;
    (own.priority() != other.priority() && preempts).then_some(side)
}

/// Which routers belong together: the same VRID and family first, then shared addresses, then the
/// name. Each router has one counterpart at most.
fn matching<'a>(a: &[NodeSide<'a>], b: &[NodeSide<'a>]) -> Vec<(NodeSide<'a>, NodeSide<'a>)> {
    let mut candidates = Vec::new();
    for (i, own) in a.iter().enumerate() {
        for (j, other) in b.iter().enumerate() {
            let similarity = similarity(own, other);
            if similarity > 0 {
                candidates.push((std::cmp::Reverse(similarity), i, j));
            }
        }
    }
    candidates.sort_unstable();
    let (mut taken_a, mut taken_b) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for (_, i, j) in candidates {
        if !taken_a.contains(&i) && !taken_b.contains(&j) {
            taken_a.insert(i);
            taken_b.insert(j);
            found.push((i, j));
        }
    }
    found.sort_unstable();
    found.into_iter().filter_map(|(i, j)| Some((*a.get(i)?, *b.get(j)?))).collect()
}

/// How likely two routers are one; 0 if they have nothing in common.
fn similarity(own: &NodeSide<'_>, other: &NodeSide<'_>) -> u8 {
    let (a, b) = (own.router, other.router);
    let same_key = a.vrid == b.vrid && a.dialect.family() == b.dialect.family();
    let shares = !own.addresses().is_disjoint(&other.addresses());
    let same_name = a.name == b.name;
    let clues = u8::from(same_key) * 8 + u8::from(shares) * 4 + u8::from(same_name) * 2;
    if clues == 0 { 0 } else { clues + u8::from(a.iface == b.iface) }
}
