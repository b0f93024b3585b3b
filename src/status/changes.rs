//! What a reload changes, for whoever asked for it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use crate::text::counted;

/// The difference between the configuration in use and the one read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Changes {
    /// Settings of the daemon that differ.
    pub globals: Vec<SettingChange>,
    /// Virtual routers that differ: those there will be in the order of the configuration, then
    /// those there will be no more.
    pub routers: Vec<RouterChange>,
    /// What else has a name and differs: clusters, listeners, pages, trackers and their like.
    #[serde(default)]
    pub objects: Vec<ObjectChange>,
    /// How many virtual routers are the same, and notice nothing.
    pub unchanged: u64,
}

/// What becomes of something that is no virtual router.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ObjectChange {
    /// Its table in vipd.toml: `cluster`, `listener`, `page`, `track`, …
    pub kind: String,
    /// Its name; empty where there is only one.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// The settings that differ; empty if it is added or removed.
    pub settings: Vec<SettingChange>,
}

impl ObjectChange {
    /// "listener write", "mail".
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.name).trim_end().to_owned()
    }
}

/// What becomes of one virtual router.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RouterChange {
    /// Its name; if it is renamed, the new one.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// Its state before; `None` if it is added.
    pub state: Option<State>,
    /// What comes of it, in a sentence.
    pub effect: String,
    /// The settings that differ; empty if it is added or removed.
    pub settings: Vec<SettingChange>,
}

/// What can happen to a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Its name was not there before.
    Added,
    /// Its name is there no more.
    Removed,
    /// Some settings differ; it keeps its state.
    Changed,
    /// It keeps its name, but is another router to its peers (interface, VRID, family, or unicast
    /// instead of multicast): the old one ends and a new one begins.
    Replaced,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
            Change::Replaced => "replaced",
        })
    }
}

/// One setting that differs, by its name in vipd.toml.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SettingChange {
    /// Its name.
    pub setting: String,
    /// The value before; `None` if a list gets one more.
    pub from: Option<String>,
    /// The value after; `None` if a list loses one.
    pub to: Option<String>,
    /// What to know about it; empty if it does what it says.
    pub note: String,
}

impl Changes {
    /// Nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.globals.is_empty() && self.routers.is_empty() && self.objects.is_empty()
    }

    /// "1 changed, 2 added, 247 unchanged".
    #[must_use]
    pub fn summary(&self) -> String {
        if self.is_empty() {
            return "nothing changed".to_owned();
        }
        let kinds = [Change::Changed, Change::Replaced, Change::Added, Change::Removed];
        let mut parts: Vec<String> = kinds
            .into_iter()
            .filter_map(|kind| {
                let count = self.routers.iter().filter(|router| router.change == kind).count();
                (count > 0).then(|| format!("{count} {kind}"))
            })
            .collect();
        let mut of_kind: Vec<(&str, Change, usize)> = Vec::new();
        for ObjectChange { kind, change, .. } in &self.objects {
            match of_kind.iter_mut().find(|(k, c, _)| k == kind && c == change) {
                Some((.., count)) => *count += 1,
                None => of_kind.push((kind, *change, 1)),
            }
        }
        parts.extend(
            of_kind
                .into_iter()
                .map(|(kind, change, count)| format!("{} {change}", counted(count, kind))),
        );
        if !self.globals.is_empty() {
            parts.push(counted(self.globals.len(), "global setting"));
        }
        // Where there are no routers, there are none that stay the same.
        if !self.routers.is_empty() || self.unchanged > 0 {
            parts.push(format!("{} unchanged", self.unchanged));
        }
        parts.join(", ")
    }
}
