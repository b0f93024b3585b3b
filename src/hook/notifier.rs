//! Which commands run next for which router or group, and how they ended.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;

use super::fifo::Fifo;
use super::mail::Mailer;
use super::{Inherited, Key, outcome_text};
use crate::config::{Config, NotifyConfig};
use crate::io::{Kind, Notification, NotifyEvent};
use crate::notify::queue::Queue;
use crate::notify::reconciler::Reconciler;
use crate::notify::{self, Job};
use crate::probe::script::Scripts;
use crate::status::{
    FifoStatus, MailStatus, NotifyStatus, RunStatus, RunningStatus, State, millis,
};
use crate::track::outcome::{Outcome, Verdict};
use crate::types::Now;

/// Runs remembered per router.
const MAX_RUNS: usize = 8;

/// Stands for no limit: longer than any daemon runs.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The time one run of `while_master` has unless the configuration says otherwise: a run that hangs is
/// no attempt.
const ENSURING: Duration = Duration::from_secs(60);

/// When the daemon ends, a command under way and one that is started then have this long each.
const LAST_RUN: Duration = Duration::from_millis(1500);

/// How long a command without a limit of its own holds up the next one.
const OVERTAKE_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Ended {
    key: Key,
    id: u64,
    outcome: Outcome,
}

/// The routers and groups, and what is run and written for them.
#[derive(Debug)]
pub(super) struct Notifier {
    scripts: Scripts,
    config: Arc<Config>,
    /// The host's name.
    host: String,
    began: Instant,
    subjects: BTreeMap<Key, Subject>,
    /// States an earlier daemon has notified of.
    known: BTreeMap<Key, State>,
    /// FIFOs an earlier daemon has made.
    made: Vec<PathBuf>,
    fifos: Vec<Fifo>,
    mailer: Option<Mailer>,
    ended: UnboundedSender<Ended>,
    /// Commands started so far.
    count: u64,
    finishing: bool,
}

#[derive(Debug, Default)]
struct Subject {
    config: NotifyConfig,
    queue: Queue,
    reconciler: Reconciler,
    running: Option<Running>,
    /// Commands that take so long that the next one did not wait for them.
    beside: Vec<Running>,
    runs: VecDeque<Run>,
    /// The last change of state.
    last: Option<Notification>,
    /// What the last mail said.
    mailed: Option<&'static str>,
    /// There will be no further notice about it.
    over: bool,
}

#[derive(Debug)]
struct Running {
    id: u64,
    hook: &'static str,
    about: &'static str,
    since: Instant,
    /// It is the command of `while_master`.
    ensures: bool,
    deadline: watch::Sender<Instant>,
}

#[derive(Debug)]
struct Run {
    hook: &'static str,
    about: &'static str,
    outcome: Outcome,
    at: Instant,
}

impl Notifier {
    pub(super) fn new(
        scripts: Scripts,
        config: Arc<Config>,
        host: String,
        inherited: Inherited,
        ended: UnboundedSender<Ended>,
    ) -> Notifier {
        let mut notifier = Notifier {
            scripts,
            config: Arc::default(),
            host,
            began: Instant::now(),
            subjects: BTreeMap::new(),
            known: inherited.notified.into_iter().collect(),
            made: inherited.fifos,
            fifos: Vec::new(),
            mailer: None,
            ended,
            count: 0,
            finishing: false,
        };
        notifier.configure(config);
        notifier
    }

    /// Apply another configuration. Commands under way go on, and so do FIFOs and readers that it
    /// does not change.
    pub(super) fn reconfigure(&mut self, config: Arc<Config>) {
        self.configure(config);
        for fifo in self.fifos.iter().filter(|fifo| fifo.repeats_states()) {
            for subject in self.subjects.values().filter(|subject| !subject.over) {
                let again =
                    subject.last.as_ref().and_then(|last| notify::line(last, &subject.config));
                fifo.write(again);
            }
        }
    }

    pub(super) fn made_fifos(&self) -> Vec<PathBuf> {
        self.fifos.iter().filter(|fifo| fifo.is_ours()).map(Fifo::path).collect()
    }

