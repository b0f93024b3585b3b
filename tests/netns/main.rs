//! Tests on a real kernel: hosts, switches and faults made of network namespaces.
//!
//! They need root (or the rights of one in a container) and the programs that
//! `tests/setup-debian.sh` installs. Without them they fail and say so; they never skip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod addresses;
mod announce;
mod attacks;
mod checks;
mod clients;
mod cluster;
mod common;
mod conflicts;
mod daemon;
mod demo;
mod fake_patroni;
mod health;
mod hostile;
mod instances;
mod interop;
mod lab_selftest;
mod leases;
mod links;
mod locks;
mod managers;
mod many;
mod migration;
mod notify;
mod operator;
mod preprocessor;
mod probes;
mod process;
mod prometheus;
mod samples;
mod serving;
mod stalls;
mod sys;
mod turns;
#[path = "../it/schema/violations.rs"]
mod violations;

use std::time::Duration;

use vipd::lab::{Error, Lab};

/// Long enough for a machine that also compiles; nothing waits this long unless it fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A lab, or a failure that says what the test needs.
pub(crate) fn lab() -> Lab {
    turns::implied();
    match Lab::new() {
        Ok(lab) => lab,
        Err(Error::Forbidden { what, why, remedy }) => panic!(
            "the netns tests make network namespaces and must run as root: cannot {what}: {why}. \
             {remedy}"
        ),
        Err(other) => panic!("{other}"),
    }
}
