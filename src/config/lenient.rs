//! Reading as keepalived does: what is wrong is left out and said, instead of ending everything.
//!
//! A setting goes alone if keepalived passes over it as well and the nodes still hear each other
//! ([`Reach::Setting`]). A router about which anything else is wrong is left out as a whole: a node
//! that does not take part lets the others serve, one that speaks differently serves beside them.

use std::collections::BTreeSet;

use super::check::check;
use super::diag::{Diagnostic, Reach, Severity, SourceMap, Span};
use super::model::Config;
use super::raw::Raw;

/// What a lenient reading did without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Settings: where, and why.
    pub settings: Vec<String>,
    /// Routers that are not run: the name, and where.
    pub routers: Vec<(String, String)>,
}

impl Dropped {
    /// The routers for a list: `VI_1 (keepalived.conf:12)`.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        self.routers.iter().map(|(name, place)| format!("{name} ({place})")).collect()
    }
}

/// Checks what can be run of `raw`, and takes the rest out of it. What remains an error of
/// [`Reach::Everything`] ends it all.
pub(super) fn check_rest(raw: &mut Raw, out: &mut Vec<Diagnostic>) -> Option<Config> {
    loop {
        let lost: BTreeSet<_> = out.iter().filter_map(router_of).collect();
        raw.routers.retain(|r| !lost.contains(&(r.name.value.as_str(), r.name.span)));
        for address in &mut raw.static_addresses {
            let stays = |name: &str| raw.routers.iter().any(|r| r.name.value == name);
            let lost = |name: &str| lost.iter().any(|(lost, _)| *lost == name);
            address.required_by.retain(|r| stays(&r.value) || !lost(&r.value));
        }
        let mut found = Vec::new();
        let config = check(raw, &mut found);
        if !found.iter().any(|d| router_of(d).is_some()) {
            out.append(&mut found);
            return config;
        }
        // Without these the others are checked again: there are fewer to clash with.
        out.extend(found.into_iter().filter(|d| router_of(d).is_some()));
    }
}

fn router_of(diagnostic: &Diagnostic) -> Option<(&str, Span)> {
    match (&diagnostic.severity, &diagnostic.reach) {
        (Severity::Error, Reach::Router(name, span)) => Some((name, *span)),
        _ => None,
    }
}

/// Turns the errors that something was left out for into warnings that say so.
pub(super) fn pass_over(diagnostics: &mut [Diagnostic], map: &SourceMap) -> Dropped {
    let mut dropped = Dropped::default();
    for found in diagnostics.iter_mut().filter(|d| d.severity == Severity::Error) {
        match &found.reach {
            Reach::Everything => continue,
            Reach::Setting => {
                let place = found.span.map(|span| map.place(span)).unwrap_or_default();
                let setting = format!("{place}: {}", found.message);
                // A loop may repeat it.
                if dropped.settings.last() != Some(&setting) {
                    dropped.settings.push(setting);
                }
                found.message = format!("dropped: {}", found.message);
            }
            Reach::Router(name, span) => {
                let router = (name.clone(), map.place(*span));
                if !dropped.routers.contains(&router) {
                    dropped.routers.push(router);
                }
                found.message = format!("{name} is not run: {}", found.message);
            }
        }
        found.severity = Severity::Warning;
    }
    dropped
}
