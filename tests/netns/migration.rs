//! The guide of the README, performed literally: a pair of keepalived and HAProxy changes over to vipd
//! and back, under load, and something breaks in each phase.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use vipd::lab::deadline::eventually;
use vipd::lab::{Capture, Decoded, Lab, Node, Proc, Stamp};
use vipd::types::Mac;

use crate::common::{Machine, binary, ip, pass};
use crate::turns::together;
use crate::{SOON, lab};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

/// The interval of the old pair's check; the rest is the protocol's.
const CHECK: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(1);
/// Of priority 100.
const SKEW: Duration = Duration::from_millis(610);
/// A shared machine, and a check that takes its time.
const LATE: Duration = Duration::from_millis(400);

/// The blocks of commands of the guide.
struct Guide {
    check: String,
    pair: String,
    install: String,
    there: String,
    back: String,
}

impl Guide {
    fn read() -> Guide {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let (_, rest) = readme.split_once("\n## HAProxy and keepalived to vipd").unwrap();
        let section = rest.split("\n## ").next().unwrap();
        let blocks = section.split("   ```\n").skip(1).step_by(2).map(str::to_owned);
        let [check, pair, install, there, back] = blocks.collect::<Vec<_>>().try_into().unwrap();
        Guide { check, pair, install, there, back }
    }
}

/// A host with a root of its own for the files the guide names.
struct Balancer {
    node: Node,
    mac: Mac,
    root: PathBuf,
    running: Vec<(String, Proc)>,
}

impl Balancer {
    fn new(lab: &Lab, name: &str, last: u8, priority: u8) -> Balancer {
        let node = lab.node(name).unwrap();
        let mac = node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap().mac;
        let root = node.directory().unwrap();
        let balancer = Balancer { node, mac, root, running: Vec::new() };
        for dir in ["etc/keepalived", "etc/haproxy", "run/vipd", "usr/bin"] {
            std::fs::create_dir_all(balancer.root.join(dir)).unwrap();
        }
        let pid_file = balancer.path("/run/haproxy.pid");
        let keepalived = format!(
            "vrrp_script chk_haproxy {{\n    script \"/usr/bin/pkill -0 -F {}\"\n    interval 1\n}}\n\
             vrrp_instance VI_1 {{\n    state BACKUP\n    nopreempt\n    interface eth0\n    \
             virtual_router_id 51\n    priority {priority}\n    advert_int 1\n    \
             authentication {{\n        auth_type PASS\n        auth_pass k8s-edge\n    }}\n    \
             virtual_ipaddress {{\n        {VIP}/24\n    }}\n    \
             track_script {{\n        chk_haproxy\n    }}\n}}\n",
            pid_file.display()
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

    fn files(&self) -> [String; 2] {
        ["/etc/keepalived/keepalived.conf", "/etc/haproxy/haproxy.cfg"]
            .map(|file| std::fs::read_to_string(self.path(file)).unwrap())
    }

    /// One command of the guide, below the host's own root; what it printed.
    fn run(&mut self, line: &str) -> String {
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
                let line = match line.strip_prefix("vipd ") {
                    Some(rest) => format!("{} {rest}", binary().display()),
                    None => line,
                };
                let mut command = Command::new("sh");
                command.args(["-ec", &line]).current_dir(env!("CARGO_MANIFEST_DIR"));
                let finished = self.node.output(command, SOON).unwrap();
                assert!(finished.exit.success(), "{line}: {}{}", finished.stdout, finished.stderr);
                finished.stdout
            }
        }
    }

    fn perform(&mut self, block: &str) {
        for line in block.lines() {
            self.run(line.trim());
        }
    }

