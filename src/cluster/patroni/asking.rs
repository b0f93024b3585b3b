//! Asking the members: one round after another, and what only some of them are asked.

use std::sync::Arc;

use super::system::System;
use super::{GRACE, PORT_TIMEOUT, Patroni, SETTINGS_RETRY};
use crate::cluster::member::Member;
use crate::cluster::{ClusterAction, MemberId};
use crate::config::checks::HttpTarget;
use crate::track::outcome::Cause;
use crate::track::patroni::{NoAnswer, Question};
use crate::types::Now;

impl Patroni {
    /// Count questions as unanswered whose answers are overdue.
    pub(super) fn expire_requests(&mut self, now: Now) {
        let late = self.longest_timeout + GRACE;
        for member in &mut self.members {
            if member.asked.is_some_and(|at| at + late <= now) {
                member.asked = None;
                let detail = "the question does not come back".to_owned();
                member.not_answered(NoAnswer { cause: Cause::TimedOut, detail });
            }
            if member.port.asked.is_some_and(|at| at + PORT_TIMEOUT + GRACE <= now) {
                member.port.answered(now, false);
            }
        }
        for system in &mut self.systems {
            if system.opinion.asking.is_some_and(|(_, at)| at + late <= now) {
                system.opinion.answered(None);
            }
        }
        if self.settings_asked.is_some_and(|at| at + late <= now) {
            self.settings_asked = None;
        }
    }

    pub(super) fn ask_all(&mut self, now: Now) {
        let timeout = self.rhythm.timeout;
        for member in self.members.iter_mut().filter(|member| member.asked.is_none()) {
            member.asked = Some(now);
            let question = Arc::clone(&member.question);
            self.actions.push_back(ClusterAction::Ask { member: member.id, question, timeout });
        }
        if self.settings_due <= now && self.settings_asked.is_none() {
            self.ask_settings(now);
        }
    }

    /// Ask one of the members that answer, in turn, for the settings and the planned switchover.
    pub(super) fn ask_settings(&mut self, now: Now) {
        let answers = |member: &&Member| !member.is_silent() && !self.in_other_scope(member);
        let answering: Vec<&Member> = self.members.iter().filter(answers).collect();
        let Some(turn) = self.settings_turn.checked_rem(answering.len()) else { return };
        let Some(member) = answering.get(turn) else { return };
        let (member, api) = (member.id, member.cfg.api.clone());
        self.settings_turn = turn + 1;
        self.settings_asked = Some(now);
        self.settings_due = now + SETTINGS_RETRY;
        let (question, timeout) = (Arc::new(Question::Settings(api.clone())), self.rhythm.timeout);
        self.actions.push_back(ClusterAction::Ask { member, question, timeout });
        let about = self.get(member).map_or(0, |member| self.system_of(member));
        let asked = self.is_asked_for_members(member);
        if let Some(system) = self.systems.get_mut(about)
            && system.opinion.asking.is_none()
            && !asked
        {
            system.opinion.ask(now, member);
            let question = Arc::new(Question::Members(api));
            self.actions.push_back(ClusterAction::Ask { member, question, timeout });
        }
    }

    pub(super) fn ask_ports(&mut self, now: Now) {
        if self.is_by_status() {
            return;
        }
        for member in self.members.iter_mut().filter(|member| member.is_of_interest()) {
            if member.port.next(now).is_some_and(|at| at <= now) {
                member.port.asked = Some(now);
                let (check, timeout) = (Arc::clone(&member.check), PORT_TIMEOUT);
                self.actions.push_back(ClusterAction::Probe { member: member.id, check, timeout });
            }
        }
    }

    /// Whether the primary's Patroni does not answer, so that the others are asked about it.
    pub(super) fn wants_opinion(&self, system: usize) -> bool {
        self.writer_of(system).is_some_and(|writer| writer.silence.is_some())
    }

    pub(super) fn is_asked_for_members(&self, member: MemberId) -> bool {
        let asked = |system: &System| system.opinion.asking.map(|(asked, _)| asked);
        self.systems.iter().any(|system| asked(system) == Some(member))
    }

    /// Ask a member for the leader by the store, if that is wanted and due.
    pub(super) fn ask_opinion(&mut self, now: Now, place: usize) {
        let wanted = self.wants_opinion(place);
        let others: Vec<(MemberId, HttpTarget)> = self
            .members_of(place)
            .filter(|m| !self.writes(m.id) && !m.is_silent() && !self.is_asked_for_members(m.id))
            .map(|m| (m.id, m.cfg.api.clone()))
            .collect();
        let Some(System { opinion, .. }) = self.systems.get_mut(place) else { return };
        if !wanted || opinion.next().is_none_or(|at| at > now) {
            return;
        }
        let turn = opinion.next_member.checked_rem(others.len());
        let Some((turn, asked)) = turn.and_then(|turn| Some((turn, others.get(turn)?))) else {
            opinion.postpone(now);
            return;
        };
        let (member, api) = asked.clone();
        opinion.next_member = turn + 1;
        opinion.ask(now, member);
        let (question, timeout) = (Arc::new(Question::Members(api)), self.rhythm.timeout);
        self.actions.push_back(ClusterAction::Ask { member, question, timeout });
    }
}
