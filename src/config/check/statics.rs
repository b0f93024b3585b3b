//! Static addresses, against each other and against the virtual ones.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::addresses::{Kind, address};
use crate::config::diag::{Diagnostic, Severity, Span, Spanned, nearest, quoted};
use crate::config::model::{RouterConfig, StaticAddress};
use crate::config::raw::{RawRouter, RawStatic};
use crate::types::IfName;

/// `all` are the routers as written, `good` those that are right by themselves.
pub(super) fn statics(
    list: &[RawStatic],
    all: &[RawRouter],
    good: &[(&RawRouter, RouterConfig)],
    out: &mut Vec<Diagnostic>,
) -> Vec<Arc<StaticAddress>> {
    let mut statics = Vec::new();
    let mut places: BTreeMap<(IfName, IpAddr), Span> = BTreeMap::new();
    for raw in list {
        let before = out.len();
        let required_by = required_by(&raw.required_by, all, out);
        let Spanned { value: cidr, span } = raw.address.cidr;
        let Some(dev) = &raw.address.dev else {
            out.push(
                Diagnostic::error(span, "a static address needs an interface")
                    .help("add `dev = \"eth0\"`"),
            );
            continue;
        };
        let iface: IfName = match dev.value.parse() {
            Ok(iface) => iface,
            Err(error) => {
                out.push(Diagnostic::error(dev.span, error.to_string()));
                continue;
            }
        };
        let checked = address(&raw.address, Kind::Static, Some(&iface), out);
        let place = (iface.clone(), cidr.address());
        if let Some(first) = places.insert(place, span) {
            let text =
                format!("{} is listed twice on {iface}, the first one counts", cidr.address());
            out.push(Diagnostic::warning(span, text).also(first, "listed before"));
            continue;
        }
        for (router, config) in good {
            let mut floating = config.addresses.iter().filter(|a| *config.iface_of(a) == iface);
            if floating.any(|a| a.cidr.address() == cidr.address()) {
                let text = format!("{} on {iface} is static and virtual", cidr.address());
                out.push(
                    Diagnostic::error(span, text)
                        .also(router.name.span, "it follows the state of this router")
                        .note("a backup would take it away")
                        .help("list it in one place"),
                );
            }
        }
        let Some(address) = checked else { continue };
        if out.iter().skip(before).any(|d| d.severity == Severity::Error) {
            continue;
        }
        statics.push(Arc::new(StaticAddress { iface, address: Arc::new(address), required_by }));
    }
    statics
}

fn required_by(
    names: &[Spanned<String>],
    all: &[RawRouter],
    out: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let known = || all.iter().map(|router| router.name.value.as_str());
    for Spanned { value, span } in names {
        if !known().any(|name| name == value) {
            let text = format!("there is no router {}", quoted(value));
            out.push(Diagnostic::error(*span, text).suggest(nearest(value, known())));
        }
    }
    names.iter().map(|name| name.value.clone()).collect()
}
