//! A real Patroni cluster behind two edges that share an address: what its clients see.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::sys::signal::Signal;
use vipd::lab::cluster::{Cluster, Member, SQL_PORT};
use vipd::lab::deadline::eventually;
use vipd::lab::writer::{Diary, Work, Writer, cancel_on};
use vipd::lab::{Lab, Node, Stamp, Vipd};

use super::{ELECTION, SAFE, bed, gap, other_than};
use crate::SOON;
use crate::common::{Machine, pass, start};
use crate::turns::long;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const WRITE: u16 = 5000;
const READ: u16 = 5001;

/// What a planned switchover may cost a writer beyond what the database takes by itself.
const EXTRA: Duration = Duration::from_millis(300);

/// How long a listener holds a connection unless it is told otherwise. A database that takes longer,
/// on a machine that also compiles, cannot be waited for.
const HOLD: Duration = Duration::from_secs(4);

/// Longer than any hold, shorter than what must not take so long.
const PATIENCE: Duration = Duration::from_secs(10);

fn config(priority: u8) -> String {
    format!(
        "[cluster.pg]\nmembers = [\n    {{ name = \"pg-01\", address = \"10.0.0.21\" }},\n    \
         {{ name = \"pg-02\", address = \"10.0.0.22\" }},\n    \
         {{ name = \"pg-03\", address = \"10.0.0.23\" }},\n]\n\
         [listener]\nwrite = {{ bind = \"*:{WRITE}\", role = \"writer\" }}\n\
         read = {{ bind = \"*:{READ}\", role = \"reader\", max_lag = \"1MB\" }}\n\
         [vrrp.edge]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\nversion = 3\n\
         interval = \"100ms\"\naddresses = [\"{VIP}/24\"]\n"
    )
}

struct Site {
    lab: Lab,
    cluster: Cluster,
    client: Node,
    edges: Vec<Vipd>,
    /// Writes in one session.
    session: Writer,
    /// Writes each row in a session of its own.
    rows: Writer,
    /// Reads each row in a session of its own.
    reads: Writer,
    /// Writes to whoever is primary.
    direct: Writer,
    machine: Machine,
}

fn site() -> Site {
    let (lab, cluster, client) = bed();
    let host = |name: &str, last: u8| {
        let node = lab.node(name).unwrap();
        node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
        node
    };
    let edges =
        vec![start(&host("lb-01", 11), &config(150)), start(&host("lb-02", 12), &config(100))];
    let at = |address: Ipv4Addr, port: u16| SocketAddr::from((address, port));
    let doing =
        |work, name, port| Writer::doing(work, PATIENCE, &client, name, &[at(VIP, port)]).unwrap();
    let session = doing(Work::Write, "session", WRITE);
    let rows = doing(Work::WriteOnce, "rows", WRITE);
    let reads = doing(Work::ReadOnce, "reads", READ);
    let members: Vec<_> =
        cluster.members().iter().map(|member| at(member.address(), SQL_PORT)).collect();
    let direct = Writer::start(&client, "direct", &members).unwrap();
    let machine = Machine::watch();
    let site = Site { lab, cluster, client, edges, session, rows, reads, direct, machine };
    site.await_peace();
    site
}

impl Site {
    fn leader(&self) -> &Member {
        self.cluster.wait_for_primary(None, ELECTION).unwrap()
    }

    /// Waits until `client` has had an answer from now on by one of those `fit`.
    fn await_answer(&self, what: &str, client: &Writer, fit: impl Fn(&str) -> bool) {
        let from = Stamp::now();
        eventually(ELECTION, what, || match client.last() {
            Some(row) if row.at > from && fit(&row.by) => Ok(()),
            other => {
                Err(format!("{other:?}, {:?}; {}", client.diary().refused.last(), self.view()))
            }
        })
        .unwrap();
    }

    /// The cluster is whole, and every client is served by whom it should be.
    fn await_peace(&self) {
        self.cluster.wait_until_whole(ELECTION).unwrap();
        let leader = self.leader().node().name();
        self.await_answer("rows of the session", &self.session, |by| by == leader);
        self.await_answer("rows", &self.rows, |by| by == leader);
        self.await_answer("rows of the direct client", &self.direct, |by| by == leader);
        for member in self.cluster.members().iter().filter(|m| m.node().name() != leader) {
            let name = member.node().name();
            self.await_answer(&format!("reads from {name}"), &self.reads, |by| by == name);
        }
    }

