//! What the status shows of clusters.

use super::lag::Lag;
use super::member::Member;
use super::patroni::Patroni;
use super::plain::Plain;
use super::{Cluster, Standing};
use crate::pool::{Admission, Role};
use crate::status::{AdmissionStatus, ClusterStatus, MemberStatus, Phase, millis};
use crate::track::patroni::NodeAnswer;
use crate::types::Now;

impl Cluster {
    /// What it looks like now.
    #[must_use]
    pub fn status(&self, name: &str, now: Now) -> ClusterStatus {
        match self {
            Cluster::Patroni(cluster) => cluster.status(name, now),
            Cluster::Plain(cluster) => cluster.status(name, now),
        }
    }
}

/// Whether a server takes sessions, and why not.
#[must_use]
pub(super) fn told(admission: &Admission) -> (AdmissionStatus, String) {
    match admission {
        Admission::Usable => (AdmissionStatus::Usable, String::new()),
        Admission::Held(why) => (AdmissionStatus::Held, why.to_string()),
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
        paused: false,
        failsafe: false,
        switchover: None,
        fast: false,
        hints: Vec::new(),
        members: Vec::new(),
    }
}

impl Patroni {
    fn status(&self, name: &str, now: Now) -> ClusterStatus {
        let writer = self.truth.writer().and_then(|writer| self.get(writer));
        let confirmed = writer.and_then(|writer| Some(writer.claim.as_ref()?.0));
        let left = confirmed.map(|at| (at + self.lease.length()).since(now));
        let speaking = || self.members.iter().filter(|member| !member.is_silent());
        let any = |flag: fn(&NodeAnswer) -> bool| speaking().filter_map(Member::answer).any(flag);
        let (phase, summary) = &self.phase;
        ClusterStatus {
            phase_age_ms: millis(now.since(self.phase_since)),
            primary: writer.map(|writer| writer.name().to_owned()),
            lease_ms: Some(millis(self.lease.length())),
            lease_left_ms: left.map(millis),
            paused: any(|answer| answer.paused),
            failsafe: any(|answer| answer.failsafe),
            switchover: self.switchover.clone(),
            fast: self.cadence.is_fast(),
            hints: self.hints(now),
            members: self
                .members
                .iter()
                .zip(&self.standings)
                .map(|(member, standing)| member.status(standing, now))
                .collect(),
            ..blank(name, (*phase, summary))
        }
    }

    fn hints(&self, now: Now) -> Vec<String> {
        let mut hints: Vec<String> = self.lease.complaint().into_iter().collect();
        for member in &self.members {
            let name = member.name();
            match (member.silence.is_some(), member.port.is_alive(now), member.port.is_dead()) {
                (true, Some(_), _) => hints.push(format!(
                    "PostgreSQL of {name} answers, but its Patroni does not: without it nobody \
                     knows whether it is the primary, and nothing fails over from it"
                )),
                (false, _, true) => hints.push(format!(
                    "Patroni says that PostgreSQL of {name} runs, but {} does not answer",
                    member.cfg.address
                )),
                _ => {}
            }
        }
        hints.extend(self.rivals());
        hints
    }
}

impl Member {
    fn status(&self, standing: &Standing, now: Now) -> MemberStatus {
        let answer = self.answer();
        let (admission, reason) = told(&standing.admission);
        let lag = self.lag.map(|(_, lag)| lag).filter(|_| standing.role != Role::Primary);
        let mut notes = Vec::new();
        if standing.promoting {
            notes.push("being promoted".to_owned());
        }
        if standing.unbalanced {
            notes.push("noloadbalance".to_owned());
        }
        if let Some(answer) = answer {
            let flags = [
                (answer.in_archive_recovery, "in archive recovery"),
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
            role: standing.role.to_string(),
            state: answer.map(|answer| answer.state.to_string()),
            holds_lock: answer.map(|answer| answer.holds_lock),
            timeline: answer.and_then(|answer| answer.timeline),
            admission,
            reason,
            since_ms: millis(now.since(self.standing_since)),
            lag_bytes: lag.map(|lag| lag.bytes),
            lag_ms: lag.and_then(|Lag { time, .. }| time).map(millis),
            answer_age_ms: self.heard.as_ref().map(|heard| millis(now.since(heard.at))),
            silence: self.silence.as_ref().map(ToString::to_string),
            version: answer.and_then(|answer| answer.version.clone()),
            notes,
        }
    }
}

impl Plain {
    fn status(&self, name: &str, now: Now) -> ClusterStatus {
        let up = self.standings().filter(|s| s.admission == Admission::Usable).count();
        let summary = format!("{up} of {} servers are usable", self.standings().count());
        let members = self.report(now).map(|(name, address, standing, since, silence)| {
            let (admission, reason) = told(&standing.admission);
            MemberStatus {
                name,
                address,
                api: None,
                role: "server".to_owned(),
                state: None,
                holds_lock: None,
                timeline: None,
                admission,
                reason,
                since_ms: millis(since),
                lag_bytes: None,
                lag_ms: None,
                answer_age_ms: None,
                silence,
                version: None,
                notes: Vec::new(),
            }
        });
        ClusterStatus { members: members.collect(), ..blank(name, (Phase::Plain, &summary)) }
    }
}
