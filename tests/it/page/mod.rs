//! Status pages: what is on them, and how they are served.

mod look;
mod served;
