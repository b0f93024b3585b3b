//! The state machine of one virtual router.
//!
//! ```text
//!            faults gone (R23)                 master-down timer (R7)
//!   Fault ───────────────────────▶ Backup ───────────────────────────▶ Master
//!     ▲ ▲  owner: straight to Master │  ▲   better advert: yield (R18)   │
//!     │ └────────────────────────────┘  └────────────────────────────────┤
//!     └──────────────────── link, source, socket, tracker lost (R22) ────┘
//!
//!   Master ── stop, drain, handover, yield ──▶ Leaving ── successor answers ──▶ Backup or Fault
//! ```
//!
//! `Leaving` makes before it breaks: the router has resigned (or yields), sends nothing more, and
//! keeps each address answering until the successor announces it.
//!
//! Rule numbers (R, D, V) are those of the manual's protocol table. Only sending moves the advert
//! timer, never receiving (D23): a stream of packets cannot silence a master.

pub(crate) mod accept;
mod advert;
mod announcing;
mod conflicts;
mod contact;
pub(crate) mod failover;
pub(crate) mod hints;
mod operator;
mod phase;
pub(crate) mod reconfigure;
pub(crate) mod report;
mod rivalry;
mod stalls;
pub(crate) mod transitions;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use phase::{Followed, Phase, Then, WaitingFor};
use phase::{Standing, beats_us};

use crate::config::{Preempt, RouterConfig};
use crate::io::{Applied, Level, OpError, OpId, Renewal, RouterId};
use crate::status::State;
use crate::types::{Cidr, IfIndex, Mac, Now, Priority};
use crate::vrrp::address_set::{AddressSet, OpOutcome};
use crate::vrrp::environment::{Environment, Fault};
use crate::vrrp::log_limiter::LogLimiter;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::peer_table::PeerTable;
use crate::vrrp::reason::Reason;
use crate::vrrp::router::conflicts::ConflictCheck;
use crate::vrrp::router_stats::RouterStats;
use crate::wire::vrrp::{Advert, Claim};

/// At most one answer to lower-priority or resigning senders in this time (D4, R17): a stream of
/// them must not turn the master into an amplifier.
pub(super) const ANSWER_EVERY: Duration = Duration::from_millis(100);
/// At most one notification of lower-priority masters in this time: a stream of them must not start a stream
/// of scripts.
pub(super) const TELL_OF_RIVALS_EVERY: Duration = Duration::from_millis(500);
/// How long an address outlives the successor's first advert if its announcement is not heard: on a
/// busy host tens of milliseconds lie between the two, and clients have no one else meanwhile.
pub(super) const AFTER_ADVERT: Duration = Duration::from_millis(100);
/// Senders remembered while a stalled master sorts out what waited in its socket.
const MAX_WAITING: usize = 32;

/// One virtual router.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) id: RouterId,
    pub(crate) cfg: Arc<RouterConfig>,
    pub(crate) phase: Phase,
    pub(crate) since: Now,
    pub(crate) reason: Reason,
    pub(crate) env: Environment,
    pub(crate) effective: Priority,
    pub(super) effective_since: Now,
    pub(crate) stats: RouterStats,
    pub(crate) peers: PeerTable,
    pub(crate) log: LogLimiter,
    pub(crate) addresses: AddressSet,
    /// The master as last heard; our own reign is in `phase`.
    pub(crate) followed: Option<Followed>,
    pub(crate) last_sent: Option<Now>,
    /// End of the start-up delay (R30).
    pub(super) quiet_until: Now,
    /// Becomes master with its group only.
    pub(crate) grouped: bool,
    /// The deadline that has passed and left it waiting for its group.
    pub(super) waits_since: Option<Now>,
    /// Out of service by the operator's wish.
    pub(crate) drained: bool,
    /// Whether anybody takes over or not.
    drain_forced: bool,
    /// Handed over by the operator's wish: follows its successor as if `nopreempt` were set.
    pub(crate) yielded: bool,
    /// Addresses of ours that another node announced while we were master, and when.
    pub(super) announced_elsewhere: BTreeMap<IpAddr, Now>,
    /// Every address is in place from an earlier run, renewed a moment ago.
    pub(crate) adoptable: bool,
    /// What is asked of the LAN about its addresses, and when.
    pub(super) conflicts: ConflictCheck,
    /// Has reported a state yet; the moment between start and the first socket is not one.
    pub(super) announced_state: bool,
    stopped: bool,
    /// When the last notification of a lower-priority master was given.
    pub(super) told_of_rival: Option<Now>,
    /// When such a master was answered last.
    pub(super) met_rival: Option<Now>,
    pub(super) ip_id: u16,
}

