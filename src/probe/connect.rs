//! TCP connections, and what the failure of one means.

use std::io;
use std::net::SocketAddr;

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::resolve::Resolver;
use super::{Deadline, Failure};
use crate::config::checks::Endpoint;
use crate::sys::cause;
use crate::track::outcome::Cause;

/// Connects to the first address that answers; each gets an equal share of the time that is left.
pub(super) async fn connect(
    endpoint: &Endpoint,
    resolver: &Resolver,
    deadline: Deadline,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let addresses = resolver.addresses(&endpoint.host, deadline).await?;
    let mut last = Failure::new(Cause::Resolve, endpoint.to_string());
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let address = SocketAddr::new(address, endpoint.port.get());
        let now = Instant::now();
        let share = Deadline(now + deadline.0.saturating_duration_since(now) / left.max(1));
        left = left.saturating_sub(1);
        let what = format!("connecting to {address}");
        match share.step(&what, reach(address)).await {
            Ok(Ok(stream)) => {
                // Requests are written at once; waiting for more would only add delay.
                let _ = stream.set_nodelay(true);
                return Ok((stream, address));
            }
            Ok(Err(error)) => last = broken(address, &error),
            Err(late) => last = late,
        }
    }
    Err(last)
}

/// Wait for a connection. One that was reset right after it was made counts as made: what the other
/// side sent before can be read.
async fn reach(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        Some(_) | None => Ok(stream),
    }
}

/// The failure of a connection that was not made, or broke.
pub(super) fn broken(address: impl std::fmt::Display, error: &io::Error) -> Failure {
    let cause_of = match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::ConnectionRefused, _) => {
            return Failure::new(Cause::Refused, address.to_string());
        }
        (io::ErrorKind::TimedOut, _) => Cause::TimedOut,
        (_, Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => Cause::CannotRun,
        _ => Cause::Unreachable,
    };
    Failure::new(cause_of, format!("{address}: {}", cause(error)))
}
