//! What the cluster model asks a Patroni node, and what comes back.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::answer::{Members, NodeAnswer, Settings};
use crate::config::checks::HttpTarget;
use crate::track::outcome::Cause;

/// One request to a REST API, always with GET and over a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What is this node, and what does it do? `/primary`
    Node(HttpTarget),
    /// How is the cluster set up? `/config`
    Settings(HttpTarget),
    /// Who does the cluster's store say leads? `/cluster`; each costs a read of the store, and hangs
    /// with it.
    Members(HttpTarget),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Node,
    Settings,
    Members,
}

/// How a question ended: one answer for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was said, or why nothing was.
    pub said: Result<Said, NoAnswer>,
    /// From asking to the answer.
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Node(Box<NodeAnswer>),
    Settings(Settings),
    Members(Members),
}

/// Nothing was said, or nothing Patroni would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    pub cause: Cause,
    /// The particulars, on one short line without a full stop.
    pub detail: String,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => write!(f, "{}", self.cause),
            detail => write!(f, "{} ({detail})", self.cause),
        }
    }
}

impl Question {
    /// Whom it is put to.
    #[must_use]
    pub const fn target(&self) -> &HttpTarget {
        match self {
            Question::Node(target) | Question::Settings(target) | Question::Members(target) => {
                target
            }
        }
    }

    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Question::Node(_) => Topic::Node,
            Question::Settings(_) => Topic::Settings,
            Question::Members(_) => Topic::Members,
        }
    }

    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self {
            Question::Node(_) => "/primary",
            Question::Settings(_) => "/config",
            Question::Members(_) => "/cluster",
        }
    }

    /// Understands the answer, received at the time `now`.
    ///
    /// # Errors
    /// Why it is not one of Patroni.
    pub fn read(&self, status: u16, body: &[u8], now: Timestamp) -> Result<Said, NoAnswer> {
        let said = match self {
            Question::Node(_) => {
                NodeAnswer::read(status, body, now).map(|answer| Said::Node(Box::new(answer)))
            }
            Question::Settings(_) => Settings::read(status, body).map(Said::Settings),
            Question::Members(_) => Members::read(status, body).map(Said::Members),
        };
        said.map_err(|detail| NoAnswer { cause: Cause::WrongAnswer, detail })
    }
}
