//! What a Patroni node's answer says about its role.
//!
//! Neither half of the answer is enough. The status code knows who holds the leader lock, but keeps
//! saying 200 while PostgreSQL stops, crashes or still starts; the body knows what PostgreSQL does,
//! but not whether the lock is held. A node has a role if both say so.

mod answer;
mod question;

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;

use crate::config::checks::{MaxLag, PatroniCheck, PatroniRole};

pub use answer::{
    Listed, LogPosition, Members, NodeAnswer, NodeRole, NodeState, Settings, Streaming,
    SyncStanding,
};
pub use question::{Answer, NoAnswer, Question, Said, Topic};

/// Clocks that differ by fewer seconds agree.
const AGREE: i64 = 2;

/// The path and query to ask for.
///
/// The generic GET handler answers all of them with status and body; the `lag` it is given is in
/// bytes.
#[must_use]
pub fn question(check: &PatroniCheck) -> String {
    let (path, lag) = match check.role {
        PatroniRole::Primary => ("/primary", None),
        PatroniRole::Replica(lag) => ("/replica", lag.bytes),
        PatroniRole::Any(lag) => ("/read-only", lag.bytes),
        PatroniRole::Sync => ("/sync", None),
        PatroniRole::Async(lag) => ("/async", lag.bytes),
        PatroniRole::Quorum => ("/quorum", None),
        PatroniRole::StandbyLeader => ("/standby-leader", None),
    };
    let lag = lag.map(|bytes| ("lag".to_owned(), bytes.to_string()));
    let tags = check.tags.iter().map(|(name, value)| (format!("tag_{name}"), value.clone()));
    let mut text = path.to_owned();
    for (n, (name, value)) in lag.into_iter().chain(tags).enumerate() {
        text.push(if n == 0 { '?' } else { '&' });
        escape(&name, &mut text);
        text.push('=');
        escape(&value, &mut text);
    }
    text
}

/// Percent-encodes everything but the unreserved characters (RFC 3986 section 2.3).
fn escape(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The part of the JSON body that matters; the same in every version from 1.6 to 4.
#[derive(Debug, Deserialize)]
struct Body {
    state: Option<String>,
    role: Option<String>,
    timeline: Option<u64>,
    #[serde(default)]
    xlog: Log,
    #[serde(default)]
    patroni: Software,
}

/// Positions in the write-ahead log, in bytes; a primary has none of these.
#[derive(Debug, Default, Deserialize)]
struct Log {
    received_location: Option<u64>,
    replayed_location: Option<u64>,
    replayed_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Software {
    version: Option<String>,
}

/// Whether the node has the role, at the time `now`.
///
/// # Errors
/// Why not.
pub fn judge(
    role: PatroniRole,
    status: u16,
    body: &[u8],
    now: Timestamp,
) -> Result<String, String> {
    if status != 200 && status != 503 {
        return Err(format!("status {status}, which is not Patroni's"));
    }
    let body: Body = serde_json::from_slice(body)
        .map_err(|_| format!("status {status} without the JSON of Patroni"))?;
    let (Some(state), Some(is)) = (body.state.as_deref(), body.role.as_deref()) else {
        return Err(format!("status {status} without a state and a role"));
    };
    if !acceptable(role).contains(&is) {
        let lock =
            if status == 200 && is_leader(role) { ", although it holds the lock" } else { "" };
        return Err(format!("{is}, {state}, not {}{lock}", name(role)));
    }
    if state != "running" {
        return Err(format!("{is}, {state}"));
    }
    if status != 200 {
        return Err(format!("{is}, {state}, but {}", refusal(role, &body.patroni)));
    }
    if !["primary", "master"].contains(&is) {
        lag_allowed(max_lag(role), &body.xlog, now)?;
    }
    let timeline = body.timeline.map_or_else(String::new, |number| format!(", timeline {number}"));
    Ok(format!("{is}, {state}{timeline}"))
}

/// The roles in the body that go with the one wanted. Before version 4 a primary is a master.
const fn acceptable(role: PatroniRole) -> &'static [&'static str] {
    match role {
        PatroniRole::Primary => &["primary", "master"],
        PatroniRole::Replica(_)
        | PatroniRole::Sync
        | PatroniRole::Async(_)
        | PatroniRole::Quorum => &["replica"],
        PatroniRole::Any(_) => &["primary", "master", "replica", "standby_leader"],
        PatroniRole::StandbyLeader => &["standby_leader", "replica"],
    }
}

const fn name(role: PatroniRole) -> &'static str {
    match role {
        PatroniRole::Primary => "primary",
        PatroniRole::Replica(_) => "replica",
        PatroniRole::Any(_) => "primary or replica",
        PatroniRole::Sync => "synchronous replica",
        PatroniRole::Async(_) => "asynchronous replica",
        PatroniRole::Quorum => "quorum replica",
        PatroniRole::StandbyLeader => "standby leader",
    }
}

