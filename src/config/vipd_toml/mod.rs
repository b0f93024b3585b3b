//! vipd.toml to [`Raw`].
//!
//! The spanned tree of the `toml` crate is walked by hand instead of derived with serde: serde
//! stops at the first mistake, and an operator wants to see all of them.

mod host;
mod leaves;
mod notify;
mod page;
mod proxy;
mod track;
mod values;

use std::ops::Range;

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use host::{PACING, STATIC};

use super::announce::RawAnnounce;
use super::diag::{Diagnostic, FileId, Span, Spanned, nearest, quoted};
use super::key::{self, Key, Slot};
use super::process::RawProcess;
use super::raw::{
    Raw, RawAddress, RawCluster, RawFifo, RawGlobals, RawGroup, RawInterface, RawListener,
    RawLiveness, RawMail, RawMember, RawNotify, RawPacing, RawPage, RawPeer, RawPeers, RawRequest,
    RawRhythm, RawServer, RawStatusCheck, RawTls, Secret, Words, keys,
};
use super::router::RawRouter;
use super::sources::Text;
use crate::pool::Wants;

/// The tables of vipd.toml and their keys: what "did you mean" offers and what vipd.toml(5) must
/// explain.
pub const KEYS: &[(&str, &[&str])] = &[
    ("", TOP),
    ("global", GLOBAL),
    ("global", RawGlobals::NAMES),
    ("global", RawProcess::NAMES),
    ("interface.NAME", RawInterface::NAMES),
    ("pacing.NAME", PACING),
    ("pacing.NAME", RawPacing::NAMES),
    ("static", STATIC),
    ("vrrp.NAME", ROUTER),
    ("vrrp.NAME", RawRouter::NAMES),
    ("announce", RawAnnounce::NAMES),
    ("vrrp.NAME.notify", notify::NOTIFY),
    ("vrrp.NAME.notify", RawNotify::NAMES),
    ("command", notify::COMMAND),
    ("fifo", notify::FIFO),
    ("fifo", RawFifo::NAMES),
    ("mail", notify::MAIL),
    ("mail", RawMail::NAMES),
    ("address", ADDRESS),
    ("address", RawAddress::NAMES),
    ("address", &["track"]),
    ("static", ADDRESS),
    ("static", RawAddress::NAMES),
    ("peer", &["address"]),
    ("peer", RawPeer::NAMES),
    ("track.KIND.NAME", keys::WEIGHT),
    ("track.KIND.NAME", keys::RUNS),
    ("track.script.NAME", keys::SCRIPT),
    ("track.file.NAME", keys::FILE),
    ("track.process.NAME", keys::PROCESS),
    ("track.tcp.NAME", keys::SERVER),
    ("track.http.NAME", keys::HTTP),
    ("track.http.NAME", keys::REQUEST),
    ("track.patroni.NAME", keys::PATRONI),
    ("track.haproxy.NAME", keys::HAPROXY),
    ("an entry", track::REFERENCE),
    ("group.NAME", track::GROUP),
    ("group.NAME", RawGroup::NAMES),
    ("cluster.NAME", proxy::CLUSTER),
    ("cluster.NAME", RawCluster::NAMES),
    ("cluster.NAME", RawRhythm::NAMES),
    ("cluster.NAME", RawTls::NAMES),
    ("cluster.NAME", RawRequest::NAMES),
    ("a member", proxy::MEMBER),
    ("a member", RawMember::NAMES),
    ("listener.NAME", proxy::LISTENER),
    ("listener.NAME", RawListener::NAMES),
    ("a place to listen at", proxy::BIND),
    ("a server", proxy::SERVER),
    ("a server", RawServer::NAMES),
    ("client", RawLiveness::NAMES),
    ("status_check", &["headers"]),
    ("status_check", RawRequest::NAMES),
    ("status_check", RawRhythm::NAMES),
    ("status_check", RawStatusCheck::NAMES),
    ("page.NAME", page::PAGE),
    ("page.NAME", RawPage::NAMES),
    ("metrics", page::METRICS),
    ("a user", page::USER),
];

const TOP: &[&str] = &[
    "global",
    "interface",
    "pacing",
    "static",
    "vrrp",
    "track",
    "group",
    "fifo",
    "mail",
    "cluster",
    "listener",
    "page",
    "metrics",
];

