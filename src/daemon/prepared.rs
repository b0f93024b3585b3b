//! What a command has other threads find out.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::locks::{Conflict, Locks};
use super::{Reread, Warning};
use crate::api::server::Answer as Said;
use crate::config::{Config, Dropped};
use crate::engine::diff;
use crate::hook::Key;
use crate::status::{Changes, State};

/// Where an answer goes.
pub(super) type Answer = oneshot::Sender<Said>;

/// A binary that was found good.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) binary: PathBuf,
    pub(super) version: String,
    pub(super) answer: Answer,
    pub(super) looks: u32,
    pub(super) telling: Option<Telling>,
}

/// How those who are told stand: found out by the thread that tells them, which must not be waited for.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) idle: bool,
    pub(super) told: Vec<(Key, State)>,
    pub(super) fifos: Vec<PathBuf>,
    /// Orders they had been given by then.
    pub(super) orders: u64,
}

/// A configuration read again, compared with the one in use: on a thread of its own.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) config: Arc<Config>,
    pub(super) dropped: Dropped,
    pub(super) warnings: Vec<Warning>,
    pub(super) changes: Changes,
    /// What it needs for itself and the one in use does not.
    pub(super) locks: Locks,
}

impl Prepared {
    pub(super) fn new(
        read: Reread,
        in_use: &Config,
        take: impl FnOnce(&Config) -> (Locks, Option<Conflict>),
    ) -> Result<Prepared, String> {
        let Reread { config, dropped, warnings } = read;
        let (locks, conflict) = take(&config);
        if let Some(conflict) = conflict {
            return Err(format!("error: {conflict}"));
        }
        let changes = diff(in_use, &config);
        Ok(Prepared { config: Arc::new(config), dropped, warnings, changes, locks })
    }
}

/// What a reload would do.
#[derive(Debug)]
pub(super) struct Plan {
    /// The configuration it was compared with.
    pub(super) in_use: Arc<Config>,
    pub(super) result: Result<Prepared, String>,
    pub(super) answer: Answer,
}
