//! One Patroni node, as far as it is known.

use std::sync::Arc;

use super::MemberId;
use super::lag::Lag;
use super::primary_tracker::Claim;
use super::second_opinion::Port;
use crate::config::PatroniMember;
use crate::config::checks::{Check, Endpoint, PostgresCheck};
use crate::pool::Role;
use crate::track::patroni::{
    Listed, NoAnswer, NodeAnswer, NodeRole, NodeState, Question, SyncStanding,
};
use crate::types::Now;

/// A node and what it said last.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) cfg: PatroniMember,
    /// The question about the node itself, always the same.
    pub(super) question: Arc<Question>,
    /// Since when it has been a member.
    pub(super) since: Now,
    /// Nothing was known of it before: it was configured after the last suspend.
    pub(super) new: bool,
    /// The system identifier of its database, and the name of its Patroni cluster, as it last said.
    pub(super) system: Option<Arc<str>>,
    pub(super) scope: Option<Arc<str>>,
    /// It is being asked, since when.
    pub(super) asked: Option<Now>,
    pub(super) last_answer: Option<TimedAnswer>,
    /// Why the questions after that were not answered; the last of them.
    pub(super) silence: Option<NoAnswer>,
    /// Questions that were not answered.
    pub(super) unanswered: u64,
    /// Its last claim to take writes, and when it was asked; none once it has said otherwise.
    pub(super) claim: Option<(Now, Claim)>,
    /// Good answers in a row.
    pub(super) good: u32,
    /// The state of its SQL port.
    pub(super) port: Port,
    /// The check of that port.
    pub(super) check: Arc<Check>,
    /// A session has noticed something about the port.
    pub(super) suspect: bool,
    /// Its last measured lag, and when it was asked.
    pub(super) lag: Option<(Now, Lag)>,
    /// Since when its timeline has been older than the primary's.
    pub(super) outdated: Option<Now>,
    /// Since when its state has been the same.
    pub(super) state_since: Now,
    /// It has been down, and has not given `rise` good answers since.
    pub(super) rising: bool,
}

#[derive(Debug)]
pub(super) struct TimedAnswer {
    /// When the question was put: what the answer says was true some time after that.
    pub(super) asked: Now,
    /// When the answer came.
    pub(super) at: Now,
    pub(super) answer: NodeAnswer,
}

/// What the last answer says of a node, without the answers of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It has not answered yet.
    Untested,
    /// It takes writes, unless another member's claim is better.
    Writer,
    /// It holds the lock as a primary, and its Patroni cannot ask PostgreSQL: it is overloaded, or
    /// has just died.
    Unsure,
    /// A primary whose PostgreSQL does not run.
    Halted(NodeState),
    /// A running primary without the leader lock.
    LostLock,
    /// It holds the lock and is a standby still.
    Promoting,
    StandbyLeader,
    Standby,
    /// A standby that Patroni cannot ask.
    UnsureStandby,
    /// Anything else, in words: "replica, starting".
    Broken(String),
}

impl Member {
    pub(super) fn new(id: MemberId, cfg: PatroniMember, now: Now) -> Member {
        let question = Arc::new(Question::Node(cfg.api.clone()));
        let check = Arc::new(Check::Postgres(PostgresCheck {
            endpoint: cfg.address.clone(),
            user: None,
            tls: None,
        }));
        Member {
            id,
            cfg,
            question,
            since: now,
            new: true,
            system: None,
            scope: None,
            asked: None,
            last_answer: None,
            silence: None,
            unanswered: 0,
            claim: None,
            good: 0,
            port: Port::default(),
            check,
            suspect: false,
            lag: None,
            outdated: None,
            state_since: now,
            rising: false,
        }
    }

    pub(super) fn answered(&mut self, last_answer: TimedAnswer) {
        let TimedAnswer { asked, answer, .. } = &last_answer;
        if answer.is_writer() {
            let timeline = answer.timeline;
            self.claim = Some((*asked, Claim { member: self.id, timeline }));
        }
        let said = |word: &Option<String>| word.as_deref().map(Arc::from);
        self.system = said(&answer.system).or_else(|| self.system.take());
        self.scope = said(&answer.scope).or_else(|| self.scope.take());
        self.last_answer = Some(last_answer);
        self.silence = None;
        let finding = self.finding();
        if !matches!(finding, Finding::Writer | Finding::Unsure) {
            self.claim = None;
        }
        let good = matches!(
            finding,
            Finding::Writer | Finding::Standby | Finding::StandbyLeader | Finding::Promoting
        );
        self.good = if good { self.good.saturating_add(1) } else { 0 };
    }

