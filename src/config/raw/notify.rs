//! Who is told what, as written.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::checks::Command;
use crate::config::diag::{Span, Spanned};
use crate::config::key::settings;
use crate::config::notify::Moment;

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
    /// `[vrrp.NAME.notify]`, `[group.NAME.notify]`, and the `notify` keywords of keepalived.conf.
    pub struct RawNotify, ""
    written {
        /// From a success of `while_master` to the next run. Default: 30 s.
        while_master_every: Duration;
        /// The longest a command may take. Default: no limit.
        timeout: Duration;
        /// Whether a router that is removed is said as DELETED, command or not. Default: false.
        say_deleted: bool;
        /// Whether FIFOs get a line when the priority changes. Default: false.
        priority_changes: bool;
        /// Whether changes of state are mailed. Default: false.
        mail: bool;
    }
    beside {
        /// What to run when.
        commands: BTreeMap<Moment, RawCommand>;
        /// What to run until it succeeds while the router is master.
        while_master: Option<RawCommand>;
    }
}

settings! {
    /// `[[fifo]]`, `notify_fifo`, `vrrp_notify_fifo`
    pub struct RawFifo, ""
    given {
        /// Where it is.
        path: Spanned<String>;
    }
    written {
        /// Whose the FIFO is, by name or number.
        user: String;
        /// And of which group.
        group: String;
        /// Whether all states are written again after a reload. Default: false.
        states_on_reload: bool;
    }
    beside {
        /// What reads it.
        reader: Option<RawCommand>;
    }
}

settings! {
    /// `[mail]`, and the mail keywords of `global_defs`.
    pub struct RawMail, ""
    given {
        /// The place of the block, or of its first keyword.
        span: Span;
    }
    written {
        /// The sender of mail. Default: vipd@ the name of the host.
        from: String;
        /// The mail server: a host, and a port if it is not 25. Mandatory.
        server: String;
        /// What this node calls itself to the server. Default: the name of the host.
        helo: String;
        /// The longest the server may take to answer. Default: 30 s.
        timeout: Duration;
        /// Whether changes to FAULT are mailed, too. Default: true.
        faults: bool;
    }
    beside {
        /// The recipients.
        to: Vec<Spanned<String>>;
    }
}
