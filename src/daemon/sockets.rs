//! The raw sockets of every interface in use, per multicast group or own address.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::config::{Config, RECEIVE_BUFFER};
use crate::io::{Listen, OpError};
use crate::sys::frames::FrameSocket;
use crate::sys::netlink::name_of;
use crate::sys::rawsock::{Receiver, Sender};
use crate::sys::ready::ReadySet;
use crate::types::{Family, IfIndex, IfName};

/// Bytes of the receive buffer where only misconfigured peers are heard: what is lost there is only
/// another of the same.
const OVERHEARING_BUFFER: usize = 1 << 16;

/// Open sockets, found by where they listen (to send) and by token (to receive).
pub(super) struct Sockets {
    ready: ReadySet,
    endpoints: BTreeMap<(IfIndex, Listen), Endpoint>,
    /// Where only misconfigured peers are heard, with their tokens.
    observed: BTreeMap<(IfIndex, Listen), (Receiver, u64)>,
    tokens: BTreeMap<u64, (IfIndex, Listen, Hears)>,
    next_token: u64,
}

struct Endpoint {
    receiver: Receiver,
    sender: Sender,
    announcements: FrameSocket,
    tokens: [u64; 2],
}

/// What a token's socket brings.
#[derive(Clone, Copy)]
enum Hears {
    Adverts,
    Announcements,
    Misconfigured,
}

/// A socket that has something to read.
pub(super) enum Heard<'a> {
    Adverts(&'a Receiver),
    /// Gratuitous ARP or neighbour advertisements of other hosts.
    Announcements(&'a FrameSocket),
}

impl AsFd for Heard<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Heard::Adverts(receiver) => receiver.as_fd(),
            Heard::Announcements(frames) => frames.as_fd(),
        }
    }
}

impl Sockets {
    pub(super) fn new() -> io::Result<Sockets> {
        Ok(Sockets {
            ready: ReadySet::new()?,
            endpoints: BTreeMap::new(),
            observed: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next_token: 0,
        })
    }

    /// Open a pair of sockets, in place of any that were open there.
    pub(super) fn open(
        &mut self,
        iface: IfIndex,
        listen: Listen,
        fit: &Fit,
    ) -> Result<(), OpError> {
        self.close(iface, listen);
        let receiver = Receiver::open(iface, listen, fit.vrids.as_deref(), fit.buffer)?;
        let sender = Sender::open(iface, Family::of(listen.address()))?;
        let announcements = FrameSocket::announcements(iface, Family::of(listen.address()))
            .map_err(|error| OpError {
                operation: format!("listen for announcements on {}", name_of(iface)),
                cause: crate::sys::cause(&error),
            })?;
        let tokens = [self.next_token, self.next_token + 1];
        self.next_token += 2;
        let [adverts, announced] = tokens;
        self.ready.add(&receiver, adverts).map_err(|error| watch(&error))?;
        self.ready.add(&announcements, announced).map_err(|error| watch(&error))?;
        self.tokens.insert(adverts, (iface, listen, Hears::Adverts));
        self.tokens.insert(announced, (iface, listen, Hears::Announcements));
        let endpoint = Endpoint { receiver, sender, announcements, tokens };
        self.endpoints.insert((iface, listen), endpoint);
        Ok(())
    }

    /// Receive there too, and never send.
    pub(super) fn observe(
        &mut self,
        iface: IfIndex,
        listen: Listen,
        fit: &Fit,
    ) -> Result<(), OpError> {
        let vrids = fit.vrids.as_deref();
        let receiver = Receiver::open(iface, listen, vrids, OVERHEARING_BUFFER)?;
        let token = self.next_token;
        self.next_token += 1;
        self.ready.add(&receiver, token).map_err(|error| watch(&error))?;
        self.tokens.insert(token, (iface, listen, Hears::Misconfigured));
        self.observed.insert((iface, listen), (receiver, token));
        Ok(())
    }

    pub(super) fn overhear_no_more(&mut self, iface: IfIndex, listen: Listen) {
        if let Some((_, token)) = self.observed.remove(&(iface, listen)) {
            self.tokens.remove(&token);
        }
    }

