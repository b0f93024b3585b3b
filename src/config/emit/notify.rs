//! Who is told what. Written from the raw configuration: both dialects share its settings.

use super::table::Table;
use super::track::words;
use super::values::{array, length, text};
use crate::config::diag::{SourceMap, Spanned};
use crate::config::notify::Moment;
use crate::config::raw::{RawCommand, RawFifo, RawMail, RawNotify};

/// The table of a router or a group, if it tells anybody anything.
pub(super) fn notify(heading: String, raw: &RawNotify, map: &SourceMap) -> Option<String> {
    let RawNotify {
        commands,
        while_master,
        while_master_every,
        timeout,
        say_deleted,
        priority_changes,
        mail,
    } = raw;
    let mut table = Table::new(heading, map, None);
    for (moment, key) in Moment::ALL {
        if let Some(command) = commands.get(moment) {
            table.translated(key, one(command), Some(command.command.span));
        }
    }
    if let Some(command) = while_master {
        table.translated("while_master", one(command), Some(command.command.span));
    }
    for (key, time) in [("while_master_every", while_master_every), ("timeout", timeout)] {
        if let Some(time) = time {
            table.translated(key, length(time.value), Some(time.span));
        }
    }
    let said = say_deleted.filter(|_| !commands.contains_key(&Moment::Deleted));
    for (key, flag) in
        [("say_deleted", said), ("priority_changes", *priority_changes), ("mail", *mail)]
    {
        table.flag(key, flag.is_some_and(|on| on.value), false, flag);
    }
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
    let RawFifo { path, user, group, reader, states_on_reload } = raw;
    let mut table = Table::new("[[fifo]]".to_owned(), map, None);
    table.translated("path", text(&path.value), Some(path.span));
    texts(&mut table, [("user", user), ("group", group)]);
    if let Some(reader) = reader {
        table.translated("reader", one(reader), Some(reader.command.span));
    }
    let again = *states_on_reload;
    table.flag("states_on_reload", again.is_some_and(|on| on.value), false, again);
    table.finish()
}

pub(super) fn mail(raw: &RawMail, map: &SourceMap) -> String {
    let RawMail { span: _, to, from, server, helo, timeout, faults } = raw;
    let mut table = Table::new("[mail]".to_owned(), map, None);
    let all: Vec<String> = to.iter().map(|to| text(&to.value)).collect();
    table.set("to", array("to", &all));
    texts(&mut table, [("from", from), ("server", server), ("helo", helo)]);
    if let Some(timeout) = timeout {
        table.translated("timeout", length(timeout.value), Some(timeout.span));
    }
    table.flag("faults", faults.is_none_or(|on| on.value), true, *faults);
    table.finish()
}

fn texts<const N: usize>(table: &mut Table<'_>, settings: [(&str, &Option<Spanned<String>>); N]) {
    for (key, value) in settings {
        if let Some(value) = value {
            table.set(key, text(&value.value));
        }
    }
}
