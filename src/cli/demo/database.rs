//! The database behind the load balancers: two stand-ins for nodes run by Patroni, and clients that
//! open a session for each row.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::VIP;
use super::timeline::Reach;
use crate::lab::fake_patroni::{FakePatroni, FakeRole};
use crate::lab::writer::{Work, Writer};
use crate::lab::{Lab, Node, Result, Stamp};

/// What both load balancers run besides their keepalived.conf.
pub(super) const HAPROXY_CFG: &str = "\
defaults
    mode tcp
    timeout connect 4s
    timeout client 30m
    timeout server 30m
listen primary
    bind *:5000
    option httpchk GET /primary
    http-check expect status 200
    default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
    server pg-01 10.0.0.21:5432 check port 8008
    server pg-02 10.0.0.22:5432 check port 8008
";

const PORT: u16 = 5000;
const CLIENTS: usize = 3;

/// As long as some drivers wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two nodes, the first of which is the primary at the beginning.
#[derive(Debug)]
pub(super) struct Database {
    nodes: [FakePatroni; 2],
}

/// Clients that write through the virtual address; dropping them ends them.
#[derive(Debug)]
pub(super) struct Writers(Vec<Writer>);

/// What the clients have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    rows: usize,
    /// Those whose session ended in the middle of a row.
    broken: usize,
    /// Those that got no session.
    pub(super) refused: usize,
}

impl Database {
    pub(super) fn build(lab: &Lab) -> Result<Database> {
        let host = |name: &str, last: u8| {
            let node = lab.node(name)?;
            node.link("eth0", &[&format!("10.0.0.{last}/24")])?;
            FakePatroni::start(&node, Ipv4Addr::new(10, 0, 0, last))
        };
        let database = Database { nodes: [host("pg-01", 21)?, host("pg-02", 22)?] };
        database.nodes[0].set_role(FakeRole::Primary(1))?;
        Ok(database)
    }

    /// The primary's host goes away.
    pub(super) fn primary_dies(&self) -> Result<()> {
        self.nodes[0].set_role(FakeRole::Dead)
    }

    /// The other node takes over.
    pub(super) fn promote(&self) -> Result<()> {
        self.nodes[1].set_role(FakeRole::Primary(2))
    }

    /// The first is back, and follows the new primary.
    pub(super) fn repair(&self) -> Result<()> {
        self.nodes[0].set_role(FakeRole::Replica(2))
    }
}

impl Writers {
    pub(super) fn start(client: &Node) -> Result<Writers> {
        let target = [SocketAddr::from((VIP, PORT))];
        let start =
            |n| Writer::doing(Work::WriteOnce, PATIENCE, client, &format!("client {n}"), &target);
        (0..CLIENTS).map(start).collect::<Result<_>>().map(Writers)
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for diary in self.0.iter().map(Writer::diary) {
            let refused = diary.refused.iter().filter(|refusal| refusal.connecting).count();
            tally.rows += diary.written.len();
            tally.refused += refused;
            tally.broken += diary.refused.len() - refused;
        }
        tally
    }

    /// Whose server took the last row.
    pub(super) fn last_by(&self) -> Option<String> {
        let last = self.0.iter().filter_map(Writer::last).max_by_key(|row| row.at);
        last.map(|row| row.by)
    }

    /// The longest time any of the clients had no row for, since `from`.
    pub(super) fn longest_gap(&self, from: Stamp) -> Duration {
        let gap = |writer: &Writer| writer.diary().longest_gap_in(from, Stamp::now());
        self.0.iter().filter_map(gap).map(|gap| gap.length()).max().unwrap_or_default()
    }
}

impl Tally {
    /// How the time since `before` looked to the clients.
    pub(super) fn since(self, before: Tally) -> Reach {
        if self.refused > before.refused {
            Reach::Some
        } else if self.rows > before.rows {
            Reach::All
        } else {
            Reach::None
        }
    }
}
