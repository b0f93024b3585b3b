//! Raw to checked: every range, combination and clash, all of them in one run.

mod addresses;
mod buffer;
mod cast;
mod checks;
mod clashes;
pub(super) mod commands;
mod groups;
mod interfaces;
mod notify;
mod page;
mod proxy;
mod references;
mod statics;
mod trackers;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub use addresses::most_addresses;
pub(crate) use cast::{ANY_TTL, HOW_FAR};
pub(crate) use page::page_path;

use super::announce::{AnnounceConfig, RawAnnounce};
use super::diag::{Diagnostic, Reach, Severity, Span, Spanned};
use super::globals::{Globals, RawGlobals};
use super::key::Row;
use super::key::value::within;
use super::model::{Config, Preempt, RouterConfig, Strict};
use super::raw::Raw;
use super::router::{RawRouter, RouterOptions};
use crate::text::human;
use crate::types::{
    AuthV2, Centis, Dialect, Family, IfName, OutOfRange, Priority, V3Checksum, Vrid,
};
use groups::Groups;
use references::{References, resolve};
use trackers::Trackers;

/// keepalived's.
const PREEMPT_DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(1000);

/// Checks everything and explains all that is wrong; a configuration comes out only if that can be
/// done without.
pub fn check(raw: &Raw, diagnostics: &mut Vec<Diagnostic>) -> Option<Config> {
    let mut found = Vec::new();
    let globals = globals(&raw.globals, &mut found);
    let trackers = Trackers::new(&raw.trackers, &raw.listeners, &raw.globals, &mut found);
    let groups = Groups::new(&raw.groups, &raw.routers, &trackers, &mut found);
    let mut routers = Vec::new();
    for router in &raw.routers {
        let before = found.len();
        let mut check = RouterCheck {
            raw: router,
            globals: &raw.globals,
            trackers: &trackers,
            groups: &groups,
            out: &mut found,
        };
        if let Some(checked) = check.run() {
            routers.push((router, checked));
        }
        found.iter_mut().skip(before).for_each(|d| d.within(&router.name));
    }
    let groups = groups.configs(&routers, &raw.globals, &mut found);
    let fifos = notify::fifos(raw, &mut found);
    let mail = notify::mail(raw, &mut found);
    let references = raw.routers.iter().flat_map(|router| &router.track);
    let references = references.chain(raw.groups.iter().flat_map(|group| &group.track));
    let used: Vec<_> = references.map(|reference| resolve(reference, &trackers).cloned()).collect();
    let trackers = trackers.used(&raw.trackers, &used, &mut found);
    clashes::clashes(&raw.routers, &routers, &mut found);
    let before = found.len();
    let static_addresses =
        statics::statics(&raw.static_addresses, &raw.routers, &routers, &mut found);
    let interfaces = interfaces::interfaces(&raw.interfaces, &routers, &mut found);
    let pacing = interfaces::pacing(&raw.pacing, &mut found);
    // What is wrong about the host alone has been left out: the routers can do without.
    found.iter_mut().skip(before).for_each(Diagnostic::alone);
    let (clusters, listeners) = proxy::proxy(raw, &mut found);
    let pages = page::pages(raw, &mut found);
    let usable = found.iter().all(|d| d.severity != Severity::Error || d.reach == Reach::Setting);
    diagnostics.append(&mut found);
    usable.then(|| Config {
        globals,
        interfaces,
        pacing,
        static_addresses,
        routers: routers.into_iter().map(|(_, router)| Arc::new(router)).collect(),
        trackers,
        groups,
        fifos,
        mail,
        clusters,
        listeners,
        pages,
    })
}

fn globals(raw: &RawGlobals, out: &mut Vec<Diagnostic>) -> Globals {
    let scripts = [
        (&raw.startup_script, raw.startup_script_timeout),
        (&raw.shutdown_script, raw.shutdown_script_timeout),
    ];
    let [startup_script, shutdown_script] = scripts.map(|(script, timeout)| {
        if let (None, Some(at)) = (script, timeout) {
            let text = "there is no script that could take so long";
            out.push(Diagnostic::warning(at.span, text).help("add the script, or remove this"));
        }
        script.as_ref().map(|script| notify::script(script, raw, out))
    });
    let process = raw.process.check(out);
    Globals { process, startup_script, shutdown_script, ..raw.over(&Globals::default(), out) }
}

/// The family of a router: its first address decides, then its source, group and peers.
#[must_use]
pub fn family_of(raw: &RawRouter) -> Family {
    let first = raw.addresses.first().map(|a| a.cidr.value.address());
    let peer = raw.peers.as_ref().and_then(|p| p.list.first()).map(|p| p.address.value);
    let address = first.or(raw.source.map(|s| s.value)).or(raw.group.map(|g| g.value)).or(peer);
    address.map_or(Family::Ipv4, Family::of)
}

