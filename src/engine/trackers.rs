//! Checks: run in time, and what they say handed to the routers that track them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clusters::ProbeIds;
use super::timer_queue::TimerQueue;
use crate::config::checks::Check;
use crate::config::{Namespace, RouterConfig, TrackRef, TrackerConfig, TrackerKey};
use crate::engine::Engine;
use crate::io::{Action, Level, ProbeId, RouterId};
use crate::status::{Standing, State, TrackedStatus, TrackerStatus, millis};
use crate::track::outcome::{Cause, Outcome, Verdict};
use crate::track::probe::Probe;
use crate::track::weight::{CheckState, Effect};
use crate::types::{IfName, Now};
use crate::vrrp::environment::{Environment, Fault, LINK_DOWN, LINK_UNSETTLED, NO_INTERFACE};
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::Router;

/// Every check of the configuration.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    by_id: BTreeMap<ProbeId, Tracker>,
    by_key: BTreeMap<TrackerKey, ProbeId>,
    timers: TimerQueue<ProbeId>,
    count: u32,
}

/// What one tracker says, and does to one router, and what is wrong if it has no more to say; `None`: it
/// is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracked(Option<(&'static str, Effect, CheckState, &'static str)>);

impl Tracked {
    /// The parts of the priority of a router with this configuration.
    pub(super) fn status_of(tracked: &[Tracked], cfg: &RouterConfig) -> Vec<TrackedStatus> {
        let checks = cfg.track.iter().map(|t| (t.tracker.to_string(), t.weight));
        let interfaces = cfg.track_interfaces.iter().map(|t| (t.iface.to_string(), t.weight));
        let parts =
            checks.chain(interfaces).zip(tracked).filter_map(|((name, weight), tracked)| {
                let Tracked(Some((kind, effect, reading, wrong))) = *tracked else { return None };
                Some(TrackedStatus {
                    name,
                    kind: kind.to_owned(),
                    weight: weight.to_string(),
                    adds: match effect {
                        Effect::Adds(points) => points,
                        Effect::Fault => 0,
                    },
                    fault: effect == Effect::Fault,
                    standing: standing(reading),
                    wrong: wrong.to_owned(),
                })
            });
        parts.collect()
    }
}

#[derive(Debug)]
struct Tracker {
    cfg: Arc<TrackerConfig>,
    probe: Probe,
    /// When another reason for a failure was logged last.
    reason_logged: Option<Now>,
}

/// Between two lines about one check that fails now for this reason, now for that.
const LOG_EVERY: Duration = Duration::from_secs(60);

impl Trackers {
    /// A check that still looks at the same thing keeps what it knows, and a run under way.
    pub(super) fn reconfigure(
        &mut self,
        now: Now,
        configs: &[Arc<TrackerConfig>],
        ids: &mut ProbeIds,
        out: &mut Outbox,
    ) {
        let stays = |tracker: &Tracker| {
            let old = &tracker.cfg;
            let same = |new: &&Arc<TrackerConfig>| {
                new.key == old.key && new.check == old.check && new.listeners == old.listeners
            };
            configs.iter().find(same)
        };
        let mut gone = Vec::new();
        for (id, tracker) in &mut self.by_id {
            match stays(tracker) {
                None => gone.push(*id),
                Some(cfg) if *cfg == tracker.cfg => {}
                Some(cfg) => {
                    tracker.cfg = Arc::clone(cfg);
                    tracker.probe.reconfigured(now, cfg.rhythm.clone());
                    self.timers.set(*id, tracker.probe.deadline());
                }
            }
        }
        for id in gone {
            self.cancel(id, out);
        }
        for cfg in configs {
            if self.by_key.contains_key(&cfg.key) {
                continue;
            }
            let id = ids.fresh();
            let probe = Probe::new(self.count, cfg.rhythm.clone(), now);
            self.count += 1;
            self.timers.set(id, probe.deadline());
            self.by_key.insert(cfg.key.clone(), id);
            self.by_id.insert(id, Tracker { cfg: Arc::clone(cfg), probe, reason_logged: None });
        }
    }

    /// Nothing is asked any more.
    pub(super) fn stop(&mut self, out: &mut Outbox) {
        while let Some(id) = self.by_id.keys().next().copied() {
            self.cancel(id, out);
        }
    }

    pub(super) fn deadline(&self) -> Option<Now> {
        self.timers.first()
    }

