//! Servers without roles: each is up or down by its own check.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{ClusterAction, MemberId, MemberState};
use crate::config::checks::{Check, Endpoint};
use crate::config::{OnTimeout, PlainMember, ProbeRhythm, Rhythm};
use crate::io::Level;
use crate::pool::{Admission, Role};
use crate::track::outcome::{Outcome, Verdict};
use crate::track::probe::Probe;
use crate::track::weight::CheckState;
use crate::types::Now;

/// A hint brings a check forward at most so often.
const HINT_PAUSE: Duration = Duration::from_secs(1);

/// A pool of servers without roles.
#[derive(Debug)]
pub struct Plain {
    rhythm: ProbeRhythm,
    pub(super) actions: VecDeque<ClusterAction>,
    members: Vec<Member>,
    next_id: u32,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    cfg: PlainMember,
    since: Now,
    /// `None`: it is not checked, and always usable.
    checked: Option<Checked>,
}

#[derive(Debug)]
struct Checked {
    check: Arc<Check>,
    probe: Probe,
    /// How many have failed.
    failures: u64,
    /// A hint has started a check that [`Probe`] does not count as a run.
    extra: bool,
    /// When the next hint may start a check.
    hints_after: Now,
}

/// Checks of a server that failed.
pub(super) struct Failures {
    /// The detail of the last check, if it did.
    pub(super) last: Option<String>,
    /// How many did; `None`: it is not checked.
    pub(super) count: Option<u64>,
}

impl Plain {
    /// Servers of which nothing is known; they are checked at once.
    #[must_use]
    pub fn new(now: Now, members: &[PlainMember], rhythm: ProbeRhythm) -> Plain {
        let mut plain = Plain { rhythm, actions: VecDeque::new(), members: Vec::new(), next_id: 0 };
        plain.reconfigured(now, members, rhythm);
        plain
    }

    /// Apply a new configuration. Servers that are checked in the same way keep their state.
    pub fn reconfigured(&mut self, now: Now, members: &[PlainMember], rhythm: ProbeRhythm) {
        self.rhythm = rhythm;
        let mut before = std::mem::take(&mut self.members);
        for cfg in members {
            let known =
                before.iter().position(|m| m.cfg.name == cfg.name && m.cfg.check == cfg.check);
            let member = match known {
                Some(known) => {
                    let mut member = before.remove(known);
                    if let Some(checked) = &mut member.checked {
                        let (state, (against, _)) =
                            (checked.probe.state(), checked.probe.against());
                        checked.probe.reconfigured(now, beat(rhythm, state, against));
                    }
                    Member { cfg: cfg.clone(), ..member }
                }
                None => {
                    let nth = self.next_id;
                    self.next_id += 1;
                    let checked = cfg.check.as_ref().map(|check| Checked {
                        check: Arc::clone(check),
                        probe: Probe::new(nth, beat(rhythm, CheckState::Untested, 0), now),
                        failures: 0,
                        extra: false,
                        hints_after: now,
                    });
                    Member { id: MemberId(nth), cfg: cfg.clone(), since: now, checked }
                }
            };
            self.members.push(member);
        }
        for gone in before {
            self.actions.push_back(ClusterAction::Forget { member: gone.id });
        }
    }

    pub(super) fn members(&self) -> Vec<MemberId> {
        self.members.iter().map(|member| member.id).collect()
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        self.checked().filter_map(|checked| checked.probe.deadline()).min()
    }

    pub(super) fn time_passed(&mut self, now: Now) {
        let timeout = self.rhythm.timeout;
        for member in &mut self.members {
            let Some(checked) = &mut member.checked else { continue };
            let due = checked.probe.time_passed(now);
            if due.start && !std::mem::take(&mut checked.extra) {
                let check = Arc::clone(&checked.check);
                self.actions.push_back(ClusterAction::Probe { member: member.id, check, timeout });
            }
            if due.changed {
                checked.follow(now, self.rhythm);
                member.changed(&mut self.actions);
            }
        }
    }

    pub(super) fn probed(&mut self, now: Now, member: MemberId, outcome: Outcome) {
        let Some(member) = self.members.iter_mut().find(|m| m.id == member) else { return };
        let Some(checked) = &mut member.checked else { return };
        checked.extra = false;
        if matches!(outcome.verdict, Verdict::Failed(_)) {
            checked.failures = checked.failures.saturating_add(1);
        }
        let changed = checked.probe.answered(now, outcome);
        checked.follow(now, self.rhythm);
        if changed {
            member.changed(&mut self.actions);
        }
    }

