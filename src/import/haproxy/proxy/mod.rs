//! `defaults`, `listen`, `frontend` and `backend`: what their lines say, and what they inherit.

mod bind;

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::CheckSettings;
use super::condition::Acls;
use super::exporter::Exporter;
use super::keywords::{KeywordScope, Reporter};
use super::lexer::{Line, Word};
use super::sections::{Kind, Section};
use super::server::{Server, ServerOptions, TlsDefaults, choice, options, server};
use super::stats::{Guard, Stats, guards};
use super::values::{duration, number, plain, text};
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::config::model::BindConfig;
use crate::config::raw::RawLiveness;
use crate::pool::Balance;

/// What a section inherits.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// `mode`, and whether it is http.
    pub(super) http: Option<Spanned<bool>>,
    pub(super) balance: Option<Spanned<Balance>>,
    pub(super) maxconn: Option<Spanned<i64>>,
    pub(super) backlog: Option<Spanned<i64>>,
    pub(super) timeouts: Timeouts,
    pub(super) all_backups: Option<Spanned<bool>>,
    pub(super) client: RawLiveness,
    pub(super) server: RawLiveness,
    pub(super) check: CheckSettings,
    pub(super) server_options: ServerOptions,
    pub(super) default_backend: Option<Spanned<String>>,
    pub(super) disabled: Option<Spanned<bool>>,
    pub(super) stats: Stats,
    /// Who may ask, in ways vipd cannot judge.
    pub(super) guards: Vec<Guard>,
}

/// `timeout`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeouts {
    pub(super) connect: Option<Spanned<Duration>>,
    pub(super) client: Option<Spanned<Duration>>,
    pub(super) server: Option<Spanned<Duration>>,
    pub(super) tunnel: Option<Spanned<Duration>>,
    pub(super) client_fin: Option<Spanned<Duration>>,
    pub(super) server_fin: Option<Spanned<Duration>>,
    pub(super) queue: Option<Spanned<Duration>>,
    pub(super) check: Option<Spanned<Duration>>,
}

/// Options that `no` cannot take back, with HAProxy neither.
const STAY: [&str; 13] = [
    "httpchk",
    "tcp-check",
    "pgsql-check",
    "mysql-check",
    "redis-check",
    "smtpchk",
    "ldap-check",
    "ssl-hello-chk",
    "external-check",
    "tcplog",
    "httplog",
    "tcpka",
    "forwardfor",
];

/// A `listen`, `frontend` or `backend`.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) kind: Kind,
    pub(super) name: Spanned<String>,
    pub(super) settings: Settings,
    pub(super) binds: Vec<Spanned<BindConfig>>,
    /// Some lines could not be read: they are wrong, not missing.
    pub(super) unreadable: bool,
    pub(super) servers: Vec<Server>,
    pub(super) acls: Acls,
    pub(super) rules: Vec<UseBackend>,
    /// Lines about HTTP, the first of them.
    pub(super) layer_7: Option<Word>,
    /// `bind … ssl`
    pub(super) tls: Option<Span>,
    /// `http-request use-service prometheus-exporter`
    pub(super) exporter: Option<Exporter>,
    /// `tcp-request` and whatever else decides who is let in.
    pub(super) filters: Vec<Guard>,
}

impl Proxy {
    /// It works on requests.
    pub(super) fn is_http(&self) -> bool {
        self.settings.http.is_some_and(|http| http.value)
    }
}

/// `use_backend NAME if CONDITION`.
#[derive(Debug)]
pub(super) struct UseBackend {
    pub(super) backend: Word,
    /// From `if` or `unless` on.
    pub(super) condition: Vec<Word>,
}

/// `global` as far as it concerns proxies.
#[derive(Debug, Default)]
pub(super) struct Global {
    pub(super) maxconn: Option<Spanned<i64>>,
    pub(super) tls: TlsDefaults,
}

