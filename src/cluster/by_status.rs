//! Members that answer by HTTP, but not as Patroni: the status of each listener's own request decides
//! about them, as with HAProxy.

use std::sync::Arc;
use std::time::Duration;

use super::patroni::Patroni;
use super::{Cluster, Standing};
use crate::config::OnDown;
use crate::engine::io::Level;
use crate::pool::{Admission, Role, Wants};
use crate::track::outcome::Cause;
use crate::track::patroni::NoAnswer;
use crate::types::Now;

/// Who turned out not to be Patroni is asked for it again so often.
const AGAIN: Duration = Duration::from_secs(10);

/// What the members of a cluster speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speech {
    /// None has answered.
    #[default]
    Unknown,
    /// At least one has answered as Patroni. That cannot change any more: what then answers
    /// otherwise is wrong.
    Patroni,
    /// Those that have answered are something else.
    Other,
}

impl Patroni {
    /// Whether the status alone decides about its members.
    pub(super) fn is_other(&self) -> bool {
        self.speech == Speech::Other
    }

    /// A member answered as Patroni.
    pub(super) fn is_patroni(&mut self, now: Now) {
        if self.is_other() {
            let (interval, fast) = (self.rhythm.interval, self.rhythm.fast_interval);
            self.cadence.reconfigured(now, interval, fast);
            self.tell(Level::Info, "answers as Patroni now: its word decides".to_owned());
        }
        self.speech = Speech::Patroni;
    }

    /// A member did not.
    pub(super) fn is_not_patroni(&mut self, now: Now, name: &str, why: &NoAnswer) {
        let answered = why.cause == Cause::WrongAnswer;
        if self.speech == Speech::Unknown && self.cfg.by_status && answered {
            self.speech = Speech::Other;
            self.cadence.reconfigured(now, AGAIN, AGAIN);
            let message = format!(
                "{name} is not Patroni ({}): the status of each listener's own request decides, as \
                 with HAProxy",
                why.detail
            );
            self.tell(Level::Info, message);
        }
    }

    /// When it is asked, after a reload.
    pub(super) fn intervals(&self) -> (Duration, Duration) {
        match self.speech {
            Speech::Other => (AGAIN, AGAIN),
            Speech::Unknown | Speech::Patroni => (self.rhythm.interval, self.rhythm.fast_interval),
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
    /// What the member at this place is to clients that want this.
    pub(super) fn standing(&self, place: usize, wants: Wants) -> Option<Standing> {
        let at = |cluster: &Cluster| cluster.standing(*cluster.members().get(place)?);
        let own = at(self.own)?;
        if own.admission == Admission::Usable {
            let role = match wants {
                Wants::Writer | Wants::Leader => Role::Primary,
                Wants::Reader | Wants::Any => Role::Replica,
                Wants::Sync => Role::Sync,
                Wants::Async => Role::Async,
            };
            return Some(Standing { role, ..own });
        }
        let primary = self.primary.and_then(at);
        match primary.filter(|primary| primary.admission == Admission::Usable) {
            Some(primary) => Some(Standing { role: Role::Primary, ..primary }),
            None => Some(match (&own.admission, self.on_down) {
                (Admission::Down(why), OnDown::Keep) => {
                    Standing { admission: Admission::Held(Arc::clone(why)), ..own }
                }
                _ => own,
            }),
        }
    }

    /// Whether every member has been judged.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.own.is_judged() && self.primary.is_none_or(Cluster::is_judged)
    }
}
