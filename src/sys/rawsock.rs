//! Raw sockets of IP protocol 112: a receiver and a sender per interface and multicast group, or per
//! interface and own address for unicast.
//!
//! They are apart because they want opposite things: the receiver is bound to where it listens and never
//! sends, the sender must never queue a packet nobody reads (rules W39 to W42).
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::mem::{offset_of, zeroed};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use super::{failed, interface_name};
use crate::io::{Datagram, Listen, OpError};
use crate::types::{Family, IfIndex};

/// IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
pub(super) const VRRP: i32 = 112;

/// The largest packet possible: 24 octets of IPv4 options or AH aside, VRRPv3 with 255 IPv6
/// addresses is 8 + 255 * 16 = 4088 octets.
const LARGEST: usize = 4608;

/// Class selector 6, network control (RFC 9568 leaves it open; keepalived sends it).
const TRAFFIC_CLASS: u32 = 0xc0;

/// TC_PRIO_CONTROL: queueing disciplines send it before bulk traffic.
const CONTROL_PRIORITY: u32 = 7;

/// Receives the adverts that come in on one interface for one group or one of our addresses.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    family: Family,
}

impl Receiver {
    /// Open, bind and, if it is a group, join. An address need not be there yet.
    ///
    /// # Errors
    /// The step that failed and the kernel's words: EPERM without CAP_NET_RAW, ENODEV if the
    /// interface has gone.
    pub fn open(
        iface: IfIndex,
        listen: Listen,
        vrids: Option<&[u8]>,
        buffer: usize,
    ) -> Result<Receiver, OpError> {
        let name = device_name(iface)?;
        let step = |what: &str| {
            let operation = format!("{what} on {name}");
            move |error: io::Error| failed(operation, &error)
        };
        let address = listen.address();
        let family = Family::of(address);
        let socket = raw_socket(family, VRRP).map_err(step("open a raw socket"))?;
        // Until it is bound, a raw socket is given the packets of every interface.
        socket.attach_filter(&[DROP]).map_err(step("attach a packet filter"))?;
        socket.bind_device(Some(name.as_bytes())).map_err(step("bind a raw socket"))?;
        match family {
            Family::Ipv4 => {
                socket.set_multicast_all_v4(false).map_err(step("restrict multicast"))?;
                socket.set_freebind_v4(true).map_err(step("bind freely"))?;
            }
            Family::Ipv6 => {
                // Linux before 4.20 lacks it; joining by index and SO_BINDTODEVICE remain.
                let _ = socket.set_multicast_all_v6(false);
                // Linux before 4.15 lacks it; the address must be there then.
                let _ = socket.set_freebind_v6(true);
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)
                    .map_err(io::Error::from)
                    .map_err(step("ask for packet info"))?;
                socket.set_recv_hoplimit_v6(true).map_err(step("ask for the hop limit"))?;
            }
        }
        // Bound to a group it is given no unicast packet, bound to an address no multicast one.
        let place = match address {
            IpAddr::V4(address) => SocketAddrV4::new(address, 0).into(),
            IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, iface.0).into(),
        };
        socket.bind(&place).map_err(step(&format!("bind to {address}")))?;
        let joined = match listen {
            Listen::Group(IpAddr::V4(group)) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(iface.0))
            }
            Listen::Group(IpAddr::V6(group)) => socket.join_multicast_v6(&group, iface.0),
            Listen::Local(_) => Ok(()),
        };
        joined.map_err(step(&format!("join {address}")))?;
        discard_queued(&socket);
        let receiver = Receiver { socket, family };
        receiver.set_buffer(buffer);
        receiver.set_filter(vrids).map_err(step("attach a packet filter"))?;
        Ok(receiver)
    }

    /// Let the kernel drop whatever carries another virtual router id than these; `None` passes
    /// everything. A packet too short to have an id passes, so that it can be counted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_filter(&self, vrids: Option<&[u8]>) -> io::Result<()> {
        match vrids {
            Some(vrids) => self.socket.attach_filter(&only_vrids(self.family, vrids)),
            None => self.socket.attach_filter(&[ACCEPT]),
        }
    }

    /// Let the kernel keep this many bytes of packets; it doubles the number for its own needs, and
    /// counts them with each packet. Beyond `net.core.rmem_max` it takes CAP_NET_ADMIN; without, it
    /// is as much as is allowed.
    pub fn set_buffer(&self, bytes: usize) {
        if setsockopt(&self.socket, sockopt::RcvBufForce, &bytes).is_err() {
            let _ = self.socket.set_recv_buffer_size(bytes);
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Buffers for many datagrams, filled by one system call.
#[derive(Debug)]
pub struct Batch {
    slots: Vec<Slot>,
    family: Family,
    filled: usize,
}

/// One datagram with what the kernel says about it.
#[derive(Debug)]
struct Slot {
    bytes: Box<[u8; LARGEST]>,
    source: libc::sockaddr_in6,
    /// Aligned for `cmsghdr`; IPV6_PKTINFO and IPV6_HOPLIMIT need 64 octets on 64-bit machines.
    control: [u64; 16],
    control_length: usize,
    length: usize,
    flags: libc::c_int,
}

impl Batch {
    /// Datagrams per system call. Receiving fewer means that the socket was read empty.
    pub const SLOTS: usize = 32;

    /// Empty buffers.
    #[must_use]
    pub fn new() -> Batch {
        let slot = || Slot {
            bytes: Box::new([0; LARGEST]),
            // SAFETY: `sockaddr_in6` is a plain C struct for which zero is a valid value.
            source: unsafe { zeroed() },
            control: [0; 16],
            control_length: 0,
            length: 0,
            flags: 0,
        };
        Batch {
            slots: std::iter::repeat_with(slot).take(Self::SLOTS).collect(),
            family: Family::Ipv4,
            filled: 0,
        }
    }

    /// Read up to [`Batch::SLOTS`] datagrams without waiting; returns how many there were.
    ///
    /// # Errors
    /// The kernel's, except that an empty socket is zero datagrams. An asynchronous error such as
    /// ENETDOWN is reported once; what is queued can be read afterwards.
    pub fn receive(&mut self, from: &Receiver) -> io::Result<usize> {
        self.family = from.family;
        self.filled = 0;
        // SAFETY: both are plain C structs for which zero is a valid value.
        let (mut vectors, mut headers): ([libc::iovec; Self::SLOTS], [libc::mmsghdr; Self::SLOTS]) =
            unsafe { (zeroed(), zeroed()) };
        for ((slot, vector), header) in self.slots.iter_mut().zip(&mut vectors).zip(&mut headers) {
            vector.iov_base = slot.bytes.as_mut_ptr().cast();
            vector.iov_len = slot.bytes.len();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            if from.family == Family::Ipv6 {
                header.msg_hdr.msg_name = ptr::from_mut(&mut slot.source).cast();
                header.msg_hdr.msg_namelen = size_of_as(size_of::<libc::sockaddr_in6>());
                header.msg_hdr.msg_control = slot.control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = size_of_val(&slot.control) as _;
            }
        }
        // SAFETY: every header points to one vector and, for IPv6, to a name and a control buffer,
        // all of which live and stay in place until after the call, with their true sizes.
        let received = unsafe {
            libc::recvmmsg(
                from.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                size_of_as(Self::SLOTS),
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(received) {
            slot.length = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
            slot.flags = header.msg_hdr.msg_flags;
            slot.control_length = header.msg_hdr.msg_controllen as _;
        }
        self.filled = received.min(self.slots.len());
        Ok(self.filled)
    }

    /// The datagrams of the last [`Batch::receive`], oldest first.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.slots.iter().take(self.filled).map(|slot| slot.datagram(self.family))
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new()
    }
}

impl Slot {
    fn datagram(&self, family: Family) -> Datagram<'_> {
        let cut = self.flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
        match (family, self.bytes.get(..self.length), self.destination()) {
            (Family::Ipv4, Some(bytes), _) if !cut => Datagram::V4(bytes),
            (Family::Ipv6, Some(message), Some(destination)) if !cut => Datagram::V6 {
                source: Ipv6Addr::from(self.source.sin6_addr.s6_addr),
                destination,
                hop_limit: self.hop_limit(),
                message,
            },
            _ => Datagram::Truncated(family),
        }
    }

    fn destination(&self) -> Option<Ipv6Addr> {
        let info = self.ancillary(libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>())?;
        let start = offset_of!(libc::in6_pktinfo, ipi6_addr);
        let octets: [u8; 16] = info.get(start..start + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets))
    }

    fn hop_limit(&self) -> Option<u8> {
        let value = self.ancillary(libc::IPV6_HOPLIMIT, size_of::<libc::c_int>())?;
        u8::try_from(libc::c_int::from_ne_bytes(value.try_into().ok()?)).ok()
    }

    /// The data of the first IPv6 control message of this type, if it has exactly this size.
    fn ancillary(&self, kind: libc::c_int, size: usize) -> Option<&[u8]> {
        // SAFETY: `msghdr` is a plain C struct for which zero is a valid value.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_control = self.control.as_ptr().cast_mut().cast();
        header.msg_controllen = self.control_length.min(size_of_val(&self.control)) as _;
        // SAFETY: `CMSG_LEN` only computes. The type is size_t or socklen_t, by C library.
        let whole = unsafe { libc::CMSG_LEN(size_of_as(size)) }.try_into().ok();
        // SAFETY: the header describes the filled part of our aligned control buffer; the macros
        // return null or a pointer to a whole `cmsghdr` within it, and nothing writes through it.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(&raw const header);
            while let Some(found) = message.as_ref() {
                if found.cmsg_level == libc::IPPROTO_IPV6
                    && found.cmsg_type == kind
                    && Some(found.cmsg_len) == whole
                {
                    return Some(std::slice::from_raw_parts(libc::CMSG_DATA(message), size));
                }
                message = libc::CMSG_NXTHDR(&raw const header, message);
            }
        }
        None
    }
}

