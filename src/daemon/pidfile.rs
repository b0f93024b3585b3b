//! A pid file where other programs look for it. The run directory has one of its own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::StartError;

/// How often somebody else may get in between looking and writing.
const ATTEMPTS: u32 = 8;

/// Ours until this is dropped: it names this process and is locked.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: Flock<File>,
}

impl PidFile {
    /// Put it in place in one step, instead of one that a dead process left.
    pub(super) fn claim(path: &Path) -> Result<PidFile, StartError> {
        let failed = |source| StartError::Create { what: path.to_owned(), source };
        for _ in 0..ATTEMPTS {
            // Whoever finds the same leftover waits for this lock in vain.
            let leftover = leftover(path)?;
            let (new, file) = write(path).map_err(failed)?;
            let placed =
                if leftover.is_some() { new.persist(path) } else { new.persist_noclobber(path) };
            match placed {
                Ok(_) => return Ok(PidFile { path: path.to_owned(), file }),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error.error)),
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let ours = self.file.metadata().map(id).ok();
        if ours.is_some() && ours == fs::metadata(&self.path).map(id).ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file that is there, locked, unless it belongs to a process that runs.
fn leftover(path: &Path) -> Result<Option<Flock<File>>, StartError> {
    let failed = |source| StartError::Create { what: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => file,
        Err((file, Errno::EWOULDBLOCK)) => {
            return Err(StartError::Taken { path: path.to_owned(), pid: read_pid(&file) });
        }
        Err((_, error)) => return Err(failed(error.into())),
    };
    // keepalived before 2.3.2 does not lock its pid files.
    let pid = read_pid(&file);
    if is_keepalived(&pid) {
        return Err(StartError::Taken { path: path.to_owned(), pid });
    }
    Ok(Some(file))
}

/// A file that names this process, locked, under a name of its own.
fn write(path: &Path) -> io::Result<(tempfile::NamedTempFile, Flock<File>)> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut new = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    writeln!(new, "{}", std::process::id())?;
    // The lock belongs to the open file, however many descriptors it has.
    let file = Flock::lock(new.as_file().try_clone()?, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| error)?;
    Ok((new, file))
}

fn read_pid(file: &File) -> String {
    let mut pid = String::new();
    let _ = file.take(32).read_to_string(&mut pid);
    pid.trim().to_owned()
}

fn is_keepalived(pid: &str) -> bool {
    let Ok(pid) = pid.parse::<u32>() else { return false };
    // Its `exe` may be read only by those who have all its capabilities.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.starts_with("keepalived")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_in(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn it_names_us_while_it_is_ours_and_then_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vipd.pid");
        fs::write(&path, "4000000\nof a dead process\n").unwrap();
        let first = PidFile::claim(&path).unwrap();
        assert_eq!(pid_in(&path), format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        match PidFile::claim(&path) {
            Err(StartError::Taken { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing else is left");
    }

    #[test]
    fn somebody_elses_is_left_alone_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vipd.pid");
        let ours = PidFile::claim(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(ours);
        assert_eq!(pid_in(&path), "1\n");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = PidFile::claim(Path::new("/nonexistent/vipd.pid")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/vipd.pid"), "{error}");
    }
}
