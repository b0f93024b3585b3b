//! Contact with the other nodes, lost and found again: for the log.

use std::net::IpAddr;

use crate::io::Level;
use crate::status::State;
use crate::types::Now;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::router::{Phase, Router, WaitingFor};
use crate::wire::vrrp::{Advert, Claim};

impl Router {
    /// The master has said nothing for so long that this node takes over.
    pub(super) fn contact_lost(&mut self, now: Now, out: &mut Outbox) {
        let waited = matches!(self.phase, Phase::Backup { waiting_for: WaitingFor::TheMaster, .. });
        let Some(master) = self.followed.filter(|_| waited) else { return };
        self.peers.lose(master.address);
        let message = || {
            let silence = now.since(master.at).as_secs_f64();
            format!("No advert from {} for {silence:.2} s: it is down or cut off", master.address)
        };
        self.log.record(now, &self.cfg.name, "contact", Level::Warn, message, out);
    }

    /// An advert of a node that was silent for long. A backup is silent because it is one; a node that
    /// advertises beside a master has not heard it.
    pub(super) fn remark_contact(
        &mut self,
        now: Now,
        source: IpAddr,
        advert: &Advert,
        out: &mut Outbox,
    ) {
        let Some(silence) = self.peers.silence(now, source) else { return };
        if silence <= self.silence_limit() || advert.claim == Claim::Resign {
            return;
        }
        let silence = silence.as_secs_f64();
        let name = self.cfg.name.clone();
        if self.peers.find(source) {
            let message = || format!("{source} is heard again, after {silence:.1} s of silence");
            self.log.record(now, &name, "contact_found", Level::Info, message, out);
        }
        if self.state() == State::Master && now.since(self.since) > self.silence_limit() {
            let priority = advert.claim.wire_value();
            let stalled = matches!(&self.phase, Phase::Master { next_advert, .. }
                if now.since(*next_advert) > self.cfg.interval.as_duration());
            let message = || {
                if stalled {
                    let took_over = "took over while vipd did not run";
                    return format!(
                        "{source} {took_over}: it is master too, with priority {priority}"
                    );
                }
                format!(
                    "{source} is master too, with priority {priority}: it was last heard {silence:.1} \
                     s ago, and has not heard this node meanwhile"
                )
            };
            self.log.record(now, &name, "second_master", Level::Warn, message, out);
        }
    }
}
