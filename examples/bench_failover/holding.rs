//! When a host had the virtual address: the kernel's own reports, as they come.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use vipd::lab::{Node, Stamp};

/// linux/rtnetlink.h
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
/// linux/if_addr.h
const IFA_LOCAL: u16 = 2;

/// Length of `nlmsghdr`, of `ifaddrmsg` and of `rtattr`.
const MESSAGE_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ATTRIBUTE_HEADER: usize = 4;

/// A watch on one address of one host; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Holding {
    name: String,
    seen: Arc<Mutex<Seen>>,
    /// Closing this end ends the reader.
    stop: Option<UnixStream>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the address came (`true`) or went.
    changes: Vec<(Stamp, bool)>,
    broken: Option<String>,
}

impl Holding {
    /// Watches a host that does not have the address yet.
    pub(crate) fn watch(node: &Node, vip: Ipv4Addr) -> Result<Holding> {
        let socket = node.inside("watch the addresses", || {
            let fd = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::NetlinkRoute,
            )?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_IPV4_IFADDR))?;
            Ok(fd)
        })?;
        let (stop, stopped) = UnixStream::pair().context("cannot make a socket pair")?;
        let seen = Arc::<Mutex<Seen>>::default();
        let writer = Arc::clone(&seen);
        let reader = thread::Builder::new()
            .name("bench:holding".into())
            .spawn(move || {
                if let Err(error) = read_all(&socket, &stopped, vip, &writer) {
                    lock(&writer).broken = Some(error.to_string());
                }
            })
            .context("cannot start a thread")?;
        Ok(Holding { name: node.name().to_owned(), seen, stop: Some(stop), reader: Some(reader) })
    }

    /// Whether the host has the address now.
    pub(crate) fn now(&self) -> bool {
        lock(&self.seen).changes.last().is_some_and(|(_, held)| *held)
    }

    /// When it was held, the last stretch ending with `until` if it lasts.
    fn stretches(&self, until: Stamp) -> Result<Vec<(Stamp, Stamp)>> {
        let seen = lock(&self.seen);
        if let Some(broken) = &seen.broken {
            bail!("lost sight of the addresses of {}: {broken}", self.name);
        }
        let mut stretches = Vec::new();
        let mut since = None;
        for (at, held) in &seen.changes {
            match (held, since) {
                (true, None) => since = Some(*at),
                (false, Some(start)) => {
                    stretches.push((start, *at));
                    since = None;
                }
                _ => {}
            }
        }
        stretches.extend(since.map(|start| (start, until)));
        Ok(stretches)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has printed why.
            drop(reader.join());
        }
    }
}

/// For how long between two moments both hosts had the address.
pub(crate) fn both(one: &Holding, other: &Holding, from: Stamp, to: Stamp) -> Result<Duration> {
    let mut total = Duration::ZERO;
    let others = other.stretches(to)?;
    for (start, end) in one.stretches(to)? {
        for (other_start, other_end) in &others {
            let start = start.max(*other_start).max(from);
            total += end.min(*other_end).min(to).since(start);
        }
    }
    Ok(total)
}

fn read_all(
    socket: &OwnedFd,
    stopped: &UnixStream,
    vip: Ipv4Addr,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let mut waiting = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut waiting, PollTimeout::NONE)?;
        let [_, stop] = &waiting;
        if stop.any().unwrap_or(true) {
            return Ok(());
        }
        let at = Stamp::now();
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((message, next)) = first_message(rest) {
            if let Some(held) = about(message, vip) {
                lock(seen).changes.push((at, held));
            }
            rest = next;
        }
    }
}

/// Splits off one netlink message.
fn first_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let message = bytes.get(..length).filter(|m| m.len() >= MESSAGE_HEADER)?;
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// What a message says about the address: here, gone or nothing.
fn about(message: &[u8], vip: Ipv4Addr) -> Option<bool> {
    let held = match u16::from_ne_bytes(*message.get(4..)?.first_chunk()?) {
        RTM_NEWADDR => true,
        RTM_DELADDR => false,
        _ => return None,
    };
    let mut attributes = message.get(MESSAGE_HEADER + ADDRESS_HEADER..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        if kind == IFA_LOCAL {
            return (value == vip.octets()).then_some(held);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
