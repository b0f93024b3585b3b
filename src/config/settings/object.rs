//! What has a name of its own, beside virtual routers.

use std::collections::BTreeMap;

use super::Setting;

/// One of them, and its settings one by one, by their names in vipd.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its table in vipd.toml: `cluster`, `listener`, …
    pub(crate) kind: &'static str,
    /// Its name; empty where there is only one.
    pub(crate) name: String,
    /// Names and values. A list has an entry for each part: `server pg-1`.
    pub(crate) settings: Vec<(String, String)>,
}

impl Object {
    pub(super) fn new<const N: usize>(
        kind: &'static str,
        name: impl Into<String>,
        settings: [(&str, String); N],
    ) -> Object {
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Object { kind, name: name.into(), settings }
    }

    /// Further settings.
    pub(super) fn with(mut self, settings: impl Iterator<Item = Setting>) -> Object {
        self.settings.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        self
    }
}

/// Where the same object is in another configuration.
pub(crate) fn by_name(objects: &[Object]) -> BTreeMap<(&'static str, &str), &Object> {
    objects.iter().map(|object| ((object.kind, object.name.as_str()), object)).collect()
}
