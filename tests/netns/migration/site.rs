//! The pair with its clients, and what is done to it.

use std::process::Command;
use std::time::Duration;

use vipd::lab::deadline::eventually;
use vipd::lab::{Capture, Decoded, Lab, Node, Stamp};
use vipd::types::Mac;

use super::balancer::Balancer;
use super::load::{Load, serve};
use super::{CHECK, LATE, Pair, VIP};
use crate::common::{Machine, binary, ip};
use crate::{SOON, lab};

/// The balancers' own addresses.
const OWN: [&str; 2] = ["10.0.0.2", "10.0.0.3"];

/// What a bystander sees of the address is the measure.
pub(super) struct Site {
    pair: Pair,
    pub(super) balancers: [Balancer; 2],
    load: Load,
    wire: Capture,
    machine: Machine,
    /// The network, and the others in it, live as long as this.
    _lab: (Lab, [Node; 4]),
}

impl Site {
    /// The old pair, under load: the first host serves.
    pub(super) fn of_the_old_pair(pair: Pair) -> Site {
        let lab = lab();
        let host = |name: &str, last: u8| -> Node {
            let node = lab.node(name).unwrap();
            node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
            node
        };
        let (db, witness) = (host("db", 21), host("witness", 10));
        let (short, long) = (host("short", 8), host("long", 9));
        serve(&db);
        let balancers = [("lb-01", 2, 101), ("lb-02", 3, 100)];
        let mut balancers = balancers
            .map(|(name, last, priority)| Balancer::new(&lab, name, last, priority, &pair));
        let wire = witness.capture("eth0").unwrap();
        for host in [0, 1] {
            balancers[host].start("haproxy");
            balancers[host].start("keepalived");
            let there = || balancers[0].node.has_address(ip("10.0.0.100")).unwrap();
            eventually(SOON, "lb-01 to serve", there).unwrap();
        }
        let load = Load::start(&short, &long);
        let site = Site {
            pair,
            balancers,
            load,
            wire,
            machine: Machine::watch(),
            _lab: (lab, [db, witness, short, long]),
        };
        site.settle();
        site.balancers[1].follows(OWN[0], Stamp::now());
        site
    }

    pub(super) fn settle(&self) {
        self.load.settle();
    }

