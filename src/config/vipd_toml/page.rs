//! `[page.NAME]`.

use super::{Reader, Value, entries};
use crate::config::diag::Spanned;
use crate::config::raw::{Raw, RawPage, RawUser, Secret};

pub(super) const PAGE: &[&str] = &["bind", "users"];

pub(super) const USER: &[&str] = &["name", "password"];

impl Reader<'_> {
    pub(super) fn pages(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            raw.pages.extend(self.page(name, value));
        }
    }

    fn page(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawPage> {
        let place = format!("[page.{}]", name.value);
        let mut raw = RawPage::new(name);
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                "bind" => (raw.binds, raw.unreadable) = self.binds(value),
                "users" => {
                    let what = "users, such as [{ name = \"ops\", password = \"…\" }]";
                    let list = self.list(value, what);
                    raw.users = list.iter().filter_map(|item| self.user(item)).collect();
                }
                _ => self.setting(&mut raw, RawPage::KEYS, (key, span, value), PAGE, &place),
            }
        }
        Some(raw)
    }

    fn user(&mut self, value: &Value<'_>) -> Option<RawUser> {
        let table = self.record(value, "name")?;
        let name = self.text(table.get("name")?)?;
        let mut raw = RawUser { name, password: None };
        for (key, span, value) in entries(table) {
            match key {
                "name" => {}
                "password" => {
                    let text = self.text(value);
                    raw.password = text.map(|text| text.map(|text| Secret(text.into_bytes())));
                }
                _ => self.unknown(key, span, USER, "a user"),
            }
        }
        Some(raw)
    }
}
