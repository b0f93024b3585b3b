//! The data plane on the loopback interface: what clients and servers see of it.

mod accept;
mod bench;
mod chaos;
mod ends;
mod hold;
mod postgres;
mod refusal;
mod relay;
mod silence;
