//! The tables that are about the host and not about a router: `[interface.NAME]`, `[pacing.NAME]` and
//! `[[static]]`.

use super::{ADDRESS, Reader, Value, entries};
use crate::config::diag::Spanned;
use crate::config::raw::{Raw, RawAddress, RawInterface, RawPacing, RawStatic};

pub(super) const STATIC: &[&str] = &["required_by"];

pub(super) const PACING: &[&str] = &["interfaces"];

impl Reader<'_> {
    pub(super) fn interfaces(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            let place = format!("[interface.{}]", name.value);
            let mut interface = RawInterface::new(name);
            let Some(table) = self.table(value) else { continue };
            for entry in entries(table) {
                self.setting(&mut interface, RawInterface::KEYS, entry, &[], &place);
            }
            raw.interfaces.push(interface);
        }
    }

    pub(super) fn pacing(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let place = format!("[pacing.{name}]");
            let span = self.span(span);
            let mut group = RawPacing::new(span);
            let Some(table) = self.table(value) else { continue };
            for (key, span, value) in entries(table) {
                match key {
                    "interfaces" => group.interfaces = self.texts(value),
                    _ => {
                        let entry = (key, span, value);
                        self.setting(&mut group, RawPacing::KEYS, entry, PACING, &place);
                    }
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
            for own in entries(table) {
                let (key, span, value) = &own;
                if *key == "required_by" {
                    entry.required_by = self.texts(value);
                } else if !self.address_option(&mut entry.address, &own) {
                    let names = [ADDRESS, STATIC, RawAddress::NAMES].concat();
                    self.unknown(key, span.clone(), &names, "[[static]]");
                }
            }
            raw.static_addresses.push(entry);
        }
    }
}
