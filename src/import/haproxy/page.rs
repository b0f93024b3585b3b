//! `stats`: sections that show vipd's status page.
//!
//! A page is shown to nobody who would not have been let in by HAProxy. Where that hangs on
//! conditions vipd does not know, there is no page.

use std::time::Duration;

use super::proxy::Proxy;
use super::route::backend;
use super::sections::Kind;
use super::stats::Stats;
use crate::config::check::page_path;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::model::json_path;
use crate::config::raw::RawPage;

/// HAProxy's own.
const URI: &str = "/haproxy?stats";

/// What a section that listens is for.
pub(super) enum Purpose<'a> {
    /// Clients of servers.
    Connections,
    /// It shows statistics.
    Page(Page<'a>),
    /// HTTP without servers.
    Nothing,
}

/// What a section shows.
pub(super) struct Page<'a> {
    stats: &'a Stats,
    /// The backend that does, if it is not the section itself.
    backend: Option<&'a Proxy>,
}

/// What `proxy` is for.
pub(super) fn purpose<'a>(proxy: &'a Proxy, proxies: &'a [Proxy]) -> Purpose<'a> {
    let (http, stats) = (proxy.is_http(), &proxy.settings.stats);
    let asks = |stats: &Stats| stats.own().is_some() || (http && stats.first.is_some());
    if !proxy.servers.is_empty() || !proxy.rules.is_empty() {
        return Purpose::Connections;
    }
    let Some(name) = &proxy.settings.default_backend else {
        return match (asks(stats), http || proxy.service.is_some(), proxy.unreadable) {
            (true, ..) => Purpose::Page(Page { stats, backend: None }),
            (false, true, false) => Purpose::Nothing,
            (false, ..) => Purpose::Connections,
        };
    };
    // Its requests are answered by the backend, which may have nothing but the page.
    let shows = backend(&name.value, proxies).and_then(|at| proxies.get(at)).filter(|backend| {
        let shows = backend.servers.is_empty() && !backend.unreadable;
        shows && backend.kind == Kind::Backend && backend.settings.stats.own().is_some()
    });
    match shows {
        Some(backend) => {
            Purpose::Page(Page { stats: &backend.settings.stats, backend: Some(backend) })
        }
        None => Purpose::Connections,
    }
}

/// Says that a section without servers is not opened.
pub(super) fn nothing(proxy: &Proxy, out: &mut Vec<Diagnostic>) {
    let name = quoted(&proxy.name.value);
    if let Some(service) = proxy.service {
        let text = format!("{name} is not opened: vipd has no metrics for Prometheus yet");
        out.push(
            Diagnostic::warning(service, text)
                .help("`vipd status --json` shows the same facts; the port stays closed"),
        );
        return;
    }
    let text = format!("{name} is not opened: it has no servers");
    out.push(
        Diagnostic::warning(proxy.name.span, text)
            .note("vipd answers no requests itself but for its status page")
            .help("remove it, or add `stats enable` to have that page"),
    );
}

/// Says that a section with servers shows no page.
pub(super) fn no_page(proxy: &Proxy, out: &mut Vec<Diagnostic>) {
    if let Some(line) = proxy.settings.stats.own().or(proxy.service) {
        let text = format!("{} shows no statistics", quoted(&proxy.name.value));
        out.push(
            Diagnostic::warning(line, text)
                .note("a port that carries connections shows no page")
                .help("give the page a section of its own: `listen stats` with `bind` and `stats enable`"),
        );
    }
}

/// The page of a section, unless HAProxy would have shown it to fewer people.
pub(super) fn page(proxy: &Proxy, shown: &Page<'_>, out: &mut Vec<Diagnostic>) -> Option<RawPage> {
    let Page { stats, backend } = shown;
    let line = stats.first.unwrap_or(proxy.name.span);
    let behind = backend.iter().flat_map(|backend| backend.settings.guards.iter());
    let behind = behind.chain(backend.iter().flat_map(|backend| &backend.filters));
    let guards = stats.guards.iter().chain(&proxy.settings.guards).chain(&proxy.filters);
    let closed =
        |why: &str| format!("the page of {} is not opened: {why}", quoted(&proxy.name.value));
    if let Some(guard) = guards.chain(behind).next() {
        let why = format!("vipd does not know `{}`", guard.text);
        out.push(
            Diagnostic::warning(guard.span, closed(&why))
                .note("it would show the page to people whom HAProxy turns away")
                .help("remove the line, and protect the page by `stats auth USER:PASSWORD`, by a bind to 127.0.0.1, or by a firewall"),
        );
        return None;
    }
    if let Some(tls) = proxy.tls {
        out.push(
            Diagnostic::warning(tls, closed("vipd has no TLS of its own"))
                .note("it shows nothing in clear text that was meant to be encrypted")
                .help(
                    "bind it to 127.0.0.1 without `ssl`, and come by ssh or a web server with TLS",
                ),
        );
        return None;
    }
    let uri = stats.uri.clone().unwrap_or_else(|| Spanned::new(URI.to_owned(), line));
    let path = uri.value.split('?').next().and_then(page_path);
    let Some(path) = path else {
        let why = format!("{} is no path of its own", quoted(&uri.value));
        out.push(
            Diagnostic::warning(uri.span, closed(&why))
                .help("use `stats uri /` or, for example, `stats uri /stats`"),
        );
        return None;
    };
    if !proxy.is_http() {
        let places: Vec<String> =
            proxy.binds.iter().map(|bind| bind.value.address.to_string()).collect();
        let text = "HAProxy shows no statistics here: `stats` needs `mode http`";
        out.push(
            Diagnostic::warning(proxy.name.span, text)
                .note(format!("vipd serves its status page at {}", places.join(", ")))
                .help(
                    "remove the section if that is not wanted, or add `stats auth USER:PASSWORD`",
                ),
        );
    }
    if let Some(service) = proxy.service {
        out.push(
            Diagnostic::warning(service, "vipd has no metrics for Prometheus yet")
                .help("its status page has the same facts as JSON"),
        );
    }
    let mut raw = RawPage::new(proxy.name.clone());
    raw.binds.clone_from(&proxy.binds);
    raw.unreadable = proxy.unreadable;
    raw.inferred
        .push((uri.span, format!("status page at {path}, as JSON at {}", json_path(&path))));
    raw.path = Some(Spanned::new(path, uri.span));
    raw.refresh = stats.refresh.or(Some(Spanned::new(Duration::ZERO, line)));
    raw.users.clone_from(&stats.users);
    Some(raw)
}
