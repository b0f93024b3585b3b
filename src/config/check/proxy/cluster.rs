//! Clusters: who is asked, how and when.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use super::{data, max_lag_time};
use crate::config::check::checks::headers;
use crate::config::checks::{
    Check, Endpoint, Host, HttpCheck, HttpTarget, PostgresCheck, Statuses, TcpCheck, Tls, Trust,
};
use crate::config::cluster::{PROBES, ProbeRhythm};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::key::value::{DAY, SECOND, within};
use crate::config::model::{ClusterConfig, Members, PatroniCluster, PatroniMember, PlainMember};
use crate::config::raw::{RawCheck, RawCluster, RawMember, RawRequest, RawRhythm, RawStatusCheck};
use crate::types::Identity;

/// Patroni's REST API, unless it is told otherwise.
const PATRONI_PORT: NonZeroU16 = NonZeroU16::new(8008).unwrap();
/// Of a name in PostgreSQL, and more.
const LONGEST_USER: usize = 255;
/// While something changes: gentle enough for a few seconds.
const FAST: Duration = Duration::from_millis(100);
/// With Patroni's own defaults another node may be promoted `ttl` less `loop_wait`, 20 s, after the
/// last good answer; the rest is for ending the sessions.
const SAFE_LEASE: Duration = Duration::from_secs(18);

pub(super) fn cluster(raw: &RawCluster, out: &mut Vec<Diagnostic>) -> Option<ClusterConfig> {
    let before = out.len();
    let check = raw.check.map_or(RawCheck::Patroni, |check| check.value);
    let rhythm = rhythm(&raw.rhythm, check, out);
    let names = names(raw, out);
    let tls = tls(raw, check, out);
    let tls_of = |member: &RawMember| of_member(tls.as_ref(), member);
    let headers = headers(&raw.request.headers, out);
    let user = user(raw, check, out);
    let port = port(raw, out);
    let place = |member: &RawMember| probe_place(member, check, port);
    let api = |member: &RawMember| HttpTarget {
        endpoint: place(member),
        tls: tls_of(member),
        host: None,
        headers: headers.clone(),
    };
    let members = if check == RawCheck::Patroni {
        patroni(raw, &names, api, out)
    } else {
        let request = request(raw, check, out);
        plain_only(raw, out);
        let check_of = |member: &RawMember| {
            let endpoint = place(member);
            match check {
                RawCheck::Patroni | RawCheck::None => None,
                RawCheck::Tcp => Some(Check::Tcp(TcpCheck { endpoint, tls: tls_of(member) })),
                RawCheck::Postgres => Some(Check::Postgres(PostgresCheck {
                    endpoint,
                    user: user.clone(),
                    tls: tls_of(member),
                })),
                RawCheck::Http => request.as_ref().map(|check| {
                    let (tls, headers) = (tls_of(member), headers.clone());
                    let target = HttpTarget { endpoint, tls, headers, ..check.target.clone() };
                    Check::Http(HttpCheck { target, ..check.clone() })
                }),
            }
        };
        let member = |(member, name): (&RawMember, &Arc<str>)| PlainMember {
            name: Arc::clone(name),
            address: member.address.value.clone(),
            check: check_of(member)
                .filter(|_| member.checked.is_none_or(|checked| checked.value))
                .map(Arc::new),
        };
        Members::Plain(raw.members.iter().zip(&names).map(member).collect())
    };
    if raw.members.is_empty() && !raw.unreadable {
        let text = format!("cluster {} has no members", quoted(&raw.name.value));
        out.push(Diagnostic::error(raw.name.span, text).help("add `members = [\"10.0.0.11\", …]`"));
    }
    let right = out.iter().skip(before).all(|d| d.severity != crate::config::diag::Severity::Error);
    let complete = right && !raw.members.is_empty();
    let resolve_at_start = raw.resolve_at_start.is_some_and(|on| on.value);
    let name = raw.name.value.clone();
    complete.then(|| ClusterConfig { name, members, rhythm, resolve_at_start })
}

