//! What the control loop is told by its tasks and by other threads.

use std::net::IpAddr;

use super::prepared::{Answer, Plan, Prepared, Successor};
use crate::config::checks::HostName;
use crate::io::{Applied, OpError, OpId, ProbeId};
use crate::sys::monitor::Reported;
use crate::track::outcome::Outcome;
use crate::track::patroni::Answer as PatroniAnswer;
use crate::types::{Cidr, IfIndex};

/// What tasks and threads tell the loop.
#[derive(Debug)]
pub(super) enum Inbox {
    /// An action is done.
    Done { op: OpId, result: Result<Applied, OpError> },
    /// The kernel would not lengthen a lease.
    NotRenewed { iface: IfIndex, cidr: Cidr },
    /// The host does not hear what it sends to a group.
    Deaf { iface: IfIndex, group: IpAddr },
    /// A check has answered.
    Probed { probe: ProbeId, outcome: Outcome },
    /// A Patroni node was asked.
    Answered { probe: ProbeId, answer: PatroniAnswer },
    /// A host name leads somewhere else.
    Resolved { name: HostName, address: IpAddr },
    /// Sessions have noticed something about their servers.
    Hints,
    /// It is time to.
    LookAfterListeners,
    /// The kernel changed something.
    Kernel(Reported),
    /// A signal.
    Signal(i32),
    /// The reload thread is through.
    Reloaded { reading: u64, result: Box<Result<Prepared, String>> },
    /// It has had its time.
    ReadingLate(u64),
    /// So is the one that only looks.
    Planned(Plan),
    /// Of a status that waited for the LAN.
    Status(Answer),
    /// A binary is good enough to continue as.
    Upgrade(Successor),
    /// It is not.
    NoUpgrade { why: String, answer: Answer },
    /// [`super::SHUTDOWN_BUDGET`] is over.
    GiveUp,
}
