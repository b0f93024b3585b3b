//! This host, for `vipd check --host`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use nix::unistd::Group;

use crate::config::checks::ScriptCheck;
use crate::config::host::Host;
use crate::probe::script::inspect;

/// A listening socket, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

pub(super) struct ThisHost;

impl Host for ThisHost {
    fn has_interface(&self, name: &str) -> bool {
        Path::new("/sys/class/net").join(name).exists()
    }

    fn has_group(&self, name: &str) -> bool {
        Group::from_name(name).is_ok_and(|group| group.is_some())
    }

    fn runs(&self, command: &ScriptCheck) -> Result<Option<String>, String> {
        inspect(command)
    }

    fn listens(&self, at: SocketAddr) -> Option<String> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
        let inodes: Vec<String> =
            texts.flat_map(|text| listening(&text, at).collect::<Vec<_>>()).collect();
        inodes.iter().find_map(|inode| holder(inode))
    }
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
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let is_it = |file: fs::DirEntry| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == link.as_str())
        };
        if files.flatten().any(is_it) {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            let name = name.trim();
            return (name != "vipd").then(|| format!("{name} (pid {pid})"));
        }
    }
    None
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
