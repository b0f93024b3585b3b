//! How the servers of a section are asked: `option httpchk` and its like.

use super::keywords::{Place, Said};
use super::lexer::{Line, Word};
use super::values::{number, text};
use crate::config::diag::{Diagnostic, Span, Spanned};

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
        }
    }

    /// `option httpchk`, `tcp-check` and `pgsql-check`, on or off.
    pub(super) fn option(&mut self, line: &Line, on: bool, said: &mut Said<'_>) {
        let (method, name) = match line.keyword.text.as_str() {
            "httpchk" => (Method::Http, "option httpchk"),
            "tcp-check" => (Method::Tcp, "option tcp-check"),
            "pgsql-check" => (Method::Postgres, "option pgsql-check"),
            name => {
                debug_assert!(false, "{name} is in the table but not read");
                return;
            }
        };
        if !on {
            self.method = self.method.filter(|set| set.value != method);
            return;
        }
        self.method = Some(Spanned::new(method, line.span()));
        self.own.push(Spanned::new(name, line.span()));
        if method == Method::Http {
            self.httpchk(&line.args, said);
        }
    }

    /// `[METHOD] [URI] [VERSION [HOST]]`: one word alone is the URI.
    fn httpchk(&mut self, words: &[Word], said: &mut Said<'_>) {
        self.begin();
        if !words.is_empty() {
            // Of two requests the later one counts.
            self.send = Request::default();
        }
        let (method, uri, version) = match words {
            [] => (None, None, None),
            [uri] => (None, Some(uri), None),
            [method, uri, version @ ..] => (Some(method), Some(uri), version.first()),
        };
        self.option = Request {
            method: method.map(text),
            uri: uri.map(text),
            host: version.and_then(|version| host(version, said)),
        };
    }

    /// `http-check KEYWORD …`
    pub(super) fn http_check(&mut self, line: &Line, said: &mut Said<'_>) {
        let Some(keyword) = said.line(Place::HttpCheck, line, "http-check ") else { return };
        let step = match keyword.name {
            "connect" => Step::Connected,
            "send" => Step::Sent,
            _ => Step::Expected,
        };
        self.begin();
        if self.step >= step {
            said.out.push(
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
            "expect" => self.expectation(line, said),
            "send" => self.send(line, said),
            "connect" => self.connect(line, said),
            name => debug_assert!(false, "{name} is in the table but not read"),
        }
    }

    fn expectation(&mut self, line: &Line, said: &mut Said<'_>) {
        let mut words = line.args.iter();
        while let Some(word) = words.next() {
            let value = words.next();
            match (word.text.as_str(), value) {
                (
                    "comment" | "min-recv" | "ok-status" | "error-status" | "tout-status",
                    Some(_),
                )
                | ("on-success" | "on-error" | "status-code", Some(_)) => {}
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
        said.out.push(
            Diagnostic::error(line.span(), "vipd cannot expect this of an answer")
                .note("it knows `status`, with statuses and ranges, and `string`")
                .help("for example `http-check expect status 200-299`"),
        );
    }

    /// A request without a method is OPTIONS, as with `option httpchk`.
    fn send(&mut self, line: &Line, said: &mut Said<'_>) {
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
                _ => {
                    let message = format!("`http-check send {}` is not supported", word.text);
                    said.out.push(
                        Diagnostic::error(word.span, message)
                            .note("vipd sends a method, a path and the Host header")
                            .help("remove it, or ask a path that answers without it"),
                    );
                }
            }
        }
    }

    fn connect(&mut self, line: &Line, said: &mut Said<'_>) {
        let mut words = line.args.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "default" | "linger" => {}
                "ssl" => self.https = Some(word.span),
                "port" => self.port = words.next().and_then(|value| number(value, said.out)),
                "sni" => self.sni = words.next().map(text),
                "alpn" | "comment" => {
                    words.next();
                }
                other => {
                    let message = format!("`http-check connect {other}` is not supported");
                    said.out.push(
                        Diagnostic::error(word.span, message)
                            .help("where a server is asked stands on its line: `addr`, `port`"),
                    );
                    return;
                }
            }
        }
    }

    /// `tcp-check connect` is what `option tcp-check` does by itself.
    pub(super) fn tcp_check(&mut self, line: &Line, said: &mut Said<'_>) {
        let words: Vec<&str> = line.args.iter().map(|word| word.text.as_str()).collect();
        if matches!(words.as_slice(), ["connect"] | ["comment", _]) {
            return;
        }
        said.out.push(
            Diagnostic::error(line.span(), "vipd's TCP check connects and says nothing")
                .note("servers that answer wrongly would be up")
                .help(
                    "use option pgsql-check for PostgreSQL and PgBouncer, option httpchk for HTTP",
                ),
        );
    }
}

/// The old way to a Host header: `HTTP/1.0\r\nHost:\ NAME`.
fn host(version: &Word, said: &mut Said<'_>) -> Option<Spanned<String>> {
    let mut lines = version.text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let headers: Vec<&str> = lines.collect();
    let host = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
    });
    let others =
        headers.iter().filter(|line| !line.is_empty()).count() > usize::from(host.is_some());
    if !first.starts_with("HTTP/") || others {
        said.out.push(
            Diagnostic::error(version.span, "vipd does not send this with a check")
                .note("it sends a method, a path and the Host header")
                .help("remove it, or ask a path that answers without it"),
        );
    }
    Some(Spanned::new(host?, version.span))
}
