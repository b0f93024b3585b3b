//! A virtual router and its addresses belong to one daemon of a network namespace.
//!
//! Each is locked by a listening socket with an abstract name: such names belong to the network namespace,
//! whatever is mounted where, and end with the process, however that ends. Whoever finds one taken
//! connects to it: the kernel says whose it is, and the daemon that has it says where it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::config::diag::printable;
use crate::config::{Config, RouterConfig};
use crate::sys::cause;
use crate::types::IfName;

/// A daemon that was killed may take a moment to be gone, and so may a child of it that has not yet
/// executed its own program.
const BIND_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a daemon may take to say where it runs.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// More than any path.
const LONGEST_ANSWER: u64 = 4096;

/// Those who ask, at a time. They are answered at once.
const BACKLOG: i32 = 4096;

/// Before connections are accepted again when the system is out of descriptors.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What a configuration needs for itself: names of locks, and what people call them.
type Wanted = BTreeMap<String, Resource>;

/// What is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resource {
    what: String,
    /// Static addresses: two daemons may both keep one in place.
    shared: bool,
}

/// The locks this process has.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<String, Lock>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Lock(JoinHandle<()>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Something of the configuration belongs to another daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    what: String,
    holder: Holder,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { what, holder } = self;
        write!(
            f,
            "{what} belongs to {holder}: stop that daemon, or let only one of the two configurations \
             have it"
        )
    }
}

/// Another vipd that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// 0 if it is in a namespace of processes that this one does not see.
    pid: i32,
    /// Unless it hangs.
    run_dir: Option<PathBuf>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another vipd")?;
        let run_dir = self.run_dir.as_ref();
        let run_dir = run_dir.map(|dir| printable(&format!("run directory {}", dir.display())));
        let pid = (self.pid > 0).then(|| format!("pid {}", self.pid));
        let known: Vec<String> = pid.into_iter().chain(run_dir).collect();
        if known.is_empty() { Ok(()) } else { write!(f, " ({})", known.join(", ")) }
    }
}

impl Locks {
    /// Everything the configuration needs, except for what is in `held` already. A conflict keeps
    /// nobody from the rest. May take its time.
    pub(super) fn take(
        runtime: &Handle,
        run_dir: &Path,
        config: &Config,
        held: &BTreeSet<String>,
    ) -> (Locks, Option<Conflict>) {
        let deadline = Instant::now() + BIND_TIMEOUT;
        let mut locks = Locks::default();
        let mut conflict = None;
        let mut refused = None;
        for (name, Resource { what, shared }) in wanted(config) {
            if held.contains(&name) {
                continue;
            }
            match bind(&name, deadline) {
                Ok(socket) => match serve(runtime, socket, run_dir) {
                    Ok(lock) => drop(locks.0.insert(name, lock)),
                    Err(error) => refused = Some((what, cause(&error))),
                },
                Err(Taken::By(holder)) if !shared => {
                    conflict.get_or_insert(Conflict { what, holder });
                }
                Err(Taken::By(_)) => {}
                Err(Taken::Unknown(why)) => refused = Some((what, why)),
            }
        }
        if let Some((what, why)) = refused {
            tracing::warn!("a second vipd in this network namespace could take {what}: {why}");
        }
        (locks, conflict)
    }

    /// The names of those that are held.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// Goes on with what `config` needs, `more` among it.
    pub(super) fn change(&mut self, config: &Config, more: Locks) {
        let wanted = wanted(config);
        self.0.extend(more.0);
        self.0.retain(|name, _| wanted.contains_key(name));
    }
}

