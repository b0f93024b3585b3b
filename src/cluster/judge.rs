//! What one node is to those who want to use it, by its own answers and everybody else's.

use std::sync::Arc;
use std::time::Duration;

use super::member::{Finding, Member};
use super::patroni::Patroni;
use super::truth::{Claim, Rejected};
use super::{MemberId, Standing};
use crate::engine::io::Level;
use crate::pool::{Admission, Role};
use crate::track::patroni::NodeAnswer;
use crate::types::Now;

/// A standby follows a new primary to its timeline within this.
const OUTDATED: Duration = Duration::from_secs(10);
/// So far behind is caught up, in bytes: one file of the write-ahead log.
const NEAR: u64 = 16 << 20;

impl Standing {
    /// Nothing is known.
    pub(super) fn untested() -> Standing {
        Standing::held(Role::Unknown, "not probed yet")
    }

    pub(super) fn usable(role: Role) -> Standing {
        Standing::new(role, Admission::Usable)
    }

    fn held(role: Role, why: &str) -> Standing {
        Standing::new(role, Admission::Held(Arc::from(why)))
    }

    pub(super) fn down(role: Role, why: &str) -> Standing {
        Standing::new(role, Admission::Down(Arc::from(why)))
    }

    fn new(role: Role, admission: Admission) -> Standing {
        Standing { role, admission, promoting: false, unbalanced: false, new: false }
    }
}

impl Patroni {
    /// `claims` are those of its system.
    pub(super) fn judge(&self, now: Now, member: &Member, claims: &[Claim]) -> Standing {
        if self.is_stranger(member) {
            let scope = member.scope.as_deref().unwrap_or_default();
            let why = format!("belongs to another Patroni cluster, {scope:?}");
            return Standing::held(Role::Unknown, &why);
        }
        let standing = self.by_answer(now, member, claims);
        if matches!(standing.admission, Admission::Down(_)) {
            return standing;
        }
        let role = standing.role;
        if self.writes(member.id) {
            if self.is_kept(now, member) {
                let why = match self.asks_again_until(now) {
                    Some(_) => "it is asked again, because vipd did not run",
                    None => "its Patroni does not answer, but it still leads",
                };
                return Standing::held(role, why);
            }
        } else if member.is_silent() && now >= self.silent_since(member) + self.cfg.silence {
            let why = member.silence.as_ref().map(|why| format!("no answer: {}", why.cause));
            return match (why, member.port.is_alive(now)) {
                (Some(_), Some(_)) if member.heard.is_some() => {
                    Standing::held(role, "its Patroni does not answer")
                }
                (Some(why), _) => Standing::down(role, &why),
                (None, _) => Standing::down(role, "no answer"),
            };
        } else if member.rising && !self.has_risen(member) {
            return Standing::held(role, "was down, must answer well more often first");
        }
        if standing.admission == Admission::Usable && member.port.is_dead() {
            let why = format!("port {} does not answer", member.cfg.address.port);
            return Standing::held(role, &why);
        }
        let outdated = member.outdated.is_some_and(|since| now.since(since) >= OUTDATED);
        let standby = member.finding() == Finding::Standby;
        if standing.admission == Admission::Usable && standby && outdated {
            return Standing::held(role, "on an older timeline than the primary");
        }
        standing
    }

    /// Whether one that was down has answered well often enough. A standby must have caught up.
    pub(super) fn has_risen(&self, member: &Member) -> bool {
        let archived = member.answer().is_some_and(NodeAnswer::in_archive_recovery);
        let near = member.lag.is_some_and(|(_, lag)| lag.bytes <= NEAR);
        member.good >= self.rhythm.rise.get() && (!archived || near)
    }

