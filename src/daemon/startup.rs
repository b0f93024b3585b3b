//! What happens before the first router runs: permissions, run directory, leftovers.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use caps::{CapSet, Capability, CapsHashSet};
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

use super::StartError;
use super::locks::holder_of_address;
use crate::api::SOCKET_NAME;
use crate::config::checks::Check;
use crate::config::{Config, Process, TrackerConfig};
use crate::engine::is_adoptable;
use crate::io::{Link, LinkAddress};
use crate::sys::netlink::Netlink;
use crate::sys::{netns, realtime};
use crate::types::{Cidr, IfIndex, IfName};

const PID_NAME: &str = "vipd.pid";

/// Refuse early and in words, instead of with EPERM from the middle of things. Whoever only listens
/// needs no rights.
pub(super) fn require_capabilities(config: &Config) -> Result<(), StartError> {
    if config.routers.is_empty() && config.static_addresses.is_empty() {
        return Ok(());
    }
    let missing: Vec<&'static str> = [
        (Capability::CAP_NET_ADMIN, "CAP_NET_ADMIN (addresses)"),
        (Capability::CAP_NET_RAW, "CAP_NET_RAW (VRRP and ARP)"),
    ]
    .into_iter()
    .filter(|(capability, _)| !caps::has_cap(None, CapSet::Effective, *capability).unwrap_or(false))
    .map(|(_, name)| name)
    .collect();
    if missing.is_empty() { Ok(()) } else { Err(StartError::Permission { missing }) }
}

/// What a daemon that is root keeps of root's rights: addresses, sockets and ports; scripts of other
/// users, and their end; files and sockets of other users; scheduling, memory and descriptors.
const KEPT: [Capability; 13] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_KILL,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_CHOWN,
    Capability::CAP_FOWNER,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_SYS_NICE,
    Capability::CAP_SYS_RESOURCE,
    Capability::CAP_IPC_LOCK,
];

/// Started as root, it gives up what it does not need, before it has threads. A script that runs as
/// root has all of root's rights again: executing a program gives them back to that user.
pub(super) fn give_up_capabilities(config: &Config) {
    if !geteuid().is_root() {
        return;
    }
    let watches = |tracker: &Arc<TrackerConfig>| matches!(*tracker.check, Check::Process(_));
    let mut kept = CapsHashSet::from(KEPT);
    if config.trackers.iter().any(watches) {
        // Where /proc is mounted with hidepid.
        kept.insert(Capability::CAP_SYS_PTRACE);
    }
    let reduce = |set| {
        let has = caps::read(None, set)?;
        caps::set(None, set, &has.intersection(&kept).copied().collect())
    };
    for set in [CapSet::Effective, CapSet::Permitted] {
        if let Err(error) = reduce(set) {
            tracing::warn!("cannot give up capabilities: {error}");
        }
    }
}

/// Before ordinary processes, where the system permits it; else one line says that it does not.
pub(super) fn prefer_control_thread(priority: Option<u8>, continues: bool) {
    let Some(priority) = priority else {
        // Unless the binary before us asked for it, it is as the service manager wants it.
        if continues {
            let _ = realtime::treat_this_thread_as_any_other();
        }
        return;
    };
    match realtime::prefer_this_thread(priority) {
        Ok(got) if got == priority => {}
        Ok(got) => tracing::warn!(
            "real-time priority {got} instead of {priority}: needs CAP_SYS_NICE or LimitRTPRIO="
        ),
        Err(error) => tracing::info!(
            "no real-time scheduling, a busy machine may delay adverts: {} (needs CAP_SYS_NICE or \
             RLIMIT_RTPRIO)",
            crate::sys::cause(&error)
        ),
    }
}

/// Make the process what the configuration says, before it has threads and files of its own. What
/// the system refuses is said and left, but for the namespace: the network would be another one.
pub(super) fn shape_process(process: &Process) -> Result<(), StartError> {
    if let Some(name) = &process.net_namespace {
        netns::enter(name)
            .map_err(|source| StartError::Namespace { name: name.clone(), source })?;
    }
    if let Some(mask) = process.umask {
        umask(Mode::from_bits_truncate(mask.into()));
    }
    let name = process.process_name.as_ref().and_then(|name| CString::new(name.as_bytes()).ok());
    let named = name.map(|name| prctl::set_name(&name).map_err(io::Error::from));
    let nice = process.nice.map(realtime::set_nice);
    let placed = (!process.cpus.is_empty()).then(|| realtime::stay_on(&process.cpus));
    for (what, result) in [
        ("rename the process", named),
        ("set the niceness (needs CAP_SYS_NICE or LimitNICE=)", nice),
        ("keep to the processors of `cpus`", placed),
    ] {
        if let Some(Err(error)) = result {
            tracing::warn!("cannot {what}: {}", crate::sys::cause(&error));
        }
    }
    Ok(())
}

