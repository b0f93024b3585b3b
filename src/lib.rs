//! vipd

pub mod types;