/// What has a shape of its own.
const GLOBAL: &[&str] = &["umask", "cpus", "startup_script", "shutdown_script"];

/// What has a shape of its own.
const ROUTER: &[&str] = &[
    "addresses",
    "excluded",
    "auth_pass",
    "announce",
    "peers",
    "receive_buffer",
    "track",
    "track_interfaces",
    "notify",
];

const ADDRESS: &[&str] = &["address", "scope", "broadcast", "peer", "preferred_lft"];

/// The words for an address's `scope`.
pub(crate) const SCOPES: &[(&str, u8)] =
    &[("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];

/// What a role is called.
#[must_use]
pub fn role_word(wants: Wants) -> &'static str {
    key::Words::word(wants)
}

/// The word that `choices` has for a value.
pub(crate) fn word_for<T: PartialEq>(
    choices: &'static [(&'static str, T)],
    value: &T,
) -> Option<&'static str> {
    choices.iter().find(|(_, choice)| choice == value).map(|(word, _)| *word)
}

pub(super) static WORDS: Words = Words {
    router: "router",
    interface: "interface",
    vrid: "vrid",
    interval: "interval",
    auth_pass: "auth_pass",
    addresses: "addresses",
    excluded: "excluded",
    track_source: "track_source",
    highest_peer_priority: "highest_peer_priority",
    no_preempt: "preempt = false",
    fault_without_peers: "fault_without_peers = true",
    no_addresses: "addresses = []",
    version3: "version = 3",
    syntax: (" = ", "\""),
};

type Value<'t> = TomlSpanned<DeValue<'t>>;

/// Bytes of a file: room for thousands of routers, while nonsense of this size costs little memory.
const LARGEST: usize = 1 << 20;

/// Adds what a file says to `raw`.
pub(crate) fn lower(file: FileId, text: &Text, raw: &mut Raw, out: &mut Vec<Diagnostic>) {
    if text.lossy {
        let at = text.text.find('\u{fffd}').unwrap_or_default();
        let span = Span::new(file, at..at + '\u{fffd}'.len_utf8());
        out.push(Diagnostic::error(span, "TOML is UTF-8, this byte is not"));
        return;
    }
    if text.text.len() > LARGEST {
        let message = format!("a vipd.toml has at most {} MiB", LARGEST >> 20);
        out.push(Diagnostic::error(Span::new(file, 0..0), message).help("is this a vipd.toml?"));
        return;
    }
    let (table, errors) = DeTable::parse_recoverable(&text.text);
    if !errors.is_empty() {
        // What can be salvaged of a broken file would only raise questions nobody asked.
        out.extend(errors.iter().map(|error| {
            let span = Span::new(file, error.span().unwrap_or_default());
            Diagnostic::error(span, error.message().lines().next().unwrap_or_default())
        }));
        return;
    }
    raw.written.extend(leaves::leaves(file, table.get_ref()));
    Reader { file, out }.top(table.get_ref(), raw);
}

