//! How the servers of a section are asked: `option httpchk` and its like.

use super::keywords::{KeywordScope, Reporter};
use super::lexer::{Line, Word};
use super::values::{number, text};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};

/// What a section says about its checks.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckSettings {
    /// The method, the last one; a connection if there is none.
    pub(super) method: Option<Spanned<Method>>,
    /// Those the section itself names.
    own: Vec<Spanned<&'static str>>,
    /// The request, by `option httpchk`.
    option: Request,
    /// The same by `http-check send`, which wins.
    send: Request,
    pub(super) expect: Option<Expect>,
    /// `http-check connect port`
    pub(super) port: Option<Spanned<i64>>,
    /// `http-check connect ssl`
    pub(super) https: Option<Span>,
    /// `option pgsql-check user`
    pub(super) user: Option<Spanned<String>>,
    /// `http-check connect sni`
    pub(super) sni: Option<Spanned<String>>,
    /// How far the section's own `http-check` lines are.
    step: Step,
}

/// How far `http-check` lines are: each goes one step further, or they are about a second question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// They are those of the defaults, if there are any.
    #[default]
    Inherited,
    Own,
    Connected,
    Sent,
    Expected,
}

/// A method of checking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Http,
    Tcp,
    Postgres,
}

/// An HTTP request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: Option<Spanned<String>>,
    pub(super) uri: Option<Spanned<String>>,
    pub(super) host: Option<Spanned<String>>,
    /// Further headers, name and value.
    pub(super) headers: Vec<(Spanned<String>, Spanned<String>)>,
}

/// What a good answer has.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    Status(Spanned<String>),
    Body(Spanned<String>),
}

impl CheckSettings {
    /// A section that inherits these has named nothing itself yet.
    pub(super) fn inherit(&mut self) {
        self.own.clear();
        self.step = Step::Inherited;
    }

    /// The first line of a section about its checks puts `http-check` lines of the defaults out of
    /// force, all of them.
    fn begin(&mut self) {
        if self.step == Step::Inherited {
            self.step = Step::Own;
            self.send = Request::default();
            (self.expect, self.port, self.https, self.sni) = (None, None, None, None);
        }
    }

    /// Whether servers are asked by HTTP.
    pub(super) fn is_http(&self) -> bool {
        self.method.is_some_and(|method| method.value == Method::Http)
    }

