//! Whether this host lets VRRP in: it sends a packet of IP protocol 112 to a multicast group with a
//! hop limit of zero, so that it never leaves the host, and listens for the kernel's own copy of it.
//! The copy takes the way of a received packet, through every packet filter.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{InterfaceIndexOrAddress, Socket};

use super::interface_name;
use super::rawsock::{VRRP, multicast_via, raw_socket};
use crate::types::{Family, IfIndex};

/// Version, type and virtual router id zero: nothing a router could be meant by.
const QUESTION: [u8; 8] = [0, 0, b'e', b'c', b'h', b'o', 0, 0];

/// A group on one interface.
pub type MulticastGroup = (IfIndex, IpAddr);

/// The groups of which this host does not receive its own packet within `limit`. Those to which it
/// cannot send (no address, no multicast) are not among them.
#[must_use]
pub fn unreachable(groups: &[MulticastGroup], limit: Duration) -> Vec<MulticastGroup> {
    let ask = |group: &MulticastGroup| Some((*group, ask(*group).ok()?));
    let mut waiting: Vec<(MulticastGroup, Socket)> = groups.iter().filter_map(ask).collect();
    let ends = Instant::now() + limit;
    while !waiting.is_empty() {
        let left = ends.saturating_duration_since(Instant::now());
        let mut sockets: Vec<PollFd<'_>> = waiting
            .iter()
            .map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut sockets, timeout) {
            Ok(0) => break,
            Ok(_) | Err(nix::Error::EINTR) => {}
            // Nothing is known then.
            Err(_) => return Vec::new(),
        }
        waiting.retain(|((_, group), socket)| !answered(socket, *group));
    }
    waiting.into_iter().map(|(group, _)| group).collect()
}

/// Joins the group and sends the question.
fn ask((iface, group): MulticastGroup) -> io::Result<Socket> {
    let family = Family::of(group);
    let socket = raw_socket(family, VRRP)?;
    socket.bind_device(Some(interface_name(iface)?.as_bytes()))?;
    let to: SocketAddr = match group {
        IpAddr::V4(v4) => {
            socket.set_multicast_all_v4(false)?;
            socket.join_multicast_v4_n(&v4, &InterfaceIndexOrAddress::Index(iface.0))?;
            multicast_via(&socket, iface)?;
            socket.set_multicast_loop_v4(true)?;
            socket.set_multicast_ttl_v4(0)?;
            SocketAddr::from((group, 0))
        }
        IpAddr::V6(v6) => {
            socket.join_multicast_v6(&v6, iface.0)?;
            socket.set_multicast_if_v6(iface.0)?;
            socket.set_multicast_loop_v6(true)?;
            socket.set_multicast_hops_v6(0)?;
            SocketAddrV6::new(v6, 0, 0, iface.0).into()
        }
    };
    socket.send_to_with_flags(&QUESTION, &to.into(), libc::MSG_DONTROUTE)?;
    Ok(socket)
}

/// Reads what has arrived; whether the question is among it.
fn answered(mut socket: &Socket, group: IpAddr) -> bool {
    let mut buffer = [0; 96];
    while let Ok(length) = socket.read(&mut buffer) {
        let packet = buffer.get(..length).unwrap_or_default();
        // IPv4 comes with its header.
        if packet.ends_with(&QUESTION) && (group.is_ipv4() || packet.len() == QUESTION.len()) {
            return true;
        }
    }
    false
}
