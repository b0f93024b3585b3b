//! Who else has our addresses: a second master whose adverts do not arrive, or a host that has one by
//! mistake. The first announces them; the second is found by asking only.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::Cast;
use crate::io::{Action, Level};
use crate::text::ago;
use crate::types::{Family, Mac, Now};
use crate::vrrp::environment::Port;
use crate::vrrp::outbox::Outbox;
use crate::vrrp::peer_table::Rival;
use crate::vrrp::router::hints::{DISAGREEMENT, allow_vrrp};
use crate::vrrp::router::{ANSWER_EVERY, Phase, Router};

/// From one round over the addresses to the next.
const EVERY: Duration = Duration::from_secs(60);
/// A predecessor may answer until it has heard us.
const FIRST: Duration = Duration::from_secs(3);
/// Routers that become master together ask in different seconds.
const SPREAD: u32 = 50;
/// Addresses asked for at once, and the pause between two lots.
const AT_ONCE: usize = 8;
const PAUSE: Duration = Duration::from_secs(1);
/// A screen that is drawn every second does not ask every second.
const ON_REQUEST_EVERY: Duration = Duration::from_secs(5);
/// RFC 5227's DEFEND_INTERVAL.
const DEFEND_EVERY: Duration = Duration::from_secs(10);
/// The first five octets of a virtual router's own MAC (RFC 9568 section 7.3).
const VIRTUAL_MACS: [[u8; 5]; 2] = [[0, 0, 0x5e, 0, 1], [0, 0, 0x5e, 0, 2]];

/// What one reign has asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConflictCheck {
    /// The next lot.
    next: Option<Now>,
    /// The next address of the round.
    cursor: usize,
    on_request: Option<Now>,
    asked_for_peers: Option<Now>,
    defended: Option<Now>,
}

impl Router {
    /// Right after an advert: no timer of its own wakes the process up.
    pub(super) fn check_conflicts(&mut self, now: Now, out: &mut Outbox) {
        if !matches!(self.phase, Phase::Master { .. }) {
            return;
        }
        self.tell_of_conflicts(now, out);
        let first = FIRST + Duration::from_secs((self.id.0 % SPREAD).into());
        if *self.conflicts.next.get_or_insert(now + first) > now {
            return;
        }
        let addresses = self.own_addresses();
        let from = self.conflicts.cursor;
        for vip in addresses.iter().skip(from).take(AT_ONCE) {
            self.ask(now, *vip, out);
        }
        let more = from + AT_ONCE < addresses.len();
        self.conflicts.cursor = if more { from + AT_ONCE } else { 0 };
        self.conflicts.next = Some(now + if more { PAUSE } else { EVERY });
    }

    /// Somebody looks at the status: how many addresses were asked for.
    pub(crate) fn status_asked(&mut self, now: Now, out: &mut Outbox) -> usize {
        let asked = self.conflicts.on_request;
        let reigns = matches!(self.phase, Phase::Master { .. }) && now.since(self.since) >= FIRST;
        if !reigns || asked.is_some_and(|at| now.since(at) < ON_REQUEST_EVERY) {
            return 0;
        }
        self.conflicts.on_request = Some(now);
        let addresses = self.own_addresses();
        for vip in addresses.iter().take(AT_ONCE) {
            self.ask(now, *vip, out);
        }
        addresses.len().min(AT_ONCE)
    }

    /// Another host has an address.
    pub(crate) fn located(&mut self, now: Now, address: IpAddr, mac: Mac, out: &mut Outbox) {
        if self.peer_addresses().contains(&address) {
            self.peers.locate(address, mac);
        }
        let sure = matches!(self.phase, Phase::Master { listening: false, .. })
            && now.since(self.since) >= FIRST;
        if !sure || !self.own_addresses().contains(&address) {
            return;
        }
        self.peers.answered(now, address, mac);
        self.ask_for_peers(now, out);
        self.defend(now, address, mac, out);
    }

    /// The MACs of the peers tell whose one of them is.
    pub(super) fn ask_for_peers(&mut self, now: Now, out: &mut Outbox) {
        let asked = self.conflicts.asked_for_peers;
        if asked.is_some_and(|at| now.since(at) < DEFEND_EVERY) {
            return;
        }
        self.conflicts.asked_for_peers = Some(now);
        for peer in self.peer_addresses() {
            self.ask(now, peer, out);
        }
    }

    /// Hosts learn where the address is. Not from a second master: two that defend an address against
    /// each other move all clients each time.
    fn defend(&mut self, now: Now, vip: IpAddr, mac: Mac, out: &mut Outbox) {
        let lately = self.conflicts.defended.is_some_and(|at| now.since(at) < DEFEND_EVERY);
        let is_peer = self.peers.peer_at(mac).is_some();
        let rival = self.peers.rival(vip, mac);
        if lately || is_peer || (rival.announced.is_some() && rival.defended) {
            return;
        }
        let Some(Port { index, mac: Some(own), announces: true }) =
            self.env.ports.get(&self.cfg.iface)
        else {
            return;
        };
        rival.defended = true;
        self.conflicts.defended = Some(now);
        let (iface, mac, router_flag) = (*index, *own, self.cfg.options.router_flag);
        out.push(Action::Announce { iface, mac, vip, router_flag });
        self.stats.counters.announcements_sent += 1;
        self.peers.announced(vip);
    }