/// The member's own name, or else its host.
fn names(raw: &RawCluster, out: &mut Vec<Diagnostic>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut spans: Vec<Span> = Vec::new();
    for member in &raw.members {
        let name = member_name(member);
        if let Some(at) = names.iter().position(|other| **other == name) {
            let text = format!("member {} exists twice", quoted(&name));
            let first = spans.get(at).copied().unwrap_or(member.address.span);
            out.push(
                Diagnostic::error(member.address.span, text)
                    .also(first, "first one")
                    .help("give each its own `name`"),
            );
        }
        names.push(name.into());
        spans.push(member.address.span);
    }
    names
}

/// What a member is called.
pub(in crate::config) fn member_name(member: &RawMember) -> String {
    match &member.name {
        Some(name) => name.value.clone(),
        None => member.address.value.host.to_string(),
    }
}

fn rhythm(raw: &RawRhythm, check: RawCheck, out: &mut Vec<Diagnostic>) -> ProbeRhythm {
    let patroni = check == RawCheck::Patroni;
    let mut standard = ProbeRhythm::default();
    if patroni {
        (standard.interval, standard.rise) = (SECOND, NonZeroU32::MIN);
    }
    let interval = raw.interval.map_or(standard.interval, |interval| interval.value);
    (standard.down_interval, standard.timeout) = (interval, interval);
    standard.fast_interval = if patroni { FAST } else { interval };
    let mut rhythm = raw.over(&standard, out);
    if patroni {
        rhythm.fast_interval = rhythm.fast_interval.min(rhythm.interval);
    }
    rhythm
}

fn port(raw: &RawCluster, out: &mut Vec<Diagnostic>) -> Option<NonZeroU16> {
    within(raw.probe_port.as_ref(), &(1..=u16::MAX), "probe_port", out).and_then(NonZeroU16::new)
}

fn probe_place(member: &RawMember, check: RawCheck, port: Option<NonZeroU16>) -> Endpoint {
    if let Some(probe) = &member.probe {
        return probe.value.clone();
    }
    let Endpoint { host, port: own } = member.address.value.clone();
    let standard = if check == RawCheck::Patroni { PATRONI_PORT } else { own };
    Endpoint { host, port: port.unwrap_or(standard) }
}

fn patroni(
    raw: &RawCluster,
    names: &[Arc<str>],
    api: impl Fn(&RawMember) -> HttpTarget,
    out: &mut Vec<Diagnostic>,
) -> Members {
    let members = raw.members.iter().zip(names).map(|(member, name)| PatroniMember {
        name: Arc::clone(name),
        address: member.address.value.clone(),
        api: api(member),
    });
    let members = members.collect();
    let down_after = within(raw.down_after.as_ref(), &PROBES, "down_after", out);
    let lease = raw.primary_lease;
    let primary_lease = within(lease.as_ref(), &(SECOND..=DAY), "primary_lease", out);
    data(raw.max_lag.as_ref(), out);
    max_lag_time(raw.max_lag_time, out);
    if let (Some(lease), Some(at)) = (primary_lease, lease)
        && lease > SAFE_LEASE
    {
        out.push(
            Diagnostic::warning(at.span, "a primary may be replaced before this lease ends")
                .note(
                    "with Patroni's defaults another node can be promoted 20 s after the last good \
                     answer (ttl less loop_wait), and two then take writes",
                )
                .help("use \"18s\" or less, or leave it out: vipd reads ttl and loop_wait"),
        );
    }
    let asked = raw.rhythm.down_interval.map(|at| at.span).or(raw.rhythm.fall.map(|at| at.span));
    let unchecked = raw.members.iter().find_map(|member| member.checked);
    let of_http = [&raw.request.path, &raw.request.method, &raw.request.status]
        .into_iter()
        .chain([&raw.request.body, &raw.request.host])
        .find_map(|text| text.as_ref().map(|text| text.span));
    if let Some(span) = asked.or(unchecked.map(|at| at.span)).or(of_http) {
        out.push(
            Diagnostic::error(span, "it has no meaning where Patroni is asked")
                .note("what Patroni answers counts at once; for its silence there is `down_after`")
                .help("remove it, or choose another `check`"),
        );
    }
    Members::Patroni(PatroniCluster {
        members,
        down_after: down_after.unwrap_or(Duration::from_secs(5)),
        primary_lease,
        by_status: false,
    })
}

