//! System calls and nothing else: no policy, and the only place where `unsafe` may appear.

pub mod clock;
pub mod descriptors;
pub mod echo;
pub mod epoll;
pub mod exec;
pub mod frames;
pub mod monitor;
pub mod netlink;
pub mod netns;
pub mod packet;
pub mod process;
pub mod rawsock;
pub mod ready;
pub mod realtime;
pub mod signals;
pub mod splice;
pub mod tcp;
pub mod tcp_info;
pub mod timer;

use std::io::{self, IsTerminal};

use nix::errno::Errno;
use nix::net::if_::if_indextoname;

use crate::io::OpError;
use crate::types::IfIndex;

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

/// The current name of an interface.
///
/// # Errors
/// ENODEV if there is no interface of that number.
pub fn interface_name(iface: IfIndex) -> io::Result<String> {
    match if_indextoname(iface.0) {
        // nix takes the null pointer of a failure for success, with an empty name.
        Ok(name) if !name.is_empty() => Ok(name.to_string_lossy().into_owned()),
        _ => Err(Errno::ENODEV.into()),
    }
}

/// Columns of the terminal standard output is, if it is one.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    let (columns, _) = io::stdout().is_terminal().then(crossterm::terminal::size)?.ok()?;
    (columns > 0).then_some(columns)
}
