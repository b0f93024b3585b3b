//! What the status shows of clusters.

use std::time::Duration;

use super::lag::Lag;
use super::member::Member;
use super::patroni::Patroni;
use super::plain::Plain;
use super::{Cluster, MemberState};
use crate::config::checks::Endpoint;
use crate::pool::{Admission, Role};
use crate::status::{
    AdmissionStatus, ClusterStatus, HintCode, HintStatus, MemberStatus, Phase, RoleStatus, millis,
};
use crate::text::counted;
use crate::track::outcome::Cause;
use crate::track::patroni::{NodeAnswer, NodeRole};
use crate::types::Now;

impl Cluster {
    /// `unresolved_reason` says why no session can go to an address.
    #[must_use]
    pub fn status(
        &self,
        name: &str,
        now: Now,
        unresolved_reason: &UnresolvedReason<'_>,
    ) -> ClusterStatus {
        match self {
            Cluster::Patroni(cluster) => cluster.status(name, now, unresolved_reason),
            Cluster::Plain(cluster) => cluster.status(name, now, unresolved_reason),
        }
    }
}

/// Why no session can go to an address: its host name has not been resolved yet.
pub(super) type UnresolvedReason<'a> = dyn Fn(&Endpoint) -> Option<String> + 'a;

/// A member that is up is not usable as long as its host name has no address.
fn placed(
    (admission, why): (AdmissionStatus, String),
    unresolved_reason: Option<String>,
) -> (AdmissionStatus, String) {
    match (admission, unresolved_reason) {
        (AdmissionStatus::Usable, Some(why)) => (AdmissionStatus::Held, why),
        (admission, _) => (admission, why),
    }
}

/// Whether a server takes sessions, and why not.
#[must_use]
pub(super) fn admission_status(admission: &Admission) -> (AdmissionStatus, String) {
    match admission {
        Admission::Up => (AdmissionStatus::Usable, String::new()),
        Admission::Drain(why) => (AdmissionStatus::Held, why.to_string()),
        Admission::Down(why) => (AdmissionStatus::Down, why.to_string()),
    }
}

fn blank(name: &str, (phase, summary): (Phase, &str)) -> ClusterStatus {
    ClusterStatus {
        name: name.to_owned(),
        phase,
        summary: summary.to_owned(),
        phase_age_ms: 0,
        primary: None,
        lease_ms: None,
        lease_left_ms: None,
        confirmed_ms: None,
        sessions_left_ms: None,
        paused: false,
        failsafe: false,
        switchover: None,
        fast: false,
        hints: Vec::new(),
        members: Vec::new(),
    }
}

impl Patroni {
    fn status(
        &self,
        name: &str,
        now: Now,
        unresolved_reason: &UnresolvedReason<'_>,
    ) -> ClusterStatus {
        let writers: Vec<&str> = self.writers().map(Member::name).collect();
        let confirmed = self.writers().filter_map(|writer| Some(writer.claim.as_ref()?.0)).min();
        let left = |length: Duration| confirmed.map(|at| millis((at + length).since(now)));
        let speaking = || self.members.iter().filter(|member| !member.is_silent());
        let any = |flag: fn(&NodeAnswer) -> bool| speaking().filter_map(Member::answer).any(flag);
        let (phase, summary) = &self.phase;
        ClusterStatus {
            phase_age_ms: millis(now.since(self.phase_since)),
            primary: (!writers.is_empty()).then(|| writers.join(", ")),
            lease_ms: Some(millis(self.lease.length())),
            lease_left_ms: left(self.lease.length()),
            confirmed_ms: confirmed.map(|at| millis(now.since(at))),
            sessions_left_ms: left(self.lease.most().max(self.lease.length())),
            paused: any(|answer| answer.paused),
            failsafe: any(|answer| answer.failsafe),
            switchover: self.switchover.clone(),
            fast: self.schedule.is_fast(),
            hints: self.hints(now),
            members: self
                .members
                .iter()
                .zip(&self.states)
                .map(|(member, state)| match self.is_by_status() {
                    true => member.status_without_role(state, now, unresolved_reason),
                    false => member.status(state, now, unresolved_reason),
                })
                .collect(),
            ..blank(name, (*phase, summary))
        }
    }

    fn hints(&self, now: Now) -> Vec<HintStatus> {
        if self.is_by_status() {
            return Vec::new();
        }
        let hint = HintStatus::new;
        let too_long = self.lease.complaint().map(|text| hint(HintCode::LeaseTooLong, text));
        let mut hints: Vec<HintStatus> = too_long.into_iter().collect();
        for member in &self.members {
            match (member.silence.is_some(), member.port.is_alive(now), member.port.is_dead()) {
                (true, Some(_), _) => {
                    let text = self.unwatched(member);
                    hints.push(HintStatus::about_member(
                        HintCode::PatroniSilent,
                        member.name(),
                        text,
                    ));
                }
                (false, _, true) => {
                    let (name, address) = (member.name(), &member.cfg.address);
                    let text = format!(
                        "Patroni says that PostgreSQL of {name} runs, but {address} does not answer"
                    );
                    hints.push(HintStatus::about_member(HintCode::PostgresqlSilent, name, text));
                }
                _ => {}
            }
        }
        hints.extend(self.rivals().map(|text| hint(HintCode::SeveralPrimaries, text)));
        hints.extend(self.mixture());
        hints
    }

