//! Status pages.

use super::object::Object;
use super::{listed, rows};
use crate::config::settings::proxy::bind;
use crate::config::{BindConfig, PageConfig, PageUser};

pub(super) fn page(page: &PageConfig) -> Object {
    let PageConfig { name, binds, path, users, .. } = page;
    let binds: Vec<String> = binds.iter().map(|at: &BindConfig| bind(at)).collect();
    let settings = [("bind", listed(&binds)), ("path", path.clone())];
    let mut page = Object::new("page", name, settings).with(rows(PageConfig::ROWS, page));
    if users.is_empty() {
        page.settings.push(("users".to_owned(), "everybody".to_owned()));
    }
    // Which password is nobody's business.
    page.settings.extend(users.iter().map(|PageUser { name, password: _ }| {
        (format!("user {name}"), "with a password".to_owned())
    }));
    page
}
