//! Status pages over HTTP, on the effects thread.
//!
//! Whoever can connect may try to be in the way, so: one request per connection, little time and room
//! for it, a bounded number of connections, of which the greediest source loses first, and one
//! question to the control thread for however many ask at a time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, Request as HttpRequest, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::libc;
use subtle::{Choice, ConstantTimeEq};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as Turns, mpsc, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::protocol::{Request, Response};
use super::server::{Ask, Host, answer};
use crate::metrics::{Format, Query, exposition};
use crate::page::{Healthz, Look, healthz, html, silent};
use crate::status::Snapshot;
use crate::text::plain_line;

/// Connections at a time, of all pages together.
pub const MOST_CONNECTIONS: usize = 64;

/// How long a request may take to arrive.
const HEAD_WITHIN: Duration = Duration::from_secs(3);

/// How long a connection may last, the answer included.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of a request, its headers included; more is answered with 431.
const MOST_BYTES: usize = 8192;

/// A status is shown to everybody who asks within this time.
const FRESH: Duration = Duration::from_millis(250);

/// How long somebody waits who gave a wrong password: guessing takes its time.
const WRONG: Duration = Duration::from_secs(1);

/// How long to wait for descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// Characters of the answer to a load balancer.
const LONGEST_LINE: usize = 2000;

/// What the pages load: one style of their own, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The status for all pages.
pub struct Source {
    control: mpsc::Sender<Ask>,
    host: Arc<dyn Host>,
    last: Arc<Turns<Option<Arc<Seen>>>>,
}

/// What the daemon said.
struct Seen {
    at: Instant,
    outcome: Result<Arc<Snapshot>, String>,
}

impl Source {
    /// Asks `control`; `host` completes its answers.
    #[must_use]
    pub fn new(control: mpsc::Sender<Ask>, host: Arc<dyn Host>) -> Source {
        Source { control, host, last: Arc::default() }
    }

    /// What the daemon said last, if that is fresh. It is asked by a task of its own: a client that
    /// goes while it waits makes nobody ask again.
    async fn seen(&self) -> Arc<Seen> {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some(seen) = last.as_ref().filter(|seen| seen.at.elapsed() < FRESH) {
            return Arc::clone(seen);
        }
        let (control, host) = (self.control.clone(), Arc::clone(&self.host));
        let asked = tokio::spawn(async move {
            let outcome = match answer(Request::Status, &control, &host).await {
                Response::Status(snapshot) => Ok(Arc::from(snapshot)),
                Response::Error(why) => Err(why),
                _ => Err("the daemon gave no status".to_owned()),
            };
            let seen = Arc::new(Seen { at: Instant::now(), outcome });
            *last = Some(Arc::clone(&seen));
            seen
        });
        let failed = |_| Seen { at: Instant::now(), outcome: Err("it was not asked".to_owned()) };
        asked.await.unwrap_or_else(|error| Arc::new(failed(error)))
    }
}

/// A page as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its path: only unreserved characters (RFC 3986 section 2.3) and slashes.
    pub path: String,
    /// It has metrics alone, at its path.
    pub only_metrics: bool,
    /// Its metrics are for everybody.
    pub open_metrics: bool,
    /// How it looks.
    pub look: Look,
    /// Names and passwords of those who may see it; empty: everybody.
    pub users: Vec<(String, Vec<u8>)>,
}

/// A page and what was shown last.
struct Site {
    look: Look,
    /// What is there, for those who look elsewhere.
    there: String,
    /// Paths for which nobody needs a password.
    open: Vec<String>,
    /// What clients send who may see it.
    credentials: Vec<Vec<u8>>,
    source: Arc<Source>,
    drawn: [Arc<Turns<Option<Drawn>>>; 3],
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Metrics(Query, Format),
}

#[derive(Clone)]
struct Drawn {
    of: Arc<Seen>,
    form: Form,
    text: Bytes,
    status: StatusCode,
}

