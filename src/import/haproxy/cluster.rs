//! Backends with the same servers to a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use super::check::Expect;
use super::proxy::{Global, Proxy, Timeouts};
use super::role::{HealthCheck, check_endpoint, uri};
use super::route::Route;
use super::server::{Server, ServerOptions};
use crate::config::checks::{Endpoint, Host};
use crate::config::diag::{Diagnostic, Span, Spanned, quoted};
use crate::config::raw::{
    RawCheck, RawCluster, RawMember, RawRequest, RawRhythm, RawStatusCheck, RawTls,
};

/// HAProxy's own rhythm.
const INTER: Duration = Duration::from_secs(2);
const RISE: i64 = 2;
const FALL: i64 = 3;
/// Patroni is asked once per node for all sections, and so may be asked as often as this.
const ROLE_INTERVAL: Duration = Duration::from_secs(1);

/// A section that listens, and where its clients go.
pub(super) struct Front {
    pub(super) proxy: usize,
    pub(super) route: Route,
}

/// All sections, and what they were found to mean.
pub(super) struct Lowered<'a> {
    pub(super) global: &'a Global,
    pub(super) proxies: &'a [Proxy],
    pub(super) health_checks: &'a [HealthCheck],
    pub(super) fronts: &'a [Front],
}

/// Backends whose servers are one cluster.
pub(super) struct Group {
    pub(super) name: Spanned<String>,
    /// By their places.
    pub(super) backends: Vec<usize>,
    /// Where its members are asked, and by which name; for Patroni's only.
    members: Vec<(Endpoint, String)>,
}

impl Group {
    /// The name of the member a server is.
    pub(super) fn member(&self, server: &Server, api: &Endpoint) -> String {
        let known = self.members.iter().find(|(known, _)| known == api);
        known.map_or_else(|| server.name.value.clone(), |(_, name)| name.clone())
    }
}

/// Patroni's nodes belong to one cluster each: backends that share one are about the same cluster.
pub(super) fn groups(lowered: &Lowered<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut seen = BTreeSet::new();
    for backend in lowered.fronts.iter().map(|front| front.route.backend) {
        let Some(proxy) = lowered.proxies.get(backend) else { continue };
        if !seen.insert(backend) {
            continue;
        }
        let mut group =
            Group { name: proxy.name.clone(), backends: vec![backend], members: Vec::new() };
        if matches!(lowered.health_checks.get(backend), Some(HealthCheck::Patroni(_))) {
            group.members =
                apis(proxy).map(|(api, server)| (api, server.name.value.clone())).collect();
            let shares = |other: &mut Group| {
                other.members.iter().any(|(api, _)| group.members.iter().any(|(own, _)| own == api))
            };
            let others: Vec<Group> = groups.extract_if(.., shares).collect();
            if let Some(merged) = others.into_iter().reduce(merge) {
                group = merge(merged, group);
            }
        }
        groups.push(group);
    }
    groups.iter_mut().for_each(unique_names);
    groups
}

fn merge(mut group: Group, other: Group) -> Group {
    group.backends.extend(other.backends);
    for (api, name) in other.members {
        if group.members.iter().all(|(known, _)| *known != api) {
            group.members.push((api, name));
        }
    }
    group
}

/// Sections may give one name to several nodes.
fn unique_names(group: &mut Group) {
    let mut seen = BTreeSet::new();
    for (api, name) in &mut group.members {
        if !seen.insert(name.clone()) {
            *name = api.to_string();
            seen.insert(name.clone());
        }
    }
}

fn apis(proxy: &Proxy) -> impl Iterator<Item = (Endpoint, &Server)> {
    proxy.servers.iter().map(|server| (check_endpoint(server, &proxy.settings.check), server))
}