/// What only Patroni's clusters have.
fn plain_only(raw: &RawCluster, out: &mut Vec<Diagnostic>) {
    let times = [raw.down_after, raw.primary_lease, raw.max_lag_time];
    let first = times.into_iter().flatten().map(|time| time.span).next();
    if let Some(span) = first.or(raw.max_lag.as_ref().map(|lag| lag.span)) {
        out.push(
            Diagnostic::error(span, "it needs roles, and only Patroni knows them")
                .help("remove it, or leave `check` out"),
        );
    }
}

/// The members of a Patroni cluster, judged by the status of a request alone.
pub(super) fn by_status(
    raw: &RawStatusCheck,
    name: &str,
    patroni: &PatroniCluster,
    out: &mut Vec<Diagnostic>,
) -> Option<ClusterConfig> {
    let rhythm = rhythm(&raw.rhythm, RawCheck::Http, out);
    let headers = headers(&raw.request.headers, out);
    let first = patroni.members.first()?.api.clone();
    let check = http(&raw.request, first, out);
    let member = |member: &PatroniMember| {
        let (host, headers) = (check.target.host.clone(), headers.clone());
        let target = HttpTarget { host, headers, ..member.api.clone() };
        PlainMember {
            name: Arc::clone(&member.name),
            address: member.address.clone(),
            check: Some(Arc::new(Check::Http(HttpCheck { target, ..check.clone() }))),
        }
    };
    let members = Members::Plain(patroni.members.iter().map(member).collect());
    let name = format!("{name} {}", check.path);
    Some(ClusterConfig { name, members, rhythm, resolve_at_start: false })
}

fn request(raw: &RawCluster, check: RawCheck, out: &mut Vec<Diagnostic>) -> Option<HttpCheck> {
    let raw_request = &raw.request;
    let texts = [&raw_request.path, &raw_request.method, &raw_request.status];
    let first = texts.into_iter().chain([&raw_request.body, &raw_request.host]).flatten().next();
    if check != RawCheck::Http {
        if let Some(text) = first {
            out.push(
                Diagnostic::error(text.span, "only an http check sends a request")
                    .help("add `check = \"http\"`"),
            );
        }
        return None;
    }
    // Each member's own takes its place.
    let endpoint = raw.members.first().map(|member| member.address.value.clone())?;
    let target = HttpTarget { endpoint, tls: None, host: None, headers: Vec::new() };
    Some(http(raw_request, target, out))
}

fn http(raw: &RawRequest, target: HttpTarget, out: &mut Vec<Diagnostic>) -> HttpCheck {
    let path = parsed(raw.path.as_ref(), out, |text| {
        let path = text.starts_with('/').then(|| text.parse::<PathAndQuery>().ok()).flatten();
        path.ok_or_else(|| format!("{} is no path of a URL", quoted(text)))
    });
    let method = parsed(raw.method.as_ref(), out, |text| {
        Method::from_bytes(text.as_bytes()).map_err(|_| format!("{} is no method", quoted(text)))
    });
    let expect = parsed(raw.status.as_ref(), out, str::parse::<Statuses>);
    let host = parsed(raw.host.as_ref(), out, |text| {
        HeaderValue::from_str(text).map_err(|_| format!("{} is no host", quoted(text)))
    });
    HttpCheck {
        target: HttpTarget { host, ..target },
        method: method.unwrap_or_default(),
        path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
        expect: expect.unwrap_or_default(),
        body_contains: raw.body.as_ref().map(|body| body.value.clone()),
    }
}