    fn configure(&mut self, config: Arc<Config>) {
        let mut old = std::mem::take(&mut self.fifos);
        for wanted in &config.fifos {
            let known = old.iter().position(|fifo| fifo.is(wanted));
            let mut fifo = match known {
                Some(at) => old.swap_remove(at),
                None => Fifo::start(wanted, self.made.contains(&wanted.path)),
            };
            fifo.configure(wanted, &self.scripts);
            self.fifos.push(fifo);
        }
        if config.mail != self.config.mail {
            let last = self.mailer.take();
            self.mailer = config.mail.clone().map(|mail| Mailer::start(mail, &self.host, last));
        }
        let now = self.now();
        for (key, subject) in &mut self.subjects {
            match settings(&config, key) {
                Some(notify) => subject.config = notify.clone(),
                // Nothing is told of a group that is gone; a router's end is yet to come.
                None if key.0 == Kind::Group => {
                    subject.over = true;
                    subject.reconciler.master(now, false);
                    subject.cancel_unwanted();
                }
                None => {}
            }
        }
        self.config = config;
    }

    pub(super) fn notify(&mut self, notice: &Notification) {
        let key = (notice.kind, notice.name.clone());
        let now = self.now();
        let Notifier { subjects, config, known, .. } = self;
        let subject = subjects.entry(key.clone()).or_insert_with(|| Subject {
            config: settings(config, &key).cloned().unwrap_or_default(),
            ..Subject::default()
        });
        // A router of this name is there, perhaps again.
        subject.over = false;
        let mut notified_before = false;
        let last = subject.last.as_ref().and_then(|last| match last.event {
            NotifyEvent::Entered { to, .. } => Some(to),
            _ => None,
        });
        let jobs = notify::jobs(notice, last, &subject.config);
        match notice.event {
            NotifyEvent::Entered { from, to } => {
                notified_before = from.is_none() && known.remove(&key) == Some(to);
                subject.last = Some(notice.clone());
                subject.reconciler.master(now, to == State::Master);
                if !notified_before {
                    subject.queue.state(jobs);
                }
            }
            NotifyEvent::Stopped | NotifyEvent::Deleted => {
                subject.over = true;
                subject.reconciler.master(now, false);
                subject.queue.state(jobs);
            }
            NotifyEvent::LowerPriorityHeard => subject.queue.event(jobs),
            NotifyEvent::PriorityChanged { .. } => {
                if let Some(last) = &mut subject.last {
                    last.priority = notice.priority;
                }
            }
        }
        subject.cancel_unwanted();
        if notified_before {
            return;
        }
        let line = notify::line(notice, &subject.config);
        for fifo in &self.fifos {
            fifo.write(line.clone());
        }
        if let (Some(mailer), Some(mail)) = (&self.mailer, &self.config.mail) {
            let node = self.config.globals.router_id.as_ref().unwrap_or(&self.host);
            let letter =
                notify::mail::letter(notice, &subject.config, mail, node, &mut subject.mailed);
            mailer.post(letter);
        }
    }

    pub(super) fn start(&mut self) {
        let now = self.now();
        let Notifier { subjects, scripts, ended, count, finishing, .. } = self;
        for ((_, name), subject) in subjects.iter_mut() {
            subject.overtake(name);
        }
        for (key, subject) in subjects.iter_mut().filter(|(_, subject)| subject.running.is_none()) {
            let due = subject.reconciler.due().is_some_and(|due| due <= now);
            let (job, ensures) =
                match (subject.queue.begin(), &subject.config.while_master, &subject.last) {
                    (Some(job), ..) => (job, false),
                    (None, Some(command), Some(last)) if due && !*finishing => {
                        let mut job = notify::ensuring(last, command);
                        let attempt = subject.reconciler.begin().to_string();
                        job.environment.push(("VIPD_ATTEMPT", attempt));
                        (job, true)
                    }
                    _ => continue,
                };
            let limit = match subject.config.timeout {
                None if ensures => ENSURING,
                None => FOR_EVER,
                Some(limit) => limit,
            };
            let limit = if *finishing { limit.min(LAST_RUN) } else { limit };
            let (deadline, until) = watch::channel(Instant::now() + limit);
            let Job { hook, about, check, environment } = job;
            *count += 1;
            let id = *count;
            let running = Running { id, hook, about, since: Instant::now(), ensures, deadline };
            subject.running = Some(running);
            let (scripts, ended, key) = (scripts.clone(), ended.clone(), key.clone());
            tokio::spawn(async move {
                let outcome = scripts.run_once(check, environment, until).await;
                let _ = ended.send(Ended { key, id, outcome });
            });
        }
        let is_over = |s: &Subject| s.over && s.all_running().count() == 0 && s.queue.is_idle();
        subjects.retain(|_, subject| !is_over(subject) || *finishing);
    }

