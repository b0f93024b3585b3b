//! Two routers that cannot live side by side, and addresses that two of them want.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::diag::{Diagnostic, Span, quoted};
use crate::config::model::{RouterConfig, RouterKey, VirtualAddress};
use crate::config::raw::RawRouter;
use crate::types::IfName;

/// Reports them; `good` are the routers that are right by themselves.
pub(super) fn clashes(
    all: &[RawRouter],
    good: &[(&RawRouter, RouterConfig)],
    out: &mut Vec<Diagnostic>,
) {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    for raw in all {
        match names.get(raw.name.value.as_str()) {
            Some(first) => {
                let text = format!("{} {} exists twice", raw.words.router, quoted(&raw.name.value));
                let mut error = Diagnostic::error(raw.name.span, text).also(*first, "first one");
                error.within(&raw.name);
                out.push(if first.file == raw.name.span.file {
                    error.help("give it another name")
                } else {
                    one_configuration(error)
                });
            }
            None => drop(names.insert(&raw.name.value, raw.name.span)),
        }
    }
    let mut keys: BTreeMap<RouterKey, &RawRouter> = BTreeMap::new();
    let mut places: BTreeMap<IpAddr, Vec<(&IfName, Span)>> = BTreeMap::new();
    for (raw, router) in good {
        let vrid_span = raw.vrid.map_or(raw.name.span, |v| v.span);
        if let Some(first) = keys.get(&router.key()) {
            let text = format!(
                "VRID {} is used twice for {}{} on {}",
                router.vrid,
                router.dialect.family(),
                if router.is_unicast() { " unicast" } else { "" },
                router.iface
            );
            let first_span = first.vrid.map_or(first.name.span, |v| v.span);
            let mut error = Diagnostic::error(vrid_span, text)
                .also(first_span, format!("first used by {}", first.name.value));
            error.within(&raw.name);
            if router.is_unicast() {
                error = error.note("a packet must say whom it is for, even if the peers differ");
            }
            out.push(if first_span.file == vrid_span.file {
                error.help("give each virtual router on one network its own number")
            } else {
                one_configuration(error)
            });
            continue;
        }
        keys.insert(router.key(), raw);
        for address in &router.addresses {
            shared_address(raw, router, address, &mut places, out);
        }
    }
}

fn shared_address<'r>(
    raw: &RawRouter,
    router: &'r RouterConfig,
    address: &'r VirtualAddress,
    places: &mut BTreeMap<IpAddr, Vec<(&'r IfName, Span)>>,
    out: &mut Vec<Diagnostic>,
) {
    let ip = address.cidr.address();
    let iface = router.iface_of(address);
    let written = raw.addresses.iter().chain(&raw.excluded).find(|a| a.cidr.value.address() == ip);
    let span = written.map_or(raw.name.span, |a| a.cidr.span);
    let others = places.entry(ip).or_default();
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if let Some((_, first)) = others.iter().find(|(other, _)| *other == iface) {
        let mut error = Diagnostic::error(span, format!("{ip} on {iface} belongs to two routers"))
            .also(*first, "first listed here")
            .note("whichever turns backup would take it away from the other")
            .help("list it in one of them");
        error.within(&raw.name);
        out.push(error);
    } else if let (Some((other, first)), false) = (others.first(), link_local) {
        out.push(
            Diagnostic::warning(span, format!("{ip} may appear on both {other} and {iface}"))
                .also(*first, "first listed here"),
        );
    }
    others.push((iface, span));
}

fn one_configuration(error: Diagnostic) -> Diagnostic {
    error
        .note("files given together make one configuration")
        .help("check the files of two nodes in two runs")
}