/// Two VRRP daemons with one configuration would both serve, and remove each other's addresses. Must
/// be called before there are sockets of our own.
pub(super) fn warn_of_other_daemons() {
    let others = ["raw", "raw6"].into_iter().any(|table| {
        fs::read_to_string(format!("/proc/thread-self/net/{table}")).is_ok_and(|t| lists_vrrp(&t))
    });
    if others {
        tracing::warn!(
            "another program here has VRRP sockets: if it is keepalived with the same virtual \
             routers, stop it (`ss -wap` names it)"
        );
    }
}

/// Whether the kernel's list of raw sockets has one of IP protocol 112: where a port would stand.
fn lists_vrrp(table: &str) -> bool {
    let local = |line: &str| line.split_whitespace().nth(1).map(|local| local.ends_with(":0070"));
    table.lines().any(|line| local(line).unwrap_or(false))
}

/// Keep the daemon in memory, or say why not.
pub(super) fn lock_memory() {
    let may_exceed = caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK);
    if let Err(error) = realtime::lock_memory(may_exceed.unwrap_or(false)) {
        tracing::warn!("the memory is not locked: {}", crate::sys::cause(&error));
    }
}

/// A run directory that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct RunDir {
    path: PathBuf,
    pid_file: Flock<File>,
}

impl RunDir {
    /// Create it if need be and lock it against a second daemon.
    pub(super) fn claim(path: &Path) -> Result<RunDir, StartError> {
        let create = |what: PathBuf| move |source| StartError::Create { what, source };
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(create(path.to_owned()))?;
        require_own(path)?;
        let pid_path = path.join(PID_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&pid_path)
            .map_err(create(pid_path.clone()))?;
        let mut pid_file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => locked,
            Err((other, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                let _ = other.take(32).read_to_string(&mut pid);
                let pid = pid.trim().to_owned();
                return Err(StartError::Busy { run_dir: path.to_owned(), pid });
            }
            Err((_, error)) => return Err(create(pid_path)(error.into())),
        };
        write_pid(&mut pid_file).map_err(create(pid_path))?;
        Ok(RunDir { path: path.to_owned(), pid_file })
    }

    /// The control socket, in place of one a dead daemon left: the lock says nobody listens there.
    pub(super) fn listen(&self) -> Result<UnixListener, StartError> {
        let path = self.path.join(SOCKET_NAME);
        let create = |source| StartError::Create { what: path.clone(), source };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(create(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(create)?;
        fs::set_permissions(&path, Permissions::from_mode(0o660)).map_err(create)?;
        Ok(listener)
    }
}

/// Whoever may write to the run directory could put links in it, or a control socket of their own.
fn require_own(path: &Path) -> Result<(), StartError> {
    let refused = |why: String| StartError::RunDir { run_dir: path.to_owned(), why };
    let metadata = fs::symlink_metadata(path)
        .map_err(|source| StartError::Create { what: path.to_owned(), source })?;
    if !metadata.is_dir() {
        return Err(refused("it is a link; name the directory itself".to_owned()));
    }
    let own = geteuid().as_raw();
    if metadata.uid() != own && metadata.uid() != 0 {
        let owner = metadata.uid();
        return Err(refused(format!(
            "it belongs to user {owner}: `chown {own}` it, or use another"
        )));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(refused(format!(
            "others may write to it (mode {mode:04o}): `chmod go-w` it, or use another"
        )));
    }
    Ok(())
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path.join(SOCKET_NAME));
        // Emptied, not removed: whoever waits for the lock holds the same file.
        let _ = self.pid_file.set_len(0);
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()
}

/// An address that must not be there while nobody here is master yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leftover {
    iface: IfIndex,
    name: IfName,
    cidr: Cidr,
    /// It carries our mark, so a crash left it; else somebody else configured a virtual address.
    ours: bool,
}

