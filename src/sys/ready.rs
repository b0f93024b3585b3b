//! Waiting for descriptors: one in the runtime, and a set of many that costs the runtime only one.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor the runtime watches for readability, edge-triggered.
#[derive(Debug)]
pub(crate) struct Watched<T: AsFd>(AsyncFd<Owner<T>>);

#[derive(Debug)]
struct Owner<T>(T);

impl<T: AsFd> AsRawFd for Owner<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> Watched<T> {
    /// Take ownership and register. Must run inside a tokio runtime.
    pub(crate) fn new(inner: T) -> io::Result<Watched<T>> {
        // SAFETY: the descriptor belongs to `inner`, which is owned by the registration and only
        // lent out by shared reference, so it stays open and the same until it is deregistered.
        let fd = unsafe { AsyncFd::register_with_interest(Owner(inner), Interest::READABLE)? };
        Ok(Watched(fd))
    }

    pub(crate) fn get(&self) -> &T {
        &self.0.get_ref().0
    }

    /// Wait for an edge and consume it. Cancel-safe: the edge is consumed only on return.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

/// Many sockets behind one registration: asking which of them have something to read is one system
/// call, however many there are.
///
/// A socket that was reported rests: it wakes nobody until it is armed again. Its owner may thus
/// let packets gather without being woken for each.
#[derive(Debug)]
pub struct ReadySet {
    epoll: Watched<Descriptor>,
}

#[derive(Debug)]
struct Descriptor(Epoll);

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl ReadySet {
    /// Sockets reported by one [`ReadySet::ready`].
    pub const AT_ONCE: usize = 64;

    /// An empty set. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// The kernel's, if it has no descriptor to give.
    pub fn new() -> io::Result<ReadySet> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(ReadySet { epoll: Watched::new(Descriptor(epoll))? })
    }

    /// Add a socket, armed; `token` is how [`ReadySet::ready`] calls it. Closing the socket removes
    /// it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.get().0.add(socket, event(token))?)
    }

    /// Arm a socket that rests. If something can be read already, it is reported.
    ///
    /// # Errors
    /// The kernel's.
    pub fn arm(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.get().0.modify(socket, &mut event(token))?)
    }

    /// Append the tokens of armed sockets that have something to read, at most
    /// [`ReadySet::AT_ONCE`]. They rest from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ready(&self, tokens: &mut Vec<u64>) -> io::Result<usize> {
        let mut events = [EpollEvent::empty(); Self::AT_ONCE];
        let found = match self.epoll.get().0.wait(&mut events, EpollTimeout::ZERO) {
            Ok(found) => found,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        tokens.extend(events.iter().take(found).map(EpollEvent::data));
        Ok(found)
    }

    /// Wait until an armed socket may have something to read. Whoever is told must call
    /// [`ReadySet::ready`] until it reports none, or may not be told again. Cancel-safe.
    ///
    /// # Errors
    /// Only if the runtime is shutting down.
    pub async fn wait(&self) -> io::Result<()> {
        self.epoll.readable().await
    }
}

fn event(token: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_socket_rests_until_it_is_armed_again_and_no_packet_is_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let set = ReadySet::new().unwrap();
            let (tx, rx) = UnixDatagram::pair().unwrap();
            set.add(&rx, 7).unwrap();
            let mut tokens = Vec::new();
            for _ in 0..3 {
                tx.send(b"x").unwrap();
                timeout(LONG, set.wait()).await.unwrap().unwrap();
                assert_eq!(set.ready(&mut tokens).unwrap(), 1);
                assert_eq!(std::mem::take(&mut tokens), [7]);
                rx.recv(&mut [0]).unwrap();

                tx.send(b"y").unwrap();
                assert_eq!(set.ready(&mut tokens).unwrap(), 0);
                assert!(timeout(SOON, set.wait()).await.is_err(), "woken while it rests");

                set.arm(&rx, 7).unwrap();
                timeout(LONG, set.wait()).await.unwrap().unwrap();
                assert_eq!(set.ready(&mut tokens).unwrap(), 1);
                tokens.clear();
                rx.recv(&mut [0]).unwrap();
                set.arm(&rx, 7).unwrap();
                assert_eq!(set.ready(&mut tokens).unwrap(), 0);
            }
        });
    }
}