    /// In the order of the configuration.
    pub(super) fn status(&self, configs: &[Arc<TrackerConfig>], now: Now) -> Vec<TrackerStatus> {
        configs.iter().filter_map(|cfg| Some(self.get(&cfg.key)?.status(now))).collect()
    }

    fn get(&self, key: &TrackerKey) -> Option<&Tracker> {
        self.by_id.get(self.by_key.get(key)?)
    }

    fn cancel(&mut self, id: ProbeId, out: &mut Outbox) {
        if let Some(tracker) = self.by_id.remove(&id) {
            self.by_key.remove(&tracker.cfg.key);
            self.timers.set(id, None);
            out.push(Action::Cancel { probe: id });
        }
    }
}

impl Engine {
    /// Runs the checks whose time has come.
    pub(super) fn checks_due(&mut self, now: Now) {
        while let Some(id) = self.trackers.timers.due(now) {
            let Some(tracker) = self.trackers.by_id.get_mut(&id) else { continue };
            let due = tracker.probe.time_passed(now);
            self.trackers.timers.set(id, tracker.probe.deadline());
            if due.start && tracker.cfg.listeners {
                self.ask_listeners(now, id);
            } else if due.start {
                let (check, timeout) = (Arc::clone(&tracker.cfg.check), tracker.cfg.rhythm.timeout);
                self.out.push(Action::Probe { probe: id, check, timeout });
            }
            if due.changed {
                self.turned(now, id);
            }
        }
    }

    pub(super) fn probed(&mut self, now: Now, id: ProbeId, outcome: Outcome) {
        let (ids, out) = (&mut self.probe_ids, &mut self.out);
        let Some(outcome) = self.clusters.probed(now, id, outcome, ids, out) else { return };
        let Some(tracker) = self.trackers.by_id.get_mut(&id) else { return };
        let before = tracker.probe.last().map(|(_, outcome)| outcome.verdict);
        let complaint = tracker.complaint();
        let turned = tracker.probe.answered(now, outcome);
        if !turned && let Some(message) = tracker.other_reason(now, before) {
            self.out.record(Level::Warn, None, message);
        }
        let complains_anew =
            tracker.probe.state() == CheckState::Down && tracker.complaint() != complaint;
        self.trackers.timers.set(id, tracker.probe.deadline());
        if turned {
            self.turned(now, id);
        } else if complains_anew {
            self.felt(now, id);
        }
    }

    /// The listeners answer a check that asks for HAProxy; later, if the shell has not said yet
    /// whether they are open.
    fn ask_listeners(&mut self, now: Now, id: ProbeId) {
        if let Some(outcome) = self.clusters.open() {
            self.probed(now, id, outcome);
        }
    }

    /// A reading changed: it is said once, and felt by every router that tracks it.
    fn turned(&mut self, now: Now, id: ProbeId) {
        let Some(tracker) = self.trackers.by_id.get(&id) else { return };
        let (level, message) = tracker.news();
        self.out.record(level, None, message);
        self.felt(now, id);
    }

    /// Every router that tracks it looks again.
    fn felt(&mut self, now: Now, id: ProbeId) {
        let Some(tracker) = self.trackers.by_id.get(&id) else { return };
        let key = tracker.cfg.key.clone();
        let tracks = |router: &Router| router.cfg.track.iter().any(|t| t.tracker == key);
        let concerned: Vec<RouterId> =
            self.routers.values().filter(|router| tracks(router)).map(|router| router.id).collect();
        for id in concerned {
            self.reevaluate(now, id);
        }
    }

    /// What all trackers of a router mean for it.
    pub(super) fn trackers_of(&self, router: &Router, env: &mut Environment) {
        for tracked in &router.cfg.track {
            if let Some(reading) = self.listener_reading(router, tracked) {
                if reading == CheckState::Untested {
                    env.untested.insert(tracked.tracker.name.clone());
                }
                if let Effect::Adds(points) = tracked.weight.effect(reading) {
                    env.tracked += points;
                }
                continue;
            }
            let Some(tracker) = self.trackers.get(&tracked.tracker) else { continue };
            if tracker.probe.is_untested() {
                env.untested.insert(tracked.tracker.name.clone());
            }
            match tracker.effect(tracked) {
                Effect::Adds(points) => env.tracked += points,
                Effect::Fault => {
                    env.faults.insert(Fault::Tracker(tracker.complaint()));
                }
            }
        }
        for tracked in &router.cfg.track_interfaces {
            let fault = self.link_fault(&tracked.iface);
            match tracked.weight.effect(interface_reading(fault.as_ref())) {
                Effect::Adds(points) => env.tracked += points,
                Effect::Fault => {
                    let is_up = || Fault::Tracker(format!("interface {} is up", tracked.iface));
                    env.faults.insert(fault.unwrap_or_else(is_up));
                }
            }
        }
    }

