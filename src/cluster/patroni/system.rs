//! The database systems of a cluster: one, or one for each group of a sharded cluster (Citus).
//!
//! Nodes that were initialized together have one system identifier, and one of them takes writes.
//! Timelines and positions can be compared within one system only. Nodes of another Patroni cluster
//! (another scope) are left out.

use std::sync::Arc;

use super::Patroni;
use crate::cluster::MemberId;
use crate::cluster::lag::WalHistory;
use crate::cluster::member::Member;
use crate::cluster::primary_tracker::PrimaryTracker;
use crate::cluster::second_opinion::SecondOpinion;
use crate::status::{HintCode, HintStatus};
use crate::types::Now;

#[derive(Debug)]
pub(in crate::cluster) struct System {
    /// Its identifier, once a member has said so.
    pub(super) id: Option<Arc<str>>,
    pub(super) tracker: PrimaryTracker,
    pub(super) opinion: SecondOpinion,
    pub(super) wal_history: WalHistory,
}

impl System {
    pub(super) fn new(now: Now, id: Option<Arc<str>>) -> System {
        let (tracker, wal_history) = (PrimaryTracker::default(), WalHistory::default());
        System { id, tracker, opinion: SecondOpinion::new(now), wal_history }
    }
}

impl Patroni {
    /// The index of a member's system; the first if it has never said which.
    pub(in crate::cluster) fn system_of(&self, member: &Member) -> usize {
        let id = member.system.as_ref();
        let place = self.systems.iter().position(|system| id.is_some() && system.id.as_ref() == id);
        place.unwrap_or(0)
    }

    pub(super) fn members_of(&self, system: usize) -> impl Iterator<Item = &Member> {
        let of = move |m: &&Member| !self.in_other_scope(m) && self.system_of(m) == system;
        self.members.iter().filter(of)
    }

    /// Whether a member takes writes, of its system.
    pub(super) fn writes(&self, member: MemberId) -> bool {
        self.systems.iter().any(|system| system.tracker.writer() == Some(member))
    }

    /// The one that takes the writes of a system.
    pub(in crate::cluster) fn writer_of(&self, system: usize) -> Option<&Member> {
        self.get(self.systems.get(system)?.tracker.writer()?)
    }

    /// Those that take writes: one for each system that has one.
    pub(in crate::cluster) fn writers(&self) -> impl Iterator<Item = &Member> {
        (0..self.systems.len()).filter_map(|system| self.writer_of(system))
    }

    /// Whether it belongs to another Patroni cluster.
    pub(super) fn in_other_scope(&self, member: &Member) -> bool {
        member.scope.as_ref().is_some_and(|scope| self.scope.as_ref() != Some(scope))
    }

    /// Update scope and systems from what the members have said.
    pub(super) fn sort_members(&mut self, now: Now) {
        let scopes = || self.members.iter().filter_map(|member| member.scope.as_ref());
        let votes = |scope: &Arc<str>| scopes().filter(|other| *other == scope).count();
        // With as many votes, the first scope counts.
        self.scope = scopes().rev().max_by_key(|scope| votes(scope)).cloned();
        let mut ids: Vec<Arc<str>> = Vec::new();
        for member in self.members.iter().filter(|member| !self.in_other_scope(member)) {
            if let Some(id) = &member.system
                && !ids.contains(id)
            {
                ids.push(Arc::clone(id));
            }
        }
        for id in &ids {
            if self.systems.iter().any(|system| system.id.as_ref() == Some(id)) {
                continue;
            }
            match self.systems.iter_mut().find(|system| system.id.is_none()) {
                Some(unnamed) => unnamed.id = Some(Arc::clone(id)),
                None => self.systems.push(System::new(now, Some(Arc::clone(id)))),
            }
        }
        if !ids.is_empty() {
            let known = |id: &Arc<str>| ids.contains(id);
            let asked = |system: &System| system.opinion.asking.is_some();
            self.systems.retain(|system| system.id.as_ref().is_some_and(known) || asked(system));
        }
    }

    /// Hints about members of another Patroni cluster and about several systems.
    pub(in crate::cluster) fn mixture(&self) -> Vec<HintStatus> {
        let mut hints = Vec::new();
        let ours = self.scope.as_deref().unwrap_or_default();
        for member in self.members.iter().filter(|member| self.in_other_scope(member)) {
            let theirs = member.scope.as_deref().unwrap_or_default();
            let text = format!(
                "{} belongs to the Patroni cluster {theirs:?}, the others to {ours:?}: it is not \
                 used; give it a cluster of its own",
                member.name()
            );
            hints.push(HintStatus::about_member(HintCode::OtherScope, member.name(), text));
        }
        let groups: Vec<String> = (0..self.systems.len())
            .map(|system| {
                let names: Vec<&str> = self.members_of(system).map(Member::name).collect();
                names.join(" ")
            })
            .filter(|names| !names.is_empty())
            .collect();
        if groups.len() > 1 {
            let text = format!(
                "these are {} database systems, as in a Citus cluster ({}): each has a primary of \
                 its own, and clients that write get any of them",
                groups.len(),
                groups.join("; ")
            );
            hints.push(HintStatus::new(HintCode::SeveralSystems, text));
        }
        hints
    }
}
