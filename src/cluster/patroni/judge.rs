//! The state of one member, from its own answers and those of all others.

use std::time::Duration;

use super::Patroni;
use crate::cluster::member::{Finding, Member};
use crate::cluster::primary_tracker::{Claim, Rejected};
use crate::cluster::{MemberId, MemberState};
use crate::io::Level;
use crate::pool::{Admission, Role};
use crate::track::patroni::NodeAnswer;
use crate::types::Now;

/// A standby has this long to follow a new primary to its timeline.
const OUTDATED: Duration = Duration::from_secs(10);
/// A standby has caught up when it is at most this many bytes behind: one segment of the write-ahead
/// log.
const NEAR: u64 = 16 << 20;

impl Patroni {
    /// The state of a member; `claims` are those of its system.
    pub(super) fn judge(&self, now: Now, member: &Member, claims: &[Claim]) -> MemberState {
        if self.in_other_scope(member) {
            let scope = member.scope.as_deref().unwrap_or_default();
            let why = format!("belongs to another Patroni cluster, {scope:?}");
            return MemberState::drain(Role::Unknown, &why);
        }
        let state = self.by_answer(now, member, claims);
        if matches!(state.admission, Admission::Down(_)) {
            return state;
        }
        let role = state.role;
        if self.writes(member.id) {
            if self.is_kept(now, member) {
                let why = match self.asks_again_until(now) {
                    Some(_) => "it is asked again, because vipd did not run",
                    None => "its Patroni does not answer, but it still leads",
                };
                return MemberState::drain(role, why);
            }
        } else if member.is_silent() && now >= self.silent_since(member) + self.cfg.down_after {
            let why = member.silence.as_ref().map(|why| format!("no answer: {}", why.cause));
            return match (why, member.port.is_alive(now)) {
                (Some(_), Some(_)) if member.last_answer.is_some() => {
                    MemberState::drain(role, "its Patroni does not answer")
                }
                (Some(why), _) => MemberState::down(role, &why),
                (None, _) => MemberState::down(role, "no answer"),
            };
        } else if member.rising && !self.has_risen(member) {
            return MemberState::drain(role, "was down, must answer well more often first");
        }
        if state.admission == Admission::Up && member.port.is_dead() {
            let why = format!("port {} does not answer", member.cfg.address.port);
            return MemberState::drain(role, &why);
        }
        let outdated = member.outdated.is_some_and(|since| now.since(since) >= OUTDATED);
        let standby = member.finding() == Finding::Standby;
        if state.admission == Admission::Up && standby && outdated {
            return MemberState::drain(role, "on an older timeline than the primary");
        }
        state
    }

    /// Whether a member that was down has given `rise` good answers, and has caught up if it is a
    /// standby.
    pub(super) fn has_risen(&self, member: &Member) -> bool {
        let archived = member.answer().is_some_and(NodeAnswer::in_archive_recovery);
        let near = member.lag.is_some_and(|(_, lag)| lag.bytes <= NEAR);
        member.good >= self.rhythm.rise.get() && (!archived || near)
    }

    fn by_answer(&self, now: Now, member: &Member, claims: &[Claim]) -> MemberState {
        let writes = self.writes(member.id);
        let primary = || self.writer_of(self.system_of(member)).and_then(Member::answer);
        let standby = || member.standby_kind(primary(), self.is_blind(member));
        match member.finding() {
            Finding::Untested => {
                let state = match &member.silence {
                    None => MemberState::untested(),
                    Some(why) => {
                        MemberState::drain(Role::Unknown, &format!("no answer yet: {}", why.cause))
                    }
                };
                MemberState { new: member.new, ..state }
            }
            Finding::Writer if writes => MemberState::up(Role::Primary),
            Finding::Unsure if writes => {
                MemberState::drain(Role::Primary, "its Patroni cannot ask PostgreSQL")
            }
            Finding::Writer => match claims.iter().find(|claim| claim.member == member.id) {
                Some(claim) => MemberState::drain(Role::Unknown, &self.rejected(claim, claims)),
                None => MemberState::down(Role::Unknown, &self.expired(member)),
            },
            Finding::Unsure => MemberState::down(Role::Unknown, &self.expired(member)),
            Finding::Halted(state) => {
                let lock = if member.answer().is_some_and(|answer| answer.holds_lock) {
                    "holds the leader lock, but PostgreSQL is "
                } else {
                    "was the primary, and PostgreSQL is "
                };
                MemberState::down(Role::Primary, &format!("{lock}{state}"))
            }
            Finding::LostLock => {
                MemberState::drain(Role::Unknown, "does not hold the leader lock any more")
            }
            Finding::Promoting => MemberState { promoting: true, ..MemberState::up(standby()) },
            Finding::StandbyLeader => MemberState::up(self.standby_leader(now, member)),
            Finding::Standby => {
                let unbalanced = member.answer().is_some_and(|answer| answer.unbalanced);
                MemberState { unbalanced, ..MemberState::up(standby()) }
            }
            Finding::UnsureStandby => {
                MemberState::drain(Role::Replica, "its Patroni cannot ask PostgreSQL")
            }
            Finding::Broken(what) => MemberState::down(Role::Replica, &what),
        }
    }

