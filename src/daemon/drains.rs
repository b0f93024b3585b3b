//! Which routers the operator took out of service, since when, and for how long it is meant.
//!
//! Used on the effects thread only: it writes a file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::run_file;
use crate::sys::cause;

/// In the run directory, which is emptied when the machine boots.
const FILE_NAME: &str = "vipd.drained";

/// One router out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drained {
    /// RFC 3339 with the local offset.
    pub(super) since: String,
    /// Even after a restart of the daemon.
    pub(super) sticky: bool,
}

/// All of them by name, and the file that remembers them.
#[derive(Debug)]
pub(super) struct Drains {
    file: PathBuf,
    routers: Mutex<BTreeMap<String, Drained>>,
}

impl Drains {
    /// What an earlier daemon left: everything if this one continues it, else what is sticky. A file
    /// that cannot be read is said and counts as empty.
    pub(super) fn load(run_dir: &Path, continued: bool) -> Drains {
        let file = run_dir.join(FILE_NAME);
        let read = run_file::read(&file).and_then(|text| Ok(serde_json::from_slice(&text)?));
        let mut routers: BTreeMap<String, Drained> = match read {
            Ok(routers) => routers,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("drained routers are forgotten: {}: {error}", file.display());
                }
                BTreeMap::new()
            }
        };
        routers.retain(|_, drained| drained.sticky || continued);
        Drains { file, routers: Mutex::new(routers) }
    }

    /// The names.
    pub(super) fn names(&self) -> Vec<String> {
        self.routers().keys().cloned().collect()
    }

    /// What is known about one.
    pub(super) fn get(&self, name: &str) -> Option<Drained> {
        self.routers().get(name).cloned()
    }

    /// Out of service now, if they were not before. What is sticky once stays it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn add(
        &self,
        names: impl IntoIterator<Item = String>,
        since: &str,
        sticky: bool,
    ) -> io::Result<()> {
        let mut routers = self.routers();
        for name in names {
            let new = Drained { since: since.to_owned(), sticky };
            routers.entry(name).or_insert(new).sticky |= sticky;
        }
        self.write(&routers)
    }

    /// Back in service.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn remove(&self, names: impl IntoIterator<Item = String>) -> io::Result<()> {
        let mut routers = self.routers();
        for name in names {
            routers.remove(&name);
        }
        self.write(&routers)
    }

    fn routers(&self) -> MutexGuard<'_, BTreeMap<String, Drained>> {
        self.routers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All or nothing: a daemon that dies meanwhile leaves the old file.
    fn write(&self, routers: &BTreeMap<String, Drained>) -> io::Result<()> {
        let written = run_file::write(&self.file, &serde_json::to_vec_pretty(routers)?);
        written.map_err(|error| {
            let why = format!("cannot write {}: {}", self.file.display(), cause(&error));
            io::Error::new(error.kind(), why)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn only_what_is_sticky_outlives_the_daemon_unless_it_continues() {
        let dir = tempfile::tempdir().unwrap();
        let drains = Drains::load(dir.path(), false);
        drains.add(names(&["a", "b", "c"]), "monday", true).unwrap();
        drains.add(names(&["c", "d"]), "tuesday", false).unwrap();
        drains.remove(names(&["b"])).unwrap();
        assert_eq!(Drains::load(dir.path(), true).names(), ["a", "c", "d"]);
        let restarted = Drains::load(dir.path(), false);
        assert_eq!(restarted.names(), ["a", "c"]);
        assert_eq!(restarted.get("c").unwrap().since, "monday");
    }

    #[test]
    fn a_broken_file_is_an_empty_one_until_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        let drains = Drains::load(dir.path(), false);
        assert!(drains.names().is_empty());
        drains.add(names(&["a"]), "monday", true).unwrap();
        assert_eq!(Drains::load(dir.path(), false).names(), ["a"]);
    }
}
