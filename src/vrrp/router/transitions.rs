//! What the state machine does: follow, outrank, assert, yield, take over, fail, and the advert itself.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{Config, Release, RouterConfig};
use crate::io::{Action, Kind, Level, Notification, NotifyEvent};
use crate::status::State;
use crate::types::{Centis, Dialect, Family, Now};
use crate::vrrp::announce::Announce;
use crate::vrrp::environment::{Fault, Port};
use crate::vrrp::outbox::Outbox;
use crate::vrrp::reason::Reason;
use crate::vrrp::router::conflicts::ConflictCheck;
use crate::vrrp::router::{AFTER_ADVERT, Followed, Phase, Router, Standing, Then, WaitingFor};
use crate::vrrp::timing;
use crate::wire::vrrp::{Advert, Claim};

impl Router {
    pub(super) fn standing(&self, claim: Claim, source: IpAddr) -> Standing {
        let Claim::Priority(theirs) = claim else { return Standing::Resigned };
        match theirs.cmp(&self.effective) {
            Ordering::Less => Standing::Lower,
            Ordering::Greater => Standing::Higher,
            // Numeric, network byte order (R18): what `IpAddr` compares within one family.
            Ordering::Equal => {
                Standing::Equal(self.env.source.map_or(Ordering::Greater, |own| source.cmp(&own)))
            }
        }
    }

    pub(super) fn master_down_after(&self, master_interval: Centis) -> Duration {
        timing::master_down(
            &self.cfg.dialect,
            self.effective,
            master_interval,
            self.cfg.options.down_timer_adverts,
        )
    }

    /// How long a master can say nothing before it must have a successor.
    pub(super) fn surely_replaced_after(&self) -> Duration {
        let RouterConfig { dialect, highest_peer_priority, interval, .. } = &*self.cfg;
        let adverts = self.cfg.options.down_timer_adverts;
        timing::surely_replaced(dialect, *highest_peer_priority, *interval, adverts)
    }

    /// The interval to use while following an advert (T2, D25).
    pub(super) fn learned(&mut self, advertised: Centis) -> Centis {
        match self.cfg.dialect {
            Dialect::V2(_) => self.cfg.interval,
            Dialect::V3Ipv4(_) | Dialect::V3Ipv6 => {
                if advertised > self.cfg.options.max_learned_interval {
                    self.stats.counters.interval_clamped += 1;
                }
                advertised.min(self.cfg.options.max_learned_interval)
            }
        }
    }

    /// R9, R12: accept the sender as master.
    pub(super) fn follow(
        &mut self,
        now: Now,
        source: IpAddr,
        advert: &Advert,
        new_hold: Option<Now>,
    ) {
        let learned = self.learned(advert.interval);
        let wait = self.master_down_after(learned);
        self.heard_from(now, source, advert.claim, None);
        if let Phase::Backup { master_down, master_interval, hold, waiting_for } = &mut self.phase {
            *master_interval = learned;
            *master_down = now + wait;
            *hold = new_hold;
            *waiting_for = WaitingFor::TheMaster;
        }
    }

    pub(super) fn heard_from(
        &mut self,
        now: Now,
        address: IpAddr,
        claim: Claim,
        interval: Option<Centis>,
    ) {
        self.followed = Some(Followed { address, claim, interval, at: now });
    }

    /// R11: a lower-priority master is left to its reign until our timer ends.
    pub(super) fn outrank(
        &mut self,
        now: Now,
        source: IpAddr,
        advert: &Advert,
        new_hold: Option<Now>,
        out: &mut Outbox,
    ) {
        let interval = advert.interval.min(self.cfg.options.max_learned_interval);
        self.heard_from(now, source, advert.claim, Some(interval));
        if let Phase::Backup { hold, waiting_for, .. } = &mut self.phase {
            *hold = new_hold;
            if *waiting_for != WaitingFor::Succession {
                *waiting_for = WaitingFor::Preemption;
            }
        }
        let ours = self.effective;
        let message = || {
            let theirs = advert.claim.wire_value();
            format!(
                "received lower priority ({theirs}) advert from {source} - discarding, ours is {ours}"
            )
        };
        self.log.record(now, &self.cfg.name, "lower", Level::Info, message, out);
    }

    /// R8, hardened: repeated resignations cannot push the deadline away.
    pub(super) fn resignation_heard(&mut self, now: Now, source: IpAddr, out: &mut Outbox) {
        let strict = self.cfg.strict.is_some();
        self.heard_from(now, source, Claim::Resign, None);
        if let Phase::Backup { master_down, master_interval, waiting_for, .. } = &mut self.phase {
            let skew = timing::skew(&self.cfg.dialect, self.effective, *master_interval);
            *master_down = if strict { now + skew } else { (now + skew).min(*master_down) };
            *waiting_for = WaitingFor::Succession;
        }
        let message = || format!("Backup received priority 0 advertisement from {source}");
        self.log.record(now, &self.cfg.name, "resigned", Level::Info, message, out);
    }

