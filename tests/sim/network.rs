//! The LANs: what carries a packet from one node to the others, late, twice or not at all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vipd::io::{Datagram, Input};
use vipd::types::Mac;

use crate::world::World;

const MS: Duration = Duration::from_millis(1);
/// Packets a frozen node's sockets keep.
const SOCKET_BUFFER: usize = 64;
/// The slowest a healthy link delivers.
pub const MAX_DELAY: Duration = Duration::from_millis(2);

/// What is under way, and what is broken.
pub struct Network {
    wire: BTreeMap<(Duration, u64), Flight>,
    sequence: u64,
    /// When the last packet of one node reaches another, by LAN.
    arrived: BTreeMap<(usize, usize, usize), Duration>,
    /// Which side of a partition each node is on, by LAN.
    pub side: Vec<Vec<u8>>,
    /// Pairs that lose packets one way, each on one LAN.
    pub cut: Vec<(usize, usize, usize)>,
    pub lossy: bool,
}

struct Flight {
    lan: usize,
    to: usize,
    load: Load,
}

#[derive(Clone)]
pub enum Load {
    Advert {
        source: IpAddr,
        destination: IpAddr,
        bytes: Vec<u8>,
    },
    Announcement {
        vip: IpAddr,
        mac: Mac,
    },
    /// Who has an address?
    Question {
        target: IpAddr,
        asking: usize,
    },
    /// I do. Of a kernel, whatever has become of its daemon.
    Answer {
        target: IpAddr,
        mac: Mac,
        asking: usize,
    },
}

impl Network {
    pub fn new(lans: usize, nodes: usize) -> Network {
        Network {
            wire: BTreeMap::new(),
            sequence: 0,
            arrived: BTreeMap::new(),
            side: vec![vec![0; nodes]; lans],
            cut: Vec::new(),
            lossy: false,
        }
    }

    pub fn heal(&mut self) {
        self.lossy = false;
        self.cut.clear();
        for side in &mut self.side {
            side.fill(0);
        }
    }

    /// When the next packet arrives.
    pub fn next(&self) -> Option<Duration> {
        self.wire.first_key_value().map(|((at, _), _)| *at)
    }
}

impl World {
    /// The next packet arrives.
    pub fn deliver(&mut self) {
        let Some((_, Flight { lan, to, load })) = self.network.wire.pop_first() else { return };
        let node = &mut self.nodes[to];
        let link = &node.kernel.links[lan];
        if let Load::Question { target, asking } = load {
            let held = node.kernel.held.get(&target).is_some_and(|(on, _)| *on == lan);
            if held && node.asleep.is_none() {
                let mac = link.view().mac.unwrap();
                self.broadcast(to, lan, &Load::Answer { target, mac, asking });
            }
            return;
        }
        if node.engine.is_none() || !link.works() {
            return;
        }
        if node.frozen {
            if node.socket.len() < SOCKET_BUFFER {
                node.socket.push((lan, load));
            }
            return;
        }
        self.receive(to, lan, &load);
    }

    pub fn receive(&mut self, n: usize, lan: usize, load: &Load) {
        let iface = self.nodes[n].kernel.links[lan].index;
        match load {
            Load::Announcement { vip, mac } => {
                self.feed(n, Input::Announced { iface, vip: *vip, mac: *mac });
            }
            Load::Answer { target, mac, .. } => {
                self.feed(n, Input::Located { iface, address: *target, mac: *mac });
            }
            Load::Question { .. } => unreachable!("its kernel has answered"),
            Load::Advert { source, destination, bytes } => {
                let datagram = match (*source, *destination) {
                    (IpAddr::V6(source), IpAddr::V6(destination)) => {
                        Datagram::V6 { source, destination, hop_limit: Some(255), message: bytes }
                    }
                    _ => Datagram::V4(bytes),
                };
                self.feed(n, Input::Packet { iface, datagram });
            }
        }
    }

    pub fn broadcast(&mut self, from: usize, lan: usize, load: &Load) {
        if !self.nodes[from].kernel.links[lan].works() {
            return;
        }
        if let Load::Announcement { vip, .. } = load
            && self.nodes[from].kernel.held.contains_key(vip)
        {
            let side = &self.network.side[lan];
            let clients = (0..self.nodes.len()).filter(|client| side[*client] == side[from]);
            self.believed.extend(clients.map(|client| ((client, *vip), from)));
        }
        for to in 0..self.nodes.len() {
            let addressed = match load {
                Load::Advert { destination, .. } => {
                    destination.is_multicast()
                        || self.nodes[to].kernel.links[lan].own.address() == *destination
                }
                Load::Announcement { .. } | Load::Question { .. } => true,
                Load::Answer { asking, .. } => to == *asking,
            };
            let network = &self.network;
            let reachable = to != from
                && addressed
                && network.side[lan][to] == network.side[lan][from]
                && !network.cut.contains(&(lan, from, to))
                && !(network.lossy && self.rng.chance(30));
            if !reachable {
                continue;
            }
            let lossy = self.network.lossy;
            let copies = if lossy && self.rng.chance(10) { 2 } else { 1 };
            for _ in 0..copies {
                let slowest = if lossy { self.interval() * 2 } else { MAX_DELAY };
                let mut at = self.time + self.rng.duration(Duration::ZERO, slowest.max(MS));
                let network = &mut self.network;
                if !lossy {
                    // A healthy link keeps the order.
                    let last = network.arrived.entry((lan, from, to)).or_default();
                    at = at.max(*last);
                    *last = at;
                }
                network.sequence += 1;
                let flight = Flight { lan, to, load: load.clone() };
                network.wire.insert((at, network.sequence), flight);
            }
        }
    }
}
