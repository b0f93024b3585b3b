//! One PostgreSQL cluster run by Patroni: all members are asked in rounds; their answers give each
//! member its state.

mod asking;
mod by_status;
mod judge;
mod phase;
mod system;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::lag::Lag;
use super::lease::Lease;
use super::member::{Member, TimedAnswer};
use super::poll_schedule::PollSchedule;
use super::primary_tracker::Claim;
use super::second_opinion::DcsLeader;
use super::{ClusterAction, MemberId, MemberState};
use crate::config::{PatroniCluster, ProbeRhythm};
use crate::io::Level;
use crate::pool::{Admission, Hint};
use crate::status::{HintStatus, Phase};
use crate::track::outcome::{Cause, Outcome, Verdict};
use crate::track::patroni::{Answer, LogPosition, Members, NodeAnswer, Said, Settings, Topic};
use crate::types::Now;
use by_status::ApiKind;
use system::System;

/// How much later than its timeout an answer counts as missing. The shell reports timeouts itself, so
/// this only matters if the shell hangs.
const GRACE: Duration = Duration::from_secs(1);
/// From one question for the settings and the planned switchover to the next; both may change at any
/// time.
const SETTINGS_EVERY: Duration = Duration::from_secs(60);
/// The same until they are known.
const SETTINGS_RETRY: Duration = Duration::from_secs(2);
/// The longest a PostgreSQL may take to say whether it speaks TLS.
const PORT_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Patroni {
    pub(super) cfg: PatroniCluster,
    pub(super) rhythm: ProbeRhythm,
    /// The longest any question that may be under way was given for its answer.
    longest_timeout: Duration,
    pub(super) actions: VecDeque<ClusterAction>,
    pub(super) members: Vec<Member>,
    /// What each member is, in the same order.
    pub(super) states: Vec<MemberState>,
    next_id: u32,
    pub(super) schedule: PollSchedule,
    /// At least one.
    pub(super) systems: Vec<System>,
    /// The name of the Patroni cluster, as most members have it.
    pub(super) scope: Option<Arc<str>>,
    pub(super) lease: Lease,
    /// When the states of the members were last computed.
    reviewed: Now,
    pub(super) phase: (Phase, String),
    pub(super) phase_since: Now,
    settings_due: Now,
    settings_asked: Option<Now>,
    /// Whom to ask for the settings next.
    settings_turn: usize,
    pub(super) switchover: Option<String>,
    /// When this process last went on after a pause in which it did not run.
    resumed: Option<Now>,
    /// What was logged last: members that claim to take writes at the same time, and members that do
    /// not belong to one cluster or system.
    logged_rivals: Vec<MemberId>,
    logged_mixture: Vec<HintStatus>,
    /// Whether its members are Patroni at all.
    pub(super) api_kind: ApiKind,
}

impl Patroni {
    /// Nothing is known; the first round is due at once.
    #[must_use]
    pub fn new(now: Now, cfg: PatroniCluster, rhythm: ProbeRhythm) -> Patroni {
        let mut cluster = Patroni {
            rhythm,
            longest_timeout: rhythm.timeout,
            actions: VecDeque::new(),
            members: Vec::new(),
            states: Vec::new(),
            next_id: 0,
            schedule: PollSchedule::new(now, rhythm.interval, rhythm.fast_interval),
            systems: vec![System::new(now, None)],
            scope: None,
            lease: Lease::new(cfg.primary_lease),
            reviewed: now,
            phase: (Phase::Unknown, String::new()),
            phase_since: now,
            settings_due: now,
            settings_asked: None,
            settings_turn: 0,
            switchover: None,
            resumed: None,
            logged_rivals: Vec::new(),
            logged_mixture: Vec::new(),
            api_kind: ApiKind::default(),
            cfg,
        };
        cluster.adopt_members(now);
        cluster
    }

