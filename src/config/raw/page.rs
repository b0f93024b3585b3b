//! Status pages as written.

use std::time::Duration;

use super::Secret;
use crate::config::diag::{Span, Spanned};
use crate::config::model::BindConfig;

/// `[page.NAME]`
#[derive(Clone, Debug)]
pub struct RawPage {
    /// Its name, at the place of the header.
    pub name: Spanned<String>,
    /// Where it listens.
    pub binds: Vec<Spanned<BindConfig>>,
    /// Some places could not be read: they are wrong, not missing.
    pub unreadable: bool,
    /// Its path.
    pub path: Option<Spanned<String>>,
    /// How often a browser asks again; zero never does.
    pub refresh: Option<Spanned<Duration>>,
    /// Who may see it; everybody if nobody is named.
    pub users: Vec<RawUser>,
    /// What was made of a file that says it differently, for `vipd check --explain`.
    pub inferred: Vec<(Span, String)>,
}

/// Somebody who may see a page.
#[derive(Clone, Debug)]
pub struct RawUser {
    /// The name.
    pub name: Spanned<String>,
    /// The password; `None`: there is none, or it cannot be read.
    pub password: Option<Spanned<Secret>>,
}

impl RawPage {
    /// A page of which nothing but the name is known.
    #[must_use]
    pub fn new(name: Spanned<String>) -> RawPage {
        RawPage {
            name,
            binds: Vec::new(),
            unreadable: false,
            path: None,
            refresh: None,
            users: Vec::new(),
            inferred: Vec::new(),
        }
    }
}
