//! The objects of a configuration.

use std::sync::Arc;
use std::time::Duration;

use super::object::Object;
use super::{NONE, command, human, optional, told, written};
use crate::config::checks::Check;
use crate::config::{
    Config, FifoConfig, GroupConfig, InterfaceConfig, MailConfig, PacingGroup, Rhythm, RouterKey,
    StaticAddress, TrackerConfig,
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
    let InterfaceConfig { down_delay, up_delay } = delays;
    let settings = [("down_delay", human(*down_delay)), ("up_delay", human(*up_delay))];
    Object::new("interface", name.as_str(), settings)
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
    let Rhythm {
        watched,
        interval,
        timeout,
        rise,
        fall,
        init_fail,
        on_timeout,
        rise_delay,
        fall_delay,
    } = rhythm;
    let looks_at = format!("{} {}", tracker.kind(), check.subject());
    let name = format!("{} {key}", tracker.kind());
    if *watched {
        let settings = [
            ("check", looks_at),
            ("rise_delay", human(*rise_delay)),
            ("fall_delay", human(*fall_delay)),
        ];
        return Object::new("track", name, settings);
    }
    let settings = [
        ("check", looks_at),
        ("interval", human(*interval)),
        ("timeout", human(*timeout)),
        ("rise", rise.to_string()),
        ("fall", fall.to_string()),
        ("init_fail", init_fail.to_string()),
        ("on_timeout", format!("{on_timeout:?}").to_lowercase()),
    ];
    let mut object = Object::new("track", name, settings);
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
    let FifoConfig { path, user, group, reader, states_on_reload } = fifo;
    let settings = [
        ("user", optional(user.as_ref())),
        ("group", optional(group.as_ref())),
        ("reader", reader.as_ref().map_or_else(|| NONE.to_owned(), command)),
        ("states_on_reload", states_on_reload.to_string()),
    ];
    Object::new("fifo", path.display().to_string(), settings)
}

fn mail_of(mail: &MailConfig) -> Object {
    let MailConfig { to, from, server, helo, timeout, faults } = mail;
    let settings = [
        ("to", to.join(", ")),
        ("from", optional(from.as_ref())),
        ("server", server.to_string()),
        ("helo", optional(helo.as_ref())),
        ("timeout", human(*timeout)),
        ("faults", faults.to_string()),
    ];
    Object::new("mail", "", settings)
}
