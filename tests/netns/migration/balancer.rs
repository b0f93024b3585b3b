//! A load balancer of the old pair and the new one, and what the guide does on it.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use vipd::lab::deadline::eventually;
use vipd::lab::{Lab, Node, Proc, Stamp};
use vipd::types::Mac;

use super::{CHECK, LATE, Pair, VIP};
use crate::SOON;
use crate::common::{binary, pass};

/// A host with a root of its own for the files the guide names.
pub(super) struct Balancer {
    pub(super) node: Node,
    pub(super) mac: Mac,
    root: PathBuf,
    interval: Duration,
    running: Vec<(String, Proc)>,
}

impl Balancer {
    pub(super) fn new(lab: &Lab, name: &str, last: u8, priority: u8, pair: &Pair) -> Balancer {
        let node = lab.node(name).unwrap();
        let mac = node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap().mac;
        let root = node.directory().unwrap();
        let interval = pair.interval;
        let balancer = Balancer { node, mac, root, interval, running: Vec::new() };
        for dir in ["etc/keepalived", "etc/haproxy", "run/vipd", "usr/bin"] {
            std::fs::create_dir_all(balancer.root.join(dir)).unwrap();
        }
        let pid_file = balancer.path("/run/haproxy.pid");
        let weight = if pair.preempts { "    weight 2\n" } else { "" };
        let role = match (pair.preempts, last) {
            (false, _) => "state BACKUP\n    nopreempt",
            (true, 2) => "state MASTER",
            (true, _) => "state BACKUP",
        };
        let dialect = match pair.interval < Duration::from_secs(1) {
            true => "version 3",
            false => "authentication {\n        auth_type PASS\n        auth_pass k8s-edge\n    }",
        };
        let keepalived = format!(
            "vrrp_script chk_haproxy {{\n    script \"/usr/bin/pkill -0 -F {}\"\n    interval 1\n\
             {weight}}}\nvrrp_instance VI_1 {{\n    {role}\n    interface eth0\n    \
             virtual_router_id 51\n    priority {priority}\n    advert_int {}\n    {dialect}\n    \
             virtual_ipaddress {{\n        {VIP}/24\n    }}\n    \
             track_script {{\n        chk_haproxy\n    }}\n}}\n",
            pid_file.display(),
            pair.interval.as_secs_f64()
        );
        let haproxy = "global\n    maxconn 1000\ndefaults\n    mode tcp\n    timeout connect 2s\n    \
                       timeout client 30m\n    timeout server 30m\nlisten primary\n    \
                       bind *:5000\n    server db 10.0.0.21:7000 check\nlisten stats\n    \
                       mode http\n    bind *:7000\n    stats enable\n    stats uri /\n";
        std::fs::write(balancer.path("/etc/keepalived/keepalived.conf"), keepalived).unwrap();
        std::fs::write(balancer.path("/etc/haproxy/haproxy.cfg"), haproxy).unwrap();
        balancer
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    pub(super) fn files(&self) -> [String; 2] {
        ["/etc/keepalived/keepalived.conf", "/etc/haproxy/haproxy.cfg"]
            .map(|file| std::fs::read_to_string(self.path(file)).unwrap())
    }

    /// One command of the guide, below the host's own root; what it printed.
    pub(super) fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["systemctl", "disable", "--now", services @ ..] => {
                services.iter().for_each(|service| self.stop(service));
                String::new()
            }
            ["systemctl", "enable", "--now", services @ ..] => {
                services.iter().for_each(|service| self.start(service));
                String::new()
            }
            ["vipd", "status"] => self.status(),
            _ => {
                let line = ["/etc/", "/usr/bin/"].iter().fold(line.to_owned(), |line, dir| {
                    line.replace(dir, &format!("{}{dir}", self.root.display()))
                });
                let line = line.replace("target/release/vipd", &binary().display().to_string());
                let programs = binary().parent().unwrap().display().to_string();
                let path = std::env::var("PATH").unwrap();
                let mut command = Command::new("sh");
                command.args(["-ec", &line]).env("PATH", format!("{programs}:{path}"));
                command.current_dir(env!("CARGO_MANIFEST_DIR"));
                let finished = self.node.output(command, SOON).unwrap();
                assert!(finished.exit.success(), "{line}: {}{}", finished.stdout, finished.stderr);
                finished.stdout
            }
        }
    }

    pub(super) fn perform(&mut self, block: &str) {
        for line in block.lines() {
            self.run(line.trim());
        }
    }

    pub(super) fn start(&mut self, service: &str) {
        let command = match service {
            "keepalived" => {
                let mut command = Command::new("keepalived");
                let file = self.path("/etc/keepalived/keepalived.conf");
                let pid = |name: &str| self.path("/run").join(name).display().to_string();
                command
                    .args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"])
                    .arg(format!("--use-file={}", file.display()))
                    .arg(format!("--pid={}", pid("keepalived.pid")))
                    .arg(format!("--vrrp_pid={}", pid("keepalived-vrrp.pid")));
                command
            }
            "haproxy" => {
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(self.path("/etc/haproxy/haproxy.cfg"));
                command
            }
            "vipd" => {
                let unit = self.path("/etc/systemd/system/vipd.service");
                let unit = std::fs::read_to_string(unit).unwrap();
                let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
                let words: Vec<&str> = line.split_whitespace().collect();
                let (program, args) = words.split_first().unwrap();
                // `sed` has put the files below the root already.
                let mut command = Command::new(self.path(program));
                command.args(args).arg("--run-dir").arg(self.path("/run/vipd"));
                command
            }
            other => panic!("{other}"),
        };
        let process = self.node.spawn(command).unwrap();
        if service == "haproxy" {
            std::fs::write(self.path("/run/haproxy.pid"), process.pid().to_string()).unwrap();
            let listens = || {
                let at = SocketAddr::from(([127, 0, 0, 1], 5000));
                let look = move || TcpStream::connect_timeout(&at, SOON).map(drop);
                self.node.inside("connect", look).map_err(|error| error.to_string())
            };
            eventually(SOON, "HAProxy to listen", listens).unwrap();
        }
        self.running.push((service.to_owned(), process));
    }

    fn take(&mut self, service: &str) -> Proc {
        let at = self.running.iter().position(|(name, _)| name == service);
        self.running.remove(at.unwrap_or_else(|| panic!("{service} does not run"))).1
    }

    pub(super) fn stop(&mut self, service: &str) {
        let process = self.take(service);
        process.signal(Signal::SIGTERM);
        process.wait(SOON).unwrap_or_else(|error| panic!("{error}\n{}", process.output()));
    }

    pub(super) fn kill(&mut self, service: &str) {
        let process = self.take(service);
        process.signal_group(Signal::SIGKILL);
        process.wait(SOON).unwrap();
    }

    pub(super) fn runs(&self, service: &str) -> bool {
        self.running.iter().any(|(name, _)| name == service)
    }

    fn status(&self) -> String {
        let mut command = Command::new(binary());
        command.arg("status").arg("--run-dir").arg(self.path("/run/vipd"));
        let look = || {
            let finished =
                self.node.output(command_of(&command), SOON).map_err(|e| e.to_string())?;
            if finished.exit.success() { Ok(finished.stdout) } else { Err(finished.stderr) }
        };
        eventually(SOON, "vipd status", look).unwrap()
    }

    /// Waits until it follows the other one.
    pub(super) fn follows(&self, master: &str, since: Stamp) {
        if self.runs("vipd") {
            let look = || {
                let status = self.status();
                // The row of the table: what it was before stands below.
                let row = status.lines().find(|line| line.starts_with("VI_1 "));
                let row = row.filter(|row| row.contains("BACKUP") && row.contains(master));
                if row.is_some() { Ok(()) } else { Err(status) }
            };
            return eventually(SOON, format!("BACKUP of {master}"), look).unwrap();
        }
        // keepalived tells nobody: it has heard an advert by now, and its check has run.
        pass((self.interval + CHECK + LATE).saturating_sub(Stamp::now().since(since)));
    }

    pub(super) fn log(&self) -> String {
        let logs =
            self.running.iter().map(|(name, process)| format!("--- {name}\n{}", process.output()));
        logs.collect()
    }
}

fn command_of(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args());
    copy
}
