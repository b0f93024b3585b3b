//! Why a router is in its state.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::status::StateReason;
use crate::types::{IfName, Priority};
use crate::vrrp::environment::Fault;

/// A daemon that runs later than this did not run.
const NOTICEABLE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Starting,
    Started,
    Adopted,
    AddressOwner,
    MasterResigned(IpAddr),
    Preemption {
        master: IpAddr,
        theirs: u8,
        ours: Priority,
    },
    MasterSilent {
        master: IpAddr,
        silence: Duration,
    },
    NoMasterHeard(Duration),
    Outranked {
        by: IpAddr,
        theirs: u8,
        ours: Priority,
    },
    SyncGroup {
        group: String,
        member: String,
    },
    /// The text of its faults.
    Fault(String),
    InterfaceRecreated(IfName),
    FaultsCleared,
    Drained,
    Resumed,
    /// Before the drain had been completed.
    DrainedAndResumed,
    HandedOver,
    NobodyTookOver,
    LeaseEnded {
        late: Duration,
    },
    ReplacedWhileStalled {
        late: Duration,
    },
    ReplacedWhileSuspended {
        gap: Duration,
    },
    Stopped,
}

impl Reason {
    pub(crate) const fn code(&self) -> StateReason {
        match self {
            Reason::Starting => StateReason::Starting,
            Reason::Started => StateReason::Started,
            Reason::Adopted => StateReason::Adopted,
            Reason::AddressOwner => StateReason::AddressOwner,
            Reason::MasterResigned(_) => StateReason::MasterResigned,
            Reason::Preemption { .. } => StateReason::Preemption,
            Reason::MasterSilent { .. } => StateReason::MasterSilent,
            Reason::NoMasterHeard(_) => StateReason::NoMasterHeard,
            Reason::Outranked { .. } => StateReason::Outranked,
            Reason::SyncGroup { .. } => StateReason::SyncGroup,
            Reason::Fault(_) => StateReason::Fault,
            Reason::InterfaceRecreated(_) => StateReason::InterfaceRecreated,
            Reason::FaultsCleared => StateReason::FaultsCleared,
            Reason::Drained => StateReason::Drained,
            Reason::Resumed | Reason::DrainedAndResumed => StateReason::Resumed,
            Reason::HandedOver => StateReason::HandedOver,
            Reason::NobodyTookOver => StateReason::NobodyTookOver,
            Reason::LeaseEnded { .. } => StateReason::LeaseEnded,
            Reason::ReplacedWhileStalled { .. } => StateReason::ReplacedWhileStalled,
            Reason::ReplacedWhileSuspended { .. } => StateReason::ReplacedWhileSuspended,
            Reason::Stopped => StateReason::Stopped,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Starting => write!(f, "starting"),
            Reason::Started => write!(f, "started"),
            Reason::Adopted => write!(f, "restarted; its addresses were still in place"),
            Reason::AddressOwner => write!(f, "owner of the addresses (priority 255)"),
            Reason::MasterResigned(master) => write!(f, "{master} resigned"),
            Reason::Preemption { master, theirs, ours } => {
                write!(f, "preempting {master}, which has priority {theirs} to our {ours}")
            }
            Reason::MasterSilent { master, silence } => {
                write!(f, "no advert from {master} for {:.2} s", silence.as_secs_f64())
            }
            Reason::NoMasterHeard(silence) => {
                write!(f, "no master heard for {:.2} s", silence.as_secs_f64())
            }
            Reason::Outranked { by, theirs, ours } => {
                write!(f, "{by} has priority {theirs}, ours is {ours}")
            }
            Reason::SyncGroup { group, member } => {
                write!(f, "{member} of group {group} follows another master")
            }
            Reason::Fault(text) => f.write_str(text),
            Reason::InterfaceRecreated(name) => {
                write!(f, "interface {name} was deleted and created again")
            }
            Reason::FaultsCleared => write!(f, "all faults cleared"),
            Reason::Drained => Fault::Drained.fmt(f),
            Reason::Resumed => write!(f, "resumed by the operator"),
            Reason::DrainedAndResumed => write!(f, "drained and resumed by the operator"),
            Reason::HandedOver => write!(f, "handed over by the operator"),
            Reason::NobodyTookOver => write!(f, "nobody took over, so it serves on"),
            Reason::LeaseEnded { late } if *late < NOTICEABLE => write!(
                f,
                "the kernel was slow: the lease of its addresses may have ended before it was \
                 lengthened, and they were added again"
            ),
            Reason::LeaseEnded { late } => write!(
                f,
                "vipd did not run for {:.1} s: the lease of its addresses had ended, and they were \
                 added again",
                late.as_secs_f64()
            ),
            Reason::ReplacedWhileStalled { late } => {
                write!(f, "vipd did not run for {:.1} s: a peer has taken over", late.as_secs_f64())
            }
            Reason::ReplacedWhileSuspended { gap } => {
                write!(f, "slept for {gap:.1?}; a peer has taken over")
            }
            Reason::Stopped => write!(f, "stopped"),
        }
    }
}