    /// R20
    pub(super) fn duplicate_heard(&mut self, now: Now, source: IpAddr, out: &mut Outbox) {
        self.stats.counters.duplicate_source += 1;
        let message = || {
            format!(
                "Received an advert with our own priority from our own address {source}: a loop in \
                 the network, or two nodes with one address"
            )
        };
        self.log.record(now, &self.cfg.name, "duplicate_source", Level::Warn, message, out);
    }

    /// Make before break: from here on each address goes when its successor announces it.
    pub(super) fn leave(&mut self, now: Now, then: Then, reason: Reason, out: &mut Outbox) {
        let wait = match then {
            Then::Backup { waiting_for: WaitingFor::TheMaster, .. } => AFTER_ADVERT,
            Then::Backup { .. } | Then::Stop | Then::Drained => {
                timing::longest_skew(&self.cfg.dialect, self.cfg.interval) + AFTER_ADVERT
            }
        };
        self.since = now;
        let succeeded = wait == AFTER_ADVERT;
        self.phase = Phase::Leaving { until: now + wait, then, succeeded, reason };
        if self.cfg.options.release == Release::Now {
            self.addresses.remove(now, out);
        }
        for (vip, at) in std::mem::take(&mut self.announced_elsewhere) {
            // No order holds between the two sockets: its announcement may be read before its advert.
            if wait == AFTER_ADVERT && now.since(at) <= AFTER_ADVERT {
                self.addresses.release(now, vip, out);
            }
        }
        self.left_if_empty(now, out);
    }

    /// The successor's advert: it installs the addresses at this moment.
    pub(super) fn successor_heard(&mut self, now: Now, source: IpAddr, advert: &Advert) {
        self.heard_from(now, source, advert.claim, None);
        let learned = self.learned(advert.interval);
        let wait = self.master_down_after(learned);
        if let Phase::Leaving { until, then, succeeded, .. } = &mut self.phase {
            *succeeded = true;
            *until = (*until).min(now + AFTER_ADVERT);
            if let Then::Backup { master_down, master_interval, waiting_for } = then {
                *master_down = now + wait;
                *master_interval = learned;
                *waiting_for = WaitingFor::TheMaster;
            }
        }
    }

    pub(super) fn left_if_empty(&mut self, now: Now, out: &mut Outbox) {
        let leaves = matches!(self.phase, Phase::Leaving { .. });
        if leaves && self.addresses.let_go() && !self.serves_on_without_successor() {
            self.left(now, out);
        }
    }

    /// The hand-over is complete.
    pub(super) fn left(&mut self, now: Now, out: &mut Outbox) {
        let Phase::Leaving { then, reason, .. } = &mut self.phase else { return };
        let (then, reason) = (*then, reason.clone());
        match then {
            Then::Stop => {
                self.stats.counters.release_master += 1;
                self.stopped(now);
            }
            Then::Drained => {
                self.phase = Phase::Fault;
                self.env.faults.insert(Fault::Drained);
                self.entered(now, State::Master, reason, out);
            }
            Then::Backup { master_down, master_interval, waiting_for } => {
                self.phase =
                    Phase::Backup { master_down, master_interval, hold: None, waiting_for };
                self.entered(now, State::Master, reason, out);
            }
        }
    }

    /// Steps aside without anybody's advert.
    pub(super) fn step_down(&mut self, now: Now, reason: Reason, out: &mut Outbox) {
        self.become_backup(now, self.cfg.interval, WaitingFor::AnyMaster, reason, out);
    }

    pub(super) fn become_backup(
        &mut self,
        now: Now,
        master_interval: Centis,
        waiting_for: WaitingFor,
        reason: Reason,
        out: &mut Outbox,
    ) {
        let from = self.state();
        let start = now.max(self.quiet_until);
        let wait = if self.effective.is_owner() && from == State::Fault {
            Duration::ZERO
        } else {
            self.master_down_after(master_interval)
        };
        self.phase =
            Phase::Backup { master_down: start + wait, master_interval, hold: None, waiting_for };
        self.addresses.remove(now, out);
        self.entered(now, from, reason, out);
    }

    /// R7: advert, addresses, and announcements once the kernel has them (W34).
    pub(super) fn become_master(&mut self, now: Now, reason: Reason, out: &mut Outbox) {
        let from = self.state();
        self.reign(now, out);
        self.entered(now, from, reason, out);
    }