struct Reader<'a> {
    file: FileId,
    out: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, raw: &mut Raw) {
        for (key, span, value) in entries(table) {
            match key {
                "global" => self.global(value, raw),
                "interface" => self.interfaces(value, raw),
                "pacing" => self.pacing(value, raw),
                "static" => self.statics(value, raw),
                "fifo" => self.fifos(value, raw),
                "mail" => self.mail(value, raw),
                "vrrp" => self.routers(value, raw),
                "track" => self.trackers(value, raw),
                "group" => self.groups(value, raw),
                "cluster" => self.clusters(value, raw),
                "listener" => self.listeners(value, raw),
                "page" => self.pages(value, raw),
                "metrics" => {
                    let span = self.span(span);
                    self.metrics(span, value, raw);
                }
                "listen" | "status" | "include" => {
                    let text = format!("`{key}` is not supported by this version");
                    let span = self.span(span);
                    self.out.push(Diagnostic::error(span, text));
                }
                _ => self.unknown(key, span, TOP, "vipd.toml"),
            }
        }
    }

    fn global(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (key, span, value) in entries(table) {
            let globals = &mut raw.globals;
            match key {
                "umask" => globals.process.umask = self.number(value),
                "cpus" => globals.process.cpus = self.numbers(value),
                "startup_script" => globals.startup_script = self.telling(value),
                "shutdown_script" => globals.shutdown_script = self.telling(value),
                _ => {
                    let entry = (key, span, value);
                    if !self.known(&mut globals.process, RawProcess::KEYS, &entry) {
                        let others = [GLOBAL, RawProcess::NAMES].concat();
                        self.setting(globals, RawGlobals::KEYS, entry, &others, "[global]");
                    }
                }
            }
        }
    }

    fn routers(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            if !value.get_ref().is_table() {
                let span = self.span(span);
                self.out.push(
                    Diagnostic::error(span, format!("`{name}` stands in [vrrp], outside a router"))
                        .help("each router is a table of its own: `[vrrp.NAME]`"),
                );
                continue;
            }
            let name = Spanned::new(name.to_owned(), self.span(span));
            if let Some(router) = self.router(name, value) {
                raw.routers.push(router);
            }
        }
    }

    fn router(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawRouter> {
        let place = format!("[vrrp.{}]", name.value);
        let mut raw = RawRouter::new(name, &WORDS);
        let table = self.table(value)?;
        let is_empty = |value: &Value<'_>| value.get_ref().as_array().is_some_and(|a| a.is_empty());
        let written = entries(table).into_iter().filter(|(_, _, value)| !is_empty(value));
        raw.written = written.map(|(key, _, _)| key.to_owned()).collect();
        for (key, span, value) in entries(table) {
            match key {
                "peers" => raw.peers = self.peers(value),
                "announce" => raw.announce = self.settings(value, RawAnnounce::KEYS, "announce"),
                "track" => raw.track = self.references(value),
                "track_interfaces" => raw.track_interfaces = self.tracked_interfaces(value),
                "auth_pass" => {
                    let at = self.span(span);
                    raw.auth_pass =
                        self.text(value).map(|t| Spanned::new(Secret(t.value.into_bytes()), at));
                }
                "addresses" => {
                    raw.addresses = self.addresses(value);
                    if is_empty(value) {
                        raw.no_addresses = Some(self.span(value.span()));
                    }
                }
                "excluded" => raw.excluded = self.addresses(value),
                "notify" => {
                    raw.notify = self.notify(value, &format!("[vrrp.{}.notify]", raw.name.value));
                }
                "receive_buffer" => raw.receive_buffer = self.receive_buffer(value),
                _ => self.setting(&mut raw, RawRouter::KEYS, (key, span, value), ROUTER, &place),
            }
        }
        Some(raw)
    }

    /// A block, which is called `place`.
    fn settings<D: Default>(&mut self, value: &Value<'_>, keys: &[Key<D>], place: &str) -> D {
        let mut draft = D::default();
        if let Some(table) = self.table(value) {
            for entry in entries(table) {
                self.setting(&mut draft, keys, entry, &[], place);
            }
        }
        draft
    }

    /// One setting of a block, which has the settings `others` beside its keys.
    fn setting<D>(
        &mut self,
        draft: &mut D,
        keys: &[Key<D>],
        entry: Entry<'_, '_>,
        others: &[&'static str],
        place: &str,
    ) {
        if !self.known(draft, keys, &entry) {
            let (name, span, _) = entry;
            let names = keys.iter().map(|key| key.name);
            let names: Vec<&str> = names.chain(others.iter().copied()).collect();
            self.unknown(name, span, &names, place);
        }
    }

    /// Reads a setting if it is one of these.
    fn known<D>(&mut self, draft: &mut D, keys: &[Key<D>], entry: &Entry<'_, '_>) -> bool {
        let (name, span, value) = entry;
        let named = |key: &&Key<D>| key.name == *name || key.former == Some(name);
        let Some(key) = keys.iter().find(named) else { return false };
        let at = self.span(span.clone());
        if let Some(first) = (key.origin)(draft) {
            let text = format!("`{}` is given twice", key.name);
            let error = Diagnostic::error(at, text).also(first, "first here");
            self.out.push(error.help(format!("keep one; `{name}` is the same setting")));
        } else if key.name != *name {
            let text = format!("`{name}` is called `{}` now", key.name);
            self.out.push(Diagnostic::warning(at, text).help("rename it when convenient"));
        }
        self.slot((key.slot)(draft), value);
        true
    }

    fn slot(&mut self, slot: Slot<'_>, value: &Value<'_>) {
        match slot {
            Slot::Text(at) => *at = self.text(value),
            Slot::Number(at) => *at = self.number(value),
            Slot::Time(at) => *at = self.duration(value),
            Slot::Flag(at) => *at = self.boolean(value),
            Slot::Address(at) => *at = self.ip(value),
            Slot::Word(at) => self.word(at, value),
            Slot::Pairs(at) => *at = self.pairs(value),
        }
    }

    fn peers(&mut self, value: &Value<'_>) -> Option<RawPeers> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "an array of addresses, such as [\"10.0.0.3\"]");
            return None;
        };
        let list: Vec<RawPeer> = array.iter().filter_map(|item| self.peer(item)).collect();
        let unreadable = list.len() < array.len();
        Some(RawPeers { span: self.span(value.span()), list, unreadable })
    }

    fn peer(&mut self, value: &Value<'_>) -> Option<RawPeer> {
        let Some(table) = value.get_ref().as_table() else {
            if value.get_ref().is_str() {
                return self.ip(value).map(RawPeer::new);
            }
            self.expected(value, "an address or { address = \"…\", … }");
            return None;
        };
        let Some(address) = table.get("address") else {
            let span = self.span(value.span());
            self.out.push(Diagnostic::error(span, "an entry without `address`"));
            return None;
        };
        let mut raw = RawPeer::new(self.ip(address)?);
        for (key, span, value) in entries(table) {
            match key {
                "address" => {}
                _ => {
                    let entry = (key, span, value);
                    self.setting(&mut raw, RawPeer::KEYS, entry, &["address"], "a peer");
                }
            }
        }
        Some(raw)
    }

    fn addresses(&mut self, value: &Value<'_>) -> Vec<RawAddress> {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "an array of addresses, such as [\"10.0.0.10/24\"]");
            return Vec::new();
        };
        array.iter().filter_map(|item| self.address(item)).collect()
    }

    fn address(&mut self, value: &Value<'_>) -> Option<RawAddress> {
        let Some(table) = value.get_ref().as_table() else {
            if value.get_ref().is_str() {
                return self.cidr(value).map(RawAddress::new);
            }
            self.expected(value, "an address or { address = \"…\", … }");
            return None;
        };
        let mut raw = self.address_of(value, table)?;
        for entry in entries(table) {
            let (key, span, value) = &entry;
            if *key == "track" {
                raw.no_track = self.boolean(value).filter(|on| !on.value).map(|off| off.span);
            } else if !self.address_option(&mut raw, &entry) {
                let names = [ADDRESS, &["track"], RawAddress::NAMES].concat();
                self.unknown(key, span.clone(), &names, "an address");
            }
        }
        Some(raw)
    }

    fn address_of(&mut self, value: &Value<'_>, table: &DeTable<'_>) -> Option<RawAddress> {
        let Some(address) = table.get("address") else {
            let span = self.span(value.span());
            self.out.push(Diagnostic::error(span, "an entry without `address`"));
            return None;
        };
        self.cidr(address).map(RawAddress::new)
    }

    /// `false` if there is no such option.
    fn address_option(&mut self, raw: &mut RawAddress, entry: &Entry<'_, '_>) -> bool {
        let (key, _, value) = entry;
        match *key {
            "address" => {}
            "scope" => raw.scope = self.scope(value),
            "broadcast" => raw.broadcast = self.broadcast(raw.cidr.value, value),
            "peer" => raw.peer = self.cidr(value),
            "preferred_lft" => raw.preferred_lft = self.preferred_lft(value),
            _ => return self.known(raw, RawAddress::KEYS, entry),
        }
        true
    }

    fn unknown(&mut self, key: &str, span: Range<usize>, known: &[&'static str], place: &str) {
        let span = self.span(span);
        let home = KEYS.iter().find(|(table, keys)| !table.is_empty() && keys.contains(&key));
        let error = Diagnostic::error(span, format!("unknown key {} in {place}", quoted(key)));
        let near = nearest(key, known.iter().copied());
        self.out.push(match (near, home) {
            (None, Some((table, _))) => error.help(format!("it belongs in [{table}]")),
            (near, _) => error.suggest(near),
        });
    }

    fn expected(&mut self, value: &Value<'_>, what: &str) {
        let span = self.span(value.span());
        let text = format!("expected {what}, found {}", article(value.get_ref().type_str()));
        self.out.push(Diagnostic::error(span, text));
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }
}

/// A key, its place, and what it has.
type Entry<'t, 'i> = (&'t str, Range<usize>, &'t Value<'i>);

/// The entries of a table in the order of the file.
fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