    fn start(&mut self, service: &str) {
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

    fn stop(&mut self, service: &str) {
        let process = self.take(service);
        process.signal(Signal::SIGTERM);
        process.wait(SOON).unwrap_or_else(|error| panic!("{error}\n{}", process.output()));
    }

    fn kill(&mut self, service: &str) {
        let process = self.take(service);
        process.signal_group(Signal::SIGKILL);
        process.wait(SOON).unwrap();
    }

    fn runs(&self, service: &str) -> bool {
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
    fn follows(&self, master: &str, since: Stamp) {
        if self.runs("vipd") {
            let look = || {
                let status = self.status();
                let row =
                    status.lines().find(|line| line.contains("BACKUP") && line.contains(master));
                if row.is_some() { Ok(()) } else { Err(status) }
            };
            return eventually(SOON, format!("BACKUP of {master}"), look).unwrap();
        }
        // keepalived tells nobody: it has heard an advert by now, and its check has run.
        pass((INTERVAL + CHECK + LATE).saturating_sub(Stamp::now().since(since)));
    }

    fn log(&self) -> String {
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

/// A server that answers each byte with another.
fn serve(node: &Node) {
    let at = SocketAddr::from(([10, 0, 0, 21], 7000));
    let listener = node.inside("listen", move || TcpListener::bind(at)).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

/// Clients that never stop: one that opens a connection for each request, and one session.
struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicU32>,
    failed: Arc<Mutex<Vec<String>>>,
    /// Answers within the session.
    answered: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(short: &Node, long: &Node) -> Load {
        let mut load = Load {
            over: Arc::default(),
            served: Arc::default(),
            failed: Arc::default(),
            answered: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        let (over, served, failed) =
            (Arc::clone(&load.over), Arc::clone(&load.served), Arc::clone(&load.failed));
        let node = short.clone();
        load.threads.push(thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let from = Stamp::now();
                match connect(&node).and_then(|mut stream| ask(&mut stream)) {
                    Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        let text = format!("{error} after {:?}", Stamp::now().since(from));
                        failed.lock().unwrap().push(text);
                    }
                }
                pass(Duration::from_millis(20));
            }
        }));
        let (over, answered, ended) =
            (Arc::clone(&load.over), Arc::clone(&load.answered), Arc::clone(&load.ended));
        let node = long.clone();
        load.threads.push(thread::spawn(move || {
            let mut session: Option<TcpStream> = None;
            while !over.load(Ordering::Relaxed) {
                let Some(stream) = &mut session else {
                    session = connect(&node).ok();
                    continue;
                };
                if ask(stream).is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                } else {
                    ended.fetch_add(1, Ordering::Relaxed);
                    session = None;
                }
                pass(Duration::from_millis(50));
            }
        }));
        load
    }

    /// Waits until requests are answered again, and the session lives or there is another.
    fn settle(&self) {
        let count =
            || [&self.served, &self.answered].map(|counter| counter.load(Ordering::Relaxed));
        let before = count();
        let look = || {
            let now = count();
            let goes_on = now.iter().zip(before).all(|(now, before)| *now > before + 5);
            if goes_on { Ok(()) } else { Err(self.failed.lock().unwrap().join("\n")) }
        };
        eventually(SOON, "answers", look).unwrap();
    }

