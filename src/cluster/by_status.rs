//! What decides about the servers of a listener: its cluster, and for want of those the primary's.

use std::sync::Arc;

use super::{Cluster, MemberState};
use crate::config::OnDown;
use crate::pool::{Admission, Role, Wants};

/// What decides about the servers of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Statuses<'c> {
    /// The members in the order of the cluster.
    pub own: &'c Cluster,
    /// The same for the primary, if clients get that while no server is up.
    pub primary: Option<&'c Cluster>,
    /// What becomes of the sessions of a server that is down.
    pub on_down: OnDown,
}

impl Statuses<'_> {
    /// The state of the member of this index for clients that want this.
    pub(super) fn member_state(&self, place: usize, wants: Wants) -> Option<MemberState> {
        let at = |cluster: &Cluster| cluster.member_state(*cluster.members().get(place)?);
        let own = at(self.own)?;
        if own.admission == Admission::Up {
            let role = match wants {
                Wants::Writer | Wants::Leader => Role::Primary,
                Wants::Reader | Wants::Any => Role::Replica,
                Wants::Sync => Role::Sync,
                Wants::Async => Role::Async,
            };
            return Some(MemberState { role, ..own });
        }
        let primary = self.primary.and_then(at);
        match primary.filter(|primary| primary.admission == Admission::Up) {
            Some(primary) => Some(MemberState { role: Role::Primary, ..primary }),
            None => Some(match (&own.admission, self.on_down) {
                (Admission::Down(why), OnDown::Keep) => {
                    MemberState { admission: Admission::Drain(Arc::clone(why)), ..own }
                }
                _ => own,
            }),
        }
    }

    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.own.is_judged() && self.primary.is_none_or(Cluster::is_judged)
    }
}
