//! `vipd status --check`: one line and an exit status, as monitoring plugins give them.

use super::{Args, NoStatus, found};
use crate::cli::{exit, print};
use crate::status::{HealthLevel, HealthStatus, health_of};

/// Health as an exit status (Monitoring Plugins Development Guidelines).
const fn exit_status(level: HealthLevel) -> u8 {
    match level {
        HealthLevel::Ok => 0,
        HealthLevel::Degraded => 1,
        HealthLevel::Critical => 2,
        HealthLevel::Unknown => 3,
    }
}

pub(super) fn run(args: &Args) -> u8 {
    let health = match args.ask().and_then(|snapshot| match args.name() {
        None => Ok(snapshot.health),
        Some(name) => found(&snapshot, name).map(|objects| health_of(&snapshot, &objects)),
    }) {
        Ok(health) => health,
        Err(why) => HealthStatus { summary: unknown(why), ..HealthStatus::default() },
    };
    // Who cannot be told in words is told by the exit status.
    match print(&(health.plugin_line() + "\n")) {
        exit::OK => exit_status(health.status),
        _ => exit_status(HealthLevel::Unknown),
    }
}

/// Why nothing is known.
fn unknown(why: NoStatus) -> String {
    match why {
        NoStatus::Unavailable(error) => match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        NoStatus::Strange(_) => "the daemon gave an answer that makes no sense here".to_owned(),
        NoStatus::Unknown(what) => what,
    }
}
