//! Services a node's trackers look at, and checks that look at them: late, or hanging until their
//! timeout.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use vipd::config::checks::{Check, Command, FileCheck, RunAs, ScriptCheck};
use vipd::config::{Namespace, OnTimeout, Rhythm, TrackRef, TrackerConfig, TrackerKey, Weight};
use vipd::io::{Action, ProbeId};
use vipd::track::outcome::{Cause, Outcome, Verdict};

use crate::rng::Rng;

/// The longest a tracker takes from a change of its service to its own: three answers, each after
/// a full interval and a full timeout.
pub const SLOWEST: Duration = Duration::from_secs(4);

/// One node's services and the checks under way.
#[derive(Default)]
pub struct Checks {
    /// By the name of the tracker; a service that is not listed is well.
    ill: BTreeMap<String, bool>,
    /// Everything that is asked hangs until its timeout.
    pub hang: bool,
    /// Answers on their way, by the moment they come.
    answers: BTreeMap<(Duration, ProbeId), Outcome>,
    /// Files that are watched.
    watched: BTreeMap<ProbeId, String>,
}

impl Checks {
    /// The daemon is gone, and its checks with it.
    pub fn forget(&mut self) {
        self.answers.clear();
        self.watched.clear();
    }

    pub fn heal(&mut self) -> Vec<(ProbeId, Outcome)> {
        self.hang = false;
        self.ill.clear();
        self.watched.keys().map(|probe| (*probe, outcome(Verdict::Value(0)))).collect()
    }

    /// A service falls ill or recovers; a watched one is reported at once.
    pub fn turn(&mut self, name: &str, ill: bool) -> Option<(ProbeId, Outcome)> {
        self.ill.insert(name.to_owned(), ill);
        let (probe, _) = self.watched.iter().find(|(_, known)| *known == name)?;
        Some((*probe, outcome(Verdict::Value(i32::from(ill) * -30))))
    }

    pub fn take(&mut self, time: Duration, action: &Action, place: &str, rng: &mut Rng) {
        match action {
            Action::Probe { probe, check, timeout } => {
                let under_way = self.answers.keys().any(|(_, running)| running == probe);
                assert!(!under_way && !self.watched.contains_key(probe), "{place}: overlap");
                let ill = |name: &str| self.ill.get(name).copied().unwrap_or_default();
                let (verdict, wait) = match &**check {
                    Check::File(file) => {
                        let name = file.path.to_str().unwrap().to_owned();
                        let value = i32::from(ill(&name)) * -30;
                        self.watched.insert(*probe, name);
                        (Verdict::Value(value), Duration::ZERO)
                    }
                    _ if self.hang => (Verdict::Failed(Cause::TimedOut), *timeout),
                    Check::Script(ScriptCheck {
                        command: Command::Argv { program, .. }, ..
                    }) => {
                        let wait = rng.duration(Duration::ZERO, *timeout);
                        let failed = Verdict::Failed(Cause::Exit(1));
                        (if ill(program) { failed } else { Verdict::Passed }, wait)
                    }
                    other => panic!("{other:?}"),
                };
                self.answers.insert((time + wait, *probe), outcome(verdict));
            }
            Action::Cancel { probe } => {
                self.answers.retain(|(_, running), _| running != probe);
                self.watched.remove(probe);
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn next(&self) -> Option<Duration> {
        self.answers.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn answer(&mut self) -> Option<(ProbeId, Outcome)> {
        self.answers.pop_first().map(|((_, probe), outcome)| (probe, outcome))
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, detail: String::new(), output: String::new(), took: Duration::ZERO }
}

/// Up to two scripts and a file, and what a router does with them. A router of priority 255 does
/// not exist here.
pub fn trackers(rng: &mut Rng) -> (Vec<TrackerConfig>, Vec<TrackRef>) {
    let mut found = (Vec::new(), Vec::new());
    for (name, namespace) in
        [("/fatal", Namespace::Check), ("/weighty", Namespace::Check), ("/file", Namespace::File)]
    {
        if rng.chance(50) {
            continue;
        }
        let key = TrackerKey { namespace, name: name.to_owned() };
        let check = match namespace {
            Namespace::File => Check::File(FileCheck { path: name.into() }),
            Namespace::Check | Namespace::Process | Namespace::Listener => {
                let command = Command::Argv { program: name.to_owned(), args: Vec::new() };
                Check::Script(ScriptCheck { command, run_as: RunAs::Default, security: false })
            }
        };
        let times = |rng: &mut Rng| NonZeroU32::new(1 + u32::try_from(rng.below(3)).unwrap());
        let interval = Duration::from_millis(rng.pick(&[50, 200, 1000]));
        let rhythm = Rhythm {
            watched: check.is_watched(),
            interval,
            timeout: rng.pick(&[interval / 2, Duration::from_millis(300)]),
            rise: times(rng).unwrap(),
            fall: times(rng).unwrap(),
            init_fail: rng.chance(20),
            on_timeout: rng.pick(&[OnTimeout::Fail, OnTimeout::Keep]),
            rise_delay: Duration::ZERO,
            fall_delay: Duration::ZERO,
        };
        let value = match name {
            "/fatal" => 0,
            "/file" => 1,
            _ => rng.pick(&[-200, -20, 5, 60]),
        };
        let weight = Weight::new(value, false).unwrap();
        found.1.push(TrackRef { tracker: key.clone(), weight });
        found.0.push(TrackerConfig { key, check: Arc::new(check), listeners: false, rhythm });
    }
    found
}
