//! What one run of a check says.

use std::fmt;
use std::time::Duration;

/// The answer of a check, with what a human wants to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What counts.
    pub verdict: Verdict,
    /// Why, on one short line without a full stop; empty if the verdict says everything.
    pub detail: String,
    /// The beginning of what a script printed, control characters replaced; at most 1 KiB.
    pub output: String,
    /// From the start of the run to its answer.
    pub took: Duration,
}

/// What counts of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Not as it should be, or not known: a check that cannot run has failed.
    Failed(Cause),
    /// The number in a tracked file. A missing or empty file is 0, as is one that does not begin
    /// with a number; [`Outcome::detail`] says so.
    Value(i32),
}

/// Why a check failed. [`Outcome::detail`] has the particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The script ended with this exit code.
    Exit(i32),
    Signal(i32),
    /// No answer within the timeout.
    TimedOut,
    /// It could not be started or asked at all: no such program, no permission, no such user, an
    /// unreadable file.
    CannotRun,
    /// Nobody listens there.
    Refused,
    /// No way there, or the connection broke.
    Unreachable,
    /// The host name has no address.
    Resolve,
    /// The two sides did not agree on TLS, or a certificate was not believed.
    Tls,
    /// It answered, but not what was asked for.
    WrongAnswer,
    /// A listener of vipd's own is not open.
    Closed,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Exit(code) => write!(f, "exit {code}"),
            Cause::Signal(signal) => write!(f, "signal {signal}"),
            Cause::TimedOut => f.write_str("timed out"),
            Cause::CannotRun => f.write_str("cannot run"),
            Cause::Refused => f.write_str("connection refused"),
            Cause::Unreachable => f.write_str("unreachable"),
            Cause::Resolve => f.write_str("name not resolved"),
            Cause::Tls => f.write_str("TLS failed"),
            Cause::WrongAnswer => f.write_str("wrong answer"),
            Cause::Closed => f.write_str("listener not open"),
        }
    }
}
