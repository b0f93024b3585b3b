//! Two masters: the better one asserts itself, the other yields with a last advert.

use std::net::IpAddr;

use crate::io::{Level, NotifyEvent};
use crate::types::{Centis, Now};
use crate::vrrp::outbox::Outbox;
use crate::vrrp::reason::Reason;
use crate::vrrp::router::{ANSWER_EVERY, Phase, Router, TELL_OF_RIVALS_EVERY, Then, WaitingFor};
use crate::wire::vrrp::Claim;

impl Router {
    /// R19 with D4: assert ourselves, at a bounded rate.
    pub(super) fn rival_heard(&mut self, now: Now, source: IpAddr, claim: Claim, out: &mut Outbox) {
        self.heard_from(now, source, claim, None);
        if self.is_last_advert(now, source) {
            return;
        }
        if self.told_of_rival.is_none_or(|at| now.since(at) >= TELL_OF_RIVALS_EVERY) {
            self.told_of_rival = Some(now);
            let reason =
                format!("{source} claims to be master with priority {}", claim.wire_value());
            self.notify(NotifyEvent::LowerPriorityHeard, reason, out);
        }
        let answers = self.may_answer(now);
        if let Phase::Master { announce, answered, .. } = &mut self.phase {
            match answered {
                // The rival may yield and fall silent now: what it drew to itself has to come back.
                Some(at) if !answers => announce.owed(*at + ANSWER_EVERY, &self.cfg.announce),
                _ => announce.rival_heard(now, &self.cfg.announce),
            }
        }
        if !answers {
            return;
        }
        self.met_rival = Some(now);
        let answer = self.cfg.options.answer_lower;
        if answer {
            self.send(now, self.claim(), out);
        }
        let ours = self.effective;
        let message = || {
            let theirs = claim.wire_value();
            let election = if answer { ", forcing new election" } else { "" };
            format!(
                "Received advert from {source} with lower priority {theirs}, ours {ours}{election}"
            )
        };
        self.log.record(now, &self.cfg.name, "rival", Level::Info, message, out);
        self.announce_due(now, out);
    }

    /// A master that was preempted says so with one advert, and the announcements that follow a takeover are
    /// under way: neither an answer nor a notification.
    fn is_last_advert(&mut self, now: Now, source: IpAddr) -> bool {
        match &mut self.phase {
            Phase::Master { preempted, .. } => {
                preempted.take_if(|master| *master == source).is_some()
                    && now.since(self.since) < ANSWER_EVERY
            }
            Phase::Fault | Phase::Backup { .. } | Phase::Leaving { .. } => false,
        }
    }

    /// Another member of the group has met a rival: that node served the addresses of this one, too.
    pub(crate) fn announce_beside_rival(&mut self, now: Now, out: &mut Outbox) {
        if let Phase::Master { announce, .. } = &mut self.phase {
            announce.rival_heard(now, &self.cfg.announce);
            self.announce_due(now, out);
        }
    }

    /// Whether it has met a lower-priority master at this moment.
    pub(crate) fn meets_rival(&self, now: Now) -> bool {
        self.met_rival == Some(now)
    }

    pub(super) fn may_answer(&mut self, now: Now) -> bool {
        let Phase::Master { answered, .. } = &mut self.phase else { return false };
        if answered.is_some_and(|at| now.since(at) < ANSWER_EVERY) {
            self.stats.counters.answers_limited += 1;
            return false;
        }
        *answered = Some(now);
        true
    }

    /// R18
    pub(super) fn yield_to(
        &mut self,
        now: Now,
        source: IpAddr,
        claim: Claim,
        advertised: Centis,
        out: &mut Outbox,
    ) {
        let master_interval = self.learned(advertised);
        let (theirs, ours) = (claim.wire_value(), self.effective);
        let message = if theirs == ours.get() {
            format!(
                "Master received advert from {source} with the same priority {theirs} and a higher address"
            )
        } else {
            format!(
                "Master received advert from {source} with higher priority {theirs}, ours {ours}"
            )
        };
        out.record(Level::Info, Some(&self.cfg.name), message);
        let reason = Reason::Outranked { by: source, theirs, ours };
        self.heard_from(now, source, claim, None);
        let then = Then::Backup {
            master_down: now + self.master_down_after(master_interval),
            master_interval,
            waiting_for: WaitingFor::TheMaster,
        };
        self.leave(now, then, reason, out);
    }

    /// D21: a winner that was master all the time learns from it that there was another one, and tells everybody
    /// where the addresses are.
    pub(super) fn send_last_advert(&mut self, now: Now, out: &mut Outbox) {
        if self.cfg.options.advert_before_yield {
            self.send(now, self.claim(), out);
        }
    }
}