    /// What `vipd check --pair` says of the files of both, copied to one place, a directory each.
    pub(super) fn compare(&self, line: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        for (balancer, dir) in self.balancers.iter().zip(["lb1", "lb2"]) {
            std::fs::create_dir(place.path().join(dir)).unwrap();
            let names = ["keepalived.conf", "haproxy.cfg"];
            for (name, text) in names.into_iter().zip(balancer.files()) {
                std::fs::write(place.path().join(dir).join(name), text).unwrap();
            }
        }
        let words = line.split_whitespace().skip(1);
        let done = Command::new(binary()).args(words).current_dir(place.path()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Who has announced the address, one after the other.
    fn holders(&self) -> Vec<(Stamp, Mac)> {
        let announced = self.wire.frames().into_iter().filter_map(|frame| match frame.decode() {
            Decoded::Arp(arp) if arp.is_gratuitous() && arp.sender == VIP => {
                Some((frame.at, arp.sender_mac))
            }
            _ => None,
        });
        let mut holders: Vec<(Stamp, Mac)> = announced.collect();
        holders.dedup_by_key(|(_, mac)| *mac);
        holders
    }

    /// When the address was last announced by `host`, once nobody else has done so since.
    fn moved(&self, host: usize) -> Stamp {
        let mac = self.balancers[host].mac;
        let look = || {
            let last = self.holders().last().copied();
            last.filter(|(_, holder)| *holder == mac)
                .map(|(at, _)| at)
                .ok_or_else(|| format!("{last:?}\n{}", self.log()))
        };
        eventually(SOON, format!("{}: the address at {host}", self.pair), look).unwrap()
    }

    fn log(&self) -> String {
        self.balancers.iter().map(Balancer::log).collect()
    }

    /// When `host` said that it cannot serve any more.
    fn resigned(&self, host: usize, from: Stamp) -> Stamp {
        let mac = self.balancers[host].mac;
        let last = self.wire.frames().into_iter().find(|frame| {
            let resigns = |decoded| match decoded {
                Decoded::Vrrp(advert) => advert.priority == 0 && advert.source_mac == mac,
                _ => false,
            };
            frame.at >= from && resigns(frame.decode())
        });
        last.unwrap_or_else(|| panic!("{host} never resigned\n{}", self.log())).at
    }

    fn skew(&self) -> Duration {
        self.pair.interval * 156 / 256
    }

    fn within(&self, took: Duration, most: Duration, what: &str) {
        assert!(
            took <= self.machine.allows(most + LATE),
            "{}: {what}: {took:?} instead of {most:?}\n{}",
            self.pair,
            self.log()
        );
    }

    /// The one that does not serve changes over.
    pub(super) fn backup_changes(&mut self, host: usize, block: &str) {
        self.step(host, block, &[]);
    }

    /// The one that serves changes over: the address leaves it, and returns where it is at home.
    pub(super) fn master_changes(&mut self, host: usize, block: &str) {
        let goes = [1 - host, host];
        self.step(host, block, if self.pair.preempts { &goes } else { &goes[..1] });
    }

    /// A planned step of the guide: on which host, and where the address goes by it.
    fn step(&mut self, host: usize, block: &str, goes: &[usize]) {
        self.settle();
        let (failed, ended) = self.load.count();
        let before = self.holders().len();
        let from = Stamp::now();
        self.balancers[host].perform(block);
        if let Some(last) = goes.last() {
            self.moved(*last);
        }
        if goes.last() != Some(&host) {
            self.balancers[host].follows(OWN[1 - host], from);
        }
        self.settle();
        let moves: Vec<Mac> = self.holders()[before..].iter().map(|(_, mac)| *mac).collect();
        let wanted: Vec<Mac> = goes.iter().map(|host| self.balancers[*host].mac).collect();
        assert_eq!(moves, wanted, "{}: {block}\n{}", self.pair, self.log());
        let (failed_now, ended_now) = self.load.count();
        let (fewer, ends) = (failed_now - failed, ended_now - ended);
        println!("{}: step at {host}: {fewer} failed, {ends} ended, {goes:?}", self.pair);
        let said = self.load.failed.lock().unwrap()[failed..].join("\n");
        assert!(fewer <= 1, "{}: {block}: {said}", self.pair);
        assert!(usize::try_from(ends).unwrap() <= goes.len(), "{}: {block}: {ends}", self.pair);
    }

    /// The proxy of the serving host dies. The check must notice HAProxy's death; vipd is both.
    pub(super) fn proxy_dies(&mut self, host: usize) {
        let haproxy = self.balancers[host].runs("haproxy");
        let service = if haproxy { "haproxy" } else { "vipd" };
        let from = Stamp::now();
        self.balancers[host].kill(service);
        let at = self.moved(1 - host);
        println!("{}: {service} of {host} dies: {:?}", self.pair, at.since(from));
        if haproxy {
            // Where in the check's interval it died is chance: each part has a limit of its own.
            let resigned = self.resigned(host, from);
            self.within(resigned.since(from), CHECK, "the check notices");
            self.within(at.since(resigned), self.skew(), "the backup takes over");
        } else {
            let most = self.pair.interval * 3 + self.skew();
            self.within(at.since(from), most, "the backup takes over from vipd");
        }
        let from = Stamp::now();
        self.balancers[host].start(service);
        self.balancers[host].follows(OWN[1 - host], from);
    }

    /// The serving host loses its cable.
    pub(super) fn host_cut(&mut self, host: usize) {
        let from = Stamp::now();
        self.balancers[host].node.unplug().unwrap();
        let took = self.moved(1 - host).since(from);
        println!("{}: host {host} is cut: {took:?}", self.pair);
        self.within(took, self.pair.interval * 3 + self.skew(), "the backup of a cut host");
        let from = Stamp::now();
        self.balancers[host].node.plug().unwrap();
        self.balancers[host].follows(OWN[1 - host], from);
    }
}
