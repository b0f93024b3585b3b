//! What moves a priority: answers of checks ([`outcome`]) become a state ([`probe`]), and that an
//! effect on each router that tracks it ([`weight`]).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod file;
pub mod haproxy;
pub mod outcome;
pub mod patroni;
pub mod probe;
pub mod process;
pub mod weight;

pub use weight::effective;