/// What a crash or an admin left: every address with our mark, and every virtual address on the
/// interface it belongs to. Static ones stay, and those of a router that can go on as master where an
/// earlier run stopped.
///
/// The address owner's are exempt (RFC 9568 section 6.1: they are real addresses of its interface),
/// as are addresses adverts are sent from.
pub(super) fn leftovers(config: &Config, table: &[(Link, Vec<LinkAddress>)]) -> Vec<Leftover> {
    let mut virtual_addresses = BTreeSet::new();
    let mut adopted = BTreeSet::new();
    // Those need nobody's renewal.
    for wanted in &config.static_addresses {
        adopted.insert((&wanted.iface, wanted.address.kernel_cidr()));
    }
    for router in &config.routers {
        let adoptable = is_adoptable(router, table);
        for address in &router.addresses {
            let place = (router.iface_of(address), address.kernel_cidr());
            if adoptable {
                adopted.insert(place);
            }
            if router.priority.is_owner() {
                continue;
            }
            if router.source != Some(address.cidr.address()) {
                virtual_addresses.insert(place);
            }
        }
    }
    let mut found = Vec::new();
    for (link, addresses) in table {
        for address in addresses {
            let place = (&link.name, address.cidr);
            if adopted.contains(&place) {
                continue;
            }
            if address.ours || virtual_addresses.contains(&place) {
                found.push(Leftover {
                    iface: link.index,
                    name: link.name.clone(),
                    cidr: address.cidr,
                    ours: address.ours,
                });
            }
        }
    }
    found
}

/// Remove leftovers from the kernel and from `table`; returns those that may be the host's own. One that
/// cannot be removed is said and kept: starting with a stale address is better than not starting.
pub(super) async fn remove_leftovers(
    netlink: &mut Netlink,
    config: &Config,
    table: &mut [(Link, Vec<LinkAddress>)],
) -> Vec<String> {
    let mut unmarked = Vec::new();
    for Leftover { iface, name, cidr, ours } in leftovers(config, table) {
        if let Some(holder) = holder_of_address(&name, cidr.address()) {
            tracing::info!("{cidr} on {name} stays: it belongs to {holder}");
            continue;
        }
        match netlink.set_absent(iface, cidr).await {
            Ok(_) => {
                let origin = if ours {
                    "left by an earlier run"
                } else {
                    unmarked.push(format!("{cidr} on {name}"));
                    "configured elsewhere. If it is this host's own, the virtual router needs another \
                     one, or priority 255"
                };
                tracing::warn!("removed {cidr} from {name}: a virtual address {origin}");
                if let Some((_, addresses)) = table.iter_mut().find(|(l, _)| l.index == iface) {
                    addresses.retain(|address| address.cidr != cidr);
                }
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }
    unmarked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_by_pid_and_the_lock_ends_with_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let first = RunDir::claim(&path).unwrap();
        let _listener = first.listen().unwrap();
        match RunDir::claim(&path) {
            Err(StartError::Busy { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!path.join(SOCKET_NAME).exists());
        let second = RunDir::claim(&path).unwrap();
        // A socket a killed daemon left is replaced.
        std::mem::forget(UnixListener::bind(path.join(SOCKET_NAME)).unwrap());
        second.listen().unwrap();
        let mode = fs::metadata(path.join(SOCKET_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
    }

    #[test]
    fn a_vrrp_socket_is_found_by_its_protocol() {
        let line = |local: &str| {
            let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n";
            format!("{heading} 112: {local} 00000000:0000 07 00000000:00000000 00:00000000 0 0 0\n")
        };
        assert!(lists_vrrp(&line("120000E0:0070")));
        assert!(lists_vrrp(&line("00000000000000000000000000000000:0070")));
        assert!(!lists_vrrp(&line("00000000:00FF")));
        assert!(!lists_vrrp(""));
    }

    #[test]
    fn a_run_directory_others_may_write_to_is_refused_and_links_in_it_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o1777)).unwrap();
        let error = RunDir::claim(&path).unwrap_err().to_string();
        assert!(error.contains("mode 1777") && error.contains("chmod go-w"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, path.join(PID_NAME)).unwrap();
        RunDir::claim(&path).unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        fs::remove_file(path.join(PID_NAME)).unwrap();
        drop(RunDir::claim(&path).unwrap());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let error = RunDir::claim(&link).unwrap_err().to_string();
        assert!(error.contains("it is a link"), "{error}");
    }

    #[test]
    fn an_unusable_run_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let error = RunDir::claim(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
