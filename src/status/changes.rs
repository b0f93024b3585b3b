//! What a reload changes, for whoever asked for it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;

/// The difference between the configuration in use and the one read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Changes {
    /// Settings of the daemon that differ.
    pub globals: Vec<SettingChange>,
    /// Virtual routers that differ: those there will be in the order of the configuration, then
    /// those there will be no more.
    pub routers: Vec<RouterChange>,
    /// How many virtual routers are the same, and notice nothing.
    pub unchanged: u64,
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
        self.globals.is_empty() && self.routers.is_empty()
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
        match self.globals.len() {
            0 => {}
            1 => parts.push("1 global setting".to_owned()),
            n => parts.push(format!("{n} global settings")),
        }
        parts.push(format!("{} unchanged", self.unchanged));
        parts.join(", ")
    }
}