/// What answers requests for `page`.
pub fn site(page: &Page, source: Arc<Source>) -> Router {
    let Page { path, only_metrics, open_metrics, look, users } = page;
    let credentials = users.iter().map(|(name, password)| {
        STANDARD.encode([name.as_bytes(), b":", password].concat()).into_bytes()
    });
    let metrics = match *only_metrics {
        true => vec![path.clone()],
        false => {
            let own = format!("{}/metrics", path.trim_end_matches('/'));
            let usual = (own != "/metrics" && path != "/metrics").then(|| "/metrics".to_owned());
            [own].into_iter().chain(usual).collect()
        }
    };
    let site = Arc::new(Site {
        open: if *open_metrics { metrics.clone() } else { Vec::new() },
        look: look.clone(),
        there: format!("the {} at {path}", if *only_metrics { "metrics are" } else { "status is" }),
        credentials: credentials.collect(),
        source,
        drawn: Default::default(),
    });
    let mut router = Router::new();
    if !only_metrics {
        router = router.route(path, get(show_html)).route(&look.json, get(show_json));
        let health = format!("{}/healthz", path.trim_end_matches('/'));
        router = router.route(&health, get(show_health));
        if path != "/" {
            router = router.route(&format!("{path}/"), get(show_html));
        }
    }
    for path in &metrics {
        router = router.route(path, get(show_metrics));
    }
    router.fallback(elsewhere).layer(from_fn_with_state(Arc::clone(&site), admit)).with_state(site)
}

/// Lets in who may, and says how answers are to be treated.
async fn admit(State(site): State<Arc<Site>>, request: HttpRequest, next: Next) -> HttpResponse {
    let open = site.open.iter().any(|path| path == request.uri().path());
    let mut response = match open || site.permits(request.headers()) {
        true => next.run(request).await,
        false => {
            if request.headers().contains_key(header::AUTHORIZATION) {
                sleep(WRONG).await;
            }
            let realm = HeaderValue::from_static("Basic realm=\"vipd\", charset=\"UTF-8\"");
            let ask = [(header::WWW_AUTHENTICATE, realm)];
            (StatusCode::UNAUTHORIZED, ask, "a user and a password are needed\n").into_response()
        }
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn show_html(State(site): State<Arc<Site>>) -> HttpResponse {
    site.show(Form::Html).await
}

async fn show_json(State(site): State<Arc<Site>>) -> HttpResponse {
    site.show(Form::Json).await
}

async fn show_health(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> HttpResponse {
    let seen = site.source.seen().await;
    // Of thousands of routers it takes its time.
    let asked = spawn_blocking(move || match &seen.outcome {
        Ok(snapshot) => healthz(snapshot, &query.unwrap_or_default()),
        Err(why) => Healthz { status: 503, line: format!("no status: {why}") },
    });
    let Ok(Healthz { status, line }) = asked.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, plain_line(&line, LONGEST_LINE) + "\n").into_response()
}

async fn show_metrics(State(site): State<Arc<Site>>, request: HttpRequest) -> HttpResponse {
    let accept = request.headers().get_all(header::ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => site.show(Form::Metrics(query, Format::accepted(&accept.join(",")))).await,
        Err(why) => (StatusCode::BAD_REQUEST, why + "\n").into_response(),
    }
}

async fn elsewhere(State(site): State<Arc<Site>>) -> HttpResponse {
    let text = format!("nothing is here; {}\n", site.there);
    (StatusCode::NOT_FOUND, text).into_response()
}

impl Site {
    /// All users are compared, in a time that does not say how much of a password was right.
    fn permits(&self, headers: &HeaderMap) -> bool {
        if self.credentials.is_empty() {
            return true;
        }
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let Some((scheme, given)) = given.and_then(|given| given.split_at_checked(6)) else {
            return false;
        };
        let given = given.trim_ascii();
        let fits =
            self.credentials.iter().fold(Choice::from(0), |fits, own| fits | own.ct_eq(given));
        scheme.eq_ignore_ascii_case(b"basic ") && bool::from(fits)
    }

    async fn show(&self, form: Form) -> HttpResponse {
        let seen = self.source.seen().await;
        let [html, json, metrics] = &self.drawn;
        let (place, kind) = match &form {
            Form::Html => (html, "text/html; charset=utf-8"),
            Form::Json => (json, "application/json"),
            Form::Metrics(_, format) => (metrics, format.content_type()),
        };
        let mut drawn = Arc::clone(place).lock_owned().await;
        let Drawn { text, status, .. } = match &*drawn {
            Some(drawn) if Arc::ptr_eq(&drawn.of, &seen) && drawn.form == form => drawn.clone(),
            Some(_) | None => {
                let look = self.look.clone();
                // Checks run in this runtime too: nobody here may take long. Nor is it done twice
                // because a client has gone.
                let draw = spawn_blocking(move || {
                    let new = draw(seen, form, &look);
                    *drawn = Some(new.clone());
                    new
                });
                match draw.await {
                    Ok(drawn) => drawn,
                    Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }
        };
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
        (status, kind, Body::from(text)).into_response()
    }
}

fn draw(of: Arc<Seen>, form: Form, look: &Look) -> Drawn {
    let text = match (&of.outcome, &form) {
        (Ok(snapshot), Form::Html) => html(snapshot, look),
        (Err(why), Form::Html) => silent(why, look),
        (Ok(snapshot), Form::Json) => {
            serde_json::to_string_pretty(&**snapshot).unwrap_or_default() + "\n"
        }
        (Ok(snapshot), Form::Metrics(query, format)) => {
            exposition(Arc::clone(snapshot), query, *format)
        }
        (Err(why), Form::Metrics(..)) => format!("# no status: {}\n", why.replace('\n', " ")),
        (Err(why), Form::Json) => serde_json::json!({ "error": why }).to_string() + "\n",
    };
    let status = if of.outcome.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Drawn { of, form, text: text.into(), status }
}

/// Accept browsers until the listener is broken for good. Each gets what `site` is when it comes.
///
/// # Errors
/// The error that broke the listener.
pub async fn serve(
    listener: TcpListener,
    site: watch::Receiver<Router>,
    seats: Arc<Seats>,
) -> io::Result<()> {
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => {
                    sleep(PAUSE).await;
                    continue;
                }
                // A listener that is none any more.
                Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK) => return Err(error),
                // The client is gone, or its network: accept(2).
                _ => continue,
            },
        };
        let router = site.borrow().clone();
        Arc::clone(&seats).attend(from, stream, router);
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MOST_BYTES)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What goes wrong is the client's affair.
    let _ = timeout(CONNECTION_WITHIN, connection).await;
}

