//! Who is told what happens: commands, FIFOs and mail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;

use super::checks::{Command, Endpoint, ScriptCheck};
use super::diag::{Span, Spanned};
use super::key::value::{ANY_TEXT, POSITIVE, Texts};
use super::key::{settings, words};

const ADDRESS: Texts = Texts {
    fits: |text| text.parse::<Address>().is_ok(),
    allowed: "a mail address, for example `ops@example.org`",
};

/// A command and as whom it runs.
#[derive(Clone, Debug)]
pub struct RawCommand {
    /// What to run.
    pub command: Spanned<Command>,
    /// As whom; if nobody is named, as all scripts.
    pub user: Option<Spanned<String>>,
    /// With which group.
    pub group: Option<Spanned<String>>,
}

settings! {
    /// What is told of one virtual router or group, and how.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NotifyConfig, RawNotify, "" {
        /// From a success of `while_master` to the next run.
        while_master_every keepalived "vipd_while_master_interval":
            Duration = Duration::from_secs(30), POSITIVE, "the time between two runs";
        /// Whether a router that is removed is said as DELETED instead of FAULT, command or not.
        say_deleted: bool = false;
        /// Whether FIFOs get a line when the priority changes.
        priority_changes keepalived "notify_priority_changes": bool = false;
        /// Whether changes of state are mailed.
        mail keepalived "smtp_alert": bool = false;
    }
    checked {
        /// What to run, and when.
        commands: BTreeMap<Moment, ScriptCheck>;
        /// The longest each of them may take, not zero; `None`: as long as it needs.
        timeout: Option<Duration>;
        /// What is run until it succeeds, and again from time to time, for as long as the router is
        /// master. It must not mind being run again.
        while_master: Option<ScriptCheck>;
    }
    written {
        /// The longest a command may take. Default: no limit.
        timeout keepalived "vipd_notify_timeout": Duration;
    }
    beside {
        /// What to run when.
        commands: BTreeMap<Moment, RawCommand>;
        /// What to run until it succeeds while the router is master.
        while_master: Option<RawCommand>;
    }
}

/// When a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// At every change of state, after the state's own command; it gets four more words.
    Any,
    /// The router has become master and its addresses are in place.
    Master,
    /// It has become a backup, also at the start.
    Backup,
    /// It cannot serve.
    Fault,
    /// The daemon ends, and the addresses are gone.
    Stop,
    /// The router is configured no longer.
    Deleted,
    /// As master it has heard a master with a lower priority.
    LowerPriority,
}

words! {
    Moment: "any" Any, "master" Master, "backup" Backup, "fault" Fault, "stop" Stop,
        "deleted" Deleted, "lower_priority" LowerPriority;
}

settings! {
    /// A named pipe that gets a line per event.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FifoConfig, RawFifo, "" {
        /// Whose the FIFO is, by name or number. Default: as vipd itself.
        user: Option<String> = None, ANY_TEXT;
        /// And of which group. Default: as vipd itself.
        group: Option<String> = None, ANY_TEXT;
        /// Whether all states are written again after a reload.
        states_on_reload: bool = false;
    }
    checked {
        /// An absolute path. It is created if it is missing.
        path: PathBuf;
        /// What reads it: kept running, with the path as its last argument.
        reader: Option<ScriptCheck>;
    }
    given {
        /// Where it is.
        path: Spanned<String>;
    }
    beside {
        /// What reads it.
        reader: Option<RawCommand>;
    }
}

settings! {
    /// How mail is sent.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct MailOptions, RawMail, "" {
        /// The sender of mail. Default: vipd@ the name of the host.
        from: Option<String> = None, ADDRESS, "the sender";
        /// What this node calls itself to the server. Default: the name of the host.
        helo: Option<String> = None, ANY_TEXT;
        /// The longest a connection to the server, or one answer of it, may take.
        timeout: Duration = Duration::from_secs(30), POSITIVE, "the timeout";
        /// Whether changes to FAULT are mailed, too.
        faults: bool = true;
    }
    given {
        /// The place of the block, or of its first keyword.
        span: Span;
    }
    written {
        /// The mail server: a host, and a port if it is not 25. Mandatory.
        server: String;
    }
    beside {
        /// The recipients.
        to: Vec<Spanned<String>>;
    }
}

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// The recipients, at least one.
    pub to: Vec<String>,
    /// The server that takes it, by SMTP without encryption.
    pub server: Endpoint,
    /// How.
    pub options: MailOptions,
}
