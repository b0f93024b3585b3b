//! Text to [`Config`]: raw (as written, with spans) to checked (valid by construction).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod model;

pub use model::{
    AnnounceConfig, Config, Globals, Preempt, RouterConfig, RouterFlag, RouterKey, Strict,
    VirtualAddress,
};
