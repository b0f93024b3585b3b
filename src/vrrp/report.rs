//! One router's part of the status, with the sentences an operator needs at 3 a.m.

use std::net::IpAddr;
use std::time::Duration;

use crate::status::{MasterStatus, RouterStatus, State};
use crate::types::{Dialect, Now};
use crate::vrrp::hear::list;
use crate::vrrp::ledger::{Peer, millis};
use crate::vrrp::router::{Fault, Phase, Router};
use crate::wire::vrrp::Claim;

/// A refusal older than this no longer explains the present.
const RECENT: Duration = Duration::from_secs(60);

impl Router {
    pub(crate) fn status(&self, now: Now) -> RouterStatus {
        let cfg = &self.cfg;
        let master_interval = match &self.phase {
            Phase::Backup { master_interval, .. } => *master_interval,
            Phase::Fault | Phase::Master { .. } | Phase::Leaving { .. } => cfg.interval,
        };
        let deadline = match &self.phase {
            Phase::Fault => None,
            Phase::Backup { master_down, .. } => Some(*master_down),
            Phase::Master { next_advert, .. } => Some(*next_advert),
            Phase::Leaving { until, .. } => Some(*until),
        };
        RouterStatus {
            name: cfg.name.clone(),
            interface: cfg.iface.clone(),
            vrid: cfg.vrid.get(),
            version: cfg.dialect.version(),
            family: cfg.dialect.family(),
            state: self.state(),
            state_age_ms: millis(now.since(self.since)),
            reason: self.reason.clone(),
            faults: match self.phase {
                Phase::Fault => self.env.faults.iter().map(Fault::to_string).collect(),
                Phase::Backup { .. } | Phase::Master { .. } | Phase::Leaving { .. } => Vec::new(),
            },
            base_priority: cfg.priority.get(),
            priority: self.effective.get(),
            interval_ms: millis(cfg.interval.as_duration()),
            master_interval_ms: millis(master_interval.as_duration()),
            source: self.env.source,
            master: self.master_status(now),
            next_deadline_ms: deadline.map(|at| millis(at.since(now))),
            addresses: self.holding.status(now),
            counters: self.ledger.counters.clone(),
            peers: self.ledger.peer_status(now),
            transitions: self.ledger.transition_status(now),
            drained: self.drained,
            hints: self.hints(now),
        }
    }

    fn master_status(&self, now: Now) -> Option<MasterStatus> {
        match self.phase {
            Phase::Master { .. } => Some(MasterStatus {
                address: self.env.source?,
                priority: self.effective.get(),
                is_self: true,
                last_advert_ms: self.last_sent.map(|at| millis(now.since(at))),
            }),
            Phase::Backup { .. } | Phase::Leaving { .. } => self.followed.map(|f| MasterStatus {
                address: f.address,
                priority: f.claim.wire_value(),
                is_self: false,
                last_advert_ms: Some(millis(now.since(f.at))),
            }),
            Phase::Fault => None,
        }
    }

    fn hints(&self, now: Now) -> Vec<String> {
        let mut hints = Vec::new();
        for (address, peer) in self.ledger.peers() {
            if let Some(hint) = self.refusal_hint(now, *address, peer) {
                hints.push(hint);
            }
            if let Some(hint) = self.rival_hint(now, *address, peer) {
                hints.push(hint);
            }
        }
        if self.ledger.counters.duplicate_source > 0 {
            hints.push(
                "adverts arrive from our own address: a loop in the network, or another node uses \
                 this address"
                    .to_owned(),
            );
        }
        hints
    }

    /// A peer we cannot understand, and what would make both agree.
    fn refusal_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let (at, refusal) = peer.last_refusal.as_ref()?;
        if now.since(*at) > RECENT || peer.last_accepted.is_some_and(|accepted| accepted > *at) {
            return None;
        }
        let remedy = match refusal.counter() {
            "version_errors" => "set the same `version` on both nodes",
            "invalid_auth_type" | "auth_type_mismatch" | "auth_failures" => {
                "set the same `authentication` on both nodes, or is its VRID somebody else's?"
            }
            "interval_errors" => "set the same `advert_int` on both nodes",
            "packet_length_errors" => "does it sign its adverts (auth_hmac) or differ in version?",
            "ip_ttl_errors" => "find the router or tunnel between you, or the forger",
            "unexpected_owner" => "take priority 255 away from it, or set `expect_owner = true`",
            _ => "see `vipd status NAME` for the counters",
        };
        Some(format!(
            "{address} also speaks for VRID {}, but is refused ({refusal}): both nodes may be \
             master; {remedy}",
            self.cfg.vrid
        ))
    }

    /// A peer that goes on advertising although we are master.
    fn rival_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let Some(Claim::Priority(theirs)) = peer.claim else { return None };
        let patience = self.cfg.interval.as_duration() * 3;
        let advertising = peer.last_accepted.is_some_and(|at| now.since(at) <= patience);
        if self.state() != State::Master || !advertising || now.since(self.since) <= patience {
            return None;
        }
        let cause = if let Some(other) = &peer.other_list {
            let ours: Vec<IpAddr> = self.cfg.advertised().collect();
            format!(
                "it lists {} where we list {}, and keepalived before 2.3.3 refuses adverts whose \
                 list differs: make the lists equal",
                list(other),
                list(&ours)
            )
        } else if let (Dialect::V3Ipv4(ours), Some(theirs)) = (self.cfg.dialect, peer.checksum)
            && ours != theirs
        {
            "it uses the other VRRPv3 checksum form and probably refuses our adverts: set \
             v3_checksum_as_v2 on one side"
                .to_owned()
        } else {
            "it does not hear or does not accept our adverts: compare its configuration, and look \
             for a filter on IP protocol 112"
                .to_owned()
        };
        Some(format!("{address} is master too, with priority {theirs}: {cause}"))
    }
}