    /// The methods the section names, if it names several: only the last one is used.
    pub(super) fn several(&self) -> Option<(&[Spanned<&'static str>], Spanned<&'static str>)> {
        let (last, before) = self.own.split_last()?;
        before.iter().any(|other| other.value != last.value).then_some((before, *last))
    }

    /// The request that is sent.
    pub(super) fn request(&self) -> Request {
        let (send, option) = (self.send.clone(), self.option.clone());
        Request {
            method: send.method.or(option.method),
            uri: send.uri.or(option.uri),
            host: send.host.or(option.host),
            headers: option.headers.into_iter().chain(send.headers).collect(),
        }
    }

    /// `option httpchk`, `tcp-check` and `pgsql-check`.
    pub(super) fn option(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        let (method, name) = match line.keyword.text.as_str() {
            "httpchk" => (Method::Http, "option httpchk"),
            "tcp-check" => (Method::Tcp, "option tcp-check"),
            "pgsql-check" => (Method::Postgres, "option pgsql-check"),
            name => {
                debug_assert!(false, "{name} is in the table but not read");
                return;
            }
        };
        self.method = Some(Spanned::new(method, line.span()));
        self.own.push(Spanned::new(name, line.span()));
        match method {
            Method::Http => self.httpchk(&line.args, reporter),
            Method::Postgres => self.pgsql_check(line, reporter),
            Method::Tcp => {}
        }
    }

    fn pgsql_check(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        match line.args.as_slice() {
            [word, user] if word.text == "user" => self.user = Some(text(user)),
            _ => reporter.out.push(
                Diagnostic::error(line.span(), "`option pgsql-check` needs a user")
                    .help("write `option pgsql-check user NAME`; NAME needs no rights"),
            ),
        }
    }

    /// `[METHOD] [URI] [VERSION [HOST]]`: one word alone is the URI.
    fn httpchk(&mut self, words: &[Word], reporter: &mut Reporter<'_>) {
        self.begin();
        if !words.is_empty() {
            // Of two requests the later one counts.
            self.send = Request::default();
        }
        let (method, uri, version) = match words {
            [] => (None, None, None),
            [uri] => (None, Some(uri_of(uri, reporter)), None),
            [method, uri, version @ ..] => {
                (Some(method), Some(uri_of(uri, reporter)), version.first())
            }
        };
        let (host, headers) = version.map(|version| headers(version, reporter)).unwrap_or_default();
        self.option = Request { method: method.map(text), uri, host, headers };
    }

    /// `http-check KEYWORD …`
    pub(super) fn http_check(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        let Some(keyword) = reporter.line(KeywordScope::HttpCheck, line, "http-check ") else {
            return;
        };
        let step = match keyword.name {
            "connect" => Step::Connected,
            "send" => Step::Sent,
            _ => Step::Expected,
        };
        self.begin();
        if self.step >= step {
            reporter.out.push(
                Diagnostic::error(line.span(), "vipd asks one question, and this begins a second")
                    .note("servers that HAProxy takes for down would be up")
                    .help(
                        "keep one `http-check connect`, one `send` and one `expect`, in this order",
                    ),
            );
            return;
        }
        self.step = step;
        match keyword.name {
            "expect" => self.expectation(line, reporter),
            "send" => self.send(line, reporter),
            "connect" => self.connect(line, reporter),
            name => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn expectation(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        let mut words = line.args.iter();
        while let Some(word) = words.next() {
            let value = words.next();
            match (word.text.as_str(), value) {
                // Such a server takes no new sessions.
                (_, Some(value)) if value.text == "L7OKC" => break,
                (
                    "comment" | "min-recv" | "ok-status" | "error-status" | "tout-status",
                    Some(_),
                )
                | ("on-success" | "on-error" | "status-code", Some(_)) => {}
                // There is one pattern, and it is the last.
                ("status" | "string", Some(_)) if !words.as_slice().is_empty() => break,
                ("status", Some(value)) => {
                    self.expect = Some(Expect::Status(text(value)));
                    return;
                }
                ("string", Some(value)) => {
                    self.expect = Some(Expect::Body(text(value)));
                    return;
                }
                _ => break,
            }
        }
        reporter.out.push(
            Diagnostic::error(line.span(), "vipd cannot expect this of an answer")
                .note("it knows `status`, with statuses and ranges, and `string`")
                .help("for example `http-check expect status 200-299`"),
        );
    }

    /// A request without a method is OPTIONS, as with `option httpchk`.
    fn send(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        let mut words = line.args.iter();
        while let Some(word) = words.next() {
            let count = if word.text == "hdr" { 2 } else { 1 };
            let values: Vec<&Word> = words.by_ref().take(count).collect();
            match (word.text.as_str(), values.as_slice()) {
                ("meth", [value]) => self.send.method = Some(text(value)),
                ("uri", [value]) => self.send.uri = Some(text(value)),
                ("ver" | "comment", [_]) => {}
                ("hdr", [name, value]) if name.text.eq_ignore_ascii_case("host") => {
                    self.send.host = Some(text(value));
                }
                ("hdr", [name, value]) => self.send.headers.extend(header(text(name), text(value))),
                _ => {
                    let message = format!("`http-check send {}` is not supported", word.text);
                    reporter.out.push(
                        Diagnostic::error(word.span, message)
                            .note("vipd sends a method, a path and headers")
                            .help("remove it, or ask a path that answers without it"),
                    );
                }
            }
        }
    }

    fn connect(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        let mut words = line.args.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "default" | "linger" => {}
                "ssl" => self.https = Some(word.span),
                "port" => self.port = words.next().and_then(|value| number(value, reporter.out)),
                "sni" => self.sni = words.next().map(text),
                "alpn" | "comment" => {
                    words.next();
                }
                other => {
                    let message = format!("`http-check connect {other}` is not supported");
                    reporter.out.push(
                        Diagnostic::error(word.span, message)
                            .help("where a server is asked stands on its line: `addr`, `port`"),
                    );
                    return;
                }
            }
        }
    }

    /// `tcp-check connect` is what `option tcp-check` does by itself.
    pub(super) fn tcp_check(&mut self, line: &Line, reporter: &mut Reporter<'_>) {
        let words: Vec<&str> = line.args.iter().map(|word| word.text.as_str()).collect();
        if matches!(words.as_slice(), ["connect"] | ["comment", _]) {
            return;
        }
        reporter.out.push(
            Diagnostic::error(line.span(), "vipd's TCP check connects and says nothing")
                .note("servers that answer wrongly would be up")
                .help(
                    "use option pgsql-check for PostgreSQL and PgBouncer, option httpchk for HTTP",
                ),
        );
    }
}

/// Where a word is the URI. One that does not begin with a slash is sent as it is by HAProxy:
/// `OPTIONS/master`, of which Patroni reads what it knows.
fn uri_of(word: &Word, reporter: &mut Reporter<'_>) -> Spanned<String> {
    let at = word.text.find('/').unwrap_or_default();
    let path = word.text.get(at..).unwrap_or_default();
    if at > 0 {
        let message = format!("{} is taken for {}", quoted(&word.text), quoted(path));
        reporter.out.push(
            Diagnostic::warning(word.span, message)
                .note("HAProxy sends it as it is, and a server may read the path in it, or not")
                .help(format!("write method and path apart: `option httpchk GET {path}`")),
        );
    }
    Spanned::new(path.to_owned(), word.span)
}

/// Who is asked, by a header, and further headers.
type Headers = (Option<Spanned<String>>, Vec<(Spanned<String>, Spanned<String>)>);

/// The old way to headers: `HTTP/1.0\r\nHost:\ NAME`.
fn headers(version: &Word, reporter: &mut Reporter<'_>) -> Headers {
    let mut lines = version.text.split("\r\n");
    let mut right = lines.next().unwrap_or_default().starts_with("HTTP/");
    let (mut host, mut headers) = (None, Vec::new());
    for line in lines.filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            right = false;
            continue;
        };
        let part = |text: &str| Spanned::new(text.trim().to_owned(), version.span);
        if name.trim().eq_ignore_ascii_case("host") {
            host = Some(part(value));
        } else {
            headers.extend(header(part(name), part(value)));
        }
    }
    if !right {
        reporter.out.push(
            Diagnostic::error(version.span, "vipd does not send this with a check")
                .note("it sends a method, a path and headers")
                .help("remove it, or ask a path that answers without it"),
        );
    }
    (host, headers)
}

/// A header, unless vipd sends it anyway: each check has a connection of its own and no body.
fn header(
    name: Spanned<String>,
    value: Spanned<String>,
) -> Option<(Spanned<String>, Spanned<String>)> {
    let own = ["connection", "content-length"];
    let own = own.iter().any(|known| name.value.eq_ignore_ascii_case(known));
    (!own).then_some((name, value))
}
