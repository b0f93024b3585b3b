//! One virtual router: its timers, its addresses, what it heard, and the state machine over them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub(crate) mod address_set;
mod announce;
pub(crate) mod environment;
pub(crate) mod log_limiter;
pub(crate) mod outbox;
pub(crate) mod pacing;
pub(crate) mod peer_table;
pub(crate) mod reason;
pub(crate) mod router;
pub(crate) mod router_stats;
pub mod timing;
