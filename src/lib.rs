//! vipd

pub mod config;
pub mod engine;
pub mod status;
pub mod types;
pub mod wire;
