//! A second opinion on a primary whose Patroni does not answer.
//!
//! Its sessions may stay beyond the lease if both its SQL port answers and another member has just
//! read from the cluster's store that it holds the leader lock; but never for longer than the lock
//! lasts, after which another primary may exist. If the store names another leader, or none, they
//! end at once.

use std::time::Duration;

use super::MemberId;
use crate::types::Now;

/// From one question to the next: each costs a read of the cluster's store.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer counts.
const FRESH: Duration = Duration::from_millis(2500);

/// The leader by the cluster's store (DCS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DcsLeader {
    Member(MemberId),
    Nobody,
    /// A leader that is none of the configured members.
    Unknown,
}

/// What the store said last, and who is being asked for it.
#[derive(Debug)]
pub(super) struct SecondOpinion {
    /// The last leader read, and when it was asked for.
    last: Option<(Now, DcsLeader)>,
    /// Who is being asked, since when.
    pub(super) asking: Option<(MemberId, Now)>,
    /// When it may be asked again.
    next: Now,
    /// Which of the other members is asked next.
    pub(super) next_member: usize,
}

impl SecondOpinion {
    pub(super) fn new(now: Now) -> SecondOpinion {
        SecondOpinion { last: None, asking: None, next: now, next_member: 0 }
    }

    /// When it may be asked for again.
    pub(super) fn next(&self) -> Option<Now> {
        self.asking.is_none().then_some(self.next)
    }

    pub(super) fn ask(&mut self, now: Now, whom: MemberId) {
        (self.asking, self.next) = (Some((whom, now)), now + EVERY);
    }

    /// The member has answered; `None`: without naming a leader.
    pub(super) fn answered(&mut self, named: Option<DcsLeader>) {
        let Some((_, asked)) = self.asking.take() else { return };
        if let Some(named) = named {
            self.last = Some((asked, named));
        }
    }

    /// Nobody can be asked at the moment.
    pub(super) fn postpone(&mut self, now: Now) {
        self.next = now + EVERY;
    }

    /// Whether the store named `member` a moment ago, and until when that counts.
    pub(super) fn supports(&self, now: Now, member: MemberId) -> Option<Now> {
        let (asked, named) = self.last?;
        let until = asked + FRESH;
        (named == DcsLeader::Member(member) && now < until).then_some(until)
    }

    /// Whether the store named somebody else, or nobody, after `confirmed`.
    pub(super) fn denies(&self, member: MemberId, confirmed: Now) -> bool {
        match self.last {
            Some((asked, DcsLeader::Member(named))) => asked > confirmed && named != member,
            Some((asked, DcsLeader::Nobody)) => asked > confirmed,
            Some((_, DcsLeader::Unknown)) | None => false,
        }
    }
}

/// The state of a server's SQL port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Port {
    /// When the check under way began.
    pub(super) asked: Option<Now>,
    /// When the last check that is over began, and whether it passed.
    last: Option<(Now, bool)>,
    /// Failures in a row.
    failures: u32,
}

/// Failures in a row that make a port dead.
const DEAD: u32 = 2;

impl Port {
    /// When it is checked next, if its state is wanted.
    pub(super) fn next(&self, now: Now) -> Option<Now> {
        if self.asked.is_some() {
            return None;
        }
        Some(self.last.map_or(now, |(at, _)| at + EVERY))
    }

    pub(super) fn answered(&mut self, now: Now, well: bool) {
        let asked = self.asked.take().unwrap_or(now);
        self.last = Some((asked, well));
        self.failures = if well { 0 } else { self.failures.saturating_add(1) };
    }

    /// It could not be checked: it counts neither as alive nor as dead.
    pub(super) fn unasked(&mut self, now: Now) {
        self.last = Some((self.asked.take().unwrap_or(now), false));
    }

    /// It failed when it was last asked.
    pub(super) fn fails(&self) -> bool {
        self.failures > 0
    }

    /// It has failed [`DEAD`] times in a row.
    pub(super) fn is_dead(&self) -> bool {
        self.failures >= DEAD
    }

    /// Whether it answered well a moment ago, and until when that counts.
    pub(super) fn is_alive(&self, now: Now) -> Option<Now> {
        let (asked, well) = self.last?;
        let until = asked + FRESH;
        (well && now < until).then_some(until)
    }
}
