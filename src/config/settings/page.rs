//! Status pages, one text each, and one for each user.

use super::{human, listed};
use crate::config::settings::proxy::bind;
use crate::config::{BindConfig, PageConfig, PageUser};

/// The pages.
pub(crate) fn pages(all: &[PageConfig]) -> Vec<String> {
    let text = |page: &PageConfig| {
        let PageConfig { name, binds, path, refresh, users } = page;
        let binds: Vec<String> = binds.iter().map(|at: &BindConfig| bind(at)).collect();
        let refresh = refresh.map_or_else(|| "never".to_owned(), human);
        // Which password is nobody's business.
        let users: Vec<String> =
            users.iter().map(|PageUser { name, password: _ }| name.clone()).collect();
        let users = if users.is_empty() { "everybody".to_owned() } else { listed(&users) };
        format!("{name}: {path} at {}, refresh {refresh}, for {users}", listed(&binds))
    };
    all.iter().map(text).collect()
}
