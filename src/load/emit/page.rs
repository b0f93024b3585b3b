//! Status pages.

use super::proxy::places;
use super::table::Table;
use super::values::{array, key, text};
use crate::config::diag::SourceMap;
use crate::config::model::{PageConfig, PageUser};
use crate::config::raw::RawPage;

pub(super) fn page(own: &PageConfig, raw: &RawPage, map: &SourceMap) -> String {
    let PageConfig { name, binds, users, .. } = own;
    let mut table = Table::new(format!("[page.{}]", key(name)), map, Some(raw.name.span));
    places(&mut table, binds);
    table.written(raw, RawPage::KEYS);
    if !users.is_empty() {
        let user = |PageUser { name, password }: &PageUser| {
            // They came from text: nothing is lost.
            let password = String::from_utf8_lossy(&password.0);
            format!("{{ name = {}, password = {} }}", text(name), text(&password))
        };
        let users: Vec<String> = users.iter().map(user).collect();
        table.set("users", array("users", &users));
    }
    table.finish()
}
