//! What Patroni 2, 3 and 4 say, and what is understood. Those of `"captured": true` were taken from a
//! running cluster, the others were written after the source of that version.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use vipd::config::checks::{Endpoint, HttpTarget};
use vipd::track::patroni::{LogPosition, NodeAnswer, Question, Said, SyncStanding};

use crate::expected::expect;

/// When all of them were received.
const NOW: &str = "2026-11-21T20:46:00Z";

fn told(answer: &NodeAnswer) -> String {
    let mut text = format!("{}, {}", answer.role, answer.state);
    let mut say = |set: bool, what: &str| {
        if set {
            let _ = write!(text, ", {what}");
        }
    };
    say(answer.is_writer(), "TAKES WRITES");
    say(answer.holds_lock, "holds the lock");
    if let Some(timeline) = answer.timeline {
        say(true, &format!("timeline {timeline}"));
    }
    match answer.log {
        Some(LogPosition::Writes { location }) => say(true, &format!("writes at {location}")),
        Some(LogPosition::Replays { received, replayed, age, paused }) => {
            let received = received.unwrap_or_default();
            let age = age
                .map_or_else(|| "unknown age".to_owned(), |age| format!("{} s ago", age.as_secs()));
            say(true, &format!("received {received}, replayed {replayed}, of {age}"));
            say(paused, "replay paused");
        }
        None => {}
    }
    say(answer.sync == SyncStanding::Sync, "synchronous");
    say(answer.sync == SyncStanding::Quorum, "in the quorum");
    for standby in &answer.standbys {
        say(true, &format!("feeds {} ({:?})", standby.name, standby.sync));
    }
    say(answer.in_archive_recovery(), "in archive recovery");
    say(answer.paused, "paused");
    say(answer.unlocked, "sees no leader");
    say(answer.failsafe, "failsafe");
    if let Some(seen) = answer.store_seen {
        say(true, &format!("saw the store {} s ago", seen.as_secs()));
    }
    say(!answer.tags.is_empty(), &format!("tags {:?}", answer.tags));
    if let Some(name) = &answer.name {
        say(true, &format!("calls itself {name}"));
    }
    text
}

fn understood(answer: &Value) -> String {
    let endpoint = Endpoint::parse("10.0.0.1:8008", None).unwrap();
    let target = HttpTarget { endpoint, tls: None, host: None, headers: Vec::new() };
    let question = match answer["path"].as_str().unwrap() {
        "/primary" => Question::Node(target),
        "/config" => Question::Settings(target),
        "/cluster" => Question::Members(target),
        other => panic!("{other}"),
    };
    let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
    match question.read(status, answer["body"].to_string().as_bytes(), NOW.parse().unwrap()) {
        Ok(Said::Node(answer)) => told(&answer),
        Ok(Said::Settings(settings)) => format!("{settings:?}"),
        Ok(Said::Members(members)) => format!("{members:?}"),
        Err(why) => format!("{}: {}", why.cause, why.detail),
    }
}

#[test]
fn what_every_version_says_is_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/patroni");
    let mut text = String::new();
    for version in ["2.0.2", "3.0.2", "4.1.0"] {
        let file = std::fs::read_to_string(folder.join(format!("{version}.json"))).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        for answer in file["answers"].as_array().unwrap() {
            let (about, status) = (answer["about"].as_str().unwrap(), &answer["status"]);
            let path = answer["path"].as_str().unwrap();
            let said = understood(answer);
            writeln!(text, "{version} {path} {status}: {about}\n    {said}").unwrap();
        }
    }
    expect(&folder.join("understood.expected"), &text);
}
