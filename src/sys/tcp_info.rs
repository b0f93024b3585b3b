//! What the kernel knows of a TCP connection (TCP_INFO).
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::libc;

/// How long ago the other end last acknowledged anything, if it has been sent something it has not
/// answered: bytes, or a probe of its closed window.
///
/// TCP_USER_TIMEOUT would not do: it also ends a connection whose other end answers each probe but
/// does not read, because the kernel counts from the first probe, answered or not.
#[must_use]
pub fn unanswered(socket: impl AsFd) -> Option<Duration> {
    let info = info(&socket)?;
    // An answer to the last transmission says that the other end is there, whatever it leaves
    // unacknowledged. Probes are counted from the last answer on.
    let bytes = info.tcpi_unacked > 0 && info.tcpi_last_data_sent < info.tcpi_last_ack_recv;
    let asked = bytes || info.tcpi_probes > 0;
    asked.then(|| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}

/// The queue of a listening socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// How many may.
    pub most: u32,
    /// Attempts that were dropped since it was opened, because it was full.
    pub dropped: u32,
}

/// That of a listening socket now.
#[must_use]
pub fn backlog(socket: impl AsFd) -> Option<Backlog> {
    // For a listening socket these two have other meanings (tcp_get_info in net/ipv4/tcp.c).
    let libc::tcp_info { tcpi_unacked: waiting, tcpi_sacked: most, .. } = info(&socket)?;
    let mut memory = [0_u32; MEMORY_FIELDS];
    // SAFETY: an array of integers, which any bytes are.
    unsafe { option(&socket, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut memory)? };
    let [.., dropped] = memory;
    Some(Backlog { waiting, most, dropped })
}

/// SO_MEMINFO up to SK_MEMINFO_DROPS (linux/sock_diag.h).
const MEMORY_FIELDS: usize = 9;

fn info(socket: &impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: all-zero bytes are a valid value of this struct of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    // SAFETY: a struct of integers, which any bytes are.
    unsafe { option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)? };
    Some(info)
}

/// Read a socket's option; of one the kernel has less to say about, the rest stays as it is.
///
/// # Safety
/// Any bytes must be a value of `T`.
unsafe fn option<T>(socket: &impl AsFd, level: i32, name: i32, into: &mut T) -> Option<()> {
    let mut length = libc::socklen_t::try_from(size_of::<T>()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `into`, and both outlive the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_mut(into).cast(),
            &raw mut length,
        )
    };
    (outcome == 0).then_some(())
}
