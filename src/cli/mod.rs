//! The commands.

pub mod check;
pub mod exit;
pub mod sources;
