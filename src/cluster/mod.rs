//! What the servers of a cluster are, and what that means for the listeners they serve.
//!
//! | file | idea |
//! |---|---|
//! | [`patroni`] | one PostgreSQL cluster run by Patroni: rounds of questions, and what is made of the answers |
//! | `system` | the database systems: one, or one for each group of Citus |
//! | `primary_tracker` | which node of a system takes writes: at most one |
//! | `lease` | for how long that may be believed |
//! | `second_opinion` | whether a primary may stay whose Patroni alone does not answer |
//! | `poll_schedule` | when the nodes are asked |
//! | `judge` | what one node is to those who want to use it |
//! | `phase` | the state of the whole, in a phrase |
//! | `lag` | how far a standby is behind, and when that matters |
//! | `flap_damping` | how long servers that come and go have to wait |
//! | [`plain`] | servers without roles |
//! | [`by_status`] | members that are not Patroni after all |
//! | [`serving`] | the view of one listener |
//!
//! Time is an argument; what is to be asked comes out as [`ClusterAction`]s. Hints bring the next
//! question forward; only answers, and their absence, change what a member is.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod by_status;
mod flap_damping;
mod lag;
mod lease;
mod member;
pub mod patroni;
pub mod plain;
mod poll_schedule;
mod primary_tracker;
mod report;
mod second_opinion;
pub mod serving;

use std::sync::Arc;
use std::time::Duration;

use crate::config::checks::Check;
use crate::config::{ClusterConfig, Members};
use crate::io::Level;
use crate::pool::{Admission, Hint, Role};
use crate::track::outcome::Outcome;
use crate::track::patroni::{Answer, NodeAnswer, Question, Topic};
use crate::types::Now;
pub use lag::Lag;
use patroni::Patroni;
use plain::Plain;

/// One member for as long as it is configured in the same way; never reused within its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub u32);

/// What the shell is to do for a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAction {
    /// Put a question to its Patroni; the answer goes to [`Cluster::answered`].
    Ask {
        member: MemberId,
        question: Arc<Question>,
        /// An answer that takes longer is none.
        timeout: Duration,
    },
    /// Run a check of the server itself; the outcome goes to [`Cluster::probed`].
    Probe {
        member: MemberId,
        /// What to look at; always the same for a member.
        check: Arc<Check>,
        timeout: Duration,
    },
    /// The member is gone: whatever was asked is not wanted any more.
    Forget { member: MemberId },
    /// Something for the log, without the name of the cluster.
    Log { level: Level, message: String },
}

/// What one member is to all listeners alike, whatever they want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// What it is; while it does not answer, what it was.
    pub role: Role,
    /// Whether it may be used at all.
    pub admission: Admission,
    /// It holds the leader lock and is on its way to become the primary.
    pub promoting: bool,
    /// It may not be balanced to (`noloadbalance`).
    pub unbalanced: bool,
    /// It has just become a member, and has never answered.
    pub new: bool,
}

impl MemberState {
    fn untested() -> MemberState {
        MemberState::drain(Role::Unknown, "not probed yet")
    }

    fn up(role: Role) -> MemberState {
        MemberState::new(role, Admission::Up)
    }

    fn drain(role: Role, why: &str) -> MemberState {
        MemberState::new(role, Admission::Drain(Arc::from(why)))
    }

    fn down(role: Role, why: &str) -> MemberState {
        MemberState::new(role, Admission::Down(Arc::from(why)))
    }

    fn new(role: Role, admission: Admission) -> MemberState {
        MemberState { role, admission, promoting: false, unbalanced: false, new: false }
    }
}

#[derive(Debug)]
pub enum Cluster {
    /// Its members have roles.
    Patroni(Box<Patroni>),
    /// They have none.
    Plain(Plain),
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    #[must_use]
    pub fn new(now: Now, config: &ClusterConfig) -> Cluster {
        match &config.members {
            Members::Patroni(patroni) => {
                let cluster = Patroni::new(now, patroni.clone(), config.rhythm);
                Cluster::Patroni(Box::new(cluster))
            }
            Members::Plain(members) => Cluster::Plain(Plain::new(now, members, config.rhythm)),
        }
    }