/// The connections there are, the oldest first.
#[derive(Debug, Default)]
pub struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    number: u64,
    source: IpAddr,
    connection: AbortHandle,
}

impl Seats {
    /// If all are taken, whoever has the most gives up the oldest: one that is greedy is in the way
    /// of itself alone.
    fn attend(self: Arc<Seats>, from: SocketAddr, stream: TcpStream, router: Router) {
        let source = source(from.ip());
        let mut taken = self.taken();
        if taken.seats.len() >= MOST_CONNECTIONS {
            let count = |of: IpAddr| taken.seats.iter().filter(|seat| seat.source == of).count();
            let most = taken.seats.iter().map(|seat| count(seat.source)).max().unwrap_or(0);
            let greedy = taken.seats.iter().position(|seat| count(seat.source) == most);
            if let Some(place) = greedy {
                taken.seats.remove(place).connection.abort();
            }
        }
        let number = taken.next;
        taken.next = taken.next.wrapping_add(1);
        let seats = Arc::clone(&self);
        let connection = tokio::spawn(async move {
            let _seat = Leaving { seats, number };
            converse(stream, router).await;
        });
        let connection = connection.abort_handle();
        taken.seats.push(Seat { number, source, connection });
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a seat back.
struct Leaving {
    seats: Arc<Seats>,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.seats.retain(|seat| seat.number != self.number);
    }
}

/// Who it is that connects: an IPv6 host has a whole network to come from.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}
