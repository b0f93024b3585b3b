//! One HTTP/1.1 request and its answer, over a connection of its own.
//!
//! Never kept alive: the connection is part of what is checked, and servers with few worker threads
//! (Patroni has five) would be held by idle ones.

use std::error::Error;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use super::connect::connect;
use super::exchange::{Answer, Wanted, contains, exchange};
use super::resolve::Resolver;
use super::tls::{self, Roots};
use super::{Deadline, Failure};
use crate::config::checks::{HttpCheck, HttpTarget};
use crate::track::outcome::Cause;

/// How much of a body is read.
pub(super) const BODY: usize = 64 * 1024;

const USER_AGENT: &str = concat!("vipd/", env!("CARGO_PKG_VERSION"));

/// A web server to ask.
#[derive(Debug)]
pub(super) struct Server {
    target: HttpTarget,
    tls: Option<tls::Client>,
    resolver: Resolver,
}

impl Server {
    pub(super) fn new(target: HttpTarget, resolver: Resolver, roots: Roots) -> Server {
        let tls =
            target.tls.as_ref().map(|tls| tls::Client::new(tls, &target.endpoint.host, roots));
        Server { target, tls, resolver }
    }

    /// Asks once. Resolving, connecting, TLS, request and answer share one deadline.
    pub(super) async fn ask(
        &mut self,
        method: &Method,
        path: &PathAndQuery,
        wanted: Wanted<'_>,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path)?;
        let endpoint = &self.target.endpoint;
        let (stream, address) = connect(endpoint, &self.resolver, deadline).await?;
        let address = address.to_string();
        match &mut self.tls {
            None => exchange(stream, &request, wanted, &address, deadline).await,
            Some(tls) => {
                let stream = tls.connect(stream, deadline).await?;
                exchange(stream, &request, wanted, &address, deadline).await
            }
        }
    }

    fn request(&self, method: &Method, path: &PathAndQuery) -> Result<Vec<u8>, Failure> {
        let cannot = |error: &dyn Error| Failure::new(Cause::CannotRun, error.to_string());
        let endpoint = &self.target.endpoint;
        let default = if self.tls.is_some() { 443 } else { 80 };
        let host = match &self.target.host {
            Some(host) => host.clone(),
            None => {
                let text = endpoint.to_string();
                let plain = text.strip_suffix(&format!(":{default}")).unwrap_or(&text);
                HeaderValue::from_str(plain).map_err(|error| cannot(&error))?
            }
        };
        let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        let mut header = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                request.extend_from_slice(part);
            }
        };
        header("host", host.as_bytes());
        let own = [("user-agent", USER_AGENT.as_bytes()), ("accept", b"*/*".as_slice())];
        for (name, value) in own {
            if self.target.headers.iter().all(|(other, _)| other != name) {
                header(name, value);
            }
        }
        for (name, value) in &self.target.headers {
            header(name.as_str(), value.as_bytes());
        }
        header("connection", b"close");
        request.extend_from_slice(b"\r\n");
        Ok(request)
    }
}

#[derive(Debug)]
pub(super) struct Http {
    server: Server,
    check: HttpCheck,
}

impl Http {
    pub(super) fn new(check: &HttpCheck, resolver: Resolver, roots: Roots) -> Http {
        let server = Server::new(check.target.clone(), resolver, roots);
        Http { server, check: check.clone() }
    }

    pub(super) async fn run(&mut self, deadline: Deadline) -> Result<String, Failure> {
        let check = &self.check;
        let text = check.body_contains.as_deref();
        let wanted = text.map_or(Wanted::Status, |text| Wanted::Text(text, BODY));
        let answer = self.server.ask(&check.method, &check.path, wanted, deadline).await?;
        let wrong = |text| Err(Failure::new(Cause::WrongAnswer, text));
        if !check.expect.contains(answer.status) {
            return wrong(format!("status {}, not {}", answer.status, check.expect));
        }
        if let Some(text) = text
            && !contains(&answer.body, text.as_bytes())
        {
            return wrong(format!("status {}, but the body lacks {text:?}", answer.status));
        }
        Ok(format!("status {}", answer.status))
    }
}