/// Sends the adverts of one interface.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    iface: IfIndex,
}

impl Sender {
    /// Open and bind to the interface.
    ///
    /// # Errors
    /// The step that failed and the kernel's words.
    pub fn open(iface: IfIndex, family: Family) -> Result<Sender, OpError> {
        let name = device_name(iface)?;
        let step = |what: &str| {
            let operation = format!("{what} on {name}");
            move |error: io::Error| failed(operation, &error)
        };
        // IPPROTO_RAW leaves the header to the sender and is never given a packet; IPv6 has no such
        // thing, its next header is the socket's protocol.
        let protocol = match family {
            Family::Ipv4 => libc::IPPROTO_RAW,
            Family::Ipv6 => VRRP,
        };
        let socket = raw_socket(family, protocol).map_err(step("open a raw socket"))?;
        socket.attach_filter(&[DROP]).map_err(step("attach a packet filter"))?;
        let _ = socket.set_recv_buffer_size(0);
        // Above 6 it takes CAP_NET_ADMIN; without, the adverts queue like anything else.
        let _ = socket.set_priority(CONTROL_PRIORITY);
        socket.bind_device(Some(name.as_bytes())).map_err(step("bind a raw socket"))?;
        match family {
            Family::Ipv4 => {
                socket.set_header_included_v4(true).map_err(step("keep our IP header"))?;
                multicast_via(&socket, iface).map_err(step("send multicast"))?;
                socket.set_multicast_loop_v4(false).map_err(step("turn off loopback"))?;
            }
            Family::Ipv6 => {
                let _ = socket.set_multicast_all_v6(false);
                socket.set_multicast_if_v6(iface.0).map_err(step("send multicast"))?;
                socket.set_multicast_loop_v6(false).map_err(step("turn off loopback"))?;
                socket.set_tclass_v6(TRAFFIC_CLASS).map_err(step("set the traffic class"))?;
            }
        }
        Ok(Sender { socket, iface })
    }

