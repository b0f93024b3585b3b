//! What one router counted, and its last state changes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::status::{Counters, State, TransitionStatus, millis};
use crate::types::{DropCounter, Now, V3Checksum};
use crate::vrrp::reason::Reason;
use crate::wire::vrrp::Claim;

/// State changes remembered per router.
const MAX_TRANSITIONS: usize = 16;

/// Counters and history of one router.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouterStats {
    pub(crate) counters: Counters,
    /// Shared with those who write a status of it.
    transitions: Arc<VecDeque<Transition>>,
}

/// When, from, to, and why.
type Transition = (Now, Option<State>, State, Reason);

impl RouterStats {
    /// A packet was refused.
    pub(crate) fn refused(&mut self, counter: DropCounter) {
        if let Some(value) = self.counters.dropped_mut(counter) {
            *value += 1;
        }
    }

    /// An advert was accepted.
    pub(crate) fn accepted(&mut self, claim: Claim, checksum: Option<V3Checksum>) {
        self.counters.adv_rcvd += 1;
        if claim == Claim::Resign {
            self.counters.pri_zero_rcvd += 1;
        }
        match checksum {
            Some(V3Checksum::PseudoHeader | V3Checksum::OldUnicast) => {
                self.counters.checksum_pseudo_header += 1;
            }
            Some(V3Checksum::MessageOnly) => self.counters.checksum_message_only += 1,
            None => {}
        }
    }

    pub(crate) fn transition(&mut self, now: Now, from: Option<State>, to: State, reason: Reason) {
        self.remember(now, from, to, reason);
        if to == State::Master {
            self.counters.master_transitions += 1;
        }
        if from == Some(State::Master) {
            self.counters.release_master += 1;
        }
    }

    /// Something of the history that is no change of the state as well.
    pub(crate) fn remember(&mut self, now: Now, from: Option<State>, to: State, reason: Reason) {
        let transitions = Arc::make_mut(&mut self.transitions);
        if transitions.len() == MAX_TRANSITIONS {
            transitions.pop_front();
        }
        transitions.push_back((now, from, to, reason));
    }

    /// The state has changed since the start.
    pub(crate) fn has_changed(&self) -> bool {
        self.transitions.iter().any(|(_, from, ..)| from.is_some())
    }

    pub(crate) fn transition_status(&self, now: Now) -> Vec<TransitionStatus> {
        let newest_first = self.transitions.iter().rev();
        newest_first
            .map(|(at, from, to, reason)| TransitionStatus {
                from: *from,
                to: *to,
                reason: reason.to_string(),
                reason_code: Some(reason.code()),
                age_ms: millis(now.since(*at)),
            })
            .collect()
    }
}
