//! The configuration as written, in the one form every dialect is lowered to.
//!
//! A value here has the right shape (a number is a number, an address an address) but no promise
//! about ranges, references or combinations: that is [`super::check`]. Keywords whose meaning
//! depends on one dialect's habits (keepalived's `state`, its rounding) are resolved before.

mod track;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use super::announce::RawAnnounce;
pub use super::cluster::{
    RawCheck, RawCluster, RawMember, RawRequest, RawRhythm, RawSection, RawStatusCheck, RawTls,
};
use super::diag::{Span, Spanned};
pub use super::globals::RawGlobals;
use super::key::settings;
pub use super::listener::{RawListener, RawLiveness, RawServer};
pub use super::model::{RawPage, RawUser};
pub use super::notify::{RawCommand, RawFifo, RawMail, RawNotify};
pub use super::parts::{
    RawAddress, RawPeer, RawPeers, RawReceiveBuffer, Secret, Words, broadcast_of,
};
pub use super::router::RawRouter;

pub use track::{
    CheckKind, GroupWords, Namespace, OnTimeout, RawGroup, RawSettings, RawTrackRef,
    RawTrackedInterface, RawTracker, RawWeight, Rhythm, TrackerWords, keys,
};

/// Everything all files say together.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// `[global]`, `global_defs`
    pub globals: RawGlobals,
    /// `[interface.NAME]`, `interface_up_down_delays`
    pub interfaces: Vec<RawInterface>,
    /// `[pacing.NAME]`, `garp_group`
    pub pacing: Vec<RawPacing>,
    /// `[[static]]`, `static_ipaddress`
    pub static_addresses: Vec<RawStatic>,
    /// `[vrrp.NAME]`, `vrrp_instance NAME`, in the order of the files.
    pub routers: Vec<RawRouter>,
    /// `[track.KIND.NAME]`, `vrrp_script NAME` and their like, in the order of the files.
    pub trackers: Vec<RawTracker>,
    /// `[group.NAME]`, `vrrp_sync_group NAME`, in the order of the files.
    pub groups: Vec<RawGroup>,
    /// `[[fifo]]`, `notify_fifo` and `vrrp_notify_fifo`.
    pub fifos: Vec<RawFifo>,
    /// `[mail]`, and what `global_defs` says about mail.
    pub mail: Option<RawMail>,
    /// `[cluster.NAME]`, and what a haproxy.cfg says about servers.
    pub clusters: Vec<RawCluster>,
    /// `[listener.NAME]`, and the `listen` and `frontend` sections of a haproxy.cfg.
    pub listeners: Vec<RawListener>,
    /// `[page.NAME]`, and the sections of a haproxy.cfg that only show statistics.
    pub pages: Vec<RawPage>,
    /// The sections of a haproxy.cfg, for a reading that leaves some out.
    pub sections: Vec<RawSection>,
    /// Every setting of a vipd.toml.
    pub written: Vec<WrittenSetting>,
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSetting {
    /// Its table, as `listener write`.
    pub block: String,
    /// Its name there, as `announce.repeat`.
    pub key: String,
    /// From its name to the end of its value.
    pub whole: Span,
    /// The place of its value.
    pub value: Span,
}

/// keepalived's limit.
const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(255);

settings! {
    /// For how long a change of an interface must last before it counts (keepalived's
    /// `interface_up_down_delays`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InterfaceConfig, RawInterface, "" {
        /// How long the interface must be down until it counts as down.
        down_delay: Duration = Duration::ZERO, DELAYS, "the delay";
        /// How long it must be up until it counts as up.
        up_delay: Duration = Duration::ZERO, DELAYS, "the delay";
    }
    given {
        /// The interface.
        name: Spanned<String>;
    }
}

settings! {
    /// Interfaces whose announcements share one clock.
    pub struct RawPacing, ""
    given {
        /// The place of the block.
        span: Span;
    }
    written {
        /// Pause between two gratuitous ARPs on these interfaces together.
        garp_interval keepalived "garp_interval": Duration;
        /// Pause between two unsolicited neighbour advertisements on these interfaces together.
        gna_interval keepalived "gna_interval": Duration;
    }
    beside {
        /// The interfaces.
        interfaces: Vec<Spanned<String>>;
    }
}

/// One address that is there whatever the routers do.
#[derive(Clone, Debug)]
pub struct RawStatic {
    /// The address with its options.
    pub address: RawAddress,
    /// The routers that cannot serve without it, by name.
    pub required_by: Vec<Spanned<String>>,
}