/// Reads all sections.
pub(super) fn proxies(sections: &[Section], reporter: &mut Reporter<'_>) -> (Global, Vec<Proxy>) {
    let mut global = Global::default();
    for line in sections.iter().filter(|s| s.kind == Kind::Global).flat_map(|s| &s.lines) {
        read_global(line, &mut global, reporter);
    }
    let mut proxies = Vec::new();
    let mut named: BTreeMap<&str, Settings> = BTreeMap::new();
    let mut latest = Settings::default();
    for section in sections {
        if !section.is_proxy() && section.kind != Kind::Defaults {
            continue;
        }
        let base = base(section, &named, &latest, reporter);
        let name = section.name.as_ref().map(text);
        let name = name.unwrap_or_else(|| Spanned::new(String::new(), section.span()));
        let mut proxy = Proxy {
            kind: section.kind,
            name,
            settings: base,
            binds: Vec::new(),
            unreadable: false,
            servers: Vec::new(),
            acls: Acls::default(),
            rules: Vec::new(),
            layer_7: None,
            tls: None,
            exporter: None,
            filters: Vec::new(),
        };
        proxy.settings.check.inherit();
        proxy.settings.stats.inherit();
        for line in &section.lines {
            Reader { proxy: &mut proxy, tls: &global.tls, reporter: &mut *reporter }.line(line);
        }
        if section.kind == Kind::Defaults {
            latest = proxy.settings;
            if let Some(name) = &section.name {
                named.insert(name.text.as_str(), latest.clone());
            }
        } else {
            proxies.push(proxy);
        }
    }
    (global, proxies)
}

/// What a section begins with: nothing for plain defaults, which replace those before.
fn base(
    section: &Section,
    named: &BTreeMap<&str, Settings>,
    latest: &Settings,
    reporter: &mut Reporter<'_>,
) -> Settings {
    match &section.from {
        Some(from) => named.get(from.text.as_str()).cloned().unwrap_or_else(|| {
            let message =
                format!("there are no defaults called {} before this", quoted(&from.text));
            let known = nearest(&from.text, named.keys().copied());
            reporter.out.push(Diagnostic::error(from.span, message).suggest(known));
            Settings::default()
        }),
        None if section.kind == Kind::Defaults => Settings::default(),
        None => latest.clone(),
    }
}

fn read_global(line: &Line, global: &mut Global, reporter: &mut Reporter<'_>) {
    let Some(keyword) = reporter.line(KeywordScope::Global, line, "") else { return };
    let Some(value) = line.args.first() else { return };
    match keyword.name {
        "maxconn" => global.maxconn = number(value, reporter.out),
        "ca-base" => global.tls.ca_base = Some(value.text.clone()),
        "crt-base" => global.tls.crt_base = Some(value.text.clone()),
        "ssl-server-verify" if ["none", "required"].contains(&value.text.as_str()) => {
            global.tls.verify = Some(Spanned::new(value.text == "required", value.span));
        }
        "ssl-server-verify" => choice(value, &["none", "required"], reporter),
        name => debug_assert!(false, "{name} is in the table but not read"),
    }
}

/// Reads the lines of one section.
struct Reader<'a, 'o> {
    proxy: &'a mut Proxy,
    tls: &'a TlsDefaults,
    reporter: &'a mut Reporter<'o>,
}

