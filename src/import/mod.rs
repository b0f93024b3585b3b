//! Other programs' configuration languages, lowered to [`crate::config::raw`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod coverage;
pub mod haproxy;
pub mod keepalived;
