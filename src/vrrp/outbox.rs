//! Where a router puts what it wants done.

use std::collections::VecDeque;

use crate::io::{Action, Event, Level, OpId};
use crate::vrrp::pacing::Pacing;

/// What all routers share on their way out: the queue of actions, the source of their operation ids,
/// and the clocks that space announcements.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) pacing: Pacing,
    actions: VecDeque<Action>,
    last_op: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn pop(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    pub(crate) fn next_op(&mut self) -> OpId {
        self.last_op += 1;
        OpId(self.last_op)
    }

    pub(crate) fn record(&mut self, level: Level, router: Option<&str>, message: String) {
        self.push(Action::Record(Event { level, router: router.map(str::to_owned), message }));
    }
}
