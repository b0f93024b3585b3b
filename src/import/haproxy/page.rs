//! `stats`: sections that show vipd's status page.
//!
//! A page is shown to nobody who would not have been let in by HAProxy. Where that hangs on
//! conditions vipd does not know, there is no page.

use std::fmt::Write;
use std::time::Duration;

use super::exporter::{Asks, Exporter, PATH};
use super::proxy::Proxy;
use super::route::backend;
use super::sections::Kind;
use super::stats::{Guard, Stats};
use crate::config::check::page_path;
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::model::{Shows, json_path};
use crate::config::raw::RawPage;

/// HAProxy's own.
const URI: &str = "/haproxy?stats";

/// What a section that listens is for.
pub(super) enum Purpose<'a> {
    /// Clients of servers.
    Connections,
    /// It shows statistics.
    Page(Page<'a>),
    /// It has metrics for Prometheus and nothing else.
    Metrics(&'a Exporter),
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
        return match (asks(stats), &proxy.exporter, http, proxy.unreadable) {
            (true, ..) => Purpose::Page(Page { stats, backend: None }),
            (false, Some(exporter), true, _) => Purpose::Metrics(exporter),
            (false, _, true, false) | (false, Some(_), false, false) => Purpose::Nothing,
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
    if let Some(exporter) = &proxy.exporter {
        let text = format!("{name} is not opened: HAProxy serves metrics in `mode http` alone");
        out.push(Diagnostic::warning(exporter.span, text).help("add `mode http`"));
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
    if let Some(line) = proxy.settings.stats.own() {
        let text = format!("{} shows no statistics", quoted(&proxy.name.value));
        out.push(
            Diagnostic::warning(line, text)
                .note("a port that carries connections shows no page")
                .help("give the page a section of its own: `listen stats` with `bind` and `stats enable`"),
        );
    } else if let Some(exporter) = &proxy.exporter {
        let text = format!("{} serves no metrics", quoted(&proxy.name.value));
        out.push(
            Diagnostic::warning(exporter.span, text)
                .note("a port that carries connections has no metrics")
                .help("give them a section of their own: `frontend` with `bind` and this line"),
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
    if is_closed(proxy, guards.chain(behind).next(), &closed, out) {
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
    let mut raw = opened(proxy);
    if let Some(exporter) = &proxy.exporter {
        let own = format!("{}{PATH}", path.trim_end_matches('/'));
        let asks = exporter.asks(&proxy.acls);
        let elsewhere = match &asks {
            Asks::Path(asked) if asked.value == own => None,
            Asks::Path(asked) if asked.value == PATH && path != PATH => None,
            Asks::Anything => None,
            Asks::Path(asked) => Some(format!("metrics are at {own} here, not at {}", asked.value)),
            Asks::Else => Some(format!(
                "vipd cannot judge the condition: metrics are at {own}, for those who see the page"
            )),
        };
        if let Some(text) = elsewhere {
            out.push(Diagnostic::warning(exporter.span, text).help(
                "have Prometheus ask there, or give the metrics a `frontend` of their own, where any path is kept",
            ));
        }
        let mut places = format!("metrics for Prometheus at {own}");
        if path != "/" && path != PATH {
            let _ = write!(places, " and {PATH}");
        }
        // `stats auth` is about the page alone, there too.
        if !stats.users.is_empty() && !matches!(asks, Asks::Else) {
            raw.open_metrics = Some(Spanned::new(true, exporter.span));
            places.push_str(", for everybody");
        }
        raw.inferred.push((exporter.span, places));
    }
    raw.inferred
        .push((uri.span, format!("status page at {path}, as JSON at {}", json_path(&path))));
    raw.path = Some(Spanned::new(path, uri.span));
    raw.refresh = stats.refresh.or(Some(Spanned::new(Duration::ZERO, line)));
    raw.users.clone_from(&stats.users);
    Some(raw)
}

/// The metrics of a section that has nothing else, unless HAProxy would have shown them to fewer people.
pub(super) fn metrics(
    proxy: &Proxy,
    exporter: &Exporter,
    out: &mut Vec<Diagnostic>,
) -> Option<RawPage> {
    let name = quoted(&proxy.name.value);
    let closed = |why: &str| format!("the metrics of {name} are not served: {why}");
    let guard = proxy.settings.guards.iter().chain(&proxy.filters).next();
    if is_closed(proxy, guard, &closed, out) {
        return None;
    }
    let path = match exporter.asks(&proxy.acls) {
        Asks::Path(path) => path,
        Asks::Anything => {
            let text = format!("metrics are at {PATH} alone, whatever HAProxy answers");
            out.push(Diagnostic::remark(exporter.span, text));
            Spanned::new(PATH.to_owned(), exporter.span)
        }
        Asks::Else => {
            out.push(
                Diagnostic::warning(exporter.span, closed("vipd cannot judge the condition"))
                    .note("it would serve them to people whom HAProxy turns away")
                    .help(format!(
                        "write `if {{ path {PATH} }}`, and protect the port by a firewall"
                    )),
            );
            return None;
        }
    };
    let mut raw = opened(proxy);
    let text = format!("metrics for Prometheus at {}", path.value);
    raw.inferred.push((exporter.span, text));
    raw.shows = Some(Spanned::new(Shows::Metrics, exporter.span));
    raw.path = Some(path);
    Some(raw)
}

/// A page where the section listens.
fn opened(proxy: &Proxy) -> RawPage {
    let mut raw = RawPage::new(proxy.name.clone());
    raw.binds.clone_from(&proxy.binds);
    raw.unreadable = proxy.unreadable;
    raw
}

/// Says so if vipd would let in more people than HAProxy.
fn is_closed(
    proxy: &Proxy,
    guard: Option<&Guard>,
    closed: &dyn Fn(&str) -> String,
    out: &mut Vec<Diagnostic>,
) -> bool {
    if let Some(guard) = guard {
        let why = format!("vipd does not know `{}`", guard.text);
        out.push(
            Diagnostic::warning(guard.span, closed(&why))
                .note("it would show the page to people whom HAProxy turns away")
                .help("remove the line, and protect the page by `stats auth USER:PASSWORD`, by a bind to 127.0.0.1, or by a firewall"),
        );
        return true;
    }
    if let Some(tls) = proxy.tls {
        out.push(
            Diagnostic::warning(tls, closed("vipd has no TLS of its own"))
                .note("it shows nothing in clear text that was meant to be encrypted")
                .help(
                    "bind it to 127.0.0.1 without `ssl`, and come by ssh or a web server with TLS",
                ),
        );
        return true;
    }
    false
}
