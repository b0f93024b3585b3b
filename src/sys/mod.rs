//! System calls and nothing else: no policy, and the only place where `unsafe` may appear.

pub mod frames;
pub mod netns;
