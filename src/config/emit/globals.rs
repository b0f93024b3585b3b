//! What is about the node, not about one router.

use std::sync::Arc;

use super::notify;
use super::table::Table;
use super::values::{array, key, length, options, text};
use crate::config::check::check;
use crate::config::diag::{SourceMap, Span, Spanned};
use crate::config::model::{Globals, InterfaceConfig, PacingGroup, StaticAddress};
use crate::config::process::{Process, RawProcess};
use crate::config::raw::{Raw, RawAddress, RawGlobals, RawLifeScript, RawStatic};
use crate::types::IfName;

pub(super) fn globals(globals: &Globals, raw: &RawGlobals, map: &SourceMap) -> Option<String> {
    let Globals {
        router_id,
        startup_delay,
        delay_after_boot,
        log_unknown_vrids,
        control_group,
        process,
        startup: _,
        shutdown: _,
    } = globals;
    let standard = Globals::default();
    let mut table = Table::new("[global]".to_owned(), map, None);
    if let Some(id) = router_id {
        table.set("router_id", text(id));
    }
    for (key, delay, raw) in [
        ("startup_delay", startup_delay, raw.startup_delay),
        ("delay_after_boot", delay_after_boot, raw.delay_after_boot),
    ] {
        if !delay.is_zero() {
            table.translated(key, length(*delay), raw.map(|delay| delay.span));
        }
    }
    let unknown = raw.log_unknown_vrids;
    table.flag("log_unknown_vrids", *log_unknown_vrids, standard.log_unknown_vrids, unknown);
    if let Some(group) = control_group {
        table.set("control_group", text(group));
    }
    process_settings(&mut table, process, &raw.process);
    for (key, name) in [("script_user", &raw.script_user), ("script_group", &raw.script_group)] {
        if let Some(name) = name {
            table.set(key, text(&name.value));
        }
    }
    table.flag(
        "script_security",
        raw.script_security.is_some_and(|on| on.value),
        false,
        raw.script_security,
    );
    for (key, limit, script) in [
        ("startup_script", "startup_script_timeout", &raw.startup),
        ("shutdown_script", "shutdown_script_timeout", &raw.shutdown),
    ] {
        let RawLifeScript { command, timeout } = script;
        if let Some(command) = command {
            table.translated(key, notify::one(command), Some(command.command.span));
        }
        if let Some(timeout) = timeout {
            table.translated(limit, length(timeout.value), Some(timeout.span));
        }
    }
    (!table.is_empty()).then(|| table.finish())
}

fn process_settings(table: &mut Table<'_>, process: &Process, raw: &RawProcess) {
    let Process {
        net_namespace,
        instance,
        name,
        umask,
        nice,
        cpus,
        realtime,
        realtime_priority,
        lock_memory,
    } = process;
    let standard = Process::default();
    let at = |raw: Option<Spanned<i64>>| raw.map(|raw| raw.span);
    for (key, value, raw) in [
        ("net_namespace", net_namespace, &raw.net_namespace),
        ("instance", instance, &raw.instance),
        ("process_name", name, &raw.name),
    ] {
        if let Some(value) = value {
            table.translated(key, text(value), raw.as_ref().map(|raw| raw.span));
        }
    }
    if let Some(umask) = umask {
        table.translated("umask", format!("0o{umask:03o}"), at(raw.umask));
    }
    if let Some(nice) = nice {
        table.translated("nice", nice.to_string(), at(raw.nice));
    }
    if !cpus.is_empty() {
        let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        table.translated("cpus", array("cpus", &list), at(raw.cpus.first().copied()));
    }
    table.flag("realtime", *realtime, standard.realtime, raw.realtime);
    if *realtime_priority != standard.realtime_priority {
        let value = realtime_priority.to_string();
        table.translated("realtime_priority", value, at(raw.realtime_priority));
    }
    table.flag("lock_memory", *lock_memory, standard.lock_memory, raw.lock_memory);
}

pub(super) fn interface(name: &IfName, interface: &InterfaceConfig, map: &SourceMap) -> String {
    let InterfaceConfig { down_delay, up_delay } = interface;
    let heading = format!("[interface.{}]", key(name.as_str()));
    let mut table = Table::new(heading, map, None);
    for (key, delay) in [("down_delay", down_delay), ("up_delay", up_delay)] {
        if !delay.is_zero() {
            table.set(key, length(*delay));
        }
    }
    table.finish()
}

/// Its name is for people, and other dialects have none.
pub(super) fn pacing(number: usize, group: &PacingGroup, map: &SourceMap) -> String {
    let PacingGroup { interfaces, garp_interval, gna_interval } = group;
    let heading = format!("[pacing.group{number}]");
    let mut table = Table::new(heading, map, None);
    let names: Vec<String> = interfaces.iter().map(|name| text(name.as_str())).collect();
    table.set("interfaces", array("interfaces", &names));
    for (key, pause) in [("garp_interval", garp_interval), ("gna_interval", gna_interval)] {
        if let Some(pause) = pause {
            table.set(key, length(*pause));
        }
    }
    table.finish()
}

/// An address that follows no state; `place` is anywhere.
pub(super) fn static_address(own: &StaticAddress, place: Span, map: &SourceMap) -> String {
    let StaticAddress { iface, address, required_by } = own;
    let mut table = Table::new("[[static]]".to_owned(), map, None);
    table.set("address", text(&address.cidr.to_string()));
    table.set("dev", text(iface.as_str()));
    if !required_by.is_empty() {
        let names: Vec<String> = required_by.iter().map(|name| text(name)).collect();
        table.set("required_by", array("required_by", &names));
    }
    if let Some(standard) = plain(own, place) {
        for (key, value) in options(address, &standard.address) {
            table.set(key, value);
        }
    }
    table.finish()
}

/// The same address without any option, for the defaults that follow from what it is.
fn plain(own: &StaticAddress, place: Span) -> Option<Arc<StaticAddress>> {
    let mut address = RawAddress::new(Spanned::new(own.address.cidr, place));
    address.dev = Some(Spanned::new(own.iface.to_string(), place));
    let list = vec![RawStatic { address, required_by: Vec::new() }];
    let raw = Raw { static_addresses: list, ..Raw::default() };
    check(&raw, &mut Vec::new())?.static_addresses.pop()
}
