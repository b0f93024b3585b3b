//! `[page.NAME]`.

use super::{Reader, Value, entries};
use crate::config::diag::{Span, Spanned};
use crate::config::model::Shows;
use crate::config::raw::{Raw, RawPage, RawUser, Secret};

pub(super) const PAGE: &[&str] = &["bind", "users"];

/// What `[metrics]` has.
pub(super) const METRICS: &[&str] = &["bind", "path", "users"];

pub(super) const USER: &[&str] = &["name", "password"];

impl Reader<'_> {
    pub(super) fn pages(&mut self, value: &Value<'_>, raw: &mut Raw) {
        let Some(table) = self.table(value) else { return };
        for (name, span, value) in entries(table) {
            let name = Spanned::new(name.to_owned(), self.span(span));
            raw.pages.extend(self.page(name, value));
        }
    }

    /// `[metrics]` is short for `[page.metrics]` with `shows = "metrics"`.
    pub(super) fn metrics(&mut self, span: Span, value: &Value<'_>, raw: &mut Raw) {
        let mut page = RawPage::new(Spanned::new("metrics".to_owned(), span));
        page.shows = Some(Spanned::new(Shows::Metrics, span));
        let Some(table) = self.table(value) else { return };
        for (key, span, value) in entries(table) {
            match key {
                "path" => page.path = self.text(value),
                _ if METRICS.contains(&key) => self.page_setting(&mut page, key, value),
                _ => self.unknown(key, span, METRICS, "[metrics]"),
            }
        }
        raw.pages.push(page);
    }

    /// What has a shape of its own.
    fn page_setting(&mut self, raw: &mut RawPage, key: &str, value: &Value<'_>) {
        if key == "bind" {
            (raw.binds, raw.unreadable) = self.binds(value);
            return;
        }
        let what = "users, such as [{ name = \"ops\", password = \"…\" }]";
        let list = self.list(value, what);
        raw.users = list.iter().filter_map(|item| self.user(item)).collect();
    }

    fn page(&mut self, name: Spanned<String>, value: &Value<'_>) -> Option<RawPage> {
        let place = format!("[page.{}]", name.value);
        let mut raw = RawPage::new(name);
        for (key, span, value) in entries(self.table(value)?) {
            match key {
                _ if PAGE.contains(&key) => self.page_setting(&mut raw, key, value),
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