    /// The hint for a member whose PostgreSQL answers and whose Patroni does not: it depends on its
    /// last role.
    fn unwatched(&self, member: &Member) -> String {
        let name = member.name();
        let silent = format!("Patroni on {name} does not answer but PostgreSQL does");
        let was = member.answer().map(|answer| &answer.role);
        if !matches!(was, Some(NodeRole::Primary)) {
            return format!("{silent}: nobody knows what it is; restart Patroni on {name}");
        }
        let other = self.writer_of(self.system_of(member)).filter(|writer| writer.id != member.id);
        match other {
            Some(other) => format!(
                "{silent}: it may still accept writes, and {} is the primary now. Stop PostgreSQL \
                 on {name}",
                other.name()
            ),
            None => format!(
                "{silent}: it may still accept writes. Unless its Patroni renews the leader lock, \
                 another node is promoted within {:?}; restart Patroni or stop PostgreSQL on {name}",
                self.lease.settings().ttl
            ),
        }
    }
}

impl Member {
    fn status(
        &self,
        state: &MemberState,
        now: Now,
        unresolved_reason: &UnresolvedReason<'_>,
    ) -> MemberStatus {
        let answer = self.answer();
        let (admission, reason) =
            placed(admission_status(&state.admission), unresolved_reason(&self.cfg.address));
        let lag = self.lag.map(|(_, lag)| lag).filter(|_| state.role != Role::Primary);
        let mut notes = Vec::new();
        if state.promoting {
            notes.push("being promoted".to_owned());
        }
        if state.unbalanced {
            notes.push("noloadbalance".to_owned());
        }
        if let Some(answer) = answer {
            let flags = [
                (answer.in_archive_recovery(), "in archive recovery"),
                (answer.unlocked, "sees no leader"),
                (answer.failsafe, "failsafe mode"),
                (answer.paused, "paused"),
            ];
            notes.extend(flags.iter().filter(|(set, _)| *set).map(|(_, note)| (*note).to_owned()));
        }
        MemberStatus {
            name: self.name().to_owned(),
            address: self.cfg.address.to_string(),
            api: Some(self.cfg.api.to_string()),
            role: role_status(state.role),
            state: answer.map(|answer| answer.state.to_string()),
            holds_lock: answer.map(|answer| answer.holds_lock),
            timeline: answer.and_then(|answer| answer.timeline),
            admission,
            reason,
            since_ms: millis(now.since(self.state_since)),
            lag_bytes: lag.map(|lag| lag.bytes),
            lag_ms: lag.and_then(|Lag { time, .. }| time).map(millis),
            answer_age_ms: self.last_answer.as_ref().map(|answer| millis(now.since(answer.at))),
            silence: self.silence.as_ref().map(ToString::to_string),
            check_failures: Some(self.unanswered),
            version: answer.and_then(|answer| answer.version.clone()),
            notes,
        }
    }
}

impl Member {
    /// The status of a member that is not Patroni: whether it is up depends on each listener's
    /// request.
    fn status_without_role(
        &self,
        state: &MemberState,
        now: Now,
        unresolved_reason: &UnresolvedReason<'_>,
    ) -> MemberStatus {
        let answers = matches!(&self.silence, Some(why) if why.cause == Cause::WrongAnswer);
        // An answer that is wrong for one listener is right for another.
        let status =
            MemberStatus { check_failures: None, ..self.status(state, now, unresolved_reason) };
        if !answers {
            return MemberStatus { role: RoleStatus::Server, ..status };
        }
        MemberStatus {
            role: RoleStatus::Server,
            admission: AdmissionStatus::Usable,
            reason: String::new(),
            silence: None,
            notes: vec!["not Patroni".to_owned()],
            ..status
        }
    }
}

pub(super) fn role_status(role: Role) -> RoleStatus {
    match role {
        Role::Primary => RoleStatus::Primary,
        Role::StandbyLeader => RoleStatus::StandbyLeader,
        Role::Sync => RoleStatus::SyncStandby,
        Role::Quorum => RoleStatus::QuorumStandby,
        Role::Async => RoleStatus::AsyncStandby,
        Role::Replica => RoleStatus::Replica,
        Role::Unknown => RoleStatus::Unknown,
    }
}

impl Plain {
    fn status(
        &self,
        name: &str,
        now: Now,
        unresolved_reason: &UnresolvedReason<'_>,
    ) -> ClusterStatus {
        let members = self.report(now).map(|(name, address, state, since, failures)| {
            let (admission, reason) =
                placed(admission_status(&state.admission), unresolved_reason(address));
            MemberStatus {
                name,
                address: address.to_string(),
                api: None,
                role: RoleStatus::Server,
                state: None,
                holds_lock: None,
                timeline: None,
                admission,
                reason,
                since_ms: millis(since),
                lag_bytes: None,
                lag_ms: None,
                answer_age_ms: None,
                silence: failures.last,
                check_failures: failures.count,
                version: None,
                notes: Vec::new(),
            }
        });
        let members: Vec<MemberStatus> = members.collect();
        let up = members.iter().filter(|m| m.admission == AdmissionStatus::Usable).count();
        let are = if up == 1 { "is" } else { "are" };
        let summary = format!("{up} of {} {are} usable", counted(members.len(), "server"));
        ClusterStatus { members, ..blank(name, (Phase::Plain, &summary)) }
    }
}