    pub(super) fn ended(&mut self, Ended { key, id, outcome }: Ended) {
        let now = self.now();
        let Some(subject) = self.subjects.get_mut(&key) else { return };
        let overtaken = subject.beside.iter().position(|running| running.id == id);
        let running = match overtaken {
            Some(at) => Some(subject.beside.swap_remove(at)),
            None => subject.running.take(),
        };
        let Some(Running { hook, about, ensures, .. }) = running else { return };
        let succeeded = outcome.verdict == Verdict::Passed;
        let took = outcome.took.as_secs_f32();
        let (_, name) = &key;
        if succeeded {
            tracing::debug!(router = name, "told {hook} of {about} in {took:.2} s");
        } else if !ensures || subject.reconciler.is_wanted() {
            let outcome_text = outcome_text(&outcome);
            tracing::warn!(
                router = name,
                "notify script for {about} failed: {outcome_text} ({hook}, {took:.2} s)"
            );
        }
        if ensures {
            let NotifyConfig { while_master, while_master_every, .. } = &subject.config;
            let every = if while_master.is_some() { *while_master_every } else { Duration::MAX };
            subject.reconciler.done(now, succeeded, every);
        } else if overtaken.is_none() {
            subject.queue.done();
        }
        subject.runs.truncate(MAX_RUNS - 1);
        subject.runs.push_front(Run { hook, about, outcome, at: Instant::now() });
    }

    /// When `while_master` runs next, or a command is no longer waited for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let subjects = self.subjects.values();
        let ensuring = subjects
            .clone()
            .filter(|s| s.config.while_master.is_some() && s.running.is_none() && s.last.is_some())
            .filter_map(|s| s.reconciler.due())
            .map(|due| self.began + due.since_start());
        let overtaking = subjects.filter_map(Subject::overtakes);
        ensuring.chain(overtaking).min().filter(|_| !self.finishing)
    }

    /// The daemon ends: everyone is notified of that, and nothing may take long any more.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
        let left = self.subjects.values().filter(|subject| !subject.over);
        let notices: Vec<Notification> = left.filter_map(|subject| subject.last.clone()).collect();
        for last in notices {
            let reason = "the daemon stops".to_owned();
            self.notify(&Notification { event: NotifyEvent::Stopped, reason, ..last });
        }
        let latest = Instant::now() + LAST_RUN;
        for running in self.subjects.values().flat_map(Subject::all_running) {
            running.deadline.send_if_modified(|deadline| {
                let later = *deadline > latest;
                if later {
                    *deadline = latest;
                }
                later
            });
        }
        for fifo in &mut self.fifos {
            fifo.finish();
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finishing
            && self.is_idle()
            && self.fifos.iter().all(Fifo::is_over)
            && self.mailer.as_ref().is_none_or(Mailer::is_idle)
    }

    /// Leaves nothing behind.
    pub(super) fn close(&mut self) {
        self.fifos.clear();
        self.mailer = None;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.subjects.values().all(|s| s.all_running().all(|r| r.ensures) && s.queue.is_idle())
    }

    pub(super) fn notified(&self) -> Vec<(Key, State)> {
        let notified = |(key, subject): (&Key, &Subject)| match subject.last.as_ref()?.event {
            NotifyEvent::Entered { to, .. } if subject.queue.is_idle() => Some((key.clone(), to)),
            _ => None,
        };
        self.subjects.iter().filter_map(notified).collect()
    }

    pub(super) fn status(&self, kind: Kind, name: &str) -> NotifyStatus {
        let Some(subject) = self.subjects.get(&(kind, name.to_owned())) else {
            return NotifyStatus::default();
        };
        let Subject { queue, reconciler, config, running, runs, .. } = subject;
        let running = running.as_ref().map(|running| RunningStatus {
            hook: running.hook.to_owned(),
            about: running.about.to_owned(),
            age_ms: millis(running.since.elapsed()),
        });
        let ensured = (config.while_master.is_some() && reconciler.is_wanted())
            .then(|| reconciler.has_succeeded());
        NotifyStatus {
            running,
            waiting: u64::try_from(queue.waiting()).unwrap_or(u64::MAX),
            skipped: queue.skipped(),
            runs: runs.iter().map(Run::status).collect(),
            ensured,
        }
    }

    pub(super) fn groups(&self) -> BTreeMap<String, NotifyStatus> {
        let groups = self.subjects.keys().filter(|(kind, _)| *kind == Kind::Group);
        groups.map(|(kind, name)| (name.clone(), self.status(*kind, name))).collect()
    }

    pub(super) fn fifos(&self) -> Vec<FifoStatus> {
        self.fifos.iter().map(Fifo::status).collect()
    }

    pub(super) fn mail(&self) -> Option<MailStatus> {
        self.mailer.as_ref().map(Mailer::status)
    }

    fn now(&self) -> Now {
        Now::ZERO + self.began.elapsed()
    }
}

