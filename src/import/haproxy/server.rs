//! `server` and `default-server` lines.

use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use super::keywords::{KeywordScope, Reporter};
use super::lexer::{Line, Word};
use super::values::{duration, number, plain, text, without_brackets};
use crate::config::checks::{Endpoint, Host};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::raw::{RawRhythm, RawTls};

/// What is wrong with a value.
const NO_HOST: &str = "neither an address nor a host name";
const NO_PORT: &str = "a port is 1 to 65535";

/// The words of a server line.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerOptions {
    pub(super) check: Option<Spanned<bool>>,
    pub(super) port: Option<Spanned<NonZeroU16>>,
    pub(super) addr: Option<Spanned<Host>>,
    pub(super) rhythm: RawRhythm,
    pub(super) weight: Option<Spanned<i64>>,
    /// `id`
    pub(super) id: Option<Spanned<i64>>,
    pub(super) maxconn: Option<Spanned<i64>>,
    pub(super) backup: Option<Spanned<bool>>,
    pub(super) disabled: Option<Spanned<bool>>,
    /// `on-marked-down shutdown-sessions`
    pub(super) ends_sessions: Option<Span>,
    /// `on-marked-up shutdown-backup-sessions`
    pub(super) ends_backups: Option<Span>,
    pub(super) tls: RawTls,
    /// `ca-file @system-ca`
    pub(super) system_ca: bool,
    /// `init-addr` with `none` or an address: it may be unknown at first.
    pub(super) unresolved: bool,
    /// `check-sni`
    pub(super) sni: Option<Spanned<String>>,
    /// `verifyhost`
    pub(super) verify_host: Option<Spanned<String>>,
    pub(super) tcp_user_timeout: Option<Spanned<Duration>>,
}

/// A server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: Spanned<String>,
    pub(super) address: Spanned<Endpoint>,
    pub(super) options: ServerOptions,
}

impl Server {
    pub(super) fn is_checked(&self) -> bool {
        self.options.check.is_some_and(|check| check.value)
    }
}

/// Where the files of checks over TLS are, and whether they verify.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsDefaults {
    pub(super) ca_base: Option<String>,
    pub(super) crt_base: Option<String>,
    pub(super) verify: Option<Spanned<bool>>,
}

/// Reads `server NAME ADDRESS OPTION…`; `None` if it has no usable address.
pub(super) fn server(
    line: &Line,
    defaults: &ServerOptions,
    tls: &TlsDefaults,
    reporter: &mut Reporter<'_>,
) -> Option<Server> {
    let (name, address, words) = match line.args.as_slice() {
        [name, address, words @ ..] => (name, address, words),
        _ => return None,
    };
    let mut server_options = defaults.clone();
    options(words, &mut server_options, tls, reporter);
    let endpoint = endpoint(&address.text).map_err(|why| {
        let message = format!("{} is no server vipd can reach: {why}", quoted(&address.text));
        let error = Diagnostic::error(address.span, message);
        reporter
            .out
            .push(error.help("for example `10.0.0.11:5432`, `[2001:db8::11]:5432` or `db1:5432`"));
    });
    let address = Spanned::new(endpoint.ok()?, address.span);
    Some(Server { name: text(name), address, options: server_options })
}

fn endpoint(text: &str) -> Result<Endpoint, &'static str> {
    let place = text.strip_prefix("ipv4@").or_else(|| text.strip_prefix("ipv6@")).unwrap_or(text);
    if place.starts_with('/') || place.contains('@') {
        return Err("it is no TCP port");
    }
    let Some((host, port)) = place.rsplit_once(':') else {
        return Err("there is no port, and HAProxy takes the one the client connected to");
    };
    let host = without_brackets(host);
    if matches!(host, "" | "*" | "0.0.0.0" | "::") {
        return Err("there is no host, and HAProxy takes the address the client connected to");
    }
    if port.starts_with(['+', '-']) {
        return Err("HAProxy reckons its port from the one the client connected to");
    }
    let host = host.parse::<Host>().map_err(|_| "there is no host")?;
    let port = port.parse::<NonZeroU16>().map_err(|_| NO_PORT)?;
    Ok(Endpoint { host, port })
}

/// Reads the words behind `default-server`, or behind the address of a server.
pub(super) fn options(
    words: &[Word],
    options: &mut ServerOptions,
    tls: &TlsDefaults,
    reporter: &mut Reporter<'_>,
) {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let keyword = KeywordScope::Server.find(&word.text);
        let honoured = reporter.keyword(KeywordScope::Server, word, "server … ").is_some();
        let count = keyword.map_or(0, |keyword| keyword.args.0);
        let values: Vec<&Word> = words.by_ref().take(count).collect();
        match (values.as_slice(), count) {
            _ if !honoured => {}
            ([], 0) => switch(word, options),
            ([value], 1) => setting(word, value, options, tls, reporter),
            _ => {
                let message = format!("`{}` needs a value", word.text);
                reporter.out.push(Diagnostic::error(word.span, message));
            }
        }
    }
}