impl Router {
    pub(crate) fn new(id: RouterId, cfg: Arc<RouterConfig>, quiet_until: Now, now: Now) -> Router {
        Router {
            id,
            effective: cfg.priority,
            effective_since: now,
            cfg,
            phase: Phase::Fault,
            since: now,
            reason: Reason::Starting,
            env: Environment { faults: [Fault::Starting].into(), ..Environment::default() },
            stats: RouterStats::default(),
            peers: PeerTable::default(),
            log: LogLimiter::default(),
            addresses: AddressSet::default(),
            followed: None,
            last_sent: None,
            quiet_until,
            grouped: false,
            waits_since: None,
            drained: false,
            drain_forced: false,
            yielded: false,
            announced_elsewhere: BTreeMap::new(),
            adoptable: false,
            conflicts: ConflictCheck::default(),
            announced_state: false,
            stopped: false,
            told_of_rival: None,
            met_rival: None,
            ip_id: 0,
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Fault => State::Fault,
            Phase::Backup { .. } => State::Backup,
            Phase::Master { .. } => State::Master,
            Phase::Leaving { .. } => State::Leaving,
        }
    }

    /// The state those who follow it were told last; `None` if it is on its way to another.
    pub(crate) fn told_state(&self) -> Option<State> {
        let state = self.state();
        (self.announced_state && !self.stopped && state != State::Leaving).then_some(state)
    }

    pub(crate) fn is_quiet(&self, now: Now) -> bool {
        now < self.quiet_until
    }

    /// The earliest moment something is due.
    pub(crate) fn next_deadline(&self) -> Option<Now> {
        let phase = match &self.phase {
            Phase::Fault => None,
            Phase::Backup { .. } if !self.may_take_over() || self.wants_master() => None,
            Phase::Backup { master_down, .. } => Some(*master_down),
            Phase::Master { next_advert, announce, .. } => {
                announce.deadline().map_or(Some(*next_advert), |at| Some(at.min(*next_advert)))
            }
            Phase::Leaving { until, .. } => Some(*until),
        };
        [phase, self.addresses.deadline()].into_iter().flatten().min()
    }

