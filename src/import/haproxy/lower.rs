//! Proxies to [`Raw`]: one listener per section that listens, one cluster per set of servers that is
//! asked.

use super::cluster::{Front, Lowered, cluster, groups};
use super::keywords::Reporter;
use super::lint;
use super::listener::listener;
use super::page::{self, Purpose};
use super::proxy::{Proxy, proxies};
use super::role::{HealthCheck, health_check};
use super::route::route;
use super::sections::{Kind, Section};
use super::server::Server;
use super::stats::Guard;
use crate::config::diag::{Diagnostic, quoted};
use crate::config::raw::{Raw, RawSection};

/// Lowers all sections of all files.
pub(super) fn lower(sections: &[Section], raw: &mut Raw, reporter: &mut Reporter<'_>) {
    let (global, proxies) = proxies(sections, reporter);
    raw.sections = parts(sections, &proxies);
    names(&proxies, reporter.out);
    let health_checks: Vec<HealthCheck> =
        proxies.iter().map(|proxy| health_check(proxy, &proxies)).collect();
    let mut fronts = Vec::new();
    for (at, proxy) in proxies.iter().enumerate() {
        let purpose = page::purpose(proxy, &proxies);
        if !matches!(purpose, Purpose::Page(_) | Purpose::Metrics(_)) {
            reporter.out.extend(proxy.filters.iter().map(Guard::refused));
        }
        let disabled = proxy.settings.disabled.filter(|disabled| disabled.value);
        if let Some(disabled) = disabled {
            let text = format!("{} is disabled", quoted(&proxy.name.value));
            reporter.out.push(Diagnostic::remark(disabled.span, text));
            continue;
        }
        if proxy.kind == Kind::Backend || proxy.kind == Kind::Listen && no_bind(proxy) {
            continue;
        }
        match purpose {
            Purpose::Page(shown) => {
                raw.pages.extend(page::page(proxy, &shown, reporter.out));
                continue;
            }
            Purpose::Metrics(exporter) => {
                raw.pages.extend(page::metrics(proxy, exporter, reporter.out));
                continue;
            }
            Purpose::Nothing => {
                page::nothing(proxy, reporter.out);
                continue;
            }
            Purpose::Connections => page::no_page(proxy, reporter.out),
        }
        let before = reporter.out.len();
        let route = route(at, &proxies, &health_checks, reporter.out);
        let right = reporter.out.len() == before;
        if lint::layer_7(proxy, route, &proxies, &health_checks, reporter.out) {
            continue;
        }
        fronts.extend(route.filter(|_| right).map(|route| Front { proxy: at, route }));
    }
    let lowered = Lowered {
        global: &global,
        proxies: &proxies,
        health_checks: &health_checks,
        fronts: &fronts,
    };
    lint::lint(&lowered, reporter);
    let groups = groups(&lowered);
    for group in &groups {
        raw.clusters.extend(cluster(group, &lowered, reporter.out));
    }
    for front in &fronts {
        let found = listener(front, &groups, &raw.clusters, &lowered, reporter.out);
        raw.listeners.extend(found);
    }
}

/// The sections as parts that can be left out, each with what is nothing without it.
fn parts(sections: &[Section], proxies: &[Proxy]) -> Vec<RawSection> {
    let fronts = |at: usize| -> Vec<String> {
        let Some(own) = proxies.get(at) else { return Vec::new() };
        let leads = |front: &&Proxy| {
            let default = front.settings.default_backend.iter().map(|name| name.value.as_str());
            let mut named =
                default.chain(front.rules.iter().map(|rule| rule.backend.text.as_str()));
            let is_own = front.kind == own.kind && front.name.span == own.name.span;
            is_own || own.kind != Kind::Frontend && named.any(|name| name == own.name.value)
        };
        proxies.iter().filter(leads).map(|front| front.name.value.clone()).collect()
    };
    // Which proxy a section is, and which defaults it builds on.
    let mut places = Vec::new();
    let (mut next, mut latest) = (0, None);
    for (at, section) in sections.iter().enumerate() {
        let named = section.from.as_ref().and_then(|from| {
            let is_it = |other: &Section| {
                let name = other.name.as_ref().map(|name| name.text.as_str());
                other.kind == Kind::Defaults && name == Some(from.text.as_str())
            };
            sections.iter().position(is_it)
        });
        let base = named.or(latest);
        if section.kind == Kind::Defaults {
            latest = Some(at);
        }
        let own = section.is_proxy().then_some(next);
        next += usize::from(section.is_proxy());
        places.push((own, base));
    }
    let part = |(at, section): (usize, &Section)| {
        let last = section.lines.last().unwrap_or(&section.head);
        let word = section.head.keyword.text.as_str();
        let name = section.name.as_ref().map_or(String::new(), |name| format!(" {}", name.text));
        let built =
            |(own, base): &(Option<usize>, Option<usize>)| own.filter(|_| *base == Some(at));
        let needed_by = match section.kind {
            Kind::Global => None,
            Kind::Defaults => Some(places.iter().filter_map(built).flat_map(fronts).collect()),
            _ => Some(places.get(at).and_then(|(own, _)| *own).map(fronts).unwrap_or_default()),
        };
        RawSection {
            name: format!("{word}{name}"),
            span: section.head.span().to(last.span()),
            needed_by,
        }
    };
    sections.iter().enumerate().map(part).collect()
}

fn no_bind(proxy: &Proxy) -> bool {
    proxy.binds.is_empty() && !proxy.unreadable
}

/// A name is taken once by those who listen, and once by those who have servers.
fn names(proxies: &[Proxy], out: &mut Vec<Diagnostic>) {
    let sides = |kind| match kind {
        Kind::Frontend => [true, false],
        Kind::Backend => [false, true],
        _ => [true, true],
    };
    for (at, proxy) in proxies.iter().enumerate() {
        let clash = |other: &&Proxy| {
            let both = sides(proxy.kind).into_iter().zip(sides(other.kind));
            other.name.value == proxy.name.value && both.into_iter().any(|(own, its)| own && its)
        };
        if let Some(first) = proxies.iter().take(at).find(clash) {
            let text = format!("section {} exists twice", quoted(&proxy.name.value));
            out.push(
                Diagnostic::error(proxy.name.span, text)
                    .also(first.name.span, "first one")
                    .help("give it another name"),
            );
        }
        for (at, server) in proxy.servers.iter().enumerate() {
            let same = |other: &&Server| other.name.value == server.name.value;
            if let Some(first) = proxy.servers.iter().take(at).find(same) {
                let text = format!("server {} exists twice", quoted(&server.name.value));
                out.push(
                    Diagnostic::error(server.name.span, text)
                        .also(first.name.span, "first one")
                        .help("give it another name"),
                );
            }
        }
    }
}
