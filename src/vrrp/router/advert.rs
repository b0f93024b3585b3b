//! This router's own adverts: when one is due, and what it says.

use std::net::IpAddr;

use crate::config::{Cast, Preempt};
use crate::io::{Action, Level};
use crate::types::Now;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::reason::Reason;
use crate::vrrp::router::{Phase, Router, beats_us};
use crate::wire::vrrp::{Advert, Claim};
use crate::wire::{ipv4, vrrp as wire};

impl Router {
    pub(super) fn claim(&self) -> Claim {
        Claim::Priority(self.effective)
    }

    pub(super) fn restart_advert_timer(&mut self, now: Now) {
        if let Phase::Master { next_advert, .. } = &mut self.phase {
            *next_advert = now + self.cfg.interval.as_duration();
        }
    }

    /// R16, and after a stall R36 and R38: at most one advert, however late.
    pub(super) fn advert_due(&mut self, now: Now, out: &mut Outbox) {
        let interval = self.cfg.interval.as_duration();
        let replaced_after = self.surely_replaced_after();
        let Phase::Master { next_advert, waiting, listening, .. } = &mut self.phase else { return };
        let late = now.since(*next_advert);
        let waited = std::mem::take(waiting);
        *listening = false;
        // The schedule keeps its phase unless a whole interval was missed (C50).
        *next_advert = if late < interval { *next_advert + interval } else { now + interval };
        if late > interval {
            self.stats.counters.stalls += 1;
        }
        if late + interval > replaced_after
            && self.cfg.preempt == Preempt::Never
            && !self.effective.is_owner()
        {
            let reason = Reason::ReplacedWhileStalled { late };
            out.record(Level::Warn, Some(&self.cfg.name), reason.to_string());
            self.step_down(now, reason, out);
            return;
        }
        let best = waited
            .into_iter()
            .map(|(source, (claim, interval))| (source, claim, interval))
            .filter(|(_, claim, _)| *claim != Claim::Resign)
            .max_by_key(|(source, claim, _)| (claim.wire_value(), *source));
        match best {
            Some((source, claim, theirs)) if beats_us(self.standing(claim, source)) => {
                if late > interval {
                    let late = late.as_secs_f64();
                    let message =
                        format!("vipd did not run for {late:.1} s: {source} has taken over");
                    out.record(Level::Warn, Some(&self.cfg.name), message);
                } else {
                    self.send_last_advert(now, out);
                }
                self.yield_to(now, source, claim, theirs, out);
            }
            Some((source, claim, _)) => {
                self.send(now, self.claim(), out);
                self.heard_from(now, source, claim, None);
                if let Phase::Master { announce, answered, .. } = &mut self.phase {
                    *answered = Some(now);
                    announce.rival_heard(now, &self.cfg.announce);
                }
            }
            None => self.send(now, self.claim(), out),
        }
        if let Phase::Master { installing, .. } = &mut self.phase
            && self.addresses.reinstall_lapsed(now, out)
        {
            *installing = true;
            self.served_again(now, late, out);
        }
        self.check_conflicts(now, out);
    }

    /// Says that this router serves no more, while the addresses still answer.
    pub(super) fn resign(&mut self, now: Now, out: &mut Outbox) {
        self.send(now, Claim::Resign, out);
        out.record(Level::Info, Some(&self.cfg.name), "sent 0 priority".to_owned());
    }

    /// Builds the advert at the moment it is sent: it always carries what holds now.
    pub(super) fn send(&mut self, now: Now, claim: Claim, out: &mut Outbox) {
        let (Some(iface), Some(source)) = (self.env.iface, self.env.source) else { return };
        let advert = Advert {
            vrid: self.cfg.vrid,
            claim,
            interval: self.cfg.interval,
            addresses: self.cfg.advertised().collect(),
        };
        let hop_limit = match self.cfg.cast {
            Cast::Multicast { .. } => wire::HOP_LIMIT,
            Cast::Unicast { ttl, .. } => ttl,
        };
        if let (IpAddr::V4(_), false) = (source, self.env.destinations.is_empty()) {
            self.ip_id = self.ip_id.checked_add(1).unwrap_or(1);
        }
        // One datagram per peer: the checksum of VRRPv3 covers the destination (W22).
        for &destination in &self.env.destinations {
            let mut message = Vec::with_capacity(64);
            if let Err(error) = advert.emit(&self.cfg.dialect, source, destination, &mut message) {
                debug_assert!(false, "the configuration let an unsendable advert pass: {error}");
                return;
            }
            let bytes = match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    let (id, length) = (self.ip_id, message.len());
                    let protocol = wire::PROTOCOL;
                    let mut datagram = Vec::with_capacity(length + 20);
                    let header = ipv4::emit(
                        id,
                        source,
                        destination,
                        hop_limit,
                        protocol,
                        length,
                        &mut datagram,
                    );
                    if header.is_err() {
                        debug_assert!(false, "an advert is shorter than 64 KiB");
                        return;
                    }
                    datagram.extend_from_slice(&message);
                    datagram
                }
                _ => message,
            };
            out.push(Action::Transmit { iface, source, destination, hop_limit, bytes });
        }
        // An advert counts once, however many peers it goes to.
        self.stats.counters.adv_sent += 1;
        if claim == Claim::Resign {
            self.stats.counters.pri_zero_sent += 1;
        }
        self.last_sent = Some(now);
    }
}
