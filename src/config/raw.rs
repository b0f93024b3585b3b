//! The configuration as written, in the one form every dialect is lowered to.
//!
//! A value here has the right shape (a number is a number, an address an address) but no promise
//! about ranges, references or combinations: that is [`super::check`]. Keywords whose meaning
//! depends on one dialect's habits (keepalived's `state`, its rounding) are resolved before.

mod notify;
mod page;
mod track;

use std::time::Duration;

pub use page::{RawPage, RawUser};

pub use super::announce::RawAnnounce;
pub use super::cluster::{
    RawCheck, RawCluster, RawMember, RawRequest, RawRhythm, RawSection, RawStatusCheck, RawTls,
};
use super::diag::{Span, Spanned};
use super::key::settings;
pub use super::listener::{RawListener, RawLiveness, RawServer};
pub use super::parts::{
    RawAddress, RawPeer, RawPeers, RawReceiveBuffer, Secret, Words, broadcast_of,
};
use super::process::RawProcess;
pub use super::router::RawRouter;

pub use notify::{RawCommand, RawFifo, RawLifeScript, RawMail, RawNotify};
pub use track::{
    CheckKind, GroupWords, RawGroup, RawSettings, RawTrackRef, RawTrackedInterface, RawTracker,
    RawWeight, TrackerWords, keys,
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

settings! {
    /// Settings of the whole daemon.
    pub struct RawGlobals, ""
    written {
        /// The node's name in messages. Default: the host name.
        router_id keepalived "router_id": String;
        /// No router takes over for so long after the start. Default: 0 s.
        startup_delay keepalived "vrrp_startup_delay": Duration;
        /// No router takes over for so long after the system was booted. Default: 0 s.
        delay_after_boot keepalived "vrrp_delay_after_boot": Duration;
        /// Whether adverts for a VRID nobody here has are logged. Default: false.
        log_unknown_vrids keepalived "log_unknown_vrids": bool;
        /// The group whose members may command the daemon besides root.
        control_group keepalived "vipd_control_group": String;
        /// As whom scripts run that do not say it themselves.
        script_user: String;
        /// With which group. Default: the user's own.
        script_group: String;
        /// Refuse scripts run as root that others could have changed. Default: false.
        script_security: bool;
    }
    beside {
        /// The process itself.
        process: RawProcess;
        /// Run before anything else.
        startup: RawLifeScript;
        /// Run after everything else.
        shutdown: RawLifeScript;
    }
}

settings! {
    /// How changes of one interface are taken.
    pub struct RawInterface, ""
    given {
        /// The interface.
        name: Spanned<String>;
    }
    written {
        /// How long the interface must be down until it counts as down. Default: 0 s.
        down_delay: Duration;
        /// How long it must be up until it counts as up. Default: 0 s.
        up_delay: Duration;
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
