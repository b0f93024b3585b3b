//! `[vrrp.NAME.notify]`, `[group.NAME.notify]`, `[[fifo]]` and `[mail]`.

use super::{Reader, Value, entries};
use crate::config::diag::Diagnostic;
use crate::config::key::Words;
use crate::config::notify::Moment;
use crate::config::raw::{Raw, RawCommand, RawFifo, RawMail, RawNotify};

pub(super) const NOTIFY: &[&str] =
    &["any", "master", "backup", "fault", "stop", "deleted", "lower_priority", "while_master"];

/// The keys of a command that is not just a text.
pub(super) const COMMAND: &[&str] = &["command", "user", "group"];

pub(super) const FIFO: &[&str] = &["path", "reader"];

pub(super) const MAIL: &[&str] = &["to"];

impl Reader<'_> {
    pub(super) fn notify(&mut self, value: &Value<'_>, place: &str) -> RawNotify {
        let mut raw = RawNotify::default();
        let Some(table) = self.table(value) else { return raw };
        for (key, span, value) in entries(table) {
            match key {
                "while_master" => raw.while_master = self.telling(value),
                _ => match Moment::of(key) {
                    Some(moment) => {
                        raw.commands.extend(self.telling(value).map(|raw| (moment, raw)));
                    }
                    None => {
                        let entry = (key, span, value);
                        self.setting(&mut raw, RawNotify::KEYS, entry, NOTIFY, place);
                    }
                },
            }
        }
        raw
    }

    /// `"command"`, `["command", "argument"]` or `{ command = …, user = "…" }`.
    pub(super) fn telling(&mut self, value: &Value<'_>) -> Option<RawCommand> {
        let Some(table) = value.get_ref().as_table() else {
            let command = self.command(value)?;
            return Some(RawCommand { command, user: None, group: None });
        };
        let (mut command, mut user, mut group) = (None, None, None);
        for (key, span, value) in entries(table) {
            match key {
                "command" => command = self.command(value),
                "user" => user = self.text(value),
                "group" => group = self.text(value),
                _ => self.unknown(key, span, COMMAND, "a command"),
            }
        }
        if !table.contains_key("command") {
            let span = self.span(value.span());
            self.out.push(Diagnostic::error(span, "an entry without `command`"));
        }
        Some(RawCommand { command: command?, user, group })
    }

    pub(super) fn fifos(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "a table `[[fifo]]` per FIFO");
            return;
        };
        for value in array {
            let Some(table) = self.table(value) else { continue };
            let Some(path) = table.get("path") else {
                let span = self.span(value.span());
                self.out.push(Diagnostic::error(span, "a FIFO without `path`"));
                continue;
            };
            let Some(path) = self.text(path) else { continue };
            let mut fifo = RawFifo::new(path);
            for (key, span, value) in entries(table) {
                match key {
                    "path" => {}
                    "reader" => fifo.reader = self.telling(value),
                    _ => {
                        let entry = (key, span, value);
                        self.setting(&mut fifo, RawFifo::KEYS, entry, FIFO, "[[fifo]]");
                    }
                }
            }
            raw.fifos.push(fifo);
        }
    }

    pub(super) fn mail(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        let mut mail = RawMail::new(self.span(value.span()));
        for (key, span, value) in entries(table) {
            match key {
                "to" => mail.to = self.texts(value),
                _ => self.setting(&mut mail, RawMail::KEYS, (key, span, value), MAIL, "[mail]"),
            }
        }
        raw.mail = Some(mail);
    }
}
