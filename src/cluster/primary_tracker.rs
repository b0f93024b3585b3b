//! Which node of a database system takes writes. At most one does.
//!
//! A node that claims to be the primary is believed if nobody claims it on a higher timeline: every
//! promotion begins a new timeline, so the highest is the latest. The primary stays the primary
//! until it says otherwise, its lease ends, or one on a higher timeline appears. Of two that claim
//! it on one timeline, neither replaces the other.

use std::time::Duration;

use super::MemberId;
use crate::types::Now;

/// A member has said, within the lease, that it takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) member: MemberId,
    /// `None` is lower than any other.
    pub(super) timeline: Option<u64>,
}

/// Why a claim is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// This member is the primary, on a higher timeline.
    Superseded(MemberId),
    /// This member is the primary still, on a lower timeline.
    Late(MemberId),
    /// A later timeline was seen a moment ago.
    Outdated,
    /// This member claims it on the same timeline.
    Rivals(MemberId),
}

/// Who takes writes, and what was seen before.
#[derive(Debug, Default)]
pub(super) struct PrimaryTracker {
    writer: Option<MemberId>,
    /// The latest primary believed, and when.
    latest: Option<(Claim, Now)>,
}

impl PrimaryTracker {
    pub(super) fn writer(&self) -> Option<MemberId> {
        self.writer
    }

    /// Choose the primary from the claims there are. None is chosen whose timeline is lower than
    /// one that was seen less than `memory` ago.
    pub(super) fn update(&mut self, now: Now, claims: &[Claim], memory: Duration) {
        let incumbent = claims.iter().find(|claim| Some(claim.member) == self.writer);
        let top = claims.iter().map(|claim| claim.timeline).max().flatten();
        let mut first = claims.iter().filter(|claim| claim.timeline == top);
        let chosen = match (incumbent, first.next(), first.next()) {
            (_, None, _) => None,
            (Some(incumbent), _, _) if incumbent.timeline == top => Some(incumbent),
            (_, Some(best), None) if !self.is_outdated(now, best, memory) => Some(best),
            (incumbent, _, _) => incumbent,
        };
        self.writer = chosen.map(|claim| claim.member);
        if let Some(claim) = chosen {
            self.latest = Some((claim.clone(), now));
        }
    }

    pub(super) fn rejection(&self, claim: &Claim, claims: &[Claim]) -> Rejected {
        let rival = claims
            .iter()
            .find(|other| other.member != claim.member && other.timeline == claim.timeline);
        let of = |id: MemberId| claims.iter().find(|other| other.member == id);
        match (self.writer, rival) {
            (Some(writer), None) if of(writer).is_some_and(|of| of.timeline < claim.timeline) => {
                Rejected::Late(writer)
            }
            (Some(writer), None) => Rejected::Superseded(writer),
            (_, Some(rival)) => Rejected::Rivals(rival.member),
            (None, None) => Rejected::Outdated,
        }
    }

    fn is_outdated(&self, now: Now, claim: &Claim, memory: Duration) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|(latest, at)| latest.timeline > claim.timeline && now.since(*at) < memory)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn claim(member: u32, timeline: u64) -> Claim {
        Claim { member: MemberId(member), timeline: Some(timeline) }
    }

    fn at(seconds: u64) -> Now {
        Now::from_start(Duration::from_secs(seconds))
    }

    /// The writer after each set of claims, one second apart.
    fn writers(steps: &[&[Claim]]) -> Vec<Option<u32>> {
        let mut tracker = PrimaryTracker::default();
        let step = |(n, claims): (usize, &&[Claim])| {
            tracker.update(at(n.try_into().unwrap()), claims, TTL);
            tracker.writer().map(|writer| writer.0)
        };
        steps.iter().enumerate().map(step).collect()
    }

    #[test]
    fn a_later_timeline_evicts_and_an_earlier_one_does_not_come_back() {
        let (old, new) = (claim(1, 5), claim(2, 6));
        let steps: [&[Claim]; 5] = [
            from_ref(&old),
            &[old.clone(), new.clone()],
            from_ref(&new),
            from_ref(&old),
            from_ref(&new),
        ];
        assert_eq!(writers(&steps), [Some(1), Some(2), Some(2), None, Some(2)]);
    }

    #[test]
    fn an_earlier_timeline_counts_again_when_the_later_is_forgotten() {
        let mut tracker = PrimaryTracker::default();
        tracker.update(at(0), &[claim(1, 6)], TTL);
        tracker.update(at(29), &[claim(2, 5)], TTL);
        assert_eq!(tracker.writer(), None);
        assert_eq!(tracker.rejection(&claim(2, 5), &[claim(2, 5)]), Rejected::Outdated);
        tracker.update(at(30), &[claim(2, 5)], TTL);
        assert_eq!(tracker.writer(), Some(MemberId(2)));
    }

    #[test]
    fn of_two_on_one_timeline_the_incumbent_stays_and_nobody_becomes_it() {
        let (one, two) = (claim(1, 5), claim(2, 5));
        let both = [one.clone(), two.clone()];
        assert_eq!(writers(&[&both]), [None]);
        assert_eq!(writers(&[from_ref(&two), &both]), [Some(2), Some(2)]);
        let tracker = PrimaryTracker::default();
        assert_eq!(tracker.rejection(&one, &both), Rejected::Rivals(MemberId(2)));
    }
}
