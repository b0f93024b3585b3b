//! Settings as texts, by their names in vipd.toml: what a reload and `vipd check --explain` say of
//! them.
//!
//! Rows show themselves. A type without them is taken apart completely, so that a setting nobody
//! thought of here does not compile.

mod object;
mod objects;
mod page;
mod proxy;

use std::fmt;
use std::time::Duration;

pub(crate) use object::{Object, by_name};
pub(crate) use objects::objects;

use super::checks::{Check, RunAs, ScriptCheck};
use super::globals::RawGlobals;
use super::key::{Row, Words};
use super::process::RawProcess;
use super::{
    AnnounceConfig, Cast, Globals, NotifyConfig, Peer, Preempt, Process, ReceiveBuffer,
    RouterConfig, RouterOptions, VirtualAddress, Weight,
};
use crate::text::human;
use crate::types::{AuthV2, Dialect, V3Checksum};

/// A setting and its value.
pub(crate) type Setting = (&'static str, String);

const NONE: &str = "none";

pub(crate) fn globals(globals: &Globals) -> Vec<Setting> {
    let Process { umask, cpus, .. } = &globals.process;
    let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    let script = |script: &Option<_>| script.as_ref().map_or_else(|| NONE.to_owned(), command);
    let mut settings: Vec<Setting> = rows(Globals::ROWS, globals).collect();
    settings.extend(rows(Process::ROWS, &globals.process));
    settings.extend([
        ("umask", umask.map_or_else(|| NONE.to_owned(), |umask| format!("{umask:04o}"))),
        ("cpus", if cpus.is_empty() { "any".to_owned() } else { cpus.join(", ") }),
        ("startup_script", script(&globals.startup_script)),
        ("shutdown_script", script(&globals.shutdown_script)),
    ]);
    settings
}

/// Whether a reload leaves a setting of [`globals`] as it is.
pub(crate) fn is_read_at_start(setting: &str) -> bool {
    let globals = RawGlobals::KEYS.iter().map(|key| (key.path, key.at_start));
    let mut rows = globals.chain(RawProcess::KEYS.iter().map(|key| (key.path, key.at_start)));
    let of_row = rows.find(|(name, _)| *name == setting).map(|(_, at_start)| at_start);
    of_row.unwrap_or(["umask", "cpus", "startup_script"].contains(&setting))
}

/// Who is told what, in one line.
fn told(notify: &NotifyConfig) -> String {
    let NotifyConfig { commands, timeout, while_master, while_master_every, .. } = notify;
    let mut parts: Vec<String> = commands
        .iter()
        .map(|(moment, check)| format!("{} {}", moment.word(), command(check)))
        .collect();
    if let Some(check) = while_master {
        parts.push(format!("while_master {} every {}", command(check), human(*while_master_every)));
    }
    parts.extend(timeout.map(|timeout| format!("timeout {}", human(timeout))));
    let flags = rows(NotifyConfig::ROWS, notify).filter(|(_, value)| value == "true");
    parts.extend(flags.map(|(name, _)| name.to_owned()));
    if parts.is_empty() { NONE.to_owned() } else { parts.join("; ") }
}

/// A command and as whom it runs.
fn command(check: &ScriptCheck) -> String {
    let ScriptCheck { command: _, run_as, security } = check;
    let mut text = format!("`{}`", Check::Script(check.clone()).subject());
    if let RunAs::User { user, group } = run_as {
        let group = group.as_ref().map_or_else(String::new, |group| format!(":{group}"));
        text = format!("{text} as {user}{group}");
    }
    if *security {
        text.push_str(" securely");
    }
    text
}

/// Everything of a router but its addresses.
pub(crate) fn of(cfg: &RouterConfig) -> Vec<Setting> {
    let RouterConfig {
        name,
        iface,
        vrid,
        dialect,
        priority,
        interval,
        preempt,
        strict,
        source,
        cast,
        addresses: _,
        announce,
        options,
        highest_peer_priority,
        receive_buffer,
        track,
        track_interfaces,
        notify,
    } = cfg;
    let weighted = |name: &dyn fmt::Display, weight: &Weight| format!("{name} weight {weight}");
    let track: Vec<String> = track.iter().map(|t| weighted(&t.tracker, &t.weight)).collect();
    let track_interfaces: Vec<String> =
        track_interfaces.iter().map(|t| weighted(&t.iface, &t.weight)).collect();
    let (auth_pass, checksum) = match dialect {
        Dialect::V2(AuthV2::None) | Dialect::V3Ipv6 => (NONE, NONE),
        // Which password is nobody's business.
        Dialect::V2(AuthV2::Pass(_)) => ("set", NONE),
        Dialect::V3Ipv4(V3Checksum::PseudoHeader) => (NONE, "pseudo-header"),
        Dialect::V3Ipv4(V3Checksum::MessageOnly) => (NONE, "message-only"),
        Dialect::V3Ipv4(V3Checksum::OldUnicast) => (NONE, "old-unicast"),
    };
    let (preempts, delay) = match preempt {
        Preempt::Never => (false, Duration::ZERO),
        Preempt::After(delay) => (true, *delay),
    };
    let (group, peers, ttl) = match cast {
        Cast::Multicast { group } => (group.to_string(), NONE.to_owned(), NONE.to_owned()),
        Cast::Unicast { peers, ttl } => {
            let peers: Vec<String> = peers.iter().map(peer).collect();
            (NONE.to_owned(), listed(&peers), ttl.to_string())
        }
    };
    let strict = strict.map_or(NONE, Words::word);
    let receive_buffer = match receive_buffer {
        None => NONE.to_owned(),
        Some(ReceiveBuffer::Bytes(bytes)) => format!("{bytes} bytes"),
        Some(ReceiveBuffer::Mtus(mtus)) => format!("{mtus} MTUs"),
    };
    let mut settings = vec![
        ("name", name.clone()),
        ("interface", iface.to_string()),
        ("vrid", vrid.to_string()),
        ("version", dialect.version().to_string()),
        ("family", dialect.family().to_string()),
        ("priority", priority.to_string()),
        ("interval", interval.to_string()),
        ("preempt", preempts.to_string()),
        ("preempt_delay", human(delay)),
        ("highest_peer_priority", optional(highest_peer_priority.as_ref())),
        ("track", listed(&track)),
        ("track_interfaces", listed(&track_interfaces)),
        ("auth_pass", auth_pass.to_owned()),
        ("source", optional(source.as_ref())),
        ("group", group),
        ("peers", peers),
        ("ttl", ttl),
        ("checksum", checksum.to_owned()),
        ("receive_buffer", receive_buffer),
        ("strict", strict.to_owned()),
        ("notify", told(notify)),
    ];
    settings.extend(rows(RouterOptions::ROWS, options));
    settings.extend(rows(AnnounceConfig::ROWS, announce));
    settings
}

fn rows<D, C>(rows: &[Row<D, C>], block: &C) -> impl Iterator<Item = Setting> {
    rows.iter().map(move |row| (row.key.path, (row.show)(block)))
}

/// An address with every option that is not at its default.
pub(crate) fn written(address: &VirtualAddress) -> String {
    let plain = VirtualAddress::new(address.cidr);
    let VirtualAddress {
        cidr,
        iface,
        advertised,
        scope,
        broadcast,
        label,
        peer,
        dad,
        home,
        mngtmpaddr,
        noprefixroute,
        autojoin,
        preferred_lft,
        track,
    } = address;
    let mut text = cidr.to_string();
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text = format!("{text} {name} {value}");
        }
    };
    option("dev", iface.as_ref().map(ToString::to_string));
    option("scope", (*scope != plain.scope).then(|| scope.to_string()));
    option("broadcast", broadcast.map(|broadcast| broadcast.to_string()));
    option("label", label.clone());
    option("peer", peer.map(|peer| peer.to_string()));
    option("preferred_lft", preferred_lft.map(|seconds| seconds.to_string()));
    for (flag, set) in [
        ("excluded", !advertised),
        ("dad", *dad),
        ("home", *home),
        ("mngtmpaddr", *mngtmpaddr),
        ("noprefixroute", *noprefixroute),
        ("autojoin", *autojoin),
        ("no_track", !track),
    ] {
        if set {
            text = format!("{text} {flag}");
        }
    }
    text
}

fn peer(peer: &Peer) -> String {
    let (lowest, highest) = (peer.accepted_ttl.start(), peer.accepted_ttl.end());
    match (lowest, highest) {
        (255, 255) => peer.address.to_string(),
        (lowest, 255) => format!("{} min_ttl {lowest}", peer.address),
        _ => format!("{} min_ttl {lowest} max_ttl {highest}", peer.address),
    }
}

fn listed(all: &[String]) -> String {
    if all.is_empty() { NONE.to_owned() } else { all.join(", ") }
}

fn optional(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| NONE.to_owned(), ToString::to_string)
}
