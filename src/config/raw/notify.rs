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
        /// From a success of `while_master` to the next run.
        while_master_every: Duration;
        /// The longest a command may take.
        timeout: Duration;
        /// Tell a removal as DELETED, command or not.
        say_deleted: bool;
        /// Tell FIFOs of changes of the priority.
        priority_changes: bool;
        /// Mail changes of state.
        mail: bool;
    }
    beside {
        /// What to run when.
        commands: BTreeMap<Moment, RawCommand>;
        /// What to run until it succeeds while the router is master.
        while_master: Option<RawCommand>;
    }
}

/// `startup_script` or `shutdown_script`, with its limit.
#[derive(Clone, Debug, Default)]
pub struct RawLifeScript {
    /// What to run.
    pub command: Option<RawCommand>,
    /// The longest it may take.
    pub timeout: Option<Spanned<Duration>>,
}

settings! {
    /// `[[fifo]]`, `notify_fifo`, `vrrp_notify_fifo`
    pub struct RawFifo, ""
    given {
        /// Where it is.
        path: Spanned<String>;
    }
    written {
        /// Whose it is.
        user: String;
        /// And of which group.
        group: String;
        /// Repeat all states after a reload.
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
        /// The sender.
        from: String;
        /// The server: a host, and a port if it is not 25.
        server: String;
        /// What this node calls itself there.
        helo: String;
        /// The longest an answer may take.
        timeout: Duration;
        /// Whether changes to FAULT are mailed.
        faults: bool;
    }
    beside {
        /// The recipients.
        to: Vec<Spanned<String>>;
    }
}
