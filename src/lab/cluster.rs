//! A real database cluster in the lab: etcd on one host, PostgreSQL under Patroni on others.
//!
//! PostgreSQL refuses to run as root: everything here runs as the packages' user `postgres`, in
//! the hosts' own directories. The timing is the shortest Patroni accepts (`ttl` 20 s, `loop_wait`
//! 1 s), so that a crash of the leader takes about 20 s and a switchover about 2 s.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;
use serde_json::Value;

use super::Lab;
use super::deadline::eventually;
use super::error::{Error, Result};
use super::node::Node;
use super::process::Proc;
use super::writer::HOST_SETTING;

/// Port of PostgreSQL.
pub const SQL_PORT: u16 = 5432;

/// Port of Patroni's REST API.
pub const API_PORT: u16 = 8008;

const ETCD_PORT: u16 = 2379;

/// A bootstrap is an initdb, two base backups and some turns of Patroni's loop.
const BOOTSTRAP: Duration = Duration::from_secs(90);

/// A clean end of PostgreSQL waits for its standbys.
const STOP: Duration = Duration::from_secs(30);

/// The host of etcd.
const DCS: &str = "dcs";

/// One request to a REST API, or one statement.
const ANSWER: Duration = Duration::from_secs(5);

/// etcd and the members of one Patroni cluster.
#[derive(Debug)]
pub struct Cluster {
    etcd: Proc,
    members: Vec<Member>,
}

/// One database host.
#[derive(Debug)]
pub struct Member {
    node: Node,
    address: Ipv4Addr,
    owner: Owner,
    directory: PathBuf,
    patroni: Mutex<Option<Proc>>,
}

/// The user the database runs as.
#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

/// The data of a cluster that was stopped: see [`Cluster::into_image`].
#[derive(Debug)]
pub struct Image {
    /// A tar archive, in a file without a name: it is gone when this program ends.
    archive: File,
}

impl Image {
    /// Runs tar on the archive for the data of the members called `names` and of etcd, from `on`:
    /// the lab's directory is below `directory`.
    fn tar<'a>(
        &self,
        what: &str,
        on: &Node,
        directory: &Path,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<()> {
        let mut command = Command::new("tar");
        // Opened again: the position of an open file is common to all who have it.
        let archive = format!("/proc/{}/fd/{}", std::process::id(), self.archive.as_raw_fd());
        command.arg(what).arg("-f").arg(archive).arg("-C").arg(directory);
        command.arg(format!("{DCS}/database/etcd"));
        command.args(names.map(|name| format!("{name}/database/data")));
        let done = on.output(command, BOOTSTRAP)?;
        if done.exit.success() {
            return Ok(());
        }
        Err(Error::Program {
            node: on.name().to_owned(),
            program: "tar".to_owned(),
            what: format!("{what}: {}", done.exit),
            output: done.stderr,
        })
    }
}

impl Cluster {
    /// Adds a host for etcd, 10.0.0.20, and hosts called `names` for the database, from 10.0.0.21
    /// on, to the lab, each with one link `eth0`, starts a cluster on them, and waits until one
    /// member leads and the others follow it.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] if a program is missing; [`Error::Overdue`] with the end of the logs
    /// if the cluster does not come up; [`Error::Kernel`] if a host cannot be made.
    pub fn in_lab(lab: &Lab, names: &[&str]) -> Result<Cluster> {
        Cluster::start(lab, names, None)
    }

    /// The same as a copy of the cluster that `image` was made of, of whose names these are the
    /// first: an election instead of a bootstrap.
    ///
    /// # Errors
    /// As for [`Cluster::in_lab`], and [`Error::Program`] if the copy fails.
    pub fn copied(lab: &Lab, names: &[&str], image: &Image) -> Result<Cluster> {
        Cluster::start(lab, names, Some(image))
    }