    /// What a router tracks, checks first, in the order of its configuration; `None`: what is not there.
    pub(super) fn tracked_by(&self, router: &Router) -> Vec<Tracked> {
        let checks = router.cfg.track.iter().map(|tracked| {
            if let Some(reading) = self.listener_reading(router, tracked) {
                return Some(("listener", tracked.weight.effect(reading), reading, ""));
            }
            let tracker = self.trackers.get(&tracked.tracker)?;
            let kind = tracker.cfg.kind();
            Some((kind, tracker.effect(tracked), tracker.probe.state(), ""))
        });
        let interfaces = router.cfg.track_interfaces.iter().map(|tracked| {
            let fault = self.link_fault(&tracked.iface);
            let reading = interface_reading(fault.as_ref());
            let wrong = match fault {
                Some(Fault::NoInterface(_)) => NO_INTERFACE,
                Some(Fault::LinkUnsettled(_)) => LINK_UNSETTLED,
                Some(_) => LINK_DOWN,
                None => "",
            };
            Some(("interface", tracked.weight.effect(reading), reading, wrong))
        });
        checks.chain(interfaces).map(Tracked).collect()
    }

    /// Routers that track listeners feel what has become of those.
    pub(super) fn listeners_turned(&mut self, now: Now) {
        if !self.clusters.take_turned() {
            return;
        }
        let waits = |t: &Tracker| t.cfg.listeners && t.probe.running_since().is_some();
        let waiting = self.trackers.by_id.iter().filter(|(_, tracker)| waits(tracker));
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.ask_listeners(now, id);
        }
        let tracks = |t: &TrackRef| t.tracker.namespace == Namespace::Listener;
        let concerned = self.routers.values().filter(|r| r.cfg.track.iter().any(tracks));
        for id in concerned.map(|router| router.id).collect::<Vec<_>>() {
            self.reevaluate(now, id);
        }
    }

    /// What a listener says to a router; `None` if something else is tracked.
    fn listener_reading(&self, router: &Router, tracked: &TrackRef) -> Option<CheckState> {
        let is_listener = tracked.tracker.namespace == Namespace::Listener;
        let master = router.state() == State::Master;
        is_listener.then(|| self.clusters.reading(&tracked.tracker.name, master))
    }

    /// What is wrong with an interface that has to be up.
    pub(super) fn link_fault(&self, name: &IfName) -> Option<Fault> {
        match self.links.by_name(name) {
            None => Some(Fault::NoInterface(name.clone())),
            Some(link) if self.debounce.is_running(name, link.running) => None,
            Some(link) if link.running => Some(Fault::LinkUnsettled(name.clone())),
            Some(_) => Some(Fault::LinkDown(name.clone())),
        }
    }
}

fn interface_reading(fault: Option<&Fault>) -> CheckState {
    if fault.is_none() { CheckState::Up } else { CheckState::Down }
}

impl Tracker {
    fn effect(&self, tracked: &TrackRef) -> Effect {
        match (&*self.cfg.check, self.probe.state()) {
            // A number that cannot be read is no number: the router must not serve on a guess.
            (Check::File(_), CheckState::Down) => Effect::Fault,
            (_, reading) => tracked.weight.effect(reading),
        }
    }

    /// Why it keeps a router from serving.
    fn complaint(&self) -> String {
        let name = &self.cfg.key;
        let last = self.probe.last().map(|(_, outcome)| outcome);
        match (self.probe.state(), last) {
            (CheckState::Value(value), _) => format!("{name} says {value}"),
            (CheckState::Up, _) => format!("{name} succeeds, which means FAULT here"),
            (_, Some(Outcome { verdict: Verdict::Failed(cause), detail, output, .. })) => {
                let why = with_detail(&cause.to_string(), detail);
                format!("{name} failed: {why}{}", printed(output))
            }
            (_, Some(_)) => format!("{name} has not succeeded often enough yet"),
            (_, None) => format!("{name} has not succeeded yet"),
        }
    }

