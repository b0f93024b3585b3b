//! Where a router is, and what it knows of the master.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::types::{Centis, Now};
use crate::vrrp::announce::Announce;
use crate::vrrp::reason::Reason;
use crate::wire::vrrp::Claim;

/// Where a router is; deadlines live inside the state that needs them.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Fault,
    Backup {
        /// `Master_Down_Timer`.
        master_down: Now,
        /// The master's interval, as far as learnt (VRRPv3); our own otherwise.
        master_interval: Centis,
        /// End of `preempt_delay`, once a lower-priority master was heard.
        hold: Option<Now>,
        /// What the deadline means when it passes.
        waiting_for: WaitingFor,
    },
    Master {
        /// `Adver_Timer`.
        next_advert: Now,
        announce: Announce,
        /// Address operations of the takeover are under way; announcements follow them.
        installing: bool,
        /// The last answer to a rival.
        answered: Option<Now>,
        /// The master it has just preempted, whose last advert is to come (D21).
        preempted: Option<IpAddr>,
        /// Claim and interval of each sender's newest advert, kept while the advert timer is overdue by more than
        /// an interval or after a suspend: they are weighed together, once (R36).
        waiting: BTreeMap<IpAddr, (Claim, Centis)>,
        /// Woke from suspend and listens for one interval before it speaks.
        listening: bool,
    },
    Leaving {
        /// When the last address goes, successor or not.
        until: Now,
        then: Then,
        /// A successor was heard, or follows from what was heard before.
        succeeded: bool,
        /// Why, for the transition that follows.
        reason: Reason,
    },
}

/// What follows a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The daemon ends, or the router was removed from the configuration.
    Stop,
    /// Out of service.
    Drained,
    /// Follow the successor.
    Backup { master_down: Now, master_interval: Centis, waiting_for: WaitingFor },
}

/// Why a backup's deadline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitingFor {
    /// Nobody heard since this state began.
    AnyMaster,
    /// The master's next advert.
    TheMaster,
    /// A lower-priority master to be preempted.
    Preemption,
    /// The master resigned; the skew decides who follows.
    Succession,
}

/// A master heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    pub(crate) address: IpAddr,
    pub(crate) claim: Claim,
    /// Its interval, where that may matter later.
    pub(crate) interval: Option<Centis>,
    pub(crate) at: Now,
}

/// How a sender's claim compares with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Resigned,
    Lower,
    /// Same priority; the order of its address against ours.
    Equal(Ordering),
    Higher,
}

/// Whether the sender of such a claim is the better master (R18).
pub(super) fn beats_us(standing: Standing) -> bool {
    match standing {
        Standing::Higher | Standing::Equal(Ordering::Greater) => true,
        Standing::Resigned | Standing::Lower | Standing::Equal(_) => false,
    }
}
