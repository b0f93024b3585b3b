//! Whole Ethernet frames in and out of an interface (`AF_PACKET`, packet(7)).
#![allow(unsafe_code)]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, bind,
    recvmsg, setsockopt, socket, sockopt,
};

use socket2::{SockFilter, SockRef};

use crate::types::{Family, IfIndex, Mac};

/// Receive buffer asked for, in bytes: about 20 000 small frames while the reader is not scheduled.
const RECEIVE_BUFFER: usize = 16 << 20;

// Classic BPF over the whole frame: the Ethernet header has 14 bytes.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const TO_INDEX: u16 = 0x07;
const JUMP_IF_INDEX: u16 = 0x1d;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ACCEPT: SockFilter = SockFilter::new(RETURN, 0, 0, u32::MAX);
const DROP: SockFilter = SockFilter::new(RETURN, 0, 0, 0);

/// ARP whose sender and target address are the same, and replies to an ARP probe: to no address.
const ARP_NEWS: [SockFilter; 11] = [
    SockFilter::new(LOAD_WORD, 0, 0, 14 + 24),
    SockFilter::new(JUMP_IF_EQUAL, 5, 0, 0),
    SockFilter::new(TO_INDEX, 0, 0, 0),
    SockFilter::new(LOAD_WORD, 0, 0, 14 + 14),
    SockFilter::new(JUMP_IF_INDEX, 0, 1, 0),
    ACCEPT,
    DROP,
    SockFilter::new(LOAD_HALF, 0, 0, 14 + 6),
    SockFilter::new(JUMP_IF_EQUAL, 0, 1, 2),
    ACCEPT,
    DROP,
];

/// ICMPv6 (58) right behind the IPv6 header, type 136.
const NEIGHBOUR_ADVERT: [SockFilter; 6] = [
    SockFilter::new(LOAD_BYTE, 0, 0, 14 + 6),
    SockFilter::new(JUMP_IF_EQUAL, 0, 3, 58),
    SockFilter::new(LOAD_BYTE, 0, 0, 14 + 40),
    SockFilter::new(JUMP_IF_EQUAL, 0, 1, 136),
    ACCEPT,
    DROP,
];

/// A non-blocking packet socket.
#[derive(Debug)]
pub struct FrameSocket {
    fd: OwnedFd,
}

/// What is known of a received frame besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes written to the buffer; a longer frame was cut.
    pub length: usize,
    /// When the kernel saw it: CLOCK_REALTIME since 1970.
    pub at: Duration,
    /// Sent by this host rather than received.
    pub outgoing: bool,
    /// Sender's address as the link layer gives it.
    pub source: Mac,
    /// The interface.
    pub interface: IfIndex,
}

impl FrameSocket {
    /// Every frame of one interface, both directions, and a way to send on it.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW` in the namespace; `ENODEV` if the interface is gone.
    pub fn on_interface(interface: IfIndex) -> io::Result<FrameSocket> {
        FrameSocket::open(Some(interface), libc::ETH_P_ALL, None)
    }

    /// What other hosts announce on one interface, or answer to an ARP probe or a neighbour
    /// solicitation. The kernel drops everything else.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW` in the namespace; `ENODEV` if the interface is gone.
    pub fn announcements(interface: IfIndex, family: Family) -> io::Result<FrameSocket> {
        let (ether_type, filter) = match family {
            Family::Ipv4 => (libc::ETH_P_ARP, &ARP_NEWS[..]),
            Family::Ipv6 => (libc::ETH_P_IPV6, &NEIGHBOUR_ADVERT[..]),
        };
        FrameSocket::open(Some(interface), ether_type, Some(filter))
    }

    /// Received (never sent) frames of one Ethernet type on every interface of the namespace.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW` in the namespace.
    pub fn receiving(ether_type: u16) -> io::Result<FrameSocket> {
        FrameSocket::open(None, i32::from(ether_type), None)
    }

    fn open(
        interface: Option<IfIndex>,
        protocol: i32,
        filter: Option<&[SockFilter]>,
    ) -> io::Result<FrameSocket> {
        // Opened with protocol 0 it receives nothing until bound: no frame of another interface.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
        // Beyond rmem_max only with CAP_NET_ADMIN outside any user namespace; less is no error.
        if setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        if let Some(filter) = filter {
            SockRef::from(&fd).attach_filter(filter)?;
        }
        bind(fd.as_raw_fd(), &link_address(interface, protocol)?)?;
        Ok(FrameSocket { fd })
    }

    /// The next frame, or `None` if there is none yet.
    ///
    /// # Errors
    /// `ENETDOWN` once when the interface goes down (the socket stays usable), or another receive
    /// error.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let message = match recvmsg::<LinkAddr>(
            self.fd.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        ) {
            Ok(message) => message,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let at = message
            .cmsgs()?
            .find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                _ => None,
            })
            .unwrap_or_default();
        let Some(from) = message.address else {
            return Err(io::Error::other("a frame came without a link-layer address"));
        };
        let raw: &libc::sockaddr_ll = from.as_ref();
        Ok(Some(Received {
            length: message.bytes,
            at,
            outgoing: raw.sll_pkttype == libc::PACKET_OUTGOING,
            source: Mac(from.addr().unwrap_or_default()),
            interface: IfIndex(u32::try_from(raw.sll_ifindex).unwrap_or_default()),
        }))
    }

    /// Sends one frame, Ethernet header first, on the interface the socket was opened for.
    ///
    /// # Errors
    /// `ENETDOWN` if the interface is down, `EMSGSIZE` if the frame is longer than its MTU,
    /// `ENXIO` if the socket was opened for no interface.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        nix::sys::socket::send(self.fd.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// Frames the kernel threw away since the last call because the buffer was full.
    ///
    /// # Errors
    /// Never in practice.
    pub fn take_dropped(&self) -> io::Result<u32> {
        let mut counts = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = libc::socklen_t::try_from(size_of_val(&counts)).unwrap_or_default();
        // SAFETY: `counts` is a live tpacket_stats and `length` holds its size; the kernel writes
        // at most that many bytes.
        let outcome = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counts).cast(),
                &raw mut length,
            )
        };
        if outcome == 0 { Ok(counts.tp_drops) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The address packet(7) wants for bind: interface (none = all) and Ethernet type.
fn link_address(interface: Option<IfIndex>, protocol: i32) -> io::Result<LinkAddr> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let raw = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(|_| invalid())?,
        sll_protocol: u16::try_from(protocol).map_err(|_| invalid())?.to_be(),
        sll_ifindex: i32::try_from(interface.map_or(0, |i| i.0)).map_err(|_| invalid())?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&raw)).map_err(|_| invalid())?;
    // SAFETY: the pointer is to a live, fully initialised sockaddr_ll whose family is AF_PACKET
    // and `length` is its size; `from_raw` copies it.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(length)) }.ok_or_else(invalid)
}