    /// It fails as before, but for another reason: the line of the log, once a minute.
    fn other_reason(&mut self, now: Now, before: Option<Verdict>) -> Option<String> {
        let (_, outcome) = self.probe.last()?;
        let (Some(Verdict::Failed(old)), Verdict::Failed(new)) = (before, outcome.verdict) else {
            return None;
        };
        let lately = self.reason_logged.is_some_and(|at| now.since(at) < LOG_EVERY);
        if old == new || self.probe.state() != CheckState::Down || lately {
            return None;
        }
        let why = with_detail(&new.to_string(), &outcome.detail);
        let message =
            format!("Check {} still fails, now: {why}{}", self.cfg.key, printed(&outcome.output));
        self.reason_logged = Some(now);
        Some(message)
    }

    /// The line of the log when the reading changes; keepalived's words for what it knows too.
    fn news(&self) -> (Level, String) {
        let name = &self.cfg.key;
        let reading = self.probe.state();
        let last = self.probe.last().map(|(_, outcome)| outcome);
        let detail = last.map_or("", |outcome| outcome.detail.as_str());
        let verdict = last.map_or(Verdict::Passed, |outcome| outcome.verdict);
        let said = last.map(|outcome| printed(&outcome.output)).unwrap_or_default();
        let message = match (&*self.cfg.check, reading, verdict) {
            (_, CheckState::Up, _) if self.cfg.listeners => {
                format!("Check {name} succeeded: {detail}")
            }
            (_, _, Verdict::Failed(cause)) if self.cfg.listeners => {
                format!("Check {name} failed: {}", with_detail(&cause.to_string(), detail))
            }
            (_, CheckState::Value(value), _) => {
                format!("Tracked file {name} says {}", with_detail(&value.to_string(), detail))
            }
            (Check::Process(_), CheckState::Up, _) => {
                format!("Quorum gained for tracked process {name}")
            }
            (Check::Process(_), _, _) => format!("Quorum lost for tracked process {name}"),
            (Check::Script(_), CheckState::Up, _) => format!("VRRP_Script({name}) succeeded"),
            (Check::Script(_), _, Verdict::Failed(Cause::Exit(code))) => {
                format!("VRRP_Script({name}) failed (exited with status {code}){said}")
            }
            (Check::Script(_), _, Verdict::Failed(Cause::Signal(signal))) => {
                format!("VRRP_Script({name}) failed (due to signal {signal}){said}")
            }
            (Check::Script(_), _, Verdict::Failed(Cause::TimedOut)) => {
                format!("VRRP_Script({name}) timed_out{said}")
            }
            (_, CheckState::Up, _) => format!("Check {name} succeeded"),
            (_, _, Verdict::Failed(cause)) => {
                format!("Check {name} failed: {}", with_detail(&cause.to_string(), detail))
            }
            (_, _, Verdict::Passed | Verdict::Value(_)) => format!("Check {name} failed"),
        };
        (if reading == CheckState::Down { Level::Warn } else { Level::Info }, message)
    }

    fn status(&self, now: Now) -> TrackerStatus {
        let probe = &self.probe;
        let last = probe.last();
        let outcome = last.map(|(_, outcome)| outcome);
        let (against, needed) = probe.against();
        let rhythm = probe.rhythm();
        let text = |text: fn(&Outcome) -> &String| outcome.map(text).cloned().unwrap_or_default();
        TrackerStatus {
            name: self.cfg.key.name.clone(),
            kind: self.cfg.kind().to_owned(),
            standing: standing(probe.state()),
            standing_age_ms: millis(now.since(probe.since())),
            against,
            needed: needed.get(),
            answer: outcome.map(|outcome| match outcome.verdict {
                Verdict::Passed => "passed".to_owned(),
                Verdict::Failed(cause) => cause.to_string(),
                Verdict::Value(value) => value.to_string(),
            }),
            answer_age_ms: last.map(|(at, _)| millis(now.since(*at))),
            took_ms: outcome.map(|outcome| millis(outcome.took)),
            detail: text(|outcome| &outcome.detail),
            output: text(|outcome| &outcome.output),
            running_ms: probe.running_since().map(|since| millis(now.since(since))),
            interval_ms: (!rhythm.watched).then(|| millis(rhythm.interval)),
            timeout_ms: millis(rhythm.timeout),
        }
    }
}

fn standing(reading: CheckState) -> Standing {
    match reading {
        CheckState::Untested => Standing::Untested,
        CheckState::Up => Standing::Up,
        CheckState::Down => Standing::Down,
        CheckState::Value(value) => Standing::Value(value),
    }
}

/// What a script printed.
fn printed(output: &str) -> String {
    match output.lines().next().unwrap_or_default() {
        "" => String::new(),
        line => format!(", printed \"{line}\""),
    }
}

fn with_detail(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what} ({detail})") }
}
