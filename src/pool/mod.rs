//! Which server of a pool takes the next connection, and what becomes of the sessions it has.
//!
//! The cluster model decides what each server is and publishes it as a [`PoolView`]; the proxy's
//! workers read nothing else. Everything here is a pure function of the view, except [`Turns`], the
//! memory of whose turn it is.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod choose;
mod fate;
mod hint;
mod view;

pub use choose::{Choice, Turns, candidates, next_in_line};
pub use fate::{Cause, Fate, explain, fate};
pub use hint::{Hint, Hinted, ListenerId};
pub use view::{Admission, Balance, PoolView, Role, Server, ServerId, Wants, Weight};
