//! Reading as keepalived does: what is wrong is left out and said, instead of ending everything.
//!
//! A setting goes alone if keepalived passes over it as well and the nodes still hear each other
//! ([`Reach::Setting`]). A router about which anything else is wrong is left out as a whole: a node
//! that does not take part lets the others serve, one that speaks differently serves beside them.

use std::collections::BTreeSet;

use super::check::check;
use super::diag::{Diagnostic, Reach, Severity, SourceMap, Span};
use super::model::Config;
use super::raw::{Raw, RawSection};

/// What a lenient reading did without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Settings: where, and why.
    pub settings: Vec<String>,
    /// Routers that are not run, and sections that are not served: the name, and where.
    pub routers: Vec<(String, String)>,
    /// The listeners that are not opened.
    pub listeners: Vec<String>,
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
pub(crate) fn check_rest(raw: &mut Raw, out: &mut Vec<Diagnostic>) -> Option<Config> {
    loop {
        assign(out, &raw.sections);
        without_sections(raw, out);
        let lost: BTreeSet<_> = out.iter().filter_map(router_of).collect();
        raw.routers.retain(|r| !lost.contains(&(r.name.value.as_str(), r.name.span)));
        for address in &mut raw.static_addresses {
            let stays = |name: &str| raw.routers.iter().any(|r| r.name.value == name);
            let lost = |name: &str| lost.iter().any(|(lost, _)| *lost == name);
            address.required_by.retain(|r| stays(&r.value) || !lost(&r.value));
        }
        let mut found = Vec::new();
        let config = check(raw, &mut found);
        assign(&mut found, &raw.sections);
        let more = |d: &Diagnostic| router_of(d).is_some() || needed(d, raw);
        if !found.iter().any(more) {
            out.append(&mut found);
            return config;
        }
        // Without these the others are checked again: there are fewer to clash with.
        out.extend(found.into_iter().filter(more));
    }
}

/// Says of errors within a section of a haproxy.cfg that they take it along.
fn assign(out: &mut [Diagnostic], sections: &[RawSection]) {
    let everything =
        |d: &&mut Diagnostic| d.severity == Severity::Error && d.reach == Reach::Everything;
    for found in out.iter_mut().filter(everything) {
        let Some(at) = found.span else { continue };
        let within = |section: &&RawSection| {
            let RawSection { span, .. } = section;
            span.file == at.file && (span.start..span.end).contains(&at.start)
        };
        let Some(section) = sections.iter().find(within) else { continue };
        found.reach = match section.needed_by {
            Some(_) => Reach::Section(section.name.clone(), section.span),
            None => Reach::Setting,
        };
    }
}

fn section_of<'s>(diagnostic: &Diagnostic, sections: &'s [RawSection]) -> Option<&'s RawSection> {
    let Reach::Section(_, span) = &diagnostic.reach else { return None };
    sections.iter().find(|section| section.span == *span)
}

/// Whether a section that is wrong takes along what is still there.
fn needed(diagnostic: &Diagnostic, raw: &Raw) -> bool {
    let section = section_of(diagnostic, &raw.sections);
    let names = section.and_then(|section| section.needed_by.as_ref()).into_iter().flatten();
    names.into_iter().any(|name| {
        raw.listeners.iter().any(|listener| listener.name.value == *name)
            || raw.pages.iter().any(|page| page.name.value == *name)
    })
}

fn without_sections(raw: &mut Raw, out: &[Diagnostic]) {
    let lost = out.iter().filter_map(|d| section_of(d, &raw.sections)?.needed_by.as_ref());
    let lost: BTreeSet<String> = lost.flatten().cloned().collect();
    let used = |raw: &Raw| -> BTreeSet<String> {
        let names = raw.listeners.iter().filter_map(|listener| listener.cluster.as_ref());
        names.map(|name| name.value.clone()).collect()
    };
    let before = used(raw);
    raw.listeners.retain(|listener| !lost.contains(&listener.name.value));
    raw.pages.retain(|page| !lost.contains(&page.name.value));
    let after = used(raw);
    let gone = |name: &String| before.contains(name) && !after.contains(name);
    raw.clusters.retain(|cluster| !gone(&cluster.name.value));
}

fn router_of(diagnostic: &Diagnostic) -> Option<(&str, Span)> {
    match (&diagnostic.severity, &diagnostic.reach) {
        (Severity::Error, Reach::Router(name, span)) => Some((name, *span)),
        _ => None,
    }
}

/// Turns the errors that something was left out for into warnings that say so.
pub(crate) fn pass_over(
    diagnostics: &mut [Diagnostic],
    sections: &[RawSection],
    map: &SourceMap,
) -> Dropped {
    let mut dropped = Dropped::default();
    for found in diagnostics.iter_mut().filter(|d| d.severity == Severity::Error) {
        let needed_by = section_of(found, sections).and_then(|section| section.needed_by.as_ref());
        dropped.listeners.extend(needed_by.into_iter().flatten().cloned());
        match &found.reach {
            Reach::Everything => continue,
            Reach::Section(name, span) => {
                let section = (name.clone(), map.place(*span));
                if !dropped.routers.contains(&section) {
                    dropped.routers.push(section);
                }
                found.message = format!("{name} is not served: {}", found.message);
            }
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