    fn start(lab: &Lab, names: &[&str], image: Option<&Image>) -> Result<Cluster> {
        let owner = owner()?;
        let host = |name: &str, last: u8| {
            let node = lab.node(name)?;
            node.link("eth0", &[&format!("10.0.0.{last}/24")])?;
            Ok((node, Ipv4Addr::new(10, 0, 0, last)))
        };
        let (dcs, at) = host(DCS, 20)?;
        let hosts = names.iter().zip(21..).map(|(name, last)| host(name, last));
        let hosts = hosts.collect::<Result<Vec<_>>>()?;
        for node in hosts.iter().map(|(node, _)| node).chain([&dcs]) {
            private_directory(node, owner)?;
        }
        if let Some(image) = image {
            image.tar("-x", &dcs, lab.directory(), names.iter().copied())?;
        }
        let etcd = start_etcd((&dcs, at), owner)?;
        let member = |(node, address): (Node, Ipv4Addr)| {
            let directory = private_directory(&node, owner)?;
            let member = Member { node, address, owner, directory, patroni: Mutex::new(None) };
            member.write_config(at)?;
            member.start()?;
            Ok(member)
        };
        let members = hosts.into_iter().map(member).collect::<Result<Vec<_>>>()?;
        let cluster = Cluster { etcd, members };
        cluster.wait_until_whole(BOOTSTRAP)?;
        Ok(cluster)
    }

    /// Stops it as a whole and keeps what its members have, which is the same on each.
    ///
    /// # Errors
    /// [`Error::Overdue`] if a program does not end, [`Error::Program`] if the data cannot be read.
    pub fn into_image(self, lab: &Lab) -> Result<Image> {
        let leader = self.wait_for_primary(None, ANSWER)?;
        let followers = || self.members.iter().filter(|member| member.address != leader.address);
        // PostgreSQL goes on and receives the end of the leader's log, and nobody is promoted.
        followers().for_each(|follower| follower.signal_patroni(Signal::SIGSTOP));
        leader.stop()?;
        followers().try_for_each(Member::stop)?;
        self.etcd.signal(Signal::SIGTERM);
        self.etcd.wait(STOP)?;
        let names = self.members.iter().map(|member| member.node.name());
        let archive = tempfile::tempfile().map_err(|source| Error::Kernel {
            place: "lab".into(),
            what: "make a temporary file".into(),
            source,
        })?;
        let image = Image { archive };
        image.tar("-c", self.etcd.node(), lab.directory(), names)?;
        Ok(image)
    }

    /// The etcd server.
    #[must_use]
    pub fn etcd(&self) -> &Proc {
        &self.etcd
    }

    /// The members in the order they were given.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member that leads and takes writes; `None` if there is none now.
    #[must_use]
    pub fn primary(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_primary())
    }

    /// Waits for a primary other than `not`.
    ///
    /// # Errors
    /// [`Error::Overdue`].
    pub fn wait_for_primary(&self, not: Option<&Member>, within: Duration) -> Result<&Member> {
        let found = eventually(within, "a primary", || {
            let primary = self.primary().ok_or("none")?;
            let same = not.is_some_and(|not| not.address == primary.address);
            if same { Err("still the old one") } else { Ok(primary) }
        })?;
        Ok(found)
    }

    /// Waits until there is a primary and every other member replicates from it.
    ///
    /// # Errors
    /// [`Error::Overdue`] with what each member says.
    pub fn wait_until_whole(&self, within: Duration) -> Result<()> {
        eventually(within, "a primary and its replicas", || {
            let primaries: Vec<_> = self.members.iter().filter(|m| m.is_primary()).collect();
            let replicas = self.members.iter().filter(|m| m.is_replica()).count();
            let streaming = primaries.iter().map(|primary| primary.streams()).sum::<usize>();
            let others = self.members.len().saturating_sub(1);
            if primaries.len() == 1 && (replicas, streaming) == (others, others) {
                return Ok(());
            }
            let mut said = format!(
                "{} primaries, {replicas} replicas, {streaming} streaming",
                primaries.len()
            );
            for member in &self.members {
                let _ = write!(said, "\n{}: {}", member.node.name(), member.last_lines());
            }
            Err(said)
        })?;
        Ok(())
    }

    /// Asks the primary to hand over to `to` and returns once Patroni says it is done.
    ///
    /// # Errors
    /// [`Error::Program`] if Patroni refuses, [`Error::Overdue`] if there is no primary to ask.
    pub fn switch_over(&self, to: &Member) -> Result<()> {
        let from = self.wait_for_primary(None, ANSWER)?;
        let body = serde_json::json!({ "leader": from.node.name(), "candidate": to.node.name() });
        let within = Duration::from_secs(30);
        let (status, text) = from.request("POST", "/switchover", &body.to_string(), within)?;
        if status == 200 {
            return Ok(());
        }
        Err(from.complain("Patroni's switchover", format!("answered {status}"), text))
    }
}

