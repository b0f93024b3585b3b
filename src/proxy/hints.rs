//! What a worker's sessions noticed about servers, until it is handed on.

use std::collections::BTreeMap;

use super::HintSink;
use crate::pool::{Hint, Hinted, ListenerId, ServerId};

/// Equal hints are counted and handed on as one, once an iteration: a server that goes away ends all
/// its sessions at the same time.
#[derive(Debug)]
pub(super) struct PendingHints {
    sink: HintSink,
    counts: BTreeMap<(ListenerId, ServerId, Hint), u32>,
}

impl PendingHints {
    pub(super) fn new(sink: HintSink) -> PendingHints {
        PendingHints { sink, counts: BTreeMap::new() }
    }

    pub(super) fn note(&mut self, listener: ListenerId, server: ServerId, hint: Hint) {
        let count = self.counts.entry((listener, server, hint)).or_default();
        *count = count.saturating_add(1);
    }

    /// Hand on what the sink has room for, and keep the rest.
    pub(super) fn deliver(&mut self) {
        let sink = &self.sink.0;
        self.counts.retain(|(listener, server, hint), count| {
            let (listener, server, hint, count) = (*listener, *server, *hint, *count);
            !sink(Hinted { listener, server, hint, count })
        });
    }
}
