//! The settings of the whole daemon.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::checks::ScriptCheck;
use super::key::settings;
use super::key::value::{ANY_TEXT, DAY, POSITIVE, Texts};
use super::process::{Process, RawProcess};
use super::raw::RawCommand;

const DELAYS: RangeInclusive<Duration> = Duration::ZERO..=DAY;
/// Whether it exists is for the host to say that runs the daemon.
const GROUP: Texts = Texts {
    fits: |name| {
        !name.is_empty()
            && !name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
    },
    allowed: "the name of a group, without colons and blanks",
};
const FILE: Texts = Texts {
    fits: |path| path.starts_with('/') && !path.ends_with('/') && !path.contains(char::is_control),
    allowed: "the absolute path of a file",
};
/// keepalived's.
const LIFE_SCRIPT: Duration = Duration::from_secs(10);

settings! {
    /// Settings of the whole daemon.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Globals, RawGlobals, "" {
        /// The node's name in messages, never on the wire. Default: the host name.
        router_id keepalived "router_id": Option<String> = None, ANY_TEXT;
        /// No router takes over for so long after the start, and every deadline counts from its
        /// end.
        startup_delay keepalived "vrrp_startup_delay" at start:
            Duration = Duration::ZERO, DELAYS, "the start-up delay";
        /// No router takes over for so long after the system was booted.
        delay_after_boot keepalived "vrrp_delay_after_boot" at start:
            Duration = Duration::ZERO, DELAYS, "the delay after the boot";
        /// Whether adverts for a VRID nobody here has are logged.
        log_unknown_vrids keepalived "log_unknown_vrids": bool = false;
        /// The group whose members may command the daemon besides root.
        control_group keepalived "vipd_control_group": Option<String> = None, GROUP;
        /// Where SIGUSR1 has the state written. Default: keepalived.data in $TMPDIR, else in /tmp.
        state_dump_file keepalived "state_dump_file": Option<String> = None, FILE;
        /// The layout of keepalived.json: 1 is a list of instances, 2 an object that holds it.
        json_version keepalived "json_version": u8 = 1, 1..=2;
        /// The longest `startup_script` may take.
        startup_script_timeout keepalived "startup_script_timeout" at start:
            Duration = LIFE_SCRIPT, POSITIVE, "the timeout";
        /// The longest `shutdown_script` may take.
        shutdown_script_timeout keepalived "shutdown_script_timeout":
            Duration = LIFE_SCRIPT, POSITIVE, "the timeout";
    }
    checked {
        /// The process itself.
        process: Process;
        /// Run to its end before anything else.
        startup_script: Option<ScriptCheck>;
        /// Run when everything else is over.
        shutdown_script: Option<ScriptCheck>;
    }
    written {
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
        startup_script: Option<RawCommand>;
        /// Run after everything else.
        shutdown_script: Option<RawCommand>;
    }
}
