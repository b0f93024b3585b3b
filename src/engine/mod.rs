//! The only stateful composition: everything is decided here, nothing is done here.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod io;

pub use io::{
    Action, Applied, Command, Datagram, Event, Input, Level, Link, LinkAddress, LinkChange,
    OpError, OpId, RouterId, Transition, Want,
};
