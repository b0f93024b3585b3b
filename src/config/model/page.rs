//! Status pages.

use std::time::Duration;

use super::BindConfig;
use crate::config::raw::Secret;

/// A page that shows the status to browsers, and to programs as JSON. Nothing can be changed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageConfig {
    /// The user's name for it, unique among pages.
    pub name: String,
    /// Where it listens: at least one; no listener and no other page is in the way.
    pub binds: Vec<BindConfig>,
    /// Its path: `/`, or segments of letters, digits, `.`, `_`, `~` and `-` without a slash at the
    /// end.
    pub path: String,
    /// How often a browser asks again, at least a second; `None`: when its user wants it to.
    pub refresh: Option<Duration>,
    /// Who may see it, each name once; empty: everybody.
    pub users: Vec<PageUser>,
}

impl PageConfig {
    /// Where programs find the same as JSON.
    #[must_use]
    pub fn json_path(&self) -> String {
        json_path(&self.path)
    }
}

/// See [`PageConfig::json_path`].
pub(crate) fn json_path(page: &str) -> String {
    format!("{}/status.json", page.trim_end_matches('/'))
}

/// Somebody who may see a page (RFC 7617, Basic).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageUser {
    /// The name: not empty, without a colon and without control characters.
    pub name: String,
    /// The password: not empty.
    pub password: Secret,
}
