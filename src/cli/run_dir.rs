//! Where a daemon keeps its control socket and its pid file unless told otherwise.

use std::env;
use std::path::PathBuf;

use nix::unistd::{AccessFlags, access};

use crate::api::SOCKET_NAME;

const SYSTEM: &str = "/run/vipd";

/// Of a daemon that is about to start: /run/vipd where that can be made or written to, else the
/// user's own directory, if the session has one.
pub(super) fn own() -> PathBuf {
    let system = PathBuf::from(SYSTEM);
    let exists = if system.exists() { SYSTEM } else { "/run" };
    match users() {
        Some(users) if access(exists, AccessFlags::W_OK).is_err() => users,
        _ => system,
    }
}

/// Of a daemon that may be running: the system's before the user's.
pub(super) fn of_daemon() -> PathBuf {
    let serves = |dir: &PathBuf| dir.join(SOCKET_NAME).exists();
    let system = PathBuf::from(SYSTEM);
    if serves(&system) { system } else { users().filter(serves).unwrap_or(system) }
}

fn users() -> Option<PathBuf> {
    let dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
    dir.is_absolute().then(|| dir.join("vipd"))
}
