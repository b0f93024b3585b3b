//! What a tracker looks at: texts to the types of [`crate::config::checks`].

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use http::{HeaderName, HeaderValue, Method};

use super::commands;
use super::notify::run_as;
use super::proxy::data;
use super::trackers::TrackerCheck;
use crate::config::checks::{
    Check, Endpoint, FileCheck, HaproxyCheck, HaproxyPage, HaproxyStats, Host, HttpCheck,
    HttpTarget, MaxLag, PatroniCheck, PatroniRole, PostgresCheck, ProcessCheck, ProxySide,
    ScriptCheck, Statuses, TcpCheck, Tls, Trust, Url,
};
use crate::config::diag::{Diagnostic, Spanned, quoted};
use crate::config::raw::{CheckKind, RawSettings};
use crate::types::Identity;

/// Headers every request has already.
const OWN_HEADERS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// Headers as written, name and value.
pub(super) fn headers(
    written: &[(Spanned<String>, Spanned<String>)],
    out: &mut Vec<Diagnostic>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in written {
        let known = match HeaderName::from_bytes(name.value.as_bytes()) {
            Ok(name) if OWN_HEADERS.contains(&name.as_str()) => {
                Err(format!("vipd writes the header {name} itself"))
            }
            Ok(name) => Ok(name),
            Err(_) => Err(format!("{} is no name of a header", quoted(&name.value))),
        };
        let known = known.map_err(|why| out.push(Diagnostic::error(name.span, why)));
        // The value may be a secret: it is not repeated.
        let text = HeaderValue::from_str(&value.value);
        let text = text.map_err(|_| {
            out.push(Diagnostic::error(value.span, "a header must be one line of text"));
        });
        if let (Ok(name), Ok(mut value)) = (known, text) {
            value.set_sensitive(true);
            headers.push((name, value));
        }
    }
    headers
}

