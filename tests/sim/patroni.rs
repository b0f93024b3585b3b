//! A PostgreSQL cluster under Patroni, as far as a proxy can tell: a leader key with a ttl, loops
//! that refresh it, and nodes that crash, freeze and are cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use vipd::track::patroni::{
    Listed, LogPosition, Members, NodeAnswer, NodeRole, NodeState, Settings, SyncStanding,
};

use crate::rng::Rng;

/// Milliseconds since the beginning.
pub type Ms = u64;

pub const NODES: usize = 3;

/// The simulated cluster: the truth.
pub struct Cluster {
    pub now: Ms,
    pub nodes: Vec<Node>,
    pub settings: Settings,
    /// Who holds the leader key, and until when unless it refreshes it.
    pub key: Option<(usize, Ms)>,
    /// The cluster's store answers.
    pub store: bool,
    /// The latest timeline.
    timeline: u64,
    written: u64,
    pub rng: Rng,
    /// Nodes that have just become able to take writes.
    pub promoted: Vec<usize>,
    /// Nodes whose PostgreSQL has just ended all its sessions.
    pub ended: Vec<usize>,
}

pub struct Node {
    pub pg: Pg,
    /// What PostgreSQL is, or was before it stopped.
    pub primary: bool,
    pub timeline: u64,
    replayed: u64,
    /// It does not replay.
    pub slow: bool,
    /// What Patroni says of it besides.
    pub tags: BTreeMap<String, String>,
    /// Its Patroni is stopped by a signal.
    pub frozen: bool,
    /// Only the REST API is dead.
    pub mute: bool,
    /// The whole host is off.
    pub off: bool,
    /// The proxy does not reach it.
    pub cut: bool,
    /// It does not reach the store.
    pub astray: bool,
    /// Until when its Patroni thinks that it holds the key.
    lock_until: Ms,
    refreshed: Ms,
    next_loop: Ms,
    promotes: Option<Ms>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pg {
    Running,
    /// It went away; Patroni notices then.
    Crashed(Ms),
    Stopping(Ms),
    Starting(Ms),
    Stopped(Ms),
}

fn ms(duration: Duration) -> Ms {
    u64::try_from(duration.as_millis()).unwrap()
}

impl Cluster {
    pub fn new(mut rng: Rng) -> Cluster {
        let (ttl, loop_wait) = rng.pick(&[(30, 10), (30, 10), (20, 1), (60, 10)]);
        let node = |n| Node {
            pg: Pg::Running,
            primary: n == 0,
            timeline: 1,
            replayed: 0,
            slow: false,
            tags: BTreeMap::new(),
            frozen: false,
            mute: false,
            off: false,
            cut: false,
            astray: false,
            lock_until: 0,
            refreshed: 0,
            next_loop: 0,
            promotes: None,
        };
        Cluster {
            now: 0,
            nodes: (0..NODES).map(node).collect(),
            settings: Settings {
                ttl: Duration::from_secs(ttl),
                loop_wait: Duration::from_secs(loop_wait),
                failsafe: false,
            },
            key: Some((0, ttl * 1000)),
            store: true,
            timeline: 1,
            written: 0,
            rng,
            promoted: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn ttl(&self) -> Ms {
        ms(self.settings.ttl)
    }

    /// PostgreSQL there takes writes.
    pub fn writable(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        node.primary && node.pg == Pg::Running && !node.off
    }

    /// It takes writes, and rightly.
    pub fn leads(&self, n: usize) -> bool {
        let elsewhere = self.key.is_some_and(|(holder, _)| holder != n);
        self.writable(n) && !elsewhere && self.nodes[n].lock_until > self.now
    }

    /// The proxy's questions are answered.
    pub fn speaks(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        !node.frozen && !node.mute && !node.off && !node.cut
    }

    pub fn step(&mut self, by: Ms) {
        self.now += by;
        if self.key.is_some_and(|(_, until)| until <= self.now) {
            self.key = None;
        }
        let first = self.rng.index(NODES);
        for n in (0..NODES).map(|n| (n + first) % NODES) {
            if self.nodes[n].off {
                continue;
            }
            self.postgres(n);
            let looks = self.key.is_none() || self.nodes[n].promotes.is_some();
            if !self.nodes[n].frozen && (self.nodes[n].next_loop <= self.now || looks) {
                self.patroni(n);
            }
            if self.writable(n) {
                self.written += 1000;
                self.nodes[n].replayed = self.written;
            } else if !self.nodes[n].slow {
                self.nodes[n].replayed = self.written;
            }
        }
    }

    fn postgres(&mut self, n: usize) {
        let now = self.now;
        let frozen = self.nodes[n].frozen;
        let leads = self.key.is_some_and(|(holder, _)| holder == n);
        let node = &mut self.nodes[n];
        match node.pg {
            Pg::Stopping(until) if until <= now => {
                node.pg = Pg::Stopped(now + 2000);
                node.primary = false;
                node.lock_until = 0;
                if leads {
                    self.key = None;
                }
            }
            Pg::Stopped(until) if until <= now && !frozen => node.pg = Pg::Starting(now + 600),
            Pg::Crashed(until) if until <= now && !frozen => node.pg = Pg::Starting(now + 300),
            Pg::Starting(until) if until <= now => {
                node.pg = Pg::Running;
                // Restarted as what it was only by who still leads.
                if node.primary && !leads {
                    node.primary = false;
                }
                if !node.primary {
                    node.timeline = self.timeline;
                }
            }
            _ => {}
        }
    }

    /// One turn of its loop.
    fn patroni(&mut self, n: usize) {
        let (now, ttl) = (self.now, self.ttl());
        let reaches = self.store && !self.nodes[n].astray;
        let delay = self.rng.pick(&[30, 100, 100, 500, 3000]);
        let latest = self.timeline;
        let node = &mut self.nodes[n];
        if node.next_loop <= now {
            node.next_loop = now + ms(self.settings.loop_wait);
        }
        if !reaches {
            let lost = node.primary && now.saturating_sub(node.refreshed) >= 10_000;
            if lost && node.pg == Pg::Running {
                self.demote(n);
            }
            self.nodes[n].promotes = None;
            return;
        }
        match self.key {
            Some((holder, _)) if holder == n => {
                self.key = Some((n, now + ttl));
                (node.lock_until, node.refreshed) = (now + ttl, now);
                if node.promotes.is_some_and(|at| at <= now) && node.pg == Pg::Running {
                    node.promotes = None;
                    node.primary = true;
                    self.timeline += 1;
                    node.timeline = self.timeline;
                    self.promoted.push(n);
                } else if !node.primary && node.promotes.is_none() && node.pg == Pg::Running {
                    node.promotes = Some(now + delay);
                }
            }
            Some(_) => {
                node.lock_until = 0;
                node.promotes = None;
                if node.primary && node.pg == Pg::Running {
                    self.demote(n);
                } else if node.pg == Pg::Running {
                    node.timeline = latest;
                }
            }
            None if node.pg == Pg::Running && (!node.primary || node.timeline == latest) => {
                // Whoever sees it first has it; a primary that lost it for a moment too.
                self.key = Some((n, now + ttl));
                (node.lock_until, node.refreshed) = (now + ttl, now);
                node.promotes = (!node.primary).then_some(now + delay);
            }
            None => {}
        }
    }

    /// The sessions end, and it stops.
    fn demote(&mut self, n: usize) {
        self.nodes[n].pg = Pg::Stopping(self.now + 1000);
        self.nodes[n].promotes = None;
        self.ended.push(n);
    }

    pub fn switchover(&mut self) {
        if let Some((n, _)) = self.key
            && self.nodes[n].primary
            && self.nodes[n].pg == Pg::Running
            && !self.nodes[n].frozen
        {
            self.demote(n);
        }
    }

    pub fn crash_postgres(&mut self, n: usize) {
        if self.nodes[n].pg == Pg::Running {
            self.nodes[n].pg = Pg::Crashed(self.now + 5000);
            self.ended.push(n);
        }
    }

    /// PostgreSQL there starts again, if it is a standby.
    pub fn restart_standby(&mut self, n: usize, takes: Ms) {
        if self.nodes[n].pg == Pg::Running && !self.nodes[n].primary {
            self.nodes[n].pg = Pg::Starting(self.now + takes);
        }
    }

    pub fn switch_off(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.off = true;
        node.lock_until = 0;
        node.promotes = None;
    }

    pub fn switch_on(&mut self, n: usize) {
        let now = self.now;
        let node = &mut self.nodes[n];
        if std::mem::replace(&mut node.off, false) {
            node.pg = Pg::Starting(now + 1000);
            node.primary = false;
            node.next_loop = now;
        }
    }

    /// Everything works again.
    pub fn heal(&mut self) {
        self.store = true;
        for n in 0..NODES {
            self.switch_on(n);
            let node = &mut self.nodes[n];
            (node.frozen, node.mute, node.cut, node.astray) = (false, false, false, false);
            (node.slow, node.tags) = (false, BTreeMap::new());
            node.next_loop = node.next_loop.min(self.now + 50);
        }
    }

    /// What it says to `GET /primary`.
    pub fn node_answer(&self, n: usize) -> NodeAnswer {
        let node = &self.nodes[n];
        let running = node.pg == Pg::Running;
        let state = match node.pg {
            Pg::Running => NodeState::Running,
            Pg::Crashed(_) => NodeState::Unknown,
            Pg::Stopping(_) => NodeState::Stopping,
            Pg::Starting(_) => NodeState::Starting,
            Pg::Stopped(_) => NodeState::Stopped,
        };
        let log = match node.primary {
            true => LogPosition::Writes { location: self.written },
            false => LogPosition::Replays {
                received: Some(node.replayed),
                replayed: node.replayed,
                age: None,
                paused: false,
            },
        };
        NodeAnswer {
            holds_lock: node.lock_until > self.now,
            state,
            role: if node.primary { NodeRole::Primary } else { NodeRole::Replica },
            timeline: running.then_some(node.timeline),
            log: running.then_some(log),
            standbys: Vec::new(),
            sync: SyncStanding::None,
            replication_state: Some("streaming".to_owned()),
            tags: node.tags.clone(),
            unbalanced: node.tags.contains_key("noloadbalance"),
            paused: false,
            unlocked: self.key.is_none(),
            failsafe: false,
            store_seen: Some(Duration::ZERO),
            system: Some("7".to_owned()),
            scope: Some("main".to_owned()),
            name: Some(format!("pg-{n}")),
            version: None,
        }
    }

    /// What it says to `GET /cluster`, if it reaches the store.
    pub fn members(&self, n: usize) -> Option<Members> {
        let reaches = self.store && !self.nodes[n].astray;
        let leader = self.key.map(|(holder, _)| Listed {
            name: format!("pg-{holder}"),
            api: None,
            address: None,
        });
        reaches.then_some(Members { leader, switchover: None })
    }
}
