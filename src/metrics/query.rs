//! What a scrape asks for: `?scope=`, `?metrics=` and `?no-maint` as HAProxy's exporter has them, and
//! the form by the header Accept.

use std::collections::BTreeSet;

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4, which everybody reads.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// OpenMetrics for those who would rather have it, by the header Accept.
    #[must_use]
    pub fn accepted(accept: &str) -> Format {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok());
            let quality: f32 = quality.unwrap_or(1.0);
            match kind.as_str() {
                "application/openmetrics-text" => open = quality.max(open),
                "text/plain" => plain = quality.max(plain),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Metrics that are wanted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// `haproxy_process_*`
    Global,
    Frontend,
    Backend,
    Server,
    /// HAProxy's for lines of `bind` and for stick tables, of which vipd has none.
    Nothing,
    /// The names of the exporters for keepalived.
    Keepalived,
    /// vipd's own.
    Vipd,
}

/// What a scrape asks for; by default everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// `None`: all.
    scopes: Option<BTreeSet<Scope>>,
    /// Names that are wanted; empty: all.
    only: BTreeSet<String>,
    /// Names that are not.
    without: BTreeSet<String>,
}

impl Query {
    /// Reads what stands behind the `?` of a URL. As with HAProxy, the first `scope` takes the place
    /// of all, each further one is added, `*` is all and an empty one is none; `metrics` has names
    /// between commas, with `-` before those that are not wanted. No server is ever in maintenance
    /// here, so `no-maint` changes nothing.
    ///
    /// # Errors
    /// A scope that is none.
    pub fn parse(query: &str) -> Result<Query, String> {
        let mut read = Query::default();
        let mut all = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "scope" => {
                    let scopes = read.scopes.get_or_insert_default();
                    match &*value {
                        "" => {
                            scopes.clear();
                            all = false;
                        }
                        "*" => all = true,
                        word => {
                            scopes.insert(scope(word)?);
                        }
                    }
                }
                "metrics" => {
                    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                        match name.strip_prefix('-') {
                            Some(name) => read.without.insert(name.to_owned()),
                            None => read.only.insert(name.to_owned()),
                        };
                    }
                }
                _ => {}
            }
        }
        if all {
            read.scopes = None;
        }
        Ok(read)
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        (self.only.is_empty() || self.only.contains(name)) && !self.without.contains(name)
    }
}

fn scope(word: &str) -> Result<Scope, String> {
    match word {
        "global" => Ok(Scope::Global),
        "frontend" => Ok(Scope::Frontend),
        "backend" => Ok(Scope::Backend),
        "server" => Ok(Scope::Server),
        "listener" | "sticktable" => Ok(Scope::Nothing),
        "keepalived" => Ok(Scope::Keepalived),
        "vipd" => Ok(Scope::Vipd),
        _ => Err("there is no such scope; known are global, frontend, backend, server, listener, \
                  sticktable, keepalived, vipd and *"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_takes_the_place_of_all_and_more_are_added() {
        for (query, expected) in [
            ("", [true, true, true]),
            ("no-maint", [true, true, true]),
            ("scope=server", [false, true, false]),
            ("scope=server&scope=vipd", [false, true, true]),
            ("scope=global&scope=", [false, false, false]),
            ("scope=server&scope=*", [true, true, true]),
            ("scope=%2A&no-maint", [true, true, true]),
            ("scope=", [false, false, false]),
            ("scope=sticktable", [false, false, false]),
        ] {
            let query = Query::parse(query).unwrap();
            let has = [Scope::Global, Scope::Server, Scope::Vipd].map(|scope| query.has(scope));
            assert_eq!(has, expected, "{query:?}");
        }
        assert!(Query::parse("scope=backends").unwrap_err().contains("backend, server"));
    }

    #[test]
    fn names_are_wanted_or_not() {
        let query = Query::parse("metrics=a,b&metrics=-c").unwrap();
        assert_eq!(["a", "b", "c", "d"].map(|name| query.wants(name)), [true, true, false, false]);
        let query = Query::parse("metrics=-c%2C-d").unwrap();
        assert_eq!(["a", "c", "d"].map(|name| query.wants(name)), [true, false, false]);
    }

    #[test]
    fn openmetrics_is_for_those_who_would_rather_have_it() {
        for (accept, expected) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text; version=1.0.0; q=0.1, text/plain; q=0.9",
                Format::Prometheus,
            ),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept}");
        }
    }
}