impl Subject {
    fn all_running(&self) -> impl Iterator<Item = &Running> {
        self.running.iter().chain(&self.beside)
    }

    /// When the next command stops waiting for the one that runs.
    fn overtakes(&self) -> Option<Instant> {
        let running = self.running.as_ref().filter(|running| !running.ensures)?;
        let waits = self.config.timeout.is_none() && self.queue.waiting() > 0;
        waits.then(|| running.since + OVERTAKE_AFTER)
    }

    /// A command without a limit holds up the next one for a while, not for ever.
    fn overtake(&mut self, name: &str) {
        if self.overtakes().is_some_and(|at| at <= Instant::now())
            && let Some(running) = self.running.take()
        {
            let (hook, about, took) = (running.hook, running.about, running.since.elapsed());
            let took = took.as_secs();
            tracing::warn!(
                router = name,
                "{hook} of {about} still runs after {took} s: the next command does not wait for it"
            );
            self.beside.push(running);
            self.queue.done();
        }
    }

    /// End a run of `while_master` when the router is master no more.
    fn cancel_unwanted(&self) {
        if let Some(running) = &self.running
            && running.ensures
            && !self.reconciler.is_wanted()
        {
            let _ = running.deadline.send(Instant::now());
        }
    }
}

impl Run {
    fn status(&self) -> RunStatus {
        RunStatus {
            hook: self.hook.to_owned(),
            about: self.about.to_owned(),
            succeeded: self.outcome.verdict == Verdict::Passed,
            outcome: outcome_text(&self.outcome),
            took_ms: millis(self.outcome.took),
            age_ms: millis(self.at.elapsed()),
        }
    }
}

/// What is configured for the router of this name, or for the group.
fn settings<'c>(config: &'c Config, (kind, name): &Key) -> Option<&'c NotifyConfig> {
    match kind {
        Kind::Router => config.routers.iter().find(|r| r.name == *name).map(|r| &r.notify),
        Kind::Group => config.groups.iter().find(|g| g.name == *name).map(|g| &g.notify),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checks::{Command, RunAs, ScriptCheck};

    #[test]
    fn a_command_without_a_limit_is_overtaken_after_a_while_and_one_with_it_is_not() {
        let job = || {
            let command = Command::Argv { program: "x".to_owned(), args: Vec::new() };
            let check = ScriptCheck { command, run_as: RunAs::Default, security: false };
            vec![Job { hook: "any", about: "", check, environment: Vec::new() }]
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let running = |age: Duration| {
            let mut subject = Subject::default();
            subject.queue.state(job());
            assert!(subject.queue.begin().is_some());
            let since = Instant::now().checked_sub(age).unwrap();
            let (deadline, _) = watch::channel(since);
            let (hook, about) = ("any", "");
            subject.running = Some(Running { id: 1, hook, about, since, ensures: false, deadline });
            subject
        };
        // Nobody waits.
        let mut subject = running(OVERTAKE_AFTER * 2);
        assert_eq!(subject.overtakes(), None);
        subject.queue.state(job());
        subject.overtake("VI_1");
        assert!(subject.running.is_none() && subject.queue.begin().is_some());
        assert_eq!(subject.all_running().count(), 1);
        for (age, timeout) in
            [(OVERTAKE_AFTER / 2, None), (OVERTAKE_AFTER * 2, Some(OVERTAKE_AFTER * 3))]
        {
            let mut subject = running(age);
            subject.config.timeout = timeout;
            subject.queue.state(job());
            subject.overtake("VI_1");
            assert!(subject.running.is_some(), "{age:?} {timeout:?}");
        }
    }
}
