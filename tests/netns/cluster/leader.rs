//! The address follows Patroni's leader by the shipped example alone, on a real cluster.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use vipd::lab::cluster::{Cluster, Member, SQL_PORT};
use vipd::lab::deadline::eventually;
use vipd::lab::writer::{Cause, Writer};
use vipd::lab::{Capture, Decoded, Frame, Lab, Node, Stamp, Vipd};
use vipd::types::Mac;

use super::{ELECTION, SAFE, bed, gap, other_than};
use crate::SOON;
use crate::common::{Machine, binary, pass, router, start};
use crate::turns::long;

const EXAMPLE: &str = include_str!("../../../examples/vipd-patroni.toml");

/// The address in the example.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);

/// What following the leader may cost beyond what the database takes by itself.
const EXTRA: Duration = Duration::from_secs(1);

/// In the example, how long a node that leads no more keeps the address: 32 checks of 250 ms, the
/// first of which may be due at once.
const GRACE: RangeInclusive<Duration> = Duration::from_millis(7500)..=Duration::from_millis(9000);

/// Three database nodes with the example, and two clients on one host: one writes to the address,
/// the other to whoever is primary.
struct Site {
    lab: Lab,
    cluster: Cluster,
    daemons: Vec<Vipd>,
    seen: Capture,
    by_address: Writer,
    direct: Writer,
    machine: Machine,
}

fn site() -> Site {
    let (lab, cluster, client) = bed();
    let daemons = cluster.members().iter().map(|member| start(member.node(), EXAMPLE)).collect();
    let seen = client.capture_only("eth0", |frame| answers_for_vip(frame).is_some()).unwrap();
    let sql = |address: Ipv4Addr| SocketAddr::from((address, SQL_PORT));
    let by_address = Writer::start(&client, "by address", &[sql(VIP)]).unwrap();
    let members: Vec<_> = cluster.members().iter().map(|member| sql(member.address())).collect();
    let direct = Writer::start(&client, "direct", &members).unwrap();
    let machine = Machine::watch();
    let site = Site { cluster, daemons, seen, by_address, direct, machine, lab };
    site.await_writes(None);
    site.await_peace();
    site
}

/// Who says by this frame that the virtual address is his: by ARP, or as the sender of an IP packet.
fn answers_for_vip(frame: &Frame) -> Option<Mac> {
    match frame.decode() {
        Decoded::Arp(arp) => (arp.sender == VIP).then_some(arp.sender_mac),
        _ => {
            let ip = frame.bytes.get(12..14)? == [0x08, 0x00];
            let source = frame.bytes.get(26..30)? == VIP.octets();
            let mac = frame.bytes.get(6..12)?.try_into().ok()?;
            (ip && source).then_some(Mac(mac))
        }
    }
}

fn is_tcp(frame: &Frame) -> bool {
    frame.bytes.get(23) == Some(&6) && !matches!(frame.decode(), Decoded::Arp(_))
}

impl Site {
    fn leader(&self) -> &Member {
        self.cluster.wait_for_primary(None, ELECTION).unwrap()
    }

    fn member(&self, name: &str) -> &Member {
        self.cluster.members().iter().find(|member| member.node().name() == name).unwrap()
    }

    /// Waits until a row written to the address from now on is acknowledged, and not by `old`; says
    /// by whom.
    fn await_writes(&self, old: Option<&Member>) -> &Member {
        let from = Stamp::now();
        let old = old.map(|old| old.node().name());
        let by = eventually(ELECTION, "rows by the address", || match self.by_address.last() {
            Some(row) if row.at > from && Some(&*row.by) != old => Ok(row.by),
            other => {
                let refused = self.by_address.diary().refused;
                Err(format!("{other:?}, {:?}; {}", refused.last(), self.reports()))
            }
        });
        self.member(&by.unwrap())
    }

    /// Waits until the client that goes to the primary itself has a row again, too.
    fn await_direct(&self) {
        let from = Stamp::now();
        eventually(ELECTION, "rows of the direct client", || match self.direct.last() {
            Some(row) if row.at > from => Ok(()),
            other => Err(format!("{other:?}, {:?}", self.direct.diary().refused.last())),
        })
        .unwrap();
    }

    /// Waits until nobody has the address, and says how long that took.
    fn await_no_holder(&self) -> Duration {
        let start = Stamp::now();
        let nobody = || if self.holders().next().is_none() { Ok(()) } else { Err(self.reports()) };
        eventually(ELECTION, "the address to be nowhere", nobody).unwrap();
        Stamp::now().since(start)
    }

