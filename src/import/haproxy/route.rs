//! Which backend the clients of a section reach: `default_backend` and `use_backend`.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, parse};
use super::proxy::Proxy;
use super::role::{HealthCheck, check_endpoint};
use super::sections::Kind;
use crate::config::checks::Endpoint;
use crate::config::diag::{Diagnostic, Span, Spanned, nearest, quoted};
use crate::pool::Wants;

/// Where clients go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The backend, by its place.
    pub(super) backend: usize,
    /// The line by which they get the primary while no standby is up.
    pub(super) fallback: Option<Span>,
    /// The backend they get it from, by its place.
    pub(super) primary: Option<usize>,
}

/// More combinations than this are not gone through.
const MOST_CASES: usize = 10_000;

/// The backend of that name.
pub(super) fn backend(name: &str, proxies: &[Proxy]) -> Option<usize> {
    let is_backend = |proxy: &Proxy| matches!(proxy.kind, Kind::Listen | Kind::Backend);
    proxies.iter().position(|proxy| is_backend(proxy) && proxy.name.value == name)
}

/// The route of `front`; `health_checks` says of every proxy how its servers are checked.
pub(super) fn route(
    front: usize,
    proxies: &[Proxy],
    health_checks: &[HealthCheck],
    out: &mut Vec<Diagnostic>,
) -> Option<Route> {
    let proxy = proxies.get(front)?;
    let before = out.len();
    let default = match &proxy.settings.default_backend {
        Some(name) => find(name.value.as_str(), name.span, proxies, out),
        None => (!proxy.servers.is_empty()).then_some(front),
    };
    let mut rules = Vec::new();
    for rule in &proxy.rules {
        if rule.backend.text.contains("%[") {
            let text = format!("vipd cannot tell which backend {} is", quoted(&rule.backend.text));
            out.push(
                Diagnostic::error(rule.backend.span, text)
                    .note("passing over it would send clients elsewhere")
                    .help("make a listen section for each backend, with a port of its own"),
            );
            continue;
        }
        let here = proxy.name.value.as_str();
        let at = rule.backend.span;
        let condition = parse(&rule.condition, &proxy.acls, here, at, out);
        let target = find(&rule.backend.text, rule.backend.span, proxies, out);
        for name in condition.iter().flat_map(Condition::backends) {
            find(name, rule.backend.span, proxies, out);
        }
        if let (Some(condition), Some(target)) = (condition, target) {
            rules.push(Rule { condition, target, span: at });
        }
    }
    if out.len() > before || proxy.unreadable && default.is_none() && rules.is_empty() {
        return None;
    }
    if default.is_none() && rules.is_empty() {
        let text = format!("{} has no servers", quoted(&proxy.name.value));
        out.push(
            Diagnostic::error(proxy.name.span, text)
                .help("add `server` lines to a listen section, `default_backend` to a frontend"),
        );
        return None;
    }
    Router { proxies, health_checks, rules: &rules, default }.route(proxy, out)
}

fn find(name: &str, at: Span, proxies: &[Proxy], out: &mut Vec<Diagnostic>) -> Option<usize> {
    let found = backend(name, proxies);
    if found.is_none() {
        let names = proxies.iter().filter(|proxy| proxy.kind != Kind::Frontend);
        let names = names.map(|proxy| proxy.name.value.as_str());
        let text = format!("there is no backend {}", quoted(name));
        out.push(
            Diagnostic::error(at, text)
                .help(format!("add a section `backend {name}`"))
                .suggest(nearest(name, names)),
        );
    }
    found
}

struct Rule {
    condition: Condition,
    target: usize,
    span: Span,
}

struct Router<'a> {
    proxies: &'a [Proxy],
    health_checks: &'a [HealthCheck],
    rules: &'a [Rule],
    default: Option<usize>,
}

