//! What keepalived writes on signals, for exporters and scripts that read its files: its state, its
//! statistics and its JSON, in its words.
//!
//! The names and shapes are keepalived 2.2's. Passwords are never written.
#![warn(missing_docs)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod data;
mod json;
mod statistics;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Config;
use crate::config::checks::{Command, ScriptCheck};
use crate::config::{RouterConfig, VirtualAddress};
use crate::status::{AddressStatus, FaultCode, RouterStatus, Snapshot, State};
use crate::types::Family;
pub use data::data;
pub use json::json;
pub use statistics::statistics;

/// A dump keepalived knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dump {
    /// State and settings, on SIGUSR1.
    Data,
    /// Counters, on SIGUSR2.
    Stats,
    /// Both for programs, on SIGRTMIN+2.
    Json,
}

impl Dump {
    /// The name of its file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Dump::Data => "keepalived.data",
            Dump::Stats => "keepalived.stats",
            Dump::Json => "keepalived.json",
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(self, snapshot: &Snapshot, config: &Config) -> String {
        match self {
            Dump::Data => data(snapshot, config),
            Dump::Stats => statistics(snapshot),
            Dump::Json => json(snapshot, config),
        }
    }
}

/// The routers with their settings; one that a reload has just added or removed has only one of both.
fn pairs<'a>(
    snapshot: &'a Snapshot,
    config: &'a Config,
) -> impl Iterator<Item = (&'a RouterStatus, &'a RouterConfig)> {
    snapshot.routers.iter().filter_map(|router| {
        let of = config.routers.iter().find(|of| of.name == router.name);
        of.map(|of| (router, &**of))
    })
}

/// keepalived's number and word of a state: one that leaves has resigned.
fn state(router: &RouterStatus) -> (u8, &'static str) {
    let starting =
        !router.faults.is_empty() && router.faults.iter().all(|f| f.code == FaultCode::Starting);
    match router.state {
        State::Fault if starting => (0, "INIT"),
        State::Backup | State::Leaving => (1, "BACKUP"),
        State::Master => (2, "MASTER"),
        State::Fault => (3, "FAULT"),
    }
}

/// An address as keepalived prints it: `10.0.0.1/24 dev eth0 scope global set`.
fn address(router: &RouterConfig, address: &VirtualAddress, is_set: bool) -> String {
    let VirtualAddress { cidr, .. } = address;
    let full = match cidr.family() {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    };
    let mut text = match (&address.peer, cidr.prefix() == full) {
        (Some(peer), _) => format!("{} peer {peer}", cidr.address()),
        (None, true) => cidr.address().to_string(),
        (None, false) => cidr.to_string(),
    };
    if let Some(broadcast) = address.broadcast {
        text += &format!(" brd {broadcast}");
    }
    let scope = match address.scope {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        255 => "nowhere",
        _ => "unknown",
    };
    text += &format!(" dev {} scope {scope}", router.iface_of(address));
    if let Some(label) = &address.label {
        text += &format!(" label {label}");
    }
    match (cidr.family(), address.preferred_lft) {
        (Family::Ipv6, Some(0)) => text += " deprecated",
        (Family::Ipv6, None) => text += " preferred_lft forever",
        (Family::Ipv6, Some(seconds)) => text += &format!(" preferred_lft {seconds}"),
        (Family::Ipv4, _) => {}
    }
    if is_set {
        text += " set";
    }
    text
}

/// The addresses that are, or are not, in the advert.
fn addresses(router: &RouterStatus, of: &RouterConfig, advertised: bool) -> Vec<String> {
    let is_set = |of: &VirtualAddress| {
        let same = |status: &&AddressStatus| status.address == of.cidr.to_string();
        router.addresses.iter().find(same).is_some_and(|status| status.held)
    };
    let listed = of.addresses.iter().filter(|address| address.advertised == advertised);
    listed.map(|listed| address(of, listed, is_set(listed))).collect()
}

/// A command as keepalived prints it: each word in quotes.
fn command(script: &ScriptCheck) -> String {
    match &script.command {
        Command::Argv { program, args } => {
            let words = std::iter::once(program).chain(args).map(|word| format!("'{word}'"));
            words.collect::<Vec<_>>().join(" ")
        }
        Command::Shell(text) => text.clone(),
    }
}

/// When the router came into its state.
fn last_transition(snapshot: &Snapshot, router: &RouterStatus) -> Timestamp {
    let now: Timestamp = snapshot.daemon.taken_at.parse().unwrap_or_default();
    let age = SignedDuration::from_millis(i64::try_from(router.state_age_ms).unwrap_or(i64::MAX));
    now.checked_sub(age).unwrap_or_default()
}

/// Keepalived's delays are whole seconds.
const fn seconds(delay: Duration) -> u64 {
    delay.as_secs()
}