    fn by_answer(&self, now: Now, member: &Member, claims: &[Claim]) -> Standing {
        let writes = self.writes(member.id);
        let primary = || self.writer_of(self.system_of(member)).and_then(Member::answer);
        let standby = || member.standby_kind(primary(), self.is_blind(member));
        match member.finding() {
            Finding::Untested => {
                let standing = match &member.silence {
                    None => Standing::untested(),
                    Some(why) => {
                        Standing::held(Role::Unknown, &format!("no answer yet: {}", why.cause))
                    }
                };
                Standing { new: member.new, ..standing }
            }
            Finding::Writer if writes => Standing::usable(Role::Primary),
            Finding::Unsure if writes => {
                Standing::held(Role::Primary, "its Patroni cannot ask PostgreSQL")
            }
            Finding::Writer => match claims.iter().find(|claim| claim.member == member.id) {
                Some(claim) => Standing::held(Role::Unknown, &self.rejected(claim, claims)),
                None => Standing::down(Role::Unknown, &self.expired(member)),
            },
            Finding::Unsure => Standing::down(Role::Unknown, &self.expired(member)),
            Finding::Halted(state) => {
                let lock = if member.answer().is_some_and(|answer| answer.holds_lock) {
                    "holds the leader lock, but PostgreSQL is "
                } else {
                    "was the primary, and PostgreSQL is "
                };
                Standing::down(Role::Primary, &format!("{lock}{state}"))
            }
            Finding::LostLock => {
                Standing::held(Role::Unknown, "does not hold the leader lock any more")
            }
            Finding::Promoting => Standing { promoting: true, ..Standing::usable(standby()) },
            Finding::StandbyLeader => Standing::usable(self.standby_leader(now, member)),
            Finding::Standby => {
                let unbalanced = member.answer().is_some_and(|answer| answer.unbalanced);
                Standing { unbalanced, ..Standing::usable(standby()) }
            }
            Finding::UnsureStandby => {
                Standing::held(Role::Replica, "its Patroni cannot ask PostgreSQL")
            }
            Finding::Broken(what) => Standing::down(Role::Replica, &what),
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
        match system.truth.rejection(claim, claims) {
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

    /// Of two leaders of a standby cluster the one that answered last is.
    fn standby_leader(&self, now: Now, member: &Member) -> Role {
        let age = |m: &Member| m.heard.as_ref().map(|heard| now.since(heard.asked));
        let leads = |m: &&Member| m.finding() == Finding::StandbyLeader && m.silence.is_none();
        let latest = self.members.iter().filter(leads).min_by_key(|m| age(m));
        match latest {
            Some(latest) if latest.id != member.id && member.silence.is_some() => Role::Replica,
            _ => Role::StandbyLeader,
        }
    }

    /// Whether a node's view of the cluster's store is older than the lock lasts.
    pub(super) fn is_blind(&self, member: &Member) -> bool {
        let seen = member.answer().and_then(|answer| answer.store_seen);
        seen.is_some_and(|age| age > self.lease.settings().ttl)
    }

    /// Logs what became of whom.
    pub(super) fn tell_of(&mut self, before: &[Standing]) {
        let mut news = Vec::new();
        for (n, (member, standing)) in self.members.iter().zip(&self.standings).enumerate() {
            let old = before.get(n);
            if old.is_none_or(|old| old == standing) {
                continue;
            }
            let name = member.name();
            let silence = match &member.silence {
                Some(why) => format!("; its Patroni: {why}"),
                None => String::new(),
            };
            let lost = old
                .is_some_and(|old| old.role == Role::Primary && old.admission == Admission::Usable);
            news.push(match &standing.admission {
                Admission::Usable if standing.promoting => {
                    (Level::Info, format!("{name} holds the leader lock and is being promoted"))
                }
                Admission::Usable if standing.role == Role::Primary => {
                    let timeline = member.answer().and_then(|answer| answer.timeline);
                    let on = timeline.map_or_else(String::new, |t| format!(" on timeline {t}"));
                    (Level::Info, format!("{name} is the primary{on}"))
                }
                Admission::Usable => (Level::Info, format!("{name} is {}", standing.role)),
                Admission::Held(why) if lost && standing.role == Role::Primary => {
                    let text = format!("{name}, the primary, gets no new sessions: {why}{silence}");
                    (Level::Warn, text)
                }
                Admission::Held(why) if lost => {
                    (Level::Warn, format!("{name} is not the primary any more: {why}{silence}"))
                }
                Admission::Held(why) => {
                    (Level::Info, format!("{name} is not used: {why}{silence}"))
                }
                Admission::Down(why) => (Level::Warn, format!("{name} is down: {why}{silence}")),
            });
        }
        for (level, message) in news {
            self.tell(level, message);
        }
    }
}
