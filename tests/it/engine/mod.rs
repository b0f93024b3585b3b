//! The engine against the rules of the protocol: what is heard, what is done about it, and when.

pub mod bench;
mod conflicts;
mod election;
mod failover;
mod floods;
pub mod generate;
mod groups;
mod handover;
mod hints;
mod instances;
mod kernel;
mod leases;
mod notices;
mod properties;
mod reload;
mod reload_laws;
pub mod setup;
mod stalls;
mod statics;
mod strays;
mod table;
mod tracking;
mod validation;
mod yielding;
