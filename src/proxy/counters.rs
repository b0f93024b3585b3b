//! What workers count: each in its own cache lines, added up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One worker's counters of one listener.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(super) struct WorkerStats {
            $(pub(super) $name: Counter,)+
        }

        /// What a listener has counted since it was opened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// The counters with their names in the status.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            pub(super) fn add(&mut self, stats: &WorkerStats) {
                $(self.$name += stats.$name.value();)+
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Connections that were gone before they could be accepted.
    aborted,
    /// Times accepting paused for want of descriptors or memory.
    starved,
    /// Connections that had to wait for a server.
    held,
    /// Connections turned away because too many waited already.
    overflowed,
    /// Connections turned away because no server came in time.
    unserved,
    /// ... those of them for which every server that may be used was full.
    unserved_full,
    /// Clients that left before a server had answered them.
    abandoned,
    /// Clients that sent no complete first message in time, or none at all.
    silent,
    /// Attempts to connect to a server that failed.
    connect_failures,
    /// First messages that a server took and another had to be given.
    replayed,
    /// Cancel requests passed on.
    cancels,
    /// Cancel requests dropped because too many were under way.
    cancels_refused,
    /// Sessions that began: a server was connected.
    sessions,
    /// Sessions ended because their server was down.
    ended_down,
    /// Sessions ended because their server lost its role.
    ended_role,
    /// Sessions ended because their server left the pool.
    ended_removed,
    /// Sessions ended because their server was a backup and another came back.
    ended_backup,
    /// Sessions ended because the address they came in by, or their listener, went away.
    ended_here,
    /// Sessions closed for being idle, or half closed, too long.
    idle,
    /// Sessions the client's side broke off with a reset or by being gone.
    reset_by_client,
    /// Sessions the server's side broke off.
    reset_by_server,
    /// Bytes from clients to servers.
    bytes_in,
    /// Bytes from servers to clients.
    bytes_out,
    /// Bytes of either that were spliced.
    spliced,
}

/// A number only one thread adds to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.store(self.value().wrapping_add(count), Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