impl Router<'_> {
    /// Goes through every number of servers that makes a difference.
    fn route(&self, front: &Proxy, out: &mut Vec<Diagnostic>) -> Option<Route> {
        let cases = self.cases();
        let outcomes: BTreeSet<Option<usize>> =
            cases.iter().flatten().map(|case| self.outcome(case)).collect();
        let outcomes: Vec<Option<usize>> = outcomes.into_iter().collect();
        match (cases.is_some(), outcomes.as_slice()) {
            (true, [Some(backend)]) => {
                return Some(Route { backend: *backend, fallback: None, primary: None });
            }
            (true, [Some(one), Some(other)]) => {
                let either = [(*one, *other), (*other, *one)];
                let fits = |(reader, writer): &&(usize, usize)| {
                    self.is_fallback(*reader, *writer, cases.iter().flatten())
                };
                if let Some((backend, primary)) = either.iter().find(fits) {
                    let line = self.rules.first().map_or(front.name.span, |rule| rule.span);
                    out.extend(self.other_ports(*backend, *primary, line));
                    let fallback = (!self.takes_any(*backend)).then_some(line);
                    let primary = Some(*primary);
                    return Some(Route { backend: *backend, fallback, primary });
                }
            }
            _ => {}
        }
        let line = self.rules.first().map_or(front.name.span, |rule| rule.span);
        out.push(
            Diagnostic::error(line, "vipd cannot follow this choice of backends")
                .note(
                    "it knows one: readers get the primary while no standby is up, both backends \
                     having the same servers and asking Patroni",
                )
                .help("`use_backend PRIMARY if { nbsrv(READERS) eq 0 }`, with PRIMARY checked by /primary and READERS by /replica")
                .help("servers of last resort can be `backup` servers of one backend"),
        );
        None
    }

    /// Readers fall back to the primary at their own port: what if the section named has another?
    fn other_ports(&self, reader: usize, writer: usize, line: Span) -> Option<Diagnostic> {
        let (readers, writers) = (self.proxies.get(reader)?, self.proxies.get(writer)?);
        if !places(writers).is_disjoint(&places(readers)) {
            return None;
        }
        let name = quoted(&readers.name.value);
        let text = format!(
            "clients of {name} that fall back get the primary at the port of {name}, not at that \
             of {}",
            quoted(&writers.name.value)
        );
        let warning = Diagnostic::warning(line, text);
        Some(match writer_beside(readers, self.proxies, self.health_checks) {
            Some(other) => {
                warning.help(format!("name `{}`, which has the same ports", other.name.value))
            }
            None => warning.help("give both sections the same ports"),
        })
    }

    /// By backend, how many of its servers are up.
    fn cases(&self) -> Option<Vec<BTreeMap<&str, u64>>> {
        let mut counts: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for target in self.rules.iter().map(|rule| rule.target).chain(self.default) {
            let proxy = self.proxies.get(target)?;
            let servers = u64::try_from(proxy.servers.len()).ok()?;
            counts.entry(proxy.name.value.as_str()).or_default().extend([0, 1, servers]);
        }
        for rule in self.rules {
            boundaries(&rule.condition, &mut counts);
        }
        for (name, numbers) in &mut counts {
            let at = backend(name, self.proxies)?;
            let servers = u64::try_from(self.proxies.get(at)?.servers.len()).ok()?;
            // A cluster has one primary.
            let most = if self.wants(at) == Some(Wants::Writer) { 1 } else { servers };
            numbers.retain(|number| *number <= most);
        }
        let mut cases: Vec<BTreeMap<&str, u64>> = vec![BTreeMap::new()];
        for (name, numbers) in counts {
            let more = cases.iter().flat_map(|case| {
                numbers.iter().map(move |number| {
                    let mut case = case.clone();
                    case.insert(name, *number);
                    case
                })
            });
            cases = more.take(MOST_CASES).collect();
        }
        (cases.len() < MOST_CASES).then_some(cases)
    }

    fn outcome(&self, case: &BTreeMap<&str, u64>) -> Option<usize> {
        let up = |name: &str| case.get(name).copied().unwrap_or(0);
        let rule = self.rules.iter().find(|rule| rule.condition.holds(&up));
        rule.map(|rule| rule.target).or(self.default)
    }

    fn wants(&self, at: usize) -> Option<Wants> {
        match self.health_checks.get(at) {
            Some(HealthCheck::Patroni(role)) => Some(role.wants),
            _ => None,
        }
    }

    /// Whether the primary is one of its servers, so that falling back to it adds nothing.
    fn takes_any(&self, at: usize) -> bool {
        matches!(self.health_checks.get(at), Some(HealthCheck::Patroni(role))
            if role.wants == Wants::Any && role.lag.is_none() && role.tags.is_empty())
    }

    /// Whether clients reach `writer` when no reader is up, and `reader` otherwise.
    fn is_fallback<'c>(
        &self,
        reader: usize,
        writer: usize,
        mut cases: impl Iterator<Item = &'c BTreeMap<&'c str, u64>>,
    ) -> bool {
        let reads = |wants| matches!(wants, Wants::Reader | Wants::Sync | Wants::Async);
        let any = self.takes_any(reader);
        let roles = any || self.wants(reader).is_some_and(reads);
        let (Some(readers), Some(writers)) = (self.proxies.get(reader), self.proxies.get(writer))
        else {
            return false;
        };
        let apis = |proxy: &Proxy| -> BTreeSet<_> {
            let check = &proxy.settings.check;
            proxy.servers.iter().map(|server| check_endpoint(server, check)).collect()
        };
        let same = apis(writers).is_subset(&apis(readers));
        let up = |case: &BTreeMap<&str, u64>, proxy: &Proxy| {
            case.get(proxy.name.value.as_str()).is_some_and(|up| *up > 0)
        };
        roles
            && self.wants(writer) == Some(Wants::Writer)
            && same
            && cases.all(|case| match (up(case, readers), up(case, writers)) {
                (true, _) => self.outcome(case) == Some(reader),
                (false, true) => any || self.outcome(case) == Some(writer),
                (false, false) => true,
            })
    }
}

