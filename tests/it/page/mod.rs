//! Status pages: what is on them, and how they are served.

mod healthz;
mod limits;
pub(crate) mod look;
mod served;
