//! The objects of a configuration.

use std::sync::Arc;
use std::time::Duration;

use super::object::Object;
use super::{NONE, command, human, rows, told, written};
use crate::config::checks::Check;
use crate::config::{
    Config, FifoConfig, GroupConfig, InterfaceConfig, MailConfig, MailOptions, PacingGroup, Rhythm,
    RouterKey, StaticAddress, TrackerConfig,
};
use crate::types::IfName;

/// All of them, kind by kind.
pub(crate) fn objects(config: &Config) -> Vec<Object> {
    let Config {
        globals: _,
        interfaces,
        pacing,
        static_addresses,
        routers: _,
        trackers,
        groups,
        fifos,
        mail,
        clusters,
        listeners,
        pages,
    } = config;
    let mut all: Vec<Object> = interfaces.iter().map(interface).collect();
    all.extend(pacing.iter().map(pacing_group));
    all.extend(static_addresses.iter().map(static_address));
    all.extend(trackers.iter().map(tracker));
    all.extend(groups.iter().map(group));
    all.extend(fifos.iter().map(fifo));
    all.extend(mail.iter().map(mail_of));
    all.extend(clusters.iter().map(|cluster| super::proxy::cluster(cluster)));
    all.extend(listeners.iter().map(|listener| super::proxy::listener(listener, clusters)));
    all.extend(pages.iter().map(super::page::page));
    all
}

fn interface((name, delays): (&IfName, &InterfaceConfig)) -> Object {
    Object::new("interface", name.as_str(), []).with(rows(InterfaceConfig::ROWS, delays))
}

/// Interfaces that share a clock; their names are its name.
fn pacing_group(group: &PacingGroup) -> Object {
    let PacingGroup { interfaces, garp_interval, gna_interval } = group;
    let interfaces: Vec<&str> = interfaces.iter().map(IfName::as_str).collect();
    let pause = |pause: &Option<Duration>| pause.map_or_else(|| NONE.to_owned(), human);
    let settings = [("garp_interval", pause(garp_interval)), ("gna_interval", pause(gna_interval))];
    Object::new("pacing", interfaces.join(" "), settings)
}

/// An address that does not follow any state.
fn static_address(address: &Arc<StaticAddress>) -> Object {
    let StaticAddress { iface, address, required_by } = &**address;
    let text = format!("{} dev {iface}", written(address).replace(" excluded", ""));
    let required = if required_by.is_empty() { NONE.to_owned() } else { required_by.join(", ") };
    let settings = [("address", text), ("required_by", required)];
    Object::new("static", address.cidr.to_string(), settings)
}

fn tracker(tracker: &Arc<TrackerConfig>) -> Object {
    let TrackerConfig { key, check, listeners: _, rhythm } = &**tracker;
    let looks_at = format!("{} {}", tracker.kind(), check.subject());
    let name = format!("{} {key}", tracker.kind());
    // What answers by itself is not run, and only then are there delays.
    let shown = |name: &str| ["rise_delay", "fall_delay"].contains(&name) == rhythm.watched;
    let rhythm = rows(Rhythm::ROWS, rhythm).filter(|(name, _)| shown(name));
    let mut object = Object::new("track", name, [("check", looks_at)]).with(rhythm);
    if let Check::Script(script) = &**check {
        object.settings.push(("command".to_owned(), command(script)));
    }
    object
}

fn group(group: &GroupConfig) -> Object {
    let GroupConfig { name, members, notify } = group;
    let members: Vec<String> = members
        .iter()
        .map(|RouterKey { iface, family, vrid, unicast }| {
            let cast = if *unicast { " unicast" } else { "" };
            format!("{iface} {family} {vrid}{cast}")
        })
        .collect();
    Object::new("group", name, [("members", members.join(", ")), ("notify", told(notify))])
}

fn fifo(fifo: &FifoConfig) -> Object {
    let FifoConfig { path, reader, .. } = fifo;
    let reader = reader.as_ref().map_or_else(|| NONE.to_owned(), command);
    let name = path.display().to_string();
    Object::new("fifo", name, [("reader", reader)]).with(rows(FifoConfig::ROWS, fifo))
}

fn mail_of(mail: &MailConfig) -> Object {
    let MailConfig { to, server, options } = mail;
    Object::new("mail", "", [("to", to.join(", ")), ("server", server.to_string())])
        .with(rows(MailOptions::ROWS, options))
}
