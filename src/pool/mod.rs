//! Which server of a pool takes the next connection, and what becomes of the sessions it has.
//!
//! The cluster model decides what each server is and publishes it as a [`PoolView`]; the proxy's
//! workers read nothing else. Everything here is a pure function of the view, except [`Balancer`], which
//! remembers who came last.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod balancer;
mod hint;
mod session_policy;
mod view;

pub use balancer::{Balancer, Choice, candidates, next_in_line};
pub use hint::{Hint, Hinted, ListenerId};
pub use session_policy::{Cause, SessionPolicy, explain, session_policy};
pub use view::{Admission, Balance, PoolView, Role, Server, ServerId, Wants, Weight};
