//! One router's part of the status.

use crate::status::{MasterStatus, NotifyStatus, RouterStatus, TrackedStatus, millis};
use crate::types::Now;
use crate::vrrp::environment::Fault;
use crate::vrrp::router::{Followed, Phase, Router, WaitingFor};

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
            reason: self.reason.to_string(),
            reason_code: Some(self.reason.code()),
            faults: match self.phase {
                Phase::Fault => self.env.faults.iter().map(Fault::status).collect(),
                Phase::Backup { .. } | Phase::Master { .. } | Phase::Leaving { .. } => Vec::new(),
            },
            base_priority: cfg.priority.get(),
            priority: self.effective.get(),
            priority_age_ms: millis(now.since(self.effective_since)),
            group: None,
            tracking,
            interval_ms: millis(cfg.interval.as_duration()),
            master_interval_ms: millis(master_interval.as_duration()),
            source: self.env.source,
            destinations: self.env.destinations.clone(),
            master: self.master_status(now),
            listens: self.env.listens(&cfg.iface),
            next_deadline_ms: deadline.map(|at| millis(at.since(now))),
            preempts: matches!(
                self.phase,
                Phase::Backup { waiting_for: WaitingFor::Preemption, .. }
            ),
            addresses: self.addresses.status(now),
            counters: self.stats.counters.clone(),
            peers: self.peers.peer_status(now),
            more_peers: 0,
            transitions: self.stats.transition_status(now),
            drained: self.drained,
            drained_since: None,
            drained_sticky: false,
            last_heard_ms: heard.map(|at| millis(now.since(at))),
            failover: self.failover(now),
            notify: NotifyStatus::default(),
            hints: self.hints(now, heard),
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
            Phase::Fault => self.still_heard(now).map(|f| heard(f, now)),
            Phase::Backup { .. } | Phase::Leaving { .. } => self.followed.map(|f| heard(f, now)),
        }
    }
}

fn heard(master: Followed, now: Now) -> MasterStatus {
    MasterStatus {
        address: master.address,
        priority: master.claim.wire_value(),
        is_self: false,
        last_advert_ms: Some(millis(now.since(master.at))),
    }
}
