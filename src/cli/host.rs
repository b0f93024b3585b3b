//! This host, for `vipd check --host`.

use std::fs::{self, Metadata};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use nix::unistd::Group;

use crate::config::checks::{Command, ScriptCheck};
use crate::config::host::{Host, Pipe};
use crate::config::sandbox::Sandbox;
use crate::probe::script::inspect;
use crate::types::Cidr;

/// A listening socket, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Where units are, the first that has one counts.
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What is longer is a program rather than a script.
const LONGEST_SCRIPT: u64 = 64 << 10;

pub(super) struct ThisHost;

impl Host for ThisHost {
    fn has_interface(&self, name: &str) -> bool {
        Path::new("/sys/class/net").join(name).exists()
    }

    fn addresses(&self, interface: &str) -> Vec<Cidr> {
        let all = getifaddrs().into_iter().flatten();
        all.filter(|found| found.interface_name == interface)
            .filter_map(|found| network(found.address?, found.netmask?))
            .collect()
    }

    fn has_group(&self, name: &str) -> bool {
        Group::from_name(name).is_ok_and(|group| group.is_some())
    }

    fn runs(&self, command: &ScriptCheck) -> Result<Option<String>, String> {
        inspect(command)
    }

    fn script(&self, command: &ScriptCheck) -> Option<(PathBuf, String)> {
        let (program, words) = match &command.command {
            Command::Argv { program, args } => (program.clone(), args.clone()),
            Command::Shell(text) => {
                let mut words = text.split_whitespace().map(str::to_owned);
                (words.next()?, words.collect())
            }
        };
        let words = std::iter::once(program).chain(words).filter(|word| word.starts_with('/'));
        words.map(PathBuf::from).find_map(|path| Some((path.clone(), script(&path)?)))
    }

    fn is_closed(&self, file: &Path) -> bool {
        let opens = |found: Metadata, bits: u32| {
            let bits = match (found.uid(), found.gid()) {
                (0, _) => bits << 6,
                (_, 0) => bits << 3,
                (_, _) => bits,
            };
            found.mode() & bits != 0
        };
        let Ok(found) = fs::metadata(file) else { return false };
        let way = file.ancestors().skip(1);
        let mut way = way.filter_map(|part| fs::metadata(part).ok());
        !opens(found, 4) || !way.all(|part| opens(part, 1))
    }

    fn sandbox(&self) -> Sandbox {
        let read =
            |path: PathBuf| Some((path.display().to_string(), fs::read_to_string(&path).ok()?));
        let unit = UNITS.iter().find_map(|at| read(Path::new(at).join("vipd.service")));
        let mut drop_ins: Vec<PathBuf> = UNITS
            .iter()
            .rev()
            .filter_map(|at| fs::read_dir(Path::new(at).join("vipd.service.d")).ok())
            .flat_map(|found| found.flatten().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "conf"))
            .collect();
        drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        let files: Vec<_> = unit.into_iter().chain(drop_ins.into_iter().filter_map(read)).collect();
        Sandbox::of(&files)
    }

    fn pipe(&self, path: &Path) -> Pipe {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_fifo() => Pipe::Other,
            Ok(_) if processes().any(|process| reads(&process, path)) => Pipe::Read,
            Ok(_) => Pipe::Unread,
            Err(_) if path.parent().is_some_and(Path::is_dir) => Pipe::Unread,
            Err(_) => Pipe::Nowhere,
        }
    }

    fn listens(&self, at: SocketAddr) -> Option<String> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
        let inodes: Vec<String> =
            texts.flat_map(|text| listening(&text, at).collect::<Vec<_>>()).collect();
        inodes.iter().find_map(|inode| holder(inode))
    }
}

fn network(address: SockaddrStorage, mask: SockaddrStorage) -> Option<Cidr> {
    let ip = |storage: SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| Some(IpAddr::V6(storage.as_sockaddr_in6()?.ip())))
    };
    let bits = match ip(mask)? {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    Cidr::new(ip(address)?, u8::try_from(bits).ok()?).ok()
}

/// The sockets of a table that listen at an address, by their inodes.
fn listening(table: &str, at: SocketAddr) -> impl Iterator<Item = String> {
    let socket = move |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
        let (address, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let meets = *state == LISTEN && port == at.port() && meets(own(address)?, at.ip());
        meets.then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(socket).collect::<Vec<_>>().into_iter()
}

/// An address as the kernel writes it: words in the order of the machine.
fn own(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into());
    }
    let mut bytes = [0; 16];
    for (chunk, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
        chunk.copy_from_slice(&word(at)?.to_ne_bytes());
    }
    Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
}

/// Whether two sockets with one port would be in each other's way.
fn meets(one: IpAddr, other: IpAddr) -> bool {
    one == other
        || one.is_unspecified() && (one.is_ipv6() || other.is_ipv4())
        || other.is_unspecified() && (other.is_ipv6() || one.is_ipv4())
}

/// The program that has a socket, unless it is vipd: it would be told to let go.
fn holder(inode: &str) -> Option<String> {
    let link = format!("socket:[{inode}]");
    let process = processes().find(|process| has_open(process, Path::new(&link)))?;
    let name = name_of(&process)?;
    let pid = process.file_name()?.to_string_lossy();
    (name != "vipd").then(|| format!("{name} (pid {pid})"))
}

/// Their directories in /proc.
fn processes() -> impl Iterator<Item = PathBuf> {
    let is_process = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.map(|entry| entry.path()).filter(is_process)
}

fn name_of(process: &Path) -> Option<String> {
    Some(fs::read_to_string(process.join("comm")).ok()?.trim().to_owned())
}

fn has_open(process: &Path, target: &Path) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.map(|file| fs::read_link(file.path())).any(|link| link.is_ok_and(|link| link == target))
}

/// Whether another program than one that only writes to it has a FIFO open.
fn reads(process: &Path, fifo: &Path) -> bool {
    let writer = |name: String| matches!(name.as_str(), "vipd" | "keepalived");
    has_open(process, fifo) && !name_of(process).is_some_and(writer)
}

/// The text of a small script.
fn script(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    if !found.is_file() || found.len() > LONGEST_SCRIPT {
        return None;
    }
    fs::read_to_string(path).ok().filter(|text| text.starts_with("#!"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_program_that_has_a_port_is_named() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let pid = std::process::id().to_string();
        for at in ["127.0.0.1", "0.0.0.0", "::"] {
            let at = SocketAddr::new(at.parse().unwrap(), port);
            // The name of the test program begins with vipd.
            assert!(ThisHost.listens(at).is_some_and(|who| who.contains(&pid)), "{at}");
        }
        assert_eq!(ThisHost.listens(SocketAddr::new("127.0.0.2".parse().unwrap(), port)), None);
        drop(socket);
    }

    #[test]
    fn addresses_of_the_kernel_are_read() {
        let one = u32::from_ne_bytes([127, 0, 0, 1]);
        assert_eq!(own(&format!("{one:08X}")), Some("127.0.0.1".parse().unwrap()));
        let words = [[0x20, 1, 0x0d, 0xb8], [0; 4], [0; 4], [0, 0, 0, 1]];
        let text: String = words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).concat();
        assert_eq!(own(&text), Some("2001:db8::1".parse().unwrap()));
    }
}