    /// Close them; returns whether they were open.
    pub(super) fn close(&mut self, iface: IfIndex, listen: Listen) -> bool {
        // The kernel forgets a closed descriptor's place in the ready set by itself.
        let Some(endpoint) = self.endpoints.remove(&(iface, listen)) else { return false };
        for token in endpoint.tokens {
            self.tokens.remove(&token);
        }
        true
    }

    pub(super) fn send(
        &self,
        iface: IfIndex,
        (source, destination): (IpAddr, IpAddr),
        hop_limit: u8,
        bytes: &[u8],
    ) -> io::Result<()> {
        match self.endpoints.get(&(iface, Listen::of(source, destination))) {
            Some(endpoint) => endpoint.sender.send(source, destination, hop_limit, bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Wait until something may have arrived. Cancel-safe.
    pub(super) async fn wait(&self) -> io::Result<()> {
        self.ready.wait().await
    }

    /// Append the tokens of the sockets that have something to read; returns how many.
    pub(super) fn ready(&self, tokens: &mut Vec<u64>) -> io::Result<usize> {
        self.ready.ready(tokens)
    }

    /// Have these reported again when they have something to read.
    pub(super) fn arm(&self, tokens: &mut Vec<u64>) {
        for token in tokens.drain(..) {
            if let Some((iface, heard)) = self.heard(token)
                && let Err(error) = self.ready.arm(&heard, token)
            {
                // A descriptor in the set can be changed; if not, its packets are lost to us.
                tracing::error!("watch the raw socket of interface {iface}: {error}");
            }
        }
    }

    /// A socket, unless it was closed since its token was reported.
    pub(super) fn heard(&self, token: u64) -> Option<(IfIndex, Heard<'_>)> {
        let &(iface, listen, hears) = self.tokens.get(&token)?;
        let endpoint = self.endpoints.get(&(iface, listen));
        let heard = match hears {
            Hears::Adverts => Heard::Adverts(&endpoint?.receiver),
            Hears::Announcements => Heard::Announcements(&endpoint?.announcements),
            Hears::Misconfigured => Heard::Adverts(&self.observed.get(&(iface, listen))?.0),
        };
        Some((iface, heard))
    }

    /// Fit every socket to a new configuration or a changed interface. A filter that cannot be
    /// replaced is left: the engine drops what it does not know anyway.
    pub(super) fn refit(&self, config: &Config, links: &Links) {
        let refilter = |receiver: &Receiver, iface: IfIndex, fit: &Fit| {
            if let Err(error) = receiver.set_filter(fit.vrids.as_deref()) {
                tracing::debug!("replace the packet filter of interface {iface}: {error}");
            }
        };
        for (&(iface, listen), endpoint) in &self.endpoints {
            let fit = Fit::of(config, links.get(&iface), listen);
            refilter(&endpoint.receiver, iface, &fit);
            endpoint.receiver.set_buffer(fit.buffer);
        }
        for (&(iface, listen), (receiver, _)) in &self.observed {
            refilter(receiver, iface, &Fit::of(config, links.get(&iface), listen));
        }
    }
}

fn watch(error: &io::Error) -> OpError {
    OpError { operation: "watch a raw socket".to_owned(), cause: crate::sys::cause(error) }
}

/// Name and MTU of every interface.
pub(super) type Links = BTreeMap<IfIndex, (IfName, u32)>;

/// What the routers behind one socket want of it.
pub(super) struct Fit {
    /// See [`vrids`].
    vrids: Option<Vec<u8>>,
    /// Bytes of the receive buffer.
    buffer: usize,
}

impl Fit {
    pub(super) fn of(config: &Config, link: Option<&(IfName, u32)>, listen: Listen) -> Fit {
        let family = Family::of(listen.address());
        let buffer = link.map(|(iface, mtu)| config.receive_buffer(iface, family, *mtu));
        Fit {
            vrids: vrids(config, link.map(|(name, _)| name), family),
            buffer: buffer.unwrap_or(RECEIVE_BUFFER),
        }
    }
}

/// The ids that mean something to us on this interface; `None` if every one does. They are not told
/// apart by cast: a multicast advert for a unicast router is refused with a reason.
fn vrids(config: &Config, iface: Option<&IfName>, family: Family) -> Option<Vec<u8>> {
    let iface = iface.filter(|_| !config.globals.log_unknown_vrids)?;
    Some(config.routers_on(iface, family).map(|router| router.vrid.get()).collect())
}
