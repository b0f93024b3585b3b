//! Who is told what. Written from the raw configuration: both dialects share its settings.

use super::table::Table;
use super::track::words;
use super::values::{array, text};
use crate::config::diag::SourceMap;
use crate::config::key::Words;
use crate::config::notify::Moment;
use crate::config::raw::{RawCommand, RawFifo, RawMail, RawNotify};

/// The table of a router or a group, if it tells anybody anything.
pub(super) fn notify(heading: String, raw: &RawNotify, map: &SourceMap) -> Option<String> {
    let mut table = Table::new(heading, map, None);
    for (key, moment) in Moment::WORDS {
        if let Some(command) = raw.commands.get(moment) {
            table.translated(key, one(command), Some(command.command.span));
        }
    }
    if let Some(command) = &raw.while_master {
        table.translated("while_master", one(command), Some(command.command.span));
    }
    table.written(raw, RawNotify::KEYS);
    (!table.is_empty()).then(|| table.finish())
}

pub(super) fn one(raw: &RawCommand) -> String {
    let command = words(&raw.command.value);
    let Some(user) = &raw.user else { return command };
    let group = raw.group.as_ref().map(|group| format!(", group = {}", text(&group.value)));
    let user = text(&user.value);
    format!("{{ command = {command}, user = {user}{} }}", group.unwrap_or_default())
}

pub(super) fn fifo(raw: &RawFifo, map: &SourceMap) -> String {
    let mut table = Table::new("[[fifo]]".to_owned(), map, None);
    table.translated("path", text(&raw.path.value), Some(raw.path.span));
    if let Some(reader) = &raw.reader {
        table.translated("reader", one(reader), Some(reader.command.span));
    }
    table.written(raw, RawFifo::KEYS);
    table.finish()
}

pub(super) fn mail(raw: &RawMail, map: &SourceMap) -> String {
    let mut table = Table::new("[mail]".to_owned(), map, None);
    let all: Vec<String> = raw.to.iter().map(|to| text(&to.value)).collect();
    table.set("to", array("to", &all));
    table.written(raw, RawMail::KEYS);
    table.finish()
}
