//! Status pages.

use super::object::Object;
use super::{human, listed};
use crate::config::settings::proxy::bind;
use crate::config::{BindConfig, PageConfig, PageUser};

pub(super) fn page(page: &PageConfig) -> Object {
    let PageConfig { name, binds, path, refresh, users } = page;
    let binds: Vec<String> = binds.iter().map(|at: &BindConfig| bind(at)).collect();
    let settings = [
        ("bind", listed(&binds)),
        ("path", path.clone()),
        ("refresh", refresh.map_or_else(|| "never".to_owned(), human)),
    ];
    let mut page = Object::new("page", name, settings);
    if users.is_empty() {
        page.settings.push(("users".to_owned(), "everybody".to_owned()));
    }
    // Which password is nobody's business.
    page.settings.extend(users.iter().map(|PageUser { name, password: _ }| {
        (format!("user {name}"), "with a password".to_owned())
    }));
    page
}