    /// Send one advert without waiting: for IPv4 a whole datagram, for IPv6 a VRRP message from
    /// `source`, which must be an address of the interface, with this hop limit. To a group it goes
    /// out on the interface, whatever the routes say; a peer may be behind a router.
    ///
    /// # Errors
    /// EAGAIN or ENOBUFS if a queue is full, ENETDOWN, EPERM if a firewall forbids it, EINVAL if
    /// IPv6 does not have `source` (any more). The advert is lost then.
    pub fn send(
        &self,
        source: IpAddr,
        destination: IpAddr,
        hop_limit: u8,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut flags = MsgFlags::MSG_DONTWAIT;
        if destination.is_multicast() {
            flags |= MsgFlags::from_bits_retain(libc::MSG_DONTROUTE);
        }
        let data = [IoSlice::new(bytes)];
        let fd = self.socket.as_raw_fd();
        match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: self.iface.0,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, self.iface.0));
                let hops = libc::c_int::from(hop_limit);
                let ancillary =
                    [ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hops)];
                sendmsg(fd, &data, &ancillary, flags, Some(&to))?;
            }
            (_, IpAddr::V4(destination)) => {
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                sendmsg(fd, &data, &[], flags, Some(&to))?;
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => {
                return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
            }
        }
        Ok(())
    }
}

