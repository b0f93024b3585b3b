//! A kernel that performs what an engine asks for, late or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use vipd::io::{
    Action, Applied, Input, Lease, Link, LinkAddress, LinkChange, OpError, OpId, Renewal, Want,
};
use vipd::types::{Cidr, IfIndex, IfName, Mac};

pub struct FakeKernel {
    /// One per LAN.
    pub links: Vec<FakeLink>,
    /// Addresses a daemon installed, and on which link.
    pub held: BTreeMap<IpAddr, (usize, Cidr)>,
    /// When each one's lease ends, and how long before it was renewed.
    pub leases: BTreeMap<IpAddr, (Duration, Duration)>,
    /// Refuses every second operation.
    pub sick: bool,
    pub queue: VecDeque<Pending>,
    operations: u64,
}

pub struct FakeLink {
    pub index: IfIndex,
    name: IfName,
    pub present: bool,
    pub running: bool,
    /// What the node brings along.
    pub own: Cidr,
    mac: Mac,
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
    pub fn new(links: Vec<FakeLink>) -> FakeKernel {
        FakeKernel {
            links,
            held: BTreeMap::new(),
            leases: BTreeMap::new(),
            sick: false,
            queue: VecDeque::new(),
            operations: 0,
        }
    }

    pub fn table(&self, now: Duration) -> Vec<(Link, Vec<LinkAddress>)> {
        let present = self.links.iter().enumerate().filter(|(_, link)| link.present);
        present
            .map(|(lan, link)| {
                let held = self.held.values().filter(|(on, _)| *on == lan).map(|(_, c)| {
                    let renewed = self.leases.get(&c.address()).map_or(Duration::ZERO, |l| l.1);
                    address(*c, true, now.saturating_sub(renewed))
                });
                let own = address(link.own, false, now);
                (link.view(), std::iter::once(own).chain(held).collect())
            })
            .collect()
    }

    /// The link an index stands for at the moment.
    fn on(&self, iface: IfIndex) -> Option<usize> {
        self.links.iter().position(|link| link.present && link.index == iface)
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
            Kind::Address { iface, cidr, want } => match (want, self.on(iface)) {
                (Want::Gone, None) => (Ok(Applied::Already), None),
                (Want::Held(_), None) => {
                    let error = OpError {
                        operation: format!("add {cidr}"),
                        cause: "No such device".to_owned(),
                    };
                    (Err(error), None)
                }
                (Want::Held(lease), Some(lan)) => {
                    self.lease(at, cidr.address(), lease);
                    match self.held.insert(cidr.address(), (lan, cidr)) {
                        Some(_) => (Ok(Applied::Already), None),
                        None => {
                            let address = address(cidr, true, Duration::ZERO);
                            let event = LinkChange::Address { iface, address };
                            (Ok(Applied::Changed), Some(event))
                        }
                    }
                }
                (Want::Gone, Some(_)) => match self.held.remove(&cidr.address()) {
                    None => (Ok(Applied::Already), None),
                    Some(_) => {
                        let event = LinkChange::AddressGone { iface, cidr };
                        (Ok(Applied::Changed), Some(event))
                    }
                },
            },
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
        for renewal in renewals {
            let Some(lan) = self.on(renewal.iface) else { continue };
            let cidr = renewal.address.cidr;
            self.held.insert(cidr.address(), (lan, cidr));
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
            events.extend(self.remove(address));
        }
        events
    }

    /// Takes an address away, behind everybody's back.
    pub fn remove(&mut self, address: IpAddr) -> Option<LinkChange> {
        self.leases.remove(&address);
        let (lan, cidr) = self.held.remove(&address)?;
        Some(LinkChange::AddressGone { iface: self.links[lan].index, cidr })
    }

    /// The interface is deleted with everything on it.
    pub fn delete_interface(&mut self, lan: usize) -> LinkChange {
        self.links[lan].present = false;
        let gone: Vec<IpAddr> =
            self.held.iter().filter(|(_, (on, _))| *on == lan).map(|(a, _)| *a).collect();
        for address in gone {
            self.remove(address);
        }
        LinkChange::Gone(self.links[lan].index)
    }

    /// It comes back under the same name and another index.
    pub fn create_interface(&mut self, lan: usize, now: Duration) -> LinkChange {
        let link = &mut self.links[lan];
        link.present = true;
        link.running = true;
        link.index = IfIndex(link.index.0 + 1);
        LinkChange::Resync(self.table(now))
    }
}

impl FakeLink {
    /// A node's link to a LAN.
    pub fn new(lan: usize, node: usize, own: Cidr) -> FakeLink {
        let (lan, node) = (u8::try_from(lan).unwrap(), u8::try_from(node).unwrap());
        FakeLink {
            // However often it is created again, it is never another's.
            index: IfIndex(2 + 1_000_000 * u32::from(lan)),
            name: format!("eth{lan}").parse().unwrap(),
            present: true,
            running: true,
            own,
            mac: Mac([2, 0, 0, 0, lan, 2 + node]),
        }
    }

    /// Packets pass.
    pub fn works(&self) -> bool {
        self.present && self.running
    }

    /// What netlink says of it.
    pub fn view(&self) -> Link {
        Link {
            index: self.index,
            name: self.name.clone(),
            running: self.running,
            up: true,
            mac: Some(self.mac),
            mtu: 1500,
            noarp: false,
            loopback: false,
        }
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