    /// What a better node announces before its advert is read is nothing to tell.
    fn tell_of_conflicts(&mut self, now: Now, out: &mut Outbox) {
        let told = |rival: &Rival| {
            let announced = rival.announced.is_some_and(|at| now.since(at) >= ANSWER_EVERY);
            rival.answers(now) || (announced && !rival.corrected)
        };
        let conflicts: Vec<(IpAddr, Rival)> =
            self.peers.rivals().filter(|(_, rival)| told(rival)).collect();
        for (vip, rival) in conflicts {
            let who = self.owner(rival.mac);
            let message = || {
                let did = if rival.answers(now) { "answers for" } else { "announced" };
                format!("{who} {did} {vip}, which this node holds as master")
            };
            self.log.record(now, &self.cfg.name, "conflict", Level::Warn, message, out);
            if !rival.answers(now) {
                self.defend(now, vip, rival.mac, out);
            }
        }
    }

    fn ask(&mut self, now: Now, target: IpAddr, out: &mut Outbox) {
        let (Some(source), true) = (self.env.source, self.env.source_is_local) else { return };
        let Some(Port { index, mac: Some(mac), announces: true }) =
            self.env.ports.get(&self.cfg.iface)
        else {
            return;
        };
        if Family::of(source) == Family::of(target) {
            out.push(Action::Solicit { iface: *index, mac: *mac, source, target });
            self.peers.asked(now, target);
        }
    }

    /// The addresses that can be asked for: held where this router listens.
    fn own_addresses(&self) -> Vec<IpAddr> {
        let family = self.cfg.dialect.family();
        let here = self
            .addresses
            .held()
            .into_iter()
            .filter(|(iface, cidr)| Some(*iface) == self.env.iface && cidr.family() == family);
        here.map(|(_, cidr)| cidr.address()).collect()
    }

    fn peer_addresses(&self) -> Vec<IpAddr> {
        let mut peers: Vec<IpAddr> = self.peers.peers().map(|(address, _)| *address).collect();
        if let Cast::Unicast { peers: listed, .. } = &self.cfg.cast {
            peers.extend(listed.iter().map(|peer| peer.address));
        }
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// Somebody else has an address of ours: that is how a second master is noticed where VRRP does
    /// not get through.
    pub(super) fn conflict_hint(&self, now: Now, heard: Option<Now>) -> Option<String> {
        // Where nothing else is heard, an announcement of ours proves nothing: the rival may not listen.
        let counts = |rival: &Rival| {
            let announced = rival.announced.is_some_and(|at| now.since(at) <= DISAGREEMENT);
            rival.answers(now) || (announced && (heard.is_none() || !rival.corrected))
        };
        let rivals = self.peers.rivals().filter(|(_, rival)| counts(rival));
        let (vip, rival) = rivals.max_by_key(|(_, rival)| rival.at())?;
        let (iface, who) = (&self.cfg.iface, self.owner(rival.mac));
        let protocol = match self.cfg.dialect.family() {
            Family::Ipv4 => "ARP",
            Family::Ipv6 => "neighbour discovery",
        };
        let answers = rival.answers(now);
        let told = match rival.announced {
            Some(at) if !answers => format!("{who} announced {vip} {}", ago(now.since(at))),
            Some(_) | None => format!("{who} answers {protocol} for {vip}"),
        };
        let is_peer = self.peers.peer_at(rival.mac).is_some();
        let silent = match heard {
            None => Some(format!(
                "no advert of another node was ever received on {iface} since the start"
            )),
            Some(at) if is_peer && now.since(at) > self.silence_limit() => Some(format!(
                "the last advert of another node on {iface} was received {}",
                ago(now.since(at))
            )),
            Some(_) => None,
        };
        let network = if self.cfg.is_unicast() {
            "compare the peers on both nodes"
        } else {
            "if the network drops multicast, use unicast (`peers`, `unicast_peer`)"
        };
        let allow = allow_vrrp(self.cfg.dialect.family());
        if let Some(silent) = &silent
            && (rival.announced.is_some() || is_peer)
        {
            return Some(format!(
                "{silent}, but {told}: it is master too, and IP protocol 112 is filtered between you. \
                 On both hosts, {allow} lets VRRP in; {network}"
            ));
        }
        let find = "Find it (`ip neigh`, the switch's table of MACs)";
        if !answers {
            return Some(format!(
                "another node answers {protocol} for an address of ours on {iface}: {told}, and we \
                 have not since, so hosts send their traffic there. {find}: a second master, or a host \
                 that has the address by mistake"
            ));
        }
        let or_else = if silent.is_some() {
            format!(
                ". No other node was ever heard: if it is one, IP protocol 112 is filtered between \
                 you, and {allow} lets VRRP in"
            )
        } else {
            String::new()
        };
        Some(format!(
            "{told}, which this node holds: hosts on {iface} may send their traffic there. {find} and \
             remove the address from it{or_else}"
        ))
    }

    /// A MAC, and whose it is if that is known.
    fn owner(&self, mac: Mac) -> String {
        let [prefix @ .., vrid] = mac.0;
        if let Some(peer) = self.peers.peer_at(mac) {
            format!("{peer} ({mac})")
        } else if VIRTUAL_MACS.contains(&prefix) {
            format!("{mac} (the virtual MAC of VRID {vrid}: a router with use_vmac)")
        } else {
            mac.to_string()
        }
    }
}