    fn count(&self) -> (usize, u32) {
        (self.failed.lock().unwrap().len(), self.ended.load(Ordering::Relaxed))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn connect(node: &Node) -> std::io::Result<TcpStream> {
    let at = SocketAddr::from((VIP, 5000));
    let connect = move || TcpStream::connect_timeout(&at, Duration::from_secs(5));
    let stream = node.inside("connect", connect).map_err(std::io::Error::other)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

/// The pair, its clients, and what a bystander sees of the address.
struct Site {
    balancers: [Balancer; 2],
    load: Load,
    wire: Capture,
    machine: Machine,
}

impl Site {
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

    /// How many seconds after `from` the address was at `host`.
    fn moved(&self, from: Stamp, host: usize) -> Duration {
        let mac = self.balancers[host].mac;
        let look = || {
            let last = self.holders().last().copied();
            last.filter(|(_, holder)| *holder == mac).map(|(at, _)| at).ok_or_else(|| {
                format!("{last:?}\n{}{}", self.balancers[0].log(), self.balancers[1].log())
            })
        };
        eventually(SOON, format!("the address at {host}"), look).unwrap().since(from)
    }

    /// A planned step of the guide: on which host, and how often the address moves by it.
    fn step(&mut self, host: usize, block: &str, moves: usize) {
        self.load.settle();
        let (failed, ended) = self.load.count();
        let before = self.holders().len();
        let from = Stamp::now();
        self.balancers[host].perform(block);
        let master = if moves == 0 {
            self.holders().last().unwrap().1
        } else {
            self.moved(from, 1 - host);
            self.balancers[1 - host].mac
        };
        let other = ["10.0.0.2", "10.0.0.3"][1 - host];
        assert_eq!(master, self.balancers[1 - host].mac);
        self.balancers[host].follows(other, from);
        self.load.settle();
        let (failed_now, ended_now) = self.load.count();
        let said = self.load.failed.lock().unwrap().clone();
        let (fewer, ends) = (failed_now - failed, ended_now - ended);
        println!("step at {host}: {fewer} failed, {ends} ended, {moves} moves");
        assert!(failed_now - failed <= 1, "{block}: {:?}", &said[failed..]);
        assert!(ended_now - ended <= u32::try_from(moves).unwrap(), "{block}: sessions ended");
        assert_eq!(self.holders().len() - before, moves, "{block}: {:?}", self.holders());
    }

    /// The proxy of the serving host dies: HAProxy, which the check must notice, or vipd itself.
    fn proxy_dies(&mut self, host: usize) {
        let (service, most) = match self.balancers[host].runs("vipd") {
            true => ("vipd", INTERVAL * 3 + SKEW),
            false => ("haproxy", CHECK + SKEW),
        };
        let from = Stamp::now();
        self.balancers[host].kill(service);
        let took = self.moved(from, 1 - host);
        println!("{service} of {host} dies: {took:?}");
        assert!(
            took <= self.machine.allows(most + LATE),
            "{service} of {host}: {took:?} instead of {most:?}"
        );
        let from = Stamp::now();
        self.balancers[host].start(service);
        self.balancers[host].follows(["10.0.0.2", "10.0.0.3"][1 - host], from);
    }

    /// The serving host loses its cable.
    fn host_cut(&mut self, host: usize) {
        let from = Stamp::now();
        self.balancers[host].node.unplug().unwrap();
        let took = self.moved(from, 1 - host);
        let most = INTERVAL * 3 + SKEW;
        println!("host {host} is cut: {took:?}");
        assert!(
            took <= self.machine.allows(most + LATE),
            "host {host}: {took:?} instead of {most:?}"
        );
        let from = Stamp::now();
        self.balancers[host].node.plug().unwrap();
        self.balancers[host].follows(["10.0.0.2", "10.0.0.3"][1 - host], from);
    }
}

#[test]
fn the_guide_leads_from_keepalived_and_haproxy_to_vipd_and_back() {
    let _turn = together();
    let guide = Guide::read();
    let lab = lab();
    let host = |name: &str, last: u8| {
        let node = lab.node(name).unwrap();
        node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
        node
    };
    let (db, witness) = (host("db", 21), host("witness", 10));
    let (short, long) = (host("short", 8), host("long", 9));
    serve(&db);
    let balancers = [("lb-01", 2, 101), ("lb-02", 3, 100)];
    let balancers =
        balancers.map(|(name, last, priority)| Balancer::new(&lab, name, last, priority));
    let wire = witness.capture("eth0").unwrap();
    let load = Load::start(&short, &long);
    let mut site = Site { balancers, load, wire, machine: Machine::watch() };
    let files = site.balancers.each_ref().map(Balancer::files);

    // The old pair: lb-01 serves.
    for host in [0, 1] {
        site.balancers[host].start("haproxy");
        site.balancers[host].start("keepalived");
        let there = || site.balancers[0].node.has_address(ip("10.0.0.100")).unwrap();
        eventually(SOON, "lb-01 to serve", there).unwrap();
    }
    site.load.settle();
    site.balancers[1].follows("10.0.0.2", Stamp::now());

    for host in [0, 1] {
        let said = site.balancers[host].run(guide.check.trim());
        assert!(
            said.contains("chk_haproxy") && said.contains("is not run: vipd is the proxy"),
            "{said}"
        );
    }
    // The files of both in one place, a directory each.
    let place = tempfile::tempdir().unwrap();
    let [first, second] = &site.balancers;
    for (balancer, dir) in [(first, "lb1"), (second, "lb2")] {
        std::fs::create_dir(place.path().join(dir)).unwrap();
        for (name, text) in ["keepalived.conf", "haproxy.cfg"].into_iter().zip(balancer.files()) {
            std::fs::write(place.path().join(dir).join(name), text).unwrap();
        }
    }
    let words = guide.pair.split_whitespace().skip(1);
    let pair = Command::new(binary()).args(words).current_dir(place.path()).output().unwrap();
    let pair = String::from_utf8(pair.stdout).unwrap();
    assert!(pair.contains("chk_haproxy fails on A") && pair.contains("B takes over"), "{pair}");
    for host in [0, 1] {
        site.balancers[host].perform(&guide.install);
    }

    // What the old pair does, the mixed ones and the new one do.
    site.proxy_dies(0);
    site.host_cut(1);
    site.step(1, &guide.there, 0);
    site.proxy_dies(0);
    site.host_cut(1);
    site.step(0, &guide.there, 1);
    site.proxy_dies(1);
    site.host_cut(0);
    site.step(0, &guide.back, 0);
    site.proxy_dies(1);
    site.proxy_dies(0);
    site.step(1, &guide.back, 1);
    site.load.settle();
    assert_eq!(site.balancers.each_ref().map(Balancer::files), files);
}

/// What only vipd knows stands in comments: keepalived reads the file as if it were not there.
#[test]
fn keepalived_skips_what_is_meant_for_vipd_alone() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.link("eth0", &["10.0.0.2/24"]).unwrap();
    let text = "global_defs {\n    #vipd realtime off\n}\n\
                #vipd check sql {\n#vipd     tcp 127.0.0.1:5432\n#vipd }\n\
                vrrp_script chk {\n    script \"/bin/true\" root\n    #vipd on_timeout keep\n}\n\
                vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n    \
                !vipd track_listener { primary weight -20 }\n    \
                #vipd while_master \"/bin/true\"\n    priority 101\n    \
                virtual_ipaddress {\n        10.0.0.100/24\n    }\n    \
                track_script {\n        chk\n        #vipd sql weight -5\n    }\n    nopreempt\n}\n";
    let check = |text: &str| {
        let file = node.write_file("keepalived.conf", text).unwrap();
        let mut command = Command::new("keepalived");
        command.arg("--config-test").arg("--use-file").arg(file);
        let finished = node.output(command, SOON).unwrap();
        format!("{}{}{}", finished.exit, finished.stdout, finished.stderr)
    };
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', '!']));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    let said = check(text);
    assert!(!said.contains("nknown"), "{said}");
    assert_eq!(said, check(&without));
}
