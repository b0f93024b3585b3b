//! What the operator wants of a router: to stop, to stay out of elections, to hand over.

use crate::types::Now;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::reason::Reason;
use crate::vrrp::router::{Phase, Router, Then, WaitingFor};

impl Router {
    /// Resigns and hands over (R15); a backup says nothing (R6).
    pub(crate) fn stop(&mut self, now: Now, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Master { .. } => {
                self.resign(now, out);
                self.leave(now, Then::Stop, Reason::Stopped, out);
            }
            Phase::Leaving { then, .. } => *then = Then::Stop,
            Phase::Fault | Phase::Backup { .. } => self.stopped(now),
        }
    }

    /// Hands over and stays out of elections.
    pub(crate) fn drain(&mut self, now: Now, force: bool, out: &mut Outbox) {
        self.drained = true;
        self.drain_forced = force;
        match &mut self.phase {
            Phase::Master { .. } => {
                self.resign(now, out);
                self.leave(now, Then::Drained, Reason::Drained, out);
            }
            Phase::Leaving { then, .. } if *then != Then::Stop => *then = Then::Drained,
            Phase::Fault | Phase::Backup { .. } | Phase::Leaving { .. } => {}
        }
    }

    /// Takes part in elections again.
    pub(crate) fn resume(&mut self, now: Now) {
        self.drained = false;
        let back = self.back_to_backup(now);
        if let Phase::Leaving { then, reason, .. } = &mut self.phase
            && *then == Then::Drained
        {
            *then = back;
            *reason = Reason::DrainedAndResumed;
        }
    }

    /// The operator wants it to leave, but not its addresses to be nowhere: nobody was heard to take
    /// over yet, and without anybody it stays.
    pub(super) fn serves_on_without_successor(&self) -> bool {
        match self.phase {
            Phase::Leaving { then: Then::Drained, succeeded: false, .. } => !self.drain_forced,
            Phase::Leaving {
                then: Then::Backup { waiting_for: WaitingFor::AnyMaster, .. },
                succeeded: false,
                ..
            } => self.yielded,
            Phase::Leaving { .. } | Phase::Fault | Phase::Backup { .. } | Phase::Master { .. } => {
                false
            }
        }
    }

    /// Hands over once, if there is anything to hand over.
    pub(crate) fn hand_over(&mut self, now: Now, out: &mut Outbox) {
        if !matches!(self.phase, Phase::Master { .. }) {
            return;
        }
        self.yielded = true;
        self.resign(now, out);
        let then = self.back_to_backup(now);
        self.leave(now, then, Reason::HandedOver, out);
    }

    pub(super) fn back_to_backup(&self, now: Now) -> Then {
        let master_interval = self.cfg.interval;
        Then::Backup {
            master_down: now + self.master_down_after(master_interval),
            master_interval,
            waiting_for: WaitingFor::AnyMaster,
        }
    }

    pub(super) fn stopped(&mut self, now: Now) {
        self.stopped = true;
        self.phase = Phase::Fault;
        self.reason = Reason::Stopped;
        self.since = now;
    }
}