    fn reign(&mut self, now: Now, out: &mut Outbox) {
        let preempts =
            matches!(self.phase, Phase::Backup { waiting_for: WaitingFor::Preemption, .. });
        self.phase = Phase::Master {
            next_advert: now + self.cfg.interval.as_duration(),
            announce: Announce::default(),
            installing: true,
            answered: None,
            preempted: self.followed.filter(|_| preempts).map(|followed| followed.address),
            waiting: BTreeMap::new(),
            listening: false,
        };
        self.yielded = false;
        self.conflicts = ConflictCheck::default();
        self.send(now, self.claim(), out);
        let ports = &self.env.ports;
        self.addresses.install(now, |name| ports.get(name).map(|p| p.index), out);
    }

    /// Nobody took over what the operator wanted to be handed over. Those who follow this router were
    /// told nothing yet.
    pub(super) fn serve_on(&mut self, now: Now, out: &mut Outbox) {
        self.reign(now, out);
        self.entered_master_again(now, Reason::NobodyTookOver, out);
        if std::mem::take(&mut self.drained) {
            out.push(Action::NotDrained { router: self.cfg.name.clone() });
        }
    }

    pub(super) fn takeover_reason(&self, now: Now) -> Reason {
        let Phase::Backup { waiting_for, .. } = &self.phase else { return self.reason.clone() };
        match (waiting_for, self.followed) {
            (WaitingFor::Succession, Some(f)) => Reason::MasterResigned(f.address),
            (WaitingFor::Preemption, Some(f)) => Reason::Preemption {
                master: f.address,
                theirs: f.claim.wire_value(),
                ours: self.effective,
            },
            (WaitingFor::TheMaster, Some(f)) => {
                Reason::MasterSilent { master: f.address, silence: now.since(f.at) }
            }
            _ if self.effective.is_owner() => Reason::AddressOwner,
            _ => Reason::NoMasterHeard(now.since(self.since)),
        }
    }

    /// R22. `spoke_from` is the source address of the adverts so far.
    pub(super) fn enter_fault(
        &mut self,
        now: Now,
        recreated: bool,
        spoke_from: Option<IpAddr>,
        out: &mut Outbox,
    ) {
        let from = self.state();
        let reason = if recreated && self.env.faults.iter().all(|f| *f == Fault::Starting) {
            Reason::InterfaceRecreated(self.cfg.iface.clone())
        } else {
            self.fault_reason()
        };
        // A fault of another link that carries an address does not keep us from saying so.
        let own = &self.cfg.iface;
        let silent = |f: &Fault| match f {
            Fault::NoInterface(name) | Fault::LinkDown(name) | Fault::LinkUnsettled(name) => {
                name == own
            }
            // The IPv4 header is ours to write; for IPv6 the kernel insists on an address it has.
            Fault::NoSource(_, family) => *family == Family::Ipv6,
            Fault::SourceNotHere(source) => source.is_ipv6(),
            Fault::NoSourceForPeers(_) | Fault::NoPeer | Fault::EmptyPeers => true,
            Fault::Starting | Fault::Socket(_) | Fault::Mtu { .. } => true,
            Fault::Tracker(_)
            | Fault::Group { .. }
            | Fault::Drained
            | Fault::StaticAddress { .. } => false,
        };
        let leaving = from == State::Leaving;
        let from = if leaving { State::Master } else { from };
        if from == State::Master && !leaving && !recreated && !self.env.faults.iter().any(silent) {
            let source = self.env.source;
            self.env.source = source.or(spoke_from);
            self.resign(now, out);
            self.env.source = source;
        }
        if let Phase::Leaving { then: Then::Stop, .. } = self.phase {
            self.addresses.remove(now, out);
            self.left(now, out);
            return;
        }
        self.phase = Phase::Fault;
        self.addresses.remove(now, out);
        self.entered(now, from, reason, out);
    }

    pub(super) fn still_in_fault(&mut self, now: Now, out: &mut Outbox) {
        let starting = self.env.faults.iter().all(|f| *f == Fault::Starting);
        let reason = self.fault_reason();
        if self.announced_state {
            self.reason = reason;
        } else if !starting {
            self.entered(now, State::Fault, reason, out);
        }
    }