    /// The same cluster configured anew: members that are asked in the same way keep what is known
    /// of them. `false`: it is of the other kind, and nothing can be kept.
    pub fn reconfigured(&mut self, now: Now, config: &ClusterConfig) -> bool {
        match (self, &config.members) {
            (Cluster::Patroni(cluster), Members::Patroni(patroni)) => {
                cluster.reconfigured(now, patroni.clone(), config.rhythm);
            }
            (Cluster::Plain(cluster), Members::Plain(members)) => {
                cluster.reconfigured(now, members, config.rhythm);
            }
            (Cluster::Patroni(_), Members::Plain(_)) | (Cluster::Plain(_), Members::Patroni(_)) => {
                return false;
            }
        }
        true
    }

    /// The members in the order of the configuration.
    #[must_use]
    pub fn members(&self) -> Vec<MemberId> {
        match self {
            Cluster::Patroni(cluster) => cluster.members(),
            Cluster::Plain(cluster) => cluster.members(),
        }
    }

    /// When [`Cluster::time_passed`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self {
            Cluster::Patroni(cluster) => Some(cluster.deadline()),
            Cluster::Plain(cluster) => cluster.deadline(),
        }
    }

    pub fn time_passed(&mut self, now: Now) {
        match self {
            Cluster::Patroni(cluster) => cluster.time_passed(now),
            Cluster::Plain(cluster) => cluster.time_passed(now),
        }
    }

    /// The machine slept.
    pub fn suspended(&mut self, now: Now, gap: Duration) {
        match self {
            Cluster::Patroni(cluster) => cluster.suspended(now, gap),
            Cluster::Plain(_) => {}
        }
    }

    /// This process did not run.
    pub fn stalled(&mut self, now: Now, gap: Duration) {
        match self {
            Cluster::Patroni(cluster) => cluster.stalled(now, gap),
            Cluster::Plain(_) => {}
        }
    }

    /// A [`ClusterAction::Ask`] came to its end.
    pub fn answered(&mut self, now: Now, member: MemberId, topic: Topic, answer: Answer) {
        match self {
            Cluster::Patroni(cluster) => cluster.answered(now, member, topic, answer),
            Cluster::Plain(_) => {}
        }
    }

    /// A [`ClusterAction::Probe`] did.
    pub fn probed(&mut self, now: Now, member: MemberId, outcome: Outcome) {
        match self {
            Cluster::Patroni(cluster) => cluster.probed(now, member, &outcome),
            Cluster::Plain(cluster) => cluster.probed(now, member, outcome),
        }
    }

    /// A session noticed something about a member.
    pub fn hinted(&mut self, now: Now, member: MemberId, hint: Hint) {
        match self {
            Cluster::Patroni(cluster) => cluster.hinted(now, member, hint),
            Cluster::Plain(cluster) => cluster.hinted(now, member),
        }
    }

    /// The next action, until `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<ClusterAction> {
        match self {
            Cluster::Patroni(cluster) => cluster.actions.pop_front(),
            Cluster::Plain(cluster) => cluster.actions.pop_front(),
        }
    }

    /// Whether its members answer, but not as Patroni, and the status of a request decides.
    #[must_use]
    pub fn is_by_status(&self) -> bool {
        match self {
            Cluster::Patroni(cluster) => cluster.is_by_status(),
            Cluster::Plain(_) => false,
        }
    }

    /// Whether every member has answered, or failed to.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        match self {
            Cluster::Patroni(cluster) => cluster.is_judged(),
            Cluster::Plain(cluster) => cluster.is_judged(),
        }
    }

    /// How far a standby is behind, if that is known.
    #[must_use]
    pub fn lag(&self, member: MemberId) -> Option<Lag> {
        match self {
            Cluster::Patroni(cluster) => cluster.lag(member),
            Cluster::Plain(_) => None,
        }
    }

    /// What a member said last, if it is Patroni's.
    #[must_use]
    pub fn answer(&self, member: MemberId) -> Option<&NodeAnswer> {
        match self {
            Cluster::Patroni(cluster) => cluster.get(member)?.answer(),
            Cluster::Plain(_) => None,
        }
    }

    /// What a member is now; `None` if it is configured no longer.
    #[must_use]
    pub fn member_state(&self, member: MemberId) -> Option<MemberState> {
        match self {
            Cluster::Patroni(cluster) => cluster.member_state(member).cloned(),
            Cluster::Plain(cluster) => cluster.member_state(member),
        }
    }
}