    /// What the edges that live make of it.
    fn view(&self) -> String {
        let view = |edge: &Vipd| edge.status().map(|status| format!("{:#}", status["clusters"]));
        self.edges.iter().flat_map(view).collect()
    }

    #[track_caller]
    fn no_standby_answered(&self, from: Stamp) {
        for (name, client) in [("session", &self.session), ("rows", &self.rows)] {
            let diary = client.diary();
            assert_eq!(diary.read_only_in(from, Stamp::now()), 0, "{name}: {:?}", diary.refused);
        }
    }

    /// No row was answered by a standby, and each one acknowledged is there.
    #[track_caller]
    fn was_clean(&self, from: Stamp) {
        self.no_standby_answered(from);
        let leader = self.leader();
        for (name, client) in [("session", &self.session), ("rows", &self.rows)] {
            let diary = client.diary();
            let last = diary.written.last().unwrap().n;
            let count =
                format!("select count(*) from written where writer = '{name}' and n <= {last}");
            let there: usize = leader.sql(leader.address(), &count).unwrap().parse().unwrap();
            // A statement whose answer was lost may have been carried out.
            assert!(there >= diary.written.len(), "{name}: {there} of {}", diary.written.len());
        }
    }
}

/// Those that came to nothing before there was a session.
fn failed_connects(diary: &Diary, from: Stamp) -> usize {
    diary.refused_in(from, Stamp::now()).filter(|refusal| refusal.connecting).count()
}

#[test]
fn a_planned_switchover_fails_no_new_connection_and_cancels_arrive() {
    let _turn = long();
    let site = site();

    // A cancel request ends the statement it is meant for, through a pool of two as well.
    for port in [WRITE, READ, READ, READ] {
        let said = cancel_on(&site.client, (VIP, port).into(), PATIENCE).unwrap();
        // query_canceled
        assert!(said.to_string().starts_with("57014"), "{said}");
    }

    for _ in 0..2 {
        let (old, from) = (site.leader(), Stamp::now());
        let new = other_than(&site.cluster, old);
        site.cluster.switch_over(new).unwrap();
        let new = new.node().name();
        site.await_answer("rows from the new primary", &site.rows, |by| by == new);
        pass(Duration::from_secs(1));
        site.await_answer("rows of the direct client", &site.direct, |_| true);
        let own = gap(&site.direct.diary(), from);
        for (name, client) in [("session", &site.session), ("rows", &site.rows)] {
            let diary = client.diary();
            let through = gap(&diary, from);
            println!("{name}: {through:?} without a row, {own:?} directly");
            assert!(
                through <= site.machine.allows_in_turn(own + EXTRA, 16),
                "{name}: {through:?}, {own:?}"
            );
            let bridged = own + EXTRA < HOLD;
            assert!(
                failed_connects(&diary, from) == 0 || !bridged,
                "{name}: {own:?}, {:?}",
                diary.refused
            );
        }
        let reads = site.reads.diary();
        assert_eq!(failed_connects(&reads, from), 0, "{:?}", reads.refused);
        site.await_peace();
        site.was_clean(from);
    }

    // The edge that serves ends in the middle of one.
    let (old, from) = (site.leader(), Stamp::now());
    let new = other_than(&site.cluster, old);
    std::thread::scope(|scope| {
        let switch = scope.spawn(|| site.cluster.switch_over(new));
        eventually(SOON, "the old primary to go", || {
            let gone = !old.is_primary();
            gone.then_some(())
        })
        .unwrap();
        site.edges[0].kill9();
        switch.join().unwrap().unwrap();
    });
    let name = new.node().name();
    site.await_answer("rows by the other edge", &site.rows, |by| by == name);
    site.await_answer("reads by the other edge", &site.reads, |_| true);
    site.was_clean(from);
}

