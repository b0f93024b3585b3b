//! What moves priorities, and what moves together.

use std::fmt;
use std::sync::Arc;

use crate::config::checks::Check;
use crate::config::model::RouterKey;
use crate::config::notify::NotifyConfig;
use crate::config::raw::{Namespace, Rhythm};
use crate::types::{IfName, OutOfRange};

/// What makes two blocks the same tracker, across a reload and for those who refer to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerKey {
    /// Where the name is unique.
    pub namespace: Namespace,
    /// The user's name for it.
    pub name: String,
}

impl fmt::Display for TrackerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Something that is checked again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerConfig {
    /// Its identity.
    pub key: TrackerKey,
    /// What to look at.
    pub check: Arc<Check>,
    /// It asks for a HAProxy that vipd replaces: vipd's own listeners answer, and nothing is run.
    pub listeners: bool,
    /// When, and how many answers count.
    pub rhythm: Rhythm,
}

impl TrackerConfig {
    /// What it is, in one word of vipd.toml.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.listeners { "listeners" } else { self.check.kind() }
    }

    /// For people: that it is not run, and what decides instead.
    #[must_use]
    pub fn answered(&self) -> Option<String> {
        self.listeners.then(|| {
            let (name, subject) = (&self.key, self.check.subject());
            format!(
                "{name} ({subject}) is not run: vipd is the proxy here, and the check is up while \
                 all its listeners are open"
            )
        })
    }
}

/// A tracker that moves a router's priority, or stops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackRef {
    /// Which; it exists.
    pub tracker: TrackerKey,
    /// How much.
    pub weight: Weight,
}

/// An interface that does, by being up or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedInterface {
    /// Which; it need not exist, and is then down.
    pub iface: IfName,
    /// How much.
    pub weight: Weight,
}

/// How much a reading counts, -254..=254. Zero does not move the priority: it decides whether the
/// router can serve at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    value: i16,
    reverse: bool,
}

impl Weight {
    /// Failure means Fault.
    pub const FAULT: Weight = Weight { value: 0, reverse: false };
    /// The largest, and with a minus sign the smallest, value.
    pub const MAX: i16 = 254;

    /// Builds a weight.
    ///
    /// # Errors
    /// [`OutOfRange`] beyond ±254.
    pub fn new(value: i64, reverse: bool) -> Result<Weight, OutOfRange> {
        match i16::try_from(value) {
            Ok(value) if value.unsigned_abs() <= Weight::MAX.unsigned_abs() => {
                Ok(Weight { value, reverse })
            }
            _ => {
                Err(OutOfRange { what: "weight", allowed: "-254 to 254", found: value.to_string() })
            }
        }
    }

    /// Whether it decides between Fault and service instead of moving the priority.
    #[must_use]
    pub fn is_fault(self) -> bool {
        self.value == 0
    }

    /// As written.
    #[must_use]
    pub fn value(self) -> i32 {
        self.value.into()
    }

    /// Whether its direction is turned round.
    #[must_use]
    pub fn is_reverse(self) -> bool {
        self.reverse
    }

    /// The most an up or down tracker of this weight ever adds.
    #[must_use]
    pub fn most_added(self) -> i32 {
        self.signed().max(0)
    }

    /// With the sign that counts.
    #[must_use]
    pub fn signed(self) -> i32 {
        if self.reverse { -self.value() } else { self.value() }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.value, if self.reverse { " reverse" } else { "" })
    }
}

/// Routers that change state together (`vrrp_sync_group`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// The user's name for it.
    pub name: String,
    /// Each exists and belongs to no other group.
    pub members: Vec<RouterKey>,
    /// Who is told what happens to it.
    pub notify: NotifyConfig,
}