/// The numbers on both sides of every limit a condition has.
fn boundaries<'c>(condition: &'c Condition, counts: &mut BTreeMap<&'c str, BTreeSet<u64>>) {
    match condition {
        Condition::Always(_) => {}
        Condition::Up(backend, ranges) => {
            let numbers = ranges
                .iter()
                .flat_map(|(from, to)| [from.saturating_sub(1), *from, *to, to.saturating_add(1)]);
            counts.entry(backend.as_str()).or_default().extend(numbers.chain([0, 1]));
        }
        Condition::Not(inner) => boundaries(inner, counts),
        Condition::All(list) | Condition::Any(list) => {
            list.iter().for_each(|condition| boundaries(condition, counts));
        }
    }
}

/// Where the servers of a section are.
fn places(proxy: &Proxy) -> BTreeSet<&Endpoint> {
    proxy.servers.iter().map(|server| &server.address.value).collect()
}

/// The section where the primary is found at the same servers and ports.
pub(super) fn writer_beside<'p>(
    readers: &Proxy,
    proxies: &'p [Proxy],
    health_checks: &[HealthCheck],
) -> Option<&'p Proxy> {
    let mut all = proxies.iter().zip(health_checks);
    let beside = all.find(|(proxy, health_check)| {
        let writes =
            matches!(health_check, HealthCheck::Patroni(role) if role.wants == Wants::Writer);
        writes && !proxy.servers.is_empty() && places(proxy).is_superset(&places(readers))
    });
    beside.map(|(proxy, _)| proxy)
}

/// The shorter of two limits of which zero is none.
pub(super) fn shorter(
    one: Option<Spanned<std::time::Duration>>,
    other: Option<Spanned<std::time::Duration>>,
) -> Option<Spanned<std::time::Duration>> {
    let limit = |time: &Spanned<std::time::Duration>| !time.value.is_zero();
    [one, other].into_iter().flatten().filter(limit).min_by_key(|time| time.value)
}
