//! Which sockets are open: one pair per interface and group or own address, shared by all routers
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::io::{Action, Applied, Listen, OpError, OpId};
use crate::types::{IfIndex, Now};
use crate::vrrp::outbox::Outbox;

const RETRY: Duration = Duration::from_secs(1);

pub(crate) type SocketKey = (IfIndex, Listen);

#[derive(Debug)]
pub(crate) enum SocketState {
    Opening(OpId),
    Open,
    Failed { error: OpError, retry: Now },
}

#[derive(Debug, Default)]
pub(crate) struct Sockets {
    sockets: BTreeMap<SocketKey, SocketState>,
    /// Where only misconfigured peers are heard.
    observed: BTreeSet<SocketKey>,
}

impl Sockets {
    pub(crate) fn get(&self, key: SocketKey) -> Option<&SocketState> {
        self.sockets.get(&key)
    }

    /// Opens what is needed and closes what is not; `observed` likewise, as far as it is not needed
    /// anyway.
    pub(crate) fn require(
        &mut self,
        needed: &BTreeSet<SocketKey>,
        observed: &BTreeSet<SocketKey>,
        out: &mut Outbox,
    ) {
        let observed: BTreeSet<_> = observed.difference(needed).copied().collect();
        for &(iface, listen) in self.observed.difference(&observed) {
            out.push(Action::Observe { iface, listen, open: false });
        }
        self.open_and_close(needed, out);
        for &(iface, listen) in observed.difference(&self.observed) {
            out.push(Action::Observe { iface, listen, open: true });
        }
        self.observed = observed;
    }

    fn open_and_close(&mut self, needed: &BTreeSet<SocketKey>, out: &mut Outbox) {
        let surplus: Vec<_> =
            self.sockets.keys().filter(|k| !needed.contains(*k)).copied().collect();
        for key in surplus {
            self.sockets.remove(&key);
            ask(key, false, out);
        }
        for key in needed {
            if !self.sockets.contains_key(key) {
                let op = ask(*key, true, out);
                self.sockets.insert(*key, SocketState::Opening(op));
            }
        }
    }

    /// `true` if the operation was one of ours and changed something.
    pub(crate) fn done(&mut self, now: Now, op: OpId, result: &Result<Applied, OpError>) -> bool {
        let opening = |s: &&mut SocketState| matches!(s, SocketState::Opening(o) if *o == op);
        let Some(state) = self.sockets.values_mut().find(opening) else { return false };
        *state = match result {
            Ok(_) => SocketState::Open,
            Err(error) => SocketState::Failed { error: error.clone(), retry: now + RETRY },
        };
        true
    }

    /// Tries again where the time has come.
    pub(crate) fn time_passed(&mut self, now: Now, out: &mut Outbox) {
        for (key, state) in &mut self.sockets {
            if matches!(state, SocketState::Failed { retry, .. } if *retry <= now) {
                *state = SocketState::Opening(ask(*key, true, out));
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        let retries = self.sockets.values().filter_map(|s| match s {
            SocketState::Failed { retry, .. } => Some(*retry),
            SocketState::Opening(_) | SocketState::Open => None,
        });
        retries.min()
    }
}

fn ask((iface, listen): SocketKey, open: bool, out: &mut Outbox) -> OpId {
    let op = out.next_op();
    out.push(Action::Socket { op, iface, listen, open });
    op
}