    /// Apply a new configuration. Members that are asked in the same way keep their state.
    pub fn reconfigured(&mut self, now: Now, cfg: PatroniCluster, rhythm: ProbeRhythm) {
        if (&self.cfg, self.rhythm) == (&cfg, rhythm) {
            return;
        }
        (self.cfg, self.rhythm) = (cfg, rhythm);
        self.longest_timeout = self.longest_timeout.max(rhythm.timeout);
        if !self.cfg.by_status && self.is_by_status() {
            self.api_kind = ApiKind::Unknown;
        }
        let (interval, fast) = self.intervals();
        self.schedule.reconfigured(now, interval, fast);
        self.lease.reconfigured(self.cfg.primary_lease);
        self.settings_due = self.settings_due.min(now);
        self.adopt_members(now);
    }

    fn adopt_members(&mut self, now: Now) {
        let mut before = std::mem::take(&mut self.members);
        let mut states = std::mem::take(&mut self.states);
        for cfg in &self.cfg.members {
            let (member, state) = match before.iter().position(|member| member.cfg == *cfg) {
                Some(known) => (before.remove(known), states.remove(known)),
                None => {
                    let id = MemberId(self.next_id);
                    self.next_id += 1;
                    (
                        Member::new(id, cfg.clone(), now),
                        MemberState { new: true, ..MemberState::untested() },
                    )
                }
            };
            self.members.push(member);
            self.states.push(state);
        }
        for gone in before {
            for system in &mut self.systems {
                if system.opinion.asking.is_some_and(|(asked, _)| asked == gone.id) {
                    system.opinion.answered(None);
                }
            }
            self.actions.push_back(ClusterAction::Forget { member: gone.id });
        }
        self.schedule.changed(now);
        self.review(now);
    }

    pub(super) fn members(&self) -> Vec<MemberId> {
        self.members.iter().map(|member| member.id).collect()
    }