impl Reader<'_, '_> {
    fn line(&mut self, line: &Line) {
        let Some(keyword) = self.reporter.line(KeywordScope::Proxy, line, "") else {
            let servers = ["server-template", "dispatch", "transparent"];
            let servers = servers.contains(&line.keyword.text.as_str());
            self.proxy.unreadable |=
                servers || KeywordScope::Proxy.find(&line.keyword.text).is_none();
            return;
        };
        if !self.fits(keyword.name, line) {
            return;
        }
        let Some(first) = line.args.first() else {
            self.switch(keyword.name, line);
            return;
        };
        match keyword.name {
            "mode" => match first.text.as_str() {
                "tcp" | "http" => {
                    let http = Spanned::new(first.text == "http", line.span());
                    self.proxy.settings.http = Some(http);
                }
                _ => choice(first, &["tcp"], self.reporter),
            },
            "bind" => bind::bind(line, self.proxy, self.reporter),
            "server" => {
                let defaults = self.proxy.settings.server_options.clone();
                match server(line, &defaults, self.tls, self.reporter) {
                    Some(server) => self.proxy.servers.push(server),
                    None => self.proxy.unreadable = true,
                }
            }
            "default-server" => {
                let defaults = &mut self.proxy.settings.server_options;
                options(&line.args, defaults, self.tls, self.reporter);
            }
            "default_backend" => self.proxy.settings.default_backend = Some(text(first)),
            "use_backend" => self.proxy.rules.push(UseBackend {
                backend: first.clone(),
                condition: line.args.iter().skip(1).cloned().collect(),
            }),
            "acl" => self.proxy.acls.define(line),
            "balance" => self.balance(line, first),
            "maxconn" => self.proxy.settings.maxconn = number(first, self.reporter.out),
            "backlog" => self.proxy.settings.backlog = number(first, self.reporter.out),
            "timeout" => self.timeout(line),
            "option" => self.option(line, true),
            "no" => self.no(line, first),
            "http-check" => {
                let Some(line) = line.rest() else { return };
                self.proxy.settings.check.http_check(&line, self.reporter);
            }
            "stats" => {
                let Some(line) = line.rest() else { return };
                self.proxy.settings.stats.line(&line, self.reporter);
            }
            "tcp-check" => self.proxy.settings.check.tcp_check(line, self.reporter),
            "tcp-request" => self.tcp_request(line, first),
            "http-request" if Exporter::is_in(line) => {
                let exporter = self.proxy.exporter.take();
                self.proxy.exporter = exporter.or_else(|| Some(Exporter::of(line)));
            }
            "http-request"
            | "http-response"
            | "http-after-response"
            | "http-error"
            | "redirect" => {
                let layer_7 = &mut self.proxy.layer_7;
                *layer_7 = layer_7.take().or_else(|| Some(line.keyword.clone()));
                if guards(keyword.name, &first.text) {
                    self.proxy.settings.guards.push(Guard::of(line));
                }
            }
            name => self.keepalive(name, first),
        }
    }

    /// What a section of its kind ignores, as HAProxy does.
    fn fits(&mut self, keyword: &str, line: &Line) -> bool {
        let kind = self.proxy.kind;
        let wrong = match kind {
            Kind::Backend => ["bind", "default_backend", "use_backend"].contains(&keyword),
            Kind::Frontend => keyword == "server",
            Kind::Defaults => ["bind", "server", "use_backend", "acl"].contains(&keyword),
            Kind::Listen | Kind::Global | Kind::Other => false,
        };
        if wrong {
            let section = match kind {
                Kind::Backend => "a backend",
                Kind::Frontend => "a frontend",
                _ => "defaults",
            };
            let message = format!("`{keyword}` has no meaning in {section}");
            let error = Diagnostic::error(line.keyword.span, message);
            self.reporter.out.push(error.help("move it to a section that has it, or use listen"));
        }
        !wrong
    }

