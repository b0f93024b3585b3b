//! Members that answer by HTTP, but not as Patroni: the status of each listener's own request decides
//! about them, as with HAProxy.

use std::sync::Arc;
use std::time::Duration;

use super::patroni::Patroni;
use super::{Cluster, MemberState};
use crate::config::OnDown;
use crate::io::Level;
use crate::pool::{Admission, Role, Wants};
use crate::track::outcome::Cause;
use crate::track::patroni::NoAnswer;
use crate::types::Now;

/// Members that are not Patroni are asked so often whether they are now.
const AGAIN: Duration = Duration::from_secs(10);

/// What answers at the API addresses of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ApiKind {
    /// None has answered.
    #[default]
    Unknown,
    /// At least one has answered as Patroni. That stays: another kind of answer is an error from
    /// then on.
    Patroni,
    /// Those that have answered are something else.
    Other,
}

impl Patroni {
    /// Whether the status alone decides about its members.
    pub(super) fn is_by_status(&self) -> bool {
        self.api_kind == ApiKind::Other
    }

    /// A member answered as Patroni.
    pub(super) fn is_patroni(&mut self, now: Now) {
        if self.is_by_status() {
            let (interval, fast) = (self.rhythm.interval, self.rhythm.fast_interval);
            self.schedule.reconfigured(now, interval, fast);
            self.log(Level::Info, "answers as Patroni now: its word decides".to_owned());
        }
        self.api_kind = ApiKind::Patroni;
    }

    /// A member did not.
    pub(super) fn is_not_patroni(&mut self, now: Now, name: &str, why: &NoAnswer) {
        let answered = why.cause == Cause::WrongAnswer;
        if self.api_kind == ApiKind::Unknown && self.cfg.by_status && answered {
            self.api_kind = ApiKind::Other;
            self.schedule.reconfigured(now, AGAIN, AGAIN);
            let message = format!(
                "{name} is not Patroni ({}): the status of each listener's own request decides, as \
                 with HAProxy",
                why.detail
            );
            self.log(Level::Info, message);
        }
    }

    /// The intervals at which members are asked.
    pub(super) fn intervals(&self) -> (Duration, Duration) {
        match self.api_kind {
            ApiKind::Other => (AGAIN, AGAIN),
            ApiKind::Unknown | ApiKind::Patroni => {
                (self.rhythm.interval, self.rhythm.fast_interval)
            }
        }
    }
}

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