    /// As long as the example says, and on a busy machine, where each check is late, not until
    /// another could lead.
    #[track_caller]
    fn kept_for_the_grace(&self, kept: Duration) {
        let most = self.machine.allows_in_turn(*GRACE.end(), 32).min(SAFE);
        assert!((*GRACE.start()..=most).contains(&kept), "{kept:?}, at most {most:?}");
    }

    /// A refusal at once, rather than a silence.
    fn refused_after(&self, from: Stamp) -> Option<()> {
        let at_once = Cause::Network(ErrorKind::ConnectionRefused);
        let refused = self.by_address.diary().refused;
        refused.iter().any(|r| r.at > from && r.cause == at_once).then_some(())
    }

    /// All members follow one leader again, who has the address alone.
    fn await_peace(&self) {
        self.cluster.wait_until_whole(ELECTION).unwrap();
        self.await_address_at(self.leader());
    }

    /// What `vipd status sql` prints on a member.
    fn page(&self, member: &Member) -> String {
        let name = member.node().name();
        let vipd = self.daemons.iter().find(|v| v.process().node().name() == name).unwrap();
        let mut command = Command::new(binary());
        command.args(["status", "sql", "--run-dir"]).arg(vipd.run_dir());
        member.node().output(command, SOON).unwrap().stdout
    }

    /// Each node tells why it has the address, or has it not.
    fn tells_why(&self) {
        let leader = self.leader();
        for member in self.cluster.members() {
            let said = if member.address() == leader.address() {
                "priority     100 +100 leader = 200"
            } else {
                "reason       recent-leader failed: wrong answer (replica, running, not primary)"
            };
            let what = format!("{} to say {said}", member.node().name());
            let look = || match self.page(member) {
                page if page.contains(said) => Ok(()),
                page => Err(page),
            };
            eventually(SOON, what, look).unwrap();
        }
    }

    /// What the daemons say.
    fn reports(&self) -> String {
        let report = |vipd: &Vipd| match router(vipd, "sql") {
            Ok(status) => {
                let name = vipd.process().node().name();
                format!("{name}: {} {}, {}", status["state"], status["priority"], status["reason"])
            }
            Err(error) => error,
        };
        self.daemons.iter().map(report).collect::<Vec<_>>().join("; ")
    }

    /// Waits until `member` has the address and nobody else.
    fn await_address_at(&self, member: &Member) {
        let what = format!("the address on {} alone", member.node().name());
        eventually(ELECTION, what, || {
            let holders: Vec<_> = self.holders().collect();
            if holders == [member.node().name()] { Ok(()) } else { Err(self.reports()) }
        })
        .unwrap();
    }

    fn holders(&self) -> impl Iterator<Item = &str> {
        let nodes = self.cluster.members().iter().map(Member::node);
        nodes.filter(|node| node.has_address(VIP).unwrap()).map(Node::name)
    }

    /// The old leader says nothing by the virtual address once the new one has used it, and no
    /// standby refuses a row there.
    #[track_caller]
    fn was_clean(&self, from: Stamp, old: &Member, new: &Member) {
        let mac = |member: &Member| member.node().link_status("eth0").unwrap().unwrap().mac;
        let (old_mac, new_mac) = (mac(old), mac(new));
        let frames = self.seen.frames();
        let said = |by: Mac| {
            let by = move |frame: &&Frame| answers_for_vip(frame) == Some(by);
            frames.iter().filter(move |frame| frame.at >= from).filter(by)
        };
        let first = said(new_mac).find(|frame| is_tcp(frame)).unwrap_or_else(|| {
            panic!("{} said nothing: {}", new.node().name(), self.reports());
        });
        let late: Vec<_> = said(old_mac).filter(|frame| frame.at > first.at).collect();
        assert!(late.is_empty(), "after {}: {:?}; {}", first.at, late.first(), self.reports());
        assert_eq!(self.seen.lost(), 0);
        let read_only = self.by_address.diary().read_only_in(first.at, Stamp::now());
        assert_eq!(read_only, 0, "rows refused by a standby after {}", first.at);
    }