    /// A valid advert for this router; the caller has checked everything section 7.1 of RFC 9568
    /// asks for.
    pub(crate) fn advert_received(
        &mut self,
        now: Now,
        source: IpAddr,
        advert: &Advert,
        out: &mut Outbox,
    ) {
        let standing = self.standing(advert.claim, source);
        let interval = self.cfg.interval.as_duration();
        if standing == Standing::Equal(Ordering::Equal) {
            self.duplicate_heard(now, source, out);
            return;
        }
        match (&mut self.phase, standing) {
            (Phase::Fault, _) => self.stats.counters.ignored_state += 1,
            (Phase::Backup { .. }, Standing::Resigned) => self.resignation_heard(now, source, out),
            (Phase::Backup { .. }, Standing::Higher | Standing::Equal(_)) => {
                self.follow(now, source, advert, None);
            }
            (Phase::Backup { hold, .. }, Standing::Lower) => {
                // R11, R12, R28
                let (follow, hold) = match self.cfg.preempt {
                    Preempt::Never => (true, None),
                    Preempt::After(_) if self.yielded => (true, None),
                    Preempt::After(delay) => {
                        let ends = hold.unwrap_or(now + delay);
                        (now < ends, Some(ends))
                    }
                };
                if follow {
                    self.follow(now, source, advert, hold);
                } else {
                    self.outrank(now, source, advert, hold, out);
                }
            }
            (Phase::Master { next_advert, waiting, listening, .. }, standing)
                if now.since(*next_advert) > interval || (*listening && !beats_us(standing)) =>
            {
                if waiting.len() < MAX_WAITING || waiting.contains_key(&source) {
                    waiting.insert(source, (advert.claim, advert.interval));
                }
            }
            (Phase::Master { .. }, Standing::Higher | Standing::Equal(Ordering::Greater)) => {
                self.send_last_advert(now, out);
                self.yield_to(now, source, advert.claim, advert.interval, out);
            }
            (Phase::Master { .. }, Standing::Resigned) => {
                // R17: the only reception that moves the advert timer, through the advert it sends.
                if self.may_answer(now) {
                    self.send(now, self.claim(), out);
                    self.restart_advert_timer(now);
                }
            }
            (Phase::Master { .. }, Standing::Lower | Standing::Equal(_)) => {
                self.rival_heard(now, source, advert.claim, out);
            }
            (Phase::Leaving { .. }, Standing::Resigned) => {}
            (Phase::Leaving { .. }, Standing::Lower | Standing::Equal(_) | Standing::Higher) => {
                self.successor_heard(now, source, advert);
            }
        }
    }

    /// A deadline may have passed; the caller has fed every packet that waited in the sockets.
    pub(crate) fn time_passed(&mut self, now: Now, out: &mut Outbox) {
        self.addresses.time_passed(now, out);
        let may_take_over = self.may_take_over();
        let serves_on = self.serves_on_without_successor();
        match &mut self.phase {
            Phase::Fault => {}
            Phase::Backup { master_down, .. } if *master_down > now || !may_take_over => {}
            Phase::Backup { master_down, .. } if self.grouped => {
                self.waits_since = Some(*master_down);
            }
            Phase::Backup { .. } => self.take_over(now, out),
            Phase::Master { next_advert, .. } if *next_advert <= now => self.advert_due(now, out),
            Phase::Master { .. } => {}
            Phase::Leaving { until, .. } if *until > now => {}
            Phase::Leaving { .. } if serves_on => self.serve_on(now, out),
            Phase::Leaving { .. } => {
                self.addresses.remove(now, out);
                self.left(now, out);
            }
        }
        self.announce_installed(now);
        self.announce_due(now, out);
    }

    /// Links, source address, sockets or trackers changed.
    pub(crate) fn environment_changed(&mut self, now: Now, env: Environment, out: &mut Outbox) {
        if self.stopped {
            return;
        }
        let before = std::mem::replace(&mut self.env, env);
        self.addresses.set_native(self.env.native.clone());
        let recreated = before.iface.is_some() && before.iface != self.env.iface;
        let serves = self.env.faults.is_empty();
        if serves {
            self.priority_changed(now, out);
        }
        match (&self.phase, serves && !recreated) {
            (Phase::Fault, false) => self.still_in_fault(now, out),
            (Phase::Fault, true) => self.leave_fault(now, out),
            (Phase::Backup { .. } | Phase::Leaving { .. }, true) => {}
            (Phase::Master { .. }, true) => {
                self.follow_links(now, out);
                self.follow_macs(now, &before, out);
            }
            (Phase::Backup { .. } | Phase::Master { .. } | Phase::Leaving { .. }, false) => {
                self.enter_fault(now, recreated, before.source, out);
                if serves {
                    self.leave_fault(now, out);
                }
            }
        }
        if !serves {
            // In Fault nobody is told.
            self.priority_changed(now, out);
        }
    }

    /// Whether its timer may end its time as a backup: after a start the preferred node must not take
    /// what it then cannot serve.
    pub(super) fn may_take_over(&self) -> bool {
        self.env.untested.is_empty()
    }

