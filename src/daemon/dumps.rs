//! keepalived's files, written when its signals ask for them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::libc;
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use tempfile::NamedTempFile;

use crate::config::Config;
use crate::dump::Dump;
use crate::status::Snapshot;
use crate::sys::signals;

/// Dumps that are written at a time: a file system that does not answer must not gather threads.
pub(super) const MOST: usize = 4;

/// The dump this signal asks for.
pub(super) fn of_signal(signal: i32) -> Option<Dump> {
    match signal {
        SIGUSR1 => Some(Dump::Data),
        SIGUSR2 => Some(Dump::Stats),
        _ if signal == libc::SIGRTMIN() + 2 => Some(Dump::Json),
        _ => None,
    }
}

/// Writes `dump` of `snapshot`, and says in the log where or why not.
pub(super) fn write(dump: Dump, signal: i32, snapshot: &Snapshot, config: &Config) {
    let signal = signals::name_of(signal);
    let path = path(dump, config);
    match replace(&path, &dump.text(snapshot, config)) {
        Ok(()) => tracing::info!("{signal}: wrote {}", path.display()),
        Err(error) => tracing::warn!(
            "{signal}: cannot write {}: {error}; `vipd status --json` prints all of it",
            path.display()
        ),
    }
}

fn path(dump: Dump, config: &Config) -> PathBuf {
    match (dump, &config.globals.state_dump_file) {
        (Dump::Data, Some(path)) => PathBuf::from(path),
        _ => std::env::temp_dir().join(dump.file()),
    }
}

/// In one step, and in place of whatever has that name: in a directory everybody may write to, that
/// may be a link somebody else has left there, and a name that can be guessed for the new file would
/// let them keep it from being written.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
        return Err(io::Error::other("it is a directory"));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_somebody_left_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("keepalived.json"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        replace(&path, "[]").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }
}
