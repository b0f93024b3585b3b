//! Status pages.

use std::time::Duration;

use super::BindConfig;
use crate::config::diag::{Span, Spanned};
use crate::config::key::value::{DAY, SECOND};
use crate::config::key::{settings, words};
use crate::config::parts::Secret;

settings! {
    /// A page that shows the status to browsers, and to programs as JSON. Nothing can be changed there.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PageConfig, RawPage, "" {
        /// How often a browser asks again; 0 s never. One that asks less often than once a day does
        /// not watch.
        refresh: Option<Duration> = Some(Duration::from_secs(5)), SECOND..=DAY;
        /// What is there: the status with its metrics, or metrics for Prometheus alone, at the path.
        shows: Shows = Shows::Status;
        /// Whether metrics are for everybody, although the page is for its users alone.
        open_metrics: bool = false;
    }
    checked {
        /// The user's name for it, unique among pages.
        name: String;
        /// Where it listens: at least one; no listener and no other page is in the way.
        binds: Vec<BindConfig>;
        /// Its path: `/`, or segments of letters, digits, `.`, `_`, `~` and `-` without a slash at
        /// the end.
        path: String;
        /// Who may see it, each name once; empty: everybody.
        users: Vec<PageUser>;
    }
    given {
        /// Its name, at the place of the header.
        name: Spanned<String>;
    }
    written {
        /// The path of the page. Default: /, and /metrics for metrics alone.
        path: String;
    }
    beside {
        /// Where it listens.
        binds: Vec<Spanned<BindConfig>>;
        /// Some places could not be read: they are wrong, not missing.
        unreadable: bool;
        /// Who may see it; everybody if nobody is named.
        users: Vec<RawUser>;
        /// What was made of a file that says it differently, for `vipd check --explain`.
        inferred: Vec<(Span, String)>;
    }
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// People and programs.
    Status,
    /// Prometheus alone.
    Metrics,
}

words! {
    Shows: "status" Status, "metrics" Metrics;
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

/// The same, as written.
#[derive(Clone, Debug)]
pub struct RawUser {
    /// The name.
    pub name: Spanned<String>,
    /// The password; `None`: there is none, or it cannot be read.
    pub password: Option<Spanned<Secret>>,
}
