//! One virtual router: its timers, its addresses, what it heard, and the state machine over them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub(crate) mod accept;
pub(crate) mod address_set;
pub(crate) mod announce;
mod conflicts;
mod contact;
pub(crate) mod environment;
pub(crate) mod failover;
pub mod hints;
pub(crate) mod log_limiter;
pub(crate) mod outbox;
pub(crate) mod pacing;
pub(crate) mod peer_table;
pub(crate) mod reconfigure;
pub(crate) mod report;
mod rivalry;
pub(crate) mod router;
pub(crate) mod router_stats;
mod stalls;
pub mod timing;
pub(crate) mod transitions;