    /// R23, R1, R2: the timers start afresh with our own interval.
    pub(super) fn leave_fault(&mut self, now: Now, out: &mut Outbox) {
        self.followed = None;
        self.announce_source(out);
        if self.adoptable && !self.announced_state {
            // C60: nobody can have taken over yet; installing again only renews the leases.
            self.become_master(now, Reason::Adopted, out);
            return;
        }
        let at_once = now >= self.quiet_until && self.may_take_over() && !self.grouped;
        if self.effective.is_owner() && at_once {
            self.become_master(now, Reason::AddressOwner, out);
            return;
        }
        let reason = if !self.announced_state {
            Reason::Started
        } else if self.reason == Reason::Drained {
            Reason::Resumed
        } else {
            Reason::FaultsCleared
        };
        self.become_backup(now, self.cfg.interval, WaitingFor::AnyMaster, reason, out);
    }

    /// C75: while this node was in Fault its peers may have forgotten where its own address is, or
    /// learnt it from somebody else; with multicast nobody needs to know.
    fn announce_source(&mut self, out: &mut Outbox) {
        let port = self.env.ports.get(&self.cfg.iface);
        let (true, Some(vip), Some(Port { index, mac: Some(mac), announces: true })) =
            (self.cfg.is_unicast() && self.env.source_is_local, self.env.source, port)
        else {
            return;
        };
        self.stats.counters.announcements_sent += 1;
        self.peers.announced(vip);
        let (iface, mac, router_flag) = (*index, *mac, self.cfg.options.router_flag);
        out.push(Action::Announce { iface, mac, vip, router_flag });
    }

    fn fault_reason(&self) -> Reason {
        if self.env.faults.iter().eq([&Fault::Drained]) {
            return Reason::Drained;
        }
        let all: Vec<_> = self.env.faults.iter().map(ToString::to_string).collect();
        Reason::Fault(all.join("; "))
    }

    /// R24: clamp, shift a backup's running deadline by the change of skew, tell the LAN at once
    /// when a master's priority falls.
    pub(super) fn priority_changed(&mut self, now: Now, out: &mut Outbox) {
        let new = crate::track::effective(self.cfg.priority, self.env.tracked);
        let old = std::mem::replace(&mut self.effective, new);
        if new == old {
            return;
        }
        self.effective_since = now;
        let message = format!("Changing effective priority from {old} to {new}");
        out.record(Level::Info, Some(&self.cfg.name), message.clone());
        let master = matches!(self.phase, Phase::Master { .. } | Phase::Leaving { .. });
        self.notify(NotifyEvent::PriorityChanged { master }, message, out);
        match &mut self.phase {
            Phase::Fault => {}
            Phase::Backup { master_down, master_interval, hold, waiting_for } => {
                let skew = |p| timing::skew(&self.cfg.dialect, p, *master_interval);
                *master_down = (*master_down + skew(new)).saturating_sub(skew(old));
                // A master that was to be preempted is the better one now: its last advert counts
                // after all.
                if let Some(Followed { claim: Claim::Priority(theirs), interval, at, .. }) =
                    self.followed
                    && (new..old).contains(&theirs)
                {
                    let interval = interval.unwrap_or(*master_interval);
                    let wait = timing::master_down(
                        &self.cfg.dialect,
                        new,
                        interval,
                        self.cfg.options.down_timer_adverts,
                    );
                    *master_down = (*master_down).max(at + wait);
                    *hold = None;
                    *waiting_for = WaitingFor::TheMaster;
                }
            }
            Phase::Master { .. } if new < old => self.send(now, self.claim(), out),
            Phase::Master { .. } | Phase::Leaving { .. } => {}
        }
    }

    pub(super) fn entered(&mut self, now: Now, from: State, reason: Reason, out: &mut Outbox) {
        let to = self.state();
        let from = self.announced_state.then_some(from);
        self.announced_state = true;
        self.since = now;
        self.peers.clear_conflicts();
        self.stats.transition(now, from, to, reason.clone());
        let suffix = if from.is_none() && to == State::Backup { " (init)" } else { "" };
        out.record(
            if to == State::Fault { Level::Warn } else { Level::Info },
            Some(&self.cfg.name),
            format!("Entering {to} STATE{suffix}: {reason}"),
        );
        self.notify(NotifyEvent::Entered { from, to }, reason.to_string(), out);
        self.reason = reason;
    }

    pub(crate) fn notify(&self, event: NotifyEvent, reason: String, out: &mut Outbox) {
        let (name, priority) = (self.cfg.name.clone(), self.effective.get());
        out.push(Action::Notify(Notification {
            kind: Kind::Router,
            name,
            event,
            reason,
            priority,
        }));
    }

    /// Removed from the configuration, its addresses gone. Another router may have its name by now:
    /// that one's news come after.
    pub(crate) fn deleted(&self, config: &Config, out: &mut Outbox) {
        if config.routers.iter().any(|router| router.name == self.cfg.name) {
            return;
        }
        self.notify(NotifyEvent::Deleted, "removed from the configuration".to_owned(), out);
    }
}
