//! TCP sockets that never block.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, bind,
    connect as start, getpeername, getsockname, listen as open, recv as receive, send as transmit,
    shutdown, socket_with,
};

use super::cause;
use crate::config::{BindConfig, Liveness};

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Listen on a port shared with other sockets of this kind, each of which gets its part of the
/// connections. What is set here, accepted connections inherit.
///
/// # Errors
/// The kernel's: EADDRINUSE, EACCES for a port below 1024, ENODEV for the interface.
pub fn listen(to: &BindConfig, backlog: u32, liveness: Liveness) -> io::Result<OwnedFd> {
    let socket = bound(to, true)?;
    tune(&socket, liveness)?;
    open(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Listen on a port of one's own: nobody shares it.
///
/// # Errors
/// As of [`listen`].
pub fn listen_alone(to: &BindConfig, backlog: u32, liveness: Liveness) -> io::Result<OwnedFd> {
    let socket = bound(to, false)?;
    tune(&socket, liveness)?;
    open(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Why a port cannot be listened on, and what right is missing.
#[must_use]
pub fn why_not(address: SocketAddr, error: &io::Error) -> String {
    let why = cause(error);
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ACCESS) if address.port() < 1024 => {
            format!("{why}: a port below 1024 takes CAP_NET_BIND_SERVICE")
        }
        Some(Errno::PERM) => format!("{why}: an interface of its own takes CAP_NET_RAW"),
        _ => why,
    }
}

/// Treat connections accepted from now on so.
///
/// # Errors
/// The kernel's.
pub fn refit(socket: &OwnedFd, backlog: u32, liveness: Liveness) -> io::Result<()> {
    tune(socket, liveness)?;
    Ok(open(socket, i32::try_from(backlog).unwrap_or(i32::MAX))?)
}

/// Whether nobody listens there: [`listen`] would share a port even with another program.
///
/// # Errors
/// As of [`listen`].
pub fn vacant(to: &BindConfig) -> io::Result<()> {
    bound(to, false).map(drop)
}

fn bound(to: &BindConfig, share: bool) -> io::Result<OwnedFd> {
    let socket = socket(to.address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, share)?;
    if to.address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, to.v6_only)?;
        sockopt::set_ipv6_freebind(&socket, true)?;
    } else {
        sockopt::set_ip_freebind(&socket, true)?;
    }
    if let Some(interface) = &to.interface {
        socket2::SockRef::from(&socket).bind_device(Some(interface.as_str().as_bytes()))?;
    }
    bind(&socket, &to.address)?;
    Ok(socket)
}

/// The next connection that waits.
///
/// # Errors
/// The kernel's; WouldBlock if none waits.
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    Ok(accept_with(listener, FLAGS)?)
}

/// Begin to connect. The socket becomes writable when that is over, or reports its error.
///
/// # Errors
/// The kernel's, if it knows at once that it cannot.
pub fn connect(to: SocketAddr, liveness: Liveness) -> io::Result<OwnedFd> {
    let socket = socket(to)?;
    tune(&socket, liveness)?;
    match start(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Receive what is there; 0 at the end of the stream.
///
/// # Errors
/// WouldBlock if nothing is there; the connection's own.
pub fn recv(socket: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match receive(&socket, &mut *into, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            Ok((received, _)) => return Ok(received),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Send as much as goes. `last` announces that [`finish`] follows, so that both share a packet.
///
/// # Errors
/// WouldBlock if nothing goes; the connection's own.
pub fn send(socket: impl AsFd, bytes: &[u8], last: bool) -> io::Result<usize> {
    let more = if last { SendFlags::MORE } else { SendFlags::empty() };
    loop {
        match transmit(&socket, bytes, SendFlags::NOSIGNAL | more) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// End the outgoing stream (FIN).
pub fn finish(socket: impl AsFd) {
    // Fails only on a connection that is over already.
    let _ = shutdown(socket, Shutdown::Write);
}

/// Close with a reset, whatever is still under way.
pub fn reset(socket: OwnedFd) {
    // Refused to nobody; at worst the other end sees an orderly end.
    let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
    drop(socket);
}

/// The error a connection ended with, if one is pending.
#[must_use]
pub fn error(socket: impl AsFd) -> Option<io::Error> {
    match sockopt::socket_error(socket) {
        Ok(Ok(())) => None,
        Ok(Err(error)) | Err(error) => Some(error.into()),
    }
}

/// The socket's own address.
#[must_use]
pub fn local(socket: impl AsFd) -> Option<SocketAddr> {
    getsockname(socket).ok()?.try_into().ok()
}

/// The address of the other end.
#[must_use]
pub fn peer(socket: impl AsFd) -> Option<SocketAddr> {
    getpeername(socket).ok()??.try_into().ok()
}

fn socket(of: SocketAddr) -> io::Result<OwnedFd> {
    let family = if of.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    Ok(socket_with(family, SocketType::STREAM, FLAGS, None)?)
}

fn tune(socket: &OwnedFd, liveness: Liveness) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    // An urgent byte passes with the others, in its place (RFC 6093); otherwise it would be lost.
    sockopt::set_socket_oobinline(socket, true)?;
    sockopt::set_socket_keepalive(socket, liveness.keepalive.is_some())?;
    if let Some(keepalive) = liveness.keepalive {
        sockopt::set_tcp_keepidle(socket, keepalive)?;
        sockopt::set_tcp_keepintvl(socket, liveness.interval)?;
        sockopt::set_tcp_keepcnt(socket, liveness.count)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_notice_a_peer_that_is_gone_and_send_small_messages_at_once() {
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let liveness = Liveness {
            keepalive: Some(Duration::from_secs(7)),
            interval: Duration::from_secs(2),
            count: 4,
            ..Liveness::default()
        };
        let listener = listen(&loopback.into(), 8, liveness).unwrap();
        let client = connect(local(&listener).unwrap(), liveness).unwrap();
        // On the loopback interface the handshake is over at once.
        let accepted = accept(&listener).unwrap();
        assert_eq!(peer(&accepted), local(&client));
        for socket in [&client, &accepted] {
            assert!(sockopt::tcp_nodelay(socket).unwrap());
            assert!(sockopt::socket_keepalive(socket).unwrap());
            assert_eq!(sockopt::tcp_keepidle(socket).unwrap(), Duration::from_secs(7));
            assert_eq!(sockopt::tcp_keepintvl(socket).unwrap(), Duration::from_secs(2));
            assert_eq!(sockopt::tcp_keepcnt(socket).unwrap(), 4);
            assert_eq!(sockopt::tcp_user_timeout(socket).unwrap(), 0);
        }
        refit(&listener, 8, Liveness { keepalive: None, ..Liveness::default() }).unwrap();
        let _client = connect(local(&listener).unwrap(), liveness).unwrap();
        assert!(!sockopt::socket_keepalive(accept(&listener).unwrap()).unwrap());
    }
}
