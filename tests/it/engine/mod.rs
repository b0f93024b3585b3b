//! The engine against the rules of the protocol: what is heard, what is done about it, and when.

mod bench;
mod election;
mod floods;
mod handover;
mod instances;
mod kernel;
mod leases;
mod properties;
mod reload;
mod setup;
mod stalls;
mod table;
mod validation;