impl TrackerCheck<'_> {
    pub(super) fn check(&mut self) -> Option<Check> {
        Some(match self.raw.kind {
            CheckKind::Script => Check::Script(self.script()?),
            CheckKind::File => {
                let path = self.required("path", self.settings.path.as_ref())?;
                Check::File(FileCheck { path: self.path(path)? })
            }
            CheckKind::Process => Check::Process(self.process()?),
            CheckKind::Tcp => Check::Tcp(TcpCheck { endpoint: self.endpoint(None)?, tls: None }),
            CheckKind::Postgres => {
                let endpoint = self.endpoint(NonZeroU16::new(5432))?;
                Check::Postgres(PostgresCheck { endpoint, user: None, tls: None })
            }
            CheckKind::Http => Check::Http(self.http()?),
            CheckKind::Patroni => Check::Patroni(self.patroni()?),
            CheckKind::Haproxy => Check::Haproxy(self.haproxy()?),
        })
    }

    fn script(&mut self) -> Option<ScriptCheck> {
        let command = self.required("command", self.settings.command.as_ref())?;
        let RawSettings { user, group, .. } = self.settings;
        let run_as = run_as([user, group], self.globals, self.out);
        let security = self.globals.script_security.is_some_and(|on| on.value);
        commands::remark(&command.value, command.span, commands::Use::Check, self.out);
        Some(ScriptCheck { command: command.value.clone(), run_as, security })
    }

    fn process(&mut self) -> Option<ProcessCheck> {
        let settings = self.settings;
        let pattern = self.required("name", settings.processes.as_ref())?.value.clone();
        let quorum = self.within("quorum", settings.quorum, 1..=65_535);
        let quorum = quorum.and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
        let quorum_max = self.within("quorum_max", settings.quorum_max, 0..=65_535);
        if let (Some(most @ 1..), Some(at)) = (quorum_max, settings.quorum_max)
            && most < quorum.get()
        {
            let text = format!("quorum_max is {most}, but quorum asks for {quorum} processes");
            self.out.push(Diagnostic::error(at.span, text));
        }
        Some(ProcessCheck { pattern, quorum, quorum_max })
    }

    fn http(&mut self) -> Option<HttpCheck> {
        let settings = self.settings;
        let url = self.url()?;
        let method = self.optional(settings.method.as_ref(), |text| {
            Method::from_bytes(text.as_bytes())
                .map_err(|_| format!("{} is no method", quoted(text)))
        });
        let expect = self.optional(settings.status.as_ref(), str::parse::<Statuses>);
        Some(HttpCheck {
            target: self.target(&url),
            method: method.unwrap_or_default(),
            path: url.path,
            expect: expect.unwrap_or_default(),
            body_contains: settings.body.as_ref().map(|body| body.value.clone()),
        })
    }

    fn patroni(&mut self) -> Option<PatroniCheck> {
        let settings = self.settings;
        let url = self.url()?;
        if let (false, Some(at)) = (url.path == "/", &settings.url) {
            self.out.push(
                Diagnostic::error(at.span, "the path follows from the role")
                    .help("write scheme, host and port only"),
            );
        }
        let lag = MaxLag {
            bytes: data(settings.max_lag.as_ref(), self.out),
            time: settings.max_lag_time.map(|time| time.value),
        };
        let written = settings.role.map_or(PatroniRole::Primary, |role| role.value);
        let (role, lags) = match written {
            PatroniRole::Replica(_) => (PatroniRole::Replica(lag), true),
            PatroniRole::Any(_) => (PatroniRole::Any(lag), true),
            PatroniRole::Async(_) => (PatroniRole::Async(lag), true),
            PatroniRole::Primary
            | PatroniRole::Sync
            | PatroniRole::Quorum
            | PatroniRole::StandbyLeader => (written, false),
        };
        let limit = settings.max_lag.as_ref().map(|at| at.span);
        if let (false, Some(span)) = (lags, limit.or(settings.max_lag_time.map(|at| at.span))) {
            self.out.push(
                Diagnostic::error(span, "this role has no lag")
                    .help("only replica, any and async do"),
            );
        }
        let tag = |(name, value): &(Spanned<String>, Spanned<String>)| {
            (name.value.clone(), value.value.clone())
        };
        let tags = settings.tags.iter().map(tag).collect();
        Some(PatroniCheck { target: self.target(&url), role, tags })
    }

    fn haproxy(&mut self) -> Option<HaproxyCheck> {
        let settings = self.settings;
        let stats = match (&settings.socket, &settings.url) {
            (Some(socket), None) => HaproxyStats::Socket(self.path(socket)?),
            (Some(_), Some(url)) => {
                let text = "a socket and a URL exclude each other";
                self.out.push(Diagnostic::error(url.span, text));
                return None;
            }
            (None, _) => {
                let url = self.url()?;
                let target = self.target(&url);
                HaproxyStats::Page(Box::new(HaproxyPage { target, path: url.path }))
            }
        };
        let min_servers = self.within("min_servers", settings.min_servers, 1..=65_535);
        let min_servers = min_servers.map(u32::from).and_then(NonZeroU32::new);
        Some(HaproxyCheck {
            stats,
            proxy: self.required("proxy", settings.proxy.as_ref())?.value.clone(),
            side: settings.side.map_or_else(ProxySide::default, |side| side.value),
            min_servers: min_servers.unwrap_or(NonZeroU32::MIN),
        })
    }

    fn endpoint(&mut self, default_port: Option<NonZeroU16>) -> Option<Endpoint> {
        let text = self.required("connect", self.settings.connect.as_ref())?;
        self.parsed(text, |text| Endpoint::parse(text, default_port))
    }

    fn url(&mut self) -> Option<Url> {
        let text = self.required("url", self.settings.url.as_ref())?;
        self.parsed(text, str::parse::<Url>)
    }

    /// A web server and how to speak to it.
    fn target(&mut self, url: &Url) -> HttpTarget {
        let settings = self.settings;
        let host = self.optional(settings.host.as_ref(), |text| {
            HeaderValue::from_str(text).map_err(|_| format!("{} is no host", quoted(text)))
        });
        let headers = headers(&settings.headers, self.out);
        let tls = self.tls(url.tls);
        HttpTarget { endpoint: url.endpoint.clone(), tls: url.tls.then_some(tls), host, headers }
    }

    fn tls(&mut self, https: bool) -> Tls {
        let settings = self.settings;
        let texts = [&settings.ca, &settings.cert, &settings.key, &settings.server_name];
        let first = texts.into_iter().flatten().map(|text| text.span).next();
        if let (false, Some(span)) = (https, first.or(settings.verify.map(|on| on.span))) {
            self.out.push(
                Diagnostic::error(span, "it has no meaning without https")
                    .help("write `https://…`, or remove it"),
            );
        }
        let trust = match (&settings.ca, settings.verify) {
            (Some(ca), Some(off)) if !off.value => {
                let text = "a certificate authority and no verification exclude each other";
                self.out.push(Diagnostic::error(off.span, text).also(ca.span, "the authority"));
                Trust::Anyone
            }
            (None, Some(off)) if !off.value => Trust::Anyone,
            (None, _) => Trust::System,
            (Some(ca), _) => self.path(ca).map_or(Trust::System, Trust::File),
        };
        let identity = match (&settings.cert, &settings.key) {
            (Some(certificate), Some(key)) => match (self.path(certificate), self.path(key)) {
                (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
                _ => None,
            },
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                let text = "a client's certificate and its key belong together";
                self.out.push(Diagnostic::error(one.span, text));
                None
            }
        };
        let server_name = self.optional(settings.server_name.as_ref(), str::parse::<Host>);
        Tls { trust, server_name, verify_name: true, identity }
    }

    fn path(&mut self, text: &Spanned<String>) -> Option<PathBuf> {
        self.parsed(text, |text| {
            if text.starts_with('/') {
                Ok(PathBuf::from(text))
            } else {
                Err(format!("{} must be an absolute path", quoted(text)))
            }
        })
    }

    /// A setting without which nothing can be checked.
    fn required<'s, T>(&mut self, key: &'static str, setting: Option<&'s T>) -> Option<&'s T> {
        if setting.is_none() && !self.raw.written.contains(key) {
            let raw = self.raw;
            let text = format!("{} {} has no `{}`", raw.words.block, raw.name.value, raw.word(key));
            self.out.push(Diagnostic::error(raw.name.span, text).droppable());
        }
        setting
    }

    fn optional<T, E: fmt::Display>(
        &mut self,
        text: Option<&Spanned<String>>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.parsed(text?, parse)
    }

    fn parsed<T, E: fmt::Display>(
        &mut self,
        text: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(&text.value);
        parsed.map_err(|e| self.out.push(Diagnostic::error(text.span, e.to_string()))).ok()
    }
}
