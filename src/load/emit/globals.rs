//! What is about the node, not about one router.

use super::notify;
use super::table::Table;
use super::values::{array, key, options, text};
use crate::config::diag::SourceMap;
use crate::config::model::StaticAddress;
use crate::config::process::RawProcess;
use crate::config::raw::{RawAddress, RawGlobals, RawInterface, RawPacing};

pub(super) fn globals(raw: &RawGlobals, map: &SourceMap) -> Option<String> {
    let mut table = Table::new("[global]".to_owned(), map, None);
    table.written(raw, RawGlobals::KEYS);
    table.written(&raw.process, RawProcess::KEYS);
    if let Some(umask) = raw.process.umask {
        table.translated("umask", format!("0o{:03o}", umask.value), Some(umask.span));
    }
    if let Some(first) = raw.process.cpus.first() {
        let list: Vec<String> = raw.process.cpus.iter().map(|cpu| cpu.value.to_string()).collect();
        table.translated("cpus", array("cpus", &list), Some(first.span));
    }
    let scripts =
        [("startup_script", &raw.startup_script), ("shutdown_script", &raw.shutdown_script)];
    for (key, script) in scripts {
        if let Some(script) = script {
            table.translated(key, notify::one(script), Some(script.command.span));
        }
    }
    (!table.is_empty()).then(|| table.finish())
}

pub(super) fn interface(raw: &RawInterface, map: &SourceMap) -> String {
    let heading = format!("[interface.{}]", key(&raw.name.value));
    let mut table = Table::new(heading, map, None);
    table.written(raw, RawInterface::KEYS);
    table.finish()
}

/// Its name is for people, and other dialects have none.
pub(super) fn pacing(number: usize, raw: &RawPacing, map: &SourceMap) -> String {
    let heading = format!("[pacing.group{number}]");
    let mut table = Table::new(heading, map, None);
    let names: Vec<String> = raw.interfaces.iter().map(|name| text(&name.value)).collect();
    table.set("interfaces", array("interfaces", &names));
    table.written(raw, RawPacing::KEYS);
    table.finish()
}

/// An address that follows no state.
pub(super) fn static_address(own: &StaticAddress, raw: &RawAddress, map: &SourceMap) -> String {
    let mut table = Table::new("[[static]]".to_owned(), map, None);
    table.set("address", text(&raw.cidr.value.to_string()));
    if !own.required_by.is_empty() {
        let names: Vec<String> = own.required_by.iter().map(|name| text(name)).collect();
        table.set("required_by", array("required_by", &names));
    }
    // Nothing follows such an address.
    for (key, value) in options(raw).into_iter().filter(|(key, _)| *key != "track") {
        table.set(key, value);
    }
    table.finish()
}