impl Member {
    /// The host.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its own address; PostgreSQL and the REST API listen on every address of the host.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Starts Patroni, which starts PostgreSQL; nothing happens if it was started before and not
    /// killed since.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] or [`Error::Kernel`] if it cannot be run.
    pub fn start(&self) -> Result<()> {
        let mut patroni = self.patroni.lock().unwrap_or_else(PoisonError::into_inner);
        if patroni.is_none() {
            let mut command = Command::new("patroni");
            command.arg(self.directory.join("patroni.yml"));
            *patroni = Some(spawn(&self.node, command, self.owner, &self.directory)?);
        }
        Ok(())
    }

    /// Ends Patroni and PostgreSQL as an administrator would, whether Patroni is frozen or not.
    fn stop(&self) -> Result<()> {
        let patroni = self.patroni.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(patroni) = patroni else { return Ok(()) };
        patroni.signal(Signal::SIGTERM);
        patroni.signal(Signal::SIGCONT);
        patroni.wait(STOP)?;
        Ok(())
    }

    /// Signals Patroni itself; PostgreSQL learns of it as in real life.
    pub fn signal_patroni(&self, signal: Signal) {
        if let Some(patroni) = &*self.patroni.lock().unwrap_or_else(PoisonError::into_inner) {
            patroni.signal(signal);
        }
    }

    /// Kills Patroni and every process of PostgreSQL at once, as the end of the host would.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the processes cannot be listed.
    pub fn crash(&self) -> Result<()> {
        // Patroni first: it would start PostgreSQL again.
        drop(self.patroni.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.signal_postmaster(Signal::SIGKILL)
    }

    /// Signals the postmaster; its children end when it is gone.
    ///
    /// # Errors
    /// [`Error::Kernel`] if its pid file cannot be read.
    pub fn signal_postmaster(&self, signal: Signal) -> Result<()> {
        let file = self.directory.join("data/postmaster.pid");
        let text = fs::read_to_string(&file).map_err(|source| self.failed(&file, source))?;
        let pid = text
            .lines()
            .next()
            .and_then(|line| line.parse().ok())
            .ok_or_else(|| self.complain("PostgreSQL", "wrote no pid".into(), text.clone()))?;
        // It may have ended meanwhile, which is what the caller wants to see handled.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        Ok(())
    }

    /// Signals the process that replays the primary's log: stopped, the standby answers and
    /// receives but falls behind. (Patroni removes a `recovery_min_apply_delay` set behind its
    /// back, and resumes a paused replay.)
    ///
    /// # Errors
    /// [`Error::Program`] if PostgreSQL cannot name it, as a primary cannot.
    pub fn signal_replay(&self, signal: Signal) -> Result<()> {
        let which = "select pid from pg_stat_activity where backend_type = 'startup'";
        let said = self.sql(self.address, which)?;
        let pid = said
            .parse()
            .map_err(|_| self.complain("PostgreSQL", "replays nothing".into(), said.clone()))?;
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        Ok(())
    }

    /// Whether it leads and PostgreSQL has been promoted. The status code alone is early: who has
    /// the leader's lock answers `/primary` with 200 while PostgreSQL still is a standby.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.answers_as("/primary", &["primary", "master"])
    }

