//! Who is told what, as written.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::checks::Command;
use crate::config::diag::{Span, Spanned};
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

/// `[vrrp.NAME.notify]`, `[group.NAME.notify]`, and the `notify` keywords of keepalived.conf.
#[derive(Clone, Debug, Default)]
pub struct RawNotify {
    /// What to run when.
    pub commands: BTreeMap<Moment, RawCommand>,
    /// What to run until it succeeds while the router is master.
    pub while_master: Option<RawCommand>,
    /// From a success to the next run.
    pub while_master_every: Option<Spanned<Duration>>,
    /// The longest a command may take.
    pub timeout: Option<Spanned<Duration>>,
    /// Tell a removal as DELETED, command or not.
    pub say_deleted: Option<Spanned<bool>>,
    /// Tell FIFOs of changes of the priority.
    pub priority_changes: Option<Spanned<bool>>,
    /// Mail changes of state.
    pub mail: Option<Spanned<bool>>,
}

/// `startup_script` or `shutdown_script`, with its limit.
#[derive(Clone, Debug, Default)]
pub struct RawLifeScript {
    /// What to run.
    pub command: Option<RawCommand>,
    /// The longest it may take.
    pub timeout: Option<Spanned<Duration>>,
}

/// `[[fifo]]`, `notify_fifo`, `vrrp_notify_fifo`
#[derive(Clone, Debug)]
pub struct RawFifo {
    /// Where it is.
    pub path: Spanned<String>,
    /// Whose it is.
    pub user: Option<Spanned<String>>,
    /// And of which group.
    pub group: Option<Spanned<String>>,
    /// What reads it.
    pub reader: Option<RawCommand>,
    /// Repeat all states after a reload.
    pub states_on_reload: Option<Spanned<bool>>,
}

impl RawFifo {
    /// One of which nothing but its path is known.
    #[must_use]
    pub fn new(path: Spanned<String>) -> RawFifo {
        RawFifo { path, user: None, group: None, reader: None, states_on_reload: None }
    }
}

/// `[mail]`, and the mail keywords of `global_defs`.
#[derive(Clone, Debug)]
pub struct RawMail {
    /// The place of the block, or of its first keyword.
    pub span: Span,
    /// The recipients.
    pub to: Vec<Spanned<String>>,
    /// The sender.
    pub from: Option<Spanned<String>>,
    /// The server: a host, and a port if it is not 25.
    pub server: Option<Spanned<String>>,
    /// What this node calls itself there.
    pub helo: Option<Spanned<String>>,
    /// The longest an answer may take.
    pub timeout: Option<Spanned<Duration>>,
    /// Whether changes to FAULT are mailed.
    pub faults: Option<Spanned<bool>>,
}

impl RawMail {
    /// One of which nothing is known.
    #[must_use]
    pub fn new(span: Span) -> RawMail {
        RawMail {
            span,
            to: Vec::new(),
            from: None,
            server: None,
            helo: None,
            timeout: None,
            faults: None,
        }
    }
}