const fn is_leader(role: PatroniRole) -> bool {
    matches!(role, PatroniRole::Primary | PatroniRole::StandbyLeader)
}

/// What a 503 means on a node whose state and role are as wanted.
fn refusal(role: PatroniRole, software: &Software) -> String {
    let version = software.version.as_deref().unwrap_or_default();
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    match role {
        PatroniRole::Primary | PatroniRole::StandbyLeader => "it does not hold the lock".to_owned(),
        PatroniRole::Quorum if major.is_some_and(|major| major < 4) => {
            format!("Patroni {version} knows no quorum; it needs 4.0")
        }
        PatroniRole::Sync | PatroniRole::Quorum => {
            format!("it is not a {}, or Patroni cannot reach its DCS", name(role))
        }
        PatroniRole::Async(_) => {
            "it is synchronous, lags, must not be balanced to or lacks a tag, or Patroni cannot \
             reach its DCS"
                .to_owned()
        }
        PatroniRole::Replica(_) | PatroniRole::Any(_) => {
            "it lags, must not be balanced to or lacks a tag".to_owned()
        }
    }
}

const fn max_lag(role: PatroniRole) -> MaxLag {
    match role {
        PatroniRole::Replica(lag) | PatroniRole::Any(lag) | PatroniRole::Async(lag) => lag,
        _ => MaxLag { bytes: None, time: None },
    }
}

/// Patroni compares with a position of the leader that may be ten seconds old; what the node itself
/// has received and not replayed is known to the byte.
fn lag_allowed(most: MaxLag, log: &Log, now: Timestamp) -> Result<(), String> {
    if most == MaxLag::default() {
        return Ok(());
    }
    let (Some(received), Some(replayed)) = (log.received_location, log.replayed_location) else {
        return Err("running, but how far it lags is not known".to_owned());
    };
    let waiting = received.saturating_sub(replayed);
    if let Some(most) = most.bytes
        && waiting > most
    {
        return Err(format!("{waiting} bytes are not replayed, more than {most}"));
    }
    let Some(most) = most.time.filter(|_| waiting > 0) else { return Ok(()) };
    let last = log.replayed_timestamp.as_deref().and_then(read_time);
    let last = last.ok_or("running, but how long it lags is not known")?;
    let age = std::time::Duration::try_from(now.duration_since(last)).unwrap_or_default();
    if age > most {
        let (age, most) = (age.as_secs_f32(), most.as_secs_f32());
        return Err(format!("replays transactions that are {age:.1} s old, more than {most} s"));
    }
    Ok(())
}

/// What an answer's times are compared with: this host's clock if it agrees with that of the node
/// (its `Date`, in whole seconds), and else the node's. A host whose clock is ahead must not find
/// every node out of touch with the cluster's store.
#[must_use]
pub fn clock(own: Timestamp, date: Option<&str>) -> Timestamp {
    let node = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let agrees = |node: &Timestamp| own.duration_since(*node).abs().as_secs() < AGREE;
    node.filter(|node| !agrees(node)).unwrap_or(own)
}

/// `2026-11-21 09:00:00.123456+00:00`; Patroni 1 and 2 may write `UTC` for the offset.
fn read_time(text: &str) -> Option<Timestamp> {
    match text.strip_suffix("UTC") {
        Some(time) => format!("{}Z", time.trim_end()).parse().ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