    /// Whether it is a running standby that does not lead.
    #[must_use]
    pub fn is_replica(&self) -> bool {
        self.answers_as("/replica", &["replica"]) && !self.answers_as("/primary", &["replica"])
    }

    /// How many standbys it sends its log to.
    fn streams(&self) -> usize {
        let state = self.state().unwrap_or_default();
        let standbys = state["replication"].as_array().map_or(&[][..], Vec::as_slice);
        standbys.iter().filter(|standby| standby["state"] == "streaming").count()
    }

    fn answers_as(&self, path: &str, roles: &[&str]) -> bool {
        let Ok((200, body)) = self.request("GET", path, "", ANSWER) else { return false };
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        body["role"].as_str().is_some_and(|role| roles.contains(&role))
    }

    /// What the REST API says about the member (`GET /patroni`).
    ///
    /// # Errors
    /// [`Error::Kernel`] if it does not answer, [`Error::Program`] if the answer is not JSON.
    pub fn state(&self) -> Result<Value> {
        let (_, text) = self.request("GET", "/patroni", "", ANSWER)?;
        let read = serde_json::from_str(&text);
        read.map_err(|error| self.complain("Patroni", format!("answered no JSON: {error}"), text))
    }

    /// One request to the REST API from the host itself: status and body.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is no answer `within` that time.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: &str,
        within: Duration,
    ) -> Result<(u16, String)> {
        let to = SocketAddr::from((self.address, API_PORT));
        let request = format!(
            "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = self
            .node
            .inside(format!("reach {to}"), move || TcpStream::connect_timeout(&to, ANSWER))?;
        exchange(stream, &request, within).map_err(|source| Error::Kernel {
            place: self.node.name().to_owned(),
            what: format!("{method} {path} on {to}"),
            source,
        })
    }

    /// Runs one statement as the superuser over TCP to `host`, from this member's host, and returns
    /// what psql prints: unaligned, without headings.
    ///
    /// # Errors
    /// [`Error::Program`] with psql's complaint.
    pub fn sql(&self, host: Ipv4Addr, statement: &str) -> Result<String> {
        let mut command = Command::new(program("psql")?);
        let conninfo =
            format!("host={host} port={SQL_PORT} user=postgres dbname=postgres connect_timeout=3");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement]).arg(conninfo);
        let done = self.node.output(command, Duration::from_secs(20))?;
        if done.exit.success() {
            return Ok(done.stdout.trim_end().to_owned());
        }
        Err(self.complain("psql", done.exit.to_string(), done.stderr))
    }

    fn write_config(&self, dcs: Ipv4Addr) -> Result<()> {
        let (name, address) = (self.node.name(), self.address);
        let directory = self.directory.display();
        let bin = program("postgres")?;
        let bin = bin.parent().unwrap_or(Path::new("/")).display();
        let text = format!(
            "scope: lab\nname: {name}\n\
             restapi: {{listen: '0.0.0.0:{API_PORT}', connect_address: '{address}:{API_PORT}'}}\n\
             etcd3: {{host: '{dcs}:{ETCD_PORT}'}}\n\
             bootstrap:\n  \
               dcs: {{ttl: 20, loop_wait: 1, retry_timeout: 3, \
                      postgresql: {{use_pg_rewind: true}}}}\n  \
               initdb: [encoding: UTF8, data-checksums, no-sync]\n\
             postgresql:\n  \
               listen: '*:{SQL_PORT}'\n  \
               connect_address: '{address}:{SQL_PORT}'\n  \
               data_dir: {directory}/data\n  \
               pgpass: {directory}/pgpass\n  \
               bin_dir: {bin}\n  \
               authentication:\n    \
                 superuser: {{username: postgres, password: lab}}\n    \
                 replication: {{username: replicator, password: lab}}\n    \
                 rewind: {{username: rewinder, password: lab}}\n  \
               pg_hba:\n  - local all all trust\n  - host all all 0.0.0.0/0 trust\n  \
             - host replication all 0.0.0.0/0 trust\n  \
               parameters: {{unix_socket_directories: '{directory}', shared_buffers: 16MB, \
                            max_connections: 100, fsync: 'off', max_worker_processes: 4, \
                            {HOST_SETTING}: {name}}}\n"
        );
        let file = self.directory.join("patroni.yml");
        fs::write(&file, text).map_err(|source| self.failed(&file, source))
    }

    fn last_lines(&self) -> String {
        let patroni = self.patroni.lock().unwrap_or_else(PoisonError::into_inner);
        let output = patroni.as_ref().map(Proc::output).unwrap_or_default();
        let lines: Vec<_> = output.lines().collect();
        lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join(" | ")
    }

    fn failed(&self, file: &Path, source: io::Error) -> Error {
        Error::Kernel {
            place: self.node.name().to_owned(),
            what: format!("use {}", file.display()),
            source,
        }
    }

    fn complain(&self, program: &str, what: String, output: String) -> Error {
        Error::Program {
            node: self.node.name().to_owned(),
            program: program.to_owned(),
            what,
            output,
        }
    }
}

