//! A kernel that performs what an engine asks for, late or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use vipd::engine::{Action, Applied, Link, LinkAddress, LinkChange, OpError, OpId, Want};
use vipd::types::{Cidr, IfIndex, IfName, Mac};

pub struct FakeKernel {
    pub iface: IfIndex,
    pub present: bool,
    pub running: bool,
    pub own: Vec<Cidr>,
    pub mac: Mac,
    /// Addresses a daemon installed.
    pub held: BTreeMap<IpAddr, Cidr>,
    /// Refuses every second operation.
    pub sick: bool,
    pub queue: VecDeque<Pending>,
    operations: u64,
}

/// An operation under way; its effect and its answer come at `at`.
pub struct Pending {
    pub at: Duration,
    pub op: OpId,
    pub kind: Kind,
}

pub enum Kind {
    Address { iface: IfIndex, cidr: Cidr, want: Want },
    Socket,
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

    pub fn table(&self) -> Vec<(Link, Vec<LinkAddress>)> {
        if !self.present {
            return Vec::new();
        }
        let own = self.own.iter().map(|c| address(*c, false));
        let held = self.held.values().map(|c| address(*c, true));
        vec![(self.link(), own.chain(held).collect())]
    }

    /// Queues an operation behind those under way.
    pub fn accept(&mut self, now: Duration, delay: Duration, action: &Action) {
        let (op, kind) = match action {
            Action::Address { op, iface, address, want } => {
                (*op, Kind::Address { iface: *iface, cidr: address.cidr, want: *want })
            }
            Action::Socket { op, .. } => (*op, Kind::Socket),
            _ => return,
        };
        let after = self.queue.back().map_or(now, |p| p.at).max(now);
        self.queue.push_back(Pending { at: after + delay, op, kind });
    }

    /// Performs the oldest operation: its answer, and the event the kernel sends about it.
    pub fn perform(&mut self) -> (OpId, Result<Applied, OpError>, Option<LinkChange>) {
        let Pending { op, kind, .. } = self.queue.pop_front().unwrap();
        self.operations += 1;
        if self.sick && self.operations.is_multiple_of(2) {
            let error =
                OpError { operation: "simulate".to_owned(), cause: "sick kernel".to_owned() };
            return (op, Err(error), None);
        }
        match kind {
            Kind::Socket => (op, Ok(Applied::Changed), None),
            Kind::Address { iface, cidr, want } => {
                let here = self.present && iface == self.iface;
                match (want, here) {
                    (Want::Gone, false) => (op, Ok(Applied::Already), None),
                    (Want::Held, false) => {
                        let error = OpError {
                            operation: format!("add {cidr}"),
                            cause: "No such device".to_owned(),
                        };
                        (op, Err(error), None)
                    }
                    (Want::Held, true) => match self.held.insert(cidr.address(), cidr) {
                        Some(_) => (op, Ok(Applied::Already), None),
                        None => {
                            let event = LinkChange::Address { iface, address: address(cidr, true) };
                            (op, Ok(Applied::Changed), Some(event))
                        }
                    },
                    (Want::Gone, true) => match self.held.remove(&cidr.address()) {
                        None => (op, Ok(Applied::Already), None),
                        Some(_) => {
                            let event = LinkChange::AddressGone { iface, cidr };
                            (op, Ok(Applied::Changed), Some(event))
                        }
                    },
                }
            }
        }
    }

    /// The interface is deleted with everything on it.
    pub fn delete_interface(&mut self) -> LinkChange {
        self.present = false;
        self.held.clear();
        LinkChange::Gone(self.iface)
    }

    /// It comes back under the same name and another index.
    pub fn create_interface(&mut self) -> LinkChange {
        self.present = true;
        self.running = true;
        self.iface = IfIndex(self.iface.0 + 1);
        LinkChange::Resync(self.table())
    }
}

fn address(cidr: Cidr, ours: bool) -> LinkAddress {
    LinkAddress { cidr, usable: true, secondary: false, ours }
}
