//! What the kernel says about links and addresses while we run.
//!
//! [`Monitor::open`] spawns one task that owns the socket; it ends when the [`Monitor`] is dropped.
//! The socket is subscribed before anything is dumped, so an event can only repeat what the dump
//! said or correct it, never be missed.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::time::{Instant, sleep_until};

use super::netlink::{self, Netlink};
use crate::engine::{LinkChange, OpError};

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
    tokio::spawn(connection);
    Ok(Box::pin(messages))
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
