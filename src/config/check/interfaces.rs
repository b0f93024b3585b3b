//! How changes of the interfaces are taken, and which of them announce one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::announce::PAUSES;
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::key::value::within;
use crate::config::model::{PacingGroup, RouterConfig};
use crate::config::raw::{InterfaceConfig, RawInterface, RawPacing, RawRouter};
use crate::text::human;
use crate::types::IfName;

pub(super) fn interfaces(
    list: &[RawInterface],
    routers: &[(&RawRouter, RouterConfig)],
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<IfName, InterfaceConfig> {
    let mut interfaces = BTreeMap::new();
    let mut places = BTreeMap::new();
    for raw in list {
        let name: IfName = match raw.name.value.parse() {
            Ok(name) => name,
            Err(error) => {
                out.push(Diagnostic::error(raw.name.span, error.to_string()));
                continue;
            }
        };
        if let Some(first) = places.insert(name.clone(), raw.name.span) {
            let text = format!("{} is listed twice, the last one counts", quoted(name.as_str()));
            out.push(Diagnostic::warning(raw.name.span, text).also(first, "listed before"));
        }
        let config = raw.over(&InterfaceConfig::default(), out);
        outlasted(raw, &name, config.down_delay, routers, out);
        interfaces.insert(name, config);
    }
    interfaces
}

/// A link that returns before it counted as down must not find a successor.
fn outlasted(
    raw: &RawInterface,
    name: &IfName,
    down_delay: Duration,
    routers: &[(&RawRouter, RouterConfig)],
    out: &mut Vec<Diagnostic>,
) {
    let safe = |router: &RouterConfig| {
        router.interval.as_duration()
            * u32::from(router.options.down_timer_adverts.saturating_sub(1))
    };
    let on_it = routers.iter().map(|(_, router)| router).filter(|router| router.iface == *name);
    let (Some(router), Some(at)) = (on_it.min_by_key(|router| safe(router)), raw.down_delay) else {
        return;
    };
    if down_delay >= safe(router) {
        let text = format!("a peer of {} may take over within this time", router.name);
        out.push(
            Diagnostic::warning(at.span, text)
                .note("when the link comes back, both are master until one of them hears the other")
                .help(format!("use less than {}", human(safe(router)))),
        );
    }
}

pub(super) fn pacing(list: &[RawPacing], out: &mut Vec<Diagnostic>) -> Vec<PacingGroup> {
    let mut groups = Vec::new();
    let mut places: BTreeMap<IfName, Span> = BTreeMap::new();
    for raw in list {
        let mut interfaces = BTreeSet::new();
        for Spanned { value, span } in &raw.interfaces {
            let name: IfName = match value.parse() {
                Ok(name) => name,
                Err(error) => {
                    out.push(Diagnostic::error(*span, error.to_string()));
                    continue;
                }
            };
            if let Some(first) = places.insert(name.clone(), *span) {
                let text = format!("{name} is listed twice, and has one clock only");
                out.push(Diagnostic::error(*span, text).also(first, "listed before"));
                continue;
            }
            interfaces.insert(name);
        }
        if raw.interfaces.is_empty() {
            out.push(
                Diagnostic::error(raw.span, "a group of no interfaces")
                    .help("list the interfaces that share a switch"),
            );
        }
        let mut pause = |raw: &Option<_>| within(raw.as_ref(), &PAUSES, "the pause", out);
        let (garp_interval, gna_interval) = (pause(&raw.garp_interval), pause(&raw.gna_interval));
        if !interfaces.is_empty() {
            groups.push(PacingGroup { interfaces, garp_interval, gna_interval });
        }
    }
    groups
}
