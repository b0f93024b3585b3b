//! One PostgreSQL cluster run by Patroni: rounds of questions, and what is made of the answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::cadence::Cadence;
use super::lease::Lease;
use super::member::{Heard, Member};
use super::truth::{Claim, Truth};
use super::{MemberId, Standing, Wish};
use crate::config::{PatroniCluster, ProbeRhythm};
use crate::engine::io::Level;
use crate::pool::{Admission, Hint};
use crate::track::outcome::{Cause, Outcome};
use crate::track::patroni::{Answer, NoAnswer, Question, Said, Settings, Topic};
use crate::types::Now;

/// How much later than its timeout an answer may come before there is none: the shell answers on
/// time, so nothing but a hanging shell makes use of it.
const GRACE: Duration = Duration::from_secs(1);
/// From one look at the settings to the next; they may be changed at any time.
const SETTINGS_EVERY: Duration = Duration::from_secs(60);
/// The same until they are known.
const SETTINGS_RETRY: Duration = Duration::from_secs(2);

/// A cluster run by Patroni.
#[derive(Debug)]
pub struct Patroni {
    pub(super) cfg: PatroniCluster,
    pub(super) rhythm: ProbeRhythm,
    pub(super) wishes: VecDeque<Wish>,
    pub(super) members: Vec<Member>,
    /// What each member is, in the same order.
    pub(super) standings: Vec<Standing>,
    next_id: u32,
    pub(super) cadence: Cadence,
    pub(super) truth: Truth,
    pub(super) lease: Lease,
    settings_due: Now,
    /// Whom to ask for the settings next.
    settings_turn: usize,
}

impl Patroni {
    /// Nothing is known; the first round is due at once.
    #[must_use]
    pub fn new(now: Now, cfg: PatroniCluster, rhythm: ProbeRhythm) -> Patroni {
        let mut cluster = Patroni {
            rhythm,
            wishes: VecDeque::new(),
            members: Vec::new(),
            standings: Vec::new(),
            next_id: 0,
            cadence: Cadence::new(now, rhythm.interval, cfg.fast_interval),
            truth: Truth::default(),
            lease: Lease::new(cfg.lease),
            settings_due: now,
            settings_turn: 0,
            cfg,
        };
        cluster.adopt_members(now);
        cluster
    }

    /// Takes a new configuration. Whoever is asked in the same way stays who it is.
    pub fn reconfigured(&mut self, now: Now, cfg: PatroniCluster, rhythm: ProbeRhythm) {
        if (&self.cfg, self.rhythm) == (&cfg, rhythm) {
            return;
        }
        (self.cfg, self.rhythm) = (cfg, rhythm);
        self.cadence.reconfigured(now, rhythm.interval, self.cfg.fast_interval);
        self.lease.reconfigured(self.cfg.lease);
        self.settings_due = self.settings_due.min(now);
        self.adopt_members(now);
    }

    fn adopt_members(&mut self, now: Now) {
        let mut before = std::mem::take(&mut self.members);
        let mut standings = std::mem::take(&mut self.standings);
        for cfg in &self.cfg.members {
            let known = before.iter().position(|m| m.cfg.name == cfg.name && m.cfg.api == cfg.api);
            let (member, standing) = match known {
                Some(known) => {
                    let member = Member { cfg: cfg.clone(), ..before.remove(known) };
                    (member, standings.remove(known))
                }
                None => {
                    let id = MemberId(self.next_id);
                    self.next_id += 1;
                    (Member::new(id, cfg.clone(), now), Standing::untested())
                }
            };
            self.members.push(member);
            self.standings.push(standing);
        }
        for gone in before {
            self.wishes.push_back(Wish::Forget { member: gone.id });
        }
        self.cadence.changed(now);
        self.review(now);
    }

    pub(super) fn members(&self) -> Vec<MemberId> {
        self.members.iter().map(|member| member.id).collect()
    }

    pub(super) fn standing(&self, member: MemberId) -> Option<Standing> {
        let place = self.members.iter().position(|m| m.id == member)?;
        self.standings.get(place).cloned()
    }

    pub(super) fn deadline(&self) -> Now {
        let overdue = self.members.iter().filter_map(|m| Some(self.overdue(m.asked?)));
        let turning = self.members.iter().filter_map(|m| self.turning(m));
        overdue.chain(turning).fold(self.cadence.next(), Now::min)
    }

    fn overdue(&self, asked: Now) -> Now {
        asked + self.rhythm.timeout + GRACE
    }

    /// When silence alone changes what a member is, if it has not done so already.
    fn turning(&self, member: &Member) -> Option<Now> {
        if let Some((confirmed, _)) = &member.claim
            && self.truth.writer() == Some(member.id)
        {
            return Some(*confirmed + self.lease.length());
        }
        let down = matches!(self.standing(member.id)?.admission, Admission::Down(_));
        let silent = member.heard.is_none() || member.silence.is_some();
        (silent && !down).then(|| member.last_word() + self.cfg.silence)
    }

