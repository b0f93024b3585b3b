//! The addresses of both nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::{NodeSide, Place, RouterPair, Side};
use crate::config::diag::Diagnostic;
use crate::config::{Strict, VirtualAddress};

/// V24: adverts without an address of its own are refused, unless a peer was named or RFC 3768 is
/// followed to the letter and an owner sends them.
fn takes_for_another_cluster(own: &NodeSide<'_>, other: &NodeSide<'_>) -> bool {
    let listed = |node: &NodeSide<'_>| node.router.advertised().collect::<BTreeSet<_>>();
    let (ours, theirs) = (listed(own), listed(other));
    let accepted = own.router.strict == Some(Strict::Rfc3768) && other.router.priority.is_owner();
    ours != theirs && ours.is_disjoint(&theirs) && !own.router.is_unicast() && !accepted
}

pub(super) fn check(pair: &mut RouterPair<'_>, out: &mut Vec<Diagnostic>) {
    for receiver in [Side::A, Side::B] {
        if takes_for_another_cluster(pair.node(receiver), pair.node(receiver.other())) {
            pair.set_refusing(receiver);
        }
    }
    let pair = &*pair;
    let (a, b) = (&pair.a, &pair.b);
    let listed = |node: &NodeSide<'_>| node.router.advertised().collect::<BTreeSet<_>>();
    let (ours, theirs) = (listed(a), listed(b));
    if ours != theirs && a.router.dialect.family() == b.router.dialect.family() {
        let only_a: Vec<IpAddr> = ours.difference(&theirs).copied().collect();
        let only_b: Vec<IpAddr> = theirs.difference(&ours).copied().collect();
        let mut error = pair
            .error(
                "the nodes advertise different addresses",
                surplus(a, &only_a, &only_b),
                surplus(b, &only_b, &only_a),
            )
            .note("keepalived before 2.3.3 refuses such adverts: both become master");
        if ours.is_disjoint(&theirs) && !a.router.is_unicast() {
            error = error.note(
                "vipd refuses an advert without an address of its own: it is another cluster's",
            );
        }
        let both = |ip: &&IpAddr| a.addresses().contains(*ip) && b.addresses().contains(*ip);
        let all = || only_a.iter().chain(&only_b);
        if let Some(ip) = all().find(both) {
            error = error.note(format!("{ip} is advertised on one node and excluded on the other"));
        }
        if !all().all(|ip| both(&ip)) {
            error = error.note("nobody answers for an address while the node without it serves");
        }
        out.push(error.help("make the lists equal on both nodes"));
    }
    for (own, other) in [(a, b), (b, a)] {
        let missing = |address: &&Arc<VirtualAddress>| {
            !address.advertised && !other.addresses().contains(&address.cidr.address())
        };
        for address in own.router.addresses.iter().filter(missing) {
            let ip = address.cidr.address();
            let (name, lacks) = (own.node_name, other.node_name);
            let text =
                format!("{}: {ip} is excluded on {name} and missing on {lacks}", pair.name());
            let span = own.address_span(ip);
            out.push(
                Diagnostic::warning(span, text)
                    .note(format!("nobody answers for it while {lacks} serves")),
            );
        }
    }
    for own in &a.router.addresses {
        let ip = own.cidr.address();
        let same = b.router.addresses.iter().find(|other| other.cidr.address() == ip);
        if let Some(other) = same.filter(|other| other.cidr.prefix() != own.cidr.prefix()) {
            let place = |node: &NodeSide<'_>, address: &VirtualAddress| {
                (node.address_span(ip), format!("{}: /{}", node.node_name, address.cidr.prefix()))
            };
            out.push(pair.warning(
                &format!("{ip} has another prefix length on each node"),
                place(a, own),
                place(b, other),
            ));
        }
    }
}

/// Addresses that routers of both nodes want which are not one router.
pub(super) fn shared_addresses(
    a: &[NodeSide<'_>],
    b: &[NodeSide<'_>],
    pairs: &[(NodeSide<'_>, NodeSide<'_>)],
    out: &mut Vec<Diagnostic>,
) {
    for own in a {
        let partner = pairs.iter().find(|(node, _)| node.raw.name == own.raw.name);
        let partner = partner.map(|(_, other)| &other.raw.name);
        for other in b.iter().filter(|other| Some(&other.raw.name) != partner) {
            let shared: Vec<IpAddr> =
                own.addresses().intersection(&other.addresses()).copied().collect();
            let link_local =
                |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
            for ip in shared.into_iter().filter(|ip| !link_local(ip)) {
                let (ours, theirs) = (&own.router.name, &other.router.name);
                let (here, there) = (own.node_name, other.node_name);
                let text = format!("{ip} belongs to {ours} on {here}, but to {theirs} on {there}");
                out.push(
                    Diagnostic::error(own.address_span(ip), text)
                        .also(other.address_span(ip), theirs.clone())
                        .note("each router elects its own master: both nodes may answer for it")
                        .help("list it in the same router on both nodes"),
                );
            }
        }
    }
}

/// What this node has more or, if nothing, less than the other.
fn surplus(node: &NodeSide<'_>, own: &[IpAddr], other: &[IpAddr]) -> Place {
    let list = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match own.first() {
        Some(first) => {
            (node.address_span(*first), format!("{} only: {}", node.node_name, list(own)))
        }
        None => (node.raw.name.span, format!("{} lacks {}", node.node_name, list(other))),
    }
}
