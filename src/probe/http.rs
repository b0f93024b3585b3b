//! One HTTP/1.1 request and its answer, over a connection of its own.
//!
//! Never kept alive: the connection is part of what is checked, and servers with few worker threads
//! (Patroni has five) would be held by idle ones.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;

use futures_util::future::{Either, select};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::{broken, connect};
use super::resolve::Resolver;
use super::tls::{self, Roots, said_by_tls};
use super::{Deadline, Failure};
use crate::config::checks::{HttpCheck, HttpTarget};
use crate::track::outcome::Cause;

/// How much of a body is read.
const BODY: usize = 64 * 1024;

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("vipd/", env!("CARGO_PKG_VERSION")));

/// A web server to ask.
#[derive(Debug)]
pub(super) struct Server {
    target: HttpTarget,
    tls: Option<tls::Client>,
    resolver: Resolver,
}

/// What it said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Its `Date`: the time by the server's clock.
    pub(super) date: Option<String>,
    /// The first `limit` bytes of it.
    pub(super) body: Vec<u8>,
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
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        self.ask_for(method, path, BODY, deadline).await
    }

    /// Asks for an answer of up to `limit` bytes.
    pub(super) async fn ask_for(
        &mut self,
        method: &Method,
        path: &PathAndQuery,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path)?;
        let endpoint = &self.target.endpoint;
        let (stream, address) = connect(endpoint, &self.resolver, deadline).await?;
        let what = format!("waiting for the answer of {address}");
        let answer = match &mut self.tls {
            None => deadline.step(&what, exchange(stream, request, limit)).await?,
            Some(tls) => {
                let stream = tls.connect(stream, deadline).await?;
                deadline.step(&what, exchange(stream, request, limit)).await?
            }
        };
        answer.map_err(|error| explain(&address.to_string(), &error))
    }

    fn request(
        &self,
        method: &Method,
        path: &PathAndQuery,
    ) -> Result<Request<Empty<Bytes>>, Failure> {
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
        let mut request = Request::builder()
            .method(method)
            .uri(http::Uri::from(path.clone()))
            .body(Empty::new())
            .map_err(|error| cannot(&error))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &self.target.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok(request)
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Empty<Bytes>>,
    limit: usize,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok(Answer { status, date, body: read(response.into_body(), limit).await? })
    };
    drive(answer, connection).await
}

/// Awaits the answer while the connection does its work; the answer counts even if the connection
/// ends first.
async fn drive<T>(answer: impl Future<Output = T>, connection: impl Future) -> T {
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

async fn read(mut body: Incoming, limit: usize) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            let room = data.len().min(limit - bytes.len());
            bytes.extend_from_slice(data.get(..room).unwrap_or_default());
        }
    }
    Ok(bytes)
}

fn explain(address: &str, error: &hyper::Error) -> Failure {
    if let Some(text) = said_by_tls(error) {
        return Failure::new(Cause::Tls, text);
    }
    if error.is_parse() || error.is_parse_status() {
        return Failure::new(Cause::WrongAnswer, format!("{address} does not speak HTTP: {error}"));
    }
    let broke = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    if error.is_incomplete_message() || broke.is_some_and(cut) {
        let text = format!("{address} closed the connection before its answer was complete");
        return Failure::new(Cause::Unreachable, text);
    }
    if let Some(error) = broke {
        return broken(address, error);
    }
    Failure::new(Cause::Unreachable, format!("{address}: {error}"))
}

/// One HTTP check.
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
        let answer = self.server.ask(&check.method, &check.path, deadline).await?;
        let wrong = |text| Err(Failure::new(Cause::WrongAnswer, text));
        if !check.expect.contains(answer.status) {
            return wrong(format!("status {}, not {}", answer.status, check.expect));
        }
        if let Some(text) = &check.body_contains
            && !String::from_utf8_lossy(&answer.body).contains(text.as_str())
        {
            return wrong(format!("status {}, but the body lacks {text:?}", answer.status));
        }
        Ok(format!("status {}", answer.status))
    }
}