    /// A member of a group whose timer has ended.
    pub(crate) fn wants_master(&self) -> bool {
        match self.phase {
            Phase::Backup { master_down, .. } => {
                self.grouped && self.may_take_over() && self.waits_since == Some(master_down)
            }
            Phase::Fault | Phase::Master { .. } | Phase::Leaving { .. } => false,
        }
    }

    /// Its group is, or becomes, master.
    pub(crate) fn join_masters(&mut self, now: Now, out: &mut Outbox) {
        self.take_over(now, out);
        self.announce_installed(now);
        self.announce_due(now, out);
    }

    fn take_over(&mut self, now: Now, out: &mut Outbox) {
        let reason = self.takeover_reason(now);
        self.contact_lost(now, out);
        self.become_master(now, reason, out);
    }

    /// Another node is master and must be, or takes over from this one.
    pub(crate) fn follows_a_better_one(&self) -> bool {
        match &self.phase {
            Phase::Backup { waiting_for, .. } => {
                *waiting_for == WaitingFor::TheMaster && !self.wants_master()
            }
            Phase::Leaving { .. } => !self.serves_on_without_successor(),
            Phase::Fault | Phase::Master { .. } => false,
        }
    }

    /// Somebody took over from another member of its group: it must not serve on alone.
    pub(crate) fn group_succeeded(&mut self) {
        if let Phase::Leaving { succeeded, .. } = &mut self.phase {
            *succeeded = true;
        }
    }

    /// A master whose group goes to backup: the successor comes without being called. `better` is the claim of
    /// the one the group yields to, if it yields right now.
    pub(crate) fn follow_group(
        &mut self,
        now: Now,
        better: Option<Claim>,
        reason: Reason,
        out: &mut Outbox,
    ) {
        // A higher claim than the successor's would call it back.
        if better.is_some_and(|claim| claim.wire_value() >= self.effective.get()) {
            self.send_last_advert(now, out);
        }
        let then = self.back_to_backup(now);
        self.leave(now, then, reason, out);
    }

    /// The claim of the master it follows, if it was heard at this very moment.
    pub(crate) fn just_heard(&self, now: Now) -> Option<Claim> {
        self.followed.filter(|followed| followed.at == now).map(|followed| followed.claim)
    }

    /// A link was replaced by another of the same name: its addresses move to that one.
    fn follow_links(&mut self, now: Now, out: &mut Outbox) {
        let ports = &self.env.ports;
        let moved = self.addresses.follow(now, |name| ports.get(name).map(|p| p.index), out);
        if let Phase::Master { installing, .. } = &mut self.phase {
            *installing |= moved;
        }
    }

    /// The kernel reports an address as removed.
    pub(crate) fn address_vanished(
        &mut self,
        now: Now,
        iface: IfIndex,
        cidr: Cidr,
        out: &mut Outbox,
    ) {
        match self.phase {
            Phase::Master { .. } => self.addresses.vanished(now, iface, cidr, out),
            // On its way out anyway: whoever removed it, it need not come back.
            Phase::Leaving { .. } => {
                self.addresses.release(now, cidr.address(), out);
                self.left_if_empty(now, out);
            }
            Phase::Fault | Phase::Backup { .. } => {}
        }
    }

    /// Another node announced one of our addresses: the moment to let go of it, if we are leaving.
    pub(crate) fn announced_elsewhere(
        &mut self,
        now: Now,
        vip: IpAddr,
        mac: Mac,
        out: &mut Outbox,
    ) {
        match self.phase {
            Phase::Leaving { ref mut succeeded, .. } => {
                *succeeded = true;
                self.addresses.release(now, vip, out);
                self.left_if_empty(now, out);
            }
            // Perhaps a better node's, whose advert still waits in the other socket.
            Phase::Master { .. } => {
                self.announced_elsewhere.insert(vip, now);
                self.peers.claimed(now, vip, mac);
                self.ask_for_peers(now, out);
            }
            Phase::Fault | Phase::Backup { .. } => {}
        }
    }

