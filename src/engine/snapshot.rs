//! The engine's part of the status.

use crate::engine::Engine;
use crate::status::{Daemon, Snapshot};
use crate::types::Now;

impl Engine {
    /// What `vipd status` shows, except for [`Daemon`], which the shell fills.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            daemon: Daemon::default(),
            routers: self
                .order
                .iter()
                .filter_map(|id| self.routers.get(id))
                .map(|r| r.status(now))
                .collect(),
            unattributed: self
                .unattributed
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }
}
