//! A kernel that performs what an engine asks for, late or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use vipd::engine::{
    Action, Applied, Input, Lease, Link, LinkAddress, LinkChange, OpError, OpId, Renewal, Want,
};
use vipd::types::{Cidr, IfIndex, IfName, Mac};

pub struct FakeKernel {
    pub iface: IfIndex,
    pub present: bool,
    pub running: bool,
    pub own: Vec<Cidr>,
    pub mac: Mac,
    /// Addresses a daemon installed.
    pub held: BTreeMap<IpAddr, Cidr>,
    /// When each one's lease ends, and how long before it was renewed.
    pub leases: BTreeMap<IpAddr, (Duration, Duration)>,
    /// Refuses every second operation.
    pub sick: bool,
    pub queue: VecDeque<Pending>,
    operations: u64,
}

/// An operation under way; its effect and its answer come at `at`.
pub struct Pending {
    pub at: Duration,
    op: OpId,
    kind: Kind,
}

enum Kind {
    Address { iface: IfIndex, cidr: Cidr, want: Want },
    Socket,
    Renew(Vec<Renewal>),
}

impl FakeKernel {
    pub fn new(own: Vec<Cidr>, mac: Mac) -> FakeKernel {
        FakeKernel {
            iface: IfIndex(2),
            present: true,
            running: true,
            own,
            mac,
            held: BTreeMap::new(),
            leases: BTreeMap::new(),
            sick: false,
            queue: VecDeque::new(),
            operations: 0,
        }
    }

    pub fn link(&self) -> Link {
        Link {
            index: self.iface,
            name: "eth0".parse::<IfName>().unwrap(),
            running: self.running,
            up: true,
            mac: Some(self.mac),
            mtu: 1500,
            noarp: false,
            loopback: false,
        }
    }

    pub fn table(&self, now: Duration) -> Vec<(Link, Vec<LinkAddress>)> {
        if !self.present {
            return Vec::new();
        }
        let own = self.own.iter().map(|c| address(*c, false, now));
        let held = self.held.values().map(|c| {
            let renewed = self.leases.get(&c.address()).map_or(Duration::ZERO, |(_, at)| *at);
            address(*c, true, now.saturating_sub(renewed))
        });
        vec![(self.link(), own.chain(held).collect())]
    }

    /// Queues an operation behind those under way.
    pub fn accept(&mut self, now: Duration, delay: Duration, action: &Action) {
        let (op, kind) = match action {
            Action::Address { op, iface, address, want } => {
                (*op, Kind::Address { iface: *iface, cidr: address.cidr, want: *want })
            }
            Action::Socket { op, .. } => (*op, Kind::Socket),
            Action::Renew(renewals) => (OpId(0), Kind::Renew(renewals.clone())),
            _ => return,
        };
        let after = self.queue.back().map_or(now, |p| p.at).max(now);
        self.queue.push_back(Pending { at: after + delay, op, kind });
    }

    /// Performs the oldest operation: what it answers, and the events the kernel sends about it.
    pub fn perform(&mut self) -> Vec<Input<'static>> {
        let Pending { at, op, kind } = self.queue.pop_front().unwrap();
        self.operations += 1;
        if self.sick && self.operations.is_multiple_of(2) {
            let error =
                OpError { operation: "simulate".to_owned(), cause: "sick kernel".to_owned() };
            return match kind {
                Kind::Renew(renewals) => renewals.iter().map(not_renewed).collect(),
                Kind::Address { .. } | Kind::Socket => {
                    vec![Input::Done { op, result: Err(error) }]
                }
            };
        }
        let (result, event) = match kind {
            Kind::Renew(renewals) => {
                self.renew(at, &renewals);
                return Vec::new();
            }
            Kind::Socket => (Ok(Applied::Changed), None),
            Kind::Address { iface, cidr, want } => {
                let here = self.present && iface == self.iface;
                match (want, here) {
                    (Want::Gone, false) => (Ok(Applied::Already), None),
                    (Want::Held(_), false) => {
                        let error = OpError {
                            operation: format!("add {cidr}"),
                            cause: "No such device".to_owned(),
                        };
                        (Err(error), None)
                    }
                    (Want::Held(lease), true) => {
                        self.lease(at, cidr.address(), lease);
                        match self.held.insert(cidr.address(), cidr) {
                            Some(_) => (Ok(Applied::Already), None),
                            None => {
                                let address = address(cidr, true, Duration::ZERO);
                                let event = LinkChange::Address { iface, address };
                                (Ok(Applied::Changed), Some(event))
                            }
                        }
                    }
                    (Want::Gone, true) => match self.held.remove(&cidr.address()) {
                        None => (Ok(Applied::Already), None),
                        Some(_) => {
                            let event = LinkChange::AddressGone { iface, cidr };
                            (Ok(Applied::Changed), Some(event))
                        }
                    },
                }
            }
        };
        let event = event.map(Input::Link);
        [Input::Done { op, result }].into_iter().chain(event).collect()
    }

    fn lease(&mut self, now: Duration, address: IpAddr, lease: Option<Lease>) {
        self.leases.remove(&address);
        if let Some(lease) = lease {
            // As measured: late by up to three quarters, never early.
            let length = lease.as_duration() + lease.as_duration() * (address_salt(address)) / 4;
            self.leases.insert(address, (now + length, now));
        }
    }

    /// Lengthens leases; an address that is gone comes back, as IPv4's do.
    fn renew(&mut self, now: Duration, renewals: &[Renewal]) {
        let (present, here) = (self.present, self.iface);
        for renewal in renewals.iter().filter(|r| present && r.iface == here) {
            let cidr = renewal.address.cidr;
            self.held.insert(cidr.address(), cidr);
            self.lease(now, cidr.address(), Some(renewal.lease));
        }
    }

    /// The next lease to end.
    pub fn next_expiry(&self) -> Option<Duration> {
        let held = self.leases.iter().filter(|(a, _)| self.held.contains_key(*a));
        held.map(|(_, (end, _))| *end).min()
    }

    /// Ends the leases that are due.
    pub fn expire(&mut self, now: Duration) -> Vec<LinkChange> {
        let due: Vec<IpAddr> =
            self.leases.iter().filter(|(_, (end, _))| *end <= now).map(|(a, _)| *a).collect();
        let mut events = Vec::new();
        for address in due {
            self.leases.remove(&address);
            if let Some(cidr) = self.held.remove(&address) {
                events.push(LinkChange::AddressGone { iface: self.iface, cidr });
            }
        }
        events
    }

    /// The interface is deleted with everything on it.
    pub fn delete_interface(&mut self) -> LinkChange {
        self.present = false;
        self.held.clear();
        self.leases.clear();
        LinkChange::Gone(self.iface)
    }

    /// It comes back under the same name and another index.
    pub fn create_interface(&mut self, now: Duration) -> LinkChange {
        self.present = true;
        self.running = true;
        self.iface = IfIndex(self.iface.0 + 1);
        LinkChange::Resync(self.table(now))
    }
}

fn not_renewed(renewal: &Renewal) -> Input<'static> {
    Input::NotRenewed { iface: renewal.iface, cidr: renewal.address.kernel_cidr() }
}

fn address(cidr: Cidr, ours: bool, renewed: Duration) -> LinkAddress {
    LinkAddress { cidr, usable: true, secondary: false, ours, renewed: Some(renewed) }
}

/// Spreads the kernel's lateness: 0 to 3.
fn address_salt(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(a) => u32::from(a) % 4,
        IpAddr::V6(a) => u32::from(a.segments()[7]) % 4,
    }
}