    /// The leases to lengthen: only a master that knows it is one asks for them.
    pub(crate) fn renew(&mut self, now: Now, renewals: &mut Vec<Renewal>) {
        let sure = match &self.phase {
            Phase::Master { next_advert, waiting, listening, .. } => {
                *next_advert > now && waiting.is_empty() && !listening
            }
            Phase::Leaving { until, .. } => *until > now,
            Phase::Fault | Phase::Backup { .. } => false,
        };
        if sure {
            self.addresses.renew(now, renewals);
        }
    }

    /// It has reported one since the start.
    pub(crate) fn has_a_state(&self) -> bool {
        self.announced_state
    }

    /// It has no business with its addresses at the moment.
    pub(crate) fn serves_nothing(&self) -> bool {
        let idle = matches!(self.phase, Phase::Fault | Phase::Backup { .. });
        idle && self.announced_state && !self.stopped
    }

    /// An address operation was answered; `false` if it is not one of this router's.
    pub(crate) fn op_done(
        &mut self,
        now: Now,
        op: OpId,
        result: &Result<Applied, OpError>,
        out: &mut Outbox,
    ) -> bool {
        let mut announce_again = false;
        match self.addresses.done(now, op, result, out) {
            OpOutcome::NotOurs => return false,
            OpOutcome::Done => {}
            OpOutcome::Stray(cidr) => {
                let state = self.state();
                let message = format!("{cidr} was on this host although it is {state}: removed");
                out.record(Level::Warn, Some(&self.cfg.name), message);
            }
            OpOutcome::Recovered(cidr) => {
                announce_again = true;
                let message = || format!("{cidr} is in place now");
                self.log.record(now, &self.cfg.name, "recovered", Level::Info, message, out);
            }
            OpOutcome::Restored { cidr, fight } => {
                self.stats.counters.addresses_readded += 1;
                announce_again = true;
                let (reason, message) = if fight {
                    (
                        "fight",
                        format!(
                            "Somebody keeps removing {cidr}: put back again; look for a network \
                             manager or another VRRP daemon on this host"
                        ),
                    )
                } else {
                    ("readded", format!("Somebody removed {cidr}: put back, still master"))
                };
                self.log.record(now, &self.cfg.name, reason, Level::Warn, || message, out);
            }
            OpOutcome::Refused(error) => {
                self.stats.counters.address_errors += 1;
                let message = || format!("Cannot {error}; trying again every second");
                self.log.record(now, &self.cfg.name, "address", Level::Warn, message, out);
            }
        }
        if let Phase::Master { installing, .. } = &mut self.phase {
            *installing |= announce_again;
        }
        if self.announce_installed(now) {
            self.announce_due(now, out);
        }
        true
    }

    /// Begins to announce once the kernel has every address; `true` if this is the moment. A master
    /// that has overslept first finds out whether it still is one: what waits in its sockets decides
    /// (R36).
    fn announce_installed(&mut self, now: Now) -> bool {
        let settled = self.addresses.settled();
        let interval = self.cfg.interval.as_duration();
        if let Phase::Master { announce, installing, next_advert, listening, .. } = &mut self.phase
            && settled
            && !*listening
            && now.since(*next_advert) <= interval
            && std::mem::take(installing)
        {
            announce.taken_over(now, &self.cfg.announce);
            return true;
        }
        false
    }

    /// The machine slept for `gap` (R35, R36).
    pub(crate) fn suspended(&mut self, now: Now, gap: Duration, out: &mut Outbox) {
        if gap <= self.surely_replaced_after() {
            return;
        }
        if let Phase::Master { next_advert, listening, .. } = &mut self.phase {
            self.stats.counters.stalls += 1;
            if self.cfg.preempt == Preempt::Never && !self.effective.is_owner() {
                self.step_down(now, Reason::ReplacedWhileSuspended { gap }, out);
            } else {
                *listening = true;
                *next_advert = now + self.cfg.interval.as_duration();
            }
        }
    }
}