    pub(super) fn not_answered(&mut self, why: NoAnswer) {
        self.silence = Some(why);
        self.unanswered = self.unanswered.saturating_add(1);
        self.good = 0;
    }

    /// When it last answered, or became a member.
    pub(super) fn last_answer_at(&self) -> Now {
        self.last_answer.as_ref().map_or(self.since, |answer| answer.at)
    }

    /// Forget what it has said.
    pub(super) fn forgotten(&mut self, now: Now) {
        (self.last_answer, self.silence, self.claim, self.since) = (None, None, None, now);
        (self.port, self.lag, self.outdated) = (Port::default(), None, None);
        (self.system, self.scope) = (None, None);
        self.new = false;
    }

    /// Its name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.cfg.name
    }

    /// It has not answered the last question that is over.
    pub(super) fn is_silent(&self) -> bool {
        self.last_answer.is_none() || self.silence.is_some()
    }

    /// Whether its SQL port is to be checked.
    pub(super) fn is_of_interest(&self) -> bool {
        self.silence.is_some() || self.suspect || self.port.fails()
    }

    /// Whether it is the member listed in the cluster's store.
    pub(super) fn is_listed(&self, listed: &Listed) -> bool {
        let own = self.answer().and_then(|answer| answer.name.as_deref());
        let at = |place: &Option<String>, own: &Endpoint| {
            place.as_ref().is_some_and(|place| place.eq_ignore_ascii_case(&own.to_string()))
        };
        match own {
            Some(own) => own == listed.name,
            None => {
                at(&listed.api, &self.cfg.api.endpoint)
                    || at(&listed.address, &self.cfg.address)
                    || *self.cfg.name == *listed.name
            }
        }
    }

    pub(super) fn answer(&self) -> Option<&NodeAnswer> {
        self.last_answer.as_ref().map(|answer| &answer.answer)
    }

    pub(super) fn finding(&self) -> Finding {
        let Some(answer) = self.answer() else { return Finding::Untested };
        match (&answer.role, &answer.state, answer.holds_lock) {
            (NodeRole::Primary, NodeState::Running, true) => Finding::Writer,
            (NodeRole::Primary, NodeState::Running, false) => Finding::LostLock,
            (NodeRole::Primary, NodeState::Unknown, true) => Finding::Unsure,
            (NodeRole::Primary, state, _) => Finding::Halted(state.clone()),
            (NodeRole::Replica, NodeState::Running, true) => Finding::Promoting,
            (NodeRole::StandbyLeader, NodeState::Running, _) => Finding::StandbyLeader,
            (NodeRole::Replica, NodeState::Running, false) => Finding::Standby,
            (NodeRole::Replica | NodeRole::StandbyLeader, NodeState::Unknown, _) => {
                Finding::UnsureStandby
            }
            (role, state, _) => Finding::Broken(format!("{role}, {state}")),
        }
    }

    /// What kind of standby it is: by its own answer as long as its Patroni reads the cluster's store,
    /// else by what the primary says of its replication connections.
    pub(super) fn standby_kind(&self, primary: Option<&NodeAnswer>, blind: bool) -> Role {
        let Some(answer) = self.answer() else { return Role::Unknown };
        match answer.sync {
            SyncStanding::Sync => return Role::Sync,
            SyncStanding::Quorum => return Role::Quorum,
            SyncStanding::None if !blind => return Role::Async,
            SyncStanding::None => {}
        }
        let own = answer.name.as_deref().unwrap_or(&self.cfg.name);
        let listed = primary.and_then(|primary| {
            primary.standbys.iter().find(|standby| standby.name.eq_ignore_ascii_case(own))
        });
        match listed.map(|standby| standby.sync) {
            Some(SyncStanding::Sync) => Role::Sync,
            Some(SyncStanding::Quorum) => Role::Quorum,
            Some(SyncStanding::None) => Role::Async,
            None => Role::Replica,
        }
    }
}
