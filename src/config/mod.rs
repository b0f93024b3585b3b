//! Text to [`Config`]: raw (as written, with spans) to checked (valid by construction).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod announce;
pub mod check;
pub mod checks;
pub mod cluster;
pub mod command;
pub mod diag;
pub mod endpoint;
pub mod explain;
pub mod globals;
pub mod host;
pub mod key;
pub mod lenient;
pub mod listener;
pub mod model;
pub mod notify;
mod parts;
pub mod process;
pub mod raw;
pub mod router;
pub mod sandbox;
pub mod schema;
pub(crate) mod settings;
pub mod sources;
pub mod vipd_toml;

pub use announce::AnnounceConfig;
pub use cluster::ProbeRhythm;
pub use globals::Globals;
pub use lenient::Dropped;
pub use listener::{Frontend, ListenerOptions, Liveness, ServerOptions};
pub use model::Shows;
pub use model::{
    BindConfig, ByStatus, Cast, ClusterConfig, Config, GroupConfig, ListenerConfig,
    ListenerProtocol, MOST_LEASE, Members, Namespace, OnDown, OnTimeout, PacingGroup, PageConfig,
    PageUser, PatroniCluster, PatroniMember, Peer, PlainMember, Preempt, RECEIVE_BUFFER,
    ReceiveBuffer, Release, RouterConfig, RouterFlag, RouterKey, ServerConfig, StaticAddress,
    Strict, TrackRef, TrackedInterface, TrackerConfig, TrackerKey, VirtualAddress, Weight,
};
pub use notify::{FifoConfig, MailConfig, MailOptions, Moment, NotifyConfig};
pub use process::Process;
pub use raw::{InterfaceConfig, Rhythm};
pub use router::RouterOptions;
pub use sources::{Format, ReadError, Reading, Sources, Text};