/// The version a router speaks: as asked, else 2 for IPv4 (keepalived's default) and 3 for IPv6.
#[must_use]
pub fn version_of(raw: &RawRouter) -> i64 {
    match (raw.version, family_of(raw)) {
        (Some(version), _) => version.value,
        (None, Family::Ipv4) => 2,
        (None, Family::Ipv6) => 3,
    }
}

struct RouterCheck<'a> {
    raw: &'a RawRouter,
    globals: &'a RawGlobals,
    trackers: &'a Trackers<'a>,
    groups: &'a Groups<'a>,
    out: &'a mut Vec<Diagnostic>,
}

impl RouterCheck<'_> {
    fn run(&mut self) -> Option<RouterConfig> {
        let raw = self.raw;
        let family = family_of(raw);
        let strict = raw.strict.map(|s| s.value);
        let name = self.name();
        let iface = self.interface();
        let vrid = self.vrid();
        let priority = self.priority();
        let dialect = self.dialect(family);
        let interval = self.interval();
        let preempt = self.preempt(priority);
        let addresses = self.addresses(family, iface.as_ref());
        let advertised = addresses.iter().filter(|a| a.advertised).count();
        let receive_buffer = self.receive_buffer(dialect.as_ref(), advertised);
        let highest_peer_priority = self.highest_peer_priority(preempt);
        let source = self.source(family);
        self.track_source();
        let cast = self.cast(family);
        let announce = announce(self.out, &raw.announce, strict.is_some());
        let track_iface = raw.track_interface.is_none_or(|v| v.value);
        let own = raw.interface.as_ref().filter(|_| track_iface).map(|own| own.value.as_str());
        let mut tracked =
            References::new(&raw.track, &raw.track_interfaces, own, self.trackers, self.out);
        self.groups.join(raw, &mut tracked, self.out);
        let options = self.options(interval.unwrap_or(Centis::SECOND));
        let interval = interval?;
        let router = RouterConfig {
            name: name?,
            iface: iface?,
            vrid: vrid?,
            dialect: dialect?,
            priority: priority?,
            interval,
            preempt,
            highest_peer_priority,
            strict,
            source,
            cast,
            receive_buffer,
            addresses,
            announce,
            options,
            notify: notify::notify(&raw.notify, self.globals, self.out),
            track: tracked.track.clone(),
            track_interfaces: tracked.interfaces.clone(),
        };
        tracked.arithmetic(raw, &router, self.out);
        Some(router)
    }

    #[track_caller]
    fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::error(span, message))
    }

    fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        push(self.out, diagnostic)
    }

    fn name(&mut self) -> Option<String> {
        let Spanned { value, span } = &self.raw.name;
        if value.is_empty() || value.chars().any(char::is_control) {
            self.error(*span, "a router needs a printable name");
            return None;
        }
        Some(value.clone())
    }

    /// A missing setting, reported at the block's header.
    fn missing(&mut self, setting: &'static str, example: &str) {
        if self.raw.written.contains(setting) {
            return;
        }
        let text = format!("{} {} has no {setting}", self.raw.words.router, self.raw.name.value);
        self.error(self.raw.name.span, text).help.push(format!("add `{example}`"));
    }

    fn interface(&mut self) -> Option<IfName> {
        let words = self.raw.words;
        let Some(Spanned { value, span }) = &self.raw.interface else {
            self.missing(words.interface, &words.example(words.interface, "eth0", true));
            return None;
        };
        if value == "lo" {
            let why = "the loopback interface reaches no other node";
            self.error(*span, "adverts cannot go out on `lo`").label = why.to_owned();
            return None;
        }
        self.ranged(Spanned::new(value.parse(), *span))
    }

    fn vrid(&mut self) -> Option<Vrid> {
        let words = self.raw.words;
        let Some(Spanned { value, span }) = self.raw.vrid else {
            self.missing(words.vrid, &words.example(words.vrid, "51", false));
            return None;
        };
        let vrid = u8::try_from(value).ok().and_then(|v| Vrid::try_from(v).ok());
        if vrid.is_none() {
            self.error(span, format!("{} must be 1 to 255, not {value}", words.vrid));
        }
        vrid
    }

    fn priority(&mut self) -> Option<Priority> {
        let Some(Spanned { value, span }) = self.raw.priority else {
            return Some(Priority::DEFAULT);
        };
        let priority = u8::try_from(value).ok().and_then(|p| Priority::try_from(p).ok());
        match priority {
            None => {
                let error = self.error(span, format!("priority must be 1 to 255, not {value}"));
                error.help.push("use 1 to 254; 255 is for a node that owns the addresses".into());
            }
            Some(Priority::OWNER) => {
                self.push(
                    Diagnostic::warning(
                        span,
                        "priority 255 claims that this node owns the addresses",
                    )
                    .note("it becomes master at once, without listening first")
                    .help("use 254 or less unless the addresses always stand on the interface"),
                );
            }
            Some(_) => {}
        }
        priority
    }

    fn dialect(&mut self, family: Family) -> Option<Dialect> {
        let raw = self.raw;
        let version = version_of(raw);
        if let Some(at) = raw.version {
            if !(2..=3).contains(&at.value) {
                self.error(at.span, format!("version must be 2 or 3, not {}", at.value));
                return None;
            }
            if at.value == 2 && family == Family::Ipv6 {
                let error = self.error(at.span, "VRRP version 2 knows no IPv6");
                error.help.push(format!("use `{}`", raw.words.version3));
                if let Some(first) = raw.addresses.first() {
                    error.secondary.push((first.cidr.span, "the first address is IPv6".into()));
                }
                return None;
            }
        }
        if let Some(strict) = raw.strict {
            let wrong = match (strict.value, version) {
                (Strict::Rfc3768, 3) => Some("RFC 3768 is VRRP version 2"),
                (Strict::Rfc9568, 2) => Some("RFC 9568 is VRRP version 3"),
                _ => None,
            };
            if let Some(label) = wrong {
                let text = format!("{} speaks version {version}", raw.name.value);
                self.error(strict.span, text).label = label.to_owned();
            }
        }
        if version == 2 {
            return Some(Dialect::V2(self.auth()));
        }
        if let Some(auth) = &raw.auth_pass {
            let text = format!(
                "VRRP version 3 carries no password, so {} is in vain",
                raw.words.auth_pass
            );
            self.error(auth.span, text).help.push("remove it".into());
        }
        if family == Family::Ipv6 {
            return Some(Dialect::V3Ipv6);
        }
        let standard = if raw.strict.is_some_and(|s| s.value == Strict::Rfc9568) {
            V3Checksum::MessageOnly
        } else {
            V3Checksum::PseudoHeader
        };
        if let Some(Spanned { value: V3Checksum::OldUnicast, span }) = raw.checksum
            && raw.peers.is_none()
        {
            let text = "the old checksum of unicast adverts needs unicast peers";
            self.error(span, text).help.push("remove it, or list the peers".into());
        }
        Some(Dialect::V3Ipv4(raw.checksum.map_or(standard, |c| c.value)))
    }

    fn auth(&mut self) -> AuthV2 {
        let Some(auth) = &self.raw.auth_pass else { return AuthV2::None };
        if let Some(strict) = self.raw.strict {
            self.error(auth.span, "strict mode forbids a password")
                .secondary
                .push((strict.span, "strict mode is asked for here".into()));
            return AuthV2::None;
        }
        AuthV2::pass(&auth.value.0).unwrap_or_else(|error| {
            let too_long = auth.value.0.len() > AuthV2::MAX_PASS;
            let error = self.error(auth.span, error.to_string());
            if too_long {
                let note =
                    "a keepalived peer cuts a longer password to its first 8 bytes: use those";
                error.notes.push(note.into());
            }
            AuthV2::None
        })
    }

    fn interval(&mut self) -> Option<Centis> {
        let Some(Spanned { value, span }) = self.raw.interval else { return Some(Centis::SECOND) };
        let words = self.raw.words;
        let word = words.interval;
        let v3 = version_of(self.raw) == 3;
        let (allowed, fits) = if v3 {
            let whole = value.subsec_nanos() % 10_000_000 == 0;
            ("0.01 to 40.95 seconds in steps of 0.01 with version 3", whole)
        } else {
            ("1 to 255 whole seconds with version 2", value.subsec_nanos() == 0)
        };
        let most = if v3 { Centis::MAX_V3.get() } else { 25_500 };
        let centis = u16::try_from(value.as_millis() / 10)
            .ok()
            .filter(|centis| fits && *centis <= most)
            .and_then(|centis| Centis::try_from(centis).ok());
        if centis.is_none() {
            let error = self.error(span, format!("{word} must be {allowed}, not {}", human(value)));
            if !v3 && value < Duration::from_secs(40) {
                let text = format!("`{}` takes steps of 10 ms", words.version3);
                error.help.push(text);
            }
        }
        centis
    }

    fn preempt(&mut self, priority: Option<Priority>) -> Preempt {
        let raw = self.raw;
        let delay: Duration =
            within(raw.preempt_delay.as_ref(), &PREEMPT_DELAYS, "preempt_delay", self.out)
                .unwrap_or_default();
        if let (Some(strict), Some(at)) = (raw.strict, raw.preempt_delay)
            && !delay.is_zero()
        {
            self.contradicts(strict.span, at.span, "preempt_delay");
        }
        match raw.preempt {
            Some(Spanned { value: false, span }) => {
                if priority.is_some_and(Priority::is_owner) {
                    // C56: an owner always preempts (RFC 9568 section 6.1).
                    let why =
                        "priority 255 is the owner of the addresses, who always takes them back";
                    self.push(Diagnostic::no_effect(span, raw.words.no_preempt, why));
                    return Preempt::After(Duration::ZERO);
                }
                if let Some(at) = raw.preempt_delay {
                    let why = format!("`{}` switches preemption off", raw.words.no_preempt);
                    self.push(
                        Diagnostic::no_effect(at.span, "preempt_delay", &why)
                            .also(span, "preemption is off here"),
                    );
                }
                Preempt::Never
            }
            _ => Preempt::After(delay),
        }
    }

    fn highest_peer_priority(&mut self, preempt: Preempt) -> Option<Priority> {
        let Spanned { value, span } = self.raw.highest_peer_priority?;
        let words = self.raw.words;
        let word = words.highest_peer_priority;
        let priority = u8::try_from(value).ok().and_then(|p| Priority::try_from(p).ok());
        if priority.is_none_or(Priority::is_owner) {
            self.error(span, format!("{word} must be 1 to 254, not {value}"));
        } else if preempt != Preempt::Never {
            let why = format!(
                "without `{}` a master takes its addresses back after a stall in any case",
                words.no_preempt
            );
            self.push(Diagnostic::no_effect(span, word, &why));
        }
        priority
    }

    fn contradicts(&mut self, strict: Span, setting: Span, word: &str) {
        self.push(
            Diagnostic::error(setting, format!("strict mode leaves no choice about {word}"))
                .also(strict, "strict mode is asked for here")
                .help(format!("remove {word}, or the strict mode")),
        );
    }

    /// What one RFC says where it is followed to the letter, and vipd's own defaults.
    fn options(&mut self, interval: Centis) -> RouterOptions {
        let standard = match self.raw.strict.map(|strict| strict.value) {
            None => {
                // Deviation D25: three own intervals, at least 3 s.
                let triple = interval.get().saturating_mul(3).clamp(300, Centis::MAX_V3.get());
                let longest = Centis::try_from(triple).unwrap_or(Centis::MAX_V3);
                RouterOptions { max_learned_interval: longest, ..RouterOptions::default() }
            }
            Some(strict) => {
                // RFC 9568 answers a lower priority and lets an owner hear others, its predecessors do
                // not (R19, R21, D4). D21 is nobody's rule.
                let latest = strict == Strict::Rfc9568;
                RouterOptions {
                    answer_lower: latest,
                    owner_listens: latest,
                    advert_before_yield: false,
                    ..RouterOptions::default()
                }
            }
        };
        let mut options = self.raw.over(&standard, self.out);
        if let Some(strict) = self.raw.strict {
            for Row { key, show, .. } in RouterOptions::ROWS {
                let fixed = ["down_timer_adverts", "answer_lower", "owner_listens"];
                if let Some(at) = (key.origin)(self.raw)
                    && fixed.contains(&key.name)
                    && show(&options) != show(&standard)
                {
                    self.contradicts(strict.span, at, key.name);
                }
            }
        }
        if let Some(Spanned { span, .. }) = self.raw.max_learned_interval
            && options.max_learned_interval < interval
        {
            let text = "max_learned_interval is shorter than the router's own interval";
            self.error(span, text).help.push(format!("use {interval} or more"));
            options.max_learned_interval = standard.max_learned_interval;
        }
        options
    }

    fn ranged<T>(&mut self, parsed: Spanned<Result<T, OutOfRange>>) -> Option<T> {
        parsed.value.map_err(|error| self.error(parsed.span, error.to_string()).severity).ok()
    }
}

/// RFC 9568 and its predecessors answer a lower priority with an advert alone.
fn announce(out: &mut Vec<Diagnostic>, raw: &RawAnnounce, strict: bool) -> AnnounceConfig {
    let standard = AnnounceConfig::default();
    let standard = if strict {
        AnnounceConfig { lower_repeat: 0, lower_delay: Duration::ZERO, ..standard }
    } else {
        standard
    };
    raw.over(&standard, out)
}

fn push(out: &mut Vec<Diagnostic>, diagnostic: Diagnostic) -> &mut Diagnostic {
    out.push_mut(diagnostic)
}
