//! Lengthening leases: a master of hundreds of addresses does it twice a second, so many go to the
//! kernel in one datagram, and only what it refuses is answered one by one.

use std::io;

use nix::errno::Errno;
use nix::libc;
use rtnetlink::Error;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REPLACE, NLM_F_REQUEST};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

use super::{Refusal, explain_refusals, name_of, new_address};
use crate::io::{OpError, Renewal};

/// Leases in one datagram: at most 128 octets each, and the kernel takes some 200 000 from anybody.
const AT_ONCE: usize = 256;

/// Octets of an answer: headers, a number and a sentence.
const ANSWER: usize = 4096;

/// A connection for nothing but leases.
#[derive(Debug)]
pub struct Leases {
    socket: Socket,
    /// Of the next request.
    sequence: u32,
}

impl Leases {
    /// Connect.
    ///
    /// # Errors
    /// The kernel's, if it gives no socket.
    pub fn connect() -> io::Result<Leases> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        explain_refusals(&socket);
        Ok(Leases { socket, sequence: 1 })
    }

    /// Lengthen leases, waiting for the kernel; returns those it did not lengthen, and why.
    pub fn renew(&mut self, renewals: &[Renewal]) -> Vec<(Renewal, OpError)> {
        let mut refused = Vec::new();
        for batch in renewals.chunks(AT_ONCE) {
            let refusals = self.exchange(batch).unwrap_or_else(|error| {
                // Nobody knows how far the kernel came.
                if let Ok(fresh) = Leases::connect() {
                    *self = fresh;
                }
                let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                let refusal = Refusal { errno, why: Some("the batch was not answered".to_owned()) };
                (0..batch.len()).map(|at| (at, refusal.clone())).collect()
            });
            for (at, refusal) in refusals {
                let Some(renewal) = batch.get(at) else { continue };
                let name = name_of(renewal.iface);
                let what = format!("renew {} on {name}", renewal.address.cidr);
                refused.push((renewal.clone(), refusal.of_operation(what)));
            }
        }
        refused
    }

    /// One datagram there and its answers back: which of the batch were refused. The last request
    /// asks for an acknowledgement, which says that the kernel is through.
    fn exchange(&mut self, batch: &[Renewal]) -> io::Result<Vec<(usize, Refusal)>> {
        let first = self.sequence;
        let mut datagram = Vec::new();
        for (at, renewal) in batch.iter().enumerate() {
            let address = new_address(renewal.iface, &renewal.address, Some(renewal.lease));
            let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewAddress(address));
            let last = at + 1 == batch.len();
            request.header.flags = NLM_F_REQUEST | NLM_F_REPLACE | if last { NLM_F_ACK } else { 0 };
            request.header.sequence_number = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            request.finalize();
            let start = datagram.len();
            datagram.resize(start + request.buffer_len().next_multiple_of(4), 0);
            request.serialize(&mut datagram[start..]);
        }
        self.socket.send(&datagram, 0)?;

        let mut refused = Vec::new();
        loop {
            let mut answer = Vec::with_capacity(ANSWER);
            // The kernel answers while it is asked: what is not here by now never comes.
            self.socket.recv(&mut answer, libc::MSG_DONTWAIT)?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
                .map_err(io::Error::other)?;
            let at = usize::try_from(answer.header.sequence_number.wrapping_sub(first));
            let (Ok(at), NetlinkPayload::Error(outcome)) = (at, answer.payload) else { continue };
            if outcome.code.is_some() {
                refused.push((at, Refusal::of(&Error::NetlinkError(outcome))));
            }
            if at + 1 == batch.len() {
                return Ok(refused);
            }
        }
    }
}
