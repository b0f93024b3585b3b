//! The state of a cluster as a whole, in a phrase.

use super::Patroni;
use crate::cluster::member::{Finding, Member};
use crate::cluster::primary_tracker::Claim;
use crate::status::Phase;
use crate::track::patroni::NodeState;
use crate::types::Now;

impl Patroni {
    /// Of several systems, the first without a primary gives the phase; `claims` are by system.
    pub(super) fn phase_now(&self, now: Now, claims: &[Vec<Claim>]) -> (Phase, String) {
        let phases = (0..).zip(claims).map(|(system, claims)| self.phase_of(now, system, claims));
        let phases: Vec<(Phase, String)> = phases.collect();
        let worst = phases.iter().find(|(phase, _)| *phase != Phase::Primary);
        let worst = worst.or(phases.first()).map_or(Phase::Unknown, |(phase, _)| *phase);
        let texts: Vec<String> = phases.into_iter().map(|(_, text)| text).collect();
        (worst, texts.join("; "))
    }

    fn phase_of(&self, now: Now, system: usize, claims: &[Claim]) -> (Phase, String) {
        if let Some(writer) = self.writer_of(system) {
            return self.phase_with(now, writer);
        }
        if self.is_by_status() {
            let text = "not Patroni: the status of each listener's own request decides";
            return (Phase::Plain, text.to_owned());
        }
        let speaking = || self.members_of(system).filter(|member| !member.is_silent());
        if speaking().next().is_none() {
            let tried = self.members_of(system).any(|member| member.silence.is_some());
            return match tried {
                true => (Phase::Silent, "no member answers".to_owned()),
                false => (Phase::Unknown, "no member has answered yet".to_owned()),
            };
        }
        if let [first, .., last] = claims {
            let name = |claim: &Claim| self.get(claim.member).map_or("", Member::name);
            let text = format!(
                "{} and {} claim to be the primary with equal right: neither is used",
                name(first),
                name(last)
            );
            return (Phase::Rivals, text);
        }
        for member in speaking() {
            let (name, locked) = (member.name(), member.answer().is_some_and(|a| a.holds_lock));
            match member.finding() {
                Finding::Promoting => {
                    let text = format!("{name} holds the leader lock and is being promoted");
                    return (Phase::Promoting, text);
                }
                Finding::Halted(state @ (NodeState::Stopping | NodeState::Stopped)) => {
                    return (Phase::Stopping, format!("{name}, the primary, is {state}"));
                }
                Finding::Halted(state) if locked => {
                    let text = format!("{name} holds the leader lock, its PostgreSQL is {state}");
                    return (Phase::CrashRestart, text);
                }
                Finding::Broken(what) if locked => {
                    let text = format!("{name} holds the leader lock and restarts: {what}");
                    return (Phase::CrashRestart, text);
                }
                Finding::StandbyLeader => {
                    let text = format!("a standby cluster: its leader {name} takes no writes");
                    return (Phase::StandbyCluster, text);
                }
                _ => {}
            }
        }
        let stale = self.lease.settings().loop_wait * 2;
        let seen = |member: &Member| member.answer().and_then(|answer| answer.store_seen);
        if speaking().all(|member| seen(member).is_some_and(|age| age > stale)) {
            let text = "nobody takes writes: the members cannot reach the cluster's store";
            return (Phase::StoreOutage, text.to_owned());
        }
        if speaking().any(|member| member.answer().is_some_and(|answer| answer.unlocked)) {
            return (Phase::Unlocked, "nobody holds the leader lock".to_owned());
        }
        (Phase::Leaderless, "no member leads".to_owned())
    }

    fn phase_with(&self, now: Now, writer: &Member) -> (Phase, String) {
        let name = writer.name();
        if self.is_kept(now, writer) && self.asks_again_until(now).is_some() {
            let text = format!("{name}, the primary, is asked again, because vipd did not run");
            return (Phase::ApiSilent, text);
        }
        if self.is_kept(now, writer) {
            let text = format!(
                "the Patroni of {name}, the primary, does not answer; the cluster's store still \
                 names it and its port answers, so its sessions stay"
            );
            return (Phase::SecondOpinion, text);
        }
        if writer.silence.is_some() {
            let text = format!("the Patroni of {name}, the primary, does not answer");
            return (Phase::ApiSilent, text);
        }
        if writer.finding() == Finding::Unsure {
            let text = format!("the Patroni of {name}, the primary, cannot ask its PostgreSQL");
            return (Phase::Unsure, text);
        }
        let timeline = writer.answer().and_then(|answer| answer.timeline);
        let on = timeline.map_or_else(String::new, |timeline| format!(", timeline {timeline}"));
        (Phase::Primary, format!("{name} is the primary{on}"))
    }
}
