//! Status pages as written.

use std::time::Duration;

use super::Secret;
use crate::config::diag::{Span, Spanned};
use crate::config::key::settings;
use crate::config::model::BindConfig;

settings! {
    /// `[page.NAME]`
    pub struct RawPage, ""
    given {
        /// Its name, at the place of the header.
        name: Spanned<String>;
    }
    written {
        /// The path of the page. Default: /.
        path: String;
        /// How often a browser asks again; 0 s never. Default: 5 s.
        refresh: Duration;
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

/// Somebody who may see a page.
#[derive(Clone, Debug)]
pub struct RawUser {
    /// The name.
    pub name: Spanned<String>,
    /// The password; `None`: there is none, or it cannot be read.
    pub password: Option<Spanned<Secret>>,
}
