//! What the kernel says about links and addresses while we run.
//!
//! [`Monitor::open`] spawns one task that owns the socket; it ends when the [`Monitor`] is dropped.
//! The socket is subscribed before anything is dumped, so an event can only repeat what the dump
//! said or correct it, never be missed.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use socket2::{SockFilter, SockRef};
use tokio::time::{Instant, sleep_until};

use super::netlink::{self, Netlink, OUR_IFA_PROTO};
use crate::io::{LinkChange, OpError};

/// Some ten thousand events; the kernel doubles it.
const RECEIVE_BUFFER: usize = 2 << 20;

/// At most one complete re-read in this time: a machine that floods us with events would otherwise
/// keep us reading.
const RESYNC_PAUSE: Duration = Duration::from_secs(1);

/// The kernel's events.
pub struct Monitor {
    messages: Messages,
    requests: Netlink,
    last_dump: Instant,
}

type Messages =
    Pin<Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send>>;

/// One thing the monitor reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Something changed.
    Change(LinkChange),
    /// Events were lost; a [`LinkChange::Resync`] follows.
    Lost,
    /// Events were lost and the re-read failed; it will be tried again.
    Blind(OpError),
}

impl Monitor {
    /// Subscribe to links, IPv4 and IPv6 addresses. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// The kernel's, if it gives no socket.
    pub fn open(requests: Netlink) -> io::Result<Monitor> {
        Ok(Monitor { messages: subscribe()?, requests, last_dump: Instant::now() })
    }

    /// The next change. Not cancel-safe: it belongs in a task of its own.
    pub async fn next(&mut self, mut report: impl FnMut(Reported)) {
        let Some((message, _)) = self.messages.next().await else {
            // The connection's task ended: unreadable input, or the kernel closed the socket.
            report(Reported::Lost);
            return self.resync(report).await;
        };
        match message.payload {
            NetlinkPayload::Overrun(_) => {
                report(Reported::Lost);
                self.resync(report).await;
            }
            NetlinkPayload::InnerMessage(inner) => {
                if let Some(change) = change(&inner) {
                    report(Reported::Change(change));
                }
            }
            _ => {}
        }
    }

    /// Subscribe and read everything again, in this order and on a new socket: until the old one is
    /// read empty, the kernel drops events without saying so again, and what waits there is older
    /// than what we are about to read.
    async fn resync(&mut self, mut report: impl FnMut(Reported)) {
        loop {
            sleep_until(self.last_dump + RESYNC_PAUSE).await;
            self.last_dump = Instant::now();
            match subscribe() {
                Ok(messages) => self.messages = messages,
                Err(error) => {
                    report(Reported::Blind(super::failed("subscribe to link events", &error)));
                    continue;
                }
            }
            match self.requests.dump().await {
                Ok(table) => return report(Reported::Change(LinkChange::Resync(table))),
                Err(error) => {
                    report(Reported::Blind(error));
                    if let Ok(fresh) = Netlink::connect() {
                        self.requests = fresh;
                    }
                }
            }
        }
    }
}

fn subscribe() -> io::Result<Messages> {
    let (mut connection, _, messages) = new_multicast_connection(&[
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
    ])?;
    let socket = connection.socket_mut().socket_mut();
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
    // Without it every renewal only costs more.
    let _ = SockRef::from(&*socket).attach_filter(&no_renewals());
    tokio::spawn(connection);
    Ok(Box::pin(messages))
}

/// Classic BPF over a netlink message: drops what the kernel says about a renewal of ours, two events
/// a second for each address. That is a new-address message with our mark whose time of change is not
/// its time of creation: events of IPv6 addresses do not say who asked. Kernels before 5.18 do not
/// keep the mark, so theirs pass.
fn no_renewals() -> [SockFilter; 21] {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_CONSTANT: u16 = 0x00;
    const LOAD_BYTE_AT_INDEX: u16 = 0x50;
    const LOAD_WORD_AT_INDEX: u16 = 0x40;
    const INDEX_CONSTANT: u16 = 0x01;
    const INDEX_STORED: u16 = 0x61;
    const TO_INDEX: u16 = 0x07;
    const STORE: u16 = 0x02;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_INDEX: u16 = 0x1d;
    const RETURN: u16 = 0x06;
    /// linux/if_addr.h
    const IFA_PROTO: u32 = 11;
    /// Behind `nlmsghdr` and `ifaddrmsg`.
    const ATTRIBUTES: u32 = 16 + 8;
    /// In an attribute: behind its header, and there in `ifa_cacheinfo`.
    const VALUE: u32 = 4;
    const CREATED: u32 = VALUE + 8;
    const CHANGED: u32 = VALUE + 12;

    // Loads take the network's byte order for granted.
    let new_address = u32::from(libc::RTM_NEWADDR.to_be());
    let cache_info = u32::from(libc::IFA_CACHEINFO);
    let find_attribute = libc::SKF_AD_OFF.wrapping_add(libc::SKF_AD_NLATTR).cast_unsigned();
    let op = |code, operand| SockFilter::new(code, 0, 0, operand);
    // What is no renewal jumps to the last instruction.
    let pass_if = |at: u8, code, operand| SockFilter::new(code, 19 - at, 0, operand);
    let pass_unless = |at: u8, code, operand| SockFilter::new(code, 0, 19 - at, operand);
    [
        op(LOAD_HALF, 4),
        pass_unless(1, JUMP_IF_EQUAL, new_address),
        op(LOAD_CONSTANT, ATTRIBUTES),
        op(INDEX_CONSTANT, IFA_PROTO),
        op(LOAD_WORD, find_attribute),
        pass_if(5, JUMP_IF_EQUAL, 0),
        op(TO_INDEX, 0),
        op(LOAD_BYTE_AT_INDEX, VALUE),
        pass_unless(8, JUMP_IF_EQUAL, u32::from(OUR_IFA_PROTO)),
        op(LOAD_CONSTANT, ATTRIBUTES),
        op(INDEX_CONSTANT, cache_info),
        op(LOAD_WORD, find_attribute),
        pass_if(12, JUMP_IF_EQUAL, 0),
        op(TO_INDEX, 0),
        op(LOAD_WORD_AT_INDEX, CREATED),
        op(STORE, 0),
        op(LOAD_WORD_AT_INDEX, CHANGED),
        op(INDEX_STORED, 0),
        pass_if(18, JUMP_IF_INDEX, 0),
        op(RETURN, 0),
        op(RETURN, u32::MAX),
    ]
}

fn change(message: &RouteNetlinkMessage) -> Option<LinkChange> {
    match message {
        RouteNetlinkMessage::NewLink(message) => netlink::link(message).map(LinkChange::Link),
        RouteNetlinkMessage::DelLink(message) => {
            netlink::link(message).map(|link| LinkChange::Gone(link.index))
        }
        RouteNetlinkMessage::NewAddress(message) => netlink::address(message, None)
            .map(|(iface, address)| LinkChange::Address { iface, address }),
        RouteNetlinkMessage::DelAddress(message) => netlink::address(message, None)
            .map(|(iface, address)| LinkChange::AddressGone { iface, cidr: address.cidr }),
        _ => None,
    }
}
