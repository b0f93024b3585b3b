//! The order in which one router's commands run: one at a time, in the order of events, and none for a
//! state that is outdated.
//!
//! The commands of a notification that has begun are all run. Of the notifications that wait, only the newest
//! state is kept: a command that hangs delays those after it, but they never report an old state.
//! At most two notifications wait.

use std::collections::VecDeque;

use super::Job;

/// What waits for one router or group.
#[derive(Debug, Default)]
pub struct Queue {
    /// The remaining commands of the notification under way.
    begun: VecDeque<Job>,
    /// The newest state.
    state: Option<Vec<Job>>,
    /// Something that happened in that state.
    event: Option<Vec<Job>>,
    busy: bool,
    /// States that were replaced by newer ones since the last one began.
    overtaken: u64,
    skipped: u64,
}

impl Queue {
    /// A new state: it replaces all that waits.
    pub fn state(&mut self, jobs: Vec<Job>) {
        for waiting in [self.state.take(), self.event.take()].into_iter().flatten() {
            if !waiting.is_empty() {
                self.skipped += 1;
                self.overtaken += 1;
            }
        }
        self.state = Some(jobs);
    }

    /// Something that happened without a change of state. If one such notification waits already, it is
    /// enough.
    pub fn event(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        if self.event.is_some() {
            self.skipped += 1;
        } else {
            self.event = Some(jobs);
        }
    }

    /// The next command, if none is running; it runs until [`Queue::done`].
    pub fn begin(&mut self) -> Option<Job> {
        if self.busy {
            return None;
        }
        while self.begun.is_empty() {
            let (mut jobs, is_state) = match self.state.take() {
                Some(jobs) => (jobs, true),
                None => (self.event.take()?, false),
            };
            if is_state {
                let overtaken = std::mem::take(&mut self.overtaken).to_string();
                for job in &mut jobs {
                    job.environment.push(("VIPD_SKIPPED", overtaken.clone()));
                }
            }
            self.begun = jobs.into();
        }
        self.busy = true;
        self.begun.pop_front()
    }

    /// The command that ran is over.
    pub fn done(&mut self) {
        self.busy = false;
    }

    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.busy && self.waiting() == 0
    }

    #[must_use]
    pub fn waiting(&self) -> usize {
        let waiting = [self.state.as_ref(), self.event.as_ref()];
        self.begun.len() + waiting.into_iter().flatten().map(Vec::len).sum::<usize>()
    }

    /// Notices that were replaced before their commands ran.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::checks::{Command, RunAs, ScriptCheck};

    fn job(number: usize, part: &'static str) -> Job {
        let command = Command::Argv { program: number.to_string(), args: Vec::new() };
        let check = ScriptCheck { command, run_as: RunAs::Default, security: false };
        Job { hook: part, about: "", check, environment: Vec::new() }
    }

    fn number(job: &Job) -> usize {
        let Command::Argv { program, .. } = &job.check.command else { unreachable!() };
        program.parse().unwrap()
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        State(u8),
        Event,
        Next,
        Done,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..3u8).prop_map(Step::State),
            Just(Step::Event),
            Just(Step::Next),
            Just(Step::Done)
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// One at a time, in order, each notification whole, and the newest state always.
        #[test]
        fn told_in_order_and_the_newest_state_always(steps in steps()) {
            let mut queue = Queue::default();
            let mut running = false;
            let (mut newest, mut told) = (None, Vec::new());
            let settle = [Step::Done, Step::Next].repeat(12);
            for (n, step) in steps.into_iter().chain(settle).enumerate() {
                match step {
                    Step::State(parts) => {
                        let parts = ["first", "second"].into_iter().take(parts.into());
                        let jobs: Vec<Job> = parts.map(|part| job(n, part)).collect();
                        newest = (!jobs.is_empty()).then_some(n);
                        queue.state(jobs);
                    }
                    Step::Event => queue.event(vec![job(n, "event")]),
                    Step::Next => {
                        let next = queue.begin();
                        prop_assert!(!(running && next.is_some()), "two at a time");
                        running |= next.is_some();
                        told.extend(next);
                    }
                    Step::Done => {
                        queue.done();
                        running = false;
                    }
                }
                prop_assert!(queue.waiting() <= 5);
            }
            prop_assert!(queue.is_idle());
            let numbers: Vec<usize> = told.iter().map(number).collect();
            prop_assert!(numbers.is_sorted(), "{numbers:?}");
            for (n, job) in told.iter().enumerate() {
                if job.hook == "second" {
                    prop_assert!(n > 0 && numbers[n - 1] == numbers[n] && told[n - 1].hook == "first");
                }
            }
            if let Some(newest) = newest {
                prop_assert!(numbers.contains(&newest), "{newest} is not in {numbers:?}");
            }
        }
    }

    #[test]
    fn overtaken_states_are_counted_and_said() {
        let mut queue = Queue::default();
        queue.state(vec![job(1, "master")]);
        assert_eq!(number(&queue.begin().unwrap()), 1);
        for n in 2..=4 {
            queue.state(vec![job(n, "any")]);
        }
        assert_eq!(queue.begin(), None, "the first one runs");
        queue.done();
        let last = queue.begin().unwrap();
        assert_eq!(number(&last), 4);
        assert_eq!(last.environment, [("VIPD_SKIPPED", "2".to_owned())]);
        assert_eq!(queue.skipped(), 2);
    }

    /// A state for which nothing is configured still makes the one that waits untrue.
    #[test]
    fn a_silent_state_overtakes_too() {
        let mut queue = Queue::default();
        queue.state(vec![job(1, "backup")]);
        queue.begin().unwrap();
        queue.state(vec![job(2, "master")]);
        queue.state(Vec::new());
        queue.done();
        assert_eq!(queue.begin(), None);
        assert!(queue.is_idle());
    }
}
