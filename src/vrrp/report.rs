//! One router's part of the status, with the sentences an operator needs at 3 a.m.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::Preempt;
use crate::status::{MasterStatus, RouterStatus, State, TrackedStatus};
use crate::types::{Dialect, Now};
use crate::vrrp::hear::list;
use crate::vrrp::ledger::{Peer, millis};
use crate::vrrp::router::{Fault, Followed, Phase, Router};
use crate::wire::vrrp::Claim;

/// A stray packet older than this no longer explains the present.
const RECENT: Duration = Duration::from_secs(60);
/// Two configurations that differ do so until somebody changes one, and a keepalived that refuses us
/// holds the addresses without another word: what it said once is remembered for this long.
const DISAGREEMENT: Duration = Duration::from_secs(24 * 60 * 60);

impl Router {
    /// `heard` is when another node's last packet arrived on the router's interface.
    pub(crate) fn status(
        &self,
        tracking: Vec<TrackedStatus>,
        now: Now,
        heard: Option<Now>,
    ) -> RouterStatus {
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
            group: None,
            tracking,
            interval_ms: millis(cfg.interval.as_duration()),
            master_interval_ms: millis(master_interval.as_duration()),
            source: self.env.source,
            destinations: self.env.destinations.clone(),
            master: self.master_status(now),
            next_deadline_ms: deadline.map(|at| millis(at.since(now))),
            addresses: self.holding.status(now),
            counters: self.ledger.counters.clone(),
            peers: self.ledger.peer_status(now),
            transitions: self.ledger.transition_status(now),
            drained: self.drained,
            drained_since: None,
            drained_sticky: false,
            last_heard_ms: heard.map(|at| millis(now.since(at))),
            outlook: self.outlook(now),
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
            Phase::Fault if !self.drained => None,
            Phase::Fault | Phase::Backup { .. } | Phase::Leaving { .. } => {
                self.followed.map(|f| MasterStatus {
                    address: f.address,
                    priority: f.claim.wire_value(),
                    is_self: false,
                    last_advert_ms: Some(millis(now.since(f.at))),
                })
            }
        }
    }

    fn hints(&self, now: Now) -> Vec<String> {
        let mut hints = Vec::new();
        for (address, peer) in self.ledger.peers() {
            hints.extend(self.refusal_hint(now, *address, peer));
            hints.extend(self.list_hint(now, *address, peer));
            hints.extend(self.rival_hint(now, *address, peer));
        }
        hints.extend(self.patience_hint(now));
        hints.extend(self.untested_hint());
        hints.extend(self.group_hint());
        hints.extend(self.holding.fights(now).map(|(cidr, readded)| {
            format!(
                "somebody keeps removing {cidr}, put back {readded} times: look for a network \
                 manager or another VRRP daemon on this host"
            )
        }));
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
        let (remedy, remembered) = match refusal.counter() {
            "version_errors" => ("set the same `version` on both nodes", DISAGREEMENT),
            "invalid_auth_type" | "auth_type_mismatch" | "auth_failures" => {
                ("set the same `authentication` on both nodes", DISAGREEMENT)
            }
            "interval_errors" => ("set the same `advert_int` on both nodes", DISAGREEMENT),
            "packet_length_errors" => {
                ("does it sign its adverts (auth_hmac) or differ in version?", DISAGREEMENT)
            }
            "wrong_cast" => {
                ("use unicast with the same peers on all nodes, or on none", DISAGREEMENT)
            }
            "unknown_peer" => ("add it to the list of peers", DISAGREEMENT),
            "ip_ttl_errors" if self.cfg.is_unicast() => {
                ("set its `min_ttl` if a router is between you", DISAGREEMENT)
            }
            "ip_ttl_errors" => ("find the router or tunnel between you, or the forger", RECENT),
            "unexpected_owner" => {
                ("take priority 255 away from it, or set `expect_owner = true`", DISAGREEMENT)
            }
            _ => ("see `vipd status NAME` for the counters", RECENT),
        };
        if now.since(*at) > remembered || peer.last_accepted.is_some_and(|heard| heard > *at) {
            return None;
        }
        let vrid = self.cfg.vrid;
        let silence = self.silence(now, peer);
        Some(format!(
            "{address} speaks for VRID {vrid} too, but we refuse it: {refusal}. Both nodes may be \
             master{silence}: {remedy}, or another `virtual_router_id` if it is no peer of ours"
        ))
    }

    /// A peer that keepalived before 2.3.3 would refuse, or that refuses us for the same reason. It
    /// is told as a backup already: once both are master it is too late.
    fn list_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let theirs = list(peer.other_list.as_ref()?);
        if self.last_advert_age(now, peer)? > DISAGREEMENT {
            return None;
        }
        let ours = list(&self.cfg.advertised().collect::<Vec<_>>());
        let silence = self.silence(now, peer);
        Some(format!(
            "{address} lists {theirs} where we list {ours}: keepalived before 2.3.3 refuses such \
             adverts, and then both nodes are master{silence}: make the lists equal"
        ))
    }

    /// A peer that goes on advertising although we are master, and whose list is not the reason.
    fn rival_hint(&self, now: Now, address: IpAddr, peer: &Peer) -> Option<String> {
        let Some(Claim::Priority(theirs)) = peer.claim else { return None };
        let advertising = self.last_advert_age(now, peer)? <= self.patience();
        let reigning = self.state() == State::Master && now.since(self.since) > self.patience();
        if !advertising || !reigning || peer.other_list.is_some() {
            return None;
        }
        let cause = if let (Dialect::V3Ipv4(ours), Some(theirs)) = (self.cfg.dialect, peer.checksum)
            && ours != theirs
        {
            "it uses the other VRRPv3 checksum form and probably refuses our adverts: set \
             v3_checksum_as_v2 on one side"
        } else {
            "it does not hear or does not accept our adverts: compare its configuration, and look \
             for a filter on IP protocol 112"
        };
        Some(format!("{address} is master too, with priority {theirs}: {cause}"))
    }

    /// How long a worse master is left alone, and why.
    fn patience_hint(&self, now: Now) -> Option<String> {
        let Phase::Backup { hold, master_down, .. } = &self.phase else { return None };
        let Followed { address, claim: Claim::Priority(theirs), .. } = self.followed? else {
            return None;
        };
        let ours = self.effective;
        if theirs >= ours {
            return None;
        }
        let left = |until: Now| until.since(now).as_secs_f64();
        Some(match (self.cfg.preempt, hold) {
            (Preempt::Never, _) => format!(
                "{address} stays master with priority {theirs}, ours is {ours}: nopreempt is set"
            ),
            (Preempt::After(_), Some(until)) if *until > now => format!(
                "{address} stays master with priority {theirs}, ours is {ours}: preempt_delay has \
                 {:.1} s left",
                left(*until)
            ),
            (Preempt::After(_), _) => format!(
                "{address} is about to be preempted: it has priority {theirs}, ours is {ours}; \
                 {:.1} s left",
                left(*master_down)
            ),
        })
    }

    /// A timer that may end without consequence.
    fn untested_hint(&self) -> Option<String> {
        if self.may_take_over() || !matches!(self.phase, Phase::Backup { .. }) {
            return None;
        }
        let names: Vec<&str> = self.env.untested.iter().map(String::as_str).collect();
        let (have, they) = if names.len() == 1 { ("has", "it has") } else { ("have", "they have") };
        let names = names.join(", ");
        Some(format!("{names} {have} not answered yet: until {they}, nothing is taken over"))
    }

    /// A timer that has ended without consequence.
    fn group_hint(&self) -> Option<String> {
        let text = "nobody is master here, but another member of the group waits for its timer or \
                    follows a better master";
        self.wants_master().then(|| text.to_owned())
    }

    /// Since a peer's last advert that we accepted, unless that was a resignation.
    fn last_advert_age(&self, now: Now, peer: &Peer) -> Option<Duration> {
        match peer.claim? {
            Claim::Resign => None,
            Claim::Priority(_) => Some(now.since(peer.last_accepted?)),
        }
    }

    /// A master that refuses what it hears may be quiet: keepalived's advert timer starts again with
    /// every packet it receives, and ours come first.
    fn silence(&self, now: Now, peer: &Peer) -> &'static str {
        if self.state() == State::Master && now.since(peer.last_seen) > self.patience() {
            " (it is silent now, but may still hold the addresses)"
        } else {
            ""
        }
    }

    /// A master that is still there has advertised within this time.
    fn patience(&self) -> Duration {
        self.cfg.interval.as_duration() * 3
    }
}
