//! Addresses that are there for as long as the daemon runs, whatever the routers do.
//!
//! They have no lease: an address of this node alone is nobody else's to take over, so nothing is won
//! by losing it together with the daemon. A crash leaves them, and the next start goes on with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::StaticAddress;
use crate::engine::links::LinkTable;
use crate::io::{Applied, Level, OpError, OpId};
use crate::status::AddressStatus;
use crate::types::{Cidr, IfIndex, Now};
use crate::vrrp::address_set::{AddressSet, OpOutcome};
use crate::vrrp::environment::Fault;
use crate::vrrp::log_limiter::LogLimiter;
use crate::vrrp::outbox::Outbox;

/// In the log, where a router's name would be.
const NAME: &str = "static";

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Statics {
    list: Vec<Arc<StaticAddress>>,
    pub(crate) addresses: AddressSet,
    /// Found in place without our doing: they stay when we go.
    native: BTreeSet<(IfIndex, Cidr)>,
    log: LogLimiter,
}

impl Statics {
    /// Takes over a new list and removes what is not in it any more. [`Statics::follow_links`] adds
    /// what is new, once whatever else changes has let go of it.
    pub(crate) fn configure(&mut self, now: Now, list: &[Arc<StaticAddress>], out: &mut Outbox) {
        self.list = list.to_vec();
        let places: Vec<_> =
            list.iter().map(|s| (Arc::clone(&s.address), s.iface.clone())).collect();
        self.addresses.configure(&places, |_| None, false, now, out);
    }

    /// Puts every address on the link that has its interface's name.
    pub(crate) fn follow_links(&mut self, now: Now, links: &LinkTable, out: &mut Outbox) {
        let index_of = |name: &_| links.by_name(name).map(|link| link.index);
        for wanted in &self.list {
            let Some(index) = index_of(&wanted.iface) else { continue };
            let cidr = wanted.address.kernel_cidr();
            let mut there = links.addresses(index).iter().filter(|a| a.cidr == cidr);
            // Asked for already: then it is there because of us, mark or no mark.
            if !self.addresses.wants(index, cidr) && there.any(|a| !a.ours) {
                self.native.insert((index, cidr));
            }
        }
        self.addresses.set_native(self.native.clone());
        self.addresses.follow(now, index_of, out);
    }

    /// Lets go of all of them.
    pub(crate) fn stop(&mut self, now: Now, out: &mut Outbox) {
        self.addresses.remove(now, out);
    }

    pub(crate) fn vanished(&mut self, now: Now, iface: IfIndex, cidr: Cidr, out: &mut Outbox) {
        if self.native.remove(&(iface, cidr)) {
            self.addresses.set_native(self.native.clone());
        }
        self.addresses.vanished(now, iface, cidr, out);
    }

    /// An operation was answered; `false` if it is not one of ours.
    pub(crate) fn op_done(
        &mut self,
        now: Now,
        op: OpId,
        result: &Result<Applied, OpError>,
        out: &mut Outbox,
    ) -> bool {
        let (reason, level, message) = match self.addresses.done(now, op, result, out) {
            OpOutcome::NotOurs => return false,
            OpOutcome::Done | OpOutcome::Stray(_) => return true,
            OpOutcome::Recovered(cidr) => {
                ("recovered", Level::Info, format!("{cidr} is in place now"))
            }
            OpOutcome::Restored { cidr, fight: false } => {
                ("readded", Level::Warn, format!("Somebody removed {cidr}: put back"))
            }
            OpOutcome::Restored { cidr, fight: true } => (
                "fight",
                Level::Warn,
                format!(
                    "Somebody keeps removing {cidr}: put back again; look for a network manager on \
                     this host"
                ),
            ),
            OpOutcome::Refused(error) => {
                ("address", Level::Warn, format!("Cannot {error}; trying again every second"))
            }
        };
        self.log.record(now, NAME, reason, level, || message, out);
        true
    }

    /// What keeps this router from serving: an address it needs cannot be kept in place. One that is
    /// being put back at this moment does not count.
    pub(crate) fn faults<'a>(&'a self, router: &'a str) -> impl Iterator<Item = Fault> + 'a {
        let needed = self.list.iter().filter(move |s| s.required_by.iter().any(|r| r == router));
        needed.filter_map(|s| {
            let why = self.addresses.why_absent(&s.address, &s.iface)?;
            Some(Fault::StaticAddress { cidr: s.address.cidr, iface: s.iface.clone(), why })
        })
    }

    /// Some router serves only while an address of the list is there.
    pub(crate) fn is_required(&self) -> bool {
        self.list.iter().any(|s| !s.required_by.is_empty())
    }

    pub(crate) fn status(&self, now: Now) -> Vec<AddressStatus> {
        self.addresses.status(now)
    }
}
