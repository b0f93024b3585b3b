//! Tests through the public interface. One module per subject; `golden` reads recorded packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod golden;
mod wire_emit;
mod wire_golden;
mod wire_hostile;
mod wire_parse;
mod config_keepalived;