/// A word that needs no other.
fn switch(word: &Word, options: &mut ServerOptions) {
    let set = |on| Some(Spanned::new(on, word.span));
    match word.text.as_str() {
        "check" => options.check = set(true),
        "no-check" => options.check = set(false),
        "backup" => options.backup = set(true),
        "no-backup" => options.backup = set(false),
        "disabled" => options.disabled = set(true),
        "enabled" => options.disabled = set(false),
        "check-ssl" => options.tls.https = set(true),
        "no-check-ssl" => options.tls.https = set(false),
        name => debug_assert!(false, "{name} is in the table but not read"),
    }
}

fn setting(
    word: &Word,
    value: &Word,
    options: &mut ServerOptions,
    tls: &TlsDefaults,
    reporter: &mut Reporter<'_>,
) {
    let name = word.text.as_str();
    if plain(&mut options.rhythm, RawRhythm::KEYS, name, (value, "ms"), reporter.out) {
        return;
    }
    match name {
        "port" => options.port = parsed(value, NO_PORT, reporter),
        "addr" => match value.text.rsplit_once(':') {
            Some((host, port)) if value.text.parse::<Host>().is_err() => {
                let part = |text: &str| Word { text: text.to_owned(), span: value.span };
                let host = without_brackets(host);
                options.addr = parsed(&part(host), NO_HOST, reporter);
                let port = parsed(&part(port), NO_PORT, reporter);
                options.port = options.port.or(port);
            }
            _ => options.addr = parsed(value, NO_HOST, reporter),
        },
        "weight" => options.weight = number(value, reporter.out),
        "id" => options.id = number(value, reporter.out),
        "maxconn" => options.maxconn = number(value, reporter.out),
        "tcp-ut" => options.tcp_user_timeout = duration(value, reporter.out),
        "on-marked-down" if value.text == "shutdown-sessions" => {
            options.ends_sessions = Some(word.span);
        }
        "on-marked-down" => choice(value, &["shutdown-sessions"], reporter),
        "on-marked-up" if value.text == "shutdown-backup-sessions" => {
            options.ends_backups = Some(word.span);
        }
        "on-marked-up" => choice(value, &["shutdown-backup-sessions"], reporter),
        "verify" if ["none", "required"].contains(&value.text.as_str()) => {
            options.tls.verify = Some(Spanned::new(value.text == "required", value.span));
        }
        "verify" => choice(value, &["none", "required"], reporter),
        "ca-file" => {
            options.system_ca = value.text == "@system-ca";
            let file = (!options.system_ca).then(|| file(value, tls.ca_base.as_deref()));
            options.tls.ca = file;
        }
        // One file holds both.
        "crt" => {
            let file = file(value, tls.crt_base.as_deref());
            (options.tls.cert, options.tls.key) = (Some(file.clone()), Some(file));
        }
        "init-addr" => {
            let known = ["last", "libc"];
            options.unresolved = value.text.split(',').any(|word| !known.contains(&word));
        }
        "check-sni" => options.sni = Some(text(value)),
        "verifyhost" => options.verify_host = Some(text(value)),
        name => debug_assert!(false, "{name} is in the table but not read"),
    }
}

fn file(value: &Word, base: Option<&str>) -> Spanned<String> {
    let path = match base {
        Some(base) => Path::new(base).join(&value.text).display().to_string(),
        None => value.text.clone(),
    };
    Spanned::new(path, value.span)
}

/// Says what would have been right.
pub(super) fn choice(value: &Word, allowed: &[&str], reporter: &mut Reporter<'_>) {
    let message = format!("unknown value {}", quoted(&value.text));
    let error = Diagnostic::error(value.span, message);
    reporter.out.push(error.help(format!("allowed: {}", allowed.join(", "))));
}

fn parsed<T: std::str::FromStr>(
    value: &Word,
    wrong: &str,
    reporter: &mut Reporter<'_>,
) -> Option<Spanned<T>> {
    let found = value.text.parse::<T>().ok();
    if found.is_none() {
        let message = format!("{}: {wrong}", quoted(&value.text));
        reporter.out.push(Diagnostic::error(value.span, message));
    }
    Some(Spanned::new(found?, value.span))
}
