//! The one place where a status is put together.
//!
//! The control thread waits for nobody, so it only takes what is its own ([`Control::status`]); what takes time is
//! written on the effects thread, which then adds what it knows itself ([`DaemonHost::complete`]).

use super::Control;
use super::host::{DaemonHost, wall_clock};
use crate::api::server::Answer;
use crate::engine::allow_vrrp_out;
use crate::io::Kind;
use crate::status::{Daemon, HintCode, HintStatus, RouterStatus, Snapshot, health, millis};
use crate::text::times;
use crate::types::{Family, IfName};

impl Control {
    /// The status as it is now. What takes its time is done by whoever writes it.
    pub(super) fn status(&self) -> Answer {
        let now = self.clock.now();
        let node = self.effects.config.globals.router_id.as_ref();
        let daemon = Daemon {
            node: node.unwrap_or(&self.options.host_name).clone(),
            uptime_ms: millis(now.since_start()),
            send_drops: self.effects.send_drops,
            stall: self.stalls.status(now),
            ..self.daemon.clone()
        };
        let refused = self.effects.refused(now);
        let mut view = self.engine.view(now);
        self.effects.listeners.complete(view.written());
        Answer::Status(Box::new(move || {
            let mut snapshot = Snapshot { daemon, ..view.snapshot() };
            refused.complete(&mut snapshot);
            snapshot
        }))
    }
}

impl DaemonHost {
    /// Adds what the effects thread knows.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        snapshot.daemon.taken_at = wall_clock();
        snapshot.daemon.log_lines_lost = (self.lost)();
        if let Some(hooks) = self.hooks.get() {
            for router in &mut snapshot.routers {
                router.notify = hooks.status(Kind::Router, &router.name);
            }
            snapshot.groups = hooks.groups();
            snapshot.fifos = hooks.fifos();
            snapshot.mail = hooks.mail();
        }
        snapshot.pages = self.pages.all();
        for router in snapshot.routers.iter_mut().filter(|router| router.drained) {
            if let Some(drained) = self.drains.get(&router.name) {
                router.drained_since = Some(drained.since);
                router.drained_sticky = drained.sticky;
            }
        }
        self.loopback.complete(snapshot);
        // Last: it is made of all the rest.
        snapshot.health = health(snapshot);
    }
}

/// Where the host's own filter refused adverts, how often, and how many milliseconds ago.
pub(super) struct RefusedSends(pub(super) Vec<(IfName, Family, u64, u64)>);

impl RefusedSends {
    /// Says so with the routers concerned.
    fn complete(&self, snapshot: &mut Snapshot) {
        for (name, family, count, ago) in &self.0 {
            let concerned =
                |router: &&mut RouterStatus| router.interface == *name && router.family == *family;
            for router in snapshot.routers.iter_mut().filter(concerned) {
                if *ago <= (router.interval_ms * 3).max(3000) {
                    let out = allow_vrrp_out(*family);
                    let text = format!(
                        "the host's own packet filter refuses adverts on {name} (EPERM, {}): no \
                         other node hears this one, and a backup takes it for dead. {out} lets \
                         VRRP out",
                        times(*count)
                    );
                    let hint = HintStatus::new(HintCode::AdvertsFilteredOut, text);
                    router.hints.insert(0, hint);
                }
            }
        }
    }
}
