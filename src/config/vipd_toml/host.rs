//! The tables that are about the host and not about a router: `[interface.NAME]`, `[pacing.NAME]` and
//! `[[static]]`.

use super::{Reader, Value, entries};
use crate::config::diag::Spanned;
use crate::config::raw::{Raw, RawInterface, RawPacing, RawStatic};

pub(super) const STATIC: &[&str] = &[
    "address",
    "dev",
    "required_by",
    "label",
    "scope",
    "broadcast",
    "peer",
    "dad",
    "home",
    "mngtmpaddr",
    "noprefixroute",
    "autojoin",
    "preferred_lft",
];

pub(super) const PACING: &[&str] = &["interfaces", "garp_interval", "gna_interval"];

pub(super) const INTERFACE: &[&str] = &["down_delay", "up_delay"];

impl Reader<'_> {
    pub(super) fn interfaces(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            let place = format!("[interface.{}]", name.value);
            let mut interface = RawInterface { name, down_delay: None, up_delay: None };
            let Some(table) = self.table(value) else { continue };
            for (key, span, value) in entries(table) {
                match key {
                    "down_delay" => interface.down_delay = self.duration(value),
                    "up_delay" => interface.up_delay = self.duration(value),
                    _ => self.unknown(key, span, INTERFACE, &place),
                }
            }
            raw.interfaces.push(interface);
        }
    }

    pub(super) fn pacing(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let place = format!("[pacing.{name}]");
            let span = self.span(span);
            let mut group =
                RawPacing { span, interfaces: Vec::new(), garp_interval: None, gna_interval: None };
            let Some(table) = self.table(value) else { continue };
            for (key, span, value) in entries(table) {
                match key {
                    "interfaces" => group.interfaces = self.texts(value),
                    "garp_interval" => group.garp_interval = self.duration(value),
                    "gna_interval" => group.gna_interval = self.duration(value),
                    _ => self.unknown(key, span, PACING, &place),
                }
            }
            raw.pacing.push(group);
        }
    }

    pub(super) fn statics(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(array) = value.get_ref().as_array() else {
            self.expected(value, "a table `[[static]]` per address");
            return;
        };
        for value in array {
            let Some(table) = self.table(value) else { continue };
            let Some(address) = self.address_of(value, table) else { continue };
            let mut entry = RawStatic { address, required_by: Vec::new() };
            for (key, span, value) in entries(table) {
                if key == "required_by" {
                    entry.required_by = self.texts(value);
                } else if key == "track" || !self.address_option(&mut entry.address, key, value) {
                    self.unknown(key, span, STATIC, "[[static]]");
                }
            }
            raw.static_addresses.push(entry);
        }
    }
}
