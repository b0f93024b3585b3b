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

fn info(socket: &impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: all-zero bytes are a valid value of this struct of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `info`, and both outlive the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (outcome == 0).then_some(info)
}