    pub(super) fn time_passed(&mut self, now: Now) {
        let limit = self.rhythm.timeout + GRACE;
        for member in &mut self.members {
            if member.asked.is_some_and(|at| at + limit <= now) {
                member.asked = None;
                let detail = "the question does not come back".to_owned();
                member.silent(NoAnswer { cause: Cause::TimedOut, detail });
            }
        }
        self.review(now);
        let complete = self.truth.writer().is_some()
            && self.members.iter().all(|m| m.asked.is_none() && m.heard.is_some());
        if self.cadence.due(now, complete) {
            self.ask_all(now);
        }
    }

    fn ask_all(&mut self, now: Now) {
        let timeout = self.rhythm.timeout;
        for member in self.members.iter_mut().filter(|member| member.asked.is_none()) {
            member.asked = Some(now);
            let question = Arc::clone(&member.question);
            self.wishes.push_back(Wish::Ask { member: member.id, question, timeout });
        }
        if self.settings_due <= now {
            self.ask_settings(now);
        }
    }

    /// One member that answers is asked, in turn.
    fn ask_settings(&mut self, now: Now) {
        let answering = |m: &&Member| m.heard.is_some() && m.silence.is_none();
        let count = self.members.iter().filter(answering).count();
        let Some(turn) = self.settings_turn.checked_rem(count) else { return };
        let Some(member) = self.members.iter().filter(answering).nth(turn) else { return };
        self.settings_turn = turn + 1;
        self.settings_due = now + SETTINGS_RETRY.max(self.rhythm.timeout + GRACE);
        let question = Arc::new(Question::Settings(member.cfg.api.clone()));
        let timeout = self.rhythm.timeout;
        self.wishes.push_back(Wish::Ask { member: member.id, question, timeout });
    }

    pub(super) fn suspended(&mut self, now: Now, gap: Duration) {
        if gap < self.rhythm.interval {
            return;
        }
        // Nobody knows what happened meanwhile: as after a start.
        for member in &mut self.members {
            member.forgotten(now);
        }
        self.review(now);
    }

    pub(super) fn answered(&mut self, now: Now, member: MemberId, topic: Topic, answer: Answer) {
        let Some(about) = self.members.iter_mut().find(|m| m.id == member) else { return };
        match (topic, answer.said) {
            (Topic::Node, Ok(Said::Node(said))) => {
                let asked = about.asked.take().unwrap_or(now.saturating_sub(answer.took));
                about.heard(Heard { asked, at: now, answer: *said });
            }
            (Topic::Node, Err(why)) => {
                about.asked = None;
                let first = about.silence.is_none();
                about.silent(why);
                if first && self.truth.writer() == Some(member) {
                    self.cadence.changed(now);
                }
            }
            (Topic::Settings, Ok(Said::Settings(settings))) => self.learnt(now, settings),
            _ => {}
        }
        self.review(now);
    }

    fn learnt(&mut self, now: Now, settings: Settings) {
        self.settings_due = now + SETTINGS_EVERY;
        if self.lease.learnt(settings)
            && let Some(message) = self.lease.complaint()
        {
            self.tell(Level::Warn, message);
        }
    }

    pub(super) fn probed(&mut self, now: Now, _member: MemberId, _outcome: &Outcome) {
        self.review(now);
    }

    /// Makes it look, if what was noticed is not known already.
    pub(super) fn hinted(&mut self, now: Now, member: MemberId, hint: Hint) {
        let usable =
            self.standing(member).is_some_and(|standing| standing.admission == Admission::Usable);
        if usable {
            self.cadence.hinted(now, hint != Hint::Ended);
            self.time_passed(now);
        }
    }

    /// What the claims of all members, taken together, make of each.
    pub(super) fn review(&mut self, now: Now) {
        let claims = self.claims(now);
        self.truth.weigh(now, &claims, self.lease.settings().ttl);
        let standings: Vec<Standing> =
            self.members.iter().map(|member| self.judge(now, member, &claims)).collect();
        let rise = self.rhythm.rise.get();
        for (member, standing) in self.members.iter_mut().zip(&standings) {
            match standing.admission {
                Admission::Down(_) => member.rising = true,
                Admission::Usable | Admission::Held(_) if member.good >= rise => {
                    member.rising = false;
                }
                Admission::Usable | Admission::Held(_) => {}
            }
        }
        let before = std::mem::replace(&mut self.standings, standings);
        if before != self.standings {
            self.cadence.changed(now);
            self.tell_of(&before);
        }
    }

    /// Who claims to take writes, and may still be believed.
    fn claims(&self, now: Now) -> Vec<Claim> {
        let length = self.lease.length();
        let valid = |member: &Member| {
            let (confirmed, claim) = member.claim.as_ref()?;
            (now < *confirmed + length).then(|| claim.clone())
        };
        self.members.iter().filter_map(valid).collect()
    }

    pub(super) fn tell(&mut self, level: Level, message: String) {
        self.wishes.push_back(Wish::Tell { level, message });
    }
}
