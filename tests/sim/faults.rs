//! What goes wrong, and how it ends.

use vipd::io::{Command, Input, LinkChange};
use vipd::status::State;

use crate::world::World;

impl World {
    /// Ends every fault.
    pub fn heal(&mut self) {
        self.network.heal();
        for n in 0..self.nodes.len() {
            self.nodes[n].kernel.sick = false;
            self.nodes[n].touched = true;
            if self.nodes[n].frozen {
                self.thaw(n);
            }
            for lan in 0..self.lans() {
                if !self.nodes[n].kernel.links[lan].present {
                    self.create_interface(n, lan);
                }
                if !self.nodes[n].kernel.links[lan].running {
                    self.set_running(n, lan, true);
                }
            }
            for (probe, outcome) in self.nodes[n].checks.heal() {
                self.feed(n, Input::Probed { probe, outcome });
            }
            if self.nodes[n].engine.is_none() {
                self.boot(n);
            }
        }
    }

    pub fn boot(&mut self, n: usize) {
        self.nodes[n].boot(self.time);
        self.drain(n);
    }

    /// SIGKILL: the addresses stay.
    pub fn crash(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.engine = None;
        node.silent = Some(self.time);
        node.kernel.queue.clear();
        node.checks.forget();
        node.frozen = false;
        node.asleep = None;
        node.apart = None;
    }

    pub fn set_running(&mut self, n: usize, lan: usize, running: bool) {
        let link = &mut self.nodes[n].kernel.links[lan];
        link.running = running;
        if link.present {
            let change = LinkChange::Link(link.view());
            self.feed(n, Input::Link(change));
        }
    }

    fn create_interface(&mut self, n: usize, lan: usize) {
        let change = self.nodes[n].kernel.create_interface(lan, self.time);
        self.feed(n, Input::Link(change));
    }

    pub fn stop(&mut self, n: usize) {
        if self.nodes[n].frozen {
            return;
        }
        for r in 0..self.nodes[n].members.len() {
            let owes = self.state(n, r) == Some(State::Master);
            self.nodes[n].members[r].owes_resignation = owes;
        }
        self.nodes[n].stopping = true;
        self.feed(n, Input::Command(Command::Shutdown));
    }

    pub fn strike(&mut self) {
        let n = self.rng.index(self.nodes.len());
        let lan = if self.lans() > 1 { self.rng.index(self.lans()) } else { 0 };
        self.nodes[n].touched = true;
        match self.rng.below(18) {
            0 => self.network.lossy = !self.network.lossy,
            1 => {
                for node in 0..self.nodes.len() {
                    self.network.side[lan][node] = u8::try_from(self.rng.below(2)).unwrap();
                }
            }
            2 => self.network.side[lan].fill(0),
            3 => {
                let m = self.rng.index(self.nodes.len());
                self.network.cut.push((lan, n, m));
            }
            4 => self.network.cut.clear(),
            5 if !self.nodes[n].frozen => {
                self.nodes[n].frozen = true;
                self.nodes[n].silent = self.nodes[n].silent.or(Some(self.time));
                self.nodes[n].asleep = self.rng.chance(40).then_some(self.time);
            }
            6 if self.nodes[n].frozen => self.thaw(n),
            7 => self.crash(n),
            8 | 9 if self.nodes[n].engine.is_none() => self.boot(n),
            10 => self.nodes[n].kernel.sick = !self.nodes[n].kernel.sick,
            11 => {
                let running = self.rng.chance(60);
                self.set_running(n, lan, running);
            }
            12 if self.nodes[n].kernel.links[lan].present && self.rng.chance(40) => {
                let change = self.nodes[n].kernel.delete_interface(lan);
                self.feed(n, Input::Link(change));
            }
            12 | 13 if !self.nodes[n].kernel.links[lan].present => self.create_interface(n, lan),
            14 => self.steal(n),
            15 if self.rng.chance(30) => self.stop(n),
            16 => {
                let services = ["/fatal", "/weighty", "/file"];
                let (service, ill) = (self.rng.pick(&services), self.rng.chance(60));
                if let Some((probe, outcome)) = self.nodes[n].checks.turn(service, ill) {
                    self.feed(n, Input::Probed { probe, outcome });
                }
            }
            17 => self.nodes[n].checks.hang = self.rng.chance(50),
            _ => {}
        }
    }

    /// Somebody else removes an address.
    fn steal(&mut self, n: usize) {
        let kernel = &mut self.nodes[n].kernel;
        let Some(address) = kernel.held.keys().next().copied() else { return };
        if let Some(change) = kernel.remove(address) {
            self.feed(n, Input::Link(change));
        }
    }

    /// The node runs again: a suspend if its clock stood still, a stall if not.
    fn thaw(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.frozen = false;
        node.apart = None;
        let gap = node.asleep.take().map(|since| self.time.saturating_sub(since));
        if node.engine.is_none() {
            return;
        }
        if let Some(gap) = gap {
            node.slept += gap;
            // The kernel's clock for leases stood still too.
            for (end, renewed) in node.kernel.leases.values_mut() {
                *end += gap;
                *renewed += gap;
            }
            self.feed(n, Input::Suspended { gap });
        }
        self.nodes[n].silent = None;
        let table = self.nodes[n].kernel.table(self.time);
        self.feed(n, Input::Link(LinkChange::Resync(table)));
        let queued = std::mem::take(&mut self.nodes[n].socket);
        for (lan, load) in queued {
            self.receive(n, lan, &load);
        }
        self.tick(n);
    }
}