#[test]
fn a_primary_that_cannot_confirm_itself_is_left_before_another_can_exist() {
    let _turn = long();
    let site = site();

    // PostgreSQL alone ends, and Patroni, which says 200 all the while, starts it again.
    let (leader, from) = (site.leader(), Stamp::now());
    leader.signal_postmaster(Signal::SIGKILL).unwrap();
    let name = leader.node().name();
    pass(Duration::from_secs(1));
    site.await_answer("rows again", &site.rows, |by| by == name);
    site.await_answer("rows of the direct client", &site.direct, |_| true);
    let (through, own) = (gap(&site.rows.diary(), from), gap(&site.direct.diary(), from));
    println!("postmaster killed: {through:?} without a row, {own:?} directly");
    site.await_peace();
    site.was_clean(from);

    // The primary is cut off with its carrier up.
    let (old, from) = (site.leader(), Stamp::now());
    site.lab.isolate(old.node()).unwrap();
    let name = old.node().name();
    site.await_answer("rows from another", &site.rows, |by| by != name);
    site.await_answer("rows of the session", &site.session, |by| by != name);
    site.await_answer("reads", &site.reads, |by| by != name);
    let through = gap(&site.session.diary(), from);
    println!("cut off: {through:?} without a row in the session");
    site.lab.heal().unwrap();
    site.await_peace();
    // The last rows may not have been replicated when the cable was cut: nobody waits for that.
    site.no_standby_answered(from);

    // Patroni is frozen, PostgreSQL goes on.
    let (old, from) = (site.leader(), Stamp::now());
    old.signal_patroni(Signal::SIGSTOP);
    let left = site.await_silence(from);
    println!("Patroni frozen: the last row after {left:?}");
    assert!(left <= site.machine.allows(SAFE), "{left:?}");
    let name = old.node().name();
    site.await_answer("rows from another", &site.rows, |by| by != name);
    site.await_answer("rows of the session", &site.session, |by| by != name);
    site.was_clean(from);
}

impl Site {
    /// Waits until nobody has written by the address for two seconds; from `from` to the last row.
    fn await_silence(&self, from: Stamp) -> Duration {
        let quiet = Duration::from_secs(2);
        let last = || {
            let rows = [&self.session, &self.rows].map(|client| client.last().map(|row| row.at));
            rows.into_iter().flatten().max()
        };
        let silent = || match last() {
            Some(at) if Stamp::now().since(at) >= quiet => Ok(at.since(from)),
            at => Err(format!("{at:?}")),
        };
        eventually(ELECTION, "no more rows", silent).unwrap()
    }
}

#[test]
fn readers_are_served_while_one_node_lives() {
    let _turn = long();
    let site = site();

    // A replica that does not replay is left alone once it lags, and its sessions go on.
    let leader = site.leader();
    let lagging = other_than(&site.cluster, leader);
    lagging.signal_replay(Signal::SIGSTOP).unwrap();
    let filler = "create table filler as select generate_series(1, 100000)";
    leader.sql(leader.address(), filler).unwrap();
    let name = lagging.node().name();
    let since_last = || {
        let diary = site.reads.diary();
        let last = diary.written.iter().rev().find(|row| row.by == name).map(|row| row.at);
        match last {
            Some(at) if Stamp::now().since(at) > Duration::from_secs(2) => Ok(()),
            _ => Err(site.view()),
        }
    };
    eventually(SOON, "the lagging replica to be left out", since_last).unwrap();
    lagging.signal_replay(Signal::SIGCONT).unwrap();
    site.await_answer("reads from it again", &site.reads, |by| by == name);

    // No store: nobody may write, everybody may read.
    let from = Stamp::now();
    site.cluster.etcd().signal(Signal::SIGSTOP);
    let left = site.await_silence(from);
    println!("etcd stopped: the last row after {left:?}");
    site.await_answer("reads without a store", &site.reads, |_| true);
    site.cluster.etcd().signal(Signal::SIGCONT);
    site.await_answer("rows again", &site.rows, |_| true);
    site.await_peace();
    site.was_clean(from);

    // Both replicas go: the primary is read from. They return: they are.
    let (leader, from) = (site.leader(), Stamp::now());
    let name = leader.node().name();
    let replicas = || site.cluster.members().iter().filter(|m| m.node().name() != name);
    replicas().for_each(|replica| replica.crash().unwrap());
    site.await_answer("reads from the primary", &site.reads, |by| by == name);
    site.await_answer("rows", &site.rows, |by| by == name);
    replicas().for_each(|replica| replica.start().unwrap());
    site.await_peace();
    site.was_clean(from);
}