fn start_etcd((node, address): (&Node, Ipv4Addr), owner: Owner) -> Result<Proc> {
    let directory = private_directory(node, owner)?;
    let (clients, peers) =
        (format!("http://{address}:{ETCD_PORT}"), format!("http://{address}:2380"));
    let mut command = Command::new("etcd");
    command
        .args(["--name", "dcs", "--initial-cluster", &format!("dcs={peers}")])
        .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .arg("--data-dir")
        .arg(directory.join("etcd"));
    let etcd = spawn(node, command, owner, &directory)?;
    etcd.wait_for_output(Duration::from_secs(30), "ready to serve client requests")?;
    Ok(etcd)
}

/// Starts a program as the database's user.
fn spawn(node: &Node, mut command: Command, owner: Owner, directory: &Path) -> Result<Proc> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.uid(owner.uid).gid(owner.gid).current_dir(directory).env("HOME", directory);
    node.spawn(command).map_err(|error| match error {
        Error::Kernel { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            missing(&program)
        }
        other => other,
    })
}

/// A directory of the host that belongs to the database's user, who may also walk down to it.
fn private_directory(node: &Node, owner: Owner) -> Result<PathBuf> {
    let own = node.directory()?;
    let directory = own.join("database");
    let made = || {
        fs::create_dir_all(&directory)?;
        chown(&directory, Some(owner.uid), Some(owner.gid))?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for above in own.ancestors().take(2) {
            fs::set_permissions(above, Permissions::from_mode(0o711))?;
        }
        Ok(())
    };
    made().map(|()| directory.clone()).map_err(|source| Error::Kernel {
        place: node.name().to_owned(),
        what: format!("make {}", directory.display()),
        source,
    })
}

fn exchange(mut stream: TcpStream, request: &str, within: Duration) -> io::Result<(u16, String)> {
    stream.set_read_timeout(Some(within))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match status {
        Some(status) => Ok((status, body.to_owned())),
        None => Err(io::Error::other("the answer is not HTTP")),
    }
}

fn owner() -> Result<Owner> {
    match User::from_name("postgres") {
        Ok(Some(user)) => Ok(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
        _ => Err(missing("PostgreSQL's user postgres")),
    }
}

/// A program of the newest PostgreSQL that is installed: Debian keeps them out of the search path.
fn program(name: &str) -> Result<PathBuf> {
    let pattern = format!("/usr/lib/postgresql/*/bin/{name}");
    let found = glob::glob(&pattern).ok().and_then(|paths| paths.flatten().last());
    found.ok_or_else(|| missing(name))
}

fn missing(program: &str) -> Error {
    Error::NotInstalled {
        program: program.to_owned(),
        remedy: "Install it with tests/setup-debian.sh, or your distribution's packages.",
    }
}
