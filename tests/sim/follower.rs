//! Whoever follows a router or a group by what it is told: a script that takes its time, and must know
//! in the end where that is.

use std::collections::BTreeMap;

use vipd::config::checks::{Command, RunAs, ScriptCheck};
use vipd::config::{Moment, NotifyConfig};
use vipd::io::{Kind, Notification, NotifyEvent};
use vipd::notify::queue::Queue;
use vipd::notify::{self, Job};
use vipd::status::State;

use crate::rng::Rng;

/// One router or group of a node, and its script.
pub struct Follower {
    /// Its own, so that it changes nobody's fate.
    rng: Rng,
    /// Where the router was told to be; `None` before it was.
    state: Option<State>,
    over: bool,
    queue: Queue,
    running: Option<Job>,
    /// What the script heard last.
    pub heard: Option<&'static str>,
}

impl Default for Follower {
    fn default() -> Follower {
        Follower {
            rng: Rng::new(0),
            state: None,
            over: false,
            queue: Queue::default(),
            running: None,
            heard: None,
        }
    }
}

impl Follower {
    /// Every notification follows from the one before.
    pub fn told(&mut self, notification: &Notification, place: &str) {
        assert!(!self.over, "{place}: {notification:?} after the end");
        match notification.event {
            NotifyEvent::Entered { from, to } => {
                // A router that is replaced by a reload begins anew.
                assert!(from.is_none() || from == self.state, "{place}: {from:?} to {to}");
                assert_ne!(to, State::Leaving, "{place}");
                self.state = Some(to);
            }
            NotifyEvent::Stopped | NotifyEvent::Deleted => self.over = true,
            NotifyEvent::LowerPriorityHeard => {
                assert_eq!(self.state, Some(State::Master), "{place}: heard a rival");
            }
            NotifyEvent::PriorityChanged { .. } => return,
        }
        assert_eq!(
            notification.kind == Kind::Group,
            notification.name == "G",
            "{place}: {notification:?}"
        );
        let jobs = notify::jobs(notification, None, &telling());
        if notification.event == NotifyEvent::LowerPriorityHeard {
            self.queue.event(jobs);
        } else {
            self.queue.state(jobs);
        }
        if self.rng.chance(30) {
            self.finish();
        }
        self.running = self.running.take().or_else(|| self.queue.begin());
    }

    /// It is given all the time it needs.
    pub fn catch_up(&mut self) {
        loop {
            self.finish();
            self.running = self.queue.begin();
            if self.running.is_none() {
                return;
            }
        }
    }

    fn finish(&mut self) {
        if let Some(job) = self.running.take() {
            self.heard = Some(job.about);
            self.queue.done();
        }
    }
}

/// One command for everything.
fn telling() -> NotifyConfig {
    let command = Command::Argv { program: "/bin/true".to_owned(), args: Vec::new() };
    let check = ScriptCheck { command, run_as: RunAs::Default, security: false };
    let commands = BTreeMap::from([(Moment::Any, check)]);
    NotifyConfig { commands, ..NotifyConfig::default() }
}
