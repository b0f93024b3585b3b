//! `stats`: sections that show vipd's status page.
//!
//! A page is shown to nobody who would not have been let in by HAProxy. Where that hangs on
//! conditions vipd does not know, there is no page.

use std::time::Duration;

use super::keywords::{KeywordScope, Reporter};
use super::lexer::Line;
use super::proxy::Proxy;
use super::route::backend;
use super::sections::Kind;
use super::values::{seconds, text};
use crate::config::check::page_path;
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::model::json_path;
use crate::config::raw::{RawPage, RawUser, Secret};

/// HAProxy's own.
const URI: &str = "/haproxy?stats";

/// `stats` lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    /// The first of them. Every one asks for the page.
    first: Option<Span>,
    /// They are those of the defaults.
    inherited: bool,
    uri: Option<Spanned<String>>,
    refresh: Option<Spanned<Duration>>,
    users: Vec<RawUser>,
    guards: Vec<Guard>,
}

/// A line that decides who is let in, in a way vipd does not know.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// Its first two words.
    text: String,
    span: Span,
}

impl Guard {
    pub(super) fn of(line: &Line) -> Guard {
        let words: Vec<&str> = line.words().take(2).map(|word| word.text.as_str()).collect();
        Guard { text: words.join(" "), span: line.span() }
    }

    /// It stands where clients connect.
    pub(super) fn refused(&self) -> Diagnostic {
        Diagnostic::error(self.span, format!("`{}` is not supported", self.text))
            .note("vipd cannot tell whom it lets in, and would let in everybody")
            .help("let a firewall on this host do it, for example `nft add rule` with `ip saddr`")
    }
}

/// Whether a rule about requests may turn somebody away, or send them elsewhere.
pub(super) fn guards(keyword: &str, action: &str) -> bool {
    let harmless = ["set-", "add-", "del-", "replace-header", "unset-var", "capture", "track-sc"];
    let asks = ["http-request", "redirect"].contains(&keyword);
    asks && !harmless.iter().any(|start| action.starts_with(start))
}

impl Stats {
    /// What follows belongs to a section of its own.
    pub(super) fn inherit(&mut self) {
        self.inherited = true;
    }

    /// Reads what stands behind `stats`.
    pub(super) fn line(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        if self.inherited {
            // The first own line takes the place of all of the defaults, their users included.
            *self = Stats::default();
        }
        self.first = self.first.or(Some(line.span()));
        let Some(keyword) = reporter.line(KeywordScope::Stats, line, "stats ") else { return };
        match (keyword.name, line.args.first()) {
            ("uri", Some(value)) => self.uri = Some(text(value)),
            ("refresh", Some(value)) => self.refresh = seconds(value, reporter.out),
            ("auth", Some(value)) => self.user(&text(value), reporter),
            ("http-request" | "scope", _) => {
                let text = format!("stats {}", keyword.name);
                self.guards.push(Guard { text, span: line.span() });
            }
            ("enable", _) => {}
            (name, _) => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn user(&mut self, word: &Spanned<String>, reporter: &mut Reporter<'_>) {
        let Spanned { value, span } = word;
        let (name, password) = value.split_once(':').unwrap_or((value, ""));
        if let Some(first) = self.users.iter().find(|user| user.name.value == name) {
            reporter.out.push(
                Diagnostic::warning(*span, format!("user {} exists twice", quoted(name)))
                    .also(first.name.span, "this one counts, as in HAProxy")
                    .help("remove one of them"),
            );
            return;
        }
        let password = Spanned::new(Secret(password.as_bytes().to_vec()), *span);
        let name = Spanned::new(name.to_owned(), *span);
        self.users.push(RawUser { name, password: Some(password) });
    }

    /// The section itself asks for the page.
    fn own(&self) -> Option<Span> {
        self.first.filter(|_| !self.inherited)
    }
}

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
