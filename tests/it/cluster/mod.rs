//! Clusters and listeners through the engine: what the nodes say, and which view comes of it.

pub mod bench;
mod by_status;
mod deadlines;
mod fixtures;
mod lag;
mod opinion;
mod phases;
mod plain;
mod reload;
mod roles;
mod stalls;
mod systems;
mod tracked;
mod truth;
