//! The network of the demo: two load balancers with real daemons, and a client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::VIP;
use super::database::{Database, HAPROXY_CFG};
use super::timeline::Role;
use crate::api::client::ask;
use crate::api::protocol::{Request, Response};
use crate::lab::deadline::eventually;
use crate::lab::ping::Pinger;
use crate::lab::{Lab, Node, Result, Stamp, Vipd};
use crate::status::State;
use crate::types::Mac;

const VIP_CIDR: &str = "10.0.0.10/24";

/// Advertisement interval of the configuration below, in seconds.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

const START_WITHIN: Duration = Duration::from_secs(5);
const STATUS_WITHIN: Duration = Duration::from_secs(5);

/// An answer older than this means silence: 50 pings.
const FRESH: Duration = Duration::from_millis(100);

/// A host with vipd.
#[derive(Debug)]
pub(super) struct Balancer {
    pub(super) node: Node,
    pub(super) mac: Mac,
    pub(super) address: &'static str,
    pub(super) priority: u8,
    state: &'static str,
    daemon: Option<Vipd>,
    /// It was asked to stop: what it says on its way out is of no interest.
    stopping: bool,
}

/// Everything the demo makes. Dropping it removes everything.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) ping: Pinger,
    pub(super) balancers: [Balancer; 2],
    pub(super) client: Node,
    pub(super) database: Database,
    pub(super) lab: Lab,
    pub(super) binary: PathBuf,
}

impl Stage {
    pub(super) fn build(binary: PathBuf) -> Result<Stage> {
        let lab = Lab::new()?;
        let balancers = [
            Balancer::new(&lab, "lb-01", "10.0.0.2", "MASTER", 101)?,
            Balancer::new(&lab, "lb-02", "10.0.0.3", "BACKUP", 100)?,
        ];
        let client = lab.node("client")?;
        client.link("eth0", &["10.0.0.100/24"])?;
        let ping = Pinger::start(&client, VIP.into())?;
        let database = Database::build(&lab)?;
        Ok(Stage { ping, balancers, client, database, lab, binary })
    }

    pub(super) fn names(&self) -> [&str; 3] {
        let [first, second] = &self.balancers;
        [first.node.name(), second.node.name(), self.client.name()]
    }

    /// Starts a daemon and waits until it answers.
    pub(super) fn start(&mut self, which: usize) -> Result<()> {
        let binary = self.binary.clone();
        self.balancers.get_mut(which).map_or(Ok(()), |balancer| balancer.start(&binary))
    }

    pub(super) fn roles(&self) -> [Role; 2] {
        let [first, second] = &self.balancers;
        [first.role(), second.role()]
    }

    /// Who answers the client's pings now, if anyone does.
    pub(super) fn answering(&self) -> Option<usize> {
        let last = self.ping.last().filter(|last| Stamp::now().since(last.at) < FRESH)?;
        self.balancers.iter().position(|balancer| balancer.mac == last.from)
    }

    /// Pings without an answer so far. The one on its way is not counted.
    pub(super) fn unanswered(&self) -> u64 {
        let now = || {
            let received = u64::try_from(self.ping.received()).unwrap_or(u64::MAX);
            self.ping.sent().saturating_sub(received)
        };
        let start = Instant::now();
        let mut fewest = now();
        while start.elapsed() < Duration::from_millis(5) {
            std::thread::sleep(Duration::from_micros(300));
            fewest = fewest.min(now());
        }
        fewest
    }
}

impl Balancer {
    fn new(
        lab: &Lab,
        name: &str,
        address: &'static str,
        state: &'static str,
        priority: u8,
    ) -> Result<Balancer> {
        let node = lab.node(name)?;
        let mac = node.link("eth0", &[&format!("{address}/24")])?.mac;
        Ok(Balancer { node, mac, address, priority, state, daemon: None, stopping: false })
    }

    pub(super) fn keepalived_conf(&self) -> String {
        let Balancer { state, priority, .. } = self;
        format!(
            "vrrp_instance VI_1 {{
    state {state}
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {interval}
    authentication {{
        auth_type PASS
        auth_pass k8s-edge
    }}
    virtual_ipaddress {{
        {VIP_CIDR}
    }}
}}
",
            interval = INTERVAL.as_secs(),
        )
    }

    /// How long it waits for a master that resigned: (256 - priority)/256 s (RFC 3768 section 6.1).
    pub(super) fn skew(&self) -> Duration {
        Duration::from_secs(1) * u32::from(256 - u16::from(self.priority)) / 256
    }

    /// How long it waits for a master that says nothing.
    pub(super) fn master_down(&self) -> Duration {
        INTERVAL * 3 + self.skew()
    }

    pub(super) fn run_dir(&self) -> Result<PathBuf> {
        Ok(self.node.directory()?.join("run"))
    }

    /// What its daemon says it is.
    pub(super) fn role(&self) -> Role {
        let Some(daemon) = &self.daemon else { return Role::Down };
        let Ok(Response::Status(snapshot)) = ask(daemon.run_dir(), &Request::Status) else {
            return Role::Down;
        };
        match snapshot.routers.first().map(|router| router.state) {
            Some(State::Master | State::Leaving) => Role::Master,
            Some(State::Backup) => Role::Backup,
            Some(State::Fault) | None if self.stopping => Role::Down,
            Some(State::Fault) | None => Role::Fault,
        }
    }

    /// What `vipd status` prints there.
    pub(super) fn status(&self, binary: &Path) -> Result<String> {
        let mut command = Command::new(binary);
        command.args(["status", "--run-dir"]).arg(self.run_dir()?);
        let finished = self.node.output(command, STATUS_WITHIN)?;
        Ok(format!("{}{}", finished.stdout, finished.stderr))
    }

    /// The last lines its daemon logged.
    pub(super) fn last_words(&self) -> String {
        let log = self.daemon.as_ref().map(Vipd::log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
    }

    /// A power cut: no daemon, no cable, and none of the kernel's memory after the next boot.
    pub(super) fn die(&mut self) -> Result<()> {
        self.node.unplug()?;
        self.daemon = None;
        match self.node.del_address("eth0", VIP_CIDR) {
            Err(error) if error.errno() != Some(nix::libc::EADDRNOTAVAIL) => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks the daemon to stop, as `systemctl stop` does.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        if let Some(daemon) = &self.daemon {
            daemon.stop();
        }
    }

    fn start(&mut self, binary: &Path) -> Result<()> {
        // The old process is gone, or has to go before the new one can lock the run directory.
        self.daemon = None;
        self.stopping = false;
        let text = self.keepalived_conf();
        let files = [("keepalived.conf", text.as_str()), ("haproxy.cfg", HAPROXY_CFG)];
        self.daemon = Some(Vipd::start_with(&self.node, binary, &files)?);
        let what = format!("vipd on {} to answer", self.node.name());
        eventually(START_WITHIN, what, || match self.role() {
            Role::Down => Err(self.last_words()),
            _ => Ok(()),
        })?;
        Ok(())
    }
}