    pub(super) fn get(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    pub(super) fn is_judged(&self) -> bool {
        self.members.iter().all(|member| member.last_answer.is_some() || member.silence.is_some())
    }

    pub(super) fn member_state(&self, member: MemberId) -> Option<&MemberState> {
        let place = self.members.iter().position(|m| m.id == member)?;
        self.states.get(place)
    }

    pub(super) fn deadline(&self) -> Now {
        let now = self.reviewed;
        let late = self.longest_timeout + GRACE;
        let mut next = self.schedule.next();
        for member in &self.members {
            let of_interest = member.is_of_interest() && !self.is_by_status();
            let port = if of_interest { member.port.next(now) } else { None };
            let port_late = member.port.asked.map(|at| at + PORT_TIMEOUT + GRACE);
            let asked_late = member.asked.map(|at| at + late);
            let moments = [asked_late, port, port_late, self.next_change(member)];
            next = moments.into_iter().flatten().fold(next, Now::min);
        }
        for (place, system) in self.systems.iter().enumerate() {
            let opinion = if self.wants_opinion(place) { system.opinion.next() } else { None };
            let opinion_late = system.opinion.asking.map(|(_, at)| at + late);
            next = [opinion, opinion_late].into_iter().flatten().fold(next, Now::min);
        }
        self.settings_asked.map(|at| at + late).into_iter().fold(next, Now::min)
    }

    /// When a member's state changes next if it goes on not to answer.
    fn next_change(&self, member: &Member) -> Option<Now> {
        let now = self.reviewed;
        if let Some((confirmed, _)) = &member.claim
            && self.writes(member.id)
        {
            let end = *confirmed + self.lease.length();
            return if now < end { Some(end) } else { self.kept_until(now, member) };
        }
        let down = matches!(self.member_state(member.id)?.admission, Admission::Down(_));
        if !member.is_silent() || down {
            return None;
        }
        let end = self.silent_since(member) + self.cfg.down_after;
        if now < end { Some(end) } else { member.port.is_alive(now) }
    }

    pub(super) fn time_passed(&mut self, now: Now) {
        self.expire_requests(now);
        self.review(now);
        let written = (0..self.systems.len()).all(|system| self.writer_of(system).is_some());
        let complete =
            written && self.members.iter().all(|m| m.asked.is_none() && m.last_answer.is_some());
        if self.schedule.due(now, complete) {
            self.ask_all(now);
        }
        self.ask_ports(now);
        for system in 0..self.systems.len() {
            self.ask_opinion(now, system);
        }
    }

    pub(super) fn suspended(&mut self, now: Now, gap: Duration) {
        if gap < self.rhythm.interval {
            return;
        }
        // Anything may have happened meanwhile: begin as after a start.
        for member in &mut self.members {
            member.forgotten(now);
        }
        self.review(now);
    }

    /// This process did not run: nobody was asked, and answers are still unread. Members get the
    /// time of one more question before their sessions end.
    pub(super) fn stalled(&mut self, now: Now, gap: Duration) {
        if gap >= self.rhythm.interval {
            self.resumed = Some(now);
        }
    }

    /// Since when a member counts as silent. Time in which this process did not run does not count.
    pub(super) fn silent_since(&self, member: &Member) -> Now {
        self.resumed.map_or(member.last_answer_at(), |resumed| resumed.max(member.last_answer_at()))
    }

    pub(super) fn answered(&mut self, now: Now, member: MemberId, topic: Topic, answer: Answer) {
        let Some(about) = self.members.iter_mut().find(|m| m.id == member) else { return };
        match (topic, answer.said) {
            (Topic::Node, Ok(Said::Node(said))) => {
                let asked = about.asked.take().unwrap_or(now.saturating_sub(answer.took));
                about.answered(TimedAnswer { asked, at: now, answer: *said });
                self.is_patroni(now);
                self.review(now);
                self.measure();
            }
            (Topic::Node, Err(why)) => {
                about.asked = None;
                let first = about.silence.is_none();
                let (name, reason) = (about.name().to_owned(), why.clone());
                about.not_answered(why);
                self.is_not_patroni(now, &name, &reason);
                if first && self.writes(member) {
                    self.schedule.changed(now);
                }
                self.time_passed(now);
            }
            (Topic::Settings, said) => {
                self.settings_asked = None;
                if let Ok(Said::Settings(settings)) = said {
                    self.learnt(now, settings);
                    self.review(now);
                }
            }
            (Topic::Members, said) => {
                let members = match said {
                    Ok(Said::Members(members)) => Some(members),
                    Ok(_) | Err(_) => None,
                };
                let named = members.as_ref().map(|members| self.dcs_leader(member, members));
                let asking = |system: &&mut System| {
                    system.opinion.asking.is_some_and(|(asked, _)| asked == member)
                };
                if let Some(system) = self.systems.iter_mut().find(asking) {
                    system.opinion.answered(named);
                }
                if let Some(Members { switchover, .. }) = members {
                    self.switchover = switchover.map(|(at, to)| match to {
                        Some(to) => format!("{at} to {to}"),
                        None => at,
                    });
                }
                self.review(now);
            }
            (Topic::Node, Ok(_)) => {}
        }
    }

    /// The leader of a system by the store, as read by its member `by`.
    fn dcs_leader(&self, by: MemberId, members: &Members) -> DcsLeader {
        let system = self.get(by).map_or(0, |by| self.system_of(by));
        match &members.leader {
            None => DcsLeader::Nobody,
            Some(leader) => self
                .members_of(system)
                .find(|member| member.is_listed(leader))
                .map_or(DcsLeader::Unknown, |member| DcsLeader::Member(member.id)),
        }
    }

    fn learnt(&mut self, now: Now, settings: Settings) {
        self.settings_due = now + SETTINGS_EVERY;
        if self.lease.learnt(settings)
            && let Some(message) = self.lease.complaint()
        {
            self.log(Level::Warn, message);
        }
    }

    /// Measure the lag of standbys that were asked in the same round as their primary.
    fn measure(&mut self) {
        for place in 0..self.systems.len() {
            self.measure_system(place);
        }
    }

    fn measure_system(&mut self, place: usize) {
        let Some(TimedAnswer { asked, answer, .. }) =
            self.writer_of(place).and_then(|writer| writer.last_answer.as_ref())
        else {
            return;
        };
        let (asked, timeline) = (*asked, answer.timeline);
        let Some(LogPosition::Writes { location }) = answer.log else { return };
        let of: Vec<MemberId> = self.members_of(place).map(|member| member.id).collect();
        let Some(System { wal_history, .. }) = self.systems.get_mut(place) else { return };
        wal_history.note(asked, location);
        for member in self.members.iter_mut().filter(|member| of.contains(&member.id)) {
            let Some(last_answer) =
                member.last_answer.as_ref().filter(|answer| answer.asked == asked)
            else {
                continue;
            };
            let Some(LogPosition::Replays { replayed, age, .. }) = last_answer.answer.log else {
                member.outdated = None;
                continue;
            };
            let old = last_answer.answer.timeline < timeline;
            member.outdated = if old { member.outdated.or(Some(asked)) } else { None };
            let nth = member.lag.map_or(0, |(_, lag)| lag.nth);
            if member.lag.is_none_or(|(at, _)| at != asked) {
                let (bytes, time) = wal_history.lag(asked, replayed, age);
                member.lag = Some((asked, Lag { nth: nth + 1, bytes, time }));
            }
        }
    }

    /// How far a member is behind, if that is known.
    pub(super) fn lag(&self, member: MemberId) -> Option<Lag> {
        self.get(member)?.lag.map(|(_, lag)| lag)
    }

    pub(super) fn probed(&mut self, now: Now, member: MemberId, outcome: &Outcome) {
        let Some(member) = self.members.iter_mut().find(|m| m.id == member) else { return };
        match outcome.verdict {
            // This host could not ask, which says nothing about the port.
            Verdict::Failed(Cause::CannotRun) => member.port.unasked(now),
            verdict => member.port.answered(now, verdict == Verdict::Passed),
        }
        member.suspect = false;
        self.review(now);
    }

    /// Bring the next round forward, unless the member is known to be unusable already.
    pub(super) fn hinted(&mut self, now: Now, member: MemberId, hint: Hint) {
        let usable = |state: &MemberState| state.admission == Admission::Up;
        if !self.member_state(member).is_some_and(usable) {
            return;
        }
        let serious = hint != Hint::Ended;
        self.schedule.hinted(now, serious);
        if let Some(member) = self.members.iter_mut().find(|m| m.id == member) {
            member.suspect |= serious;
        }
        self.time_passed(now);
    }

    /// Compute the states of all members from what they have said.
    pub(super) fn review(&mut self, now: Now) {
        self.reviewed = now;
        self.sort_members(now);
        let claims: Vec<Vec<Claim>> =
            (0..self.systems.len()).map(|system| self.claims(now, system)).collect();
        let ttl = self.lease.settings().ttl;
        for (system, claims) in self.systems.iter_mut().zip(&claims) {
            system.tracker.update(now, claims, ttl);
        }
        let of =
            |member: &Member| claims.get(self.system_of(member)).map_or(&[][..], Vec::as_slice);
        let states: Vec<MemberState> =
            self.members.iter().map(|member| self.judge(now, member, of(member))).collect();
        let risen: Vec<bool> = self.members.iter().map(|member| self.has_risen(member)).collect();
        for ((member, state), risen) in self.members.iter_mut().zip(&states).zip(risen) {
            match state.admission {
                // What it has missed is not known until it is asked again.
                Admission::Down(_) => (member.rising, member.lag) = (true, None),
                Admission::Up | Admission::Drain(_) => member.rising &= !risen,
            }
        }
        let before = std::mem::replace(&mut self.states, states);
        if before != self.states {
            self.schedule.changed(now);
            for (n, member) in self.members.iter_mut().enumerate() {
                if before.get(n) != self.states.get(n) {
                    member.state_since = now;
                }
            }
            if !self.is_by_status() {
                self.log_changes(&before);
            }
        }
        let rivals: Vec<Vec<MemberId>> =
            (0..self.systems.len()).map(|system| self.claimants(system)).collect();
        let rivals = rivals.into_iter().find(|of| of.len() > 1).unwrap_or_default();
        if !rivals.is_empty() && rivals != self.logged_rivals {
            self.log(Level::Warn, self.rivalry(&rivals));
        }
        self.logged_rivals = rivals;
        let mixture = self.mixture();
        for news in mixture.iter().filter(|news| !self.logged_mixture.contains(news)) {
            self.actions
                .push_back(ClusterAction::Log { level: Level::Warn, message: news.text.clone() });
        }
        self.logged_mixture = mixture;
        let phase = self.phase_now(now, &claims);
        if phase != self.phase {
            (self.phase, self.phase_since) = (phase, now);
        }
    }

    /// The members of a system that answer and say that they take writes.
    fn claimants(&self, system: usize) -> Vec<MemberId> {
        let claims = |m: &&Member| !m.is_silent() && m.answer().is_some_and(NodeAnswer::is_writer);
        self.members_of(system).filter(claims).map(|member| member.id).collect()
    }

    /// The message about several members that claim to be the primary.
    fn rivalry(&self, claimants: &[MemberId]) -> String {
        let named = claimants.iter().filter_map(|id| self.get(*id)).map(|member| {
            let timeline = member.answer().and_then(|answer| answer.timeline);
            let on = timeline.map_or_else(String::new, |on| format!(" (timeline {on})"));
            format!("{}{on}", member.name())
        });
        let named: Vec<String> = named.collect();
        let used = claimants.iter().find(|id| self.writes(**id)).and_then(|id| self.get(*id));
        let used = used.map_or("none", Member::name);
        format!("{} claim to be the primary at the same time; {used} is used", named.join(" and "))
    }

    /// The same message for the status, as long as it is true.
    pub(super) fn rivals(&self) -> Option<String> {
        (self.logged_rivals.len() > 1).then(|| self.rivalry(&self.logged_rivals))
    }

    /// The claims to be the primary of a system that are not older than the lease.
    fn claims(&self, now: Now, system: usize) -> Vec<Claim> {
        let length = self.lease.length();
        let valid = |member: &Member| {
            let (confirmed, claim) = member.claim.as_ref()?;
            let believed = now < *confirmed + length || self.kept_until(now, member).is_some();
            (believed && !self.is_denied(member)).then(|| claim.clone())
        };
        self.members_of(system).filter_map(valid).collect()
    }

    /// Whether the store names another leader than a member that does not answer.
    pub(super) fn is_denied(&self, member: &Member) -> bool {
        let system = self.systems.get(self.system_of(member));
        let denied = |(confirmed, _): &(Now, _)| {
            system.is_some_and(|system| system.opinion.denies(member.id, *confirmed))
        };
        member.silence.is_some() && member.claim.as_ref().is_some_and(denied)
    }

    /// Until when a primary whose lease is over keeps its sessions: on a second opinion, or because
    /// it could not be asked.
    fn kept_until(&self, now: Now, member: &Member) -> Option<Now> {
        let (confirmed, _) = member.claim.as_ref()?;
        let end = *confirmed + self.lease.most();
        if now >= end || !self.writes(member.id) {
            return None;
        }
        let supported = || {
            let opinion = &self.systems.get(self.system_of(member))?.opinion;
            let alive = member.port.is_alive(now).filter(|_| member.silence.is_some())?;
            Some(opinion.supports(now, member.id)?.min(alive))
        };
        Some(supported().max(self.asks_again_until(now))?.min(end))
    }

    /// Until when members are waited for after a pause in which this process did not run.
    pub(super) fn asks_again_until(&self, now: Now) -> Option<Now> {
        let until = self.resumed? + self.rhythm.timeout + self.rhythm.interval;
        (now < until).then_some(until)
    }

    /// Whether a member is the primary although its lease is over.
    pub(super) fn is_kept(&self, now: Now, member: &Member) -> bool {
        let length = self.lease.length();
        member.claim.as_ref().is_some_and(|(confirmed, _)| now >= *confirmed + length)
            && self.writes(member.id)
    }

    pub(super) fn log(&mut self, level: Level, message: String) {
        self.actions.push_back(ClusterAction::Log { level, message });
    }
}