    fn switch(&mut self, keyword: &str, line: &Line) {
        let set = |on| Some(Spanned::new(on, line.keyword.span));
        match keyword {
            "disabled" => self.proxy.settings.disabled = set(true),
            "enabled" => self.proxy.settings.disabled = set(false),
            "default-server" => {}
            name => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn keepalive(&mut self, name: &str, value: &Word) {
        let Settings { client, server, .. } = &mut self.proxy.settings;
        let (side, word) = match name.strip_prefix("cli") {
            Some(word) => (client, word),
            None => (server, name.trim_start_matches("srv")),
        };
        let out = &mut *self.reporter.out;
        let read = plain(side, RawLiveness::KEYS, word, (value, "s"), out);
        debug_assert!(read, "{name} is in the table but not read");
    }

    fn balance(&mut self, line: &Line, first: &Word) {
        let balance = match first.text.as_str() {
            "roundrobin" | "static-rr" => Balance::RoundRobin,
            "leastconn" => Balance::LeastConn,
            "first" => Balance::First,
            other => {
                let message = format!("`balance {other}` is not supported");
                self.reporter.out.push(
                    Diagnostic::error(line.span(), message)
                        .note("clients would reach other servers than with HAProxy")
                        .help("use roundrobin, leastconn or first"),
                );
                return;
            }
        };
        self.proxy.settings.balance = Some(Spanned::new(balance, first.span));
    }

    fn timeout(&mut self, line: &Line) {
        let Some(line) = line.rest() else { return };
        let Some(keyword) = self.reporter.line(KeywordScope::Timeout, &line, "timeout ") else {
            return;
        };
        let Some(value) = line.args.first() else { return };
        // 0 is no limit, as if it were not there.
        let time = duration(value, self.reporter.out).filter(|time| !time.value.is_zero());
        let misplaced = match (self.proxy.kind, keyword.name) {
            (Kind::Backend, "client" | "client-fin") => Some("a backend has no clients"),
            (Kind::Frontend, "connect" | "server" | "server-fin" | "queue" | "check") => {
                Some("a frontend has no servers")
            }
            _ => None,
        };
        if let Some(why) = misplaced {
            let setting = format!("timeout {}", keyword.name);
            self.reporter.out.push(Diagnostic::no_effect(line.span(), &setting, why));
            return;
        }
        let timeouts = &mut self.proxy.settings.timeouts;
        match keyword.name {
            "connect" => timeouts.connect = time,
            "client" => timeouts.client = time,
            "server" => timeouts.server = time,
            "tunnel" => timeouts.tunnel = time,
            "client-fin" => timeouts.client_fin = time,
            "server-fin" => timeouts.server_fin = time,
            "queue" => timeouts.queue = time,
            "check" => timeouts.check = time,
            name => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn option(&mut self, line: &Line, on: bool) {
        let Some(line) = line.rest() else { return };
        let before = if on { "option " } else { "no option " };
        let Some(keyword) = self.reporter.line(KeywordScope::Option, &line, before) else { return };
        let settings = &mut self.proxy.settings;
        match keyword.name {
            "allbackups" => settings.all_backups = Some(Spanned::new(on, line.span())),
            _ => settings.check.option(&line, self.reporter),
        }
    }

    /// `no option …`; what else can be taken back was never set.
    fn no(&mut self, line: &Line, first: &Word) {
        let Some(rest) = line.rest() else { return };
        if let ("option", Some(option)) = (first.text.as_str(), rest.args.first())
            && STAY.contains(&option.text.as_str())
        {
            let message =
                format!("`no option {}` takes nothing back, and HAProxy refuses it", option.text);
            let error = Diagnostic::error(line.span(), message);
            self.reporter
                .out
                .push(error.help("remove it; of several ways of checking the last one counts"));
            return;
        }
        if first.text == "option" && !rest.args.is_empty() {
            // Taking back what vipd refuses is in order.
            let refused =
                rest.args.first().and_then(|option| KeywordScope::Option.find(&option.text));
            let refused = refused
                .is_some_and(|option| matches!(option.class, super::keywords::Class::Refused(_)));
            if !refused {
                self.option(&rest, false);
            }
            return;
        }
        if first.text != "log" {
            let message = format!("nothing can be taken back by `no {}`", first.text);
            let error = Diagnostic::error(line.span(), message);
            self.reporter.out.push(error.help("write `no option NAME`"));
        }
    }

    fn tcp_request(&mut self, line: &Line, first: &Word) {
        if first.text == "inspect-delay" {
            let message = "`tcp-request inspect-delay`: vipd waits for what clients send anyway";
            self.reporter.out.push(Diagnostic::remark(line.span(), message));
            return;
        }
        let filter = Guard::of(line);
        if self.proxy.kind == Kind::Defaults {
            self.reporter.out.push(filter.refused());
        } else {
            self.proxy.filters.push(filter);
        }
    }
}
