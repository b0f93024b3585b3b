//! Why the configuration is what it is: `vipd check --explain`.

use std::net::IpAddr;

mod origins;

use super::announce::RawAnnounce;
use super::diag::{SourceMap, Span};
use super::globals::Globals;
use super::key::Key;
use super::model::{Config, RouterConfig};
use super::process::RawProcess;
use super::raw::{Raw, RawGlobals, RawGroup, WrittenSetting};
use super::router::RawRouter;
use super::settings;
use origins::at;

/// What becomes of one statement of a keepalived.conf or haproxy.cfg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The place of its keyword.
    pub span: Span,
    /// Every place a setting may name as its origin: the words, and all of them together.
    pub places: Vec<Span>,
    /// The block it stands in, as the coverage tables of vipd-keepalived(5) and vipd-haproxy(5) call it.
    pub block: String,
    /// In how many blocks it stands.
    pub depth: usize,
    /// The keyword and its values, passwords hidden.
    pub text: String,
    /// As in the coverage tables of vipd-keepalived(5) and vipd-haproxy(5), or `unknown`; empty for an entry of a list.
    pub status: &'static str,
    /// What vipd does with it, or why not.
    pub why: String,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in vipd.toml.
    pub name: String,
    /// Its value, a password hidden.
    pub value: String,
    /// Where it was written; `None`: the default, or it follows from others.
    pub origin: Option<Span>,
}

/// What has a name of its own beside routers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// As `listener write`.
    pub title: String,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// The settings of a router, its addresses last. What it tracks, its group may say.
#[must_use]
pub fn router(router: &RouterConfig, raw: &RawRouter, groups: &[RawGroup]) -> Vec<Setting> {
    let group =
        groups.iter().find(|group| group.members.iter().any(|name| name.value == raw.name.value));
    let own = settings::of(router).into_iter().map(|(name, value)| {
        let origin = match name {
            "name" => Some(raw.name.span),
            "track" => at(raw.track.first().map(|t| &t.name))
                .or_else(|| at(group?.track.first().map(|t| &t.name))),
            "track_interfaces" => at(raw.track_interfaces.first().map(|t| &t.name))
                .or_else(|| at(group?.track_interfaces.first().map(|t| &t.name))),
            name => origin(raw, name),
        };
        Setting { name: name.to_owned(), value, origin }
    });
    let addresses = router.addresses.iter().map(|address| {
        let name = if address.advertised { "addresses" } else { "excluded" };
        let value = settings::written(address).replace(" excluded", "");
        Setting { name: name.to_owned(), value, origin: place_of(raw, address.cidr.address()) }
    });
    own.chain(addresses).collect()
}

/// The settings of the daemon.
#[must_use]
pub fn globals(globals: &Globals, raw: &RawGlobals) -> Vec<Setting> {
    let origin = |name: &str| match name {
        "umask" => at(raw.process.umask.as_ref()),
        "cpus" => at(raw.process.cpus.first()),
        "startup_script" => raw.startup_script.as_ref().map(|script| script.command.span),
        "shutdown_script" => raw.shutdown_script.as_ref().map(|script| script.command.span),
        _ => place(raw, name, RawGlobals::KEYS)
            .or_else(|| place(&raw.process, name, RawProcess::KEYS)),
    };
    let all = settings::globals(globals).into_iter();
    all.map(|(name, value)| Setting { origin: origin(name), name: name.to_owned(), value })
        .collect()
}

/// The settings of clusters, listeners, pages, trackers and their like.
#[must_use]
pub fn objects(config: &Config, raw: &Raw) -> Vec<Block> {
    let objects = settings::objects(config);
    let of = |object: &settings::Object| {
        let settings = object.settings.iter().map(|(name, value)| Setting {
            name: name.clone(),
            value: value.clone(),
            origin: origins::origin(raw, object, name),
        });
        let title = format!("{} {}", object.kind, object.name);
        Block { title: title.trim_end().to_owned(), settings: settings.collect() }
    };
    objects.iter().map(of).collect()
}

/// What a vipd.toml says and none of these places shows, in its own words.
#[must_use]
pub fn others(raw: &Raw, known: &[Span], map: &SourceMap) -> Vec<Block> {
    let shown = |WrittenSetting { whole, .. }: &WrittenSetting| {
        let within =
            |at: &Span| at.file == whole.file && (whole.start..whole.end).contains(&at.start);
        known.iter().any(within)
    };
    let mut blocks: Vec<Block> = Vec::new();
    for WrittenSetting { block, key, value: at, .. } in raw.written.iter().filter(|own| !shown(own))
    {
        let setting =
            Setting { name: key.clone(), value: source(key, *at, map), origin: Some(*at) };
        // A router's other settings stand under its name alone.
        let block = block.strip_prefix("vrrp ").unwrap_or(block);
        match blocks.iter_mut().find(|known| known.title == block) {
            Some(known) => known.settings.push(setting),
            None => blocks.push(Block { title: block.to_owned(), settings: vec![setting] }),
        }
    }
    blocks
}

/// A value as it is written, in one line; a secret only that there is one.
fn source(key: &str, span: Span, map: &SourceMap) -> String {
    let secret = ["pass", "user", "header"].iter().any(|word| key.contains(word))
        && !["user", "script_user"].contains(&key);
    if secret {
        return "set".to_owned();
    }
    let text = map.file(span.file).and_then(|file| file.text.get(span.start..span.end));
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn origin(raw: &RawRouter, name: &str) -> Option<Span> {
    match name {
        "auth_pass" => at(raw.auth_pass.as_ref()),
        "peers" => raw.peers.as_ref().map(|peers| peers.span),
        "receive_buffer" => at(raw.receive_buffer.as_ref()),
        "notify" => origins::notify(&raw.notify),
        _ => place(raw, name, RawRouter::KEYS)
            .or_else(|| place(&raw.announce, name, RawAnnounce::KEYS)),
    }
}

fn place<D>(block: &D, path: &str, keys: &[Key<D>]) -> Option<Span> {
    keys.iter().find(|key| key.path == path).and_then(|key| (key.origin)(block))
}

fn place_of(raw: &RawRouter, address: IpAddr) -> Option<Span> {
    let mut all = raw.addresses.iter().chain(&raw.excluded);
    all.find(|raw| raw.cidr.value.address() == address).map(|raw| raw.cidr.span)
}