fn wanted(config: &Config) -> Wanted {
    let mut wanted = Wanted::new();
    for kept in &config.static_addresses {
        let address = kept.address.cidr.address();
        let what = format!("the address {address} on {}", kept.iface);
        wanted.insert(address_lock(&kept.iface, address), Resource { what, shared: true });
    }
    for router in &config.routers {
        let RouterConfig { name, iface, vrid, .. } = &**router;
        let family = router.dialect.family();
        let what = format!("the virtual router {name} ({family}, VRID {vrid} on {iface})");
        let lock = format!("vipd/{iface}/vrid/{vrid}/{family}");
        wanted.insert(lock, Resource { what, shared: false });
        for address in &router.addresses {
            let (iface, address) = (router.iface_of(address), address.cidr.address());
            let what = format!("the address {address} of {name} on {iface}");
            wanted.insert(address_lock(iface, address), Resource { what, shared: false });
        }
    }
    wanted
}

fn address_lock(iface: &IfName, address: IpAddr) -> String {
    format!("vipd/{iface}/address/{address}")
}

/// Another daemon that runs in this network namespace and has this address among its own.
#[must_use]
pub fn holder_of_address(iface: &IfName, address: IpAddr) -> Option<Holder> {
    match holder(&address_lock(iface, address)) {
        Ok(Found::Other(holder)) => Some(holder),
        Ok(Found::Ourselves | Found::Stranger(_)) | Err(_) => None,
    }
}

/// Why there is no lock.
enum Taken {
    By(Holder),
    /// For people.
    Unknown(String),
}

/// Who has a lock.
enum Found {
    Other(Holder),
    /// A child that has not executed its program yet, of the process we were before an upgrade.
    Ourselves,
    /// A user who may not set addresses, and so is no vipd.
    Stranger(u32),
}

fn bind(name: &str, deadline: Instant) -> Result<Socket, Taken> {
    loop {
        let found = match listen(name) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => holder(name),
            Err(error) => return Err(Taken::Unknown(cause(&error))),
        };
        let why = match found {
            // One that answers will not be gone in a moment.
            Ok(Found::Other(holder)) if holder.run_dir.is_some() => return Err(Taken::By(holder)),
            Ok(Found::Other(holder)) => Taken::By(holder),
            Ok(Found::Ourselves) => Taken::Unknown("its lock is in use".to_owned()),
            Ok(Found::Stranger(user)) => {
                return Err(Taken::Unknown(format!("user {user} has its lock @{name}")));
            }
            Err(error) => Taken::Unknown(format!("its lock @{name} is in use: {}", cause(&error))),
        };
        if Instant::now() >= deadline {
            return Err(why);
        }
        thread::sleep(PAUSE);
    }
}

fn abstract_address(name: &str) -> io::Result<SockAddr> {
    SockAddr::unix(format!("\0{name}"))
}

fn listen(name: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&abstract_address(name)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn holder(name: &str) -> io::Result<Found> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog is an error, not a reason to wait.
    socket.set_nonblocking(true)?;
    socket.connect(&abstract_address(name)?)?;
    let owner = getsockopt(&socket, PeerCredentials)?;
    let pid = owner.pid();
    if u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()) {
        return Ok(Found::Ourselves);
    }
    if owner.uid() != 0 && owner.uid() != geteuid().as_raw() {
        return Ok(Found::Stranger(owner.uid()));
    }
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut answer = String::new();
    let answered = UnixStream::from(socket).take(LONGEST_ANSWER).read_to_string(&mut answer);
    let run_dir = (answered.is_ok() && !answer.is_empty()).then(|| PathBuf::from(answer));
    Ok(Found::Other(Holder { pid, run_dir }))
}

/// Tells whoever connects where this daemon runs.
fn serve(runtime: &Handle, socket: Socket, run_dir: &Path) -> io::Result<Lock> {
    let _of_that_runtime = runtime.enter();
    let listener = UnixListener::from_std(socket.into())?;
    let answer = run_dir.display().to_string();
    Ok(Lock(runtime.spawn(async move {
        loop {
            match listener.accept().await {
                // It is shorter than any socket's buffer, and whoever left needs no answer.
                Ok((mut asking, _)) => drop(asking.write_all(answer.as_bytes()).await),
                Err(_) => sleep(TRY_AGAIN).await,
            }
        }
    })))
}