    /// Each row acknowledged to the client of the address since then is there.
    #[track_caller]
    fn nothing_is_lost(&self, since: Stamp) {
        let (mut written, leader) = (self.by_address.diary().written, self.leader());
        written.retain(|row| row.at > since);
        let (first, last) = (written.first().unwrap().n, written.last().unwrap().n);
        let count = format!(
            "select count(*) from written where writer = 'by address' and n between {first} and {last}"
        );
        let there: usize = leader.sql(leader.address(), &count).unwrap().parse().unwrap();
        // A statement whose answer was lost may have been carried out.
        assert!(there >= written.len(), "{there} of {}", written.len());
    }
}

#[test]
fn the_address_follows_the_leader_through_switchovers_and_a_crash() {
    let _turn = long();
    let site = site();
    let start = Stamp::now();

    for _ in 0..2 {
        let (old, from) = (site.leader(), Stamp::now());
        let new = other_than(&site.cluster, old);
        site.cluster.switch_over(new).unwrap();
        assert_eq!(site.await_writes(Some(old)).address(), new.address());
        pass(Duration::from_secs(1));
        site.await_direct();
        let (through, own) = (gap(&site.by_address.diary(), from), gap(&site.direct.diary(), from));
        println!("switchover: {through:?} without a row by the address, {own:?} directly");
        assert!(through <= site.machine.allows(own + EXTRA), "{through:?}, {own:?} directly");
        site.await_peace();
        site.was_clean(from, old, new);
        site.nothing_is_lost(start);
        site.tells_why();
    }

    // PostgreSQL alone ends, and Patroni starts it again: the address waits for it.
    let (leader, from) = (site.leader(), Stamp::now());
    leader.signal_postmaster(Signal::SIGKILL).unwrap();
    eventually(SOON, "a refusal", || site.refused_after(from)).unwrap();
    assert_eq!(site.await_writes(None).address(), leader.address());
    site.await_direct();
    let (through, own) = (gap(&site.by_address.diary(), from), gap(&site.direct.diary(), from));
    println!("crash of PostgreSQL: {through:?} without a row by the address, {own:?} directly");
    assert!(through <= site.machine.allows(own + EXTRA), "{through:?}, {own:?} directly");
    site.await_peace();

    // Everything on the host but vipd ends: first a refusal at once, then no address.
    let (old, from) = (site.leader(), Stamp::now());
    old.crash().unwrap();
    let kept = site.await_no_holder();
    assert!(site.refused_after(from).is_some());
    site.kept_for_the_grace(kept);
    let new = site.await_writes(Some(old));
    println!(
        "crash of all: {:?} without a row by the address",
        gap(&site.by_address.diary(), from)
    );
    site.was_clean(from, old, new);
    old.start().unwrap();
    site.await_peace();
    site.was_clean(from, old, new);
    assert_eq!(site.by_address.diary().read_only_in(from, Stamp::now()), 0);
}

#[test]
fn the_address_leaves_a_leader_that_cannot_say_so() {
    let _turn = long();
    let site = site();

    // Patroni is frozen, PostgreSQL goes on: a row it takes after an election would be lost.
    let (old, from) = (site.leader(), Stamp::now());
    old.signal_patroni(Signal::SIGSTOP);
    let kept = site.await_no_holder();
    site.kept_for_the_grace(kept);
    let new = site.await_writes(Some(old));
    println!(
        "Patroni frozen: {:?} without a row by the address",
        gap(&site.by_address.diary(), from)
    );
    pass(Duration::from_secs(1));
    site.was_clean(from, old, new);
    site.nothing_is_lost(from);
    // Awake again, it may take the lock back, with what its PostgreSQL has: Patroni decides, the
    // address follows, and what the new leader took is lost.
    old.signal_patroni(Signal::SIGCONT);
    site.await_peace();
    let since = Stamp::now();

    // Without its store no member leads.
    site.cluster.etcd().signal(Signal::SIGSTOP);
    let kept = site.await_no_holder();
    println!("etcd stopped: {kept:?} until the address was nowhere");
    site.cluster.etcd().signal(Signal::SIGCONT);
    site.await_writes(None);
    site.await_peace();
    site.nothing_is_lost(since);

    // Cut off with its carrier up, the old leader cannot hear the new one.
    let (old, from) = (site.leader(), Stamp::now());
    site.lab.isolate(old.node()).unwrap();
    let kept = site.await_no_holder();
    println!("cut off: {kept:?} until the address was nowhere");
    let new = site.await_writes(Some(old));
    println!("cut off: {:?} without a row by the address", gap(&site.by_address.diary(), from));
    site.lab.heal().unwrap();
    site.await_peace();
    site.was_clean(from, old, new);
}