pub(super) fn raw_socket(family: Family, protocol: i32) -> io::Result<Socket> {
    let domain = match family {
        Family::Ipv4 => Domain::IPV4,
        Family::Ipv6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// SO_BINDTODEVICE wants a name (the index variant needs Linux 5.0); the kernel keeps the index, so
/// a later rename does no harm.
fn device_name(iface: IfIndex) -> Result<String, OpError> {
    interface_name(iface).map_err(|error| failed(format!("find interface {iface}"), &error))
}

/// Throw away what arrived between `socket` and the first filter.
fn discard_queued(socket: &Socket) {
    let mut nothing = [];
    while socket.recv_with_flags(&mut nothing, libc::MSG_DONTWAIT).is_ok() {}
}

/// IP_MULTICAST_IF by index; socket2 knows the variant by address only.
pub(super) fn multicast_via(socket: &Socket, iface: IfIndex) -> io::Result<()> {
    let any = libc::in_addr { s_addr: 0 };
    let request = libc::ip_mreqn {
        imr_multiaddr: any,
        imr_address: any,
        imr_ifindex: i32::try_from(iface.0)
            .map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?,
    };
    // SAFETY: the option reads one `ip_mreqn` of the given size during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            ptr::from_ref(&request).cast(),
            size_of_as(size_of::<libc::ip_mreqn>()),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A size the C interface wants as a 32-bit number; all of ours are small constants.
fn size_of_as(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

// Classic BPF (linux/filter.h): class, size, mode and operation are added up.
const LOAD_LENGTH: u16 = 0x80;
const LOAD_BYTE: u16 = 0x30;
const LOAD_BYTE_INDEXED: u16 = 0x50;
const LOAD_IP_HEADER_LENGTH: u16 = 0xb1;
const SUBTRACT_INDEX: u16 = 0x1c;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ACCEPT: SockFilter = SockFilter::new(RETURN, 0, 0, u32::MAX);
const DROP: SockFilter = SockFilter::new(RETURN, 0, 0, 0);

/// Accept a message of fewer than eight octets or with one of these ids in its second octet, which
/// is the same place in both versions (RFC 3768 section 5.1, RFC 9568 section 5.1). IPv4 packets
/// begin with their header, IPv6 packets with the message.
fn only_vrids(family: Family, vrids: &[u8]) -> Vec<SockFilter> {
    let mut program = match family {
        Family::Ipv4 => vec![
            SockFilter::new(LOAD_IP_HEADER_LENGTH, 0, 0, 0),
            SockFilter::new(LOAD_LENGTH, 0, 0, 0),
            SockFilter::new(SUBTRACT_INDEX, 0, 0, 0),
            SockFilter::new(JUMP_IF_AT_LEAST, 1, 0, 8),
            ACCEPT,
            SockFilter::new(LOAD_BYTE_INDEXED, 0, 0, 1),
        ],
        Family::Ipv6 => vec![
            SockFilter::new(LOAD_LENGTH, 0, 0, 0),
            SockFilter::new(JUMP_IF_AT_LEAST, 1, 0, 8),
            ACCEPT,
            SockFilter::new(LOAD_BYTE, 0, 0, 1),
        ],
    };
    for &vrid in vrids {
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(vrid)));
        program.push(ACCEPT);
    }
    program.push(DROP);
    program
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// The kernel runs the program: a filter on a datagram socket sees the payload from its start,
    /// as one on a raw socket sees the packet.
    fn passes(family: Family, vrids: &[u8], packet: &[u8]) -> bool {
        let (tx, rx) = UnixDatagram::pair().unwrap();
        rx.set_nonblocking(true).unwrap();
        let rx = Socket::from(std::os::fd::OwnedFd::from(rx));
        rx.attach_filter(&only_vrids(family, vrids)).unwrap();
        tx.send(packet).unwrap();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 128];
        rx.recv(&mut buffer).is_ok()
    }

    fn ipv4(header_words: u8, message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; usize::from(header_words) * 4];
        packet[0] = 0x40 | header_words;
        packet.extend_from_slice(message);
        packet
    }

    #[test]
    fn the_filter_passes_configured_ids_and_what_is_too_short_to_have_one() {
        let advert = [0x31, 51, 100, 1, 0, 100, 0, 0, 10, 0, 0, 1];
        let wrong_type = [0x7f, 51, 0, 0, 0, 0, 0, 0];
        let all: Vec<u8> = (1..=255).collect();
        for (family, wrap) in [
            (Family::Ipv4, ipv4 as fn(u8, &[u8]) -> Vec<u8>),
            (Family::Ipv6, |_, message| message.to_vec()),
        ] {
            for words in [5, 6, 15] {
                assert!(passes(family, &[50, 51], &wrap(words, &advert)));
                assert!(passes(family, &all, &wrap(words, &advert)));
                assert!(passes(family, &[51], &wrap(words, &wrong_type)));
                assert!(!passes(family, &[50, 52], &wrap(words, &advert)));
                assert!(!passes(family, &[], &wrap(words, &advert)));
                assert!(passes(family, &[50], &wrap(words, &advert[..7])));
            }
        }
    }
}
