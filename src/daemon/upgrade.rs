//! From one binary to the next within one process: what the old one tells the new one.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run_file;
use crate::hook::Key;
use crate::io::{Link, LinkAddress};
use crate::status::State;
use crate::sys::{cause, exec};
use crate::types::IfIndex;

/// Environment variable that tells a daemon that it continues another: the number of the process,
/// so that it means nothing to anybody else.
const MARKER: &str = "VIPD_CONTINUES";

/// In the run directory, from one binary to the next.
const FILE_NAME: &str = "vipd.upgrade";

/// What the old binary knows and the new one needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Legacy {
    /// The old binary's version.
    pub(super) version: String,
    /// The addresses it held, on which interface.
    pub(super) held: Vec<(u32, IpAddr)>,
    /// Routers it was told to hand over, which stay backups.
    #[serde(default)]
    pub(super) handed_over: Vec<String>,
    /// The states of routers and groups that were told.
    #[serde(default)]
    pub(super) told: Vec<(Key, State)>,
    /// The FIFOs it has made.
    #[serde(default)]
    pub(super) fifos: Vec<PathBuf>,
}

impl Legacy {
    /// What the binary before us left, if this process began with another.
    pub(super) fn take(run_dir: &Path) -> Option<Legacy> {
        let pid = std::env::var(MARKER).ok()?;
        if pid != std::process::id().to_string() {
            return None;
        }
        let path = run_dir.join(FILE_NAME);
        let text = run_file::read(&path).ok()?;
        // Good for once.
        let _ = fs::remove_file(&path);
        serde_json::from_slice(&text).ok()
    }

    /// Continue as `binary`.
    ///
    /// # Errors
    /// What is in the way; nothing has changed.
    pub(super) fn pass_on(&self, run_dir: &Path, binary: &Path) -> Result<Infallible, String> {
        let path = run_dir.join(FILE_NAME);
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        text.and_then(|text| run_file::write(&path, &text))
            .map_err(|error| format!("cannot write {}: {}", path.display(), cause(&error)))?;
        let refused = exec::replace_process(binary, (MARKER, &std::process::id().to_string()));
        let _ = fs::remove_file(&path);
        refused.map_err(|error| format!("cannot execute {}: {}", binary.display(), cause(&error)))
    }

    /// Vouch for the addresses we held a moment ago: without a lease they look old, and kernels
    /// before 5.18 do not keep our mark.
    pub(super) fn vouch(&self, table: &mut [(Link, Vec<LinkAddress>)]) {
        for (link, addresses) in table {
            let IfIndex(index) = link.index;
            for address in addresses {
                if self.held.contains(&(index, address.cidr.address())) {
                    address.ours = true;
                    address.renewed = Some(Duration::ZERO);
                }
            }
        }
    }
}