fn tls(raw: &RawCluster, check: RawCheck, out: &mut Vec<Diagnostic>) -> Option<Tls> {
    let tls = &raw.tls;
    let spoken = tls.https.is_some_and(|on| on.value);
    let named = raw.members.iter().map(|member| &member.server_name);
    let texts = [&tls.ca, &tls.cert, &tls.key, &tls.server_name].into_iter().chain(named);
    let first = texts.flatten().map(|text| text.span).next();
    let first = first.or(tls.verify.or(tls.verify_name).map(|on| on.span));
    let asks = check != RawCheck::None;
    let wrong =
        if asks { first.filter(|_| !spoken) } else { first.or(tls.https.map(|on| on.span)) };
    if let Some(span) = wrong {
        let text = if asks { "it has no meaning without TLS" } else { "nobody is asked" };
        let help = match check {
            RawCheck::None => "remove it",
            RawCheck::Patroni | RawCheck::Http => "add `https = true`",
            RawCheck::Tcp | RawCheck::Postgres => "add `tls = true`",
        };
        out.push(Diagnostic::error(span, text).help(help));
    }
    let trust = match (&tls.ca, tls.verify) {
        (Some(ca), Some(off)) if !off.value => {
            let text = "an authority and no verification exclude each other";
            out.push(Diagnostic::error(off.span, text).also(ca.span, "the authority"));
            Trust::Anyone
        }
        (None, Some(off)) if !off.value => Trust::Anyone,
        (ca, _) => path(ca.as_ref(), out).map_or(Trust::System, Trust::File),
    };
    let identity = identity((&tls.cert, &tls.key), "a client's certificate", out);
    for name in raw.members.iter().filter_map(|member| member.server_name.as_ref()) {
        parsed(Some(name), out, str::parse::<Host>);
    }
    let server_name = parsed(tls.server_name.as_ref(), out, str::parse::<Host>);
    let verify_name = tls.verify_name.is_none_or(|on| on.value);
    spoken.then_some(Tls { trust, server_name, verify_name, identity })
}

/// TLS with one member. A name of its own is there to be verified.
fn of_member(tls: Option<&Tls>, member: &RawMember) -> Option<Tls> {
    let mut tls = tls?.clone();
    if let Some(Ok(name)) = member.server_name.as_ref().map(|name| name.value.parse::<Host>()) {
        (tls.server_name, tls.verify_name) = (Some(name), true);
    }
    Some(tls)
}

fn user(raw: &RawCluster, check: RawCheck, out: &mut Vec<Diagnostic>) -> Option<String> {
    let Spanned { value, span } = raw.user.as_ref()?;
    if check != RawCheck::Postgres {
        let error = Diagnostic::error(*span, "only a postgres check begins a session");
        out.push(error.help("add `check = \"postgres\"`, or remove it"));
    }
    if value.is_empty() || value.contains('\0') || value.len() > LONGEST_USER {
        out.push(Diagnostic::error(*span, format!("{} is no user of PostgreSQL", quoted(value))));
    }
    Some(value.clone())
}

/// A certificate and its key, both or neither.
pub(super) fn identity(
    (cert, key): (&Option<Spanned<String>>, &Option<Spanned<String>>),
    certificate: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<Identity> {
    if let (Some(one), None) | (None, Some(one)) = (cert, key) {
        let text = format!("{certificate} and its key belong together");
        out.push(Diagnostic::error(one.span, text));
        return None;
    }
    let (certificate, key) = (path(cert.as_ref(), out), path(key.as_ref(), out));
    certificate.zip(key).map(|(certificate, key)| Identity { certificate, key })
}

fn path(raw: Option<&Spanned<String>>, out: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    parsed(raw, out, |text| {
        let absolute = text.starts_with('/').then(|| PathBuf::from(text));
        absolute.ok_or_else(|| format!("{} must be an absolute path", quoted(text)))
    })
}

fn parsed<T, E: fmt::Display>(
    raw: Option<&Spanned<String>>,
    out: &mut Vec<Diagnostic>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let Spanned { value, span } = raw?;
    parse(value).map_err(|error| out.push(Diagnostic::error(*span, error.to_string()))).ok()
}
