//! AF_PACKET for announcements: gratuitous ARP and unsolicited neighbour advertisements go out as
//! complete Ethernet frames, because their source MAC need not be the interface's (rule W43).
#![allow(unsafe_code)]

use std::io;

use nix::libc;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use crate::types::IfIndex;

/// Sends Ethernet frames. Its protocol number is zero, so the kernel never queues a frame to it.
#[derive(Debug)]
pub struct FrameSender {
    socket: Socket,
}

impl FrameSender {
    /// One socket serves every interface.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn open() -> io::Result<FrameSender> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(FrameSender { socket })
    }

    /// Send one frame, without waiting.
    ///
    /// # Errors
    /// ENETDOWN or ENXIO if the interface is down or gone, ENOBUFS or EAGAIN if its queue is full.
    pub fn send(&self, iface: IfIndex, frame: &[u8]) -> io::Result<()> {
        self.socket.send_to(frame, &link_layer(iface, frame)?).map(drop)
    }
}

/// The socket address of an interface; the destination MAC and the type are read by some drivers'
/// transmit paths although the frame carries both.
fn link_layer(iface: IfIndex, frame: &[u8]) -> io::Result<SockAddr> {
    let too_short = || io::Error::new(io::ErrorKind::InvalidInput, "not an Ethernet frame");
    let destination: [u8; 6] =
        frame.get(..6).and_then(|mac| mac.try_into().ok()).ok_or_else(too_short)?;
    let ethertype: [u8; 2] =
        frame.get(12..14).and_then(|kind| kind.try_into().ok()).ok_or_else(too_short)?;
    let index = i32::try_from(iface.0).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;

    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is one of the C address types the storage is made for, and all-zero
    // bytes are a valid value of it.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or_default();
    address.sll_protocol = u16::from_ne_bytes(ethertype);
    address.sll_ifindex = index;
    address.sll_halen = 6;
    let [a, b, c, d, e, g] = destination;
    address.sll_addr = [a, b, c, d, e, g, 0, 0];
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
    // SAFETY: the storage holds a complete `sockaddr_ll` of exactly this length.
    Ok(unsafe { SockAddr::new(storage, length) })
}
