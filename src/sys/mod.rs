//! System calls and nothing else: no policy, and the only place where `unsafe` may appear.

pub mod clock;
pub mod frames;
pub mod monitor;
pub mod netlink;
pub mod netns;
pub mod packet;
pub mod rawsock;
pub mod ready;
pub mod timer;
mod tty;

use std::io;

use nix::errno::Errno;

use crate::engine::OpError;

/// An operation that failed, in the words of [`OpError`].
pub(crate) fn failed(operation: impl Into<String>, error: &io::Error) -> OpError {
    OpError { operation: operation.into(), cause: cause(error) }
}

/// The system's words without the "(os error 1)" of the standard library.
#[must_use]
pub fn cause(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Columns of the terminal standard output is, if it is one.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    tty::width()
}