    fn expired(&self, member: &Member) -> String {
        if self.is_denied(member) {
            return "does not answer, and does not hold the leader lock any more".to_owned();
        }
        format!("has not confirmed for {:?} that it is the primary", self.lease.length())
    }

    fn rejected(&self, claim: &Claim, claims: &[Claim]) -> String {
        let name = |id: MemberId| {
            self.members.iter().find(|m| m.id == id).map_or("another node", Member::name)
        };
        let on = |id: MemberId| {
            let other = claims.iter().find(|other| other.member == id);
            let timeline = other.and_then(|other| other.timeline);
            timeline.map_or_else(String::new, |timeline| format!(" (timeline {timeline})"))
        };
        let own = on(claim.member);
        let system = self.get(claim.member).map_or(0, |member| self.system_of(member));
        let Some(system) = self.systems.get(system) else {
            return format!("claims to be the primary{own}");
        };
        match system.tracker.rejection(claim, claims) {
            Rejected::Superseded(other) => format!(
                "also claims to be the primary{own}; {} is the primary{}",
                name(other),
                on(other)
            ),
            Rejected::Late(other) => format!(
                "also claims to be the primary{own}; {} holds the leader lock{}",
                name(other),
                on(other)
            ),
            Rejected::Outdated => {
                format!("claims to be the primary{own}; the last one was on a higher timeline")
            }
            Rejected::Rivals(other) => {
                format!("claims to be the primary on the same timeline as {}", name(other))
            }
        }
    }

    /// Of two leaders of a standby cluster, the one that answered last counts.
    fn standby_leader(&self, now: Now, member: &Member) -> Role {
        let age = |m: &Member| m.last_answer.as_ref().map(|answer| now.since(answer.asked));
        let leads = |m: &&Member| m.finding() == Finding::StandbyLeader && m.silence.is_none();
        let latest = self.members.iter().filter(leads).min_by_key(|m| age(m));
        match latest {
            Some(latest) if latest.id != member.id && member.silence.is_some() => Role::Replica,
            _ => Role::StandbyLeader,
        }
    }

    /// Whether a member last read the cluster's store longer ago than the leader lock lasts.
    pub(super) fn is_blind(&self, member: &Member) -> bool {
        let seen = member.answer().and_then(|answer| answer.store_seen);
        seen.is_some_and(|age| age > self.lease.settings().ttl)
    }

    pub(super) fn log_changes(&mut self, before: &[MemberState]) {
        let mut news = Vec::new();
        for (n, (member, state)) in self.members.iter().zip(&self.states).enumerate() {
            let old = before.get(n);
            if old.is_none_or(|old| old == state) {
                continue;
            }
            let name = member.name();
            let silence = match &member.silence {
                Some(why) => format!("; its Patroni: {why}"),
                None => String::new(),
            };
            let lost =
                old.is_some_and(|old| old.role == Role::Primary && old.admission == Admission::Up);
            news.push(match &state.admission {
                Admission::Up if state.promoting => {
                    (Level::Info, format!("{name} holds the leader lock and is being promoted"))
                }
                Admission::Up if state.role == Role::Primary => {
                    let timeline = member.answer().and_then(|answer| answer.timeline);
                    let on = timeline.map_or_else(String::new, |t| format!(" on timeline {t}"));
                    (Level::Info, format!("{name} is the primary{on}"))
                }
                Admission::Up => (Level::Info, format!("{name} is {}", state.role)),
                Admission::Drain(why) if lost && state.role == Role::Primary => {
                    let text = format!("{name}, the primary, gets no new sessions: {why}{silence}");
                    (Level::Warn, text)
                }
                Admission::Drain(why) if lost => {
                    (Level::Warn, format!("{name} is not the primary any more: {why}{silence}"))
                }
                Admission::Drain(why) => {
                    (Level::Info, format!("{name} is not used: {why}{silence}"))
                }
                Admission::Down(why) => (Level::Warn, format!("{name} is down: {why}{silence}")),
            });
        }
        for (level, message) in news {
            self.log(level, message);
        }
    }
}
