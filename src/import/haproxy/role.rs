//! What the check of a section says about its servers: a role in a Patroni cluster, or how each is
//! asked by itself.

use super::check::{CheckSettings, Expect, Method};
use super::proxy::Proxy;
use super::server::Server;
use crate::config::checks::{Endpoint, Statuses};
use crate::config::diag::{Span, Spanned};
use crate::pool::Wants;

/// Patroni's REST API where nothing else is said.
pub(super) const PATRONI_PORT: u16 = 8008;

/// Ports at which PostgreSQL and PgBouncer listen.
const SQL_PORTS: [u16; 3] = [5432, 5433, 6432];

/// What the servers of a section are, by how they are asked.
#[derive(Clone, Debug)]
pub(super) enum HealthCheck {
    /// Patroni knows who is who.
    Patroni(RoleCheck),
    /// A web server at a URL.
    Url(Spanned<String>),
    /// A connection.
    Tcp,
    /// PostgreSQL's first answer.
    Postgres,
    /// Nobody.
    Nothing,
}

/// The role a path of Patroni's REST API stands for.
#[derive(Clone, Debug)]
pub(super) struct RoleCheck {
    pub(super) wants: Wants,
    /// The path without what follows `?`, and its place.
    pub(super) path: Spanned<String>,
    /// `lag=`
    pub(super) lag: Option<Spanned<String>>,
    /// `tag_NAME=VALUE`
    pub(super) tags: Vec<(Spanned<String>, Spanned<String>)>,
    /// `replication_state=`
    pub(super) replication_state: Option<Spanned<String>>,
    /// Other parameters, which Patroni does not read either.
    pub(super) unread: Vec<String>,
}

/// Where a server is asked.
pub(super) fn check_endpoint(server: &Server, check: &CheckSettings) -> Endpoint {
    let Endpoint { host, port } = server.address.value.clone();
    let common = check.port.and_then(|port| u16::try_from(port.value).ok()?.try_into().ok());
    Endpoint {
        host: server.options.addr.as_ref().map_or(host, |addr| addr.value.clone()),
        port: server.options.port.map(|port| port.value).or(common).unwrap_or(port),
    }
}

/// Whether PostgreSQL or its pooler listens at every server.
pub(super) fn speaks_sql(proxy: &Proxy) -> bool {
    proxy.servers.iter().all(|s| SQL_PORTS.contains(&s.address.value.port.get()))
}

/// How the servers of `proxy` are asked; `others` are all there are, which may show what a bare `/`
/// is.
pub(super) fn health_check(proxy: &Proxy, others: &[Proxy]) -> HealthCheck {
    let check = &proxy.settings.check;
    if !proxy.servers.iter().any(Server::is_checked) {
        return HealthCheck::Nothing;
    }
    match check.method.map(|method| method.value) {
        None | Some(Method::Tcp) => HealthCheck::Tcp,
        Some(Method::Postgres) => HealthCheck::Postgres,
        Some(Method::Http) => {
            let role = role_check(check).filter(|role| is_patroni(proxy, role, others));
            match role {
                Some(role) => HealthCheck::Patroni(role),
                None => HealthCheck::Url(uri(check)),
            }
        }
    }
}

/// The path that is asked for, at its place or that of the option.
pub(super) fn uri(check: &CheckSettings) -> Spanned<String> {
    let option = check.method.map(|method| method.span);
    check.request().uri.unwrap_or_else(|| {
        let nowhere = Span::new(crate::config::diag::FileId::default(), 0..0);
        Spanned::new("/".to_owned(), option.unwrap_or(nowhere))
    })
}

/// The role a path stands for, if 200 is a good answer and 503 is not.
fn role_check(check: &CheckSettings) -> Option<RoleCheck> {
    let good = match &check.expect {
        None => true,
        Some(Expect::Status(status)) => status
            .value
            .parse::<Statuses>()
            .is_ok_and(|statuses| statuses.contains(200) && !statuses.contains(503)),
        Some(Expect::Body(_)) => false,
    };
    let Spanned { value, span } = uri(check);
    let (path, query) = value.split_once('?').unwrap_or((&value, ""));
    let wants = match path {
        "/" | "/primary" | "/master" | "/read-write" => Wants::Writer,
        "/leader" => Wants::Leader,
        "/replica" => Wants::Reader,
        "/read-only" => Wants::Any,
        "/sync" | "/synchronous" => Wants::Sync,
        "/async" | "/asynchronous" => Wants::Async,
        _ => return None,
    };
    let path = Spanned::new(path.to_owned(), span);
    let mut role = RoleCheck {
        wants,
        path,
        lag: None,
        tags: Vec::new(),
        replication_state: None,
        unread: Vec::new(),
    };
    for (name, value) in parameters(query) {
        let value = Spanned::new(value, span);
        match name.strip_prefix("tag_") {
            _ if value.value.is_empty() => role.unread.push(name),
            Some(tag) => role.tags.push((Spanned::new(tag.to_owned(), span), value)),
            None if name == "lag" => role.lag = Some(value),
            None if name == "replication_state" => role.replication_state = Some(value),
            None => role.unread.push(name),
        }
    }
    good.then_some(role)
}

/// The parameters of a query as Patroni reads them: decoded, and the first of each name. One
/// without a value it passes over.
fn parameters(query: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (name, value) = (decoded(name), decoded(value));
        if all.iter().all(|(known, _)| *known != name) {
            all.push((name, value));
        }
    }
    all
}

/// `+` and `%41` stand for a space and an A.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        let (byte, after) = match (first, code) {
            (b'%', Some(byte)) => (byte, tail.get(2..).unwrap_or_default()),
            (b'+', _) => (b' ', tail),
            (byte, _) => (*byte, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether it is Patroni that is asked: at a port of its own, and not just for `/` of any server.
fn is_patroni(proxy: &Proxy, role: &RoleCheck, others: &[Proxy]) -> bool {
    let check = &proxy.settings.check;
    let apart = |server: &Server| {
        let api = check_endpoint(server, check);
        api.port.get() == PATRONI_PORT || api != server.address.value
    };
    if !proxy.servers.iter().filter(|server| server.is_checked()).all(apart) {
        return false;
    }
    if role.path.value != "/" || speaks_sql(proxy) {
        return true;
    }
    let apis: Vec<Endpoint> = proxy.servers.iter().map(|s| check_endpoint(s, check)).collect();
    let named = |other: &&Proxy| {
        let check = &other.settings.check;
        let asks_http = check.method.is_some_and(|method| method.value == Method::Http);
        asks_http
            && role_check(check).is_some_and(|role| role.path.value != "/")
            && other.servers.iter().any(|server| apis.contains(&check_endpoint(server, check)))
    };
    apis.iter().all(|api| api.port.get() == PATRONI_PORT) || others.iter().any(|o| named(&o))
}