    /// Check at once, unless a check is under way or was started by a hint a moment ago.
    pub(super) fn hinted(&mut self, now: Now, member: MemberId) {
        let timeout = self.rhythm.timeout;
        let Some(member) = self.members.iter_mut().find(|m| m.id == member) else { return };
        let Some(checked) = &mut member.checked else { return };
        let idle = checked.probe.running_since().is_none() && !checked.extra;
        if checked.probe.state() == CheckState::Up && idle && now >= checked.hints_after {
            (checked.extra, checked.hints_after) = (true, now + HINT_PAUSE);
            let check = Arc::clone(&checked.check);
            self.actions.push_back(ClusterAction::Probe { member: member.id, check, timeout });
        }
    }

    pub(super) fn member_state(&self, member: MemberId) -> Option<MemberState> {
        Some(self.members.iter().find(|m| m.id == member)?.member_state())
    }

    /// Name, address, state, for how long, and its checks.
    pub(super) fn report(
        &self,
        now: Now,
    ) -> impl Iterator<Item = (String, &Endpoint, MemberState, Duration, Failures)> {
        self.members.iter().map(move |member| {
            let probe = member.checked.as_ref().map(|checked| &checked.probe);
            let since = probe.map_or(member.since, Probe::since);
            let said = probe.and_then(|probe| probe.last()).map(|(_, outcome)| outcome);
            let failed = said.filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
            let silence = failed.map(|outcome| outcome.detail.clone());
            let name = member.cfg.name.to_string();
            let count = member.checked.as_ref().map(|checked| checked.failures);
            let failures = Failures { last: silence, count };
            (name, &member.cfg.address, member.member_state(), now.since(since), failures)
        })
    }

    pub(super) fn is_judged(&self) -> bool {
        self.checked().all(|checked| !checked.probe.is_untested())
    }

    fn checked(&self) -> impl Iterator<Item = &Checked> {
        self.members.iter().filter_map(|member| member.checked.as_ref())
    }
}

impl Member {
    fn member_state(&self) -> MemberState {
        let Some(checked) = &self.checked else { return MemberState::up(Role::Unknown) };
        match checked.probe.state() {
            CheckState::Untested => MemberState::untested(),
            CheckState::Up | CheckState::Value(_) => MemberState::up(Role::Unknown),
            CheckState::Down => {
                let why = match checked.probe.last().map(|(_, outcome)| outcome) {
                    Some(Outcome { verdict: Verdict::Failed(cause), detail, .. }) => {
                        match detail.as_str() {
                            "" => cause.to_string(),
                            detail => format!("{cause} ({detail})"),
                        }
                    }
                    _ => "must answer well more often first".to_owned(),
                };
                MemberState::down(Role::Unknown, &why)
            }
        }
    }

    fn changed(&self, actions: &mut VecDeque<ClusterAction>) {
        let name = &self.cfg.name;
        let (level, message) = match self.member_state().admission {
            Admission::Up => (Level::Info, format!("{name} is usable")),
            Admission::Drain(why) => (Level::Info, format!("{name} is not used: {why}")),
            Admission::Down(why) => (Level::Warn, format!("{name} is down: {why}")),
        };
        actions.push_back(ClusterAction::Log { level, message });
    }
}

impl Checked {
    /// Set the interval: servers that are down, or about to change, may have another.
    fn follow(&mut self, now: Now, rhythm: ProbeRhythm) {
        let (against, _) = self.probe.against();
        self.probe.set_interval(now, pace(rhythm, self.probe.state(), against));
    }
}

/// `against` answers in a row contradict the state.
fn pace(rhythm: ProbeRhythm, state: CheckState, against: u32) -> Duration {
    match (state, against) {
        (CheckState::Untested, _) => rhythm.interval,
        (_, 1..) => rhythm.fast_interval,
        (CheckState::Down, 0) => rhythm.down_interval,
        (CheckState::Up | CheckState::Value(_), 0) => rhythm.interval,
    }
}

fn beat(rhythm: ProbeRhythm, state: CheckState, against: u32) -> Rhythm {
    Rhythm {
        watched: false,
        interval: pace(rhythm, state, against),
        timeout: rhythm.timeout,
        rise: rhythm.rise,
        fall: rhythm.fall,
        init_fail: false,
        on_timeout: OnTimeout::Fail,
        rise_delay: Duration::ZERO,
        fall_delay: Duration::ZERO,
    }
}