/// The cluster of a group.
pub(super) fn cluster(
    group: &Group,
    lowered: &Lowered<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<RawCluster> {
    let first = *group.backends.first()?;
    let proxy = lowered.proxies.get(first)?;
    let way = lowered.health_checks.get(first)?;
    let backends: Vec<&Proxy> =
        group.backends.iter().filter_map(|at| lowered.proxies.get(*at)).collect();
    let mut raw = RawCluster::new(group.name.clone());
    raw.unreadable = backends.iter().any(|proxy| proxy.unreadable);
    let servers = || backends.iter().flat_map(|proxy| &proxy.servers);
    let named = |server: &&Server| matches!(server.address.value.host, Host::Name(_));
    let first = servers().find(named).filter(|_| servers().all(|s| !s.options.unresolved));
    raw.resolve_at_start = first.map(|server| Spanned::new(true, server.address.span));
    let option = proxy.settings.check.method.map_or(proxy.name.span, |method| method.span);
    raw.check = Some(Spanned::new(
        match way {
            HealthCheck::Patroni(_) => RawCheck::Patroni,
            HealthCheck::Url(_) => RawCheck::Http,
            HealthCheck::Tcp => RawCheck::Tcp,
            HealthCheck::Postgres => RawCheck::Postgres,
            HealthCheck::Nothing => RawCheck::None,
        },
        option,
    ));
    let speaks_tls = secure(&backends, lowered, out);
    let patroni = matches!(way, HealthCheck::Patroni(_));
    let mut taken = BTreeSet::new();
    let servers = backends
        .iter()
        .flat_map(|proxy| apis(proxy).map(move |(api, server)| (*proxy, api, server)));
    for (proxy, api, server) in servers {
        let name = group.member(server, &api);
        if !taken.insert(name.clone()) {
            continue;
        }
        let span = server.address.span;
        raw.members.push(RawMember {
            address: server.address.clone(),
            name: Some(Spanned::new(name, server.name.span)),
            probe: (!matches!(way, HealthCheck::Nothing)).then(|| Spanned::new(api, span)),
            checked: (!patroni && !server.is_checked())
                .then(|| Spanned::new(false, server.name.span)),
            server_name: certified(proxy, server).filter(|_| speaks_tls.https.is_some()),
        });
    }
    if patroni {
        role_rhythm(&mut raw, &backends);
    } else {
        plain_rhythm(&mut raw, proxy, out);
    }
    if let HealthCheck::Url(path) = way {
        raw.request = request(proxy, path);
    }
    if let HealthCheck::Patroni(_) = way {
        raw.request.headers = proxy.settings.check.request().headers;
    }
    raw.user = proxy.settings.check.user.clone().filter(|_| matches!(way, HealthCheck::Postgres));
    raw.tls = speaks_tls;
    names_of(&mut raw);
    Some(raw)
}

/// A name all members have in their certificates is the cluster's; without one, as HAProxy does,
/// none is verified.
fn names_of(raw: &mut RawCluster) {
    if raw.tls.https.is_none() {
        return;
    }
    let value = |member: &RawMember| member.server_name.as_ref().map(|name| name.value.clone());
    let first = raw.members.first().and_then(value);
    if first.is_some() && raw.members.iter().all(|member| value(member) == first) {
        let mut names = raw.members.iter_mut().map(|member| member.server_name.take());
        raw.tls.server_name = names.next().flatten();
        names.for_each(drop);
    } else {
        raw.tls.verify_name = Some(Spanned::new(false, raw.name.span));
    }
}

/// Patroni is asked at least once a second, and a node that is silent for as long as HAProxy would
/// take to notice is down.
fn role_rhythm(raw: &mut RawCluster, backends: &[&Proxy]) {
    let at = raw.name.span;
    let servers = || {
        backends.iter().flat_map(|proxy| {
            proxy.servers.iter().map(|server| (&server.options, &proxy.settings.timeouts))
        })
    };
    let or = |time: Option<Spanned<Duration>>, other| time.unwrap_or(Spanned::new(other, at));
    let inter =
        servers().map(|(options, _)| or(options.rhythm.interval, INTER)).min_by_key(|t| t.value);
    raw.rhythm.interval = inter.map(|inter| inter.map(|time| time.min(ROLE_INTERVAL)));
    let fast =
        servers().filter_map(|(options, _)| options.rhythm.fast_interval).min_by_key(|t| t.value);
    raw.rhythm.fast_interval = fast.filter(|fast| fast.value < Duration::from_millis(100));
    let timeout = |(options, timeouts): (&ServerOptions, &Timeouts)| {
        timeouts.check.unwrap_or(or(options.rhythm.interval, INTER))
    };
    raw.rhythm.timeout = servers().map(timeout).max_by_key(|t| t.value);
    let rise = servers().map(|(options, _)| options.rhythm.rise.unwrap_or(Spanned::new(RISE, at)));
    raw.rhythm.rise = rise.max_by_key(|rise| rise.value);
    let silence = servers().map(|(options, _)| {
        let fall = options.rhythm.fall.map_or(FALL, |fall| fall.value);
        let times = u32::try_from(fall).unwrap_or(u32::MAX);
        or(options.rhythm.interval, INTER).map(|inter| inter.saturating_mul(times))
    });
    raw.down_after = silence.max_by_key(|silence| silence.value);
}

/// All servers of a backend are asked in one rhythm.
fn plain_rhythm(raw: &mut RawCluster, proxy: &Proxy, out: &mut Vec<Diagnostic>) {
    let checked: Vec<&Server> = proxy.servers.iter().filter(|s| s.is_checked()).collect();
    let Some(first) = checked.first().map(|server| &server.options) else { return };
    let rhythm = |options: &ServerOptions| {
        let time = |time: Option<Spanned<Duration>>| time.map(|time| time.value);
        let number = |number: Option<Spanned<i64>>| number.map(|number| number.value);
        let times =
            [options.rhythm.interval, options.rhythm.fast_interval, options.rhythm.down_interval]
                .map(time);
        (times, number(options.rhythm.rise), number(options.rhythm.fall))
    };
    if let Some(other) = checked.iter().find(|s| rhythm(&s.options) != rhythm(first)) {
        let text = format!("the servers of {} are asked in one rhythm", quoted(&proxy.name.value));
        out.push(
            Diagnostic::warning(other.name.span, text)
                .note("that of its first server")
                .help("write inter, fastinter, downinter, rise and fall on a default-server line"),
        );
    }
    raw.rhythm = rhythm_of(proxy, first, raw.name.span);
}

/// When a server is asked.
fn rhythm_of(proxy: &Proxy, options: &ServerOptions, at: Span) -> RawRhythm {
    let inter = options.rhythm.interval.unwrap_or(Spanned::new(INTER, at));
    let timeouts = &proxy.settings.timeouts;
    let connect = timeouts.connect.map_or(inter.value, |connect| connect.value);
    // The limit of a check begins once it is connected.
    let whole = |check: Duration| check.saturating_add(connect.min(inter.value));
    RawRhythm {
        interval: Some(inter),
        timeout: timeouts.check.map(|check| check.map(whole)),
        rise: options.rhythm.rise.or(Some(Spanned::new(RISE, at))),
        fall: options.rhythm.fall.or(Some(Spanned::new(FALL, at))),
        ..options.rhythm.clone()
    }
}

/// How HAProxy would judge the servers of a backend, if they are not Patroni after all.
pub(super) fn status_check(proxy: &Proxy) -> Option<RawStatusCheck> {
    let first = proxy.servers.iter().find(|server| server.is_checked())?;
    let path = uri(&proxy.settings.check);
    let mut raw = RawStatusCheck::new(path.span);
    raw.request = request(proxy, &path);
    raw.rhythm = rhythm_of(proxy, &first.options, path.span);
    Some(raw)
}

fn request(proxy: &Proxy, path: &Spanned<String>) -> RawRequest {
    let check = &proxy.settings.check;
    let request = check.request();
    let at = path.span;
    let standard = |text: &str| Some(Spanned::new(text.to_owned(), at));
    let (status, body) = match &check.expect {
        None => (standard("200-399"), None),
        Some(Expect::Status(status)) => (Some(status.clone()), None),
        Some(Expect::Body(body)) => (standard("100-599"), Some(body.clone())),
    };
    RawRequest {
        path: Some(path.clone()),
        method: request.method.or_else(|| standard("OPTIONS")),
        status,
        body,
        host: request.host,
        headers: request.headers,
    }
}

/// How TLS is spoken with all of them, but for the names in their certificates.
fn secure(backends: &[&Proxy], lowered: &Lowered<'_>, out: &mut Vec<Diagnostic>) -> RawTls {
    let own = |proxy: &Proxy, server: &Server| {
        let connect = proxy.settings.check.https.filter(|_| proxy.settings.check.is_http());
        let https = server.options.tls.https.filter(|on| on.value);
        let https = https.or(connect.map(|at| Spanned::new(true, at)));
        let tls = &server.options.tls;
        let verify = tls.verify.or(lowered.global.tls.verify);
        // Who is not verified needs nobody who vouches.
        let ca = tls.ca.clone().filter(|_| verify.is_none_or(|on| on.value));
        match https {
            Some(_) => RawTls { https, ca, verify, ..tls.clone() },
            None => RawTls::default(),
        }
    };
    let all: Vec<(RawTls, &Server)> = backends
        .iter()
        .flat_map(|proxy| {
            let servers = proxy.servers.iter().filter(|server| server.is_checked());
            servers.map(|server| (own(proxy, server), server))
        })
        .collect();
    let Some((first, server)) = all.first() else { return RawTls::default() };
    if let Some((_, other)) = all.iter().find(|(tls, _)| !same(tls, first)) {
        let text = "this server is asked by TLS in another way than the first";
        out.push(
            Diagnostic::error(other.name.span, text)
                .also(server.name.span, "the first one")
                .note("vipd speaks to all servers of a cluster alike")
                .help("write check-ssl, verify, ca-file and crt on a default-server line"),
        );
    }
    let verified = first.verify.is_none_or(|on| on.value);
    if let Some(https) = first.https
        && verified
        && first.ca.is_none()
        && !server.options.system_ca
    {
        out.push(
            Diagnostic::error(https.span, "nobody vouches for the server: there is no ca-file")
                .note("HAProxy refuses it, too: certificates are verified unless said otherwise")
                .help("add `ca-file FILE`, or `verify none` to believe every certificate"),
        );
    }
    first.clone()
}

/// The name HAProxy asks for, or only verifies, in the certificate of a server.
fn certified(proxy: &Proxy, server: &Server) -> Option<Spanned<String>> {
    let check = &proxy.settings.check;
    let connect = check.sni.clone().filter(|_| check.is_http());
    connect.or_else(|| server.options.sni.clone()).or_else(|| server.options.verify_host.clone())
}

fn same(one: &RawTls, other: &RawTls) -> bool {
    let RawTls { https, ca, cert, key, server_name: _, verify, verify_name: _ } = one;
    let value = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
    let on = |flag: &Option<Spanned<bool>>, standard| flag.map_or(standard, |flag| flag.value);
    on(https, false) == on(&other.https, false)
        && on(verify, true) == on(&other.verify, true)
        && [(ca, &other.ca), (cert, &other.cert), (key, &other.key)]
            .into_iter()
            .all(|(own, its)| value(own) == value(its))
}
